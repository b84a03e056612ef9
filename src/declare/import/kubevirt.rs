//! KubeVirt's mediatedDevicesConfiguration, alone or in the resource that it is a part of: types,
//! each of which fills GPUs in turn. KubeVirt takes the GPUs in any order; here it is that of their
//! addresses, so that it is the same on every run.

use std::collections::{HashMap, HashSet, VecDeque};

use super::super::fault::Faults;
use super::super::table::text_fault;
use super::super::yaml::{Item, Node, documents};
use super::super::{Declaration, GpuFacts, GpuName, Reading, Source};
use super::{Groups, gpu, only_there, up_to};
use crate::error::{Error, Kind, Result};
use crate::nvidia::short_name;
use crate::text::shortened;

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
    let found: Vec<&Item> = documents.iter().flat_map(configurations).collect();
    let mut notes = Vec::new();
    let mut wanted = Vec::new();
    match found.as_slice() {
        [one] => {
            wanted = desired(one, &labels, &mut faults, &mut notes);
            if select.is_none() && NODES.iter().any(|key| one.get(key).is_some()) {
                let note = "the file has types for nodes by label: give this node's with --select KEY=VALUE,...";
                notes.push(note.to_owned());
            }
        }
        // That is a fault already.
        [] if documents.is_empty() => {}
        [] => faults.add(1, format!("there is no {NAME}, and no list of types")),
        [_, second, ..] => faults.add(second.line, format!("a second {NAME}")),
    }
    faults.settle(&file.name)?;
    Ok(declare(&wanted, gpus, notes))
}

fn labels(select: &str) -> Result<HashMap<&str, &str>> {
    let pairs = select
        .split(',')
        .map(str::trim)
        .filter(|pair| !pair.is_empty());
    let pairs = pairs.map(|pair| {
        pair.split_once('=').ok_or_else(|| {
            let message = format!("{pair:?} is no label of a node");
            Error::new(Kind::Usage, message).hint("write it as: --select KEY=VALUE,KEY=VALUE")
        })
    });
    pairs.collect()
}

/// The configurations in a document: itself, below its name, in a resource or a list of them.
fn configurations(document: &Item) -> Vec<&Item> {
    if let Some(items) = document.get("items") {
        return items.items().iter().flat_map(in_resource).collect();
    }
    in_resource(document).into_iter().collect()
}

fn in_resource(item: &Item) -> Option<&Item> {
    let spec = item.get("spec");
    let paths = [
        spec.and_then(|spec| spec.get("configuration")?.get(NAME)),
        // The operator of a cluster of virtual machines has it right below its spec.
        spec.and_then(|spec| spec.get(NAME)),
        item.get("configuration").and_then(|inner| inner.get(NAME)),
        item.get(NAME),
    ];
    let is_bare = TYPES
        .iter()
        .chain(&NODES)
        .any(|key| item.get(key).is_some());
    paths
        .into_iter()
        .flatten()
        .next()
        .or(is_bare.then_some(item))
}

/// The types for a node with these labels, in the file's order, each with its line.
fn desired(
    item: &Item,
    labels: &HashMap<&str, &str>,
    faults: &mut Faults,
    notes: &mut Vec<String>,
) -> Vec<(String, usize)> {
    for entry in item.entries() {
        if !TYPES.contains(&entry.key.as_str()) && !NODES.contains(&entry.key.as_str()) {
            notes.push(format!(
                "line {}: {} is not looked at",
                entry.line,
                shortened(&entry.key)
            ));
        }
    }
    let everywhere = types_of(item, faults);
    let mut here = Vec::new();
    for nodes in NODES.iter().filter_map(|key| item.get(key)) {
        if !matches!(nodes.node, Node::List(_) | Node::Null) {
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
            let fits = |key: &str, value: &Item| {
                value
                    .text()
                    .is_some_and(|value| labels.get(key) == Some(&value))
            };
            let entries = selector.entries();
            if entries.iter().all(|entry| fits(&entry.key, &entry.value)) {
                here.extend(types);
            }
        }
    }
    let mut wanted = if here.is_empty() { everywhere } else { here };
    let mut seen = HashSet::new();
    wanted.retain(|(name, _)| seen.insert(name.clone()));
    wanted
}

fn types_of(item: &Item, faults: &mut Faults) -> Vec<(String, usize)> {
    let lists = TYPES.iter().filter_map(|key| item.get(key));
    let mut read = Vec::new();
    for list in lists {
        if !matches!(list.node, Node::List(_) | Node::Null) {
            faults.add(
                list.line,
                format!("a list of types is expected, not {}", list.shown()),
            );
        }
        let mut types = Vec::new();
        for one in list.items() {
            match one.text().filter(|text| text_fault(text).is_none()) {
                Some(text) => types.push((text.to_owned(), one.line)),
                None => faults.add(one.line, format!("a type is expected, not {}", one.shown())),
            }
        }
        if read.is_empty() {
            read = types;
        }
    }
    read
}

/// The id of the type that a file means by `text`: its id, or its name with `_` for spaces.
fn id_of<'g>(gpu: &'g GpuFacts, text: &str, short: &str) -> Option<&'g str> {
    let mut types = gpu.types.iter();
    let found = types.find(|(id, name)| id.as_str() == text || name == short || name == text);
    found.map(|(id, _)| id.as_str())
}

/// A type that is wanted, the GPUs that offer it and those that it gets.
struct Wish<'f> {
    name: &'f str,
    line: usize,
    id: Option<String>,
    offering: VecDeque<usize>,
    taken: Vec<GpuName>,
}

impl<'f> Wish<'f> {
    fn of(name: &'f str, line: usize, gpus: &[GpuFacts]) -> Wish<'f> {
        let spaced = name.replace('_', " ");
        let short = short_name(&spaced);
        let ids = gpus.iter().enumerate();
        let mut ids = ids.filter_map(|(at, gpu)| Some((at, id_of(gpu, name, short)?)));
        let first = ids.clone().next();
        Wish {
            name,
            line,
            id: first.map(|(_, id)| id.to_owned()),
            offering: ids.by_ref().map(|(at, _)| at).collect(),
            taken: Vec::new(),
        }
    }
}

fn declare(wanted: &[(String, usize)], gpus: &[GpuFacts], mut notes: Vec<String>) -> Reading {
    let wishes = wanted
        .iter()
        .map(|(name, line)| Wish::of(name, *line, gpus));
    let mut wishes: Vec<Wish<'_>> = wishes.collect();
    let mut is_free = vec![true; gpus.len()];
    loop {
        let mut is_done = true;
        for wish in &mut wishes {
            let mut offering = std::iter::from_fn(|| wish.offering.pop_front());
            if let Some(at) = offering.find(|at| is_free[*at]) {
                wish.taken.push(gpu(&gpus[at].id));
                (is_free[at], is_done) = (false, false);
            }
        }
        if is_done {
            break;
        }
    }
    let mut groups = Groups::default();
    for wish in &wishes {
        let (line, name) = (wish.line, wish.name);
        match &wish.id {
            Some(id) if !wish.taken.is_empty() => groups.add(id, up_to(None), &wish.taken, line),
            Some(_) => notes.push(format!(
                "line {line}: every GPU that offers {name} has another of the types"
            )),
            None => notes.push(format!("line {line}: no GPU of this host offers {name}")),
        }
    }
    let free = gpus.iter().zip(&is_free).filter(|(_, is_free)| **is_free);
    for (one, _) in free {
        notes.push(format!(
            "{} gets none of the types and stays as it is; KubeVirt would remove what it has of others",
            one.id
        ));
    }
    let taken = wishes.into_iter().flat_map(|wish| wish.taken).collect();
    Reading {
        declaration: Declaration {
            groups: groups.all,
            unlisted: only_there(taken),
        },
        notes,
    }
}
