//! Every path the program touches, under one root prefix. Nothing else spells them.

use std::path::{Path, PathBuf};

use uuid::Uuid;

use crate::model::ParentId;

/// The licence daemon's settings inside a Linux guest (NVIDIA's licensing guide).
pub const GUEST_LICENCE_SETTINGS: &str = "/etc/nvidia/gridd.conf";

/// Where a Linux guest keeps the token of a licence server that hands out tokens (same guide).
pub const GUEST_LICENCE_TOKEN: &str = "/etc/nvidia/ClientConfigToken/";

/// A child process's own standard input, for programs that read files only.
pub const STANDARD_INPUT: &str = "/dev/stdin";

/// A host: `/` for the one we run on, another directory for a simulated or mounted one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    root: PathBuf,
}

impl Host {
    /// The host whose `/` is the directory `root`.
    pub fn new(root: impl Into<PathBuf>) -> Host {
        Host { root: root.into() }
    }

    fn path(&self, below: &str) -> PathBuf {
        self.root.join(below)
    }

    /// Links to the parents, by name (kernel: Documentation/driver-api/vfio-mediated-device.rst).
    pub fn mdev_parents(&self) -> PathBuf {
        self.path("sys/class/mdev_bus")
    }

    /// Links to the active mediated devices, by UUID (same document).
    pub fn mdev_devices(&self) -> PathBuf {
        self.path("sys/bus/mdev/devices")
    }

    /// mdevctl's definitions, `<parent>/<uuid>`, which this program shares.
    pub fn definitions(&self) -> PathBuf {
        self.path("etc/mdevctl.d")
    }

    /// Directories of the scripts that are asked before and told after a change, in the order of
    /// mdevctl(8): what packages bring, then what the administrator adds.
    pub fn callouts(&self) -> [PathBuf; 2] {
        self.scripts("callouts")
    }

    /// Directories of the scripts that are told what happened, in the same order.
    pub fn notifiers(&self) -> [PathBuf; 2] {
        self.scripts("notifiers")
    }

    fn scripts(&self, kind: &str) -> [PathBuf; 2] {
        [
            self.path("usr/lib/mdevctl/scripts.d").join(kind),
            self.definitions().join("scripts.d").join(kind),
        ]
    }

    /// Where locks live; the directory and the locks in it are never deleted.
    pub fn locks(&self) -> PathBuf {
        self.path("run/vgpuctl")
    }

    /// The lock of one parent's definitions and devices.
    pub fn parent_lock(&self, parent: &ParentId) -> PathBuf {
        self.locks().join(format!("{parent}.lock"))
    }

    /// Stands while a device exists whose attributes are not all written yet.
    pub fn unfinished(&self, uuid: Uuid) -> PathBuf {
        self.locks().join(format!("{uuid}.unfinished"))
    }

    /// Processes.
    pub fn processes(&self) -> PathBuf {
        self.path("proc")
    }

    /// The node through which a VFIO group is opened, `/dev/vfio/<group>`.
    pub fn vfio_group(&self, group: &str) -> PathBuf {
        self.path("dev/vfio").join(group)
    }

    /// The node of one VFIO device on kernels with the device cdev, `/dev/vfio/devices/vfio<N>`.
    pub fn vfio_device(&self, name: &str) -> PathBuf {
        self.path("dev/vfio/devices").join(name)
    }

    /// The directory of one active mediated device, which QEMU opens it by.
    pub fn mdev_device(&self, uuid: Uuid) -> PathBuf {
        self.mdev_devices().join(uuid.to_string())
    }

    /// A file of memory that processes share, as QEMU does with Looking Glass.
    pub fn shared_memory(&self, name: &str) -> PathBuf {
        self.path("dev/shm").join(name)
    }

    /// The configuration of a Proxmox VE VM, or of one whose id is not known.
    pub fn proxmox_vm(&self, vmid: Option<u64>) -> PathBuf {
        let vmid = vmid.map_or_else(|| "VMID".to_owned(), |vmid| vmid.to_string());
        self.path("etc/pve/qemu-server").join(vmid + ".conf")
    }

    /// Whether this is the host that the program runs on, and not a simulated or mounted one.
    pub fn is_this_one(&self) -> bool {
        self.root == Path::new("/")
    }

    /// The root prefix.
    pub fn root(&self) -> &Path {
        &self.root
    }
}
