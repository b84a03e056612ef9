//! Healthy hosts. What is broken elsewhere is one of these with one thing changed.

use crate::tree::Tree;

pub const PCI: &str = "sys/devices/pci0000:80/0000:80:02.0";

/// `/proc/cpuinfo` of one core, shortened.
pub const INTEL: &str = "processor\t: 0\nvendor_id\t: GenuineIntel\ncpu family\t: 6\nmodel\t\t: 85\n\
model name\t: Intel(R) Xeon(R) Silver 4214 CPU @ 2.20GHz\nmicrocode\t: 0x5003604\n\
flags\t\t: fpu vme de pse tsc msr pae mce cx8 apic sep mtrr pge mca cmov pat acpi mmx fxsr sse sse2 \
ss ht tm pbe syscall nx pdpe1gb rdtscp lm constant_tsc vmx smx est tm2 ssse3 sdbg fma cx16\n\
vmx flags\t: vnmi preemption_timer posted_intr invvpid ept_x_only\nbugs\t\t: spectre_v1\n\n";

/// A card on the PCI bus.
pub struct Card {
    pub address: &'static str,
    pub device: u16,
    pub class: &'static str,
    pub vendor: u16,
    pub driver: &'static str,
    /// Ids of the types of mediated devices that it lists, where it is a parent of such.
    pub types: Option<&'static [&'static str]>,
    /// Virtual functions possible and on.
    pub functions: Option<(u32, u32)>,
}

pub const CARD: Card = Card {
    address: "0000:81:00.0",
    device: 0x1bb3,
    class: "0x030200",
    vendor: 0x10de,
    driver: "nvidia",
    types: Some(&["nvidia-63", "nvidia-64", "nvidia-65"]),
    functions: None,
};

/// A device on the bus, with its links.
pub fn put(tree: &Tree, card: &Card) {
    let dir = format!("{PCI}/{}", card.address);
    tree.file(&format!("{dir}/vendor"), format!("0x{:04x}\n", card.vendor))
        .file(&format!("{dir}/device"), format!("0x{:04x}\n", card.device))
        .file(&format!("{dir}/class"), format!("{}\n", card.class))
        .file(&format!("{dir}/subsystem_vendor"), "0x10de\n")
        .file(&format!("{dir}/subsystem_device"), "0x11d8\n")
        .link(
            &format!("sys/bus/pci/devices/{}", card.address),
            &format!("../../../devices/pci0000:80/0000:80:02.0/{}", card.address),
        );
    drive(tree, card.address, card.driver);
    if let Some((possible, on)) = card.functions {
        tree.file(&format!("{dir}/sriov_totalvfs"), format!("{possible}\n"))
            .file(&format!("{dir}/sriov_numvfs"), format!("{on}\n"));
    }
    if let Some(types) = card.types {
        offer(tree, card.address, types);
    }
}

/// Binds a device to a driver; to none where the name is empty.
pub fn drive(tree: &Tree, address: &str, driver: &str) {
    let link = format!("{PCI}/{address}/driver");
    let bound = |driver: &str| format!("sys/bus/pci/drivers/{driver}/{address}");
    if let Ok(old) = std::fs::read_link(tree.path(&link)) {
        tree.without(&bound(old.file_name().unwrap().to_str().unwrap()));
        tree.without(&link);
    }
    if !driver.is_empty() {
        tree.link(&link, &format!("../../../../bus/pci/drivers/{driver}"));
        let device = format!("../../../../devices/pci0000:80/0000:80:02.0/{address}");
        tree.link(&bound(driver), &device);
    }
}

/// Makes a device a parent of mediated devices.
pub fn offer(tree: &Tree, address: &str, types: &[&str]) {
    let dir = format!("{PCI}/{address}/mdev_supported_types");
    tree.dir(&dir).link(
        &format!("sys/class/mdev_bus/{address}"),
        &format!("../../devices/pci0000:80/0000:80:02.0/{address}"),
    );
    for id in types {
        let (name, mib, most) = known(id);
        tree.file(
            &format!("{dir}/{id}/available_instances"),
            format!("{most}\n"),
        )
        .file(&format!("{dir}/{id}/device_api"), "vfio-pci\n")
        .file(&format!("{dir}/{id}/name"), format!("{name}\n"))
        .file(
            &format!("{dir}/{id}/description"),
            format!(
                "num_heads=4, frl_config=60, framebuffer={mib}M, max_resolution=5120x2880, \
                     max_instance={most}\n"
            ),
        )
        .dir(&format!("{dir}/{id}/devices"));
    }
}

/// A type's name, framebuffer in MiB, and instances that fit.
fn known(id: &str) -> (&str, u32, u32) {
    match id {
        "nvidia-63" => ("GRID P4-1Q", 1024, 8),
        "nvidia-64" => ("GRID P4-2Q", 2048, 4),
        "nvidia-65" => ("GRID P4-4Q", 4096, 2),
        "nvidia-46" => ("GRID P40-1Q", 1024, 24),
        "nvidia-47" => ("GRID P40-2Q", 2048, 12),
        "nvidia-48" => ("GRID P40-3Q", 3072, 8),
        "nvidia-222" => ("GRID T4-1B", 1024, 16),
        "nvidia-230" => ("GRID T4-1Q", 1024, 16),
        _ => ("i915 type", 512, 2),
    }
}

/// A server with Debian 12, KVM, an IOMMU and vgpuctl installed; no card yet.
pub fn server() -> Tree {
    let tree = Tree::new();
    tree.file(
        "usr/lib/os-release",
        "PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nNAME=\"Debian GNU/Linux\"\n\
         VERSION_ID=\"12\"\nID=debian\n",
    )
    .link("etc/os-release", "../usr/lib/os-release")
    .link("lib", "usr/lib")
    .link("bin", "usr/bin")
    .link("sbin", "usr/sbin")
    .file("proc/cpuinfo", INTEL)
    .file(
        "proc/cmdline",
        "BOOT_IMAGE=/boot/vmlinuz-6.1.0-18-amd64 root=UUID=0 ro quiet intel_iommu=on iommu=pt\n",
    )
    .file("proc/sys/kernel/osrelease", "6.1.0-18-amd64\n")
    .file("proc/1/comm", "systemd\n")
    .file("proc/modules", VFIO)
    .file("dev/kvm", "")
    .dir("sys/bus/pci/devices")
    .link("sys/class/iommu/dmar0", "../../devices/virtual/iommu/dmar0")
    .link("sys/class/iommu/dmar1", "../../devices/virtual/iommu/dmar1")
    .dir("sys/kernel/iommu_groups/0/devices")
    .dir("sys/kernel/iommu_groups/1/devices")
    .dir("run/systemd/system")
    .dir("usr/sbin");
    ours(&tree);
    // Every server has one of these for its console.
    put(
        &tree,
        &Card {
            address: "0000:03:00.0",
            vendor: 0x1a03,
            device: 0x2000,
            class: "0x030000",
            driver: "ast",
            types: None,
            functions: None,
        },
    );
    tree
}

/// What `make install` puts on a host.
fn ours(tree: &Tree) {
    let repository = |file: &str| {
        let path = format!("{}/{file}", env!("CARGO_MANIFEST_DIR"));
        std::fs::read(path).unwrap()
    };
    let units = "usr/lib/systemd/system";
    tree.file("usr/local/bin/vgpuctl", "")
        .file(
            "usr/lib/udev/rules.d/60-vgpuctl.rules",
            repository("udev-rules/60-vgpuctl.rules"),
        )
        .link("usr/lib/udev/vgpuctl", "/usr/local/bin/vgpuctl")
        .link(
            "etc/systemd/system/multi-user.target.wants/vgpuctl-restore.service",
            "/lib/systemd/system/vgpuctl-restore.service",
        );
    for unit in ["vgpuctl-restore.service", "vgpuctl-restore@.service"] {
        tree.file(
            &format!("{units}/{unit}"),
            repository(&format!("systemd/{unit}")),
        );
    }
}

const VFIO: &str = "vfio_iommu_type1 49152 0 - Live 0x0000000000000000\n\
mdev 24576 0 - Live 0x0000000000000000\n\
vfio 45056 2 vfio_iommu_type1,mdev, Live 0x0000000000000000\n\
kvm_intel 380928 0 - Live 0x0000000000000000\n\
kvm 1142784 1 kvm_intel, Live 0x0000000000000000\n";

/// A module's own words, of the vGPU manager as of every proprietary driver.
pub fn says(version: &str) -> String {
    format!(
        "NVRM version: NVIDIA UNIX x86_64 Kernel Module  {version}  Thu Oct 19 18:42:12 UTC 2023\n\
         GCC version:  gcc version 12.2.0 (Debian 12.2.0-14) \n"
    )
}

/// NVIDIA's vGPU manager of that version, with both daemons at work.
pub fn manager(tree: &Tree, version: &str) {
    let libraries = "usr/lib/x86_64-linux-gnu";
    tree.file("proc/driver/nvidia/version", says(version))
        .file(
            "proc/modules",
            format!(
                "nvidia_vgpu_vfio 73728 0 - Live 0x0000000000000000 (OE)\n\
                 nvidia 54996992 10 nvidia_vgpu_vfio, Live 0x0000000000000000 (POE)\n{VFIO}"
            ),
        )
        .file("usr/bin/nvidia-vgpud", "")
        .file("usr/bin/nvidia-vgpu-mgr", "")
        .file("usr/lib/nvidia/sriov-manage", "")
        .file("proc/1712/comm", "nvidia-vgpu-mgr\n")
        .file(
            "proc/1712/maps",
            "55d0c8a00000-55d0c8a4f000 r-xp 00000000 08:01 1312 /usr/bin/nvidia-vgpu-mgr\n",
        );
    for library in ["libnvidia-vgpu", "libnvidia-vgxcfg", "libnvidia-ml"] {
        tree.file(&format!("{libraries}/{library}.so.{version}"), "");
    }
    for (stem, what) in [
        ("nvidia-vgpud", "NVIDIA vGPU Daemon"),
        ("nvidia-vgpu-mgr", "NVIDIA vGPU Manager Daemon"),
    ] {
        tree.file(
            &format!("usr/lib/systemd/system/{stem}.service"),
            format!(
                "[Unit]\nDescription={what}\nWants=syslog.target\nAfter=syslog.target\n\n\
                 [Service]\nType=forking\nExecStart=/usr/bin/{stem}\n\
                 ExecStopPost=/bin/rm -rf /var/run/{stem}\n\n\
                 [Install]\nWantedBy=multi-user.target\n"
            ),
        )
        .link(
            &format!("etc/systemd/system/multi-user.target.wants/{stem}.service"),
            &format!("/lib/systemd/system/{stem}.service"),
        );
    }
}

/// A driver's source for DKMS, with or without the unlock's two edits.
pub fn source(tree: &Tree, version: &str, is_unlocked: bool) {
    let dir = format!("usr/src/nvidia-{version}/nvidia");
    let (include, flag) = match is_unlocked {
        true => (
            "#include \"/opt/vgpu_unlock/vgpu_unlock_hooks.c\"\n",
            "ldflags-y += -T /opt/vgpu_unlock/kern.ld\n",
        ),
        false => ("", ""),
    };
    tree.file(
        &format!("{dir}/os-interface.c"),
        format!("#define  __NO_VERSION__\n\n#include \"os-interface.h\"\n#include \"nv-linux.h\"\n\n#include \"nv-time.h\"\n{include}\nextern char *NVreg_TemporaryFilePath;\n"),
    )
    .file(
        &format!("{dir}/nvidia.Kbuild"),
        format!("NVIDIA_SOURCES ?=\nobj-m += nvidia.o\nnvidia-y := $(NVIDIA_OBJECTS)\n{flag}"),
    );
}

/// A Tesla P4 with the vGPU manager of vGPU 16.
pub fn p4() -> Tree {
    let tree = server();
    manager(&tree, "535.129.03");
    put(&tree, &CARD);
    tree
}

/// As Proxmox VE 8 says of itself.
fn proxmox(tree: &Tree, kernel: &str) {
    tree.file("usr/bin/pveversion", "")
        .file("proc/sys/kernel/osrelease", format!("{kernel}\n"));
}

/// A GTX 1080 Ti, unlocked with vgpu_unlock-rs, on Proxmox VE.
pub fn gtx_1080_ti() -> Tree {
    let tree = server();
    proxmox(&tree, "6.5.13-6-pve");
    manager(&tree, "535.129.03");
    source(&tree, "535.129.03", true);
    put(
        &tree,
        &Card {
            device: 0x1b06,
            class: "0x030000",
            types: Some(&["nvidia-46", "nvidia-47", "nvidia-48"]),
            ..CARD
        },
    );
    let library = "/opt/vgpu_unlock-rs/target/release/libvgpu_unlock_rs.so";
    tree.file(&library[1..], "");
    for stem in ["nvidia-vgpud", "nvidia-vgpu-mgr"] {
        tree.file(
            &format!("etc/systemd/system/{stem}.service.d/vgpu_unlock.conf"),
            format!("[Service]\nEnvironment=LD_PRELOAD={library}\n"),
        );
    }
    tree.file(
        "proc/1712/maps",
        format!("7f1c2a000000-7f1c2a0f0000 r-xp 00000000 08:01 99 {library}\n"),
    )
    .file("etc/vgpu_unlock/profile_override.toml", OVERRIDE)
    .file(
        "etc/vgpu_unlock/config.toml",
        "unlock = true\nunlock_migration = false\n",
    );
    tree
}

pub const OVERRIDE: &str = "[profile.nvidia-47]\nnum_displays = 1\ndisplay_width = 1920\n\
display_height = 1080\nmax_pixels = 2073600\ncuda_enabled = 1\nfrl_enabled = 0\n\
framebuffer = 0x74000000\nframebuffer_reservation = \"192 MiB\"\n\n\
[vm.100]\nframebuffer = \"1.5 GiB\"\n\n\
[mdev.00000000-0000-0000-0000-000000000100]\nframe_rate_limiter = 0\n";

/// A GTX 1060 with the original unlock on kernel 5.4.
pub fn original_unlock() -> Tree {
    let tree = server();
    proxmox(&tree, "5.4.203-1-pve");
    manager(&tree, "460.73.02");
    source(&tree, "460.73.02", true);
    tree.file("opt/vgpu_unlock/vgpu_unlock", "#!/bin/python3\n");
    let modules = "vfio_mdev 16384 0 - Live 0x0000000000000000\n";
    tree.edit(
        "proc/modules",
        "mdev 24576",
        &format!("{modules}mdev 24576"),
    );
    for stem in ["nvidia-vgpud", "nvidia-vgpu-mgr"] {
        tree.edit(
            &format!("usr/lib/systemd/system/{stem}.service"),
            "ExecStart=/usr",
            "ExecStart=/opt/vgpu_unlock/vgpu_unlock /usr",
        );
    }
    put(
        &tree,
        &Card {
            device: 0x1c03,
            class: "0x030000",
            ..CARD
        },
    );
    tree
}

/// A desktop with one RTX 2080 Ti and a merged driver: R460 for GeForce with a vGPU manager.
pub fn merged() -> Tree {
    let tree = original_unlock();
    tree.without(&format!("{PCI}/0000:81:00.0"));
    put(
        &tree,
        &Card {
            device: 0x1e07,
            class: "0x030000",
            ..CARD
        },
    );
    tree.file("proc/driver/nvidia/version", says("460.73.01"))
        .file("usr/lib/x86_64-linux-gnu/libnvidia-glcore.so.460.73.01", "");
    source(&tree, "460.73.01", true);
    for stem in ["nvidia-vgpud", "nvidia-vgpu-mgr"] {
        tree.edit(
            &format!("usr/lib/systemd/system/{stem}.service"),
            "[Install]",
            "Environment=\"__RM_NO_VERSION_CHECK=1\"\n\n[Install]",
        );
    }
    tree
}

/// A Tesla T4: SR-IOV in its configuration space, and mediated devices all the same.
pub fn t4() -> Tree {
    let tree = server();
    manager(&tree, "550.90.05");
    put(
        &tree,
        &Card {
            device: 0x1eb8,
            types: Some(&["nvidia-222", "nvidia-230"]),
            functions: Some((16, 0)),
            ..CARD
        },
    );
    // No IOMMU, which this card does not mind.
    tree.without("sys/class/iommu/dmar0")
        .without("sys/class/iommu/dmar1");
    tree
}

/// An L40S whose virtual functions take types themselves, on an AMD server with kernel 6.8.
pub fn l40s() -> Tree {
    let tree = server();
    proxmox(&tree, "6.8.12-4-pve");
    manager(&tree, "550.90.05");
    tree.file("usr/lib/firmware/nvidia/550.90.05/gsp_ga10x.bin", "");
    tree.file(
        "proc/cpuinfo",
        INTEL
            .replace("GenuineIntel", "AuthenticAMD")
            .replace(" vmx ", " svm "),
    )
    .file(
        "proc/cmdline",
        "BOOT_IMAGE=/boot/vmlinuz-6.8.12-4-pve root=/dev/mapper/pve-root ro quiet iommu=pt\n",
    );
    put(
        &tree,
        &Card {
            device: 0x26b9,
            types: None,
            functions: Some((32, 2)),
            ..CARD
        },
    );
    for (n, address) in ["0000:81:00.4", "0000:81:00.5"].into_iter().enumerate() {
        put(
            &tree,
            &Card {
                address,
                device: 0x26b9,
                types: None,
                ..CARD
            },
        );
        let dir = format!("{PCI}/{address}");
        tree.link(&format!("{dir}/physfn"), "../0000:81:00.0")
            .link(
                &format!("{PCI}/0000:81:00.0/virtfn{n}"),
                &format!("../{address}"),
            )
            .file(
                &format!("{dir}/nvidia/creatable_vgpu_types"),
                "ID    : vGPU Name\n1145  : NVIDIA L40S-1B\n1147  : NVIDIA L40S-1Q\n\
                 1153  : NVIDIA L40S-12Q\n1155  : NVIDIA L40S-24Q\n",
            )
            .file(&format!("{dir}/nvidia/current_vgpu_type"), "0\n");
    }
    tree
}

/// A server with two unlocked GTX 1080 Ti.
pub fn two_1080_ti() -> Tree {
    let tree = gtx_1080_ti();
    put(
        &tree,
        &Card {
            address: "0000:82:00.0",
            device: 0x1b06,
            class: "0x030000",
            types: Some(&["nvidia-46", "nvidia-47"]),
            ..CARD
        },
    );
    tree
}

/// A laptop with Intel graphics and GVT-g.
pub fn gvt_g() -> Tree {
    let tree = server();
    put(
        &tree,
        &Card {
            address: "0000:00:02.0",
            vendor: 0x8086,
            device: 0x5917,
            class: "0x030000",
            driver: "i915",
            types: Some(&["i915-GVTg_V5_4", "i915-GVTg_V5_8"]),
            functions: None,
        },
    );
    tree
}

/// An s390 host with a crypto parent: no PCI, no flags, no NVIDIA.
pub fn s390() -> Tree {
    let tree = server();
    tree.without("sys/bus")
        .without("sys/class/iommu")
        .file(
            "proc/cpuinfo",
            "vendor_id       : IBM/S390\n# processors    : 2\nfeatures\t: esan3 zarch stfle msa sie\n",
        )
        .dir("sys/devices/vfio_ap/matrix/mdev_supported_types/vfio_ap-passthrough")
        .link("sys/class/mdev_bus/matrix", "../../devices/vfio_ap/matrix");
    let types = "sys/devices/vfio_ap/matrix/mdev_supported_types/vfio_ap-passthrough";
    tree.file(&format!("{types}/available_instances"), "65536\n")
        .file(&format!("{types}/device_api"), "vfio-ap\n")
        .file(&format!("{types}/name"), "VFIO AP Passthrough Device\n");
    tree
}

/// A definition that starts at boot.
pub fn define(tree: &Tree, parent: &str, n: u8, type_id: &str) {
    tree.file(
        &format!("etc/mdevctl.d/{parent}/a00000{n:02}-0000-4000-8000-000000000000"),
        format!("{{\n  \"mdev_type\": \"{type_id}\",\n  \"start\": \"auto\",\n  \"attrs\": []\n}}"),
    );
}

/// As [`define`], of a type that one of a GPU's functions takes; with `vf`, of that function.
pub fn define_function(tree: &Tree, gpu: &str, n: u8, type_id: &str, vf: Option<&str>) {
    let vf = vf.map_or(String::new(), |vf| format!(",\n  \"vf\": \"{vf}\""));
    tree.file(
        &format!("etc/vgpuctl.d/{gpu}/a00000{n:02}-0000-4000-8000-000000000000"),
        format!(
            "{{\n  \"mdev_type\": \"{type_id}\",\n  \"start\": \"auto\",\n  \"attrs\": []{vf}\n}}"
        ),
    );
}

/// An AMD Radeon Pro V620, and nothing else.
pub fn amd() -> Tree {
    let tree = server();
    put(
        &tree,
        &Card {
            address: "0000:c1:00.0",
            vendor: 0x1002,
            device: 0x73a1,
            class: "0x030000",
            driver: "amdgpu",
            types: None,
            functions: Some((12, 0)),
        },
    );
    tree
}
