//! Answers as text for people and as JSON for programs, and the streams that they go to.

mod attach;
mod doctor;
mod explain;
mod gpus;
mod json;
mod metrics;
mod mig;
mod plan;
mod show;
mod streams;
mod style;
mod table;
mod text;
mod types;
mod vfs;
pub mod watch;

pub use json::{error_document, reply_document, schema};
pub use metrics::text as metrics_text;
pub use plan::{Lines, text as plan_text};
pub use streams::{Reader, live_stdout, to_stderr, to_stdout};
pub use style::Style;
pub use text::{asides, problem, sentences, stdout_text};

use std::collections::HashSet;

use crate::declare::Declaration;
use crate::doctor::{Check, Diagnosis, Severity};
use crate::error::{Error, Kind};
use crate::ops::{
    Answer, Applied, Attached, Carried, Explanation, Gpu, GpuVfs, Grant, Listed, Metrics, MigGpu,
    ParentTypes, Plan, Report, Shown,
};

/// The exit status for a host that is not as declared.
const DIFFERS: u8 = 2;

/// What a command has to say.
#[derive(Debug)]
pub enum Reply {
    /// The types of each parent.
    Types(Answer<Vec<ParentTypes>>),
    /// The types of each parent, with what they are made for.
    TypesWide(Answer<Vec<ParentTypes>>),
    /// The parents.
    Gpus(Answer<Vec<Gpu>>),
    /// The devices.
    List(Answer<Vec<Listed>>),
    /// A user's own devices, and what he may have.
    Own(Answer<Vec<Listed>>, Vec<Grant>),
    /// GPUs and their virtual functions.
    Vfs(Answer<Vec<GpuVfs>>),
    /// GPUs that have MIG.
    Mig(Answer<Vec<MigGpu>>),
    /// One device.
    Show(Box<Answer<Shown>>),
    /// What is wrong with the host.
    Doctor(Diagnosis),
    /// What can be looked at.
    Checks(&'static [Check]),
    /// What to paste for one device.
    Attach(Box<Answer<Attached>>),
    /// A device put into a domain: no answer but the exit status.
    Applied(Box<Answer<Applied>>),
    /// What there is to do to have a host as declared.
    Planned(Answer<Plan>, Lines),
    /// Only whether there is something to do, and what.
    Asserted(Answer<Plan>),
    /// What was done to have it so.
    Carried(Answer<Carried>),
    /// A host as a file that declares it.
    Exported(Answer<Declaration>),
    /// What a log tells, or one topic.
    Explained(Answer<Vec<Explanation>>),
    /// All topics.
    Topics(Answer<Vec<Explanation>>),
    /// The host in numbers.
    Metrics(Answer<Metrics>),
    /// The same, written to a file: no answer for people but the exit status.
    MetricsWritten(Answer<Metrics>),
    /// New devices or definitions: their UUIDs are the answer.
    Made(Report),
    /// Changed devices: no answer but the exit status.
    Changed(Report),
    /// Restored devices: one line each is the answer.
    Restored(Report),
}

impl Reply {
    /// Bad data found on the way.
    pub fn warnings(&self) -> &[Error] {
        match self {
            Reply::Types(answer) | Reply::TypesWide(answer) => &answer.warnings,
            Reply::Gpus(answer) => &answer.warnings,
            Reply::List(answer) | Reply::Own(answer, _) => &answer.warnings,
            Reply::Show(answer) => &answer.warnings,
            Reply::Vfs(answer) => &answer.warnings,
            Reply::Mig(answer) => &answer.warnings,
            Reply::Doctor(_) | Reply::Checks(_) => &[],
            Reply::Attach(answer) => &answer.warnings,
            Reply::Applied(answer) => &answer.warnings,
            Reply::Planned(answer, _) | Reply::Asserted(answer) => &answer.warnings,
            Reply::Carried(answer) => &answer.warnings,
            Reply::Exported(answer) => &answer.warnings,
            Reply::Explained(answer) | Reply::Topics(answer) => &answer.warnings,
            Reply::Metrics(answer) | Reply::MetricsWritten(answer) => &answer.warnings,
            Reply::Made(report) | Reply::Changed(report) | Reply::Restored(report) => {
                &report.warnings
            }
        }
    }

    /// What the user should know beforehand, and what is left out of what was done. Unlike other bad
    /// data, it makes no answer partial. Each is reported once, however many devices it concerns.
    pub fn cautions(&self) -> Vec<&Error> {
        let (Reply::Made(report) | Reply::Changed(report) | Reply::Restored(report)) = self else {
            return self
                .plan()
                .map_or(Vec::new(), |plan| plan.cautions.iter().collect());
        };
        let unread = report.changes.iter().flat_map(|change| &change.unread);
        let mut known = HashSet::new();
        let all = report.cautions.iter().chain(unread);
        all.filter(|caution| known.insert(*caution)).collect()
    }

    /// The plan that this tells of.
    pub fn plan(&self) -> Option<&Plan> {
        match self {
            Reply::Planned(answer, _) | Reply::Asserted(answer) => Some(&answer.value),
            Reply::Carried(answer) => Some(&answer.value.plan),
            _ => None,
        }
    }

    /// Sentences for people.
    pub fn notes(&self) -> &[String] {
        match self {
            Reply::Types(answer) | Reply::TypesWide(answer) => &answer.notes,
            Reply::Gpus(answer) => &answer.notes,
            Reply::List(answer) | Reply::Own(answer, _) => &answer.notes,
            Reply::Show(answer) => &answer.notes,
            Reply::Vfs(answer) => &answer.notes,
            Reply::Mig(answer) => &answer.notes,
            Reply::Doctor(_) | Reply::Checks(_) => &[],
            Reply::Attach(answer) => &answer.notes,
            Reply::Applied(answer) => &answer.notes,
            Reply::Planned(answer, _) | Reply::Asserted(answer) => &answer.notes,
            Reply::Carried(answer) => &answer.notes,
            Reply::Exported(answer) => &answer.notes,
            Reply::Explained(answer) | Reply::Topics(answer) => &answer.notes,
            Reply::Metrics(answer) | Reply::MetricsWritten(answer) => &answer.notes,
            Reply::Made(report) | Reply::Changed(report) | Reply::Restored(report) => &report.notes,
        }
    }

    /// The exit status of this answer: for what compares a host with a file, 2 where they differ, 1
    /// where that is not known.
    pub fn status(&self) -> u8 {
        match self {
            Reply::Planned(answer, _) | Reply::Asserted(answer) => {
                match (answer.value.is_empty(), answer.value.is_partial) {
                    (false, _) => DIFFERS,
                    (true, true) => Kind::Failed.exit_status(),
                    (true, false) => 0,
                }
            }
            _ => self.failure().map_or(0, Kind::exit_status),
        }
    }

    /// What kind of failure the whole is. Everything was asked for, so bad data makes it partial.
    pub fn failure(&self) -> Option<Kind> {
        let failed = match self {
            Reply::Made(report) | Reply::Changed(report) => report.failure(),
            // The rule for a boot unit is simple: all is as wanted, or not. Only the lack of
            // permission is told apart, since nothing was tried then.
            Reply::Restored(report) => match report.failure() {
                Some(Kind::NotPermitted) => Some(Kind::NotPermitted),
                failure => failure.map(|_| Kind::Partial),
            },
            Reply::Doctor(diagnosis) => {
                (diagnosis.count(Severity::Problem) > 0).then_some(Kind::Failed)
            }
            // What cannot be read elsewhere keeps nobody from being as declared.
            Reply::Carried(answer) => {
                let plan = &answer.value.plan;
                return blocked(plan).or(plan.is_partial.then_some(Kind::Partial));
            }
            Reply::Explained(answer) if answer.value.is_empty() => Some(Kind::NotFound),
            _ => None,
        };
        failed.or_else(|| (!self.warnings().is_empty()).then_some(Kind::Partial))
    }
}

/// Whether all that there was to do was blocked, and by what; or only some of it.
fn blocked(plan: &Plan) -> Option<Kind> {
    let mut kinds = plan::blocked(plan).into_iter().map(Error::kind);
    let first = kinds.next()?;
    match !plan.has_work() && kinds.all(|kind| kind == first) {
        true => Some(first),
        false => Some(Kind::Partial),
    }
}
