//! The vendor-specific framework: the files in `nvidia/` of a VF, and the effect of writing to them.

use std::time::{Duration, Instant};

use nix::errno::Errno;

use crate::ap::unsigned;
use crate::host::{Host, params_kept};
use crate::hostfile::{Rule, TypeSpec};
use crate::state::Ticket;

/// A file of `nvidia/`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VfFile {
    /// `creatable_vgpu_types`.
    Creatable,
    /// `current_vgpu_type`.
    Current,
    /// `vgpu_params`.
    Params,
    /// `placement_id`.
    Placement,
    /// `gpu_instance_id`.
    GpuInstance,
    /// `warm_update`.
    WarmUpdate,
}

/// Each file's name and mode.
pub const FILES: [(&str, u16, VfFile); 6] = [
    ("creatable_vgpu_types", 0o444, VfFile::Creatable),
    ("current_vgpu_type", 0o644, VfFile::Current),
    ("vgpu_params", 0o644, VfFile::Params),
    ("placement_id", 0o644, VfFile::Placement),
    ("gpu_instance_id", 0o644, VfFile::GpuInstance),
    ("warm_update", 0o644, VfFile::WarmUpdate),
];

/// The type assigned to a VF.
#[derive(Debug, Clone)]
pub struct Current {
    /// As in `current_vgpu_type`.
    pub id: u64,
    /// MiB of framebuffer.
    pub weight: u32,
    /// The first MiB on the GPU, or in its GPU instance.
    pub place: u32,
    /// The GPU instance of a MIG-backed type.
    pub gpu_instance: Option<u32>,
    /// Whether the write has not completed.
    pub setting: bool,
}

/// The state of a VF in the vendor driver.
#[derive(Debug)]
pub struct VendorVf {
    /// IOMMU group, and the N of `/dev/vfio/devices/vfioN`.
    pub group: u32,
    /// Distinguishes two VFs with the same address.
    pub serial: u64,
    /// Its type, if assigned.
    pub current: Option<Current>,
    /// `vgpu_params`.
    pub params: String,
    warm_update: bool,
    closed: Option<Instant>,
}

impl VendorVf {
    /// Without a type.
    pub fn new(group: u32, serial: u64) -> Self {
        Self {
            group,
            serial,
            current: None,
            params: String::new(),
            warm_update: false,
            closed: None,
        }
    }

    /// Called when its last descriptor is closed: the plugin begins to exit.
    pub fn close(&mut self) {
        self.closed = Some(Instant::now());
    }

    fn is_leaving(&self, time: Duration) -> bool {
        self.closed.is_some_and(|closed| closed.elapsed() < time)
    }
}

fn type_number(spec: &TypeSpec) -> Option<u64> {
    spec.id.rsplit('-').next()?.parse().ok()
}

impl Host {
    fn vendor_vf(&self, vf: &str) -> Result<&VendorVf, Errno> {
        self.vendor_vfs.get(vf).ok_or(Errno::ENODEV)
    }

    fn vendor_vf_mut(&mut self, vf: &str) -> Result<&mut VendorVf, Errno> {
        self.vendor_vfs.get_mut(vf).ok_or(Errno::ENODEV)
    }

    fn is_open(&self, serial: u64) -> bool {
        self.opens.values().any(|o| o.serial == serial)
    }

    /// The content of a file in `nvidia/`.
    pub fn read_vf(&self, vf: &str, file: VfFile) -> Result<String, Errno> {
        let state = self.vendor_vf(vf)?;
        let whole = state.current.as_ref().filter(|c| !c.setting);
        Ok(match file {
            VfFile::Creatable => self.creatable(vf)?,
            VfFile::Current => format!("{}\n", whole.map_or(0, |c| c.id)),
            VfFile::Params => format!("{}\n", state.params),
            VfFile::Placement => {
                let place = whole.ok_or(Errno::ENXIO)?.place;
                format!("{}\n", place / 1024)
            }
            VfFile::GpuInstance => {
                let instance = whole.and_then(|c| c.gpu_instance);
                format!("{}\n", instance.ok_or(Errno::ENXIO)?)
            }
            VfFile::WarmUpdate => format!("{}\n", u8::from(state.warm_update)),
        })
    }

    fn creatable(&self, vf: &str) -> Result<String, Errno> {
        let mut lines = String::from("ID    : vGPU Name\n");
        for spec in &self.spec_of(vf)?.types {
            if let (Some(number), Some(name)) = (type_number(spec), &spec.name)
                && self.available(vf, &spec.id)? > 0
            {
                lines.push_str(&format!("{number:<5} : {name}\n"));
            }
        }
        Ok(lines)
    }

    /// A write to a file of `nvidia/` other than `current_vgpu_type`.
    pub fn write_vf(&mut self, vf: &str, file: VfFile, data: &[u8]) -> Result<(), Errno> {
        let serial = self.vendor_vf(vf)?.serial;
        let open = self.is_open(serial);
        match file {
            VfFile::Params if open => Err(Errno::EPERM),
            VfFile::Params => {
                self.vendor_vf_mut(vf)?.params = params_kept(data)?;
                Ok(())
            }
            VfFile::WarmUpdate => {
                let value = unsigned(data).map_err(|_| Errno::EINVAL)?;
                self.vendor_vf_mut(vf)?.warm_update = value != 0;
                Ok(())
            }
            // The values accepted by the driver are not known.
            VfFile::Placement | VfFile::GpuInstance => Err(Errno::EINVAL),
            VfFile::Creatable | VfFile::Current => Err(Errno::EINVAL),
        }
    }

    /// A write to `current_vgpu_type`: a type number assigns the type, which takes as long as a create;
    /// 0 removes it immediately.
    pub fn begin_set(&mut self, vf: &str, data: &[u8]) -> Result<Option<Ticket>, Errno> {
        let number = unsigned(data).map_err(|_| Errno::EINVAL)?;
        if number == 0 {
            return self.unset(vf).map(|()| None);
        }
        self.counters.create_writes += 1;
        let state = self.vendor_vf(vf)?;
        let serial = state.serial;
        if state.current.is_some() {
            return Err(Errno::EPERM);
        }
        let spec = self.parent(vf)?;
        let found = spec.types.iter().find(|t| type_number(t) == Some(number));
        let found = found.ok_or(Errno::EIO)?;
        if self.available(vf, &found.id)? == 0 {
            return Err(Errno::EIO);
        }
        let gpu = spec.physfn.as_deref().ok_or(Errno::ENODEV)?;
        let gpu_instance = match &found.profile {
            Some(profile) => Some(self.free_instance(gpu, profile).ok_or(Errno::EIO)?),
            None => None,
        };
        let place = match spec.rule {
            _ if gpu_instance.is_some() => Some(0),
            Rule::OneSize => self.free_place(gpu, found),
            // The placement of GPU instances is not known.
            Rule::Pool(_) => Some(0),
        };
        let current = Current {
            id: number,
            weight: found.weight,
            place: place.ok_or(Errno::EIO)?,
            gpu_instance,
            setting: true,
        };
        self.vendor_vf_mut(vf)?.current = Some(current);
        Ok(Some(Ticket {
            uuid: vf.to_owned(),
            serial,
            due: self.next_turn(gpu),
            fault: self.faults.create.tick(),
        }))
    }

    /// Completes a write that assigns a type.
    pub fn finish_set(&mut self, ticket: &Ticket) -> Result<(), Errno> {
        let vf = self.vendor_vf_mut(&ticket.uuid)?;
        if vf.serial != ticket.serial {
            return Err(Errno::ENODEV);
        }
        if let Some(errno) = ticket.fault {
            vf.current = None;
            return Err(errno);
        }
        if let Some(current) = &mut vf.current {
            current.setting = false;
        }
        self.counters.created += 1;
        Ok(())
    }

    fn unset(&mut self, vf: &str) -> Result<(), Errno> {
        self.counters.remove_writes += 1;
        let state = self.vendor_vf(vf)?;
        let is_whole = state.current.as_ref().is_some_and(|c| !c.setting);
        if !is_whole || self.is_open(state.serial) {
            return Err(Errno::EPERM);
        }
        if state.is_leaving(self.faults.plugin_exit) {
            return Err(Errno::EBUSY);
        }
        if self.faults.stick_remove > 0 {
            self.faults.stick_remove -= 1;
            return Ok(());
        }
        if let Some(errno) = self.faults.remove.tick() {
            return Err(errno);
        }
        let state = self.vendor_vf_mut(vf)?;
        state.current = None;
        state.params.clear();
        self.counters.removed += 1;
        Ok(())
    }

    /// The first free placement for another vGPU of this type on a GPU, in MiB.
    pub fn free_place(&self, gpu: &str, spec: &TypeSpec) -> Option<u32> {
        let taken: Vec<(u32, u32)> = self
            .vfs_of(gpu)
            .filter_map(|vf| self.vendor_vfs.get(&vf.id)?.current.as_ref())
            .map(|c| (c.place, c.place + c.weight))
            .collect();
        let is_free = |start: &u32| {
            let end = start + spec.weight;
            taken.iter().all(|(from, to)| end <= *from || *start >= *to)
        };
        let every: Vec<u32> = (0..spec.max).map(|n| n * spec.weight).collect();
        let places = match self.mixed.contains(gpu) {
            true => self.mixed_places(gpu, spec).unwrap_or(every),
            false => every,
        };
        places.into_iter().find(is_free)
    }

    /// The placements of a type in mixed-size mode where they are not just multiples of its size.
    fn mixed_places(&self, gpu: &str, spec: &TypeSpec) -> Option<Vec<u32>> {
        let vf = self.vfs_of(gpu).next()?;
        let largest = vf.types.iter().map(|t| t.weight).max()?;
        let (_, _, ids) = MIXED_PLACES
            .iter()
            .find(|(region, size, _)| (region * 1024, size * 1024) == (largest, spec.weight))?;
        Some(ids.iter().map(|id| id * 1024).collect())
    }
}

/// Region, size and placement ids in GiB: the tables of NVIDIA's documentation (AI Enterprise 5.0, appendix B; those of
/// Ada for 1 GiB).
const MIXED_PLACES: [(u32, u32, &[u32]); 14] = [
    // Blackwell.
    (
        96,
        2,
        &[
            0, 3, 6, 9, 12, 15, 18, 21, 24, 27, 30, 33, 36, 39, 42, 45, 48, 51, 54, 57, 60, 63, 66,
            69, 72, 75, 78, 81, 84, 87, 90, 93,
        ],
    ),
    (48, 16, &[0, 32]),
    (48, 8, &[0, 16, 24, 40]),
    (48, 4, &[0, 8, 12, 20, 24, 32, 36, 44]),
    (
        48,
        2,
        &[0, 4, 6, 10, 12, 16, 18, 22, 24, 28, 30, 34, 36, 40, 42, 46],
    ),
    (
        48,
        1,
        &[0, 5, 6, 11, 12, 17, 18, 23, 24, 29, 30, 35, 36, 41, 42, 47],
    ),
    (24, 8, &[0, 16]),
    (24, 4, &[0, 8, 12, 20]),
    (24, 2, &[0, 4, 6, 10, 12, 16, 18, 22]),
    (80, 16, &[0, 24, 40, 64]),
    (80, 8, &[0, 12, 20, 32, 40, 52, 60, 72]),
    (40, 8, &[0, 12, 20, 32]),
    (94, 23, &[0, 24, 47, 71]),
    (94, 15, &[0, 32, 47, 79]),
];
