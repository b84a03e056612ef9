//! What a GPU has room for once some of what it holds has gone.

use super::observe::{Gpu, World};
use crate::capacity::{Capacity, Limits};
use crate::error::Error;
use crate::ops::cautions::memory_caution;

/// A GPU, what stays on it, what leaves it, and what comes.
#[derive(Clone)]
pub struct Space<'w> {
    /// The GPU.
    pub gpu: &'w Gpu,
    /// What it has room for; its types are in the GPU's order.
    pub capacity: Capacity<'w>,
}

impl<'w> Space<'w> {
    /// A GPU of which nothing is known to be held.
    pub fn of(gpu: &'w Gpu) -> Space<'w> {
        let limits = Limits {
            memory_mib: gpu.memory_mib,
            functions: gpu.slots,
            mixes_sizes: gpu.mixes_sizes,
            is_mixed: gpu.is_mixed,
            region: gpu.region,
        };
        let capacity = Capacity::of(&gpu.types, limits);
        Space { gpu, capacity }
    }

    /// What is to be said of what comes to it: the driver lets in more than an unlocked card can hold.
    pub fn caution(&self) -> Option<Error> {
        let card = self.gpu.unlocked.filter(|_| self.capacity.is_to_fill())?;
        memory_caution(card, self.gpu.id(), &self.capacity.holdings())
    }

    /// What it holds, or will hold, that leaves no room for one more of a type.
    pub fn why_full(&self, at: usize) -> String {
        self.capacity.refusal(at).words_of_plan()
    }

    /// What would let it have a type of this size too, where that is what is in the way.
    pub fn how_to_mix(&self, at: usize) -> Option<&str> {
        let how = self.gpu.how_to_mix.as_deref();
        how.filter(|_| self.capacity.needs_mixing(at))
    }
}

/// All GPUs with what they hold now.
pub fn spaces_now(world: &World) -> Vec<Space<'_>> {
    let mut spaces: Vec<Space<'_>> = world.gpus.iter().map(Space::of).collect();
    for device in &world.devices {
        let gpu = world.gpu_of(&device.parent);
        let held = gpu.and_then(|gpu| Some((gpu, world.gpus[gpu].type_at(&device.type_id)?)));
        if let Some((gpu, at)) = held {
            let placement = world.placements.get(&device.uuid).copied();
            spaces[gpu].capacity.stays(at, placement);
        }
    }
    spaces
}
