//! Taking a device away from the kernel, only while nobody uses it.

use uuid::Uuid;

use super::callouts::around;
use super::holders::{HOW_TO_WAIT, in_use, other_holders};
use crate::error::{Result, if_present};
use crate::model::{Definition, Device, StartMode};
use crate::ops::tenant::refuse_place;
use crate::ops::{Action, Context};
use crate::store::{Location, Lock};
use crate::sysfs::Claim;

/// The device that is active in that place, if there is one. Call it with the lock of its parent.
///
/// # Errors
/// It is not the caller's to stop; what the kernel answered.
pub fn active_at(context: &Context<'_>, at: &Location) -> Result<Option<Device>> {
    refuse_place(context, at)?;
    context.kernel.settle(&at.parent);
    let device = device_at(context, at)?;
    Ok(device.filter(|device| Location::of_device(device) == *at))
}

/// The device of that place. One of somebody else is meant only where nothing of ours is defined
/// there: no definition, whatever its UUID, may reach another's vGPU.
fn device_at(context: &Context<'_>, at: &Location) -> Result<Option<Device>> {
    match context.kernel.device(at.uuid)? {
        Some(device) => Ok(Some(device)),
        None if context.store.path(at).exists() => Ok(None),
        None => context.kernel.foreign_device(at.uuid),
    }
}

/// Removes the device if nobody holds it. Call it with the lock of its parent.
///
/// # Errors
/// [`Kind::InUse`](crate::error::Kind::InUse), naming the holders; what the kernel answered. A device that somebody else
/// removes meanwhile is no error.
pub fn remove_idle(context: &Context<'_>, device: &Device, lock: &Lock) -> Result<()> {
    let framework = context.kernel.owning(device);
    let Some(nodes) = if_present(framework.nodes(device))? else {
        return Ok(());
    };
    // First the claim, then the look: whoever comes after the claim is kept out by it.
    let claim = framework.claim(&nodes)?;
    let holders = other_holders(context, &nodes)?;
    let is_busy = matches!(claim, Claim::Busy) && !holders.claimed_by_caller;
    if is_busy || !holders.found.is_empty() {
        return Err(in_use(device, &holders, &nodes).hint(HOW_TO_WAIT));
    }
    around(
        context,
        &as_described(device),
        Action::Stop,
        || match framework.remove(device) {
            Err(error) if !error.is_absent() => Err(error),
            _ => context.store.finish(lock, device.uuid),
        },
    )
}

/// A device that runs as a definition of it would be, whatever its own one says.
pub fn as_described(device: &Device) -> Definition {
    let (parent, type_id) = (device.parent.clone(), device.type_id.clone());
    Definition {
        framework: device.framework(),
        vf: device.vf().cloned(),
        ..Definition::new(device.uuid, parent, type_id, StartMode::Manual)
    }
}

/// Takes away a device whose maker died before it was complete; any other stays.
///
/// # Errors
/// As [`remove_idle`].
pub fn clear_unfinished(context: &Context<'_>, uuid: Uuid) -> Result<()> {
    if !context.store.is_unfinished(uuid) {
        return Ok(());
    }
    let Some(device) = context.kernel.device(uuid)? else {
        return Ok(());
    };
    let lock = context.store.lock(&device.parent)?;
    // Under the lock nobody is at it any more.
    match context.store.is_unfinished(uuid) {
        true => remove_idle(context, &device, &lock),
        false => Ok(()),
    }
}
