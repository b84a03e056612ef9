//! What a watch tells: a line a change for people, a document a line for programs, a table.

mod table;

use std::time::SystemTime;

use chrono::{DateTime, Local};

use super::text::problem;
use super::types::free;
use crate::model::{Device, TypeId, VgpuType};
use crate::nvidia::short_name;
use crate::ops::watch::{Change, Look, Ready, Turn, Turned, TypesChange, Written};
use crate::text::on_one_line;

pub use super::json::watch_lines as documents;
pub use table::frame;

/// The lines for people, one a change. A warning has none: see [`asides`].
pub fn lines(look: &Look<'_>) -> String {
    let time = clock(look.time);
    let mut text = String::new();
    for change in look.changes {
        if let Some(said) = said(change) {
            let (subject, event) = (subject(change), event(change, look.is_first));
            let line = format!("{time}  {subject:<10}  {event:<10}  {said}");
            text += &on_one_line(&line);
            text.push('\n');
        }
    }
    text
}

/// What belongs to the lines and is not the answer, for standard error.
pub fn asides(look: &Look<'_>) -> Vec<String> {
    let mut lines = Vec::new();
    for change in look.changes {
        match change {
            Change::Problem(error) => lines.extend(problem("warning", error)),
            Change::Ready(ready) => lines.extend(notes(ready)),
            _ => {}
        }
    }
    lines
}

fn notes(ready: &Ready) -> Vec<String> {
    let mut notes = Vec::new();
    if !ready.hears_kernel {
        notes.push(
            "note: this sysfs is not the kernel's own: what programs write there is heard, but not \
             parents that come and go"
                .to_owned(),
        );
    }
    if !ready.sees_all_processes {
        notes.push("note: only your own processes are seen as holders; root sees all".to_owned());
    }
    notes
}

/// What kind of thing a change is about.
pub(super) fn subject(change: &Change) -> &'static str {
    match change {
        Change::Ready(_) => "watch",
        Change::Parent(..) => "parent",
        Change::Types(_) => "types",
        Change::Device(..) => "device",
        Change::Definition(_) => "definition",
        Change::Holder(..) => "holder",
        Change::Problem(_) => "warning",
    }
}

/// What happened to it.
pub(super) fn event(change: &Change, is_first: bool) -> &'static str {
    match change {
        Change::Ready(_) => "ready",
        Change::Problem(_) => "told",
        Change::Parent(Turn::Went, _) | Change::Device(Turn::Went, ..) => "removed",
        Change::Holder(Turn::Went, ..) => "closed",
        Change::Definition(Written { turn, .. }) => match turn {
            Turned::Defined(_) if is_first => "present",
            Turned::Defined(_) => "defined",
            Turned::Changed(_) => "changed",
            Turned::Undefined(_) => "undefined",
            Turned::Unreadable(_) => "unreadable",
        },
        _ if is_first => "present",
        Change::Parent(Turn::Came, _) => "added",
        Change::Types(_) => "changed",
        Change::Device(Turn::Came, ..) => "created",
        Change::Holder(Turn::Came, ..) => "opened",
    }
}

fn said(change: &Change) -> Option<String> {
    Some(match change {
        Change::Ready(ready) => summary(ready),
        Change::Parent(_, parent) => match &parent.gpu {
            Some(gpu) => format!("{} of {gpu} ({})", parent.id, parent.framework.as_str()),
            None => format!("{} ({})", parent.id, parent.framework.as_str()),
        },
        Change::Types(types) => types_said(types),
        Change::Device(_, device, name) => {
            let vgpu_type = type_said(&device.type_id, name.as_deref());
            format!("{} {vgpu_type} {}", device.name(), place(device))
        }
        Change::Definition(written) => definition_said(written),
        Change::Holder(_, device, holder) => format!("{} by {holder}", device.name()),
        Change::Problem(_) => return None,
    })
}

/// "2 parents, 1 device, 3 definitions".
fn summary(ready: &Ready) -> String {
    let count = |number: usize, what: &str| match number {
        1 => format!("1 {what}"),
        _ => format!("{number} {what}s"),
    };
    format!(
        "{}, {}, {}",
        count(ready.parents, "parent"),
        count(ready.devices, "device"),
        count(ready.definitions, "definition")
    )
}

/// "0000:81:00.0: P4-1Q 8 -> 7, P4-2Q 4 -> 0".
fn types_said(change: &TypesChange) -> String {
    let now = change.types.iter().map(|one| match &one.before {
        Some(before) => format!(
            "{} {} -> {}",
            one.now.short_name(),
            free(before),
            free(&one.now)
        ),
        None => format!("{} {}", one.now.short_name(), free(&one.now)),
    });
    let gone = change
        .gone
        .iter()
        .map(|one: &VgpuType| format!("{} gone", one.short_name()));
    let all: Vec<String> = now.chain(gone).collect();
    format!("{}: {}", change.parent, all.join(", "))
}

/// "nvidia-63 (P4-1Q)".
fn type_said(id: &TypeId, name: Option<&str>) -> String {
    match name.map(short_name) {
        Some(name) if name != id.as_str() => format!("{id} ({name})"),
        _ => id.to_string(),
    }
}

fn place(device: &Device) -> String {
    match device.vf() {
        Some(vf) => format!("on {} (function {vf})", device.parent),
        None => format!("on {}", device.parent),
    }
}

fn definition_said(written: &Written) -> String {
    let at = &written.at;
    let defined = written.definition().map(|definition| {
        let vgpu_type = type_said(&definition.type_id, written.type_name.as_deref());
        format!(
            "{} {vgpu_type} on {}, {}",
            at.uuid, at.parent, definition.start
        )
    });
    match (&written.turn, defined) {
        (Turned::Unreadable(error), _) => error.to_string(),
        (Turned::Undefined(_), _) => format!("{} on {}", at.uuid, at.parent),
        (_, defined) => defined.unwrap_or_default(),
    }
}

/// The time of day where the user is.
fn clock(time: SystemTime) -> String {
    DateTime::<Local>::from(time).format("%H:%M:%S").to_string()
}
