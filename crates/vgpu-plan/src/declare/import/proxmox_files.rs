//! Proxmox VE's files, line by line: a virtual machine's configuration, and the cluster's mappings.

use std::collections::HashMap;

use super::proxmox_line::{MapEntry, is_config_id, map_entry};

/// A setting of a virtual machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Setting<'f> {
    /// Its line, from 1.
    pub line: usize,
    /// Its key.
    pub key: &'f str,
    /// Its value.
    pub value: &'f str,
}

/// A line of a virtual machine's configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConfLine<'f> {
    /// A key and a value.
    Setting(Setting<'f>),
    /// None that Proxmox VE can read.
    Unreadable(usize, &'f str),
}

/// The lines that count now: what follows the first section are snapshots and changes that wait for
/// a restart. Comments are left out.
pub fn current(text: &str) -> impl Iterator<Item = ConfLine<'_>> {
    let lines = text.split('\n').enumerate();
    let lines = lines.take_while(|(_, line)| !is_section(line));
    let is_said = |line: &str| !trimmed(line).is_empty() && !line.starts_with('#');
    let lines = lines.filter(move |(_, line)| is_said(line));
    lines.map(|(at, line)| match setting(at + 1, line) {
        Some(setting) => ConfLine::Setting(setting),
        None => ConfLine::Unreadable(at + 1, line),
    })
}

/// A heading in brackets; one whose bracket is not closed is a line that cannot be read.
fn is_section(line: &str) -> bool {
    let name = line
        .trim_ascii_end()
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    name.is_some_and(|name| !name.contains(']'))
}

fn trimmed(text: &str) -> &str {
    text.trim_ascii()
}

fn setting(line: usize, text: &str) -> Option<Setting<'_>> {
    let (key, value) = text.split_once(':')?;
    let name = key.trim_end_matches(|c: char| c.is_ascii_digit());
    let is_letter = |byte: u8| byte.is_ascii_lowercase() || matches!(byte, b'_' | b'-');
    let is_key = name.starts_with(|c: char| c.is_ascii_lowercase()) && name.bytes().all(is_letter);
    let is_value = !value.is_empty() && !trimmed(value).contains('\r');
    (is_key && is_value).then(|| Setting {
        line,
        key,
        value: trimmed(value),
    })
}

/// A mapping of the cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mapping<'f> {
    /// Where it is, on whatever node.
    pub entries: Vec<MapEntry<'f>>,
    /// Whether it says that mediated devices are made there.
    pub is_for_mdevs: bool,
    /// Lines that Proxmox VE leaves out, and why.
    pub left_out: Vec<(usize, String)>,
}

/// All mappings, by name.
pub type Mappings<'f> = HashMap<&'f str, Mapping<'f>>;

/// Reads the cluster's mappings: a name alone on its line, and below it, up to the first empty line,
/// what belongs to it. A name that is set twice means the last.
pub fn mappings(text: &str) -> Mappings<'_> {
    let mut found: Mappings<'_> = HashMap::new();
    let mut section: Option<(&str, Mapping<'_>)> = None;
    let mut says_mdev = false;
    let lines = text.split('\n').enumerate();
    for (at, line) in lines.filter(|(_, line)| !trimmed(line).starts_with('#')) {
        if line.is_empty() {
            found.extend(section.take());
            continue;
        }
        match &mut section {
            None => {
                let name = line.trim_ascii_end();
                // A heading that is no name hides what is below it.
                let is_heading = !name.is_empty() && !name.contains([' ', '\t', '\r']);
                section = is_heading.then(|| (name, Mapping::default()));
                says_mdev = false;
            }
            Some((_, mapping)) => {
                if !line.starts_with([' ', '\t']) {
                    let why =
                        "it follows another mapping without an empty line in between".to_owned();
                    mapping.left_out.push((at + 1, why));
                    continue;
                }
                let text = trimmed(line);
                let (key, value) = text.split_once([' ', '\t']).unwrap_or((text, ""));
                match key {
                    "map" => match map_entry(trimmed(value)) {
                        Ok(entry) => mapping.entries.push(entry),
                        Err(why) => mapping.left_out.push((at + 1, why)),
                    },
                    "mdev" if !says_mdev => {
                        says_mdev = true;
                        mapping.is_for_mdevs = matches!(trimmed(value), "" | "1");
                    }
                    _ => {}
                }
            }
        }
    }
    found.extend(section);
    found.retain(|name, _| is_config_id(name));
    found
}
