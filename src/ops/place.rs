//! Which of several parents a new device goes to.

use std::collections::BTreeSet;

use uuid::Uuid;

use super::Context;
use super::choose::Offer;
use super::functions::{Spoken, needs_function};
use super::inventory::{active_on, kept_functions, limits, occupants, with_mode};
use crate::capacity::{Capacity, Inventory, Moment, Placement, Room, choose};
use crate::error::{Kind, Result};
use crate::model::{Device, Parent, ParentId, TypeId, VgpuType};
use crate::nvidia::Share;

/// A GPU that offers a type.
pub struct Site<'o> {
    /// The GPU itself, or its functions that are parents each, those first that are taken first.
    pub offers: Vec<&'o Offer>,
    /// What is free on each of them; `None` where it does not say.
    free: Vec<Option<u32>>,
    /// The wanted type is the first of its types.
    inventory: Inventory,
}

impl Site<'_> {
    /// What the GPU has room for; the wanted type is the first.
    pub fn capacity(&self) -> Capacity<'_> {
        self.inventory.capacity()
    }

    /// Whether one of its offers is that one, and has room.
    pub fn has_room_on(&self, offer: &Offer) -> bool {
        let mut offers = self.offers.iter().zip(&self.free);
        let is_free = offers.any(|(one, free)| std::ptr::eq(*one, offer) && *free != Some(0));
        is_free && self.capacity().room(0).fits()
    }

    /// How many more of the type it surely has room for; one where it does not say.
    pub fn free(&self) -> u32 {
        self.capacity().room(0).free.unwrap_or(1)
    }
}

/// The GPUs of these offers, with what the kernel says now. Functions that are kept for others than
/// `own` have nothing free. Where several devices are `wanted` of a type whose driver does not say
/// how often it fits, what else bounds it is read too.
///
/// # Errors
/// The active devices cannot be listed, or a type cannot be read. A type or parent that has gone
/// since has no room.
pub fn sites<'o>(
    context: &Context<'_>,
    offers: &[&'o Offer],
    spoken: &Spoken,
    own: Option<Uuid>,
    wanted: usize,
) -> Result<Vec<Site<'o>>> {
    // With one parent there is nothing to compare.
    let devices = match offers {
        [_] => Vec::new(),
        _ => context.kernel.devices(&mut Vec::new())?,
    };
    let gpus: Vec<ParentId> = devices
        .iter()
        .map(|device| gpu_of(context, offers, device))
        .collect();
    let groups = by_gpu(offers.iter().copied()).into_iter();
    let site = |group: Vec<&'o Offer>| {
        let free = free_of_each(context, &group, spoken, own, offers.len() > 1)?;
        let gpu = group[0].parent.gpu();
        let here = devices.iter().zip(&gpus).filter(|(_, at)| *at == gpu);
        let active: Vec<Device> = here.map(|(device, _)| device.clone()).collect();
        let vgpu_type = group[0].vgpu_type.with_free(free.iter().copied().sum());
        let inventory = match wanted > 1 && says_too_little(group[0]) {
            true => whole(context, &group[0].parent, vgpu_type, spoken),
            false => of_type(context, &group[0].parent, vgpu_type, &active),
        };
        Ok(Site {
            offers: group,
            free,
            inventory,
        })
    };
    groups.map(site).collect()
}

fn gpu_of(context: &Context<'_>, offers: &[&Offer], device: &Device) -> ParentId {
    let is_its = |parent: &Parent| device.parent == parent.id || device.parent == *parent.gpu();
    let mut parents = offers.iter().map(|offer| &offer.parent);
    match parents.find(|parent| is_its(parent)) {
        Some(parent) => parent.gpu().clone(),
        None => context.kernel.gpu_of(&device.parent),
    }
}

/// Whether a type's driver does not say how often it fits, or says it of each function alone.
fn says_too_little(offer: &Offer) -> bool {
    let is_instance_on_function =
        offer.parent.gpu.is_some() && offer.vgpu_type.share() == Share::Instance;
    offer.vgpu_type.available.is_none() || is_instance_on_function
}

/// What is known of a GPU without asking it more than what is free of the type.
fn of_type(
    context: &Context<'_>,
    parent: &Parent,
    vgpu_type: VgpuType,
    active: &[Device],
) -> Inventory {
    let ids: BTreeSet<&TypeId> = active.iter().map(|device| &device.type_id).collect();
    let others: Vec<&TypeId> = ids.into_iter().filter(|id| **id != vgpu_type.id).collect();
    // What each function offers says nothing of the GPU: that all are of one size does.
    let other = |id: &TypeId| match parent.gpu.is_some() {
        true => read_in_use(context, parent, id),
        false => VgpuType::unlisted(id.clone(), None, None),
    };
    Inventory {
        types: std::iter::once(vgpu_type)
            .chain(others.into_iter().map(other))
            .collect(),
        held: occupants(context, None, active),
        ..Inventory::default()
    }
}

/// A type that is in use, which a full GPU may not list.
fn read_in_use(context: &Context<'_>, parent: &Parent, id: &TypeId) -> VgpuType {
    let framework = context.kernel.serving(parent);
    let listed = framework.vgpu_type(&parent.id, id, &mut Vec::new());
    listed.unwrap_or_else(|_| {
        let name = context.kernel.type_name(&parent.id, id, &mut Vec::new());
        VgpuType::unlisted(id.clone(), name, None)
    })
}

fn whole(
    context: &Context<'_>,
    parent: &Parent,
    vgpu_type: VgpuType,
    spoken: &Spoken,
) -> Inventory {
    let active = active_on(context, parent);
    let mut inventory = Inventory {
        types: vec![vgpu_type],
        ..Inventory::default()
    };
    let ids: BTreeSet<&TypeId> = active.iter().map(|device| &device.type_id).collect();
    for id in ids {
        if inventory.types.iter().all(|known| known.id != *id) {
            inventory.types.push(read_in_use(context, parent, id));
        }
    }
    inventory.limits = limits(context, parent, &inventory.types, Moment::Now);
    if needs_function(&parent.whole()) {
        let framework = context.kernel.serving(parent);
        let functions = framework.functions(parent.gpu(), &mut Vec::new());
        inventory.kept = kept_functions(&functions.unwrap_or_default(), &active, spoken);
    }
    inventory.held = occupants(context, inventory.limits.region, &active);
    with_mode(context, parent, inventory)
}

fn free_of_each(
    context: &Context<'_>,
    group: &[&Offer],
    spoken: &Spoken,
    own: Option<Uuid>,
    has_others: bool,
) -> Result<Vec<Option<u32>>> {
    let free = |offer: &&Offer| {
        let framework = context.kernel.serving(&offer.parent);
        match framework.free(&offer.parent.id, &offer.vgpu_type.id) {
            Ok(Some(0)) => Ok(Some(0)),
            Ok(free) => without_kept(context, offer, spoken, own, free),
            // Where the only parent has gone, that is the answer.
            Err(error) if error.kind() == Kind::NotFound && has_others => Ok(Some(0)),
            Err(error) => Err(error),
        }
    };
    group.iter().map(free).collect()
}

/// What is free on an offer beside functions that are kept for others.
fn without_kept(
    context: &Context<'_>,
    offer: &Offer,
    spoken: &Spoken,
    own: Option<Uuid>,
    free: Option<u32>,
) -> Result<Option<u32>> {
    let (parent, id) = (&offer.parent, &offer.vgpu_type.id);
    let is_kept = |vf: &ParentId| spoken.keeper(vf, own).is_some();
    if is_kept(&parent.id) {
        return Ok(Some(0));
    }
    if spoken.is_empty() || !needs_function(parent) {
        return Ok(free);
    }
    let (mut odd, framework) = (Vec::new(), context.kernel.serving(parent));
    let open = framework.open_functions(&parent.id, id, 2, &is_kept, &mut odd)?;
    Ok(match open.len() {
        0 if !odd.is_empty() => free,
        0 => Some(0),
        1 => Some(1),
        _ => free,
    })
}

/// The offers that `wanted` devices would go to, one after the other; fewer where room ends.
pub fn foresee<'o>(sites: &[Site<'o>], placement: Placement, wanted: usize) -> Vec<&'o Offer> {
    let mut capacities: Vec<Capacity<'_>> = sites.iter().map(Site::capacity).collect();
    let mut free: Vec<Vec<Option<u32>>> = sites.iter().map(|site| site.free.clone()).collect();
    let mut chosen = Vec::new();
    while chosen.len() < wanted {
        let rooms: Vec<Room> = capacities.iter().map(|capacity| capacity.room(0)).collect();
        let Some(site) = choose(&rooms, placement) else {
            break;
        };
        let Some(at) = free[site].iter().position(|free| *free != Some(0)) else {
            break;
        };
        free[site][at] = free[site][at].map(|free| free.saturating_sub(1));
        capacities[site].comes(0);
        chosen.push(sites[site].offers[at]);
    }
    chosen
}

/// The offers in groups, one a GPU, whose functions share what is free.
pub fn by_gpu<'o>(offers: impl IntoIterator<Item = &'o Offer>) -> Vec<Vec<&'o Offer>> {
    let mut groups: Vec<Vec<&Offer>> = Vec::new();
    for offer in offers {
        let same = |group: &&mut Vec<&Offer>| group[0].parent.gpu() == offer.parent.gpu();
        match groups.iter_mut().find(same) {
            Some(group) => group.push(offer),
            None => groups.push(vec![offer]),
        }
    }
    groups
}
