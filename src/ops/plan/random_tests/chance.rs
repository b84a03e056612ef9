//! Hosts and files by chance.

#![cfg(test)]

use std::collections::{HashMap, HashSet};

use uuid::Uuid;

use super::model::{CUTS, Host, Make};
use crate::capacity::Placement;
use crate::declare::{Amount, Declaration, GpuChoice, GpuName, Group, Member, Members, Unlisted};
use crate::dice::Dice;
use crate::model::{Attr, Definition, FrameworkKind, StartMode};

impl Host {
    pub fn random(dice: &mut Dice) -> Host {
        let count = 1 + dice.below(4);
        let makes = [
            Make::Whole,
            Make::Whole,
            Make::Functions,
            Make::Vendor,
            Make::Ports,
            Make::Mixed,
            Make::Mig(dice.below(CUTS.len())),
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
            places: HashMap::new(),
        };
        for _ in 0..dice.below(20) {
            host.add_random(dice);
        }
        host
    }

    /// Up to three GPUs and a few devices. Nothing is only defined on functions that are parents: it would keep them.
    pub fn small(dice: &mut Dice) -> Host {
        let makes = [
            Make::Whole,
            Make::Functions,
            Make::Vendor,
            Make::Mixed,
            Make::Mixed,
            Make::Mig(dice.below(CUTS.len())),
            Make::Mig(dice.below(CUTS.len())),
        ];
        let gpus = (0..1 + dice.below(3)).map(|at| {
            let id = format!("0000:{:02x}:00.0", 0x41 + at).parse().unwrap();
            (id, *dice.of(&makes))
        });
        let mut host = Host {
            gpus: gpus.collect(),
            devices: Vec::new(),
            definitions: Vec::new(),
            held: HashSet::new(),
            places: HashMap::new(),
        };
        for _ in 0..dice.below(6) {
            host.add_random(dice);
        }
        let active: HashSet<Uuid> = host.devices.iter().map(|device| device.uuid).collect();
        host.definitions.retain(|one| active.contains(&one.uuid));
        host
    }

    /// Up to six members, all of which must be.
    pub fn small_file(&self, dice: &mut Dice) -> Declaration {
        let mut file = self.random_file(dice);
        let mut left = 6;
        for group in &mut file.groups {
            group.members = match std::mem::replace(&mut group.members, Members::Count(0)) {
                Members::Listed(mut all) => {
                    all.truncate(left);
                    left -= all.len();
                    Members::Listed(all)
                }
                _ => {
                    let count = dice.below(left.min(4) + 1);
                    left -= count;
                    Members::Count(u32::try_from(count).unwrap())
                }
            };
        }
        file.unlisted = dice.of(&[Unlisted::Keep, Unlisted::Remove]).clone();
        file
    }

    fn add_random(&mut self, dice: &mut Dice) {
        let (gpu, make) = dice.of(&self.gpus).clone();
        let type_id = dice.of(&make.type_ids()).clone();
        let parent = dice.of(&make.parents(&gpu)).clone();
        let (uuid, start) = (uuid(dice), *dice.of(&[StartMode::Auto, StartMode::Manual]));
        let mut definition = Definition::new(uuid, parent, type_id, start);
        if make.takes_types() {
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

    pub fn random_file(&self, dice: &mut Dice) -> Declaration {
        let ids: Vec<GpuName> = self
            .gpus
            .iter()
            .map(|(id, _)| GpuName::Text(id.to_string()))
            .collect();
        let policies = [
            Unlisted::Keep,
            Unlisted::Remove,
            Unlisted::RemoveOwn,
            Unlisted::RemoveOn {
                gpus: vec![dice.of(&ids).clone()],
                but: Vec::new(),
            },
        ];
        let mut free: Vec<Uuid> = self.definitions.iter().map(|one| one.uuid).collect();
        free.extend(self.devices.iter().map(|device| device.uuid));
        free.sort();
        free.dedup();
        Declaration {
            setups: Vec::new(),
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

fn uuid(dice: &mut Dice) -> Uuid {
    let mut half = || dice.below(1 << 30) as u64;
    Uuid::from_u64_pair(half(), half())
}
