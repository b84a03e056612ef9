//! OpenStack Cyborg's cyborg.conf: what its generic mdev driver offers. Each `device_spec` of `[mdev]`
//! is a JSON object, or a list of them, that says which parents and which of their types are Cyborg's.
//! As with Nova as many are declared as could be made, and what is there otherwise is left alone.

use serde_json::{Map, Value};

use super::super::fault::Faults;
use super::super::table::text_fault;
use super::super::{Declaration, GpuFacts, GpuName, Reading, Source, Unlisted};
use super::ini::{Setting, settings};
use super::{Groups, gpu, up_to};
use vgpu_host::error::Result;
use vgpu_host::model::ParentId;
use vgpu_host::text::{quoted, shortened};

/// The driver that reads `[mdev]`.
const DRIVER: &str = "mdev_driver";
/// The keys under which types are named, and those that choose parents.
const TYPES: [&str; 2] = ["mdev_type", "mdev_types"];
const ADDRESSES: [&str; 2] = ["address", "addresses"];
const NUMBERS: [&str; 2] = ["vendor_id", "product_id"];
/// What stands for everything.
const ALL: &str = "*";

/// Reads it.
///
/// # Errors
/// All that is wrong with the file.
pub fn read(file: &Source, gpus: &[GpuFacts]) -> Result<Reading> {
    let mut faults = Faults::default();
    let settings = settings(&file.text, &mut faults);
    let mut notes = Vec::new();
    let specs = settings
        .iter()
        .filter(|one| one.section == "mdev" && one.key == "device_spec");
    let mut entries = Vec::new();
    for setting in specs {
        entries.extend(specified(setting, &mut faults, &mut notes));
    }
    // Of an option that is set twice the later counts.
    let drivers = settings
        .iter()
        .rfind(|one| one.section == "agent" && one.key == "enabled_drivers");
    let drivers = drivers.map_or_else(Vec::new, |setting| setting.list(&mut faults));
    faults.settle(&file.name)?;
    if entries.is_empty() {
        notes.push("the file has no [mdev] device_spec, so it requests no vGPUs".to_owned());
    } else if !drivers.iter().any(|driver| driver == DRIVER) {
        notes.push(format!(
            "[agent] enabled_drivers does not list {DRIVER}, so Cyborg ignores [mdev]"
        ));
    }
    Ok(declare(&entries, gpus, notes))
}

/// One object of a `device_spec`.
struct Entry {
    line: usize,
    types: Vec<String>,
    addresses: Vec<String>,
    vendor: Option<u16>,
    product: Option<u16>,
}

fn specified(setting: &Setting, faults: &mut Faults, notes: &mut Vec<String>) -> Vec<Entry> {
    let text = setting.substituted(faults);
    let line = setting.line;
    let objects = match serde_json::from_str(&text) {
        Ok(Value::Object(object)) => vec![object],
        Ok(Value::Array(items)) => {
            let mut objects = Vec::new();
            for item in items {
                match item {
                    Value::Object(object) => objects.push(object),
                    other => faults.add(line, not_an_object(&other)),
                }
            }
            objects
        }
        Ok(other) => {
            faults.add(line, not_an_object(&other));
            Vec::new()
        }
        Err(error) => {
            faults.add(line, format!("device_spec takes JSON: {error}"));
            Vec::new()
        }
    };
    let objects = objects.iter();
    objects
        .map(|object| entry(object, line, faults, notes))
        .collect()
}

fn not_an_object(value: &Value) -> String {
    format!(
        "device_spec takes an object such as {{\"address\": \"0000:81:00.0\", \"mdev_type\": \"nvidia-63\"}}, not {}",
        shortened(&value.to_string())
    )
}

fn entry(
    object: &Map<String, Value>,
    line: usize,
    faults: &mut Faults,
    notes: &mut Vec<String>,
) -> Entry {
    for key in object.keys().map(String::as_str) {
        if ![&TYPES[..], &ADDRESSES, &NUMBERS].concat().contains(&key) {
            notes.push(format!("line {line}: {} is ignored", quoted(key)));
        }
    }
    let mut number = |key: &str| {
        let text = object.get(key)?;
        let digits = text.as_str().filter(|text| *text != ALL);
        if text.as_str() == Some(ALL) {
            return None;
        }
        let digits = digits.map(|digits| digits.trim_start_matches("0x"));
        let number = digits.and_then(|digits| u16::from_str_radix(digits, 16).ok());
        if number.is_none() {
            let message = format!(
                "{key} takes four hexadecimal digits in quotes, such as \"10de\", not {text}"
            );
            faults.add(line, message);
        }
        number
    };
    let (vendor, product) = (number("vendor_id"), number("product_id"));
    let entry = Entry {
        line,
        types: texts(object, &TYPES, line, faults),
        addresses: texts(object, &ADDRESSES, line, faults),
        vendor,
        product,
    };
    for name in &entry.types {
        if let Some(fault) = text_fault(name) {
            faults.add(line, format!("a type is expected, {fault}"));
        }
    }
    entry
}

/// A text or a list of them, under one of these keys.
fn texts(
    object: &Map<String, Value>,
    keys: &[&str],
    line: usize,
    faults: &mut Faults,
) -> Vec<String> {
    let mut texts = Vec::new();
    for key in keys {
        let Some(value) = object.get(*key) else {
            continue;
        };
        let items = match value {
            Value::Array(items) => items.as_slice(),
            one => std::slice::from_ref(one),
        };
        for item in items {
            match item.as_str() {
                Some(text) => texts.push(text.to_owned()),
                None => faults.add(
                    line,
                    format!("{key} takes a quoted string, or a list of them, not {item}"),
                ),
            }
        }
    }
    texts
}

impl Entry {
    fn admits(&self, gpu: &GpuFacts) -> bool {
        let (vendor, product) = gpu.pci_ids.unzip();
        (self.vendor.is_none() || self.vendor == vendor)
            && (self.product.is_none() || self.product == product)
    }

    fn is_at(&self, parent: &ParentId) -> bool {
        let mut addresses = self.addresses.iter();
        let fits = |pattern: &String| matches(&pattern.to_lowercase(), parent.as_str());
        self.addresses.is_empty() || addresses.any(fits)
    }
}

/// Whether a name is one that a pattern means, where `*` stands for any part and `?` for a character.
fn matches(pattern: &str, name: &str) -> bool {
    let mut rest = name;
    let mut parts = pattern.split('*');
    let Some(first) = parts.next() else {
        return false;
    };
    let Some(after) = after(rest, first) else {
        return false;
    };
    rest = after;
    let parts: Vec<&str> = parts.collect();
    let Some((last, between)) = parts.split_last() else {
        return rest.is_empty();
    };
    for part in between {
        let ends = rest.char_indices().map(|(at, _)| at).chain([rest.len()]);
        let found = ends
            .filter_map(|at| rest.get(at..))
            .find_map(|from| self::after(from, part));
        match found {
            Some(after) => rest = after,
            None => return false,
        }
    }
    let length = last.chars().count();
    let skipped = rest.chars().count().checked_sub(length);
    let tail = skipped.and_then(|skipped| {
        let (at, _) = rest.char_indices().nth(skipped)?;
        rest.get(at..)
    });
    length == 0 || tail.and_then(|tail| self::after(tail, last)) == Some("")
}

/// What is left of a name after a part of a pattern, where it begins with it.
fn after<'n>(name: &'n str, part: &str) -> Option<&'n str> {
    let mut chars = name.chars();
    for wanted in part.chars() {
        let found = chars.next()?;
        if wanted != '?' && wanted != found {
            return None;
        }
    }
    Some(chars.as_str())
}

fn declare(entries: &[Entry], gpus: &[GpuFacts], mut notes: Vec<String>) -> Reading {
    let mut groups = Groups::default();
    let mut given: Vec<(&ParentId, &str)> = Vec::new();
    for entry in entries {
        let line = entry.line;
        if entry.types.is_empty() || entry.types.iter().any(|name| name == ALL) {
            notes.push(format!(
                "line {line}: it matches all types, so which types a GPU should have cannot be determined"
            ));
        }
        for name in entry.types.iter().filter(|name| *name != ALL) {
            let mut rooms: Vec<(Option<u32>, Vec<GpuName>)> = Vec::new();
            for one in gpus.iter().filter(|one| entry.admits(one)) {
                let offers = one.types.iter().any(|(id, _)| id.as_str() == name);
                let functions = one.functions.iter().filter(|vf| entry.is_at(vf)).count();
                let room = match one.functions.is_empty() {
                    true => entry.is_at(&one.id).then_some(None),
                    false => (functions > 0).then(|| u32::try_from(functions).ok()),
                };
                let Some(room) = room.filter(|_| offers) else {
                    continue;
                };
                if given.contains(&(&one.id, name)) {
                    continue;
                }
                if let Some((_, other)) = given.iter().find(|(id, _)| *id == &one.id) {
                    notes.push(format!(
                        "line {line}: {} already has {other}; {name} gets the remaining room",
                        one.id
                    ));
                }
                given.push((&one.id, name));
                match rooms.iter_mut().find(|(known, _)| *known == room) {
                    Some((_, on)) => on.push(gpu(&one.id)),
                    None => rooms.push((room, vec![gpu(&one.id)])),
                }
            }
            if rooms.is_empty() {
                notes.push(format!(
                    "line {line}: no matching GPU on this host offers {}",
                    shortened(name)
                ));
            }
            for (most, on) in rooms {
                groups.add(name, up_to(most), &on, line);
            }
        }
    }
    Reading {
        declaration: Declaration {
            setups: Vec::new(),
            groups: groups.all,
            unlisted: Unlisted::Keep,
        },
        notes,
    }
}
