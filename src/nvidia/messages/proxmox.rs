//! Proxmox VE: what a start task says.

use super::{Known, PLAIN, Voice};

const SOURCE: &str = "https://github.com/proxmox/qemu-server, PVE/QemuServer/PCI.pm";

pub(super) const KNOWN: &[Known] = &[
    Known {
        code: "pve-no-mdev",
        told_by: &[
            "does not support mediated devices",
            "does not support mediated device",
        ],
        follows: &[
            "rm-*",
            "module-*",
            "unlock-*",
            "gpu-*",
            "nouveau-*",
            "secure-boot",
        ],
        cause: "the card that the hostpci line names offers no mediated devices now: the vGPU host \
                driver is not loaded, nvidia-vgpud has not made the types yet, the virtual functions are \
                not enabled, or it is an SR-IOV card on kernel 6.8 or newer, where this Proxmox VE is too \
                old or the line names the physical instead of a virtual function.",
        next: "vgpuctl types; if it is empty, systemctl status nvidia-vgpud nvidia-vgpu-mgr and explain \
               their journal; SR-IOV cards: /usr/lib/nvidia/sriov-manage -e ALL, and a VF in the line",
        source: SOURCE,
        ..PLAIN
    },
    Known {
        code: "pve-no-type",
        told_by: &["pci device * has no type"],
        cause: "the card does not offer the type that the hostpci line names: another driver release or \
                card numbers its types otherwise, or the unlock is off.",
        next: "vgpuctl types lists what it offers: put one of those after mdev= in \
               /etc/pve/qemu-server/<VMID>.conf",
        source: SOURCE,
        ..PLAIN
    },
    Known {
        code: "pve-no-instance",
        told_by: &[
            "has no available instances of",
            "vgpu type * not available for",
        ],
        cause: "no instance of that type is free: the GPU is full, or a vGPU of another size runs on it, \
                which makes every other size read 0.",
        next: "vgpuctl gpus shows what it holds: stop a VM, remove a leftover device (vgpuctl list \
               --active), or use the size that is there already",
        source: SOURCE,
        ..PLAIN
    },
    Known {
        code: "pve-other-type",
        told_by: &[
            "already exits, but type is not",
            "already exists, but type is not",
        ],
        cause: "a device of this VM's UUID is left over from before, with another type than its \
                configuration names now.",
        next: "with the VM off: vgpuctl remove <UUID>, then start the VM",
        source: SOURCE,
        ..PLAIN
    },
    Known {
        code: "pve-create-failed",
        told_by: &["could not create * for pci device"],
        follows: &["size-mix", "create-*", "mig-*"],
        voice: Voice::Alone,
        cause: "the driver refused to create the vGPU: a vGPU of another size is on the GPU, the GPU is \
                full, or the virtual functions are off.",
        next: "dmesg and journalctl -u nvidia-vgpud -u nvidia-vgpu-mgr give the reason; vgpuctl gpus shows \
               what the GPU holds",
        source: SOURCE,
        ..PLAIN
    },
    Known {
        code: "pve-mapping",
        told_by: &[
            "PCI device mapping not found for",
            "no PCI device mapping found",
            "PCI device mapping invalid",
            "Cannot use mediated device with already reserved",
            "mediated devices * mapping * without mdev",
            "device mapping * does not match",
            "couldn't find enough unused devices",
            "pci device * already in use",
            "not enough unused * mapp",
        ],
        needs: &["hostpci", "pci", "TASK ERROR", "qm"],
        cause: "the hostpci line uses a resource mapping that fits no free device on this node: the node has \
                no entry in the mapping, its address or ids changed, or all devices in it are in use.",
        next: "Datacenter > Resource Mappings: compare the node's entries with lspci -nn, tick `Use with \
               Mediated Devices`, and see which VMs use the mapping",
        source: SOURCE,
        ..PLAIN
    },
];
