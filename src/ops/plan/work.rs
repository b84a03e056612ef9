//! From what is there and what is declared to what is to be done.

use std::collections::{HashMap, HashSet};

use uuid::Uuid;

use super::adopt::{Policy, Unwanted, take_in, unwanted};
use super::matching::{Case, Index, cases, is_allowed};
use super::observe::{World, is_ours_to_touch};
use super::place::{Claim, Demand, Rank};
use super::resolve::Wanted;
use super::search::place_all;
use super::space::Space;
use super::steps::{Seats, item_of, left_out, removal};
use super::tell::{blocked, foreign_notes, no_room, unreadable_items};
use super::{Item, Plan};
use crate::declare::Declaration;
use crate::error::{Error, Result};
use crate::model::StartMode;
use crate::ops::Context;
use crate::ops::deactivate::held_among;

/// What cannot be changed, by case, and why.
type Stuck = HashMap<usize, Error>;

/// Works out the plan; with it, sentences about what is left alone.
pub fn out(
    context: &Context<'_>,
    world: &World,
    wanted: &[Wanted<'_>],
    declaration: &Declaration,
) -> Result<(Plan, Vec<String>)> {
    let policy = Policy::of(world, &declaration.unlisted);
    let mut index = Index::of(world);
    let mut cases = cases(world, wanted, &mut index);
    let mut unwanted = unwanted(world, &policy, index);
    let held = held(context, &cases, &unwanted)?;
    let known: HashSet<Uuid> = held.keys().copied().collect();
    take_in(world, wanted, &mut cases, &mut unwanted, &known);

    let mut stuck: Stuck = HashMap::new();
    for (at, case) in cases
        .iter()
        .enumerate()
        .filter(|(_, c)| c.faults.needs_stop)
    {
        stuck.extend(held.get(&case.uuid).map(|error| (at, error.clone())));
    }
    let (placed, spaces) = settle(world, wanted, &cases, &unwanted, &held, &mut stuck);
    let mut seats = Seats::of(world, &staying(world, &cases, &unwanted, &held, &stuck));
    let mut items = Vec::new();
    for (at, case) in cases.iter().enumerate() {
        let one = &wanted[case.group];
        if let Some(error) = world_unreadable(context, world, case.uuid) {
            items.push(blocked(world, one, case, error));
        } else if let Some(error) = stuck.get(&at) {
            items.push(blocked(world, one, case, error.clone()));
        } else if !case.faults.needs_place {
            items.push(item_of(world, one, case, None));
        } else if let Some(gpu) = placed.get(&at) {
            let parent = seats.take(world, case, *gpu);
            items.push(item_of(world, one, case, Some(parent)));
        } else if !case.is_optional(wanted) {
            let error = no_room(one, case, &spaces, wanted);
            items.push(blocked(world, one, case, error));
        } else {
            items.extend(left_out(one, case));
        }
    }
    items.extend(farewells(world, &policy, &unwanted, &held));
    items.extend(unreadable_items(
        context,
        world,
        &policy,
        &items_by_uuid(&items),
    ));
    let notes = foreign_notes(world, declaration);
    Ok((Plan { items }, notes))
}

fn items_by_uuid(items: &[Item]) -> HashSet<Uuid> {
    items.iter().map(|item| item.uuid).collect()
}

fn world_unreadable(context: &Context<'_>, world: &World, uuid: Uuid) -> Option<Error> {
    let at = world.unreadable.iter().find(|at| at.uuid == uuid)?;
    context.store.read(at).err()
}

/// Which of those that may have to stop are held, and by whom.
fn held(
    context: &Context<'_>,
    cases: &[Case<'_>],
    unwanted: &[Unwanted<'_>],
) -> Result<HashMap<Uuid, Error>> {
    let changing = cases.iter().filter(|case| case.faults.needs_stop);
    let changing = changing.filter_map(|case| case.have.device);
    let going = unwanted.iter().filter_map(|one| one.have.device);
    held_among(context, changing.chain(going))
}

/// Finds places, again and again while something that was to leave its place finds no other: it
/// then stays, and is in the way of others.
fn settle<'w>(
    world: &'w World,
    wanted: &[Wanted<'_>],
    cases: &[Case<'_>],
    unwanted: &[Unwanted<'_>],
    held: &HashMap<Uuid, Error>,
    stuck: &mut Stuck,
) -> (HashMap<usize, usize>, Vec<Space<'w>>) {
    loop {
        let staying = staying(world, cases, unwanted, held, stuck);
        let spaces = spaces(world, &staying);
        let demands = demands(world, wanted, cases, stuck);
        let (placed, after) = place_all(&spaces, &demands);
        let mut placed: HashMap<usize, usize> = placed.into_iter().collect();
        let before = stuck.len();
        for demand in &demands {
            for claim in &demand.claims {
                let case = &cases[claim.case];
                if placed.contains_key(&claim.case) {
                    continue;
                }
                if demand.rank == Rank::Defined {
                    let first = demand.gpus.first().map(|(gpu, _)| *gpu);
                    placed.extend(first.map(|gpu| (claim.case, gpu)));
                } else if case.have.device.is_some() && !case.is_optional(wanted) {
                    let error = no_room(&wanted[case.group], case, &after, wanted);
                    stuck.insert(claim.case, error);
                }
            }
        }
        if stuck.len() == before {
            return (placed, after);
        }
    }
}

/// The devices that are still where they are in the end, by UUID.
fn staying(
    world: &World,
    cases: &[Case<'_>],
    unwanted: &[Unwanted<'_>],
    held: &HashMap<Uuid, Error>,
    stuck: &Stuck,
) -> HashSet<Uuid> {
    let mut staying: HashSet<Uuid> = world.devices.iter().map(|device| device.uuid).collect();
    for (at, case) in cases.iter().enumerate() {
        let moves = case.faults.needs_place && !stuck.contains_key(&at);
        if let Some(device) = case.have.device.filter(|_| moves) {
            staying.remove(&device.uuid);
        }
    }
    for one in unwanted {
        if let Some(device) = one.have.device.filter(|d| !held.contains_key(&d.uuid)) {
            staying.remove(&device.uuid);
        }
    }
    staying
}

fn spaces<'w>(world: &'w World, staying: &HashSet<Uuid>) -> Vec<Space<'w>> {
    let mut spaces: Vec<Space> = world.gpus.iter().map(Space::of).collect();
    for device in &world.devices {
        let Some(gpu) = world.gpu_of(&device.parent) else {
            continue;
        };
        let Some(at) = world.gpus[gpu].type_at(&device.type_id) else {
            continue;
        };
        match staying.contains(&device.uuid) || !is_ours_to_touch(device) {
            true => spaces[gpu].stays(at),
            false => spaces[gpu].leaves(at),
        }
    }
    spaces
}

fn demands(world: &World, wanted: &[Wanted<'_>], cases: &[Case<'_>], stuck: &Stuck) -> Vec<Demand> {
    let mut by_key: HashMap<(usize, Rank, Option<usize>), Demand> = HashMap::new();
    for (at, case) in cases.iter().enumerate() {
        if !case.faults.needs_place || stuck.contains_key(&at) {
            continue;
        }
        let one = &wanted[case.group];
        let seat = &one.members[case.seat];
        let rank = rank(wanted, case);
        let demand = by_key
            .entry((case.group, rank, seat.pin))
            .or_insert_with(|| demand(world, one, case.group, rank, seat.pin));
        let own = case
            .have
            .parent()
            .filter(|p| is_allowed(world, one, seat, p));
        demand.claims.push(Claim {
            case: at,
            prefers: own.and_then(|parent| world.gpu_of(parent)),
        });
    }
    let mut demands: Vec<Demand> = by_key.into_values().collect();
    demands.sort_by_key(|d| (d.group, d.rank, d.gpus.first().copied()));
    demands
}

fn demand(world: &World, one: &Wanted<'_>, group: usize, rank: Rank, pin: Option<usize>) -> Demand {
    let gpus = one.gpus.iter().copied();
    let gpus = gpus.filter(|gpu| pin.is_none_or(|pin| pin == *gpu));
    let with_type = |gpu: usize| Some((gpu, world.gpus[gpu].type_at(&one.type_id)?));
    Demand {
        group,
        gpus: gpus.filter_map(with_type).collect(),
        placement: one.group.placement,
        claims: Vec::new(),
        rank,
    }
}

fn rank(wanted: &[Wanted<'_>], case: &Case<'_>) -> Rank {
    let is_manual = wanted[case.group].group.start == StartMode::Manual;
    if case.is_optional(wanted) {
        Rank::IfRoom
    } else if is_manual && case.have.device.is_none() {
        Rank::Defined
    } else {
        Rank::Active
    }
}

fn farewells(
    world: &World,
    policy: &Policy<'_>,
    unwanted: &[Unwanted<'_>],
    held: &HashMap<Uuid, Error>,
) -> Vec<Item> {
    let one = |one: &Unwanted<'_>| {
        let held = one.have.device.and_then(|device| held.get(&device.uuid));
        removal(world, one.uuid, &one.have, policy.reason(), held)
    };
    let mut items: Vec<Item> = unwanted.iter().filter_map(one).collect();
    items.sort_by(|a, b| (&a.parent, a.uuid).cmp(&(&b.parent, b.uuid)));
    items
}
