//! `export`: a host as a declaration that it fulfils.

use std::collections::{BTreeMap, HashSet};

use super::observe::{World, is_ours_to_touch, observe};
use crate::declare::{Declaration, GpuChoice, GpuName, Group, Member, Members, Unlisted};
use crate::error::Result;
use crate::model::{Attr, Device, ParentId, StartMode, TypeId};
use crate::nvidia::Placement;
use crate::ops::{Answer, Context};
use crate::store::Location;

/// What alike vGPUs have in common.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Alike {
    gpu: ParentId,
    type_id: TypeId,
    is_manual: bool,
    attrs: Vec<String>,
}

/// Writes down what the host has defined: each vGPU by its UUID, on its GPU. Of what is active
/// without a definition, and of other programs' vGPUs on virtual functions, there are notes.
///
/// # Errors
/// The host cannot be listed at all. What cannot be read singly is a warning, and left out.
pub fn export(context: &Context<'_>) -> Result<Answer<Declaration>> {
    let world = observe(context)?;
    let mut groups: BTreeMap<Alike, (Vec<Member>, Vec<Attr>)> = BTreeMap::new();
    let mut add = |alike: Alike, uuid, attrs: &[Attr]| {
        let entry = groups.entry(alike).or_default();
        entry.0.push(Member::given(uuid));
        entry.1 = attrs.to_vec();
    };
    for definition in &world.definitions {
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
    let notes = devices
        .filter_map(|device| remark(device, &defined))
        .collect();
    Ok(Answer {
        value: Declaration {
            groups,
            unlisted: Unlisted::Keep,
        },
        warnings: world.warnings,
        notes,
    })
}

/// Why a device is not in the file, if it is not.
fn remark(device: &Device, defined: &HashSet<Location>) -> Option<String> {
    let (name, type_id, parent) = (device.name(), &device.type_id, &device.parent);
    if !is_ours_to_touch(device) {
        return Some(format!(
            "{name} holds {type_id}, made by another program: not in this file"
        ));
    }
    let is_defined = defined.contains(&Location::of_device(device));
    (!is_defined).then(|| {
        format!(
            "{name}, {type_id} on {parent}, is active without a definition, so that it is gone \
             after a reboot: not in this file"
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
