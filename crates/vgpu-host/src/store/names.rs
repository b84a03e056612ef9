//! Which names in the directories of definitions mean something.

use std::borrow::Cow;

use uuid::Uuid;

use super::GPU_SETTINGS;
use crate::dir::{Dir, EntryKind};
use crate::error::{Error, Kind, Result, Warnings};
use crate::model::{ParentId, parse_uuid, uuid_text};

/// mdevctl keeps its callout scripts here, between the parents.
const NOT_A_PARENT: &str = "scripts.d";

/// The parents that have a directory of definitions.
///
/// # Errors
/// What the kernel answered. A name that cannot be a parent's is a warning.
pub fn parents_in(top: &mut Dir, warnings: &mut Warnings) -> Result<Vec<ParentId>> {
    let mut parents = Vec::new();
    for entry in top.entries()? {
        // A stray file beside the parents' directories is nobody's definition.
        if entry.kind == EntryKind::Other || entry.name == NOT_A_PARENT {
            continue;
        }
        match entry.name.to_str() {
            Some(name) if name.starts_with('.') => {}
            Some(name) => match name.parse() {
                Ok(parent) => parents.push(parent),
                Err(error) => warnings.push(Error::at(error, top.join(&entry.name))),
            },
            None => warnings.push(
                Error::new(
                    Kind::Failed,
                    "directory skipped: its name is not valid UTF-8",
                )
                .at(top.join(&entry.name)),
            ),
        }
    }
    Ok(parents)
}

/// The definitions in a parent's directory, by name. A name that was meant to be a UUID and is none
/// would never be started: that is worth a warning. Hidden files and backups are not.
pub fn uuids_in(dir: &mut Dir, warnings: &mut Warnings) -> Result<Vec<Uuid>> {
    let mut uuids = Vec::new();
    for entry in dir.entries()? {
        // Text that is not UTF-8 is no UUID, and nothing else is asked of it.
        let name = match entry.name.to_str() {
            Some(name) => Cow::Borrowed(name),
            None => entry.name.to_string_lossy(),
        };
        match parse_uuid(&name) {
            Ok(uuid) if !name.bytes().any(|byte| byte.is_ascii_uppercase()) => uuids.push(uuid),
            _ if is_side_file(&name) => {}
            Ok(uuid) => warnings.push(in_upper_case(dir, &name, uuid)),
            Err(_) => warnings.push(
                Error::new(Kind::Failed, "the name of a definition must be a UUID")
                    .at(dir.join(&entry.name)),
            ),
        }
    }
    Ok(uuids)
}

/// The kernel, libvirt and mdevctl's listing know such a device by its name in lower case only.
fn in_upper_case(dir: &Dir, name: &str, uuid: Uuid) -> Error {
    let (path, lower) = (dir.join(name), dir.join(uuid_text(uuid)));
    let error = Error::new(
        Kind::Failed,
        "a definition is neither listed nor started, because its name is in upper case",
    )
    .at(&path);
    match lower.exists() {
        true => error.hint(format!(
            "{} also exists and is the one used: compare both, then delete the one in upper case",
            lower.display()
        )),
        false => error.hint(format!(
            "rename it: mv {} {}",
            path.display(),
            lower.display()
        )),
    }
}

/// Hidden files and what editors and package managers leave beside a definition.
pub fn is_side_file(name: &str) -> bool {
    let stem = name.get(..36).unwrap_or_default();
    name == GPU_SETTINGS
        || name.starts_with('.')
        || name.ends_with('~')
        || name.len() > 36 && parse_uuid(stem).is_ok()
}
