//! Creating a mediated device: what the kernel answers. The commands of this program say the same.

use super::{Known, PLAIN, Voice};

pub(super) const KNOWN: &[Known] = &[
    Known {
        code: "create-refused",
        told_by: &[
            "/create: Input/output error",
            "/create: Eingabe-/Ausgabefehler",
            "/create: \u{8f93}\u{5165}/\u{8f93}\u{51fa}\u{9519}\u{8bef}",
            "write error: Eingabe-/Ausgabefehler",
            "\u{5199}\u{9519}\u{8bef}: \u{8f93}\u{5165}/\u{8f93}\u{51fa}\u{9519}\u{8bef}",
            "/create * Input/output error",
            "write error: Input/output error",
            "cannot create * Input/output error (EIO)",
            "mdevctl * Input/output error",
            "Input/output error (os error 5)",
            "failed to create mdev type * input/output error",
        ],
        needs: &["mdev", "/create", "current_vgpu_type", "EIO"],
        unless: &["current_vgpu_type"],
        follows: &["size-mix", "mig-*", "sriov-*", "rm-*", "unlock-*"],
        voice: Voice::Alone,
        cause: "the driver refused: the GPU may be full, hold vGPUs of another size, or have its \
                virtual functions off",
        next: "see the driver's reason: dmesg, journalctl -u nvidia-vgpud -u nvidia-vgpu-mgr",
        source: "observed; NVIDIA vGPU user guide",
        ..PLAIN
    },
    Known {
        code: "create-no-space",
        told_by: &[
            "/create: No space left on device",
            "/create * No space left on device",
            "write error: No space left on device",
            "No space left on device (os error 28)",
            "cannot create * (ENOSPC)",
        ],
        needs: &["mdev", "/create", "GVTg", "ENOSPC"],
        follows: &["gvt-aperture"],
        cause: "no instance of the type is left on this parent. With Intel GVT-g: the host's desktop has \
                taken the graphics aperture that the vGPU needs.",
        next: "remove an instance or take a smaller type (vgpuctl types --available). GVT-g: a larger \
               aperture in the firmware, or create the vGPU before the desktop starts",
        source: "https://github.com/intel/gvt-linux/issues/172",
        ..PLAIN
    },
    Known {
        code: "create-too-many",
        told_by: &[
            "/create: Too many users",
            "/create * Too many users",
            "write error: Too many users",
            "Too many users (os error 87)",
            "cannot create * (EUSERS)",
        ],
        cause: "the parent has as many instances as it can hold.",
        next: "remove an instance (vgpuctl list --active), or use another parent",
        source: "kernel, drivers/vfio/mdev/mdev_core.c",
        ..PLAIN
    },
    Known {
        code: "create-exists",
        told_by: &[
            "/create: File exists",
            "/create * File exists",
            "write error: File exists",
            "mdevctl * File exists (os error 17)",
            "File exists (os error 17)",
            "cannot create * (EEXIST)",
        ],
        needs: &["mdev", "/create", "EEXIST"],
        cause: "a device with that UUID is active already, on this parent or another, or is still being removed.",
        next: "vgpuctl list --active shows where; use it as it is, remove it, or take another UUID",
        source: "kernel, drivers/vfio/mdev/mdev_core.c",
        ..PLAIN
    },
    Known {
        code: "create-invalid",
        told_by: &[
            "/create: Invalid argument",
            "/create * Invalid argument",
            "write error: Invalid argument",
            "mdevctl * Invalid argument (os error 22)",
            "Invalid argument (os error 22)",
            "cannot create * (EINVAL)",
        ],
        needs: &["mdev", "/create", "EINVAL"],
        excused: &["noCloud.iso"],
        cause: "the kernel did not take the request: what was written is not a UUID (36 characters, \
                nothing around them), or the type was withdrawn or is not offered for use by the driver \
                (for NVIDIA, nvidia-vgpud has not registered the types, or the unlock does not fit).",
        next: "write a plain UUID (uuidgen); vgpuctl types shows whether the type still stands there; for \
               NVIDIA, systemctl restart nvidia-vgpud, then read its journal and dmesg",
        source: "https://github.com/mdevctl/mdevctl/issues/115",
        ..PLAIN
    },
    Known {
        code: "create-no-type",
        told_by: &[
            "mdev_supported_types/*: No such file or directory",
            "mdev_supported_types/*: Datei oder Verzeichnis nicht gefunden",
            "mdev_supported_types: No such file or directory",
            "mdev_supported_types: No such file",
            "class/mdev_bus: No such file or directory",
            "class/mdev_bus/*: No such file or directory",
        ],
        follows: &[
            "gvt-unsupported",
            "kvmgt-*",
            "rm-*",
            "module-*",
            "unlock-*",
            "gpu-*",
            "nouveau-*",
        ],
        cause: "the parent offers no such type, or no types at all: its driver's mediated part is not \
                running. NVIDIA: the vGPU host driver is not loaded, nvidia-vgpud has not run, the VFs \
                are off, or it is a new SR-IOV host (kernel 6.8 and newer), which has no mediated \
                devices. Intel GVT-g: kvmgt is not loaded, or i915.enable_gvt=1 is missing.",
        next: "vgpuctl types shows what there is and why not. NVIDIA: systemctl restart nvidia-vgpud; \
               Intel: modprobe kvmgt, then dmesg | grep -i gvt",
        source: "https://github.com/intel/gvt-linux/issues/43",
        ..PLAIN
    },
    Known {
        code: "remove-in-use",
        told_by: &[
            "/remove: Operation not permitted",
            "/remove: Device or resource busy",
            "cannot remove * (EPERM)",
            "cannot remove * (EBUSY)",
        ],
        cause: "a VM uses it, or has just ended and the driver is not done",
        next: "shut the VM down (vgpuctl show names who holds the device), wait some seconds, then repeat",
        source: "observed; NVIDIA vGPU user guide",
        ..PLAIN
    },
    Known {
        code: "attribute-unknown",
        told_by: &[
            "Attribute * cannot be set",
            "failed to set attribute * mdev",
        ],
        needs: &["mdev"],
        cause: "the definition has an attribute that this device does not have or whose value its driver \
                refuses, so the device was not kept.",
        next: "vgpuctl show <UUID> lists the definition's attributes; delete or correct the one named \
               (vgpuctl modify --delete-attr)",
        source: "https://github.com/mdevctl/mdevctl/issues/16",
        ..PLAIN
    },
    Known {
        code: "vgpu-params-refused",
        told_by: &[
            "vgpu_params: Operation not permitted",
            "vgpu_params * Operation not permitted",
            "vgpu_params * Argument list too long",
        ],
        cause: "vgpu_params can only be written while no VM has the vGPU open, and takes a limited length.",
        next: "shut the VM down, write the parameters, start it again",
        source: "NVIDIA vGPU user guide, vGPU plugin parameters",
        ..PLAIN
    },
];
