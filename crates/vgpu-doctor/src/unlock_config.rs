//! `config.toml` of vgpu_unlock-rs, which both daemons read once, when they start.

use std::collections::BTreeSet;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::unlock_reads::device_number;
use super::unlock_toml::{File, Judged, Name, Reader, lint, table};
use super::{Facts, Finding, Severity};
use vgpu_host::text::{quoted, said, shortened, whole};

const READER: Reader = Reader {
    therefore: ENDS,
    unread: (Severity::Warning, "the daemons ignore it"),
};
const ENDS: &str = "the daemons exit at once";
const KEYS: [&str; 3] = ["unlock", "unlock_migration", "pci_info_map"];
const CARD_KEYS: [&str; 2] = ["device_id", "sub_system_id"];

/// `config.toml`.
pub fn unlock_config(facts: &Facts<'_>) -> Vec<Finding> {
    let judge = |file: &File<'_>, top: &DeTable<'_>| {
        let mut judged = Judged::default();
        for (name, value) in top {
            match name.get_ref().as_ref() {
                switch @ ("unlock" | "unlock_migration") => {
                    judge_switch(facts, file, (switch, name), value, &mut judged);
                }
                "pci_info_map" => pci_info_map(facts, file, name, value, &mut judged),
                _ => judged.taken.push(file.unknown(name, &KEYS, "key")),
            }
        }
        judged
    };
    lint(facts, &facts.settings.config, &READER, judge)
}

fn judge_switch(
    facts: &Facts<'_>,
    file: &File<'_>,
    (switch, name): (&str, &Name<'_>),
    value: &Spanned<DeValue<'_>>,
    judged: &mut Judged,
) {
    let at = name.span().start;
    match value.get_ref().as_bool() {
        Some(false) if switch == "unlock" && !facts.unlocked().is_empty() => {
            let message =
                "unlock = false: the unlock does nothing, but a card on this host needs it";
            judged
                .taken
                .push(file.at(Severity::Problem, at, message.to_owned()));
        }
        Some(_) => {}
        None => {
            let message = format!("{switch} must be true or false: {ENDS}");
            judged.refused.push(file.at(Severity::Problem, at, message));
        }
    }
}

fn pci_info_map(
    facts: &Facts<'_>,
    file: &File<'_>,
    name: &Name<'_>,
    value: &Spanned<DeValue<'_>>,
    judged: &mut Judged,
) {
    let wrong = |at: usize, message: String| file.at(Severity::Problem, at, message);
    let Some(map) = table(value) else {
        let message = format!("pci_info_map must contain tables: {ENDS}");
        judged.refused.push(wrong(name.span().start, message));
        return;
    };
    let mut seen = BTreeSet::new();
    for (device, entry) in map {
        let at = device.span().start;
        match device_number(device.get_ref()) {
            None => {
                let message = format!(
                    "{} is not a PCI device number: numbers are decimal, and hexadecimal ones \
                     need the prefix 0x: {ENDS}",
                    quoted(device.get_ref())
                );
                judged.refused.push(wrong(at, message));
            }
            Some(number) => {
                let doubt = match seen.insert(number) {
                    true => useless(facts, device.get_ref(), number),
                    false => Some("appears twice: the last one takes effect".to_owned()),
                };
                judged.taken.extend(doubt.map(|words| {
                    let message = format!("[pci_info_map.{}] {words}", shortened(device.get_ref()));
                    file.at(Severity::Warning, at, message)
                }));
            }
        }
        card(file, device, entry, judged);
    }
}

/// Why no card is ever looked for under a number.
fn useless(facts: &Facts<'_>, key: &str, number: u32) -> Option<String> {
    if number > u32::from(u16::MAX) {
        return Some("has no effect: PCI device numbers go up to 0xffff".to_owned());
    }
    let has = |number: u32| facts.gpus().any(|gpu| u32::from(gpu.device) == number);
    let meant = u32::from_str_radix(key.trim(), 16).ok()?;
    (meant != number && has(meant) && !has(number)).then(|| {
        format!(
            "is decimal, and means {number:#06x}: for the card on this host, write {meant:#06x}"
        )
    })
}

/// What a card is told to be: both numbers, and each fits.
fn card(file: &File<'_>, device: &Name<'_>, entry: &Spanned<DeValue<'_>>, judged: &mut Judged) {
    let place = format!("[pci_info_map.{}]", shortened(device.get_ref()));
    let wrong = |at: usize, message: String| file.at(Severity::Problem, at, message);
    let Some(numbers) = table(entry) else {
        let message = format!("{place} must be a table: {ENDS}");
        judged.refused.push(wrong(device.span().start, message));
        return;
    };
    for (key, value) in numbers {
        if !CARD_KEYS.contains(&key.get_ref().as_ref()) {
            judged.taken.push(file.unknown(key, &CARD_KEYS, "key"));
            continue;
        }
        let fits = whole(value.get_ref()).is_some_and(|number| u16::try_from(number).is_ok());
        if !fits {
            let message = format!(
                "{} in {place} must be a number from 0 to 0xffff, without quotes, not {}: {ENDS}",
                key.get_ref(),
                said(value.get_ref())
            );
            judged.refused.push(wrong(key.span().start, message));
        }
    }
    for wanted in CARD_KEYS {
        if !numbers.iter().any(|(key, _)| key.get_ref() == wanted) {
            let message = format!("{place} lacks {wanted}: {ENDS}");
            judged.refused.push(wrong(device.span().start, message));
        }
    }
}
