//! What already exists under the UUID of a device to be created: another device, or what an earlier
//! attempt left.

use uuid::Uuid;

use super::one::blueprint;
use super::{CreateRequest, Persistence};
use crate::error::{Error, Kind, Result, if_present};
use crate::model::Definition;
use crate::ops::Context;
use crate::ops::choose::Offer;
use crate::ops::tenant::is_same_owner;
use crate::store::Location;

/// Refuses a UUID that an active device has.
///
/// # Errors
/// It is active.
pub fn refuse_active(context: &Context<'_>, uuid: Uuid) -> Result<()> {
    match context.kernel.device(uuid)? {
        None => Ok(()),
        Some(device) => Err(Error::new(
            Kind::Failed,
            format!(
                "{uuid} is already active as {} on {}",
                device.type_id, device.parent
            ),
        )
        .hint(format!("see: vgpuctl show {uuid}"))),
    }
}

/// Refuses a UUID that is defined as something else. The same definition is what a `create` leaves
/// that was interrupted before it made the device: the same command goes on there.
pub fn refuse_defined(
    context: &Context<'_>,
    request: &CreateRequest,
    offers: &[Offer],
    uuid: Uuid,
) -> Result<Option<Location>> {
    let mut unrelated = Vec::new();
    let mut all = context.store.index(&mut unrelated)?;
    all.retain(|at| at.uuid == uuid);
    for at in &all {
        let same = offers
            .iter()
            .find(|offer| offer.parent.home() == &at.parent)
            .filter(|_| request.persistence != Persistence::Transient)
            .map(|offer| blueprint(context, request, offer, &offer.parent, uuid))
            .is_some_and(|wanted| {
                context
                    .store
                    .read(at)
                    .is_ok_and(|found| says(&found, &wanted))
            });
        if !same {
            return Err(Error::new(
                Kind::Failed,
                format!("{uuid} is already defined on {}", at.parent),
            )
            .at(context.store.path(at))
            .hints(what_to_do_instead(context, at)));
        }
    }
    Ok(all.pop())
}

fn what_to_do_instead(context: &Context<'_>, at: &Location) -> Vec<String> {
    let (start, undefine) = (
        format!("start the defined device: vgpuctl start {}", at.uuid),
        format!(
            "or delete the definition first: vgpuctl undefine {}",
            at.uuid
        ),
    );
    match context.store.read(at) {
        Ok(_) => vec![start, undefine],
        Err(_) => vec![undefine],
    }
}

/// Whether a definition says what is wanted. Where any function will do, it may name one already.
fn says(found: &Definition, wanted: &Definition) -> bool {
    found.type_id == wanted.type_id
        && (wanted.vf.is_none() || found.vf == wanted.vf)
        && found.start == wanted.start
        && found.attrs == wanted.attrs
        && is_same_owner(found, wanted)
}

/// Under the lock: this very definition, where it is there. Somebody else may have defined or made
/// this UUID since the first look.
pub fn begun_before(context: &Context<'_>, wanted: &Definition) -> Result<Option<Definition>> {
    let at = Location::of(wanted);
    let there = if_present(context.store.read(&at))?;
    let active = context.kernel.device(wanted.uuid)?;
    match (there, active) {
        (None, None) => Ok(None),
        (Some(found), None) if says(&found, wanted) => Ok(Some(found)),
        _ => Err(Error::new(
            Kind::Failed,
            format!("another process has just created {}", wanted.uuid),
        )
        .at(context.store.path(&at))),
    }
}
