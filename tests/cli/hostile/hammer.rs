//! Many at once, good and bad together: no definition is lost, none is half written, and what is bad for one
//! is no matter for the others.

use std::fs;
use std::process::{Child, Command, Stdio};

use super::frame::{Group, New};
use super::scene::{Scene, active, mdevctl, sight, vgpuctl, words};
use crate::harness::SimHost;
use crate::helpers::{P1, P2, definition, put, uuid};

fn spawn(mut command: Command) -> Child {
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().unwrap()
}

/// Starts all, then waits; how they ended.
fn at_once(commands: Vec<Command>) -> Vec<i32> {
    let children: Vec<Child> = commands.into_iter().map(spawn).collect();
    children
        .into_iter()
        .map(|mut child| child.wait().unwrap().code().unwrap_or(-1))
        .collect()
}

fn all_whole(host: &SimHost, but: &[&str]) -> bool {
    sight(&host.path("etc/mdevctl.d"))
        .iter()
        .filter(|(path, (mode, ..))| {
            mode & 0o170_000 == 0o100_000 && !but.iter().any(|name| path.ends_with(name))
        })
        .all(|(path, (.., text))| {
            let is_left = path.file_name().unwrap().to_string_lossy().starts_with('.');
            !is_left && serde_json::from_slice::<serde_json::Value>(text).is_ok()
        })
}

fn count_of_attrs(definition: &str) -> usize {
    let document: serde_json::Value = serde_json::from_str(definition).unwrap();
    document["attrs"].as_array().map_or(0, Vec::len)
}

fn ended_by_themselves(statuses: &[i32]) -> bool {
    statuses.iter().all(|status| (0..=7).contains(status))
}

/// Command lines that no program should be given.
const BAD: [&str; 8] = [
    "create -t ../x -p {p}",
    "create -t nvidia-63 -p ../../x",
    "define -t nvidia-63 -p .. -u {4}",
    "modify {2} --attr remove=1",
    "undefine ../../{2}",
    "start {2} --parent /etc",
    "plan /dev/null",
    "nonsense \u{1b}[31m",
];

#[test]
fn good_and_bad_at_once() {
    let mut group = Group::part("hammer");
    let scene = Scene::new();
    let bad = |n: usize| scene.command(BAD[n % BAD.len()]);
    let good = |line: &str| scene.command(line);

    // Creates until it is full, beside what is refused.
    let mut commands = Vec::new();
    for n in 0..20 {
        commands.push(good("create -t nvidia-63 -p {p2} --manual"));
        commands.push(bad(n));
    }
    let statuses = at_once(commands);
    let made = statuses
        .iter()
        .step_by(2)
        .filter(|status| **status == 0)
        .count();
    let defined = fs::read_dir(scene.host.path(&format!("etc/mdevctl.d/{P2}")))
        .unwrap()
        .count();
    let holds = [
        ("as many as fit are made", made == 8),
        (
            "each has a definition, and the one before stays",
            defined == 9,
        ),
        (
            "what is bad is refused",
            statuses
                .iter()
                .skip(1)
                .step_by(2)
                .all(|status| *status != 0),
        ),
        ("all ended by themselves", ended_by_themselves(&statuses)),
        ("every definition is whole", all_whole(&scene.host, &[])),
    ];
    group.check(
        New,
        "creates on one GPU beside command lines that are refused",
        &statuses,
        &holds,
    );

    // Changes of one definition, beside changes of it that are refused.
    scene.reset();
    let mut commands = Vec::new();
    for n in 0..16 {
        commands.push(scene.command(&format!("modify {{2}} --attr a{n}=1")));
        commands.push(good("modify {2} --attr remove=1"));
    }
    let statuses = at_once(commands);
    let text = fs::read_to_string(definition(&scene.host, P1, &uuid(2))).unwrap();
    let holds = [
        ("no change is lost", count_of_attrs(&text) == 16),
        ("none of the others came through", !text.contains("remove")),
        ("all ended by themselves", ended_by_themselves(&statuses)),
    ];
    group.check(
        New,
        "changes of one definition beside changes that are refused",
        &(statuses, text),
        &holds,
    );

    // The same by both names of the program.
    scene.reset();
    let mut commands = Vec::new();
    for n in 0..12 {
        commands.push(scene.command(&format!("modify {{2}} --attr a{n}=1")));
        commands.push(scene.mdevctl_command(&format!("modify -u {{2}} --addattr b{n} --value 1")));
        commands.push(scene.mdevctl_command("modify -u {2} --addattr ../x --value 1"));
    }
    let statuses = at_once(commands);
    let text = fs::read_to_string(definition(&scene.host, P1, &uuid(2))).unwrap();
    let holds = [
        ("no change is lost", count_of_attrs(&text) == 24),
        ("none of the others came through", !text.contains("../x")),
        ("all ended by themselves", ended_by_themselves(&statuses)),
    ];
    group.check(
        New,
        "changes by both names of the program",
        &(statuses, text),
        &holds,
    );

    // Restores beside definitions that are none.
    scene.reset();
    for n in 10..30 {
        put(&scene.host, P2, &uuid(n), "{\"mdev_type\": ");
    }
    let commands = (0..8)
        .map(|_| good("restore"))
        .chain((0..8).map(bad))
        .collect();
    let statuses = at_once(commands);
    let holds = [
        (
            "what is good is restored once",
            active(&scene.host) == [uuid(1), uuid(3)],
        ),
        (
            "each restore says that some are not",
            statuses[..8].iter().all(|status| *status == 7),
        ),
        (
            "the bad ones stay",
            (10..30).all(|n| {
                fs::read_to_string(definition(&scene.host, P2, &uuid(n))).unwrap()
                    == "{\"mdev_type\": "
            }),
        ),
    ];
    group.check(
        New,
        "restores beside definitions that are none",
        &statuses,
        &holds,
    );

    // Deletions beside definitions of the same and refusals.
    scene.reset();
    let mut commands = Vec::new();
    for _ in 0..10 {
        commands.push(good("define -t nvidia-63 -p {p} -u {4}"));
        commands.push(good("undefine {4}"));
        commands.push(good("undefine {4} --parent ../x"));
    }
    let statuses = at_once(commands);
    let holds = [
        ("all ended by themselves", ended_by_themselves(&statuses)),
        ("every definition is whole", all_whole(&scene.host, &[])),
        (
            "the others stay",
            definition(&scene.host, P1, &uuid(1)).exists()
                && definition(&scene.host, P1, &uuid(2)).exists(),
        ),
        (
            "the refused ones are refused",
            statuses
                .iter()
                .skip(2)
                .step_by(3)
                .all(|status| *status == 2),
        ),
    ];
    group.check(
        New,
        "one definition written and deleted at once",
        &statuses,
        &holds,
    );

    // Declarations applied at once: one of them does it, and nothing is made twice.
    scene.reset();
    let bad_file = scene.host.path("usr/bad.toml");
    fs::write(&bad_file, "version = 1\n[[group]]\n").unwrap();
    let mut commands = Vec::new();
    for _ in 0..6 {
        commands.push(good("apply --yes {file}"));
        commands.push(scene.command(&format!("apply --yes {}", bad_file.display())));
    }
    let statuses = at_once(commands);
    let after = scene.run("assert {file}");
    let holds = [
        ("all ended by themselves", ended_by_themselves(&statuses)),
        ("the host is as declared", after.status == 0),
        ("every definition is whole", all_whole(&scene.host, &[])),
    ];
    group.check(
        New,
        "declarations applied at once, every other one bad",
        &(statuses, after),
        &holds,
    );

    // Numbers written to one file while what is counted comes and goes.
    scene.reset();
    let prom = scene.host.path("usr/out.prom");
    let line = format!("metrics --output {}", prom.display());
    let mut commands = Vec::new();
    for n in 0..10 {
        commands.push(scene.command(&line));
        commands.push(bad(n));
        commands.push(good("create -t nvidia-63 -p {p2} --transient"));
    }
    let statuses = at_once(commands);
    let text = fs::read_to_string(&prom).unwrap();
    let left = fs::read_dir(prom.parent().unwrap())
        .unwrap()
        .filter(|e| {
            e.as_ref()
                .unwrap()
                .file_name()
                .to_string_lossy()
                .starts_with(".out")
        })
        .count();
    let holds = [
        (
            "the file is whole",
            text.starts_with("# HELP vgpuctl_") && text.ends_with('\n'),
        ),
        ("nothing is beside it", left == 0),
        ("all ended by themselves", ended_by_themselves(&statuses)),
    ];
    group.check(
        New,
        "metrics to one file at once",
        &(statuses, left),
        &holds,
    );

    // Two roots, one machine: nobody's locks are another's.
    scene.reset();
    let other = SimHost::start("two-p4");
    let mut commands = Vec::new();
    for n in 0..8 {
        commands.push(good("create -t nvidia-63 -p {p2} --manual"));
        commands.push(vgpuctl(
            other.root(),
            words(&format!("create -t nvidia-63 -p {P2} --manual")),
        ));
        commands.push(mdevctl(
            other.root(),
            words(&format!("define -p {P2} -t ../x{n}")),
        ));
    }
    let statuses = at_once(commands);
    let holds = [
        (
            "each has its own",
            active(&scene.host).len() == 9 && active(&other).len() == 8,
        ),
        (
            "every definition is whole",
            all_whole(&scene.host, &[]) && all_whole(&other, &[]),
        ),
        ("all ended by themselves", ended_by_themselves(&statuses)),
    ];
    group.check(New, "two hosts at once", &statuses, &holds);
    group.end();
}
