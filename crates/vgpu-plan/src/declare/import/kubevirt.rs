//! KubeVirt's mediatedDevicesConfiguration, alone or in the resource that it is a part of: types,
//! each of which fills GPUs in turn. KubeVirt takes types and GPUs in any order; here it is that of
//! the file and of the addresses, so that it is the same on every run. It adds nothing to a GPU that
//! has a device already, and leaves alone what is said to have another provider.

use std::collections::{HashMap, HashSet, VecDeque};

use super::super::fault::Faults;
use super::super::table::text_fault;
use super::super::yaml_value::{Kind, Value, documents};
use super::super::{Declaration, GpuFacts, GpuName, Reading, Source};
use super::{Groups, gpu, only_there, up_to};
use nvidia_vgpu::short_name;
use vgpu_host::error::{Error, Kind as ErrorKind, Result};
use vgpu_host::model::TypeId;
use vgpu_host::text::shortened;

const NAME: &str = "mediatedDevicesConfiguration";
/// The newer spelling comes first, and counts where it lists something.
const TYPES: [&str; 2] = ["mediatedDeviceTypes", "mediatedDevicesTypes"];
const NODES: [&str; 2] = ["nodeMediatedDeviceTypes", "nodeMediatedDevicesTypes"];

/// Reads it for a node with these labels: `key=value`, with commas between them.
///
/// # Errors
/// All that is wrong with the file; labels of another form.
pub fn read(file: &Source, select: Option<&str>, gpus: &[GpuFacts]) -> Result<Reading> {
    let labels = labels(select.unwrap_or_default())?;
    let mut faults = Faults::default();
    let documents = documents(&file.text, &mut faults);
    let found: Vec<Found<'_>> = documents.iter().flat_map(configurations).collect();
    let mut notes = Vec::new();
    let (mut wanted, mut external) = (Vec::new(), Vec::new());
    match found.as_slice() {
        [Found { around, one }] => {
            wanted = desired(one, &labels, &mut faults, &mut notes);
            external = around.map_or_else(Vec::new, |around| external_names(around, &mut faults));
            if select.is_none() && NODES.iter().any(|key| one.get(key).is_some()) {
                let note = "the file has types for nodes by label: specify the labels of this node with --select KEY=VALUE,...";
                notes.push(note.to_owned());
            }
        }
        // That is a fault already.
        [] if documents.is_empty() => {}
        [] => faults.add(1, format!("no {NAME} and no list of types")),
        [_, second, ..] => faults.add(second.one.line, format!("a second {NAME}")),
    }
    faults.settle(&file.name)?;
    Ok(declare(&wanted, &external, gpus, notes))
}

/// A configuration, and what it is a part of.
struct Found<'f> {
    around: Option<&'f Value>,
    one: &'f Value,
}

fn labels(select: &str) -> Result<HashMap<&str, &str>> {
    let pairs = select
        .split(',')
        .map(str::trim)
        .filter(|pair| !pair.is_empty());
    let pairs = pairs.map(|pair| {
        pair.split_once('=').ok_or_else(|| {
            let message = format!("{pair:?} is not a node label");
            Error::new(ErrorKind::Usage, message).hint("write it as: --select KEY=VALUE,KEY=VALUE")
        })
    });
    pairs.collect()
}

/// The configurations in a document: itself, below its name, in a resource or a list of them.
fn configurations(document: &Value) -> Vec<Found<'_>> {
    if let Some(items) = document.get("items") {
        return items.items().iter().flat_map(in_resource).collect();
    }
    in_resource(document).into_iter().collect()
}

fn in_resource(item: &Value) -> Option<Found<'_>> {
    let spec = item.get("spec");
    let places = [
        spec.and_then(|spec| spec.get("configuration")),
        // The operator of a cluster of virtual machines has it right below its spec.
        spec,
        item.get("configuration"),
        Some(item),
    ];
    let within = |around: &'_ Value| around.get(NAME).is_some();
    let around = places.into_iter().flatten().find(|around| within(around));
    if let Some(around) = around {
        let around = Some(around);
        let one = around.and_then(|around| around.get(NAME))?;
        return Some(Found { around, one });
    }
    let is_bare = TYPES
        .iter()
        .chain(&NODES)
        .any(|key| item.get(key).is_some());
    let around = None;
    is_bare.then_some(Found { around, one: item })
}

/// The names of types whose devices another program provides.
fn external_names(around: &Value, faults: &mut Faults) -> Vec<String> {
    let permitted = around.get("permittedHostDevices");
    let devices = permitted.and_then(|permitted| permitted.get("mediatedDevices"));
    let mut names = Vec::new();
    for device in devices.map_or(&[][..], Value::items) {
        let is_external = match device.get("externalResourceProvider") {
            None => false,
            Some(value) => match value.kind {
                Kind::Truth(truth) => truth,
                Kind::Null => false,
                _ => {
                    let message = format!(
                        "externalResourceProvider takes true or false, not {}",
                        value.shown()
                    );
                    faults.add(value.line, message);
                    false
                }
            },
        };
        let Some(name) = device.get("mdevNameSelector").filter(|_| is_external) else {
            continue;
        };
        names.extend(name.sure_text("a type's name", faults).map(str::to_owned));
    }
    names
}

/// The types for a node with these labels, in the file's order, each with its line.
fn desired(
    item: &Value,
    labels: &HashMap<&str, &str>,
    faults: &mut Faults,
    notes: &mut Vec<String>,
) -> Vec<(String, usize)> {
    for entry in item.entries() {
        if !TYPES.contains(&&*entry.key) && !NODES.contains(&&*entry.key) {
            notes.push(format!(
                "line {}: {} is ignored",
                entry.line,
                shortened(&entry.key)
            ));
        }
    }
    let everywhere = types_of(item, faults);
    let mut here = Vec::new();
    for nodes in NODES.iter().filter_map(|key| item.get(key)) {
        if !matches!(nodes.kind, Kind::List(_) | Kind::Null) {
            faults.add(
                nodes.line,
                format!("a list of nodes is expected, not {}", nodes.shown()),
            );
        }
        for node in nodes.items() {
            let types = types_of(node, faults);
            let Some(selector) = node.get("nodeSelector") else {
                faults.add(node.line, "the entry has no nodeSelector");
                continue;
            };
            let mut fits = true;
            for entry in selector.entries() {
                let value = entry.value.sure_text("a label's value", faults);
                fits &= value.is_none_or(|value| labels.get(&*entry.key) == Some(&value));
            }
            if fits {
                here.extend(types);
            }
        }
    }
    let mut wanted = if here.is_empty() { everywhere } else { here };
    let mut seen = HashSet::new();
    wanted.retain(|(name, _)| seen.insert(name.clone()));
    wanted
}

fn types_of(item: &Value, faults: &mut Faults) -> Vec<(String, usize)> {
    let lists = TYPES.iter().filter_map(|key| item.get(key));
    let mut read = Vec::new();
    for list in lists {
        if !matches!(list.kind, Kind::List(_) | Kind::Null) {
            faults.add(
                list.line,
                format!("a list of types is expected, not {}", list.shown()),
            );
        }
        let mut types = Vec::new();
        for one in list.items() {
            let Some(text) = one.sure_text("a type", faults) else {
                continue;
            };
            match text_fault(text) {
                None => types.push((text.to_owned(), one.line)),
                Some(fault) => faults.add(one.line, format!("a type is expected, {fault}")),
            }
        }
        if read.is_empty() {
            read = types;
        }
    }
    read
}

/// The id of the type that a file means by `text`: its id, or its name with `_` for spaces.
fn id_of<'g>(gpu: &'g GpuFacts, text: &str) -> Option<&'g TypeId> {
    let mut types = gpu.details.types.iter();
    let is_name = |name: &String| name.trim().replace(' ', "_") == text;
    let found =
        types.find(|one| one.id.as_str() == text || one.full_name.as_ref().is_some_and(is_name));
    found.map(|one| &one.id)
}

/// A type that is wanted, the GPUs that offer it and those that it gets.
struct Entry<'f> {
    name: &'f str,
    line: usize,
    /// Where it is offered, and under which id.
    ids: HashMap<usize, &'f TypeId>,
    offering: VecDeque<usize>,
    taken: Vec<usize>,
}

impl<'f> Entry<'f> {
    fn of(name: &'f str, line: usize, gpus: &'f [GpuFacts]) -> Entry<'f> {
        let ids = gpus.iter().enumerate();
        let ids = ids.filter_map(|(at, gpu)| Some((at, id_of(gpu, name)?)));
        Entry {
            name,
            line,
            ids: ids.clone().collect(),
            offering: ids.map(|(at, _)| at).collect(),
            taken: Vec::new(),
        }
    }
}

/// The types that another program provides devices of, in any spelling of their names.
fn external_ids(names: &[String], gpus: &[GpuFacts]) -> Vec<TypeId> {
    let spaced = |name: &str| name.replace(' ', "_");
    let mut ids: Vec<TypeId> = Vec::new();
    for name in names {
        let mut known = gpus.iter().filter_map(|gpu| id_of(gpu, &spaced(name)));
        let active = gpus.iter().flat_map(|gpu| &gpu.details.active);
        // A full GPU may list no types.
        let mut active = active.map(|(id, _)| id).filter(|id| id.as_str() == name);
        let found = known.next().or_else(|| active.next());
        ids.extend(found.filter(|id| !ids.contains(id)).cloned());
    }
    ids
}

/// Which GPUs KubeVirt would add nothing to: they have a device that stays. What an earlier `apply`
/// made is what this file comes to, so that does not count. Of a GPU whose functions are parents each
/// function counts for itself.
fn configured(entries: &[Entry<'_>], external: &[TypeId], gpus: &[GpuFacts]) -> Vec<bool> {
    let stays = |at: usize, id: &TypeId, is_ours: bool| {
        let is_wanted = entries.iter().any(|entry| entry.ids.get(&at) == Some(&id));
        external.contains(id) || is_wanted && !is_ours
    };
    let gpus = gpus.iter().enumerate();
    gpus.map(|(at, gpu)| {
        let mut active = gpu.details.active.iter();
        gpu.functions.is_empty() && active.any(|(id, is_ours)| stays(at, id, *is_ours))
    })
    .collect()
}

fn declare(
    wanted: &[(String, usize)],
    external: &[String],
    gpus: &[GpuFacts],
    mut notes: Vec<String>,
) -> Reading {
    let entries = wanted
        .iter()
        .map(|(name, line)| Entry::of(name, *line, gpus));
    let mut entries: Vec<Entry<'_>> = entries.collect();
    let external = external_ids(external, gpus);
    let configured = configured(&entries, &external, gpus);
    let mut is_free: Vec<bool> = configured.iter().map(|is_full| !is_full).collect();
    loop {
        let mut is_done = true;
        for entry in &mut entries {
            let mut offering = std::iter::from_fn(|| entry.offering.pop_front());
            if let Some(at) = offering.find(|at| is_free[*at]) {
                entry.taken.push(at);
                (is_free[at], is_done) = (false, false);
            }
        }
        if is_done {
            break;
        }
    }
    let mut groups = Groups::default();
    for entry in &entries {
        let (line, name) = (entry.line, entry.name);
        // Another card may have the same name under another id.
        let mut ids: Vec<(&TypeId, Vec<GpuName>)> = Vec::new();
        for at in &entry.taken {
            let Some(id) = entry.ids.get(at) else {
                continue;
            };
            match ids.iter_mut().find(|(known, _)| known == id) {
                Some((_, on)) => on.push(gpu(&gpus[*at].id)),
                None => ids.push((id, vec![gpu(&gpus[*at].id)])),
            }
        }
        match (entry.ids.is_empty(), ids.is_empty()) {
            (true, _) => notes.push(format!(
                "line {line}: no GPU on this host offers {name}{}",
                spelling(name, gpus)
            )),
            (_, true) => notes.push(format!(
                "line {line}: every GPU that offers {name} is assigned another type or already has devices"
            )),
            _ => {}
        }
        for (id, on) in ids {
            groups.add(id.as_str(), up_to(None), &on, line);
        }
    }
    if entries.iter().filter(|entry| !entry.ids.is_empty()).count() > 1 {
        notes.push(
            "KubeVirt picks types at random; here they are assigned in turn, in the order of the file"
                .to_owned(),
        );
    }
    for (at, one) in gpus.iter().enumerate() {
        if configured[at] {
            notes.push(format!(
                "{} already has devices, so KubeVirt adds none; it is not changed",
                one.id
            ));
        } else if is_free[at] {
            notes.push(format!(
                "{} gets none of the types and is not changed; KubeVirt would remove its devices of other types",
                one.id
            ));
        }
    }
    let taken = entries.iter().flat_map(|entry| &entry.taken);
    let taken = taken.map(|at| gpu(&gpus[*at].id)).collect();
    Reading {
        declaration: Declaration {
            setups: Vec::new(),
            groups: groups.all,
            unlisted: only_there(taken, external),
        },
        notes,
    }
}

/// How the file has to spell what a GPU of this host offers under a like name.
fn spelling(name: &str, gpus: &[GpuFacts]) -> String {
    let types = gpus.iter().flat_map(|gpu| &gpu.details.types);
    let mut names = types.filter_map(|one| one.full_name.as_deref());
    let spaced = name.replace('_', " ");
    let like = names.find(|full| short_name(full) == short_name(&spaced));
    like.map_or_else(String::new, |full| {
        format!("; KubeVirt knows it as {}", full.replace(' ', "_"))
    })
}
