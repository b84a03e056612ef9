//! A declaration as text, in the one form that [`parse`](super::parse) reads back.

use std::fmt::Write as _;

use super::{Amount, Declaration, GpuChoice, GpuName, GpuSetup, Group, Member, Members, Unlisted};
use crate::capacity::Placement;
use nvidia_vgpu::params::{ATTRIBUTE, Param, ParamEdit, Params};
use vgpu_host::model::{Attr, StartMode};
use vgpu_host::store::{FunctionsAtBoot, Sizes};
use vgpu_host::text::{is_hidden, on_one_line};

/// The text; what `remarks` say follows as comments.
pub fn write(declaration: &Declaration, remarks: &[String]) -> String {
    let mut text = String::from("version = 1\n");
    match &declaration.unlisted {
        Unlisted::Keep => {}
        Unlisted::Remove => text += "unlisted = \"remove\"\n",
        Unlisted::RemoveOwn => text += "unlisted = \"remove-own\"\n",
        Unlisted::RemoveOn { gpus, but } => {
            let but = match but.is_empty() {
                true => String::new(),
                false => format!(", but = {}", list(but, |id| quoted(id.as_str()))),
            };
            let value = format!("{{ remove-on = {}{but} }}", list(gpus, gpu));
            line(&mut text, "unlisted", &value);
        }
    }
    for setup in &declaration.setups {
        setup_of(&mut text, setup);
    }
    for declared in &declaration.groups {
        group(&mut text, declared);
    }
    if !remarks.is_empty() {
        text.push('\n');
    }
    for remark in remarks.iter().flat_map(|remark| remark.lines()) {
        let remark = on_one_line(remark);
        text += format!("# {remark}").trim_end();
        text.push('\n');
    }
    text
}

fn setup_of(text: &mut String, setup: &GpuSetup) {
    *text += "\n[[gpu]]\n";
    line(text, "gpus", &list(&setup.gpus, gpu));
    match setup.functions {
        Some(FunctionsAtBoot::Enable) => line(text, "vfs", "\"all\""),
        Some(FunctionsAtBoot::Leave) => line(text, "vfs", "\"leave\""),
        None => {}
    }
    if let Some(mig) = &setup.mig {
        line(text, "mig", &list(mig, |one| quoted(&one.to_string())));
    }
    if let Some(sizes) = setup.sizes {
        let is_mixed = sizes == Sizes::Mixed;
        line(text, "mixed-sizes", &is_mixed.to_string());
    }
    if let Some(scheduler) = &setup.scheduler {
        line(text, "scheduler", &quoted(&scheduler.to_string()));
    }
}

fn group(text: &mut String, group: &Group) {
    *text += "\n[[group]]\n";
    line(text, "name", &quoted(group.name.as_str()));
    line(text, "type", &quoted(&group.type_name));
    let (key, value) = members(&group.members);
    line(text, key, &value);
    match &group.gpus {
        GpuChoice::Any => {}
        GpuChoice::These(gpus) if gpus.len() == 1 => {
            gpus.iter().for_each(|one| line(text, "gpus", &gpu(one)));
        }
        GpuChoice::These(gpus) => line(text, "gpus", &list(gpus, gpu)),
    }
    if group.placement == Placement::Spread {
        line(text, "placement", "\"spread\"");
    }
    if group.start == StartMode::Manual {
        line(text, "start", "\"manual\"");
    }
    attrs(text, &group.attrs);
}

fn members(members: &Members) -> (&'static str, String) {
    match members {
        Members::Count(count) => ("count", count.to_string()),
        Members::PerGpu(Amount::Exactly(count)) => ("per-gpu", count.to_string()),
        Members::PerGpu(Amount::MAX) => ("per-gpu", quoted("max")),
        Members::PerGpu(Amount::UpTo(most)) => ("per-gpu", format!("{{ max = {most} }}")),
        Members::Listed(members) => listed(members),
    }
}

fn listed(members: &[Member]) -> (&'static str, String) {
    if !members.is_empty() && members.iter().all(|member| member.vm().is_some()) {
        return ("vms", list(members, vm));
    }
    let is_given = |member: &Member| {
        member
            .uuid
            .is_some_and(|uuid| Member::given(uuid) == *member)
    };
    if !members.is_empty() && members.iter().all(is_given) {
        return ("uuids", list(members, |member| quoted(member.key.as_str())));
    }
    let named = |member: &Member| match member.uuid {
        None => quoted(member.key.as_str()),
        Some(uuid) => format!(
            "{{ name = {}, uuid = \"{uuid}\" }}",
            quoted(member.key.as_str())
        ),
    };
    ("names", list(members, named))
}

fn vm(member: &Member) -> String {
    match member.vm() {
        Some((vmid, 0)) => vmid.to_string(),
        Some((vmid, index)) => format!("\"{vmid}:{index}\""),
        None => quoted(member.key.as_str()),
    }
}

fn gpu(gpu: &GpuName) -> String {
    match gpu {
        GpuName::Index(index) => index.to_string(),
        GpuName::Text(text) => quoted(text),
    }
}

fn attrs(text: &mut String, attrs: &[Attr]) {
    let params = attrs.last().and_then(|attr| by_name(attr, attrs));
    let others = match &params {
        Some(_) => attrs.split_last().map_or(attrs, |(_, others)| others),
        None => attrs,
    };
    if let Some(params) = params {
        line(text, "params", &params);
    }
    if !others.is_empty() {
        line(
            text,
            "attrs",
            &list(others, |attr| quoted(&attr.to_string())),
        );
    }
}

/// The parameters that an attribute holds, where naming them says exactly the same.
fn by_name(attr: &Attr, attrs: &[Attr]) -> Option<String> {
    let holding = attrs
        .iter()
        .filter(|other| other.name.as_str() == ATTRIBUTE);
    let params = Params::parse(&attr.value);
    let edits: Option<Vec<ParamEdit>> = params.list().iter().map(edit).collect();
    let same = Params::default().edited(&edits?).to_string();
    let is_all = attr.name.as_str() == ATTRIBUTE && holding.count() == 1;
    if !is_all || same != attr.value || same.is_empty() {
        return None;
    }
    let entries: Vec<String> = params.list().iter().map(param).collect();
    Some(format!("{{ {} }}", entries.join(", ")))
}

fn edit(param: &Param) -> Option<ParamEdit> {
    let text = format!("{}={}", param.name, param.value.as_deref()?);
    let edit = text.parse().ok()?;
    matches!(edit, ParamEdit::Set(..)).then_some(edit)
}

fn param(param: &Param) -> String {
    let is_bare = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    let name = match param.name.chars().all(is_bare) {
        true => param.name.clone(),
        false => quoted(&param.name),
    };
    let value = param.value.as_deref().unwrap_or_default();
    match value.parse::<u32>() {
        Ok(number) if number.to_string() == value => format!("{name} = {number}"),
        _ => format!("{name} = {}", quoted(value)),
    }
}

fn line(text: &mut String, key: &str, value: &str) {
    // Writing to a text cannot fail.
    let _ = writeln!(text, "{key} = {value}");
}

/// A list on one line where it fits, else with an item a line.
fn list<T>(items: &[T], one: impl Fn(&T) -> String) -> String {
    const WIDTH: usize = 90;
    let items: Vec<String> = items.iter().map(one).collect();
    let on_one_line = format!("[{}]", items.join(", "));
    match on_one_line.len() > WIDTH {
        true => format!("[\n    {},\n]", items.join(",\n    ")),
        false => on_one_line,
    }
}

/// A basic string of TOML's.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if is_hidden(c) => {
                let _ = write!(quoted, "\\U{:08X}", u32::from(c));
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}
