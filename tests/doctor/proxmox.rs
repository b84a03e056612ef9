//! Hosts of Proxmox VE, and what it makes of them.

use serde_json::Value;

use crate::hosts::{self, CARD};
use crate::tree::Tree;
use crate::with;

const P4: &str = "sys/devices/pci0000:80/0000:80:02.0/0000:81:00.0";
const VM_100: &str = "00000000-0000-0000-0000-000000000100";

fn diagnosis(tree: &Tree) -> (Value, String) {
    let json: Value = serde_json::from_slice(&tree.run(&["--json"]).stdout).unwrap();
    let text = String::from_utf8(tree.run(&[]).stdout).unwrap();
    (json["diagnosis"].clone(), text)
}

/// A P4 on Proxmox VE, which is known by this.
fn host(sign: &str) -> Tree {
    let tree = hosts::p4();
    match sign.ends_with("pve") {
        true => tree.dir(sign),
        false => tree.file(sign, ""),
    };
    tree
}

/// An active device of VM 100, of which this is defined, with these parameters.
fn device(tree: &Tree, type_id: &str, attrs: &str, params: &str) {
    let link = format!("../../../devices/{}/{VM_100}", &P4["sys/devices/".len()..]);
    tree.file(
        &format!("etc/mdevctl.d/{}/{VM_100}", CARD.address),
        format!("{{\"mdev_type\": \"{type_id}\", \"start\": \"auto\", \"attrs\": [{attrs}]}}"),
    )
    .file(&format!("{P4}/{VM_100}/nvidia/vgpu_params"), params)
    .link(
        &format!("{P4}/{VM_100}/mdev_type"),
        &format!("../mdev_supported_types/{type_id}"),
    )
    .link(&format!("sys/bus/mdev/devices/{VM_100}"), &link);
}

#[test]
fn without_an_iommu_no_vm_starts() {
    for sign in ["usr/bin/pveversion", "etc/pve"] {
        for is_there in [true, false] {
            let tree = host(sign);
            tree.without("sys/class/iommu/dmar0")
                .without("sys/class/iommu/dmar1");
            if !is_there {
                tree.without("sys/class/iommu");
            }
            let (found, text) = diagnosis(&tree);
            assert_eq!(with(&found, "problem"), ["iommu"], "{sign}: {text}");
            assert!(text.contains("IOMMU not present"), "{text}");
            // Elsewhere such a card does without.
            tree.without(sign);
            assert_eq!(with(&diagnosis(&tree).0, "problem"), [""; 0]);
        }
        assert_eq!(with(&diagnosis(&host(sign)).0, "problem"), [""; 0]);
    }
}

#[test]
fn parameters_that_a_device_runs_without_are_told() {
    let attrs = "{\"nvidia/vgpu_params\": \"frame_rate_limiter=0, disable_vnc=1\"}";
    for (params, told) in [
        ("\n", Some("runs with no parameters")),
        ("disable_vnc=1\n", Some("runs with disable_vnc=1,")),
        ("frame_rate_limiter=0,disable_vnc=1\n", None),
        ("frame_rate_limiter=0, disable_vnc=1\n", None),
    ] {
        let tree = host("usr/bin/pveversion");
        device(&tree, "nvidia-63", attrs, params);
        let (found, text) = diagnosis(&tree);
        let warnings = with(&found, "warning");
        assert_eq!(
            warnings.len(),
            usize::from(told.is_some()),
            "{params}: {text}"
        );
        assert!(text.contains(told.unwrap_or_default()), "{params}: {text}");
        assert_eq!(
            text.contains("the hookscript in examples/proxmox"),
            told.is_some()
        );
    }
    // A device of which nothing can be read is none that differs.
    let tree = host("usr/bin/pveversion");
    device(&tree, "nvidia-63", attrs, "\n");
    tree.without(&format!("{P4}/{VM_100}/nvidia/vgpu_params"));
    assert_eq!(with(&diagnosis(&tree).0, "warning"), [""; 0]);
}

#[test]
fn a_definition_that_is_not_what_its_vm_wants_is_told() {
    for (conf, told) in [
        ("hostpci0: 0000:81:00.0,mdev=nvidia-63\n", None),
        ("hostpci0: 81:00,mdev=nvidia-63\n", None),
        ("hostpci1: 0000:81:00.0,mdev=nvidia-64\n", None),
        ("hostpci0: mapping=gpu,mdev=nvidia-63\n", None),
        (
            "hostpci0: mapping=gpu,mdev=nvidia-64\n",
            Some("VM 100 requests nvidia-64 for hostpci0"),
        ),
        (
            "hostpci0: 0000:81:00.0,mdev=nvidia-64\n",
            Some("VM 100 requests nvidia-64 for hostpci0"),
        ),
        (
            "hostpci0: 0000:82:00.0,mdev=nvidia-63\n",
            Some("VM 100 requests nvidia-63 on 0000:82:00.0"),
        ),
        ("template: 1\nhostpci0: 0000:81:00.0,mdev=nvidia-64\n", None),
        ("[snap]\nhostpci0: 0000:81:00.0,mdev=nvidia-64\n", None),
    ] {
        let tree = host("usr/bin/pveversion");
        device(&tree, "nvidia-63", "", "\n");
        tree.file("etc/pve/qemu-server/100.conf", conf);
        let (found, text) = diagnosis(&tree);
        let warnings = with(&found, "warning");
        assert_eq!(
            warnings.len(),
            usize::from(told.is_some()),
            "{conf}: {text}"
        );
        assert!(text.contains(told.unwrap_or_default()), "{conf}: {text}");
    }
}
