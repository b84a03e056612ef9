//! Answers and sentences for people.

use std::borrow::Cow;
use std::collections::HashSet;

use super::table::{Table, ids, words};
use super::{Reply, Style, attach, doctor, explain, gpus, metrics, plan, show, types};
use crate::declare::{Declaration, write};
use crate::error::Error;
use crate::model::{ParentId, StartMode, uuid_text};
use crate::nvidia::short_name;
use crate::ops::{Action, Answer, Change, Effect, Grant, Listed, Plan, Report};
use crate::text::{on_its_lines, on_one_line};

/// Who has more than these to read reads none.
const MOST_WARNINGS: usize = 100;

/// The answer, for standard output; empty where there is none to give.
pub fn stdout_text(reply: &Reply, style: Style) -> String {
    let text = answer(reply, style);
    match reply {
        // Their cells and lines are shown as they have to be, and may have colours between them.
        Reply::Types(_)
        | Reply::Gpus(_)
        | Reply::Vfs(_)
        | Reply::Mig(_)
        | Reply::List(_)
        | Reply::Own(..)
        | Reply::Doctor(_) => text,
        _ => on_its_lines(text).into_owned(),
    }
}

fn answer(reply: &Reply, style: Style) -> String {
    match reply {
        Reply::Types(answer) => types::narrow(&answer.value, style),
        Reply::TypesWide(answer) => types::wide(&answer.value),
        Reply::Gpus(answer) => gpus::table(&answer.value, style),
        Reply::Vfs(answer) => super::vfs::table(&answer.value, style),
        Reply::Mig(answer) => super::mig::tables(&answer.value, style),
        Reply::List(answer) | Reply::Own(answer, _) => list(&answer.value, style),
        Reply::Doctor(diagnosis) => doctor::text(diagnosis, style),
        Reply::Checks(checks) => doctor::list_text(checks),
        Reply::Show(answer) => show::lines(&answer.value),
        Reply::Attach(answer) => attach::text(&answer.value),
        Reply::Applied(answer) => attach::planned(&answer.value),
        Reply::Planned(answer, lines) => plan::text(&answer.value, *lines),
        Reply::Asserted(answer) => plan::differences(&answer.value),
        Reply::Carried(answer) => plan::carried(&answer.value),
        Reply::Exported(answer) => declared(answer),
        Reply::Explained(answer) => explain::explained(&answer.value),
        Reply::Topics(answer) => explain::topics(&answer.value),
        Reply::Metrics(answer) => metrics::text(&answer.value),
        Reply::MetricsWritten(_) => String::new(),
        Reply::Made(report) => made(report),
        Reply::Changed(report) => planned(report),
        Reply::Restored(report) => lines(report.changes.iter().map(restored)),
    }
}

/// What else a person wants to know, for standard error: what was done, errors, warnings, notes.
pub fn sentences(reply: &Reply) -> Vec<String> {
    let mut lines = Vec::new();
    if let Reply::Made(report) | Reply::Changed(report) = reply {
        for change in &report.changes {
            match &change.effect {
                Effect::Failed(error) => lines.extend(problem("error", error)),
                Effect::Planned(_) | Effect::WouldCreateInstances(_) => {}
                _ => lines.push(sentence(change)),
            }
        }
    }
    if let Reply::Applied(answer) = reply {
        lines.extend(attach::sentence(&answer.value));
    }
    if let Reply::Carried(answer) = reply {
        lines.push(plan::carried_line(&answer.value.plan));
    }
    if let Reply::Restored(report) = reply {
        // The errors themselves are in the answer, a line each.
        let errors = report.changes.iter().filter_map(Change::error);
        push_new(&mut lines, errors.flat_map(hints));
    }
    if let Reply::Own(_, grants) = reply {
        lines.extend(grants.iter().map(allowed));
    }
    let warnings = reply.warnings().iter().chain(reply.cautions());
    lines.extend(asides(reply.plan(), warnings, reply.notes()));
    lines
}

/// What goes with an answer: ways out for what a plan's lines call blocked, warnings with theirs, notes.
pub fn asides<'a>(
    plan: Option<&Plan>,
    warnings: impl IntoIterator<Item = &'a Error>,
    notes: &[String],
) -> Vec<String> {
    let blocked = plan.map(plan::blocked).unwrap_or_default();
    let is_told = |warning: &Error| {
        let same = |error: &&Error| error.path().is_some() && error.path() == warning.path();
        blocked.iter().any(same)
    };
    let mut lines = Vec::new();
    push_new(&mut lines, blocked.iter().copied().flat_map(hints));
    let mut warnings = warnings.into_iter().filter(|warning| !is_told(warning));
    let first = warnings.by_ref().take(MOST_WARNINGS);
    lines.extend(first.flat_map(|warning| problem("warning", warning)));
    match warnings.count() {
        0 => {}
        more => lines.push(format!(
            "warning: {more} more warnings; all of them: --json"
        )),
    }
    lines.extend(
        notes
            .iter()
            .map(|note| format!("note: {}", on_one_line(note))),
    );
    lines
}

/// Several lines of an answer may share a way out.
fn push_new(lines: &mut Vec<String>, more: impl Iterator<Item = String>) {
    let mut known: HashSet<String> = lines.iter().cloned().collect();
    for line in more {
        if known.insert(line.clone()) {
            lines.push(line);
        }
    }
}

/// An error or a warning: one line, one for each that was found with it, then its hints.
pub fn problem(severity: &str, error: &Error) -> Vec<String> {
    let line = |error: &Error| format!("{severity}: {}", on_one_line(error.to_string()));
    let mut lines = vec![line(error)];
    lines.extend(error.others().iter().map(line));
    lines.extend(hints(error));
    lines
}

fn hints(error: &Error) -> Vec<String> {
    let hints = crate::hints::hints(error).into_iter();
    let mut lines = Vec::new();
    push_new(
        &mut lines,
        hints.map(|hint| format!("hint: {}", on_one_line(hint))),
    );
    lines
}

/// One text of several lines.
pub fn lines(lines: impl Iterator<Item = String>) -> String {
    lines.map(|line| line + "\n").collect()
}

/// A host as a file that declares it.
pub fn declared(answer: &Answer<Declaration>) -> String {
    write(&answer.value, &answer.notes)
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
    matches!(
        change.effect,
        Effect::Planned(_) | Effect::WouldCreateInstances(_)
    )
}

/// "created 83b8...: nvidia-63 (P4-1Q) on 0000:81:00.0".
fn sentence(change: &Change) -> String {
    let what = match &change.effect {
        Effect::Done(action) => format!("{} {}", action.done(), subject(change)),
        Effect::Planned(action) => format!("would {} {}", action.verb(), subject(change)),
        Effect::Enabled | Effect::MigEnabled => format!("enabled {}", subject(change)),
        Effect::WouldEnable | Effect::WouldEnableMig => {
            format!("would enable {}", subject(change))
        }
        Effect::InstancesCreated(_) => format!("created {}", subject(change)),
        Effect::WouldCreateInstances(_) => format!("would create {}", subject(change)),
        Effect::Already(state) => format!("{} is already {state}", subject(change)),
        Effect::Failed(error) => return on_one_line(error.to_string()).into_owned(),
    };
    match place(change) {
        Some(place) => format!("{what}: {place}"),
        None => what,
    }
}

fn subject(change: &Change) -> String {
    match &change.effect {
        Effect::MigEnabled | Effect::WouldEnableMig => return "MIG mode".to_owned(),
        Effect::InstancesCreated(profiles) | Effect::WouldCreateInstances(profiles) => {
            return format!("GPU instances {}", profiles.join(", "));
        }
        Effect::Failed(_) if is_of_gpu(change) => return "GPU setup".to_owned(),
        Effect::Planned(Action::Create) if change.uuid.is_none() => {
            return "a new device".to_owned();
        }
        _ => {}
    }
    if change.uuid.is_none() && is_removal(&change.effect) {
        // Somebody else's, on a virtual function.
        return "the vGPU".to_owned();
    }
    match (change.uuid, &change.type_id, &change.parent) {
        (Some(uuid), ..) => uuid.to_string(),
        (None, None, Some(_)) => "virtual functions".to_owned(),
        (None, ..) => "a new device".to_owned(),
    }
}

/// Whether it is of a GPU as a whole, and not of one device.
fn is_of_gpu(change: &Change) -> bool {
    change.uuid.is_none() && change.type_id.is_none() && change.parent.is_some()
}

fn is_removal(effect: &Effect) -> bool {
    let (Effect::Done(action) | Effect::Planned(action)) = effect else {
        return false;
    };
    matches!(action, Action::Stop | Action::Remove)
}

fn place(change: &Change) -> Option<String> {
    let gpu = change.parent.as_ref()?;
    let function = change.vf.as_ref().filter(|vf| *vf != gpu);
    let parent = match function {
        Some(vf) => format!("{gpu}, function {vf}"),
        None => gpu.to_string(),
    };
    Some(match (&change.type_id, &change.type_name) {
        (Some(id), Some(name)) => {
            // A driver may call its types anything.
            let name = on_one_line(short_name(name));
            format!("{id} ({name}) on {parent}")
        }
        (Some(id), None) => format!("{id} on {parent}"),
        (None, Some(name)) => format!("{} on {parent}", on_one_line(short_name(name))),
        (None, None) => format!("on {parent}"),
    })
}

/// "started   83b8...  nvidia-63 on 0000:81:00.0", with the reason where it failed.
fn restored(change: &Change) -> String {
    let (word, reason) = match &change.effect {
        Effect::Done(action) => (action.done().to_owned(), String::new()),
        Effect::Planned(action) => (format!("would {}", action.verb()), String::new()),
        Effect::Enabled | Effect::MigEnabled => ("enabled".to_owned(), String::new()),
        Effect::WouldEnable | Effect::WouldEnableMig => ("would enable".to_owned(), String::new()),
        Effect::InstancesCreated(_) => ("created".to_owned(), String::new()),
        Effect::WouldCreateInstances(_) => ("would create".to_owned(), String::new()),
        Effect::Already(state) => ((*state).to_owned(), String::new()),
        Effect::Failed(error) => (
            "failed".to_owned(),
            format!(": {}", on_one_line(error.to_string())),
        ),
    };
    let place = place(change).unwrap_or_default();
    format!("{word:<8} {} {place}{reason}", subject(change))
}

/// Stands for what could not be read.
pub const UNKNOWN: &str = "?";
/// Stands for what is not there.
pub const NONE: &str = "-";

/// The value, or what stands for none.
pub fn or<T: ToString>(value: Option<T>, other: &str) -> String {
    value.map_or_else(|| other.to_owned(), |value| value.to_string())
}

/// As [`or`], of a text, which a cell need not copy.
pub fn text_or<'a>(text: Option<impl Into<Cow<'a, str>>>, other: &'static str) -> Cow<'a, str> {
    text.map_or(Cow::Borrowed(other), Into::into)
}

fn list(devices: &[Listed], style: Style) -> String {
    let mut columns = vec![ids("UUID"), ids("TYPE"), words("NAME"), ids("PARENT")];
    let on_functions = devices.iter().any(|device| device.vf().is_some());
    if on_functions {
        columns.push(ids("VF"));
    }
    columns.extend([words("STATE"), words("START")]);
    let mut table = Table::with_room(columns, devices.len());
    for device in devices {
        let name = device.type_name.as_deref();
        table
            .row(device.active == Some(true))
            .cell(text_or(device.known_uuid().map(uuid_text), NONE))
            .cell(device.type_id.as_str())
            .cell(text_or(name.map(short_name), NONE))
            .cell(device.parent.as_str());
        if on_functions {
            table.cell(device.vf().map_or(NONE, ParentId::as_str));
        }
        table
            .cell(device.active.map_or(UNKNOWN, state))
            .cell(device.start.map_or(NONE, StartMode::as_str));
    }
    table.draw(style)
}

/// "you have 1 of 2: nvidia-63, GRID P4-2Q on 0000:81:00.0".
fn allowed(grant: &Grant) -> String {
    let quota = &grant.quota;
    let parents = quota.parents.as_ref();
    let names = |parents: &Vec<ParentId>| {
        let names: Vec<&str> = parents.iter().map(ParentId::as_str).collect();
        format!(" on {}", names.join(", "))
    };
    let boot = if quota.at_boot { ", also at boot" } else { "" };
    let line = format!(
        "you have {} of {}: {}{}{boot}",
        grant.used,
        quota.devices,
        quota.types.join(", "),
        parents.map(names).unwrap_or_default(),
    );
    on_one_line(line).into_owned()
}

/// Whether a device is there.
pub fn state(active: bool) -> &'static str {
    match active {
        true => "active",
        false => "inactive",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;

    #[test]
    fn a_message_stays_one_line_and_says_each_hint_once() {
        let error = Error::new(Kind::Failed, "a\nb\u{1b}[2J")
            .hint("x")
            .hint("x");
        assert_eq!(
            problem("error", &error),
            [r"error: a b\u{1b}[2J", "hint: x"]
        );
    }
}
