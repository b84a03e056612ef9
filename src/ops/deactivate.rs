//! Taking a device away from the kernel, only while nobody uses it.

use std::collections::HashMap;
use std::thread::sleep;
use std::time::{Duration, Instant};

use uuid::Uuid;

use super::callouts::around;
use super::tenant::refuse_place;
use super::wishes::forget;
use super::{Action, Context};
use crate::error::{Error, Kind, Result, if_present};
use crate::model::{Definition, Device, Holder, Nodes, StartMode};
use crate::store::{Location, Lock};
use crate::sysfs::{Claim, Holders, holders_line};

/// The way out where a command can wait.
const HOW_TO_WAIT: &str = "shut the VM down, or end the process; to wait for that, add --wait SECS";

/// Between two looks at whether a holder has let go.
const PAUSE: Duration = Duration::from_millis(100);

/// Does the work; while somebody holds the device, does it again, for up to `patience`.
///
/// # Errors
/// As `work`; [`Kind::InUse`] once the time is up.
pub fn patiently(patience: Duration, mut work: impl FnMut() -> Result<()>) -> Result<()> {
    let begin = Instant::now();
    loop {
        match work() {
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

/// Removes the device of that place, if it is active there. Looks under the parent's lock,
/// since another command may have made or removed it until then.
///
/// # Errors
/// [`Kind::InUse`], naming the holders; what the kernel answered. A device that somebody else
/// removes meanwhile is no error.
pub fn take_away(context: &Context<'_>, at: &Location) -> Result<()> {
    let lock = context.store.lock(&at.parent)?;
    take_away_locked(context, at, &lock)
}

/// Removes device and definition under one lock, so that neither can come back in between.
///
/// # Errors
/// As [`take_away`]; the definition is then still there. What the disk answered.
pub fn take_away_for_good(context: &Context<'_>, at: &Location) -> Result<()> {
    let lock = context.store.lock(&at.parent)?;
    take_away_locked(context, at, &lock)?;
    forget(context, &lock, at)
}

fn take_away_locked(context: &Context<'_>, at: &Location, lock: &Lock) -> Result<()> {
    refuse_place(context, at)?;
    context.kernel.settle(&at.parent);
    let Some(device) = device_at(context, at)? else {
        return Ok(());
    };
    match Location::of_device(&device) == *at {
        true => remove_idle(context, &device, lock),
        false => Ok(()),
    }
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
/// As [`take_away`].
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
        true => remove_idle(context, &device, &lock),
        false => Ok(()),
    }
}

/// Fails where somebody holds the device, as removing it would; changes nothing. Call it without the
/// lock of its parent.
///
/// # Errors
/// [`Kind::InUse`], naming the holders.
pub fn foresee_held(context: &Context<'_>, device: &Device) -> Result<()> {
    let mut held = held_among(context, std::iter::once(device))?;
    held.remove(&device.uuid).map_or(Ok(()), Err)
}

/// As [`foresee_held`], with the lock.
///
/// # Errors
/// As there.
pub fn refuse_held(context: &Context<'_>, device: &Device) -> Result<()> {
    match held(context, device)? {
        None => Ok(()),
        Some(error) => Err(error.hint(HOW_TO_WAIT)),
    }
}

/// The error for a device that somebody holds, without a way out; `None` where nobody does.
///
/// # Errors
/// It cannot be told who holds it.
pub fn held(context: &Context<'_>, device: &Device) -> Result<Option<Error>> {
    let framework = context.kernel.owning(device);
    let Some(nodes) = if_present(framework.nodes(device))? else {
        return Ok(None);
    };
    let holders = other_holders(context, &nodes)?;
    Ok((!holders.found.is_empty()).then(|| in_use(device, &holders, &nodes)))
}

/// The errors for those of these devices that somebody holds, by UUID. Call it without a lock of
/// theirs.
///
/// # Errors
/// It cannot be told who holds them.
pub fn held_among<'d>(
    context: &Context<'_>,
    devices: impl Iterator<Item = &'d Device>,
) -> Result<HashMap<Uuid, Error>> {
    let mut looked_at = Vec::new();
    for device in devices {
        let nodes = if_present(context.kernel.owning(device).nodes(device))?;
        looked_at.extend(nodes.map(|nodes| (device, nodes)));
    }
    let nodes: Vec<&Nodes> = looked_at.iter().map(|(_, nodes)| nodes).collect();
    let holders = context.kernel.holders_of_each(&nodes)?;
    let mut held = HashMap::new();
    for ((device, nodes), mut holders) in looked_at.iter().zip(holders) {
        retain_others(&mut holders);
        if holders.found.iter().any(is_named_as_we_are) {
            holders = once_settled(context, device, nodes, holders)?;
        }
        if !holders.found.is_empty() {
            let error = in_use(device, &holders, nodes).hint(HOW_TO_WAIT);
            held.insert(device.uuid, error);
        }
    }
    Ok(held)
}

/// Whether a process has a name that this program is run under. It proves nothing.
fn is_named_as_we_are(holder: &Holder) -> bool {
    ["vgpuctl", "mdevctl", "lsmdev"].contains(&holder.command.as_str())
}

/// Another process of this program that removes the device opens its group, for a moment and under
/// the lock. Who still has it open once that lock is ours is no such process.
fn once_settled(
    context: &Context<'_>,
    device: &Device,
    nodes: &Nodes,
    before: Holders,
) -> Result<Holders> {
    match context.store.lock(&device.parent) {
        Ok(_lock) => other_holders(context, nodes),
        Err(error) => {
            log::debug!(
                "{error}: who holds {} is not looked at again",
                device.name()
            );
            Ok(before)
        }
    }
}

fn other_holders(context: &Context<'_>, nodes: &Nodes) -> Result<Holders> {
    let mut holders = context.kernel.holders(nodes)?;
    retain_others(&mut holders);
    Ok(holders)
}

fn retain_others(holders: &mut Holders) {
    let own = i32::try_from(std::process::id()).unwrap_or_default();
    holders.found.retain(|holder| holder.pid != own);
}

fn in_use(device: &Device, holders: &Holders, nodes: &Nodes) -> Error {
    let who = match (holders.found.is_empty(), holders.suspects.is_empty()) {
        (false, _) => holders_line(&holders.found),
        (true, false) => format!(
            "a process that keeps only the device open, maybe {}",
            holders_line(&holders.suspects)
        ),
        (true, true) => "a process that cannot be seen from here".to_owned(),
    };
    let error = Error::new(Kind::InUse, format!("{} is in use by {who}", device.name()));
    match nodes.group.as_ref().or(nodes.device.as_ref()) {
        Some(node) => error.at(node),
        None => error,
    }
}
