//! NVIDIA's vGPU device manager: named configurations, each a list of GPUs and how many vGPUs of
//! which type each of them has. A GPU that is told of has these and no others; where two entries mean
//! one GPU, the later one counts.

use super::super::fault::Faults;
use super::super::table::text_fault;
use super::super::yaml::{Item, Node, documents};
use super::super::{Amount, Declaration, GpuFacts, GpuName, LARGEST, Members, Reading, Source};
use super::{Groups, gpu, only_there};
use crate::error::Result;
use crate::nvidia::NVIDIA;
use crate::text::{nearest, quoted, shortened};

/// One entry of a configuration.
struct Entry<'f> {
    filter: Vec<u32>,
    devices: Devices,
    types: Vec<(&'f str, u32)>,
    line: usize,
}

enum Devices {
    All,
    Numbered(Vec<usize>),
}

/// Reads the configuration `select`, or the only one.
///
/// # Errors
/// All that is wrong with the file; a configuration that is not there.
pub fn read(file: &Source, select: Option<&str>, gpus: &[GpuFacts]) -> Result<Reading> {
    let mut faults = Faults::default();
    let documents = documents(&file.text, &mut faults);
    let mut entries = Vec::new();
    let mut label = String::new();
    match documents.as_slice() {
        [document] => {
            let configs = configs(document, &mut faults);
            let chosen = chosen(&configs, select);
            for (name, config) in &configs {
                let read = config_entries(name, config, &mut faults);
                if chosen.is_some_and(|(chosen, _)| chosen == *name) {
                    (label, entries) = (shortened(name), read);
                }
            }
            if !configs.is_empty() && chosen.is_none() {
                faults.add(1, missing(&configs, select));
            }
        }
        // That is a fault already.
        [] => {}
        [_, second, ..] => faults.add(second.line, "a second document, where one is expected"),
    }
    faults.settle(&file.name)?;
    Ok(declare(&label, &entries, gpus))
}

type Config<'f> = (&'f str, &'f Item);

fn chosen<'f>(configs: &[Config<'f>], select: Option<&str>) -> Option<Config<'f>> {
    match (select, configs) {
        (Some(label), _) => configs.iter().find(|(name, _)| *name == label).copied(),
        (None, [only]) => Some(*only),
        (None, _) => None,
    }
}

fn missing(configs: &[Config<'_>], select: Option<&str>) -> String {
    const SHOWN: usize = 20;
    let names: Vec<&str> = configs.iter().map(|(name, _)| *name).collect();
    let mut list = names.get(..SHOWN).unwrap_or(&names).join(", ");
    if names.len() > SHOWN {
        list += &format!(" and {} more", names.len() - SHOWN);
    }
    match select {
        None => format!("say which configuration with --select LABEL; there are {list}"),
        Some(label) => match nearest(label, names.iter().copied()) {
            Some(near) => {
                format!("no configuration {label:?}; did you mean {near}? There are {list}")
            }
            None => format!("no configuration {label:?}; there are {list}"),
        },
    }
}

/// The configurations of a document, after its version was seen to.
fn configs<'f>(document: &'f Item, faults: &mut Faults) -> Vec<Config<'f>> {
    only(document, "the file", &["version", "vgpu-configs"], faults);
    match document.get("version") {
        Some(version) if version.text() == Some("v1") => {}
        Some(version) => {
            let message = format!("version {} is not known here: v1 is", version.shown());
            faults.add(version.line, message);
        }
        None => faults.add(document.line, "the file does not say version: v1"),
    }
    let configs = document.get("vgpu-configs");
    let all: Vec<Config<'f>> = configs
        .map_or(&[][..], Item::entries)
        .iter()
        .map(|entry| (entry.key.as_str(), &entry.value))
        .collect();
    if all.is_empty() {
        let line = configs.map_or(document.line, |configs| configs.line);
        faults.add(
            line,
            "vgpu-configs must be a mapping with a configuration in it",
        );
    }
    all
}

fn only(item: &Item, place: &str, known: &[&str], faults: &mut Faults) {
    if !matches!(item.node, Node::Map(_)) {
        faults.add(
            item.line,
            format!("{place} must be a mapping, not {}", item.shown()),
        );
    }
    for entry in item.entries() {
        if known.contains(&entry.key.as_str()) {
            continue;
        }
        let next = match nearest(&entry.key, known.iter().copied()) {
            Some(word) => format!("did you mean {word}?"),
            None => format!("it takes {}", known.join(", ")),
        };
        let key = quoted(&entry.key);
        faults.add(entry.line, format!("{place} has no key {key}; {next}"));
    }
}

fn config_entries<'f>(label: &str, config: &'f Item, faults: &mut Faults) -> Vec<Entry<'f>> {
    if config.items().is_empty() {
        let message = format!(
            "{label} must be a list with an entry in it, not {}",
            config.shown()
        );
        faults.add(config.line, message);
    }
    let place = format!("an entry of {label}");
    let entries = config.items().iter();
    let entries = entries.filter_map(|item| {
        only(
            item,
            &place,
            &["device-filter", "devices", "vgpu-devices"],
            faults,
        );
        for key in ["devices", "vgpu-devices"] {
            if matches!(item.node, Node::Map(_)) && item.get(key).is_none() {
                faults.add(item.line, format!("{place} has no {key}"));
            }
        }
        Some(Entry {
            filter: item
                .get("device-filter")
                .map_or_else(Vec::new, |item| filter(item, faults)),
            devices: devices(item.get("devices")?, faults),
            types: types(item.get("vgpu-devices")?, faults),
            line: item.line,
        })
    });
    entries.collect()
}

/// PCI device and vendor in one number, one of them or a list.
fn filter(item: &Item, faults: &mut Faults) -> Vec<u32> {
    let all = match &item.node {
        Node::List(items) => items.as_slice(),
        _ => std::slice::from_ref(item),
    };
    let mut ids = Vec::new();
    for one in all {
        let digits = one.text().and_then(|text| text.strip_prefix("0x"));
        match digits.and_then(|digits| u32::from_str_radix(digits, 16).ok()) {
            Some(id) => ids.push(id),
            None if one.text() == Some("") => {}
            None => faults.add(
                one.line,
                format!(
                    "device-filter takes numbers such as 0x1EB810DE, not {}",
                    one.shown()
                ),
            ),
        }
    }
    ids
}

fn devices(item: &Item, faults: &mut Faults) -> Devices {
    if item.text() == Some("all") {
        return Devices::All;
    }
    if !matches!(item.node, Node::List(_)) {
        let message = format!(
            "devices takes all or a list such as [0, 1], not {}",
            item.shown()
        );
        faults.add(item.line, message);
    }
    let mut numbers = Vec::new();
    for one in item.items() {
        match one.number().and_then(|number| usize::try_from(number).ok()) {
            Some(number) => numbers.push(number),
            None => faults.add(
                one.line,
                format!("devices takes numbers from 0, not {}", one.shown()),
            ),
        }
    }
    Devices::Numbered(numbers)
}

fn types<'f>(item: &'f Item, faults: &mut Faults) -> Vec<(&'f str, u32)> {
    if !matches!(item.node, Node::Map(_)) {
        let message = format!(
            "vgpu-devices takes types and counts such as T4-1Q: 16, not {}",
            item.shown()
        );
        faults.add(item.line, message);
    }
    let mut types = Vec::new();
    for entry in item.entries() {
        if let Some(fault) = text_fault(&entry.key) {
            faults.add(entry.line, format!("a type is expected, {fault}"));
            continue;
        }
        match entry.value.number().filter(|count| *count <= LARGEST) {
            Some(count) => types.push((entry.key.as_str(), count)),
            None => {
                let message = format!(
                    "{} takes a count from 0 to {LARGEST}, not {}",
                    shortened(&entry.key),
                    entry.value.shown()
                );
                faults.add(entry.line, message);
            }
        }
    }
    types
}

impl Entry<'_> {
    /// Whether it means this GPU, which is at `index` among NVIDIA's.
    fn means(&self, gpu: &GpuFacts, index: usize) -> bool {
        let number = gpu
            .pci_ids
            .map(|(vendor, device)| u32::from(device) << 16 | u32::from(vendor));
        let passes = self.filter.is_empty() || number.is_some_and(|id| self.filter.contains(&id));
        passes
            && match &self.devices {
                Devices::All => true,
                Devices::Numbered(numbers) => numbers.contains(&index),
            }
    }
}

fn declare(label: &str, entries: &[Entry<'_>], gpus: &[GpuFacts]) -> Reading {
    let is_nvidias = |gpu: &&GpuFacts| gpu.pci_ids.is_some_and(|(vendor, _)| vendor == NVIDIA);
    let (mut notes, mut covered) = (Vec::new(), Vec::new());
    let mut meant: Vec<Vec<GpuName>> = entries.iter().map(|_| Vec::new()).collect();
    for (index, one) in gpus.iter().filter(is_nvidias).enumerate() {
        let last = entries.iter().rposition(|entry| entry.means(one, index));
        match last.and_then(|at| meant.get_mut(at)) {
            Some(on) => {
                on.push(gpu(&one.id));
                covered.push(gpu(&one.id));
            }
            None => notes.push(format!("{} is not in {label} and stays as it is", one.id)),
        }
    }
    let mut groups = Groups::default();
    for (entry, on) in entries.iter().zip(&meant) {
        if on.is_empty() {
            notes.push(format!("line {}: no GPU of this host is meant", entry.line));
            continue;
        }
        for (type_name, count) in entry.types.iter().filter(|(_, count)| *count > 0) {
            let members = Members::PerGpu(Amount::Exactly(*count));
            groups.add(type_name, members, on, entry.line);
        }
    }
    Reading {
        declaration: Declaration {
            groups: groups.all,
            unlisted: only_there(covered),
        },
        notes,
    }
}
