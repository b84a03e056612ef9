//! What a diagnosis needs to know about definitions: what will happen to them, and where they can be moved.

use std::collections::{BTreeMap, BTreeSet};

use crate::doctor::Outlook;
use crate::error::Error;
use crate::model::{Definition, FrameworkKind, Parent, ParentId};
use crate::ops::{
    Context, Moves, boot_cautions, is_switched_by_another, left_out_at_boot, moved_settings_hint,
    other_params, rivals, set_cautions,
};
use crate::store::Location;

/// Looks at what is defined and set on a host. The diagnosis itself reports what cannot be read.
pub fn outlook(context: &Context<'_>) -> Outlook {
    let all = context.store.all(&mut Vec::new()).unwrap_or_default();
    let settings = context.store.gpu_settings(&mut Vec::new());
    let parents = context.kernel.parents(&mut Vec::new()).unwrap_or_default();
    let (present, gone) = places(&all, &parents);
    let moves = Moves::default();
    let moved = gone.into_iter().filter_map(|definition| {
        let hint = moves.hint(context, definition)?;
        Some((definition.parent.clone(), hint))
    });
    let moved_settings = settings.unwrap_or_default().into_iter();
    let moved_settings = moved_settings.filter_map(|(gpu, _)| {
        let hint = moved_settings_hint(context, &gpu)?;
        Some((gpu, hint))
    });
    let other_params = all.iter().filter_map(|definition| {
        let (_, now) = other_params(context, definition)?;
        Some((Location::of(definition), now))
    });
    let left_out = present.keys().flat_map(|gpu| {
        let left_out = left_out_at_boot(context, gpu).into_iter();
        left_out.map(|(uuid, error)| ((*gpu).clone(), uuid, error))
    });
    let rivals = rivals(&all);
    let is_on_function = |definition: &Definition| {
        let parent = &definition.parent;
        definition.framework == FrameworkKind::Vfio || context.kernel.gpu_of(parent) != *parent
    };
    Outlook {
        left_out: left_out.collect(),
        doubts: present
            .iter()
            .flat_map(|(gpu, parent)| doubts(context, gpu, parent))
            .collect(),
        rivals: rivals
            .iter()
            .map(|one| (one.places.clone(), one.as_error()))
            .collect(),
        moved: moved.collect(),
        moved_settings: moved_settings.collect(),
        other_params: other_params.collect(),
        switches_functions: all.iter().any(is_on_function) && is_switched_by_another(context.host),
    }
}

/// The GPUs that have definitions, each with the first of its parents that does, and a definition of
/// each parent that does not exist.
fn places<'a>(
    all: &'a [Definition],
    parents: &'a [Parent],
) -> (BTreeMap<&'a ParentId, &'a Parent>, Vec<&'a Definition>) {
    let (mut present, mut gone) = (BTreeMap::new(), Vec::new());
    let mut seen = BTreeSet::new();
    for definition in all {
        let (framework, id) = (definition.framework, &definition.parent);
        if !seen.insert((framework, id)) {
            continue;
        }
        let is_it = |parent: &&Parent| parent.id == *id && parent.framework == framework;
        match parents.iter().find(is_it) {
            Some(parent) => _ = present.entry(parent.gpu()).or_insert(parent),
            None => gone.push(definition),
        }
    }
    (present, gone)
}

/// Sets of devices that may not fit into the memory of an unlocked card.
fn doubts(context: &Context<'_>, gpu: &ParentId, parent: &Parent) -> Vec<(ParentId, Error)> {
    let certain = boot_cautions(context, &parent.id, &[]);
    let all = set_cautions(context, &parent.id, &[]).into_iter();
    let doubtful = all.filter(|caution| !certain.contains(caution));
    doubtful.map(|caution| (gpu.clone(), caution)).collect()
}
