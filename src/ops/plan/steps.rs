//! What has to be done for one vGPU.

use std::collections::HashSet;
use std::sync::Arc;

use uuid::Uuid;

use super::matching::{Case, Have, same_attrs};
use super::observe::World;
use super::resolve::{Need, Wanted};
use super::{Item, Verdict};
use crate::error::{Error, Kind, Result};
use crate::model::{Definition, Device, Parent, ParentId, StartMode, TypeId};
use crate::ops::Action;
use crate::ops::execute::Step;
use crate::ops::functions::{Claim, Spoken, named};
use crate::store::{Location, Mark};

/// Which virtual functions are free, where each has one vGPU.
pub struct Slots {
    taken: HashSet<ParentId>,
    /// Functions that definitions name, which another vGPU had better not take.
    /// Those that definitions outside the plan keep for the next boot.
    kept: HashSet<ParentId>,
    spoken: Spoken,
}

impl Slots {
    /// The functions as they are once all has gone that does not stay.
    pub fn of(
        world: &World,
        staying: &HashSet<Uuid>,
        leaving: &HashSet<Uuid>,
        planned: &HashSet<Uuid>,
    ) -> Slots {
        let devices = world.devices.iter();
        let devices = devices.filter(|device| staying.contains(&device.uuid));
        let on = |device: &Device| device.vf().unwrap_or(&device.parent).clone();
        let definitions = world.definitions.iter();
        Slots {
            taken: devices.map(on).collect(),
            kept: kept_for_others(world, planned).cloned().collect(),
            spoken: Spoken::by(definitions.filter(|d| !leaving.contains(&d.uuid))),
        }
    }

    /// The one of these functions of a GPU that a case's device is made on. What is only defined may
    /// be on one that is taken.
    ///
    /// # Errors
    /// All of them are taken.
    pub fn take_of(
        &mut self,
        world: &World,
        case: &Case<'_>,
        gpu: usize,
        these: &[ParentId],
        is_only_defined: bool,
    ) -> Result<Parent> {
        let last = these.last().filter(|_| is_only_defined);
        let Some(chosen) = self.best(case, these, is_only_defined).or(last).cloned() else {
            let taken = these.iter().map(ParentId::as_str).collect::<Vec<_>>();
            let message = format!("already used by another vGPU: {}", taken.join(", "));
            return Err(Error::new(Kind::NoCapacity, message));
        };
        self.taken.insert(chosen.clone());
        Ok(world.gpus[gpu].as_parent(Some(chosen)))
    }

    /// Of these functions the free one that a case had better have: for one that runs none that is kept
    /// for others; its own, else one that no other definition names; of those that are alike, on another
    /// card the one of the same number as its own, else the first.
    fn best<'f>(
        &self,
        case: &Case<'_>,
        these: &'f [ParentId],
        is_only_defined: bool,
    ) -> Option<&'f ParentId> {
        let own = function_of(case);
        let free = these.iter().filter(|vf| !self.taken.contains(*vf));
        let claim = |vf: &ParentId| self.spoken.claim(vf, Some(case.uuid));
        let is_kept = |vf: &ParentId| !is_only_defined && self.kept.contains(vf);
        let is_other =
            |vf: &ParentId| own.is_none_or(|own| number_on_bus(own) != number_on_bus(vf));
        free.min_by_key(|vf| (is_kept(vf), Some(*vf) != own, claim(vf), is_other(vf)))
    }

    /// The parent on a GPU that a case's device is made on: the function that it has or names, if it
    /// can be had.
    pub fn take(
        &mut self,
        world: &World,
        case: &Case<'_>,
        gpu: usize,
        is_only_defined: bool,
    ) -> Parent {
        let gpu = &world.gpus[gpu];
        let functions = match gpu.functions.is_empty() {
            true => &gpu.vendor_vfs,
            false => &gpu.functions,
        };
        let best = self.best(case, functions, is_only_defined);
        // What is only defined stays where it is rather than take what another definition names: else
        // the two would change places with each plan.
        let own = function_of(case).filter(|vf| is_only_defined && functions.contains(vf));
        let is_open = |vf: &ParentId| self.spoken.claim(vf, Some(case.uuid)) == Claim::None;
        let own = own.filter(|_| best.is_none_or(|vf| !is_open(vf)));
        let chosen = own.or(best).or(functions.first()).cloned();
        self.taken.extend(chosen.clone());
        gpu.as_parent(chosen)
    }

    /// Whether a case that is to run can have the function that it names.
    pub fn has_own(&self, case: &Case<'_>) -> bool {
        function_of(case).is_some_and(|vf| !self.taken.contains(vf))
    }
}

/// "00.5" of 0000:41:00.5.
fn number_on_bus(vf: &ParentId) -> &str {
    let name = vf.as_str();
    name.rsplit_once(':').map_or(name, |(_, number)| number)
}

/// What definitions name that start at boot and are none of the plan's.
pub fn kept_for_others<'w>(
    world: &'w World,
    planned: &HashSet<Uuid>,
) -> impl Iterator<Item = &'w ParentId> {
    let all = world.definitions.iter();
    let idle = all.filter(|one| one.start == StartMode::Auto && !planned.contains(&one.uuid));
    idle.filter_map(named)
}

/// The virtual function that a case's definition names or, where that names none, its device has.
pub fn function_of<'w>(case: &Case<'w>) -> Option<&'w ParentId> {
    let defined = case.have.definition.and_then(named);
    let sits = |device: &'w Device| device.vf().unwrap_or(&device.parent);
    defined.or_else(|| case.have.device.map(sits))
}

/// A member's item: what it takes to have it on `place`, or where it is.
pub fn item_of(world: &World, wanted: &Wanted<'_>, case: &Case<'_>, place: Option<Parent>) -> Item {
    let slot = &wanted.members[case.slot];
    let mark = Mark::new(&wanted.group.name, &slot.key);
    let new = definition_for(world, wanted, case, place.as_ref(), &mark);
    let steps = steps_for(wanted, case, &new);
    let mut differences = case.faults.differences.clone();
    let before = case.have.definition.filter(|old| old.parent == new.parent);
    if let Some((old, now)) = before.and_then(|old| old.vf.as_ref()).zip(new.vf.as_ref())
        && old != now
    {
        differences.insert(0, format!("function: {old} -> {now}"));
    }
    if let Some(now) = case.have.parent().filter(|now| **now != new.parent) {
        differences.insert(0, format!("parent: {now} -> {}", new.parent));
    }
    let verdict = if !case.is_there() {
        Verdict::Create(reason_to_create(wanted, &mark))
    } else if steps.is_empty() {
        Verdict::Keep
    } else {
        Verdict::Change(differences)
    };
    Item {
        uuid: case.uuid,
        member: Some(mark),
        parent: Some(new.parent),
        vf: new.vf,
        type_id: wanted.type_id.clone(),
        type_name: wanted.type_name.clone(),
        is_optional: slot.need == Need::IfRoom && matches!(verdict, Verdict::Create(_)),
        verdict,
        steps,
    }
}

fn reason_to_create(wanted: &Wanted<'_>, mark: &Mark) -> String {
    match wanted.group.start {
        StartMode::Auto => format!("{mark} is missing"),
        StartMode::Manual => format!("{mark} is missing; defined only (manual start)"),
    }
}

/// The definition that the member is to have; where nothing of it is wrong, the one that it has.
fn definition_for(
    world: &World,
    wanted: &Wanted<'_>,
    case: &Case<'_>,
    place: Option<&Parent>,
    mark: &Mark,
) -> Definition {
    let group = wanted.group;
    let have = &case.have;
    let is_placed = place.is_some();
    let place = match (place, have.device, have.definition) {
        (Some(place), ..) => place.clone(),
        (None, Some(device), _) => place_of(world, &device.parent, device.framework()),
        (None, None, Some(definition)) => place_of(world, &definition.parent, definition.framework),
        // Without either, a place was found for it.
        (None, None, None) => place_of(
            world,
            &world.gpus[wanted.gpus[0]].facts.id,
            crate::model::FrameworkKind::Mdev,
        ),
    };
    let fresh = Definition::on(&place, case.uuid, wanted.type_id.clone(), group.start);
    let slot = fresh.vf.clone();
    let mut new = match have.definition {
        Some(old) if Location::of(old) == Location::of(&fresh) => old.clone(),
        Some(old) => {
            let mut moved = fresh;
            moved.document = old.document.clone();
            moved.document.shift_remove("vf");
            moved.attrs.clone_from(&old.attrs);
            moved
        }
        None => fresh,
    };
    if is_placed {
        new.vf = slot.or(new.vf);
    }
    new.type_id = wanted.type_id.clone();
    new.start = group.start;
    if !same_attrs(&new.attrs, &group.attrs) {
        new.attrs.clone_from(&group.attrs);
    }
    let is_changed = Some(&new) != have.definition || case.faults.needs_stop;
    if let Some(device) = have.device.filter(|_| !is_placed && is_changed) {
        new.vf = new.vf.or_else(|| device.vf().cloned());
    }
    if Some(&new) != have.definition || case.faults.is_new_here {
        mark.note_in(&mut new);
    }
    new
}

fn place_of(world: &World, parent: &ParentId, framework: crate::model::FrameworkKind) -> Parent {
    let gpu = world.gpu_of(parent).map(|at| world.gpus[at].id().clone());
    Parent {
        id: parent.clone(),
        framework,
        gpu: gpu.filter(|gpu| gpu != parent),
    }
}

fn steps_for(wanted: &Wanted<'_>, case: &Case<'_>, new: &Definition) -> Vec<Step> {
    let have = &case.have;
    let mut steps = Vec::new();
    if let Some(device) = have.device.filter(|_| case.faults.needs_stop) {
        steps.push(Step::Stop(device.clone()));
    }
    let at = Location::of(new);
    let (same, others): (Vec<&Definition>, Vec<&Definition>) =
        have.definitions().partition(|one| Location::of(one) == at);
    match same.first() {
        None => steps.push(Step::Define(new.clone(), Action::Define)),
        Some(old) if *old != new => {
            steps.push(Step::Rewrite(Box::new(((*old).clone(), new.clone()))));
        }
        Some(_) => {}
    }
    steps.extend(others.into_iter().cloned().map(Step::Leave));
    let is_to_run = wanted.group.start == StartMode::Auto || have.device.is_some();
    let runs = have.device.is_some() && !case.faults.needs_stop;
    if is_to_run && !runs {
        steps.push(Step::Make(new.clone()));
    }
    steps
}

/// What has to go of a UUID.
fn removal_steps(have: &Have<'_>) -> Vec<Step> {
    let stop = have.device.cloned().map(Step::Stop);
    let forget = have.definitions().cloned().map(Step::Forget);
    stop.into_iter().chain(forget).collect()
}

/// The item of something that is to go; nothing where nothing is there.
pub fn removal(
    world: &World,
    uuid: Uuid,
    have: &Have<'_>,
    reason: &str,
    held: Option<&Error>,
) -> Option<Item> {
    let definition = have.definitions().next();
    let (parent, type_id) = match (have.device, definition) {
        (Some(device), _) => (&device.parent, &device.type_id),
        (None, Some(definition)) => (&definition.parent, &definition.type_id),
        (None, None) => return None,
    };
    let (verdict, steps) = match held {
        Some(error) => {
            let message = format!("{reason}, but {}", error.message());
            (Verdict::Blocked(error.clone().retold(message)), Vec::new())
        }
        None => (Verdict::Remove(reason.to_owned()), removal_steps(have)),
    };
    let sits = have.device.and_then(Device::vf);
    Some(Item {
        uuid,
        member: None,
        vf: sits.or(definition.and_then(|d| d.vf.as_ref())).cloned(),
        parent: Some(parent.clone()),
        type_id: type_id.clone(),
        type_name: type_name(world, parent, type_id),
        verdict,
        steps,
        is_optional: false,
    })
}

/// What becomes of a member that is only wanted where there is room, and there is none.
pub fn left_out(wanted: &Wanted<'_>, case: &Case<'_>) -> Option<Item> {
    let parent = case.have.parent()?.clone();
    let slot = &wanted.members[case.slot];
    Some(Item {
        uuid: case.uuid,
        member: Some(Mark::new(&wanted.group.name, &slot.key)),
        parent: Some(parent),
        vf: case.have.function().cloned(),
        type_id: wanted.type_id.clone(),
        type_name: wanted.type_name.clone(),
        verdict: Verdict::Remove("no capacity for it as declared".to_owned()),
        steps: removal_steps(&case.have),
        is_optional: false,
    })
}

/// A type's name, where its GPU is there.
pub fn type_name(world: &World, parent: &ParentId, id: &TypeId) -> Option<Arc<str>> {
    let gpu = &world.gpus[world.gpu_of(parent)?];
    gpu.types[gpu.type_at(id)?].name.clone()
}
