//! What has been heard: which parts of the host have to be read again.

use std::collections::BTreeSet;

use uuid::Uuid;

use crate::model::ParentId;
use crate::store::Location;
use crate::sysfs::Uevent;

/// Parts of the host that are to be read again. What is heard of one part many times is read once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Heard {
    /// Parents and devices.
    pub kernel: bool,
    /// The types of these parents.
    pub touched: BTreeSet<ParentId>,
    /// The types of all parents.
    pub all_types: bool,
    /// Devices that are known to have gone, whatever is there under their UUIDs now.
    pub gone_devices: BTreeSet<Uuid>,
    /// Parents likewise.
    pub gone_parents: BTreeSet<ParentId>,
    /// These definitions.
    pub definitions: BTreeSet<Location>,
    /// These definitions, which could not be understood a little while ago, and are called
    /// unreadable if they still cannot be, and nobody has written them since.
    pub doubted: BTreeSet<Location>,
    /// All definitions.
    pub store: bool,
    /// Who has devices open.
    pub holders: bool,
}

impl Heard {
    /// Everything.
    pub fn everything() -> Heard {
        Heard {
            kernel: true,
            all_types: true,
            store: true,
            holders: true,
            ..Heard::default()
        }
    }

    /// Something of parents or devices, but not which.
    pub fn of_the_kernel() -> Heard {
        Heard {
            kernel: true,
            ..Heard::default()
        }
    }

    /// Nothing.
    pub fn is_nothing(&self) -> bool {
        *self == Heard::default()
    }

    /// Takes in what else was heard of the kernel's side, to be looked at again. What has gone
    /// has gone once, and a file is what it is when it is heard of.
    pub fn and_again(&mut self, other: &Heard) {
        self.kernel |= other.kernel;
        self.all_types |= other.all_types;
        self.holders |= other.holders;
        self.touched.extend(other.touched.iter().cloned());
    }

    /// Something happened to a parent's types or devices.
    pub fn touch(&mut self, parent: ParentId) {
        self.kernel = true;
        self.touched.insert(parent);
    }

    /// Takes in what the kernel tells.
    pub fn take(&mut self, event: Uevent) {
        match event {
            Uevent::Device(parent) | Uevent::Parent(parent) => self.touch(parent),
            Uevent::DeviceGone(parent, uuid) => {
                self.gone_devices.insert(uuid);
                self.touch(parent);
            }
            Uevent::ParentGone(parent) => {
                self.gone_parents.insert(parent.clone());
                self.touch(parent);
            }
            Uevent::Other => {
                self.kernel = true;
                self.all_types = true;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_gone_is_not_taken_away_a_second_time() {
        let parent: ParentId = "mtty".parse().unwrap();
        let mut heard = Heard::default();
        heard.take(Uevent::DeviceGone(parent.clone(), Uuid::nil()));
        heard.take(Uevent::ParentGone(parent.clone()));
        let mut again = Heard::default();
        again.and_again(&heard);
        assert!(again.gone_devices.is_empty() && again.gone_parents.is_empty());
        assert!(again.kernel && again.touched.contains(&parent));
    }

    #[test]
    fn many_events_of_one_device_are_one_look() {
        let parent: ParentId = "mtty".parse().unwrap();
        let mut heard = Heard::default();
        assert!(heard.is_nothing());
        (0..100).for_each(|_| heard.take(Uevent::Device(parent.clone())));
        assert_eq!(heard.touched.len(), 1);
    }
}
