//! What a GPU offers and holds, read for the question whether something fits.

use std::collections::BTreeSet;

use super::Context;
use super::functions::Spoken;
use super::gpus::with_types_in_use;
use super::standing::standing_of;
use crate::capacity::{Inventory, Limits, Moment, Occupant};
use crate::model::{Device, FrameworkKind, Parent, ParentId, TypeId, VgpuType};
use crate::nvidia::{Card, Region, Share, Standing, card};
use crate::smi::Smi;
use crate::store::Sizes;

/// What a parent's GPU offers, holds, and is bounded by. Functions that are parents each offer one
/// instance or none, which says nothing of their GPU: what is free is left out then.
pub fn inventory(context: &Context<'_>, parent: &Parent) -> Inventory {
    let active = active_on(context, parent);
    let types = types(context, parent);
    let held: Vec<&Device> = active.iter().collect();
    let types = with_types_in_use(context, types, &held, &mut Vec::new());
    let limits = limits(context, parent, &types, Moment::Now);
    let inventory = Inventory {
        types: types.into_iter().map(|one| of_gpu(parent, one)).collect(),
        held: occupants(context, limits.region, &active),
        limits,
        kept: 0,
    };
    with_mode(context, parent, inventory)
}

/// Where what a GPU holds and offers does not tell whether it serves several sizes, its driver is asked.
pub fn with_mode(context: &Context<'_>, parent: &Parent, mut inventory: Inventory) -> Inventory {
    if inventory.capacity().may_be_mixed() {
        inventory.limits.is_mixed = mixes_now(context, parent.gpu());
    }
    inventory
}

/// Whether a GPU's driver says that it serves several sizes now.
pub fn mixes_now(context: &Context<'_>, gpu: &ParentId) -> bool {
    let smi = Smi::of(context.host).ok().flatten();
    let mode = smi.and_then(|smi| smi.mixes_sizes(gpu).ok().flatten());
    mode.unwrap_or_default()
}

/// The same as far as these types go and those that it holds, as the next boot finds it.
pub fn inventory_at_boot<'t>(
    context: &Context<'_>,
    parent: &Parent,
    wanted: impl Iterator<Item = &'t TypeId>,
) -> Inventory {
    let framework = context.kernel.serving(parent);
    let ids: BTreeSet<&TypeId> = wanted.collect();
    let read = |id: &TypeId| framework.vgpu_type(&parent.id, id, &mut Vec::new()).ok();
    let types: Vec<VgpuType> = ids.into_iter().filter_map(read).collect();
    inventory_of_these(context, parent, types.iter())
}

/// The same, where the types have been read.
pub fn inventory_of_these<'t>(
    context: &Context<'_>,
    parent: &Parent,
    types: impl Iterator<Item = &'t VgpuType>,
) -> Inventory {
    let mut all: Vec<VgpuType> = Vec::new();
    for vgpu_type in types {
        if all.iter().all(|known| known.id != vgpu_type.id) {
            all.push(of_gpu(parent, vgpu_type.clone()));
        }
    }
    let held = occupants(context, None, &active_on(context, parent));
    for one in &held {
        if all.iter().all(|known| known.id != one.type_id) {
            all.push(VgpuType::unlisted(one.type_id.clone(), None, None));
        }
    }
    Inventory {
        limits: limits(context, parent, &all, Moment::NextBoot),
        types: all,
        held,
        kept: 0,
    }
}

/// The same of a GPU that serves several sizes and whose placement IDs are known; `None` of others.
pub fn mixed_inventory(context: &Context<'_>, parent: &Parent) -> Option<Inventory> {
    let inventory = inventory(context, parent);
    let is_mixed = inventory.limits.region.is_some() && inventory.capacity().mixes_sizes();
    is_mixed.then_some(inventory)
}

/// Whether the settings of a parent's GPU ask for several sizes.
pub fn mixes_by_settings(context: &Context<'_>, parent: &Parent) -> bool {
    let settings = context.store.settings_of(parent.gpu());
    settings.is_ok_and(|set| set.sizes == Sizes::Mixed)
}

/// What is active on a GPU, for the question what fits beside it. Where a vGPU starts matters only on a GPU that has a
/// region, and while sizes differ.
pub fn occupants(
    context: &Context<'_>,
    region: Option<Region>,
    active: &[Device],
) -> Vec<Occupant> {
    let placement = |device: &Device| region.and_then(|_| placement_of(context, device));
    active
        .iter()
        .map(|device| Occupant {
            type_id: device.type_id.clone(),
            placement: placement(device),
        })
        .collect()
}

/// Where a vGPU's framebuffer starts, in GiB of its GPU's region; `None` where the driver does not say.
pub fn placement_of(context: &Context<'_>, device: &Device) -> Option<u32> {
    let nodes = context.kernel.owning(device).nodes(device).ok()?;
    let text = context.kernel.attr_text(&nodes, "nvidia/placement_id");
    text.ok()??.trim().parse().ok()
}

fn of_gpu(parent: &Parent, vgpu_type: VgpuType) -> VgpuType {
    match parent.gpu.is_some() && parent.framework == FrameworkKind::Mdev {
        true => VgpuType {
            available: None,
            ..vgpu_type
        },
        false => vgpu_type,
    }
}

/// The devices that are active on a parent's GPU; none where they cannot be listed.
pub fn active_on(context: &Context<'_>, parent: &Parent) -> Vec<Device> {
    let mut unrelated = Vec::new();
    let mut devices = context.kernel.devices(&mut unrelated).unwrap_or_default();
    devices.retain(|device| context.kernel.shares_gpu(parent, &device.parent));
    devices
}

/// The types that a parent lists; none where it cannot be asked.
pub fn types(context: &Context<'_>, parent: &Parent) -> Vec<VgpuType> {
    let framework = context.kernel.serving(parent);
    let types = framework.types(&parent.id, &mut Vec::new());
    types.unwrap_or_default()
}

/// How many functions of a parent's GPU are kept for definitions and have no vGPU.
pub fn kept_functions(functions: &[ParentId], active: &[Device], spoken: &Spoken) -> u32 {
    let is_taken = |vf: &ParentId| active.iter().any(|device| device.vf() == Some(vf));
    let kept = functions
        .iter()
        .filter(|vf| !is_taken(vf) && spoken.keeper(vf, None).is_some());
    count(kept.count())
}

/// What bounds a parent's GPU beside what these types of it say. Where they say all, as descriptions
/// do, its memory is not read.
pub fn limits(
    context: &Context<'_>,
    parent: &Parent,
    types: &[VgpuType],
    moment: Moment,
) -> Limits {
    let takes_types = parent.framework == FrameworkKind::Vfio;
    let says_most = |one: &VgpuType| one.details().is_some() && one.share() != Share::Instance;
    let settings = takes_types.then(|| context.store.settings_of(parent.gpu()).ok());
    let card = match types.iter().all(says_most) && !takes_types && parent.gpu.is_none() {
        true => None,
        false => own_card(context, parent, types),
    };
    Limits {
        memory_mib: card
            .filter(|_| takes_types || !types.iter().all(says_most))
            .map(Card::memory_mib),
        region: card.and_then(Card::region),
        functions: match moment {
            Moment::Now => functions_now(context, parent),
            Moment::NextBoot => takes_types
                .then(|| functions_at_boot(context, parent))
                .flatten(),
        },
        mixes_sizes: settings
            .flatten()
            .is_some_and(|set| set.sizes == Sizes::Mixed),
        is_mixed: false,
    }
}

/// Boot switches on as many as there can be.
fn functions_at_boot(context: &Context<'_>, parent: &Parent) -> Option<u32> {
    let sriov = context.kernel.sriov_gpu(parent.gpu()).ok().flatten();
    sriov.map(|sriov| sriov.total)
}

fn functions_now(context: &Context<'_>, parent: &Parent) -> Option<u32> {
    let mut unrelated = Vec::new();
    let all = match (parent.framework, &parent.gpu) {
        (FrameworkKind::Vfio, _) => {
            let framework = context.kernel.serving(parent);
            let functions = framework.functions(parent.gpu(), &mut unrelated).ok()?;
            functions.len()
        }
        (FrameworkKind::Mdev, None) => return None,
        (FrameworkKind::Mdev, Some(gpu)) => {
            let functions = context.kernel.parents_named(gpu, &mut unrelated).ok()?;
            functions.len()
        }
    };
    Some(count(all))
}

/// A parent's card, where its types are its own.
fn own_card(context: &Context<'_>, parent: &Parent, types: &[VgpuType]) -> Option<&'static Card> {
    let framework = context.kernel.serving(parent);
    let numbers = framework.pci(parent.gpu(), &mut Vec::new())?.numbers()?;
    let is_its_own = standing_of(context, numbers, types) == Some(Standing::VgpuCard);
    card(numbers.0, numbers.1).filter(|_| is_its_own)
}

/// A number of things on one GPU.
pub fn count(all: usize) -> u32 {
    u32::try_from(all).unwrap_or(u32::MAX)
}
