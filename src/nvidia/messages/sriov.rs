//! SR-IOV cards: virtual functions, sizes on one GPU, MIG.

use super::{Known, PLAIN};

pub(super) const KNOWN: &[Known] = &[
    Known {
        code: "mig-instances",
        told_by: &[
            "Failed to add vgpu create request: 0x38",
            "vgpu create request * 0x38~",
            "MIG * no GPU instance",
        ],
        cause: "the GPU is in MIG mode and has no free GPU instance for this type. Switching the \
                virtual functions on or off also removes instances that were made before.",
        next: "in this order: enable the virtual functions, make the GPU instances (nvidia-smi mig \
               -cgi <profile>), then set the type",
        source: "NVIDIA vGPU user guide, MIG-backed vGPUs",
        ..PLAIN
    },
    Known {
        code: "size-mix",
        told_by: &[
            "Failed to add vgpu create request: 0x56",
            "Failed to add vgpu create request",
            "vGPU creation failed on device",
            "vGPU creation failed * -5~",
            "nvidia-vgpu-vfio * creation failed",
        ],
        follows: &["mig-instances"],
        voice: super::Voice::Alone,
        cause: "the driver refused to create a vGPU of this type on this GPU: a vGPU of another \
                framebuffer size is on it (all must have one size unless mixed-size mode is on), or \
                the GPU is full.",
        next: "see what is there (vgpuctl gpus): remove the vGPUs of other sizes, use the same size, or \
               on cards that can, switch on mixed sizes after enabling the VFs and before setting any \
               type: nvidia-smi vgpu -shm 1 -i <GPU>",
        source: "https://github.com/mdevctl/mdevctl/issues/59",
        ..PLAIN
    },
    Known {
        code: "no-vgpu-mode",
        told_by: &[
            "No supported devices in vGPU mode",
            "Not supported devices in vGPU mode",
        ],
        unless: &[
            "vgpu_unlock",
            "vGPU unlock",
            "nvidia-gridd",
            "| GRID ",
            "| NVIDIA GRID",
            "License Status",
            "GRID P4",
            "GRID RTX",
            "GRID M",
            "GRID T4",
            "vGPU Software Licensed",
            "Virtualization Mode : VGPU",
            "libvgpu",
        ],
        cause: "no GPU here is in vGPU host mode: the driver is not the vGPU host (vgpu-kvm) driver, \
                or the card's virtual functions are not enabled (SR-IOV cards), or no VM has a vGPU \
                yet with an unlock that only the two daemons load. In a guest it is always so.",
        next: "nvidia-smi -q | grep -i 'vgpu mode': N/A = not the host driver, or a card without vGPU; \
               SR-IOV = enable the VFs with /usr/lib/nvidia/sriov-manage -e <PF>. With an unlock, \
               vgpuctl types is what counts",
        source: "https://github.com/CiscoDevNet/intersight-python-utils/pull/66",
        ..PLAIN
    },
    Known {
        code: "sriov-unbind-lock",
        told_by: &[
            "Cannot obtain unbindLock",
            "Can not obtain unbindLock",
            "obtain unbindLock",
        ],
        cause: "the virtual functions cannot be switched while a program has the GPU open through \
                NVML: nvidia-smi in a loop, nvidia-persistenced, DCGM, a monitoring agent.",
        next: "stop those (fuser -v on the nodes /dev/nvidia*), then /usr/lib/nvidia/sriov-manage -e <PF> again",
        source: "NVIDIA vGPU user guide, sriov-manage",
        ..PLAIN
    },
    Known {
        code: "sriov-no-room",
        told_by: &[
            "not enough MMIO resources for SR-IOV",
            "SR-IOV: bus number out of range",
            "can't enable * VFs (bus * out of range",
            "failed to enable SR-IOV",
            "sriov_numvfs * Cannot allocate memory",
        ],
        cause: "the firmware left no address space or bus numbers for the card's virtual functions: \
                SR-IOV support or Above 4G decoding is off, or the slot's bridge has too few buses.",
        next: "in the firmware: SR-IOV support on, Above 4G decoding on, IOMMU on, a large MMIO size; \
               otherwise boot with pci=realloc, and pci=assign-busses for the bus numbers",
        source: "kernel, drivers/pci/iov.c; NVIDIA vGPU release notes",
        ..PLAIN
    },
    Known {
        code: "sriov-refused",
        told_by: &[
            "sriov_numvfs: * write error",
            "sriov_numvfs: Operation not permitted",
            "sriov_numvfs: Device or resource busy",
            "sriov_numvfs: No such file or directory",
            "sriov_numvfs * Input/output error",
            "driver in use does not support * SR-IOV",
            "doesn't support SRIOV configuration via sysfs",
            "Can't enable SR-IOV GPU",
        ],
        follows: &["sriov-no-room", "build-*", "module-*"],
        cause: "the number of virtual functions could not be set. A raw write to sriov_numvfs is not \
                NVIDIA's way (the driver refuses it); no such file: the card or slot has no SR-IOV \
                (Turing and older, consumer cards, SR-IOV off in the firmware); busy: VFs exist \
                already, or a VM uses one.",
        next: "use /usr/lib/nvidia/sriov-manage -e <PF> (-d switches them off, which takes the \
               vGPUs of running VMs away), with the vGPU host driver loaded",
        source: "https://github.com/NVIDIA/gpu-driver-container/pull/29",
        ..PLAIN
    },
    Known {
        code: "vf-type-refused",
        told_by: &[
            "current_vgpu_type * Operation not permitted",
            "current_vgpu_type * Device or resource busy",
            "current_vgpu_type * Input/output error",
            "current_vgpu_type * Permission denied",
            "unable to reset vgpu type for",
            "could not set vgpu type to",
        ],
        follows: &["size-mix", "mig-*"],
        voice: super::Voice::Alone,
        cause: "the virtual function did not take the type. Operation not permitted: it has a type \
                already (even the same), or a VM has it open; busy: the plugin of a VM that just \
                ended is still leaving (about 5 s); Input/output error: full, a vGPU of another size on \
                the GPU, or a type that the card does not know.",
        next: "read current_vgpu_type: not 0 = stop the VM that uses it, write 0, wait 5 s, write the \
               new id; Input/output error: read creatable_vgpu_types of that VF again, and dmesg",
        source: "NVIDIA vGPU user guide, vendor-specific VFIO framework",
        ..PLAIN
    },
    Known {
        code: "vendor-vfio-host",
        told_by: &["no nvidia sysfs api for", "nvidia sysfs api * not found"],
        cause: "the device has no nvidia/current_vgpu_type: it is the physical function and not a \
                virtual one, or the VFs' driver is not nvidia (vfio-pci took them), or the host driver \
                is not loaded.",
        next: "choose a virtual function (0000:01:00.4 and up, not .0), leave it on the driver nvidia, and \
               enable the VFs before the VM starts",
        source: "https://github.com/proxmox/qemu-server, PVE/QemuServer/PCI.pm",
        ..PLAIN
    },
    Known {
        code: "gpu-behind-vmd",
        told_by: &[
            "vfio-pci: probe of 10000:",
            "vfio-pci 10000:* probe failed",
            "10000:* probe * failed with error -22",
        ],
        cause: "the GPU hangs behind Intel VMD (PCI domain 10000), whose devices cannot be given to a VM.",
        next: "switch VMD off for that slot in the firmware",
        source: "https://pastebin.com/BCx0sQjB",
        ..PLAIN
    },
];
