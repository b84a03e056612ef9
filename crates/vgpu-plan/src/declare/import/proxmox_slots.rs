//! The lines `hostpciN:` of a virtual machine, as Proxmox VE picks them.

use super::proxmox_files::{ConfLine, Setting, current};
use super::proxmox_line::{HostPci, hostpci, is_yes};
use vgpu_host::text::quoted;

/// It knows hostpci0 to hostpci15.
const MOST_INDEX: u64 = 15;

/// A line that Proxmox VE understands.
pub struct Slot<'f> {
    /// The number behind `hostpci`.
    pub index: u64,
    /// Its line, from 1.
    pub line: usize,
    /// What it says.
    pub said: HostPci<'f>,
}

/// The lines that count, in the order of their numbers, and whether the machine is a template; what
/// is to be said of others.
pub fn slots(text: &str) -> (Vec<Slot<'_>>, bool, Vec<(usize, String)>) {
    let mut slots: Vec<Slot<'_>> = Vec::new();
    let mut is_template = false;
    let mut notes = Vec::new();
    let mut note = |line: usize, text: String| notes.push((line, text));
    for line in current(text) {
        let Setting { line, key, value } = match line {
            ConfLine::Setting(setting) => setting,
            ConfLine::Unreadable(line, text) => {
                if text.trim_start().starts_with("hostpci") {
                    note(line, "Proxmox VE cannot read this line".to_owned());
                }
                continue;
            }
        };
        if key == "args" && (value.contains("-uuid") || value.contains("mdev")) {
            note(line, "args is ignored".to_owned());
        }
        if key == "template" {
            is_template = is_yes(value);
        }
        let Some(number) = key.strip_prefix("hostpci") else {
            continue;
        };
        let index = number.parse().ok();
        let index = index.filter(|at: &u64| *at <= MOST_INDEX && at.to_string() == number);
        let Some(index) = index else {
            let key = quoted(key);
            let known = format!("only hostpci0 to hostpci{MOST_INDEX}");
            note(line, format!("Proxmox VE does not know {key}, {known}"));
            continue;
        };
        match hostpci(value) {
            Err(why) => note(line, format!("Proxmox VE ignores this line: {why}")),
            Ok(said) => {
                if let Some(at) = slots.iter().position(|slot| slot.index == index) {
                    let before = slots.remove(at).line;
                    note(
                        before,
                        format!("overridden by hostpci{index} in line {line}"),
                    );
                }
                slots.push(Slot { index, line, said });
            }
        }
    }
    slots.sort_by_key(|slot| slot.index);
    (slots, is_template, notes)
}

/// A mediated device that a virtual machine's configuration asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VmDevice<'f> {
    /// The number behind `hostpci`.
    pub index: u64,
    /// Its line, from 1.
    pub line: usize,
    /// Its type.
    pub type_name: &'f str,
    /// Where it is to be, where the line itself says so.
    pub host: Option<&'f str>,
}

/// The mediated devices that Proxmox VE makes for a machine of this configuration.
pub fn vm_devices(text: &str) -> Vec<VmDevice<'_>> {
    let (slots, is_template, _) = slots(text);
    let running = slots.into_iter().filter(|_| !is_template);
    let devices = running.filter_map(|slot| {
        Some(VmDevice {
            index: slot.index,
            line: slot.line,
            type_name: slot.said.type_name?,
            host: slot.said.host,
        })
    });
    devices.collect()
}
