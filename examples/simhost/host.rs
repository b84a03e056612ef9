//! The host: parents, devices, open descriptors, and the effect of each write.
//!
//! Independent of FUSE, so the rules can be tested without a mount.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use nix::errno::Errno;

use crate::ap::{Matrix, unsigned};
use crate::build;
use crate::faults::{Broken, GARBAGE};
use crate::hostfile::{HostFile, ParentSpec, Rule};
use crate::mig::Mig;
use crate::state::{Counters, Device, Faults, Open, RemoveStep, Stage, Ticket, Wait};
use crate::tree::{Attr, Tree};
use crate::vf::VendorVf;

/// The longest write to `vgpu_params` that the driver accepts.
const PARAMS_MAX: usize = 1024;

/// The whole host.
#[derive(Debug)]
pub struct Host {
    /// `/sys`.
    pub sys: Tree,
    /// `/dev`.
    pub dev: Tree,
    /// The host file.
    pub spec: HostFile,
    /// Registered parents.
    pub attached: BTreeSet<String>,
    /// Enabled virtual functions of all GPUs.
    pub vfs: Vec<ParentSpec>,
    /// Those of the vendor-specific framework by address.
    pub vendor_vfs: BTreeMap<String, VendorVf>,
    /// Functions bound to another driver, with its name.
    pub taken: BTreeMap<String, String>,
    /// GPUs that allow vGPUs of several sizes.
    pub mixed: BTreeSet<String>,
    /// The options that set each GPU's scheduler, if any did.
    pub schedulers: BTreeMap<String, String>,
    /// MIG of the GPUs that have it.
    pub mig: BTreeMap<String, Mig>,
    /// Devices by UUID.
    pub devices: BTreeMap<String, Device>,
    /// Open descriptors by file handle.
    pub opens: BTreeMap<u64, Open>,
    /// Faults and delays.
    pub faults: Faults,
    /// Counters.
    pub counters: Counters,
    blockers: BTreeMap<String, BTreeSet<u64>>,
    busy_until: BTreeMap<String, Instant>,
    next_serial: u64,
    next_handle: u64,
}

fn migs(spec: &HostFile) -> BTreeMap<String, Mig> {
    let gpus = spec.parents.iter();
    let gpus = gpus.filter_map(|p| Some((p.id.clone(), p.mig.as_ref()?)));
    gpus.map(|(id, mig)| (id, Mig::new(mig.card.clone(), mig.is_on)))
        .collect()
}

impl Host {
    /// The host of a host file, just booted.
    pub fn new(spec: HostFile) -> Self {
        let mut host = Self {
            sys: Tree::default(),
            dev: Tree::default(),
            attached: BTreeSet::new(),
            vfs: Vec::new(),
            vendor_vfs: BTreeMap::new(),
            taken: BTreeMap::new(),
            mixed: BTreeSet::new(),
            schedulers: BTreeMap::new(),
            mig: migs(&spec),
            devices: BTreeMap::new(),
            opens: BTreeMap::new(),
            faults: Faults::default(),
            counters: Counters::default(),
            blockers: BTreeMap::new(),
            busy_until: BTreeMap::new(),
            next_serial: 1,
            next_handle: 1,
            spec,
        };
        build::base(&mut host.sys, &mut host.dev, &host.spec);
        for parent in host.spec.parents.clone() {
            if parent.attached {
                host.attach_spec(&parent);
            }
        }
        host
    }

    /// The parent or VF with this name.
    pub fn parent(&self, id: &str) -> Result<ParentSpec, Errno> {
        self.spec_of(id).cloned()
    }

    /// Like [`Host::parent`], but borrowed: copying all its types takes longer than reading a file.
    pub fn spec_of(&self, id: &str) -> Result<&ParentSpec, Errno> {
        let mut all = self.spec.parents.iter().chain(&self.vfs);
        all.find(|p| p.id == id).ok_or(Errno::ENODEV)
    }

    /// Binds the driver, which registers a parent, or enables the initial VFs of a PF.
    pub fn attach_spec(&mut self, parent: &ParentSpec) {
        self.give_back(&parent.id);
        self.attached.insert(parent.id.clone());
        build::attach(&mut self.sys, parent);
        if let Some(sriov) = &parent.sriov {
            // This only fails if VFs are open, and there are none yet.
            let _ = self.set_vfs(parent, sriov.enabled);
        }
    }

    /// A new unique number.
    pub fn new_serial(&mut self) -> u64 {
        self.next_serial += 1;
        self.next_serial - 1
    }

    /// When a create that begins now completes. Creates on one GPU are serialized, as in NVIDIA's driver.
    pub fn next_turn(&mut self, gpu: &str) -> Instant {
        let now = Instant::now();
        let busy = self.busy_until.entry(gpu.to_owned()).or_insert(now);
        let due = (*busy).max(now) + self.faults.delay_create;
        *busy = due;
        due
    }

    /// Whether this is a parent that is not registered.
    pub fn check_detached(&self, id: &str) -> Result<(), String> {
        self.parent(id).map_err(|_| format!("no parent {id}"))?;
        if self.attached.contains(id) {
            return Err(format!("{id} is attached"));
        }
        Ok(())
    }

    /// The path below `/sys` of PARENT/TYPE/FILE, PARENT/FILE or UUID/FILE.
    pub fn path_of(&self, what: &str) -> Result<String, String> {
        let no = || format!("no {what} on this host");
        let (first, rest) = what.split_once('/').ok_or_else(no)?;
        if let Some(device) = self.devices.get(first) {
            let parent = self.parent(&device.parent).map_err(|_| no())?;
            return Ok(format!("{}/{what}", parent.path));
        }
        let parent = self.parent(first).map_err(|_| no())?;
        let is_type = |t: &str| parent.types.iter().any(|s| s.id == t);
        let start = rest.split('/').next().unwrap_or(rest);
        let path = if is_type(start) {
            format!("{}/mdev_supported_types/{rest}", parent.path)
        } else {
            format!("{}/{rest}", parent.path)
        };
        if self.attached.contains(first) && !self.sys.holds(&path) {
            return Err(no());
        }
        Ok(path)
    }

    /// Registers a parent again.
    pub fn attach(&mut self, id: &str) -> Result<(), String> {
        self.check_detached(id)?;
        let parent = self.parent(id).map_err(|_| format!("no parent {id}"))?;
        self.attach_spec(&parent);
        Ok(())
    }

    /// Removes a parent and its devices, like unloading its driver; fails while one is open.
    pub fn detach(&mut self, id: &str) -> Result<(), String> {
        let parent = self.parent(id).map_err(|_| format!("no parent {id}"))?;
        if !self.attached.contains(id) {
            return Err(format!("{id} is not attached"));
        }
        let mine: Vec<String> = self.devices_of(id).map(|(u, _)| u.clone()).collect();
        if let Some(open) = self.opens.values().find(|o| mine.contains(&o.uuid)) {
            return Err(format!("{} is open by process {}", open.uuid, open.pid));
        }
        for uuid in mine {
            self.drop_device(&uuid);
        }
        self.set_vfs(&parent, 0)
            .map_err(|_| format!("a VF of {id} is open"))?;
        build::detach(&mut self.sys, &parent);
        self.attached.remove(id);
        Ok(())
    }

    /// Removes all devices and registers the parents of the host file, like a reboot. Faults
    /// are kept.
    pub fn reboot(&mut self) {
        for uuid in self.devices.keys().cloned().collect::<Vec<_>>() {
            self.drop_device(&uuid);
        }
        self.opens.clear();
        self.busy_until.clear();
        self.mig.values_mut().for_each(Mig::reboot);
        self.schedulers.clear();
        for parent in self.spec.parents.clone() {
            // Nothing is open any more, so this cannot fail.
            let _ = self.set_vfs(&parent, 0);
            match (parent.attached, self.attached.contains(&parent.id)) {
                (true, false) => self.attach_spec(&parent),
                (true, true) => {
                    let enabled = parent.sriov.as_ref().map_or(0, |s| s.enabled);
                    let _ = self.set_vfs(&parent, enabled);
                }
                (false, true) => {
                    self.give_back(&parent.id);
                    build::detach(&mut self.sys, &parent);
                    self.attached.remove(&parent.id);
                }
                _ => {}
            }
        }
        self.counters.reboots += 1;
    }

    /// The mediated devices of a parent.
    pub fn devices_of<'a>(
        &'a self,
        parent: &'a str,
    ) -> impl Iterator<Item = (&'a String, &'a Device)> {
        self.devices.iter().filter(move |(_, d)| d.parent == parent)
    }

    /// `available_instances` of a type now.
    pub fn available(&self, parent: &str, type_id: &str) -> Result<u32, Errno> {
        let spec = self.spec_of(parent)?;
        let this = spec.types.iter().find(|t| t.id == type_id);
        let this = this.ok_or(Errno::ENODEV)?;
        if let Some(mig) = self.mig.get(spec.gpu()) {
            match (&this.profile, mig.current) {
                (Some(profile), true) => {
                    let is_free = self.free_instance(spec.gpu(), profile).is_some();
                    return Ok(u32::from(is_free && !self.has_vgpu(parent)));
                }
                (Some(_), false) | (None, true) => return Ok(0),
                (None, false) => {}
            }
        }
        Ok(match spec.rule {
            Rule::OneSize if self.mixed.contains(spec.gpu()) => {
                let fits = self.free_place(spec.gpu(), this).is_some();
                // The driver hides a type once that many vGPUs run, whatever their types.
                let is_hidden = self.weights_on(spec.gpu()).len() >= this.max as usize;
                u32::from(fits && !is_hidden && !self.has_vgpu(parent))
            }
            Rule::OneSize => {
                let weights = self.weights_on(spec.gpu());
                if weights.iter().any(|w| *w != this.weight) {
                    return Ok(0);
                }
                let left = this.max.saturating_sub(weights.len() as u32);
                if spec.physfn.is_none() {
                    left
                } else if self.has_vgpu(parent) {
                    0
                } else {
                    left.min(1)
                }
            }
            Rule::Pool(size) => {
                let used: u32 = self.weights_on(spec.gpu()).iter().sum();
                let left = size.saturating_sub(used) / this.weight;
                match (spec.physfn.is_some(), self.has_vgpu(parent)) {
                    (true, true) => 0,
                    (true, false) => left.min(1),
                    (false, _) => left,
                }
            }
        })
    }

    /// A write of `data` to `create`.
    pub fn begin_create(
        &mut self,
        parent: &str,
        type_id: &str,
        data: &[u8],
    ) -> Result<Ticket, Errno> {
        self.counters.create_writes += 1;
        let uuid = parse_uuid(data)?;
        if self.devices.contains_key(&uuid) {
            return Err(Errno::EEXIST);
        }
        let spec = self.parent(parent)?;
        if self.available(parent, type_id)? == 0 {
            return Err(spec.full);
        }
        let this = spec.types.iter().find(|t| t.id == type_id);
        let device = Device {
            parent: parent.to_owned(),
            type_id: type_id.to_owned(),
            weight: this.ok_or(Errno::ENODEV)?.weight,
            group: self.free_number(build::first_group(&self.spec), |d| d.group, |o| o.group),
            vfio: self.free_number(0, |d| d.vfio, |o| o.vfio),
            stage: Stage::Creating,
            serial: self.new_serial(),
            params: String::new(),
            matrix: Matrix::default(),
        };
        build::device(&mut self.sys, &mut self.dev, &spec, &uuid, &device);
        let due = self.next_turn(spec.gpu());
        let ticket = Ticket {
            uuid: uuid.clone(),
            serial: device.serial,
            due,
            fault: self.faults.create.tick(),
        };
        self.devices.insert(uuid, device);
        Ok(ticket)
    }

    /// Completes a create: the device is complete, or removed if the create should fail.
    pub fn finish_create(&mut self, ticket: &Ticket) -> Result<(), Errno> {
        let device = self.of_ticket(ticket)?;
        if let Some(errno) = ticket.fault {
            self.drop_device(&ticket.uuid);
            return Err(errno);
        }
        device.stage = Stage::Active;
        let device = device.clone();
        let spec = self.parent(&device.parent)?;
        build::whole(&mut self.sys, &spec, &ticket.uuid, &device);
        self.counters.created += 1;
        Ok(())
    }

    fn of_ticket(&mut self, ticket: &Ticket) -> Result<&mut Device, Errno> {
        let device = self.devices.get_mut(&ticket.uuid);
        device
            .filter(|d| d.serial == ticket.serial)
            .ok_or(Errno::ENODEV)
    }

    /// A write of `data` to `remove`; `kin` returns which processes do not block it.
    pub fn begin_remove(
        &mut self,
        uuid: &str,
        data: &[u8],
        kin: impl Fn(u32) -> bool,
    ) -> Result<RemoveStep, Errno> {
        self.counters.remove_writes += 1;
        if unsigned(data).map_err(|_| Errno::EINVAL)? == 0 {
            return Ok(RemoveStep::Done);
        }
        let device = self.devices.get(uuid).ok_or(Errno::ENODEV)?;
        let (stage, serial) = (device.stage, device.serial);
        let spec = self.parent(&device.parent)?;
        match stage {
            Stage::Active => {}
            // Observed on a real kernel: the write fails and the attribute is lost permanently.
            Stage::Creating => {
                self.sys.remove(&format!("{}/{uuid}/remove", spec.path));
                return Err(Errno::EAGAIN);
            }
            Stage::Removing => return Err(Errno::ENODEV),
        }
        if self.faults.stick_remove > 0 {
            self.faults.stick_remove -= 1;
            return Ok(RemoveStep::Done);
        }
        if let Some(errno) = self.faults.remove.tick() {
            return Err(errno);
        }
        if let Some(device) = self.devices.get_mut(uuid) {
            device.stage = Stage::Removing;
            build::unlink(&mut self.sys, &spec, uuid, device);
        }
        let strangers: BTreeSet<u64> = self
            .opens
            .iter()
            .filter(|(_, o)| o.serial == serial && !kin(o.pid))
            .map(|(handle, _)| *handle)
            .collect();
        self.blockers.insert(uuid.to_owned(), strangers);
        Ok(RemoveStep::Begun(Ticket {
            uuid: uuid.to_owned(),
            serial,
            due: Instant::now() + self.faults.delay_remove,
            fault: None,
        }))
    }

    /// What the completion of a create or remove waits for; nothing once its device is removed.
    pub fn waits_for(&self, ticket: &Ticket, now: Instant) -> Wait {
        let device = self.devices.get(&ticket.uuid).map(|d| d.serial);
        let vf = self.vendor_vfs.get(&ticket.uuid).map(|v| v.serial);
        if device.or(vf) != Some(ticket.serial) {
            Wait::Nothing
        } else if ticket.due > now {
            Wait::Time(ticket.due - now)
        } else if self
            .blockers
            .get(&ticket.uuid)
            .is_some_and(|b| !b.is_empty())
        {
            Wait::Close
        } else {
            Wait::Nothing
        }
    }

    /// Completes a remove.
    pub fn finish_remove(&mut self, ticket: &Ticket) -> Result<(), Errno> {
        self.of_ticket(ticket)?;
        self.drop_device(&ticket.uuid);
        self.counters.removed += 1;
        Ok(())
    }

    /// Removes the device in any state.
    pub fn drop_device(&mut self, uuid: &str) {
        self.blockers.remove(uuid);
        if let Some(device) = self.devices.remove(uuid)
            && let Ok(spec) = self.parent(&device.parent)
        {
            build::unlink(&mut self.sys, &spec, uuid, &device);
            build::gone(&mut self.sys, &mut self.dev, &spec, uuid, &device);
        }
    }

    /// The lowest number from `first` that is not used by a device or open descriptor.
    fn free_number(
        &self,
        first: u32,
        of_device: impl Fn(&Device) -> u32,
        of_open: impl Fn(&Open) -> u32,
    ) -> u32 {
        let devices = self.devices.values().map(of_device);
        let taken: BTreeSet<u32> = devices.chain(self.opens.values().map(of_open)).collect();
        (first..).find(|n| !taken.contains(n)).unwrap_or(first)
    }

    /// Opens a file of `/dev/vfio` for process `pid`; returns the handle for closing it.
    pub fn open_dev(&mut self, attr: &Attr, pid: u32) -> Result<u64, Errno> {
        let (uuid, is_group) = match attr {
            Attr::Group(uuid) => (uuid, true),
            Attr::Cdev(uuid) => (uuid, false),
            _ => return Ok(0),
        };
        let (serial, group, vfio) = self.vfio_device(uuid, is_group)?;
        let same = |o: &Open| o.serial == serial && o.is_group == is_group;
        if self.opens.values().any(same) {
            return Err(Errno::EBUSY);
        }
        let open = Open {
            uuid: uuid.clone(),
            serial,
            is_group,
            pid,
            group,
            vfio,
        };
        let handle = self.next_handle;
        self.next_handle += 1;
        self.opens.insert(handle, open);
        Ok(handle)
    }

    /// Called when the last descriptor of an open is closed.
    pub fn close_dev(&mut self, handle: u64) {
        if let Some(open) = self.opens.remove(&handle)
            && let Some(vf) = self.vendor_vfs.get_mut(&open.uuid)
        {
            vf.close();
        }
        for blockers in self.blockers.values_mut() {
            blockers.remove(&handle);
        }
    }

    /// The content of an attribute.
    pub fn read(&self, attr: &Attr) -> Result<Vec<u8>, Errno> {
        let device = |uuid: &str| self.devices.get(uuid).ok_or(Errno::ENODEV);
        Ok(match attr {
            Attr::Text(text) => text.clone(),
            Attr::Available(parent, type_id) => format!("{}\n", self.available(parent, type_id)?),
            Attr::Params(uuid) => format!("{}\n", device(uuid)?.params),
            Attr::Matrix(uuid) => device(uuid)?.matrix.lines(),
            Attr::ControlDomains(uuid) => device(uuid)?.matrix.control_lines(),
            Attr::NumVfs(pf) => format!("{}\n", self.vfs_of(pf).count()),
            Attr::Vf(vf, file) => self.read_vf(vf, *file)?,
            Attr::Create(..)
            | Attr::Remove(_)
            | Attr::Assign(..)
            | Attr::Bind(_)
            | Attr::Unbind(_) => return Err(Errno::EIO),
            Attr::Container | Attr::Group(_) | Attr::Cdev(_) => return Err(Errno::EINVAL),
        }
        .into_bytes())
    }

    /// A write to any attribute except `create` and `remove`; `path` is its name below the device.
    pub fn write(&mut self, attr: &Attr, name: &str, data: &[u8]) -> Result<(), Errno> {
        if matches!(attr, Attr::Params(_) | Attr::Assign(..) | Attr::Vf(..)) {
            self.attr_fault(name)?;
        }
        match attr {
            Attr::Text(_) => Ok(()),
            Attr::Params(uuid) => self.write_params(uuid, data),
            Attr::NumVfs(pf) => self.write_numvfs(pf, data),
            Attr::Vf(vf, file) => self.write_vf(vf, *file, data),
            Attr::Bind(driver) => self.bind(driver, data),
            Attr::Unbind(driver) => self.unbind(driver, data),
            Attr::Assign(uuid, change) => {
                let device = self.devices.get(uuid).ok_or(Errno::ENODEV)?;
                let next = device.matrix.after(*change, data)?;
                let mut others = self.devices.iter().filter(|(u, _)| *u != uuid);
                if others.any(|(_, d)| d.matrix.overlaps(&next)) {
                    return Err(Errno::EADDRINUSE);
                }
                if let Some(device) = self.devices.get_mut(uuid) {
                    device.matrix = next;
                }
                Ok(())
            }
            _ => Err(Errno::EINVAL),
        }
    }

    fn attr_fault(&mut self, name: &str) -> Result<(), Errno> {
        let last = |n: &str| n.rsplit('/').next().map(str::to_owned);
        let hit = self
            .faults
            .attr
            .iter()
            .position(|(n, _)| last(n) == last(name));
        hit.map_or(Ok(()), |i| Err(self.faults.attr.remove(i).1))
    }

    fn write_params(&mut self, uuid: &str, data: &[u8]) -> Result<(), Errno> {
        let params = params_kept(data)?;
        let device = self.devices.get_mut(uuid).ok_or(Errno::ENODEV)?;
        if self.opens.values().any(|o| o.serial == device.serial) {
            return Err(Errno::EPERM);
        }
        device.params = params;
        Ok(())
    }
}

/// What the driver stores after a write to `vgpu_params`.
pub fn params_kept(data: &[u8]) -> Result<String, Errno> {
    if data.len() > PARAMS_MAX {
        return Err(Errno::E2BIG);
    }
    let text = std::str::from_utf8(data).map_err(|_| Errno::EINVAL)?;
    // The whole string is replaced, so a space and a newline clear it. The driver expects a
    // newline and drops the last character, whatever it is.
    let mut kept = text.chars();
    kept.next_back();
    Ok(kept.as_str().to_owned())
}

/// The content of a broken file.
pub fn broken_content(how: Broken) -> Result<&'static [u8], Errno> {
    match how {
        Broken::Missing => Err(Errno::ENOENT),
        Broken::Empty => Ok(b""),
        Broken::Garbage => Ok(GARBAGE),
        Broken::Eio => Err(Errno::EIO),
    }
}

/// The UUID in a write to `create`: 36 characters and an optional newline, converted to lower case.
fn parse_uuid(data: &[u8]) -> Result<String, Errno> {
    let text = data.strip_suffix(b"\n").unwrap_or(data);
    if text.len() != 36 {
        return Err(Errno::EINVAL);
    }
    let fits = |(i, c): (usize, &u8)| match i {
        8 | 13 | 18 | 23 => *c == b'-',
        _ => c.is_ascii_hexdigit(),
    };
    if !text.iter().enumerate().all(fits) {
        return Err(Errno::EINVAL);
    }
    Ok(String::from_utf8_lossy(text).to_ascii_lowercase())
}

#[cfg(test)]
#[path = "host_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "sriov_tests.rs"]
mod sriov_tests;
