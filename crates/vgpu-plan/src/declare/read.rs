//! A declaration's text and what it means.

use std::collections::HashMap;
use std::ops::Range;

use toml::de::DeTable;

use super::fault::Source;
use super::read_gpu::read_gpu;
use super::read_group::read_group;
use super::read_parts::gpu_names;
use super::table::{Reader, Value, get};
use super::{Declaration, Group, Members, Unlisted};
use vgpu_host::error::Result;
use vgpu_host::model::TypeId;
use vgpu_host::text::{said, whole};

/// The most vGPUs that a file may ask for.
const MOST: u64 = 65_536;

/// The longest file, in bytes.
pub const LONGEST_FILE: usize = 1 << 20;

/// What a file means, and what is to be told of it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Reading {
    /// What the host is to have.
    pub declaration: Declaration,
    /// Sentences for people: what is unusual, and what could not be taken over.
    pub notes: Vec<String>,
}

/// Reads vgpuctl's own form, TOML.
///
/// # Errors
/// All that is wrong with the file, each with its line.
pub fn parse(source: &Source) -> Result<Reading> {
    let (declaration, notes) = toml(source, declaration)?;
    Ok(Reading { declaration, notes })
}

/// What `read` makes of the top table of a TOML file, and what is to be told of it.
///
/// # Errors
/// All that is wrong with the file, each with its line.
pub fn toml<'t, T: Default>(
    source: &'t Source,
    read: impl FnOnce(&mut Reader<'t>, &DeTable<'t>) -> T,
) -> Result<(T, Vec<String>)> {
    refuse_long(source)?;
    let mut reader = Reader::of(&source.text);
    let (table, errors) = DeTable::parse_recoverable(&source.text);
    for error in &errors {
        reader.fault(error.span().unwrap_or(0..0), error.message());
    }
    let made = match errors.is_empty() {
        true => read(&mut reader, table.get_ref()),
        // What a broken file means can only be guessed.
        false => T::default(),
    };
    reader.faults.settle(&source.name)?;
    Ok((made, reader.notes))
}

/// Refuses a file that is too long to be one.
///
/// # Errors
/// It is.
pub fn refuse_long(source: &Source) -> Result<()> {
    let mut faults = super::fault::Faults::default();
    if source.text.len() > LONGEST_FILE {
        faults.add(1, "the file is larger than 1 MiB");
    }
    faults.settle(&source.name)
}

fn declaration<'t>(reader: &mut Reader<'t>, top: &DeTable<'t>) -> Declaration {
    reader.only(top, "the file", &["version", "unlisted", "gpu", "group"]);
    version(reader, top);
    let groups = get(top, "group").map(|value| tables(reader, "group", value, read_group));
    let groups = groups.unwrap_or_default();
    refuse_doubles(reader, &groups);
    refuse_many(reader, &groups);
    let unlisted = get(top, "unlisted").and_then(|value| unlisted(reader, value));
    let setups = get(top, "gpu").map(|value| tables(reader, "gpu", value, read_gpu));
    Declaration {
        setups: setups.unwrap_or_default(),
        groups,
        unlisted: unlisted.unwrap_or_default(),
    }
}

fn version<'t>(reader: &mut Reader<'t>, top: &DeTable<'t>) {
    let Some(value) = get(top, "version") else {
        let message = "the file does not set its version: begin it with version = 1";
        return reader.fault(0..0, message);
    };
    if whole(value.get_ref()) != Some(1) {
        let message = format!(
            "version {} is not supported: write version = 1",
            said(value.get_ref())
        );
        reader.fault(value.span(), message);
    }
}

/// What each table of a list says, such as those under [[group]].
fn tables<'t, T>(
    reader: &mut Reader<'t>,
    key: &str,
    value: &Value<'t>,
    read: impl Fn(&mut Reader<'t>, Range<usize>, &DeTable<'t>) -> Option<T>,
) -> Vec<T> {
    let heading = format!("[[{key}]]");
    if value.get_ref().is_table() {
        let message =
            format!("{key} is a list: write {heading}, with two brackets, above each {key}");
        reader.fault(value.span(), message);
        return Vec::new();
    }
    let items = reader.list(key, &heading, value).unwrap_or_default();
    let mut all = Vec::new();
    for item in items {
        if let Some(table) = reader.table(key, &heading, item) {
            all.extend(read(reader, item.span(), table));
        }
    }
    all
}

fn unlisted<'t>(reader: &mut Reader<'t>, value: &Value<'t>) -> Option<Unlisted> {
    let Some(table) = value.get_ref().as_table() else {
        let words = [
            ("keep", Words::Keep),
            ("remove", Words::Remove),
            ("remove-own", Words::RemoveOwn),
        ];
        return Some(match reader.word("unlisted", value, &words)? {
            Words::Keep => Unlisted::Keep,
            Words::Remove => Unlisted::Remove,
            Words::RemoveOwn => Unlisted::RemoveOwn,
        });
    };
    reader.only(table, "unlisted", &["remove-on", "but"]);
    let Some(on) = get(table, "remove-on") else {
        reader.fault(value.span(), "unlisted lacks remove-on = [GPU, ...]");
        return None;
    };
    let gpus = gpu_names(reader, "remove-on", on)?;
    let but = get(table, "but").map(|value| type_ids(reader, value));
    Some(Unlisted::RemoveOn {
        gpus,
        but: but.unwrap_or_default(),
    })
}

fn type_ids<'t>(reader: &mut Reader<'t>, value: &Value<'t>) -> Vec<TypeId> {
    let items = reader.list("but", "[\"nvidia-65\"]", value);
    let mut ids = Vec::new();
    for item in items.into_iter().flatten() {
        let Some(text) = reader.text("but", item) else {
            continue;
        };
        match text.parse() {
            Ok(id) => ids.push(id),
            Err(error) => reader.faults.add_error(reader.line(item.span()), &error),
        }
    }
    ids
}

#[derive(Clone, Copy)]
enum Words {
    Keep,
    Remove,
    RemoveOwn,
}

/// No two groups of one name, no two vGPUs of one UUID.
fn refuse_doubles(reader: &mut Reader<'_>, groups: &[Group]) {
    let (mut names, mut uuids) = (HashMap::new(), HashMap::new());
    for group in groups {
        if let Some(line) = names.insert(&group.name, group.line) {
            let message = format!("group {} is already defined in line {line}", group.name);
            reader.faults.add(group.line, message);
        }
        let Members::Listed(members) = &group.members else {
            continue;
        };
        for member in members {
            let Some(uuid) = member.uuid else { continue };
            if let Some(other) = uuids.insert(uuid, &group.name) {
                let who = match member.vm() {
                    Some((vm, 0)) => format!("VM {vm} ({uuid})"),
                    Some((vm, index)) => format!("VM {vm}:{index} ({uuid})"),
                    None => uuid.to_string(),
                };
                let message = match *other == group.name {
                    true => format!("group {other} lists {who} twice"),
                    false => format!("{who} is already in group {other}"),
                };
                reader.faults.add(group.line, message);
            }
        }
    }
}

fn refuse_many(reader: &mut Reader<'_>, groups: &[Group]) {
    let mut sum = 0;
    for group in groups {
        let before = sum;
        sum += match &group.members {
            Members::Count(count) => u64::from(*count),
            Members::Listed(members) => members.len() as u64,
            // What they come to is known when the GPUs are.
            Members::PerGpu(_) => 0,
        };
        if before <= MOST && sum > MOST {
            let message = format!("with this group, the file requests more than {MOST} vGPUs");
            reader.faults.add(group.line, message);
        }
    }
}
