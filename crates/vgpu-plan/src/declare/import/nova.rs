//! OpenStack Nova's nova.conf, as Nova 29 and newer read it: the types that a compute node may have,
//! and the GPUs of each. Nova makes a device when an instance needs it; here as many are declared as
//! it could make, and what it made itself is left alone.

use std::collections::{HashMap, HashSet};

use super::super::fault::Faults;
use super::super::table::text_fault;
use super::super::{Declaration, GpuFacts, GpuName, LARGEST, Reading, Source, Unlisted};
use super::ini::{Setting, lowered, settings};
use super::{Groups, gpu, up_to};
use vgpu_host::error::Result;
use vgpu_host::model::ParentId;
use vgpu_host::text::{quoted, shortened};

/// The options of a type's section.
const ADDRESSES: &str = "device_addresses";
const MOST: &str = "max_instances";
const CLASS: &str = "mdev_class";

/// Reads it.
///
/// # Errors
/// All that is wrong with the file.
pub fn read(file: &Source, gpus: &[GpuFacts]) -> Result<Reading> {
    let mut faults = Faults::default();
    let settings = settings(&file.text, &mut faults);
    let options = Options::of(&settings);
    // The older name counts only where the newer one is not there at all.
    let enabled = ["enabled_mdev_types", "enabled_vgpu_types"];
    let enabled = enabled.iter().find_map(|key| options.get("devices", key));
    let mut notes = Vec::new();
    let mut types = enabled.map_or_else(Vec::new, |setting| setting.list(&mut faults));
    types.retain(|name| !name.is_empty());
    if types.is_empty() {
        notes.push(no_types(&settings));
    }
    let line = enabled.map_or(1, |setting| setting.line);
    let mut entries: Vec<Entry> = Vec::new();
    let mut taken: HashMap<String, String> = HashMap::new();
    for name in types {
        let known = entries.iter().position(|entry| entry.name == name);
        let at = known.unwrap_or(entries.len());
        if known.is_none() {
            entries.push(Entry::of(&name, line, &options, &mut faults));
        }
        // Nova goes through the list of a type that is set twice a second time.
        if let Some(entry) = entries.get(at) {
            check_all(entry, gpus, &mut taken, &mut faults);
        }
    }
    faults.settle(&file.name)?;
    tell_of_sections(&settings, &entries, &mut notes);
    Ok(declare(&entries, gpus, notes))
}

/// The options by section and name; of one that is set twice the later counts.
struct Options<'f>(HashMap<(&'f str, &'f str), &'f Setting>);

impl<'f> Options<'f> {
    fn of(settings: &'f [Setting]) -> Options<'f> {
        let settings = settings.iter();
        Options(
            settings
                .map(|setting| ((setting.section.as_str(), setting.key.as_str()), setting))
                .collect(),
        )
    }

    fn get(&self, section: &str, key: &str) -> Option<&'f Setting> {
        self.0.get(&(section, key)).copied()
    }
}

fn no_types(settings: &[Setting]) -> String {
    let mut note =
        "the file has no [devices] enabled_mdev_types, so it requests no vGPUs".to_owned();
    let mut settings = settings.iter();
    let dashed = settings.find(|one| {
        let key = one.key.to_lowercase();
        one.section == "devices" && key.contains("mdev") | key.contains("vgpu")
    });
    if let Some(other) = dashed {
        let key = quoted(&other.key);
        note += &format!("; line {}: {key} is not a Nova option", other.line);
    }
    note
}

/// A type that is enabled.
struct Entry {
    name: String,
    line: usize,
    addresses: Vec<String>,
    addresses_line: usize,
    most: Option<u32>,
}

impl Entry {
    fn of(name: &str, line: usize, options: &Options<'_>, faults: &mut Faults) -> Entry {
        if let Some(fault) = text_fault(name).filter(|_| !name.contains(char::is_control)) {
            let shown = quoted(name);
            faults.add(line, format!("a type is expected, {fault}: {shown}"));
        }
        let mdev = lowered(&format!("mdev_{name}"));
        let older = lowered(&format!("vgpu_{name}"));
        let addresses = options.get(&mdev, ADDRESSES);
        let addresses = addresses.or_else(|| options.get(&older, ADDRESSES));
        if let Some(class) = options.get(&mdev, CLASS) {
            check_class(class, faults);
        }
        let most = options.get(&mdev, MOST);
        Entry {
            name: name.to_owned(),
            line,
            addresses_line: addresses.map_or(line, |setting| setting.line),
            addresses: addresses.map_or_else(Vec::new, |setting| setting.list(faults)),
            most: most.and_then(|setting| setting.count(faults)),
        }
    }

    /// Its id on this GPU, where that offers it.
    fn is_of(&self, gpu: &GpuFacts) -> bool {
        gpu.types.iter().any(|(id, _)| id.as_str() == self.name)
    }
}

fn check_class(class: &Setting, faults: &mut Faults) {
    const LONGEST: usize = 255;
    let text = class.substituted(faults);
    let custom = text.strip_prefix("CUSTOM_").unwrap_or_default();
    let is_plain = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
    let is_custom = !custom.is_empty() && custom.chars().all(is_plain);
    if !(text == "VGPU" || is_custom) || text.chars().count() > LONGEST {
        let message = format!(
            "mdev_class takes VGPU, or CUSTOM_ and uppercase letters, not {}",
            quoted(&text)
        );
        faults.add(class.line, message);
    }
}

/// Nova does not start with an address of another form, nor with one that is listed twice, in one
/// list or in two.
fn check_all(
    entry: &Entry,
    gpus: &[GpuFacts],
    taken: &mut HashMap<String, String>,
    faults: &mut Faults,
) {
    let addresses = entry.addresses.iter();
    addresses.for_each(|address| check(address, entry, gpus, taken, faults));
}

fn check(
    address: &str,
    entry: &Entry,
    gpus: &[GpuFacts],
    taken: &mut HashMap<String, String>,
    faults: &mut Faults,
) {
    let is_known = address.is_empty() || gpus.iter().any(|gpu| is_virtual(&gpu.id, address));
    if !is_known && !has_pci_form(address) {
        let message = format!(
            "{ADDRESSES} takes addresses such as 0000:81:00.0, not {}: Nova does not start",
            quoted(address)
        );
        faults.add(entry.addresses_line, message);
    }
    let Some(other) = taken.get(address) else {
        taken.insert(address.to_owned(), entry.name.clone());
        return;
    };
    let whose = match *other == entry.name {
        true => "is listed twice".to_owned(),
        false => format!("already belongs to {}", shortened(other)),
    };
    let message = format!("{} {whose}: Nova does not start", quoted(address));
    faults.add(entry.addresses_line, message);
}

/// A parent that is no PCI device, as libvirt names it: `mtty_mtty`.
fn is_virtual(id: &ParentId, address: &str) -> bool {
    let rest = address.strip_suffix(id.as_str());
    !id.is_pci_address() && rest.is_some_and(|rest| rest.is_empty() || rest.ends_with('_'))
}

/// The form that Nova looks for, which has any character in the place of the dot.
fn has_pci_form(address: &str) -> bool {
    let chars: Vec<char> = address.chars().collect();
    let place = |(at, c): (usize, &char)| match at {
        4 | 7 => *c == ':',
        10 => true,
        11 => c.is_digit(8),
        _ => c.is_ascii_hexdigit(),
    };
    chars.len() == 12 && chars.iter().enumerate().all(place)
}

/// What a section says that Nova passes over.
fn tell_of_sections(settings: &[Setting], entries: &[Entry], notes: &mut Vec<String>) {
    let default = entries.iter().find(|entry| entry.addresses.is_empty());
    let mut before: Option<&Setting> = None;
    for setting in settings {
        let of = |prefix: &str| {
            let section = |entry: &&Entry| lowered(&format!("{prefix}{}", entry.name));
            let mut entries = entries.iter();
            entries.find(|entry| section(entry) == setting.section)
        };
        let (newer, older) = (of("mdev_"), of("vgpu_"));
        let line = setting.line;
        match setting.key.as_str() {
            CLASS if newer.is_some() => {
                let is_default = newer.map(|entry| &entry.name) == default.map(|entry| &entry.name);
                let more = match is_default {
                    true => ", which does not use it for the GPUs of a default type",
                    false => "",
                };
                notes.push(format!(
                    "line {line}: mdev_class only matters to Nova{more}"
                ));
            }
            MOST | CLASS if older.is_some() => {
                let (key, section) = (&setting.key, shortened(&setting.section));
                notes.push(format!(
                    "line {line}: Nova does not read {key} in [{section}]; put it in [mdev_...]"
                ));
            }
            key if key.len() == 4 && key.bytes().all(|byte| byte.is_ascii_hexdigit()) => {
                let list = before.filter(|before| before.key == ADDRESSES);
                if let Some(list) = list.filter(|list| list.section == setting.section) {
                    notes.push(format!(
                        "line {line}: it begins in the first column, so Nova reads it as an option named {key}, and the addresses of line {} end there: indent it",
                        list.line
                    ));
                }
                // Several such lines belong to the same list.
                continue;
            }
            _ => {}
        }
        before = Some(setting);
    }
}

/// The GPUs that have a type, and what each has for it: itself, or so many virtual functions.
type Places<'g> = Vec<(&'g GpuFacts, Option<u32>)>;

fn declare(entries: &[Entry], gpus: &[GpuFacts], mut notes: Vec<String>) -> Reading {
    let default = entries.iter().find(|entry| entry.addresses.is_empty());
    tell_the_rule(entries, default, &mut notes);
    let owner = owners(entries, gpus, default, &mut notes);
    let mut groups = Groups::default();
    for entry in entries {
        let is_dropped = entry.addresses.is_empty() && !is_same(default, entry);
        if is_dropped {
            continue;
        }
        let places: Places<'_> = gpus
            .iter()
            .filter_map(|one| {
                let has = |id: &&ParentId| owner.get(id).is_some_and(|by| by.name == entry.name);
                let count = one.functions.iter().filter(has).count();
                match one.functions.is_empty() {
                    true => has(&&one.id).then_some((one, None)),
                    false => (count > 0).then(|| (one, u32::try_from(count).ok())),
                }
            })
            .collect();
        for (most, on) in by_room(entry, &places, &mut notes) {
            groups.add(&entry.name, up_to(most), &on, entry.line);
        }
        let is_offered = gpus.iter().any(|gpu| entry.is_of(gpu));
        if !is_offered && !places.is_empty() | entry.addresses.is_empty() {
            notes.push(format!(
                "no GPU on this host offers {}",
                plainly(&entry.name)
            ));
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

fn is_same(default: Option<&Entry>, entry: &Entry) -> bool {
    default.is_some_and(|default| default.name == entry.name)
}

/// A type's name in a message, in quotes where it is an odd one.
fn plainly(name: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | ' ');
    match name.chars().all(is_plain) {
        true => shortened(name),
        false => quoted(name),
    }
}

/// Which of Nova's rules decides, where its versions differ.
fn tell_the_rule(entries: &[Entry], default: Option<&Entry>, notes: &mut Vec<String>) {
    match (entries, default) {
        ([first, _, ..], Some(default)) => {
            notes.push(format!(
                "{} has no device_addresses: as in Nova 29 and newer, it is the type of all GPUs not listed for another type (26 to 28 use only {}, on every GPU)",
                plainly(&default.name),
                plainly(&first.name),
            ));
            let others = entries.iter().filter(|entry| entry.addresses.is_empty());
            for other in others.filter(|entry| entry.name != default.name) {
                notes.push(format!(
                    "{} also has no device_addresses, so Nova does not use it",
                    plainly(&other.name)
                ));
            }
        }
        ([only], None) => notes.push(format!(
            "as in Nova 29 and newer, {} applies only to its device_addresses (26 to 28 use a single type on every GPU)",
            plainly(&only.name)
        )),
        _ => {}
    }
}

/// The type of each parent: the one that names it, else the default. Only those count that offer it.
fn owners<'a>(
    entries: &'a [Entry],
    gpus: &'a [GpuFacts],
    default: Option<&'a Entry>,
    notes: &mut Vec<String>,
) -> HashMap<&'a ParentId, &'a Entry> {
    let mut named: HashMap<&str, &Entry> = HashMap::new();
    for entry in entries {
        named.extend(entry.addresses.iter().map(|one| (one.as_str(), entry)));
    }
    let mut owners = HashMap::new();
    let mut met = HashSet::new();
    for one in gpus {
        let parents = match one.functions.as_slice() {
            [] => std::slice::from_ref(&one.id),
            functions => functions,
        };
        for parent in parents {
            let by_name = named.get_key_value(parent.as_str());
            let by_name = by_name.or_else(|| {
                let mut named = named.iter();
                named.find(|(address, _)| is_virtual(parent, address))
            });
            if let Some((address, entry)) = by_name {
                met.insert(*address);
                if !entry.is_of(one) {
                    notes.push(format!(
                        "{parent} does not offer {}: Nova creates none there",
                        plainly(&entry.name)
                    ));
                }
            }
            let entry = by_name.map(|(_, entry)| *entry).or(default);
            if let Some(entry) = entry.filter(|entry| entry.is_of(one)) {
                owners.insert(parent, entry);
            }
        }
    }
    for address in entries.iter().flat_map(|entry| &entry.addresses) {
        if !met.contains(address.as_str()) {
            notes.push(unmet(address, gpus));
        }
    }
    owners
}

/// Why an address means nothing on this host.
fn unmet(address: &str, gpus: &[GpuFacts]) -> String {
    if address.is_empty() {
        return "a list of device_addresses has an empty item, with which Nova before 34 does not start".to_owned();
    }
    let lower = address.to_lowercase();
    let is_there = gpus.iter().any(|one| one.is_at(&lower));
    let has_functions = gpus
        .iter()
        .any(|one| one.id.as_str() == address && !one.functions.is_empty());
    if has_functions {
        format!("{address} itself has no types, so Nova ignores it: list its virtual functions")
    } else if is_there {
        format!("Nova ignores {address}: write it in lower case, {lower}")
    } else {
        format!("this host has no GPU at {}", quoted(address))
    }
}

/// The GPUs of a type, those together that take as many. A limit is all GPUs' in common; one whose
/// room is above what the GPUs before it left is dropped as a whole. A virtual function takes one.
fn by_room(
    entry: &Entry,
    places: &Places<'_>,
    notes: &mut Vec<String>,
) -> Vec<(Option<u32>, Vec<GpuName>)> {
    let mut rooms: Vec<(Option<u32>, Vec<GpuName>)> = Vec::new();
    let mut left = entry.most;
    for (one, functions) in places {
        let fits = match (functions, one.room_for(&entry.name)) {
            (Some(functions), _) => Some(left.map_or(*functions, |left| left.min(*functions))),
            (None, room) => match (left, room) {
                (None, _) => None,
                (Some(left), Some(room)) if room > left => Some(0),
                (Some(left), room) => Some(room.unwrap_or(left)),
            },
        };
        if fits == Some(0) {
            notes.push(format!(
                "Nova offers no {} on {}: its capacity exceeds what max_instances leaves ({})",
                plainly(&entry.name),
                one.id,
                left.unwrap_or_default()
            ));
            continue;
        }
        left = left.map(|left| left.saturating_sub(fits.unwrap_or_default()));
        let fits = fits.filter(|fits| *fits < LARGEST);
        match rooms.iter_mut().find(|(known, _)| *known == fits) {
            Some((_, on)) => on.push(gpu(&one.id)),
            None => rooms.push((fits, vec![gpu(&one.id)])),
        }
    }
    rooms
}
