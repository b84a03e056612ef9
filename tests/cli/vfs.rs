//! `vfs`: virtual functions shown and switched, by hand and at boot.

use std::fs;

use crate::harness::{Run, SimHost};
use crate::helpers::{Beside, uuid};

const GPU: &str = "0000:41:00.0";

fn count(host: &SimHost) -> u64 {
    let answer = host.run(&format!("vfs {GPU} --json")).expect(0).json();
    answer["gpus"][0]["enabled"].as_u64().unwrap()
}

fn off(host: &SimHost) {
    host.ctl(&["sriov-manage", "-d", GPU]);
}

fn said(run: &Run, word: &str) {
    assert!(run.stderr.contains(word), "{word}: {}", run.stderr);
}

#[test]
fn they_are_shown_with_what_they_hold() {
    let host = SimHost::start("l40s");
    host.run(&format!("create --type nvidia-1153 --uuid {}", uuid(1)))
        .expect(0);
    let shown = host.run("vfs").expect(0).stdout;
    assert_eq!(shown.lines().count(), 33, "{shown}");
    assert!(shown.contains(&uuid(1)) && shown.contains("nvidia-1153") && shown.contains("free"));
    host.run("vfs 0000:99:00.0").expect(3);
}

#[test]
fn nvidias_program_switches_them_and_the_functions_count_not_its_exit_status() {
    let host = SimHost::start("l40s");
    off(&host);
    said(
        &host.run(&format!("vfs enable {GPU} --dry-run")).expect(0),
        "would switch 32",
    );
    said(
        &host.run(&format!("vfs enable {GPU}")).expect(0),
        "switched 32",
    );
    said(
        &host.run(&format!("vfs enable {GPU}")).expect(0),
        "already on",
    );
    said(
        &host.run(&format!("vfs disable {GPU}")).expect(0),
        "switched 32",
    );
    assert_eq!(count(&host), 0);

    host.ctl(&["sriov-manage-is", "no-vfs"]);
    let failed = host.run(&format!("vfs enable {GPU}")).expect(1);
    said(&failed, "still has no virtual functions after 3 attempts");
    said(&failed, "reported success");
    assert_eq!(count(&host), 0);
}

#[test]
fn a_lock_that_cannot_be_had_is_tried_again_and_then_explained() {
    let host = SimHost::start("l40s");
    off(&host);
    host.ctl(&["sriov-manage-is", "unbindLock"]);
    let mut enable = Beside::start(&host, &format!("vfs enable {GPU}"));
    enable.until("attempt 1 to switch");
    host.ctl(&["sriov-manage-is", "works"]);
    assert_eq!(enable.end().0, 0);
    assert_eq!(count(&host), 32);
    host.run(&format!("vfs disable {GPU}")).expect(0);
    host.ctl(&["sriov-manage-is", "unbindLock"]);
    let failed = host.run(&format!("vfs enable {GPU} --wait 2")).expect(1);
    said(&failed, "unbindLock");
    said(&failed, "nvidia-persistenced");
}

#[test]
fn without_nvidias_program_the_kernel_is_asked() {
    let host = SimHost::start("l40s");
    off(&host);
    fs::remove_file(host.path("usr/lib/nvidia/sriov-manage")).unwrap();
    // NVIDIA's driver takes no raw write.
    let refused = host.run(&format!("vfs enable {GPU}"));
    assert_ne!(refused.status, 0);
    said(&refused, "sriov_numvfs");
    assert_eq!(count(&host), 0);
}

#[test]
fn nothing_that_runs_is_destroyed() {
    let host = SimHost::start("l40s");
    host.run(&format!("create --type nvidia-1153 --uuid {}", uuid(1)))
        .expect(0);
    let refused = host.run(&format!("vfs disable {GPU}")).expect(5);
    said(&refused, "1 vGPU");
    said(&refused, &format!("vgpuctl stop {}", uuid(1)));
    assert_eq!(count(&host), 32);
}

#[test]
fn boot_switches_them_on_only_where_that_was_asked_for() {
    let host = SimHost::start("l40s");
    host.run(&format!("create --type nvidia-1153 --uuid {}", uuid(1)))
        .expect(0);
    host.ctl(&["reboot"]);
    off(&host);
    let failed = host.run("restore").expect(7);
    let told = format!("{}{}", failed.stdout, failed.stderr);
    assert!(
        told.contains(&format!("vgpuctl vfs enable {GPU}")),
        "{told}"
    );

    host.run(&format!("vfs enable {GPU} --at-boot")).expect(0);
    host.ctl(&["reboot"]);
    off(&host);
    let planned = host.run("restore --dry-run");
    assert!(
        planned.stdout.contains("would enable"),
        "{}",
        planned.stdout
    );
    let restored = host.run("restore").expect(0);
    assert!(restored.stdout.contains("enabled"), "{}", restored.stdout);
    assert!(
        host.run("list --active")
            .expect(0)
            .stdout
            .contains(&uuid(1))
    );

    // A bad file is told, and the GPU is left alone.
    let settings = host.path(&format!("etc/vgpuctl.d/{GPU}/gpu.conf"));
    fs::write(&settings, "vfs = yes please\n").unwrap();
    let told = host.run("restore").expect(7);
    said(&told, "gpu.conf");
    said(&told, "line 1");
}

const NETWORK_CARD: &str = "0000:05:00.0";

/// How many functions the network card has, as the simulated kernel says.
fn network_functions(host: &SimHost) -> String {
    let number = host.path(&format!("sys/bus/pci/devices/{NETWORK_CARD}/sriov_numvfs"));
    fs::read_to_string(number).unwrap().trim().to_owned()
}

#[test]
fn a_network_card_is_left_alone() {
    let host = SimHost::start("network-card");
    for line in ["vfs disable", "vfs enable", "vfs enable --at-boot"] {
        for end in ["", " --dry-run"] {
            // One of its functions is not a way round.
            for which in [NETWORK_CARD, "0000:05:00.4"] {
                let refused = host.run(&format!("{line} {which}{end}")).expect(2);
                said(
                    &refused,
                    "0000:05:00.0 is not a GPU (PCI class 0x020000, driver ixgbe)",
                );
            }
        }
    }
    host.run(&format!("vfs {NETWORK_CARD}")).expect(2);
    assert_eq!(network_functions(&host), "8");
    assert!(!host.path(&format!("etc/vgpuctl.d/{NETWORK_CARD}")).exists());
    // The GPU beside it is switched as ever.
    said(
        &host.run(&format!("vfs enable {GPU}")).expect(0),
        "switched 32",
    );
    assert_eq!(network_functions(&host), "8");
}

#[test]
fn boot_switches_no_network_card_whatever_its_settings_say() {
    let host = SimHost::start("network-card");
    let card = host.path(&format!("sys/bus/pci/devices/{NETWORK_CARD}/sriov_numvfs"));
    fs::write(&card, "0").unwrap();
    let settings = host.path(&format!("etc/vgpuctl.d/{NETWORK_CARD}/gpu.conf"));
    fs::create_dir_all(settings.parent().unwrap()).unwrap();
    fs::write(&settings, "vfs = enable\n").unwrap();
    // It is told at once, and not waited for.
    for line in ["restore --dry-run", "restore --wait 3000", "restore"] {
        let run = host.run(line);
        assert_ne!(run.status, 0, "{line}");
        let why = "0000:05:00.0 is not a GPU (PCI class 0x020000, driver ixgbe)";
        assert!(run.stdout.contains(why), "{line}: {run:?}");
    }
    assert_eq!(network_functions(&host), "0");
}

#[test]
fn a_function_is_not_taken_for_its_gpu() {
    let host = SimHost::start("l40s");
    for word in ["disable", "enable"] {
        for end in ["", " --dry-run"] {
            let run = host.run(&format!("vfs {word} 0000:41:00.4{end}")).expect(2);
            said(&run, "0000:41:00.4 is a virtual function of 0000:41:00.0");
            said(&run, &format!("vgpuctl vfs {word} {GPU}"));
        }
    }
    assert_eq!(count(&host), 32);
}
