//! The kernel driver: not loaded, of another version, or without the GPU.

use super::checks::{self, legacy_branch};
use super::{Known, PLAIN, Voice};

pub(super) const KNOWN: &[Known] = &[
    Known {
        code: "secure-boot",
        told_by: &[
            "Key was rejected by service",
            "Required key not available",
            "Loading of unsigned module is rejected",
            "Loading of module with unavailable key is rejected",
            "unsigned module loading is restricted",
            "bad shim signature",
            "PKCS#7 signature not signed with a trusted key",
            "module verification failed * rejected",
        ],
        needs: &[
            "nvidia",
            "kvmgt",
            "vgpu",
            "mdev",
            "vfio",
            "bad shim signature",
        ],
        check: checks::module_of_ours,
        cause: "the kernel refuses the driver's module because Secure Boot is on and the module is \
                not signed with a key that the firmware knows.",
        next: "enrol the key that DKMS or the installer signed with (mokutil --import <key>.der, then \
               confirm at the next boot), or switch Secure Boot off in the firmware",
        source: "https://github.com/wvthoog/proxmox-vgpu-installer/issues/9",
        ..PLAIN
    },
    Known {
        code: "mok-format",
        told_by: &["is not a valid x509 certificate in DER format"],
        cause: "mokutil takes certificates in DER form, and was given one in PEM form.",
        next: "openssl x509 -in <key>.crt -outform DER -out <key>.der, then mokutil --import <key>.der",
        source: "https://github.com/anomixer/proxmox-vgpu-installer/issues/14",
        ..PLAIN
    },
    Known {
        code: "api-mismatch",
        told_by: &[
            "API mismatch: the client",
            "NVRM: API mismatch",
            "API mismatch: this is the",
        ],
        cause: "NVIDIA's programs and the loaded kernel module are of different versions: with a \
                merged driver that is by design and the check must be off; otherwise the driver was \
                updated and the old module is still loaded, or two driver packages are mixed.",
        next: "merged driver: add Environment=\"__RM_NO_VERSION_CHECK=1\" to nvidia-vgpud.service and \
               nvidia-vgpu-mgr.service, daemon-reload, restart both. Otherwise: reboot, then compare \
               `cat /proc/driver/nvidia/version` with `nvidia-smi --version`, and remove the package \
               that does not belong",
        source: "the guide, sections 6a and 7",
        ..PLAIN
    },
    Known {
        code: "driver-library-mismatch",
        told_by: &["Driver/library version mismatch", "NVML library version"],
        follows: &["api-mismatch"],
        voice: Voice::Alone,
        cause: "nvidia-smi's library and the loaded kernel module are of different versions: the \
                driver was updated and the old module is still loaded, or a second driver package \
                (CUDA, the distribution's) brought its own libraries.",
        next: "reboot, or unload and load the module with nothing using it; if it stays, find the \
               second package: dpkg -l | grep -i nvidia, rpm -qa | grep -i nvidia",
        source: "https://github.com/NVIDIA/gpu-operator/issues/590",
        ..PLAIN
    },
    Known {
        code: "nouveau-in-the-way",
        told_by: &[
            "Nouveau kernel driver is currently in use",
            "Nouveau * is currently in use by your system",
            "conflicting * module * nouveau",
            "Kernel driver in use: nouveau",
            "nouveau * already loaded * nvidia",
        ],
        cause: "the driver nouveau holds the GPU, so NVIDIA's cannot be installed or take it.",
        next: "blacklist it (a file in modprobe.d with `blacklist nouveau` and `options nouveau \
               modeset=0`), rebuild the initramfs (update-initramfs -u or dracut -f), reboot",
        source: "the guide, section 3c",
        ..PLAIN
    },
    Known {
        code: "gpu-owned",
        told_by: &[
            "NVIDIA probe routine was not called for",
            "This can occur when another driver was loaded and obtained ownership",
            "This can occur when a driver such as * obtained ownership",
        ],
        follows: &["nouveau-in-the-way"],
        cause: "another driver owns the GPU, so NVIDIA's found none to serve: nouveau, or vfio-pci \
                where the card was once passed through whole (also rivafb, nvidiafb).",
        next: "`lspci -nnk -d 10de:` shows the driver in use. nouveau: blacklist it and rebuild the \
               initramfs; vfio-pci: take the card's ids out of `options vfio-pci ids=` and the kernel \
               command line; reboot",
        source: "https://github.com/DualCoder/vgpu_unlock/issues/53",
        ..PLAIN
    },
    Known {
        code: "gpu-open-module",
        told_by: &[
            "installed in this system is not supported by open",
            "nvidia.ko because it does not include the required GPU",
            "are not supported by open nvidia.ko",
            "not supported by open * because it does not include the required",
            "Open nvidia.ko is only ready for use on Data Center GPUs",
        ],
        cause: "the open kernel modules are installed, and they cannot serve this GPU: they need the GPU \
                System Processor (GSP), which cards before Turing (Maxwell, Pascal, Volta) lack.",
        next: "install the proprietary modules of the same release: nvidia-installer -m=kernel, \
               `kernel` instead of `kernel-open` in /etc/nvidia/kernel.conf, or the distribution's package \
               without `open` in its name",
        source: "https://github.com/NVIDIA/open-gpu-kernel-modules/issues/696",
        ..PLAIN
    },
    Known {
        code: "gpu-closed-module",
        told_by: &[
            "requires use of the NVIDIA open kernel modules",
            "requires use of the open kernel modules",
        ],
        cause: "the proprietary kernel modules are installed, and this GPU (Blackwell and newer) works with \
                the open ones only.",
        next: "install the open modules of the same release: nvidia-installer -m=kernel-open, or the \
               distribution's package with `open` in its name",
        source: "NVIDIA driver README",
        ..PLAIN
    },
    Known {
        code: "gpu-not-in-release",
        told_by: &[
            "installed in this system is not supported by",
            "is not supported by the NVIDIA * driver release",
        ],
        unless: &[
            "not supported by open",
            "nvidia.ko because it does not include",
        ],
        cause: "this driver release does not support the GPU. On a host: the card is too old for it \
                (R550 and newer have no vGPU for Maxwell and Pascal, later ones none for Volta), too \
                new. In a guest with a vGPU: \
                the plain driver was installed instead of the guest (grid) driver.",
        next: "host: take the vGPU release that lists the card (16.x, R535, for Maxwell and Pascal); \
               guest: remove the driver and install the grid driver of the host's release",
        source: "https://github.com/siderolabs/extensions/issues/227",
        ..PLAIN
    },
    Known {
        code: "gpu-legacy",
        told_by: &[
            "GPU installed in this system is * supported through the NVIDIA * legacy~",
            "supported through the NVIDIA * legacy~",
            "only supported up to the * legacy drivers series",
            "only supported by the * legacy drivers series",
        ],
        needs: &["nvidia"],
        blank: legacy_branch,
        cause: "this driver release is too new for the GPU that the lines name, and leaves it alone; the last \
                branch that serves it is <N>. Other GPUs of the host are not concerned. (Whether the branch also makes \
                vGPUs of it is another question: for Maxwell and Pascal, the last that does is 535, vGPU 16.)",
        next: "if that GPU is to be used, install a driver of branch <N> in place of this one: for vGPUs, the newest \
               vGPU release that lists the card; in a guest, the guest driver of the host's release",
        source: "https://github.com/anomixer/proxmox-vgpu-installer/issues/29",
        ..PLAIN
    },
    Known {
        code: "gpu-not-found",
        told_by: &[
            "NVRM: No NVIDIA GPU found",
            "NVRM: No NVIDIA graphics adapter",
            "NVRM: No NVIDIA devices probed",
            "None of the NVIDIA graphics adapters were initialized",
            "None of the NVIDIA devices were initialized",
            "You do not appear to have an NVIDIA GPU supported by",
            "could not insert nvidia: No such device",
        ],
        follows: &[
            "gpu-owned",
            "nouveau-in-the-way",
            "gpu-open-module",
            "gpu-closed-module",
            "gpu-not-in-release",
            "gpu-legacy",
            "gpu-bar",
            "rm-init-failed",
            "gpu-lost",
        ],
        voice: Voice::Alone,
        cause: "NVIDIA's module found no GPU to serve: the card is bound to vfio-pci or nouveau, \
                this driver release does not know it, or it is not visible at all (firmware \
                settings, a VM without the device).",
        next: "lspci -nnk -d 10de: not listed = not visible; `Kernel driver in use` vfio-pci or \
               nouveau = unbind it; otherwise a driver release that lists the card",
        source: "https://github.com/anomixer/proxmox-vgpu-installer/issues/13",
        ..PLAIN
    },
    Known {
        code: "rm-unreachable",
        told_by: &[
            "Failed to initialize RM client",
            "failed to allocate client",
            "failed to read pGPU information",
            "failed to send vGPU configuration info to RM: 9~",
            "failed to open /dev/nvidiactl",
            "vgpu* could not open /dev/nvidiactl",
        ],
        follows: &[
            "secure-boot",
            "api-mismatch",
            "nouveau-*",
            "gpu-*",
            "build-*",
            "module-*",
        ],
        voice: Voice::Alone,
        cause: "the vGPU daemon cannot talk to NVIDIA's kernel module: it is not loaded (not built \
                for this kernel, refused by Secure Boot, the GPU held by another driver), or it is \
                of another version than the daemon.",
        next: "lsmod | grep nvidia; dkms status; dmesg | grep -i -e NVRM -e nvidia; modprobe nvidia \
               says why it fails; then restart nvidia-vgpud and nvidia-vgpu-mgr",
        source: "https://github.com/DualCoder/vgpu_unlock/issues/83",
        ..PLAIN
    },
    Known {
        code: "module-missing",
        told_by: &[
            "modprobe: FATAL: Module nvidia* not found in directory",
            "Module nvidia not found in directory",
            "Module nvidia-vgpu-vfio not found",
            "Module nvidia_vgpu_vfio not found",
            "Failed to find module nvidia",
            "Failed to insert module nvidia",
            "could not insert module nvidia* No such file",
            "Kernel module load error: No such file or directory",
        ],
        follows: &["build-*", "secure-boot"],
        cause: "there is no NVIDIA module for the running kernel: it was built for another kernel \
                (an update came since), its build failed, or, for nvidia-vgpu-vfio, the package is \
                not the vGPU host (vgpu-kvm) driver, or a release and kernel (6.8 and newer) that \
                have none.",
        next: "uname -r; dkms status; install the headers of the running kernel and let DKMS build \
               again (dkms autoinstall); explain the make.log where that fails",
        source: "https://github.com/anomixer/proxmox-vgpu-installer/issues/21",
        ..PLAIN
    },
    Known {
        code: "module-symbols",
        told_by: &[
            "nvidia* Unknown symbol",
            "nvidia* disagrees about version of symbol",
            "could not insert nvidia* Unknown symbol in module",
            "could not insert nvidia* Exec format error",
            "could not insert nvidia* Invalid argument",
            "nvidia* version magic * should be",
            "kvmgt* Unknown symbol",
        ],
        follows: &["secure-boot"],
        cause: "the module does not fit the running kernel: it was built for another one, or another \
                module that it needs (mdev, vfio) is not loaded. `mdev_` or `vfio_` in the symbol's \
                name: the latter.",
        next: "mdev or vfio symbols: modprobe -a mdev vfio, then the module; otherwise build it for \
               this kernel: dkms remove, dkms install",
        source: "https://github.com/DualCoder/vgpu_unlock/issues/53",
        ..PLAIN
    },
    Known {
        code: "smi-no-driver",
        told_by: &[
            "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver",
            "NVIDIA-SMI has failed because it could not communicate",
            "Failed to initialize NVML: Driver Not Loaded",
        ],
        follows: &[
            "secure-boot",
            "api-mismatch",
            "nouveau-*",
            "gpu-*",
            "build-*",
            "module-*",
            "rm-*",
            "install-*",
            "grid-on-host",
            "gsp-*",
        ],
        voice: Voice::Alone,
        cause: "NVIDIA's kernel module is not loaded, or serves no GPU: not built for this kernel, \
                refused by Secure Boot, or the GPU is held by nouveau or vfio-pci. nvidia-smi cannot \
                tell which.",
        next: "modprobe nvidia, and dmesg | grep -i -e NVRM -e nvidia, say which: explain that text",
        source: "https://github.com/fenghan0430/How-to-use-vGPU/issues/5",
        ..PLAIN
    },
    Known {
        code: "gsp-firmware-missing",
        told_by: &[
            "firmware load for nvidia/ * gsp * failed with error -2",
            "firmware load for nvidia/ * gsp * failed",
            "Cannot find GSP firmware",
            "RmFetchGspRmImages",
            "failed to load GSP firmware",
            "RM firmware not ready * GSP",
        ],
        cause: "the kernel finds no GSP firmware of the driver's version in the host's firmware \
                directory, so the GPU does not start. In Kubernetes: the vgpu-manager container \
                could not tell the kernel where its copy is (a read-only /sys).",
        next: "install the driver's firmware as /lib/firmware/nvidia/<version>/gsp_*.bin, or with \
               the GPU operator use a release that mounts the firmware path (24.6 or newer); then \
               reload the module",
        source: "https://github.com/NVIDIA/cloud-native-docs/pull/76",
        ..PLAIN
    },
    Known {
        code: "gsp-timeout",
        told_by: &[
            "Timeout waiting for RPC from GSP",
            "Timeout after * waiting for RPC response from GPU",
            "Xid (PCI:*): 119",
            "Xid (PCI:*): 120",
        ],
        cause: "the GPU's own firmware (GSP) does not answer the driver: a known fault of several \
                driver releases, or a GPU that must be power-cycled.",
        next: "update the driver (525.105.17 or newer for the known fault); where the proprietary \
               module and the card allow it, NVreg_EnableGpuFirmware=0; else power the host off and on",
        source: "https://github.com/NVIDIA/open-gpu-kernel-modules/issues/446",
        ..PLAIN
    },
    Known {
        code: "gpu-firmware-boot",
        told_by: &[
            "failed to wait for GFW_BOOT",
            "Cannot initialize GSP firmware RM",
            "GPU firmware boot * failed",
        ],
        follows: &["gsp-firmware-missing"],
        cause: "the GPU's firmware did not boot: the card is in a bad state after a reset or pass-\
                through, has a power or contact problem, or is broken. It is no matter of vGPU.",
        next: "power the host fully off and on, reseat the card and its power, try another slot or \
               another VBIOS",
        source: "https://github.com/NVIDIA/open-gpu-kernel-modules/issues/789",
        ..PLAIN
    },
    Known {
        code: "gpu-lost",
        told_by: &["GPU has fallen off the bus", "Xid (PCI:*): 79"],
        cause: "the GPU no longer answers on the PCI bus: power, heat, a bad riser or slot, or \
                PCIe power saving. Everything after it follows from that.",
        next: "power the host off and on; check cooling and power; try pcie_aspm=off",
        source: "NVIDIA XID errors document",
        ..PLAIN
    },
    Known {
        code: "rm-init-failed",
        told_by: &["RmInitAdapter failed", "rm_init_adapter failed"],
        follows: &[
            "gsp-*",
            "gpu-firmware-boot",
            "gpu-lost",
            "gpu-bar",
            "guest-*",
            "secure-boot",
        ],
        voice: Voice::Alone,
        cause: "the driver could not start the GPU. In a VM with a vGPU: the plain driver instead of \
                the guest (grid) driver, or a grid driver of another branch than the host's. On the \
                host, or with a whole card passed through: GSP firmware missing, a card that was not \
                reset properly, or too little address space (Above 4G decoding).",
        next: "in a VM: lspci -nn and the host's `journalctl -u nvidia-vgpu-mgr` (Guest VGX version) \
               tell which; on the host: read the lines before it in dmesg, then power-cycle",
        source: "https://github.com/mbilker/vgpu_unlock-rs/issues/10",
        ..PLAIN
    },
    Known {
        code: "gpu-bar",
        told_by: &[
            "PCI I/O region assigned to your NVIDIA device is invalid",
            "BAR1 is 0M @ 0x0",
            "NVRM: BAR* is 0M",
            "NVIDIA device is invalid: * NVRM: BAR",
        ],
        cause: "the GPU got no address range for its memory: the firmware has no 64-bit range for \
                it, or the VM's firmware does not offer one.",
        next: "switch on Above 4G decoding (and Resizable BAR support where there is) in the \
               firmware; otherwise boot with pci=realloc; in a VM use OVMF and q35",
        source: "NVIDIA driver README; NVIDIA vGPU release notes",
        ..PLAIN
    },
    Known {
        code: "module-in-use",
        told_by: &[
            "rmmod: ERROR: Module nvidia* is in use",
            "modprobe: FATAL: Module nvidia* is in use",
            "with non-zero usage count",
            "Module nvidia* is in use by",
        ],
        cause: "the NVIDIA module or GPU is still in use (a VM with a vGPU, nvidia-vgpu-mgr, \
                nvidia-persistenced, DCGM, a display server), so it cannot be unloaded or unbound.",
        next: "stop the VMs, then systemctl stop nvidia-vgpu-mgr nvidia-persistenced; \
               `fuser -v` on the nodes /dev/nvidia* names who is left",
        source: "https://github.com/NVIDIA/open-gpu-kernel-modules/issues/1119",
        ..PLAIN
    },
    Known {
        code: "driver-unload-hang",
        told_by: &["Device is currently in use, task * blocked until device is released"],
        cause: "a mediated device was removed while a program had it open: the kernel waits until it \
                lets go, and the removal cannot be killed. The UUID is gone from the list, but its \
                instance still counts.",
        next: "end the VM or program that holds the device (vgpuctl show says which, while it is \
               listed); removing is safe once nobody has it open",
        source: "kernel, drivers/vfio",
        ..PLAIN
    },
];
