//! Saved devices that cannot start.
//!
//! What finds no room is known to the operations, which say it when such a definition is written.

use std::collections::BTreeMap;

use super::facts::pci::{INTEL, Offer};
use super::{Evidence, Facts, Finding};
use crate::error::Error;
use crate::model::{Definition, Parent, ParentId, StartMode};
use crate::ops::{Context, boot_cautions, set_cautions};
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
    if all.is_empty() && found.is_empty() {
        return Vec::new();
    }
    let parents = match &facts.parents {
        Ok(parents) => parents,
        Err(error) => return vec![Finding::unreadable(error)],
    };
    let count = all.len();
    let mut by_parent: BTreeMap<ParentId, Vec<Definition>> = BTreeMap::new();
    for definition in all {
        let parent = definition.parent.clone();
        by_parent.entry(parent).or_default().push(definition);
    }
    for (id, definitions) in &by_parent {
        match parents.iter().find(|parent| parent.id == *id) {
            None => found.push(no_parent(facts, &context, id, definitions)),
            Some(parent) => {
                found.extend(no_type(&context, parent, definitions));
                found.extend(no_room(&context, parent));
            }
        }
    }
    if found.is_empty() {
        let message = format!("parent and type of {count} are there");
        found.push(Finding::ok(message).seen(facts.look.host.definitions(), "read"));
    }
    found
}

/// What the operations say, as a finding.
fn told(error: &Error) -> Finding {
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
fn finding(definitions: &[&Definition], message: String) -> Finding {
    match definitions.iter().any(|d| d.start == StartMode::Auto) {
        true => Finding::problem(message),
        false => Finding::warning(message),
    }
}

fn path(context: &Context<'_>, definition: &Definition) -> std::path::PathBuf {
    context.store.path(&Location::of(definition))
}

fn no_parent(
    facts: &Facts<'_>,
    context: &Context<'_>,
    id: &ParentId,
    definitions: &[Definition],
) -> Finding {
    let definitions: Vec<&Definition> = definitions.iter().collect();
    let gpu = facts
        .gpus
        .iter()
        .flatten()
        .find(|gpu| gpu.address == id.as_str());
    let (why, advice) = match gpu.map(|gpu| gpu.offer) {
        None => (
            "is not on this host",
            "where the card moved to another slot, define them anew there and undefine these",
        ),
        Some(Offer::VendorVfio) => (
            "makes no mediated devices (vendor-specific VFIO)",
            "its vGPUs sit on virtual functions: define them anew (vgpuctl define), then undefine these",
        ),
        Some(_) if gpu.is_some_and(|gpu| gpu.vendor == INTEL) => (
            "offers no mediated devices",
            "start the kernel with i915.enable_gvt=1, and load kvmgt: modprobe kvmgt",
        ),
        Some(_) => ("offers no mediated devices", "see: vgpuctl gpus"),
    };
    let message = match definitions.len() {
        1 => format!("1 definition is for {id}, which {why}"),
        count => format!("{count} definitions are for {id}, which {why}"),
    };
    let mut finding = finding(&definitions, message);
    for definition in definitions.iter().take(MOST_PATHS) {
        let found = format!("{} on {id}", definition.type_id);
        finding = finding.seen(path(context, definition), found);
    }
    finding
        .seen(facts.look.host.mdev_parents().join(id.as_str()), "absent")
        .advise(advice)
        .run(format!("vgpuctl list --defined --parent {id}"))
}

/// Devices that start at boot and will find no room, and sets that an unlocked card's memory may
/// not hold.
fn no_room(context: &Context<'_>, parent: &Parent) -> Vec<Finding> {
    let certain = boot_cautions(context, &parent.id, &[]);
    let all = set_cautions(context, &parent.id, &[]);
    let dir = context.store.dir(&parent.id);
    let mut found = Vec::new();
    // One stands for all that find no room: their hints are the same.
    if let Some((first, more)) = certain.split_first() {
        let told: Vec<&str> = more.iter().map(|caution| caution.message()).collect();
        let finding = Finding::problem(first.message()).seen(&dir, SET);
        found.push(
            with_hints(finding, first).seen_all(told.into_iter().map(|also| Evidence {
                path: dir.clone(),
                found: format!("also, {also}"),
            })),
        );
    }
    let doubtful = all.iter().filter(|caution| !certain.contains(caution));
    found.extend(
        doubtful.map(|caution| {
            with_hints(Finding::warning(caution.message()).seen(&dir, SET), caution)
        }),
    );
    found
}

const SET: &str = "what starts at boot, in order of the UUIDs";

fn with_hints(finding: Finding, error: &Error) -> Finding {
    let hints = error.all_hints().into_iter();
    hints.fold(finding, |finding, hint| finding.advise(hint))
}

fn no_type(context: &Context<'_>, parent: &Parent, definitions: &[Definition]) -> Vec<Finding> {
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
