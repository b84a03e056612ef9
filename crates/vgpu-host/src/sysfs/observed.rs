//! What one who watches a host asks its frameworks: nothing here waits.

use std::path::PathBuf;
use std::time::Duration;

use super::mdev::{Mdev, TYPES};
use super::vf::Vf;
use super::{Framework, Kernel, pci};
use crate::dir::{Dir, EntryKind};
use crate::error::{Result, Warnings, if_present};
use crate::model::{Device, Parent, parse_uuid};

/// The devices of one moment.
#[derive(Debug, Default)]
pub struct Now {
    /// Those that are whole.
    pub devices: Vec<Device>,
    /// Whether there is one that the kernel has not finished: its type is not said yet, although
    /// the instance may be taken already.
    pub is_making: bool,
}

/// The part of a framework that a watcher needs.
pub trait Observed {
    /// As [`Framework::devices`], without those that are just being made.
    ///
    /// # Errors
    /// As there.
    fn devices_now(&self, warnings: &mut Warnings) -> Result<Now>;

    /// The directories with the files that programs write to in order to make or change something
    /// on a parent. Such a write can be heard, and it is heard when it has had its effect.
    fn request_dirs(&self, parent: &Parent) -> Vec<PathBuf>;
}

impl Observed for Mdev<'_> {
    fn devices_now(&self, warnings: &mut Warnings) -> Result<Now> {
        let mut now = Now::default();
        let Some(mut dir) = if_present(Dir::open(self.host().mdev_devices()))? else {
            return Ok(now);
        };
        for entry in dir.entries()? {
            // Odd names are told by whoever lists the devices.
            let Some(uuid) = entry.name.to_str().and_then(|name| parse_uuid(name).ok()) else {
                continue;
            };
            match Self::read_settled(&dir, uuid, Duration::ZERO) {
                Ok(device) => now.devices.extend(device),
                Err(error) if error.is_absent() => now.is_making = true,
                Err(error) => warnings.push(error),
            }
        }
        Ok(now)
    }

    fn request_dirs(&self, parent: &Parent) -> Vec<PathBuf> {
        let path = self.host().mdev_parents().join(parent.id.as_str());
        let types = Dir::open(path.join(TYPES)).and_then(|mut dir| dir.entries());
        let types = types.unwrap_or_default().into_iter();
        types
            .filter(|entry| entry.kind != EntryKind::Other)
            .map(|entry| path.join(TYPES).join(entry.name))
            .collect()
    }
}

impl Observed for Vf<'_> {
    fn devices_now(&self, warnings: &mut Warnings) -> Result<Now> {
        let devices = self.devices(warnings)?;
        Ok(Now {
            devices,
            is_making: false,
        })
    }

    fn request_dirs(&self, parent: &Parent) -> Vec<PathBuf> {
        let devices = self.host().pci_devices();
        let gpu = Dir::open(devices.join(parent.gpu().as_str()));
        let functions = gpu.and_then(pci::virtual_functions).unwrap_or_default();
        let asked = |vf: crate::model::ParentId| devices.join(vf.as_str()).join("nvidia");
        functions.into_iter().map(asked).collect()
    }
}

impl Kernel<'_> {
    /// The active devices of all frameworks by UUID, without those that are just being made.
    ///
    /// # Errors
    /// As [`Framework::devices`].
    pub fn devices_now(&self, warnings: &mut Warnings) -> Result<Now> {
        let mut all = Now::default();
        for framework in &self.frameworks {
            let now = framework.devices_now(warnings)?;
            all.devices.extend(now.devices);
            all.is_making |= now.is_making;
        }
        all.devices.sort_by_key(|device| device.uuid);
        Ok(all)
    }
}
