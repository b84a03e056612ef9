//! One reading of what a framework offers: each question is asked of the kernel once.

use std::path::PathBuf;
use std::sync::Arc;

use uuid::Uuid;

use super::observed::{Now, Observed};
use super::{Beside, Claim, Framework, PciIdentity};
use crate::error::{Hint, Result, Warnings};
use crate::memo::Memo;
use crate::model::{
    Attr, AttrName, Device, FrameworkKind, Nodes, Parent, ParentId, TypeId, VgpuType,
};

/// An answer, and what could not be read on the way.
type Read<T> = (T, Warnings);

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

    /// A type of a parent whose list has been read, where that has it.
    fn listed(&self, parent: &ParentId, id: &TypeId) -> Option<VgpuType> {
        let (types, _) = self.types.known(parent)?;
        types.ok()?.into_iter().find(|known| known.id == *id)
    }
}

/// The answer, with what could not be read added to the caller's, unless another answer did.
fn told<T>((answer, unread): Read<T>, warnings: &mut Warnings) -> T {
    for error in unread {
        if !warnings.contains(&error) {
            warnings.push(error);
        }
    }
    answer
}

fn with_unread<T>(ask: impl FnOnce(&mut Warnings) -> T) -> Read<T> {
    let mut unread = Vec::new();
    (ask(&mut unread), unread)
}

impl<F: Framework> Framework for Snapshot<F> {
    fn kind(&self) -> FrameworkKind {
        self.live.kind()
    }

    fn parents(&self, warnings: &mut Warnings) -> Result<Vec<Parent>> {
        let read = || with_unread(|unread| self.live.parents(unread));
        told(self.parents.get(&(), read), warnings)
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
        let read = || with_unread(|unread| self.live.part(id, unread));
        told(self.part.get(id, read), warnings)
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
        let read = || with_unread(|unread| self.live.types_beside(parent, beside, unread));
        told(self.types.get(parent, read), warnings)
    }

    fn vgpu_type(
        &self,
        parent: &ParentId,
        id: &TypeId,
        warnings: &mut Warnings,
    ) -> Result<VgpuType> {
        if let Some(listed) = self.listed(parent, id) {
            return Ok(listed);
        }
        let read = || with_unread(|unread| self.live.vgpu_type(parent, id, unread));
        let question = (parent.clone(), id.clone());
        told(self.one_type.get(&question, read), warnings)
    }

    fn type_names(
        &self,
        parent: &ParentId,
        warnings: &mut Warnings,
    ) -> Result<Vec<(TypeId, Option<Arc<str>>)>> {
        match self.types.known(parent) {
            Some(read) => {
                let types = told(read, warnings)?.into_iter();
                Ok(types.map(|known| (known.id, known.name)).collect())
            }
            None => self.live.type_names(parent, warnings),
        }
    }

    fn free(&self, parent: &ParentId, id: &TypeId) -> Result<Option<u32>> {
        let question = (parent.clone(), id.clone());
        match self.one_type.known(&question) {
            Some((Ok(known), _)) => Ok(known.available),
            _ => match self.listed(parent, id) {
                Some(known) => Ok(known.available),
                None => self.live.free(parent, id),
            },
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
        let read = || with_unread(|unread| self.live.functions(parent, unread));
        told(self.functions.get(parent, read), warnings)
    }

    fn type_name(
        &self,
        parent: &ParentId,
        id: &TypeId,
        warnings: &mut Warnings,
    ) -> Option<Arc<str>> {
        if let Some(listed) = self.listed(parent, id) {
            return listed.name;
        }
        let question = (parent.clone(), id.clone());
        if let Some((Ok(known), _)) = self.one_type.known(&question) {
            return known.name;
        }
        let read = || with_unread(|unread| self.live.type_name(parent, id, unread));
        told(self.names.get(&question, read), warnings)
    }

    fn devices(&self, warnings: &mut Warnings) -> Result<Vec<Device>> {
        let read = || with_unread(|unread| self.live.devices(unread));
        told(self.devices.get(&(), read), warnings)
    }

    fn devices_among(
        &self,
        wanted: &dyn Fn(&Uuid) -> bool,
        warnings: &mut Warnings,
    ) -> Result<Vec<Device>> {
        match self.devices.known(&()) {
            Some(read) => {
                let mut devices = told(read, warnings)?;
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
                device.uuid == uuid && !matches!(device.seat, crate::model::Seat::ForeignVf(_))
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
        let read = || with_unread(|unread| self.live.pci(parent, unread));
        told(self.pci.get(parent, read), warnings)
    }

    fn driver(&self, parent: &ParentId, warnings: &mut Warnings) -> Option<String> {
        let read = || with_unread(|unread| self.live.driver(parent, unread));
        told(self.driver.get(parent, read), warnings)
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
