//! `attach`: what it prints.

use insta::assert_snapshot;

use crate::harness::{HeldOpen, SimHost};
use crate::helpers::{P1, P2, put, put_auto, uuid};

/// The UUID that Proxmox VE gives hostpci1 of VM 100.
const PROXMOXS: &str = "00000001-0000-0000-0000-000000000100";

#[test]
fn libvirts_xml_is_all_there_is_on_standard_output() {
    let host = SimHost::start("two-p4");
    host.run(&format!("create -t P4-1Q -u {}", uuid(1)))
        .expect(0);
    let run = host.run("attach a0000001");
    assert_snapshot!(run.snapshot(&host), @"
    status: 0
    --- stdout
    <hostdev mode='subsystem' type='mdev' managed='no' model='vfio-pci'>
      <source>
        <address uuid='a0000001-0000-4000-8000-000000000000'/>
      </source>
    </hostdev>
    --- stderr
    note: this belongs within <devices> of the domain: virsh edit DOMAIN
    ");
    let same = host.run("attach a0000001 --format libvirt").expect(0);
    assert_eq!(same.stdout, run.stdout);
}

#[test]
fn every_setting_has_its_place_in_libvirts_xml() {
    let host = SimHost::start("two-p4");
    host.run(&format!("create -t P4-1B -u {}", uuid(1)))
        .expect(0);
    let run = host.run(
        "attach a0000001 --ramfb --looking-glass nvfbc --present-as 10de:1bb1:10de:11a3 \
         --licence-server licence.lan",
    );
    assert_snapshot!(run.snapshot(&host), @r#"
    status: 0
    --- stdout
    <!-- within <devices> of the domain: virsh edit DOMAIN -->
    <hostdev mode='subsystem' type='mdev' managed='no' model='vfio-pci' display='on' ramfb='on'>
      <source>
        <address uuid='a0000001-0000-4000-8000-000000000000'/>
      </source>
      <alias name='ua-a0000001-0000-4000-8000-000000000000'/>
    </hostdev>
    <shmem name='looking-glass'>
      <model type='ivshmem-plain'/>
      <size unit='M'>512</size>
    </shmem>

    <!-- just above </domain> (libvirt 8.2 or newer) -->
    <qemu:override xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>
      <qemu:device alias='ua-a0000001-0000-4000-8000-000000000000'>
        <qemu:frontend>
          <qemu:property name='x-pci-vendor-id' type='unsigned' value='4318'/>
          <qemu:property name='x-pci-device-id' type='unsigned' value='7089'/>
          <qemu:property name='x-pci-sub-vendor-id' type='unsigned' value='4318'/>
          <qemu:property name='x-pci-sub-device-id' type='unsigned' value='4515'/>
        </qemu:frontend>
      </qemu:device>
    </qemu:override>

    # in a Linux guest: /etc/nvidia/gridd.conf, then restart nvidia-gridd (the server must have vPC licences)
    ServerAddress=licence.lan
    ServerPort=7070
    FeatureType=1

    ; in a Windows guest: a .reg file to open, then restart the service NVDisplay.ContainerLocalSystem
    Windows Registry Editor Version 5.00

    [HKEY_LOCAL_MACHINE\SOFTWARE\NVIDIA Corporation\Global\GridLicensing]
    "ServerAddress"="licence.lan"
    "ServerPort"="7070"
    "FeatureType"=dword:00000001
    --- stderr
    note: with another identity the guest's NVIDIA driver must be older than 450, and neither CUDA nor OpenCL will work
    note: Looking Glass opens [ROOT]/dev/shm/looking-glass, which is owned by QEMU's user: give your user access to it, and remove it when its size changes
    note: a display needs <graphics> in the domain: VNC, or SPICE with <gl enable='yes'/> if the driver requires OpenGL
    note: a token-based licence server (NVIDIA DLS or CLS, vGPU 13 or newer) needs no address: put the token in /etc/nvidia/ClientConfigToken/, on Windows in C:\Program Files\NVIDIA Corporation\vGPU Licensing\ClientConfigToken
    "#);
}

#[test]
fn qemus_arguments_are_lines_for_a_shell() {
    let host = SimHost::start("two-p4");
    host.run(&format!("create -t P4-1Q -u {}", uuid(1)))
        .expect(0);
    let run = host.run("attach a0000001 -f qemu --display on --looking-glass 1920x1080");
    assert_snapshot!(run.snapshot(&host), @r"
    status: 0
    --- stdout
    -uuid a0000001-0000-4000-8000-000000000000 \
    -device vfio-pci,sysfsdev=[ROOT]/sys/bus/mdev/devices/a0000001-0000-4000-8000-000000000000,display=on \
    -object memory-backend-file,id=looking-glass,share=on,mem-path=[ROOT]/dev/shm/looking-glass,size=32M \
    -device ivshmem-plain,memdev=looking-glass
    --- stderr
    note: this belongs at the end of QEMU's command line
    note: Looking Glass opens [ROOT]/dev/shm/looking-glass, which is owned by QEMU's user: give your user access to it, and remove it when its size changes
    note: -uuid identifies the virtual machine, which NVIDIA's vGPU manager requires; leave it out if the command line already has one
    ");
}

#[test]
fn the_arguments_in_json_are_those_that_a_shell_makes_of_the_lines() {
    let host = SimHost::start("two-p4");
    host.run(&format!("create -t P4-1Q -u {}", uuid(1)))
        .expect(0);
    let line = "attach a0000001 -f qemu --ramfb --present-as 10de:1bb1 --looking-glass nvfbc";
    let run = host.run(line).expect(0);
    let shell = std::process::Command::new("sh")
        .args(["-c", &format!("printf '%s\\n' {}", run.stdout)])
        .output()
        .unwrap();
    let document = host.run(&format!("{line} --json")).expect(0).json();
    let arguments: Vec<&str> = document["attach"]["arguments"]
        .as_array()
        .unwrap()
        .iter()
        .map(|argument| argument.as_str().unwrap())
        .collect();
    assert_eq!(
        String::from_utf8(shell.stdout).unwrap(),
        arguments.join("\n") + "\n"
    );
}

#[test]
fn proxmoxs_line_is_for_the_vm_that_the_uuid_says() {
    let host = SimHost::start("two-p4");
    host.run("create -t P4-1Q --vmid 100:1").expect(0);
    let run = host.run(&format!("attach {PROXMOXS} -f proxmox"));
    assert_snapshot!(run.snapshot(&host), @r#"
    status: 0
    --- stdout
    # in [ROOT]/etc/pve/qemu-server/100.conf
    hostpci1: 0000:81:00.0,mdev=nvidia-63

    # and there, as the only line args:, on an older Proxmox VE, where the vGPU manager logs "Failed to get VM UUID from QEMU command-line"
    args: -uuid 00000000-0000-0000-0000-000000000100
    --- stderr
    note: a VM can have only one args: line: if it already has one, add to it
    "#);
    for same in ["--vmid 100", "--vmid 100 --index 1", "--index 1"] {
        let said = host.run(&format!("attach {PROXMOXS} -f proxmox {same}"));
        assert_eq!(said.snapshot(&host), run.snapshot(&host), "{same}");
    }
}

#[test]
fn a_device_that_proxmox_would_not_use_is_told_with_the_way_out() {
    let host = SimHost::start("two-p4");
    host.run(&format!("create -t P4-1Q -u {}", uuid(1)))
        .expect(0);
    let run = host.run("attach a0000001 -f proxmox --vmid 101 --looking-glass 2560x1440");
    assert_snapshot!(run.snapshot(&host), @r#"
    status: 0
    --- stdout
    # in [ROOT]/etc/pve/qemu-server/101.conf
    hostpci0: 0000:81:00.0,mdev=nvidia-63
    args: -object memory-backend-file,id=looking-glass,share=on,mem-path=[ROOT]/dev/shm/looking-glass,size=64M -device ivshmem-plain,memdev=looking-glass

    # and there, as the only line args:, on an older Proxmox VE, where the vGPU manager logs "Failed to get VM UUID from QEMU command-line"
    args: -uuid 00000000-0000-0000-0000-000000000101 -object memory-backend-file,id=looking-glass,share=on,mem-path=[ROOT]/dev/shm/looking-glass,size=64M -device ivshmem-plain,memdev=looking-glass
    --- stderr
    note: Looking Glass opens [ROOT]/dev/shm/looking-glass, which is owned by QEMU's user: give your user access to it, and remove it when its size changes
    note: a VM can have only one args: line: if it already has one, add to it
    note: Proxmox VE will not use this device: for hostpci0 of VM 101 it creates 00000000-0000-0000-0000-000000000101 itself; to define that one instead: vgpuctl remove a0000001-0000-4000-8000-000000000000, then vgpuctl create --type nvidia-63 --parent 0000:81:00.0 --vmid 101:0
    "#);
    // The way out leads there.
    host.run(&format!("remove {}", uuid(1))).expect(0);
    host.run(&format!(
        "create --type nvidia-63 --parent {P1} --vmid 101:0"
    ))
    .expect(0);
    let made = "00000000-0000-0000-0000-000000000101";
    let run = host
        .run(&format!("attach {made} -f proxmox --vmid 101"))
        .expect(0);
    assert!(!run.stderr.contains("will not use"), "{run:?}");
    let run = host
        .run(&format!("attach {made} -f proxmox --index 1"))
        .expect(0);
    assert!(run.stderr.contains("will not use"), "{run:?}");
    assert!(run.stdout.contains("hostpci1: "), "{run:?}");
}

#[test]
fn without_a_vms_id_proxmoxs_choice_is_not_known() {
    let host = SimHost::start("two-p4");
    host.run(&format!("create -t P4-1Q -u {}", uuid(1)))
        .expect(0);
    let run = host.run("attach a0000001 -f proxmox").expect(0);
    assert!(
        run.stdout.contains("/VMID.conf\nhostpci0: 0000:8"),
        "{run:?}"
    );
    assert!(run.stderr.contains("specify the VM with --vmid"), "{run:?}");
}

#[test]
fn a_definition_is_enough_and_what_it_still_needs_is_said() {
    let host = SimHost::start("two-p4");
    put_auto(&host, P1, &uuid(1), "nvidia-63");
    let run = host.run("attach a0000001").expect(0);
    assert!(run.stdout.contains(&uuid(1)));
    let hint = format!(
        "before starting the virtual machine: vgpuctl start {}",
        uuid(1)
    );
    assert!(run.stderr.contains(&hint), "{run:?}");
    // Its parent may be away: then its API is a guess, and that is said.
    put_auto(&host, "0000:99:00.0", &uuid(2), "nvidia-63");
    let run = host.run("attach a0000002").expect(0);
    assert!(
        run.stderr
            .contains("cannot read the device API of nvidia-63 on 0000:99:00.0; assuming vfio-pci"),
        "{run:?}"
    );
    put_auto(&host, "matrix", &uuid(3), "vfio_ap-passthrough");
    let run = host.run("attach a0000003").expect(0);
    assert!(run.stdout.contains("model='vfio-ap'"), "{run:?}");
}

#[test]
fn a_device_that_will_be_gone_or_is_in_use_is_told() {
    let host = SimHost::start("two-p4");
    host.run(&format!("create -t P4-1Q --transient -u {}", uuid(1)))
        .expect(0);
    let run = host.run("attach a0000001").expect(0);
    assert!(
        run.stderr.contains("after a reboot it will be gone"),
        "{run:?}"
    );
    let show = host.run("show a0000001 --json").expect(0).json();
    let group = show["device"]["vfio_group"].as_str().unwrap().to_owned();
    let held = HeldOpen::open(group.as_ref(), "-name guest=web");
    let run = host.run("attach a0000001").expect(0);
    let said = format!("it is in use by pid {} (bash, VM web)", held.pid());
    assert!(run.stderr.contains(&said), "{run:?}");
}

#[test]
fn what_is_not_there_or_not_clear_is_refused_as_by_show() {
    let host = SimHost::start("two-p4");
    put_auto(&host, P1, &uuid(1), "nvidia-63");
    put_auto(&host, P2, &uuid(1), "nvidia-64");
    host.run(&format!("attach {}", uuid(9))).expect(3);
    host.run("attach a0000001").expect(2);
    let run = host
        .run(&format!("attach a0000001 -p {P2} -f proxmox"))
        .expect(0);
    assert!(run.stdout.contains("0000:82:00.0,mdev=nvidia-64"));
    put(&host, P1, &uuid(2), "{");
    let run = host.run("attach a0000002").expect(1);
    assert!(
        run.stderr.starts_with("error: ") && run.stdout.is_empty(),
        "{run:?}"
    );
}

#[test]
fn an_adapter_of_s390_is_no_pci_device() {
    let host = SimHost::start("s390-matrix");
    host.run(&format!("create -t vfio_ap-passthrough -u {}", uuid(1)))
        .expect(0);
    let run = host.run("attach a0000001").expect(0);
    assert!(run.stdout.contains("model='vfio-ap'>"), "{run:?}");
    let run = host.run("attach a0000001 -f qemu").expect(0);
    assert!(
        run.stdout.starts_with("-device vfio-ap,sysfsdev="),
        "{run:?}"
    );
    for refused in [
        "--display on",
        "--ramfb",
        "--present-as 1:2",
        "--looking-glass nvfbc",
        "-f proxmox",
    ] {
        let run = host.run(&format!("attach a0000001 {refused}")).expect(2);
        assert!(run.stdout.is_empty(), "{run:?}");
        assert!(run.stderr.contains("PCI"), "{run:?}");
    }
}

#[test]
fn settings_that_make_no_sense_are_usage_errors() {
    let host = SimHost::start("gvt-g");
    host.run(&format!("create -t i915-GVTg_V5_8 -u {}", uuid(1)))
        .expect(0);
    host.run("attach a0000001 --display on --ramfb").expect(0);
    for line in [
        "--ramfb --display off",
        "--display maybe",
        "--format esxi",
        "--looking-glass big",
        "--present-as quadro",
        "--licence-server licence.lan", // only NVIDIA's guests need one
        "--licence-server a;b",
        "--vmid 100",
        "-f qemu --index 0",
        "-f proxmox --display on",
        "-f proxmox --vmid 99",
        "-f proxmox --vmid 100 --index 16",
        "-f proxmox --vmid x",
    ] {
        let run = host.run(&format!("attach a0000001 {line}")).expect(2);
        assert!(run.stdout.is_empty(), "{line}: {run:?}");
    }
}

/// A type whose id and name want to be something else where they are pasted.
const HOSTILE: &str = r#"
[[parent]]
id = "0000:81:00.0"
driver = "nvidia"
pool = 8

[[parent.type]]
id = "x,x-vga=1 '\"$(id)<"
name = "GRID '/>--><!-- \"P4\" $(id)\n`id` ,\u001b[31m-1Q"
"#;

#[test]
fn names_of_types_stay_names() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("hostile.toml");
    std::fs::write(&file, HOSTILE).unwrap();
    let host = SimHost::start_file(&file);
    let types = host.run("types --json").json();
    let id = types["parents"][0]["types"][0]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(id.contains('<') && id.contains('"'), "{id}");
    let made = host
        .run_args(["create", "-t", &id, "-u", &uuid(1)])
        .expect(0);
    assert_eq!(made.stdout, uuid(1) + "\n");
    host.run("attach a0000001 --licence-server a").expect(2);
    for line in ["", "-f qemu"] {
        let run = host.run(&format!("attach a0000001 {line}")).expect(0);
        assert!(!run.stdout.contains("$(id)"), "{run:?}");
        assert!(!run.stderr.contains('\u{1b}'), "{run:?}");
    }
    let run = host.run("attach a0000001 -f proxmox").expect(2);
    assert!(
        run.stderr
            .contains("cannot stand in Proxmox VE's configuration"),
        "{run:?}"
    );
    let document = host.run("attach a0000001 --json").expect(0).json();
    assert_eq!(document["attach"]["type"], id);
}
