//! The host as a table that is drawn again in its own place.

use std::collections::BTreeSet;

use super::{clock, summary};
use crate::model::{Definition, Holder, ParentId, TypeId, VgpuType};
use crate::nvidia::short_name;
use crate::ops::watch::{Look, Scene};
use crate::output::Style;
use crate::output::table::{Row, draw, ids, numbers, words};
use crate::output::text::{NONE, UNKNOWN, one_line, state, text_or};
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

fn parents<'a>(scene: &'a Scene, style: Style) -> String {
    let row = |(parent, types): (&'a ParentId, &[VgpuType])| {
        let active = scene.active_on(parent);
        let room = types.iter().filter(|one| one.at_least > 0);
        let room: Vec<String> = room
            .map(|one| format!("{} {}", one_line(one.short_name()), free(one)))
            .collect();
        Row {
            is_live: !room.is_empty(),
            cells: vec![
                parent.as_str().into(),
                active.to_string().into(),
                match room.is_empty() {
                    true => NONE.into(),
                    false => room.join(", ").into(),
                },
            ],
        }
    };
    let columns = [ids("PARENT"), numbers("ACTIVE"), words("FREE")];
    draw(&columns, scene.types().map(row).collect(), style)
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
    let rows = all.into_iter().map(|at| row(scene, at));
    draw(&columns, rows.collect(), style)
}

fn row<'a>(scene: &'a Scene, at: &'a Location) -> Row<'a> {
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
    Row {
        cells: vec![
            seen.map_or_else(|| at.uuid.to_string(), |seen| seen.device.name())
                .into(),
            text_or(type_id.map(TypeId::as_str), UNKNOWN),
            text_or(name.map(|name| one_line(short_name(name))), NONE),
            at.parent.as_str().into(),
            state(seen.is_some()).into(),
            start.into(),
            match holders.is_empty() {
                true => NONE.into(),
                false => holders.join(", ").into(),
            },
        ],
        is_live: seen.is_some(),
    }
}

/// "VM web", or the command of one that is no VM.
fn held_by(holder: &Holder) -> String {
    match &holder.vm {
        Some(vm) => format!("VM {}", one_line(vm)),
        None => format!("{} ({})", one_line(&holder.command), holder.pid),
    }
}
