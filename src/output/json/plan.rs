//! Plans, what came of them, and a host as a declaration.

use schemars::JsonSchema;
use serde::Serialize;

use super::{Error, each};
use crate::model::ParentId;
use crate::ops::{self, Carried, Outcome, Verdict};
use crate::output::plan::{Tense, changes_of};

/// The answer of `plan`, `assert` and `apply`.
#[derive(Serialize, JsonSchema)]
pub struct Plan<'a> {
    /// How the host differs from the file; of `apply`, what was done about it.
    pub plan: Differences<'a>,
}

/// How a host differs from a file.
#[derive(Serialize, JsonSchema)]
pub struct Differences<'a> {
    /// How many vGPUs there are of each action.
    summary: Summary,
    /// The GPUs that the file sets up; missing if it sets up none. While one is still to be prepared, no vGPUs are planned.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    gpus: Vec<PlannedGpu<'a>>,
    /// The vGPUs, those that are as declared among them.
    changes: Vec<PlannedChange<'a>>,
}

/// A GPU that the file sets up, and what is to become of it.
#[derive(Serialize, JsonSchema)]
struct PlannedGpu<'a> {
    /// Its address.
    gpu: &'a str,
    /// `set-up`, `blocked` or `keep`.
    action: &'static str,
    /// What is changed, a sentence each.
    reasons: Vec<String>,
    /// Why it is blocked.
    error: Option<Error<'a>>,
}

/// How many vGPUs there are of each action.
#[derive(Serialize, JsonSchema)]
struct Summary {
    /// vGPUs to create.
    create: usize,
    /// vGPUs to change.
    change: usize,
    /// vGPUs to remove.
    remove: usize,
    /// vGPUs that are not as declared and cannot be made so now.
    blocked: usize,
    /// vGPUs that are as declared.
    keep: usize,
}

/// A vGPU and what is to become of it.
#[derive(Serialize, JsonSchema)]
struct PlannedChange<'a> {
    /// Its UUID.
    uuid: String,
    /// Its group in the file; null for one that is not in the file.
    group: Option<&'a str>,
    /// Its name in the group.
    member: Option<&'a str>,
    /// Its parent, as far as it is known.
    parent: Option<&'a str>,
    /// Its virtual function.
    vf: Option<&'a str>,
    /// The type's id.
    r#type: &'a str,
    /// The type's name.
    type_name: Option<&'a str>,
    /// `create`, `change`, `remove`, `blocked` or `keep`.
    action: &'a str,
    /// Why, a sentence each.
    reasons: Vec<&'a str>,
    /// Why it is blocked.
    error: Option<Error<'a>>,
    /// `apply` only: `done`, `unchanged` or `blocked`.
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<&'a str>,
}

/// The answer of `export`.
#[derive(Serialize, JsonSchema)]
pub struct Export {
    /// The text of a file that declares the host; see vgpuctl.toml(5).
    pub file: String,
}

impl<'a> From<&'a ops::Plan> for Differences<'a> {
    fn from(plan: &'a ops::Plan) -> Self {
        let summary = plan.summary();
        Differences {
            summary: Summary {
                create: summary.create,
                change: summary.change,
                remove: summary.remove,
                blocked: summary.blocked,
                keep: summary.keep,
            },
            gpus: each(&plan.gpus),
            changes: each(&plan.items),
        }
    }
}

impl<'a> From<&'a Carried> for Differences<'a> {
    fn from(carried: &'a Carried) -> Self {
        let mut plan = Differences::from(&carried.plan);
        for (change, item) in plan.changes.iter_mut().zip(&carried.plan.items) {
            change.result = Some(match item.outcome() {
                Outcome::Done => "done",
                Outcome::Already => "unchanged",
                Outcome::Blocked => "blocked",
            });
        }
        plan
    }
}

impl<'a> From<&'a ops::GpuItem> for PlannedGpu<'a> {
    fn from(item: &'a ops::GpuItem) -> Self {
        PlannedGpu {
            gpu: item.gpu.as_str(),
            action: match &item.blocked {
                Some(_) => "blocked",
                None if item.is_set_up() => "keep",
                None => "set-up",
            },
            reasons: changes_of(item, Tense::ToCome),
            error: item.blocked.as_ref().map(Error::from),
        }
    }
}

impl<'a> From<&'a ops::Item> for PlannedChange<'a> {
    fn from(item: &'a ops::Item) -> Self {
        let (action, reasons, error) = match &item.verdict {
            Verdict::Create(why) => ("create", vec![why.as_str()], None),
            Verdict::Keep => ("keep", Vec::new(), None),
            Verdict::Change(differences) => (
                "change",
                differences.iter().map(String::as_str).collect(),
                None,
            ),
            Verdict::Remove(why) => ("remove", vec![why.as_str()], None),
            Verdict::Blocked(problem) => ("blocked", Vec::new(), Some(Error::from(problem))),
        };
        PlannedChange {
            uuid: item.uuid.to_string(),
            group: item.member.as_ref().map(|mark| mark.group.as_str()),
            member: item.member.as_ref().map(|mark| mark.member.as_str()),
            parent: item.parent.as_ref().map(ParentId::as_str),
            vf: item.vf.as_ref().map(ParentId::as_str),
            r#type: item.type_id.as_str(),
            type_name: item.type_name.as_deref(),
            action,
            reasons,
            error,
            result: None,
        }
    }
}
