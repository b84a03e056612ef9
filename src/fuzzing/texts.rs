//! Single texts: definitions, what the kernel and the command line say of types, answers of scripts, logs.

use serde_json::Value;
use uuid::Uuid;

use crate::model::{
    Attr, Definition, Document, FrameworkKind, ParentId, TypeId, VgpuType, vf_uuid,
};
use crate::nvidia::params::{ParamEdit, Params};
use crate::nvidia::{TypeDetails, TypeName, parse_size, size};
use crate::scripts::answer;
use crate::store::{Location, format, settings};
use vgpu_explain::{Finding, Listener};

/// Definitions of both frameworks, and a GPU's settings: what is written says what was read.
pub fn definitions(input: &[u8]) {
    for framework in [FrameworkKind::Mdev, FrameworkKind::Vfio] {
        let Some(at) = place(framework) else { return };
        let Ok(read) = format::parse_at(at.clone(), input) else {
            continue;
        };
        let text = format::print(&read);
        let again = format::parse_at(at, text.as_bytes());
        assert_eq!(again.as_ref().map(meaning), Ok(meaning(&read)), "{text}");
        let kept = again.as_ref().map(|again| again.document.clone());
        let kept = Value::from(kept.unwrap_or_default());
        if let Value::Object(fields) = Value::from(read.document) {
            for (key, value) in fields {
                let is_ours = ["mdev_type", "start", "attrs", "vf"].contains(&key.as_str());
                assert!(is_ours || kept.get(&key) == Some(&value), "{key} in {text}");
            }
        }
        assert_eq!(again.as_ref().map(format::print), Ok(text));
    }
    if let Ok(text) = std::str::from_utf8(input) {
        let _ = settings::parse(text);
    }
}

fn place(framework: FrameworkKind) -> Option<Location> {
    Some(Location {
        framework,
        parent: "0000:81:00.0".parse().ok()?,
        uuid: Uuid::nil(),
    })
}

/// What a definition says, but for the text that it came from.
fn meaning(definition: &Definition) -> Definition {
    Definition {
        document: Document::default(),
        ..definition.clone()
    }
}

/// Descriptions, names, parameters and sizes of types: texts of the kernel and the command line.
pub fn types(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else {
        return;
    };
    let name = TypeName::parse(text);
    assert!(
        name.iter()
            .all(|name| !name.gpu.is_empty() && text.contains(&name.gpu))
    );
    let vgpu_type = |id| VgpuType {
        id,
        name: Some(text.into()),
        description: Some(text.into()),
        available: None,
        at_least: 0,
        device_api: None,
    };
    if let Ok(id) = "nvidia-63".parse() {
        let vgpu_type: VgpuType = vgpu_type(id);
        assert!(
            vgpu_type.framebuffer_mib().is_none()
                || name.is_some()
                || TypeDetails::parse(text).is_some()
        );
        let _ = vgpu_type.framebuffer_mib().map(size);
    }
    let params = Params::parse(text);
    assert_eq!(Params::parse(&params.to_string()), params);
    let _ = text.parse::<Attr>();
    let _ = text.parse::<ParamEdit>();
    if let Ok(mib) = parse_size(text) {
        assert_eq!(parse_size(&format!("{mib}M")), Ok(mib));
    }
    if let Ok(parent) = text.parse::<ParentId>() {
        assert_eq!(parent.as_str(), text);
        let _ = vf_uuid(&parent);
    }
    natural_order(text);
}

/// Types sort in one order, whichever two are compared: sorting may panic otherwise.
fn natural_order(text: &str) {
    let ids: Vec<TypeId> = text
        .split(' ')
        .filter_map(|id| id.parse().ok())
        .take(5)
        .collect();
    for a in &ids {
        for b in &ids {
            assert_eq!(a.cmp(b), b.cmp(a).reverse(), "{a} {b}");
            assert_eq!(a.cmp(b).is_eq(), a == b, "{a} {b}");
            for c in &ids {
                assert!(a > b || b > c || a <= c, "{a} {b} {c}");
            }
        }
    }
}

/// What callout scripts answer: attributes mean the same when they are told again.
pub fn answers(input: &[u8]) {
    let _ = answer::capabilities(input);
    if let Ok(Some(attrs)) = answer::attributes(input) {
        let list = attrs.iter().map(|attr| {
            let value = serde_json::Value::from(attr.value.as_str());
            serde_json::Map::from_iter([(attr.name.to_string(), value)])
        });
        let text = serde_json::Value::from_iter(list).to_string();
        assert_eq!(answer::attributes(text.as_bytes()), Ok(Some(attrs)));
    }
}

/// A log tells the same however it comes: at once, or in pieces as large as its first byte says.
pub fn logs(input: &[u8]) {
    let size = input.first().map_or(1, |byte| usize::from(*byte).max(1));
    let (whole, pieces) = (heard(input, input.len().max(1)), heard(input, size));
    assert_eq!(whole, pieces, "in pieces of {size} bytes");
    for finding in &whole {
        let evidence = Some(finding.evidence.as_str());
        assert!(!finding.known.cause("vgpuctl", evidence).is_empty());
        assert!(!finding.known.next("vgpuctl", evidence).is_empty());
    }
}

fn heard(input: &[u8], size: usize) -> Vec<Finding> {
    let mut listener = Listener::new();
    for piece in input.chunks(size) {
        listener.hear(piece);
    }
    listener.findings()
}
