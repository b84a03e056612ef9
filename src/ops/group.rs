//! Parents that are virtual functions of one GPU, put together as that GPU.

use super::types::ParentTypes;
use crate::capacity::{Inventory, Occupant};
use crate::model::{Device, VgpuType};

/// Puts the types of a GPU's functions together. What is free on the GPU is what its functions can
/// still take under the type's most instances, never the sum of each function's one.
pub fn by_gpu(all: Vec<ParentTypes>, devices: &[Device]) -> Vec<ParentTypes> {
    let mut grouped: Vec<ParentTypes> = Vec::new();
    for one in all {
        let last = grouped.last_mut();
        match last.filter(|last| one.parent.gpu.is_some() && last.parent.id == *one.parent.gpu()) {
            Some(gpu) => gpu.take_in(one),
            None if one.parent.gpu.is_some() => grouped.push(ParentTypes {
                parent: one.parent.whole(),
                functions: vec![one.parent.id],
                types: one.types,
                most: one.most,
            }),
            None => grouped.push(one),
        }
    }
    for gpu in grouped.iter_mut().filter(|gpu| !gpu.functions.is_empty()) {
        gpu.bound(devices);
    }
    grouped
}

impl ParentTypes {
    fn take_in(&mut self, function: ParentTypes) {
        self.functions.push(function.parent.id);
        for vgpu_type in function.types {
            match self.types.iter_mut().find(|t| t.id == vgpu_type.id) {
                Some(known) => add(known, &vgpu_type),
                None => self.types.push(vgpu_type),
            }
        }
        self.types.sort_by(|a, b| a.id.cmp(&b.id));
    }

    fn bound(&mut self, devices: &[Device]) {
        let on_gpu = devices
            .iter()
            .filter(|d| self.functions.contains(&d.parent));
        let inventory = Inventory {
            types: self.types.clone(),
            held: on_gpu
                .map(|device| Occupant::of(device.type_id.clone()))
                .collect(),
            ..Inventory::default()
        };
        let capacity = inventory.capacity();
        for (at, vgpu_type) in self.types.iter_mut().enumerate() {
            let left = capacity.bound(at).map_or(u32::MAX, |bound| bound.most);
            vgpu_type.available = vgpu_type.available.map(|free| free.min(left));
            vgpu_type.at_least = vgpu_type.at_least.min(left);
        }
    }
}

fn add(known: &mut VgpuType, other: &VgpuType) {
    known.available = match (known.available, other.available) {
        (Some(one), Some(another)) => Some(one.saturating_add(another)),
        _ => None,
    };
    known.at_least = known.at_least.saturating_add(other.at_least);
}
