//! Random hosts and random files, in a model of the kernel that is as strict as drivers are: what a
//! plan does is possible in its order, and after it there is nothing to do, or it is said why not.

#![cfg(test)]

mod chance;
mod model;
mod oracle;

use std::collections::{BTreeMap, HashMap, HashSet};

use uuid::Uuid;

use super::boot::without_room_at_boot;
use super::resolve::{Identity, Slot, Wanted, resolve};
use super::work::Draft;
use super::{Plan, Verdict};
use crate::declare::Declaration;
use crate::dice::{Dice, seed};
use crate::error::{Error, Kind};
use crate::model::StartMode;
use crate::ops::execute::Step;
use crate::store::Mark;
use model::{Host, Make};
use oracle::Oracle;

/// How many pairs of a host and a file.
const PAIRS: usize = 3000;

impl Host {
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
}

/// What starts at the next boot is what is foreseen. How many ports a type takes is not known, so there only that is
/// left out which has no room. Of what starts in MIG mode nothing is said here: how MIG is cut then is not known.
fn reboots_as_foreseen(host: &Host) -> Result<(), String> {
    let all = without_room_at_boot(&host.world(), &host.definitions);
    let left_out: HashSet<Uuid> = all.iter().map(|(uuid, _)| *uuid).collect();
    let mut after = host.clone();
    after.reboot();
    let is_active = |uuid: &Uuid| after.devices.iter().any(|device| device.uuid == *uuid);
    for one in host
        .definitions
        .iter()
        .filter(|one| one.start == StartMode::Auto)
    {
        let is_left_out = left_out.contains(&one.uuid);
        let (_, make) = host.gpus[host.gpu_at(&one.parent)];
        let is_right = match make {
            Make::Mig(_) => true,
            Make::Ports => !(is_left_out && is_active(&one.uuid)),
            _ => is_left_out != is_active(&one.uuid),
        };
        if !is_right {
            return Err(format!("{} at boot: {all:#?}, {after:#?}", one.uuid));
        }
    }
    Ok(())
}

#[test]
#[allow(clippy::print_stdout)]
fn a_plan_that_is_carried_out_leaves_nothing_to_do_or_says_why() {
    let seed = seed("VGPUCTL_PLAN_SEED");
    let pairs = std::env::var("VGPUCTL_PLAN_PAIRS").map_or(PAIRS, |pairs| pairs.parse().unwrap());
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for pair in 0..pairs {
        let mut dice = Dice::new(seed.wrapping_add(pair as u64));
        let mut host = Host::random(&mut dice);
        let declaration = host.random_file(&mut dice);
        let before = host.clone();
        let context = || format!("pair {pair} of seed {seed}: {before:#?}\n{declaration:#?}");
        let Ok(plan) = host.plan(&declaration) else {
            *counts.entry("refused").or_default() += 1;
            continue;
        };
        if let Err(fault) = host.carry_out(&plan) {
            panic!("{fault}\n{plan:#?}\n{}", context());
        }
        for uuid in &host.held {
            let of = |host: &Host| host.devices.iter().find(|d| d.uuid == *uuid).cloned();
            assert_eq!(of(&before), of(&host), "{}", context());
        }
        reboots_as_foreseen(&host)
            .unwrap_or_else(|fault| panic!("{fault}\n{plan:#?}\n{}", context()));
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
        assert!(
            !next.has_work(),
            "{next:#?}\nafter {plan:#?}\n{}",
            context()
        );
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
            Verdict::Change(differences) => differences
                .iter()
                .any(|line| line.starts_with("adopted as")),
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

/// How many small hosts are compared with what trying everything finds.
const SMALL_HOSTS: usize = 2000;

#[test]
#[allow(clippy::print_stdout)]
fn as_many_members_are_planned_as_can_be_active_and_all_of_them_are_made() {
    let seed = seed("VGPUCTL_PLAN_SEED");
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for number in 0..SMALL_HOSTS {
        let mut dice = Dice::new(seed.wrapping_add(number as u64));
        let host = Host::small(&mut dice);
        let declaration = host.small_file(&mut dice);
        let context = || format!("host {number} of seed {seed}: {host:#?}\n{declaration:#?}");
        let world = host.world();
        let id = "0123456789abcdef0123456789abcdef".parse().unwrap();
        let Ok(wanted) = resolve(&world, &declaration, &mut Identity::Known(id)) else {
            continue;
        };
        let best = Oracle::of(&host, &wanted, &declaration.unlisted).best();
        let plan = host.plan(&declaration).unwrap();
        let must = |group: &Wanted<'_>, slot: &Slot| {
            let has_device = host.devices.iter().any(|device| device.uuid == slot.uuid);
            group.group.start == StartMode::Auto || has_device
        };
        let is_planned = |group: &Wanted<'_>, slot: &Slot| {
            let mark = Mark::new(&group.group.name, &slot.key);
            let mut items = plan.items.iter();
            let item = items
                .find(|item| item.member.as_ref() == Some(&mark))
                .unwrap();
            !matches!(item.verdict, Verdict::Blocked(_))
        };
        let all = wanted
            .iter()
            .flat_map(|group| group.members.iter().map(move |slot| (group, slot)));
        let all: Vec<_> = all.filter(|(group, slot)| must(group, slot)).collect();
        let planned = all
            .iter()
            .filter(|(group, slot)| is_planned(group, slot))
            .count();
        assert_eq!(
            planned,
            best,
            "planned and possible: {plan:#?}\n{}",
            context()
        );
        let mut after = host.clone();
        after
            .carry_out(&plan)
            .unwrap_or_else(|fault| panic!("{fault}: {plan:#?}\n{}", context()));
        for item in &plan.items {
            let makes = item.steps.iter().any(|step| matches!(step, Step::Make(_)));
            let is_active = after.devices.iter().any(|device| device.uuid == item.uuid);
            assert!(
                is_active || !makes,
                "{} was promised: {}",
                item.uuid,
                context()
            );
            *counts.entry("promised and made").or_default() += usize::from(makes);
        }
        for uuid in &host.held {
            let of = |host: &Host| host.devices.iter().find(|d| d.uuid == *uuid).cloned();
            assert_eq!(of(&host), of(&after), "{}", context());
            *counts.entry("held and not touched").or_default() += 1;
        }
        reboots_as_foreseen(&after)
            .unwrap_or_else(|fault| panic!("{fault}\n{plan:#?}\n{}", context()));
        let mig = plan.items.iter().flat_map(|item| &item.steps);
        let mig = mig
            .filter(|step| matches!(step, Step::Make(what) if Make::mig(&what.type_id).is_some()));
        *counts.entry("MIG-backed and made").or_default() += mig.count();
        let key = match planned == all.len() {
            true => "hosts where all must members are planned",
            false => "hosts where some cannot be",
        };
        *counts.entry(key).or_default() += 1;
        *counts.entry("must members planned").or_default() += planned;
    }
    println!("seed {seed}: {counts:#?}");
    for key in [
        "hosts where all must members are planned",
        "hosts where some cannot be",
        "held and not touched",
        "MIG-backed and made",
    ] {
        assert!(counts.contains_key(key), "{key} never came up: {counts:?}");
    }
}
