//! Where definitions are.

use uuid::Uuid;

use crate::model::{Definition, Device, FrameworkKind, ParentId};

/// Where a definition is.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Location {
    /// For which framework: each has a directory of its own.
    pub framework: FrameworkKind,
    /// Under which parent.
    pub parent: ParentId,
    /// Of which device.
    pub uuid: Uuid,
}

impl Location {
    /// Where the definition is, or is to be.
    pub fn of(definition: &Definition) -> Location {
        Location {
            framework: definition.framework,
            parent: definition.parent.clone(),
            uuid: definition.uuid,
        }
    }

    /// Where a device's definition is, if it has one.
    pub fn of_device(device: &Device) -> Location {
        Location {
            framework: device.framework(),
            parent: device.parent.clone(),
            uuid: device.uuid,
        }
    }
}
