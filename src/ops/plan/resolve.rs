//! A declaration in a host's terms: which GPUs, which type, which UUIDs.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use uuid::Uuid;

use super::label;
use super::observe::World;
use crate::declare::{
    Amount, Declaration, GpuChoice, GpuName, Group, MachineId, MemberKey, Members,
};
use crate::dir::read_file;
use crate::error::{Error, Kind, Result};
use crate::host::Host;
use crate::model::{Device, ParentId, TypeId, VgpuType};
use crate::text::quoted;

/// A group on this host.
pub struct Wanted<'d> {
    /// What is declared.
    pub group: &'d Group,
    /// Its type.
    pub type_id: TypeId,
    /// The type's name.
    pub type_name: Option<Arc<str>>,
    /// The GPUs that it may be on and that have the type, in order.
    pub gpus: Vec<usize>,
    /// Those of their functions that they may be on, of GPUs that are named by functions.
    pub functions: Functions,
    /// Its members, in order.
    pub members: Vec<Slot>,
}

/// The functions of a GPU that a group's members may be on; all where the GPU is not among these.
pub type Functions = BTreeMap<usize, Vec<ParentId>>;

/// A member's place in its group.
pub struct Slot {
    /// What it is called.
    pub key: MemberKey,
    /// The UUID that it has unless another vGPU is taken in for it.
    pub uuid: Uuid,
    /// The one GPU that it may be on.
    pub pin: Option<usize>,
    /// How much it is wanted.
    pub need: Need,
    /// Whether a vGPU of another UUID will do.
    pub takes_others: bool,
}

/// How much a member is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// It has to be.
    Must,
    /// Where there is room.
    IfRoom,
}

/// Reads a declaration as this host understands it.
///
/// # Errors
/// A GPU or type that is not there; a UUID twice; no machine id where one is needed. Each with the
/// group's line.
pub fn resolve<'d>(
    world: &World,
    declaration: &'d Declaration,
    host: &mut Identity<'_>,
) -> Result<Vec<Wanted<'d>>> {
    let groups = declaration.groups.iter();
    let wanted: Vec<Wanted> = groups
        .map(|group| resolve_group(world, host, group))
        .collect::<Result<_>>()?;
    refuse_doubles(&wanted)?;
    Ok(wanted)
}

/// The host's identity, read once, and only where a UUID is derived from it.
pub enum Identity<'h> {
    /// Not read yet.
    Of(&'h Host),
    /// Read.
    Known(MachineId),
}

impl Identity<'_> {
    fn get(&mut self) -> Result<MachineId> {
        let known = match self {
            Identity::Of(host) => machine_id(host)?,
            Identity::Known(known) => return Ok(*known),
        };
        *self = Identity::Known(known);
        Ok(known)
    }
}

fn machine_id(host: &Host) -> Result<MachineId> {
    let path = host.machine_id();
    let what = "UUIDs of members without a uuid are derived from the host's machine ID";
    let hint = "create one with systemd-machine-id-setup, or set a uuid for each member";
    let bytes = read_file(&path).map_err(|error| {
        let message = format!("{what}, which cannot be read");
        error.retold(message).with_kind(Kind::Failed).hint(hint)
    })?;
    let text = String::from_utf8_lossy(&bytes);
    if text.trim() == "uninitialized" {
        let message = format!("{what}, which is not set yet");
        return Err(Error::new(Kind::Failed, message).at(path).hint(hint));
    }
    text.parse().map_err(|error: Error| error.at(path))
}

fn resolve_group<'d>(
    world: &World,
    host: &mut Identity<'_>,
    group: &'d Group,
) -> Result<Wanted<'d>> {
    let chosen = gpus_of(world, &group.gpus).map_err(|error| in_group(group, error));
    let (chosen, functions) = chosen?;
    let vgpu_type = type_of(world, group, &chosen).map_err(|error| in_group(group, error))?;
    let (type_id, type_name) = (vgpu_type.id.clone(), vgpu_type.name.clone());
    let mut gpus = chosen;
    gpus.retain(|at| world.gpus[*at].type_at(&type_id).is_some());
    let members = members(world, host, group, &gpus, &type_id)?;
    Ok(Wanted {
        group,
        type_id,
        type_name,
        gpus,
        functions,
        members,
    })
}

/// The same failure, with the group that it is about.
pub fn in_group(group: &Group, error: Error) -> Error {
    let message = format!(
        "group {} (line {}): {}",
        group.name,
        group.line,
        error.message()
    );
    error.retold(message)
}

/// The GPUs that a name means, in order.
pub fn gpus_named(world: &World, name: &GpuName) -> Vec<usize> {
    let all = world.gpus.iter().enumerate();
    all.filter(|(at, gpu)| name.means(&gpu.facts, *at))
        .map(|(at, _)| at)
        .collect()
}

fn gpus_of(world: &World, choice: &GpuChoice) -> Result<(Vec<usize>, Functions)> {
    let names = match choice {
        GpuChoice::Any => return Ok(((0..world.gpus.len()).collect(), Functions::new())),
        GpuChoice::These(names) => names,
    };
    let mut whole = Vec::new();
    let mut functions = Functions::new();
    for name in names {
        let named = gpus_named(world, name);
        match function_named(world, name) {
            Some((gpu, function)) if named.is_empty() => {
                functions.entry(gpu).or_default().push(function);
            }
            _ if named.is_empty() => return Err(no_gpu(world, name)),
            _ => whole.extend(named),
        }
    }
    functions.retain(|gpu, _| !whole.contains(gpu));
    let mut chosen = whole;
    chosen.extend(functions.keys());
    chosen.sort_unstable();
    chosen.dedup();
    Ok((chosen, functions))
}

/// The virtual function that a name means, with the place of its GPU.
fn function_named(world: &World, name: &GpuName) -> Option<(usize, ParentId)> {
    let GpuName::Text(text) = name else {
        return None;
    };
    let mut gpus = world.gpus.iter().enumerate();
    gpus.find_map(|(at, gpu)| Some((at, gpu.function(text)?.clone())))
}

fn no_gpu(world: &World, name: &GpuName) -> Error {
    let message = match name {
        GpuName::Text(text) => format!("no GPU {}", quoted(text)),
        GpuName::Index(index) => format!("no GPU with index {index}"),
    };
    let known: Vec<String> = world
        .gpus
        .iter()
        .enumerate()
        .map(|(at, gpu)| match gpu.facts.models.first() {
            Some(model) => format!("{at}: {} ({model})", gpu.id()),
            None => format!("{at}: {}", gpu.id()),
        })
        .collect();
    let error = Error::new(Kind::NotFound, message);
    match known.is_empty() {
        true => error.hint("this host has no GPU that supports vGPUs; see: vgpuctl doctor"),
        false => error.hint(format!("GPUs here: {}", known.join(", "))),
    }
}

fn type_of<'w>(world: &'w World, group: &Group, gpus: &[usize]) -> Result<&'w VgpuType> {
    let text = group.type_name.as_str();
    let all = gpus.iter().flat_map(|at| &world.gpus[*at].types);
    let mut found: Vec<&VgpuType> = Vec::new();
    for vgpu_type in all.filter(|vgpu_type| vgpu_type.answers_to(text)) {
        match found.iter().position(|known| known.id == vgpu_type.id) {
            // Of the same type, the one whose name is known says more.
            Some(at) if found[at].name.is_none() => found[at] = vgpu_type,
            Some(_) => {}
            None => found.push(vgpu_type),
        }
    }
    if let Some(exact) = found.iter().find(|known| known.id.as_str() == text) {
        return Ok(exact);
    }
    match found.as_slice() {
        [only] => Ok(only),
        [] => Err(Error::new(
            Kind::NotFound,
            format!("none of its GPUs has a type {}", quoted(text)),
        )
        .hint("see all types: vgpuctl types")),
        several => {
            let ids: Vec<&str> = several.iter().map(|one| one.id.as_str()).collect();
            Err(Error::new(
                Kind::Usage,
                format!("{} matches several types", quoted(text)),
            )
            .hint(format!("choose one by its id: {}", ids.join(", "))))
        }
    }
}

/// More than this many of a type can never be on a GPU.
fn most_on(world: &World, gpu: usize, id: &TypeId) -> u32 {
    let gpu = &world.gpus[gpu];
    let found = gpu.types.iter().find(|vgpu_type| vgpu_type.id == *id);
    let details = found.and_then(|vgpu_type| vgpu_type.details());
    let known = details.map(|details| details.max_instances).or(gpu.slots);
    known.unwrap_or_else(|| {
        let here = |device: &&Device| {
            world
                .gpu_of(&device.parent)
                .map(|at| &world.gpus[at].facts.id)
                == Some(&gpu.facts.id)
        };
        let active = world.devices.iter().filter(here).count();
        let free = found
            .and_then(|vgpu_type| vgpu_type.available)
            .unwrap_or_default();
        free.saturating_add(u32::try_from(active).unwrap_or(u32::MAX))
    })
}

fn members(
    world: &World,
    host: &mut Identity<'_>,
    group: &Group,
    gpus: &[usize],
    type_id: &TypeId,
) -> Result<Vec<Slot>> {
    let slot = |key: MemberKey, uuid, pin, need| Slot {
        key,
        uuid,
        pin,
        need,
        takes_others: true,
    };
    let mut slots = Vec::new();
    match &group.members {
        Members::Count(count) => {
            for index in 0..*count {
                let key = MemberKey::index(index);
                let uuid = host.get()?.uuid_of(&group.name, &key);
                slots.push(slot(key, uuid, None, Need::Must));
            }
        }
        Members::PerGpu(amount) => {
            let (count, need) = match amount {
                Amount::Exactly(count) => (*count, Need::Must),
                Amount::UpTo(most) => (*most, Need::IfRoom),
            };
            for at in gpus {
                let count = match need {
                    Need::Must => count,
                    Need::IfRoom => count.min(most_on(world, *at, type_id)),
                };
                for index in 0..count {
                    let key = MemberKey::on_gpu(world.gpus[*at].id(), index);
                    let uuid = host.get()?.uuid_of(&group.name, &key);
                    slots.push(slot(key, uuid, Some(*at), need));
                }
            }
        }
        Members::Listed(members) => {
            for member in members {
                let uuid = match member.uuid {
                    Some(uuid) => uuid,
                    None => member.uuid_on(&host.get()?, &group.name),
                };
                slots.push(Slot {
                    takes_others: false,
                    ..slot(member.key.clone(), uuid, None, Need::Must)
                });
            }
        }
    }
    Ok(slots)
}

fn refuse_doubles(wanted: &[Wanted<'_>]) -> Result<()> {
    let mut seen: HashMap<Uuid, String> = HashMap::new();
    for one in wanted {
        for slot in &one.members {
            let here = label(&one.group.name, &slot.key);
            if let Some(other) = seen.insert(slot.uuid, here.clone()) {
                let message = format!("{other} and {here} have the same UUID, {}", slot.uuid);
                return Err(Error::new(Kind::Usage, message)
                    .hint(format!("see line {} of the file", one.group.line)));
            }
        }
    }
    Ok(())
}
