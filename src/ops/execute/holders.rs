//! Who uses a device, and waiting until nobody does.

use std::collections::HashMap;
use std::thread::sleep;
use std::time::{Duration, Instant};

use uuid::Uuid;

use crate::error::{Error, Kind, Result, if_present};
use crate::model::{Device, Holder, Nodes};
use crate::ops::Context;
use crate::sysfs::{Holders, holders_line};

/// The way out where a command can wait.
pub const HOW_TO_WAIT: &str =
    "shut the VM down or stop the process; to wait for that, add --wait SECS";

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
/// It is not known who holds it.
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
/// It is not known who holds them.
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
            log::debug!("{error}: not checking again who holds {}", device.name());
            Ok(before)
        }
    }
}

/// Who has a device open beside this process.
///
/// # Errors
/// It cannot be told.
pub fn other_holders(context: &Context<'_>, nodes: &Nodes) -> Result<Holders> {
    let mut holders = context.kernel.holders(nodes)?;
    retain_others(&mut holders);
    Ok(holders)
}

fn retain_others(holders: &mut Holders) {
    let own = i32::try_from(std::process::id()).unwrap_or_default();
    holders.found.retain(|holder| holder.pid != own);
}

/// The error for a device that is in use.
pub fn in_use(device: &Device, holders: &Holders, nodes: &Nodes) -> Error {
    let who = match (holders.found.is_empty(), holders.suspects.is_empty()) {
        (false, _) => holders_line(&holders.found),
        (true, false) => format!(
            "a process that has only the device open, possibly {}",
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
