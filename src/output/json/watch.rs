//! One compact document a line.

use std::borrow::Cow;

use chrono::{DateTime, SecondsFormat, Utc};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;

use super::devices::{Attr, Holder};
use super::{Document, Error, each};
use crate::model::{self, ParentId, StartMode, TypeId};
use crate::ops::watch::{self, Change, Look, Turned};
use crate::output::watch::{event, subject};
use crate::text::in_json;

/// A line of `watch`: a change of the host, under the key that `subject` names.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "WatchLine")]
pub struct Line<'a> {
    /// Always 1.
    #[schemars(extend("const" = 1))]
    version: u8,
    /// When it was seen, in UTC.
    time: &'a str,
    /// What it is about: the key of what follows.
    subject: &'a str,
    /// What happened: `present`, `added`, `created`, `defined`, `changed`, `opened`, `closed`, `removed`,
    /// `undefined`, `unreadable`, `ready` or `told`.
    event: &'a str,
    #[serde(flatten)]
    body: Body<'a>,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Body<'a> {
    /// All that is there has been told; from here on, no change is missed.
    Watch(Ready),
    /// A parent.
    Parent(WatchedParent<'a>),
    /// What can be created on a parent.
    Types(WatchedTypes<'a>),
    /// An active device.
    Device(WatchedDevice<'a>),
    /// A definition.
    Definition(WatchedDefinition<'a>),
    /// A process and the device that it has open.
    Holder(WatchedHolder<'a>),
    /// Something that cannot be read or heard.
    Warning(Error<'a>),
}

/// What there is at the beginning.
#[derive(Serialize, JsonSchema)]
struct Ready {
    /// How many parents there are.
    parents: usize,
    /// How many active devices there are.
    devices: usize,
    /// How many definitions there are.
    definitions: usize,
    /// Whether the kernel's events are heard.
    hears_kernel: bool,
    /// Whether other users' processes are seen.
    sees_all_processes: bool,
}

/// A parent that came or went.
#[derive(Serialize, JsonSchema)]
struct WatchedParent<'a> {
    /// Its name.
    id: &'a str,
    /// `mdev` or `vfio`.
    framework: &'a str,
    /// The GPU that it is, or is a virtual function of.
    gpu: &'a str,
}

/// Types whose number of available instances changed.
#[derive(Serialize, JsonSchema)]
struct WatchedTypes<'a> {
    /// The parent, or the GPU whose virtual functions are the parents.
    parent: &'a str,
    /// The types that are new or changed.
    types: Vec<WatchedType<'a>>,
    /// The types that are no longer offered.
    gone: Vec<GoneType<'a>>,
}

/// A type whose number of available instances changed.
#[derive(Serialize, JsonSchema)]
struct WatchedType<'a> {
    #[serde(flatten)]
    named: GoneType<'a>,
    #[serde(flatten)]
    free: Free,
    /// What was available before; null for a new type.
    before: Option<Free>,
}

/// A type that is no longer offered.
#[derive(Serialize, JsonSchema)]
struct GoneType<'a> {
    /// Its name in the kernel.
    id: &'a str,
    /// What the driver calls it.
    name: Option<&'a str>,
}

/// What is available of a type.
#[derive(Serialize, JsonSchema)]
struct Free {
    /// Instances that can be created; null where the driver does not say.
    available: Option<u32>,
    /// Instances that can surely be created.
    available_at_least: u32,
}

/// Which device.
#[derive(Serialize, JsonSchema)]
struct Place<'a> {
    /// The device's UUID; null for a vGPU that another program created on a virtual function.
    uuid: Option<String>,
    /// The device's parent.
    parent: &'a str,
    /// The device's virtual function.
    vf: Option<&'a str>,
}

/// A device that was created or removed.
#[derive(Serialize, JsonSchema)]
struct WatchedDevice<'a> {
    #[serde(flatten)]
    place: Place<'a>,
    /// The type's id.
    r#type: &'a str,
    /// The type's name.
    type_name: Option<&'a str>,
}

/// A process that opened or closed a device.
#[derive(Serialize, JsonSchema)]
struct WatchedHolder<'a> {
    #[serde(flatten)]
    place: Place<'a>,
    #[serde(flatten)]
    holder: Holder<'a>,
}

/// A definition that was written or removed.
#[derive(Serialize, JsonSchema)]
struct WatchedDefinition<'a> {
    /// Its UUID.
    uuid: String,
    /// Its parent.
    parent: &'a str,
    /// The virtual function that it names.
    vf: Option<&'a str>,
    /// The type's id.
    r#type: Option<&'a str>,
    /// The type's name.
    type_name: Option<&'a str>,
    /// `auto` or `manual`.
    start: Option<&'a str>,
    /// Its attributes.
    attrs: Option<Vec<Attr<'a>>>,
    /// Its file.
    path: Cow<'a, str>,
    /// Why it cannot be read.
    error: Option<Error<'a>>,
}

/// The documents, one a change, each on a line of its own.
pub fn lines(look: &Look<'_>) -> String {
    let time = DateTime::<Utc>::from(look.time).to_rfc3339_opts(SecondsFormat::Micros, true);
    let mut text = String::new();
    for change in look.changes {
        let line = Document::Line(Line {
            version: 1,
            time: &time,
            subject: subject(change),
            event: event(change, look.is_first),
            body: change.into(),
        });
        text += &in_json(json!(line).to_string());
        text.push('\n');
    }
    text
}

impl<'a> From<&'a Change> for Body<'a> {
    fn from(change: &'a Change) -> Self {
        match change {
            Change::Ready(ready) => Body::Watch(Ready {
                parents: ready.parents,
                devices: ready.devices,
                definitions: ready.definitions,
                hears_kernel: ready.hears_kernel,
                sees_all_processes: ready.sees_all_processes,
            }),
            Change::Parent(_, parent) => Body::Parent(WatchedParent {
                id: parent.id.as_str(),
                framework: parent.framework.as_str(),
                gpu: parent.gpu().as_str(),
            }),
            Change::Types(change) => Body::Types(WatchedTypes {
                parent: change.parent.as_str(),
                types: each(&change.types),
                gone: each(&change.gone),
            }),
            Change::Device(_, device, name) => Body::Device(WatchedDevice {
                place: device.into(),
                r#type: device.type_id.as_str(),
                type_name: name.as_deref(),
            }),
            Change::Definition(written) => Body::Definition(written.into()),
            Change::Holder(_, device, holder) => Body::Holder(WatchedHolder {
                place: device.into(),
                holder: holder.into(),
            }),
            Change::Problem(problem) => Body::Warning(problem.into()),
        }
    }
}

impl<'a> From<&'a watch::TypeChange> for WatchedType<'a> {
    fn from(change: &'a watch::TypeChange) -> Self {
        WatchedType {
            named: (&change.now).into(),
            free: (&change.now).into(),
            before: change.before.as_ref().map(Free::from),
        }
    }
}

impl<'a> From<&'a model::VgpuType> for GoneType<'a> {
    fn from(vgpu_type: &'a model::VgpuType) -> Self {
        GoneType {
            id: vgpu_type.id.as_str(),
            name: vgpu_type.name.as_deref(),
        }
    }
}

impl From<&model::VgpuType> for Free {
    fn from(vgpu_type: &model::VgpuType) -> Self {
        Free {
            available: vgpu_type.available,
            available_at_least: vgpu_type.at_least,
        }
    }
}

impl<'a> From<&'a model::Device> for Place<'a> {
    fn from(device: &'a model::Device) -> Self {
        let is_foreign = device.name() != device.uuid.to_string();
        Place {
            uuid: (!is_foreign).then(|| device.uuid.to_string()),
            parent: device.parent.as_str(),
            vf: device.vf().map(ParentId::as_str),
        }
    }
}

impl<'a> From<&'a watch::Written> for WatchedDefinition<'a> {
    fn from(written: &'a watch::Written) -> Self {
        let definition = written.definition();
        WatchedDefinition {
            uuid: written.at.uuid.to_string(),
            parent: written.at.parent.as_str(),
            vf: definition.and_then(|d| d.vf.as_ref()).map(ParentId::as_str),
            r#type: written.type_id().map(TypeId::as_str),
            type_name: written.type_name.as_deref(),
            start: definition.map(|d| StartMode::as_str(d.start)),
            attrs: definition.map(|d| each(&d.attrs)),
            path: written.path.to_string_lossy(),
            error: match &written.turn {
                Turned::Unreadable(failure) => Some(failure.into()),
                _ => None,
            },
        }
    }
}
