//! Proxmox VE's configurations of virtual machines: which vGPU each of them uses.
//!
//! Proxmox VE makes the device itself when the machine starts, takes one that is there already, and
//! removes it when the machine ends. So what is declared is not started at boot: a machine that is
//! off should take no memory of a GPU.

use std::collections::HashSet;
use std::path::Path;

use super::super::fault::Faults;
use super::super::{
    Declaration, GpuChoice, GpuFacts, GpuName, Member, Members, Reading, Source, Unlisted,
};
use super::proxmox_line::{Mappings, On, Wanted, gpu_at, mappings, wanted, whole_address};
use super::{Groups, gpu};
use crate::error::{Error, Kind, Result};
use crate::model::StartMode;
use crate::text::{quoted, shortened};

/// The name of the cluster's file of mappings.
const MAPPINGS: &str = "pci.cfg";

/// Reads machines' configurations, and the cluster's mappings where they are among the files.
///
/// # Errors
/// All that is wrong with the first file that makes no sense.
pub fn read(files: &[Source], gpus: &[GpuFacts]) -> Result<Reading> {
    let is_mapping = |file: &&Source| file_name(file) == MAPPINGS;
    let known: Option<Mappings<'_>> = files
        .iter()
        .find(is_mapping)
        .map(|file| mappings(&file.text));
    let mut import = Import {
        gpus,
        known,
        groups: Groups::default(),
        notes: Vec::new(),
        seen: HashSet::new(),
    };
    for file in files.iter().filter(|file| !is_mapping(file)) {
        import.machine(file)?;
    }
    Ok(Reading {
        declaration: Declaration {
            groups: import.groups.all,
            unlisted: Unlisted::Keep,
        },
        notes: import.notes,
    })
}

fn file_name(file: &Source) -> &str {
    let name = Path::new(&file.name).file_name();
    name.and_then(|name| name.to_str()).unwrap_or_default()
}

struct Import<'f> {
    gpus: &'f [GpuFacts],
    known: Option<Mappings<'f>>,
    groups: Groups,
    notes: Vec<String>,
    seen: HashSet<u64>,
}

impl<'f> Import<'f> {
    fn machine(&mut self, file: &'f Source) -> Result<()> {
        let name = file_name(file);
        let digits = name.strip_suffix(".conf").unwrap_or(name);
        let vmid = match digits.parse() {
            Ok(vmid) if self.seen.insert(vmid) => vmid,
            Ok(vmid) => {
                let message = format!("{}: VM {vmid} has a file already", file.name);
                return Err(Error::new(Kind::Usage, message));
            }
            Err(_) => {
                let message = format!("{}: the file's name does not say the VM's id", file.name);
                let hint =
                    "Proxmox VE names them so: 100.conf; the cluster's mappings are in pci.cfg";
                return Err(Error::new(Kind::Usage, message).hint(hint));
            }
        };
        let mut faults = Faults::default();
        // What follows the first section are snapshots and changes that wait for a restart.
        let lines = file.text.lines().enumerate();
        let lines = lines.take_while(|(_, line)| !line.starts_with('['));
        let mut indexes = HashSet::new();
        for (at, line) in lines {
            let Some((key, value)) = line.split_once(':').filter(|_| !line.starts_with('#')) else {
                continue;
            };
            let (at, value) = (at + 1, value.trim());
            if key == "args" && (value.contains("-uuid") || value.contains("mdev")) {
                let note = format!("{}:{at}: args is not looked at", file.name);
                self.notes.push(note);
            }
            let Some(index) = key.strip_prefix("hostpci") else {
                continue;
            };
            if let Err(message) = self.device(file, at, vmid, index, value, &mut indexes) {
                faults.add(at, message);
            }
        }
        faults.settle(&file.name)
    }

    fn device(
        &mut self,
        file: &Source,
        line: usize,
        vmid: u64,
        index: &str,
        value: &'f str,
        indexes: &mut HashSet<u64>,
    ) -> std::result::Result<(), String> {
        let index: u64 = index
            .parse()
            .map_err(|_| "hostpci has no number".to_owned())?;
        let Some(wanted) = wanted(value)? else {
            return Ok(());
        };
        if !indexes.insert(index) {
            return Err(format!("hostpci{index} is there twice"));
        }
        let member = Member::of_vm(vmid, index).map_err(|error| error.to_string())?;
        let place = format!("{}:{line}", file.name);
        if let Some(gpus) = self.gpus_of(&place, &wanted)? {
            self.put(wanted.type_name, member, gpus, line);
        }
        Ok(())
    }

    /// Where the device may be; nothing where that cannot be told, which becomes a note.
    fn gpus_of(
        &mut self,
        place: &str,
        wanted: &Wanted<'f>,
    ) -> std::result::Result<Option<GpuChoice>, String> {
        let (addresses, is_mapped) = match &wanted.on {
            On::Addresses(addresses) => (addresses, false),
            On::Mapping(name) => match self.known.as_ref().map(|known| known.get(name)) {
                Some(Some(addresses)) => (addresses, true),
                Some(None) => {
                    return Err(format!(
                        "there is no mapping {} in {MAPPINGS}",
                        quoted(name)
                    ));
                }
                None => {
                    self.notes.push(format!(
                        "{place}: the mapping {} cannot be resolved; give the cluster's mapping/{MAPPINGS} too",
                        shortened(name)
                    ));
                    return Ok(None);
                }
            },
        };
        let mut names: Vec<GpuName> = Vec::new();
        let mut notes = Vec::new();
        for address in addresses {
            let whole = whole_address(address)
                .ok_or_else(|| format!("{} is no PCI address", quoted(address)))?;
            let here = gpu_at(self.gpus, &whole);
            if let Some(known) = here.filter(|known| known.id != whole) {
                let note = format!(
                    "{place}: {whole} is a function of {}, where any will do",
                    known.id
                );
                notes.push(note);
            }
            let name = match here {
                Some(known) => gpu(&known.id),
                // A mapping speaks of every node of the cluster.
                None if is_mapped => continue,
                None => gpu(&whole),
            };
            if !names.contains(&name) {
                names.push(name);
            }
        }
        self.notes.extend(notes);
        if names.is_empty() {
            self.notes
                .push(format!("{place}: no GPU of this host is meant"));
            return Ok(None);
        }
        Ok(Some(GpuChoice::These(names)))
    }

    /// Puts a member beside those of its type on its GPUs.
    fn put(&mut self, type_name: &str, member: Member, gpus: GpuChoice, line: usize) {
        let alike = self
            .groups
            .all
            .iter_mut()
            .find(|group| group.type_name == type_name && group.gpus == gpus);
        if let Some(group) = alike {
            if let Members::Listed(members) = &mut group.members {
                members.push(member);
            }
            return;
        }
        let members = Members::Listed(vec![member]);
        self.groups.put(type_name, members, gpus, line);
        if let Some(group) = self.groups.all.last_mut() {
            group.start = StartMode::Manual;
        }
    }
}
