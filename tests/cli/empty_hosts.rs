//! Hosts without any parent: nothing to tell is no failure, and the reason is told.

use insta::assert_snapshot;

use crate::harness::SimHost;
use crate::helpers::{put_auto, uuid};

#[test]
fn without_the_kernels_module_the_reason_is_told() {
    let host = SimHost::start("no-mdev");
    assert_snapshot!(host.run("types").snapshot(&host), @"
    status: 0
    --- stdout
    --- stderr
    note: [ROOT]/sys/class/mdev_bus does not exist: no driver that offers mediated devices is loaded (for NVIDIA, the vGPU host driver; for Intel GVT-g, kvmgt); to diagnose this: vgpuctl doctor
    ");
    assert_snapshot!(host.run("gpus").snapshot(&host), @"
    status: 0
    --- stdout
    --- stderr
    note: [ROOT]/sys/class/mdev_bus does not exist: no driver that offers mediated devices is loaded (for NVIDIA, the vGPU host driver; for Intel GVT-g, kvmgt); to diagnose this: vgpuctl doctor
    ");
    assert_snapshot!(host.run("list").snapshot(&host), @"
    status: 0
    --- stdout
    --- stderr
    note: no active or defined devices; create one with: vgpuctl create --type TYPE
    ");
    let run = host.run("restore").expect(0);
    assert_eq!(run.stdout, "");
}

#[test]
fn without_a_driver_the_reason_is_told() {
    let host = SimHost::start("empty");
    assert_snapshot!(host.run("types").snapshot(&host), @"
    status: 0
    --- stdout
    --- stderr
    note: [ROOT]/sys/class/mdev_bus is empty: the kernel supports mediated devices, but no driver offers any (is the vendor's vGPU host driver loaded, and for NVIDIA, has nvidia-vgpud run?); to diagnose this: vgpuctl doctor
    ");
    for verb in [
        "types --available",
        "gpus",
        "list",
        "list --active",
        "list --defined",
    ] {
        let run = host.run(verb).expect(0);
        assert_eq!(run.stdout, "", "{verb}");
        assert!(run.stderr.starts_with("note: "), "{verb}: {run:?}");
    }
    let run = host.run("restore").expect(0);
    assert_eq!(run.stdout, "");
}

#[test]
fn what_needs_a_parent_is_not_found_with_the_reason() {
    let host = SimHost::start("empty");
    for line in [
        "create -t nvidia-63",
        "create -t nvidia-63 -p 0000:81:00.0",
        "types -p matrix",
    ] {
        let run = host.run(line).expect(3);
        assert!(
            run.stderr.contains("sys/class/mdev_bus is empty"),
            "{run:?}"
        );
    }
    host.run(&format!("show {}", uuid(1))).expect(3);
    host.run(&format!("remove {}", uuid(1))).expect(3);
}

#[test]
fn definitions_are_still_listed_and_a_restore_of_them_fails() {
    for (name, why) in [("empty", "is empty"), ("no-mdev", "does not exist")] {
        let host = SimHost::start(name);
        put_auto(&host, "0000:81:00.0", &uuid(1), "nvidia-63");
        let run = host.run("list").expect(0);
        assert!(run.stdout.contains(&uuid(1)), "{run:?}");
        let run = host.run("restore").expect(7);
        assert!(run.stdout.contains("parent 0000:81:00.0 not found"));
        let why = format!("sys/class/mdev_bus {why}");
        assert!(run.stderr.contains(&why), "{run:?}");
        host.run(&format!("undefine {}", uuid(1))).expect(0);
    }
}

#[test]
fn json_has_empty_lists_and_the_reason_as_a_note() {
    let host = SimHost::start("no-mdev");
    for (verb, key) in [("types", "parents"), ("gpus", "gpus"), ("list", "devices")] {
        let run = host.run(&format!("{verb} --json")).expect(0);
        assert_eq!(run.stderr, "");
        let answer = run.json();
        assert_eq!(answer[key], serde_json::json!([]));
        assert_eq!(answer["notes"].as_array().unwrap().len(), 1, "{answer}");
    }
}
