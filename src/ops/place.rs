//! Which of several parents a new device goes to.

use uuid::Uuid;

use super::Context;
use super::choose::Offer;
use super::functions::{Spoken, needs_function};
use super::limits::ceiling;
use crate::capacity::{Placement, choose};
use crate::error::{Kind, Result};
use crate::model::{Device, Parent, ParentId};
use crate::nvidia::Share;

/// What an offer has left.
#[derive(Debug, Clone, Copy)]
pub struct Room {
    taken: u32,
    alike: u32,
    free: Option<u32>,
}

impl Room {
    /// Whether there is room for one more, as far as it says.
    pub fn fits(self) -> bool {
        self.free != Some(0)
    }

    fn plain(self) -> crate::capacity::Room {
        crate::capacity::Room {
            taken: self.taken,
            free: self.free,
        }
    }
}

/// Which of the rooms takes the next one.
pub fn choose_room(rooms: &[Room], placement: Placement) -> Option<usize> {
    let rooms: Vec<_> = rooms.iter().map(|room| room.plain()).collect();
    choose(&rooms, placement)
}

/// What each of the offers has left, as the kernel says now. Functions that are kept for others than
/// `own` have nothing.
///
/// # Errors
/// The active devices cannot be listed, or a type cannot be read. A type or parent that has gone
/// since has no room.
pub fn rooms(
    context: &Context<'_>,
    offers: &[&Offer],
    spoken: &Spoken,
    own: Option<Uuid>,
) -> Result<Vec<Room>> {
    let mut unrelated = Vec::new();
    // With one parent there is nothing to compare.
    let devices = match offers {
        [_] => Vec::new(),
        _ => context.kernel.devices(&mut unrelated)?,
    };
    let gpu_of = |device: &Device| {
        let is_its = |parent: &Parent| device.parent == parent.id || device.parent == *parent.gpu();
        let mut parents = offers.iter().map(|offer| &offer.parent);
        match parents.find(|parent| is_its(parent)) {
            Some(parent) => parent.gpu().clone(),
            None => context.kernel.gpu_of(&device.parent),
        }
    };
    let gpus: Vec<ParentId> = devices.iter().map(gpu_of).collect();
    let on_gpu = |parent: &Parent| {
        let here = devices.iter().zip(&gpus);
        here.filter(|(_, gpu)| *gpu == parent.gpu())
            .map(|(device, _)| device)
            .collect::<Vec<_>>()
    };
    let room = |offer: &&Offer| {
        let (parent, id) = (&offer.parent.id, &offer.vgpu_type.id);
        let framework = context.kernel.serving(&offer.parent);
        let free = match framework.free(parent, id) {
            Ok(free) => free,
            // Where the only parent has gone, that is the answer.
            Err(error) if error.kind() == Kind::NotFound && offers.len() > 1 => Some(0),
            Err(error) => return Err(error),
        };
        let free = match free {
            Some(0) => free,
            _ => without_kept(context, offer, spoken, own, free)?,
        };
        let taken = on_gpu(&offer.parent);
        let alike = taken.iter().filter(|device| device.type_id == *id);
        let alike = match offer.vgpu_type.share() {
            Share::Instance => alike.count(),
            Share::Size(_) | Share::Unknown => taken.len(),
        };
        let number = |count| u32::try_from(count).unwrap_or(u32::MAX);
        Ok(Room {
            taken: number(taken.len()),
            alike: number(alike),
            free,
        })
    };
    offers.iter().map(room).collect()
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

/// How many of each of the offers can surely not be exceeded, where several are wanted of what does
/// not say how many fit.
pub fn ceilings(
    context: &Context<'_>,
    offers: &[&Offer],
    spoken: &Spoken,
    count: usize,
) -> Vec<Option<u32>> {
    let most = |offer: &&Offer| Some(ceiling(context, offer, spoken)?.most);
    match count {
        // It has room for one or has not: that is known.
        0 | 1 => vec![None; offers.len()],
        _ => offers.iter().map(most).collect(),
    }
}

/// The offers that `count` devices would go to, one after the other; fewer where room ends, or the
/// ceiling of an offer is reached.
pub fn foresee<'o>(
    offers: &[&'o Offer],
    mut rooms: Vec<Room>,
    mut ceilings: Vec<Option<u32>>,
    placement: Placement,
    count: usize,
) -> Vec<&'o Offer> {
    let mut chosen: Vec<&Offer> = Vec::new();
    for (room, offer) in rooms.iter_mut().zip(offers) {
        close_if_full(room, offer);
    }
    close_at_ceilings(&mut rooms, &ceilings);
    while chosen.len() < count
        && let Some(at) = choose_room(&rooms, placement)
    {
        rooms[at].free = rooms[at].free.map(|free| free.saturating_sub(1));
        for (room, offer) in rooms.iter_mut().zip(offers) {
            if offer.parent.gpu() == offers[at].parent.gpu() {
                room.taken = room.taken.saturating_add(1);
                room.alike = room.alike.saturating_add(1);
                close_if_full(room, offer);
            }
        }
        // Functions that are parents share their GPU's.
        for (most, offer) in ceilings.iter_mut().zip(offers) {
            if offer.parent.gpu() == offers[at].parent.gpu() {
                *most = most.map(|most| most.saturating_sub(1));
            }
        }
        close_at_ceilings(&mut rooms, &ceilings);
        chosen.push(offers[at]);
    }
    chosen
}

fn close_at_ceilings(rooms: &mut [Room], ceilings: &[Option<u32>]) {
    for (room, most) in rooms.iter_mut().zip(ceilings) {
        if *most == Some(0) {
            room.free = Some(0);
        }
    }
}

/// A function has its one instance free until the kernel is asked again, though its GPU is full.
fn close_if_full(room: &mut Room, offer: &Offer) {
    let details = offer.vgpu_type.details();
    let most = details.filter(|_| offer.parent.gpu.is_some());
    if most.is_some_and(|details| details.max_instances <= room.alike) {
        room.free = Some(0);
    }
}

/// The offers in groups, one a GPU, whose functions share what is free.
pub fn by_gpu(offers: &[Offer]) -> Vec<Vec<&Offer>> {
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

/// How many instances one GPU surely has room for, on the offers of a group.
pub fn room_on_gpu(context: &Context<'_>, group: &[&Offer], spoken: &Spoken) -> u32 {
    let rooms = rooms(context, group, spoken, None).unwrap_or_default();
    // A parent that does not say how many has room for one, if any.
    let told = rooms.into_iter().map(|room| Room {
        free: Some(room.free.unwrap_or(1)),
        ..room
    });
    let most = ceilings(context, group, spoken, usize::MAX);
    let all = foresee(group, told.collect(), most, Placement::Pack, usize::MAX);
    u32::try_from(all.len()).unwrap_or(u32::MAX)
}
