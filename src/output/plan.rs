//! Plans, and what came of them, as text.

use crate::error::Error;
use crate::nvidia::short_name;
use crate::ops::{Carried, Item, Plan, Summary, Verdict};
use crate::text::on_one_line;

/// Which lines of a plan to show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lines {
    /// What differs.
    Differences,
    /// What is as declared too.
    All,
}

/// A line for each vGPU, and a line that counts them.
pub fn text(plan: &Plan, which: Lines) -> String {
    let shown = plan.items.iter();
    let shown = shown.filter(|item| which == Lines::All || item.verdict != Verdict::Keep);
    let mut text: String = shown.map(|item| line(item) + "\n").collect();
    text += &summary_line(plan.summary());
    text.push('\n');
    text
}

/// Only what differs, without the count; empty where nothing does.
pub fn differences(plan: &Plan) -> String {
    let shown = plan.items.iter();
    let shown = shown.filter(|item| item.verdict != Verdict::Keep);
    shown.map(|item| line(item) + "\n").collect()
}

/// Why each vGPU is blocked that is.
pub fn blocked(plan: &Plan) -> Vec<&Error> {
    let verdicts = plan.items.iter().map(|item| &item.verdict);
    let errors = verdicts.filter_map(|verdict| match verdict {
        Verdict::Blocked(error) => Some(error),
        _ => None,
    });
    errors.collect()
}

/// "+ create  UUID P4-1Q on 0000:81:00.0 (desks/0): it is missing".
fn line(item: &Item) -> String {
    let (sign, word, why) = match &item.verdict {
        Verdict::Create(why) => ("+", "create", why.clone()),
        Verdict::Keep => ("=", "keep", "as declared".to_owned()),
        Verdict::Change(differences) => ("~", "change", differences.join("; ")),
        Verdict::Remove(why) => ("-", "remove", why.clone()),
        Verdict::Blocked(error) => ("!", "blocked", error.to_string()),
    };
    on_one_line(format!("{sign} {word:<7} {}: {why}", subject(item))).into_owned()
}

fn subject(item: &Item) -> String {
    let type_name = item.type_name.as_deref();
    let mut text = format!("{} {}", item.uuid, item.type_id);
    if let Some(name) = type_name {
        text += &format!(" ({})", short_name(name));
    }
    if let Some(parent) = &item.parent {
        text += &format!(" on {parent}");
    }
    if let Some(vf) = &item.vf {
        text += &format!(", function {vf}");
    }
    text
}

/// "3 to create, 1 to change, 2 to remove, 1 blocked, 12 as declared".
pub fn summary_line(summary: Summary) -> String {
    let parts = [
        (summary.create, "to create"),
        (summary.change, "to change"),
        (summary.remove, "to remove"),
        (summary.blocked, "blocked"),
        (summary.keep, "as declared"),
    ];
    counted(&parts)
}

fn counted(parts: &[(usize, &str)]) -> String {
    let told = parts.iter().filter(|(count, _)| *count > 0);
    let told: Vec<String> = told
        .map(|(count, what)| format!("{count} {what}"))
        .collect();
    match told.is_empty() {
        true => "nothing is declared, and nothing is to do".to_owned(),
        false => told.join(", "),
    }
}

/// What was done, a line each.
pub fn carried(carried: &Carried) -> String {
    let items = carried.plan.items.iter();
    let done = items.filter_map(|item| {
        let word = match &item.verdict {
            Verdict::Create(_) => "created",
            Verdict::Change(_) => "changed",
            Verdict::Remove(_) => "removed",
            Verdict::Blocked(_) => return Some(line(item)),
            Verdict::Keep => return None,
        };
        Some(on_one_line(format!("{word} {}", subject(item))).into_owned())
    });
    done.map(|line| line + "\n").collect()
}

/// "3 created, 1 changed, 2 removed, 1 blocked, 12 as declared".
pub fn carried_line(summary: Summary) -> String {
    counted(&[
        (summary.create, "created"),
        (summary.change, "changed"),
        (summary.remove, "removed"),
        (summary.blocked, "blocked"),
        (summary.keep, "as declared"),
    ])
}
