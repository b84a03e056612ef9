//! Answers and sentences for people.

use super::table::{Row, draw, ids, numbers, words};
use super::{Reply, Style, explain};
use crate::error::Error;
use crate::model::{Holder, VgpuType};
use crate::nvidia::{short_name, size};
use crate::ops::{Change, Effect, Gpu, Listed, ParentTypes, Report, Shown};

/// The answer, for standard output; empty where there is none to give.
pub fn stdout_text(reply: &Reply, style: Style) -> String {
    match reply {
        Reply::Types(answer) => types(&answer.value, style),
        Reply::Gpus(answer) => gpus(&answer.value, style),
        Reply::List(answer) => list(&answer.value, style),
        Reply::Show(answer) => show(&answer.value),
        Reply::Explained(answer) => explain::explained(&answer.value),
        Reply::Topics(answer) => explain::topics(&answer.value),
        Reply::Made(report) => made(report),
        Reply::Changed(report) => planned(report),
        Reply::Restored(report) => lines(report.changes.iter().map(restored)),
    }
}

/// What else a person wants to know, for standard error: what was done, errors, warnings, notes.
pub fn sentences(reply: &Reply) -> Vec<String> {
    let mut told = Vec::new();
    if let Reply::Made(report) | Reply::Changed(report) = reply {
        for change in &report.changes {
            match &change.effect {
                Effect::Failed(error) => told.extend(problem("error", error)),
                Effect::Planned(_) => {}
                _ => told.push(sentence(change)),
            }
        }
    }
    if let Reply::Restored(report) = reply {
        // The errors themselves are in the answer, a line each; several may share a way out.
        for hint in report
            .changes
            .iter()
            .filter_map(Change::error)
            .flat_map(hints)
        {
            if !told.contains(&hint) {
                told.push(hint);
            }
        }
    }
    for warning in reply.warnings() {
        told.extend(problem("warning", warning));
    }
    told.extend(reply.notes().iter().map(|note| format!("note: {note}")));
    told
}

/// An error or a warning: one line, then its hints.
pub fn problem(severity: &str, error: &Error) -> Vec<String> {
    let mut told = vec![format!("{severity}: {}", one_line(&error.to_string()))];
    told.extend(hints(error));
    told
}

fn hints(error: &Error) -> Vec<String> {
    let mut told = Vec::new();
    for hint in error.all_hints() {
        let line = format!("hint: {}", one_line(hint));
        if !told.contains(&line) {
            told.push(line);
        }
    }
    told
}

/// Text from files and drivers may hold newlines and worse; a message is one line all the same.
fn one_line(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

fn lines(lines: impl Iterator<Item = String>) -> String {
    lines.map(|line| line + "\n").collect()
}

fn made(report: &Report) -> String {
    match report.changes.iter().any(is_planned) {
        true => planned(report),
        false => lines(
            report
                .changes
                .iter()
                .filter_map(|c| c.uuid)
                .map(|u| u.to_string()),
        ),
    }
}

fn planned(report: &Report) -> String {
    lines(
        report
            .changes
            .iter()
            .filter(|c| is_planned(c))
            .map(sentence),
    )
}

fn is_planned(change: &Change) -> bool {
    matches!(change.effect, Effect::Planned(_))
}

/// "created 83b8...: nvidia-63 (P4-1Q) on 0000:81:00.0".
fn sentence(change: &Change) -> String {
    let what = match &change.effect {
        Effect::Done(action) => format!("{} {}", action.done(), subject(change)),
        Effect::Planned(action) => format!("would {} {}", action.verb(), subject(change)),
        Effect::Already(state) => format!("{} is {state} already", subject(change)),
        Effect::Failed(error) => return one_line(&error.to_string()),
    };
    match place(change) {
        Some(place) => format!("{what}: {place}"),
        None => what,
    }
}

fn subject(change: &Change) -> String {
    match change.uuid {
        Some(uuid) => uuid.to_string(),
        None => "a new device".to_owned(),
    }
}

fn place(change: &Change) -> Option<String> {
    let parent = change.parent.as_ref()?;
    Some(match (&change.type_id, &change.type_name) {
        (Some(id), Some(name)) => format!("{id} ({}) on {parent}", short_name(name)),
        (Some(id), None) => format!("{id} on {parent}"),
        (None, _) => format!("on {parent}"),
    })
}

/// "started   83b8...  nvidia-63 on 0000:81:00.0", with the reason where it failed.
fn restored(change: &Change) -> String {
    let (word, reason) = match &change.effect {
        Effect::Done(action) => (action.done().to_owned(), String::new()),
        Effect::Planned(action) => (format!("would {}", action.verb()), String::new()),
        Effect::Already(state) => ((*state).to_owned(), String::new()),
        Effect::Failed(error) => (
            "failed".to_owned(),
            format!(": {}", one_line(&error.to_string())),
        ),
    };
    let place = place(change).unwrap_or_default();
    format!("{word:<8} {} {place}{reason}", subject(change))
}

const UNKNOWN: &str = "?";
const NONE: &str = "-";

fn or<T: ToString>(value: Option<T>, other: &str) -> String {
    value.map_or_else(|| other.to_owned(), |value| value.to_string())
}

fn types(parents: &[ParentTypes], style: Style) -> String {
    let all = || parents.iter().flat_map(|parent| &parent.types);
    let described = all().any(|t| t.details.is_none() && t.description.is_some());
    let detailed = all().any(|t| t.details.is_some());
    let mut columns = vec![ids("PARENT"), ids("TYPE"), words("NAME")];
    if detailed {
        columns.extend([
            numbers("FRAMEBUFFER"),
            numbers("DISPLAYS"),
            numbers("FPS"),
            words("RESOLUTION"),
        ]);
    }
    columns.push(numbers("FREE"));
    if detailed {
        columns.push(numbers("MAX"));
    }
    columns.push(words("API"));
    if described {
        columns.push(words("DESCRIPTION"));
    }
    let mut rows = Vec::new();
    for ParentTypes { parent, types } in parents {
        for t in types {
            let d = t.details.as_ref();
            let mut cells = vec![parent.id.to_string(), t.id.to_string()];
            cells.push(or(t.name.as_deref().map(one_line), NONE));
            if detailed {
                cells.push(or(d.map(|d| size(d.framebuffer_mib)), NONE));
                cells.push(or(d.map(|d| d.displays), NONE));
                cells.push(or(d.map(|d| d.frame_limit), NONE));
                cells.push(or(d.map(|d| d.resolution.as_str()), NONE));
            }
            cells.push(or(t.available, UNKNOWN));
            if detailed {
                cells.push(or(d.map(|d| d.max_instances), NONE));
            }
            cells.push(or(t.device_api.as_deref().map(one_line), UNKNOWN));
            if described {
                cells.push(or(unknown_description(t), NONE));
            }
            rows.push(Row {
                cells,
                is_live: t.available != Some(0),
            });
        }
    }
    draw(&columns, rows, style)
}

/// A description whose form is not known, on one line.
fn unknown_description(vgpu_type: &VgpuType) -> Option<String> {
    match (&vgpu_type.details, &vgpu_type.description) {
        (None, Some(text)) => Some(one_line(&text.trim().replace('\n', ", "))),
        _ => None,
    }
}

fn gpus(gpus: &[Gpu], style: Style) -> String {
    let columns = [
        ids("PARENT"),
        words("CARD"),
        words("DRIVER"),
        words("FRAMEWORK"),
        numbers("ACTIVE"),
        words("HOLDS"),
        words("FRAMEBUFFER"),
    ];
    let rows = gpus.iter().map(|gpu| Row {
        cells: vec![
            gpu.parent.id.to_string(),
            or(gpu.card.as_deref(), NONE),
            or(gpu.driver.as_deref(), NONE),
            gpu.parent.framework.as_str().to_owned(),
            gpu.active.to_string(),
            match gpu.holds.is_empty() {
                true => NONE.to_owned(),
                false => gpu.holds.clone(),
            },
            or(
                gpu.framebuffer.map(|(taken, total)| bar(taken, total)),
                NONE,
            ),
        ],
        is_live: true,
    });
    draw(&columns, rows.collect(), style)
}

/// "[######--] 6 GiB of 8 GiB".
fn bar(taken: u64, total: u64) -> String {
    const WIDTH: u64 = 8;
    let filled = (taken * WIDTH).div_ceil(total.max(1)).min(WIDTH);
    let part = |count: u64, sign: &str| sign.repeat(usize::try_from(count).unwrap_or_default());
    format!(
        "[{}{}] {} of {}",
        part(filled, "#"),
        part(WIDTH - filled, "-"),
        size(taken),
        size(total)
    )
}

fn list(devices: &[Listed], style: Style) -> String {
    let columns = [
        ids("UUID"),
        ids("TYPE"),
        words("NAME"),
        ids("PARENT"),
        words("STATE"),
        words("START"),
    ];
    let rows = devices.iter().map(|device| Row {
        cells: vec![
            device.uuid.to_string(),
            device.type_id.to_string(),
            or(
                device.type_name.as_deref().map(|n| one_line(short_name(n))),
                NONE,
            ),
            device.parent.to_string(),
            device.active.map_or(UNKNOWN, state).to_owned(),
            or(device.start, NONE),
        ],
        is_live: device.active == Some(true),
    });
    draw(&columns, rows.collect(), style)
}

fn state(active: bool) -> &'static str {
    match active {
        true => "active",
        false => "inactive",
    }
}

fn show(shown: &Shown) -> String {
    let mut told = vec![("UUID", shown.at.uuid.to_string())];
    let label = shown.type_id.as_ref().map(|id| {
        let name = shown.vgpu_type.as_ref().and_then(|t| t.name.as_deref());
        match name {
            Some(name) => format!("{id} ({})", one_line(name)),
            None => id.to_string(),
        }
    });
    told.push(("Type", or(label, UNKNOWN)));
    if let Some(details) = shown.vgpu_type.as_ref().and_then(|t| t.details.as_ref()) {
        told.push(("Framebuffer", size(details.framebuffer_mib)));
        told.push(("Displays", details.displays.to_string()));
        told.push(("Frame limit", format!("{} FPS", details.frame_limit)));
        told.push(("Resolution", details.resolution.clone()));
    }
    told.push(("Parent", shown.at.parent.to_string()));
    told.push(("State", state(shown.running.is_some()).to_owned()));
    let start = match (&shown.definition, &shown.definition_path) {
        (Some(definition), _) => definition.start.to_string(),
        (None, Some(_)) => "? (the definition cannot be read)".to_owned(),
        (None, None) => "- (transient: gone after a reboot)".to_owned(),
    };
    told.push(("Start", start));
    if let Some(running) = &shown.running {
        let nodes = &running.nodes;
        let path = |p: &std::path::PathBuf| p.display().to_string();
        told.push(("IOMMU group", or(nodes.iommu_group.as_deref(), NONE)));
        told.push(("VFIO group", or(nodes.group.as_ref().map(path), NONE)));
        told.push(("VFIO device", or(nodes.device.as_ref().map(path), NONE)));
        told.push(("Sysfs", nodes.sysfs.display().to_string()));
        told.push((
            "Held by",
            held_by(&running.holders.found, running.holders.complete),
        ));
    }
    let path = shown.definition_path.as_ref();
    told.push(("Definition", or(path.map(|p| p.display()), NONE)));
    for parent in &shown.also_defined_on {
        told.push(("Defined on", parent.to_string()));
    }
    let attrs = shown.definition.iter().flat_map(|d| &d.attrs);
    let mut text = lines(told.iter().map(|(key, value)| format!("{key:<12} {value}")));
    for (index, attr) in attrs.enumerate() {
        text += &format!(
            "{:<12} {}\n",
            format!("Attribute {index}"),
            one_line(&attr.to_string())
        );
    }
    text
}

fn held_by(holders: &[Holder], complete: bool) -> String {
    let names: Vec<String> = holders.iter().map(Holder::to_string).collect();
    match (names.is_empty(), complete) {
        (true, true) => "nobody".to_owned(),
        (true, false) => "? (only root can see other users' processes)".to_owned(),
        (false, true) => names.join(", "),
        (false, false) => format!("{}, and maybe others", names.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;

    #[test]
    fn the_bar_shows_the_least_use_and_never_overflows() {
        assert_eq!(bar(0, 8192), "[--------] 0 MiB of 8 GiB");
        assert_eq!(bar(1, 8192), "[#-------] 1 MiB of 8 GiB");
        assert_eq!(bar(6144, 8192), "[######--] 6 GiB of 8 GiB");
        assert_eq!(bar(9999, 8192), "[########] 9.8 GiB of 8 GiB");
        assert_eq!(bar(0, 0), "[--------] 0 MiB of 0 MiB");
    }

    #[test]
    fn a_message_stays_one_line_and_says_each_hint_once() {
        let error = Error::new(Kind::Failed, "a\nb\u{1b}[2J")
            .hint("x")
            .hint("x");
        assert_eq!(problem("error", &error), ["error: a b [2J", "hint: x"]);
    }
}
