//! The vendor-specific VFIO framework: a GPU's virtual functions (VFs), each of which takes a type.
//!
//! Layout and errnos: NVIDIA's "Virtual GPU Software User Guide" (17 and newer), creating a vGPU on
//! a GPU that supports SR-IOV with vendor-specific VFIO.

mod change;
mod listing;
mod records;

use uuid::Uuid;

use super::{Claim, Framework, PciIdentity, attr, nodes, pci};
use crate::dir::Dir;
use crate::error::{Error, Kind, Result, Warnings, if_present};
use crate::host::Host;
use crate::model::{
    Attr, AttrName, Device, FrameworkKind, Nodes, Parent, ParentId, Seat, TypeId, VgpuType, vf_uuid,
};
use listing::{Listed, number_of, type_id};
use records::{Record, Records};

/// Beneath a VF's directory: what can be created on it now, one line a type.
const CREATABLE: &str = "nvidia/creatable_vgpu_types";
/// The number of the VF's type; 0 for none.
const CURRENT: &str = "nvidia/current_vgpu_type";
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
}

/// A virtual function and the number of its type, 0 for none.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Function {
    vf: ParentId,
    gpu: ParentId,
    current: u32,
}

impl<'h> Vf<'h> {
    pub fn of(host: &'h Host) -> Vf<'h> {
        Vf { host }
    }

    fn records(&self) -> Records<'h> {
        Records::of(self.host)
    }

    fn dir(&self, function: &ParentId) -> Result<Dir> {
        Dir::open(self.host.pci_devices().join(function.as_str()))
    }

    /// The functions of all GPUs, by GPU and address. Those bound to another driver take no type.
    fn functions(&self, warnings: &mut Warnings) -> Result<Vec<Function>> {
        let Some(mut bound) = if_present(Dir::open(self.host.nvidia_driver()))? else {
            return Ok(Vec::new());
        };
        let mut functions = Vec::new();
        for entry in bound.entries()? {
            let Some(name) = entry.name.to_str().filter(|name| name.contains(':')) else {
                continue;
            };
            let Ok(gpu) = bound.link_name(format!("{name}/physfn")) else {
                continue;
            };
            match self.function(name.parse()?, gpu.parse()?) {
                Ok(function) => functions.extend(function),
                Err(error) => warn_once(warnings, error),
            }
        }
        functions.sort_by(|a, b| (&a.gpu, &a.vf).cmp(&(&b.gpu, &b.vf)));
        Ok(functions)
    }

    /// The function as it is now; `None` where it takes no type, as a VF that is an mdev parent.
    fn function(&self, vf: ParentId, gpu: ParentId) -> Result<Option<Function>> {
        let Some(dir) = if_present(self.dir(&vf))? else {
            return Ok(None);
        };
        let current = if_present(current_type(&dir))?;
        Ok(current.map(|current| Function { vf, gpu, current }))
    }

    /// The functions that `on` stands for: itself, or those of the GPU.
    fn functions_on(&self, on: &ParentId, warnings: &mut Warnings) -> Result<Vec<Function>> {
        let dir = self.dir(on)?;
        if let Some(gpu) = if_present(dir.link_name("physfn"))? {
            return Ok(Vec::from_iter(self.function(on.clone(), gpu.parse()?)?));
        }
        let mut functions = Vec::new();
        for vf in pci::virtual_functions(dir)? {
            match self.function(vf, on.clone()) {
                Ok(function) => functions.extend(function),
                Err(error) => warn_once(warnings, error),
            }
        }
        Ok(functions)
    }

    /// What the function can take now; nothing where it holds a type already.
    fn creatable(&self, function: &Function) -> Result<Vec<Listed>> {
        if function.current != 0 {
            return Ok(Vec::new());
        }
        let dir = self.dir(&function.vf)?;
        let text = dir.read_text(CREATABLE)?;
        listing::parse(&text).map_err(|error| error.at(dir.join(CREATABLE)))
    }

    /// The device on a function that holds a type.
    fn device_on(&self, function: Function) -> Device {
        let type_id = type_id(function.current);
        let ours = self.records().read(&function.vf);
        let (uuid, seat) = match ours.filter(|record| record.type_id == type_id) {
            Some(record) => (record.uuid, Seat::OwnVf(function.vf)),
            None => (vf_uuid(&function.vf), Seat::ForeignVf(function.vf)),
        };
        Device {
            uuid,
            parent: function.gpu,
            type_id,
            seat,
        }
    }
}

impl Framework for Vf<'_> {
    fn kind(&self) -> FrameworkKind {
        FrameworkKind::Vfio
    }

    fn parents(&self, warnings: &mut Warnings) -> Result<Vec<Parent>> {
        let mut gpus: Vec<ParentId> = self
            .functions(warnings)?
            .into_iter()
            .map(|f| f.gpu)
            .collect();
        gpus.dedup();
        let whole = |id| Parent {
            id,
            framework: FrameworkKind::Vfio,
            gpu: None,
        };
        Ok(gpus.into_iter().map(whole).collect())
    }

    fn part(&self, id: &ParentId) -> Option<Parent> {
        let gpu = self.dir(id).ok()?.link_name("physfn").ok()?.parse().ok()?;
        let function = self.function(id.clone(), gpu).ok()??;
        Some(Parent {
            id: function.vf,
            framework: FrameworkKind::Vfio,
            gpu: Some(function.gpu),
        })
    }

    fn types(&self, parent: &ParentId, warnings: &mut Warnings) -> Result<Vec<VgpuType>> {
        let functions = self.functions_on(parent, warnings)?;
        let mut offered = listing::Offered::default();
        for function in &functions {
            match self.creatable(function) {
                Ok(listed) => offered.add(listed),
                Err(error) => warn_once(warnings, error),
            }
        }
        let gpu = functions.first().map_or(parent, |function| &function.gpu);
        let records = self.records();
        Ok(offered.types(records.names(gpu)))
    }

    fn vgpu_type(
        &self,
        parent: &ParentId,
        id: &TypeId,
        warnings: &mut Warnings,
    ) -> Result<VgpuType> {
        let types = self.types(parent, warnings)?;
        let found = types.into_iter().find(|vgpu_type| vgpu_type.id == *id);
        found.ok_or_else(|| {
            Error::new(Kind::NotFound, format!("{parent} offers no type {id} now"))
                .hint(format!("see: vgpuctl types --parent {parent}"))
        })
    }

    fn type_name(&self, parent: &ParentId, id: &TypeId) -> Option<String> {
        let remembered = self.records().names(parent).remove(id);
        remembered.or_else(|| self.vgpu_type(parent, id, &mut Vec::new()).ok()?.name)
    }

    fn devices(&self, warnings: &mut Warnings) -> Result<Vec<Device>> {
        let functions = self.functions(warnings)?.into_iter();
        let taken = functions.filter(|function| function.current != 0);
        Ok(taken.map(|function| self.device_on(function)).collect())
    }

    fn device(&self, uuid: Uuid) -> Result<Option<Device>> {
        let mut doubts = Vec::new();
        let devices = self.devices(&mut doubts)?.into_iter();
        let is_it = |device: &Device| matches!(device.seat, Seat::OwnVf(_)) && device.uuid == uuid;
        let mut found: Vec<Device> = devices.filter(is_it).collect();
        match (found.pop(), found.pop()) {
            (Some(one), Some(other)) => Err(two_of(&one, &other)),
            (Some(only), None) => Ok(Some(only)),
            (None, _) if doubts.is_empty() => Ok(None),
            // It may be on a function that cannot be read: that is not the same as not being there.
            (None, _) => self.refuse_unreadable(uuid).map(|()| None),
        }
    }

    fn settle(&self, gpu: &ParentId) {
        let records = self.records();
        for vf in records.functions() {
            if self.is_stale(&vf, gpu) {
                records.forget(&vf);
            }
        }
    }

    fn nodes(&self, device: &Device) -> Result<Nodes> {
        nodes::of(self.host, &self.dir(seat_of(device))?)
    }

    /// Clearing a type never blocks: the driver refuses it while the device is open.
    fn claim(&self, _nodes: &Nodes) -> Result<Claim> {
        Ok(Claim::NoNode)
    }

    fn create(&self, parent: &ParentId, id: &TypeId, uuid: Uuid) -> Result<Device> {
        let what = format!("cannot create {uuid} of type {id} on {parent}");
        let number = number_of(id).ok_or_else(|| {
            Error::new(
                Kind::NotFound,
                format!("{what}: that is no number of a vGPU type"),
            )
        })?;
        let mut odd = Vec::new();
        let functions = self.functions_on(parent, &mut odd)?;
        if let Some(one) = functions.first() {
            self.settle(&one.gpu);
        }
        let mut refusal = None;
        for function in functions.iter().filter(|function| function.current == 0) {
            match self.creatable(function) {
                Ok(listed) if listed.iter().any(|one| one.number == number) => {
                    // Only here, where something is changed anyway: who only reads writes nothing.
                    let names = listed
                        .iter()
                        .map(|one| (type_id(one.number), one.name.as_str()));
                    self.records().remember_names(&function.gpu, names);
                }
                Ok(_) => continue,
                // Another one may do.
                Err(error) => {
                    odd.push(error);
                    continue;
                }
            }
            match self.set(function, number, uuid, &what) {
                Ok(device) => return Ok(device),
                // Somebody was faster on this one.
                Err(error) if error.kind() == Kind::InUse => refusal = Some(error),
                Err(error) => return Err(error),
            }
        }
        let full = || {
            let free = functions.iter().filter(|f| f.current == 0).count();
            Error::new(Kind::NoCapacity, what)
                .hint(format!(
                    "none of the {free} free virtual functions of {parent} takes it now"
                ))
                .hints(
                    odd.iter()
                        .map(|error| format!("could not be read: {error}")),
                )
        };
        Err(refusal.unwrap_or_else(full))
    }

    fn remove(&self, device: &Device) -> Result<()> {
        let vf = seat_of(device);
        let what = format!("cannot remove {}", device.name());
        change::clear(&self.dir(vf)?, &device.type_id, &what)?;
        self.records().forget(vf);
        Ok(())
    }

    fn write_attr(&self, device: &Device, attr: &Attr) -> Result<()> {
        let what = format!("cannot set {attr} on {}", device.name());
        refuse_other_attributes(&attr.name, &what)?;
        let dir = self.dir(seat_of(device))?;
        attr::write_beneath(&dir, &attr.name, &attr.value, &what)
    }

    fn pci(&self, parent: &ParentId, warnings: &mut Warnings) -> Option<PciIdentity> {
        pci::read(&self.dir(parent).ok()?, warnings)
    }

    fn driver(&self, parent: &ParentId) -> Option<String> {
        self.dir(parent).ok()?.link_name("driver").ok()
    }

    fn why_no_parents(&self) -> Option<String> {
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
        (!off.is_empty()).then(|| {
            format!(
                "{} can have virtual functions and has none: if its vGPUs are to live on them, \
                 see: vgpuctl vfs",
                off.join(", ")
            )
        })
    }
}

impl Vf<'_> {
    /// Whether what is noted of a function of this GPU, or of one that is gone, says nothing any
    /// more: a note counts only while the function holds its type.
    fn is_stale(&self, vf: &ParentId, gpu: &ParentId) -> bool {
        let Some(record) = self.records().read(vf) else {
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

    /// Fails where a device of ours is noted on a function of which nothing can be read.
    fn refuse_unreadable(&self, uuid: Uuid) -> Result<()> {
        let records = self.records();
        let noted = records.functions().into_iter();
        let noted = noted.filter(|vf| records.read(vf).is_some_and(|one| one.uuid == uuid));
        for vf in noted {
            if let Some(dir) = if_present(self.dir(&vf))? {
                if_present(current_type(&dir))?;
            }
        }
        Ok(())
    }

    /// Gives a free function its type. What we believe is written first, so that nobody takes our
    /// vGPU for a stranger's.
    fn set(&self, function: &Function, number: u32, uuid: Uuid, what: &str) -> Result<Device> {
        let (records, vf) = (self.records(), &function.vf);
        let type_id = type_id(number);
        let record = Record { uuid, type_id };
        records.write(vf, &record)?;
        let dir = self.dir(vf)?;
        change::set(&dir, number, what).inspect_err(|_| records.forget(vf))?;
        if let Err(error) = change::confirm(&dir, number, what) {
            // Where it cannot be told, it may have it: forgotten, it would be nobody's.
            if current_type(&dir).is_ok_and(|now| now != number) {
                records.forget(vf);
            }
            return Err(error.hint("see what the virtual functions hold: vgpuctl vfs"));
        }
        Ok(Device {
            uuid,
            parent: function.gpu.clone(),
            type_id: record.type_id,
            seat: Seat::OwnVf(vf.clone()),
        })
    }
}

/// The same file is read for several questions; one warning of it will do.
fn warn_once(warnings: &mut Warnings, error: Error) {
    if !warnings.contains(&error) {
        warnings.push(error);
    }
}

fn two_of(one: &Device, other: &Device) -> Error {
    let (first, second) = (seat_of(other), seat_of(one));
    Error::new(
        Kind::Failed,
        format!(
            "{} is noted as being on both {first} and {second}",
            one.uuid
        ),
    )
    .hint(format!(
        "name one by its virtual function, such as: vgpuctl stop {first}"
    ))
}

fn current_type(vf: &Dir) -> Result<u32> {
    let text = vf.read_text(CURRENT)?;
    text.trim().parse().map_err(|_| {
        Error::new(
            Kind::Failed,
            format!("{text:?} is no number of a vGPU type"),
        )
        .at(vf.join(CURRENT))
    })
}

/// The function's address; a mediated device is never asked for here.
fn seat_of(device: &Device) -> &ParentId {
    device.vf().unwrap_or(&device.parent)
}

fn refuse_other_attributes(name: &AttrName, what: &str) -> Result<()> {
    match ATTRIBUTES.contains(&name.as_str()) {
        true => Ok(()),
        false => Err(Error::new(
            Kind::Usage,
            format!("{what}: not an attribute of a vGPU on a virtual function"),
        )
        .hint(format!("those are: {}", ATTRIBUTES.join(", ")))),
    }
}
