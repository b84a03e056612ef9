//! `export`: a host as a declaration that it fulfils.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use uuid::Uuid;

use super::observe::{World, is_ours_to_touch, observe};
use crate::capacity::Placement;
use crate::declare::{Declaration, GpuChoice, GpuName, GpuSetup, Group, Member, Members, Unlisted};
use crate::error::{Result, Warnings};
use crate::model::{Attr, Definition, Device, ParentId, StartMode, TypeId};
use crate::ops::{Answer, Context};
use crate::store::{FunctionsAtBoot, Location, Sizes};

/// What alike vGPUs have in common.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Alike {
    gpu: ParentId,
    type_id: TypeId,
    is_manual: bool,
    attrs: Vec<String>,
}

/// Writes down what the host has defined: each vGPU by its UUID, on its GPU. Of a UUID that is defined
/// several times, the one that runs, else that boot starts; of the others, of what is active without a
/// definition, of other programs' vGPUs on virtual functions, and of absent parents, there are notes.
///
/// # Errors
/// The host cannot be listed at all. What cannot be read singly is a warning, and left out.
pub fn export(context: &Context<'_>) -> Result<Answer<Declaration>> {
    let world = observe(context, &[])?;
    let mut groups: BTreeMap<Alike, (Vec<Member>, Vec<Attr>)> = BTreeMap::new();
    let mut add = |alike: Alike, uuid, attrs: &[Attr]| {
        let entry = groups.entry(alike).or_default();
        entry.0.push(Member::given(uuid));
        entry.1 = attrs.to_vec();
    };
    let chosen = chosen(&world);
    let is_chosen =
        |definition: &Definition| chosen.get(&definition.uuid) == Some(&Location::of(definition));
    for definition in world.definitions.iter().filter(|one| is_chosen(one)) {
        let gpu = gpu_name(&world, &definition.parent);
        let (uuid, attrs) = (definition.uuid, &definition.attrs);
        let alike = alike(gpu, &definition.type_id, definition.start, attrs);
        add(alike, uuid, attrs);
    }
    let named = groups.into_iter().enumerate();
    let groups = named
        .map(|(at, (alike, (members, attrs)))| {
            Ok(Group {
                name: format!("group-{}", at + 1).parse()?,
                type_name: alike.type_id.to_string(),
                members: Members::Listed(members),
                gpus: GpuChoice::These(vec![GpuName::Text(alike.gpu.to_string())]),
                placement: Placement::Pack,
                start: match alike.is_manual {
                    true => StartMode::Manual,
                    false => StartMode::Auto,
                },
                attrs,
                line: 0,
            })
        })
        .collect::<Result<_>>()?;
    let defined: HashSet<Location> = world.definitions.iter().map(Location::of).collect();
    let devices = world.devices.iter();
    let mut notes: Vec<String> = devices
        .filter_map(|device| remark(device, &defined))
        .collect();
    let left_out = world.definitions.iter().filter(|one| !is_chosen(one));
    notes.extend(left_out.map(|one| double(one, &chosen)));
    let of_file = world.definitions.iter().filter(|one| is_chosen(one));
    let parents: BTreeSet<&ParentId> = of_file.map(|one| &one.parent).collect();
    let absent = parents
        .into_iter()
        .filter(|parent| world.gpu_of(parent).is_none());
    notes.extend(absent.map(|parent| {
        format!(
            "{parent} is not present: plan and apply refuse this file until it is, or until its group \
             names another GPU"
        )
    }));
    let mut warnings = world.warnings;
    let setups = setups_of(context, &mut warnings)?;
    Ok(Answer {
        value: Declaration {
            setups,
            groups,
            unlisted: Unlisted::Keep,
        },
        warnings,
        notes,
    })
}

/// The settings of GPUs that are there.
fn setups_of(context: &Context<'_>, warnings: &mut Warnings) -> Result<Vec<GpuSetup>> {
    let mut setups = Vec::new();
    for (gpu, settings) in context.store.gpu_settings(warnings)? {
        if !matches!(context.kernel.sriov_gpu(&gpu), Ok(Some(_))) {
            continue;
        }
        setups.push(GpuSetup {
            gpus: vec![GpuName::Text(gpu.to_string())],
            functions: (settings.functions != FunctionsAtBoot::Leave).then_some(settings.functions),
            mig: (!settings.mig.is_empty()).then_some(settings.mig),
            sizes: (settings.sizes != Sizes::AsTheyAre).then_some(settings.sizes),
            scheduler: settings.scheduler,
            line: 0,
        });
    }
    Ok(setups)
}

/// Which of the definitions of each UUID the file is to have: a UUID can be active once only.
fn chosen(world: &World) -> HashMap<Uuid, Location> {
    let active: HashSet<Location> = world.devices.iter().map(Location::of_device).collect();
    let mut chosen: HashMap<Uuid, (Location, (bool, bool))> = HashMap::new();
    for definition in &world.definitions {
        let at = Location::of(definition);
        let rank = (active.contains(&at), definition.start == StartMode::Auto);
        let first = chosen
            .entry(definition.uuid)
            .or_insert_with(|| (at.clone(), rank));
        if rank > first.1 {
            *first = (at, rank);
        }
    }
    let chosen = chosen.into_iter();
    chosen.map(|(uuid, (at, _))| (uuid, at)).collect()
}

fn double(left_out: &Definition, chosen: &HashMap<Uuid, Location>) -> String {
    let (uuid, parent, type_id) = (left_out.uuid, &left_out.parent, &left_out.type_id);
    let kept = chosen.get(&uuid).map_or("", |at| at.parent.as_str());
    format!(
        "{uuid} is defined on {kept} and on {parent}, but can be active only once: the definition on \
         {parent} ({type_id}, {}) is not in this file, and applying the file deletes it",
        left_out.start
    )
}

/// Why a device is not in the file, if it is not.
fn remark(device: &Device, defined: &HashSet<Location>) -> Option<String> {
    let (name, type_id, parent) = (device.name(), &device.type_id, &device.parent);
    if !is_ours_to_touch(device) {
        return Some(format!(
            "{name} holds {type_id}, created by another program: not in this file"
        ));
    }
    let is_defined = defined.contains(&Location::of_device(device));
    (!is_defined).then(|| {
        format!(
            "{name}, {type_id} on {parent}, is active without a definition and will be gone after a \
             reboot: not in this file"
        )
    })
}

fn alike(gpu: ParentId, type_id: &TypeId, start: StartMode, attrs: &[Attr]) -> Alike {
    Alike {
        gpu,
        type_id: type_id.clone(),
        is_manual: start == StartMode::Manual,
        attrs: attrs.iter().map(Attr::to_string).collect(),
    }
}

fn gpu_name(world: &World, parent: &ParentId) -> ParentId {
    match world.gpu_of(parent) {
        Some(at) => world.gpus[at].id().clone(),
        None => parent.clone(),
    }
}
