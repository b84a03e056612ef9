//! Cards that are at another address since hardware was changed, and how their definitions follow.

use super::Context;
use super::choose::with_type;
use super::home::switched_off;
use crate::model::{Definition, Parent, ParentId, TypeId};
use crate::store::GpuSettings;

/// What to type where a definition's parent is gone and another one offers what it had; nothing where
/// it is there, or nothing like it is.
pub fn moved_hint(context: &Context<'_>, definition: &Definition) -> Option<String> {
    let old = &definition.parent;
    if !is_gone(context, old) {
        return None;
    }
    let new = successor(context, old, &definition.type_id)?;
    let mut steps = settings_steps(context, old, &new);
    steps.push(format!(
        "vgpuctl export > host.toml; sed -i 's/{}/{}/' host.toml; vgpuctl apply host.toml",
        pattern(&new, old),
        new.gpu
    ));
    Some(format!(
        "where its card is at {} now, move all of its definitions there: {}",
        new.gpu,
        steps.join("; ")
    ))
}

/// The same for settings of a GPU that is gone.
pub fn moved_settings_hint(context: &Context<'_>, old: &ParentId) -> Option<String> {
    let is_free = |gpu: &ParentId| {
        context.store.settings_of(gpu).unwrap_or_default() == GpuSettings::default()
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
            "where the card is at {gpu} now, move its settings there: {}",
            steps.join("; ")
        )
    })
}

/// The GPU that has come in the place of one.
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
    let bus = |id: &ParentId| id.as_str().rsplit_once(':').map(|(bus, _)| bus.to_owned());
    let is_there = || context.host.pci_devices().join(name.as_str()).exists();
    let has_gpu_near = || {
        let gpus = context.kernel.sriov_gpus(&mut Vec::new());
        let mut gpus = gpus.unwrap_or_default().into_iter();
        gpus.any(|gpu| bus(&gpu.gpu) == bus(name))
    };
    name.is_pci_address() && !is_there() && switched_off(context, name).is_none() && !has_gpu_near()
}

/// The first GPU that offers the type, and all other types that are defined under the old address;
/// rather one under whose address nothing is defined yet. Where none offers it, one whose functions
/// are off may.
fn successor(context: &Context<'_>, old: &ParentId, type_id: &TypeId) -> Option<Successor> {
    let all = context.store.all(&mut Vec::new()).unwrap_or_default();
    let has_definitions = |gpu: &ParentId| {
        let mut homes = all.iter().map(|definition| &definition.parent);
        homes.any(|home| context.kernel.gpu_of(home) == *gpu)
    };
    let parents = context.kernel.parents(&mut Vec::new()).ok()?;
    let offering = |id: &TypeId| -> Vec<Parent> {
        let offers = with_type(context, id, &parents).into_iter();
        offers.map(|offer| offer.parent).collect()
    };
    let mut offering_it = offering(type_id);
    let moved_too = all.iter().filter(|definition| definition.parent == *old);
    let others = moved_too.filter(|definition| definition.type_id != *type_id);
    for other in others {
        let of_other = offering(&other.type_id);
        offering_it.retain(|parent| of_other.contains(parent));
    }
    let of_parent = |parent: &Parent| Successor {
        has_parents_on_functions: parent.gpu.is_some(),
        ..Successor::of(parent.gpu().clone())
    };
    let free = |parent: &&Parent| !has_definitions(parent.gpu());
    let best = offering_it.iter().find(free).or(offering_it.first());
    if let Some(parent) = best {
        return Some(of_parent(parent));
    }
    let mut off = context.kernel.gpus_without_functions().into_iter();
    let gpu = off.find(|gpu| !has_definitions(gpu))?;
    Some(Successor {
        has_parents_on_functions: context.kernel.has_mediated_devices(),
        is_off: true,
        ..Successor::of(gpu)
    })
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
    let bus = |id: &ParentId| id.as_str().rsplit_once(':').map(|(bus, _)| bus.to_owned());
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
