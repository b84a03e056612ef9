//! `profile_override.toml` of vgpu_unlock-rs, which nvidia-vgpu-mgr reads whenever a VM starts.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::facts::kinds::title;
use super::facts::settings::{File as Settings, MOVED_BY};
use super::keys::{FRAMEBUFFER, KEYS, RESERVATION, counts_as_one, fault, size, too_long};
use super::unlock_toml::{File, Judged, Name, Reader, lint, table};
use super::{Facts, Finding, Severity};
use vgpu_host::model::{parse_uuid, uuid_text};
use vgpu_host::text::shortened;

const MIB: u64 = 1 << 20;

const READER: Reader = Reader {
    therefore: FAILS,
    unread: (Severity::Problem, FAILS),
};
const FAILS: &str = "every VM fails to start";

/// `profile_override.toml`, or what nvidia-vgpu-mgr reads instead.
pub fn profile_override(facts: &Facts<'_>) -> Vec<Finding> {
    let usual = &facts.settings.overrides;
    let own = facts.host.own_name(&usual.path);
    let Some(moved) = &facts.settings.moved else {
        let mut found = judged(facts, usual);
        // Where the other daemon alone was told of another file, somebody meant the one that counts.
        if let Some((_, seen)) = facts.vgpud.told(MOVED_BY) {
            let message = format!(
                "{MOVED_BY} is set only for nvidia-vgpud; VMs are started by nvidia-vgpu-mgr, \
                 which reads {}",
                own.display()
            );
            let finding = Finding::warning(message).seen_all([seen]);
            found.push(finding.advise("set it for nvidia-vgpu-mgr too"));
        }
        return found;
    };
    let (said, seen) = (&moved.said, [moved.seen.clone()]);
    if let Ok(None) = moved.file.bytes {
        let what = match said.as_str() {
            "" => "no file".to_owned(),
            file => format!("{file}, which does not exist"),
        };
        let message = format!("{MOVED_BY} names {what}: no overrides are in effect");
        return Finding::warning(message)
            .seen_all(seen)
            .advise("create the file, or unset the variable")
            .into();
    }
    let mut found = judged(facts, &moved.file);
    if moved.file.path != usual.path && !matches!(usual.bytes, Ok(None)) {
        let message = format!("{} is not read: {MOVED_BY} names {said}", own.display());
        found.push(Finding::note(message).seen_all(seen));
    }
    found
}

fn judged(facts: &Facts<'_>, settings: &Settings) -> Vec<Finding> {
    let memory = Memory::of(facts);
    let types = facts.parents.iter().flatten().flat_map(|(_, types)| types);
    let offered: Vec<&str> = types.flatten().map(|known| known.id.as_str()).collect();
    let branch = facts.driver.branch();
    let judge = |file: &File<'_>, top: &DeTable<'_>| {
        let mut judged = Judged::default();
        for (name, value) in top {
            match (name.get_ref().as_ref(), table(value)) {
                (kind @ ("profile" | "mdev" | "vm"), Some(each)) => {
                    for (who, settings) in each {
                        judged
                            .taken
                            .extend(odd_name(facts, file, (kind, who), &offered));
                        let place = format!("[{kind}.{}]", shortened(who.get_ref()));
                        let place = (place.as_str(), who);
                        entry(file, place, settings, branch, &mut judged);
                        let held = table(settings);
                        let large = held.and_then(|held| too_large(file, place.0, held, &memory));
                        judged.taken.extend(large);
                    }
                }
                (kind @ ("profile" | "mdev" | "vm"), None) => {
                    let message = format!(
                        "{kind} must contain tables, such as [profile.nvidia-259]: {FAILS}"
                    );
                    let at = name.span().start;
                    judged.refused.push(file.at(Severity::Problem, at, message));
                }
                // Some builds of the unlock read their own settings out of this one.
                ("custom", _) => {}
                _ => {
                    let known = ["profile", "mdev", "vm"];
                    judged.taken.push(file.unknown(name, &known, "table"));
                }
            }
        }
        judged
    };
    lint(facts, settings, &READER, judge)
}

/// A profile, device or VM that no VM will ever match. They are compared as texts.
fn odd_name(
    facts: &Facts<'_>,
    file: &File<'_>,
    (kind, who): (&str, &Name<'_>),
    offered: &[&str],
) -> Option<Finding> {
    let name = who.get_ref().as_ref();
    let useless = |why: String| {
        let message = format!("[{kind}.{}] has no effect: {why}", shortened(name));
        file.at(Severity::Warning, who.span().start, message)
    };
    match kind {
        "profile" => {
            let number = name.strip_prefix("nvidia-");
            if !number.is_some_and(|text| is_plain(text) && text.parse::<u32>().is_ok()) {
                return Some(useless("it must name a type such as nvidia-259".to_owned()));
            }
            (!offered.is_empty() && !offered.contains(&name)).then(|| {
                let finding = useless("no card on this host offers that type".to_owned());
                finding.run(format!("{} types", facts.program))
            })
        }
        "mdev" => match parse_uuid(name).map(uuid_text) {
            Ok(text) if text.as_str() == name => None,
            Ok(text) => Some(useless(format!(
                "UUIDs are compared as lower-case text: write {}",
                text.as_str()
            ))),
            Err(_) => Some(useless("it must name a UUID".to_owned())),
        },
        // The number is the last part of a UUID, twelve digits.
        _ => match (
            is_plain(name) && name.len() <= 12,
            name.trim_start_matches('0'),
        ) {
            (true, _) => None,
            (false, plain) if is_plain(plain) && plain.len() <= 12 => Some(useless(format!(
                "VM numbers are compared as text: write {plain}"
            ))),
            (false, _) => Some(useless("it must name a VM number such as 100".to_owned())),
        },
    }
}

/// Digits as a number is printed.
fn is_plain(text: &str) -> bool {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number && (text == "0" || !text.starts_with('0'))
}

fn entry(
    file: &File<'_>,
    (place, who): (&str, &Name<'_>),
    settings: &Spanned<DeValue<'_>>,
    branch: Option<u32>,
    judged: &mut Judged,
) {
    let Some(held) = table(settings) else {
        let message = format!("{place} must be a table: {FAILS}");
        let at = who.span().start;
        judged.refused.push(file.at(Severity::Problem, at, message));
        return;
    };
    for (key, value) in held {
        let (name, at) = (key.get_ref().as_ref(), value.span().start);
        let Some((_, takes)) = KEYS.iter().find(|(known, _)| *known == name) else {
            let known = KEYS.map(|(key, _)| key);
            judged.taken.push(file.unknown(key, &known, "key"));
            continue;
        };
        if let Some(fault) = fault(*takes, value.get_ref()) {
            let message = format!("{name} in {place} {fault}: {FAILS}");
            judged.refused.push(file.at(Severity::Problem, at, message));
        } else if let Some(long) = too_long(*takes, value.get_ref(), branch) {
            let severity = match long.is_certain {
                true => Severity::Problem,
                false => Severity::Warning,
            };
            let words = long.words;
            let message = format!("{name} in {place} {words}: VMs with it do not start");
            judged.taken.push(file.at(severity, at, message));
        } else if counts_as_one(*takes, value.get_ref()) {
            let message = format!("{name} in {place} is treated as 1");
            judged.taken.push(file.at(Severity::Note, at, message));
        }
    }
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
                let card = nvidia_vgpu::card(gpu.vendor, gpu.device)?;
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
            "{FRAMEBUFFER} and {RESERVATION} in {place} add up to {}, more than {card} has",
            nvidia_vgpu::size(sum.div_ceil(MIB))
        );
        file.at(Severity::Problem, at, message)
    })
}
