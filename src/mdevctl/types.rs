//! `mdevctl types`.

use std::borrow::Cow;

use serde_json::{Map, Value, json};

use super::args::TypesArgs;
use crate::error::Result;
use crate::model::VgpuType;
use crate::ops::{self, Context, ParentTypes};
use crate::text::{in_json, on_one_line};

/// The types of each parent, as text or JSON.
pub fn types(context: &Context<'_>, args: &TypesArgs) -> Result<String> {
    let answer = ops::types_of_parents(context, None)?;
    for warning in &answer.warnings {
        log::warn!("{warning}");
    }
    let mut parents = answer.value;
    if let Some(wanted) = &args.parent {
        parents.retain(|one| one.parent.id == *wanted);
    }
    for one in &mut parents {
        // mdevctl sorts types as strings.
        one.types.sort_by(|a, b| a.id.as_str().cmp(b.id.as_str()));
    }
    let answer = match args.dumpjson {
        true => in_json(format!("{:#}", as_json(&parents))),
        false => as_text(&parents),
    };
    Ok(answer)
}

fn as_text(parents: &[ParentTypes]) -> String {
    let mut text = String::new();
    let mut line = |before: &str, value: &str| {
        for part in [before, &on_one_line(value), "\n"] {
            text.push_str(part);
        }
    };
    for one in parents {
        line("", one.parent.id.as_str());
        for vgpu_type in &one.types {
            line("  ", vgpu_type.id.as_str());
            let available = vgpu_type.available.unwrap_or_default();
            line("    Available instances: ", &available.to_string());
            let api = vgpu_type.device_api.as_deref().unwrap_or_default();
            line("    Device API: ", api);
            if let Some(name) = vgpu_type.name.as_deref() {
                line("    Name: ", name.trim());
            }
            if let Some(description) = description(vgpu_type) {
                line("    Description: ", &description);
            }
        }
    }
    text
}

fn description(vgpu_type: &VgpuType) -> Option<Cow<'_, str>> {
    let text = vgpu_type.description.as_deref()?.trim();
    Some(match text.contains('\n') {
        true => text.replace('\n', ", ").into(),
        false => text.into(),
    })
}

fn as_json(parents: &[ParentTypes]) -> Value {
    let mut all = Map::new();
    for one in parents {
        let types = one.types.iter().map(|vgpu_type| {
            let mut fields = Map::new();
            fields.insert("available_instances".into(), json!(vgpu_type.available));
            let api = vgpu_type.device_api.as_deref().unwrap_or_default();
            fields.insert("device_api".into(), json!(api));
            if let Some(name) = vgpu_type.name.as_deref().map(str::trim) {
                fields.insert("name".into(), json!(name));
            }
            if let Some(description) = description(vgpu_type) {
                fields.insert("description".into(), json!(description));
            }
            json!({ vgpu_type.id.as_str(): fields })
        });
        all.insert(one.parent.id.to_string(), types.collect());
    }
    match all.is_empty() {
        true => json!([]),
        false => json!([all]),
    }
}
