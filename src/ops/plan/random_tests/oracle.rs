//! What could be reached at best on a small host, by trying everything.

#![cfg(test)]

use std::collections::HashSet;

use uuid::Uuid;

use super::model::{CUTS, Host, Make, place_on_l40s};
use crate::declare::Unlisted;
use crate::model::{Definition, Device, StartMode, TypeId};
use crate::ops::plan::resolve::{Need, Slot, Wanted};

/// A member that needs a place.
struct Demand<'a> {
    type_id: TypeId,
    gpus: Vec<usize>,
    /// Its device, which stays where it is if it gets no other place.
    own: Option<&'a Device>,
    /// The devices that it can adopt where they are.
    adopts: Vec<&'a Device>,
}

/// What becomes of a demand.
#[derive(Clone, Copy)]
enum Choice<'a> {
    New(usize),
    Adopted(&'a Device),
    Nothing,
}

/// Members that must be active, and the search for the most that can be.
pub struct Oracle<'a> {
    host: &'a Host,
    /// What stays in any case, by GPU.
    fixed: Vec<Vec<&'a Device>>,
    demands: Vec<Demand<'a>>,
    /// Those that are as they should be already.
    satisfied: usize,
}

impl<'a> Oracle<'a> {
    pub fn of(host: &'a Host, wanted: &[Wanted<'_>], unlisted: &Unlisted) -> Self {
        let slots = wanted.iter().flat_map(|one| &one.members);
        let listed: HashSet<Uuid> = slots.map(|slot| slot.uuid).collect();
        let mut oracle = Oracle {
            host,
            fixed: vec![Vec::new(); host.gpus.len()],
            demands: Vec::new(),
            satisfied: 0,
        };
        let mut adoptable = Vec::new();
        for device in host.devices.iter().filter(|d| !listed.contains(&d.uuid)) {
            let is_held = host.held.contains(&device.uuid);
            if *unlisted == Unlisted::Keep || is_held {
                oracle.fix(device);
            }
            if *unlisted == Unlisted::Remove {
                adoptable.push(device);
            }
        }
        for one in wanted {
            for slot in &one.members {
                oracle.add(one, slot, &adoptable);
            }
        }
        oracle
    }

    fn fix(&mut self, device: &'a Device) {
        self.fixed[self.host.gpu_at(&device.parent)].push(device);
    }

    fn definition(&self, uuid: Uuid) -> Option<&'a Definition> {
        self.host.definitions.iter().find(|one| one.uuid == uuid)
    }

    fn add(&mut self, one: &Wanted<'_>, slot: &Slot, adoptable: &[&'a Device]) {
        let gpus = one.gpus.iter().copied();
        let gpus: Vec<usize> = gpus
            .filter(|gpu| slot.pin.is_none_or(|pin| pin == *gpu))
            .collect();
        let changes = |uuid| {
            let definition = self.definition(uuid);
            definition.is_some_and(|definition| definition.attrs != one.group.attrs)
        };
        let fits = |device: &Device| {
            device.type_id == one.type_id && gpus.contains(&self.host.gpu_at(&device.parent))
        };
        let own = self
            .host
            .devices
            .iter()
            .find(|device| device.uuid == slot.uuid);
        let (is_new, is_auto) = (own.is_none(), one.group.start == StartMode::Auto);
        assert_eq!(slot.need, Need::Must);
        let adopts = |device: &&&Device| {
            let is_there = self.definition(slot.uuid).is_some();
            slot.takes_others && is_new && !is_there && fits(device) && !changes(device.uuid)
        };
        match own {
            Some(device) => {
                let is_held = self.host.held.contains(&device.uuid);
                let is_mixed = self.host.gpus[self.host.gpu_at(&device.parent)].1 == Make::Mixed;
                let (fits, changes) = (fits(device), changes(device.uuid));
                if fits && (!changes || (!is_held && !is_mixed)) {
                    self.satisfied += 1;
                    self.fix(device);
                    return;
                }
                if is_held {
                    self.fix(device);
                    return;
                }
            }
            None if !is_auto => return,
            None => {}
        }
        self.demands.push(Demand {
            type_id: one.type_id.clone(),
            adopts: adoptable.iter().filter(adopts).copied().collect(),
            gpus,
            own,
        });
    }

    /// How many can be active.
    pub fn best(&self) -> usize {
        let mut best = 0;
        self.search(&mut Vec::new(), &mut HashSet::new(), 0, &mut best);
        self.satisfied + best
    }

    /// `chosen` is what becomes of the demands before.
    fn search(
        &self,
        chosen: &mut Vec<Choice<'a>>,
        adopted: &mut HashSet<Uuid>,
        met: usize,
        best: &mut usize,
    ) {
        let left = self.demands.len() - chosen.len();
        if met + left <= *best {
            return;
        }
        let Some(demand) = self.demands.get(chosen.len()) else {
            if self.is_possible(chosen) {
                *best = met;
            }
            return;
        };
        for gpu in &demand.gpus {
            chosen.push(Choice::New(*gpu));
            self.search(chosen, adopted, met + 1, best);
            chosen.pop();
        }
        for device in &demand.adopts {
            if adopted.insert(device.uuid) {
                chosen.push(Choice::Adopted(device));
                self.search(chosen, adopted, met + 1, best);
                chosen.pop();
                adopted.remove(&device.uuid);
            }
        }
        chosen.push(Choice::Nothing);
        self.search(chosen, adopted, met, best);
        chosen.pop();
    }

    fn is_possible(&self, chosen: &[Choice<'a>]) -> bool {
        (0..self.host.gpus.len()).all(|gpu| {
            let is_here = |device: &&Device| self.host.gpu_at(&device.parent) == gpu;
            let mut there: Vec<&Device> = self.fixed[gpu].clone();
            let mut coming = Vec::new();
            for (demand, choice) in self.demands.iter().zip(chosen) {
                match choice {
                    Choice::New(to) if *to == gpu => coming.push(&demand.type_id),
                    Choice::New(_) => {}
                    // What is held is there in any case.
                    Choice::Adopted(device) if self.host.held.contains(&device.uuid) => {}
                    Choice::Adopted(device) => there.extend(Some(*device).filter(is_here)),
                    Choice::Nothing => there.extend(demand.own.filter(is_here)),
                }
            }
            self.holds(gpu, &there, coming)
        })
    }

    fn holds(&self, gpu: usize, there: &[&Device], coming: Vec<&TypeId>) -> bool {
        let costs = || there.iter().map(|device| Make::cost(&device.type_id));
        let make = self.host.gpus[gpu].1;
        let count = there.len() + coming.len();
        if coming.is_empty() {
            return true;
        }
        if let Make::Mig(cut) = make {
            let mut free = CUTS[cut].to_vec();
            let mut all = there.iter().map(|device| &device.type_id).chain(coming);
            return count <= 8
                && all.all(|id| {
                    let own = Make::mig(id).unwrap().1;
                    let found = free.iter().position(|one| *one == own);
                    found.map(|at| free.swap_remove(at)).is_some()
                });
        }
        let mut coming: Vec<u32> = coming.into_iter().map(Make::cost).collect();
        if make == Make::Mixed {
            let place = |device: &&Device| self.host.places[&device.uuid];
            let mut placed: Vec<(u32, u32)> = there.iter().map(place).zip(costs()).collect();
            coming.sort_unstable_by_key(|cost| std::cmp::Reverse(*cost));
            return count <= 8
                && coming.into_iter().all(|cost| {
                    let id = place_on_l40s(&placed, cost);
                    placed.extend(id.map(|id| (id, cost)));
                    id.is_some()
                });
        }
        let all: Vec<u32> = costs().chain(coming).collect();
        let functions = match make {
            Make::Functions => 4,
            Make::Vendor => 6,
            _ => usize::MAX,
        };
        let is_one_size = all.iter().all(|cost| *cost == all[0]);
        is_one_size && count <= functions && all.iter().sum::<u32>() <= 8
    }
}
