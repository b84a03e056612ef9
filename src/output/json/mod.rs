//! Answers for programs, a type for each: they print it, docs/vgpuctl.schema.json is made of them, and
//! of that the tables in vgpuctl-json(5), with the comments here as descriptions. The documents carry
//! `"version": 1`: keys may be added, never changed or taken away.

mod attach;
mod changes;
mod devices;
mod doctor;
mod gpus;
mod metrics;
mod mig;
mod plan;
mod types;
mod watch;

use std::borrow::Cow;
use std::path::Path;

use schemars::{JsonSchema, Schema, generate::SchemaSettings};
use serde::Serialize;
use serde_json::{Value, json};

use super::Reply;
use crate::error::{self, describe};

pub(super) use doctor::Step;
pub use watch::lines as watch_lines;

/// What vgpuctl prints with --json: the answer of a verb, why a command failed, or a line of watch.
#[derive(Serialize, JsonSchema)]
#[serde(untagged)]
#[schemars(title = "vgpuctl")]
enum Document<'a> {
    Types(Answer<'a, types::Types<'a>>),
    Gpus(Answer<'a, gpus::Gpus<'a>>),
    Vfs(Answer<'a, gpus::Vfs<'a>>),
    Mig(Answer<'a, mig::Mig<'a>>),
    List(Answer<'a, devices::List<'a>>),
    Show(Box<Answer<'a, devices::Show<'a>>>),
    Changes(Answer<'a, changes::Changes<'a>>),
    Plan(Answer<'a, plan::Plan<'a>>),
    Export(Answer<'a, plan::Export>),
    Attach(Answer<'a, attach::Attach<'a>>),
    Apply(Answer<'a, attach::AttachApply<'a>>),
    Doctor(Answer<'a, doctor::Doctor<'a>>),
    Checks(Answer<'a, doctor::DoctorList<'a>>),
    Explain(Answer<'a, doctor::Explain<'a>>),
    Metrics(Answer<'a, metrics::Metrics>),
    Failure(Failure<'a>),
    Line(watch::Line<'a>),
}

// Described by its body.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "{B}Answer")]
struct Answer<'a, B> {
    /// Always 1.
    #[schemars(extend("const" = 1))]
    version: u8,
    #[serde(flatten)]
    body: B,
    /// What could not be read on the way and is missing from the answer.
    warnings: Vec<Error<'a>>,
    /// Sentences for people, such as why a list is empty.
    notes: &'a [String],
}

/// A command that failed as a whole; it stands on standard error.
#[derive(Serialize, JsonSchema)]
struct Failure<'a> {
    /// Always 1.
    #[schemars(extend("const" = 1))]
    version: u8,
    /// Why the command failed.
    error: Error<'a>,
}

/// What went wrong.
#[derive(Serialize, JsonSchema)]
struct Error<'a> {
    /// `failed`, `usage`, `not-found`, `no-capacity`, `in-use`, `not-permitted` or `partial`: the exit
    /// statuses 1 to 7 in words. `interrupted`: a signal ended the command.
    code: &'a str,
    /// The whole sentence, as it is printed without --json.
    message: String,
    /// The file or directory that it is about.
    path: Option<Cow<'a, str>>,
    /// What the kernel answered, such as "Input/output error (EIO)".
    cause: Option<String>,
    /// Sentences that say what to do next.
    hints: Vec<String>,
    /// Further failures of the same command, a sentence each; left out where there are none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    others: Vec<String>,
}

impl<'a> From<&'a error::Error> for Error<'a> {
    fn from(error: &'a error::Error) -> Self {
        Error {
            code: error.kind().code(),
            message: error.to_string(),
            path: error.path().map(Path::to_string_lossy),
            cause: error.errno().map(describe),
            hints: crate::hints::hints(error),
            others: error.others().iter().map(ToString::to_string).collect(),
        }
    }
}

impl<'a> From<&'a Reply> for Document<'a> {
    fn from(reply: &'a Reply) -> Self {
        match reply {
            Reply::Types(answer) | Reply::TypesWide(answer) => {
                let parents = each(&answer.value);
                Document::Types(whole(reply, types::Types { parents }))
            }
            Reply::Gpus(answer) => {
                let gpus = each(&answer.value);
                Document::Gpus(whole(reply, gpus::Gpus { gpus }))
            }
            Reply::Vfs(answer) => {
                let gpus = each(&answer.value);
                Document::Vfs(whole(reply, gpus::Vfs { gpus }))
            }
            Reply::Mig(answer) => {
                let gpus = each(&answer.value);
                Document::Mig(whole(reply, mig::Mig { gpus }))
            }
            Reply::List(answer) | Reply::Own(answer, _) => {
                let allowed = match reply {
                    Reply::Own(_, grants) => Some(each(grants)),
                    _ => None,
                };
                let devices = each(&answer.value);
                Document::List(whole(reply, devices::List { devices, allowed }))
            }
            Reply::Show(answer) => {
                let device = devices::Shown::from(&answer.value);
                Document::Show(Box::new(whole(reply, devices::Show { device })))
            }
            Reply::Made(report) | Reply::Changed(report) | Reply::Restored(report) => {
                let changes = each(&report.changes);
                Document::Changes(whole(reply, changes::Changes { changes }))
            }
            Reply::Planned(answer, _) | Reply::Asserted(answer) => {
                let plan = plan::Differences::from(&answer.value);
                Document::Plan(whole(reply, plan::Plan { plan }))
            }
            Reply::Carried(answer) => {
                let plan = plan::Differences::from(&answer.value);
                Document::Plan(whole(reply, plan::Plan { plan }))
            }
            Reply::Exported(answer) => {
                let file = super::text::declared(answer);
                Document::Export(whole(reply, plan::Export { file }))
            }
            Reply::Attach(answer) => {
                let attach = attach::Attached::from(&answer.value);
                Document::Attach(whole(reply, attach::Attach { attach }))
            }
            Reply::Applied(answer) => {
                let applied = attach::Applied::from(&answer.value);
                Document::Apply(whole(reply, attach::AttachApply { applied }))
            }
            Reply::Doctor(diagnosis) => {
                let diagnosis = doctor::Diagnosis::from(diagnosis);
                Document::Doctor(whole(reply, doctor::Doctor { diagnosis }))
            }
            Reply::Checks(checks) => {
                let checks = each(*checks);
                Document::Checks(whole(reply, doctor::DoctorList { checks }))
            }
            Reply::Explained(answer) | Reply::Topics(answer) => {
                let findings = each(&answer.value);
                Document::Explain(whole(reply, doctor::Explain { findings }))
            }
            Reply::Metrics(answer) | Reply::MetricsWritten(answer) => {
                let families = super::metrics::families(&answer.value);
                let metrics = families.into_iter().map(Into::into).collect();
                Document::Metrics(whole(reply, metrics::Metrics { metrics }))
            }
        }
    }
}

fn whole<B>(reply: &Reply, body: B) -> Answer<'_, B> {
    let warnings = reply.warnings().iter().chain(reply.cautions());
    Answer {
        version: 1,
        body,
        warnings: warnings.map(Error::from).collect(),
        notes: reply.notes(),
    }
}

/// The whole answer, warnings and notes in it.
pub fn reply_document(reply: &Reply) -> Value {
    json!(Document::from(reply))
}

/// A failure of the whole command.
pub fn error_document(failure: &error::Error) -> Value {
    json!(Document::Failure(Failure {
        version: 1,
        error: failure.into(),
    }))
}

/// The JSON Schema of all that is printed.
pub fn schema() -> Schema {
    let settings = SchemaSettings::draft2020_12().for_serialize();
    settings.into_generator().into_root_schema_for::<Document>()
}

fn each<'a, T: 'a, V: From<&'a T>>(items: impl IntoIterator<Item = &'a T>) -> Vec<V> {
    items.into_iter().map(V::from).collect()
}
