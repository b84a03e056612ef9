//! Why something cannot be as declared, in words.

use std::collections::HashSet;

use uuid::Uuid;

use super::adopt::Policy;
use super::matching::Case;
use super::observe::{World, is_ours_to_touch};
use super::resolve::Wanted;
use super::space::Space;
use super::{Item, Verdict};
use crate::capacity::Reason;
use crate::declare::{Declaration, Unlisted};
use crate::error::{Error, Kind};
use crate::ops::capacity::no_room_for;
use crate::store::Mark;

/// How many GPUs are told of at most where none has room.
const MOST_NAMED: usize = 4;

/// A member that cannot be as declared now.
pub fn blocked(wanted: &Wanted<'_>, case: &Case<'_>, error: Error) -> Item {
    let slot = &wanted.members[case.slot];
    let error = match case.faults.differences.is_empty() {
        true => error,
        false => {
            let message = format!(
                "{}, but {}",
                case.faults.differences.join(", "),
                error.message()
            );
            error.retold(message)
        }
    };
    Item {
        uuid: case.uuid,
        member: Some(Mark::new(&wanted.group.name, &slot.key)),
        parent: case.have.parent().cloned(),
        vf: case.have.function().cloned(),
        type_id: wanted.type_id.clone(),
        type_name: wanted.type_name.clone(),
        verdict: Verdict::Blocked(error),
        steps: Vec::new(),
        is_optional: false,
    }
}

/// Why no GPU of a group has room for one more.
pub fn no_room(wanted: &Wanted<'_>, case: &Case<'_>, spaces: &[Space<'_>]) -> Error {
    let pin = wanted.members[case.slot].pin;
    let gpus = wanted.gpus.iter();
    let gpus = gpus.filter(|gpu| pin.is_none_or(|pin| pin == **gpu));
    let full = gpus.filter_map(|gpu| {
        let space = &spaces[*gpu];
        Some((space, space.gpu.type_at(&wanted.type_id)?))
    });
    let full: Vec<(&Space<'_>, usize)> = full.collect();
    let Some((first, at)) = full.first() else {
        return Error::new(
            Kind::NoCapacity,
            format!("no GPU has the type {}", wanted.type_id),
        );
    };
    let functions = |space: &Space<'_>| {
        let mut named = wanted.gpus.iter().filter_map(|at| {
            let is_it = std::ptr::eq(spaces[*at].gpu, space.gpu);
            wanted.functions.get(at).filter(|_| is_it)
        });
        named.next()
    };
    let line = |(space, at): &(&Space<'_>, usize)| {
        let gpu = space.gpu.id();
        match functions(space).filter(|_| space.capacity.room(*at).fits()) {
            Some(named) => {
                let named: Vec<&str> = named.iter().map(|vf| vf.as_str()).collect();
                format!(
                    "all functions of {gpu} that it names are in use: {}",
                    named.join(", ")
                )
            }
            None => format!("{gpu} {}", space.why_full(*at)),
        }
    };
    let others = full.iter().skip(1).take(MOST_NAMED - 1).map(line);
    let ways = full.iter().filter_map(|(space, at)| space.how_to_mix(*at));
    no_room_for(&first.gpu.types[*at], &line(&full[0]))
        .hints(others)
        .hints(ways.take(1).map(str::to_owned))
}

/// Whether a GPU of a group has enough memory for one more, but no placement ID.
pub fn lacks_placement(wanted: &Wanted<'_>, spaces: &[Space<'_>]) -> bool {
    let mut reasons = wanted.gpus.iter().filter_map(|gpu| {
        let space = &spaces[*gpu];
        let at = space.gpu.type_at(&wanted.type_id)?;
        Some(space.capacity.refusal(at).reason)
    });
    reasons.any(|reason| matches!(reason, Reason::NoPlacement(_)))
}

/// Definitions that are to go, and cannot be read: whoever wrote them may still want them.
pub fn unreadable_items(world: &World, policy: &Policy<'_>, listed: &HashSet<Uuid>) -> Vec<Item> {
    let unreadable = world.unreadable.iter();
    unreadable
        .filter(|(at, _)| {
            !listed.contains(&at.uuid) && policy.removes(world, &at.parent, None, None)
        })
        .filter_map(|(at, error)| {
            let unknown = "unknown".parse().ok()?;
            Some(Item {
                uuid: at.uuid,
                member: None,
                parent: Some(at.parent.clone()),
                vf: None,
                type_id: unknown,
                type_name: None,
                verdict: Verdict::Blocked(error.clone()),
                steps: Vec::new(),
                is_optional: false,
            })
        })
        .collect()
}

/// What is another program's, on virtual functions, is not changed whatever the file says.
pub fn foreign_notes(world: &World, declaration: &Declaration) -> Vec<String> {
    if declaration.unlisted == Unlisted::Keep {
        return Vec::new();
    }
    let foreign = world.devices.iter().filter(|d| !is_ours_to_touch(d));
    foreign
        .map(|device| {
            format!(
                "{} holds {}, which was created by another program and is not changed",
                device.name(),
                device.type_id
            )
        })
        .collect()
}
