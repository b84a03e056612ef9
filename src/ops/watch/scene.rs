//! The host as it was last read. Each look reads what may have changed and tells what has.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::change::{Change, Ready, Turn, Turned, Written};
use super::heard::Heard;
use super::watcher::Watcher;
use crate::error::{Error, Result, Warnings};
use crate::model::{Definition, Device, Holder, Nodes, Parent, ParentId, TypeId, VgpuType};
use crate::ops::Context;
use crate::store::Location;

/// How long other changes may be told before who has devices open is looked at.
const LONGEST_DEBT: Duration = Duration::from_millis(30);

/// How long a device that the kernel is making is waited for; one that was left half made stays so.
const LONGEST_MAKING: Duration = Duration::from_secs(10);

/// A device that was there at the last look.
#[derive(Debug, Clone)]
pub struct Seen {
    /// The device.
    pub device: Device,
    /// Its type's name.
    pub type_name: Option<Arc<str>>,
    /// What is opened to use it.
    pub(super) nodes: Option<Nodes>,
}

/// Of which part of the host something could not be read.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Part {
    Listening,
    Parents,
    Devices,
    Types(ParentId),
    Store,
    Holders,
}

/// What to make of a definition that cannot be understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trust {
    /// Somebody may be writing it.
    Doubt,
    /// It was written long enough ago.
    Believe,
}

/// What was there at the last look.
#[derive(Debug, Default)]
pub struct Scene {
    pub(super) parents: BTreeMap<ParentId, Parent>,
    pub(super) types: BTreeMap<ParentId, Vec<VgpuType>>,
    pub(super) devices: BTreeMap<Location, Seen>,
    definitions: BTreeMap<Location, Result<Definition>>,
    pub(super) holders: BTreeMap<(Location, i32), Holder>,
    sees_all_processes: bool,
    reported: BTreeMap<Part, Warnings>,
    /// Definitions that could not be understood at the last look: somebody may be writing them.
    doubted: BTreeSet<Location>,
    has_begun: bool,
    /// Since when a look at who has devices open is due; it comes after the rest is told.
    owes_holders: Option<Instant>,
    /// Since when the kernel has been making a device.
    pub(super) making_since: Option<Instant>,
    /// Whose types have not been looked at since, because of that.
    pub(super) owed_types: BTreeSet<ParentId>,
}

impl Scene {
    /// The GPUs, or parents that are none's functions, each with its types.
    pub fn types(&self) -> impl Iterator<Item = (&ParentId, &[VgpuType])> {
        let all = self.types.iter();
        all.map(|(gpu, types)| (gpu, types.as_slice()))
    }

    /// The active devices.
    pub fn devices(&self) -> &BTreeMap<Location, Seen> {
        &self.devices
    }

    /// How many devices are active on a GPU or parent.
    pub fn active_on(&self, gpu: &ParentId) -> usize {
        let all = self.devices.values();
        all.filter(|seen| self.gpu_of(&seen.device.parent) == *gpu)
            .count()
    }

    /// The definitions; an error for one that cannot be read.
    pub fn definitions(&self) -> &BTreeMap<Location, Result<Definition>> {
        &self.definitions
    }

    /// Who has a device open.
    pub fn holders_of(&self, at: &Location) -> Vec<&Holder> {
        let all = self.holders.iter();
        let of_it = all.filter(|((device, _), _)| device == at);
        of_it.map(|(_, holder)| holder).collect()
    }

    /// The name of a type of a parent, as far as it is known.
    pub fn type_name(&self, parent: &ParentId, id: &TypeId) -> Option<&str> {
        let types = self.types.get(&self.gpu_of(parent))?;
        types.iter().find(|one| one.id == *id)?.name.as_deref()
    }

    /// What a watch begins with.
    pub fn summary(&self, hears_kernel: bool) -> Ready {
        Ready {
            parents: self.parents.len(),
            devices: self.devices.len(),
            definitions: self.definitions.len(),
            hears_kernel,
            sees_all_processes: self.sees_all_processes,
        }
    }

    /// Reads what was heard of, and tells what has changed.
    pub fn look(
        &mut self,
        context: &Context<'_>,
        watcher: &mut Watcher<'_>,
        heard: &Heard,
    ) -> Vec<Change> {
        let mut changes = Vec::new();
        if heard.store {
            watcher.attend_store();
            self.look_at_store(context, &mut changes);
        }
        for at in heard.definitions.iter().filter(|_| !heard.store) {
            self.look_at_definition(context, at, Trust::Doubt, &mut changes);
        }
        let unwritten = heard.doubted.difference(&heard.definitions);
        for at in unwritten.filter(|_| !heard.store) {
            self.look_at_definition(context, at, Trust::Believe, &mut changes);
        }
        let mut holders = heard.holders;
        if heard.kernel {
            holders |= watcher.attend_nodes();
            holders |= self.look_at_kernel(context, watcher, heard, &mut changes);
        }
        if holders {
            self.owes_holders.get_or_insert_with(Instant::now);
        }
        // A look at all processes takes its time: what is known already is told before.
        let is_late = |since: Instant| since.elapsed() > LONGEST_DEBT;
        let is_time =
            changes.is_empty() || !self.has_begun || self.owes_holders.is_some_and(is_late);
        if is_time && self.owes_holders.take().is_some() {
            self.look_at_holders(context, &mut changes);
        }
        let deaf = std::mem::take(&mut watcher.warnings);
        self.tell_also(Part::Listening, deaf, &mut changes);
        changes.sort_by_key(rank);
        self.has_begun = true;
        changes
    }

    /// Whether another look is to follow at once, whatever is heard.
    pub fn owes_a_look(&self) -> bool {
        self.owes_holders.is_some()
    }

    /// Whether types are not looked at until a device is there that the kernel is making.
    pub fn owes_types(&self) -> bool {
        !self.owed_types.is_empty()
    }

    pub(super) fn awaits_a_device(&self) -> bool {
        self.making_since
            .is_some_and(|since| since.elapsed() < LONGEST_MAKING)
    }

    /// The definitions that are to be read again soon, before they are called unreadable.
    pub fn take_doubts(&mut self) -> BTreeSet<Location> {
        std::mem::take(&mut self.doubted)
    }

    fn look_at_store(&mut self, context: &Context<'_>, changes: &mut Vec<Change>) {
        let mut warnings = Vec::new();
        match context.store.index(&mut warnings) {
            Ok(places) => {
                let mut all: BTreeSet<Location> = places.into_iter().collect();
                all.extend(self.definitions.keys().cloned());
                let trust = match self.has_begun {
                    true => Trust::Doubt,
                    false => Trust::Believe,
                };
                for at in all {
                    self.look_at_definition(context, &at, trust, changes);
                }
            }
            Err(error) => warnings.push(error),
        }
        self.tell(Part::Store, warnings, changes);
    }

    fn look_at_definition(
        &mut self,
        context: &Context<'_>,
        at: &Location,
        trust: Trust,
        changes: &mut Vec<Change>,
    ) {
        let now = match context.store.read(at) {
            Ok(definition) => Some(Ok(definition)),
            Err(error) if error.is_absent() => None,
            Err(error) => Some(Err(error)),
        };
        let is_new = self.definitions.get(at) != now.as_ref();
        if is_new && matches!(now, Some(Err(_))) && trust == Trust::Doubt {
            self.doubted.insert(at.clone());
            return;
        }
        let before = match &now {
            Some(now) => self.definitions.insert(at.clone(), now.clone()),
            None => self.definitions.remove(at),
        };
        if now == before {
            return;
        }
        let turn = match (now, before) {
            (Some(Err(error)), _) => Turned::Unreadable(error),
            (Some(Ok(definition)), None) => Turned::Defined(definition),
            (Some(Ok(definition)), Some(_)) => Turned::Changed(definition),
            (None, before) => Turned::Undefined(before.and_then(Result::ok)),
        };
        let mut written = Written {
            path: context.store.path(at),
            at: at.clone(),
            turn,
            type_name: None,
        };
        let mut unread = Vec::new();
        let name = |id: &TypeId| context.kernel.type_name(&at.parent, id, &mut unread);
        written.type_name = written.type_id().and_then(name);
        changes.push(Change::Definition(written));
        self.tell_also(Part::Store, unread, changes);
    }

    fn look_at_holders(&mut self, context: &Context<'_>, changes: &mut Vec<Change>) {
        let held: Vec<(Location, Device, Nodes)> = self
            .devices
            .iter()
            .filter_map(|(at, seen)| Some((at.clone(), seen.device.clone(), seen.nodes.clone()?)))
            .collect();
        let nodes: Vec<&Nodes> = held.iter().map(|(_, _, nodes)| nodes).collect();
        let found = match context.kernel.holders_of_each(&nodes) {
            Ok(found) => found,
            Err(error) => return self.tell(Part::Holders, vec![error], changes),
        };
        self.sees_all_processes = found.iter().all(|holders| holders.complete);
        let mut now = BTreeMap::new();
        for ((at, device, _), holders) in held.iter().zip(found) {
            for holder in holders.found {
                let key = (at.clone(), holder.pid);
                if self.holders.remove(&key).is_none() {
                    changes.push(Change::Holder(Turn::Came, device.clone(), holder.clone()));
                }
                now.insert(key, holder);
            }
        }
        let before = std::mem::replace(&mut self.holders, now);
        for ((at, _), holder) in before {
            if let Some(seen) = self.devices.get(&at) {
                changes.push(Change::Holder(Turn::Went, seen.device.clone(), holder));
            }
        }
        self.tell(Part::Holders, Vec::new(), changes);
    }

    /// Tells what is wrong with a part, unless that was told at the last look at it.
    pub(super) fn tell(&mut self, part: Part, now: Warnings, changes: &mut Vec<Change>) {
        let before = self.reported.insert(part, now.clone()).unwrap_or_default();
        let before: HashSet<&Error> = before.iter().collect();
        let new = now.into_iter().filter(|error| !before.contains(error));
        changes.extend(new.map(Change::Problem));
    }

    /// As [`Scene::tell`], where the look was not at all of the part.
    fn tell_also(&mut self, part: Part, also: Warnings, changes: &mut Vec<Change>) {
        let mut all = self.reported.get(&part).cloned().unwrap_or_default();
        let known: HashSet<&Error> = all.iter().collect();
        let new = also.into_iter().filter(|error| !known.contains(error));
        let new: Warnings = new.collect();
        all.extend(new);
        self.tell(part, all, changes);
    }

    pub(super) fn gpu_of(&self, parent: &ParentId) -> ParentId {
        let known = self.parents.get(parent);
        known.map_or(parent, Parent::gpu).clone()
    }
}

/// The order in which changes that are seen in one look are told: what rests on others goes before
/// them and comes after them.
fn rank(change: &Change) -> u8 {
    match change {
        Change::Holder(Turn::Went, ..) => 0,
        Change::Device(Turn::Went, ..) => 1,
        Change::Definition(_) => 2,
        Change::Parent(Turn::Went, _) => 3,
        Change::Parent(Turn::Came, _) => 4,
        Change::Device(Turn::Came, ..) => 5,
        Change::Types(_) => 6,
        Change::Holder(Turn::Came, ..) => 7,
        Change::Problem(_) => 8,
        Change::Ready(_) => 9,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::Host;
    use std::fs;

    const NAME: &str = "83b8f4f2-509f-382f-3c1e-e6bfe0fa1001";

    fn told(changes: &[Change]) -> Vec<&'static str> {
        let word = |change: &Change| match change {
            Change::Definition(written) => Some(match written.turn {
                Turned::Defined(_) => "defined",
                Turned::Changed(_) => "changed",
                Turned::Undefined(_) => "undefined",
                Turned::Unreadable(_) => "unreadable",
            }),
            _ => None,
        };
        changes.iter().filter_map(word).collect()
    }

    #[test]
    fn a_definition_that_may_be_half_written_is_not_called_unreadable() {
        let root = tempfile::tempdir().unwrap();
        let host = Host::new(root.path());
        fs::create_dir(root.path().join("proc")).unwrap();
        let dir = host.definitions().join("mtty");
        fs::create_dir_all(&dir).unwrap();
        let context = Context::of(&host);
        let mut watcher = Watcher::open(&context).unwrap();
        let mut scene = Scene::default();
        let mut look = |heard: &Heard| {
            let changes = scene.look(&context, &mut watcher, heard);
            (told(&changes), scene.take_doubts())
        };
        let nothing = BTreeSet::new();
        look(&Heard::everything());

        let at = Location {
            framework: crate::model::FrameworkKind::Mdev,
            parent: "mtty".parse().unwrap(),
            uuid: NAME.parse().unwrap(),
        };
        let it = BTreeSet::from([at]);
        let written = Heard {
            definitions: it.clone(),
            ..Heard::default()
        };
        let doubted = Heard {
            doubted: it.clone(),
            ..Heard::default()
        };
        let both = Heard {
            definitions: it.clone(),
            ..doubted.clone()
        };
        fs::write(dir.join(NAME), "").unwrap();
        assert_eq!(look(&written), (vec![], it.clone()));
        // Somebody is still at it.
        assert_eq!(look(&both), (vec![], it.clone()));
        fs::write(dir.join(NAME), r#"{"mdev_type":"x","start":"auto"}"#).unwrap();
        assert_eq!(look(&written), (vec!["defined"], nothing.clone()));
        assert_eq!(look(&doubted), (vec![], nothing.clone()));
        fs::write(dir.join(NAME), "{").unwrap();
        assert_eq!(look(&written), (vec![], it));
        assert_eq!(look(&doubted), (vec!["unreadable"], nothing.clone()));
        assert_eq!(look(&written), (vec![], nothing));
    }
}
