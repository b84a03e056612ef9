//! Inside the guest: its driver and its licence.

use super::{Known, PLAIN, Voice};

/// What shows that the text is about NVIDIA's device.
const DEVICE: &[&str] = &[
    "nvidia",
    "vgpu",
    "GRID",
    "GeForce",
    "Quadro",
    "Tesla",
    "RTX",
    "display adapter",
    "graphics",
];

pub(super) const KNOWN: &[Known] = &[
    Known {
        code: "code-43",
        told_by: &[
            "Windows has stopped this device because it has reported problems",
            "(Code 43)",
            "Code 43~",
            "error 43~",
            "CM_PROB_FAILED_POST_START",
            "\u{4ee3}\u{7801} 43",
            "\u{4ee3}\u{7801}43",
            "Problem: 43~",
            "ConfigManagerErrorCode * 43~",
        ],
        needs: DEVICE,
        follows: &["guest-*", "ampere-*", "vgpu-licence", "override-*"],
        cause: "the NVIDIA driver in Windows found its device unusable. With a vGPU: the guest driver is of another branch \
                than the host's (the host's log then speaks of the Guest VGX version), it is the plain and not the grid \
                driver, the device was made to look like a card that this driver does not serve, or the card is an unlocked \
                Ampere. With a whole card: the driver sees the hypervisor (old drivers), or the card's ROM or reset.",
        next: "on the host: journalctl -u nvidia-vgpu-mgr at the guest's start tells which (compare `Driver Version` of manager \
               and guest). Then remove the guest driver with DDU and install the grid driver of the host's release; with a \
               patched driver, switch Secure Boot off in the VM; leave `Primary GPU` unticked",
        source: "https://github.com/DualCoder/vgpu_unlock/issues/102",
        ..PLAIN
    },
    Known {
        code: "code-12",
        told_by: &[
            "cannot find enough free resources that it can use",
            "(Code 12)",
            "error code 12~",
        ],
        needs: DEVICE,
        cause: "the VM's firmware gives the device no address range: its memory window is too large for the VM's PCI space.",
        next: "use OVMF (UEFI) and the q35 machine type, and a 64-bit MMIO window (pci-hole64-size, or OVMF's \
               X-PciMmio64Mb); Windows installed for BIOS must be installed anew for UEFI",
        source: "https://github.com/kubevirt/kubevirt/issues/7109",
        ..PLAIN
    },
    Known {
        code: "code-31-52",
        told_by: &[
            "(Code 52)",
            "Windows cannot verify the digital signature for the drivers required for this device",
        ],
        needs: DEVICE,
        cause: "Windows does not load the driver because its signature does not hold: a patched driver, or one too old for \
                Secure Boot in the VM.",
        next: "install the driver unpatched, or switch Secure Boot off in the VM's firmware and allow test signing",
        source: "https://github.com/DualCoder/vgpu_unlock/issues/102",
        ..PLAIN
    },
    Known {
        code: "guest-driver-blue-screen",
        told_by: &[
            "nvlddmkm.sys",
            "VIDEO_TDR_FAILURE",
            "VIDEO_TDR_TIMEOUT_DETECTED",
        ],
        follows: &["guest-driver-*", "code-43"],
        cause: "the NVIDIA driver in Windows crashed the guest. On an unlocked Ampere card that is the rule; elsewhere the guest \
                driver does not fit the host's release or the card that the vGPU claims to be.",
        next: "start Windows in safe mode, remove the driver with DDU, install the grid driver of the host's release; take \
               pci_id and pci_device_id out of profile_override.toml",
        source: "https://github.com/DualCoder/vgpu_unlock/issues/62",
        ..PLAIN
    },
    Known {
        code: "guest-no-graphics-hardware",
        told_by: &[
            "could not find compatible graphics hardware",
            "graphics driver could not find compatible",
            "not compatible with this version of Windows * NVIDIA",
        ],
        cause: "NVIDIA's installer sees no device in the VM that this driver serves: the VM has no vGPU (it did not start with \
                one), or the driver is not the guest (grid) driver of the host's release.",
        next: "look for the device in the device manager (vendor 10DE); present: install the grid driver; absent: look at the \
               VM's start on the host",
        source: "NVIDIA vGPU user guide",
        ..PLAIN
    },
    Known {
        code: "licence-token",
        told_by: &[
            "Unable to fetch the client configuration token file",
            "client configuration token * not found",
            "Failed to read * client configuration token",
            "No valid client configuration token",
            "Failed to parse client configuration token",
            "Client configuration token * expired",
            "invalid client configuration token",
        ],
        cause: "the guest's licence client finds no (valid) client configuration token.",
        next: "put the token of your licence server in /etc/nvidia/ClientConfigToken/ (Windows: %SystemDrive%\\Program \
               Files\\NVIDIA Corporation\\vGPU Licensing\\ClientConfigToken), readable (chmod 744), then restart nvidia-gridd \
               or NVDisplay.ContainerLocalSystem",
        source: "NVIDIA virtual GPU client licensing guide",
        ..PLAIN
    },
    Known {
        code: "licence-store",
        told_by: &[
            "Failed to update local trusted store",
            "Maximum buffer size exceeded",
        ],
        needs: &["nvidia-gridd", "gridd", "license"],
        cause: "the licence client's store on this guest is full or damaged; the licence server is not at fault where other \
                guests get their licence.",
        next: "stop nvidia-gridd, remove the trusted store file of the licence client (below /etc/nvidia or /var/lib/nvidia, \
               see the log's path), put a fresh token there, start nvidia-gridd",
        source: "https://github.com/NVIDIA/nvidia-docker/issues/1787",
        ..PLAIN
    },
    Known {
        code: "licence-feature",
        told_by: &[
            "Invalid feature type requested",
            "Configuration parameter ( ServerAddress",
            "ServerAddress * FeatureType) not set",
            "FeatureType * not set",
        ],
        needs: &["gridd", "license", "FeatureType"],
        cause: "the licence client is not configured: gridd.conf is missing, or its FeatureType does not fit the device (1 for a \
                vGPU, 2 for RTX Virtual Workstation on a whole card, 4 for compute).",
        next: "copy /etc/nvidia/gridd.conf.template to /etc/nvidia/gridd.conf, set FeatureType (and ServerAddress, or a token), \
               restart nvidia-gridd",
        source: "https://github.com/MicrosoftDocs/azure-docs/issues/32746",
        ..PLAIN
    },
    Known {
        code: "licence-server",
        told_by: &[
            "Failed to acquire license from",
            "Failed to register client",
            "Failed to acquire license",
            "Failed to borrow license",
            "Error: Unable to connect to license server",
            "Failed to connect to * license server",
            "Failed to renew license",
            "License borrow * failed",
            "Failed to return license",
            "Couldn't connect to server * licen",
        ],
        needs: &["gridd", "NVDisplay", "license", "NLS"],
        follows: &["licence-*", "grid-on-host"],
        cause: "the guest asked its licence server and got no licence: the server cannot be reached (name, port, firewall, \
                certificate), the clocks of guest and server differ, or it has none of the edition that the vGPU's type \
                needs (A: vApps, B: vPC, Q: vWS, C: vCS).",
        next: "from the guest: date (compare with the server), then curl -k https://<server>:443/ (port 7070 for the older \
               server); on the server: free licences of that edition",
        source: "https://github.com/GreenDamTan/fastapi-dls_mirror/issues/6",
        ..PLAIN
    },
    Known {
        code: "licence-none",
        told_by: &[
            "Valid GRID license not found",
            "Valid NVIDIA * license not found",
            "License Status : Unlicensed",
            "License Status: Unlicensed",
            "Unlicensed (Restricted)",
            "Features and performance will be restricted",
            "license * expired * restricted",
        ],
        follows: &["licence-*", "vgpu-licence", "grid-on-host"],
        voice: Voice::Alone,
        excused: &["License acquired successfully", "Unlicensed (Unrestricted)"],
        cause: "the vGPU in this guest has no licence: after some minutes the driver slows it down and CUDA stops. There is no \
                token, the licence server cannot be reached, or the clock is wrong. (vGPU 17 in Windows 10 also needs a VM that boots \
                by UEFI.)",
        next: "systemctl status nvidia-gridd and its journal (Windows: the log of NVDisplay.Container) give the reason; token in \
               /etc/nvidia/ClientConfigToken/; compare the guest's clock",
        source: "https://github.com/GreenDamTan/fastapi-dls_mirror/issues/3",
        ..PLAIN
    },
    Known {
        code: "cuda-unavailable",
        told_by: &[
            "CUDA-capable device(s) is/are busy or unavailable",
            "all CUDA-capable devices are busy or unavailable",
            "CUDA_ERROR_DEVICES_UNAVAILABLE",
            "cudaErrorDevicesUnavailable",
        ],
        follows: &["licence-*"],
        voice: Voice::Alone,
        cause: "CUDA gets no use of the device although nvidia-smi shows it. In a guest with a vGPU: it is unlicensed, or its type \
                has no CUDA (A and B types). Elsewhere: another process has the device for itself (exclusive mode).",
        next: "nvidia-smi -q | grep -i -e licens -e 'compute mode': Unlicensed = the licence (journalctl -u nvidia-gridd); \
               a type A or B = take Q or C",
        source: "https://github.com/Azure/AKS/issues/4870",
        ..PLAIN
    },
    Known {
        code: "cuda-driver-older",
        told_by: &[
            "CUDA driver version is insufficient for CUDA runtime version",
            "code=35(cudaErrorInsufficientDriver)",
            "The NVIDIA driver on your system is too old (found version",
            "requirement error: unsatisfied condition: cuda",
        ],
        follows: &[
            "smi-no-driver",
            "driver-library-mismatch",
            "api-mismatch",
            "nvml-no-devices",
            "k8s-no-uvm",
        ],
        cause: "the program was built for a newer CUDA release than the driver here can run; in a guest with a vGPU that is the \
                guest (grid) driver, whose release the host's bounds. CUDA says the same where it finds no driver library \
                (libcuda) at all: nvidia-smi then shows `CUDA Version: N/A`.",
        next: "nvidia-smi shows at its top the newest CUDA release that the driver can run. A number = take a program or image for that \
               release, or a newer driver (in a guest: one that the host's release still serves; else update the host first). \
               N/A = install the guest driver whole; in a container, NVIDIA_DRIVER_CAPABILITIES must have `compute`",
        source: "https://github.com/DualCoder/vgpu_unlock/issues/51",
        ..PLAIN
    },
    Known {
        code: "nvml-unknown",
        told_by: &["Failed to initialize NVML: Unknown Error"],
        cause: "inside a container that had the GPU, it lost its access to the device nodes (systemctl daemon-reload with \
                systemd's cgroups is the usual reason). In a fresh container or VM: the driver did not start the device.",
        next: "restart the container; to prevent it, pass the device nodes explicitly or use the cgroupfs driver or CDI",
        source: "NVIDIA container toolkit, troubleshooting",
        ..PLAIN
    },
    Known {
        code: "nvml-no-devices",
        told_by: &["No devices were found"],
        needs: &["nvidia-smi", "NVML", "NVRM", "nvidia"],
        follows: &["rm-init-failed", "gpu-*", "gsp-*", "guest-*"],
        cause: "the driver is loaded but no GPU started. dmesg tells why: RmInitAdapter failed (guest driver that does not fit the \
                host's, GSP firmware, a card in a bad state), or no device in this VM.",
        next: "dmesg | grep -i -e NVRM -e nvidia, and lspci -nn | grep -i nvidia: explain that text",
        source: "https://github.com/NVIDIA/cuda-samples/issues/104",
        ..PLAIN
    },
];
