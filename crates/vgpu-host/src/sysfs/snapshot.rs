//! One reading of what a framework offers: each question is asked of the kernel once.

use std::path::PathBuf;
use std::sync::Arc;

use uuid::Uuid;

use super::observed::{Now, Observed};
use super::{Beside, Claim, Framework, PciIdentity};
use crate::error::{Hint, Result, Warnings};
use crate::memo::{Memo, Read};
use crate::model::{
    Attr, AttrName, Device, FrameworkKind, Nodes, Parent, ParentId, TypeId, VgpuType,
};

/// A framework whose answers hold from the first time that it is asked. What changes something goes
/// to the kernel, and is not seen here.
pub struct Snapshot<F> {
    live: F,
    parents: Memo<(), Read<Result<Vec<Parent>>>>,
    parent: Memo<ParentId, Result<Option<Parent>>>,
    part: Memo<ParentId, Read<Option<Parent>>>,
    types: Memo<ParentId, Read<Result<Vec<VgpuType>>>>,
    one_type: Memo<(ParentId, TypeId), Read<Result<VgpuType>>>,
    names: Memo<(ParentId, TypeId), Read<Option<Arc<str>>>>,
    functions: Memo<ParentId, Read<Result<Vec<ParentId>>>>,
    devices: Memo<(), Read<Result<Vec<Device>>>>,
    device: Memo<Uuid, Result<Option<Device>>>,
    pci: Memo<ParentId, Read<Option<PciIdentity>>>,
    driver: Memo<ParentId, Read<Option<String>>>,
}

impl<F: Framework> Snapshot<F> {
    /// A reading that begins now. Nothing is read yet.
    pub fn of(live: F) -> Snapshot<F> {
        Snapshot {
            live,
            parents: Memo::new(true),
            parent: Memo::new(true),
            part: Memo::new(true),
            types: Memo::new(true),
            one_type: Memo::new(true),
            names: Memo::new(true),
            functions: Memo::new(true),
            devices: Memo::new(true),
            device: Memo::new(true),
            pci: Memo::new(true),
            driver: Memo::new(true),
        }
    }

    /// A type that has been read, alone or with the others of its parent.
    fn known_type(&self, parent: &ParentId, id: &TypeId) -> Option<VgpuType> {
        let listed = self.types.known(parent).and_then(|(types, _)| {
            let mut types = types.ok()?.into_iter();
            types.find(|known| known.id == *id)
        });
        let alone = || {
            let (alone, _) = self.one_type.known(&(parent.clone(), id.clone()))?;
            alone.ok()
        };
        listed.or_else(alone)
    }
}

impl<F: Framework> Framework for Snapshot<F> {
    fn kind(&self) -> FrameworkKind {
        self.live.kind()
    }

    fn parents(&self, warnings: &mut Warnings) -> Result<Vec<Parent>> {
        self.parents
            .read(&(), warnings, |unread| self.live.parents(unread))
    }

    fn parent(&self, id: &ParentId) -> Result<Option<Parent>> {
        if let Some((Ok(all), _)) = self.parents.known(&())
            && let Some(found) = all.into_iter().find(|parent| parent.id == *id)
        {
            return Ok(Some(found));
        }
        self.parent.get(id, || self.live.parent(id))
    }

    fn part(&self, id: &ParentId, warnings: &mut Warnings) -> Option<Parent> {
        self.part
            .read(id, warnings, |unread| self.live.part(id, unread))
    }

    fn types(&self, parent: &ParentId, warnings: &mut Warnings) -> Result<Vec<VgpuType>> {
        self.types_beside(parent, Beside::Gpu(&[]), warnings)
    }

    fn types_beside(
        &self,
        parent: &ParentId,
        beside: Beside<'_>,
        warnings: &mut Warnings,
    ) -> Result<Vec<VgpuType>> {
        self.types.read(parent, warnings, |unread| {
            self.live.types_beside(parent, beside, unread)
        })
    }

    fn vgpu_type(
        &self,
        parent: &ParentId,
        id: &TypeId,
        warnings: &mut Warnings,
    ) -> Result<VgpuType> {
        if let Some(known) = self.known_type(parent, id) {
            return Ok(known);
        }
        let question = (parent.clone(), id.clone());
        self.one_type.read(&question, warnings, |unread| {
            self.live.vgpu_type(parent, id, unread)
        })
    }

    fn type_names(
        &self,
        parent: &ParentId,
        warnings: &mut Warnings,
    ) -> Result<Vec<(TypeId, Option<Arc<str>>)>> {
        match self.types.known(parent) {
            Some(_) => {
                let types = self.types(parent, warnings)?.into_iter();
                Ok(types.map(|known| (known.id, known.name)).collect())
            }
            None => self.live.type_names(parent, warnings),
        }
    }

    fn free(&self, parent: &ParentId, id: &TypeId) -> Result<Option<u32>> {
        match self.known_type(parent, id) {
            Some(known) => Ok(known.available),
            None => self.live.free(parent, id),
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
        self.live.open_functions(parent, id, enough, skip, warnings)
    }

    fn functions(&self, parent: &ParentId, warnings: &mut Warnings) -> Result<Vec<ParentId>> {
        self.functions.read(parent, warnings, |unread| {
            self.live.functions(parent, unread)
        })
    }

    fn type_name(
        &self,
        parent: &ParentId,
        id: &TypeId,
        warnings: &mut Warnings,
    ) -> Option<Arc<str>> {
        if let Some(known) = self.known_type(parent, id) {
            return known.name;
        }
        let question = (parent.clone(), id.clone());
        self.names.read(&question, warnings, |unread| {
            self.live.type_name(parent, id, unread)
        })
    }

    fn devices(&self, warnings: &mut Warnings) -> Result<Vec<Device>> {
        self.devices
            .read(&(), warnings, |unread| self.live.devices(unread))
    }

    fn devices_among(
        &self,
        wanted: &dyn Fn(&Uuid) -> bool,
        warnings: &mut Warnings,
    ) -> Result<Vec<Device>> {
        match self.devices.known(&()) {
            Some(_) => {
                let mut devices = self.devices(warnings)?;
                devices.retain(|device| wanted(&device.uuid));
                Ok(devices)
            }
            None => self.live.devices_among(wanted, warnings),
        }
    }

    fn device(&self, uuid: Uuid) -> Result<Option<Device>> {
        // One that could not be read may be this one.
        if let Some((Ok(all), unread)) = self.devices.known(&()) {
            let is_it = |device: &Device| {
                device.uuid == uuid && !matches!(device.slot, crate::model::Slot::ForeignVf(_))
            };
            let mut found = all.into_iter().filter(is_it);
            match (found.next(), found.next()) {
                (Some(only), None) => return Ok(Some(only)),
                (None, _) if unread.is_empty() => return Ok(None),
                _ => {}
            }
        }
        self.device.get(&uuid, || self.live.device(uuid))
    }

    fn settle(&self, parent: &ParentId) {
        self.live.settle(parent);
    }

    fn nodes(&self, device: &Device) -> Result<Nodes> {
        self.live.nodes(device)
    }

    fn claim(&self, nodes: &Nodes) -> Result<Claim> {
        self.live.claim(nodes)
    }

    fn create(&self, parent: &ParentId, id: &TypeId, uuid: Uuid) -> Result<Device> {
        self.live.create(parent, id, uuid)
    }

    fn remove(&self, device: &Device) -> Result<()> {
        self.live.remove(device)
    }

    fn check_attr(&self, name: &AttrName) -> Result<()> {
        self.live.check_attr(name)
    }

    fn write_attr(&self, device: &Device, attr: &Attr) -> Result<()> {
        self.live.write_attr(device, attr)
    }

    fn pci(&self, parent: &ParentId, warnings: &mut Warnings) -> Option<PciIdentity> {
        self.pci
            .read(parent, warnings, |unread| self.live.pci(parent, unread))
    }

    fn driver(&self, parent: &ParentId, warnings: &mut Warnings) -> Option<String> {
        self.driver
            .read(parent, warnings, |unread| self.live.driver(parent, unread))
    }

    fn why_no_parents(&self) -> Option<Hint> {
        self.live.why_no_parents()
    }
}

impl<F: Framework> Observed for Snapshot<F> {
    fn devices_now(&self, warnings: &mut Warnings) -> Result<Now> {
        self.live.devices_now(warnings)
    }

    fn request_dirs(&self, parent: &Parent) -> Vec<PathBuf> {
        self.live.request_dirs(parent)
    }
}
