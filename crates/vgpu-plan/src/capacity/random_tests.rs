//! Random GPUs, and drivers that know how much truly is free.

#![cfg(test)]

use std::collections::BTreeMap;

use super::{Capacity, Limits, holdings, instances_left};
use crate::dice::{Dice, seed};
use vgpu_host::model::VgpuType;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Make {
    Described,
    Named,
    Mig,
    Ports,
}

#[derive(Debug, Clone)]
struct Gpu {
    make: Make,
    types: Vec<VgpuType>,
    held: Vec<usize>,
    limits: Limits,
}

fn one(id: String, name: &str, description: Option<String>) -> VgpuType {
    VgpuType {
        id: id.parse().unwrap(),
        name: Some(name.into()),
        description: description.map(Into::into),
        available: None,
        at_least: 0,
        device_api: None,
    }
}

const MIG: [(&str, u32); 5] = [
    ("H100-1-10C", 7),
    ("H100-1-20C", 4),
    ("H100-2-20C", 3),
    ("H100-3-40C", 2),
    ("H100-7-80C", 1),
];

impl Gpu {
    fn random(dice: &mut Dice) -> Gpu {
        let make = *dice.of(&[Make::Described, Make::Named, Make::Mig, Make::Ports]);
        let described = |mib: u64, max: u32| {
            format!(
                "num_heads=4, frl_config=60, framebuffer={mib}M, max_resolution=1x1, max_instance={max}"
            )
        };
        let types: Vec<VgpuType> = match make {
            Make::Described | Make::Named => [1_u64, 2, 4, 8]
                .iter()
                .flat_map(|gib| {
                    let text = (make == Make::Described)
                        .then(|| described(gib * 1024, 8 / u32::try_from(*gib).unwrap()));
                    ["Q", "C"].map(|s| {
                        one(
                            format!("nvidia-{gib}{}", if s == "Q" { 1 } else { 2 }),
                            &format!("NVIDIA X-{gib}{s}"),
                            text.clone(),
                        )
                    })
                })
                .collect(),
            Make::Mig => MIG
                .iter()
                .enumerate()
                .map(|(at, (name, max))| {
                    one(
                        format!("nvidia-{at}"),
                        &format!("NVIDIA {name}"),
                        dice.is_one_in(2).then(|| described(1, *max)),
                    )
                })
                .collect(),
            Make::Ports => vec![
                one("p-1".into(), "one", None),
                one("p-2".into(), "two", None),
            ],
        };
        let mut gpu = Gpu {
            make,
            types,
            held: Vec::new(),
            limits: Limits::default(),
        };
        if make == Make::Named {
            gpu.limits.functions = dice
                .is_one_in(2)
                .then(|| 1 + u32::try_from(dice.below(8)).unwrap());
            gpu.limits.memory_mib = (!dice.is_one_in(4)).then_some(8192);
        }
        for _ in 0..dice.below(6) {
            let at = dice.below(gpu.types.len());
            if gpu.truly_free(at) > 0 {
                gpu.held.push(at);
            }
        }
        for at in 0..gpu.types.len() {
            let free = gpu.truly_free(at);
            let is_told = make != Make::Named || free == 0;
            gpu.types[at].available = is_told.then_some(free);
            gpu.types[at].at_least = free.min(if is_told { free } else { 1 });
        }
        gpu
    }

    fn truly_free(&self, at: usize) -> u32 {
        let cost = |at: usize| match self.make {
            Make::Described | Make::Named => 1_u32 << (at / 2),
            Make::Mig => 0,
            Make::Ports => u32::try_from(at).unwrap() + 1,
        };
        let count = u32::try_from(self.held.len()).unwrap();
        match self.make {
            Make::Described | Make::Named => {
                if self.held.iter().any(|other| cost(*other) != cost(at)) {
                    return 0;
                }
                let left = self.limits.functions.unwrap_or(99).saturating_sub(count);
                (8 / cost(at) - count.min(8 / cost(at))).min(left)
            }
            Make::Mig => {
                let held = holdings(self.held.iter().map(|at| &self.types[*at]));
                instances_left(&held, &self.types[at], None).unwrap_or(0)
            }
            Make::Ports => {
                let taken: u32 = self.held.iter().map(|at| cost(*at)).sum();
                6_u32.saturating_sub(taken) / cost(at)
            }
        }
    }

    fn capacity(&self) -> Capacity<'_> {
        let mut capacity = Capacity::of(&self.types, self.limits);
        for at in &self.held {
            capacity.stays(*at, None);
        }
        capacity
    }
}

/// What surely does not fit is refused, and of types that describe themselves nothing else: the
/// driver would agree with each answer, now and after all has gone.
#[test]
#[allow(clippy::print_stdout)]
fn a_gpu_is_said_to_be_full_exactly_where_it_is() {
    let seed = seed("VGPUCTL_CAPACITY_SEED");
    let mut counts: BTreeMap<(Make, &str), usize> = BTreeMap::new();
    for pair in 0..5_000_u64 {
        let mut dice = Dice::new(seed.wrapping_add(pair));
        let mut now = Gpu::random(&mut dice);
        let before = now.types.clone();
        let mut then = Gpu {
            held: Vec::new(),
            types: before.clone(),
            ..now.clone()
        };
        let empty = now.clone();
        let mut capacity = empty.capacity();
        let mut at_boot = empty.capacity().at_next_boot();
        for _ in 0..dice.below(10) {
            let at = dice.below(before.len());
            for (gpu, capacity) in [(&mut now, &mut capacity), (&mut then, &mut at_boot)] {
                let (fits, room) = (gpu.truly_free(at), capacity.room(at));
                let said = capacity.clone().admit(at);
                let told = || format!("pair {pair} of seed {seed}: {empty:?}, now {gpu:?}: {at}");
                let key = match (fits > 0, said.is_ok()) {
                    (true, true) => "fits",
                    (false, false) => "does not fit",
                    (true, false) => panic!("{said:?} though {fits} fit: {}", told()),
                    (false, true) => "is believed in",
                };
                if gpu.make == Make::Described {
                    assert_eq!(room.free, Some(fits), "{}", told());
                }
                *counts.entry((gpu.make, key)).or_default() += 1;
                if fits > 0 {
                    gpu.held.push(at);
                    capacity.comes(at);
                }
            }
        }
    }
    println!("{counts:#?}");
    for make in [Make::Described, Make::Named, Make::Mig, Make::Ports] {
        assert!(counts.contains_key(&(make, "fits")), "{counts:?}");
        assert!(counts.contains_key(&(make, "does not fit")), "{counts:?}");
    }
}
