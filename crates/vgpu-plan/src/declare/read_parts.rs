//! The GPUs, parameters and attributes of a group of a declaration's text.

use std::collections::HashSet;

use toml::de::DeTable;

use super::table::{Reader, Value, get};
use super::{GpuChoice, GpuName};
use nvidia_vgpu::params::{ATTRIBUTE, ParamEdit, Params, doubts};
use vgpu_host::model::Attr;
use vgpu_host::text::{said, whole};

/// The most GPUs that a host can have.
const MOST_GPUS: u32 = 4095;

/// The GPUs that a group may be on; any, where it does not say.
pub fn gpus<'t>(reader: &mut Reader<'t>, table: &DeTable<'t>) -> GpuChoice {
    match get(table, "gpus") {
        None => GpuChoice::Any,
        Some(value) if value.get_ref().as_str() == Some("any") => GpuChoice::Any,
        Some(value) if value.get_ref().is_array() => {
            let names = gpu_names(reader, "gpus", value);
            names.map_or(GpuChoice::Any, GpuChoice::These)
        }
        Some(value) => {
            let name = gpu_name(reader, "gpus", value);
            name.map_or(GpuChoice::Any, |name| GpuChoice::These(vec![name]))
        }
    }
}

/// A list of GPUs.
pub fn gpu_names<'t>(
    reader: &mut Reader<'t>,
    what: &str,
    value: &Value<'t>,
) -> Option<Vec<GpuName>> {
    let items = reader.list(what, "[0, \"0000:81:00.0\", \"Tesla P4\"]", value)?;
    if items.is_empty() {
        reader.fault(value.span(), format!("{what} lists no GPU"));
    }
    let (mut names, mut seen) = (Vec::new(), HashSet::new());
    for item in items {
        let Some(name) = gpu_name(reader, what, item) else {
            continue;
        };
        match !seen.insert(name.clone()) {
            true => reader.fault(
                item.span(),
                format!("{what} has {} twice", said(item.get_ref())),
            ),
            false => names.push(name),
        }
    }
    Some(names)
}

fn gpu_name<'t>(reader: &mut Reader<'t>, what: &str, value: &Value<'t>) -> Option<GpuName> {
    match value.get_ref().as_str() {
        Some("any") => {
            let message = format!("{what} takes \"any\" only on its own, not in a list");
            reader.fault(value.span(), message);
            None
        }
        Some(_) => reader.text(what, value).map(GpuName::text),
        None if value.get_ref().is_integer() => {
            let index = reader.number(what, value, MOST_GPUS)?;
            Some(GpuName::Index(usize::try_from(index).ok()?))
        }
        None => {
            let message = format!(
                "{what} takes a GPU's address, model or number, not {}",
                said(value.get_ref())
            );
            reader.fault(value.span(), message);
            None
        }
    }
}

/// The attributes, and the parameters of NVIDIA's plugin as the last of them.
pub fn attrs<'t>(reader: &mut Reader<'t>, table: &DeTable<'t>) -> Vec<Attr> {
    let mut attrs = Vec::new();
    if let Some(value) = get(table, "attrs") {
        let items = reader.list("attrs", "[\"assign_adapter=5\"]", value);
        for item in items.unwrap_or_default() {
            attrs.extend(attr(reader, item));
        }
    }
    let Some(value) = get(table, "params") else {
        return attrs;
    };
    if attrs.iter().any(|attr| attr.name.as_str() == ATTRIBUTE) {
        let message = format!("params and the attribute {ATTRIBUTE} are mutually exclusive");
        reader.fault(value.span(), message);
        return attrs;
    }
    let edits = params(reader, value);
    let line = Params::default().edited(&edits).to_string();
    if !line.is_empty() {
        attrs.extend(Attr::new(ATTRIBUTE, &line));
    }
    attrs
}

fn attr<'t>(reader: &mut Reader<'t>, item: &Value<'t>) -> Option<Attr> {
    let Some(text) = item.get_ref().as_str() else {
        let message = format!(
            "attrs takes strings of the form NAME=VALUE, not {}",
            said(item.get_ref())
        );
        reader.fault(item.span(), message);
        return None;
    };
    match text.parse() {
        Ok(attr) => Some(attr),
        Err(error) => {
            reader.faults.add_error(reader.line(item.span()), &error);
            None
        }
    }
}

fn params<'t>(reader: &mut Reader<'t>, value: &Value<'t>) -> Vec<ParamEdit> {
    let example = "{ frame_rate_limiter = 0 }";
    let table = reader.table("params", example, value);
    let mut edits = Vec::new();
    for (key, value) in table.into_iter().flatten() {
        let at = reader.line(key.span());
        let name = key.get_ref();
        let text = match (whole(value.get_ref()), value.get_ref().as_str()) {
            (Some(number), _) => number.to_string(),
            (None, Some(text)) if !text.is_empty() => text.to_owned(),
            _ => {
                let meant = match value.get_ref().as_bool() {
                    Some(truth) => format!(": write {}", i32::from(truth)),
                    None => String::new(),
                };
                let message = format!(
                    "{name} takes a number or a string, not {}{meant}",
                    said(value.get_ref())
                );
                reader.faults.add(at, message);
                continue;
            }
        };
        match format!("{name}={text}").parse::<ParamEdit>() {
            Ok(edit) => edits.push(edit),
            Err(error) => reader.faults.add_error(at, &error.into()),
        }
    }
    reader.notes.extend(doubts(&edits));
    edits
}
