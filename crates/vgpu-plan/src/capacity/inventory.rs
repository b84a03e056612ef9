//! What was read of one GPU, for questions about its room.

use super::{Capacity, Limits};
use vgpu_host::model::{TypeId, VgpuType};

/// What a GPU offers and holds.
#[derive(Debug, Clone, Default)]
pub struct Inventory {
    /// Its types, as far as they were read, and those of what it holds.
    pub types: Vec<VgpuType>,
    /// The type of each active device, in any order.
    pub held: Vec<TypeId>,
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
        for id in &self.held {
            if let Some(at) = capacity.type_at(id) {
                capacity.stays(at);
            }
        }
        for _ in 0..self.kept {
            capacity.keeps_function();
        }
        capacity
    }
}
