//! Random hosts and random files, with the real binary on simulated hosts.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::thread;

use serde_json::Value;

use crate::dice::{Dice, seed};
use crate::harness::{HeldOpen, SimHost};
use crate::plan::{apply, host, plan};

/// Hosts of `examples/hosts`, the types to ask for, and the GPUs.
const HOSTS: [(&str, &[&str], &[&str]); 6] = [
    (
        "two-p4",
        &["P4-1Q", "P4-2Q", "P4-4Q", "P4-1B"],
        &["0000:81:00.0", "0000:82:00.0"],
    ),
    ("m10", &["M10-1Q", "M10-2Q", "M10-1B"], &[]),
    (
        "a40-vf-mdev",
        &["A40-8Q", "A40-12Q", "A40-24Q"],
        &["0000:41:00.0"],
    ),
    (
        "l40s",
        &["L40S-8Q", "L40S-12Q", "L40S-24Q"],
        &["0000:41:00.0"],
    ),
    (
        "gvt-g",
        &["i915-GVTg_V5_8", "i915-GVTg_V5_4"],
        &["0000:00:02.0"],
    ),
    (
        "both-frameworks",
        &["P4-2Q", "L40S-12Q", "L40S-24Q", "P4-8Q"],
        &["0000:81:00.0", "0000:c1:00.0"],
    ),
];

/// Pairs of a state and a file, on each of them.
const PAIRS: usize = 50;

#[test]
fn a_plan_that_is_applied_leaves_nothing_to_do_or_says_why() {
    let seed = seed("VGPUCTL_PLAN_SEED");
    let pairs = std::env::var("VGPUCTL_PLAN_PAIRS").map_or(PAIRS, |pairs| pairs.parse().unwrap());
    let counts = thread::scope(|scope| {
        let one = |(at, scene): (usize, &'static (&str, &[&str], &[&str]))| {
            let seed = seed.wrapping_mul(1000).wrapping_add(at as u64);
            scope.spawn(move || on_host(scene, seed, pairs))
        };
        let workers: Vec<_> = HOSTS.iter().enumerate().map(one).collect();
        let mut all: BTreeMap<&str, usize> = BTreeMap::new();
        for worker in workers {
            for (key, count) in worker.join().unwrap() {
                *all.entry(key).or_default() += count;
            }
        }
        all
    });
    println!("{} pairs: {counts:?}", pairs * HOSTS.len());
    assert!(counts["applied"] > 0 && counts["held"] > 0, "{counts:?}");
}

type Counts = BTreeMap<&'static str, usize>;

fn on_host(
    &(name, types, gpus): &(&'static str, &[&str], &[&str]),
    seed: u64,
    pairs: usize,
) -> Counts {
    let host = host(name);
    let mut counts = Counts::new();
    let mut dice = Dice::new(seed);
    for pair in 0..pairs {
        clear(&host, name);
        let uuids = random_state(&host, &mut dice, types);
        let held = hold_one(&host, &mut dice, &uuids);
        let text = random_file(&mut dice, types, gpus, &uuids);
        let told = || format!("pair {pair} on {name}, seed {seed}\n{text}");
        let before = devices(&host);
        let first = plan(&host, &text);
        if first.status == 1 {
            *counts.entry("refused").or_default() += 1;
            continue;
        }
        let run = apply(&host, &text);
        assert!(matches!(run.status, 0 | 4 | 5 | 7), "{run:#?}\n{}", told());
        *counts.entry("applied").or_default() += 1;
        let mut next = plan(&host, &text);
        for _ in 0..4 {
            // How much of a pool a type takes is not known, so that room is believed in step by step.
            if has_work(&next.stdout) && name == "gvt-g" {
                *counts.entry("more steps").or_default() += 1;
                apply(&host, &text);
                next = plan(&host, &text);
            }
        }
        assert!(
            !has_work(&next.stdout),
            "{next:#?}\nafter {first:#?}\n{}",
            told()
        );
        assert_eq!(
            next.status == 2,
            next.stdout.contains("! blocked"),
            "{next:#?}"
        );
        *counts.entry("lines").or_default() += first.stdout.lines().count();
        *counts.entry("blocked").or_default() += usize::from(next.status == 2);
        if let Some((uuid, holder)) = held {
            *counts.entry("held").or_default() += 1;
            let of = |all: &[Value]| all.iter().find(|one| one["uuid"] == uuid.as_str()).cloned();
            let (was, is) = (of(&before).unwrap(), of(&devices(&host)).unwrap());
            for key in ["type", "parent", "vf", "active"] {
                assert_eq!(was[key], is[key], "{}", told());
            }
            holder.close();
        }
    }
    counts
}

fn has_work(plan: &str) -> bool {
    plan.lines().any(|line| line.starts_with(['+', '~', '-']))
}

fn clear(host: &SimHost, name: &str) {
    host.ctl(&["reboot"]);
    for dir in ["etc/mdevctl.d", "etc/vgpuctl.d"] {
        let _ = std::fs::remove_dir_all(host.path(dir));
    }
    if name == "a40-vf-mdev" {
        host.run("vfs enable 0000:41:00.0").expect(0);
    }
}

fn devices(host: &SimHost) -> Vec<Value> {
    let run = host.run("list --json").expect(0);
    run.json()["devices"].as_array().unwrap().clone()
}

/// Some devices, some of them defined, and some definitions; what has no room is not made.
fn random_state(host: &SimHost, dice: &mut Dice, types: &[&str]) -> Vec<String> {
    let mut uuids = Vec::new();
    for _ in 0..dice.below(4) {
        let options = [
            "",
            "--manual",
            "--transient",
            "--attr a=1 --dry-run",
            "-n 3",
            "-n 2",
        ];
        let line = format!("create -t {} {}", dice.of(types), dice.of(&options));
        let run = host.run(&line);
        if run.status == 0 && !line.contains("dry-run") {
            uuids.extend(run.stdout.lines().map(str::to_owned));
        }
    }
    if dice.is_one_in(3)
        && let Some(uuid) = uuids.first()
    {
        host.run(&format!("stop {uuid}")).expect(0);
    }
    uuids
}

/// Opens the node of one device that runs.
fn hold_one(host: &SimHost, dice: &mut Dice, uuids: &[String]) -> Option<(String, HeldOpen)> {
    if uuids.is_empty() || dice.is_one_in(2) {
        return None;
    }
    let uuid = &uuids[dice.below(uuids.len())];
    // One that was stopped and had no definition is gone.
    let shown = host.run(&format!("show {uuid} --json"));
    if shown.status == 3 {
        return None;
    }
    let shown = shown.expect(0).json();
    let node: PathBuf = Path::new(shown["device"]["vfio_group"].as_str()?).to_owned();
    Some((uuid.clone(), HeldOpen::open(&node, "qemu -name guest=web")))
}

fn random_file(dice: &mut Dice, types: &[&str], gpus: &[&str], uuids: &[String]) -> String {
    let mut text = match dice.below(3) {
        0 => String::new(),
        1 => "unlisted = \"remove\"\n".to_owned(),
        _ => "unlisted = \"remove-own\"\n".to_owned(),
    };
    let mut uuids = uuids.to_vec();
    for group in 0..dice.below(4) {
        text += &format!(
            "[[group]]\nname = \"g{group}\"\ntype = \"{}\"\n",
            dice.of(types)
        );
        let count = 1 + dice.below(3);
        text += &match dice.below(4) {
            0 => format!("count = {count}\n"),
            1 => format!("per-gpu = {count}\n"),
            2 if !uuids.is_empty() => format!("uuids = [\"{}\"]\n", uuids.remove(0)),
            _ => format!("names = {:?}\n", &["x", "y", "z"][..count]),
        };
        if !gpus.is_empty() && dice.is_one_in(3) {
            text += &format!("gpus = \"{}\"\n", dice.of(gpus));
        }
        text += *dice.of(&["", "placement = \"spread\"\n"]);
        text += *dice.of(&["", "", "start = \"manual\"\n"]);
    }
    text
}
