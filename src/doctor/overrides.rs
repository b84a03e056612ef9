//! The settings of vgpu_unlock-rs, read as it reads them.

use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::facts::kinds::title;
use super::keys::{FRAMEBUFFER, KEYS, RESERVATION, fault, size};
use super::{Facts, Finding, Severity};
use crate::model::parse_uuid;
use crate::nvidia;
use crate::order::Order as _;
use crate::text::{Lines, nearest, quoted, shortened};

const MIB: u64 = 1 << 20;

/// A file of settings, and its lines.
struct File<'t> {
    path: &'t Path,
    lines: Lines<'t>,
}

impl File<'_> {
    /// What stands in the line of a place.
    fn words(&self, at: usize) -> String {
        let (line, words) = (self.lines.number(at), self.lines.words(at));
        format!("line {line}: {}", shortened(words))
    }

    fn at(&self, severity: Severity, at: usize, message: String) -> Finding {
        let finding = match severity {
            Severity::Problem => Finding::problem(message),
            _ => Finding::warning(message),
        };
        finding.seen(self.path, self.words(at))
    }
}

/// Reads and judges a file; nothing where it is not there, its syntax error where it has one.
fn lint(
    facts: &Facts<'_>,
    path: &Path,
    judge: impl Fn(&File<'_>, &DeTable<'_>) -> Vec<Finding>,
    therefore: &str,
) -> Vec<Finding> {
    let bytes = match facts.look.bytes(path) {
        Ok(Some(bytes)) => bytes,
        Ok(None) => return Vec::new(),
        Err(error) => return vec![Finding::unreadable(&error)],
    };
    let name = path
        .file_name()
        .and_then(|name| name.to_str())
        .unwrap_or_default();
    let text = match String::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => {
            let at = error.utf8_error().valid_up_to();
            let before = error.as_bytes().get(..at).unwrap_or_default();
            let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
            return vec![
                Finding::problem(format!("{name} is no text in UTF-8: {therefore}"))
                    .seen(path, format!("line {line}")),
            ];
        }
    };
    let file = File {
        path,
        lines: Lines::of(&text),
    };
    let table = match DeTable::parse(&text) {
        Ok(table) => table,
        Err(error) => {
            let at = error.span().map_or(0, |span| span.start);
            let message = format!("{name} is not TOML ({}): {therefore}", error.message());
            return vec![
                file.at(Severity::Problem, at, message)
                    .advise(edit(facts, path)),
            ];
        }
    };
    let mut found = judge(&file, table.get_ref());
    found.order_by_key(|finding| std::cmp::Reverse(finding.severity));
    match found.is_empty() {
        true => {
            vec![Finding::ok(format!("{name} is as the unlock wants it")).seen(path, "present")]
        }
        false => found
            .into_iter()
            .map(|finding| finding.advise(edit(facts, path)))
            .collect(),
    }
}

fn edit(facts: &Facts<'_>, path: &Path) -> String {
    format!("mend {}", facts.look.host.own_name(path).display())
}

/// `profile_override.toml`.
pub fn profile_override(facts: &Facts<'_>) -> Vec<Finding> {
    let memory = Memory::of(facts);
    let offered = facts.type_ids();
    let judge = |file: &File<'_>, top: &DeTable<'_>| {
        let mut found = Vec::new();
        for (name, value) in top {
            match (name.get_ref().as_ref(), value.get_ref().as_table()) {
                (kind @ ("profile" | "mdev" | "vm"), Some(each)) => {
                    for (who, settings) in each {
                        found.extend(odd_name(file, kind, who, &offered));
                        found.extend(entry(file, kind, who, settings, &memory));
                    }
                }
                ("profile" | "mdev" | "vm", None) => found.push(file.at(
                    Severity::Problem,
                    name.span().start,
                    format!(
                        "{} must hold tables, such as [profile.nvidia-259]",
                        name.get_ref()
                    ),
                )),
                // Some builds of the unlock read their own settings out of this one.
                ("custom", _) => {}
                (other, _) => found.push(unknown(
                    file,
                    name.span().start,
                    other,
                    &["profile", "mdev", "vm"],
                    "table",
                )),
            }
        }
        found
    };
    let path = facts.look.host.profile_override();
    lint(facts, &path, judge, "every VM's start fails")
}

fn unknown(file: &File<'_>, at: usize, name: &str, known: &[&str], what: &str) -> Finding {
    let meant = match nearest(name, known.iter().copied()) {
        Some(word) => format!("; did you mean {word}?"),
        None => String::new(),
    };
    let message = format!(
        "the {what} {} is not known, and ignored without a word{meant}",
        quoted(name)
    );
    file.at(Severity::Warning, at, message)
}

/// A profile, device or VM that no VM will ever match.
fn odd_name(
    file: &File<'_>,
    kind: &str,
    who: &Spanned<std::borrow::Cow<'_, str>>,
    offered: &[String],
) -> Option<Finding> {
    let name = who.get_ref();
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let (fits, wanted) = match kind {
        "profile" => (
            name.strip_prefix("nvidia-").is_some_and(is_number),
            "a type such as nvidia-259",
        ),
        "mdev" => (parse_uuid(name).is_ok(), "a UUID"),
        _ => (is_number(name), "a VM's number such as 100"),
    };
    if fits && kind == "profile" && !offered.is_empty() && !offered.iter().any(|id| id == name) {
        let message = format!(
            "[profile.{}] is used for nothing: no card here offers that type",
            shortened(name)
        );
        let finding = file.at(Severity::Warning, who.span().start, message);
        return Some(finding.run("vgpuctl types"));
    }
    (!fits).then(|| {
        let message = format!(
            "[{kind}.{}] is used for nothing: it must name {wanted}",
            shortened(name)
        );
        file.at(Severity::Warning, who.span().start, message)
    })
}

fn entry(
    file: &File<'_>,
    kind: &str,
    who: &Spanned<std::borrow::Cow<'_, str>>,
    settings: &Spanned<DeValue<'_>>,
    memory: &Memory,
) -> Vec<Finding> {
    let place = format!("[{kind}.{}]", shortened(who.get_ref()));
    let Some(table) = settings.get_ref().as_table() else {
        let message = format!("{place} must be a table");
        return vec![file.at(Severity::Problem, who.span().start, message)];
    };
    let mut found = Vec::new();
    for (key, value) in table {
        let name = key.get_ref().as_ref();
        match KEYS.iter().find(|(known, _)| *known == name) {
            None => {
                let known = KEYS.map(|(key, _)| key);
                found.push(unknown(file, key.span().start, name, &known, "key"));
            }
            Some((_, takes)) => {
                if let Some(fault) = fault(*takes, value.get_ref()) {
                    let message = format!("{name} in {place} {fault}: VMs with it do not start");
                    found.push(file.at(Severity::Problem, value.span().start, message));
                }
            }
        }
    }
    found.extend(too_large(file, &place, table, memory));
    found
}

/// The memory of the largest card that the settings can be for.
struct Memory(Option<(u64, String)>);

impl Memory {
    /// Of the unlocked cards, else of all that can be split; unknown where one's memory is.
    fn of(facts: &Facts<'_>) -> Memory {
        let cards = match facts.unlocked() {
            cards if cards.is_empty() => facts.candidates(),
            cards => cards,
        };
        let known: Option<Vec<(u64, String)>> = cards
            .iter()
            .map(|gpu| {
                let card = nvidia::card(gpu.vendor, gpu.device)?;
                Some((
                    card.memory_mib(),
                    format!("{} ({})", title(gpu), card.memory()),
                ))
            })
            .collect();
        Memory(known.and_then(|known| known.into_iter().max()))
    }
}

/// One VM's memory is framebuffer and reservation together, and all of it lies on one card.
fn too_large(
    file: &File<'_>,
    place: &str,
    table: &DeTable<'_>,
    memory: &Memory,
) -> Option<Finding> {
    let (card_mib, card) = memory.0.as_ref()?;
    let part = |name: &str| {
        let (key, value) = table.iter().find(|(key, _)| key.get_ref() == name)?;
        Some((key.span().start, size(value.get_ref())?))
    };
    let (framebuffer, reservation) = (part(FRAMEBUFFER), part(RESERVATION));
    let at = framebuffer.or(reservation)?.0;
    let bytes = |part: Option<(usize, u64)>| part.map_or(0, |(_, bytes)| bytes);
    let sum = bytes(framebuffer).saturating_add(bytes(reservation));
    (sum > card_mib * MIB).then(|| {
        let message = format!(
            "{FRAMEBUFFER} and {RESERVATION} in {place} make {}, more than {card} has",
            nvidia::size(sum.div_ceil(MIB))
        );
        file.at(Severity::Problem, at, message)
    })
}

/// `config.toml`.
pub fn unlock_config(facts: &Facts<'_>) -> Vec<Finding> {
    let judge = |file: &File<'_>, top: &DeTable<'_>| {
        let mut found = Vec::new();
        for (name, value) in top {
            let at = name.span().start;
            match name.get_ref().as_ref() {
                switch @ ("unlock" | "unlock_migration") => {
                    match value.get_ref().as_bool() {
                        Some(false) if switch == "unlock" && !facts.unlocked().is_empty() => {
                            found.push(file.at(
                            Severity::Problem,
                            at,
                            "unlock = false: the unlock does nothing, and a card here needs it".to_owned(),
                        ));
                        }
                        Some(_) => {}
                        None => found.push(file.at(
                            Severity::Problem,
                            at,
                            format!("{switch} takes true or false: the daemons end at once"),
                        )),
                    }
                }
                "pci_info_map" => found.extend(pci_info_map(file, name, value)),
                other => found.push(unknown(
                    file,
                    at,
                    other,
                    &["unlock", "unlock_migration", "pci_info_map"],
                    "key",
                )),
            }
        }
        found
    };
    let path = facts.look.host.unlock_config();
    lint(facts, &path, judge, "the daemons end at once")
}

fn pci_info_map(
    file: &File<'_>,
    name: &Spanned<std::borrow::Cow<'_, str>>,
    value: &Spanned<DeValue<'_>>,
) -> Vec<Finding> {
    let wrong = |at: usize, message: String| file.at(Severity::Problem, at, message);
    let Some(map) = value.get_ref().as_table() else {
        return vec![wrong(
            name.span().start,
            "pci_info_map must hold tables: the daemons end at once".to_owned(),
        )];
    };
    let mut found = Vec::new();
    for (device, entry) in map {
        let at = device.span().start;
        let digits = device.get_ref().trim_start_matches("0x");
        if u16::from_str_radix(digits, 16).is_err() {
            found.push(wrong(
                at,
                format!(
                    "{} is no PCI device number such as 0x1b06",
                    quoted(device.get_ref())
                ),
            ));
        }
        let Some(table) = entry.get_ref().as_table() else {
            found.push(wrong(
                at,
                format!(
                    "[pci_info_map.{}] must be a table",
                    shortened(device.get_ref())
                ),
            ));
            continue;
        };
        for (key, _) in table {
            let known = ["device_id", "sub_system_id"];
            if !known.contains(&key.get_ref().as_ref()) {
                found.push(unknown(
                    file,
                    key.span().start,
                    key.get_ref(),
                    &known,
                    "key",
                ));
            }
        }
    }
    found
}
