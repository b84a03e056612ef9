//! What the next boot leaves out of what is defined once a plan is carried out.

use std::cmp::Reverse;
use std::collections::HashSet;

use uuid::Uuid;

use super::Item;
use super::observe::World;
use super::space::spaces_now;
use crate::error::{Error, Kind, Warnings};
use crate::model::{Definition, StartMode};
use crate::ops::capacity::no_room_for;
use crate::ops::execute::Step;
use crate::ops::functions::{crowded, named};

/// A caution for each vGPU that will be defined to start at boot and for which those before it leave no room.
pub fn left_out_at_boot(world: &World, items: &[Item]) -> Warnings {
    let left_out = without_room_at_boot(world, &definitions_after(world, items));
    left_out.into_iter().map(|(_, error)| error).collect()
}

/// The definitions once the plan is carried out.
fn definitions_after(world: &World, items: &[Item]) -> Vec<Definition> {
    let mut all = world.definitions.clone();
    for step in items.iter().flat_map(|item| &item.steps) {
        let gone = match step {
            Step::Define(new, _) => {
                all.push(new.clone());
                continue;
            }
            Step::Rewrite(both) => {
                all.push(both.1.clone());
                &both.0
            }
            Step::Forget(old) | Step::Leave(old) => old,
            _ => continue,
        };
        let at = all.iter().position(|one| one == gone);
        at.map(|at| all.remove(at));
    }
    all
}

/// Those of these definitions for which the next boot has no room, each with the reason.
pub fn without_room_at_boot(world: &World, definitions: &[Definition]) -> Vec<(Uuid, Error)> {
    let then = spaces_now(world).into_iter();
    let then = then.map(|space| space.capacity.at_next_boot());
    let mut spaces: Vec<_> = then.collect();
    let mut starting: Vec<(usize, usize, &Definition)> = definitions
        .iter()
        .filter(|one| one.start == StartMode::Auto)
        .filter_map(|one| {
            let gpu = world.gpu_of(&one.parent)?;
            Some((gpu, world.gpus[gpu].type_at(&one.type_id)?, one))
        })
        .collect();
    // As restore does: a UUID that is defined on several parents starts on the first of them.
    starting.sort_by(|(_, _, a), (_, _, b)| (&a.parent, a.uuid).cmp(&(&b.parent, b.uuid)));
    let mut seen = HashSet::new();
    starting.retain(|(_, _, one)| seen.insert(one.uuid));
    starting.sort_by_cached_key(|(gpu, at, one)| {
        let gpu = &world.gpus[*gpu];
        let size = gpu.types[*at].framebuffer_mib().filter(|_| gpu.mixes_sizes);
        let place = (named(one).is_none(), one.parent.clone(), one.uuid);
        (Reverse(size), place)
    });
    let mut left_out = Vec::new();
    let mut taken = HashSet::new();
    for (gpu, at, one) in starting {
        let room = &mut spaces[gpu];
        let gpu = &world.gpus[gpu];
        // Each function that is a parent takes one.
        let is_taken = gpu.functions.contains(&one.parent) && taken.contains(&one.parent);
        let admitted = match is_taken {
            true => Err(crowded(one)),
            false => room.admit(at).map_err(|refusal| {
                no_room_for(&gpu.types[at], &format!("{} {}", gpu.id(), refusal.words()))
            }),
        };
        if admitted.is_ok() {
            taken.insert(&one.parent);
        }
        if let Err(why) = admitted {
            let message = format!(
                "{} will not start at the next boot: {}",
                one.uuid,
                why.message()
            );
            let hint = format!(
                "change one that is in the way, or: vgpuctl modify {} --manual",
                one.uuid
            );
            left_out.push((one.uuid, Error::new(Kind::NoCapacity, message).hint(hint)));
        }
    }
    left_out
}
