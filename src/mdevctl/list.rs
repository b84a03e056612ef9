//! `mdevctl list` and `lsmdev`.

use serde_json::{Map, Value, json};

use super::args::ListArgs;
use crate::error::Result;
use crate::model::{Attr, Definition, Device, StartMode, uuid_text};
use crate::ops::{Context, subject};
use crate::store::{Location, essence};
use crate::text::in_json;

/// A device of a listing: described like a definition, and its other state in a word.
struct Line {
    described: Definition,
    mark: &'static str,
}

/// The devices, as text or JSON.
pub fn list(context: &Context<'_>, args: &ListArgs) -> Result<String> {
    let mut lines = match args.defined {
        true => defined(context)?,
        false => active(context, args)?,
    };
    lines.retain(|line| {
        args.uuid.is_none_or(|uuid| uuid == line.described.uuid)
            && args
                .parent
                .as_ref()
                .is_none_or(|p| *p == line.described.parent)
    });
    lines.sort_by(|a, b| {
        let (a, b) = (&a.described, &b.described);
        (&a.parent, a.uuid).cmp(&(&b.parent, b.uuid))
    });
    let answer = match (args.dumpjson, lines.as_slice()) {
        (true, [one]) if args.uuid.is_some() => in_json(format!("{:#}", essence(&one.described))),
        (true, lines) => in_json(format!("{:#}", as_json(lines))),
        (false, lines) => as_text(lines, args.verbose),
    };
    Ok(answer)
}

fn defined(context: &Context<'_>) -> Result<Vec<Line>> {
    let mut warnings = Vec::new();
    let definitions = context.store.all(&mut warnings)?;
    let devices = context.kernel.devices(&mut warnings)?;
    for warning in &warnings {
        log::warn!("{warning}");
    }
    let is_active = |wanted: &Definition| {
        // They are sorted by UUID.
        let found = devices.binary_search_by_key(&wanted.uuid, |device| device.uuid);
        found.is_ok_and(|at| {
            let device = &devices[at];
            device.parent == wanted.parent && device.type_id == wanted.type_id
        })
    };
    Ok(definitions
        .into_iter()
        .map(|definition| Line {
            mark: if is_active(&definition) {
                " (active)"
            } else {
                ""
            },
            described: definition,
        })
        .collect())
}

fn active(context: &Context<'_>, args: &ListArgs) -> Result<Vec<Line>> {
    let mut warnings = Vec::new();
    let mut devices = context.kernel.devices(&mut warnings)?;
    for warning in &warnings {
        log::warn!("{warning}");
    }
    devices.retain(|device| {
        args.uuid.is_none_or(|uuid| uuid == device.uuid)
            && args.parent.as_ref().is_none_or(|p| *p == device.parent)
    });
    // Neighbours share their parent's directory of definitions.
    devices.sort_by(|a, b| (&a.parent, a.uuid).cmp(&(&b.parent, b.uuid)));
    let places: Vec<Location> = devices.iter().map(Location::of_device).collect();
    let persisted = context.store.read_each(&places);
    Ok(devices
        .into_iter()
        .zip(persisted)
        .map(|(device, persisted)| describe(context, device, &persisted))
        .collect())
}

/// An active device: what runs, with the start mode of its definition.
fn describe(context: &Context<'_>, device: Device, persisted: &Result<Definition>) -> Line {
    let start = persisted.as_ref().map_or(StartMode::Manual, |d| d.start);
    // One that cannot be read is there all the same.
    let is_defined = !matches!(persisted, Err(error) if error.is_absent());
    let mut described = Definition::new(device.uuid, device.parent, device.type_id, start);
    described.attrs = told_by_script(context, &described).unwrap_or_else(|error| {
        log::warn!("{error}");
        Vec::new()
    });
    Line {
        mark: if is_defined { " (defined)" } else { "" },
        described,
    }
}

/// The attributes that a script tells of an active device.
///
/// # Errors
/// A script was asked and failed, or gave no sensible answer.
pub fn told_by_script(context: &Context<'_>, described: &Definition) -> Result<Vec<Attr>> {
    let told = match context.scripts.has_callouts() {
        true => context.scripts.attributes(&subject(described)),
        false => Ok(None),
    };
    for warning in context.scripts.take_warnings() {
        log::warn!("{warning}");
    }
    Ok(told?.unwrap_or_default())
}

fn as_text(lines: &[Line], verbose: bool) -> String {
    let mut text = String::new();
    for line in lines {
        let described = &line.described;
        let uuid = uuid_text(described.uuid);
        let (parent, type_id) = (described.parent.as_str(), described.type_id.as_str());
        let start = described.start.as_str();
        for part in [
            &uuid, " ", parent, " ", type_id, " ", start, line.mark, "\n",
        ] {
            text.push_str(part);
        }
        if verbose {
            add_attrs(&mut text, &described.attrs);
        }
    }
    text
}

fn add_attrs(text: &mut String, attrs: &[Attr]) {
    if !attrs.is_empty() {
        text.push_str("  Attrs:\n");
    }
    for (index, attr) in attrs.iter().enumerate() {
        let value = json!({ attr.name.as_str(): attr.value });
        *text += &in_json(format!("    @{{{index}}}: {value}\n"));
    }
}

fn as_json(lines: &[Line]) -> Value {
    let mut parents: Map<String, Value> = Map::new();
    for line in lines {
        let device = json!({ line.described.uuid.to_string(): essence(&line.described) });
        let devices = parents
            .entry(line.described.parent.to_string())
            .or_insert_with(|| json!([]));
        if let Value::Array(devices) = devices {
            devices.push(device);
        }
    }
    match parents.is_empty() {
        true => json!([]),
        false => json!([parents]),
    }
}
