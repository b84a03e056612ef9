//! `start` and `stop`: the device alone.

use insta::assert_snapshot;

use crate::harness::SimHost;
use crate::helpers::{P1, P2, counter, device, put, put_auto, uuid};

#[test]
fn both_say_what_they_did_and_that_nothing_was_to_do() {
    let host = SimHost::start("two-p4");
    put_auto(&host, P1, &uuid(1), "nvidia-63");
    let start = format!("start {}", uuid(1));
    let stop = format!("stop {}", uuid(1));
    assert_snapshot!(host.run(&start).snapshot(&host), @"
    status: 0
    --- stdout
    --- stderr
    started a0000001-0000-4000-8000-000000000000: nvidia-63 (P4-1Q) on 0000:81:00.0
    ");
    assert_snapshot!(host.run(&start).snapshot(&host), @"
    status: 0
    --- stdout
    --- stderr
    a0000001-0000-4000-8000-000000000000 is already active: nvidia-63 (P4-1Q) on 0000:81:00.0
    ");
    assert_snapshot!(host.run(&stop).snapshot(&host), @"
    status: 0
    --- stdout
    --- stderr
    stopped a0000001-0000-4000-8000-000000000000: nvidia-63 (P4-1Q) on 0000:81:00.0
    ");
    assert_snapshot!(host.run(&stop).snapshot(&host), @"
    status: 0
    --- stdout
    --- stderr
    a0000001-0000-4000-8000-000000000000 is already inactive: nvidia-63 (P4-1Q) on 0000:81:00.0
    ");
    assert_eq!(host.defined(), [uuid(1)]);
    assert_eq!(counter(&host, "create_writes"), 1);
    assert_eq!(counter(&host, "remove_writes"), 1);
}

#[test]
fn a_manual_definition_starts_when_asked() {
    let host = SimHost::start("two-p4");
    // No "start" means manual, as for mdevctl.
    put(
        &host,
        P1,
        &uuid(1),
        r#"{"mdev_type":"nvidia-63","start":"manual"}"#,
    );
    assert_eq!(host.run("restore").expect(0).stdout, "");
    host.run(&format!("start {}", uuid(1))).expect(0);
    assert_eq!(host.active(), [uuid(1)]);
}

#[test]
fn attributes_are_written_and_one_that_fails_takes_the_device_back() {
    let host = SimHost::start("two-p4");
    let text = r#"{"mdev_type":"nvidia-63","start":"manual","attrs":[{"nvidia/vgpu_params":"a=1"},{"nvidia/vgpu_params":"b=2"}]}"#;
    put(&host, P1, &uuid(1), text);
    let start = format!("start {}", uuid(1));
    host.run(&start).expect(0);
    assert_eq!(device(&host, &uuid(1), "vgpu_params"), "b=2");
    host.run(&format!("stop {}", uuid(1))).expect(0);

    host.ctl(&["fail-attr", "vgpu_params", "EINVAL"]);
    let run = host.run(&start).expect(1);
    assert!(
        run.stderr.contains("cannot set nvidia/vgpu_params=a=1"),
        "{run:?}"
    );
    assert!(run.stderr.contains("Invalid argument (EINVAL)"), "{run:?}");
    assert_eq!(host.active(), [""; 0]);
    assert_eq!(host.defined(), [uuid(1)], "the definition stays");
}

#[test]
fn a_device_that_runs_as_something_else_is_no_success() {
    let host = SimHost::start("two-p4");
    host.run(&format!("create -t P4-1Q -u {} --transient", uuid(1)))
        .expect(0);
    put_auto(&host, P1, &uuid(1), "nvidia-64");
    let run = host.run(&format!("start {}", uuid(1)));
    assert_snapshot!(run.snapshot(&host), @"
    status: 1
    --- stdout
    --- stderr
    error: a0000001-0000-4000-8000-000000000000 is active as nvidia-63 on 0000:81:00.0, but defined as nvidia-64 on 0000:81:00.0
    hint: stop the running device first: vgpuctl stop a0000001-0000-4000-8000-000000000000
    ");
    host.run("restore").expect(7);
    assert_eq!(device(&host, &uuid(1), "type"), "nvidia-63");
}

#[test]
fn dry_runs_start_and_stop_nothing() {
    let host = SimHost::start("two-p4");
    put_auto(&host, P1, &uuid(1), "nvidia-63");
    let run = host.run(&format!("start --dry-run {}", uuid(1))).expect(0);
    assert!(
        run.stdout
            .starts_with(&format!("would start {}: ", uuid(1)))
    );
    assert_eq!(host.active(), [""; 0]);
    host.run(&format!("start {}", uuid(1))).expect(0);
    let run = host.run(&format!("stop --dry-run {}", uuid(1))).expect(0);
    assert!(run.stdout.starts_with(&format!("would stop {}: ", uuid(1))));
    assert_eq!(host.active(), [uuid(1)]);
    let run = host.run(&format!("start --dry-run {}", uuid(1))).expect(0);
    assert!(run.stderr.contains("is already active"), "{run:?}");
}

#[test]
fn parents_types_and_uuids_that_are_not_there_are_named() {
    let host = SimHost::start("two-p4");
    host.run(&format!("start {}", uuid(9))).expect(3);
    host.run(&format!("stop {}", uuid(9))).expect(3);
    put_auto(&host, P1, &uuid(1), "nvidia-46");
    let run = host.run(&format!("start {}", uuid(1))).expect(3);
    assert!(run.stderr.contains("nvidia-46"), "{run:?}");
    put_auto(&host, "0000:99:00.0", &uuid(2), "nvidia-63");
    let run = host.run(&format!("start {}", uuid(2))).expect(3);
    assert!(
        run.stderr
            .starts_with("error: parent 0000:99:00.0 not found\n")
    );
}

#[test]
fn of_two_definitions_the_one_named_is_started_and_the_active_one_stopped() {
    let host = SimHost::start("two-p4");
    put_auto(&host, P1, &uuid(1), "nvidia-63");
    put_auto(&host, P2, &uuid(1), "nvidia-64");
    host.run(&format!("start {}", uuid(1))).expect(2);
    host.run(&format!("start {} --parent {P2}", uuid(1)))
        .expect(0);
    assert_eq!(device(&host, &uuid(1), "parent"), P2);
    host.run(&format!("start {} --parent {P1}", uuid(1)))
        .expect(1);
    host.run(&format!("stop {}", uuid(1))).expect(0);
    assert_eq!(host.active(), [""; 0]);
}

#[test]
fn one_that_fails_does_not_stop_the_others() {
    let host = SimHost::start("two-p4");
    for n in 1..=3 {
        put_auto(&host, P1, &uuid(n), "nvidia-63");
    }
    host.ctl(&["fail-create", "2", "EIO"]);
    let all = format!("{} {} {}", uuid(1), uuid(2), uuid(3));
    host.run(&format!("start {all}")).expect(7);
    assert_eq!(host.active(), [uuid(1), uuid(3)]);
    host.ctl(&["fail-remove", "1", "EBUSY"]);
    host.run(&format!("stop {all}")).expect(7);
    assert_eq!(host.active(), [uuid(1)]);
}

#[test]
fn a_device_left_without_its_attributes_is_no_success_and_the_next_start_makes_it_anew() {
    let host = SimHost::start("two-p4");
    let text = r#"{"mdev_type":"nvidia-63","start":"auto","attrs":[{"nvidia/vgpu_params":"a=1"}]}"#;
    put(&host, P1, &uuid(1), text);
    host.ctl(&["fail-attr", "vgpu_params", "EINVAL"]);
    host.ctl(&["fail-remove", "1", "EBUSY"]);
    let run = host.run(&format!("start {}", uuid(1))).expect(1);
    assert!(run.stderr.contains("cannot set nvidia/vgpu_params=a=1"));
    assert!(run.stderr.contains("; rollback failed: cannot remove"));
    assert!(
        run.stderr
            .contains("is still there, without its attributes")
    );
    assert_eq!(host.active(), [uuid(1)]);

    host.run("restore").expect(0);
    assert_eq!(device(&host, &uuid(1), "vgpu_params"), "a=1");
}
