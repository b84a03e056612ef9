//! Installing the host driver and its services.

use super::{Known, PLAIN, Voice};

/// Other modules that DKMS builds: what fails there is not ours.
const OTHER_MODULES: &[&str] = &[
    "dkms install wireguard",
    "dkms/wireguard",
    "dkms install zfs",
    "dkms/zfs",
    "dkms install virtualbox",
    "dkms/virtualbox",
    "dkms install vboxhost",
    "dkms/vboxhost",
];

/// Whatever else was found: this adds nothing to it.
const ANY: &[&str] = &["*"];

pub(super) const KNOWN: &[Known] = &[
    Known {
        code: "host-package-missing",
        told_by: &[
            "Unit file nvidia-vgpud.service does not exist",
            "Unit file nvidia-vgpu-mgr.service does not exist",
            "Unit nvidia-vgpud.service could not be found",
            "Unit nvidia-vgpu-mgr.service could not be found",
            "Unit nvidia-vgpu-mgr.service not found",
            "Unit nvidia-vgpud.service not found",
            "Failed to * nvidia-vgpud.service: Unit * not found",
            "Failed to * nvidia-vgpu-mgr.service: Unit * not found",
            "nvidia-vgpud: command not found",
            "nvidia-vgpu-mgr: command not found",
            "sed: can't read nvidia-vgpud: No such file",
        ],
        follows: &[
            "build-*",
            "module-*",
            "nouveau-*",
            "secure-boot",
            "install-failed",
        ],
        cause: "the vGPU host driver (the vgpu-kvm package) is not installed: its services are not \
                there. A plain or a guest (grid) driver has none, and an installation that failed \
                left none. (Where an installer script enables the services before it installs the \
                driver, the message comes too early and means nothing.)",
        next: "install NVIDIA-Linux-x86_64-<version>-vgpu-kvm.run (or the vgpu package of your \
               distribution) and see that it ends without an error",
        source: "https://github.com/wvthoog/proxmox-vgpu-installer/issues/27",
        ..PLAIN
    },
    Known {
        code: "grid-on-host",
        told_by: &[
            "nvidia-gridd * Licensing not supported for GPUs in the system",
            "Licensing not supported for GPUs in the system",
        ],
        cause: "nvidia-gridd found no vGPU to license. On a host: the guest (grid) package was \
                installed there instead of the vGPU host driver. In a VM: the device is no vGPU (a \
                whole card), or the VM has none.",
        next: "on a host: remove that driver and install the vgpu-kvm package; in a VM: lspci -nn | \
               grep -i nvidia shows what it was given",
        source: "NVIDIA virtual GPU client licensing guide",
        ..PLAIN
    },
    Known {
        code: "kernel-headers",
        told_by: &[
            "Your kernel headers for kernel * cannot be found",
            "Unable to find the kernel source tree",
            "kernel header file * does not exist",
            "kernel source path * is invalid",
            "Could not resolve Linux kernel version",
            "kernel headers * not found * install",
            "Unable to locate package * headers-",
            "/lib/modules/*/build: No such file or directory",
        ],
        needs: &["nvidia", "Resolving Linux kernel version"],
        excused: OTHER_MODULES,
        cause: "the headers of the running kernel are not installed (or, in a driver container, no \
                repository that it sees has them), so the module cannot be built.",
        next: "install the headers of `uname -r`: linux-headers-$(uname -r), proxmox-headers-$(uname \
               -r) or pve-headers, kernel-devel; where they are no longer offered, update the kernel, \
               reboot, and build again",
        source: "https://github.com/NVIDIA/gpu-operator/issues/85",
        ..PLAIN
    },
    Known {
        code: "compiler-differs",
        told_by: &[
            "cc_version_check] Error",
            "compiler used to compile the kernel * does not match",
            "CC version check failed",
            "gcc version check failed",
            "The kernel was built by: * You are using",
            "unrecognized command-line option * -ftrivial-auto-var-init",
            "unrecognized command-line option * -fmin-function-alignment",
            "gcc-*: not found * nvidia",
            "make: gcc-*: No such file or directory",
        ],
        needs: &["nvidia", "gcc", "cc_version_check"],
        excused: &["warning: the compiler differs from the one used to build the kernel"],
        cause: "the compiler here is not the one that the kernel was built with, and the driver's \
                build refuses it or the kernel's options are unknown to it.",
        next: "install the gcc version that `cat /proc/version` names and build with CC=gcc-<N>; \
               IGNORE_CC_MISMATCH=1 only where the versions are close",
        source: "https://github.com/NVIDIA/gpu-operator/issues/18",
        ..PLAIN
    },
    Known {
        code: "build-tools-missing",
        told_by: &[
            "Unable to find the development tool cc",
            "Unable to find the development tool make",
            "you do not appear to have * cc",
            "gcc: command not found * nvidia",
            "Failed to find a working compiler",
        ],
        cause: "a compiler or make is missing, which the driver's build needs.",
        next: "apt install build-essential dkms (or dnf groupinstall \"Development Tools\"), then run the \
               installer again",
        source: "NVIDIA driver README",
        ..PLAIN
    },
    Known {
        code: "x-server-running",
        told_by: &["You appear to be running an X server"],
        cause: "the installer does not replace the driver while a display server uses the GPU.",
        next: "systemctl isolate multi-user.target, install, then systemctl isolate graphical.target",
        source: "NVIDIA driver README",
        ..PLAIN
    },
    Known {
        code: "module-loaded-already",
        told_by: &[
            "An NVIDIA kernel module nvidia* appears to already be loaded",
            "NVIDIA kernel module * appears to already be loaded in your kernel",
            "appears to already be loaded in your kernel",
        ],
        needs: &["nvidia"],
        cause: "another NVIDIA driver's module is loaded and in use, so the installer cannot put the \
                new one in its place.",
        next: "stop nvidia-vgpu-mgr, nvidia-persistenced, DCGM and display servers, uninstall the old \
               driver (nvidia-uninstall, or its packages), reboot where it cannot be unloaded",
        source: "NVIDIA driver README",
        ..PLAIN
    },
    Known {
        code: "module-load-failed",
        told_by: &[
            "Unable to load the kernel module nvidia",
            "Unable to load the nvidia-vgpu-vfio kernel module",
            "Unable to load the nvidia* kernel module",
        ],
        follows: &[
            "secure-boot",
            "gpu-owned",
            "nouveau-*",
            "gpu-not-in-release",
            "gpu-legacy",
            "gpu-bar",
            "module-missing",
            "module-symbols",
            "api-mismatch",
            "gpu-not-found",
            "gsp-*",
            "build-*",
        ],
        voice: Voice::Alone,
        cause: "the module was built but the kernel did not load it. Candidates: the GPU is held by \
                nouveau or vfio-pci (`probe routine was not called`); Secure Boot (`Key was \
                rejected`); a driver release that does not know the card; for nvidia-vgpu-vfio, \
                mdev and vfio not loaded, or a kernel without mdev.",
        next: "read the lines after `Kernel messages` at the end of /var/log/nvidia-installer.log, or \
               modprobe nvidia and dmesg: they say which",
        source: "https://github.com/NVIDIA/gpu-operator/issues/257",
        ..PLAIN
    },
    Known {
        code: "install-failed",
        told_by: &[
            "ERROR: Installation has failed",
            "performing the step: Building kernel modules",
            "The nvidia kernel module was not created",
        ],
        follows: &[
            "build-*",
            "kernel-headers",
            "compiler-differs",
            "nouveau-*",
            "secure-boot",
            "module-*",
            "gpu-*",
            "unlock-placeholder",
            "unlock-patch-rejected",
            "x-server-running",
            "api-mismatch",
        ],
        voice: Voice::Alone,
        cause: "the driver's installer gave up; most often its module does not build for this kernel \
                or does not load. The reason is in its log.",
        next: "explain /var/log/nvidia-installer.log, and with DKMS \
               /var/lib/dkms/nvidia/<version>/build/make.log",
        source: "https://github.com/ProTechEx/vgpu-proxmox/issues/1",
        ..PLAIN
    },
    Known {
        code: "vgpu-service-failed",
        told_by: &[
            "nvidia-vgpud.service: Failed with result",
            "nvidia-vgpu-mgr.service: Failed with result",
            "Failed to start NVIDIA vGPU",
            "Failed to start nvidia-vgpu",
            "nvidia-vgpud.service: Main process exited * status=6/NOTCONFIGURED",
            "nvidia-vgpu* entered failed state",
            "Job for nvidia-vgpu* failed",
        ],
        follows: ANY,
        voice: Voice::Alone,
        cause: "a vGPU daemon ended with an error and did not say why here. The usual reasons: the kernel module is \
                not loaded or of another version, the card is not unlocked (status 6), or the unlock's library or \
                settings cannot be read.",
        next: "journalctl -b -u nvidia-vgpud -u nvidia-vgpu-mgr, and dmesg | grep -i -e NVRM -e nvidia: explain \
               that text",
        source: "https://github.com/mbilker/vgpu_unlock-rs/issues/29",
        ..PLAIN
    },
    Known {
        code: "run-file-damaged",
        told_by: &[
            "Error in MD5 checksums",
            "Error in check sums",
            "archive * checksum * is different from",
        ],
        needs: &["nvidia", ".run"],
        cause: "the .run file is damaged or incomplete.",
        next: "download it again and compare its checksum",
        source: "makeself",
        ..PLAIN
    },
    Known {
        code: "no-driver-for-kernel",
        told_by: &[
            "Can't get latest Nvidia vgpu driver version and found no installed local driver",
        ],
        cause: "the unraid plugin has no driver package for this kernel release.",
        next: "use the unraid release that the plugin lists, or build the package for this kernel",
        source: "https://github.com/stl88083365/unraid-nvidia-vgpu-driver/issues/4",
        ..PLAIN
    },
];
