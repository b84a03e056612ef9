//! Old and new answers on random GPUs.

#![cfg(test)]

use std::collections::BTreeMap;

use super::{Bounds, Capacity, Limits, Queue, framebuffer_needed, holdings, instances_left};
use crate::model::VgpuType;
use crate::nvidia::Share;

#[path = "../../tests/shared/dice.rs"]
mod dice;
use dice::{Dice, seed};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Make {
    Described,
    Named,
    Mig,
    Ports,
}

#[derive(Debug)]
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
            capacity.stays(*at);
        }
        capacity
    }

    fn bounds(&self) -> Bounds {
        Bounds {
            memory_mib: self.limits.memory_mib,
            functions: self.limits.functions,
        }
    }
}

fn free_when_empty(wanted: &VgpuType, active: &[&VgpuType]) -> Option<u32> {
    if let Some(details) = wanted.details() {
        return Some(details.max_instances);
    }
    let is_alone = active.iter().all(|one| one.id == wanted.id);
    let taken = u32::try_from(active.len()).ok()?;
    wanted
        .available
        .filter(|_| is_alone)
        .map(|free| free + taken)
}

fn most(limits: &Limits, wanted: &VgpuType) -> Option<u32> {
    let fit = match wanted.share() {
        Share::Instance => instances_left(&[], wanted, limits.memory_mib),
        Share::Size(mib) => limits
            .memory_mib
            .and_then(|all| all.checked_div(mib))
            .and_then(|fit| u32::try_from(fit).ok()),
        Share::Unknown => None,
    };
    [limits.functions, fit].into_iter().flatten().min()
}

#[test]
#[allow(clippy::print_stdout)]
fn old_and_new_agree() {
    let seed = seed("VGPUCTL_CAPACITY_SEED");
    let mut counts: BTreeMap<String, (usize, String)> = BTreeMap::new();
    for pair in 0..20_000_u64 {
        let mut dice = Dice::new(seed.wrapping_add(pair));
        let gpu = Gpu::random(&mut dice);
        let active: Vec<&VgpuType> = gpu.held.iter().map(|at| &gpu.types[*at]).collect();
        let wanted: Vec<usize> = (0..dice.below(10))
            .map(|_| dice.below(gpu.types.len()))
            .collect();
        let mut old = Queue::now(active.clone(), &gpu.types).within(gpu.bounds());
        let mut new = gpu.capacity();
        let mut old_boot = Queue::after_reboot().within(gpu.bounds());
        let mut new_boot = gpu.capacity().at_next_boot();
        for at in wanted {
            let one = &gpu.types[at];
            let mut next = old.clone();
            let free = one.available;
            let too_much = || gpu.bounds().are_reached(&next.holdings(), one).then_some(0);
            let free = free.or_else(too_much);
            let before = next.admit(one, free);
            let after = new.clone().admit(at).map_err(|refusal| refusal.words());
            let key = |moment: &str, one: &Result<(), String>, other: &Result<(), String>| {
                let say = |one: &Result<(), String>| match one {
                    Ok(()) => "yes".to_owned(),
                    Err(why) => why
                        .rsplit_once("each), ")
                        .map_or(
                            why.rsplit_once("; ").map_or("held only", |(_, why)| why),
                            |(_, why)| why,
                        )
                        .chars()
                        .filter(|c| !c.is_ascii_digit())
                        .collect::<String>(),
                };
                format!("{moment} {:?}: {} / {}", gpu.make, say(one), say(other))
            };
            let entry = counts
                .entry(key("now", &before, &after))
                .or_insert_with(|| {
                    (
                        0,
                        format!(
                            "{:?} held {:?} queue {:?} wanted {at} free {:?} limits {:?}",
                            gpu.make,
                            gpu.held,
                            old.holdings()
                                .iter()
                                .map(|h| (h.vgpu_type.id.to_string(), h.count))
                                .collect::<Vec<_>>(),
                            one.available,
                            gpu.limits
                        ),
                    )
                });
            entry.0 += 1;
            if before.is_ok() && after.is_ok() {
                old = next;
                new.comes(at);
            }
            let free = free_when_empty(one, &active).or(most(&gpu.limits, one));
            let mut next = old_boot.clone();
            let before = next.admit(one, free);
            let after = new_boot
                .clone()
                .admit(at)
                .map_err(|refusal| refusal.words());
            let entry = counts
                .entry(key("boot", &before, &after))
                .or_insert_with(|| {
                    (
                        0,
                        format!(
                            "{:?} held {:?} queue {:?} wanted {at} free {:?} limits {:?}",
                            gpu.make,
                            gpu.held,
                            old_boot
                                .holdings()
                                .iter()
                                .map(|h| (h.vgpu_type.id.to_string(), h.count))
                                .collect::<Vec<_>>(),
                            one.available,
                            gpu.limits
                        ),
                    )
                });
            entry.0 += 1;
            if before.is_ok() && after.is_ok() {
                old_boot = next;
                new_boot.comes(at);
            }
        }
    }
    let _ = framebuffer_needed(&[]);
    let mut same = 0;
    for (key, (count, example)) in &counts {
        let (one, other) = key.split_once(": ").unwrap().1.split_once(" / ").unwrap();
        if one == other {
            same += count;
        } else {
            println!("{count:7} {key}\n        {example}");
        }
    }
    println!("same: {same}");
    let differ = counts.len();
    assert!(same > 100_000 && differ > 0);
}
