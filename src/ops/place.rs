//! Which of several parents a new device goes to.

use super::Context;
use super::choose::Offer;
use crate::error::{Kind, Result};
use crate::model::Parent;
use crate::nvidia::{Placement, Room, choose};

/// What each of the offers has left, as the kernel says now.
///
/// # Errors
/// The active devices cannot be listed, or a type cannot be read. A type or parent that has gone
/// since has no room.
pub fn rooms(context: &Context<'_>, offers: &[&Offer]) -> Result<Vec<Room>> {
    let mut unrelated = Vec::new();
    // With one parent there is nothing to compare.
    let devices = match offers {
        [_] => Vec::new(),
        _ => context.kernel.devices(&mut unrelated)?,
    };
    let taken = |parent: &Parent| {
        if devices.is_empty() {
            return 0;
        }
        let names = context.kernel.sharing(parent);
        let here = devices.iter().filter(|d| names.contains(&d.parent));
        u32::try_from(here.count()).unwrap_or(u32::MAX)
    };
    let room = |offer: &&Offer| {
        let (parent, id) = (&offer.parent.id, &offer.vgpu_type.id);
        let framework = context.kernel.serving(&offer.parent);
        let vgpu_type = framework.vgpu_type(parent, id, &mut Vec::new());
        let free = match vgpu_type {
            Ok(found) => found.available,
            // Where the only parent has gone, that is the answer.
            Err(error) if error.kind() == Kind::NotFound && offers.len() > 1 => Some(0),
            Err(error) => return Err(error),
        };
        let taken = taken(&offer.parent);
        Ok(Room { taken, free })
    };
    offers.iter().map(room).collect()
}

/// The offers that `count` devices would go to, one after the other; fewer where room ends.
pub fn foresee<'o>(
    offers: &[&'o Offer],
    mut rooms: Vec<Room>,
    placement: Placement,
    count: usize,
) -> Vec<&'o Offer> {
    let mut chosen = Vec::new();
    while chosen.len() < count
        && let Some(at) = choose(&rooms, placement)
    {
        chosen.push(offers[at]);
        rooms[at] = rooms[at].with_one_more();
    }
    chosen
}
