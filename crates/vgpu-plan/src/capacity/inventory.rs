//! What was read of one GPU, for questions about its room.

use super::{Capacity, Limits};
use vgpu_host::model::{TypeId, VgpuType};

/// An active device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Occupant {
    /// Its type.
    pub type_id: TypeId,
    /// Where its framebuffer starts, in GiB; `None` where the driver does not say.
    pub placement: Option<u32>,
}

impl Occupant {
    /// A device of which only the type is known.
    pub fn of(type_id: TypeId) -> Self {
        Occupant {
            type_id,
            placement: None,
        }
    }
}

/// What a GPU offers and holds.
#[derive(Debug, Clone, Default)]
pub struct Inventory {
    /// Its types, as far as they were read, and those of what it holds.
    pub types: Vec<VgpuType>,
    /// Each active device, in any order.
    pub held: Vec<Occupant>,
    /// What bounds it.
    pub limits: Limits,
    /// How many of its functions without a vGPU are kept for definitions.
    pub kept: u32,
}

impl Inventory {
    /// What it has room for. What it holds of a type that is not among its types counts as one of
    /// which nothing is known.
    pub fn capacity(&self) -> Capacity<'_> {
        let mut capacity = Capacity::of(&self.types, self.limits);
        for one in &self.held {
            if let Some(at) = capacity.type_at(&one.type_id) {
                capacity.stays(at, one.placement);
            }
        }
        for _ in 0..self.kept {
            capacity.keeps_function();
        }
        capacity
    }
}
