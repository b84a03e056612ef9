//! OpenStack Nova's nova.conf: the types that a compute node may have, and the GPUs of each. Nova
//! makes a device when an instance needs it; here as many are declared as it could make, and what
//! it made itself is left alone.

use std::collections::{HashMap, HashSet};

use super::super::fault::Faults;
use super::super::table::text_fault;
use super::super::{Declaration, GpuFacts, GpuName, LARGEST, Reading, Source, Unlisted};
use super::ini::{Setting, settings};
use super::{Groups, gpu, up_to};
use crate::error::Result;
use crate::text::quoted;

/// Reads it.
///
/// # Errors
/// All that is wrong with the file.
pub fn read(file: &Source, gpus: &[GpuFacts]) -> Result<Reading> {
    let mut faults = Faults::default();
    let settings = settings(&file.text, &mut faults);
    // Of an option that is there twice the later one counts.
    let known = settings.iter();
    let known: HashMap<(&str, &str), &Setting> = known
        .map(|setting| ((setting.section.as_str(), setting.key.as_str()), setting))
        .collect();
    let enabled = ["enabled_mdev_types", "enabled_vgpu_types"];
    let enabled = enabled
        .iter()
        .find_map(|key| known.get(&("devices", *key)).copied());
    let mut notes = Vec::new();
    let types = enabled.map_or_else(Vec::new, Setting::list);
    if types.is_empty() {
        notes.push("the file has no [devices] enabled_mdev_types, so it wants no vGPUs".to_owned());
    }
    let (mut wishes, mut seen) = (Vec::new(), HashSet::new());
    for name in types {
        let sections = [format!("mdev_{name}"), format!("vgpu_{name}")];
        let find = |key| {
            let mut sections = sections.iter();
            sections.find_map(|section| known.get(&(section.as_str(), key)).copied())
        };
        let line = enabled.map_or(1, |setting| setting.line);
        if text_fault(name).is_some() || !seen.insert(name) {
            let message = format!("{} is no type, or is there twice", quoted(name));
            faults.add(line, message);
            continue;
        }
        if let Some(class) = find("mdev_class") {
            notes.push(format!("line {}: mdev_class is Nova's alone", class.line));
        }
        wishes.push(Wish {
            name,
            line,
            addresses: find("device_addresses"),
            most: find("max_instances").and_then(|setting| most(setting, &mut faults)),
        });
    }
    refuse_shared(&wishes, &mut faults);
    faults.settle(&file.name)?;
    Ok(declare(&wishes, gpus, notes))
}

/// A type that is enabled.
struct Wish<'f> {
    name: &'f str,
    line: usize,
    addresses: Option<&'f Setting>,
    most: Option<u32>,
}

fn most(setting: &Setting, faults: &mut Faults) -> Option<u32> {
    let number = setting.value.parse().ok();
    let number = number.filter(|number| (1..=LARGEST).contains(number));
    if number.is_none() {
        let message = format!(
            "max_instances takes a number from 1 to {LARGEST}, not {}",
            quoted(&setting.value)
        );
        faults.add(setting.line, message);
    }
    number
}

/// Nova does not start where two types want one GPU.
fn refuse_shared(wishes: &[Wish<'_>], faults: &mut Faults) {
    let mut owners: HashMap<&str, &str> = HashMap::new();
    for wish in wishes {
        let Some(addresses) = wish.addresses else {
            continue;
        };
        for address in addresses.list() {
            match owners.insert(address, wish.name) {
                Some(other) if other != wish.name => {
                    let message = format!(
                        "{} is {other}'s already: a device has one type",
                        quoted(address)
                    );
                    faults.add(addresses.line, message);
                }
                _ => {}
            }
        }
    }
}

fn declare(wishes: &[Wish<'_>], gpus: &[GpuFacts], mut notes: Vec<String>) -> Reading {
    let mut groups = Groups::default();
    let without = wishes.iter().find(|wish| {
        wish.addresses
            .is_none_or(|setting| setting.list().is_empty())
    });
    if let (Some(without), Some(first)) = (without, wishes.first()) {
        if wishes.len() > 1 {
            notes.push(format!(
                "{} has no device_addresses, so that Nova uses {} alone, on every GPU",
                without.name, first.name
            ));
        }
        let has = |gpu: &&GpuFacts| gpu.types.iter().any(|(id, _)| id.as_str() == first.name);
        let on: Vec<GpuName> = gpus.iter().filter(has).map(|one| gpu(&one.id)).collect();
        match on.is_empty() {
            true => notes.push(format!("no GPU of this host offers {}", first.name)),
            false => {
                groups.add(first.name, up_to(first.most), &on, first.line);
            }
        }
        return ended(groups, notes);
    }
    for wish in wishes {
        let addresses = wish.addresses.map_or_else(Vec::new, Setting::list);
        for (most, on) in by_room(&addresses, gpus, wish.most, &mut notes) {
            groups.add(wish.name, up_to(most), &on, wish.line);
        }
    }
    ended(groups, notes)
}

/// The GPUs at these addresses, those together that take as many. A virtual function takes one.
fn by_room(
    addresses: &[&str],
    gpus: &[GpuFacts],
    most: Option<u32>,
    notes: &mut Vec<String>,
) -> Vec<(Option<u32>, Vec<GpuName>)> {
    let mut rooms: Vec<(Option<u32>, Vec<GpuName>)> = Vec::new();
    let mut unknown: Vec<&str> = addresses.to_vec();
    for one in gpus {
        let is_here = |address: &&str| one.is_at(address);
        let functions = addresses.iter().filter(|address| is_here(address));
        let is_whole = addresses.iter().any(|address| one.id.as_str() == *address);
        let count = u32::try_from(functions.count()).unwrap_or(LARGEST);
        unknown.retain(|address| !is_here(address));
        if count == 0 {
            continue;
        }
        let room = match is_whole {
            true => most,
            false => Some(most.map_or(count, |most| most.min(count))),
        };
        match rooms.iter_mut().find(|(known, _)| *known == room) {
            Some((_, on)) => on.push(gpu(&one.id)),
            None => rooms.push((room, vec![gpu(&one.id)])),
        }
    }
    for address in unknown {
        notes.push(format!("this host has no GPU at {}", quoted(address)));
    }
    rooms
}

fn ended(groups: Groups, notes: Vec<String>) -> Reading {
    Reading {
        declaration: Declaration {
            groups: groups.all,
            unlisted: Unlisted::Keep,
        },
        notes,
    }
}
