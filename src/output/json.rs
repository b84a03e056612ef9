//! Answers for programs. The documents carry `"version": 1`: fields may be added, never changed.

use serde_json::{Value, json};

use super::{Reply, attach, doctor, metrics, plan};
use crate::error::{Error, describe};
use crate::model::{Attr, FrameworkKind, Holder, ParentId, StartMode, VgpuType};
use crate::nvidia::params::{Param, Params};
use crate::nvidia::{Card, Standing};
use crate::ops::{
    Change, Effect, Explanation, Framebuffer, Gpu, Grant, Listed, ParentTypes, Report, Shown,
};
use crate::store::Owner;

/// The whole answer, warnings and notes in it.
pub fn reply_document(reply: &Reply) -> Value {
    let (key, body) = match reply {
        Reply::Doctor(diagnosis) => ("diagnosis", doctor::document(diagnosis)),
        Reply::Checks(checks) => ("checks", doctor::list_document(checks)),
        Reply::Types(answer) | Reply::TypesWide(answer) => ("parents", each(&answer.value, types)),
        Reply::Gpus(answer) => ("gpus", each(&answer.value, gpu)),
        Reply::Vfs(answer) => ("gpus", super::vfs::document(&answer.value)),
        Reply::List(answer) | Reply::Own(answer, _) => ("devices", each(&answer.value, listed)),
        Reply::Show(answer) => ("device", shown(&answer.value)),
        Reply::Attach(answer) => ("attach", attach::document(&answer.value)),
        Reply::Applied(answer) => ("applied", attach::applied_document(&answer.value)),
        Reply::Planned(answer, _) | Reply::Asserted(answer) => {
            ("plan", plan::document(&answer.value, error))
        }
        Reply::Carried(answer) => ("plan", plan::carried_document(&answer.value, error)),
        Reply::Exported(answer) => ("file", json!(super::text::declared(answer))),
        Reply::Explained(answer) | Reply::Topics(answer) => {
            ("findings", each(&answer.value, explanation))
        }
        Reply::Metrics(answer) | Reply::MetricsWritten(answer) => {
            ("metrics", metrics::document(&answer.value))
        }
        Reply::Made(report) | Reply::Changed(report) | Reply::Restored(report) => {
            ("changes", changes(report))
        }
    };
    let mut document = json!({ "version": 1 });
    document[key] = body;
    if let Reply::Own(_, grants) = reply {
        document["allowed"] = each(grants, allowed);
    }
    let warnings = reply.warnings().iter().chain(reply.cautions());
    document["warnings"] = warnings.map(error).collect();
    document["notes"] = json!(reply.notes());
    document
}

/// A failure of the whole command.
pub fn error_document(failure: &Error) -> Value {
    json!({ "version": 1, "error": error(failure) })
}

pub(super) fn each<T>(items: &[T], one: impl Fn(&T) -> Value) -> Value {
    items.iter().map(one).collect()
}

pub(super) fn error(error: &Error) -> Value {
    let mut document = json!({
        "code": error.kind().code(),
        "message": error.to_string(),
        "path": error.path().map(|path| path.to_string_lossy()),
        "cause": error.errno().map(describe),
        "hints": crate::hints::hints(error),
    });
    if !error.others().is_empty() {
        let others = error.others().iter().map(Error::to_string);
        document["others"] = others.collect();
    }
    document
}

fn types(parent: &ParentTypes) -> Value {
    json!({
        "parent": parent.parent.id.as_str(),
        "framework": parent.parent.framework.as_str(),
        "functions": parent.functions.iter().map(|vf| vf.as_str()).collect::<Vec<_>>(),
        "types": each(&parent.types, vgpu_type),
    })
}

fn vgpu_type(vgpu_type: &VgpuType) -> Value {
    let details = vgpu_type.details();
    let details = details.as_ref();
    let name = vgpu_type.name_parts();
    let name = name.as_ref();
    json!({
        "id": vgpu_type.id.as_str(),
        "name": vgpu_type.name,
        "gpu": name.map(|n| n.gpu.as_str()),
        "slices": name.and_then(|n| n.slices),
        "series": name.map(|n| n.series.name()),
        "suffix": name.and_then(|n| n.suffix),
        "use": name.map(|n| n.series.purpose()),
        "licence": name.map(|n| n.series.licence()),
        "licence_today": name.map(|n| n.series.licence_today().unwrap_or(n.series.licence())),
        "cuda": name.and_then(|n| n.cuda()),
        "opengl": name.and_then(|n| n.series.opengl()),
        "framebuffer_mib": vgpu_type.framebuffer_mib(),
        "displays": details.map(|d| d.displays),
        "frame_limit": details.map(|d| d.frame_limit),
        "resolution": details.map(|d| d.resolution),
        "available": vgpu_type.available,
        "available_at_least": vgpu_type.at_least,
        "max_instances": details.map(|d| d.max_instances),
        "device_api": vgpu_type.device_api,
        "description": vgpu_type.description,
    })
}

fn gpu(gpu: &Gpu) -> Value {
    json!({
        "parent": gpu.id.as_str(),
        "framework": gpu.framework.map(FrameworkKind::as_str),
        "card": gpu.card,
        "pci_ids": gpu.pci_ids,
        "model": gpu.known.map(|card| card.name),
        "chip": gpu.known.map(|card| card.chip),
        "memory_mib": gpu.known.map(Card::memory_mib),
        "memory_sizes_mib": gpu.known.map(|card| &card.memory_sizes_mib),
        "vgpu": gpu.standing.map(Standing::code),
        "unlocks_as": gpu.standing.and_then(Standing::unlock).map(|unlock| unlock.as_card),
        "driver": gpu.driver,
        "reason": gpu.lack.map(|lack| super::gpus::words(lack, gpu.driver.as_deref())),
        "reason_code": gpu.lack.map(super::gpus::code),
        "active": gpu.active,
        "holds": gpu.holds,
        "framebuffer_taken_mib": gpu.framebuffer.map(Framebuffer::taken),
        "framebuffer_total_mib": gpu.framebuffer.and_then(|known| known.total),
        "framebuffer_promised_mib": gpu.framebuffer.map(|known| known.promised),
        "overcommitted": gpu.framebuffer.is_some_and(|known| known.is_overcommitted),
    })
}

fn listed(device: &Listed) -> Value {
    json!({
        "uuid": device.known_uuid().map(|uuid| uuid.to_string()),
        "parent": device.parent.as_str(),
        "vf": device.vf().map(|vf| vf.as_str()),
        "type": device.type_id.as_str(),
        "type_name": device.type_name,
        "active": device.active,
        "start": device.start.map(StartMode::as_str),
    })
}

fn allowed(grant: &Grant) -> Value {
    let parents = grant.quota.parents.as_ref();
    let names = |parents: &Vec<ParentId>| each(parents, |parent| json!(parent.as_str()));
    json!({
        "types": grant.quota.types,
        "parents": parents.map(names),
        "devices": grant.quota.devices,
        "used": grant.used,
        "at_boot": grant.quota.at_boot,
    })
}

fn shown(shown: &Shown) -> Value {
    let running = shown.running.as_ref();
    let nodes = running.map(|running| &running.nodes);
    let path = |path: &std::path::PathBuf| path.to_string_lossy().into_owned();
    let definition = shown.definition.as_ref();
    json!({
        "uuid": shown.known_uuid().map(|uuid| uuid.to_string()),
        "parent": shown.at.parent.as_str(),
        "vf": shown.vf().map(|vf| vf.as_str()),
        "type": shown.type_id.as_ref().map(|id| id.as_str()),
        "type_details": shown.vgpu_type.as_ref().map(vgpu_type),
        "active": running.is_some(),
        "start": definition.map(|d| d.start.as_str()),
        "owner": definition.and_then(Owner::of).map(|Owner(user)| user),
        "attrs": each(definition.map_or(&[], |d| d.attrs.as_slice()), attr),
        "params": params(&shown.params),
        "params_now": shown.params_now.as_ref().map(params),
        "definition": shown.definition_path.as_ref().map(path),
        "also_defined_on": shown.also_defined_on.iter().map(|p| p.as_str()).collect::<Vec<_>>(),
        "sysfs": nodes.map(|nodes| path(&nodes.sysfs)),
        "iommu_group": nodes.and_then(|nodes| nodes.iommu_group.as_deref()),
        "vfio_group": nodes.and_then(|nodes| nodes.group.as_ref().map(path)),
        "vfio_device": nodes.and_then(|nodes| nodes.device.as_ref().map(path)),
        "holders": running.map(|running| each(&running.holders.found, holder)),
        "holders_complete": running.map(|running| running.holders.complete),
    })
}

fn explanation(explanation: &Explanation) -> Value {
    let evidence = explanation.evidence.as_deref();
    json!({
        "code": explanation.known.code,
        "cause": explanation.known.cause("vgpuctl", evidence),
        "evidence": evidence,
        "next": explanation.known.next("vgpuctl", evidence),
    })
}

pub(super) fn attr(attr: &Attr) -> Value {
    json!({ "name": attr.name.as_str(), "value": attr.value })
}

fn params(params: &Params) -> Value {
    let one = |param: &Param| json!({ "name": param.name, "value": param.value });
    each(params.list(), one)
}

pub(super) fn holder(holder: &Holder) -> Value {
    json!({ "pid": holder.pid, "command": holder.command, "vm": holder.vm })
}

fn changes(report: &Report) -> Value {
    each(&report.changes, change)
}

fn change(change: &Change) -> Value {
    let result = match &change.effect {
        Effect::Done(action) => action.done().to_owned(),
        Effect::Planned(action) => format!("would-{}", action.verb()),
        Effect::Enabled => "enabled".to_owned(),
        Effect::WouldEnable => "would-enable".to_owned(),
        Effect::Already(_) => "unchanged".to_owned(),
        Effect::Failed(_) => "failed".to_owned(),
    };
    json!({
        "uuid": change.uuid.map(|uuid| uuid.to_string()),
        "parent": change.parent.as_ref().map(|parent| parent.as_str()),
        "vf": change.vf.as_ref().map(|vf| vf.as_str()),
        "type": change.type_id.as_ref().map(|id| id.as_str()),
        "type_name": change.type_name,
        "result": result,
        "error": change.error().map(error),
    })
}
