//! The mediated-device framework: `/sys/class/mdev_bus` and `/sys/bus/mdev/devices`.
//!
//! Layout and errnos: kernel Documentation/driver-api/vfio-mediated-device.rst, and observed on
//! Debian's 6.1 with mtty, mdpy and mbochs.

use std::cmp::Ordering;
use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use log::debug;
use nix::errno::Errno;
use nix::fcntl::OFlag;
use uuid::Uuid;

use super::blocking::{self, Outcome};
use super::type_files::{KnownTypes, TypeFiles};
use super::{Beside, Claim, Framework, PciIdentity, attr, claim, nodes, pci};
use crate::dir::{Dir, EntryKind};
use crate::error::{Advice, Error, Hint, Kind, Result, Warnings, if_present, or_warn};
use crate::host::Host;
use crate::model::{
    Attr, Device, FrameworkKind, Nodes, Parent, ParentId, Slot, TypeId, VgpuType, parse_uuid,
};
use crate::text::shortened;

/// How long a removal may take before it counts as blocked. An idle device goes in milliseconds,
/// NVIDIA's driver may wait a few seconds for its plugin to leave.
const REMOVAL_PATIENCE: Duration = Duration::from_secs(15);

/// A device's `mdev_type` is made after the device itself, on a busy host more than half a second
/// later (observed): how long to wait for it where one device is asked for, and in listings.
const SETTLING_PATIENCE: Duration = Duration::from_secs(10);
const LISTING_PATIENCE: Duration = Duration::from_secs(1);
const SETTLING_PAUSE: Duration = Duration::from_millis(10);

/// Beneath a parent: its types.
pub(super) const TYPES: &str = "mdev_supported_types";

/// Mediated devices of one host.
pub struct Mdev<'h> {
    host: &'h Host,
}

impl<'h> Mdev<'h> {
    pub fn of(host: &'h Host) -> Mdev<'h> {
        Mdev { host }
    }

    /// The host that these are of.
    pub(super) fn host(&self) -> &'h Host {
        self.host
    }

    fn parent_dir(&self, parent: &ParentId) -> Result<Dir> {
        Dir::open(self.host.mdev_parents().join(parent.as_str()))
    }

    fn types_dir(&self, parent: &ParentId) -> Result<Dir> {
        Dir::open(self.host.mdev_parents().join(parent.as_str()).join(TYPES))
    }

    /// Reads where a device belongs out of its links, without opening its directory.
    fn read_device(devices: &Dir, uuid: Uuid) -> Result<Device> {
        const TYPE: &str = "/mdev_type";
        let mut place = Uuid::encode_buffer();
        let name = &*uuid.hyphenated().encode_lower(&mut place);
        let mut type_link = String::with_capacity(name.len() + TYPE.len());
        type_link.extend([name, TYPE]);
        Ok(Device {
            uuid,
            parent: devices.link_parent_of(name)?,
            type_id: devices.link_name_of(type_link)?,
            slot: Slot::Mdev,
        })
    }

    /// As `read_device`, but waits for a device that is just being made; `None` once it is gone.
    pub(super) fn read_settled(
        devices: &Dir,
        uuid: Uuid,
        patience: Duration,
    ) -> Result<Option<Device>> {
        let begin = Instant::now();
        loop {
            let error = match Self::read_device(devices, uuid) {
                Ok(device) => return Ok(Some(device)),
                Err(error) => error,
            };
            if !error.is_absent() {
                return Err(error);
            }
            let link = devices.join(uuid.to_string());
            let is_gone = error.path() == Some(&link)
                || if_present(devices.read_link(uuid.to_string()))?.is_none();
            if is_gone {
                return Ok(None);
            }
            if begin.elapsed() > patience {
                return Err(error
                    .retold(format!(
                        "{uuid} is still being created, or its creation was interrupted"
                    ))
                    .hint("see the kernel's log: dmesg"));
            }
            sleep(SETTLING_PAUSE);
        }
    }
}

impl Framework for Mdev<'_> {
    fn kind(&self) -> FrameworkKind {
        FrameworkKind::Mdev
    }

    fn parents(&self, warnings: &mut Warnings) -> Result<Vec<Parent>> {
        let Some(mut dir) = if_present(Dir::open(self.host.mdev_parents()))? else {
            return Ok(Vec::new());
        };
        let mut parents = Vec::new();
        for entry in dir.entries()? {
            match entry.name.to_str().map(str::parse) {
                Some(Ok(id)) => parents.push(parent_of(&dir, id)),
                _ => warnings.push(
                    Error::new(Kind::Failed, "parent skipped: invalid name")
                        .at(dir.join(&entry.name)),
                ),
            }
        }
        Ok(parents)
    }

    fn parent(&self, id: &ParentId) -> Result<Option<Parent>> {
        let Some(dir) = if_present(Dir::open(self.host.mdev_parents()))? else {
            return Ok(None);
        };
        let found = if_present(dir.open_dir(id.as_str()))?;
        Ok(found.map(|_| parent_of(&dir, id.clone())))
    }

    fn part(&self, _id: &ParentId, _warnings: &mut Warnings) -> Option<Parent> {
        None
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
        let (Beside::Function(known) | Beside::Gpu(known)) = beside;
        let mut dir = self.types_dir(parent)?;
        let found = types_in(&mut dir, KnownTypes::of(known), warnings)?;
        let mut files = TypeFiles::of(&dir);
        let read = |Found { id, known }: Found<'_>| match (beside, known) {
            (Beside::Function(_), Some((_, sibling))) => {
                sibling.with_free(files.of_type(&id).free(warnings))
            }
            _ => files.whole_type(id, known.map(|(_, known)| known), warnings),
        };
        Ok(found.into_iter().map(read).collect())
    }

    fn type_names(
        &self,
        parent: &ParentId,
        warnings: &mut Warnings,
    ) -> Result<Vec<(TypeId, Option<Arc<str>>)>> {
        let mut dir = self.types_dir(parent)?;
        let found = types_in(&mut dir, KnownTypes::of(&[]), warnings)?;
        let mut files = TypeFiles::of(&dir);
        let named = found.into_iter().map(|Found { id, .. }| {
            let name = files.of_type(&id).name(warnings);
            (id, name)
        });
        Ok(named.collect())
    }

    fn vgpu_type(
        &self,
        parent: &ParentId,
        id: &TypeId,
        warnings: &mut Warnings,
    ) -> Result<VgpuType> {
        let absent = || no_type(parent, id);
        let dir = if_present(self.types_dir(parent))?.ok_or_else(absent)?;
        if_present(dir.open_dir(id.as_str()))?.ok_or_else(absent)?;
        Ok(TypeFiles::of(&dir).whole_type(id.clone(), None, warnings))
    }

    fn free(&self, parent: &ParentId, id: &TypeId) -> Result<Option<u32>> {
        let absent = || no_type(parent, id);
        let dir = if_present(self.types_dir(parent))?.ok_or_else(absent)?;
        let free = TypeFiles::of(&dir).of_type(id).free(&mut Vec::new());
        if free.is_none() {
            if_present(dir.open_dir(id.as_str()))?.ok_or_else(absent)?;
        }
        Ok(free)
    }

    fn type_name(
        &self,
        parent: &ParentId,
        id: &TypeId,
        warnings: &mut Warnings,
    ) -> Option<Arc<str>> {
        let name = self
            .types_dir(parent)
            .and_then(|dir| dir.read_shared(&format!("{id}/name"), None));
        or_warn(name, warnings).filter(|name| !name.is_empty())
    }

    fn devices(&self, warnings: &mut Warnings) -> Result<Vec<Device>> {
        self.devices_among(&|_| true, warnings)
    }

    fn devices_among(
        &self,
        wanted: &dyn Fn(&Uuid) -> bool,
        warnings: &mut Warnings,
    ) -> Result<Vec<Device>> {
        let Some(mut dir) = if_present(Dir::open(self.host.mdev_devices()))? else {
            return Ok(Vec::new());
        };
        let mut devices = Vec::new();
        for entry in dir.entries()? {
            let uuid = entry.name.to_str().and_then(|name| parse_uuid(name).ok());
            if uuid.is_some_and(|uuid| !wanted(&uuid)) {
                continue;
            }
            match uuid.map(|uuid| Self::read_settled(&dir, uuid, LISTING_PATIENCE)) {
                Some(Ok(device)) => devices.extend(device),
                Some(Err(error)) => warnings.push(error),
                None => warnings.push(
                    Error::new(Kind::Failed, "device skipped: its name is not a UUID")
                        .at(dir.join(&entry.name)),
                ),
            }
        }
        Ok(devices)
    }

    fn device(&self, uuid: Uuid) -> Result<Option<Device>> {
        match if_present(Dir::open(self.host.mdev_devices()))? {
            Some(dir) => Self::read_settled(&dir, uuid, SETTLING_PATIENCE),
            None => Ok(None),
        }
    }

    fn nodes(&self, device: &Device) -> Result<Nodes> {
        let dir = Dir::open(self.host.mdev_devices().join(device.uuid.to_string()))?;
        nodes::of(self.host, &dir)
    }

    fn claim(&self, nodes: &Nodes) -> Result<Claim> {
        claim::claim(nodes)
    }

    fn create(&self, parent: &ParentId, id: &TypeId, uuid: Uuid) -> Result<Device> {
        let what = format!("cannot create {uuid} of type {id} on {parent}");
        let explained = |error| explain_create(error, parent, id);
        let dir = self
            .types_dir(parent)
            .map_err(|error| explained(error.retold(&what)))?;
        attr::write_value(&dir, &format!("{id}/create"), &uuid.to_string(), &what)
            .map_err(explained)?;
        let made = Device {
            uuid,
            parent: parent.clone(),
            type_id: id.clone(),
            slot: Slot::Mdev,
        };
        // Nobody would know of a device whose maker says that it failed.
        let take_back = || match self.remove(&made) {
            Err(error) if !error.is_absent() => Err(error),
            _ => Ok(()),
        };
        match self
            .device(uuid)
            .map_err(|error| error.and_clean_up(take_back()))?
        {
            Some(device) if device == made => Ok(device),
            Some(other) => Err(Error::new(
                Kind::Failed,
                format!(
                    "{what}: the kernel created it as {} on {}",
                    other.type_id, other.parent
                ),
            )),
            None => Err(Error::new(
                Kind::Failed,
                format!("{what}: the kernel accepted the request, but the device does not exist"),
            )
            .at(self.host.mdev_devices().join(uuid.to_string()))
            .hint("see the kernel's log: dmesg")
            .and_clean_up(take_back())),
        }
    }

    fn remove(&self, device: &Device) -> Result<()> {
        let what = format!("cannot remove {}", device.uuid);
        let devices = Dir::open(self.host.mdev_devices())?;
        let asked = ask_to_remove(&devices, device.uuid, &what);
        let stays = if_present(devices.read_link(device.uuid.to_string()));
        let at = devices.join(device.uuid.to_string());
        match (asked, stays) {
            (Ok(()), Ok(None)) => Ok(()),
            (Err(error), Ok(None)) if error.is_absent() => Err(error),
            // Who asked did not hear of it, but it is done.
            (Err(error), Ok(None)) if error.kind() != Kind::InUse => {
                debug!("{} is gone in spite of: {error}", at.display());
                Ok(())
            }
            // What is still there must not count as gone.
            (Err(error), Ok(Some(_))) if error.is_absent() => Err(Error::new(
                Kind::Failed,
                format!("{what}: the device exists, but its \"remove\" file does not ({error})"),
            )
            .at(at)),
            (Err(error), _) => Err(error),
            (Ok(()), Ok(Some(_))) => Err(Error::new(
                Kind::InUse,
                format!("{what}: the kernel accepted the request, but the device is still there"),
            )
            .at(at)
            .hint(
                "NVIDIA's driver does this while a VM uses the vGPU: shut down the VM, then try again",
            )),
            (Ok(()), Err(error)) => Err(error),
        }
    }

    fn write_attr(&self, device: &Device, attr: &Attr) -> Result<()> {
        let dir = Dir::open(self.host.mdev_devices().join(device.uuid.to_string()))?;
        let set = shortened(&attr.to_string());
        let what = format!("cannot set {set} on {}", device.uuid);
        attr::write_beneath(&dir, &attr.name, &attr.value, &what)
    }

    fn pci(&self, parent: &ParentId, warnings: &mut Warnings) -> Option<PciIdentity> {
        let dir = or_warn(self.parent_dir(parent), warnings)?;
        pci::read(&dir, warnings)
    }

    fn driver(&self, parent: &ParentId, warnings: &mut Warnings) -> Option<String> {
        let dir = or_warn(self.parent_dir(parent), warnings)?;
        or_warn(dir.link_name("driver"), warnings)
    }

    fn why_no_parents(&self) -> Option<Hint> {
        let path = self.host.mdev_parents();
        Some(match Dir::open(&path) {
            Ok(_) => Advice::NoParents(path).into(),
            Err(error) if error.is_absent() => Advice::NoMediatedDevices(path).into(),
            Err(error) => error.to_string().into(),
        })
    }
}

/// A type in a directory of types, and what is known of it from another parent.
struct Found<'t> {
    id: TypeId,
    known: Option<(usize, &'t VgpuType)>,
}

impl Found<'_> {
    /// In natural order, in which those that are known have been put already.
    fn compare(&self, other: &Found<'_>) -> Ordering {
        match (self.known, other.known) {
            (Some((one, _)), Some((other, _))) => one.cmp(&other),
            _ => self.id.cmp(&other.id),
        }
    }
}

/// The types in the directory of a parent's types, in natural order.
fn types_in<'t>(
    dir: &mut Dir,
    mut known: KnownTypes<'t>,
    warnings: &mut Warnings,
) -> Result<Vec<Found<'t>>> {
    let entries = dir.entries()?;
    let mut types = Vec::with_capacity(entries.len());
    // A stray file is no type; links and directories may be.
    let entries = entries.into_iter();
    for entry in entries.filter(|entry| entry.kind != EntryKind::Other) {
        let name = entry.name.to_str().unwrap_or_default();
        let known = known.find(name);
        let id = known.map_or_else(|| name.parse(), |(_, known)| Ok(known.id.clone()));
        match id {
            Ok(id) => types.push(Found { id, known }),
            Err(_) => warnings.push(
                Error::new(Kind::Failed, "type skipped: invalid name").at(dir.join(&entry.name)),
            ),
        }
    }
    types.sort_by(Found::compare);
    Ok(types)
}

/// A parent, with the GPU that it may be a virtual function of (Ampere and newer on kernels before 6.8).
fn parent_of(parents: &Dir, id: ParentId) -> Parent {
    let gpu = parents.link_name_if_any(format!("{id}/physfn"));
    Parent {
        gpu: gpu.ok().flatten().and_then(|gpu| gpu.parse().ok()),
        framework: FrameworkKind::Mdev,
        id,
    }
}

fn no_type(parent: &ParentId, id: &TypeId) -> Error {
    Error::new(Kind::NotFound, format!("{parent} has no type {id}"))
        .hint(Advice::SeeTypes(parent.to_string()))
}

/// What the kernel means by refusing `create` (errnos observed; EIO is NVIDIA's driver refusing).
fn explain_create(error: Error, parent: &ParentId, id: &TypeId) -> Error {
    match error.errno() {
        Some(Errno::ENOSPC) => error
            .with_kind(Kind::NoCapacity)
            .hint(format!("no capacity left for {id} on {parent}")),
        Some(Errno::EUSERS) => error
            .with_kind(Kind::NoCapacity)
            .hint(format!("{parent}, or its GPU, already has the maximum number of instances")),
        Some(Errno::EEXIST) => error
            .hint("a device with this UUID is already active, possibly on another parent, or is still being removed")
            .hint(Advice::SeeActive),
        Some(Errno::ENOENT | Errno::ENODEV) => error
            .with_kind(Kind::NotFound)
            .hint(Advice::SeeTypes(parent.to_string())),
        Some(Errno::EIO) => error.hint(Advice::Known("create-refused")),
        Some(Errno::ETIMEDOUT) => error
            .hint("the driver timed out waiting for its daemon; for NVIDIA: systemctl status nvidia-vgpu-mgr")
            .hint("see the driver's reason: dmesg, journalctl -u nvidia-vgpud -u nvidia-vgpu-mgr"),
        Some(Errno::EINVAL) => {
            error.hint("the kernel does not accept this UUID here, or the type has just been withdrawn")
        }
        _ => error,
    }
}

/// Writes to a device's `remove`, as long as the kernel takes for it.
fn ask_to_remove(devices: &Dir, uuid: Uuid, what: &str) -> Result<()> {
    let name = format!("{uuid}/remove");
    let file = devices
        .open_file(&name, OFlag::O_WRONLY)
        .map_err(|error| error.retold(what))?;
    let path = devices.join(&name);
    let outcome = blocking::write(&file, b"1", REMOVAL_PATIENCE)
        .map_err(|errno| Error::system(format!("{what}: cannot start a process"), &path, errno))?;
    debug!("write {}: \"1\": {outcome:?}", path.display());
    match outcome {
        Outcome::Refused(errno) => Err(explain_remove(Error::system(what, path, errno))),
        Outcome::Blocked(pid) => Err(still_blocked(what, pid).at(path)),
        Outcome::Written => Ok(()),
    }
}

/// What the kernel means by refusing `remove`: EPERM and EBUSY are NVIDIA's driver saying "in use".
fn explain_remove(error: Error) -> Error {
    match error.errno() {
        Some(Errno::EPERM | Errno::EBUSY) => error
            .with_kind(Kind::InUse)
            .hint(Advice::Known("remove-in-use")),
        Some(Errno::EAGAIN) => error.hint("another removal of the same device is in progress"),
        Some(Errno::ENOENT | Errno::ENODEV) => error.hint("another process has already removed it"),
        _ => error,
    }
}

fn still_blocked(what: &str, pid: i32) -> Error {
    Error::new(
        Kind::InUse,
        format!(
            "{what}: the kernel has not released it within {} s; process {pid} keeps waiting for it",
            REMOVAL_PATIENCE.as_secs()
        ),
    )
    .hint("it is removed as soon as its user releases it; until then its instance stays in use")
    .hint("the kernel log may show the user: dmesg | grep 'in use'")
}
