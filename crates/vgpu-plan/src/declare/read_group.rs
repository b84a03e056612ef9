//! One group of a declaration's text.

use std::ops::Range;

use toml::de::DeTable;

use super::read_members::members;
use super::read_parts::{attrs, gpus};
use super::table::{Reader, get};
use super::{Group, GroupName};
use crate::capacity::Placement;
use vgpu_host::model::StartMode;

const KEYS: [&str; 12] = [
    "name",
    "type",
    "count",
    "per-gpu",
    "names",
    "vms",
    "uuids",
    "gpus",
    "placement",
    "start",
    "params",
    "attrs",
];

/// The group in a table; nothing where it is too faulty to be one.
pub fn read_group<'t>(
    reader: &mut Reader<'t>,
    span: Range<usize>,
    table: &DeTable<'t>,
) -> Option<Group> {
    let place = place(table);
    reader.only(table, &place, &KEYS);
    let name = name(reader, span.clone(), table);
    let type_name = type_name(reader, &place, span.clone(), table);
    let members = members(reader, &place, span.clone(), table);
    let gpus = gpus(reader, table);
    let placements = [("pack", Placement::Pack), ("spread", Placement::Spread)];
    let placement = get(table, "placement")
        .and_then(|value| reader.word("placement", value, &placements))
        .unwrap_or_default();
    let starts = [("auto", StartMode::Auto), ("manual", StartMode::Manual)];
    let start = get(table, "start")
        .and_then(|value| reader.word("start", value, &starts))
        .unwrap_or(StartMode::Auto);
    let attrs = attrs(reader, table);
    Some(Group {
        name: name?,
        type_name: type_name?,
        members: members?,
        gpus,
        placement,
        start,
        attrs,
        line: reader.line(span),
    })
}

/// What messages call a group.
fn place(table: &DeTable<'_>) -> String {
    let name = get(table, "name").and_then(|value| value.get_ref().as_str());
    match name.filter(|name| name.parse::<GroupName>().is_ok()) {
        Some(name) => format!("group {name}"),
        None => "this group".to_owned(),
    }
}

fn name<'t>(reader: &mut Reader<'t>, span: Range<usize>, table: &DeTable<'t>) -> Option<GroupName> {
    let Some(value) = get(table, "name") else {
        let message = "the group has no name, from which the UUIDs of its vGPUs are derived: write name = \"desks\"";
        reader.fault(span, message);
        return None;
    };
    let text = reader.text("name", value)?;
    match text.parse() {
        Ok(name) => Some(name),
        Err(error) => {
            reader.faults.add_error(reader.line(value.span()), &error);
            None
        }
    }
}

fn type_name<'t>(
    reader: &mut Reader<'t>,
    place: &str,
    span: Range<usize>,
    table: &DeTable<'t>,
) -> Option<String> {
    let Some(value) = get(table, "type") else {
        let message =
            format!("{place} has no type: write type = \"P4-1Q\" or type = \"nvidia-63\"");
        reader.fault(span, message);
        return None;
    };
    reader.text("type", value).map(str::to_owned)
}
