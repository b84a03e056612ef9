//! What a watch tells.

use std::path::PathBuf;
use std::sync::Arc;

use crate::error::Error;
use crate::model::{Definition, Device, Holder, Parent, ParentId, TypeId, VgpuType};
use crate::store::Location;

/// One change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// From here on, nothing is missed.
    Ready(Ready),
    /// A parent.
    Parent(Turn, Parent),
    /// What can be made on a parent, or on the GPU whose functions are parents.
    Types(TypesChange),
    /// An active device, with its type's name.
    Device(Turn, Device, Option<Arc<str>>),
    /// A definition.
    Definition(Written),
    /// A process and the device that it has open.
    Holder(Turn, Device, Holder),
    /// Something that cannot be read or heard, reported once.
    Problem(Error),
}

impl Change {
    /// Whether it is worth telling also when everything has just come into view.
    pub fn is_news(&self) -> bool {
        match self {
            Change::Ready(_) | Change::Problem(_) => true,
            Change::Definition(written) => matches!(written.turn, Turned::Unreadable(_)),
            _ => false,
        }
    }
}

/// Whether something is there now or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// It came.
    Came,
    /// It went.
    Went,
}

/// What a watch begins with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ready {
    /// How many parents there are.
    pub parents: usize,
    /// How many active devices.
    pub devices: usize,
    /// How many definitions.
    pub definitions: usize,
    /// Whether the kernel's events are heard; they are not where its sysfs is not the kernel's.
    pub hears_kernel: bool,
    /// Whether every process can be looked into; without root it is only one's own.
    pub sees_all_processes: bool,
}

/// What can be made, where that has changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TypesChange {
    /// The parent or GPU.
    pub parent: ParentId,
    /// Types that are new or of which more or fewer are free.
    pub types: Vec<TypeChange>,
    /// Types that are not offered any more.
    pub gone: Vec<VgpuType>,
}

/// One type, as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TypeChange {
    /// The type.
    pub now: VgpuType,
    /// As it was; `None` for one that was not there.
    pub before: Option<VgpuType>,
}

/// What became of a definition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// Of which device.
    pub at: Location,
    /// Its file.
    pub path: PathBuf,
    /// What happened.
    pub turn: Turned,
    /// The type's name, while its parent tells it.
    pub type_name: Option<Arc<str>>,
}

/// What happened to a definition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Turned {
    /// It is new.
    Defined(Definition),
    /// It is another.
    Changed(Definition),
    /// It is gone; what it was, where that could be read.
    Undefined(Option<Definition>),
    /// It cannot be read, or not be understood.
    Unreadable(Error),
}

impl Written {
    /// The type that is or was defined.
    pub fn type_id(&self) -> Option<&TypeId> {
        self.definition().map(|definition| &definition.type_id)
    }

    /// The definition as it is, or was.
    pub fn definition(&self) -> Option<&Definition> {
        match &self.turn {
            Turned::Defined(definition) | Turned::Changed(definition) => Some(definition),
            Turned::Undefined(definition) => definition.as_ref(),
            Turned::Unreadable(_) => None,
        }
    }
}
