//! Taking a device away from the kernel, only while nobody uses it.

use std::thread::sleep;
use std::time::{Duration, Instant};

use uuid::Uuid;

use super::Context;
use crate::error::{Error, Kind, Result, if_present};
use crate::model::{Device, Holder, Nodes};
use crate::store::Lock;
use crate::sysfs::{Claim, holders_line};

/// Between two looks at whether a holder has let go.
const PAUSE: Duration = Duration::from_millis(100);

/// Removes the device; while somebody holds it, waits for up to `patience`.
///
/// # Errors
/// [`Kind::InUse`], naming the holders; what the kernel answered. A device that somebody else
/// removes meanwhile is no error.
pub fn take_away(context: &Context<'_>, device: &Device, patience: Duration) -> Result<()> {
    let begin = Instant::now();
    loop {
        match try_once(context, device) {
            Err(error) if error.kind() == Kind::InUse && begin.elapsed() < patience => {
                log::debug!("waiting for the holder: {error}");
                sleep(PAUSE.min(patience.saturating_sub(begin.elapsed())));
            }
            Err(error) if error.kind() == Kind::InUse && !patience.is_zero() => {
                return Err(error.hint(format!("waited for {} s", patience.as_secs())));
            }
            result => return result,
        }
    }
}

fn try_once(context: &Context<'_>, device: &Device) -> Result<()> {
    let lock = context.store.lock(&device.parent)?;
    take_away_locked(context, device, &lock)
}

/// Removes the device if nobody holds it. Call it with the lock of the device's parent.
///
/// # Errors
/// As [`take_away`].
pub fn take_away_locked(context: &Context<'_>, device: &Device, lock: &Lock) -> Result<()> {
    let framework = context.kernel.owning(device);
    let Some(nodes) = if_present(framework.nodes(device))? else {
        return Ok(());
    };
    // First the claim, then the look: whoever comes after the claim is kept out by it.
    let claim = context.kernel.claim(&nodes)?;
    let holders = other_holders(context, &nodes)?;
    if matches!(claim, Claim::Busy) || !holders.is_empty() {
        return Err(in_use(device, &holders, &nodes));
    }
    match framework.remove(device) {
        Err(error) if !error.is_absent() => Err(error),
        _ => context.store.finish(lock, device.uuid),
    }
}

/// Takes away a device whose maker died before it was complete; any other stays.
///
/// # Errors
/// As [`take_away`].
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
        true => take_away_locked(context, &device, &lock),
        false => Ok(()),
    }
}

/// Fails where somebody holds the device, as removing it would; changes nothing.
///
/// # Errors
/// [`Kind::InUse`], naming the holders.
pub fn refuse_held(context: &Context<'_>, device: &Device) -> Result<()> {
    let framework = context.kernel.owning(device);
    let Some(nodes) = if_present(framework.nodes(device))? else {
        return Ok(());
    };
    let holders = other_holders(context, &nodes)?;
    match holders.is_empty() {
        true => Ok(()),
        false => Err(in_use(device, &holders, &nodes)),
    }
}

fn other_holders(context: &Context<'_>, nodes: &Nodes) -> Result<Vec<Holder>> {
    let mut holders = context.kernel.holders(nodes)?.found;
    let own = i32::try_from(std::process::id()).unwrap_or_default();
    holders.retain(|holder| holder.pid != own);
    Ok(holders)
}

fn in_use(device: &Device, holders: &[Holder], nodes: &Nodes) -> Error {
    let who = match holders.is_empty() {
        true => "a process that cannot be seen from here".to_owned(),
        false => holders_line(holders),
    };
    let error = Error::new(Kind::InUse, format!("{} is in use by {who}", device.uuid));
    let error = match nodes.group.as_ref().or(nodes.device.as_ref()) {
        Some(node) => error.at(node),
        None => error,
    };
    error.hint("shut the VM down, or end the process; to wait for that, add --wait SECS")
}
