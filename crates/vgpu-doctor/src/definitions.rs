//! Definitions that cannot start.
//!
//! What has no room is known to the program that starts them, and reported in [`super::Outlook`].

use std::collections::BTreeMap;

use super::facts::pci::{Gpu, INTEL, Offer};
use super::{Evidence, Facts, Finding, Severity, functions, running};
use vgpu_host::error::{Error, Result};
use vgpu_host::model::{Definition, FrameworkKind, Parent, ParentId, StartMode, VgpuType};
use vgpu_host::store::Store;

/// More paths than this say no more.
const MOST_PATHS: usize = 4;

/// Every definition can be read, and its parent and type are there.
pub fn definitions(facts: &Facts<'_>) -> Vec<Finding> {
    let (all, unread) = match &facts.saved.definitions {
        Ok(definitions) => definitions,
        Err(error) => return Finding::unreadable(error).into(),
    };
    let mut found: Vec<Finding> = unread.iter().map(told).collect();
    found.extend(functions::settings(facts, all));
    if all.is_empty() && found.is_empty() {
        return Vec::new();
    }
    let parents = match &facts.parents {
        Ok(parents) => parents,
        Err(error) => return Finding::unreadable(error).into(),
    };
    found.extend(running::with_other_params(facts, all));
    found.extend(running::otherwise_in_proxmox(facts, all));
    found.extend(functions::crowded(facts, all));
    found.extend(twice(facts));
    let mut by_place: BTreeMap<(FrameworkKind, &ParentId), Vec<&Definition>> = BTreeMap::new();
    for definition in all {
        let place = (definition.framework, &definition.parent);
        by_place.entry(place).or_default().push(definition);
    }
    let mut judged: Vec<&ParentId> = Vec::new();
    for ((framework, id), definitions) in &by_place {
        let mut parents = parents.iter();
        let is_it = |parent: &Parent| parent.id == **id && parent.framework == *framework;
        let Some((parent, types)) = parents.find(|(parent, _)| is_it(parent)) else {
            found.push(no_parent(facts, (*framework, id), definitions));
            continue;
        };
        found.extend(no_type(facts, parent, types, definitions));
        found.extend(functions::no_function(facts, parent, definitions));
        // The functions of one GPU share its room, which is reported once.
        if !judged.contains(&parent.gpu()) {
            judged.push(parent.gpu());
            found.extend(no_room(facts, parent));
        }
    }
    if found.is_empty() {
        let mut kinds: Vec<FrameworkKind> = by_place.into_keys().map(|(kind, _)| kind).collect();
        kinds.dedup();
        let store = Store::of(facts.host);
        let roots = kinds
            .into_iter()
            .map(|kind| Evidence::new(store.root(kind), "read"));
        let message = format!("parents and types of all definitions exist ({})", all.len());
        found.push(Finding::ok(message).seen_all(roots));
    }
    found
}

/// What cannot be used, as a finding.
pub fn told(error: &Error) -> Finding {
    let finding = Finding::of_error(Severity::Problem, error, "cannot be used");
    match finding.steps.is_empty() {
        true => finding.advise("fix the file, or remove it"),
        false => finding,
    }
}

/// What does not come back at boot is a problem; what nobody asked for yet may become one.
pub fn finding(definitions: &[&Definition], message: String) -> Finding {
    match definitions.iter().any(|d| d.start == StartMode::Auto) {
        true => Finding::problem(message),
        false => Finding::warning(message),
    }
}

fn no_parent(
    facts: &Facts<'_>,
    (framework, id): (FrameworkKind, &ParentId),
    definitions: &[&Definition],
) -> Finding {
    let gpu = facts.gpu(id);
    let (why, advice) = why_not(facts, framework, gpu);
    let message = match definitions.len() {
        1 => format!("1 definition is for {id}, which {why}"),
        count => format!("{count} definitions are for {id}, which {why}"),
    };
    let some = definitions.iter().take(MOST_PATHS);
    let seen = some.map(|one| Evidence::new(facts.path(one), format!("{} on {id}", one.type_id)));
    let (place, lacks) = match (framework, gpu) {
        (FrameworkKind::Vfio, Some(gpu)) => (gpu.path.clone(), "no function that accepts a type"),
        (FrameworkKind::Vfio, None) => (facts.host.pci_devices().join(id.as_str()), "absent"),
        (FrameworkKind::Mdev, _) => (facts.host.mdev_parents().join(id.as_str()), "absent"),
    };
    finding(definitions, message)
        .seen_all(seen)
        .seen(place, lacks)
        .advise(facts.outlook.moved.get(id).unwrap_or(&advice))
        .run(format!("{} list --defined --parent {id}", facts.program))
}

/// UUIDs that are to start at boot on several parents.
fn twice(facts: &Facts<'_>) -> Vec<Finding> {
    let store = Store::of(facts.host);
    let rivals = facts.outlook.rivals.iter().map(|(places, error)| {
        let seen = places
            .iter()
            .map(|at| Evidence::new(store.path(at), "start auto"));
        let finding = Finding::problem(error.message()).seen_all(seen);
        finding.hints(error)
    });
    rivals.collect()
}

/// Why a GPU is no parent in that framework, and what to do.
fn why_not(
    facts: &Facts<'_>,
    framework: FrameworkKind,
    gpu: Option<&Gpu>,
) -> (&'static str, String) {
    let program = facts.program;
    let Some(gpu) = gpu else {
        let advice =
            "if the card moved to another slot, define them again there and undefine these";
        return ("is not on this host", advice.to_owned());
    };
    let offers = |wanted: fn(&Offer) -> bool| {
        let functions = facts.functions(gpu);
        wanted(&gpu.offer) || functions.iter().any(|function| wanted(&function.offer))
    };
    let anew = format!("define them again ({program} define), then undefine these");
    match framework {
        FrameworkKind::Mdev if offers(|offer| *offer == Offer::VendorVfio) => (
            "does not offer mediated devices (vendor-specific VFIO)",
            format!("its vGPUs are on virtual functions: {anew}"),
        ),
        FrameworkKind::Mdev if gpu.vendor == INTEL => (
            "offers no mediated devices",
            "boot the kernel with i915.enable_gvt=1, and load kvmgt: modprobe kvmgt".to_owned(),
        ),
        FrameworkKind::Mdev => ("offers no mediated devices", format!("see: {program} gpus")),
        FrameworkKind::Vfio if offers(|offer| matches!(offer, Offer::Mdev(_))) => (
            "offers mediated devices, and has no functions that accept types",
            format!("the kernel or driver has changed since: {anew}"),
        ),
        FrameworkKind::Vfio => (
            "has no virtual functions that accept types",
            format!("see: {program} vfs"),
        ),
    }
}

/// Devices that start at boot and will find no room, and sets that an unlocked card's memory may
/// not hold.
fn no_room(facts: &Facts<'_>, parent: &Parent) -> Vec<Finding> {
    const SET: &str = "devices that start at boot, in UUID order";
    let dir = Store::of(facts.host).dir(parent.framework, parent.home());
    // Those together of which the same is said.
    let mut alike: Vec<(&Error, Vec<String>)> = Vec::new();
    let left_out = facts.outlook.left_out.iter();
    for (_, uuid, error) in left_out.filter(|(gpu, ..)| gpu == parent.gpu()) {
        match alike.iter_mut().find(|(known, _)| *known == error) {
            Some((_, who)) => who.push(uuid.to_string()),
            None => alike.push((error, vec![uuid.to_string()])),
        }
    }
    let left_out = alike.into_iter().map(|(error, who)| {
        let (who, why) = (listed(&who), error.message());
        let message = format!("{who} will not start at the next boot: {why}");
        Finding::problem(message).seen(&dir, SET).hints(error)
    });
    let doubts = facts
        .outlook
        .doubts
        .iter()
        .filter(|(gpu, _)| gpu == parent.gpu());
    let doubts = doubts.map(|(_, doubt)| {
        let finding = Finding::warning(doubt.message()).seen(&dir, SET);
        finding.hints(doubt)
    });
    left_out.chain(doubts).collect()
}

/// "A", "A and B", "A, B and C".
pub fn listed(names: &[String]) -> String {
    match names.split_last() {
        Some((last, before)) if !before.is_empty() => format!("{} and {last}", before.join(", ")),
        _ => names.concat(),
    }
}

fn no_type(
    facts: &Facts<'_>,
    parent: &Parent,
    types: &Result<Vec<VgpuType>>,
    definitions: &[&Definition],
) -> Vec<Finding> {
    // Functions list only what still fits, so that a GPU in use says nothing of its other types.
    let mut devices = facts.saved.devices.iter();
    let is_in_use = devices.any(|device| facts.gpu_of(&device.parent) == *parent.gpu());
    if parent.framework == FrameworkKind::Vfio && is_in_use {
        return Vec::new();
    }
    let types = match types {
        Ok(types) => types,
        Err(error) => return Finding::unreadable(error).into(),
    };
    let is_gone = |definition: &&&Definition| types.iter().all(|t| t.id != definition.type_id);
    let gone = definitions.iter().filter(is_gone);
    gone.map(|definition| {
        let (uuid, id, type_id) = (definition.uuid, &parent.id, &definition.type_id);
        let message = format!("{uuid} has type {type_id}, which {id} does not offer");
        finding(&[definition], message)
            .seen(facts.path(definition), format!("mdev_type {type_id}"))
            .run(format!("{} types --parent {id}", facts.program))
            .run(format!("{} modify {uuid} --type TYPE", facts.program))
    })
    .collect()
}
