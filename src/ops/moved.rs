//! Cards that are at another address since hardware was changed, and how their definitions follow.

use std::collections::BTreeSet;
use std::sync::OnceLock;

use super::Context;
use super::choose::with_type;
use super::home::switched_off;
use crate::model::{Definition, Parent, ParentId, TypeId};
use crate::store::GpuSettings;

/// Which cards are gone, and which have come: looked for when it is first asked, once for all
/// definitions of a command.
#[derive(Default)]
pub struct Moves(OnceLock<Vec<(ParentId, Successor)>>);

impl Moves {
    /// What to type where a definition's parent is gone and another one offers what it had; nothing
    /// where it is there, or nothing like it is. The file that is edited has all definitions, so that
    /// all cards that are gone are told of together.
    pub fn hint(&self, context: &Context<'_>, definition: &Definition) -> Option<String> {
        if !is_gone(context, &definition.parent) {
            return None;
        }
        let all = self.0.get_or_init(|| successions(context));
        hint(context, definition, all)
    }
}

fn hint(
    context: &Context<'_>,
    definition: &Definition,
    all: &[(ParentId, Successor)],
) -> Option<String> {
    if all.iter().all(|(old, _)| *old != definition.parent) {
        return None;
    }
    let (mut steps, mut edits, mut gpus) = (Vec::new(), Vec::new(), Vec::new());
    for (old, new) in all {
        let edit = format!("s/{}/{}/", pattern(new, old), new.gpu);
        if !edits.contains(&edit) {
            steps.extend(settings_steps(context, old, new));
            edits.push(edit);
        }
        if !gpus.contains(&new.gpu.as_str()) {
            gpus.push(new.gpu.as_str());
        }
    }
    let edits = edits.join("; ");
    steps.push(format!(
        "vgpuctl export > host.toml; sed -i '{edits}' host.toml; vgpuctl apply host.toml"
    ));
    let (cards, its) = match gpus.as_slice() {
        [_] => ("its card is", "all of its definitions"),
        _ => ("the missing cards are", "their definitions"),
    };
    Some(format!(
        "if {cards} now at {}, move {its} there: {}",
        gpus.join(" and "),
        steps.join("; ")
    ))
}

/// Which GPU has come in the place of each parent that has definitions and is gone, as far as there is
/// one for it.
fn successions(context: &Context<'_>) -> Vec<(ParentId, Successor)> {
    let all = context.store.all(&mut Vec::new()).unwrap_or_default();
    let homes: BTreeSet<&ParentId> = all.iter().map(|definition| &definition.parent).collect();
    let mut found: Vec<(ParentId, Successor)> = Vec::new();
    for old in homes.into_iter().filter(|home| is_gone(context, home)) {
        // Functions of one card went together.
        let mut siblings = found.iter().filter(|(other, _)| bus(other) == bus(old));
        let sibling = siblings.find(|(_, new)| new.has_parents_on_functions);
        let new = match sibling {
            Some((_, new)) => Some(new.clone()),
            None => successor(context, old, &all, &found),
        };
        found.extend(new.map(|new| (old.clone(), new)));
    }
    found
}

fn bus(id: &ParentId) -> Option<&str> {
    id.as_str().rsplit_once(':').map(|(bus, _)| bus)
}

/// The same for settings of a GPU that is gone.
pub fn moved_settings_hint(context: &Context<'_>, old: &ParentId) -> Option<String> {
    let all = context.store.all(&mut Vec::new()).unwrap_or_default();
    let is_free = |gpu: &ParentId| {
        let settings = context.store.settings_of(gpu).unwrap_or_default();
        settings == GpuSettings::default() && !has_definitions(context, &all, gpu)
    };
    if !is_gone(context, old) {
        return None;
    }
    let gpus = context.kernel.sriov_gpus(&mut Vec::new()).ok()?;
    let mut gpus = gpus.into_iter().map(|gpu| gpu.gpu);
    let gpu = gpus.find(is_free)?;
    let steps = settings_steps(context, old, &Successor::of(gpu.clone()));
    (!steps.is_empty()).then(|| {
        format!(
            "if the card is now at {gpu}, move its settings there: {}",
            steps.join("; ")
        )
    })
}

/// The GPU that has come in the place of one.
#[derive(Debug, Clone)]
struct Successor {
    gpu: ParentId,
    /// Its functions are the parents.
    has_parents_on_functions: bool,
    /// They are off.
    is_off: bool,
}

impl Successor {
    fn of(gpu: ParentId) -> Successor {
        Successor {
            gpu,
            has_parents_on_functions: false,
            is_off: false,
        }
    }
}

/// Whether no PCI device has that address, nor is a function of that address to come.
fn is_gone(context: &Context<'_>, name: &ParentId) -> bool {
    let is_there = || context.host.pci_devices().join(name.as_str()).exists();
    let has_gpu_near = || {
        let gpus = context.kernel.sriov_gpus(&mut Vec::new());
        let mut gpus = gpus.unwrap_or_default().into_iter();
        gpus.any(|gpu| bus(&gpu.gpu) == bus(name))
    };
    name.is_pci_address() && !is_there() && switched_off(context, name).is_none() && !has_gpu_near()
}

/// The first GPU that offers all types that are defined under the old address, and is not in the place
/// of another one; rather one under whose address nothing is defined yet. Where none offers them, one
/// whose functions are off may.
fn successor(
    context: &Context<'_>,
    old: &ParentId,
    all: &[Definition],
    found: &[(ParentId, Successor)],
) -> Option<Successor> {
    let is_given = |gpu: &ParentId| found.iter().any(|(_, new)| new.gpu == *gpu);
    let is_free = |gpu: &ParentId| !is_given(gpu) && !has_definitions(context, all, gpu);
    let parents = context.kernel.parents(&mut Vec::new()).ok()?;
    let offering = |id: &TypeId| -> Vec<Parent> {
        let offers = with_type(context, id, &parents).into_iter();
        offers.map(|offer| offer.parent).collect()
    };
    let types = all.iter().filter(|definition| definition.parent == *old);
    let mut types = types.map(|definition| &definition.type_id);
    let mut offering_all = offering(types.next()?);
    for other in types {
        let of_other = offering(other);
        offering_all.retain(|parent| of_other.contains(parent));
    }
    offering_all.retain(|parent| !is_given(parent.gpu()));
    let free = offering_all.iter().find(|parent| is_free(parent.gpu()));
    if let Some(parent) = free.or(offering_all.first()) {
        return Some(Successor {
            has_parents_on_functions: parent.gpu.is_some(),
            ..Successor::of(parent.gpu().clone())
        });
    }
    let mut off = context.kernel.gpus_without_functions().into_iter();
    let gpu = off.find(is_free)?;
    Some(Successor {
        has_parents_on_functions: context.kernel.has_mediated_devices(),
        is_off: true,
        ..Successor::of(gpu)
    })
}

fn has_definitions(context: &Context<'_>, all: &[Definition], gpu: &ParentId) -> bool {
    let mut homes = all.iter().map(|definition| &definition.parent);
    homes.any(|home| context.kernel.gpu_of(home) == *gpu)
}

/// What has to be done about the old address's settings, and about functions that are off.
fn settings_steps(context: &Context<'_>, old: &ParentId, new: &Successor) -> Vec<String> {
    let gpu = &new.gpu;
    let settings = |gpu: &ParentId| context.store.settings_of(gpu).unwrap_or_default();
    let old = gpu_settings_of(context, old);
    let path = |gpu: &ParentId| context.store.settings_path(gpu);
    let mut steps = Vec::new();
    if let Some(old) = old.filter(|_| settings(gpu) == GpuSettings::default()) {
        let (from, to) = (path(&old), path(gpu));
        let folder = to.parent().unwrap_or(&to).to_owned();
        steps.push(format!(
            "mkdir -p {}; mv {} {}",
            folder.display(),
            from.display(),
            to.display()
        ));
    }
    if new.is_off {
        steps.push(format!("vgpuctl vfs enable {gpu} --at-boot"));
    }
    steps
}

/// The GPU with settings that an address is, or was a function of.
fn gpu_settings_of(context: &Context<'_>, name: &ParentId) -> Option<ParentId> {
    let all = context.store.gpu_settings(&mut Vec::new()).ok()?;
    let mut gpus = all.into_iter().map(|(gpu, _)| gpu);
    gpus.find(|gpu| gpu == name || (bus(gpu) == bus(name) && is_gone(context, gpu)))
}

/// What stands for the old address in an exported file, as a pattern of sed's: where functions are
/// the parents, any function of the old bus.
fn pattern(new: &Successor, old: &ParentId) -> String {
    match (new.has_parents_on_functions, old.as_str().rsplit_once(':')) {
        (true, Some((bus, _))) => format!("{bus}:[0-9a-f.]*"),
        _ => old.to_string(),
    }
}
