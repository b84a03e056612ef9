//! Other programs' files, and what they declare.

mod cyborg;
mod ini;
mod kubevirt;
mod nova;
mod proxmox;
mod proxmox_files;
mod proxmox_line;
mod proxmox_slots;
mod vgpu_device_manager;

use std::collections::{HashMap, HashSet};

pub use proxmox_slots::{VmDevice, vm_devices};

use super::read::{Reading, refuse_long};
use super::{Amount, GpuChoice, GpuFacts, GpuName, Group, GroupName, Members, Source, Unlisted};
use crate::capacity::Placement;
use vgpu_host::error::{Error, Kind, Result};
use vgpu_host::model::{ParentId, StartMode, TypeId};

/// More are not told: a file that is odd throughout is of another kind.
const MOST_NOTES: usize = 100;

/// Whose file it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// NVIDIA's vGPU device manager.
    VgpuDeviceManager,
    /// KubeVirt's mediatedDevicesConfiguration.
    KubeVirt,
    /// OpenStack Nova's nova.conf.
    Nova,
    /// OpenStack Cyborg's cyborg.conf.
    Cyborg,
    /// Proxmox VE's configurations of virtual machines.
    Proxmox,
}

/// Reads files of that form, for a host with these GPUs, which are in the order of their addresses.
/// `select` is what the file leaves to its user: a label's name, a node's labels; of a cluster's
/// mappings, the node.
///
/// # Errors
/// All that is wrong with a file, each with its line; a choice that the files do not have.
pub fn import(
    format: Format,
    files: &[Source],
    select: Option<&str>,
    gpus: &[GpuFacts],
) -> Result<Reading> {
    files.iter().try_for_each(refuse_long)?;
    let mut reading = read(format, files, select, gpus)?;
    let more = reading.notes.len().saturating_sub(MOST_NOTES);
    if more > 0 {
        reading.notes.truncate(MOST_NOTES);
        reading.notes.push(format!("and {more} more"));
    }
    Ok(reading)
}

fn read(
    format: Format,
    files: &[Source],
    select: Option<&str>,
    gpus: &[GpuFacts],
) -> Result<Reading> {
    match (format, files) {
        (Format::VgpuDeviceManager, [file]) => vgpu_device_manager::read(file, select, gpus),
        (Format::KubeVirt, [file]) => kubevirt::read(file, select, gpus),
        (Format::Nova | Format::Cyborg, _) if select.is_some() => Err(Error::new(
            Kind::Usage,
            "this file format has nothing to select",
        )),
        (Format::Nova, [file]) => nova::read(file, gpus),
        (Format::Cyborg, [file]) => cyborg::read(file, gpus),
        (Format::Proxmox, files) => proxmox::read(files, select, gpus),
        _ => Err(Error::new(Kind::Usage, "this format takes one file")),
    }
}

/// The groups that a file comes to. Their names are made of the types, so that the UUIDs stay when
/// only the file's own labels change.
#[derive(Default)]
struct Groups {
    all: Vec<Group>,
    names: HashSet<GroupName>,
    numbers: HashMap<String, usize>,
}

impl Groups {
    /// One more group, on these GPUs.
    fn add(&mut self, type_name: &str, members: Members, on: &[GpuName], line: usize) {
        let gpus = GpuChoice::These(on.to_vec());
        self.put(type_name, members, gpus, line);
    }

    fn put(&mut self, type_name: &str, members: Members, gpus: GpuChoice, line: usize) {
        let name = self.name_for(type_name);
        self.all.push(Group {
            name,
            type_name: type_name.to_owned(),
            members,
            gpus,
            placement: Placement::Pack,
            start: StartMode::Auto,
            attrs: Vec::new(),
            line,
        });
    }

    /// The type as a name, with a number where the name is taken.
    fn name_for(&mut self, type_name: &str) -> GroupName {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        let plain = |c: char| if is_plain(c) { c } else { '-' };
        let base: String = type_name.chars().map(plain).take(48).collect();
        let base = base.trim_start_matches(|c: char| !c.is_ascii_alphanumeric());
        let base = if base.is_empty() { "type" } else { base };
        let number = self.numbers.entry(base.to_owned()).or_default();
        loop {
            *number += 1;
            let name = match number {
                1 => base.parse(),
                _ => format!("{base}.{number}").parse(),
            };
            // A base of the length above always makes a name.
            let name = name.unwrap_or_else(|_| GroupName::numbered(*number));
            if self.names.insert(name.clone()) {
                return name;
            }
        }
    }
}

/// A GPU by its address.
fn gpu(id: &ParentId) -> GpuName {
    GpuName::Text(id.as_str().to_owned())
}

/// As many as fit, or at most so many.
fn up_to(most: Option<u32>) -> Members {
    Members::PerGpu(most.map_or(Amount::MAX, Amount::UpTo))
}

/// What is not listed goes from these GPUs, unless it is of these types.
fn only_there(gpus: Vec<GpuName>, but: Vec<TypeId>) -> Unlisted {
    match gpus.is_empty() {
        true => Unlisted::Keep,
        false => Unlisted::RemoveOn { gpus, but },
    }
}
