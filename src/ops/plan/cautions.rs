//! What is to be known of a plan beforehand: vGPUs that change their virtual function, and two that want
//! the same one.

use super::matching::Case;
use super::observe::World;
use super::{Item, Verdict};
use crate::error::{Error, Kind, Warnings};
use crate::model::{Definition, Device, ParentId, StartMode};
use crate::ops::functions::named;

/// What to do for one that is to be on another function than its definition names.
pub fn moved(world: &World, case: &Case<'_>, items: &[Item]) -> Option<Error> {
    let old = case.have.definition?;
    let item = items.iter().find(|item| item.uuid == case.uuid)?;
    let (from, to) = (old.vf.as_ref()?, item.vf.as_ref()?);
    if from == to {
        return None;
    }
    let is_of_another = |device: &Device| device.vf() == Some(from) && device.uuid != case.uuid;
    let gpu = world.gpu_of(&old.parent).map(|at| &world.gpus[at]);
    let is_there =
        gpu.is_some_and(|gpu| gpu.vendor_vfs.contains(from) || gpu.functions.contains(from));
    let why = match (world.devices.iter().any(is_of_another), is_there) {
        (true, _) => "is used by another vGPU",
        (false, true) => "is not the declared one",
        (false, false) => "is gone",
    };
    let message = format!("{} moves from {from}, which {why}, to {to}", case.uuid);
    Some(Error::new(Kind::Failed, message).hint(format!(
        "update the virtual machine that uses it: vgpuctl attach {}",
        case.uuid
    )))
}

/// That some will be on virtual functions on which definitions start at boot that the plan does not change.
pub fn crowds(world: &World, items: &[Item]) -> Warnings {
    let comes = |item: &&Item| matches!(item.verdict, Verdict::Create(_) | Verdict::Change(_));
    let function = |item: &Item| {
        let is_function = |parent: &&ParentId| {
            let gpu = world.gpu_of(parent).map(|at| world.gpus[at].id());
            gpu.is_some_and(|gpu| gpu != *parent)
        };
        let parent = item.parent.as_ref().filter(is_function);
        item.vf.as_ref().or(parent).cloned()
    };
    let stays = |one: &Definition, vf: &ParentId| {
        let mut items = items.iter();
        let item = items.find(|item| item.uuid == one.uuid);
        item.is_none_or(|item| match item.verdict {
            Verdict::Remove(_) => false,
            _ => function(item).as_ref() == Some(vf),
        })
    };
    let mut cautions = Warnings::new();
    for item in items.iter().filter(comes) {
        let Some(vf) = function(item) else { continue };
        let mut others = world.definitions.iter().filter(|one| {
            one.start == StartMode::Auto && one.uuid != item.uuid && named(one) == Some(&vf)
        });
        let other = others.find(|one| stays(one, &vf));
        cautions.extend(other.map(|other| {
            let message = format!(
                "{} will be on the virtual function {vf}, on which {} starts at boot",
                item.uuid, other.uuid
            );
            Error::new(Kind::NoCapacity, message).hint(format!(
                "choose another one in `gpus`, or move that vGPU: vgpuctl modify {} --vf any, or --manual",
                other.uuid
            ))
        }));
    }
    cautions
}
