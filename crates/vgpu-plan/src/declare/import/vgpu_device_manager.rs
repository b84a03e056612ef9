//! NVIDIA's vGPU device manager, as its version 0.5 reads its file: named configurations, each a list
//! of GPUs and how many vGPUs of which type each of them has. A GPU that is told of has these and no
//! others; where two entries mean one GPU, the later one counts.

use super::super::fault::Faults;
use super::super::table::text_fault;
use super::super::yaml_value::{Kind, Value, first_document};
use super::super::{Amount, Declaration, GpuFacts, GpuName, LARGEST, Members, Reading, Source};
use super::{Groups, gpu, only_there};
use vgpu_host::error::Result;
use vgpu_host::text::{nearest, quoted, shortened};

/// One entry of a configuration.
struct Entry<'f> {
    /// Nothing where every GPU passes.
    filter: Option<Vec<Filter>>,
    devices: Devices,
    types: Vec<(&'f str, u32)>,
    line: usize,
}

/// What a GPU must be.
#[derive(Clone, Copy)]
struct Filter {
    /// PCI device and vendor in one number.
    card: u32,
    /// The same of the board.
    board: Option<u32>,
}

enum Devices {
    All,
    Numbered(Vec<usize>),
}

/// Reads the configuration `select`, or the only one. What is wrong with others is told.
///
/// # Errors
/// All that is wrong with it; a configuration that is not there.
pub fn read(file: &Source, select: Option<&str>, gpus: &[GpuFacts]) -> Result<Reading> {
    let mut faults = Faults::default();
    let (mut entries, mut notes) = (Vec::new(), Vec::new());
    let mut label = String::new();
    let document = first_document(&file.text, &mut faults);
    if let Some(document) = &document {
        let configs = configs(document, &mut faults);
        let chosen = chosen(&configs, select);
        for (name, config) in &configs {
            let is_chosen = chosen.is_some_and(|(chosen, _)| chosen == *name);
            let mut wrong = Faults::default();
            let read = config_entries(name, config, &mut wrong);
            if is_chosen {
                (label, entries) = (shortened(name), read);
                faults.add_all(wrong);
            } else if let Some((line, message)) = wrong.first() {
                notes.push(format!(
                    "line {line}: {message}; NVIDIA's own program rejects the whole file because of this"
                ));
            }
        }
        if !configs.is_empty() && chosen.is_none() {
            faults.add(1, missing(&configs, select));
        }
    }
    faults.settle(&file.name)?;
    Ok(declare(&label, &entries, gpus, notes))
}

type Config<'f> = (&'f str, &'f Value);

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
        None => format!("choose a configuration with --select LABEL; available: {list}"),
        Some(label) => match nearest(label, names.iter().copied()) {
            Some(near) => {
                format!("no configuration {label:?}; did you mean {near}? Available: {list}")
            }
            None => format!("no configuration {label:?}; available: {list}"),
        },
    }
}

/// The configurations of a document, after its version was seen to.
fn configs<'f>(document: &'f Value, faults: &mut Faults) -> Vec<Config<'f>> {
    only(document, "the file", &["version", "vgpu-configs"], faults);
    match document.get("version") {
        Some(version) if version.text() == Some("v1") => {}
        Some(version) => {
            let message = format!("version {} is not supported, only v1 is", version.shown());
            faults.add(version.line, message);
        }
        None => faults.add(document.line, "the file does not set version: v1"),
    }
    let configs = document.get("vgpu-configs");
    let all: Vec<Config<'f>> = configs
        .map_or(&[][..], Value::entries)
        .iter()
        .map(|entry| (&*entry.key, &entry.value))
        .collect();
    if all.is_empty() {
        let line = configs.map_or(document.line, |configs| configs.line);
        faults.add(
            line,
            "vgpu-configs must be a mapping with at least one configuration",
        );
    }
    all
}

fn only(value: &Value, place: &str, known: &[&str], faults: &mut Faults) {
    if !value.is_map() {
        faults.add(
            value.line,
            format!("{place} must be a mapping, not {}", value.shown()),
        );
    }
    for entry in value.entries() {
        if known.contains(&&*entry.key) {
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

fn config_entries<'f>(label: &str, config: &'f Value, faults: &mut Faults) -> Vec<Entry<'f>> {
    if config.items().is_empty() {
        let message = format!(
            "{label} must be a list with at least one entry, not {}",
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
            if item.is_map() && item.get(key).is_none() {
                faults.add(item.line, format!("{place} has no {key}"));
            }
        }
        Some(Entry {
            filter: item
                .get("device-filter")
                .and_then(|item| filters(item, faults)),
            devices: devices(item.get("devices")?, faults),
            types: types(item.get("vgpu-devices")?, faults),
            line: item.line,
        })
    });
    entries.collect()
}

/// One filter or a list of them; nothing, an empty text and an empty list let every GPU pass. One
/// that is no number is taken and matches nothing.
fn filters(value: &Value, faults: &mut Faults) -> Option<Vec<Filter>> {
    let all = match &value.kind {
        Kind::Null => return None,
        Kind::Text(text) if text.is_empty() => return None,
        Kind::List(items) if items.is_empty() => return None,
        Kind::List(items) => items.as_slice(),
        _ => std::slice::from_ref(value),
    };
    let mut filters = Vec::new();
    for one in all {
        match &one.kind {
            Kind::Text(text) => filters.extend(filter(text)),
            Kind::Null => {}
            Kind::Whole(_) | Kind::Number(_) | Kind::Truth(_) => faults.add(
                one.line,
                format!(
                    "device-filter takes strings: quote it, as \"{}\"",
                    one.shown()
                ),
            ),
            Kind::List(_) | Kind::Map(_) => faults.add(
                one.line,
                format!(
                    "device-filter takes strings such as \"0x1EB810DE\", not {}",
                    one.shown()
                ),
            ),
        }
    }
    Some(filters)
}

/// Device and vendor as in `0x1EB810DE`, and after a colon the board's.
fn filter(text: &str) -> Option<Filter> {
    let (card, board) = match text.split_once(':') {
        Some((card, board)) => (card, Some(board)),
        None => (text, None),
    };
    Some(Filter {
        card: number(card)?,
        board: match board {
            Some(board) => Some(number(board)?),
            None => None,
        },
    })
}

/// A number of 32 bits in decimal, or with 0x, 0o or 0b; a leading zero makes it octal.
fn number(text: &str) -> Option<u32> {
    let lower = text.to_ascii_lowercase();
    let prefixes = [("0x", 16), ("0o", 8), ("0b", 2), ("0", 8), ("", 10)];
    let (rest, base) = prefixes.iter().find_map(|(prefix, base)| {
        let rest = lower.strip_prefix(prefix)?;
        (!rest.is_empty() || *prefix != "0").then_some((rest, *base))
    })?;
    // Go takes single underscores between digits, and one right after a prefix.
    let is_spaced =
        rest.contains("__") || rest.ends_with('_') || base == 10 && rest.starts_with('_');
    let digits = rest.replace('_', "");
    let is_number = !is_spaced && digits.bytes().all(|byte| byte.is_ascii_alphanumeric());
    is_number.then(|| u32::from_str_radix(&digits, base).ok())?
}

fn devices(value: &Value, faults: &mut Faults) -> Devices {
    match &value.kind {
        Kind::Text(text) if **text == *"all" => return Devices::All,
        Kind::List(_) => {}
        _ => {
            let message = format!(
                "devices takes all or a list such as [0, 1], not {}",
                value.shown()
            );
            faults.add(value.line, message);
        }
    }
    let mut numbers = Vec::new();
    for one in value.items() {
        match one.kind {
            // A number below 0 is taken, and no device's.
            Kind::Whole(number) => numbers.extend(usize::try_from(number)),
            Kind::Null => numbers.push(0),
            _ => faults.add(
                one.line,
                format!("devices takes numbers from 0, not {}", one.shown()),
            ),
        }
    }
    Devices::Numbered(numbers)
}

/// The types and how many of each; nothing empties the card.
fn types<'f>(value: &'f Value, faults: &mut Faults) -> Vec<(&'f str, u32)> {
    if !matches!(value.kind, Kind::Map(_) | Kind::Null) {
        let message = format!(
            "vgpu-devices takes types and counts such as T4-1Q: 16, not {}",
            value.shown()
        );
        faults.add(value.line, message);
    }
    let mut types = Vec::new();
    for entry in value.entries() {
        if text_fault(&entry.key).is_some() || !has_form(&entry.key) {
            let message = format!(
                "a type is written as T4-1Q or A100-1-5C, not {}: ids and GRID names are not accepted",
                quoted(&entry.key)
            );
            faults.add(entry.line, message);
            continue;
        }
        match entry.value.kind {
            Kind::Whole(count @ 1..) => {
                let count = u32::try_from(count).unwrap_or(LARGEST).min(LARGEST);
                types.push((&*entry.key, count));
            }
            _ => {
                let message = format!(
                    "{} must be a whole number from 1, not {}",
                    shortened(&entry.key),
                    entry.value.shown()
                );
                faults.add(entry.line, message);
            }
        }
    }
    let first = types.first().map(|(name, _)| is_sliced(name));
    if types.iter().any(|(name, _)| Some(is_sliced(name)) != first) {
        faults.add(
            value.line,
            "types with a MIG slice, such as A100-1-5C, and others cannot be combined on one GPU",
        );
    }
    types
}

/// What stands at the end of a type with a MIG slice for what its slice has.
const EXTENSIONS: [&str; 4] = ["MEALL", "NOME", "ME", "GFX"];

/// Whether a type of that form has a MIG slice.
fn is_sliced(name: &str) -> bool {
    let parts: Vec<&str> = name.split('-').collect();
    matches!(parts.as_slice(), [_, slices, _] if matches!(slices.as_bytes(), [b'1'..=b'9']))
}

/// A type's name as that program writes it: the card, maybe words after it, the size and the series;
/// before the size of one with a MIG slice, its slices.
fn has_form(name: &str) -> bool {
    let size = |part: &str| {
        let Some(digits) = part.strip_suffix(['A', 'B', 'C', 'Q']) else {
            return false;
        };
        let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        is_number && (digits == "0" || !digits.starts_with('0'))
    };
    let is_card = |part: &str| {
        let is_part = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit();
        !part.is_empty() && part.bytes().all(is_part)
    };
    let is_word =
        |part: &&str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphabetic());
    let parts: Vec<&str> = name.split('-').collect();
    let [card, words @ .., last] = parts.as_slice() else {
        return false;
    };
    if !is_card(card) {
        return false;
    }
    if words.iter().all(is_word) && size(last) {
        return true;
    }
    let is_slices = |slices: &str| matches!(slices.as_bytes(), [b'1'..=b'9']);
    let bare = EXTENSIONS.iter().find_map(|end| last.strip_suffix(end));
    matches!(words, [slices] if is_slices(slices)) && (size(last) || bare.is_some_and(size))
}

impl Entry<'_> {
    /// Whether it means this GPU, which has this number.
    fn means(&self, gpu: &GpuFacts, number: usize) -> bool {
        let pair = |(vendor, device): (u16, u16)| u32::from(device) << 16 | u32::from(vendor);
        let (card, board) = (gpu.pci_ids.map(pair), gpu.details.subsystem.map(pair));
        let admits = |filter: &Filter| {
            Some(filter.card) == card && (filter.board.is_none() || filter.board == board)
        };
        let passes = self
            .filter
            .as_ref()
            .is_none_or(|filters| filters.iter().any(admits));
        passes
            && match &self.devices {
                Devices::All => true,
                Devices::Numbered(numbers) => numbers.contains(&number),
            }
    }
}

/// The name under which a GPU offers a type: as the file has it, or without what its slice has.
fn offered<'f>(gpu: &GpuFacts, name: &'f str) -> &'f str {
    let has = |name: &str| gpu.types.iter().any(|(_, short)| short == name);
    let bare = EXTENSIONS.iter().find_map(|end| name.strip_suffix(end));
    match bare {
        Some(bare) if !has(name) && has(bare) => bare,
        _ => name,
    }
}

fn declare(
    label: &str,
    entries: &[Entry<'_>],
    gpus: &[GpuFacts],
    mut notes: Vec<String>,
) -> Reading {
    let mut covered = Vec::new();
    let mut meant: Vec<Vec<&GpuFacts>> = entries.iter().map(|_| Vec::new()).collect();
    let numbered = gpus
        .iter()
        .filter_map(|one| Some((one, one.details.nvidia_number?)));
    for (one, number) in numbered {
        let last = entries.iter().rposition(|entry| entry.means(one, number));
        match last.and_then(|at| meant.get_mut(at)) {
            Some(on) => {
                on.push(one);
                covered.push(gpu(&one.id));
            }
            None => notes.push(format!(
                "{} is not in {label} and is not changed; NVIDIA's own assert fails because of this",
                one.id
            )),
        }
    }
    let mut groups = Groups::default();
    for (entry, on) in entries.iter().zip(&meant) {
        if on.is_empty() {
            notes.push(format!(
                "line {}: it matches no GPU on this host",
                entry.line
            ));
            continue;
        }
        for (type_name, count) in &entry.types {
            let members = Members::PerGpu(Amount::Exactly(*count));
            let mut names: Vec<(&str, Vec<GpuName>)> = Vec::new();
            for one in on {
                let name = offered(one, type_name);
                match names.iter_mut().find(|(known, _)| *known == name) {
                    Some((_, on)) => on.push(gpu(&one.id)),
                    None => names.push((name, vec![gpu(&one.id)])),
                }
            }
            for (name, on) in names {
                groups.add(name, members.clone(), &on, entry.line);
            }
        }
    }
    Reading {
        declaration: Declaration {
            setups: Vec::new(),
            groups: groups.all,
            unlisted: only_there(covered, Vec::new()),
        },
        notes,
    }
}
