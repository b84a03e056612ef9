//! Plans, and what came of them, as text and as JSON.

use serde_json::{Value, json};

use crate::error::Error;
use crate::nvidia::short_name;
use crate::ops::{Carried, Item, Outcome, Plan, Summary, Verdict};
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

/// A plan for programs.
pub fn document(plan: &Plan, error: impl Fn(&Error) -> Value) -> Value {
    json!({
        "summary": summary(plan.summary()),
        "changes": plan.items.iter().map(|one| item(one, &error)).collect::<Value>(),
    })
}

/// What came of a plan, for programs.
pub fn carried_document(carried: &Carried, error: impl Fn(&Error) -> Value) -> Value {
    let mut document = document(&carried.plan, error);
    if let Some(changes) = document["changes"].as_array_mut() {
        for (change, item) in changes.iter_mut().zip(&carried.plan.items) {
            change["result"] = json!(match item.outcome() {
                Outcome::Done => "done",
                Outcome::Already => "unchanged",
                Outcome::Blocked => "blocked",
            });
        }
    }
    document
}

fn summary(summary: Summary) -> Value {
    json!({
        "create": summary.create,
        "change": summary.change,
        "remove": summary.remove,
        "blocked": summary.blocked,
        "keep": summary.keep,
    })
}

fn item(item: &Item, error: impl Fn(&Error) -> Value) -> Value {
    let (word, reasons, problem) = match &item.verdict {
        Verdict::Create(why) => ("create", vec![why.as_str()], None),
        Verdict::Keep => ("keep", Vec::new(), None),
        Verdict::Change(told) => ("change", told.iter().map(String::as_str).collect(), None),
        Verdict::Remove(why) => ("remove", vec![why.as_str()], None),
        Verdict::Blocked(problem) => ("blocked", Vec::new(), Some(problem)),
    };
    json!({
        "uuid": item.uuid.to_string(),
        "group": item.member.as_ref().map(|mark| mark.group.as_str()),
        "member": item.member.as_ref().map(|mark| mark.member.as_str()),
        "parent": item.parent.as_ref().map(|parent| parent.as_str()),
        "vf": item.vf.as_ref().map(|vf| vf.as_str()),
        "type": item.type_id.as_str(),
        "type_name": item.type_name,
        "action": word,
        "reasons": reasons,
        "error": problem.map(error),
    })
}
