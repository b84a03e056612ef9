//! Random hosts and random files, in a model of the kernel that is as strict as drivers are: what a
//! plan does is possible in its order, and after it there is nothing to do, or it is said why not.

#![cfg(test)]

use std::collections::{BTreeMap, HashMap, HashSet};

use uuid::Uuid;

use super::observe::{Gpu, World};
use super::resolve::{Identity, resolve};
use super::steps::Step;
use super::work::Draft;
use super::{Plan, Verdict};
use crate::declare::{
    Amount, Declaration, GpuChoice, GpuFacts, GpuName, Group, Member, Members, Unlisted,
};
use crate::error::{Error, Kind};
use crate::model::{
    Attr, Definition, Device, FrameworkKind, ParentId, Seat, StartMode, TypeId, VgpuType,
};
use crate::nvidia::Placement;
use crate::store::Location;

/// How many pairs of a host and a file.
const PAIRS: usize = 3000;

/// The seed: the environment's, a fixed one where a machine tests, else the clock's.
fn seed() -> u64 {
    if let Ok(seed) = std::env::var("VGPUCTL_PLAN_SEED") {
        return seed.parse().unwrap();
    }
    if std::env::var_os("CI").is_some() {
        return 1;
    }
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.unwrap().as_nanos() as u64 % 1_000_000_007
}

/// Random numbers (xorshift64*).
struct Dice(u64);

impl Dice {
    fn new(seed: u64) -> Dice {
        Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let number = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33;
        usize::try_from(number).unwrap() % end
    }

    fn is_one_in(&mut self, count: usize) -> bool {
        self.below(count) == 0
    }

    fn of<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[self.below(all.len())]
    }

    fn uuid(&mut self) -> Uuid {
        let half = |dice: &mut Dice| dice.below(1 << 30) as u64;
        Uuid::from_u64_pair(half(self), half(self))
    }
}

/// What a GPU of the model is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Make {
    /// 8 GiB, one size at a time, types that describe themselves.
    Whole,
    /// The same, its four functions are the parents.
    Functions,
    /// Six functions that take types, of which only names are known.
    Vendor,
    /// Six ports; types of one and of two.
    Ports,
}

#[derive(Debug, Clone)]
struct Host {
    gpus: Vec<(ParentId, Make)>,
    devices: Vec<Device>,
    definitions: Vec<Definition>,
    held: HashSet<Uuid>,
}

impl Make {
    fn type_ids(self) -> Vec<TypeId> {
        let named = |names: &[&str]| names.iter().map(|name| name.parse().unwrap()).collect();
        match self {
            Make::Ports => named(&["port-1", "port-2"]),
            Make::Vendor => named(&["nvidia-11", "nvidia-12", "nvidia-14", "nvidia-18"]),
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

    /// What one takes of 8 GiB, or of six ports.
    fn cost(id: &TypeId) -> u32 {
        id.as_str().chars().last().unwrap().to_digit(10).unwrap()
    }

    fn parents(self, gpu: &ParentId) -> Vec<ParentId> {
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
    fn random(dice: &mut Dice) -> Host {
        let count = 1 + dice.below(4);
        let makes = [
            Make::Whole,
            Make::Whole,
            Make::Functions,
            Make::Vendor,
            Make::Ports,
        ];
        let gpus = (0..count).map(|at| {
            let id = format!("0000:{:02x}:00.0", 0x41 + at).parse().unwrap();
            (id, *dice.of(&makes))
        });
        let mut host = Host {
            gpus: gpus.collect(),
            devices: Vec::new(),
            definitions: Vec::new(),
            held: HashSet::new(),
        };
        for _ in 0..dice.below(20) {
            host.add_random(dice);
        }
        host
    }

    fn add_random(&mut self, dice: &mut Dice) {
        let (gpu, make) = dice.of(&self.gpus).clone();
        let type_id = dice.of(&make.type_ids()).clone();
        let parent = dice.of(&make.parents(&gpu)).clone();
        let (uuid, start) = (dice.uuid(), *dice.of(&[StartMode::Auto, StartMode::Manual]));
        let mut definition = Definition::new(uuid, parent, type_id, start);
        if make == Make::Vendor {
            definition.framework = FrameworkKind::Vfio;
        }
        if dice.is_one_in(3) {
            definition.attrs.push("a=1".parse().unwrap());
        }
        if !dice.is_one_in(3) && self.make(&definition).is_ok() {
            if dice.is_one_in(4) {
                self.held.insert(uuid);
            }
            if dice.is_one_in(4) {
                return;
            }
        }
        self.definitions.push(definition);
    }

    fn gpu_at(&self, parent: &ParentId) -> usize {
        let has = |(gpu, make): &(ParentId, Make)| make.parents(gpu).contains(parent);
        self.gpus.iter().position(has).unwrap()
    }

    fn on(&self, gpu: usize) -> Vec<&Device> {
        let here = |device: &&Device| self.gpu_at(&device.parent) == gpu;
        self.devices.iter().filter(here).collect()
    }

    /// How many more of a type the driver lets in.
    fn free(&self, gpu: usize, id: &TypeId) -> u32 {
        let (on, make) = (self.on(gpu), self.gpus[gpu].1);
        let cost = Make::cost(id);
        let taken: u32 = on.iter().map(|device| Make::cost(&device.type_id)).sum();
        let count = u32::try_from(on.len()).unwrap();
        if make == Make::Ports {
            return (6 - taken) / cost;
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

    /// Makes a device, as a driver would.
    fn make(&mut self, what: &Definition) -> Result<(), String> {
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
        let vf = || {
            let free = (4..10).map(|vf| format!("0000:99:0{vf}.0").parse().unwrap());
            let mut free = free.filter(|vf| !self.devices.iter().any(|d| d.vf() == Some(vf)));
            free.next()
                .unwrap_or_else(|| "0000:99:1f.0".parse().unwrap())
        };
        self.devices.push(Device {
            uuid: what.uuid,
            parent: what.parent.clone(),
            type_id: what.type_id.clone(),
            seat: match make {
                Make::Vendor => Seat::OwnVf(vf()),
                _ => Seat::Mdev,
            },
        });
        Ok(())
    }

    fn world(&self) -> World {
        let gpus = (0..self.gpus.len()).map(|at| self.gpu(at)).collect();
        let mut devices = self.devices.clone();
        devices.sort_by_key(|device| device.uuid);
        let mut definitions = self.definitions.clone();
        definitions.sort_by(|a, b| (&a.parent, a.uuid).cmp(&(&b.parent, b.uuid)));
        World::of(gpus, devices, definitions)
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
                types: Vec::new(),
            },
            framework: match make {
                Make::Vendor => FrameworkKind::Vfio,
                _ => FrameworkKind::Mdev,
            },
            functions: match make {
                Make::Functions => parents,
                _ => Vec::new(),
            },
            seats: match make {
                Make::Functions => Some(4),
                Make::Vendor => Some(6),
                _ => None,
            },
            types,
            mixes_sizes: false,
            how_to_mix: None,
            unlocked: None,
            memory_mib: (*make == Make::Vendor).then_some(8192),
        }
    }

    fn vgpu_type(&self, at: usize, id: TypeId) -> VgpuType {
        let (make, cost) = (self.gpus[at].1, Make::cost(&id));
        let free = self.free(at, &id);
        let description = format!(
            "num_heads=4, frl_config=60, framebuffer={}M, max_resolution=1x1, max_instance={}",
            cost * 1024,
            8 / cost
        );
        let is_sized = matches!(make, Make::Whole | Make::Functions);
        let available = match make {
            // How often it fits on functions that only list it cannot be known.
            Make::Vendor => (free == 0).then_some(0),
            _ => Some(free),
        };
        VgpuType {
            name: (make != Make::Ports).then(|| format!("NVIDIA X-{cost}Q")),
            description: is_sized.then_some(description),
            available,
            at_least: available.unwrap_or(1),
            device_api: None,
            id,
        }
    }

    /// Takes a step, or says why the kernel would not.
    fn take(&mut self, step: &Step) -> Result<(), String> {
        match step {
            Step::Stop(device) => {
                assert!(
                    !self.held.contains(&device.uuid),
                    "a held device is touched"
                );
                let before = self.devices.len();
                self.devices.retain(|one| one != device);
                (self.devices.len() < before)
                    .then_some(())
                    .ok_or_else(|| format!("{} is not there", device.uuid))
            }
            Step::Forget(definition) => {
                let before = self.definitions.len();
                self.definitions.retain(|one| one != definition);
                (self.definitions.len() < before)
                    .then_some(())
                    .ok_or_else(|| format!("{} is not defined", definition.uuid))
            }
            Step::Define(new) => {
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
        }
    }

    fn carry_out(&mut self, plan: &Plan) -> Result<(), String> {
        for frees in [true, false] {
            for step in plan.items.iter().flat_map(|item| &item.steps) {
                if step.frees() == frees {
                    self.take(step)?;
                }
            }
        }
        Ok(())
    }

    fn plan(&self, declaration: &Declaration) -> Result<Plan, Error> {
        let world = self.world();
        let id = "0123456789abcdef0123456789abcdef".parse().unwrap();
        let wanted = resolve(&world, declaration, &mut Identity::Known(id))?;
        let draft = Draft::of(&world, &wanted, &declaration.unlisted);
        let held: HashMap<Uuid, Error> = draft
            .may_stop()
            .filter(|device| self.held.contains(&device.uuid))
            .map(|device| (device.uuid, Error::new(Kind::InUse, "held")))
            .collect();
        Ok(draft.plan(&held))
    }

    fn random_file(&self, dice: &mut Dice) -> Declaration {
        let ids: Vec<GpuName> = self
            .gpus
            .iter()
            .map(|(id, _)| GpuName::Text(id.to_string()))
            .collect();
        let policies = [
            Unlisted::Keep,
            Unlisted::Remove,
            Unlisted::RemoveOwn,
            Unlisted::RemoveOn(vec![dice.of(&ids).clone()]),
        ];
        let mut free: Vec<Uuid> = self.definitions.iter().map(|one| one.uuid).collect();
        free.extend(self.devices.iter().map(|device| device.uuid));
        free.sort();
        free.dedup();
        Declaration {
            groups: (0..dice.below(4))
                .map(|at| self.random_group(dice, at, &ids, &mut free))
                .collect(),
            unlisted: dice.of(&policies).clone(),
        }
    }

    fn random_group(
        &self,
        dice: &mut Dice,
        at: usize,
        ids: &[GpuName],
        free: &mut Vec<Uuid>,
    ) -> Group {
        let (_, make) = dice.of(&self.gpus);
        let type_name = dice.of(&make.type_ids()).to_string();
        let count = u32::try_from(dice.below(6)).unwrap();
        let members = match dice.below(4) {
            0 => Members::Count(count),
            1 => Members::PerGpu(Amount::Exactly(count)),
            2 => Members::PerGpu(Amount::UpTo(count + 2)),
            _ => Members::Listed(
                (0..count)
                    .map(|index| match free.is_empty() || dice.is_one_in(2) {
                        true => Member::named(format!("m{index}").parse().unwrap()),
                        false => Member::given(free.swap_remove(dice.below(free.len()))),
                    })
                    .collect(),
            ),
        };
        Group {
            name: format!("g{at}").parse().unwrap(),
            type_name,
            members,
            gpus: match dice.is_one_in(2) {
                true => GpuChoice::Any,
                false => GpuChoice::These(vec![dice.of(ids).clone(), dice.of(ids).clone()]),
            },
            placement: *dice.of(&[Placement::Pack, Placement::Spread]),
            start: *dice.of(&[StartMode::Auto, StartMode::Auto, StartMode::Manual]),
            attrs: match dice.is_one_in(3) {
                true => vec!["a=1".parse::<Attr>().unwrap()],
                false => Vec::new(),
            },
            line: at + 1,
        }
    }
}

#[test]
#[allow(clippy::print_stdout)]
fn a_plan_that_is_carried_out_leaves_nothing_to_do_or_says_why() {
    let seed = seed();
    let pairs = std::env::var("VGPUCTL_PLAN_PAIRS").map_or(PAIRS, |pairs| pairs.parse().unwrap());
    println!("VGPUCTL_PLAN_SEED={seed}");
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for pair in 0..pairs {
        let mut dice = Dice::new(seed.wrapping_add(pair as u64));
        let mut host = Host::random(&mut dice);
        let declaration = host.random_file(&mut dice);
        let before = host.clone();
        let told = || format!("pair {pair} of seed {seed}: {before:#?}\n{declaration:#?}");
        let Ok(plan) = host.plan(&declaration) else {
            *counts.entry("refused").or_default() += 1;
            continue;
        };
        if let Err(fault) = host.carry_out(&plan) {
            panic!("{fault}\n{plan:#?}\n{}", told());
        }
        for uuid in &host.held {
            let of = |host: &Host| host.devices.iter().find(|d| d.uuid == *uuid).cloned();
            assert_eq!(of(&before), of(&host), "{}", told());
        }
        let mut next = host.plan(&declaration).unwrap();
        let has_ports = host.gpus.iter().any(|(_, make)| *make == Make::Ports);
        // How many ports a type takes is not known, so that room is believed in step by step.
        for _ in 0..4 {
            if next.has_work() && has_ports {
                *counts.entry("more steps").or_default() += 1;
                host.carry_out(&next).unwrap();
                next = host.plan(&declaration).unwrap();
            }
        }
        assert!(!next.has_work(), "{next:#?}\nafter {plan:#?}\n{}", told());
        let summary = plan.summary();
        let blocked = next.summary().blocked > 0;
        let key = match (plan.has_work(), blocked) {
            (true, false) => "done",
            (true, true) => "done but for what is blocked",
            (false, true) => "blocked",
            (false, false) => "nothing to do",
        };
        *counts.entry(key).or_default() += 1;
        *counts.entry("- created").or_default() += summary.create;
        *counts.entry("- changed").or_default() += summary.change;
        *counts.entry("- removed").or_default() += summary.remove;
        *counts.entry("- kept").or_default() += summary.keep;
        *counts.entry("- blocked").or_default() += summary.blocked;
        let is_taken_in = |verdict: &Verdict| match verdict {
            Verdict::Change(told) => told.iter().any(|line| line.starts_with("taken in")),
            _ => false,
        };
        let taken_in = plan.items.iter().filter(|item| is_taken_in(&item.verdict));
        *counts.entry("- taken in").or_default() += taken_in.count();
    }
    println!("{pairs} pairs: {counts:#?}");
    for key in [
        "done",
        "blocked",
        "nothing to do",
        "- taken in",
        "- removed",
    ] {
        assert!(counts.contains_key(key), "{key} never came up: {counts:?}");
    }
}
