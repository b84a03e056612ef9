//! Where a new device goes, and what is said beforehand of those that will find no place.

use insta::assert_snapshot;

use crate::harness::SimHost;
use crate::helpers::{P1, P2, counter, device, put_auto, uuid};

/// How many devices are on each parent, in order of the parents.
fn loads(host: &SimHost) -> Vec<(String, usize)> {
    let mut loads = std::collections::BTreeMap::new();
    for device in host.status()["devices"].as_array().unwrap() {
        let parent = device["parent"].as_str().unwrap().to_owned();
        *loads.entry(parent).or_insert(0) += 1;
    }
    loads.into_iter().collect()
}

#[test]
fn pack_fills_the_gpu_in_use_and_spread_takes_turns() {
    let host = SimHost::start("two-p4");
    host.run(&format!("create -t P4-1Q -p {P2} -u {}", uuid(1)))
        .expect(0);
    for (n, placement, parent) in [
        (2, "", P2),
        (3, "--placement pack", P2),
        (4, "--placement spread", P1),
        (5, "--placement spread", P1),
        (6, "--placement spread", P1),
        (7, "--placement spread", P1),
        (8, "", P1),
    ] {
        let line = format!("create -t P4-1Q -u {} {placement}", uuid(n));
        let run = host.run(&format!("{line} --dry-run")).expect(0);
        assert!(run.stdout.contains(&format!("on {parent}")), "{n}: {run:?}");
        host.run(&line).expect(0);
        assert_eq!(device(&host, &uuid(n), "parent"), parent, "{n}");
    }
}

#[test]
fn series_of_one_size_share_a_gpu_and_another_size_opens_the_next() {
    let host = SimHost::start("two-p4");
    for (n, name, parent) in [(1, "2Q", P1), (2, "2A", P1), (3, "4Q", P2), (4, "2B", P1)] {
        host.run(&format!("create -t P4-{name} -u {}", uuid(n)))
            .expect(0);
        assert_eq!(device(&host, &uuid(n), "parent"), parent, "{name}");
    }
    assert_snapshot!(host.run("create -t P4-1Q").snapshot(&host), @"
    status: 4
    --- stdout
    --- stderr
    error: no instance of nvidia-63 (P4-1Q) is free on 0000:81:00.0, 0000:82:00.0
    hint: 0000:81:00.0 holds 1 x P4-2Q (2 GiB each), 1 x P4-2A (2 GiB each), 1 x P4-2B (2 GiB each); a GPU serves one framebuffer size at a time, and this type needs 1 GiB: remove those first (vgpuctl list --active --parent 0000:81:00.0)
    hint: 0000:82:00.0 holds 1 x P4-4Q (4 GiB each); a GPU serves one framebuffer size at a time, and this type needs 1 GiB: remove those first (vgpuctl list --active --parent 0000:82:00.0)
    ");
}

#[test]
fn a_parent_as_placement_is_that_parent() {
    let host = SimHost::start("two-p4");
    let line = format!("create -t P4-1Q --placement {P2}");
    host.run(&format!("{line} -u {}", uuid(1))).expect(0);
    host.run(&format!("{line} -p {P2} -u {}", uuid(2)))
        .expect(0);
    assert_eq!(loads(&host), [(P2.to_owned(), 2)]);
    for other in ["pack", "spread", P1] {
        let run = host.run(&format!("create -t P4-1Q -p {P2} --placement {other}"));
        assert!(run.expect(2).stderr.contains("contradict each other"));
    }
    for (status, odd) in [(2, "a/b"), (2, ".."), (3, "packed")] {
        host.run(&format!("create -t P4-1Q --placement {odd}"))
            .expect(status);
    }
    assert_eq!(counter(&host, "create_writes"), 2);
}

#[test]
fn the_plan_for_many_is_what_is_then_made() {
    for (placement, wanted) in [("pack", vec![8, 5]), ("spread", vec![1; 13])] {
        let host = SimHost::start("sixteen-p4");
        let line = format!("create -t P4-1Q --count 13 --placement {placement}");
        let plan = host.run(&format!("{line} --dry-run")).expect(0).stdout;
        let planned: Vec<&str> = plan
            .lines()
            .filter_map(|l| l.split(" on ").nth(1))
            .collect();
        let made = host.run(&line).expect(0).stderr;
        let made: Vec<&str> = made
            .lines()
            .filter_map(|l| l.split(" on ").nth(1))
            .collect();
        assert_eq!(planned, made);
        let counts: Vec<usize> = loads(&host).into_iter().map(|(_, count)| count).collect();
        assert_eq!(counts, wanted, "{placement}");
    }
}

#[test]
fn a_vendor_without_sizes_is_placed_by_what_is_free() {
    let host = SimHost::start("mixed");
    host.run("create -t i915-GVTg_V5_8 --placement spread")
        .expect(0);
    host.run("create -t i915-GVTg_V5_8 --placement pack")
        .expect(0);
    host.run("create -t i915-GVTg_V5_8").expect(4);
    host.run("create -t P4-1Q --placement spread").expect(0);
    assert_eq!(
        loads(&host),
        [("0000:00:02.0".to_owned(), 2), (P1.to_owned(), 1)]
    );
}

#[test]
fn four_gpus_of_a_board_are_taken_one_by_one_or_in_turn() {
    let host = SimHost::start("m10");
    host.run("create -t M10-2Q --count 4 --placement spread")
        .expect(0);
    assert_eq!(
        loads(&host).iter().map(|load| load.1).collect::<Vec<_>>(),
        [1; 4]
    );
    host.run("create -t M10-2Q --count 6").expect(0);
    let counts: Vec<usize> = loads(&host).into_iter().map(|load| load.1).collect();
    assert_eq!(counts, [4, 4, 1, 1]);
}

#[test]
fn what_an_unlocked_card_cannot_hold_is_said_and_made_all_the_same() {
    let host = SimHost::start("gtx-1080ti");
    let run = host.run("create -t P40-1Q --count 11").expect(0);
    assert!(!run.stderr.contains("warning"), "{run:?}");
    let run = host
        .run(&format!("create -t P40-1B -u {}", uuid(1)))
        .expect(0);
    assert_snapshot!(run.snapshot(&host), @"
    status: 0
    --- stdout
    a0000001-0000-4000-8000-000000000000
    --- stderr
    created a0000001-0000-4000-8000-000000000000: nvidia-62 (P40-1B) on 0000:01:00.0
    warning: 0000:01:00.0 is a GTX 1080 Ti with 11 GiB of memory; 11 x P40-1Q (1 GiB each), 1 x P40-1B (1 GiB each) need 12 GiB
    hint: its types are those of the card that the driver treats it as: guests may fail to start, or fail later
    ");
    let run = host
        .run(&format!("create --json -t P40-1Q -u {}", uuid(2)))
        .expect(0);
    let warning = run.json()["warnings"][0].clone();
    assert_eq!(warning["code"], "no-capacity");
    let message = warning["message"].as_str().unwrap();
    assert!(
        message.contains("GTX 1080 Ti with 11 GiB of memory"),
        "{message}"
    );
    assert!(
        message.ends_with("1 x P40-1B (1 GiB each) need 13 GiB"),
        "{message}"
    );
    assert_eq!(host.active().len(), 13);
}

#[test]
fn a_dry_run_and_a_definition_know_the_cards_memory_too() {
    let host = SimHost::start("gtx-1080ti");
    let card = "0000:01:00.0 is a GTX 1080 Ti with 11 GiB of memory; ";
    let run = host.run("create -t P40-24Q --dry-run").expect(0);
    let wanted = format!("{card}1 x P40-24Q (24 GiB each) needs 24 GiB");
    assert!(run.stderr.contains(&wanted), "{run:?}");
    let run = host.run("define -t P40-12Q -p 0000:01:00.0").expect(0);
    let wanted =
        format!("{card}the devices that start at boot, 1 x P40-12Q (12 GiB each), need 12 GiB");
    assert!(run.stderr.contains(&wanted), "{run:?}");
    let run = host
        .run("define -t P40-12Q -p 0000:01:00.0 --manual")
        .expect(0);
    assert!(!run.stderr.contains("warning"), "{run:?}");
}

#[test]
fn a_card_that_needs_no_unlock_is_believed() {
    let host = SimHost::start("p40");
    let run = host.run("create -t P40-1Q --count 24").expect(0);
    assert!(!run.stderr.contains("warning"), "{run:?}");
}

#[test]
fn a_definition_that_the_next_boot_cannot_start_is_named_when_it_is_written() {
    let host = SimHost::start("two-p4");
    let define = |n: u8, rest: &str| {
        let run = host.run(&format!("define -p {P1} -u {} {rest}", uuid(n)));
        run.expect(0)
    };
    assert!(!define(2, "-t P4-1Q").stderr.contains("warning"));
    assert!(!define(3, "-t P4-1B").stderr.contains("warning"));
    assert!(!define(5, "-t P4-4Q --manual").stderr.contains("warning"));
    assert_snapshot!(define(4, "-t P4-2Q").snapshot(&host), @"
    status: 0
    --- stdout
    a0000004-0000-4000-8000-000000000000
    --- stderr
    defined a0000004-0000-4000-8000-000000000000: nvidia-64 (P4-2Q) on 0000:81:00.0
    warning: a0000004-0000-4000-8000-000000000000 will not start at the next boot: no instance of nvidia-64 (P4-2Q) is free: 0000:81:00.0 holds 1 x P4-1Q (1 GiB each), 1 x P4-1B (1 GiB each); a GPU serves one framebuffer size at a time, and this type needs 2 GiB
    hint: devices of one parent start in order of their UUIDs; change one that is in the way: vgpuctl modify UUID --type TYPE, or --manual
    ");
    // One that comes first wins, and the others lose.
    let run = define(1, "-t P4-8Q");
    for n in [2, 3, 4] {
        assert!(
            run.stderr
                .contains(&format!("warning: {} will not", uuid(n))),
            "{run:?}"
        );
    }
    assert!(
        !run.stderr
            .contains(&format!("warning: {} will not", uuid(1)))
    );
}

#[test]
fn what_the_warning_names_is_what_restore_leaves_out_in_the_same_words() {
    let host = SimHost::start("two-p4");
    for n in 1..=9 {
        host.run(&format!("define -p {P1} -t P4-1Q -u {}", uuid(n)))
            .expect(0);
    }
    let json = host
        .run(&format!("define --json -p {P1} -t P4-2Q -u {}", uuid(10)))
        .expect(0)
        .json();
    let warnings = json["warnings"].as_array().unwrap().iter();
    let warned: Vec<&str> = warnings.map(|w| w["message"].as_str().unwrap()).collect();
    assert_eq!(warned.len(), 2, "{warned:?}");
    for (n, message) in [(9, warned[0]), (10, warned[1])] {
        let (who, reason) = message
            .split_once(" will not start at the next boot: ")
            .unwrap();
        assert_eq!(who, uuid(n));
        let plan = host.run("restore --dry-run").expect(7).stdout;
        let line = plan.lines().find(|line| line.contains(&uuid(n))).unwrap();
        assert!(
            line.starts_with("failed ") && line.ends_with(&format!(": {reason}")),
            "{line}"
        );
    }
    let run = host.run("restore").expect(7);
    assert_eq!(run.stdout.matches("started ").count(), 8, "{run:?}");
    for (n, message) in [(9, warned[0]), (10, warned[1])] {
        let (_, reason) = message
            .split_once(" will not start at the next boot: ")
            .unwrap();
        let line = run
            .stdout
            .lines()
            .find(|line| line.contains(&uuid(n)))
            .unwrap();
        assert!(line.contains(&format!(": {reason}: ")), "{line}");
    }
    assert_eq!(host.active().len(), 8);
    // Afterwards the plan says the same of what is left.
    let plan = host.run("restore --dry-run").expect(7).stdout;
    assert_eq!(plan.matches("failed ").count(), 2, "{plan}");
}

#[test]
fn create_warns_where_the_device_fits_now_but_not_after_a_reboot() {
    let host = SimHost::start("two-p4");
    put_auto(&host, P1, &uuid(1), "nvidia-64");
    let line = format!("create -t P4-1Q -p {P1} -u {}", uuid(2));
    let wanted = format!("warning: {} will not start at the next boot", uuid(2));
    assert!(
        host.run(&format!("{line} --dry-run"))
            .expect(0)
            .stderr
            .contains(&wanted)
    );
    assert!(host.run(&line).expect(0).stderr.contains(&wanted));
    let line = format!("create -t P4-1Q -p {P1} --transient");
    assert!(!host.run(&line).expect(0).stderr.contains("warning"));
}

#[test]
fn modify_warns_where_it_changes_what_starts_at_boot_and_only_there() {
    let host = SimHost::start("two-p4");
    put_auto(&host, P1, &uuid(1), "nvidia-63");
    host.run(&format!("define -p {P1} -t P4-2Q -u {} --manual", uuid(2)))
        .expect(0);
    let warns = |line: &str| {
        let run = host.run(&format!("modify {} {line}", uuid(2))).expect(0);
        run.stderr
            .contains(&format!("{} will not start at the next boot", uuid(2)))
    };
    assert!(warns("--auto --dry-run"));
    assert!(warns("--auto"));
    assert!(!warns("--attr a=1"), "nothing that matters is changed");
    assert!(warns("--type P4-4Q"));
    assert!(!warns("--type P4-1B"), "now they fit together");
    assert!(!warns("--manual"));
}

#[test]
fn a_parent_that_is_not_there_is_not_judged() {
    let host = SimHost::start("two-p4");
    for (n, id) in [(1, "nvidia-63"), (2, "nvidia-64")] {
        let run = host.run(&format!("define -t {id} -p 0000:99:00.0 -u {}", uuid(n)));
        assert!(!run.expect(0).stderr.contains("warning"));
    }
}

#[test]
fn a_uuid_that_another_parent_has_first_takes_no_room_at_boot() {
    let host = SimHost::start("two-p4");
    put_auto(&host, P1, &uuid(1), "nvidia-66");
    put_auto(&host, P2, &uuid(1), "nvidia-66");
    let run = host.run(&format!("define -t P4-1Q -p {P2} -u {}", uuid(2)));
    assert!(!run.expect(0).stderr.contains("warning"));
}

#[test]
fn more_than_a_vendor_without_sizes_has_room_for_is_named_too() {
    let host = SimHost::start("mixed");
    let gvt = "0000:00:02.0";
    for n in 1..=2 {
        put_auto(&host, gvt, &uuid(n), "i915-GVTg_V5_8");
    }
    let run = host
        .run(&format!("define -t i915-GVTg_V5_8 -p {gvt} -u {}", uuid(3)))
        .expect(0);
    let wanted = format!("warning: {} will not start at the next boot", uuid(3));
    assert!(run.stderr.contains(&wanted), "{run:?}");
    let run = host.run("restore --dry-run").expect(7);
    assert_eq!(run.stdout.matches("would start").count(), 2, "{run:?}");
    assert_eq!(
        host.run("restore")
            .expect(7)
            .stdout
            .matches("started ")
            .count(),
        2
    );
}
