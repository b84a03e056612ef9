//! Hosts on which all is well: no problem, no warning, and nothing said of other vendors' matters.

use crate::{hosts, pinned, tree::Tree, with};

#[track_caller]
fn healthy(name: &str, tree: &Tree) -> serde_json::Value {
    let (status, diagnosis) = pinned(name, tree);
    assert_eq!(with(&diagnosis, "problem"), [""; 0]);
    assert_eq!(with(&diagnosis, "warning"), [""; 0]);
    assert_eq!(status, 0);
    diagnosis
}

/// As [`healthy`], where also everything could be looked at.
#[track_caller]
fn wholly(name: &str, tree: &Tree) {
    let diagnosis = healthy(name, tree);
    assert_eq!(with(&diagnosis, "unchecked"), [""; 0]);
}

#[test]
fn p4_with_definitions() {
    let tree = hosts::p4();
    for n in 1..=8 {
        hosts::define(&tree, hosts::CARD.address, n, "nvidia-63");
    }
    wholly("p4-definitions", &tree);
}

#[test]
fn p4() {
    wholly("p4", &hosts::p4());
}

#[test]
fn gtx_1080_ti_with_the_unlock_in_rust() {
    let tree = hosts::gtx_1080_ti();
    tree.edit(
        "etc/vgpu_unlock/profile_override.toml",
        "frame_rate_limiter",
        "frl_enabled",
    );
    wholly("gtx-1080-ti", &tree);
}

#[test]
fn two_cards_of_one_kind() {
    let tree = hosts::two_1080_ti();
    tree.edit(
        "etc/vgpu_unlock/profile_override.toml",
        "frame_rate_limiter",
        "frl_enabled",
    );
    wholly("two-1080-ti", &tree);
}

#[test]
fn the_original_unlock() {
    wholly("original-unlock", &hosts::original_unlock());
}

#[test]
fn merged_driver() {
    wholly("merged", &hosts::merged());
}

#[test]
fn t4_without_iommu() {
    wholly("t4", &hosts::t4());
}

#[test]
fn l40s_by_vendor_vfio() {
    wholly("l40s", &hosts::l40s());
}

#[test]
fn l40s_with_definitions_of_its_functions() {
    let tree = hosts::l40s();
    for n in 1..=3 {
        hosts::define_function(&tree, hosts::CARD.address, n, "nvidia-1153", None);
    }
    hosts::define_function(
        &tree,
        hosts::CARD.address,
        4,
        "nvidia-1153",
        Some("0000:81:00.5"),
    );
    tree.file("etc/vgpuctl.d/0000:81:00.0/gpu.conf", "vfs = enable\n");
    wholly("l40s-defined", &tree);
}

#[test]
fn l40s_that_serves_several_sizes() {
    let tree = hosts::l40s();
    for (n, type_id) in [(1, "nvidia-1155"), (2, "nvidia-1153"), (3, "nvidia-1147")] {
        hosts::define_function(&tree, hosts::CARD.address, n, type_id, None);
    }
    let settings = "vfs = enable\nmixed-sizes = yes\n";
    tree.file("etc/vgpuctl.d/0000:81:00.0/gpu.conf", settings);
    wholly("l40s-mixed", &tree);
}

/// No word of NVIDIA's driver, daemons or unlock to somebody who has none.
#[track_caller]
fn not_accused(diagnosis: &serde_json::Value) {
    for check in diagnosis["checks"].as_array().unwrap() {
        let text = check["findings"].to_string();
        assert!(
            !text.contains("nvidia") && !text.contains("NVIDIA's"),
            "{check:#}"
        );
    }
}

#[test]
fn gvt_g() {
    let diagnosis = healthy("gvt-g", &hosts::gvt_g());
    not_accused(&diagnosis);
}

/// The second GPU of such a laptop is nobody's concern, whoever serves it.
#[test]
fn gvt_g_beside_a_geforce_card() {
    for driver in ["nouveau", "vfio-pci", "nvidia", ""] {
        let tree = hosts::gvt_g();
        let card = hosts::Card {
            device: 0x1c20,
            class: "0x030200",
            types: None,
            driver,
            ..hosts::CARD
        };
        hosts::put(&tree, &card);
        if driver == "nvidia" {
            tree.file("proc/driver/nvidia/version", hosts::says("550.107.02"));
        }
        healthy("gvt-g-and-geforce", &tree);
    }
}

#[test]
fn s390() {
    not_accused(&healthy("s390", &hosts::s390()));
}

#[test]
fn amd_mxgpu() {
    not_accused(&healthy("amd", &hosts::amd()));
}

#[test]
fn no_gpu() {
    let diagnosis = healthy("no-gpu", &hosts::server());
    assert_eq!(with(&diagnosis, "note"), ["cards"]);
    assert_eq!(with(&diagnosis, "ok"), [""; 0]);
}

#[test]
fn an_empty_root_is_not_called_healthy() {
    let diagnosis = healthy("empty", &Tree::new());
    assert_eq!(with(&diagnosis, "ok"), [""; 0]);
    assert_eq!(with(&diagnosis, "unchecked"), ["cards"]);
}

/// A card that no table knows, and a consumer's card with types of its own.
#[test]
fn who_offers_types_without_an_unlock_is_a_vgpu_card() {
    for device in [0x0fff, 0x1bad, 0x1b06] {
        let tree = hosts::server();
        hosts::manager(&tree, "535.129.03");
        hosts::put(
            &tree,
            &hosts::Card {
                device,
                ..hosts::CARD
            },
        );
        let answer: serde_json::Value =
            serde_json::from_slice(&tree.run(&["--json"]).stdout).unwrap();
        let diagnosis = &answer["diagnosis"];
        assert_eq!(with(diagnosis, "problem"), [""; 0], "{device:04x}");
        assert_eq!(with(diagnosis, "warning"), [""; 0], "{device:04x}");
        let text = answer.to_string();
        assert!(text.contains("a vGPU card"), "{device:04x}: {text}");
        assert!(!text.contains("unlockable"), "{device:04x}: {text}");
    }
}
