//! Plans for a GPU that serves several framebuffer sizes at a time, because its settings ask for it.

use std::path::PathBuf;

use crate::harness::SimHost;
use crate::plan::{apply, host, plan};

const GPU: &str = "0000:41:00.0";

/// A group of so many, named after its type.
fn group(type_name: &str, count: u32) -> String {
    format!("[[group]]\nname = \"{type_name}\"\ntype = \"{type_name}\"\ncount = {count}\n")
}

fn settings(host: &SimHost) -> PathBuf {
    host.path("etc/vgpuctl.d").join(GPU).join("gpu.conf")
}

/// An L40S, 48 GiB, whose settings let it have several sizes once it holds nothing.
fn mixing() -> SimHost {
    let host = host("l40s");
    let path = settings(&host);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, "mixed-sizes = yes\n").unwrap();
    host
}

fn types(host: &SimHost) -> Vec<String> {
    let listed = host.run("list --active --json").expect(0).json();
    let devices = listed["devices"].as_array().unwrap().iter();
    let name = |device: &serde_json::Value| device["type_name"].as_str().unwrap().to_owned();
    let mut names: Vec<String> = devices.map(name).collect();
    names.sort();
    names
}

#[test]
fn without_the_setting_the_second_size_is_blocked_and_it_is_told_how() {
    let host = host("l40s");
    let text = group("L40S-8Q", 2) + &group("L40S-24Q", 1);
    let run = plan(&host, &text).expect(2);
    assert!(run.stdout.ends_with("2 to create, 1 blocked\n"), "{run:#?}");
    assert!(
        run.stdout
            .contains("will hold 2 x L40S-8Q (8 GiB each); a GPU serves one framebuffer size"),
        "{run:#?}"
    );
    let hint = format!("mixed-sizes = yes in {}\n", settings(&host).display());
    assert!(run.stderr.contains(&hint), "{run:#?}");
    apply(&host, &text).expect(7);
    assert_eq!(types(&host), ["NVIDIA L40S-8Q", "NVIDIA L40S-8Q"]);
}

#[test]
fn an_idle_gpu_is_had_to_serve_them_and_filled_to_its_memory() {
    let host = mixing();
    let text = group("L40S-8Q", 1) + &group("L40S-12Q", 1) + &group("L40S-24Q", 1);
    let run = plan(&host, &text).expect(2);
    assert!(run.stdout.ends_with("3 to create\n"), "{run:#?}");
    apply(&host, &text).expect(0);
    plan(&host, &text).expect(0);
    assert_eq!(
        types(&host),
        ["NVIDIA L40S-12Q", "NVIDIA L40S-24Q", "NVIDIA L40S-8Q"]
    );
    // 44 of 48 GiB are taken.
    for (more, fits) in [("L40S-4Q", true), ("L40S-6Q", false), ("L40S-48Q", false)] {
        let run = plan(&host, &(text.clone() + &group(more, 1))).expect(2);
        assert_eq!(run.stdout.contains("+ create "), fits, "{more}: {run:#?}");
        let why = "which leaves no room for one more";
        assert_eq!(run.stdout.contains(why), !fits, "{more}: {run:#?}");
    }
}

#[test]
fn more_than_the_memory_holds_is_blocked_beforehand() {
    let host = mixing();
    let text = group("L40S-24Q", 1) + &group("L40S-16Q", 1) + &group("L40S-12Q", 1);
    let run = plan(&host, &text).expect(2);
    assert!(run.stdout.ends_with("2 to create, 1 blocked\n"), "{run:#?}");
    apply(&host, &text).expect(7);
    let run = plan(&host, &text).expect(2);
    assert!(
        run.stdout.ends_with("1 blocked, 2 as declared\n"),
        "{run:#?}"
    );
}

#[test]
fn a_gpu_that_holds_one_size_already_is_asked_when_it_is_empty() {
    let host = host("l40s");
    let one = group("L40S-8Q", 1);
    apply(&host, &one).expect(0);
    std::fs::write(settings(&host), "mixed-sizes = yes\n").unwrap();
    let both = one + &group("L40S-24Q", 1);
    let run = plan(&host, &both).expect(2);
    assert!(
        run.stdout.ends_with("1 blocked, 1 as declared\n"),
        "{run:#?}"
    );
    assert!(
        run.stderr
            .contains("takes effect once 0000:41:00.0 has no vGPUs"),
        "{run:#?}"
    );
    apply(&host, &both).expect(4);
    host.ctl(&["reboot"]);
    host.run("restore").expect(0);
    apply(&host, &both).expect(0);
    plan(&host, &both).expect(0);
    assert_eq!(types(&host).len(), 2);
}

#[test]
fn what_goes_makes_it_empty_enough() {
    let host = host("l40s");
    apply(&host, &group("L40S-12Q", 4)).expect(0);
    std::fs::write(settings(&host), "mixed-sizes = yes\n").unwrap();
    let text = format!(
        "unlisted = \"remove\"\n{}{}",
        group("L40S-24Q", 1),
        group("L40S-8Q", 2)
    );
    apply(&host, &text).expect(0);
    plan(&host, &text).expect(0);
    assert_eq!(
        types(&host),
        ["NVIDIA L40S-24Q", "NVIDIA L40S-8Q", "NVIDIA L40S-8Q"]
    );
}

#[test]
fn where_nvidias_program_fails_nothing_is_changed_and_it_is_named() {
    let host = host("l40s");
    let before = group("L40S-12Q", 1);
    apply(&host, &before).expect(0);
    std::fs::write(settings(&host), "mixed-sizes = yes\n").unwrap();
    let program = host.path("usr/bin/nvidia-smi");
    let text = format!(
        "unlisted = \"remove\"\n{}{}",
        group("L40S-24Q", 1),
        group("L40S-8Q", 2)
    );
    std::fs::remove_file(&program).unwrap();
    let run = apply(&host, &text).expect(3);
    let begin = format!("error: cannot enable vGPUs of several sizes on {GPU}: ");
    assert!(run.stderr.starts_with(&begin), "{run:#?}");
    assert!(run.stderr.contains(program.to_str().unwrap()), "{run:#?}");
    assert!(run.stderr.contains("the host is unchanged"), "{run:#?}");
    assert_eq!(types(&host), ["NVIDIA L40S-12Q"]);
    plan(&host, &before).expect(0);
}

/// An idle L40S in this mode: what fits of each size, by NVIDIA's tables.
const ALONE: [(&str, u64); 10] = [
    ("L40S-48Q", 1),
    ("L40S-24Q", 2),
    ("L40S-16Q", 2),
    ("L40S-12Q", 4),
    ("L40S-8Q", 4),
    ("L40S-6Q", 8),
    ("L40S-4Q", 8),
    ("L40S-3Q", 16),
    ("L40S-2Q", 16),
    ("L40S-1Q", 16),
];

fn free(host: &SimHost, type_name: &str) -> u64 {
    let listed = host.run("types --json").expect(0).json();
    let types = listed["parents"][0]["types"].as_array().unwrap();
    let name = format!("NVIDIA {type_name}");
    let found = types.iter().find(|one| one["name"] == name.as_str());
    found.unwrap()["available"].as_u64().unwrap()
}

#[test]
fn types_shows_what_placement_ids_leave_and_so_much_can_be_made() {
    for (type_name, most) in ALONE {
        let host = mixing();
        // What one vGPU of another size leaves, and then the type itself.
        let other = if type_name == "L40S-2Q" {
            "L40S-1Q"
        } else {
            "L40S-2Q"
        };
        let both = group(other, 1) + &group(type_name, 1);
        assert_eq!(free(&host, type_name), most, "{type_name}");
        if most == 1 {
            continue;
        }
        apply(&host, &both).expect(0);
        let left = free(&host, type_name);
        let more = u32::try_from(left).unwrap();
        let run = host.run(&format!("create --type {type_name} --count {}", more + 1));
        let run = run.expect(4);
        let hint = format!("has room for at most {left}: it serves several framebuffer sizes");
        let is_none = run.stderr.contains("no instance of");
        assert!(
            run.stderr.contains(&hint) || (left == 0 && is_none),
            "{type_name}: {run:#?}"
        );
        if left > 0 {
            host.run(&format!("create --type {type_name} --count {more}"))
                .expect(0);
        }
        assert_eq!(free(&host, type_name), 0, "{type_name}");
    }
}

#[test]
fn in_any_order_of_the_file_all_are_made_and_there_after_a_reboot() {
    let sizes = ["L40S-24Q", "L40S-16Q", "L40S-8Q"];
    for order in [
        [0, 1, 2],
        [0, 2, 1],
        [1, 0, 2],
        [1, 2, 0],
        [2, 0, 1],
        [2, 1, 0],
    ] {
        let host = mixing();
        std::fs::write(settings(&host), "mixed-sizes = yes\nvfs = enable\n").unwrap();
        let text: String = order.iter().map(|at| group(sizes[*at], 1)).collect();
        apply(&host, &text).expect(0);
        let planned = host.run("restore --dry-run").expect(0);
        assert!(
            !planned.stdout.contains("failed"),
            "{order:?}: {planned:#?}"
        );
        let before = host.run("list --active").expect(0).stdout;
        host.ctl(&["reboot"]);
        host.run("restore").expect(0);
        assert_eq!(
            host.run("list --active").expect(0).stdout,
            before,
            "{order:?}"
        );
        plan(&host, &text).expect(0);
    }
}

#[test]
fn what_memory_would_hold_and_placement_ids_do_not_is_refused_with_what_fits() {
    let host = mixing();
    let text = group("L40S-8Q", 6);
    let run = plan(&host, &text).expect(2);
    assert!(run.stdout.ends_with("4 to create, 2 blocked\n"), "{run:#?}");
    let why = "0000:41:00.0 will hold 4 x L40S-8Q (8 GiB each), as many as fit: 16 GiB is free, but at no \
               placement ID of this type; the largest type that fits has 4 GiB";
    assert!(run.stdout.contains(why), "{run:#?}");
    let run = host.run("create --type L40S-8Q --count 6").expect(4);
    assert!(run.stderr.contains("has room for at most 4"), "{run:#?}");
    assert_eq!(types(&host), Vec::<String>::new());
}

#[test]
fn gaps_are_told_and_the_next_boot_closes_them() {
    let host = mixing();
    std::fs::write(settings(&host), "mixed-sizes = yes\nvfs = enable\n").unwrap();
    apply(&host, &group("L40S-8Q", 1)).expect(0);
    host.run("create --type L40S-16Q").expect(0);
    let told = host.run("gpus").expect(0).stdout;
    assert!(
        told.contains("24 GiB of 48 GiB, largest free 12 GiB"),
        "{told}"
    );
    let run = host.run("create --type L40S-24Q").expect(4);
    let why = "24 GiB is free, but at no placement ID of this type; the largest type that fits has 12 GiB";
    assert!(run.stderr.contains(why), "{run:#?}");
    let before = types(&host);
    assert_eq!(before, ["NVIDIA L40S-16Q", "NVIDIA L40S-8Q"]);
    // At the next boot the largest comes first, so that there is nothing to warn about.
    let line = format!("define --type L40S-24Q --parent {GPU}");
    let defined = host.run(&line).expect(0);
    assert!(!defined.stderr.contains("boot"), "{defined:#?}");
    let planned = host.run("restore --dry-run").expect(0);
    assert!(!planned.stdout.contains("failed"), "{planned:#?}");
    host.ctl(&["reboot"]);
    host.run("restore").expect(0);
    assert_eq!(
        types(&host),
        ["NVIDIA L40S-16Q", "NVIDIA L40S-24Q", "NVIDIA L40S-8Q"]
    );
}

#[test]
fn a_full_gpu_is_known_to_be_in_the_mode() {
    let host = mixing();
    let full = group("L40S-24Q", 2);
    apply(&host, &full).expect(0);
    // Nothing else is offered now, and the placement IDs are those of equal sizes: only the driver can tell.
    let text = format!(
        "unlisted = \"remove\"\n{}{}",
        group("L40S-24Q", 1),
        group("L40S-8Q", 2)
    );
    let run = plan(&host, &text).expect(2);
    assert!(
        run.stdout
            .ends_with("2 to create, 1 to remove, 1 as declared\n"),
        "{run:#?}"
    );
    let run = host.run("create --type L40S-8Q").expect(4);
    assert!(
        run.stderr.contains("which leaves no room for one more"),
        "{run:#?}"
    );
    apply(&host, &text).expect(0);
    plan(&host, &text).expect(0);
}

#[test]
fn more_than_placement_ids_allow_is_refused_before_anything_is_changed() {
    let host = mixing();
    let text = group("L40S-8Q", 6);
    let run = plan(&host, &text).expect(2);
    assert!(run.stdout.ends_with("4 to create, 2 blocked\n"), "{run:#?}");
    let run = apply(&host, &text).expect(4);
    assert!(
        run.stderr
            .starts_with("error: group L40S-8Q declares 6 x L40S-8Q, of which 4 fit\n"),
        "{run:#?}"
    );
    assert!(
        run.stderr.contains("at no placement ID of this type"),
        "{run:#?}"
    );
    assert_eq!(types(&host), [""; 0]);
    assert_eq!(host.defined(), [""; 0]);
    // Where memory is what is missing, what fits is created, as without the mode.
    apply(&host, &group("L40S-24Q", 3)).expect(7);
    assert_eq!(types(&host).len(), 2);
}
