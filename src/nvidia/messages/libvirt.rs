//! libvirt, OpenStack Nova, and what confines QEMU.

use super::{Known, PLAIN, Voice};

pub(super) const KNOWN: &[Known] = &[
    Known {
        code: "mdevctl-path",
        told_by: &[
            "Cannot find mdevctl in path",
            "mdevctl: command not found",
            "mdevctl: not found",
            "exec: mdevctl: executable file not found",
            "Failed to execute * mdevctl * No such file",
        ],
        cause: "the program mdevctl is not where the caller looks: not installed there (also inside a container that \
                runs libvirt), or a udev rule names another directory than the package uses.",
        next: "install this program's link named mdevctl (or mdevctl itself) in the PATH of libvirtd, inside its \
               container too; for `/usr/sbin/mdevctl: not found` at boot, use vgpuctl's own udev rule",
        source: "https://github.com/vexxhost/atmosphere/pull/3313",
        ..PLAIN
    },
    Known {
        code: "mdev-in-use",
        told_by: &[
            "mediated device * is in use by",
            "mediated device * is in use",
            "PCI device * is in use by driver QEMU",
            "hostdev * already in the domain configuration",
            "is already in use by another domain",
        ],
        needs: &["mdev", "mediated", "vgpu", "nvidia", "PCI device"],
        cause: "another VM has the device already: two domains name one UUID or one virtual function (a clone).",
        next: "the message names the domain: shut it down, or give this one a device of its own (vgpuctl create)",
        source: "libvirt, src/util/virmdev.c",
        ..PLAIN
    },
    Known {
        code: "apparmor",
        told_by: &[
            "apparmor=DENIED * libvirt-* nvidia",
            "apparmor=DENIED * libvirt-* vfio",
            "apparmor=DENIED * libvirt-* mdev",
            "apparmor=DENIED * mdevctl",
            "apparmor=DENIED * libvirt-* ivshmem",
            "apparmor=DENIED * libvirt-* looking-glass",
            "apparmor=DENIED * /dev/dri",
        ],
        needs: &["libvirt", "qemu", "mdevctl"],
        cause: "AppArmor forbids the VM's QEMU (or libvirt) to open a file that the device needs; the line's \
                `name=` says which.",
        next: "allow that path in /etc/apparmor.d/local/abstractions/libvirt-qemu (or local/usr.sbin.libvirtd), then \
               systemctl reload apparmor",
        source: "libvirt, AppArmor driver",
        ..PLAIN
    },
    Known {
        code: "selinux",
        told_by: &[
            "avc: denied * vfio",
            "avc: denied * svirt",
            "avc: denied * mdevctl",
            "avc: denied * nvidia",
        ],
        cause: "SELinux forbids the access that the line names, so the VM or the driver's service does not get its \
                device.",
        next: "ausearch -m avc -ts recent | audit2allow shows the rule that is missing; restorecon on the path first",
        source: "libvirt, SELinux driver",
        ..PLAIN
    },
    Known {
        code: "nova-libvirt-names",
        told_by: &["badly formed hexadecimal UUID string"],
        needs: &["mdev", "nova", "mediated"],
        cause: "Nova cannot read the names that libvirt 7.7 and newer give mediated devices (mdev_<uuid>_<parent>).",
        next: "update Nova to a release with the fix of Launchpad bug 1951656",
        source: "https://github.com/stackhpc/nova/pull/38",
        ..PLAIN
    },
    Known {
        code: "nova-duplicate-types",
        told_by: &["duplicate types for PCI ID"],
        cause: "nova.conf gives one PCI address to two types of mediated devices: it stands in device_addresses of two \
                groups [mdev_<type>] (older releases: [vgpu_<type>]), and nova-compute does not start so.",
        next: "leave the address that the line names in the group of one type only, then restart nova-compute. For two \
               types on one SR-IOV GPU, list its virtual functions, each under one type; with one framebuffer \
               size per GPU, other addresses take the other size",
        source: "OpenStack Nova, virtual GPU guide",
        ..PLAIN
    },
    Known {
        code: "nova-device-address",
        told_by: &[
            "mdev-capable devices: incorrect PCI address",
            "configuration for GPU devices: incorrect PCI address",
        ],
        cause: "an entry of device_addresses in a group [mdev_<type>] of nova.conf is no PCI address, and nova-compute \
                does not start so.",
        next: "write it in full, such as 0000:84:00.0 (vgpuctl gpus shows them), several with commas and no quotes; then \
               restart nova-compute",
        source: "OpenStack Nova, virtual GPU guide",
        ..PLAIN
    },
    Known {
        code: "nova-no-vgpu",
        told_by: &["vGPU resource is not available"],
        cause: "Nova found no free vGPU on the host: the GPU is full, a vGPU of another type is on it, the types in \
                nova.conf are not the ones offered, or devices of lost instances are left over.",
        next: "vgpuctl gpus and vgpuctl types --available on that host; compare with enabled_mdev_types in nova.conf",
        source: "https://github.com/openstack/nova, nova/virt/libvirt/driver.py",
        ..PLAIN
    },
    Known {
        code: "nova-no-candidates",
        told_by: &[
            "Got no allocation candidates from the Placement API",
            "No valid host was found",
        ],
        needs: &["resources * ~VGPU~", "VGPU%3A", "CUSTOM_VGPU"],
        follows: &["nova-no-vgpu"],
        voice: Voice::Alone,
        cause: "Placement knows no host with a free vGPU for this flavor (it asks for VGPU): all are in use, or \
                nova-compute offers none, because its enabled_mdev_types name types that the GPU does not have now, or \
                a trait that the flavor wants is missing.",
        next: "openstack resource provider inventory list <provider of the GPU>, and usage show; then nova-compute's log \
               and enabled_mdev_types on that host, against vgpuctl types",
        source: "OpenStack Nova, virtual GPU guide",
        ..PLAIN
    },
    Known {
        code: "nodedev-parent",
        told_by: &[
            "Unable to find parent device * mdev",
            "could not find parent device * mdev",
            "Unable to define * mediated device",
            "Unable to start mediated device",
            "Unable to create mediated device",
            "virNodeDevice* mdevctl",
        ],
        follows: &["create-*", "mdevctl-path", "size-mix"],
        voice: Voice::Alone,
        cause: "libvirt's call of mdevctl failed; what stands after the colon is mdevctl's own reason. Without one: \
                the parent does not exist or offers no such type now.",
        next: "vgpuctl types --parent <parent>; then the same by hand: vgpuctl create --type <type> --parent <parent>",
        source: "libvirt, src/node_device",
        ..PLAIN
    },
    Known {
        code: "hook-timeout",
        told_by: &["Timed out during operation: cannot acquire state change lock"],
        needs: &["vgpu", "mdev", "nvidia"],
        cause: "libvirt still waits for an earlier action on this VM, most often QEMU that hangs in opening or closing \
                the vGPU.",
        next: "journalctl -u nvidia-vgpu-mgr at that time; end that QEMU, and if it stays in state D, reboot the host",
        source: "libvirt",
        ..PLAIN
    },
];
