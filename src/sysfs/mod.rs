//! The kernel's side: what is there now, and changing it. Nothing is remembered between calls.
//!
//! The frameworks by which kernels offer virtual GPUs stand behind [`Framework`]; [`Kernel`] puts
//! them together, so that nobody above asks which one a parent belongs to.

mod attr;
mod blocking;
mod card;
mod holders;
mod mdev;
mod pci;

use uuid::Uuid;

use crate::dir::Dir;
use crate::error::{Error, Kind, Result, Warnings, if_present};
use crate::host::Host;
use crate::model::{
    Attr, Device, FrameworkKind, Holder, Nodes, Parent, ParentId, TypeId, VgpuType,
};

pub use card::Cards;
pub use holders::{Claim, Holders};
pub use pci::PciIdentity;

/// One way in which kernels offer parents, types and devices.
pub trait Framework: Sync {
    /// Which one this is.
    fn kind(&self) -> FrameworkKind;

    /// The parents present, sorted by name. None at all is not an error.
    ///
    /// # Errors
    /// The list itself could not be read. A single odd name becomes a warning.
    fn parents(&self, warnings: &mut Warnings) -> Result<Vec<ParentId>>;

    /// The types that a parent lists, in natural order.
    ///
    /// # Errors
    /// The parent or its list is not there or not readable. A type's bad file becomes a warning.
    fn types(&self, parent: &ParentId, warnings: &mut Warnings) -> Result<Vec<VgpuType>>;

    /// One type of a parent, read anew.
    ///
    /// # Errors
    /// [`Kind::NotFound`] where the parent has no such type.
    fn vgpu_type(
        &self,
        parent: &ParentId,
        id: &TypeId,
        warnings: &mut Warnings,
    ) -> Result<VgpuType>;

    /// The name of one type, and nothing else of it; `None` where it has none or is not there.
    fn type_name(&self, parent: &ParentId, id: &TypeId) -> Option<String>;

    /// The active devices, sorted by UUID.
    ///
    /// # Errors
    /// The list itself could not be read. A single odd device becomes a warning.
    fn devices(&self, warnings: &mut Warnings) -> Result<Vec<Device>>;

    /// The active device of that UUID.
    ///
    /// # Errors
    /// It is there but cannot be read.
    fn device(&self, uuid: Uuid) -> Result<Option<Device>>;

    /// Where the device stands in sysfs and what a process opens to use it.
    ///
    /// # Errors
    /// It is there but cannot be read.
    fn nodes(&self, device: &Device) -> Result<Nodes>;

    /// Makes an instance. It is there when this returns.
    ///
    /// # Errors
    /// [`Kind::NoCapacity`] where the kernel says so, [`Kind::NotFound`] where the type is not
    /// there, else what the kernel answered.
    fn create(&self, parent: &ParentId, id: &TypeId, uuid: Uuid) -> Result<()>;

    /// Takes an instance away. It is gone when this returns.
    ///
    /// # Errors
    /// [`Kind::InUse`] where the kernel does not let go of it, else what the kernel answered.
    fn remove(&self, device: &Device) -> Result<()>;

    /// Writes one attribute of a device, in one write of the whole value.
    ///
    /// # Errors
    /// What the kernel answered; a name that leads out of the device's directory.
    fn write_attr(&self, device: &Device, attr: &Attr) -> Result<()>;

    /// What the parent is as a PCI device; `None` where it is none.
    fn pci(&self, parent: &ParentId, warnings: &mut Warnings) -> Option<PciIdentity>;

    /// The name of the driver that serves the parent.
    fn driver(&self, parent: &ParentId) -> Option<String>;

    /// Why a host may have no parents in this framework, and what to do about it.
    fn why_no_parents(&self) -> String;
}

/// All frameworks of one host.
pub struct Kernel<'h> {
    host: &'h Host,
    frameworks: Vec<Box<dyn Framework + 'h>>,
}

impl<'h> Kernel<'h> {
    /// The host that this is the kernel of.
    pub fn host(&self) -> &'h Host {
        self.host
    }

    /// The kernel of `host`. Nothing is read yet.
    pub fn of(host: &'h Host) -> Kernel<'h> {
        Kernel {
            host,
            frameworks: vec![Box::new(mdev::Mdev::of(host))],
        }
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
        self.framework(device.framework)
    }

    /// The parents of all frameworks, sorted by name.
    ///
    /// # Errors
    /// As [`Framework::parents`].
    pub fn parents(&self, warnings: &mut Warnings) -> Result<Vec<Parent>> {
        let mut all = Vec::new();
        for framework in &self.frameworks {
            let kind = framework.kind();
            all.extend(framework.parents(warnings)?.into_iter().map(|id| Parent {
                id,
                framework: kind,
            }));
        }
        all.sort_by(|a, b| a.id.cmp(&b.id));
        Ok(all)
    }

    /// The parent of that name.
    ///
    /// # Errors
    /// [`Kind::NotFound`], with the names of those that are there.
    pub fn parent(&self, id: &ParentId, warnings: &mut Warnings) -> Result<Parent> {
        let parents = self.parents(warnings)?;
        let known: Vec<String> = parents.iter().map(|p| p.id.to_string()).collect();
        parents.into_iter().find(|p| p.id == *id).ok_or_else(|| {
            let error = Error::new(Kind::NotFound, format!("there is no parent {id}"));
            match known.is_empty() {
                true => error.hints(self.why_no_parents()),
                false => error.hint(format!("parents here: {}", known.join(", "))),
            }
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

    /// The name of a parent's type, while the parent is there and tells one.
    pub fn type_name(&self, parent: &ParentId, id: &TypeId) -> Option<String> {
        self.frameworks
            .iter()
            .find_map(|framework| framework.type_name(parent, id))
    }

    /// Why the host may have no parents at all: one sentence for each framework.
    pub fn why_no_parents(&self) -> Vec<String> {
        self.frameworks
            .iter()
            .map(|framework| framework.why_no_parents())
            .collect()
    }

    /// The processes that have the device open, as far as the caller may look.
    ///
    /// # Errors
    /// The list of processes could not be read.
    pub fn holders(&self, nodes: &Nodes) -> Result<Holders> {
        holders::find(self.host, nodes)
    }

    /// What one attribute of a device reads as; `None` where it has no such attribute.
    ///
    /// # Errors
    /// It is there but cannot be read.
    pub fn attr_text(&self, nodes: &Nodes, name: &str) -> Result<Option<String>> {
        if_present(Dir::open(&nodes.sysfs).and_then(|device| device.read_text(name)))
    }

    /// Tries to keep everybody else from opening the device.
    ///
    /// # Errors
    /// The node is there and neither free nor busy.
    pub fn claim(&self, nodes: &Nodes) -> Result<Claim> {
        holders::claim(nodes)
    }
}

/// Says who holds a device, for a message.
pub fn holders_line(holders: &[Holder]) -> String {
    let names: Vec<String> = holders.iter().map(Holder::to_string).collect();
    names.join(", ")
}
