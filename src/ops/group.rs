//! Parents that are virtual functions of one GPU, put together as that GPU.

use super::types::ParentTypes;
use crate::capacity::{holdings, instances_left};
use crate::model::{Device, VgpuType};
use crate::nvidia::Share;

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
        let on_gpu: Vec<&Device> = devices
            .iter()
            .filter(|d| self.functions.contains(&d.parent))
            .collect();
        let is_cut = |one: &VgpuType| one.share() == Share::Instance;
        let known = match self.types.iter().any(is_cut) {
            true => self.types.clone(),
            false => Vec::new(),
        };
        let of_device = |device: &&Device| known.iter().find(|t| t.id == device.type_id);
        let held = holdings(on_gpu.iter().filter_map(of_device));
        for vgpu_type in &mut self.types {
            let most = vgpu_type.details().map(|details| details.max_instances);
            // All of one size count together, whatever their series; instances each for itself.
            let counts = |d: &&&Device| !is_cut(vgpu_type) || d.type_id == vgpu_type.id;
            let active = u32::try_from(on_gpu.iter().filter(counts).count()).unwrap_or(u32::MAX);
            let by_count = most.map(|most| most.saturating_sub(active));
            let by_slices = instances_left(&held, vgpu_type, None);
            let left = [by_count, by_slices].into_iter().flatten().min();
            let left = left.unwrap_or(u32::MAX);
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
