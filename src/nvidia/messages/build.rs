//! Building the driver's module for a kernel that it was not written for.

use super::{Known, PLAIN, Voice};

pub(super) const KNOWN: &[Known] = &[
    Known {
        code: "build-gpl-symbol",
        told_by: &[
            "GPL-incompatible module nvidia*.ko uses GPL-only symbol",
            "GPL-incompatible module nvidia * GPL-only symbol",
        ],
        cause: "this kernel offers a function to GPL modules only that the driver uses (rcu_read_lock \
                and others with some configurations): the driver release does not fit this kernel.",
        next: "use another kernel (the distribution's LTS one), a newer driver release, or the patch made \
               for this pair",
        source: "NVIDIA driver release notes",
        ..PLAIN
    },
    Known {
        code: "build-unlock-hooks",
        told_by: &[
            "modpost: strlen",
            "undefined reference to strlen",
            "vgpu_unlock_hooks.c: * error:",
        ],
        needs: &["nvidia", "vgpu_unlock"],
        cause: "the original vgpu_unlock's hooks do not build or link with this driver release: they were written \
                for releases up to R460.",
        next: "use vgpu_unlock-rs, with the patch for this driver release, instead of the original's source edits",
        source: "https://github.com/DualCoder/vgpu_unlock/pull/116",
        ..PLAIN
    },
    Known {
        code: "build-kbuild-flags",
        told_by: &[
            "fatal error: os-interface.h",
            "fatal error: nv-firmware.h",
            "fatal error: nv-linux.h",
            "fatal error: nv.h~",
            "nv-firmware.h: ",
            "os-interface.h: No such file",
        ],
        cause: "the compiler does not find the driver's own headers: the driver's build files use \
                EXTRA_CFLAGS, which the kernel's build system dropped with 6.15. The driver release is \
                older than this kernel.",
        next: "boot and pin an older kernel (6.14 or before; on Proxmox VE proxmox-boot-tool kernel pin \
               <version>), or use a driver release that supports this kernel",
        source: "https://github.com/NVIDIA/open-gpu-kernel-modules/issues/840",
        ..PLAIN
    },
    Known {
        code: "build-kernel-too-new",
        told_by: &[
            "mdev_parent_ops * has no member named",
            "has no member named * open_device",
            "mdev_parent_ops has incomplete type",
            "mdev_parent_ops * incomplete",
            "struct vmbus_channel has no member named target_vp",
            "PAGE_KERNEL_RX undeclared",
            "implicit declaration of function follow_pfn",
            "drm/drm_fbdev_generic.h",
            "too many arguments to function eventfd_signal",
            "nv_vgpu_vfio_create",
            "nvidia-vgpu-vfio.c: * error:",
            "vgpu-devices.c: * error:",
            "dkms/nvidia/*.c: * error:",
            "dkms/nvidia/*.h: * error:",
            "dkms/nvidia/*.c:* fatal",
            "nvidia/nv*.c:* error:",
            "nvidia/os-*.c:* error:",
            "nvidia-drm/*.c:* error:",
            "nvidia-uvm/*.c:* error:",
            "nvidia-modeset/*.c:* error:",
            "nvidia-peermem/*.c:* error:",
            "common/inc/nv*.h:* error:",
            "kernel-open/nvidia*.c:* error:",
            "nvidia/nv*.c:* \u{9519}\u{8bef}",
            "nvidia-vgpu-vfio.c:* \u{9519}\u{8bef}",
            "nvidia*.c:* Fehler:",
            "nvidia*.c:* erreur:",
            "nvidia*.c:* \u{043e}\u{0448}\u{0438}\u{0431}\u{043a}\u{0430}:",
            "conftest.h * error:",
            "modpost: * [*nvidia*.ko] undefined!",
        ],
        unless: &["path_to_vgpu_unlock", "vgpu_unlock_hooks.c: No such file"],
        follows: &["build-kbuild-flags", "build-gpl-symbol", "compiler-differs"],
        voice: Voice::Alone,
        cause: "the driver's source does not fit this kernel: a function or structure of the kernel that \
                it uses has changed since the driver was released (or, less often, the kernel is older \
                than the driver allows).",
        next: "take the pair that the release notes name: an older kernel (install it with its headers \
               and pin it), a newer driver release, or the community's patch for exactly this driver \
               and kernel; then dkms remove, dkms install",
        source: "https://github.com/VGPU-Community-Drivers/Merged-Rust-Drivers/issues/1",
        ..PLAIN
    },
    Known {
        code: "build-failed",
        told_by: &[
            "Bad return status for module build on kernel",
            "Failed to run * dkms build -m nvidia",
            "Failed to run * dkms * nvidia",
            "Building module * bad exit status",
            "dkms * build of module nvidia * failed",
            "nvidia* (bad exit status: 2)",
            "build/nvidia*.o] Error 1",
            "/nvidia/*.o] Error 1",
            "nvidia*.o] Error 1",
            "Error! Build of nvidia*.ko failed",
            "kernel/Kbuild * nvidia * Error",
        ],
        needs: &["nvidia"],
        follows: &[
            "build-*",
            "compiler-differs",
            "kernel-headers",
            "unlock-placeholder",
            "unlock-patch-rejected",
            "build-tools-missing",
        ],
        voice: Voice::Alone,
        cause: "the driver's module did not build for this kernel; this line only says so. Most often the \
                driver release is older than the kernel; a missing header package, another compiler, or \
                a wrong path in the unlock's source edits are the other reasons.",
        next: "the first line with `error:` in /var/lib/dkms/nvidia/<version>/build/make.log tells which: \
               explain that file",
        source: "https://github.com/wvthoog/nvidia_vgpu_proxmox_7/issues/1",
        ..PLAIN
    },
    Known {
        code: "dkms-not-removed",
        told_by: &[
            "DKMS tree already contains: nvidia",
            "Module nvidia/* already installed on kernel",
            "nvidia-* is already added",
        ],
        cause: "DKMS has this driver version already, so it builds nothing new: changed sources (the \
                unlock's edits) do not take effect.",
        next: "dkms remove -m nvidia -v <version> --all, then dkms add and dkms install",
        source: "https://github.com/DualCoder/vgpu_unlock/issues/69",
        ..PLAIN
    },
];
