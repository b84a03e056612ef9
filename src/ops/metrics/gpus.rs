//! What each GPU and each of its types has.

use std::collections::{BTreeMap, BTreeSet};

use super::tally::{Area, Tally};
use super::{GpuNumbers, Homes, TypeNumbers};
use crate::model::{Device, FrameworkKind, Parent, ParentId, VgpuType};
use crate::nvidia::{self, Card};
use crate::ops::Context;
use crate::ops::choose::no_types;
use crate::ops::gpus::with_types_in_use;
use crate::ops::group::by_gpu;
use crate::ops::types::ParentTypes;
use crate::sysfs::PciIdentity;

/// The parents' types, a GPU's functions put together.
pub struct Grouped {
    all: Vec<ParentTypes>,
    /// GPUs of which some function's types are not known.
    doubtful: BTreeSet<ParentId>,
}

/// What else is known of the host.
pub struct Sight<'a> {
    /// The active devices; `None` where they cannot be listed.
    pub devices: Option<&'a [Device]>,
    /// Whether those are all.
    pub is_sure: bool,
    /// Devices that a process has open, by GPU; `None` where it is not known.
    pub held: Option<&'a BTreeMap<ParentId, u64>>,
    /// Which GPU a parent belongs to.
    pub homes: &'a Homes,
}

/// Reads the types of all parents.
pub fn grouped(
    context: &Context<'_>,
    parents: Vec<Parent>,
    devices: &[Device],
    tally: &mut Tally,
) -> Grouped {
    let (mut all, mut doubtful) = (Vec::new(), BTreeSet::new());
    for parent in parents {
        let framework = context.kernel.serving(&parent);
        let found = tally.look(Area::Types, |warnings| {
            let types = framework.types(&parent.id, warnings);
            types.map_err(|error| no_types(error, &parent.id))
        });
        // A function that takes types lists what it can take: what is missing may be unread.
        let is_doubtful = found.value.is_none() || parent.framework == FrameworkKind::Vfio;
        if !found.is_whole && is_doubtful {
            doubtful.insert(parent.gpu().clone());
        }
        all.push(ParentTypes {
            parent,
            functions: Vec::new(),
            types: found.value.unwrap_or_default(),
            most: BTreeMap::new(),
        });
    }
    Grouped {
        all: by_gpu(all, devices),
        doubtful,
    }
}

/// The numbers of the GPUs and of their types.
pub fn numbers(
    context: &Context<'_>,
    grouped: &Grouped,
    sight: &Sight<'_>,
    tally: &mut Tally,
) -> (Vec<GpuNumbers>, Vec<TypeNumbers>) {
    let mut gpus: BTreeMap<ParentId, GpuNumbers> = BTreeMap::new();
    let mut types = BTreeMap::new();
    for one in &grouped.all {
        let gpu = &one.parent.id;
        // Who could be in both frameworks is reported once.
        gpus.entry(gpu.clone())
            .or_insert_with(|| gpu_numbers(context, one, sight, tally));
        for vgpu_type in &one.types {
            types
                .entry((gpu.clone(), vgpu_type.id.clone()))
                .or_insert_with(|| type_numbers(context, grouped, one, vgpu_type, sight));
        }
    }
    (gpus.into_values().collect(), types.into_values().collect())
}

fn gpu_numbers(
    context: &Context<'_>,
    one: &ParentTypes,
    sight: &Sight<'_>,
    tally: &mut Tally,
) -> GpuNumbers {
    let gpu = one.parent.id.clone();
    let framework = context.kernel.serving(&one.parent);
    // The parent itself is what the framework knows; a function has its card's numbers.
    let id = one.functions.first().unwrap_or(&gpu);
    let pci = tally.look(Area::Parents, |warnings| Ok(framework.pci(id, warnings)));
    let numbers = pci.value.flatten().as_ref().and_then(PciIdentity::numbers);
    let card = numbers.and_then(|(vendor, device)| nvidia::card(vendor, device));
    let held = sight.held;
    let on_gpu = sight.on(context, &gpu);
    let promised = on_gpu.and_then(|held| promised(context, one, &held));
    GpuNumbers {
        framework: one.parent.framework,
        model: card.map(|card| card.name),
        memory_mib: card.and_then(only_memory),
        framebuffer_used_mib: promised
            .map(|mib| card.map_or(mib, |card| mib.min(card.memory_mib()))),
        framebuffer_promised_mib: promised,
        held: held.map(|held| held.get(&gpu).copied().unwrap_or_default()),
        gpu,
    }
}

/// Under one number, cards of several sizes may be sold.
fn only_memory(card: &Card) -> Option<u64> {
    match card.memory_sizes_mib[..] {
        [only] => Some(only),
        _ => None,
    }
}

fn promised(context: &Context<'_>, one: &ParentTypes, devices: &[&Device]) -> Option<u64> {
    let types = with_types_in_use(context, one.types.clone(), devices, &mut Vec::new());
    // Other vendors' parents have none to take.
    types.iter().find_map(VgpuType::framebuffer_mib)?;
    let of = |device: &&Device| {
        let known = types.iter().find(|t| t.id == device.type_id);
        known.and_then(VgpuType::framebuffer_mib)
    };
    devices.iter().map(of).sum()
}

fn type_numbers(
    context: &Context<'_>,
    grouped: &Grouped,
    one: &ParentTypes,
    vgpu_type: &VgpuType,
    sight: &Sight<'_>,
) -> TypeNumbers {
    let gpu = &one.parent.id;
    // What functions have left is bounded by the devices that are there.
    let is_bounded = one.functions.is_empty() || sight.is_sure;
    let is_sure = is_bounded && !grouped.doubtful.contains(gpu);
    let free = vgpu_type.available.filter(|_| is_sure);
    let at_least = Some(vgpu_type.at_least).filter(|least| free.is_some() || *least > 0);
    let active = sight.on(context, gpu).map(|devices| {
        let of_type = devices.iter().filter(|d| d.type_id == vgpu_type.id);
        of_type.count() as u64
    });
    TypeNumbers {
        gpu: gpu.clone(),
        type_id: vgpu_type.id.clone(),
        name: vgpu_type
            .name
            .as_ref()
            .map(|_| vgpu_type.short_name().to_owned()),
        free,
        free_at_least: at_least.filter(|_| is_bounded),
        most: vgpu_type.details().map(|d| d.max_instances),
        framebuffer_mib: vgpu_type.framebuffer_mib(),
        active,
    }
}

impl<'a> Sight<'a> {
    /// The devices on a GPU, unless some of the host's are unknown.
    fn on(&self, context: &Context<'_>, gpu: &ParentId) -> Option<Vec<&'a Device>> {
        let all = self.devices.filter(|_| self.is_sure)?;
        let is_here = |device: &&Device| self.homes.gpu(context, &device.parent) == *gpu;
        Some(all.iter().filter(is_here).collect())
    }
}
