//! The host as a table that is drawn again in its own place.

use std::collections::BTreeSet;

use super::{clock, summary};
use crate::model::{Definition, Holder, TypeId};
use crate::nvidia::short_name;
use crate::ops::watch::{Look, Scene};
use crate::output::Style;
use crate::output::table::{Table, ids, numbers, words};
use crate::output::text::{NONE, UNKNOWN, state, text_or};
use crate::output::types::free;
use crate::store::Location;

/// The whole terminal is cleared before the first drawing, so that the table has a place.
const CLEAR: &str = "\x1b[2J";
/// To the top, where the last drawing began.
const HOME: &str = "\x1b[H";
/// What is left of the last drawing in this line, and below.
const REST_OF_LINE: &str = "\x1b[K\n";
const BELOW: &str = "\x1b[J";

/// What a terminal is sent so that it shows the host as it is now.
pub fn frame(look: &Look<'_>, style: Style) -> String {
    let mut text = String::new();
    if look.is_first {
        text += CLEAR;
    }
    text += HOME;
    let ready = look.scene.summary(true);
    let title = format!("{}  {}", clock(look.time), summary(&ready));
    let tables = [parents(look.scene, style), devices(look.scene, style)];
    let lines = tables.iter().flat_map(|table| table.lines());
    for line in std::iter::once(title.as_str()).chain(lines) {
        text += line;
        text += REST_OF_LINE;
    }
    text + BELOW
}

fn parents(scene: &Scene, style: Style) -> String {
    let mut table = Table::of([ids("PARENT"), numbers("ACTIVE"), words("FREE")]);
    for (parent, types) in scene.types() {
        let room = types.iter().filter(|one| one.at_least > 0);
        let room: Vec<String> = room
            .map(|one| format!("{} {}", one.short_name(), free(one)))
            .collect();
        table
            .row(!room.is_empty())
            .cell(parent.as_str())
            .cell(scene.active_on(parent).to_string())
            .cell(list_or_none(&room));
    }
    table.draw(style)
}

fn list_or_none(texts: &[String]) -> String {
    match texts.is_empty() {
        true => NONE.to_owned(),
        false => texts.join(", "),
    }
}

fn devices(scene: &Scene, style: Style) -> String {
    let active = scene.devices().keys();
    let all: BTreeSet<&Location> = active.chain(scene.definitions().keys()).collect();
    let columns = [
        ids("DEVICE"),
        ids("TYPE"),
        words("NAME").spare(),
        ids("PARENT"),
        words("STATE"),
        words("START"),
        words("HOLDER"),
    ];
    let mut table = Table::of(columns);
    for at in all {
        add_device(&mut table, scene, at);
    }
    table.draw(style)
}

fn add_device(table: &mut Table, scene: &Scene, at: &Location) {
    let seen = scene.devices().get(at);
    let definition = scene.definitions().get(at);
    let readable: Option<&Definition> = definition.and_then(|read| read.as_ref().ok());
    let type_id = match (seen, readable) {
        (Some(seen), _) => Some(&seen.device.type_id),
        (None, definition) => definition.map(|definition| &definition.type_id),
    };
    let name = match seen {
        Some(seen) => seen.type_name.as_deref(),
        None => type_id.and_then(|id| scene.type_name(&at.parent, id)),
    };
    let start = match (definition, readable) {
        (Some(_), None) => UNKNOWN,
        (_, None) => NONE,
        (_, Some(definition)) => definition.start.as_str(),
    };
    let holders: Vec<String> = scene.holders_of(at).into_iter().map(held_by).collect();
    table
        .row(seen.is_some())
        .cell(seen.map_or_else(|| at.uuid.to_string(), |seen| seen.device.name()))
        .cell(type_id.map_or(UNKNOWN, TypeId::as_str))
        .cell(text_or(name.map(short_name), NONE))
        .cell(at.parent.as_str())
        .cell(state(seen.is_some()))
        .cell(start)
        .cell(list_or_none(&holders));
}

/// "VM web", or the command of one that is no VM.
fn held_by(holder: &Holder) -> String {
    match &holder.vm {
        Some(vm) => format!("VM {}", vm),
        None => format!("{} ({})", holder.command, holder.pid),
    }
}
