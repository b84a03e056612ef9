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

    /// Links to all PCI devices, by address (kernel: Documentation/ABI/testing/sysfs-bus-pci).
    pub fn pci_devices(&self) -> PathBuf {
        self.path("sys/bus/pci/devices")
    }

    /// Links to the PCI devices that NVIDIA's driver serves, by address (same document).
    pub fn nvidia_driver(&self) -> PathBuf {
        self.path("sys/bus/pci/drivers/nvidia")
    }

    /// mdevctl's definitions, `<parent>/<uuid>`, which this program shares.
    pub fn definitions(&self) -> PathBuf {
        self.path("etc/mdevctl.d")
    }

    /// Definitions of vGPUs on virtual functions, `<GPU>/<uuid>`: not where mdevctl and libvirt
    /// look, who would take them for mediated devices.
    pub fn own_definitions(&self) -> PathBuf {
        self.path("etc/vgpuctl.d")
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

    /// Which vGPUs on virtual functions are ours, a file a function.
    pub fn vf_records(&self) -> PathBuf {
        self.locks().join("vfs")
    }

    /// What types are called while none of them is listed, a file a GPU.
    pub fn type_names(&self) -> PathBuf {
        self.locks().join("types")
    }

    /// NVIDIA's program that switches a GPU's virtual functions.
    pub fn sriov_manage(&self) -> PathBuf {
        self.path("usr/lib/nvidia/sriov-manage")
    }

    /// NVIDIA's program that tells and sets what GPUs do.
    pub fn nvidia_smi(&self) -> PathBuf {
        self.path("usr/bin/nvidia-smi")
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
