//! What every framework does.

use std::sync::Arc;

use uuid::Uuid;

use super::{Claim, Observed, PciIdentity};
use crate::error::{Hint, Result, Warnings};
use crate::model::{
    Attr, AttrName, Device, FrameworkKind, Nodes, Parent, ParentId, TypeId, VgpuType,
};

/// The types of the parent that was read before.
#[derive(Debug, Clone, Copy)]
pub enum Beside<'t> {
    /// It is another function of the same GPU: what cannot differ is not read again.
    Function(&'t [VgpuType]),
    /// It is another GPU: everything is read, and texts that are equal are kept once.
    Gpu(&'t [VgpuType]),
}

/// One way in which kernels offer parents, types and devices.
pub trait Framework: Sync + Observed {
    /// Which one this is.
    fn kind(&self) -> FrameworkKind;

    /// The parents present, sorted by name. None at all is not an error.
    ///
    /// # Errors
    /// The list itself could not be read. A single odd name becomes a warning.
    fn parents(&self, warnings: &mut Warnings) -> Result<Vec<Parent>>;

    /// The parent of that name, if it is one; others are not looked at.
    ///
    /// # Errors
    /// As [`Framework::parents`].
    fn parent(&self, id: &ParentId) -> Result<Option<Parent>>;

    /// The virtual function of that address, where it is not listed as a parent, but something can
    /// be made on it alone.
    fn part(&self, id: &ParentId, warnings: &mut Warnings) -> Option<Parent>;

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

    /// What a parent's types are called, in natural order, and nothing else of them.
    ///
    /// # Errors
    /// As [`Framework::types`].
    fn type_names(
        &self,
        parent: &ParentId,
        warnings: &mut Warnings,
    ) -> Result<Vec<(TypeId, Option<Arc<str>>)>> {
        let types = self.types(parent, warnings)?.into_iter();
        Ok(types.map(|known| (known.id, known.name)).collect())
    }

    /// The types that a parent lists, where those of another one have just been read.
    ///
    /// # Errors
    /// As [`Framework::types`].
    fn types_beside(
        &self,
        parent: &ParentId,
        _beside: Beside<'_>,
        warnings: &mut Warnings,
    ) -> Result<Vec<VgpuType>> {
        self.types(parent, warnings)
    }

    /// How many instances of a type can be made now, as [`VgpuType::available`], and nothing else.
    ///
    /// # Errors
    /// [`Kind::NotFound`] where the parent has no such type.
    fn free(&self, parent: &ParentId, id: &TypeId) -> Result<Option<u32>>;

    /// The virtual functions of a parent on which one of a type can be made now, in the order of their
    /// numbers: as many as are `enough`, none for which `skip` says so. Empty where the parent has none.
    ///
    /// # Errors
    /// The parent's functions cannot be listed. One that cannot be read is a warning.
    fn open_functions(
        &self,
        _parent: &ParentId,
        _id: &TypeId,
        _enough: usize,
        _skip: &dyn Fn(&ParentId) -> bool,
        _warnings: &mut Warnings,
    ) -> Result<Vec<ParentId>> {
        Ok(Vec::new())
    }

    /// The virtual functions of a parent that take a type, whatever they hold, in the order of their
    /// numbers.
    ///
    /// # Errors
    /// As [`Framework::open_functions`].
    fn functions(&self, _parent: &ParentId, _warnings: &mut Warnings) -> Result<Vec<ParentId>> {
        Ok(Vec::new())
    }

    /// The name of one type, and nothing else of it; `None` where it has none or is not there, and,
    /// with a warning, where it cannot be read.
    fn type_name(
        &self,
        parent: &ParentId,
        id: &TypeId,
        warnings: &mut Warnings,
    ) -> Option<Arc<str>>;

    /// The active devices, sorted by UUID.
    ///
    /// # Errors
    /// The list itself could not be read. A single odd device becomes a warning.
    fn devices(&self, warnings: &mut Warnings) -> Result<Vec<Device>>;

    /// As [`Framework::devices`], without those whose UUIDs are not `wanted`.
    ///
    /// # Errors
    /// As there.
    fn devices_among(
        &self,
        wanted: &dyn Fn(&Uuid) -> bool,
        warnings: &mut Warnings,
    ) -> Result<Vec<Device>> {
        let mut devices = self.devices(warnings)?;
        devices.retain(|device| wanted(&device.uuid));
        Ok(devices)
    }

    /// The active device of that UUID; not one that is somebody else's on a virtual function, which
    /// has none.
    ///
    /// # Errors
    /// It is there but cannot be read.
    fn device(&self, uuid: Uuid) -> Result<Option<Device>>;

    /// Drops what is noted of this parent's instances and says nothing any more. Call it with the
    /// parent's lock held: who makes an instance notes it first.
    fn settle(&self, _parent: &ParentId) {}

    /// Where the device stands in sysfs and what a process opens to use it.
    ///
    /// # Errors
    /// It is there but cannot be read.
    fn nodes(&self, device: &Device) -> Result<Nodes>;

    /// Tries to keep everybody else from opening the device while it is removed.
    ///
    /// # Errors
    /// The node is there and neither free nor busy.
    fn claim(&self, nodes: &Nodes) -> Result<Claim>;

    /// Makes an instance. It is there when this returns.
    ///
    /// `parent` may be one that [`Framework::part`] tells.
    ///
    /// # Errors
    /// [`Kind::NoCapacity`] where the kernel says so, [`Kind::NotFound`] where the type is not
    /// there, else what the kernel answered.
    fn create(&self, parent: &ParentId, id: &TypeId, uuid: Uuid) -> Result<Device>;

    /// Takes an instance away. It is gone when this returns.
    ///
    /// # Errors
    /// [`Kind::InUse`] where the kernel does not let go of it, else what the kernel answered.
    fn remove(&self, device: &Device) -> Result<()>;

    /// Whether a device can have an attribute of that name at all; each driver has its own, so that
    /// for a mediated device only its driver can tell.
    ///
    /// # Errors
    /// [`Kind::Usage`] where none can.
    fn check_attr(&self, name: &AttrName) -> Result<()> {
        let _ = name;
        Ok(())
    }

    /// Writes one attribute of a device, in one write of the whole value.
    ///
    /// # Errors
    /// What the kernel answered; a name that leads out of the device's directory.
    fn write_attr(&self, device: &Device, attr: &Attr) -> Result<()>;

    /// What the parent is as a PCI device; `None` where it is none.
    fn pci(&self, parent: &ParentId, warnings: &mut Warnings) -> Option<PciIdentity>;

    /// The name of the driver that serves the parent.
    fn driver(&self, parent: &ParentId, warnings: &mut Warnings) -> Option<String>;

    /// Why a host may have no parents in this framework, and what to do about it.
    fn why_no_parents(&self) -> Option<Hint>;
}
