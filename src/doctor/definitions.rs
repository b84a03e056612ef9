//! Saved devices that cannot start.
//!
//! What finds no room is known to the operations, which say it when such a definition is written.

use std::collections::BTreeMap;
use std::time::Duration;

use super::facts::pci::{Gpu, INTEL, Offer};
use super::{Evidence, Facts, Finding, functions, running};
use crate::error::{Error, Kind};
use crate::model::{Definition, FrameworkKind, Parent, ParentId, StartMode};
use crate::ops::{
    Change, Context, Moves, RestoreRequest, active_on, boot_cautions, restore, rivals, set_cautions,
};
use crate::store::Location;

/// More paths than this say no more.
const MOST_PATHS: usize = 4;

/// Every definition can be read, and its parent and type are there.
pub fn definitions(facts: &Facts<'_>) -> Vec<Finding> {
    let context = Context::of(facts.look.host);
    let mut unreadable = Vec::new();
    let all = match context.store.all(&mut unreadable) {
        Ok(all) => all,
        Err(error) => return vec![Finding::unreadable(&error)],
    };
    let mut found: Vec<Finding> = unreadable.iter().map(told).collect();
    found.extend(functions::settings(facts, &context, &all));
    if all.is_empty() && found.is_empty() {
        return Vec::new();
    }
    let parents = match &facts.parents {
        Ok(parents) => parents,
        Err(error) => return vec![Finding::unreadable(error)],
    };
    let count = all.len();
    found.extend(running::with_other_params(facts, &context, &all));
    found.extend(running::otherwise_in_proxmox(facts, &context, &all));
    found.extend(functions::crowded(&context, &all));
    found.extend(twice(&context, &all));
    let mut by_place: BTreeMap<(FrameworkKind, ParentId), Vec<Definition>> = BTreeMap::new();
    for definition in all {
        let place = (definition.framework, definition.parent.clone());
        by_place.entry(place).or_default().push(definition);
    }
    let mut judged: Vec<&ParentId> = Vec::new();
    for ((framework, id), definitions) in &by_place {
        let is_it = |parent: &&Parent| parent.id == *id && parent.framework == *framework;
        let Some(parent) = parents.iter().find(is_it) else {
            found.push(no_parent(facts, &context, (*framework, id), definitions));
            continue;
        };
        found.extend(no_type(&context, parent, definitions));
        found.extend(functions::no_function(&context, parent, definitions));
        // The functions of one GPU share its room, which is told once.
        if !judged.contains(&parent.gpu()) {
            judged.push(parent.gpu());
            found.extend(no_room(&context, parent));
        }
    }
    if found.is_empty() {
        let message = format!("parent and type of {count} are there");
        let mut places: Vec<FrameworkKind> = by_place.into_keys().map(|(kind, _)| kind).collect();
        places.dedup();
        let shelves = places.into_iter().map(|kind| Evidence {
            path: context.store.shelf(kind),
            found: "read".to_owned(),
        });
        found.push(Finding::ok(message).seen_all(shelves));
    }
    found
}

/// What the operations say, as a finding.
pub fn told(error: &Error) -> Finding {
    let mut finding = Finding::problem(error.message());
    if let Some(path) = error.path() {
        let cause = error.errno().map(crate::error::describe);
        finding = finding.seen(path, cause.unwrap_or_else(|| "cannot be used".to_owned()));
    }
    finding = with_hints(finding, error);
    match finding.steps.is_empty() {
        true => finding.advise("mend the file, or take it away"),
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

pub fn path(context: &Context<'_>, definition: &Definition) -> std::path::PathBuf {
    context.store.path(&Location::of(definition))
}

fn no_parent(
    facts: &Facts<'_>,
    context: &Context<'_>,
    (framework, id): (FrameworkKind, &ParentId),
    definitions: &[Definition],
) -> Finding {
    let definitions: Vec<&Definition> = definitions.iter().collect();
    let mut gpus = facts.gpus.iter().flatten();
    let gpu = gpus.find(|gpu| gpu.address == id.as_str());
    let (why, advice) = why_not(facts, framework, gpu);
    let moves = Moves::default();
    let moved = definitions.iter().find_map(|one| moves.hint(context, one));
    let message = match definitions.len() {
        1 => format!("1 definition is for {id}, which {why}"),
        count => format!("{count} definitions are for {id}, which {why}"),
    };
    let mut finding = finding(&definitions, message);
    for definition in definitions.iter().take(MOST_PATHS) {
        let found = format!("{} on {id}", definition.type_id);
        finding = finding.seen(path(context, definition), found);
    }
    let (place, lacks) = match (framework, gpu) {
        (FrameworkKind::Vfio, Some(gpu)) => (gpu.path.clone(), "no function that takes a type"),
        (FrameworkKind::Vfio, None) => (facts.look.host.pci_devices().join(id.as_str()), "absent"),
        (FrameworkKind::Mdev, _) => (facts.look.host.mdev_parents().join(id.as_str()), "absent"),
    };
    finding
        .seen(place, lacks)
        .advise(moved.as_deref().unwrap_or(advice))
        .run(format!("vgpuctl list --defined --parent {id}"))
}

/// UUIDs that are to start at boot on several parents.
fn twice(context: &Context<'_>, definitions: &[Definition]) -> Vec<Finding> {
    let told = |rivals: &crate::ops::Rivals| {
        let error = rivals.told();
        let places = rivals.places.iter().map(|at| Evidence {
            path: context.store.path(at),
            found: "start auto".to_owned(),
        });
        with_hints(Finding::problem(error.message()).seen_all(places), &error)
    };
    rivals(definitions).iter().map(told).collect()
}

/// Why a GPU is no parent in that framework, and what to do.
fn why_not(
    facts: &Facts<'_>,
    framework: FrameworkKind,
    gpu: Option<&Gpu>,
) -> (&'static str, &'static str) {
    let Some(gpu) = gpu else {
        return (
            "is not on this host",
            "where the card moved to another slot, define them anew there and undefine these",
        );
    };
    let offers = |wanted: fn(&Offer) -> bool| {
        let functions = facts.functions(gpu);
        wanted(&gpu.offer) || functions.iter().any(|function| wanted(&function.offer))
    };
    match framework {
        FrameworkKind::Mdev if offers(|offer| *offer == Offer::VendorVfio) => (
            "makes no mediated devices (vendor-specific VFIO)",
            "its vGPUs sit on virtual functions: define them anew (vgpuctl define), then undefine these",
        ),
        FrameworkKind::Mdev if gpu.vendor == INTEL => (
            "offers no mediated devices",
            "start the kernel with i915.enable_gvt=1, and load kvmgt: modprobe kvmgt",
        ),
        FrameworkKind::Mdev => ("offers no mediated devices", "see: vgpuctl gpus"),
        FrameworkKind::Vfio if offers(|offer| matches!(offer, Offer::Mdev(_))) => (
            "makes mediated devices, and has no functions that take types",
            "the kernel or the driver was changed since: define them anew (vgpuctl define), then \
             undefine these",
        ),
        FrameworkKind::Vfio => (
            "has no virtual functions that take types",
            "see: vgpuctl vfs",
        ),
    }
}

/// Devices that start at boot and will find no room, and sets that an unlocked card's memory may
/// not hold.
fn no_room(context: &Context<'_>, parent: &Parent) -> Vec<Finding> {
    let certain = boot_cautions(context, &parent.id, &[]);
    let all = set_cautions(context, &parent.id, &[]);
    let dir = context.store.dir(parent.framework, parent.home());
    let mut found = Vec::new();
    for alike in left_behind(context, parent.gpu()) {
        let who: Vec<String> = alike.iter().map(|(uuid, _)| uuid.clone()).collect();
        let Some((_, error)) = alike.first() else {
            continue;
        };
        let message = format!(
            "{} will not start at the next boot: {}",
            listed(&who),
            error.message()
        );
        found.push(with_hints(Finding::problem(message).seen(&dir, SET), error));
    }
    let doubtful = all.iter().filter(|caution| !certain.contains(caution));
    found.extend(
        doubtful.map(|caution| {
            with_hints(Finding::warning(caution.message()).seen(&dir, SET), caution)
        }),
    );
    found
}

/// The definitions that the next boot has no room for, those together that it says the same of.
fn left_behind(context: &Context<'_>, gpu: &ParentId) -> Vec<Vec<(String, Error)>> {
    let request = RestoreRequest {
        parent: Some(gpu.clone()),
        wait: Duration::ZERO,
        dry_run: true,
        now: false,
    };
    let Ok(report) = restore(context, &request) else {
        return Vec::new();
    };
    let no_room = |change: &Change| {
        let error = change.error().filter(|e| e.kind() == Kind::NoCapacity)?;
        Some((change.uuid?.to_string(), error.clone()))
    };
    let mut all: Vec<Vec<(String, Error)>> = Vec::new();
    for (uuid, error) in report.changes.iter().filter_map(no_room) {
        match all.iter_mut().find(|alike| alike[0].1 == error) {
            Some(alike) => alike.push((uuid, error)),
            None => all.push(vec![(uuid, error)]),
        }
    }
    all
}

/// "A", "A and B", "A, B and C".
pub fn listed(names: &[String]) -> String {
    match names.split_last() {
        Some((last, before)) if !before.is_empty() => format!("{} and {last}", before.join(", ")),
        _ => names.concat(),
    }
}

const SET: &str = "what starts at boot, in order of the UUIDs";

fn with_hints(finding: Finding, error: &Error) -> Finding {
    let hints = crate::hints::hints(error).into_iter();
    hints.fold(finding, |finding, hint| finding.advise(hint))
}

fn no_type(context: &Context<'_>, parent: &Parent, definitions: &[Definition]) -> Vec<Finding> {
    // Functions list only what still fits, so that a GPU in use says nothing of its other types.
    if parent.framework == FrameworkKind::Vfio && !active_on(context, parent).is_empty() {
        return Vec::new();
    }
    let framework = context.kernel.serving(parent);
    let types = match framework.types(&parent.id, &mut Vec::new()) {
        Ok(types) => types,
        Err(error) => return vec![Finding::unreadable(&error)],
    };
    let is_gone = |definition: &&Definition| types.iter().all(|t| t.id != definition.type_id);
    let gone = definitions.iter().filter(is_gone);
    gone.map(|definition| {
        let (uuid, id) = (definition.uuid, &definition.type_id);
        finding(
            &[definition],
            format!("{uuid} is of type {id}, which {} does not offer", parent.id),
        )
        .seen(path(context, definition), format!("mdev_type {id}"))
        .run(format!("vgpuctl types --parent {}", parent.id))
        .run(format!("vgpuctl modify {uuid} --type TYPE"))
    })
    .collect()
}
