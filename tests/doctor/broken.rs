//! Hosts with one thing wrong: exactly that is the problem, and nothing that follows from it.

use crate::hosts::{self, CARD, Card, PCI, define, drive, manager, offer, put, says, source};
use crate::{pinned, tree::Tree, with};

/// The one card of most hosts.
pub const P4: &str = "sys/devices/pci0000:80/0000:80:02.0/0000:81:00.0";
const VGPUD: &str = "usr/lib/systemd/system/nvidia-vgpud.service";
const WANTS: &str = "etc/systemd/system/multi-user.target.wants";

/// Exactly one problem, of that check, and no warning; the whole answer pinned.
#[track_caller]
pub fn broken(name: &str, tree: &Tree, check: &str) {
    let (status, diagnosis) = pinned(name, tree);
    assert_eq!(with(&diagnosis, "problem"), [check], "{diagnosis:#}");
    assert_eq!(with(&diagnosis, "warning"), [""; 0], "{diagnosis:#}");
    assert_eq!(status, 1);
    let text = String::from_utf8(tree.run(&[]).stdout).unwrap();
    assert!(
        text.starts_with(&format!("problem     {check}: ")),
        "{text}"
    );
    assert!(
        text.contains("  run   ") || text.contains("  do    "),
        "no way out: {text}"
    );
}

/// As [`broken`], for what works now and may not later.
#[track_caller]
pub fn doubtful(name: &str, tree: &Tree, check: &str) {
    let (status, diagnosis) = pinned(name, tree);
    assert_eq!(with(&diagnosis, "problem"), [""; 0], "{diagnosis:#}");
    assert_eq!(with(&diagnosis, "warning"), [check], "{diagnosis:#}");
    assert_eq!(status, 0);
}

/// Takes the types away, as every trouble below them does.
fn bare(tree: &Tree) {
    tree.without("sys/class/mdev_bus");
    let dir = format!("{P4}/mdev_supported_types");
    if tree.path(&dir).exists() {
        tree.without(&dir);
    }
}

#[test]
fn virtualization_is_off_in_the_bios() {
    let tree = hosts::p4();
    tree.without("dev/kvm").edit("proc/cpuinfo", " vmx ", " ");
    broken("cpu-virtualization-off", &tree, "cpu-virtualization");
}

#[test]
fn kvm_is_not_loaded() {
    let tree = hosts::p4();
    tree.without("dev/kvm");
    broken("kvm-not-loaded", &tree, "cpu-virtualization");
}

#[test]
fn the_iommu_is_off_where_it_is_needed() {
    let tree = hosts::l40s();
    tree.without("sys/class/iommu/dmar0")
        .without("sys/class/iommu/dmar1");
    // Then there are no virtual functions either.
    tree.file(&format!("{P4}/sriov_numvfs"), "0\n");
    for address in ["0000:81:00.4", "0000:81:00.5"] {
        tree.without(&format!("{PCI}/{address}"))
            .without(&format!("sys/bus/pci/devices/{address}"));
    }
    broken("iommu-off", &tree, "iommu");
}

#[test]
fn the_iommu_is_asked_for_and_off_in_the_bios() {
    let tree = hosts::l40s();
    tree.without("sys/class/iommu/dmar0")
        .without("sys/class/iommu/dmar1");
    tree.edit("proc/cmdline", "iommu=pt", "amd_iommu=on iommu=pt");
    broken("iommu-off-in-bios", &tree, "iommu");
}

#[test]
fn nouveau_has_the_card() {
    let tree = hosts::p4();
    bare(&tree);
    drive(&tree, CARD.address, "nouveau");
    tree.without("proc/driver")
        .file("proc/modules", "nouveau 2433024 0 - Live 0x0\n");
    tree.without("proc/1712");
    broken("nouveau", &tree, "nouveau");
}

#[test]
fn vfio_pci_has_the_whole_card() {
    let tree = hosts::p4();
    bare(&tree);
    drive(&tree, CARD.address, "vfio-pci");
    tree.file(
        "etc/modprobe.d/vfio.conf",
        "# for the VM\noptions vfio-pci ids=10de:1bb3\n",
    );
    define(&tree, CARD.address, 1, "nvidia-63");
    broken("vfio-pci", &tree, "vfio-pci");
}

#[test]
fn vfio_pci_has_a_virtual_function() {
    let tree = hosts::l40s();
    drive(&tree, "0000:81:00.5", "vfio-pci");
    tree.without(&format!("{PCI}/0000:81:00.5/nvidia"));
    broken("vfio-pci-function", &tree, "vfio-pci");
}

#[test]
fn the_driver_is_one_for_desktops() {
    let tree = hosts::server();
    put(
        &tree,
        &Card {
            types: None,
            ..CARD
        },
    );
    tree.file(
        "proc/driver/nvidia/version",
        "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  560.35.03  Release Build  (dvs-builder@U16-I1-N07-12-3)  Fri Aug 16 21:42:42 UTC 2024\n",
    )
    .file("proc/modules", "nvidia_drm 122880 4 - Live 0x0 (OE)\nnvidia_modeset 1585152 5 nvidia_drm, Live 0x0 (OE)\nnvidia 9760768 2 nvidia_modeset, Live 0x0 (OE)\n");
    broken("driver-desktop", &tree, "driver");
}

#[test]
fn an_h200_with_the_data_centre_driver() {
    let tree = hosts::server();
    tree.file("usr/lib/firmware/nvidia/570.124.06/gsp_ga10x.bin", "");
    put(
        &tree,
        &Card {
            device: 0x2335,
            types: None,
            functions: Some((32, 0)),
            ..CARD
        },
    );
    tree.file("proc/driver/nvidia/version", says("570.124.06"))
        .file("proc/modules", "nvidia_uvm 2076672 0 - Live 0x0 (POE)\nnvidia 11632640 30 nvidia_uvm, Live 0x0 (POE)\n");
    broken("driver-data-centre", &tree, "driver");
}

#[test]
fn the_guests_package_is_on_the_host() {
    let tree = hosts::server();
    put(
        &tree,
        &Card {
            types: None,
            ..CARD
        },
    );
    tree.file("proc/driver/nvidia/version", says("535.129.03"))
        .file("usr/bin/nvidia-gridd", "");
    broken("driver-guest", &tree, "driver");
}

#[test]
fn no_driver_is_installed() {
    let tree = hosts::server();
    put(
        &tree,
        &Card {
            types: None,
            driver: "",
            ..CARD
        },
    );
    broken("driver-none", &tree, "driver");
}

#[test]
fn the_module_is_not_loaded() {
    let tree = hosts::p4();
    bare(&tree);
    drive(&tree, CARD.address, "");
    tree.without("proc/driver")
        .without("proc/1712")
        .file("proc/modules", "mdev 24576 0 - Live 0x0\n");
    broken("driver-not-loaded", &tree, "driver");
}

#[test]
fn the_open_module_does_not_serve_a_pascal_card() {
    let tree = hosts::p4();
    bare(&tree);
    drive(&tree, CARD.address, "");
    tree.edit(
        "proc/driver/nvidia/version",
        "x86_64 Kernel Module ",
        "Open Kernel Module for x86_64 ",
    );
    tree.file("usr/lib/firmware/nvidia/535.129.03/gsp_tu10x.bin", "");
    broken("driver-open-module", &tree, "driver");
}

#[test]
fn the_driver_is_not_built_for_the_running_kernel() {
    let tree = hosts::gtx_1080_ti();
    bare(&tree);
    drive(&tree, CARD.address, "");
    tree.without("proc/driver")
        .without("proc/1712")
        .file("proc/modules", "mdev 24576 0 - Live 0x0\n");
    tree.edit(
        "etc/vgpu_unlock/profile_override.toml",
        "frame_rate_limiter",
        "frl_enabled",
    );
    tree.dir("usr/lib/modules/6.5.13-6-pve/kernel")
        .dir("usr/lib/modules/6.2.16-3-pve/updates/dkms");
    broken("kernel-not-built", &tree, "kernel");
}

#[test]
fn an_old_driver_does_not_fit_a_new_kernel() {
    let tree = hosts::original_unlock();
    bare(&tree);
    drive(&tree, CARD.address, "");
    tree.without("proc/driver")
        .without("proc/1712")
        .file("proc/modules", "mdev 24576 0 - Live 0x0\n");
    tree.file("proc/sys/kernel/osrelease", "5.15.158-2-pve\n")
        .dir("usr/lib/modules/5.15.158-2-pve/build");
    broken("kernel-too-new", &tree, "kernel");
}

#[test]
fn kernel_5_13_is_doubtful() {
    let tree = hosts::original_unlock();
    tree.file("proc/sys/kernel/osrelease", "5.13.19-6-pve\n");
    doubtful("kernel-5-13", &tree, "kernel");
}

#[test]
fn the_vfio_module_is_not_loaded() {
    let tree = hosts::p4();
    bare(&tree);
    tree.edit(
        "proc/modules",
        "nvidia_vgpu_vfio 73728 0 - Live 0x0000000000000000 (OE)\n",
        "",
    );
    broken("module-vgpu-vfio", &tree, "modules");
}

#[test]
fn vfio_mdev_is_not_loaded_on_an_old_kernel() {
    let tree = hosts::original_unlock();
    tree.edit(
        "proc/modules",
        "vfio_mdev 16384 0 - Live 0x0000000000000000\n",
        "",
    );
    broken("module-vfio-mdev", &tree, "modules");
}

#[test]
fn vfio_iommu_type1_is_not_loaded() {
    let tree = hosts::p4();
    tree.edit(
        "proc/modules",
        "vfio_iommu_type1 49152 0 - Live 0x0000000000000000\n",
        "",
    );
    doubtful("module-type1", &tree, "modules");
}

#[test]
fn nvidia_vgpud_is_masked() {
    let tree = hosts::p4();
    bare(&tree);
    tree.link("etc/systemd/system/nvidia-vgpud.service", "/dev/null");
    broken("vgpud-masked", &tree, "daemons");
}

#[test]
fn nvidia_vgpud_is_not_enabled() {
    let tree = hosts::p4();
    tree.without(&format!("{WANTS}/nvidia-vgpud.service"));
    doubtful("vgpud-not-enabled", &tree, "daemons");
}

#[test]
fn nvidia_vgpu_mgr_does_not_run() {
    let tree = hosts::p4();
    tree.without("proc/1712");
    broken("vgpu-mgr-not-running", &tree, "daemons");
}

#[test]
fn the_unlock_is_in_one_daemon_only() {
    let tree = hosts::gtx_1080_ti();
    tidy(&tree);
    tree.without("etc/systemd/system/nvidia-vgpu-mgr.service.d/vgpu_unlock.conf")
        .file(
            "etc/systemd/system/nvidia-vgpu-mgr.service.d/vgpu_unlock.conf.txt",
            "[Service]\n",
        );
    broken("unlock-one-daemon", &tree, "unlock-wiring");
}

/// Only what is wrong on purpose may be wrong.
fn tidy(tree: &Tree) {
    tree.edit(
        "etc/vgpu_unlock/profile_override.toml",
        "frame_rate_limiter",
        "frl_enabled",
    );
}

#[test]
fn the_original_unlock_is_not_in_nvidia_vgpud() {
    let tree = hosts::original_unlock();
    bare(&tree);
    tree.edit(VGPUD, "/opt/vgpu_unlock/vgpu_unlock ", "");
    broken("unlock-no-wrapper", &tree, "unlock-wiring");
}

#[test]
fn the_unlocks_library_is_gone() {
    let tree = hosts::gtx_1080_ti();
    tidy(&tree);
    bare(&tree);
    tree.without("opt/vgpu_unlock-rs");
    broken("unlock-library-gone", &tree, "unlock-wiring");
}

#[test]
fn nothing_is_unlocked() {
    let tree = hosts::gtx_1080_ti();
    bare(&tree);
    tidy(&tree);
    for stem in ["nvidia-vgpud", "nvidia-vgpu-mgr"] {
        tree.without(&format!("etc/systemd/system/{stem}.service.d"));
    }
    broken("unlock-none", &tree, "unlock-wiring");
}

#[test]
fn the_manager_runs_since_before_the_unlock() {
    let tree = hosts::gtx_1080_ti();
    tidy(&tree);
    tree.file(
        "proc/1712/maps",
        "55d0c8a00000-55d0c8a4f000 r-xp 00000000 08:01 1312 /usr/bin/nvidia-vgpu-mgr\n",
    );
    broken("unlock-stale", &tree, "unlock-wiring");
}

#[test]
fn the_kernel_module_is_not_unlocked() {
    let tree = hosts::gtx_1080_ti();
    tidy(&tree);
    source(&tree, "535.129.03", false);
    broken("unlock-kernel-none", &tree, "unlock-kernel");
}

#[test]
fn half_of_the_kernel_module_is_unlocked() {
    let tree = hosts::original_unlock();
    tree.edit(
        "usr/src/nvidia-460.73.02/nvidia/nvidia.Kbuild",
        "ldflags-y",
        "# ldflags-y",
    );
    broken("unlock-kernel-half", &tree, "unlock-kernel");
}

#[test]
fn one_daemon_checks_the_merged_drivers_version() {
    let tree = hosts::merged();
    tree.edit(VGPUD, "Environment=\"__RM_NO_VERSION_CHECK=1\"\n", "");
    bare(&tree);
    broken("merged-driver", &tree, "merged-driver");
}

#[test]
fn the_driver_was_updated_and_the_old_module_runs() {
    let tree = hosts::p4();
    manager(&tree, "535.183.04");
    for library in ["vgpu", "vgxcfg", "ml"] {
        tree.without(&format!(
            "usr/lib/x86_64-linux-gnu/libnvidia-{library}.so.535.129.03"
        ));
    }
    tree.file("proc/driver/nvidia/version", says("535.129.03"));
    broken("driver-updated", &tree, "merged-driver");
}

#[test]
fn unlocked_cards_of_two_kinds() {
    let tree = hosts::two_1080_ti();
    tidy(&tree);
    let second = format!("{PCI}/0000:82:00.0");
    tree.file(&format!("{second}/device"), "0x1b80\n")
        .without(&format!("{second}/mdev_supported_types"))
        .without("sys/class/mdev_bus/0000:82:00.0");
    broken("gpu-mix", &tree, "gpu-mix");
}

#[test]
fn a_consumers_ampere_card() {
    let tree = hosts::server();
    manager(&tree, "535.129.03");
    put(
        &tree,
        &Card {
            device: 0x2206,
            class: "0x030000",
            types: None,
            ..CARD
        },
    );
    broken("ampere", &tree, "cards");
}

#[test]
fn a_grid_k2() {
    let tree = hosts::server();
    put(
        &tree,
        &Card {
            device: 0x11bf,
            types: None,
            driver: "",
            ..CARD
        },
    );
    broken("grid-k2", &tree, "cards");
}

/// Takes both functions of the L40S away.
pub fn switch_functions_off(tree: &Tree) {
    tree.file(&format!("{P4}/sriov_numvfs"), "0\n");
    for (n, address) in ["0000:81:00.4", "0000:81:00.5"].into_iter().enumerate() {
        tree.without(&format!("{PCI}/{address}"))
            .without(&format!("{P4}/virtfn{n}"))
            .without(&format!("sys/bus/pci/devices/{address}"));
    }
}

#[test]
fn the_virtual_functions_are_off() {
    let tree = hosts::l40s();
    switch_functions_off(&tree);
    broken("functions-off", &tree, "virtual-functions");
}

#[test]
fn nvidia_vgpud_has_not_run() {
    let tree = hosts::p4();
    bare(&tree);
    define(&tree, CARD.address, 1, "nvidia-63");
    broken("types-none", &tree, "types");
}

#[test]
fn nvidia_vgpud_found_nothing_for_a_card_that_its_driver_no_longer_lists() {
    let tree = hosts::p4();
    for library in ["vgpu", "vgxcfg", "ml"] {
        tree.without(&format!(
            "usr/lib/x86_64-linux-gnu/libnvidia-{library}.so.535.129.03"
        ));
    }
    manager(&tree, "550.90.05");
    bare(&tree);
    offer(&tree, CARD.address, &[]);
    broken("types-dropped", &tree, "types");
}

#[test]
fn a_definition_is_for_a_parent_that_is_gone() {
    let tree = hosts::p4();
    define(&tree, "0000:99:00.0", 1, "nvidia-63");
    broken("definition-no-parent", &tree, "definitions");
}

#[test]
fn a_definition_is_of_a_type_that_is_gone() {
    let tree = hosts::p4();
    define(&tree, CARD.address, 1, "nvidia-999");
    broken("definition-no-type", &tree, "definitions");
}

#[test]
fn gvt_g_is_not_loaded() {
    let tree = hosts::gvt_g();
    define(&tree, "0000:00:02.0", 1, "i915-GVTg_V5_4");
    tree.without("sys/class/mdev_bus")
        .without(&format!("{PCI}/0000:00:02.0/mdev_supported_types"));
    broken("gvt-g-not-loaded", &tree, "definitions");
}

#[test]
fn definitions_of_two_sizes_are_for_one_gpu() {
    let tree = hosts::p4();
    define(&tree, CARD.address, 1, "nvidia-63");
    define(&tree, CARD.address, 2, "nvidia-64");
    broken("definition-other-size", &tree, "definitions");
}

#[test]
fn one_uuid_is_to_start_on_two_parents() {
    let tree = hosts::p4();
    let second = Card {
        address: "0000:82:00.0",
        ..CARD
    };
    put(&tree, &second);
    define(&tree, CARD.address, 1, "nvidia-63");
    define(&tree, second.address, 1, "nvidia-63");
    broken("definition-twice", &tree, "definitions");
}

#[test]
fn more_is_defined_than_the_gpu_holds() {
    let tree = hosts::p4();
    for n in 1..=11 {
        define(&tree, CARD.address, n, "nvidia-63");
    }
    broken("definition-too-many", &tree, "definitions");
}

#[test]
fn more_is_defined_than_an_unlocked_card_has() {
    let tree = hosts::gtx_1080_ti();
    tidy(&tree);
    for n in 1..=6 {
        define(&tree, CARD.address, n, "nvidia-47");
    }
    doubtful("definition-beyond-memory", &tree, "definitions");
}

#[test]
fn a_definition_cannot_be_read() {
    let tree = hosts::p4();
    define(&tree, CARD.address, 1, "nvidia-63");
    tree.file(
        "etc/mdevctl.d/0000:81:00.0/a0000002-0000-4000-8000-000000000000",
        "",
    );
    broken("definition-empty", &tree, "definitions");
}

#[test]
fn nothing_starts_the_definitions_at_boot() {
    let tree = hosts::p4();
    define(&tree, CARD.address, 1, "nvidia-63");
    for file in [
        "usr/lib/udev/rules.d/60-vgpuctl.rules",
        "usr/lib/udev/vgpuctl",
        "usr/lib/systemd/system/vgpuctl-restore.service",
        "usr/lib/systemd/system/vgpuctl-restore@.service",
        &format!("{WANTS}/vgpuctl-restore.service"),
    ] {
        tree.without(file);
    }
    broken("boot-nothing", &tree, "boot");
}

#[test]
fn our_unit_is_not_enabled() {
    let tree = hosts::p4();
    define(&tree, CARD.address, 1, "nvidia-63");
    tree.without(&format!("{WANTS}/vgpuctl-restore.service"));
    broken("boot-not-enabled", &tree, "boot");
}

#[test]
fn our_rule_is_masked() {
    let tree = hosts::p4();
    define(&tree, CARD.address, 1, "nvidia-63");
    tree.link("etc/udev/rules.d/60-vgpuctl.rules", "/dev/null");
    broken("boot-rule-masked", &tree, "boot");
}

#[test]
fn our_program_is_not_where_the_unit_looks() {
    let tree = hosts::p4();
    define(&tree, CARD.address, 1, "nvidia-63");
    tree.without("usr/local/bin/vgpuctl");
    broken("boot-no-program", &tree, "boot");
}

#[test]
fn mdevctls_rule_points_nowhere() {
    let tree = hosts::p4();
    define(&tree, CARD.address, 1, "nvidia-63");
    for file in [
        "usr/lib/udev/rules.d/60-vgpuctl.rules",
        "usr/lib/udev/vgpuctl",
        "usr/lib/systemd/system/vgpuctl-restore.service",
        "usr/lib/systemd/system/vgpuctl-restore@.service",
        &format!("{WANTS}/vgpuctl-restore.service"),
    ] {
        tree.without(file);
    }
    tree.file("usr/bin/mdevctl", "").file(
        "usr/lib/udev/rules.d/60-mdevctl.rules",
        "ACTION==\"change\", ENV{MDEV_STATE}==\"registered\", TEST==\"/etc/mdevctl.d/$kernel\", RUN+=\"/bin/sh -c '/usr/sbin/mdevctl start-parent-mdevs %k'\"\n",
    );
    broken("mdevctl-rule", &tree, "mdevctl-rule");
}

#[test]
fn an_overrides_syntax_is_wrong() {
    let tree = hosts::gtx_1080_ti();
    tidy(&tree);
    tree.edit("etc/vgpu_unlock/profile_override.toml", "= 1080", "= 1080p");
    broken("override-syntax", &tree, "profile-override");
}

#[test]
fn an_override_has_a_bool() {
    let tree = hosts::gtx_1080_ti();
    tidy(&tree);
    tree.edit(
        "etc/vgpu_unlock/profile_override.toml",
        "cuda_enabled = 1",
        "cuda_enabled = true",
    );
    broken("override-bool", &tree, "profile-override");
}

#[test]
fn an_override_asks_for_more_than_the_card_has() {
    let tree = hosts::gtx_1080_ti();
    tidy(&tree);
    tree.edit(
        "etc/vgpu_unlock/profile_override.toml",
        "0x74000000",
        "\"11 GiB\"",
    );
    broken("override-too-large", &tree, "profile-override");
}

#[test]
fn an_override_has_a_slip_in_a_key() {
    // `frame_rate_limiter` is a plugin's parameter, and no key here; the guide's users mix them up.
    doubtful(
        "override-unknown-key",
        &hosts::gtx_1080_ti(),
        "profile-override",
    );
}

#[test]
fn an_override_is_for_a_type_of_another_card() {
    let tree = hosts::gtx_1080_ti();
    tidy(&tree);
    tree.edit(
        "etc/vgpu_unlock/profile_override.toml",
        "nvidia-47",
        "nvidia-259",
    );
    doubtful("override-other-type", &tree, "profile-override");
}

#[test]
fn the_firmware_is_missing() {
    let tree = hosts::l40s();
    tree.without("usr/lib/firmware");
    doubtful("firmware", &tree, "firmware");
}

#[test]
fn libvirt_finds_no_mdevctl() {
    let tree = hosts::p4();
    tree.file("usr/sbin/libvirtd", "");
    doubtful("mdevctl-name", &tree, "mdevctl-name");
}

#[test]
fn the_unlock_is_switched_off() {
    let tree = hosts::gtx_1080_ti();
    tidy(&tree);
    bare(&tree);
    tree.edit(
        "etc/vgpu_unlock/config.toml",
        "unlock = true",
        "unlock = false",
    );
    broken("config-off", &tree, "unlock-config");
}

#[test]
fn the_unlocks_settings_are_no_toml() {
    let tree = hosts::gtx_1080_ti();
    tidy(&tree);
    bare(&tree);
    tree.file("etc/vgpu_unlock/config.toml", "unlock: true\n");
    broken("config-syntax", &tree, "unlock-config");
}
