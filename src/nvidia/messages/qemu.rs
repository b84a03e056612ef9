//! QEMU and VFIO: the device does not open, or not the way it was asked for.

use super::{Known, PLAIN, Voice};

pub(super) const KNOWN: &[Known] = &[
    Known {
        code: "vgpu-open-timeout",
        told_by: &[
            "error getting device from group * Connection timed out",
            "error getting device from group * timed out",
            "error getting device from group * Verbindungsaufbau",
        ],
        follows: &[
            "size-mix",
            "vgpu-mgr-*",
            "plugin-crash",
            "framebuffer-*",
            "rm-*",
            "unlock-*",
        ],
        cause: "the vGPU did not come up in time. Either a vGPU of another size is on the GPU, or \
                nvidia-vgpu-mgr (or its plugin) died or hangs.",
        next: "vgpuctl gpus: other sizes there? If not: systemctl status nvidia-vgpu-mgr, and its journal at \
               that time; restart it with all vGPU VMs off",
        source: "users' threads; NVIDIA vGPU user guide",
        ..PLAIN
    },
    Known {
        code: "device-config-space",
        told_by: &[
            "failed to read device config space",
            "read device config space: Bad address",
        ],
        follows: &[
            "override-*",
            "unlock-*",
            "guest-driver-*",
            "framebuffer-*",
            "plugin-*",
            "ampere-*",
            "size-mix",
            "rm-*",
        ],
        voice: Voice::Alone,
        cause: "the vGPU plugin died while QEMU opened the device. Where profile_override.toml is in use, a \
                value in it is the usual reason (framebuffer too large, a switch with another value than 0 \
                or 1); otherwise the unlock does not fit the driver.",
        next: "journalctl -u nvidia-vgpu-mgr -b: explain that text; start the VM once without \
               /etc/vgpu_unlock/profile_override.toml",
        source: "https://github.com/mbilker/vgpu_unlock-rs/issues/5",
        ..PLAIN
    },
    Known {
        code: "group-not-viable",
        told_by: &[
            "is not viable",
            "ensure all devices within the iommu_group are bound to their vfio bus driver",
            "error getting device from group * Operation not permitted",
        ],
        needs: &["group", "vfio"],
        cause: "a whole card is passed through, and another device of its IOMMU group (the card's audio or \
                USB function, or a neighbour) is still bound to a host driver. This is no fault of a vGPU.",
        next: "bind every function of the group to vfio-pci (list them in /sys/kernel/iommu_groups/<N>/devices), \
               pass them together, or move the card to a slot with a group of its own",
        source: "https://github.com/kubevirt/kubevirt/issues/6718",
        ..PLAIN
    },
    Known {
        code: "vfio-group-busy",
        told_by: &[
            "failed to open /dev/vfio/*: Device or resource busy",
            "error opening /dev/vfio/*: Device or resource busy",
            "could not open /dev/vfio/*: Device or resource busy",
            "vfio* Device or resource busy * group",
            "/vfio/*: Device or resource busy",
        ],
        cause: "another process has the device open: a VM with the same UUID or device runs already (a \
                clone, or one that was not shut down cleanly).",
        next: "vgpuctl show <UUID> names the process; shut that VM down, or give this one another device",
        source: "kernel, drivers/vfio",
        ..PLAIN
    },
    Known {
        code: "vfio-permission",
        told_by: &[
            "/vfio/*: Operation not permitted",
            "/vfio/*: Permission denied",
            "/vfio/* permission denied",
            "Could not open /dev/vfio/*: Permission denied",
        ],
        cause: "QEMU may not open the VFIO node. Permission denied: its user does not own it (without libvirt, a \
                udev rule must), or AppArmor or SELinux forbids it; Operation not permitted: the container's or \
                service's device cgroup does not list it.",
        next: "ls -l on the node, dmesg | grep -i -e denied; container: pass the node and allow the device; \
               plain QEMU: a udev rule SUBSYSTEM==\"vfio\", OWNER=\"<user>\"",
        source: "https://github.com/systemd/systemd/issues/6648",
        ..PLAIN
    },
    Known {
        code: "vfio-node-missing",
        told_by: &[
            "/vfio/*: No such file or directory",
            "failed to open /dev/vfio/* No such file",
            "open /dev/vfio/*: no such file",
        ],
        follows: &["vfio-modules"],
        cause: "the device's VFIO node is not there: the vfio modules are not loaded, the device is not bound to \
                a vfio driver (a whole card still on nvidia or nouveau), or a container does not see the host's \
                nodes.",
        next: "modprobe vfio_iommu_type1 (and vfio_mdev on kernels before 5.16); for a whole card, bind it to vfio-pci; in \
               a container, mount the host's VFIO directory",
        source: "https://github.com/nutanix/libvfio-user/issues/53",
        ..PLAIN
    },
    Known {
        code: "vfio-modules",
        told_by: &[
            "failed to access * /iommu_group: No such file or directory",
            "/iommu_group: No such file or directory",
            "no iommu_group found",
            "/iommu_group * No such file",
            "failed to get iommu_group",
        ],
        follows: &["iommu-off", "mdev-absent"],
        cause: "the device has no IOMMU group. For a mediated device, the vfio modules are not loaded; for a whole \
                card or a virtual function, the IOMMU is off.",
        next: "mediated device: modprobe -a vfio vfio_iommu_type1 (and vfio_mdev on kernels before 5.16), then create \
               the device again; otherwise VT-d or AMD-Vi in the firmware and intel_iommu=on on the kernel command line",
        source: "https://github.com/intel/gvt-linux/issues/74",
        ..PLAIN
    },
    Known {
        code: "vfio-interrupt-remapping",
        told_by: &["No interrupt remapping support", "allow_unsafe_interrupts"],
        excused: &["allow_unsafe_interrupts=1"],
        cause: "this machine has no interrupt remapping (or it is off in the firmware), and VFIO refuses to give \
                devices to VMs without it.",
        next: "switch VT-d with interrupt remapping on; where the hardware has none and all guests are trusted: \
               options vfio_iommu_type1 allow_unsafe_interrupts=1",
        source: "kernel, drivers/vfio/vfio_iommu_type1.c",
        ..PLAIN
    },
    Known {
        code: "vfio-container",
        told_by: &[
            "failed to set iommu for container",
            "No available IOMMU models",
            "failed to setup container for group",
        ],
        follows: &[
            "vfio-interrupt-remapping",
            "vfio-memory-lock",
            "vfio-modules",
            "iommu-off",
        ],
        voice: Voice::Alone,
        cause: "VFIO could not set up the VM's address space. No available IOMMU models: vfio_iommu_type1 is not \
                loaded; Operation not permitted: no interrupt remapping; Cannot allocate memory: the limit of \
                locked memory; Input/output error or Invalid argument: two devices' IOMMUs do not go together, or a \
                vIOMMU in the VM.",
        next: "modprobe vfio_iommu_type1, then dmesg | grep -i -e vfio -e iommu for the kernel's reason",
        source: "https://github.com/intel/gvt-linux/issues/171",
        ..PLAIN
    },
    Known {
        code: "vfio-memory-lock",
        told_by: &[
            "VFIO_MAP_DMA failed: Cannot allocate memory",
            "VFIO_MAP_DMA * Cannot allocate memory",
            "vfio_dma_map * = -12 (Cannot allocate memory)",
            "RLIMIT_MEMLOCK * exceeded",
            "vfio_pin_pages_remote * exceeded",
            "vfio* memory lock limit",
        ],
        cause: "the VM's memory cannot be locked for the device: the limit of locked memory (RLIMIT_MEMLOCK) of the \
                process is smaller than the VM, or the host has not that much free memory.",
        next: "raise the limit (LimitMEMLOCK= of the service, ulimit -l, <hard_limit> in libvirt's memtune), or give \
               the VM less memory",
        source: "kernel, drivers/vfio/vfio_iommu_type1.c",
        ..PLAIN
    },
    Known {
        code: "vfio-map-fault",
        told_by: &[
            "VFIO_MAP_DMA failed: Bad address",
            "VFIO_MAP_DMA failed: Invalid argument",
            "vfio_dma_map * = -14",
            "vfio_dma_map * = -22",
        ],
        cause: "a part of the VM's address space cannot be mapped for the device: memory that is no plain RAM \
                (another device's window, persistent memory), or addresses beyond what the IOMMU can reach.",
        next: "where it is only a warning and the VM runs, leave it; otherwise limit the guest's physical address \
               bits (host-phys-bits-limit=39 for a small IOMMU)",
        source: "QEMU, hw/vfio",
        ..PLAIN
    },
    Known {
        code: "mdev-absent",
        told_by: &[
            "no such host device",
            "mediated device * not found",
            "bus/mdev/devices/*: No such file or directory",
            "mdev_type/device_api: No such file or directory",
            "vfio * /sys/bus/mdev/devices/* not found",
            "Could not open /sys/bus/mdev/devices",
            "node device not found * mdev_",
            "no node device with matching name mdev_",
        ],
        unless: &[
            "lstat /sys/bus/mdev/devices",
            "unable to read MDEV devices directory",
            "iommu_group: No such file",
        ],
        follows: &[
            "create-*",
            "rm-*",
            "pve-*",
            "module-*",
            "unlock-*",
            "mdevctl-path",
        ],
        cause: "the mediated device that the VM names does not exist now: it was never created, or it went with a \
                reboot (the kernel forgets all of them), or it is defined but not started.",
        next: "vgpuctl list shows what is active and what is only defined: vgpuctl start <UUID>, or vgpuctl create; so \
               that it survives a reboot, vgpuctl modify <UUID> --auto",
        source: "https://github.com/virt-manager/virt-manager/issues/392",
        ..PLAIN
    },
    Known {
        code: "vfio-device-bound-elsewhere",
        told_by: &[
            "error getting device from group * No such device",
            "error getting device from group * Invalid argument",
            "vfio* device is bound to * not vfio",
            "failed to bind * vfio-pci",
            "vfio-pci: probe of * failed with error -22",
            "vfio-pci: probe of * failed with error -16",
        ],
        unless: &["probe of 10000:"],
        follows: &["iommu-off", "gpu-behind-vmd"],
        cause: "VFIO cannot take the device: another driver holds it, or the IOMMU is off (error -22), or the device \
                vanished.",
        next: "lspci -nnk: the driver in use must be vfio-pci for a whole card, and nvidia for a vGPU's virtual \
               function (then use managed='no'); dmesg | grep -i -e DMAR -e AMD-Vi for the IOMMU",
        source: "kernel, drivers/vfio/pci",
        ..PLAIN
    },
    Known {
        code: "iommu-off",
        told_by: &[
            "DMAR: IOMMU not enabled",
            "IOMMU not present",
            "No IOMMU detected",
            "No IOMMU found",
            "no IOMMU * please activate it",
            "IOMMU is disabled",
            "Cannot prepare PCI passthrough * IOMMU not present",
            "host doesn't support passthrough of host PCI devices",
            "does not support VFIO PCI passthrough",
            "Cannot prepare PCI pass-through: IOMMU",
        ],
        cause: "the IOMMU is off, which passing a card or a virtual function to a VM needs (cards with SR-IOV, that \
                is Ampere and newer, need it for vGPU too; older cards with mediated devices do not).",
        next: "switch VT-d or AMD-Vi on in the firmware; kernel command line intel_iommu=on iommu=pt (AMD: iommu=pt); \
               rebuild the boot configuration, reboot, dmesg | grep -i -e DMAR -e IOMMU",
        source: "the guide, section 3c",
        ..PLAIN
    },
    Known {
        code: "display-without-opengl",
        told_by: &[
            "vfio-display-dmabuf: opengl not available",
            "vfio-display-dmabuf * opengl",
            "opengl is not available",
            "opengl not available",
        ],
        cause: "the device is attached with display=on, but the VM's display has no OpenGL.",
        next: "give SPICE or GTK OpenGL (<gl enable='yes'/> and listen type none in libvirt, -display egl-headless or \
               gtk,gl=on in QEMU), or attach the device with display='off'",
        source: "https://github.com/intel/gvt-linux/issues/227",
        ..PLAIN
    },
    Known {
        code: "display-not-supported",
        told_by: &[
            "display support is only available with vfio-pci-nohotplug",
            "device doesn't support a display",
            "device doesn't support any (known) display method",
            "ramfb requires display",
            "ramfb=on requires display=on",
            "Only one vgpu device can have ramfb enabled",
            "multiple devices * ramfb",
        ],
        cause: "the display options of the device do not go together: ramfb needs display=on and a device that is not \
                hotplugged, only one device of a VM may have ramfb, and some types have no display.",
        next: "set display='off' (and no ramfb) on all but one vGPU; in KubeVirt, \
               virtualGPUOptions.display.ramFB.enabled: false",
        source: "https://github.com/harvester/harvester/issues/5289",
        ..PLAIN
    },
    Known {
        code: "vfio-bar-reserved",
        told_by: &[
            "vfio-pci * BAR *: can't reserve [mem",
            "vfio-pci * BAR *: cannot reserve [mem",
        ],
        cause: "a card that is passed through whole still shows the host's boot screen: the boot framebuffer (efifb, \
                simplefb) holds its memory.",
        next: "make another card the firmware's first, or boot with initcall_blacklist=sysfb_init (older kernels: \
               video=efifb:off)",
        source: "kernel, drivers/vfio/pci",
        ..PLAIN
    },
    Known {
        code: "vfio-reset",
        told_by: &[
            "vfio-pci * not ready * after * reset; giving up",
            "vfio: Cannot reset device * no available reset mechanism",
            "vfio: Cannot reset device * depends on group",
            "Unable to power on device, stuck in D3",
            "not ready 65535ms after FLR; giving up",
            "not ready 65535ms after bus reset; giving up",
        ],
        cause: "a card that is passed through whole cannot be reset between two uses: it has no working reset, or \
                shares it with a device that is not passed along.",
        next: "pass all functions of the card, power the host off and on to free a stuck card; update its VBIOS",
        source: "kernel, drivers/vfio/pci",
        ..PLAIN
    },
];
