//! nvidia-vgpu-mgr and its plugin: why a vGPU does not start, or stops.

use super::{Known, PLAIN, Voice, checks};

/// What else tells why the plugin refused.
const REASONS: &[&str] = &[
    "unlock-*",
    "ampere-*",
    "override-*",
    "vm-uuid",
    "several-vgpus",
    "guest-*",
    "framebuffer-*",
    "size-mix",
    "mig-*",
    "rm-*",
    "module-*",
    "nouveau-*",
    "api-mismatch",
    "vgpu-mgr-*",
    "secure-boot",
    "plugin-not-supported",
    "plugin-hangs",
    "plugin-crash",
    "gsp-*",
    "create-*",
    "ecc-*",
];

pub(super) const KNOWN: &[Known] = &[
    Known {
        code: "vm-uuid",
        told_by: &[
            "Failed to get VM UUID from QEMU command-line",
            "Failed to get VM UUID from QEMU commandline",
            "Failed to get VM UUID",
        ],
        cause: "nvidia-vgpu-mgr reads the VM's UUID from the command line of QEMU, and there is \
                none. (Another virtual machine monitor than QEMU has no such command line either.)",
        next: "start QEMU with -uuid <UUID>; in Proxmox VE, add the line `args: -uuid \
               00000000-0000-0000-0000-000000000<VMID>` to /etc/pve/qemu-server/<VMID>.conf",
        source: "https://github.com/DualCoder/vgpu_unlock/issues/71",
        ..PLAIN
    },
    Known {
        code: "several-vgpus",
        told_by: &[
            "multiple vGPUs in a VM not supported",
            "multiple vGPUs * not supported",
        ],
        cause: "the VM has two vGPUs, and this type or card allows one a VM: only some cards' \
                largest Q and C types allow more.",
        next: "take all but one vGPU out of the VM (hostpci lines, hostdev elements), or choose a \
               type that NVIDIA lists for several vGPUs in a VM",
        source: "NVIDIA vGPU user guide, multiple vGPU support",
        ..PLAIN
    },
    Known {
        code: "guest-driver-older",
        told_by: &[
            "Guest VGX version is older than",
            "Guest VGX version * is older than the minimum",
        ],
        cause: "the NVIDIA driver in the guest is older than the host's vGPU manager accepts: it is of an \
                earlier vGPU release, beyond the range that `vGPU supported range` in the host's log gives. \
                In Windows this shows as code 43.",
        next: "install the guest (grid) driver that came in the same archive as the host driver; \
               remove the old one first (DDU in Windows)",
        source: "NVIDIA vGPU release notes, known issues",
        ..PLAIN
    },
    Known {
        code: "guest-driver-newer",
        told_by: &[
            "Guest VGX version is newer than",
            "Guest * newer than the maximum version supported by the Host",
        ],
        cause: "the NVIDIA driver in the guest is newer than the host's vGPU manager accepts: it is of a \
                later vGPU release than the host's. In Windows this shows as code 43.",
        next: "install the guest (grid) driver that came in the same archive as the host driver (remove the \
               newer one first, with DDU in Windows), or bring the host to the guest's release",
        source: "https://github.com/DualCoder/vgpu_unlock/issues/69",
        ..PLAIN
    },
    Known {
        code: "guest-driver-branch",
        told_by: &[
            "Incompatible Guest/Host drivers",
            "Guest VGX version * and Host VGX version * do not match",
            "Guest driver is incompatible with host driver",
            "Guest driver version is not supported by the host",
            "VGPU message * failed, guest VGX version",
            "guest VGX version not initialized",
        ],
        follows: &["guest-driver-older", "guest-driver-newer"],
        voice: Voice::Alone,
        cause: "the NVIDIA driver in the guest is of another branch than the host's vGPU manager. \
                The host accepts guests of its own vGPU release, and of a range around it that \
                `vGPU supported range` in its log gives. In Windows this shows as code 43.",
        next: "install the guest (grid) driver that came in the same archive as the host driver; \
               remove the other one first (DDU in Windows)",
        source: "https://github.com/DualCoder/vgpu_unlock/issues/74",
        ..PLAIN
    },
    Known {
        code: "guest-driver-version",
        told_by: checks::VERSIONS,
        check: checks::guest_does_not_fit,
        follows: &["guest-driver-*"],
        voice: Voice::Alone,
        cause: "the NVIDIA driver in the guest is of another branch than the host's vGPU manager accepts, \
                going by the versions that its log gives. In Windows this shows as code 43, in Linux as a \
                device that nvidia-smi does not find.",
        next: "install the guest (grid) driver that came in the same archive as the host driver; \
               remove the other one first (DDU in Windows)",
        source: "https://github.com/mbilker/vgpu_unlock-rs/issues/10",
        ..PLAIN
    },
    Known {
        code: "ecc-enabled",
        told_by: &[
            "VGX not supported with ECC",
            "vGPU not supported with ECC",
            "not supported with ECC Enabled",
        ],
        cause: "this card's or release's vGPU does not work while ECC memory is switched on.",
        next: "nvidia-smi -i <GPU> -e 0, then reboot the host",
        source: "NVIDIA vGPU release notes, known issues",
        ..PLAIN
    },
    Known {
        code: "guest-plugin-message",
        told_by: &[
            "VGPU message * failed, result code",
            "VGPU message * failed",
        ],
        follows: &["guest-driver-*"],
        voice: Voice::Alone,
        cause: "the guest's driver asked the vGPU plugin for something that it refused. Most often \
                the guest driver is of another branch than the host's (the host's log then names \
                the guest's version); with fitting versions it is a fault in the guest that a \
                restart of the VM clears.",
        next: "compare `Driver Version` under `vGPU Manager Information` and `Guest NVIDIA Driver \
               Information` in journalctl -u nvidia-vgpu-mgr, and install the guest driver of the \
               host's release",
        source: "https://github.com/DualCoder/vgpu_unlock/issues/69",
        ..PLAIN
    },
    Known {
        code: "framebuffer-exhausted",
        told_by: &[
            "NVOS status 0x51~",
            "error allocating framebuffer",
            "failed to allocate framebuffer",
            "Failed to allocate FB",
            "Unable to allocate framebuffer",
            "Failed to reserve framebuffer",
            "framebuffer * insufficient resources",
        ],
        cause: "the GPU has no framebuffer left for this vGPU: other vGPUs or programs on the host \
                hold it, profile_override.toml asks for more than the card has, or the memory of a \
                VM that died was not given back.",
        next: "compare with nvidia-smi what is taken. If no VM and no program accounts for it: with \
               all VMs off, systemctl restart nvidia-vgpu-mgr, else reboot the host. Otherwise free \
               a vGPU, or use a smaller type",
        source: "https://github.com/DualCoder/vgpu_unlock/issues/110",
        ..PLAIN
    },
    Known {
        code: "vgpu-mgr-silent",
        told_by: &[
            "start failed. status: 0x0 Timeout Occured",
            "start failed. status: 0x0 Timeout Occurred",
            "vgpu * start failed * timeout occ",
            "Timeout occurred while waiting for nvidia-vgpu-mgr",
        ],
        follows: &[
            "rm-*",
            "unlock-wrapper",
            "unlock-config",
            "api-mismatch",
            "module-*",
        ],
        cause: "the kernel module asked nvidia-vgpu-mgr to start the vGPU and got no answer: the \
                daemon does not run (in Kubernetes, inside the vgpu-manager pod), or it hangs.",
        next: "systemctl status nvidia-vgpu-mgr; start it if it is down. If it runs: stop all vGPU \
               VMs and restart it, else reboot the host",
        source: "https://github.com/NVIDIA/gpu-operator/issues/527",
        ..PLAIN
    },
    Known {
        code: "plugin-hangs",
        told_by: &["start failed. status: 0x0"],
        follows: &["vgpu-mgr-silent", "framebuffer-exhausted"],
        voice: Voice::Alone,
        cause: "nvidia-vgpu-mgr did not bring the vGPU up and gave no reason. Either QEMU was \
                stopped while the plugin was still starting (`ERESTARTSYS received during open`), \
                or the plugin of a VM that died still holds the vGPU, which only goes with the \
                daemon.",
        next: "with all vGPU VMs off: systemctl restart nvidia-vgpu-mgr, then start the VM; if that \
               does not help, reboot the host. Where the VM was started with a short time limit, \
               allow it more",
        source: "https://github.com/DualCoder/vgpu_unlock/issues/110",
        ..PLAIN
    },
    Known {
        code: "plugin-crash",
        told_by: &[
            "nvidia-vgpu-mgr * segfault at",
            "nvidia-vgpu-mgr * core-dump",
            "nvidia-vgpu-mgr* code=killed, status=11",
            "nvidia-vgpu-mgr * general protection",
            "nvidia-vgpu-mgr * dumped core",
            "vgpu* segfault at * libnvidia-vgpu",
            "segfault at * in libnvidia-vgpu",
        ],
        follows: &["override-*"],
        cause: "nvidia-vgpu-mgr or its plugin crashed. Where the unlock or overrides are in use they \
                are the first suspects (a library that does not fit the driver, a value out of \
                range); without them it is a fault of the driver release.",
        next: "start the VM once without profile_override.toml; update vgpu_unlock-rs to fit the \
               driver; otherwise another driver release",
        source: "https://github.com/mbilker/vgpu_unlock-rs/issues/6",
        ..PLAIN
    },
    Known {
        code: "plugin-refused",
        told_by: &[
            "vgpu * start failed. status: 0x1~",
            "start failed. status: 0x1~",
            "init_device_instance failed",
            "vmiop_log * Initialization: * failed",
            "error getting device from group * Input/output error",
            "error getting device from group * Eingabe-/Ausgabefehler",
            "error getting device from group * Erreur d'entr",
            "error getting device from group * Error de entrada/salida",
            "error getting device from group * \u{8f93}\u{5165}/\u{8f93}\u{51fa}\u{9519}\u{8bef}",
            "error getting device from group * Ошибка ввода/вывода",
            "error getting device from group * Input/output erro",
            "Assertion Failed at 0x",
        ],
        unless: &["i915-GVTg", "gvt: "],
        excused: &["Assertion Failed * harmless"],
        follows: REASONS,
        voice: Voice::Alone,
        cause: "the vGPU plugin refused to start the vGPU; its reason is in the log of \
                nvidia-vgpu-mgr. Most often: two VMs with one mdev UUID (clones of a template), a vGPU \
                of another size already on the GPU, a bad value in profile_override.toml, an \
                unlock that is not active, or a vGPU that an earlier VM has not given back.",
        next: "journalctl -u nvidia-vgpu-mgr -b, at the time of the start: explain that text. With \
               nothing there: compare the UUIDs of all VMs, see what runs on the GPU (vgpuctl gpus), \
               and if only the first start after a boot works, restart nvidia-vgpu-mgr with all VMs off",
        source: "https://github.com/anomixer/proxmox-vgpu-installer/issues/22",
        ..PLAIN
    },
    Known {
        code: "vgpu-licence",
        told_by: &[
            "vGPU license state: Unlicensed (Restricted)",
            "vGPU license state: Unlicensed (Restricted",
            "license state: Unlicensed (Restricted)",
        ],
        cause: "the guest got no vGPU licence, and the driver restricts it (frame rate, CUDA).",
        next: "in the guest: nvidia-smi -q | grep -i licens, and the log of nvidia-gridd (Linux) or \
               %SystemDrive%\\Users\\Public\\Documents\\NvidiaLogging (Windows) say why: explain that text",
        source: "NVIDIA virtual GPU client licensing guide",
        excused: &["vGPU license state: Licensed"],
        ..PLAIN
    },
    Known {
        code: "guest-xid",
        told_by: &[
            "XID * detected on physical_chid",
            "Timeout occurred, reset initiated",
            "error: vmiop_log * TDR_DUMP",
        ],
        cause: "a program in the guest made the vGPU hang or fault, and the guest's driver reset it \
                (the number after XID tells how; 43 and 31 are the program's own faults). The vGPU \
                itself was started properly.",
        next: "look up the XID in NVIDIA's list; update the guest driver; if every program does it, \
               the guest driver does not fit the host's release",
        source: "NVIDIA XID errors document",
        ..PLAIN
    },
    Known {
        code: "vgpu-migration",
        told_by: &[
            "VFIO device doesn't support migration",
            "VFIO migration is not supported in kernel",
            "VFIO migration is not supported",
            "domain has assigned non-USB host devices",
            "State blocked by non-migratable device * vfio",
            "cannot migrate a domain with * hostdev",
        ],
        cause: "a VM with a vGPU was to be migrated, saved or snapshotted, and this vGPU cannot: \
                the driver, the kernel, or (with mdev) libvirt or QEMU has no migration for it.",
        next: "shut the VM down instead; or use a vGPU card, a driver release and a hypervisor that \
               NVIDIA lists for vGPU migration, with it enabled",
        source: "https://github.com/intel/gvt-linux/issues/166",
        ..PLAIN
    },
    Known {
        code: "vgpu-mgr-socket",
        told_by: &[
            "nvidia-vgpu-mgr * Address already in use",
            "nvidia-vgpu-mgr * already running",
        ],
        cause: "a second nvidia-vgpu-mgr was started while one runs.",
        next: "systemctl stop nvidia-vgpu-mgr; killall nvidia-vgpu-mgr; systemctl start nvidia-vgpu-mgr",
        source: "the guide, section 7",
        ..PLAIN
    },
];
