//! `create`: a device now, and its definition for the next boot.

mod begun;
mod instances;
mod one;
mod outlook;

use uuid::Uuid;

use super::capacity::nothing_free;
use super::choose::{Offer, offers};
use super::execute::{Done, clear_unfinished, refuse_long, undo_all, with_failures};
use super::functions::Spoken;
use super::place::{foresee, sites};
use super::tenant::{permitted, refuse_uuid};
use super::{Context, Report};
use crate::capacity::Placement;
use crate::error::{Error, Kind, Result};
use crate::interrupt::{Patience, refuse_if_asked};
use crate::model::{Attr, ParentId, StartMode};
use crate::store::Location;
use begun::{refuse_active, refuse_defined};
use instances::{create_with_instances, why};
use one::create_one;
use outlook::{cautions, dry_run};

/// Whether a device outlives the next reboot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Persistence {
    /// It is gone after a reboot.
    Transient,
    /// It has a definition.
    Defined(StartMode),
}

/// What to create.
#[derive(Debug, Clone)]
pub struct CreateRequest {
    /// The type's id, full name or short name.
    pub type_name: String,
    /// On which parent; else on the one that `placement` chooses.
    pub parent: Option<ParentId>,
    /// How to choose among several parents that have room.
    pub placement: Placement,
    /// Under which UUID; else a random one.
    pub uuid: Option<Uuid>,
    /// How many; more than one only without a UUID. All or none are made.
    pub count: usize,
    /// What is written to each, in order.
    pub attrs: Vec<Attr>,
    /// Whether to keep a definition.
    pub persistence: Persistence,
    /// Whether the GPU instances that are missing for a MIG-backed type are created first.
    pub make_instances: bool,
    /// Show what would be done without changing anything.
    pub dry_run: bool,
}

/// Creates devices: reads the host, chooses where, and makes them one after the other.
///
/// # Errors
/// Nothing was made, or all that was made was taken back (where even that failed, the error says
/// so). [`Kind::NoCapacity`] says what is in the way.
pub fn create(context: &Context<'_>, request: &CreateRequest) -> Result<Report> {
    if let Persistence::Defined(start) = request.persistence {
        refuse_long(context, request.uuid, start, &request.attrs)?;
    }
    match request.make_instances {
        true => create_with_instances(context, request),
        false => create_plainly(context, request).map_err(|error| why(context, request, error)),
    }
}

fn create_plainly(context: &Context<'_>, request: &CreateRequest) -> Result<Report> {
    loop {
        let mut begun = None;
        match attempt(context, request, &mut begun) {
            // What seemed to be begun was being removed, so its parent is no longer the only one.
            Err(error) if error.kind() == Kind::NoCapacity && is_gone(context, begun) => {}
            result => return result,
        }
    }
}

fn is_gone(context: &Context<'_>, begun: Option<Location>) -> bool {
    let read = begun.map(|at| context.store.read(&at));
    matches!(read, Some(Err(error)) if error.is_absent())
}

/// Creates devices; on the parent of the definition that was `begun`, where there is one.
fn attempt(
    context: &Context<'_>,
    request: &CreateRequest,
    begun: &mut Option<Location>,
) -> Result<Report> {
    if let Some(uuid) = request.uuid {
        refuse_uuid(context, uuid)?;
        if !request.dry_run {
            clear_unfinished(context, uuid)?;
        }
    }
    let seen = &context.snapshot();
    let (offers, spoken) = allowed_offers(seen, request, begun)?;
    let all: Vec<&Offer> = offers.iter().collect();
    let sites = sites(seen, &all, &spoken, request.uuid, request.count)?;
    let foreseen = foresee(&sites, request.placement, request.count);
    if foreseen.len() < request.count {
        return Err(nothing_free(seen, &offers, &spoken, request.count));
    }
    if request.dry_run {
        return dry_run(seen, request, &offers, foreseen, &spoken);
    }
    let patience = Patience::begin();
    let (mut changes, mut done) = (Vec::new(), Vec::new());
    for expected in foreseen {
        let uuid = request.uuid.unwrap_or_else(Uuid::new_v4);
        let one = create_one(context, request, &offers, expected, &spoken, uuid);
        // Whoever hears of the signal takes it that nothing was made, also after the last one.
        if let Err(error) = one.and_then(|(change, steps)| {
            changes.push(change);
            done.extend(steps);
            refuse_if_asked("create")
        }) {
            patience.go_on();
            return Err(take_back(context, changes.len(), &done, error));
        }
    }
    let mut report = Report::of(changes);
    let beside = cautions(&context.snapshot(), request, &offers, &report.changes);
    report.cautions.extend(beside);
    Ok(report)
}

/// The offers on which the caller may make what is asked for, the first choice first, and what
/// definitions say of their functions.
fn allowed_offers(
    seen: &Context<'_>,
    request: &CreateRequest,
    begun: &mut Option<Location>,
) -> Result<(Vec<Offer>, Spoken)> {
    let offers = offers(seen, &request.type_name, request.parent.as_ref())?;
    let mut offers = permitted(seen, request, offers)?;
    if let Some(uuid) = request.uuid {
        if request.count != 1 {
            return Err(Error::new(
                Kind::Usage,
                "cannot create several devices with one UUID: leave out --uuid or --count",
            ));
        }
        refuse_active(seen, uuid)?;
        *begun = refuse_defined(seen, request, &offers, uuid)?;
        if let Some(begun) = begun {
            offers.retain(|offer| *offer.parent.home() == begun.parent);
        }
    }
    let spoken = match asks_for_function(request, &offers) {
        true => Spoken::default(),
        false => Spoken::on(seen, offers.iter().map(|offer| &offer.parent)),
    };
    // Of places that are alike the first is taken: what a definition names had better not be it.
    let claim = |offer: &Offer| spoken.claim(&offer.parent.id, request.uuid);
    offers.sort_by_key(claim);
    Ok((offers, spoken))
}

/// Whether the user named the one virtual function that will do, whoever else names it.
fn asks_for_function(request: &CreateRequest, offers: &[Offer]) -> bool {
    let is_it = |offer: &Offer| {
        offer.parent.gpu.is_some() && request.parent.as_ref() == Some(&offer.parent.id)
    };
    offers.len() == 1 && offers.iter().all(is_it)
}

/// All or nothing: undoes what this command did before a device failed, of which so many were made.
fn take_back(context: &Context<'_>, made: usize, done: &[Done], cause: Error) -> Error {
    let is_interrupted = cause.kind() == Kind::Interrupted;
    if is_interrupted && made > 1 {
        log::warn!(
            "{cause}: removing the {made} devices created so far; signal again to exit immediately"
        );
    }
    let failures = undo_all(context, done);
    let cause = match (is_interrupted, made) {
        (_, 0) => return cause,
        (true, 1) => cause.hint("rolled back the device that was created"),
        (true, _) => cause.hint(format!("rolled back all {made} devices that were created")),
        (false, _) => cause.hint(format!("the {made} created before it were rolled back")),
    };
    with_failures(cause, failures)
}
