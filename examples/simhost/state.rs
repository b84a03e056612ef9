//! What a host remembers: its devices, who has them open, what is under way, what is to go wrong.

use std::time::{Duration, Instant};

use nix::errno::Errno;

use crate::ap::Matrix;
use crate::faults::Countdown;
use crate::sriov::SriovManage;

/// How far a device is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// `create` has not returned: the device is there, its `mdev_type` is not.
    Creating,
    /// Whole.
    Active,
    /// `remove` was written and has not returned: gone from the bus, still counted.
    Removing,
}

/// A mediated device.
#[derive(Debug, Clone)]
pub struct Device {
    /// Its parent.
    pub parent: String,
    /// Its type, `nvidia-63`.
    pub type_id: String,
    /// What it takes of its parent (see `TypeSpec::weight`).
    pub weight: u32,
    /// IOMMU group, `/dev/vfio/<group>`.
    pub group: u32,
    /// `/dev/vfio/devices/vfio<N>`.
    pub vfio: u32,
    /// How far it is.
    pub stage: Stage,
    /// Tells two devices of one UUID apart.
    pub serial: u64,
    /// `nvidia/vgpu_params`.
    pub params: String,
    /// Adapters and domains.
    pub matrix: Matrix,
}

/// An open descriptor of a device's group or character device.
#[derive(Debug, Clone)]
pub struct Open {
    /// The device.
    pub uuid: String,
    /// Which device of that UUID.
    pub serial: u64,
    /// Group (true) or character device.
    pub is_group: bool,
    /// The process that opened it.
    pub pid: u32,
    /// The number of the device's group.
    pub group: u32,
    /// The number of its character device.
    pub vfio: u32,
}

impl Open {
    /// Its place below `/dev`.
    pub fn file(&self) -> String {
        if self.is_group {
            format!("vfio/{}", self.group)
        } else {
            format!("vfio/devices/vfio{}", self.vfio)
        }
    }
}

/// A create or remove that was begun.
#[derive(Debug, Clone)]
pub struct Ticket {
    /// The device, or VF.
    pub uuid: String,
    /// Which device of that UUID.
    pub serial: u64,
    /// When it may end.
    pub due: Instant,
    /// What a create is to fail with.
    pub fault: Option<Errno>,
}

/// What the end of a create or remove waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// It can happen now.
    Nothing,
    /// Time, in a delayed one.
    Time(Duration),
    /// A stranger's last descriptor of the device to be closed.
    Close,
}

/// What a write to `remove` leads to.
#[derive(Debug)]
pub enum RemoveStep {
    /// Nothing more to do.
    Done,
    /// To be ended when it is due and nobody has the device open.
    Begun(Ticket),
}

/// Faults and delays, set by `simhost ctl`.
#[derive(Debug, Default)]
pub struct Faults {
    /// Creates that fail.
    pub create: Countdown,
    /// Removes that fail.
    pub remove: Countdown,
    /// How long a create takes.
    pub delay_create: Duration,
    /// How long a VF stays busy after it was closed.
    pub plugin_exit: Duration,
    /// Writes to a driver's `bind` that fail.
    pub bind: Countdown,
    /// What `sriov-manage` does.
    pub sriov_manage: SriovManage,
    /// How long a remove takes.
    pub delay_remove: Duration,
    /// How many removes will say they worked and do nothing.
    pub stick_remove: u32,
    /// Device attributes whose next write fails.
    pub attr: Vec<(String, Errno)>,
}

/// What has been written since the start.
#[derive(Debug, Default, Clone, Copy)]
pub struct Counters {
    /// Writes to `create`.
    pub create_writes: u64,
    /// Devices made.
    pub created: u64,
    /// Writes to `remove`.
    pub remove_writes: u64,
    /// Devices removed through `remove`.
    pub removed: u64,
    /// Functions that were to be bound through sysfs.
    pub binds: u64,
    /// Races that `sriov-manage` lost.
    pub races: u64,
    /// Calls of `sriov-manage` for a GPU.
    pub sriov_calls: u64,
    /// Simulated reboots.
    pub reboots: u64,
}
