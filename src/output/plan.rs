//! Plans, and what came of them, as text.

use crate::error::Error;
use crate::nvidia::short_name;
use crate::ops::{Carried, Effect, GpuItem, Item, Plan, Summary, Verdict};
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
    let gpus = plan.gpus.iter();
    let gpus = gpus.filter(|gpu| which == Lines::All || !gpu.is_set_up());
    let mut text: String = gpus.map(|gpu| gpu_line(gpu) + "\n").collect();
    let shown = plan.items.iter();
    let shown = shown.filter(|item| which == Lines::All || item.verdict != Verdict::Keep);
    text.extend(shown.map(|item| line(item) + "\n"));
    let (due, blocked) = gpus_due(plan);
    let of_gpus = [(due, to_set_up(due)), (blocked, gpus_blocked(blocked))];
    text += &counted(&[&of_gpus[..], &parts(plan.summary())].concat());
    text.push('\n');
    text
}

/// Only what differs, without the count; empty where nothing does.
pub fn differences(plan: &Plan) -> String {
    let gpus = plan.gpus.iter().filter(|gpu| !gpu.is_set_up());
    let shown = plan.items.iter();
    let shown = shown.filter(|item| item.verdict != Verdict::Keep);
    let lines = gpus.map(gpu_line).chain(shown.map(line));
    lines.map(|line| line + "\n").collect()
}

/// Why each GPU and vGPU is blocked that is.
pub fn blocked(plan: &Plan) -> Vec<&Error> {
    let gpus = plan.gpus.iter().filter_map(|gpu| gpu.blocked.as_ref());
    let verdicts = plan.items.iter().map(|item| &item.verdict);
    let errors = verdicts.filter_map(|verdict| match verdict {
        Verdict::Blocked(error) => Some(error),
        _ => None,
    });
    gpus.chain(errors).collect()
}

/// How many GPUs can be set up, and how many are blocked.
fn gpus_due(plan: &Plan) -> (usize, usize) {
    let due = plan.gpus.iter().filter(|gpu| !gpu.is_set_up());
    let (blocked, due): (Vec<&GpuItem>, Vec<&GpuItem>) = due.partition(|gpu| gpu.blocked.is_some());
    (due.len(), blocked.len())
}

fn to_set_up(count: usize) -> &'static str {
    match count {
        1 => "GPU to set up",
        _ => "GPUs to set up",
    }
}

fn gpus_blocked(count: usize) -> &'static str {
    match count {
        1 => "GPU blocked",
        _ => "GPUs blocked",
    }
}

/// "~ set up  0000:41:00.0: mig: none -> 3g.40gb; enable MIG mode".
fn gpu_line(item: &GpuItem) -> String {
    let (sign, word, why) = match &item.blocked {
        Some(error) => ("!", "blocked", error.to_string()),
        None if item.is_set_up() => ("=", "keep", "as declared".to_owned()),
        None => ("~", "set up", changes_of(item, Tense::ToCome).join("; ")),
    };
    on_one_line(format!("{sign} {word:<7} {}: {why}", item.gpu)).into_owned()
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Tense {
    ToCome,
    Done,
}

/// Each difference and step of a GPU, in words.
pub fn changes_of(item: &GpuItem, tense: Tense) -> Vec<String> {
    let step = |effect: &Effect| {
        let ending = |verb: &str| match tense {
            Tense::ToCome => verb.to_owned(),
            Tense::Done => format!("{verb}d"),
        };
        match effect {
            Effect::WouldEnableMig => Some(ending("enable") + " MIG mode"),
            Effect::WouldEnable => Some(ending("enable") + " virtual functions"),
            Effect::WouldCreateInstances(profiles) => {
                Some(ending("create") + " GPU instances " + &profiles.join(", "))
            }
            _ => None,
        }
    };
    let differences = item.differences.iter().cloned();
    differences
        .chain(item.steps.iter().filter_map(step))
        .collect()
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
fn parts(summary: Summary) -> [(usize, &'static str); 5] {
    [
        (summary.create, "to create"),
        (summary.change, "to change"),
        (summary.remove, "to remove"),
        (summary.blocked, "blocked"),
        (summary.keep, "as declared"),
    ]
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
    let gpus = carried.plan.gpus.iter().filter(|gpu| !gpu.is_set_up());
    let gpus = gpus.map(|gpu| match gpu.blocked {
        Some(_) => gpu_line(gpu),
        None => {
            let changes = changes_of(gpu, Tense::Done).join("; ");
            on_one_line(format!("set up {}: {changes}", gpu.gpu)).into_owned()
        }
    });
    gpus.chain(done).map(|line| line + "\n").collect()
}

/// "1 GPU set up, 3 created, 1 changed, 2 removed, 1 blocked, 12 as declared".
pub fn carried_line(plan: &Plan) -> String {
    let (due, blocked) = gpus_due(plan);
    let set_up = match due {
        1 => "GPU set up",
        _ => "GPUs set up",
    };
    let summary = plan.summary();
    counted(&[
        (due, set_up),
        (blocked, gpus_blocked(blocked)),
        (summary.create, "created"),
        (summary.change, "changed"),
        (summary.remove, "removed"),
        (summary.blocked, "blocked"),
        (summary.keep, "as declared"),
    ])
}
