//! What users ask about by name, which no log line tells.

use super::{Known, PLAIN, Voice};

pub(super) const KNOWN: &[Known] = &[
    Known {
        code: "opengl-q",
        voice: Voice::Asked,
        cause: "OpenGL in guests fails or is unstable with Q types on unlocked cards with releases after R440; A and B types have \
                OpenGL, with some faults.",
        next: "use R440 on host and guest; or present the vGPU to the guest as a plain Quadro (such as a P4000) by QEMU's \
               x-pci-vendor-id, x-pci-device-id, x-pci-sub-vendor-id and x-pci-sub-device-id with a guest driver older than 450, \
               which costs CUDA and OpenCL",
        source: "the guide, section 8a",
        ..PLAIN
    },
    Known {
        code: "ampere-unlock",
        voice: Voice::Asked,
        cause: "Ampere and newer cards make vGPUs by SR-IOV, which consumer boards do not offer; an unlocked one crashes its guest.",
        next: "take an older generation for the unlock, a vGPU card, or pass the whole card through",
        source: "the guide, section 8b",
        ..PLAIN
    },
    Known {
        code: "one-size",
        voice: Voice::Asked,
        cause: "all vGPUs on one GPU have one framebuffer size: the first that starts fixes it, and then every other size shows no free \
                instance.",
        next: "vgpuctl gpus shows what each GPU holds; remove all vGPUs of a GPU to change its size, or use mixed-size mode where \
               the card has it: nvidia-smi vgpu -shm 1 -i <GPU>",
        source: "NVIDIA vGPU user guide",
        ..PLAIN
    },
    Known {
        code: "licence-editions",
        voice: Voice::Asked,
        cause: "a vGPU's licence must be of the edition of its type's series: A needs vApps, B vPC, Q vWS (vDWS), C vCS.",
        next: "choose the type's series by the licence that you have; in the guest, FeatureType=1 and the server's token (or, for \
               the older server, its address and port 7070)",
        source: "the guide, sections 2a and 4",
        ..PLAIN
    },
    Known {
        code: "merged-driver",
        voice: Voice::Asked,
        cause: "one GPU for the host's graphics and vGPUs needs a merged driver, whose programs and kernel module are of slightly \
                different versions.",
        next: "add Environment=\"__RM_NO_VERSION_CHECK=1\" to nvidia-vgpud.service and nvidia-vgpu-mgr.service, daemon-reload, \
               restart both",
        source: "the guide, section 6a",
        ..PLAIN
    },
    Known {
        code: "gpu-mix",
        voice: Voice::Asked,
        cause: "the original vgpu_unlock unlocks several GPUs only if they share one device id.",
        next: "use vgpu_unlock-rs, or cards of one model; give the other card to another use",
        source: "the guide, section 7",
        ..PLAIN
    },
    Known {
        code: "types-empty",
        voice: Voice::Asked,
        cause: "no types are listed: nvidia-vgpud has not run (it runs once at boot, makes the types and exits), the vGPU host driver is \
                not loaded, the unlock is not active, the virtual functions are off, or it is an SR-IOV host on kernel 6.8 or newer, \
                which has no mediated devices.",
        next: "systemctl restart nvidia-vgpud, then vgpuctl types; explain journalctl -u nvidia-vgpud where it stays empty",
        source: "https://github.com/anomixer/proxmox-vgpu-installer/issues/15",
        ..PLAIN
    },
];
