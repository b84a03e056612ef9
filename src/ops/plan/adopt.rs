//! What no group lists: it stays, goes, or is adopted as a member that would be created.

use std::collections::{HashMap, HashSet};

use uuid::Uuid;

use super::matching::{Case, Have, Index, case, is_allowed, same_attrs};
use super::observe::World;
use super::resolve::{Wanted, gpus_named};
use crate::declare::Unlisted;
use crate::model::{ParentId, StartMode, TypeId};
use crate::store::Mark;

/// What is declared of what no group lists, in this host's terms.
#[derive(Clone)]
pub struct Policy<'d> {
    unlisted: &'d Unlisted,
    gpus: HashSet<usize>,
}

impl<'d> Policy<'d> {
    /// Reads it.
    pub fn of(world: &World, unlisted: &'d Unlisted) -> Policy<'d> {
        let names = match unlisted {
            Unlisted::RemoveOn { gpus, .. } => gpus.as_slice(),
            _ => &[],
        };
        let gpus = names.iter().flat_map(|name| gpus_named(world, name));
        Policy {
            unlisted,
            gpus: gpus.collect(),
        }
    }

    /// Whether what is on this parent, of which this is known, is to be removed.
    pub fn removes(
        &self,
        world: &World,
        parent: &ParentId,
        type_id: Option<&TypeId>,
        mark: Option<&Mark>,
    ) -> bool {
        match self.unlisted {
            Unlisted::Keep => false,
            Unlisted::Remove => true,
            Unlisted::RemoveOwn => mark.is_some(),
            Unlisted::RemoveOn { but, .. } => {
                let gpu = world.gpu_of(parent);
                gpu.is_some_and(|gpu| self.gpus.contains(&gpu))
                    && type_id.is_none_or(|id| !but.contains(id))
            }
        }
    }

    /// Why it goes.
    pub fn reason(&self) -> &'static str {
        match self.unlisted {
            Unlisted::RemoveOwn => "created by an earlier apply and no longer listed",
            _ => "not listed",
        }
    }
}

/// Something that no group lists and that is to go.
#[derive(Clone)]
pub struct Unwanted<'w> {
    /// Its UUID.
    pub uuid: Uuid,
    /// What is there.
    pub have: Have<'w>,
}

/// What is to go of what no group lists.
pub fn unwanted<'w>(world: &World, policy: &Policy<'_>, index: Index<'w>) -> Vec<Unwanted<'w>> {
    let mut all = Vec::new();
    for (uuid, have) in index.rest() {
        let active = have.device.map(|device| &device.type_id);
        let type_id = active.or(have.definition.map(|definition| &definition.type_id));
        let goes = |parent| policy.removes(world, parent, type_id, have.mark().as_ref());
        let is_main = have.parent().is_some_and(goes);
        let stale = have.stale.iter().copied();
        let stale: Vec<_> = stale
            .filter(|one| {
                let mark = Mark::of(one);
                policy.removes(world, &one.parent, Some(&one.type_id), mark.as_ref())
            })
            .collect();
        let have = match is_main {
            true => Have { stale, ..have },
            false => Have {
                stale,
                ..Have::default()
            },
        };
        if !have.is_nothing() {
            all.push(Unwanted { uuid, have });
        }
    }
    all
}

/// Adopts what would be removed where it serves as a member that would be created: the UUID stays.
/// `held` are those that a process has open, which come first: they could not go anyway. `refused` are not adopted.
pub fn take_in<'w>(
    world: &'w World,
    wanted: &[Wanted<'_>],
    cases: &mut [Case<'w>],
    unwanted: &mut Vec<Unwanted<'w>>,
    held: &HashSet<Uuid>,
    refused: &HashSet<Uuid>,
) {
    let mut open: HashMap<usize, Vec<usize>> = HashMap::new();
    for (at, case) in cases.iter().enumerate() {
        let slot = &wanted[case.group].members[case.slot];
        if !case.is_there() && slot.takes_others {
            open.entry(case.group).or_default().push(at);
        }
    }
    // A device that runs serves best where it must.
    let mut order: Vec<(usize, &Wanted<'_>)> = wanted.iter().enumerate().collect();
    order.sort_by_key(|(_, one)| one.group.start == StartMode::Manual);
    for (group, one) in order {
        let Some(open) = open.get(&group) else {
            continue;
        };
        let mut fitting = candidates(world, one, unwanted, held);
        fitting.retain(|at| !refused.contains(&unwanted[*at].uuid));
        for at in open {
            let slot = &one.members[cases[*at].slot];
            let fits = |candidate: &usize| {
                let have = &unwanted[*candidate].have;
                let vf = have.function();
                have.parent()
                    .is_some_and(|parent| is_allowed(world, one, slot, parent, vf))
            };
            let Some(found) = fitting.iter().position(fits) else {
                continue;
            };
            let found = fitting.remove(found);
            let have = std::mem::take(&mut unwanted[found].have);
            let mut taken = case(world, one, (group, cases[*at].slot), have);
            taken.faults.is_new_here = true;
            let name = super::label(&one.group.name, &slot.key);
            taken.faults.differences.push(format!("adopted as {name}"));
            cases[*at] = taken;
        }
        unwanted.retain(|one| !one.have.is_nothing());
    }
}

/// The unwanted ones of a group's type whose definitions can be read, those first that need the least
/// change.
fn candidates(
    world: &World,
    wanted: &Wanted<'_>,
    unwanted: &[Unwanted<'_>],
    held: &HashSet<Uuid>,
) -> Vec<usize> {
    let mut all: Vec<(_, usize)> = Vec::new();
    let is_readable = |one: &Unwanted<'_>| {
        let mut unreadable = world.unreadable.iter();
        unreadable.all(|(at, _)| at.uuid != one.uuid)
    };
    let readable = unwanted.iter().enumerate();
    for (at, one) in readable.filter(|(_, one)| is_readable(one)) {
        let (device, definition) = (one.have.device, one.have.definition);
        let is_right = |id: &TypeId| *id == wanted.type_id;
        let active = device.map(|device| &device.type_id);
        let defined = definition.map(|definition| &definition.type_id);
        let Some(true) = active.or(defined).map(is_right) else {
            continue;
        };
        let starts = definition.map(|definition| definition.start);
        let attrs = definition.map(|definition| definition.attrs.as_slice());
        let same = attrs.is_none_or(|attrs| same_attrs(attrs, &wanted.group.attrs));
        // It could not be made as declared now, and another one can.
        if held.contains(&one.uuid) && !same {
            continue;
        }
        let is_idle = device.is_none() && wanted.group.start == StartMode::Auto;
        let rank = (
            !held.contains(&one.uuid),
            !same,
            is_idle,
            starts != Some(wanted.group.start),
            one.have.parent(),
            one.uuid,
        );
        all.push((rank, at));
    }
    all.sort();
    all.into_iter().map(|(_, at)| at).collect()
}
