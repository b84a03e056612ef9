//! All about one device, a line each.

use super::text::{NONE, UNKNOWN, lines as joined, or, state};
use super::types::yes_or_no;
use crate::model::{Holder, VgpuType};
use crate::nvidia::params::Params;
use crate::nvidia::{TypeName, size};
use crate::ops::Shown;
use crate::store::Owner;
use crate::text::on_one_line;

/// All about one device.
pub fn lines(shown: &Shown) -> String {
    let mut told = vec![(
        "UUID",
        or(shown.known_uuid(), "- (made by another program)"),
    )];
    let label = shown.type_id.as_ref().map(|id| {
        let name = shown.vgpu_type.as_ref().and_then(|t| t.name.as_deref());
        match name {
            Some(name) => format!("{id} ({})", on_one_line(name)),
            None => id.to_string(),
        }
    });
    told.push(("Type", or(label, UNKNOWN)));
    if let Some(vgpu_type) = &shown.vgpu_type {
        told.extend(about_type(vgpu_type));
    }
    told.push(("Parent", shown.at.parent.to_string()));
    if let Some(vf) = shown.vf() {
        told.push(("VF", vf.to_string()));
    }
    told.push(("State", state(shown.running.is_some()).to_owned()));
    let start = match (&shown.definition, &shown.definition_path) {
        (Some(definition), _) => definition.start.to_string(),
        (None, Some(_)) => "? (the definition cannot be read)".to_owned(),
        (None, None) => "- (transient: gone after a reboot)".to_owned(),
    };
    told.push(("Start", start));
    if let Some(Owner(user)) = shown.definition.as_ref().and_then(Owner::of) {
        told.push(("Owner", format!("user {user}")));
    }
    if let Some(running) = &shown.running {
        let nodes = &running.nodes;
        let path = |p: &std::path::PathBuf| p.display().to_string();
        told.push(("IOMMU group", or(nodes.iommu_group.as_deref(), NONE)));
        told.push(("VFIO group", or(nodes.group.as_ref().map(path), NONE)));
        told.push(("VFIO device", or(nodes.device.as_ref().map(path), NONE)));
        told.push(("Sysfs", nodes.sysfs.display().to_string()));
        told.push((
            "Held by",
            held_by(&running.holders.found, running.holders.complete),
        ));
    }
    let path = shown.definition_path.as_ref();
    told.push(("Definition", or(path.map(|p| p.display()), NONE)));
    for parent in &shown.also_defined_on {
        told.push(("Defined on", parent.to_string()));
    }
    told.extend(parameters(shown));
    let attrs = shown.definition.iter().flat_map(|d| &d.attrs);
    let mut text = joined(told.iter().map(|(key, value)| format!("{key:<12} {value}")));
    for (index, attr) in attrs.enumerate() {
        text += &format!(
            "{:<12} {}\n",
            format!("Attribute {index}"),
            on_one_line(attr.to_string())
        );
    }
    text
}

fn held_by(holders: &[Holder], complete: bool) -> String {
    let names: Vec<String> = holders.iter().map(Holder::to_string).collect();
    match (names.is_empty(), complete) {
        (true, true) => "nobody".to_owned(),
        (true, false) => "? (only root can see other users' processes)".to_owned(),
        (false, true) => names.join(", "),
        (false, false) => format!("{}, and maybe others", names.join(", ")),
    }
}

/// The parameters that are defined, and those that the device has where they differ.
fn parameters(shown: &Shown) -> Vec<(&'static str, String)> {
    let line = |params: &Params| match params.is_empty() {
        true => "no parameters".to_owned(),
        false => on_one_line(params.to_string()).into_owned(),
    };
    let mut told = Vec::new();
    if !shown.params.is_empty() {
        told.push(("Parameters", line(&shown.params)));
    }
    if let Some(now) = shown
        .params_now
        .as_ref()
        .filter(|now| **now != shown.params)
    {
        let key = match shown.definition {
            Some(_) => "Running with",
            None => "Parameters",
        };
        told.push((key, line(now)));
    }
    told
}

/// What a device of this type offers, and what it is made for.
fn about_type(vgpu_type: &VgpuType) -> Vec<(&'static str, String)> {
    let mut told = Vec::new();
    if let Some(mib) = vgpu_type.framebuffer_mib() {
        told.push(("Framebuffer", size(mib)));
    }
    if let Some(details) = vgpu_type.details() {
        told.push(("Displays", details.displays.to_string()));
        told.push(("Frame limit", format!("{} FPS", details.frame_limit)));
        told.push(("Resolution", details.resolution.to_owned()));
    }
    if let Some(name) = vgpu_type.name_parts() {
        let series = name.series;
        if let Some(slices) = name.slices {
            told.push(("MIG slices", slices.to_string()));
        }
        told.push(("Use", format!("{} (series {series})", series.purpose())));
        told.push(("Licence", licence(&name)));
        told.push(("CUDA", yes_or_no(name.cuda()).to_owned()));
        told.push(("OpenGL", yes_or_no(series.opengl()).to_owned()));
    }
    told
}

/// "vDWS (today: vWS)".
fn licence(name: &TypeName) -> String {
    match name.series.licence_today() {
        Some(today) => format!("{} (today: {today})", name.series.licence()),
        None => name.series.licence().to_owned(),
    }
}
