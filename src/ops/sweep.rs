//! What commands that were killed left in the folder of locks.

use log::debug;
use uuid::Uuid;

use super::Context;
use crate::error::Result;
use crate::model::ParentId;

/// Takes away the marks of devices that were begun and are not there; `concerns` says of which parents.
/// A mark of a device that is there stays: it says that the device is not complete.
/// What was being written into the folder goes as well, whosever it was.
pub fn sweep_marks(context: &Context<'_>, concerns: impl Fn(&ParentId) -> bool) {
    context.store.sweep_halves();
    for uuid in context.store.unfinished() {
        if let Err(error) = sweep_mark(context, uuid, &concerns) {
            debug!("cannot remove the mark of {uuid}: {error}");
        }
    }
}

fn sweep_mark(
    context: &Context<'_>,
    uuid: Uuid,
    concerns: &impl Fn(&ParentId) -> bool,
) -> Result<()> {
    let home = context.store.begun_under(uuid)?;
    let is_there = || context.kernel.device(uuid).map(|device| device.is_some());
    if !home.as_ref().is_none_or(concerns) || is_there()? {
        return Ok(());
    }
    // Under the lock nobody is at it any more. A mark that names none is not of one who is at work.
    let _held = home.map(|home| context.store.lock(&home)).transpose()?;
    match is_there()? {
        true => Ok(()),
        false => context.store.forget_begun(uuid),
    }
}
