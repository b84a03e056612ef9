//! A host whose kernel is as strict as drivers are.

#![cfg(test)]

use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};

use uuid::Uuid;

use crate::declare::{GpuDetails, GpuFacts};
use crate::model::{
    Definition, Device, FrameworkKind, ParentId, Slot, StartMode, TypeId, VgpuType,
};
use crate::nvidia::{Layout, Region};
use crate::ops::execute::Step;
use crate::ops::plan::observe::{Gpu, World};
use crate::ops::plan::{Item, Plan};
use crate::store::Location;

/// What a GPU of the model is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Make {
    /// 8 GiB, one size at a time, types that describe themselves.
    Whole,
    /// The same, its four functions are the parents.
    Functions,
    /// Six functions that take types, of which only names are known.
    Vendor,
    /// Six ports; types of one and of two.
    Ports,
    /// An L40S in mixed-size mode with eight functions that take types.
    Mixed,
    /// An H100 in MIG mode that is cut as this row of [`CUTS`] says, with eight functions that take types.
    Mig(usize),
}

/// MIG-backed types: the end of the name, and the GPU instance of each of its vGPUs. Two share one kind of instance.
pub const MIG: [(&str, &str); 8] = [
    ("1-10C", "1g.10gb"),
    ("1-10CME", "1g.10gb+me"),
    ("1-20C", "1g.20gb"),
    ("2-20C", "2g.20gb"),
    ("3-40C", "3g.40gb"),
    ("4-40C", "4g.40gb"),
    ("7-80C", "7g.80gb"),
    ("1-10C", "1g.10gb"),
];

/// Sets of GPU instances that NVIDIA's driver creates on an H100 with 80 GiB.
pub const CUTS: [&[&str]; 9] = [
    &["7g.80gb"],
    &["4g.40gb", "3g.40gb"],
    &["3g.40gb", "3g.40gb"],
    &["3g.40gb", "2g.20gb", "1g.10gb"],
    &["4g.40gb", "2g.20gb", "1g.10gb"],
    &["2g.20gb", "2g.20gb", "2g.20gb", "1g.10gb"],
    &["1g.20gb", "1g.20gb", "1g.20gb", "1g.20gb"],
    &["1g.10gb"; 7],
    &["1g.10gb+me", "1g.10gb", "1g.10gb", "2g.20gb"],
];

/// Size, most of them while all have one size, and placement IDs, in GiB: NVIDIA's tables for 48 GiB.
pub const L40S: [(u32, usize, &[u32]); 7] = [
    (48, 1, &[0]),
    (24, 2, &[0, 24]),
    (16, 3, &[0, 32]),
    (12, 4, &[0, 12, 24, 36]),
    (8, 6, &[0, 16, 24, 40]),
    (6, 8, &[0, 6, 12, 18, 24, 30, 36, 42]),
    (4, 12, &[0, 8, 12, 20, 24, 32, 36, 44]),
];

/// Where the driver puts one more of a size beside what is there, each a start and a size; `None` where it refuses.
pub fn place_on_l40s(there: &[(u32, u32)], gib: u32) -> Option<u32> {
    let (_, most, ids) = L40S.iter().find(|(size, ..)| *size == gib).unwrap();
    let is_free = |id: &&u32| {
        let is_apart = |(start, size): &(u32, u32)| **id + gib <= *start || start + size <= **id;
        there.iter().all(is_apart)
    };
    ids.iter()
        .find(is_free)
        .copied()
        .filter(|_| there.len() < *most)
}

#[derive(Debug, Clone)]
pub struct Host {
    pub gpus: Vec<(ParentId, Make)>,
    pub devices: Vec<Device>,
    pub definitions: Vec<Definition>,
    pub held: HashSet<Uuid>,
    /// Where vGPUs of GPUs in mixed-size mode start, in GiB.
    pub places: HashMap<Uuid, u32>,
}

impl Make {
    pub fn type_ids(self) -> Vec<TypeId> {
        let named = |names: &[&str]| names.iter().map(|name| name.parse().unwrap()).collect();
        match self {
            Make::Ports => named(&["port-1", "port-2"]),
            Make::Vendor => named(&["nvidia-11", "nvidia-12", "nvidia-14", "nvidia-18"]),
            Make::Mixed => {
                let id = |(gib, ..): &(u32, usize, &[u32])| format!("nvidia-{}", 1000 + gib);
                L40S.iter().map(|one| id(one).parse().unwrap()).collect()
            }
            Make::Mig(_) => {
                let id = |at: usize| format!("nvidia-20{at}").parse().unwrap();
                (1..=MIG.len()).map(id).collect()
            }
            _ => named(&[
                "nvidia-1",
                "nvidia-2",
                "nvidia-4",
                "nvidia-8",
                "nvidia-101",
                "nvidia-102",
            ]),
        }
    }

    /// What one takes of 8 or 48 GiB, or of six ports.
    pub fn cost(id: &TypeId) -> u32 {
        if let Some(gib) = id
            .as_str()
            .strip_prefix("nvidia-10")
            .filter(|gib| gib.len() == 2)
        {
            return gib.parse().unwrap();
        }
        id.as_str().chars().last().unwrap().to_digit(10).unwrap()
    }

    /// The MIG-backed type of this id.
    pub fn mig(id: &TypeId) -> Option<(&'static str, &'static str)> {
        let number: usize = id.as_str().strip_prefix("nvidia-20")?.parse().ok()?;
        Some(MIG[number - 1])
    }

    /// Whether vGPUs are types of its functions, which are no parents.
    pub fn takes_types(self) -> bool {
        matches!(self, Make::Vendor | Make::Mixed | Make::Mig(_))
    }

    pub fn parents(self, gpu: &ParentId) -> Vec<ParentId> {
        match self {
            Make::Functions => (4..8)
                .map(|vf| {
                    gpu.as_str()
                        .replace(".0", &format!(".{vf}"))
                        .parse()
                        .unwrap()
                })
                .collect(),
            _ => vec![gpu.clone()],
        }
    }
}

impl Host {
    pub fn gpu_at(&self, parent: &ParentId) -> usize {
        let has = |(gpu, make): &(ParentId, Make)| make.parents(gpu).contains(parent);
        self.gpus.iter().position(has).unwrap()
    }

    fn on(&self, gpu: usize) -> Vec<&Device> {
        let here = |device: &&Device| self.gpu_at(&device.parent) == gpu;
        self.devices.iter().filter(here).collect()
    }

    fn free(&self, gpu: usize, id: &TypeId) -> u32 {
        let (on, make) = (self.on(gpu), self.gpus[gpu].1);
        let cost = Make::cost(id);
        let taken: u32 = on.iter().map(|device| Make::cost(&device.type_id)).sum();
        let count = u32::try_from(on.len()).unwrap();
        if make == Make::Ports {
            return (6 - taken) / cost;
        }
        if make == Make::Mixed {
            let is_free = count < 8 && place_on_l40s(&self.placed(gpu), cost).is_some();
            return u32::from(is_free);
        }
        if let Make::Mig(cut) = make {
            let instance = |id: &TypeId| Make::mig(id).unwrap().1;
            let own = instance(id);
            let all = CUTS[cut].iter().filter(|one| **one == own).count();
            let taken = on.iter().filter(|one| instance(&one.type_id) == own);
            return u32::try_from(all - taken.count()).unwrap().min(8 - count);
        }
        if on.iter().any(|device| Make::cost(&device.type_id) != cost) {
            return 0;
        }
        let by_size = 8 / cost - count;
        match make {
            Make::Functions => by_size.min(4 - count),
            Make::Vendor => by_size.min(6 - count),
            _ => by_size,
        }
    }

    pub fn make(&mut self, what: &Definition) -> Result<(), String> {
        let gpu = self.gpu_at(&what.parent);
        let make = self.gpus[gpu].1;
        if self.devices.iter().any(|device| device.uuid == what.uuid) {
            return Err(format!("{} is there", what.uuid));
        }
        let is_taken = |device: &Device| device.parent == what.parent;
        if make == Make::Functions && self.devices.iter().any(is_taken) {
            return Err(format!("{} is taken", what.parent));
        }
        if self.free(gpu, &what.type_id) == 0 {
            return Err(format!("{} has no room for {}", what.parent, what.type_id));
        }
        if make == Make::Mixed {
            let id = place_on_l40s(&self.placed(gpu), Make::cost(&what.type_id)).unwrap();
            self.places.insert(what.uuid, id);
        }
        let vf = || {
            let free = (4..14).map(|vf| format!("0000:99:{vf:02x}.0").parse().unwrap());
            let mut free = free.filter(|vf| !self.devices.iter().any(|d| d.vf() == Some(vf)));
            free.next()
                .unwrap_or_else(|| "0000:99:1f.0".parse().unwrap())
        };
        self.devices.push(Device {
            uuid: what.uuid,
            parent: what.parent.clone(),
            type_id: what.type_id.clone(),
            slot: match make {
                _ if make.takes_types() => Slot::OwnVf(vf()),
                _ => Slot::Mdev,
            },
        });
        Ok(())
    }

    pub fn world(&self) -> World {
        let gpus = (0..self.gpus.len()).map(|at| self.gpu(at)).collect();
        let mut devices = self.devices.clone();
        devices.sort_by_key(|device| device.uuid);
        let mut definitions = self.definitions.clone();
        definitions.sort_by(|a, b| (&a.parent, a.uuid).cmp(&(&b.parent, b.uuid)));
        let mut world = World::of(gpus, devices, definitions);
        world.placements.clone_from(&self.places);
        world
    }

    /// The start and size of each vGPU on a GPU.
    pub fn placed(&self, gpu: usize) -> Vec<(u32, u32)> {
        let here = self.on(gpu).into_iter();
        here.map(|device| (self.places[&device.uuid], Make::cost(&device.type_id)))
            .collect()
    }

    /// Everything is gone, and what is defined to start at boot is started as restore does.
    pub fn reboot(&mut self) {
        self.devices.clear();
        self.places.clear();
        self.held.clear();
        let mut starting: Vec<Definition> = self.definitions.clone();
        starting.retain(|one| one.start == StartMode::Auto);
        starting.sort_by(|a, b| (&a.parent, a.uuid).cmp(&(&b.parent, b.uuid)));
        let mut seen = HashSet::new();
        starting.retain(|one| seen.insert(one.uuid));
        starting.sort_by_key(|one| {
            let is_mixed = self.gpus[self.gpu_at(&one.parent)].1 == Make::Mixed;
            let cost = is_mixed.then(|| Make::cost(&one.type_id));
            let named = one.framework == FrameworkKind::Vfio && one.vf.is_some();
            (Reverse(cost), !named, one.parent.clone(), one.uuid)
        });
        for one in starting {
            let _ = self.make(&one);
        }
    }

    fn gpu(&self, at: usize) -> Gpu {
        let (id, make) = &self.gpus[at];
        let types: Vec<VgpuType> = make
            .type_ids()
            .into_iter()
            .map(|type_id| self.vgpu_type(at, type_id))
            .collect();
        let parents = make.parents(id);
        Gpu {
            facts: GpuFacts {
                id: id.clone(),
                pci_ids: None,
                models: Vec::new(),
                functions: Vec::new(),
                beside: Vec::new(),
                types: Vec::new(),
                details: GpuDetails::default(),
            },
            framework: match make {
                _ if make.takes_types() => FrameworkKind::Vfio,
                _ => FrameworkKind::Mdev,
            },
            vendor_vfs: Vec::new(),
            functions: match make {
                Make::Functions => parents,
                _ => Vec::new(),
            },
            slots: match make {
                Make::Functions => Some(4),
                Make::Vendor => Some(6),
                Make::Mixed | Make::Mig(_) => Some(8),
                _ => None,
            },
            types,
            mixes_sizes: *make == Make::Mixed,
            is_mixed: *make == Make::Mixed,
            how_to_mix: None,
            unlocked: None,
            memory_mib: match make {
                Make::Vendor => Some(8192),
                Make::Mixed => Some(49152),
                Make::Mig(_) => Some(81920),
                _ => None,
            },
            region: (*make == Make::Mixed).then_some(Region {
                gib: 48,
                layout: Layout::Ada,
            }),
        }
    }

    fn vgpu_type(&self, at: usize, id: TypeId) -> VgpuType {
        let (make, cost) = (self.gpus[at].1, Make::cost(&id));
        let free = self.free(at, &id);
        let description = format!(
            "num_heads=4, frl_config=60, framebuffer={}M, max_resolution=1x1, max_instance={}",
            cost * 1024,
            (8 / cost).max(1)
        );
        let is_sized = matches!(make, Make::Whole | Make::Functions);
        let available = match make {
            // How often it fits on functions that only list it cannot be known.
            Make::Vendor | Make::Mixed => (free == 0).then_some(0),
            _ => Some(free),
        };
        VgpuType {
            name: match (make, Make::mig(&id)) {
                (Make::Ports, _) => None,
                (_, Some((name, _))) => Some(format!("NVIDIA H100XM-{name}").into()),
                _ => Some(format!("NVIDIA X-{cost}Q").into()),
            },
            description: is_sized.then(|| description.into()),
            available,
            at_least: available.unwrap_or(1),
            device_api: None,
            id,
        }
    }

    fn take(&mut self, step: &Step) -> Result<(), String> {
        match step {
            Step::Stop(device) => {
                assert!(
                    !self.held.contains(&device.uuid),
                    "a held device is touched"
                );
                let before = self.devices.len();
                self.places.remove(&device.uuid);
                self.devices.retain(|one| one != device);
                (self.devices.len() < before)
                    .then_some(())
                    .ok_or_else(|| format!("{} is not there", device.uuid))
            }
            Step::Forget(definition) | Step::Leave(definition) => {
                let before = self.definitions.len();
                self.definitions.retain(|one| one != definition);
                (self.definitions.len() < before)
                    .then_some(())
                    .ok_or_else(|| format!("{} is not defined", definition.uuid))
            }
            Step::Define(new, _) => {
                let at = Location::of(new);
                let is_there = self.definitions.iter().any(|one| Location::of(one) == at);
                self.definitions.push(new.clone());
                (!is_there)
                    .then_some(())
                    .ok_or_else(|| format!("{at:?} is defined"))
            }
            Step::Rewrite(both) => {
                let found = self.definitions.iter_mut().find(|one| **one == both.0);
                *found.ok_or("the definition is another")? = both.1.clone();
                Ok(())
            }
            Step::Make(what) => {
                if !self.definitions.contains(what) {
                    return Err(format!("{} is not defined so", what.uuid));
                }
                self.make(what)
            }
            Step::Delete(_) | Step::Note(_) | Step::Set(..) | Step::Tell(_) => {
                Err(format!("{step:?} is no step of a plan"))
            }
        }
    }

    pub fn carry_out(&mut self, plan: &Plan) -> Result<(), String> {
        let mut items: Vec<&Item> = plan.items.iter().collect();
        for frees in [true, false] {
            if !frees {
                // As apply does on each GPU.
                items.sort_by_key(|item| Reverse(Make::cost(&item.type_id)));
            }
            for step in items.iter().flat_map(|item| &item.steps) {
                if step.frees() == frees {
                    self.take(step)?;
                }
            }
        }
        Ok(())
    }
}
