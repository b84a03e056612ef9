//! The vendor-specific VFIO framework: a GPU's virtual functions (VFs), each of which takes a type.
//!
//! Layout and errnos: NVIDIA's "Virtual GPU Software User Guide" (17 and newer), creating a vGPU on
//! a GPU that supports SR-IOV with vendor-specific VFIO.

mod change;
mod functions;
#[doc(hidden)]
pub mod listing;
mod records;

use std::sync::Arc;

use uuid::Uuid;

use super::{Claim, Framework, PciIdentity, attr, nodes, pci};
use crate::dir::Dir;
use crate::error::{Advice, Error, Hint, Kind, Result, Warnings, if_present, or_warn, warn_once};
use crate::host::Host;
use crate::memo::{Memo, Read};
use crate::model::{
    Attr, AttrName, Device, FrameworkKind, Nodes, Parent, ParentId, Slot, TypeId, VgpuType, vf_uuid,
};
use crate::text::shortened;
use functions::{Bus, Function, Place, current_type};
use listing::{Listed, number_of, type_id};
use records::{Record, Records};

/// The attributes beneath a VF's directory that describe a vGPU. The others there reset the
/// device, unbind it, or change what this program decides.
const ATTRIBUTES: [&str; 4] = [
    "nvidia/vgpu_params",
    "nvidia/gpu_instance_id",
    "nvidia/placement_id",
    "nvidia/warm_update",
];

/// Virtual functions of one host that take a type.
pub struct Vf<'h> {
    host: &'h Host,
    all: Memo<(), Read<Result<Vec<Function>>>>,
    places: Memo<ParentId, Result<Vec<Place>>>,
    function: Memo<ParentId, Result<Option<Function>>>,
    listed: Memo<ParentId, Result<Option<Vec<Listed>>>>,
}

impl<'h> Vf<'h> {
    pub fn of(host: &'h Host) -> Vf<'h> {
        Vf::with(host, false)
    }

    /// The same, where each function is read once.
    pub fn read_once(host: &'h Host) -> Vf<'h> {
        Vf::with(host, true)
    }

    fn with(host: &'h Host, is_read_once: bool) -> Vf<'h> {
        Vf {
            host,
            all: Memo::new(is_read_once),
            places: Memo::new(is_read_once),
            function: Memo::new(is_read_once),
            listed: Memo::new(is_read_once),
        }
    }

    /// As [`functions::all`].
    fn all(&self, warnings: &mut Warnings) -> Result<Vec<Function>> {
        let function = |bus: &Bus, place: &Place| self.function(bus, place);
        self.all.read(&(), warnings, |unread| {
            functions::all(self.host, function, unread)
        })
    }

    /// As [`Bus::places_on`].
    fn places_on(&self, bus: &Bus, on: &ParentId) -> Result<Vec<Place>> {
        self.places.get(on, || bus.places_on(on))
    }

    /// As [`Bus::function`].
    fn function(&self, bus: &Bus, place: &Place) -> Result<Option<Function>> {
        let read = || bus.function(place.vf.clone(), place.gpu.clone());
        self.function.get(&place.vf, read)
    }

    /// What a function can take now; `None` where it takes nothing or holds a type already.
    fn listed_on(&self, bus: &Bus, place: &Place) -> Result<Option<Vec<Listed>>> {
        self.listed.get(&place.vf, || {
            let function = self.function(bus, place)?;
            let is_free = function.is_some_and(|function| function.current == 0);
            is_free.then(|| bus.listed_on(&place.vf)).transpose()
        })
    }

    /// The host that these are of.
    pub(super) fn host(&self) -> &'h Host {
        self.host
    }

    fn records(&self) -> Records<'h> {
        Records::of(self.host)
    }

    fn dir(&self, function: &ParentId) -> Result<Dir> {
        Dir::open(self.host.pci_devices().join(function.as_str()))
    }

    fn bus(&self) -> Result<Bus> {
        Bus::open(self.host)
    }

    /// The device on a function that holds a type.
    fn device_on(&self, function: Function, warnings: &mut Warnings) -> Device {
        let type_id = type_id(function.current);
        let ours = self.records().read(&function.vf, warnings);
        let (uuid, slot) = match ours.filter(|record| record.type_id == type_id) {
            Some(record) => (record.uuid, Slot::OwnVf(function.vf)),
            None => (vf_uuid(&function.vf), Slot::ForeignVf(function.vf)),
        };
        Device {
            uuid,
            parent: function.gpu,
            type_id,
            slot,
        }
    }
}

/// A GPU, on whose functions instances are made.
fn whole(id: ParentId) -> Parent {
    Parent {
        id,
        framework: FrameworkKind::Vfio,
        gpu: None,
    }
}

impl Framework for Vf<'_> {
    fn kind(&self) -> FrameworkKind {
        FrameworkKind::Vfio
    }

    fn parents(&self, warnings: &mut Warnings) -> Result<Vec<Parent>> {
        let all = self.all(warnings)?.into_iter();
        let mut gpus: Vec<ParentId> = all.map(|function| function.gpu).collect();
        gpus.dedup();
        Ok(gpus.into_iter().map(whole).collect())
    }

    fn parent(&self, id: &ParentId) -> Result<Option<Parent>> {
        let Some(bus) = if_present(self.bus())? else {
            return Ok(None);
        };
        let has_functions = bus.has_functions(id)?;
        Ok(has_functions.then(|| whole(id.clone())))
    }

    fn part(&self, id: &ParentId, warnings: &mut Warnings) -> Option<Parent> {
        let bus = or_warn(self.bus(), warnings)?;
        let gpu = or_warn(bus.gpu_of(id), warnings)??;
        let function = or_warn(bus.function(id.clone(), gpu), warnings)??;
        Some(Parent {
            id: function.vf,
            framework: FrameworkKind::Vfio,
            gpu: Some(function.gpu),
        })
    }

    fn types(&self, parent: &ParentId, warnings: &mut Warnings) -> Result<Vec<VgpuType>> {
        let bus = self.bus()?;
        let places = self.places_on(&bus, parent)?;
        let mut offered = listing::Offered::default();
        for place in &places {
            match self.listed_on(&bus, place) {
                Ok(listed) => listed.into_iter().for_each(|listed| offered.add(listed)),
                Err(error) => warn_once(warnings, error),
            }
        }
        let gpu = places.first().map_or(parent, |place| &place.gpu);
        let records = self.records();
        Ok(offered.types(records.names(gpu, warnings)))
    }

    fn vgpu_type(
        &self,
        parent: &ParentId,
        id: &TypeId,
        warnings: &mut Warnings,
    ) -> Result<VgpuType> {
        number_of(id).ok_or_else(|| no_type(parent, id))?;
        let before = warnings.len();
        let types = self.types(parent, warnings)?;
        let found = types.into_iter().find(|vgpu_type| vgpu_type.id == *id);
        found.ok_or_else(|| no_type(parent, id).with_unread(&warnings[before..]))
    }

    /// Two functions that list the type say as much as all of them would.
    fn free(&self, parent: &ParentId, id: &TypeId) -> Result<Option<u32>> {
        let number = number_of(id).ok_or_else(|| no_type(parent, id))?;
        let bus = self.bus()?;
        let places = self.places_on(&bus, parent)?;
        let gpu = places.first().map_or(parent, |place| &place.gpu);
        let (mut listing, mut is_odd) = (0, false);
        for place in &places {
            match self.listed_on(&bus, place) {
                Ok(listed) => {
                    let mut listed = listed.iter().flatten();
                    listing += u32::from(listed.any(|one| one.number == number));
                }
                Err(_) => is_odd = true,
            }
            if listing > 1 {
                return Ok(None);
            }
        }
        let mut unread = Vec::new();
        match listing {
            // One that cannot be read may take it: `create` will see.
            0 if is_odd => Ok(None),
            0 if self.records().names(gpu, &mut unread).contains_key(id) => Ok(Some(0)),
            0 => Err(no_type(parent, id).with_unread(&unread)),
            _ => Ok(Some(1)),
        }
    }

    fn open_functions(
        &self,
        parent: &ParentId,
        id: &TypeId,
        enough: usize,
        skip: &dyn Fn(&ParentId) -> bool,
        warnings: &mut Warnings,
    ) -> Result<Vec<ParentId>> {
        let Some(number) = number_of(id) else {
            return Ok(Vec::new());
        };
        let bus = self.bus()?;
        let mut open = Vec::new();
        for place in self.places_on(&bus, parent)? {
            if open.len() >= enough {
                break;
            }
            if skip(&place.vf) {
                continue;
            }
            let listed = or_warn(self.listed_on(&bus, &place), warnings).flatten();
            let takes_it = listed.is_some_and(|all| all.iter().any(|one| one.number == number));
            open.extend(takes_it.then_some(place.vf));
        }
        Ok(open)
    }

    fn functions(&self, parent: &ParentId, warnings: &mut Warnings) -> Result<Vec<ParentId>> {
        let bus = self.bus()?;
        let mut all = Vec::new();
        for place in self.places_on(&bus, parent)? {
            match self.function(&bus, &place) {
                Ok(None) => {}
                Ok(Some(_)) => all.push(place.vf),
                // It may hold a vGPU: it is there.
                Err(error) => {
                    warn_once(warnings, error);
                    all.push(place.vf);
                }
            }
        }
        Ok(all)
    }

    fn type_name(
        &self,
        parent: &ParentId,
        id: &TypeId,
        warnings: &mut Warnings,
    ) -> Option<Arc<str>> {
        if let Some(remembered) = self.records().names(parent, warnings).remove(id) {
            return Some(remembered.into());
        }
        match self.vgpu_type(parent, id, warnings) {
            Err(error) if error.kind() == Kind::NotFound => None,
            found => or_warn(found, warnings)?.name,
        }
    }

    fn devices(&self, warnings: &mut Warnings) -> Result<Vec<Device>> {
        let functions = self.all(warnings)?.into_iter();
        let taken = functions.filter(|function| function.current != 0);
        Ok(taken
            .map(|function| self.device_on(function, warnings))
            .collect())
    }

    /// Only where one of ours is noted it can be.
    fn device(&self, uuid: Uuid) -> Result<Option<Device>> {
        let (mut found, mut doubts) = (Vec::new(), Vec::new());
        let noted = self.records().of_uuid(uuid, &mut doubts);
        let bus = match noted.is_empty() {
            true => None,
            false => if_present(self.bus())?,
        };
        for (vf, record) in noted {
            match bus.as_ref().map(|bus| noted_on(bus, vf, record)) {
                Some(Ok(device)) => found.extend(device),
                Some(Err(error)) => doubts.push(error),
                None => {}
            }
        }
        match (found.pop(), found.pop()) {
            (Some(one), Some(other)) => Err(two_of(&one, &other)),
            (Some(only), None) => Ok(Some(only)),
            // It may be on a function that cannot be read: that is not the same as not being there.
            (None, _) => doubts.pop().map_or(Ok(None), Err),
        }
    }

    fn settle(&self, gpu: &ParentId) {
        let records = self.records();
        for vf in records.functions(&mut Vec::new()) {
            if self.is_stale(&vf, gpu) {
                records.forget(&vf);
            }
        }
    }

    fn nodes(&self, device: &Device) -> Result<Nodes> {
        nodes::of(self.host, &self.dir(slot_of(device))?)
    }

    /// Clearing a type never blocks: the driver refuses it while the device is open.
    fn claim(&self, _nodes: &Nodes) -> Result<Claim> {
        Ok(Claim::NoNode)
    }

    fn create(&self, parent: &ParentId, id: &TypeId, uuid: Uuid) -> Result<Device> {
        let what = format!("cannot create {uuid} of type {id} on {parent}");
        let number = number_of(id)
            .ok_or_else(|| Error::new(Kind::NotFound, format!("{what}: not a vGPU type number")))?;
        let bus = self.bus()?;
        let places = self.places_on(&bus, parent)?;
        if let Some(one) = places.first() {
            self.settle(&one.gpu);
        }
        let (mut odd, mut refusal, mut free) = (Vec::new(), None, 0);
        for place in &places {
            match self.listed_on(&bus, place) {
                Ok(Some(listed)) => {
                    free += 1;
                    if listed.iter().all(|one| one.number != number) {
                        continue;
                    }
                    // Only here, where something is changed anyway: who only reads writes nothing.
                    let names = listed
                        .iter()
                        .map(|one| (type_id(one.number), one.name.as_str()));
                    self.records().remember_names(&place.gpu, names);
                }
                Ok(None) => continue,
                // Another one may do.
                Err(error) => {
                    odd.push(error);
                    continue;
                }
            }
            match self.set(place, number, uuid, &what) {
                Ok(device) => return Ok(device),
                // Somebody was faster on this one.
                Err(error) if error.kind() == Kind::InUse => refusal = Some(error),
                Err(error) => return Err(error),
            }
        }
        let full = || {
            let hint = match free {
                0 => format!("no virtual function is free on {parent}"),
                _ => format!(
                    "none of the {free} free virtual functions of {parent} accepts this type now"
                ),
            };
            Error::new(Kind::NoCapacity, what)
                .hint(hint)
                .with_unread(&odd)
        };
        Err(refusal.unwrap_or_else(full))
    }

    fn remove(&self, device: &Device) -> Result<()> {
        let vf = slot_of(device);
        let what = format!("cannot remove {}", device.name());
        change::clear(&self.dir(vf)?, &device.type_id, &what)?;
        self.records().forget(vf);
        Ok(())
    }

    fn check_attr(&self, name: &AttrName) -> Result<()> {
        refuse_other_attributes(name, &format!("cannot set {name}"))
    }

    fn write_attr(&self, device: &Device, attr: &Attr) -> Result<()> {
        let set = shortened(&attr.to_string());
        let what = format!("cannot set {set} on {}", device.name());
        refuse_other_attributes(&attr.name, &what)?;
        let dir = self.dir(slot_of(device))?;
        attr::write_beneath(&dir, &attr.name, &attr.value, &what)
    }

    fn pci(&self, parent: &ParentId, warnings: &mut Warnings) -> Option<PciIdentity> {
        pci::read(&or_warn(self.dir(parent), warnings)?, warnings)
    }

    fn driver(&self, parent: &ParentId, warnings: &mut Warnings) -> Option<String> {
        let dir = or_warn(self.dir(parent), warnings)?;
        or_warn(dir.link_name("driver"), warnings)
    }

    fn why_no_parents(&self) -> Option<Hint> {
        let mut bound = Dir::open(self.host.nvidia_driver()).ok()?;
        let entries = bound.entries().ok()?;
        let off: Vec<String> = entries
            .iter()
            .filter_map(|entry| entry.name.to_str())
            .filter(|name| {
                let number = |file| {
                    bound
                        .read_text(format!("{name}/{file}"))
                        .unwrap_or_default()
                };
                let (most, now) = (number("sriov_totalvfs"), number("sriov_numvfs"));
                now == "0" && !most.is_empty() && most != "0"
            })
            .map(str::to_owned)
            .collect();
        (!off.is_empty()).then(|| Advice::WithoutFunctions(off).into())
    }
}

impl Vf<'_> {
    /// Whether what is noted of a function of this GPU, or of one that is gone, says nothing any
    /// more: a note counts only while the function holds its type.
    fn is_stale(&self, vf: &ParentId, gpu: &ParentId) -> bool {
        let Some(record) = self.records().read(vf, &mut Vec::new()) else {
            return false;
        };
        match self.dir(vf) {
            Ok(dir) if dir.link_name("physfn").is_ok_and(|own| own == gpu.as_str()) => {
                current_type(&dir).is_ok_and(|now| Some(now) != number_of(&record.type_id))
            }
            Ok(_) => false,
            Err(error) => error.is_absent(),
        }
    }

    /// Gives a free function its type. What we believe is written first, so that nobody takes our
    /// vGPU for a stranger's.
    fn set(&self, place: &Place, number: u32, uuid: Uuid, what: &str) -> Result<Device> {
        let (records, vf) = (self.records(), &place.vf);
        let type_id = type_id(number);
        let record = Record { uuid, type_id };
        records.write(vf, &record)?;
        let dir = self.dir(vf)?;
        change::set(&dir, number, what).inspect_err(|_| records.forget(vf))?;
        if let Err(error) = change::confirm(&dir, number, what) {
            // Where it cannot be told, it may have it: forgotten, it would be nobody's.
            let is_empty = match current_type(&dir) {
                Ok(now) if now == number => change::clear(&dir, &record.type_id, what).is_ok(),
                now => now.is_ok(),
            };
            if is_empty {
                records.forget(vf);
            }
            return Err(error.hint(Advice::SeeFunctions));
        }
        Ok(Device {
            uuid,
            parent: place.gpu.clone(),
            type_id: record.type_id,
            slot: Slot::OwnVf(vf.clone()),
        })
    }
}

/// The device that is noted on a function, while that holds the type which we gave it.
fn noted_on(bus: &Bus, vf: ParentId, record: Record) -> Result<Option<Device>> {
    let Some(gpu) = bus.gpu_of(&vf)? else {
        return Ok(None);
    };
    let Some(function) = bus.function(vf, gpu)? else {
        return Ok(None);
    };
    let holds_it = number_of(&record.type_id) == Some(function.current);
    Ok(holds_it.then_some(Device {
        uuid: record.uuid,
        parent: function.gpu,
        type_id: record.type_id,
        slot: Slot::OwnVf(function.vf),
    }))
}

fn no_type(parent: &ParentId, id: &TypeId) -> Error {
    Error::new(
        Kind::NotFound,
        format!("{parent} does not currently offer type {id}"),
    )
    .hint(Advice::SeeTypes(parent.to_string()))
}

fn two_of(one: &Device, other: &Device) -> Error {
    let (first, second) = (slot_of(other), slot_of(one));
    Error::new(
        Kind::Failed,
        format!("{} is recorded on both {first} and {second}", one.uuid),
    )
    .hint(Advice::NameByFunction(first.to_string()))
}

/// The function's address; a mediated device is never asked for here.
fn slot_of(device: &Device) -> &ParentId {
    device.vf().unwrap_or(&device.parent)
}

fn refuse_other_attributes(name: &AttrName, what: &str) -> Result<()> {
    match ATTRIBUTES.contains(&name.as_str()) {
        true => Ok(()),
        false => Err(Error::new(
            Kind::Usage,
            format!("{what}: not an attribute of a vGPU on a virtual function"),
        )
        .hint(format!("supported attributes: {}", ATTRIBUTES.join(", ")))),
    }
}
