//! Nothing free: what is in the way, and where there is room.

use insta::assert_snapshot;

use crate::harness::SimHost;
use crate::helpers::{P1, P2, counter, put_auto, uuid};

#[test]
fn another_size_in_the_way_is_named_with_the_rule_behind_it() {
    let host = SimHost::start("p40");
    host.run("create -t P40-2Q --count 3").expect(0);
    host.run("create -t P40-2B").expect(0);
    assert_snapshot!(host.run("create -t P40-1Q").snapshot(&host), @"
    status: 4
    --- stdout
    --- stderr
    error: no instance of nvidia-46 (P40-1Q) is free on 0000:81:00.0
    hint: 0000:81:00.0 holds 3 x P40-2Q (2 GiB each), 1 x P40-2B (2 GiB each); a GPU serves one framebuffer size at a time, and this type needs 1 GiB: remove those first (vgpuctl list --active --parent 0000:81:00.0)
    ");
    assert_eq!(counter(&host, "create_writes"), 4, "nothing was tried");
    assert_eq!(host.defined().len(), 4);
}

#[test]
fn the_gpu_that_has_room_is_named_where_another_was_asked_for() {
    let host = SimHost::start("two-p4");
    host.run(&format!("create -t P4-4Q -p {P1}")).expect(0);
    let run = host.run(&format!("create -t P4-1Q -p {P1}"));
    assert_snapshot!(run.snapshot(&host), @"
    status: 4
    --- stdout
    --- stderr
    error: no instance of nvidia-63 (P4-1Q) is free on 0000:81:00.0
    hint: 0000:81:00.0 holds 1 x P4-4Q (4 GiB each); a GPU serves one framebuffer size at a time, and this type needs 1 GiB: remove those first (vgpuctl list --active --parent 0000:81:00.0)
    hint: 0000:82:00.0 is free, with room for 8: use --parent 0000:82:00.0
    ");
}

#[test]
fn without_a_parent_every_gpu_says_what_is_in_the_way() {
    let host = SimHost::start("two-p4");
    host.run(&format!("create -t P4-8Q -p {P1}")).expect(0);
    host.run(&format!("create -t P4-2Q -p {P2}")).expect(0);
    assert_snapshot!(host.run("create -t P4-8Q").snapshot(&host), @"
    status: 4
    --- stdout
    --- stderr
    error: no instance of nvidia-66 (P4-8Q) is free on 0000:81:00.0, 0000:82:00.0
    hint: 0000:81:00.0 holds 1 x P4-8Q (8 GiB each), as many as fit
    hint: 0000:82:00.0 holds 1 x P4-2Q (2 GiB each); a GPU serves one framebuffer size at a time, and this type needs 8 GiB: remove those first (vgpuctl list --active --parent 0000:82:00.0)
    ");
}

#[test]
fn more_than_all_gpus_can_take_is_refused_before_anything_is_made() {
    let host = SimHost::start("two-p4");
    host.run(&format!("create -t P4-1Q -p {P1}")).expect(0);
    let run = host.run("create -t P4-1Q --count 16");
    assert_snapshot!(run.snapshot(&host), @"
    status: 4
    --- stdout
    --- stderr
    error: not enough capacity: requested 16 x nvidia-63 (P4-1Q) on 0000:81:00.0, 0000:82:00.0
    hint: 0000:81:00.0 has room for 7
    hint: 0000:82:00.0 has room for 8
    ");
    assert_eq!(counter(&host, "create_writes"), 1);
    host.run("create -t P4-1Q --count 15").expect(0);
    assert_eq!(host.active().len(), 16);
    host.run("create -t P4-1Q").expect(4);
}

#[test]
fn a_vendor_without_sizes_is_told_by_its_types() {
    let host = SimHost::start("gvt-g");
    host.run("create -t i915-GVTg_V5_8").expect(0);
    let run = host.run("create -t i915-GVTg_V5_4");
    assert_snapshot!(run.snapshot(&host), @"
    status: 4
    --- stdout
    --- stderr
    error: no instance of i915-GVTg_V5_4 is free on 0000:00:02.0
    hint: 0000:00:02.0 holds 1 x i915-GVTg_V5_8
    ");
}

#[test]
fn start_and_restore_say_what_is_in_the_way_too() {
    let host = SimHost::start("p40");
    put_auto(&host, P1, &uuid(1), "nvidia-46");
    host.run(&format!("create -t P40-2Q -u {} --manual", uuid(2)))
        .expect(0);
    let wanted = "0000:81:00.0 holds 1 x P40-2Q (2 GiB each); a GPU serves one framebuffer size at a \
                  time, and this type needs 1 GiB";
    for line in [
        format!("start {}", uuid(1)),
        format!("start --dry-run {}", uuid(1)),
    ] {
        let run = host.run(&line).expect(4);
        assert!(run.stderr.contains(&format!("hint: {wanted}")), "{run:?}");
    }
    for line in ["restore", "restore --dry-run --now"] {
        let run = host.run(line).expect(7);
        assert!(
            run.stdout.contains(&format!("is free: {wanted}")),
            "{run:?}"
        );
        assert!(
            run.stderr.contains("hint: remove what is in the way"),
            "{run:?}"
        );
    }
    assert_eq!(host.active(), [uuid(2)]);
}

#[test]
fn a_dry_run_counts_what_a_gpu_holds_and_not_its_functions() {
    let host = SimHost::start("a40-vf-mdev");
    host.run("vfs enable 0000:41:00.0").expect(0);
    // 48 GB hold two of 24 GB, on whichever of the 32 functions.
    host.run("create --type A40-24Q --count 2 --dry-run")
        .expect(0);
    let refused = host
        .run("create --type A40-24Q --count 3 --dry-run")
        .expect(4);
    assert!(
        refused.stderr.contains("0000:41:00.0 has room for 2\n"),
        "{}",
        refused.stderr
    );
    assert_eq!(host.active(), Vec::<String>::new());
}

/// The driver of functions that take types does not say how often a type fits.
#[test]
fn more_than_a_card_can_ever_hold_is_refused_beforehand() {
    let host = SimHost::start("l40s");
    let refused = |line: &str, most: u32, why: &str| {
        for dry in [" --dry-run", ""] {
            let run = host.run(&format!("create {line}{dry}")).expect(4);
            let hint = format!("hint: 0000:41:00.0 has room for at most {most}: it has {why}\n");
            assert!(run.stderr.ends_with(&hint), "{run:#?}");
        }
    };
    refused(
        "-t L40S-24Q -n 3",
        2,
        "48 GiB of memory, and each needs 24 GiB",
    );
    refused("-t L40S-1Q -n 33", 32, "32 virtual functions");
    assert_eq!(host.status()["create_writes"], 0);
    host.run("create -t L40S-8Q -n 2").expect(0);
    refused(
        "-t L40S-8Q -n 5",
        4,
        "48 GiB of memory, 16 GiB of it in use, and each needs 8 GiB",
    );
    let planned = host.run("create -t L40S-8Q -n 4 --dry-run").expect(0);
    assert_eq!(planned.stdout.lines().count(), 4);
    host.run("create -t L40S-8Q -n 4").expect(0);
}

#[test]
fn a_dry_run_goes_on_to_the_next_card_where_one_would_be_full() {
    let host = SimHost::with_l40s(2, 8);
    let line = "create -t L40S-24Q -n 3";
    let planned = host.run(&format!("{line} --dry-run")).expect(0).stdout;
    assert_eq!(planned.matches("on 0000:41:00.0").count(), 2, "{planned}");
    assert_eq!(planned.matches("on 0000:42:00.0").count(), 1, "{planned}");
    let made = host.run(line).expect(0).stderr;
    assert_eq!(made.matches("on 0000:41:00.0").count(), 2, "{made}");
    host.run("create -t L40S-24Q -n 2 --dry-run").expect(4);
    host.run("create -t L40S-24Q -n 1 --dry-run").expect(0);
}
