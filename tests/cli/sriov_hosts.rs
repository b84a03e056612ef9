//! GPUs with virtual functions, as the simulated hosts show them through their mounts.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use nix::errno::Errno;

use crate::harness::{HeldOpen, SimHost};

const PF: &str = "0000:41:00.0";
const VF0: &str = "0000:41:00.4";
const VF1: &str = "0000:41:00.5";

fn sriov_manage(host: &SimHost, switch: &str, which: &str) -> Output {
    Command::new(host.path("usr/lib/nvidia/sriov-manage"))
        .args([switch, which])
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

/// One write, as `echo` makes it; `None` when it worked.
fn write(path: &Path, value: &str) -> Option<Errno> {
    let mut file = fs::OpenOptions::new().write(true).open(path).unwrap();
    let error = file.write_all(format!("{value}\n").as_bytes()).err()?;
    error.raw_os_error().map(Errno::from_raw)
}

#[test]
fn vfs_that_are_parents_come_from_sriov_manage_and_take_one_vgpu_each() {
    let host = SimHost::start("a40-vf-mdev");
    host.run("create -t A40-24Q").expect(3);
    let numvfs = host.path(&format!("sys/bus/pci/devices/{PF}/sriov_numvfs"));
    assert_eq!(write(&numvfs, "32"), Some(Errno::ENOENT));
    host.ctl(&["sriov-manage-is", "unbindLock"]);
    let refused = sriov_manage(&host, "-e", PF);
    assert!(!refused.status.success());
    let said = String::from_utf8(refused.stderr).unwrap();
    assert!(
        said.contains(&format!("Cannot obtain unbindLock for {PF}")),
        "{said}"
    );
    host.ctl(&["sriov-manage-is", "no-vfs"]);
    assert!(sriov_manage(&host, "-e", "ALL").status.success());
    assert_eq!(fs::read_to_string(&numvfs).unwrap(), "0\n");
    host.ctl(&["sriov-manage-is", "works"]);
    assert!(sriov_manage(&host, "-e", "ALL").status.success());
    assert_eq!(fs::read_to_string(&numvfs).unwrap(), "32\n");

    host.run("create -t A40-24Q").expect(0);
    host.run("create -t A40-24A").expect(0);
    host.run("create -t A40-24Q").expect(4);
    let parents: Vec<String> = host.status()["devices"]
        .as_array()
        .unwrap()
        .iter()
        .map(|device| device["parent"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(parents.len(), 2);
    assert_ne!(parents[0], parents[1], "each on a VF of its own");
    host.ctl(&["reboot"]);
    assert_eq!(fs::read_to_string(&numvfs).unwrap(), "0\n");
}

#[test]
fn vendor_specific_vfs_keep_their_type_while_they_are_open() {
    let host = SimHost::start("l40s");
    let file = |vf: &str, name: &str| host.path(&format!("sys/bus/pci/devices/{vf}/nvidia/{name}"));
    let read = |vf: &str, name: &str| fs::read_to_string(file(vf, name)).unwrap();
    assert_eq!(write(&file(VF0, "current_vgpu_type"), "1155"), None);
    assert_eq!(
        write(&file(VF0, "current_vgpu_type"), "1155"),
        Some(Errno::EPERM)
    );
    assert_eq!(
        write(&file(VF1, "current_vgpu_type"), "1147"),
        Some(Errno::EIO)
    );
    assert_eq!(
        read(VF1, "creatable_vgpu_types"),
        "ID    : vGPU Name\n1155  : NVIDIA L40S-24Q\n1165  : NVIDIA L40S-24A\n"
    );
    let node = host.path("dev/vfio/devices/vfio1000");
    let held = HeldOpen::open(&node, "");
    let unset = |host: &SimHost| {
        write(
            &host.path(&format!(
                "sys/bus/pci/devices/{VF0}/nvidia/current_vgpu_type"
            )),
            "0",
        )
    };
    assert_eq!(unset(&host), Some(Errno::EPERM));
    assert!(!sriov_manage(&host, "-d", PF).status.success());
    host.ctl(&["plugin-exit", "3600000"]);
    drop(held);
    wait_until_closed(&host);
    assert_eq!(unset(&host), Some(Errno::EBUSY));
    host.ctl(&["plugin-exit", "0"]);
    assert_eq!(unset(&host), None);
    assert_eq!(read(VF0, "current_vgpu_type"), "0\n");
    assert!(sriov_manage(&host, "-d", PF).status.success());
    assert!(!file(VF0, "current_vgpu_type").exists());
    assert!(!node.exists());
}

/// The kernel tells a file system of a closed descriptor after the process is gone.
fn wait_until_closed(host: &SimHost) {
    while !host.status()["open"].as_array().unwrap().is_empty() {
        std::thread::yield_now();
    }
}
