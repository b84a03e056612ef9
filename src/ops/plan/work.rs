//! From what is there and what is declared to what is to be done.

use std::collections::{HashMap, HashSet};

use uuid::Uuid;

use super::adopt::{Policy, Unwanted, take_in, unwanted};
use super::boot::left_out_at_boot;
use super::cautions::{crowds, moved};
use super::matching::{Case, Have, Index, case as case_of, cases, is_allowed};
use super::observe::{World, is_ours_to_touch};
use super::place::{Claim, Demand, Own, Rank};
use super::resolve::Wanted;
use super::search::place_all;
use super::space::Space;
use super::steps::{Slots, item_of, kept_for_others, left_out, removal};
use super::tell::{blocked, lacks_placement, no_room, unreadable_items};
use super::{Item, Plan, Verdict};
use crate::declare::Unlisted;
use crate::error::{Error, Kind, Result, Warnings};
use crate::model::{Definition, Device, Parent, ParentId, StartMode};
use crate::ops::capacity::taken_function_error;

/// How many devices that were not adopted for the sake of others are tried again.
const MOST_RETRIED: usize = 32;

/// What cannot be changed, by case, and why.
type Stuck = HashMap<usize, Error>;

/// What is there and what is declared, side by side.
#[derive(Clone)]
pub struct Draft<'w, 'd> {
    world: &'w World,
    wanted: &'d [Wanted<'d>],
    policy: Policy<'d>,
    cases: Vec<Case<'w>>,
    unwanted: Vec<Unwanted<'w>>,
}

impl<'w, 'd> Draft<'w, 'd> {
    /// Finds what is there for each member, and what is to go.
    pub fn of(world: &'w World, wanted: &'d [Wanted<'d>], unlisted: &'d Unlisted) -> Self {
        let policy = Policy::of(world, unlisted);
        let mut index = Index::of(world);
        let cases = cases(world, wanted, &mut index);
        let unwanted = unwanted(world, &policy, index);
        Draft {
            world,
            wanted,
            policy,
            cases,
            unwanted,
        }
    }

    /// The devices that may have to stop: nobody may hold those.
    pub fn may_stop(&self) -> impl Iterator<Item = &'w Device> {
        let changing = self.cases.iter().filter(|case| case.faults.needs_stop);
        let changing = changing.filter_map(|case| case.have.device);
        let going = self.unwanted.iter().filter_map(|one| one.have.device);
        changing.chain(going)
    }

    /// Works out the plan, given which of those are held and by whom. What is adopted stays where it is: where that
    /// leaves other members no room, it is not adopted.
    pub fn plan(self, held: &HashMap<Uuid, Error>) -> Plan {
        let solve = |refused: &HashSet<Uuid>| self.clone().solve(held, refused);
        let (mut best, adopted) = solve(&HashSet::new());
        if adopted.is_empty() || without_room(&best) == 0 {
            return best;
        }
        let unheld = self.unwanted.iter().map(|one| one.uuid);
        let mut refused: HashSet<Uuid> = unheld.filter(|uuid| !held.contains_key(uuid)).collect();
        let (plan, _) = solve(&refused);
        if without_room(&plan) >= without_room(&best) {
            return best;
        }
        best = plan;
        for uuid in adopted.into_iter().take(MOST_RETRIED) {
            refused.remove(&uuid);
            let (plan, _) = solve(&refused);
            match without_room(&plan) <= without_room(&best) {
                true => best = plan,
                false => _ = refused.insert(uuid),
            }
        }
        best
    }

    /// The plan, and the active devices in it that are adopted and could be removed.
    fn solve(mut self, held: &HashMap<Uuid, Error>, refused: &HashSet<Uuid>) -> (Plan, Vec<Uuid>) {
        let known: HashSet<Uuid> = held.keys().copied().collect();
        let (world, wanted) = (self.world, self.wanted);
        take_in(
            world,
            wanted,
            &mut self.cases,
            &mut self.unwanted,
            &known,
            refused,
        );
        let adopted = self.cases.iter().filter(|case| case.faults.is_new_here);
        let adopted = adopted.filter_map(|case| case.have.device);
        let adopted = adopted
            .map(|device| device.uuid)
            .filter(|uuid| !held.contains_key(uuid));
        let adopted: Vec<Uuid> = adopted.collect();
        // What is wanted of a device cannot be told while its definition cannot be read.
        let mut held = held.clone();
        for one in &self.unwanted {
            held.extend(unreadable(world, one.uuid).map(|error| (one.uuid, error)));
        }
        let held = &held;
        let mut stuck: Stuck = HashMap::new();
        let stopping = self.cases.iter().enumerate();
        for (at, case) in stopping.filter(|(_, case)| case.faults.needs_stop) {
            stuck.extend(held.get(&case.uuid).map(|error| (at, error.clone())));
        }
        for (at, case) in self.cases.iter().enumerate() {
            stuck.extend(unreadable(world, case.uuid).map(|error| (at, error)));
        }
        let changing = self.cases.iter().filter(|case| case.faults.needs_stop);
        let leaving = changing.map(|case| case.uuid);
        let leaving = leaving.chain(self.unwanted.iter().map(|one| one.uuid));
        let leaving = leaving.filter(|uuid| !held.contains_key(uuid)).collect();
        for (at, case) in self.cases.iter().enumerate() {
            if takes_room(wanted, case) {
                stuck.extend(slot_conflict(world, case, &leaving).map(|error| (at, error)));
            }
        }
        let mut placed = HashMap::new();
        let (stuck, spaces) = loop {
            let mut stuck = stuck.clone();
            let (cases, unwanted) = (&self.cases, &self.unwanted);
            let (found, spaces) = settle(world, wanted, cases, unwanted, held, &placed, &mut stuck);
            let is_all = found.is_empty();
            placed.extend(found);
            // What found a place may have left one: others are tried again, as the next plan would.
            if !self.give_back(&placed, &stuck) && is_all {
                break (stuck, spaces);
            }
        };
        let (cases, unwanted) = (&self.cases, &self.unwanted);
        let staying = staying(world, cases, unwanted, held, &stuck);
        let leaving = unwanted.iter().filter(|one| !held.contains_key(&one.uuid));
        let leaving = leaving.map(|one| one.uuid).collect();
        let slots = Slots::of(world, &staying, &leaving, &planned(cases, unwanted));
        let parents = parents(world, wanted, cases, &placed, slots);
        let (mut items, mut without_placement) = (Vec::new(), HashSet::new());
        let mut without_room = HashMap::new();
        for (at, case) in cases.iter().enumerate() {
            let one = &wanted[case.group];
            if let Some(error) = stuck.get(&at) {
                items.push(blocked(one, case, error.clone()));
            } else if !case.faults.needs_place {
                items.push(item_of(world, one, case, None));
            } else if let Some(parent) = parents.get(&at) {
                items.push(match parent {
                    Ok(parent) => item_of(world, one, case, Some(parent.clone())),
                    Err(error) => blocked(one, case, error.clone()),
                });
            } else if !case.is_optional(wanted) {
                let pin = one.members[case.slot].pin;
                let why = without_room.entry((case.group, pin));
                let why = why.or_insert_with(|| no_room(one, case, &spaces));
                items.push(blocked(one, case, why.clone()));
                without_placement.extend(lacks_placement(one, &spaces).then_some(case.uuid));
            } else {
                items.extend(left_out(one, case));
            }
        }
        items.extend(removals(world, &self.policy, unwanted, held));
        let listed = items.iter().map(|item| item.uuid).collect();
        items.extend(unreadable_items(world, &self.policy, &listed));
        let beyond = spaces.iter().filter_map(Space::caution);
        let moved = cases.iter().filter_map(|case| moved(world, case, &items));
        let mut cautions: Warnings = beyond.chain(moved).collect();
        cautions.extend(crowds(world, &items));
        cautions.extend(left_out_at_boot(world, &items));
        let plan = Plan {
            gpus: Vec::new(),
            without_placement,
            items,
            cautions,
            is_partial: false,
        };
        (plan, adopted)
    }
}

/// How many members have no room.
fn without_room(plan: &Plan) -> usize {
    let members = plan.items.iter().filter(|item| item.member.is_some());
    let is_without = |item: &&Item| match &item.verdict {
        Verdict::Blocked(error) => error.kind() == Kind::NoCapacity,
        _ => false,
    };
    members.filter(is_without).count()
}

impl<'w> Draft<'w, '_> {
    /// What was taken in is of no use where there is no room to start it, if it is only defined or the member is
    /// optional: it goes, as it would have. Whether there was such.
    fn give_back(&mut self, placed: &HashMap<usize, usize>, stuck: &Stuck) -> bool {
        let mut some = false;
        for at in 0..self.cases.len() {
            let case = &mut self.cases[at];
            let stays = stuck.contains_key(&at) || !case.is_optional(self.wanted);
            let is_of_use = placed.contains_key(&at) || (case.have.device.is_some() && stays);
            if !case.faults.is_new_here || !case.faults.needs_place || is_of_use {
                continue;
            }
            let (uuid, slot) = (case.uuid, (case.group, case.slot));
            let have = std::mem::take(&mut case.have);
            self.unwanted.push(Unwanted { uuid, have });
            let one = &self.wanted[slot.0];
            self.cases[at] = case_of(self.world, one, slot, Have::default());
            some = true;
        }
        some
    }
}

/// Why one that is to start cannot have the function that its definition names: another program's vGPU,
/// or one of ours that stays, is there. One whose definition names it and starts at boot is no reason:
/// then this one goes elsewhere.
fn slot_conflict(world: &World, case: &Case<'_>, leaving: &HashSet<Uuid>) -> Option<Error> {
    let definition = case.have.definition?;
    let vf = definition.vf.as_ref()?;
    if case.have.device.is_some() {
        return None;
    }
    let mut devices = world
        .devices
        .iter()
        .filter(|device| device.vf() == Some(vf));
    let holder = devices.find(|device| !leaving.contains(&device.uuid))?;
    let names_it = |one: &&Definition| {
        one.uuid == holder.uuid && one.start == StartMode::Auto && one.vf.as_ref() == Some(vf)
    };
    match world.definitions.iter().any(|one| names_it(&one)) {
        true => None,
        false => Some(taken_function_error(vf, holder, definition)),
    }
}

/// The parents on which those with a place are made: first of those that are to run, so that what is
/// only defined keeps no virtual function from them; of these first those that the declaration binds to
/// functions, and then those that have one already.
fn parents(
    world: &World,
    wanted: &[Wanted<'_>],
    cases: &[Case<'_>],
    placed: &HashMap<usize, usize>,
    mut slots: Slots,
) -> HashMap<usize, Result<Parent>> {
    let is_defined = |at: usize| rank(wanted, &cases[at]) == Rank::Defined;
    let only = |at: usize| wanted[cases[at].group].functions.get(&placed[&at]);
    let mut order: Vec<usize> = placed.keys().copied().collect();
    order.sort_by_key(|at| {
        let case = &cases[*at];
        (
            is_defined(*at),
            only(*at).is_none(),
            !slots.has_own(case),
            *at,
        )
    });
    let take = |at: usize| {
        let gpu = &world.gpus[placed[&at]];
        let parent = match only(at) {
            Some(these) => slots.take_of(world, &cases[at], placed[&at], these, is_defined(at)),
            // It gets its function when it starts.
            None if gpu.functions.is_empty() && is_defined(at) => Ok(gpu.as_parent(None)),
            None => Ok(slots.take(world, &cases[at], placed[&at], is_defined(at))),
        };
        (at, parent)
    };
    order.into_iter().map(take).collect()
}

fn unreadable(world: &World, uuid: Uuid) -> Option<Error> {
    let mut all = world.unreadable.iter();
    let found = all.find(|(at, _)| at.uuid == uuid);
    found.map(|(_, error)| error.clone())
}

/// Finds places for those that have none `fixed`, again and again while something that was to leave its place finds no other: it
/// then stays, and is in the way of others.
fn settle<'w>(
    world: &'w World,
    wanted: &[Wanted<'_>],
    cases: &[Case<'_>],
    unwanted: &[Unwanted<'_>],
    held: &HashMap<Uuid, Error>,
    fixed: &HashMap<usize, usize>,
    stuck: &mut Stuck,
) -> (HashMap<usize, usize>, Vec<Space<'w>>) {
    loop {
        let staying = staying(world, cases, unwanted, held, stuck);
        let mut spaces = spaces(world, &staying);
        keep_functions(world, cases, unwanted, &mut spaces);
        for (at, gpu) in fixed
            .iter()
            .filter(|(at, _)| takes_room(wanted, &cases[**at]))
        {
            let type_id = &wanted[cases[*at].group].type_id;
            if let Some(type_at) = world.gpus[*gpu].type_at(type_id) {
                spaces[*gpu].capacity.comes(type_at);
            }
        }
        let demands = demands(world, wanted, cases, fixed, (&staying, stuck));
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
                    let error = no_room(&wanted[case.group], case, &after);
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
            true => spaces[gpu]
                .capacity
                .stays(at, world.placements.get(&device.uuid).copied()),
            false => spaces[gpu].capacity.leaves(at),
        }
    }
    spaces
}

/// What the plan is about.
fn planned(cases: &[Case<'_>], unwanted: &[Unwanted<'_>]) -> HashSet<Uuid> {
    let cases = cases.iter().map(|case| case.uuid);
    cases.chain(unwanted.iter().map(|one| one.uuid)).collect()
}

/// What is only defined, starts at boot and is none of the plan's keeps its function.
fn keep_functions(
    world: &World,
    cases: &[Case<'_>],
    unwanted: &[Unwanted<'_>],
    spaces: &mut [Space<'_>],
) {
    let planned = planned(cases, unwanted);
    let sits = |device: &Device| device.vf().unwrap_or(&device.parent).clone();
    let mut taken: HashSet<ParentId> = world.devices.iter().map(sits).collect();
    for vf in kept_for_others(world, &planned) {
        let Some(gpu) = world
            .gpus
            .iter()
            .position(|gpu| gpu.functions.contains(vf) || gpu.vendor_vfs.contains(vf))
        else {
            continue;
        };
        if taken.insert(vf.clone()) {
            spaces[gpu].capacity.keeps_function();
        }
    }
}

fn demands(
    world: &World,
    wanted: &[Wanted<'_>],
    cases: &[Case<'_>],
    fixed: &HashMap<usize, usize>,
    (staying, stuck): (&HashSet<Uuid>, &Stuck),
) -> Vec<Demand> {
    let mut by_key: HashMap<(usize, Rank, Option<usize>), Demand> = HashMap::new();
    for (at, case) in cases.iter().enumerate() {
        let is_settled = stuck.contains_key(&at) || fixed.contains_key(&at);
        if !case.faults.needs_place || is_settled {
            continue;
        }
        let one = &wanted[case.group];
        let slot = &one.members[case.slot];
        let rank = rank(wanted, case);
        let demand = by_key
            .entry((case.group, rank, slot.pin))
            .or_insert_with(|| demand(world, one, (case.group, rank, slot.pin), staying));
        let own = case
            .have
            .parent()
            .filter(|p| is_allowed(world, one, slot, p, case.have.function()));
        demand.claims.push(Claim {
            case: at,
            prefers: own.and_then(|parent| world.gpu_of(parent)),
            own: case.have.device.and_then(|device| own_place(world, device)),
        });
    }
    let mut demands: Vec<Demand> = by_key.into_values().collect();
    demands.sort_by_key(|d| (d.group, d.rank, d.gpus.first().copied()));
    demands
}

fn own_place(world: &World, device: &Device) -> Option<Own> {
    let gpu = world.gpu_of(&device.parent)?;
    Some(Own {
        gpu,
        type_at: world.gpus[gpu].type_at(&device.type_id)?,
        placement: world.placements.get(&device.uuid).copied(),
    })
}

fn demand(
    world: &World,
    one: &Wanted<'_>,
    (group, rank, pin): (usize, Rank, Option<usize>),
    staying: &HashSet<Uuid>,
) -> Demand {
    let gpus = one.gpus.iter().copied();
    let gpus = gpus.filter(|gpu| pin.is_none_or(|pin| pin == *gpu));
    let with_type = |gpu: usize| Some((gpu, world.gpus[gpu].type_at(&one.type_id)?));
    let gpus: Vec<(usize, usize)> = gpus.filter_map(with_type).collect();
    let free = |gpu: usize| {
        let these = one.functions.get(&gpu)?.iter();
        let devices = || world.devices.iter().filter(|d| staying.contains(&d.uuid));
        let is_free = |vf: &&ParentId| !devices().any(|d| d.vf().unwrap_or(&d.parent) == *vf);
        Some(u32::try_from(these.filter(is_free).count()).unwrap_or(u32::MAX))
    };
    Demand {
        group,
        functions: gpus.iter().map(|(gpu, _)| free(*gpu)).collect(),
        gpus,
        placement: one.group.placement,
        claims: Vec::new(),
        rank,
    }
}

/// Whether it is active in the end, and not only defined.
fn takes_room(wanted: &[Wanted<'_>], case: &Case<'_>) -> bool {
    let starts = wanted[case.group].group.start == StartMode::Auto;
    starts || case.have.device.is_some()
}

fn rank(wanted: &[Wanted<'_>], case: &Case<'_>) -> Rank {
    let is_manual = wanted[case.group].group.start == StartMode::Manual;
    // What is only defined takes no room from anybody.
    if is_manual && case.have.device.is_none() {
        Rank::Defined
    } else if case.is_optional(wanted) {
        Rank::IfRoom
    } else {
        Rank::Active
    }
}

fn removals(
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
