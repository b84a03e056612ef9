//! One compact document a line.

use std::path::Path;

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Value, json};

use super::{event, subject};
use crate::model::{Device, Parent, StartMode, VgpuType};
use crate::ops::watch::{Change, Look, Ready, Turned, TypesChange, Written};
use crate::output::json::{attr, each, error, holder};
use crate::text::in_json;

/// The documents, one a change, each on a line of its own.
pub fn documents(look: &Look<'_>) -> String {
    let time = DateTime::<Utc>::from(look.time).to_rfc3339_opts(SecondsFormat::Micros, true);
    let mut text = String::new();
    for change in look.changes {
        let subject = subject(change);
        let mut document = json!({
            "version": 1,
            "time": time,
            "subject": subject,
            "event": event(change, look.is_first),
        });
        document[subject] = body(change);
        text += &in_json(document.to_string());
        text.push('\n');
    }
    text
}

fn body(change: &Change) -> Value {
    match change {
        Change::Ready(one) => ready(one),
        Change::Parent(_, one) => parent(one),
        Change::Types(one) => types(one),
        Change::Device(_, one, name) => device(one, name.as_deref()),
        Change::Definition(written) => definition(written),
        Change::Holder(_, on, one) => {
            let mut body = device_place(on);
            if let (Value::Object(all), Value::Object(process)) = (&mut body, holder(one)) {
                all.extend(process);
            }
            body
        }
        Change::Problem(problem) => error(problem),
    }
}

fn ready(ready: &Ready) -> Value {
    json!({
        "parents": ready.parents,
        "devices": ready.devices,
        "definitions": ready.definitions,
        "hears_kernel": ready.hears_kernel,
        "sees_all_processes": ready.sees_all_processes,
    })
}

fn parent(parent: &Parent) -> Value {
    json!({
        "id": parent.id.as_str(),
        "framework": parent.framework.as_str(),
        "gpu": parent.gpu().as_str(),
    })
}

fn types(change: &TypesChange) -> Value {
    let free =
        |one: &VgpuType| json!({ "available": one.available, "available_at_least": one.at_least });
    let named = |one: &VgpuType| json!({ "id": one.id.as_str(), "name": one.name });
    json!({
        "parent": change.parent.as_str(),
        "types": each(&change.types, |one| {
            let mut body = named(&one.now);
            body["available"] = json!(one.now.available);
            body["available_at_least"] = json!(one.now.at_least);
            body["before"] = one.before.as_ref().map_or(Value::Null, free);
            body
        }),
        "gone": each(&change.gone, named),
    })
}

fn device_place(device: &Device) -> Value {
    let is_foreign = device.name() != device.uuid.to_string();
    json!({
        "uuid": (!is_foreign).then(|| device.uuid.to_string()),
        "parent": device.parent.as_str(),
        "vf": device.vf().map(|vf| vf.as_str()),
    })
}

fn device(device: &Device, type_name: Option<&str>) -> Value {
    let mut body = device_place(device);
    body["type"] = json!(device.type_id.as_str());
    body["type_name"] = json!(type_name);
    body
}

fn definition(written: &Written) -> Value {
    let definition = written.definition();
    let path: &Path = &written.path;
    let failure = match &written.turn {
        Turned::Unreadable(failure) => error(failure),
        _ => Value::Null,
    };
    json!({
        "uuid": written.at.uuid.to_string(),
        "parent": written.at.parent.as_str(),
        "vf": definition.and_then(|d| d.vf.as_ref()).map(|vf| vf.as_str()),
        "type": written.type_id().map(|id| id.as_str()),
        "type_name": written.type_name,
        "start": definition.map(|d| StartMode::as_str(d.start)),
        "attrs": definition.map(|d| each(&d.attrs, attr)),
        "path": path.to_string_lossy(),
        "error": failure,
    })
}
