//! Every path the program touches, under one root prefix. Nothing else spells them.

use std::path::{Path, PathBuf};

use uuid::Uuid;

use crate::model::ParentId;

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

    /// The root prefix.
    pub fn root(&self) -> &Path {
        &self.root
    }
}
