//! `create` that fails: nothing is left behind, and what went wrong is told.

use insta::assert_snapshot;

use crate::harness::SimHost;
use crate::helpers::{counter, device, uuid};

const ATTR: &str = "--attr nvidia/vgpu_params=frame_rate_limiter=0";

#[test]
fn the_kernels_refusal_takes_the_definition_back() {
    let host = SimHost::start("two-p4");
    host.ctl(&["fail-create", "1", "EIO"]);
    let run = host.run(&format!("create -t P4-1Q -u {}", uuid(1)));
    assert_snapshot!(run.snapshot(&host), @"
    status: 1
    --- stdout
    --- stderr
    error: cannot create a0000001-0000-4000-8000-000000000000 of type nvidia-63 on 0000:81:00.0: [ROOT]/sys/class/mdev_bus/0000:81:00.0/mdev_supported_types/nvidia-63/create: Input/output error (EIO)
    hint: the driver refused: the GPU may be full, hold vGPUs of another size, or have its virtual functions off
    hint: see the driver's reason: dmesg, journalctl -u nvidia-vgpud -u nvidia-vgpu-mgr
    ");
    assert_eq!(host.active(), [""; 0]);
    assert_eq!(host.defined(), [""; 0]);
    assert!(!host.path("etc/mdevctl.d/0000:81:00.0").exists());
}

#[test]
fn a_driver_whose_daemon_does_not_answer_is_told_apart() {
    let host = SimHost::start("two-p4");
    host.ctl(&["fail-create", "1", "ETIMEDOUT"]);
    let run = host.run("create -t P4-1Q").expect(1);
    assert!(
        run.stderr.contains("Connection timed out (ETIMEDOUT)"),
        "{run:?}"
    );
    assert!(
        run.stderr.contains("systemctl status nvidia-vgpu-mgr"),
        "{run:?}"
    );
    assert_eq!(host.active(), [""; 0]);
    assert_eq!(host.defined(), [""; 0]);
}

#[test]
fn count_is_all_or_nothing() {
    let host = SimHost::start("two-p4");
    host.ctl(&["fail-create", "3", "EIO"]);
    let run = host.run("create -t P4-1Q --count 5").expect(1);
    assert_eq!(run.stdout, "");
    assert!(run.stderr.contains("Input/output error (EIO)"), "{run:?}");
    assert!(
        run.stderr
            .contains("hint: the 2 created before it were rolled back")
    );
    assert_eq!(host.active(), [""; 0]);
    assert_eq!(host.defined(), [""; 0]);
    assert_eq!(counter(&host, "created"), 2);
    assert_eq!(counter(&host, "removed"), 2);
}

#[test]
fn what_cannot_be_taken_back_is_told_after_the_cause() {
    let host = SimHost::start("two-p4");
    host.ctl(&["fail-create", "2", "EIO"]);
    host.ctl(&["fail-remove", "1", "EBUSY"]);
    let run = host.run("create -t P4-1Q --count 2").expect(1);
    let (cause, clean_up) = run.stderr.split_once("; rollback failed: ").unwrap();
    assert!(cause.contains("Input/output error (EIO)"), "{run:?}");
    assert!(
        clean_up.contains("Device or resource busy (EBUSY)"),
        "{run:?}"
    );
    assert_eq!(host.active(), host.defined(), "device and definition agree");
}

#[test]
fn attributes_are_written_after_creation() {
    let host = SimHost::start("two-p4");
    let line = format!("create -t P4-1Q -u {} {ATTR}", uuid(1));
    host.run(&line).expect(0);
    assert_eq!(
        device(&host, &uuid(1), "vgpu_params"),
        "frame_rate_limiter=0"
    );
    host.ctl(&["reboot"]);
    host.run("restore").expect(0);
    assert_eq!(
        device(&host, &uuid(1), "vgpu_params"),
        "frame_rate_limiter=0"
    );
}

#[test]
fn an_attribute_that_fails_takes_device_and_definition_back() {
    let host = SimHost::start("two-p4");
    host.ctl(&["fail-attr", "vgpu_params", "EINVAL"]);
    let run = host.run(&format!("create -t P4-1Q -u {} {ATTR}", uuid(1)));
    assert_snapshot!(run.snapshot(&host), @"
    status: 1
    --- stdout
    --- stderr
    error: cannot set nvidia/vgpu_params=frame_rate_limiter=0 on a0000001-0000-4000-8000-000000000000: [ROOT]/sys/bus/mdev/devices/a0000001-0000-4000-8000-000000000000/nvidia/vgpu_params: Invalid argument (EINVAL)
    ");
    assert_eq!(host.active(), [""; 0]);
    assert_eq!(host.defined(), [""; 0]);
    assert_eq!(counter(&host, "removed"), 1);

    let line = format!("create -t P4-1Q -u {} --attr no/such=1", uuid(1));
    let run = host.run(&line).expect(1);
    assert!(run.stderr.contains("/no/such: No such file"), "{run:?}");
    assert_eq!(host.active(), [""; 0]);
    assert_eq!(host.defined(), [""; 0]);
}

#[test]
fn an_attribute_that_fails_and_a_device_that_stays_are_both_told() {
    let host = SimHost::start("two-p4");
    host.ctl(&["fail-attr", "vgpu_params", "EINVAL"]);
    host.ctl(&["fail-remove", "1", "EBUSY"]);
    let run = host.run(&format!("create -t P4-1Q -u {} {ATTR}", uuid(1)));
    let run = run.expect(1);
    let first = run.stderr.lines().next().unwrap();
    let (cause, clean_up) = first.split_once("; rollback failed: ").unwrap();
    assert!(cause.contains("vgpu_params: Invalid argument (EINVAL)"));
    assert!(clean_up.contains("remove: Device or resource busy (EBUSY)"));
    host.run(&format!("remove {}", uuid(1))).expect(0);
    assert_eq!(host.active(), [""; 0]);
}

#[test]
fn a_retry_after_a_failure_works() {
    let host = SimHost::start("two-p4");
    host.ctl(&["fail-create", "1", "EIO"]);
    let line = format!("create -t P4-1Q -u {}", uuid(1));
    host.run(&line).expect(1);
    host.run(&line).expect(0);
    assert_eq!(host.active(), [uuid(1)]);
}

#[test]
fn a_driver_that_says_it_is_full_means_no_capacity() {
    let host = SimHost::start("two-p4");
    for (errno, taken_by) in [("ENOSPC", "0000:82:00.0"), ("EUSERS", "0000:81:00.0")] {
        host.ctl(&["fail-create", "1", errno]);
        // Both GPUs are tried, the fuller one first; the other one takes it.
        let run = host.run("create -t P4-1Q").expect(0);
        assert!(run.stderr.contains(&format!("on {taken_by}")), "{run:?}");
        host.ctl(&["fail-create", "1", errno]);
        let run = host.run("create -t P4-1Q -p 0000:81:00.0").expect(4);
        assert!(run.stderr.contains(errno), "{run:?}");
    }
    assert_eq!(host.active().len(), 2);
    assert_eq!(host.active(), host.defined());
}

#[test]
fn an_answer_that_cannot_be_printed_is_told_on_the_other_stream() {
    let host = SimHost::start("two-p4");
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full");
    let mut command = host.command(["create", "-t", "P4-1Q", "-u", &uuid(1)]);
    let output = command.stdout(full.unwrap()).output().unwrap();
    let run = crate::harness::finished(output).expect(1);
    assert!(run.stderr.starts_with(&format!("created {}", uuid(1))));
    assert!(run.stderr.contains("cannot write to standard output"));
}
