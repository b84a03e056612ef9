//! An L40S with definitions of its functions and settings of its own, of which one thing is wrong.

use crate::broken::{broken, doubtful, switch_functions_off};
use crate::hosts::{self, CARD, PCI, define, define_function, offer};
use crate::{pinned, tree::Tree, with};

/// An L40S with that many definitions of its functions, and settings.
fn l40s_defined(types: &[&str], settings: &str) -> Tree {
    let tree = hosts::l40s();
    for (n, type_id) in (1..).zip(types) {
        define_function(&tree, CARD.address, n, type_id, None);
    }
    tree.file(GPU_CONF, settings);
    tree
}

const GPU_CONF: &str = "etc/vgpuctl.d/0000:81:00.0/gpu.conf";
const AT_BOOT: &str = "vfs = enable\n";

#[test]
fn functions_are_off_that_definitions_need() {
    let tree = l40s_defined(&["nvidia-1153"; 2], "# nothing at boot\n");
    switch_functions_off(&tree);
    broken("functions-off-defined", &tree, "virtual-functions");
}

#[test]
fn functions_are_off_that_boot_was_to_switch_on() {
    let tree = l40s_defined(&["nvidia-1153"], AT_BOOT);
    switch_functions_off(&tree);
    broken("functions-off-at-boot", &tree, "virtual-functions");
}

#[test]
fn functions_that_definitions_need_are_lost_at_the_next_boot() {
    let tree = l40s_defined(&["nvidia-1153"; 2], "vfs = leave\n");
    doubtful("functions-not-at-boot", &tree, "definitions");
    // Proxmox VE's unit does it, too.
    let wants = "etc/systemd/system/multi-user.target.wants/pve-nvidia-sriov@ALL.service";
    tree.link(wants, "/lib/systemd/system/pve-nvidia-sriov@.service");
    let (status, diagnosis) = pinned("functions-by-another", &tree);
    assert_eq!((status, with(&diagnosis, "warning").len()), (0, 0));
}

#[test]
fn a_gpus_settings_cannot_be_understood() {
    let tree = l40s_defined(&["nvidia-1153"], "vfs = enable\nmixed-sizes = perhaps\n");
    broken("settings-bad", &tree, "definitions");
}

#[test]
fn settings_are_for_a_gpu_that_is_gone() {
    let tree = hosts::l40s();
    tree.file("etc/vgpuctl.d/0000:99:00.0/gpu.conf", AT_BOOT);
    broken("settings-no-gpu", &tree, "definitions");
}

#[test]
fn a_definition_is_for_functions_that_make_mediated_devices_now() {
    let tree = l40s_defined(&["nvidia-1153"], AT_BOOT);
    for address in ["0000:81:00.4", "0000:81:00.5"] {
        tree.without(&format!("{PCI}/{address}/nvidia"));
        offer(&tree, address, &["nvidia-230"]);
    }
    // That was so before kernel 6.8.
    tree.file("proc/sys/kernel/osrelease", "6.5.13-6-pve\n");
    broken("definition-was-vfio", &tree, "definitions");
}

#[test]
fn a_definition_is_for_mediated_devices_that_functions_made_before() {
    let tree = l40s_defined(&[], AT_BOOT);
    define(&tree, "0000:81:00.4", 1, "nvidia-230");
    broken("definition-was-mdev", &tree, "definitions");
    let tree = l40s_defined(&[], AT_BOOT);
    define(&tree, CARD.address, 1, "nvidia-230");
    broken("definition-was-mdev-gpu", &tree, "definitions");
}

#[test]
fn definitions_of_two_sizes_are_for_functions_of_one_gpu() {
    let tree = l40s_defined(&["nvidia-1153", "nvidia-1155"], AT_BOOT);
    broken("functions-two-sizes", &tree, "definitions");
}

#[test]
fn more_is_defined_than_functions_of_one_gpu_can_take() {
    let tree = l40s_defined(&["nvidia-1153"; 5], AT_BOOT);
    broken("functions-full", &tree, "definitions");
    let sizes = ["nvidia-1155", "nvidia-1153", "nvidia-1153", "nvidia-1147"];
    let tree = l40s_defined(&sizes, "vfs = enable\nmixed-sizes = yes\n");
    broken("functions-full-mixed", &tree, "definitions");
}

#[test]
fn two_definitions_are_for_one_function() {
    let tree = l40s_defined(&[], AT_BOOT);
    for n in [1, 2] {
        define_function(&tree, CARD.address, n, "nvidia-1153", Some("0000:81:00.5"));
    }
    broken("function-twice", &tree, "definitions");
}

#[test]
fn a_definition_is_for_a_function_that_its_gpu_does_not_have() {
    let tree = l40s_defined(&[], AT_BOOT);
    define_function(&tree, CARD.address, 1, "nvidia-1153", Some("0000:81:09.7"));
    broken("function-gone", &tree, "definitions");
}

#[test]
fn a_function_does_not_take_the_type_of_a_definition() {
    let tree = l40s_defined(&["nvidia-999"], AT_BOOT);
    broken("function-no-type", &tree, "definitions");
}
