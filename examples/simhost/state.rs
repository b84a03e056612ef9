//! The state of a host: devices, open descriptors, pending operations, faults.

use std::time::{Duration, Instant};

use nix::errno::Errno;

use crate::ap::Matrix;
use crate::faults::Countdown;
use crate::sriov::SriovManage;

/// The stage of a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// `create` has not returned: the device exists, but not its `mdev_type`.
    Creating,
    /// Complete.
    Active,
    /// `remove` has not returned: no longer on the bus, but still counted.
    Removing,
}

/// A mediated device.
#[derive(Debug, Clone)]
pub struct Device {
    /// Its parent.
    pub parent: String,
    /// Its type, `nvidia-63`.
    pub type_id: String,
    /// The capacity it uses on its parent (see `TypeSpec::weight`).
    pub weight: u32,
    /// IOMMU group, `/dev/vfio/<group>`.
    pub group: u32,
    /// `/dev/vfio/devices/vfio<N>`.
    pub vfio: u32,
    /// Its stage.
    pub stage: Stage,
    /// Distinguishes two devices with the same UUID.
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
    /// The serial of the device.
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
    /// Its path below `/dev`.
    pub fn file(&self) -> String {
        if self.is_group {
            format!("vfio/{}", self.group)
        } else {
            format!("vfio/devices/vfio{}", self.vfio)
        }
    }
}

/// A pending create or remove.
#[derive(Debug, Clone)]
pub struct Ticket {
    /// The device, or VF.
    pub uuid: String,
    /// The serial of the device.
    pub serial: u64,
    /// The earliest time of completion.
    pub due: Instant,
    /// The errno with which a create will fail.
    pub fault: Option<Errno>,
}

/// What the completion of a create or remove waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// Nothing.
    Nothing,
    /// A point in time, if delayed.
    Time(Duration),
    /// Another process closing its last descriptor of the device.
    Close,
}

/// The result of a write to `remove`.
#[derive(Debug)]
pub enum RemoveStep {
    /// Completed.
    Done,
    /// To be completed when it is due and no process has the device open.
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
    /// Number of removes that will report success but do nothing.
    pub stick_remove: u32,
    /// Device attributes whose next write fails.
    pub attr: Vec<(String, Errno)>,
}

/// Counters of writes since the start.
#[derive(Debug, Default, Clone, Copy)]
pub struct Counters {
    /// Writes to `create`.
    pub create_writes: u64,
    /// Devices created.
    pub created: u64,
    /// Writes to `remove`.
    pub remove_writes: u64,
    /// Devices removed through `remove`.
    pub removed: u64,
    /// Writes to a driver's `bind`.
    pub binds: u64,
    /// Races that `sriov-manage` lost.
    pub races: u64,
    /// Calls of `sriov-manage` for a GPU.
    pub sriov_calls: u64,
    /// Simulated reboots.
    pub reboots: u64,
}
