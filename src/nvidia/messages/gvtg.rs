//! Intel GVT-g.

use super::{Known, PLAIN, Voice};

pub(super) const KNOWN: &[Known] = &[
    Known {
        code: "gvt-aperture",
        told_by: &[
            "fail to alloc low gm space",
            "fail to alloc high gm space",
            "fail to alloc * gm space from host",
            "failed to create intel vgpu: -28",
            "fail to alloc fence",
            "failed to create intel vgpu",
        ],
        cause: "the graphics aperture has no room for another vGPU: the host's own desktop and the vGPUs that exist fill it.",
        next: "take a smaller type; raise the aperture size in the firmware (512 MB or more); or create the vGPUs before the \
               desktop starts",
        source: "https://github.com/intel/gvt-linux/issues/131",
        ..PLAIN
    },
    Known {
        code: "gvt-unsupported",
        told_by: &[
            "Unsupported device. GVT-g is disabled",
            "GVT-g is disabled",
            "GVT-g * not supported on this platform",
            "GVT is not supported",
        ],
        excused: &["GVT-g is disabled by default"],
        cause: "this Intel graphics generation has no GVT-g (it exists from Broadwell to Comet Lake; Ice Lake and newer have \
                none, Tiger Lake and newer have SR-IOV instead), or the graphics are switched off or not first in the firmware.",
        next: "lspci -nn -s 00:02.0 tells the generation; for the 12th and newer, the i915 or xe driver's SR-IOV",
        source: "https://github.com/intel/gvt-linux/issues/181",
        ..PLAIN
    },
    Known {
        code: "kvmgt-refused",
        told_by: &[
            "could not insert kvmgt",
            "Failed to insert module kvmgt",
            "Failed to find module kvmgt",
            "Module kvmgt not found",
            "modprobe * kvmgt * No such device",
        ],
        follows: &["gvt-unsupported", "gvt-guc"],
        cause: "kvmgt does not load: this Intel graphics generation has no GVT-g, i915.enable_gvt=1 is missing on the kernel \
                command line, or the kernel was built without it (`not found`).",
        next: "cat /proc/cmdline; add i915.enable_gvt=1 i915.enable_guc=0, reboot, modprobe kvmgt; then dmesg | grep -i -e \
               gvt -e i915",
        source: "https://github.com/intel/gvt-linux/issues/181",
        ..PLAIN
    },
    Known {
        code: "gvt-guc",
        told_by: &[
            "GVT-g is not supported with GuC",
            "GuC submission * GVT-g",
            "GVT-g * disabled * GuC",
            "Graphics virtualization is not yet supported with GuC submission",
        ],
        cause: "GVT-g and GuC submission exclude each other, and GuC is on.",
        next: "i915.enable_guc=0 on the kernel command line, reboot",
        source: "kernel, drivers/gpu/drm/i915",
        ..PLAIN
    },
    Known {
        code: "gvt-failsafe",
        told_by: &[
            "will enter failsafe mode",
            "GVT Internal error for the guest",
            "gvt: vgpu* cmd parser error",
            "gvt: * unsupported command",
        ],
        cause: "the guest's graphics driver sent a command that this host kernel's GVT-g does not know, and the vGPU was shut \
                off (failsafe): the guest driver is newer than the host's GVT-g, or a known fault with the firmware or \
                machine type of the VM.",
        next: "an older Intel driver in the guest, or a newer LTS kernel on the host; try the i440fx or q35 machine type the \
               other way round",
        source: "https://github.com/intel/gvt-linux/issues/60",
        ..PLAIN
    },
    Known {
        code: "gvt-guest-bar",
        told_by: &[
            "failed to map MMIO bar to check for VGT",
            "i915 * failed to map registers",
        ],
        cause: "in the guest, the vGPU got no usable address range: it sits behind a PCIe root port that the firmware does not \
                open.",
        next: "put the device on bus 0 (slot 2) of the VM, with machine type i440fx or directly on q35's root bus",
        source: "https://github.com/intel/gvt-linux/issues/231",
        ..PLAIN
    },
    Known {
        code: "gvt-gpu-hang",
        told_by: &["i915 * GPU HANG"],
        needs: &["gvt", "vgpu", "GVT-g"],
        voice: Voice::Alone,
        follows: &["gvt-failsafe"],
        cause: "the Intel GPU hung, in the guest or on the host that serves it.",
        next: "a newer LTS kernel on the host, another guest driver; note whether it needs one certain program",
        source: "https://github.com/intel/gvt-linux/issues/112",
        ..PLAIN
    },
];
