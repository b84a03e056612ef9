//! vgpu_unlock and vgpu_unlock-rs: the unlock that does not reach a daemon, and its settings.

use super::{Known, PLAIN, Voice, checks};

pub(super) const KNOWN: &[Known] = &[
    Known {
        code: "unlock-vgpud",
        told_by: &[
            "vGPU is not supported on PCI Id",
            "GPU not supported by vGPU at PCI Id",
            "GPU is not supported by vGPU",
            "failed to send vGPU configuration info to RM: 6~",
        ],
        follows: &["rm-unreachable"],
        cause: "nvidia-vgpud sees a card that NVIDIA offers no vGPU for: on a consumer or \
                workstation card the unlock is not active in nvidia-vgpud, or it has no entry for \
                this card's device id. (Where the address in the line is a second card that is not \
                to be shared, this is expected.)",
        next: "with vgpu_unlock-rs, check that `systemctl cat nvidia-vgpud` shows \
               LD_PRELOAD=.../libvgpu_unlock_rs.so and that the file exists; with the original, \
               that ExecStart begins with the path to vgpu_unlock. Then: systemctl daemon-reload; \
               systemctl restart nvidia-vgpud nvidia-vgpu-mgr. A vGPU card needs no unlock: compare \
               it with NVIDIA's list for your driver release",
        source: "https://github.com/mbilker/vgpu_unlock-rs/issues/29",
        ..PLAIN
    },
    Known {
        code: "unlock-mgr",
        told_by: &[
            "supported only on VGX capable board",
            "vGPU validation of the GPU failed",
        ],
        cause: "nvidia-vgpu-mgr, or the kernel module below it, sees the card as it is, one without \
                vGPU: the unlock is not active there. With several GPU models in one host, only \
                those of one device id are unlocked by the original vgpu_unlock.",
        next: "check `systemctl cat nvidia-vgpu-mgr` for the unlock (LD_PRELOAD, or the wrapper in \
               ExecStart), and that the driver was rebuilt with both source edits (os-interface.c, \
               nvidia.Kbuild). Then: systemctl stop nvidia-vgpu-mgr; killall nvidia-vgpu-mgr; \
               systemctl start nvidia-vgpu-mgr",
        source: "https://github.com/DualCoder/vgpu_unlock/issues/41",
        ..PLAIN
    },
    Known {
        code: "ampere-consumer",
        told_by: &[
            "Failed to get blacklisted pages: 0x56",
            "Failed to get retired pages: 0x56",
        ],
        cause: "a consumer card of the Ampere generation or newer (RTX 30 and later): its vGPU \
                functions are SR-IOV, which these boards do not offer, and no stable unlock exists.",
        next: "use a card of the Maxwell 2, Pascal, Volta or Turing generation with the unlock, or \
               a vGPU card; or pass the whole card through",
        source: "https://github.com/DualCoder/vgpu_unlock/issues/99",
        ..PLAIN
    },
    Known {
        code: "plugin-not-supported",
        told_by: &["NVOS status 0x56~"],
        follows: &[
            "unlock-*",
            "ampere-consumer",
            "override-*",
            "guest-*",
            "size-mix",
        ],
        voice: Voice::Alone,
        cause: "the kernel driver answered \"not supported\" (0x56) to the vGPU plugin. On an \
                unlocked card, the unlock is missing in nvidia-vgpu-mgr or in the kernel module, or \
                the card is of the Ampere generation or newer; on a vGPU card, the type does not \
                fit the card's mode (MIG, ECC, compute mode).",
        next: "see which of the two: an unlocked card says `vgpu_unlock` or `Patching` in `journalctl -u \
               nvidia-vgpu-mgr`, and dmesg `vGPU unlock patch applied`; where either is missing, \
               that part of the unlock is",
        source: "https://github.com/DualCoder/vgpu_unlock/issues/1",
        ..PLAIN
    },
    Known {
        code: "override-invalid",
        told_by: &[
            "Failed to decode config",
            "Failed to apply profile override",
            "profile_override.toml * TOML parse error",
            "profile_override.toml * expected",
            "Failed to read * profile_override",
        ],
        follows: &["override-*"],
        cause: "profile_override.toml is not valid, so vgpu_unlock-rs refuses every VM: a key has a \
                value of the wrong type (yes and no are 1 and 0 there, sizes are numbers or quoted \
                texts such as \"512 MiB\"), or a name is too long. With a table `[vm.<VMID>]` an \
                older vgpu_unlock-rs fails the same way, since it takes the id for text.",
        next: "mend the line that the message names in /etc/vgpu_unlock/profile_override.toml and \
               start the VM again; for `[vm.N]`, update vgpu_unlock-rs or write [mdev.<uuid>]",
        source: "https://github.com/mbilker/vgpu_unlock-rs/pull/27",
        ..PLAIN
    },
    Known {
        code: "unlock-rs-older",
        told_by: &[
            "Parameters size for * was * bytes, expected * bytes",
            "Parameters size for * was * bytes, expected",
        ],
        check: checks::got_more_than_expected,
        cause: "vgpu_unlock-rs is older than the driver: the driver's structure is larger than the \
                one it knows, so it leaves it alone, and overrides have no effect.",
        next: "build the newest vgpu_unlock-rs (or one made for this driver release), then restart \
               nvidia-vgpud and nvidia-vgpu-mgr",
        source: "https://github.com/mbilker/vgpu_unlock-rs/issues/51",
        ..PLAIN
    },
    Known {
        code: "unlock-rs-newer",
        told_by: &[
            "Parameters size for * was * bytes, expected * bytes",
            "Parameters size for * was * bytes, expected",
        ],
        check: checks::got_less_than_expected,
        cause: "the driver is older than this vgpu_unlock-rs: its structure is smaller than the one \
                that vgpu_unlock-rs knows, so overrides have no effect.",
        next: "use a newer driver, or build an older vgpu_unlock-rs made for this driver release, \
               then restart nvidia-vgpud and nvidia-vgpu-mgr",
        source: "https://github.com/mbilker/vgpu_unlock-rs/issues/26",
        ..PLAIN
    },
    Known {
        code: "unlock-rs-other",
        told_by: &["Parameters size for"],
        needs: &["vgpu"],
        unless: &["bytes, expected"],
        cause: "vgpu_unlock-rs and the driver are of different ages: they disagree on a structure, \
                and overrides have no effect. Where the first number is larger than the expected \
                one, vgpu_unlock-rs is older than the driver; where it is smaller, the driver is.",
        next: "build the vgpu_unlock-rs that fits the driver's release, then restart nvidia-vgpud and \
               nvidia-vgpu-mgr",
        source: "https://github.com/mbilker/vgpu_unlock-rs/issues/51",
        ..PLAIN
    },
    Known {
        code: "override-frl",
        told_by: &[
            "frl_enabled: 1 -> 60",
            "frl_enable: 1 -> 60",
            "frl_enabled: 1 -> 30",
            "frl_enable: 1 -> 30",
            "frl_enabled: 1 -> 144",
            "frl_enabled: 0 -> 60",
        ],
        cause: "profile_override.toml sets frl_enabled to a frame rate, but it is a switch: 0 or 1.",
        next: "write frl_enabled = 0 or 1 (the rate itself is frl_config)",
        source: "https://github.com/mbilker/vgpu_unlock-rs/issues/10",
        ..PLAIN
    },
    Known {
        code: "override-refused",
        told_by: &["error setting vGPU configuration information f"],
        follows: &["override-invalid", "override-frl", "unlock-*"],
        cause: "the driver refuses the vGPU's configuration. Either a value in \
                profile_override.toml is out of range (most often framebuffer with \
                framebuffer_reservation, beyond what the type or the card has), or the unlock is \
                missing in the kernel module. Without overrides it is the second.",
        next: "move /etc/vgpu_unlock/profile_override.toml away and start the VM: if it starts, put \
               the keys back one by one; if not, rebuild the driver with the unlock's source edits",
        source: "https://github.com/mbilker/vgpu_unlock-rs/issues/5",
        ..PLAIN
    },
    Known {
        code: "unlock-config",
        told_by: &[
            "vgpu_unlock * panicked at",
            "libvgpu_unlock * panicked at",
            "vgpu_unlock/config.toml * error",
            "Failed to parse * vgpu_unlock/config.toml",
            "src/lib.rs * panicked * Toml",
            "Failed to read config.toml",
        ],
        needs: &["vgpu"],
        cause: "vgpu_unlock-rs could not read its own settings in /etc/vgpu_unlock/config.toml and \
                took the daemon down with it.",
        next: "mend or remove /etc/vgpu_unlock/config.toml (`unlock = true` is all that it needs), \
               then restart nvidia-vgpud and nvidia-vgpu-mgr",
        source: "https://github.com/mbilker/vgpu_unlock-rs, src/config.rs",
        ..PLAIN
    },
    Known {
        code: "unlock-library",
        told_by: &[
            "ld.so * vgpu_unlock * LD_PRELOAD * cannot be preloaded",
            "vgpu_unlock * from LD_PRELOAD cannot be preloaded",
            "vgpu_unlock * wrong ELF class",
            "vgpu_unlock * version `GLIBC",
            "GLIBC_ * not found (required by * vgpu_unlock",
        ],
        cause: "the unlock's library cannot be loaded into the daemon: LD_PRELOAD names a file that \
                is not there, not readable, or built for another system. The daemon runs on without \
                the unlock.",
        next: "build it on this host (cargo build --release), correct the path in \
               /etc/systemd/system/nvidia-vgpud.service.d/vgpu_unlock.conf and the same for \
               nvidia-vgpu-mgr, then systemctl daemon-reload and restart both",
        source: "ld.so(8); https://github.com/mbilker/vgpu_unlock-rs",
        ..PLAIN
    },
    Known {
        code: "unlock-wrapper",
        told_by: &[
            "Failed at step EXEC spawning * vgpu_unlock",
            "Failed to execute * vgpu_unlock",
            "Failed to locate executable * vgpu_unlock",
            "Unable to locate executable * vgpu_unlock",
            "status=203/EXEC * vgpu",
            "vgpu* status=203/EXEC",
            "vgpu_unlock: Permission denied",
            "vgpu_unlock: No such file or directory",
            "vgpu_unlock: command not found",
        ],
        cause: "systemd cannot start the wrapper vgpu_unlock that ExecStart names: the path is \
                wrong, the file is not executable, or its interpreter (python3) is missing.",
        next: "chmod +x the script, correct its path in nvidia-vgpud.service and \
               nvidia-vgpu-mgr.service, then systemctl daemon-reload and restart both",
        source: "https://github.com/DualCoder/vgpu_unlock, README",
        ..PLAIN
    },
    Known {
        code: "unlock-frida",
        told_by: &[
            "No module named frida",
            "frida.*Error",
            "import frida * ModuleNotFoundError",
            "frida: unable to",
        ],
        cause: "the original vgpu_unlock needs the Python package frida, which the Python that runs \
                it does not have (or not in a version that works here).",
        next: "pip3 install frida as root, for the python3 that the script's first line names; then \
               restart nvidia-vgpud and nvidia-vgpu-mgr. vgpu_unlock-rs needs no Python",
        source: "https://github.com/DualCoder/vgpu_unlock, README",
        ..PLAIN
    },
    Known {
        code: "unlock-bare-call",
        told_by: &["sys.argv[1] != -f"],
        needs: &["vgpu_unlock"],
        cause: "the script vgpu_unlock was started without a program: it is a wrapper around \
                nvidia-vgpud and nvidia-vgpu-mgr. This says nothing about the installation.",
        next: "nothing to mend; let the services start it: systemctl restart nvidia-vgpud \
               nvidia-vgpu-mgr",
        source: "https://github.com/DualCoder/vgpu_unlock/issues/83",
        ..PLAIN
    },
    Known {
        code: "unlock-placeholder",
        told_by: &[
            "cannot open path_to_vgpu_unlock",
            "path_to_vgpu_unlock * No such file",
            "vgpu_unlock_hooks.c: No such file",
            "kern.ld: No such file",
            "cannot open linker script file * kern.ld",
            "cannot find * kern.ld",
        ],
        cause: "the driver's sources were edited for the unlock with a path that does not exist: the \
                README's <path_to_vgpu_unlock> stands there as it is, or the folder was moved.",
        next: "put the absolute path of vgpu_unlock into os-interface.c (the #include) and \
               nvidia.Kbuild (the -T option), then dkms remove and dkms install the driver again",
        source: "https://github.com/DualCoder/vgpu_unlock/issues/4",
        ..PLAIN
    },
    Known {
        code: "unlock-patch-rejected",
        told_by: &[
            "Hunk #* FAILED * nvidia",
            "Hunk #* FAILED at * os-interface.c",
            "patch * does not apply * vgpu",
            "out of * hunks FAILED -- saving rejects to file",
            "out of * hunk FAILED -- saving rejects to file",
            "Reversed (or previously applied) patch detected",
        ],
        needs: &["nvidia", "vgpu"],
        cause: "a patch for the driver does not fit its sources: it is for another driver release, \
                or it was applied already.",
        next: "unpack the .run file afresh and apply the patch made for exactly that release",
        source: "https://github.com/DualCoder/vgpu_unlock/issues/84",
        ..PLAIN
    },
    Known {
        code: "patched-run-incomplete",
        told_by: &[
            "vgpu-kvm-custom/pkg-history.txt: No such file",
            "pkg-history.txt: No such file or directory",
        ],
        cause: "--apply-patch made a .run file that lacks its package list: the makeself or patch \
                program of this system (Debian 13, Proxmox VE 9) is too new for the way in which \
                the .run file repacks itself.",
        next: "use an installer script that mends this, or unpack with -x, apply the patch by hand, \
               and run nvidia-installer in the folder",
        source: "https://github.com/anomixer/proxmox-vgpu-installer/issues/5",
        ..PLAIN
    },
];
