//! Virtual functions that boot switches on while drivers and NVML clients are in the way.

use std::fs;

use crate::harness::{Run, SimHost};
use crate::helpers::{Beside, counter, uuid};

const GPU: &str = "0000:41:00.0";

/// A host just booted, whose functions are off and to be switched on, for one vGPU.
fn just_booted(name: &str, type_name: &str) -> SimHost {
    let host = SimHost::start(name);
    host.run(&format!("vfs enable {GPU} --at-boot")).expect(0);
    host.run(&format!("create --type {type_name} --uuid {}", uuid(1)))
        .expect(0);
    host.ctl(&["reboot"]);
    host.ctl(&["sriov-manage", "-d", GPU]);
    host
}

fn a40() -> SimHost {
    just_booted("a40-vf-mdev", "A40-8Q")
}

/// The lines of attempts, one each.
fn attempts(run: &Run) -> Vec<&str> {
    let lines = run.stderr.lines();
    lines.filter(|line| line.contains(": attempt ")).collect()
}

fn driver(host: &SimHost) -> Option<String> {
    let link = fs::read_link(host.path(&format!("sys/bus/pci/devices/{GPU}/driver"))).ok()?;
    Some(link.file_name().unwrap().to_str().unwrap().to_owned())
}

/// Seconds until the next try, as told.
fn wait_after(line: &str) -> u32 {
    let told = line
        .rsplit_once("next try in ")
        .unwrap_or_else(|| panic!("{line}"))
        .1;
    told.strip_suffix(" s").unwrap().parse().unwrap()
}

#[test]
fn a_lock_that_is_held_is_waited_for_until_the_wait_is_over() {
    let host = a40();
    let before = counter(&host, "sriov_calls");
    host.ctl(&["sriov-manage-is", "unbindLock"]);
    let mut restore = Beside::start(&host, "restore --wait 600");
    restore.until("attempt 4 to switch");
    host.ctl(&["sriov-manage-is", "works"]);
    let (status, stdout) = restore.end();
    assert_eq!(status, 0, "{stdout}");
    assert!(
        stdout.contains(&format!("enabled  virtual functions on {GPU}")),
        "{stdout}"
    );
    assert_eq!(host.active(), [uuid(1)]);
    assert_eq!(counter(&host, "sriov_calls"), before + 5);
}

#[test]
fn a_lost_race_gives_the_gpu_back_to_its_driver_and_is_run_again() {
    for (name, type_name) in [("a40-vf-mdev", "A40-8Q"), ("l40s", "nvidia-1153")] {
        let host = just_booted(name, type_name);
        host.ctl(&["sriov-manage-is", "race", "3"]);
        let run = host.run("restore --wait 600").expect(0);
        assert!(
            run.stdout.contains(&format!("started  {}", uuid(1))),
            "{run:?}"
        );
        assert_eq!(driver(&host).as_deref(), Some("nvidia"));
        assert_eq!(counter(&host, "binds"), 3);
        let lines = attempts(&run);
        assert_eq!(lines.len(), 3, "one line each: {}", run.stderr);
        for line in &lines {
            assert!(
                line.contains(GPU) && line.contains("/usr/lib/nvidia/sriov-manage"),
                "{line}"
            );
            assert!(line.contains("the GPU was bound to nvidia again"), "{line}");
        }
        assert!(lines[0].contains("File exists") && lines[1].contains("No such device"));
        let waits: Vec<u32> = lines.iter().map(|line| wait_after(line)).collect();
        assert_eq!(waits, [1, 2, 4], "they grow");
    }
}

#[test]
fn a_driver_that_cannot_have_the_gpu_yet_gets_it_with_the_next_try() {
    let host = a40();
    host.ctl(&["sriov-manage-is", "race", "1"]);
    host.ctl(&["fail-bind", "1", "ENODEV"]);
    let run = host.run("restore --wait 600").expect(0);
    let lines = attempts(&run);
    assert!(
        lines[0].contains("cannot bind") && lines[0].contains("ENODEV"),
        "{}",
        run.stderr
    );
    assert_eq!(host.active(), [uuid(1)]);
}

#[test]
fn functions_that_do_not_appear_are_asked_for_again() {
    let host = a40();
    host.ctl(&["sriov-manage-is", "no-vfs"]);
    let mut restore = Beside::start(&host, "restore --wait 600");
    restore.until("it reported success; next try in");
    host.ctl(&["sriov-manage-is", "works"]);
    assert_eq!(restore.end().0, 0);
    assert_eq!(host.active(), [uuid(1)]);
}

#[test]
fn what_never_works_ends_with_the_wait_and_says_what_was_answered() {
    let host = a40();
    host.ctl(&["sriov-manage-is", "race"]);
    let run = host.run("restore --wait 1").expect(7);
    let lines = attempts(&run);
    assert!(
        lines.last().unwrap().ends_with("giving up"),
        "{}",
        run.stderr
    );
    assert!(
        run.stdout.contains("still has no virtual functions after"),
        "{}",
        run.stdout
    );
    assert_eq!(
        driver(&host).as_deref(),
        Some("nvidia"),
        "not left without one"
    );
}

#[test]
fn a_gpu_that_was_unbound_before_is_left_alone() {
    let host = a40();
    let calls = counter(&host, "sriov_calls");
    let unbind = host.path("sys/bus/pci/drivers/nvidia/unbind");
    fs::write(unbind, format!("{GPU}\n")).unwrap();
    let run = host.run("restore --wait 1").expect(7);
    assert!(run.stderr.contains("it is not changed"), "{run:?}");
    assert!(run.stderr.contains(&format!("echo {GPU} > ")), "{run:?}");
    assert_eq!(driver(&host), None);
    assert_eq!(
        (counter(&host, "binds"), counter(&host, "sriov_calls")),
        (0, calls)
    );
    // Its driver comes late.
    let mut restore = Beside::start(&host, "restore --wait 600");
    restore.until("attempt 1 to switch");
    host.ctl(&["attach", GPU]);
    assert_eq!(restore.end().0, 0);
    assert_eq!(host.active(), [uuid(1)]);
}

#[test]
fn a_gpu_that_another_driver_has_is_never_touched() {
    let host = a40();
    let calls = counter(&host, "sriov_calls");
    host.ctl(&["take", GPU, "vfio-pci"]);
    let run = host.run("restore").expect(7);
    assert!(run.stdout.contains("is bound to vfio-pci"), "{run:?}");
    for line in [
        format!("vfs enable {GPU}"),
        format!("vfs enable {GPU} --at-boot"),
    ] {
        let run = host.run(&line).expect(5);
        assert!(run.stderr.contains("vfio-pci"), "{run:?}");
    }
    assert_eq!(driver(&host).as_deref(), Some("vfio-pci"));
    assert_eq!(
        (counter(&host, "binds"), counter(&host, "sriov_calls")),
        (0, calls)
    );

    // Nor one that it got between two tries.
    host.ctl(&["attach", GPU]);
    host.ctl(&["sriov-manage-is", "race"]);
    host.ctl(&["fail-bind", "1", "ENODEV"]);
    let mut enable = Beside::start(&host, &format!("vfs enable {GPU} --wait 600"));
    enable.until("attempt 1 to switch");
    host.ctl(&["take", GPU, "vfio-pci"]);
    assert_eq!(enable.end().0, 5);
    assert_eq!(driver(&host).as_deref(), Some("vfio-pci"));
    assert_eq!(counter(&host, "binds"), 1);
}
