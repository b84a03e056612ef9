//! Looks at the kernel's side: parents, their types, and devices.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use super::change::{Change, Turn, TypeChange, TypesChange};
use super::heard::Heard;
use super::scene::{Part, Scene, Seen};
use super::watcher::Watcher;
use crate::error::{Result, Warnings, if_present};
use crate::model::{Device, Parent, ParentId, TypeId, VgpuType};
use crate::ops::group::by_gpu;
use crate::ops::{Context, ParentTypes};
use crate::store::Location;
use crate::sysfs::Beside;

impl Scene {
    /// Says whether a device came, which somebody may have open already.
    pub(super) fn look_at_kernel(
        &mut self,
        context: &Context<'_>,
        watcher: &mut Watcher<'_>,
        heard: &Heard,
        changes: &mut Vec<Change>,
    ) -> bool {
        let mut touched: BTreeSet<ParentId> =
            heard.touched.iter().map(|id| self.gpu_of(id)).collect();
        self.take_the_gone_away(watcher, heard, changes);
        let parents_before: Vec<ParentId> = self.parents.keys().cloned().collect();
        self.look_at_parents(context, changes);
        for parent in self.parents.values() {
            let is_new = !parents_before.contains(&parent.id);
            if is_new || heard.all_types {
                watcher.attend_parent(context, parent);
                touched.insert(parent.gpu().clone());
            }
        }
        self.look_at_devices(context, watcher, changes);
        for change in &*changes {
            if let Change::Device(_, device, _) = change {
                touched.insert(self.gpu_of(&device.parent));
            }
        }
        self.owed_types.append(&mut touched);
        // Its instance may be taken already, and is to be told after the device.
        if !self.awaits_a_device() {
            for gpu in std::mem::take(&mut self.owed_types) {
                self.look_at_types(context, watcher, &gpu, changes);
            }
        }
        // A device that came or went in the meantime is told with the instances that it took or freed.
        let is_types = |change: &Change| matches!(change, Change::Types(_));
        if changes.iter().any(is_types) {
            self.look_at_devices(context, watcher, changes);
        }
        let has_come = |change: &Change| matches!(change, Change::Device(Turn::Came, ..));
        changes.iter().any(has_come)
    }

    /// What has gone has gone, even if something of the same name exists now.
    fn take_the_gone_away(
        &mut self,
        watcher: &mut Watcher<'_>,
        heard: &Heard,
        changes: &mut Vec<Change>,
    ) {
        let gone: Vec<Location> = self
            .devices
            .iter()
            .filter(|(at, _)| {
                heard.gone_devices.contains(&at.uuid) || heard.gone_parents.contains(&at.parent)
            })
            .map(|(at, _)| at.clone())
            .collect();
        for at in gone {
            self.take_device_away(watcher, &at, changes);
        }
        for id in &heard.gone_parents {
            self.take_parent_away(id, changes);
        }
    }

    fn take_parent_away(&mut self, id: &ParentId, changes: &mut Vec<Change>) {
        if let Some(parent) = self.parents.remove(id) {
            if self
                .parents
                .values()
                .all(|other| other.gpu() != parent.gpu())
            {
                self.types.remove(parent.gpu());
            }
            changes.push(Change::Parent(Turn::Went, parent));
        }
    }

    fn take_device_away(
        &mut self,
        watcher: &mut Watcher<'_>,
        at: &Location,
        changes: &mut Vec<Change>,
    ) {
        let Some(seen) = self.devices.remove(at) else {
            return;
        };
        if let Some(nodes) = &seen.nodes {
            watcher.leave_device(nodes);
        }
        let held: Vec<(Location, i32)> = self
            .holders
            .keys()
            .filter(|(device, _)| device == at)
            .cloned()
            .collect();
        for key in held {
            let holder = self.holders.remove(&key);
            let went = |holder| Change::Holder(Turn::Went, seen.device.clone(), holder);
            changes.extend(holder.map(went));
        }
        let is_its_coming = |change: &Change| match change {
            Change::Device(Turn::Came, device, _) => *device == seen.device,
            _ => false,
        };
        match changes.iter().position(is_its_coming) {
            // Seen in this look, so that nobody has been told of it.
            Some(place) => {
                changes.remove(place);
            }
            None => changes.push(Change::Device(Turn::Went, seen.device, seen.type_name)),
        }
    }

    fn look_at_parents(&mut self, context: &Context<'_>, changes: &mut Vec<Change>) {
        let mut warnings = Vec::new();
        match context.kernel.parents(&mut warnings) {
            Ok(now) => {
                let before: Vec<ParentId> = self.parents.keys().cloned().collect();
                for id in before {
                    if now.iter().all(|parent| parent.id != id) {
                        self.take_parent_away(&id, changes);
                    }
                }
                for parent in now {
                    let known = self.parents.insert(parent.id.clone(), parent.clone());
                    if known.is_none() {
                        changes.push(Change::Parent(Turn::Came, parent));
                    }
                }
            }
            Err(error) => warnings.push(error),
        }
        self.tell(Part::Parents, warnings, changes);
    }

    fn look_at_devices(
        &mut self,
        context: &Context<'_>,
        watcher: &mut Watcher<'_>,
        changes: &mut Vec<Change>,
    ) {
        let mut warnings = Vec::new();
        match context.kernel.devices_now(&mut warnings) {
            Ok(now) => {
                self.making_since = match (now.is_making, self.making_since) {
                    (true, None) => Some(Instant::now()),
                    (true, since) => since,
                    (false, _) => None,
                };
                let now: BTreeMap<Location, Device> = now
                    .devices
                    .into_iter()
                    .map(|device| (Location::of_device(&device), device))
                    .collect();
                let stays = |at: &Location, seen: &Seen| now.get(at) == Some(&seen.device);
                let gone: Vec<Location> = self
                    .devices
                    .iter()
                    .filter(|(at, seen)| !stays(at, seen))
                    .map(|(at, _)| at.clone())
                    .collect();
                for at in gone {
                    self.take_device_away(watcher, &at, changes);
                }
                for (at, device) in now {
                    self.welcome(context, watcher, at, device, (changes, &mut warnings));
                }
            }
            Err(error) => warnings.push(error),
        }
        self.tell(Part::Devices, warnings, changes);
    }

    fn welcome(
        &mut self,
        context: &Context<'_>,
        watcher: &mut Watcher<'_>,
        at: Location,
        device: Device,
        (changes, warnings): (&mut Vec<Change>, &mut Warnings),
    ) {
        let is_known = self
            .devices
            .get(&at)
            .is_some_and(|seen| seen.nodes.is_some());
        if is_known {
            return;
        }
        // Where it is gone already, the next look says so.
        let nodes = context.kernel.owning(&device).nodes(&device).ok();
        if let Some(nodes) = &nodes {
            watcher.attend_device(nodes);
        }
        let seen = Seen {
            type_name: context
                .kernel
                .type_name(&device.parent, &device.type_id, warnings),
            device: device.clone(),
            nodes,
        };
        let name = seen.type_name.clone();
        if self.devices.insert(at, seen).is_none() {
            changes.push(Change::Device(Turn::Came, device, name));
        }
    }

    fn look_at_types(
        &mut self,
        context: &Context<'_>,
        watcher: &mut Watcher<'_>,
        gpu: &ParentId,
        changes: &mut Vec<Change>,
    ) {
        let parents: Vec<&Parent> = self
            .parents
            .values()
            .filter(|parent| parent.gpu() == gpu)
            .collect();
        let mut warnings = Vec::new();
        let now = match types_now(context, &parents, &self.devices, &mut warnings) {
            Ok(now) => now,
            Err(error) => {
                warnings.push(error);
                None
            }
        };
        if let Some(now) = now {
            let before = self.types.get(gpu).map_or(&[][..], Vec::as_slice);
            let change = compare(gpu, before, &now);
            if change.types.iter().any(|one| one.before.is_none()) {
                for parent in parents {
                    watcher.attend_parent(context, parent);
                }
            }
            if !change.types.is_empty() || !change.gone.is_empty() {
                changes.push(Change::Types(change));
            }
            self.types.insert(gpu.clone(), now);
        }
        // What was unplugged while it was being read is no bad data.
        warnings.retain(|error| !error.is_absent());
        self.tell(Part::Types(gpu.clone()), warnings, changes);
    }
}

/// The types of parents that are one GPU, as one; `None` where there is none or it is going.
fn types_now(
    context: &Context<'_>,
    parents: &[&Parent],
    devices: &BTreeMap<Location, Seen>,
    warnings: &mut Warnings,
) -> Result<Option<Vec<VgpuType>>> {
    let mut all = Vec::new();
    for parent in parents {
        let siblings = all.first().map_or(&[][..], |one: &ParentTypes| &one.types);
        let framework = context.kernel.serving(parent);
        let beside = Beside::Function(siblings);
        let types = framework.types_beside(&parent.id, beside, warnings);
        all.extend(if_present(types)?.map(|types| ParentTypes {
            parent: (*parent).clone(),
            functions: Vec::new(),
            types,
            most: BTreeMap::new(),
        }));
    }
    let devices: Vec<Device> = devices.values().map(|seen| seen.device.clone()).collect();
    let one = by_gpu(all, &devices).into_iter().next();
    Ok(one.map(|one| one.types))
}

fn compare(gpu: &ParentId, before: &[VgpuType], now: &[VgpuType]) -> TypesChange {
    let find = |types: &[VgpuType], id: &TypeId| types.iter().find(|one| one.id == *id).cloned();
    let is_same = |one: &VgpuType, other: &VgpuType| {
        (one.available, one.at_least) == (other.available, other.at_least)
    };
    let changed = now.iter().filter_map(|one| match find(before, &one.id) {
        Some(other) if is_same(one, &other) => None,
        before => Some(TypeChange {
            now: one.clone(),
            before,
        }),
    });
    let gone = before.iter().filter(|one| find(now, &one.id).is_none());
    TypesChange {
        parent: gpu.clone(),
        types: changed.collect(),
        gone: gone.cloned().collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::Host;
    use crate::model::Slot;

    fn device(type_id: &str) -> Device {
        Device {
            uuid: uuid::Uuid::nil(),
            parent: "mtty".parse().unwrap(),
            type_id: type_id.parse().unwrap(),
            slot: Slot::Mdev,
        }
    }

    #[test]
    fn a_device_that_came_and_went_in_one_look_is_not_told() {
        let root = tempfile::tempdir().unwrap();
        let host = Host::new(root.path());
        let context = Context::of(&host);
        let mut watcher = Watcher::open(&context).unwrap();
        let mut scene = Scene::default();
        let (before, device) = (device("mtty-1"), device("mtty-2"));
        let at = Location::of_device(&device);
        let went = Change::Device(Turn::Went, before, None);
        let came = Change::Device(Turn::Came, device.clone(), None);
        let seen = Seen {
            device,
            type_name: None,
            nodes: None,
        };
        scene.devices.insert(at.clone(), seen.clone());
        let mut changes = vec![went.clone(), came];
        scene.take_device_away(&mut watcher, &at, &mut changes);
        assert_eq!(changes, [went]);

        scene.devices.insert(at.clone(), seen);
        scene.take_device_away(&mut watcher, &at, &mut changes);
        assert_eq!(changes.len(), 2, "{changes:?}");
    }

    #[test]
    fn an_instance_is_not_told_to_be_taken_before_the_device_that_takes_it() {
        use std::fs;
        use std::os::unix::fs::symlink;
        let root = tempfile::tempdir().unwrap();
        let sys = root.path().join("sys");
        let parent = sys.join("devices/mtty");
        let of_type = parent.join("mdev_supported_types/mtty-2");
        fs::create_dir_all(&of_type).unwrap();
        fs::create_dir_all(sys.join("class/mdev_bus")).unwrap();
        fs::create_dir_all(sys.join("bus/mdev/devices")).unwrap();
        symlink(&parent, sys.join("class/mdev_bus/mtty")).unwrap();
        fs::write(of_type.join("device_api"), "vfio-pci\n").unwrap();
        let has = |instances: &str| fs::write(of_type.join("available_instances"), instances);
        has("12\n").unwrap();

        let host = Host::new(root.path());
        let context = Context::of(&host);
        let mut watcher = Watcher::open(&context).unwrap();
        let mut scene = Scene::default();
        scene.look(&context, &mut watcher, &Heard::everything());
        let mut look = || {
            let told = scene.look(&context, &mut watcher, &Heard::everything());
            let word = |change: &Change| match change {
                Change::Device(..) => "device",
                Change::Types(_) => "types",
                _ => "something else",
            };
            let told: Vec<&str> = told.iter().map(word).collect();
            (told, scene.owes_types())
        };
        // As the kernel makes one: the directory, the link, the instance, and last the type.
        let device = parent.join(uuid::Uuid::nil().to_string());
        fs::create_dir(&device).unwrap();
        let link = sys
            .join("bus/mdev/devices")
            .join(device.file_name().unwrap());
        symlink(&device, link).unwrap();
        has("11\n").unwrap();
        assert_eq!(look(), (vec![], true));
        symlink(&of_type, device.join("mdev_type")).unwrap();
        assert_eq!(look(), (vec!["device", "types"], false));
    }
}
