//! Proxmox VE's configurations of virtual machines: which vGPU each of them uses.
//!
//! Proxmox VE makes the device itself when the machine starts, takes one that is there already, and
//! removes it when the machine ends. So what is declared is not started at boot: a machine that is
//! off should take no memory of a GPU.
//!
//! A machine that Proxmox VE does not start gets nothing here either, which is told.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use super::super::fault::Faults;
use super::super::table::text_fault;
use super::super::{
    Declaration, GpuChoice, GpuFacts, GpuName, Member, Members, Reading, Source, Unlisted,
};
use super::proxmox_files::{Mapping, Mappings, mappings};
use super::proxmox_line::{HostPci, MapEntry};
use super::proxmox_slots::{Slot, slots};
use super::{Groups, gpu};
use nvidia_vgpu::short_name;
use vgpu_host::error::{Error, Kind, Result};
use vgpu_host::model::{ParentId, StartMode};
use vgpu_host::text::quoted;

/// The name of the cluster's file of mappings.
const MAPPINGS: &str = "pci.cfg";
/// The ids that it gives virtual machines.
const VMIDS: std::ops::RangeInclusive<u64> = 100..=999_999_999;

/// Reads machines' configurations, and the cluster's mappings where they are among the files, for
/// the node of that name.
///
/// # Errors
/// All that is wrong with the first file that makes no sense.
pub fn read(files: &[Source], node: Option<&str>, gpus: &[GpuFacts]) -> Result<Reading> {
    let is_mapping = |file: &&Source| file_name(file) == MAPPINGS;
    let known = files.iter().find(is_mapping);
    let mut import = Import {
        gpus,
        node,
        known: known.map(|file| (file, mappings(&file.text))),
        groups: Groups::default(),
        notes: Vec::new(),
        seen: HashSet::new(),
        functions: HashMap::new(),
        told: HashSet::new(),
    };
    for file in files.iter().filter(|file| !is_mapping(file)) {
        import.machine(file)?;
    }
    Ok(Reading {
        declaration: Declaration {
            setups: Vec::new(),
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
    node: Option<&'f str>,
    known: Option<(&'f Source, Mappings<'f>)>,
    groups: Groups,
    notes: Vec<String>,
    seen: HashSet<u64>,
    /// Which machine has a function for its own.
    functions: HashMap<ParentId, u64>,
    /// Lines of the mappings that were told already.
    told: HashSet<usize>,
}

/// Why a line comes to nothing.
enum Trouble {
    /// The file cannot be understood, or not without another.
    Fault(String),
    /// Proxmox VE does not start the machine.
    NoStart(String),
    /// It cannot be told where the device is to be.
    Unknown(String),
}

impl From<String> for Trouble {
    fn from(why: String) -> Trouble {
        Trouble::NoStart(why)
    }
}

type Found<T> = std::result::Result<T, Trouble>;

impl<'f> Import<'f> {
    fn machine(&mut self, file: &'f Source) -> Result<()> {
        let vmid = vmid(file)?;
        if !self.seen.insert(vmid) {
            let message = format!("{}: VM {vmid} already has a file", file.name);
            return Err(Error::new(Kind::Usage, message));
        }
        let (slots, is_template, notes) = slots(&file.text);
        let notes = notes.into_iter();
        self.notes
            .extend(notes.map(|(line, text)| format!("{}:{line}: {text}", file.name)));
        let slots: Vec<Slot<'f>> = slots
            .into_iter()
            .filter(|slot| slot.said.type_name.is_some())
            .collect();
        if is_template && !slots.is_empty() {
            self.notes.push(format!(
                "{}: VM {vmid} is a template, which never runs: nothing is planned for it",
                file.name
            ));
            return Ok(());
        }
        let mut faults = Faults::default();
        let mut wanted = Vec::new();
        for slot in slots {
            let place = format!("{}:{}", file.name, slot.line);
            match self.device(&place, vmid, &slot) {
                Ok(one) => wanted.push(one),
                Err(Trouble::Fault(message)) => faults.add(slot.line, message),
                Err(Trouble::Unknown(message)) => self.notes.push(format!("{place}: {message}")),
                Err(Trouble::NoStart(why)) => {
                    self.notes.push(format!(
                        "{place}: Proxmox VE does not start VM {vmid}: {why}; nothing is planned for it"
                    ));
                    return faults.settle(&file.name);
                }
            }
        }
        if let Some(line) = self.twice(&file.name, vmid, &wanted) {
            let note = format!(
                "{}:{line}: Proxmox VE does not start VM {vmid}: it uses one function twice; nothing \
                 is planned for it",
                file.name
            );
            self.notes.push(note);
            return faults.settle(&file.name);
        }
        for one in wanted {
            self.put(one);
        }
        faults.settle(&file.name)
    }

    fn device(&mut self, place: &str, vmid: u64, slot: &Slot<'f>) -> Found<Wanted<'f>> {
        let said = &slot.said;
        let type_name = said.type_name.unwrap_or_default();
        let alternatives = self.alternatives(said)?;
        if said.is_legacy_igd {
            return Err("legacy-igd does not support mediated devices"
                .to_owned()
                .into());
        }
        let mut on = Vec::new();
        for addresses in alternatives {
            let here = self.only_one(&addresses)?;
            if !on.contains(&here) {
                on.push(here);
            }
        }
        self.known_there(type_name, &on)?;
        if said.keeps_driver {
            self.notes.push(format!(
                "{place}: with driver=keep Proxmox VE creates no device: start this one before the VM"
            ));
        }
        let member = Member::of_vm(vmid, slot.index);
        Ok(Wanted {
            type_name,
            member: member.map_err(|error| Trouble::Fault(error.to_string()))?,
            on,
            line: slot.line,
        })
    }

    /// The addresses of which one serves, each perhaps of several functions.
    fn alternatives(&mut self, said: &HostPci<'f>) -> Found<Vec<Vec<&'f str>>> {
        let addresses = |list: &'f str| list.split(';').collect::<Vec<_>>();
        let name = match (said.host, said.mapping) {
            (Some(_), Some(_)) => {
                return Err("host and mapping are mutually exclusive".to_owned().into());
            }
            (Some(host), None) => return Ok(vec![addresses(host)]),
            (None, Some(name)) => name,
            (None, None) => return Err("host or mapping is missing".to_owned().into()),
        };
        let Some((file, known)) = &self.known else {
            return Err(Trouble::Unknown(format!(
                "the mapping {name} cannot be resolved; also pass the cluster's mapping/{MAPPINGS}"
            )));
        };
        let Some(mapping) = known.get(name) else {
            let message = format!("no mapping {} in {MAPPINGS}", quoted(name));
            return Err(Trouble::Fault(message));
        };
        for (line, why) in &mapping.left_out {
            if self.told.insert(*line) {
                let file = &file.name;
                self.notes.push(format!(
                    "{file}:{line}: Proxmox VE ignores this line: {why}"
                ));
            }
        }
        let here = of_node(name, mapping, self.node)?;
        for entry in &here {
            self.is_as_mapped(name, mapping, entry)?;
        }
        Ok(here.iter().map(|entry| addresses(entry.path)).collect())
    }

    /// Proxmox VE refuses a mapping whose hardware is another by now.
    fn is_as_mapped(&self, name: &str, mapping: &Mapping<'_>, entry: &MapEntry<'_>) -> Found<()> {
        for address in entry.path.split(';') {
            let first = first_of(address);
            let Some(gpu) = self.gpu_at(&first) else {
                let why = format!("{first} of the mapping {name} offers no vGPUs on this host");
                return Err(why.into());
            };
            let ids = gpu.pci_ids.map(|(v, d)| format!("{v:04x}:{d:04x}"));
            if let Some(ids) = ids.filter(|ids| ids != entry.id) {
                let wanted = entry.id;
                let why = format!("the mapping {name} expects {wanted} at {first}, which is {ids}");
                return Err(why.into());
            }
        }
        match mapping.is_for_mdevs {
            true => Ok(()),
            false => Err(
                format!("the mapping {name} is not marked for mediated devices (mdev 1)").into(),
            ),
        }
    }

    fn gpu_at(&self, address: &str) -> Option<&'f GpuFacts> {
        self.gpus.iter().find(|gpu| gpu.is_at(address))
    }

    /// What these addresses mean, which must be one device: an address is the beginning of others.
    fn only_one(&self, addresses: &[&str]) -> Found<Here<'f>> {
        let mut all: Vec<(&'f GpuFacts, &'f ParentId)> = Vec::new();
        let mut others = 0_usize;
        for address in addresses {
            let full = with_domain(address);
            let mut found = 0;
            for gpu in self.gpus {
                let ids = std::iter::once(&gpu.id).chain(&gpu.functions);
                let meant = ids.filter(|id| id.as_str().starts_with(&full));
                for id in meant {
                    all.push((gpu, id));
                    found += 1;
                }
                let beside = gpu.beside.iter();
                others += beside.filter(|id| id.as_str().starts_with(&full)).count();
            }
            if found == 0 {
                return Err(format!("{full} offers no vGPUs on this host").into());
            }
        }
        match all.as_slice() {
            [(gpu, id)] if others == 0 => match (gpu.id == **id, gpu.functions.first()) {
                (true, Some(first)) => Err(format!(
                    "{id} offers vGPUs only on its virtual functions: specify one, such as {first}"
                )
                .into()),
                (true, None) => Ok(Here {
                    gpu,
                    function: None,
                }),
                (false, _) => Ok(Here {
                    gpu,
                    function: Some(id),
                }),
            },
            _ => Err(format!(
                "{} matches more than one function; a mediated device needs exactly one",
                addresses.join(";")
            )
            .into()),
        }
    }

    /// Proxmox VE knows types by their ids alone.
    fn known_there(&self, type_name: &str, on: &[Here<'f>]) -> Found<()> {
        if let Some(fault) = text_fault(type_name) {
            return Err(format!("mdev takes a type, {fault}").into());
        }
        let types = || on.iter().flat_map(|here| &here.gpu.types);
        // One that lists nothing now may have it.
        let is_known = types().any(|(id, _)| id.as_str() == type_name);
        if is_known || on.iter().any(|here| here.gpu.types.is_empty()) {
            return Ok(());
        }
        let named = types().find(|(_, name)| name == short_name(type_name));
        Err(match named {
            Some((id, name)) => format!("{name} is a type name; it expects the type id, {id}"),
            None => {
                let gpus: Vec<&str> = on.iter().map(|here| here.gpu.id.as_str()).collect();
                format!("no type {} on {}", quoted(type_name), gpus.join(", "))
            }
        }
        .into())
    }

    /// The line of a function that the machine has already; another's is a note.
    fn twice(&mut self, file: &str, vmid: u64, wanted: &[Wanted<'f>]) -> Option<usize> {
        let only = |one: &Wanted<'f>| match one.on.as_slice() {
            [only] => only.function.cloned(),
            _ => None,
        };
        let all: Vec<_> = wanted
            .iter()
            .filter_map(|one| Some((one.line, only(one)?)))
            .collect();
        let mut own = HashSet::new();
        let again = all.iter().find(|(_, function)| !own.insert(function));
        if let Some((line, _)) = again {
            return Some(*line);
        }
        for (line, function) in all {
            match self.functions.get(&function) {
                Some(other) => self.notes.push(format!(
                    "{file}:{line}: {function} is also used by VM {other}: only one of them can run at a time"
                )),
                None => {
                    self.functions.insert(function, vmid);
                }
            }
        }
        None
    }

    /// Puts a member beside those of its type on its GPUs.
    fn put(&mut self, one: Wanted<'f>) {
        let names = one
            .on
            .iter()
            .map(|here| gpu(here.function.unwrap_or(&here.gpu.id)));
        let gpus = GpuChoice::These(names.collect::<Vec<GpuName>>());
        let alike = self
            .groups
            .all
            .iter_mut()
            .find(|group| group.type_name == one.type_name && group.gpus == gpus);
        if let Some(group) = alike {
            if let Members::Listed(members) = &mut group.members {
                members.push(one.member);
            }
            return;
        }
        let members = Members::Listed(vec![one.member]);
        self.groups.put(one.type_name, members, gpus, one.line);
        if let Some(group) = self.groups.all.last_mut() {
            group.start = StartMode::Manual;
        }
    }
}

/// A device of a machine.
struct Wanted<'f> {
    type_name: &'f str,
    member: Member,
    on: Vec<Here<'f>>,
    line: usize,
}

/// Where a device may be.
#[derive(PartialEq, Eq)]
struct Here<'f> {
    gpu: &'f GpuFacts,
    function: Option<&'f ParentId>,
}

fn vmid(file: &Source) -> Result<u64> {
    let name = file_name(file);
    let digits = name.strip_suffix(".conf").unwrap_or(name);
    let vmid = digits.parse().ok();
    let vmid = vmid.filter(|vmid: &u64| vmid.to_string() == digits);
    match vmid {
        Some(vmid) if VMIDS.contains(&vmid) => Ok(vmid),
        Some(vmid) => Err(Error::new(
            Kind::Usage,
            format!(
                "{}: {vmid} is not a Proxmox VE VM id: valid ids are {} to {}",
                file.name,
                VMIDS.start(),
                VMIDS.end()
            ),
        )),
        None => {
            let message = format!("{}: the file name does not contain the VM id", file.name);
            let hint = "expected a name such as 100.conf; the cluster's mappings are in pci.cfg";
            Err(Error::new(Kind::Usage, message).hint(hint))
        }
    }
}

/// What a mapping says of this node.
fn of_node<'m, 'f>(
    name: &str,
    mapping: &'m Mapping<'f>,
    node: Option<&str>,
) -> Found<Vec<&'m MapEntry<'f>>> {
    let Some(node) = node else {
        return Err(Trouble::Fault(format!(
            "the mapping {name} is per node, and the name of this node is not known: use --select NODE"
        )));
    };
    let entries = mapping.entries.iter();
    let here: Vec<_> = entries.clone().filter(|entry| entry.node == node).collect();
    if !here.is_empty() {
        return Ok(here);
    }
    let mut nodes: Vec<&str> = entries.map(|entry| entry.node).collect();
    nodes.sort_unstable();
    nodes.dedup();
    let others = match nodes.is_empty() {
        true => "no node".to_owned(),
        false => nodes.join(", "),
    };
    Err(Trouble::Fault(format!(
        "the mapping {name} has no entry for this node, {node}, only for {others} (to use another node: \
         --select NODE)"
    )))
}

fn with_domain(address: &str) -> String {
    match address.matches(':').count() {
        1 => format!("0000:{address}"),
        _ => address.to_owned(),
    }
}

/// The device itself where the function is left out.
fn first_of(address: &str) -> String {
    match address.contains('.') {
        true => address.to_owned(),
        false => format!("{address}.0"),
    }
}
