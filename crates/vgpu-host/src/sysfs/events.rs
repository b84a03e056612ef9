//! The kernel's events (uevents), as far as they concern parents and devices.
//!
//! They are taken from the kernel itself, not from udev after its rules: that is sooner, and works
//! where no udev runs.

use std::ffi::OsStr;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

use log::debug;
use nix::sys::statfs::{SYSFS_MAGIC, statfs};
use udev::{Event, EventType, MonitorBuilder, MonitorSocket};
use uuid::Uuid;

use crate::error::{Error, Result, errno_of};
use crate::host::Host;
use crate::model::{ParentId, parse_uuid};

/// What the kernel tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Uevent {
    /// A mediated device on this parent was made or is bound to its driver.
    Device(ParentId),
    /// A mediated device on this parent is gone.
    DeviceGone(ParentId, Uuid),
    /// A parent offers mediated devices from now on.
    Parent(ParentId),
    /// A parent offers none any more.
    ParentGone(ParentId),
    /// A PCI or VFIO device came, went, or has another driver: it may be a virtual function.
    Other,
}

/// The kernel's events from now on.
pub struct Uevents(MonitorSocket);

impl Uevents {
    /// Listens; `None` where the host's sysfs is not the kernel's, as under another root.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn of(host: &Host) -> Result<Option<Uevents>> {
        let sysfs = host.sysfs();
        if statfs(&sysfs).map(|found| found.filesystem_type()) != Ok(SYSFS_MAGIC) {
            debug!("{} is not the kernel's: it has no events", sysfs.display());
            return Ok(None);
        }
        let socket = MonitorBuilder::new_kernel().and_then(MonitorBuilder::listen);
        socket.map(|socket| Some(Uevents(socket))).map_err(|error| {
            let what = "cannot listen for kernel events";
            Error::system(what, "netlink", errno_of(&error))
        })
    }

    /// What the kernel has told since the last call; does not wait. Where there was more than it
    /// could keep, what is left is still newer than anything that was read before.
    pub fn heard(&self) -> Vec<Uevent> {
        let all = self.0.iter().filter_map(|event| understand(&event));
        all.inspect(|event| debug!("the kernel tells: {event:?}"))
            .collect()
    }
}

impl AsFd for Uevents {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

fn understand(event: &Event) -> Option<Uevent> {
    let name = event.sysname().to_str()?;
    let state = event.property_value("MDEV_STATE").and_then(OsStr::to_str);
    match state {
        Some("registered") => return Some(Uevent::Parent(name.parse().ok()?)),
        Some("unregistered") => return Some(Uevent::ParentGone(name.parse().ok()?)),
        _ => {}
    }
    match event.subsystem()?.to_str()? {
        "mdev" => {
            let parent = parent_of(event.syspath())?;
            match (event.event_type(), parse_uuid(name)) {
                (EventType::Remove, Ok(uuid)) => Some(Uevent::DeviceGone(parent, uuid)),
                _ => Some(Uevent::Device(parent)),
            }
        }
        "pci" | "vfio-dev" => Some(Uevent::Other),
        _ => None,
    }
}

/// A device's directory stands in its parent's.
fn parent_of(device: &Path) -> Option<ParentId> {
    device.parent()?.file_name()?.to_str()?.parse().ok()
}
