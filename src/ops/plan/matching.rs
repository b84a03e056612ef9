//! What is there for each member that is declared, and what is wrong with it.

use std::collections::{HashMap, HashSet};

use uuid::Uuid;

use super::observe::{World, is_ours_to_touch};
use super::resolve::{Need, Slot, Wanted};
use crate::model::{Attr, Definition, Device, ParentId, StartMode};
use crate::ops::params::{holds_params, params_in};
use crate::store::{Location, Mark};

/// What is there under one UUID.
#[derive(Debug, Clone, Default)]
pub struct Have<'w> {
    /// The active device.
    pub device: Option<&'w Device>,
    /// Its definition; where nothing is active, the first one.
    pub definition: Option<&'w Definition>,
    /// Other definitions of the same UUID, of which only one can ever be active.
    pub stale: Vec<&'w Definition>,
}

/// A member and what is there for it.
#[derive(Debug, Clone)]
pub struct Case<'w> {
    /// Which of the groups.
    pub group: usize,
    /// Which of its members.
    pub slot: usize,
    /// The UUID that it has, or is to have.
    pub uuid: Uuid,
    /// What is there.
    pub have: Have<'w>,
    /// What is wrong with what is there.
    pub faults: Faults,
}

/// What is wrong with what is there for a member.
#[derive(Debug, Default, Clone)]
pub struct Faults {
    /// In words: "start: manual -> auto".
    pub differences: Vec<String>,
    /// The active device has to go first.
    pub needs_stop: bool,
    /// It has to go to another GPU, or its type needs another room.
    pub needs_place: bool,
    /// It is another's vGPU that becomes a member.
    pub is_new_here: bool,
}

/// Everything under each UUID.
pub struct Index<'w>(HashMap<Uuid, Have<'w>>);

impl<'w> Index<'w> {
    /// Sorts what the host has by UUID.
    pub fn of(world: &'w World) -> Index<'w> {
        let mut all: HashMap<Uuid, Have<'w>> = HashMap::new();
        for device in world.devices.iter().filter(|d| is_ours_to_touch(d)) {
            all.entry(device.uuid).or_default().device = Some(device);
        }
        for definition in &world.definitions {
            let have = all.entry(definition.uuid).or_default();
            let active = have.device.map(Location::of_device);
            let is_its = active.is_none_or(|at| at == Location::of(definition));
            match (&have.definition, is_its) {
                (None, true) => have.definition = Some(definition),
                _ => have.stale.push(definition),
            }
        }
        Index(all)
    }

    /// Takes out what is under a UUID.
    pub fn take(&mut self, uuid: &Uuid) -> Option<Have<'w>> {
        self.0.remove(uuid)
    }

    /// Takes out what an earlier `apply` marked as that member.
    pub fn take_marked(&mut self, marks: &HashMap<Mark, Uuid>, mark: &Mark) -> Option<Have<'w>> {
        self.take(marks.get(mark)?)
    }

    /// What is left, sorted by UUID.
    pub fn rest(self) -> Vec<(Uuid, Have<'w>)> {
        let mut rest: Vec<(Uuid, Have<'w>)> = self.0.into_iter().collect();
        rest.sort_by_key(|(uuid, _)| *uuid);
        rest
    }

    /// Which vGPU is marked as which member, without those that are listed by UUID.
    pub fn marks(&self, listed: &HashSet<Uuid>) -> HashMap<Mark, Uuid> {
        let mut marks: Vec<(Mark, Uuid)> = Vec::new();
        for (uuid, have) in self.0.iter().filter(|(uuid, _)| !listed.contains(uuid)) {
            marks.extend(have.mark().map(|mark| (mark, *uuid)));
        }
        // Of several with one mark, the first one has it, every time.
        marks.sort_by_key(|(_, uuid)| std::cmp::Reverse(*uuid));
        marks.into_iter().collect()
    }
}

impl<'w> Have<'w> {
    /// Whether nothing is there.
    pub fn is_nothing(&self) -> bool {
        self.device.is_none() && self.definition.is_none() && self.stale.is_empty()
    }

    /// What an earlier `apply` noted.
    pub fn mark(&self) -> Option<Mark> {
        self.definition.and_then(Mark::of)
    }

    /// The parent that it is on.
    pub fn parent(&self) -> Option<&'w ParentId> {
        match (self.device, self.definition) {
            (Some(device), _) => Some(&device.parent),
            (None, Some(definition)) => Some(&definition.parent),
            (None, None) => None,
        }
    }

    /// The virtual function that it occupies or is defined on, where that is not its parent.
    pub fn function(&self) -> Option<&'w ParentId> {
        match (self.device, self.definition) {
            (Some(device), _) => device.vf(),
            (None, definition) => definition?.vf.as_ref(),
        }
    }

    /// All its definitions.
    pub fn definitions(&self) -> impl Iterator<Item = &'w Definition> {
        self.definition
            .into_iter()
            .chain(self.stale.iter().copied())
    }
}

/// Finds for each member what is there, by its UUID or the mark of an earlier `apply`.
pub fn cases<'w>(world: &'w World, wanted: &[Wanted<'_>], index: &mut Index<'w>) -> Vec<Case<'w>> {
    let slots = wanted.iter().flat_map(|one| &one.members);
    let listed: HashSet<Uuid> = slots.map(|slot| slot.uuid).collect();
    let marks = index.marks(&listed);
    let mut cases = Vec::new();
    for (group, one) in wanted.iter().enumerate() {
        for (at, slot) in one.members.iter().enumerate() {
            let mark = Mark::new(&one.group.name, &slot.key);
            let by_uuid = index.take(&slot.uuid);
            let have = match by_uuid {
                None if slot.takes_others => index.take_marked(&marks, &mark),
                found => found,
            };
            cases.push(case(world, one, (group, at), have.unwrap_or_default()));
        }
    }
    cases
}

/// A member with what is there for it.
pub fn case<'w>(
    world: &World,
    wanted: &Wanted<'_>,
    (group, slot): (usize, usize),
    have: Have<'w>,
) -> Case<'w> {
    let place = &wanted.members[slot];
    let there = have.device.map(|device| device.uuid);
    let there = there.or(have.definition.map(|definition| definition.uuid));
    Case {
        group,
        slot,
        uuid: there.unwrap_or(place.uuid),
        faults: faults(world, wanted, place, &have),
        have,
    }
}

fn faults(world: &World, wanted: &Wanted<'_>, slot: &Slot, have: &Have<'_>) -> Faults {
    let mut faults = Faults::default();
    if have.is_nothing() {
        faults.needs_place = true;
        return faults;
    }
    if let Some(device) = have.device {
        judge_device(world, wanted, slot, device, &mut faults);
    }
    match have.definition {
        Some(definition) => judge_definition(world, wanted, slot, have, definition, &mut faults),
        None if have.device.is_some() => faults
            .differences
            .push("definition: none -> created".to_owned()),
        None => {}
    }
    for stale in &have.stale {
        faults
            .differences
            .push(format!("definition on {}: to be removed", stale.parent));
    }
    if have.device.is_none() && wanted.group.start == StartMode::Auto {
        faults.differences.push("inactive -> active".to_owned());
    }
    // Once stopped on a GPU that serves several sizes, it may find no placement ID again.
    let gpu = have.device.and_then(|device| world.gpu_of(&device.parent));
    let is_mixed = |gpu: usize| world.gpus[gpu].mixes_sizes && world.gpus[gpu].region.is_some();
    faults.needs_place |= faults.needs_stop && gpu.is_some_and(is_mixed);
    faults
}

fn judge_device(
    world: &World,
    wanted: &Wanted<'_>,
    slot: &Slot,
    device: &Device,
    faults: &mut Faults,
) {
    if device.type_id != wanted.type_id {
        let (now, then) = (&device.type_id, &wanted.type_id);
        faults.differences.push(format!("type: {now} -> {then}"));
        (faults.needs_stop, faults.needs_place) = (true, true);
    }
    if !is_allowed(world, wanted, slot, &device.parent, device.vf()) {
        let now = device.vf().unwrap_or(&device.parent);
        faults.differences.push(format!("GPU: not {now}"));
        (faults.needs_stop, faults.needs_place) = (true, true);
    }
    if world.unfinished.contains(&device.uuid) {
        faults
            .differences
            .push("incomplete (interrupted create): recreating".to_owned());
        faults.needs_stop = true;
    }
}

fn judge_definition(
    world: &World,
    wanted: &Wanted<'_>,
    slot: &Slot,
    have: &Have<'_>,
    definition: &Definition,
    faults: &mut Faults,
) {
    let is_active = have.device.is_some();
    if definition.type_id != wanted.type_id && !faults.needs_place {
        let what = match is_active {
            true => "defined type",
            false => "type",
        };
        let (now, then) = (&definition.type_id, &wanted.type_id);
        faults.differences.push(format!("{what}: {now} -> {then}"));
    }
    if definition.start != wanted.group.start {
        let (now, then) = (definition.start, wanted.group.start);
        faults.differences.push(format!("start: {now} -> {then}"));
    }
    if !same_attrs(&definition.attrs, &wanted.group.attrs) {
        let (now, then) = (joined(&definition.attrs), joined(&wanted.group.attrs));
        faults
            .differences
            .push(format!("attributes: {now} -> {then}"));
        faults.needs_stop |= is_active;
    }
    if !is_active {
        let vf = definition.vf.as_ref();
        if !is_allowed(world, wanted, slot, &definition.parent, vf) {
            let now = vf.unwrap_or(&definition.parent);
            faults.differences.push(format!("GPU: not {now}"));
        }
        // Nothing has its room yet, wherever it is defined.
        faults.needs_place = true;
    }
}

/// Whether a member may be on that parent, and on that virtual function where it is known.
pub fn is_allowed(
    world: &World,
    wanted: &Wanted<'_>,
    slot: &Slot,
    parent: &ParentId,
    vf: Option<&ParentId>,
) -> bool {
    let Some(gpu) = world.gpu_of(parent) else {
        return false;
    };
    let functions = wanted.functions.get(&gpu);
    wanted.gpus.contains(&gpu)
        && slot.pin.is_none_or(|pin| pin == gpu)
        && functions.is_none_or(|these| these.contains(vf.unwrap_or(parent)))
}

/// Whether both lists mean the same; how parameters are spaced means nothing.
pub fn same_attrs(one: &[Attr], other: &[Attr]) -> bool {
    let others = |attrs: &[Attr]| -> Vec<Attr> {
        let all = attrs.iter().filter(|attr| !holds_params(attr));
        all.cloned().collect()
    };
    one == other || (others(one) == others(other) && params_in(one) == params_in(other))
}

fn joined(attrs: &[Attr]) -> String {
    match attrs {
        [] => "none".to_owned(),
        _ => {
            let all: Vec<String> = attrs.iter().map(Attr::to_string).collect();
            all.join(", ")
        }
    }
}

impl Case<'_> {
    /// Whether something is there for it.
    pub fn is_there(&self) -> bool {
        !self.have.is_nothing()
    }

    /// Whether it is left out where there is no room.
    pub fn is_optional(&self, wanted: &[Wanted<'_>]) -> bool {
        wanted[self.group].members[self.slot].need == Need::IfRoom
    }
}
