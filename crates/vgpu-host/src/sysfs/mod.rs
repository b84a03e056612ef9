//! The kernel's side: what is there now, and changing it. Nothing is remembered between calls.
//!
//! The frameworks by which kernels offer virtual GPUs stand behind [`Framework`]; [`Kernel`] puts
//! them together, so that nobody above asks which one a parent belongs to.

mod attr;
mod blocking;
mod card;
mod claim;
mod display;
mod driver;
mod events;
mod framework;
mod holders;
mod mdev;
mod nodes;
mod observed;
mod opened;
mod pci;
mod snapshot;
mod sriov;
mod type_files;
#[doc(hidden)]
pub mod vf;

use std::sync::Arc;

use nix::errno::Errno;
use uuid::Uuid;

use crate::dir::Dir;
use crate::error::{Advice, Error, Hint, Kind, Result, Warnings, if_present};
use crate::host::Host;
use crate::memo::Memo;
use crate::model::{
    Definition, Device, FrameworkKind, Holder, Nodes, Parent, ParentId, TypeId, VgpuType,
};
use crate::text::quoted;

pub use card::Cards;
pub use claim::Claim;
pub use display::Controller;
pub use events::{Uevent, Uevents};
pub use framework::{Beside, Framework};
pub use holders::Holders;
pub use observed::Observed;
pub use pci::PciIdentity;
use snapshot::Snapshot;
pub use sriov::SriovGpu;

/// All frameworks of one host.
pub struct Kernel<'h> {
    host: &'h Host,
    frameworks: Vec<Box<dyn Framework + 'h>>,
    gpus: Memo<ParentId, ParentId>,
    sriov: Memo<ParentId, Result<Option<SriovGpu>>>,
}

impl<'h> Kernel<'h> {
    /// The host that this is the kernel of.
    pub fn host(&self) -> &'h Host {
        self.host
    }

    /// The kernel of `host`. Nothing is read yet.
    pub fn of(host: &'h Host) -> Kernel<'h> {
        Kernel::with(
            host,
            vec![Box::new(mdev::Mdev::of(host)), Box::new(vf::Vf::of(host))],
            false,
        )
    }

    fn with(
        host: &'h Host,
        frameworks: Vec<Box<dyn Framework + 'h>>,
        is_snapshot: bool,
    ) -> Kernel<'h> {
        Kernel {
            host,
            frameworks,
            gpus: Memo::new(is_snapshot),
            sriov: Memo::new(is_snapshot),
        }
    }

    /// One reading of this host, which begins now: what is asked of it is read once. What decides
    /// reads this; what changes the host asks the kernel anew.
    pub fn snapshot(&self) -> Kernel<'h> {
        let host = self.host;
        let read_once = |kind: FrameworkKind| -> Box<dyn Framework + 'h> {
            match kind {
                FrameworkKind::Mdev => Box::new(Snapshot::of(mdev::Mdev::of(host))),
                FrameworkKind::Vfio => Box::new(Snapshot::of(vf::Vf::read_once(host))),
            }
        };
        let kinds = self.frameworks.iter().map(|framework| framework.kind());
        Kernel::with(host, kinds.map(read_once).collect(), true)
    }

    /// Only its mediated devices, which are all that mdevctl knows.
    pub fn of_mediated_devices(host: &'h Host) -> Kernel<'h> {
        Kernel::with(host, vec![Box::new(mdev::Mdev::of(host))], false)
    }

    fn framework(&self, kind: FrameworkKind) -> &dyn Framework {
        self.frameworks
            .iter()
            .find(|framework| framework.kind() == kind)
            .unwrap_or(&self.frameworks[0])
            .as_ref()
    }

    /// The framework that serves a parent.
    pub fn serving(&self, parent: &Parent) -> &dyn Framework {
        self.framework(parent.framework)
    }

    /// The framework that an active device belongs to.
    pub fn owning(&self, device: &Device) -> &dyn Framework {
        self.framework(device.framework())
    }

    /// The parents of all frameworks, sorted by name.
    ///
    /// # Errors
    /// As [`Framework::parents`].
    pub fn parents(&self, warnings: &mut Warnings) -> Result<Vec<Parent>> {
        let mut all = Vec::new();
        for framework in &self.frameworks {
            all.extend(framework.parents(warnings)?);
        }
        all.sort_by(|a, b| a.id.cmp(&b.id));
        Ok(all)
    }

    /// The parents that a name stands for: the one of that name, else those that are virtual
    /// functions of the GPU of that name. Never empty.
    ///
    /// # Errors
    /// [`Kind::NotFound`], with the names of those that are there.
    pub fn parents_named(&self, id: &ParentId, warnings: &mut Warnings) -> Result<Vec<Parent>> {
        let parents = self.parents(warnings)?;
        if let Some(exact) = parents.iter().find(|parent| parent.id == *id) {
            return Ok(vec![exact.clone()]);
        }
        let before = warnings.len();
        let mut frameworks = self.frameworks.iter();
        if let Some(part) = frameworks.find_map(|one| one.part(id, warnings)) {
            return Ok(vec![part]);
        }
        let known: Vec<String> = parents.iter().map(|p| p.id.to_string()).collect();
        let functions: Vec<Parent> = parents.into_iter().filter(|p| p.gpu() == id).collect();
        if !functions.is_empty() {
            return Ok(functions);
        }
        let error = no_parent(id)
            .hints(self.switched_off(id))
            .with_unread(&warnings[before..]);
        Err(match known.is_empty() {
            true => error.hints(self.why_no_parents()),
            false => error.hint(format!("available parents: {}", known.join(", "))),
        })
    }

    /// Where a definition's device is to be made.
    ///
    /// # Errors
    /// [`Kind::NotFound`] where it is not there, or not in the definition's framework.
    pub fn place_of(&self, definition: &Definition) -> Result<Parent> {
        let id = definition.vf.as_ref().unwrap_or(&definition.parent);
        let framework = self.framework(definition.framework);
        let found = framework.parent(id)?;
        match found.or_else(|| framework.part(id, &mut Vec::new())) {
            Some(parent) => Ok(parent),
            None => Err(match self.parent(id, &mut Vec::new()) {
                Err(error) => error,
                Ok(_) => no_parent(id).hint(Advice::OtherFramework(
                    definition.uuid,
                    definition.framework.as_str(),
                )),
            }),
        }
    }

    /// As [`Kernel::parents_named`], where only one parent will do.
    ///
    /// # Errors
    /// As there; [`Kind::Usage`] where the name is that of a GPU whose functions are the parents.
    pub fn parent(&self, id: &ParentId, warnings: &mut Warnings) -> Result<Parent> {
        let mut named = self.parents_named(id, warnings)?;
        match (named.pop(), named.is_empty()) {
            (Some(only), true) if only.id == *id => Ok(only),
            (last, _) => Err(Error::new(
                Kind::Usage,
                format!("the parents on {id} are its virtual functions"),
            )
            .hints(last.map(|vf| format!("specify one of them, such as {}", vf.id)))),
        }
    }

    /// The virtual function of that address, where a type can be set on it.
    pub fn part(&self, id: &ParentId, warnings: &mut Warnings) -> Option<Parent> {
        let mut frameworks = self.frameworks.iter();
        frameworks.find_map(|one| one.part(id, warnings))
    }

    /// The GPUs of NVIDIA's driver that can have virtual functions, by address.
    ///
    /// # Errors
    /// The driver's devices cannot be listed. A GPU that cannot be read is a warning.
    pub fn sriov_gpus(&self, warnings: &mut Warnings) -> Result<Vec<SriovGpu>> {
        sriov::gpus(self.host, warnings)
    }

    /// The host's display controllers that are no virtual functions, by address.
    ///
    /// # Errors
    /// The list of PCI devices cannot be read. What cannot be read of one is a warning.
    pub fn display_controllers(&self, warnings: &mut Warnings) -> Result<Vec<Controller>> {
        display::controllers(self.host, warnings)
    }

    /// Whether NVIDIA's vGPU host driver is loaded, whatever it has found.
    pub fn has_vgpu_driver(&self) -> bool {
        self.host.module("nvidia_vgpu_vfio").is_dir()
    }

    /// Whether a driver that offers mediated devices is loaded, whatever it has.
    pub fn has_mediated_devices(&self) -> bool {
        self.host.mdev_parents().is_dir()
    }

    /// One of those; `None` where it is not there or cannot have virtual functions.
    ///
    /// # Errors
    /// What is there cannot be read.
    pub fn sriov_gpu(&self, gpu: &ParentId) -> Result<Option<SriovGpu>> {
        self.sriov.get(gpu, || sriov::gpu(self.host, gpu))
    }

    /// The PCI functions in a GPU's slot beside the GPU and these functions of it.
    pub fn beside(&self, gpu: &ParentId, functions: &[ParentId]) -> Vec<ParentId> {
        let Some((slot, _)) = gpu
            .as_str()
            .rsplit_once('.')
            .filter(|_| gpu.is_pci_address())
        else {
            return Vec::new();
        };
        let devices = self.host.pci_devices();
        let all = (0..8).filter_map(|function| format!("{slot}.{function}").parse().ok());
        let others = all.filter(|id| id != gpu && !functions.contains(id));
        others
            .filter(|id: &ParentId| devices.join(id.as_str()).exists())
            .collect()
    }

    /// What the PCI device at an address is, where it is no GPU.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn no_gpu(&self, id: &ParentId) -> Result<Option<String>> {
        sriov::no_gpu_at(self.host, id)
    }

    /// Whether virtual functions of a GPU are there, or asked for, and not yet what vGPUs are made
    /// on: they come one by one, and list their types once the vendor's daemon has run. One that
    /// another driver has is none of those.
    pub fn functions_are_coming(&self, gpu: &ParentId) -> bool {
        let number = sriov::number(self.host, gpu).unwrap_or_default();
        let Ok(Some(found)) = self.sriov_gpu(gpu) else {
            return false;
        };
        let parents = self.parents(&mut Vec::new()).unwrap_or_default();
        let is_ready = |vf: &ParentId| {
            parents.iter().any(|parent| parent.id == *vf)
                || self.part(vf, &mut Vec::new()).is_some()
        };
        let has_another_driver = |vf: &ParentId| {
            let link = Dir::open(self.host.pci_devices().join(vf.as_str()))
                .and_then(|dir| dir.link_name("driver"));
            link.is_ok_and(|driver| driver != "nvidia")
        };
        let mut functions = found.functions.iter();
        found.functions.len() < number
            || functions.any(|vf| !is_ready(vf) && !has_another_driver(vf))
            || self.lists_nothing_yet(gpu)
    }

    /// Whether the functions of a GPU take types, hold none, and list none. A GPU that is full lists
    /// none either, but holds some.
    fn lists_nothing_yet(&self, gpu: &ParentId) -> bool {
        let mut doubts = Vec::new();
        let framework = self.framework(FrameworkKind::Vfio);
        let is_parent = framework
            .parents(&mut doubts)
            .is_ok_and(|all| all.iter().any(|parent| parent.id == *gpu));
        let is_idle = framework
            .devices(&mut doubts)
            .is_ok_and(|all| all.iter().all(|device| device.parent != *gpu));
        let has_types = framework.types(gpu, &mut doubts);
        is_parent && is_idle && has_types.is_ok_and(|types| types.is_empty()) && doubts.is_empty()
    }

    /// The driver that a PCI function has; `None` where it has none.
    ///
    /// # Errors
    /// The function is not there, or cannot be read.
    pub fn driver_of(&self, function: &ParentId) -> Result<Option<String>> {
        driver::of(self.host, function)
    }

    /// Has a driver serve a PCI function that has none, unless that is set aside for another.
    ///
    /// # Errors
    /// [`Kind::InUse`] where it is; what the kernel answered.
    pub fn bind(&self, function: &ParentId, driver: &str) -> Result<()> {
        driver::bind(self.host, function, driver)
    }

    /// Asks for that many virtual functions, 0 for none: for drivers without a program for it.
    ///
    /// # Errors
    /// What the kernel answered; NVIDIA's own driver refuses what does not come from its program.
    pub fn ask_for_functions(&self, gpu: &ParentId, number: u32) -> Result<()> {
        sriov::write_number(self.host, gpu, number)
    }

    /// The GPUs on which nothing can be made before their virtual functions are switched on.
    pub fn gpus_without_functions(&self) -> Vec<ParentId> {
        let mut unrelated = Vec::new();
        let gpus = self.sriov_gpus(&mut unrelated).unwrap_or_default();
        let parents = self.parents(&mut unrelated).unwrap_or_default();
        let off = gpus.into_iter().filter(|gpu| gpu.functions.is_empty());
        // A T4 has SR-IOV, and makes mediated devices without it.
        off.map(|gpu| gpu.gpu)
            .filter(|gpu| parents.iter().all(|parent| parent.id != *gpu))
            .collect()
    }

    /// What to do where a name is that of a GPU whose virtual functions are off.
    fn switched_off(&self, id: &ParentId) -> Option<Advice> {
        let gpu = self.sriov_gpu(id).ok()??;
        gpu.functions
            .is_empty()
            .then(|| Advice::FunctionsOff(id.to_string()))
    }

    /// Whether devices that stand under this name share the parent's GPU.
    pub fn shares_gpu(&self, parent: &Parent, name: &ParentId) -> bool {
        *name == parent.id || self.gpu_of(name) == *parent.gpu()
    }

    /// The types of each of these parents.
    pub fn types_of_all(
        &self,
        parents: Vec<Parent>,
        warnings: &mut Warnings,
    ) -> Vec<(Parent, Result<Vec<VgpuType>>)> {
        let mut all: Vec<(Parent, Result<Vec<VgpuType>>)> = Vec::new();
        for parent in parents {
            let beside = match all.last() {
                Some((last, Ok(types))) if last.gpu() == parent.gpu() => Beside::Function(types),
                Some((_, Ok(types))) => Beside::Gpu(types),
                _ => Beside::Gpu(&[]),
            };
            let framework = self.serving(&parent);
            let types = framework.types_beside(&parent.id, beside, warnings);
            all.push((parent, types));
        }
        all
    }

    /// The GPU that a virtual function is one of; anything else is its own.
    pub fn gpu_of(&self, id: &ParentId) -> ParentId {
        self.gpus.get(id, || {
            let link = Dir::open(self.host.pci_devices())
                .and_then(|devices| devices.link_name_of(format!("{id}/physfn")));
            link.unwrap_or_else(|_| id.clone())
        })
    }

    /// The active devices of all frameworks, sorted by UUID.
    ///
    /// # Errors
    /// As [`Framework::devices`].
    pub fn devices(&self, warnings: &mut Warnings) -> Result<Vec<Device>> {
        let mut all = Vec::new();
        for framework in &self.frameworks {
            all.extend(framework.devices(warnings)?);
        }
        all.sort_by_key(|device| device.uuid);
        Ok(all)
    }

    /// As [`Kernel::devices`], without those whose UUIDs are not `wanted`.
    ///
    /// # Errors
    /// As there.
    pub fn devices_among(
        &self,
        wanted: &dyn Fn(&Uuid) -> bool,
        warnings: &mut Warnings,
    ) -> Result<Vec<Device>> {
        let mut all = Vec::new();
        for framework in &self.frameworks {
            all.extend(framework.devices_among(wanted, warnings)?);
        }
        all.sort_by_key(|device| device.uuid);
        Ok(all)
    }

    /// The active device of that UUID.
    ///
    /// # Errors
    /// As [`Framework::device`].
    pub fn device(&self, uuid: Uuid) -> Result<Option<Device>> {
        for framework in &self.frameworks {
            if let Some(device) = framework.device(uuid)? {
                return Ok(Some(device));
            }
        }
        Ok(None)
    }

    /// The vGPU of somebody else that [`Kernel::devices`] told under this made-up UUID.
    ///
    /// # Errors
    /// As [`Kernel::devices`].
    pub fn foreign_device(&self, uuid: Uuid) -> Result<Option<Device>> {
        let all = self.devices(&mut Vec::new())?;
        let is_it = |device: &Device| {
            device.uuid == uuid && matches!(device.slot, crate::model::Slot::ForeignVf(_))
        };
        Ok(all.into_iter().find(is_it))
    }

    /// As [`Framework::settle`], of all frameworks.
    pub fn settle(&self, parent: &ParentId) {
        for framework in &self.frameworks {
            framework.settle(parent);
        }
    }

    /// The nodes of a PCI device, whether or not it holds a vGPU.
    ///
    /// # Errors
    /// It is there but cannot be read.
    pub fn pci_nodes(&self, id: &ParentId) -> Result<Nodes> {
        let dir = Dir::open(self.host.pci_devices().join(id.as_str()))?;
        nodes::of(self.host, &dir)
    }

    /// NVIDIA's display and 3D controllers that are no virtual functions, in the order of their
    /// addresses, whether they can be split or not.
    ///
    /// # Errors
    /// There is no list of PCI devices to be read.
    pub fn nvidia_controllers(&self) -> Result<Vec<ParentId>> {
        pci::nvidia_controllers(Dir::open(self.host.pci_devices())?)
    }

    /// The name of a parent's type, while the parent is there and tells one.
    pub fn type_name(
        &self,
        parent: &ParentId,
        id: &TypeId,
        warnings: &mut Warnings,
    ) -> Option<Arc<str>> {
        let mut frameworks = self.frameworks.iter();
        frameworks.find_map(|framework| framework.type_name(parent, id, warnings))
    }

    /// Why the host may have no parents at all: one sentence for each framework.
    pub fn why_no_parents(&self) -> Vec<Hint> {
        self.frameworks
            .iter()
            .filter_map(|framework| framework.why_no_parents())
            .collect()
    }

    /// The processes that have the device open, as far as the caller may look.
    ///
    /// # Errors
    /// The list of processes could not be read.
    pub fn holders(&self, nodes: &Nodes) -> Result<Holders> {
        holders::find(self.host, nodes)
    }

    /// As [`Kernel::holders`], of several devices at one look at the processes.
    ///
    /// # Errors
    /// As there.
    pub fn holders_of_each(&self, nodes: &[&Nodes]) -> Result<Vec<Holders>> {
        holders::find_each(self.host, nodes)
    }

    /// What one attribute of a device reads as; `None` where it has no such attribute.
    ///
    /// # Errors
    /// It is there but cannot be read.
    pub fn attr_text(&self, nodes: &Nodes, name: &str) -> Result<Option<String>> {
        if_present(Dir::open(&nodes.sysfs).and_then(|device| device.read_text(name)))
    }

    /// The number of the GPU instance that a MIG-backed vGPU has; `None` for one that has none.
    ///
    /// # Errors
    /// It cannot be read; it is not a number.
    pub fn gpu_instance(&self, nodes: &Nodes) -> Result<Option<u32>> {
        let text = match self.attr_text(nodes, GPU_INSTANCE) {
            // The driver's answer where there is none.
            Err(error) if error.errno() == Some(Errno::ENXIO) => return Ok(None),
            text => text?,
        };
        let Some(text) = text else {
            return Ok(None);
        };
        let number = text.trim().parse();
        number.map(Some).map_err(|_| {
            let what = format!("not the ID of a GPU instance: {}", quoted(text.trim()));
            Error::new(Kind::Failed, what).at(nodes.sysfs.join(GPU_INSTANCE))
        })
    }
}

/// The attribute of a vGPU that says which GPU instance it has.
const GPU_INSTANCE: &str = "nvidia/gpu_instance_id";

fn no_parent(id: &ParentId) -> Error {
    Error::new(Kind::NotFound, format!("parent {id} not found"))
}

/// Says who holds a device, for a message.
pub fn holders_line(holders: &[Holder]) -> String {
    let names: Vec<String> = holders.iter().map(Holder::to_string).collect();
    names.join(", ")
}
