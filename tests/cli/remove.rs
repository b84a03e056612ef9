//! `remove`.

use insta::assert_snapshot;

use crate::harness::SimHost;
use crate::helpers::{P1, P2, counter, definition, put_auto, uuid};

fn host_with(n: u8) -> SimHost {
    let host = SimHost::start("two-p4");
    for n in 1..=n {
        host.run(&format!("create -t P4-1Q -u {}", uuid(n)))
            .expect(0);
    }
    host
}

#[test]
fn device_and_definition_go() {
    let host = host_with(2);
    let run = host.run(&format!("remove {}", uuid(1)));
    assert_snapshot!(run.snapshot(&host), @"
    status: 0
    --- stdout
    --- stderr
    removed a0000001-0000-4000-8000-000000000000: nvidia-63 (P4-1Q) on 0000:81:00.0
    ");
    assert_eq!(host.active(), [uuid(2)]);
    assert_eq!(host.defined(), [uuid(2)]);
    host.run(&format!("remove {}", uuid(2))).expect(0);
    assert!(
        !host.path("etc/mdevctl.d").join(P1).exists(),
        "no empty folder stays"
    );
}

#[test]
fn a_device_without_definition_and_a_definition_without_device_go_as_well() {
    let host = SimHost::start("two-p4");
    host.run(&format!("create -t P4-1Q -u {} --transient", uuid(1)))
        .expect(0);
    put_auto(&host, P2, &uuid(2), "nvidia-64");
    host.run(&format!("remove {}", uuid(1))).expect(0);
    let run = host.run(&format!("remove {}", uuid(2)));
    assert_snapshot!(run.snapshot(&host), @"
    status: 0
    --- stdout
    --- stderr
    removed a0000002-0000-4000-8000-000000000000: nvidia-64 (P4-2Q) on 0000:82:00.0
    ");
    assert_eq!(host.active(), [""; 0]);
    assert_eq!(host.defined(), [""; 0]);
}

#[test]
fn what_is_neither_is_not_found() {
    let host = host_with(1);
    let run = host.run(&format!("remove {}", uuid(9)));
    assert_snapshot!(run.snapshot(&host), @"
    status: 3
    --- stdout
    --- stderr
    error: a0000009-0000-4000-8000-000000000000 is neither active nor defined
    hint: see: vgpuctl list
    ");
    host.run("remove").expect(2);
    host.run("remove nonsense").expect(2);
    assert_eq!(host.active(), [uuid(1)]);
}

#[test]
fn one_that_fails_does_not_stop_the_others() {
    let host = host_with(3);
    let line = format!("remove {} {} {}", uuid(1), uuid(9), uuid(3));
    let run = host.run(&line);
    assert_snapshot!(run.snapshot(&host), @"
    status: 7
    --- stdout
    --- stderr
    removed a0000001-0000-4000-8000-000000000000: nvidia-63 (P4-1Q) on 0000:81:00.0
    error: a0000009-0000-4000-8000-000000000000 is neither active nor defined
    hint: see: vgpuctl list
    removed a0000003-0000-4000-8000-000000000000: nvidia-63 (P4-1Q) on 0000:81:00.0
    ");
    assert_eq!(host.active(), [uuid(2)]);
    assert_eq!(host.defined(), [uuid(2)]);
}

#[test]
fn the_definition_can_be_kept() {
    let host = host_with(1);
    let run = host.run(&format!("remove --keep-definition {}", uuid(1)));
    assert_snapshot!(run.snapshot(&host), @"
    status: 0
    --- stdout
    --- stderr
    stopped a0000001-0000-4000-8000-000000000000: nvidia-63 (P4-1Q) on 0000:81:00.0
    ");
    assert_eq!(host.active(), [""; 0]);
    assert_eq!(host.defined(), [uuid(1)]);
}

#[test]
fn a_dry_run_removes_nothing() {
    let host = host_with(1);
    let run = host.run(&format!("remove --dry-run {}", uuid(1)));
    assert_snapshot!(run.snapshot(&host), @"
    status: 0
    --- stdout
    would remove a0000001-0000-4000-8000-000000000000: nvidia-63 (P4-1Q) on 0000:81:00.0
    --- stderr
    ");
    let run = host.run(&format!("remove --dry-run --keep-definition {}", uuid(1)));
    assert!(run.stdout.starts_with("would stop "), "{run:?}");
    host.run(&format!("remove --dry-run {}", uuid(9))).expect(3);
    assert_eq!(counter(&host, "remove_writes"), 0);
    assert_eq!(host.active(), [uuid(1)]);
    assert_eq!(host.defined(), [uuid(1)]);
}

#[test]
fn a_device_that_stays_although_the_kernel_said_yes_keeps_its_definition() {
    let host = host_with(1);
    host.ctl(&["stick-remove"]);
    let run = host.run(&format!("remove {}", uuid(1)));
    assert_snapshot!(run.snapshot(&host), @"
    status: 5
    --- stdout
    --- stderr
    error: cannot remove a0000001-0000-4000-8000-000000000000: the kernel accepted the request, but the device is still there: [ROOT]/sys/bus/mdev/devices/a0000001-0000-4000-8000-000000000000
    hint: NVIDIA's driver does this while a VM uses the vGPU: shut down the VM, then try again
    ");
    assert_eq!(host.active(), [uuid(1)]);
    assert_eq!(host.defined(), [uuid(1)]);
    host.run(&format!("remove {}", uuid(1))).expect(0);
}

#[test]
fn ebusy_and_eperm_of_the_driver_mean_in_use() {
    let host = host_with(1);
    for errno in ["EBUSY", "EPERM"] {
        host.ctl(&["fail-remove", "1", errno]);
        let run = host.run(&format!("remove {}", uuid(1))).expect(5);
        assert!(run.stderr.contains(errno), "{run:?}");
        assert!(run.stderr.contains("hint: a VM uses it"), "{run:?}");
        assert_eq!(host.active(), host.defined());
    }
    host.ctl(&["fail-remove", "1", "EIO"]);
    host.run(&format!("remove {}", uuid(1))).expect(1);
    assert_eq!(host.active(), [uuid(1)]);
    assert_eq!(host.defined(), [uuid(1)]);
}

#[test]
fn a_definition_that_cannot_be_read_goes_with_its_device() {
    let host = host_with(1);
    std::fs::write(definition(&host, P1, &uuid(1)), "not JSON").unwrap();
    host.run(&format!("remove {}", uuid(1))).expect(0);
    assert_eq!(host.active(), [""; 0]);
    assert!(!definition(&host, P1, &uuid(1)).exists());
}

#[test]
fn with_two_definitions_of_one_uuid_nothing_goes_until_a_parent_is_named() {
    let host = host_with(1);
    put_auto(&host, P2, &uuid(1), "nvidia-64");
    let run = host.run(&format!("remove {}", uuid(1)));
    assert_snapshot!(run.snapshot(&host), @"
    status: 2
    --- stdout
    --- stderr
    error: a0000001-0000-4000-8000-000000000000 is defined under several parents
    hint: add --parent with one of: 0000:81:00.0, 0000:82:00.0
    ");
    assert_eq!(host.active(), [uuid(1)]);
    host.run(&format!("remove {} --parent {P2}", uuid(1)))
        .expect(0);
    assert_eq!(host.active(), [uuid(1)]);
    assert_eq!(host.defined(), [uuid(1)]);
    host.run(&format!("remove {} --parent {P2}", uuid(1)))
        .expect(3);
    host.run(&format!("remove {} --parent {P1}", uuid(1)))
        .expect(0);
    assert_eq!(host.active(), [""; 0]);
    assert_eq!(host.defined(), [""; 0]);
}

#[test]
fn a_definition_of_the_same_uuid_on_another_parent_stays() {
    let host = SimHost::start("two-p4");
    host.run(&format!(
        "create -t P4-1Q -p {P1} -u {} --transient",
        uuid(1)
    ))
    .expect(0);
    let other = put_auto(&host, P2, &uuid(1), "nvidia-63");
    host.run(&format!("remove {}", uuid(1))).expect(0);
    assert_eq!(host.active(), [""; 0]);
    assert!(other.exists());
}

#[test]
fn a_program_can_tell_which_of_several_failed() {
    let host = SimHost::start("two-p4");
    let run = host.run(&format!("remove {} --json", uuid(1))).expect(3);
    assert_eq!(run.json()["changes"][0]["uuid"], uuid(1));
}
