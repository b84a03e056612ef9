//! `create`: a device now, and its definition for the next boot.

use std::collections::HashSet;

use uuid::Uuid;

use super::activate::make;
use super::begun::{begun_before, refuse_active, refuse_defined};
use super::capacity::nothing_free;
use super::cautions::{Ahead, boot_cautions, memory_cautions};
use super::choose::{Offer, offers};
use super::deactivate::{clear_unfinished, take_away_for_good};
use super::functions::{Spoken, crowd_cautions, free_function, function_of, needs_function};
use super::place::{Site, foresee, sites};
use super::tenant::{note_owner, permitted, refuse_uuid};
use super::wishes::{forget, keep, refuse_long};
use super::{Action, Change, Context, Effect, Report};
use crate::capacity::Placement;
use crate::error::{Error, Kind, Result, Warnings};
use crate::interrupt::{Patience, refuse_if_asked};
use crate::model::{Attr, Definition, FrameworkKind, Parent, ParentId, StartMode};
use crate::store::{Location, Lock};

/// Whether a device outlives the next reboot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Persistence {
    /// It is gone after a reboot.
    Transient,
    /// It has a definition.
    Defined(StartMode),
}

/// How often the choice of a parent is made anew because others were faster, before the parent that
/// was chosen last is taken as it is. Each time means that somebody else made or removed a device.
const CHOICES: usize = 100;

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
    /// Show what would be done without changing anything.
    pub dry_run: bool,
}

/// Creates devices.
///
/// # Errors
/// Nothing was made, or all that was made was taken back (where even that failed, the error says
/// so). [`Kind::NoCapacity`] says what is in the way.
pub fn create(context: &Context<'_>, request: &CreateRequest) -> Result<Report> {
    if let Persistence::Defined(start) = request.persistence {
        refuse_long(context, request.uuid, start, &request.attrs)?;
    }
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
    }
    if let (Some(uuid), false) = (request.uuid, request.dry_run) {
        clear_unfinished(context, uuid)?;
    }
    let seen = &context.snapshot();
    let offers = offers(seen, &request.type_name, request.parent.as_ref())?;
    let mut offers = permitted(seen, request, offers)?;
    if let Some(uuid) = request.uuid {
        if request.count != 1 {
            return Err(Error::new(
                Kind::Usage,
                "one UUID cannot serve several devices: leave out --uuid or --count",
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
    let all: Vec<&Offer> = offers.iter().collect();
    let sites = sites(seen, &all, &spoken, request.uuid, request.count)?;
    let foreseen = foresee(&sites, request.placement, request.count);
    if foreseen.len() < request.count {
        return Err(nothing_free(seen, &offers, &spoken, request.count));
    }
    if request.dry_run {
        return plan(seen, request, &offers, foreseen, &spoken);
    }
    let patience = Patience::begin();
    let mut made: Vec<Made> = Vec::new();
    for expected in foreseen {
        let uuid = request.uuid.unwrap_or_else(Uuid::new_v4);
        let one = create_one(context, request, &offers, expected, &spoken, uuid);
        // Whoever hears of the signal takes it that nothing was made, also after the last one.
        if let Err(error) = one.and_then(|one| {
            made.push(one);
            refuse_if_asked("create")
        }) {
            patience.go_on();
            return Err(take_back(context, &made, error));
        }
    }
    let mut report = Report::of(made.into_iter().map(|one| one.change).collect());
    report.cautions = cautions(&context.snapshot(), request, &offers, &report.changes);
    Ok(report)
}

/// Whether the user named the one virtual function that will do, whoever else names it.
fn asks_for_function(request: &CreateRequest, offers: &[Offer]) -> bool {
    let is_it = |offer: &Offer| {
        offer.parent.gpu.is_some() && request.parent.as_ref() == Some(&offer.parent.id)
    };
    offers.len() == 1 && offers.iter().all(is_it)
}

/// What is to be said of each parent that devices were made on, or would be.
fn cautions(
    context: &Context<'_>,
    request: &CreateRequest,
    offers: &[Offer],
    changes: &[Change],
) -> Warnings {
    let mut all = Vec::new();
    for offer in offers {
        let (parent, vgpu_type) = (&offer.parent, &offer.vgpu_type);
        let here = changes
            .iter()
            .filter(|change| change.parent.as_ref() == Some(&parent.id));
        let planned: Vec<Ahead> = here
            .clone()
            .filter(|change| matches!(change.effect, Effect::Planned(_)))
            .map(|change| {
                let place = change.vf.as_ref().unwrap_or(&parent.id);
                Ahead::new(change.uuid, vgpu_type.id.clone()).on(Some(place))
            })
            .collect();
        if here.count() == 0 {
            continue;
        }
        all.extend(memory_cautions(context, parent, &planned));
        if request.persistence == Persistence::Defined(StartMode::Auto) {
            all.extend(boot_cautions(context, &parent.id, &planned));
            let start = StartMode::Auto;
            for change in changes
                .iter()
                .filter(|c| c.parent.as_ref() == Some(&parent.id))
            {
                let uuid = change.uuid.unwrap_or_default();
                let mut made = Definition::on(parent, uuid, vgpu_type.id.clone(), start);
                made.vf = change.vf.clone();
                all.extend(crowd_cautions(context, &made));
            }
        }
    }
    all
}

/// A device that this command made.
struct Made {
    change: Change,
    at: Location,
}

/// What is to be made; a transient device has no definition on disk, but is described like one.
pub fn blueprint(
    context: &Context<'_>,
    request: &CreateRequest,
    offer: &Offer,
    on: &Parent,
    uuid: Uuid,
) -> Definition {
    let start = match request.persistence {
        Persistence::Defined(start) => start,
        Persistence::Transient => StartMode::Manual,
    };
    let mut definition = Definition::on(on, uuid, offer.vgpu_type.id.clone(), start);
    definition.attrs.clone_from(&request.attrs);
    note_owner(context, &mut definition);
    definition
}

/// Makes one device on the offer that is expected to be the one to choose, or on another where it is not
/// any more when looked at under its lock. Whoever else makes devices only makes the others fuller
/// meanwhile, so that the choice is right however many do so at once.
fn create_one(
    context: &Context<'_>,
    request: &CreateRequest,
    offers: &[Offer],
    expected: &Offer,
    spoken: &Spoken,
    uuid: Uuid,
) -> Result<Made> {
    let mut left: Vec<&Offer> = offers.iter().collect();
    let mut choices = CHOICES;
    let mut refusal = None;
    let mut chosen = Some(expected);
    while let Some(offer) = chosen {
        let lock = context.store.lock(offer.parent.home())?;
        let sites = sites_now(context, &left, spoken, uuid)?;
        let best = foresee(&sites, request.placement, 1).pop();
        let is_best = best.is_some_and(|best| std::ptr::eq(best, offer));
        let has_room = sites.iter().any(|site| site.has_room_on(offer));
        if !has_room || !(is_best || choices == 0) {
            choices = choices.saturating_sub(1);
            chosen = best;
            continue;
        }
        match create_here(context, request, offer, uuid, &lock) {
            Ok((at, vf)) => {
                let effect = Effect::Done(Action::Create);
                let change = change(context, offer, vf, Some(uuid), effect);
                return Ok(Made { change, at });
            }
            Err(error) if error.kind() == Kind::NoCapacity => {
                refusal = Some(error);
                left.retain(|other| !std::ptr::eq(*other, offer));
                let sites = sites_now(context, &left, spoken, uuid)?;
                chosen = foresee(&sites, request.placement, 1).pop();
            }
            Err(error) => return Err(error),
        }
    }
    let nothing = nothing_free(&context.snapshot(), offers, spoken, 1);
    Err(match refusal {
        // The kernel's own answer is worth more than our guess, and both have hints.
        Some(error) => error.hints_of(&nothing),
        None => nothing,
    })
}

/// What has room at this moment.
fn sites_now<'o>(
    context: &Context<'_>,
    offers: &[&'o Offer],
    spoken: &Spoken,
    uuid: Uuid,
) -> Result<Vec<Site<'o>>> {
    sites(&context.snapshot(), offers, spoken, Some(uuid), 1)
}

/// Intent first: the definition, then the device; the definition is taken back if that fails. Where it
/// is, and the virtual function that was chosen for it.
fn create_here(
    context: &Context<'_>,
    request: &CreateRequest,
    offer: &Offer,
    uuid: Uuid,
    lock: &Lock,
) -> Result<(Location, Option<ParentId>)> {
    let asked = blueprint(context, request, offer, &offer.parent, uuid);
    let at = Location::of(&asked);
    let mut begun = match request.persistence {
        Persistence::Transient => None,
        Persistence::Defined(_) => begun_before(context, &asked)?,
    };
    let is_new = begun.is_none();
    let mut taken = HashSet::new();
    let failed = loop {
        let on = match place_on(context, offer, uuid, begun.as_ref(), &taken) {
            Ok(on) => on,
            Err(error) => break error,
        };
        let mut wanted = blueprint(context, request, offer, &on, uuid);
        if let Some(begun) = &begun {
            wanted.document = begun.document.clone();
        }
        let kept = match (&begun, request.persistence) {
            (_, Persistence::Transient) => Ok(()),
            (None, _) => keep(context, lock, &wanted, Action::Define),
            (Some(begun), _) if begun.vf == wanted.vf => Ok(()),
            (Some(_), _) => context.store.write(lock, &wanted),
        };
        if let Err(error) = kept {
            break error;
        }
        match make(context, lock, &on, &wanted) {
            Ok(()) => return Ok((at, wanted.vf)),
            // Somebody who knows nothing of our lock was faster: another function will do.
            Err(error)
                if error.kind() == Kind::InUse
                    && needs_function(&offer.parent)
                    && taken.insert(on.id.clone()) =>
            {
                begun = Some(wanted).filter(|_| request.persistence != Persistence::Transient);
            }
            Err(error) => {
                begun = Some(wanted).filter(|_| request.persistence != Persistence::Transient);
                break error;
            }
        }
    };
    match is_new && begun.is_some() {
        true => Err(failed.and_clean_up(forget(context, lock, &at))),
        false => Err(failed),
    }
}

/// Where exactly the device of an offer is made: on the function that an earlier attempt had chosen,
/// or a free one.
fn place_on(
    context: &Context<'_>,
    offer: &Offer,
    uuid: Uuid,
    begun: Option<&Definition>,
    taken: &HashSet<ParentId>,
) -> Result<Parent> {
    let gpu = &offer.parent;
    if !needs_function(gpu) {
        return Ok(gpu.clone());
    }
    let vf = begun.and_then(|begun| begun.vf.clone());
    if let Some(vf) = vf.filter(|vf| !taken.contains(vf)) {
        return Ok(function_of(gpu, vf));
    }
    let spoken = Spoken::on(context, std::iter::once(gpu));
    let id = &offer.vgpu_type.id;
    let vf = free_function(context, gpu, id, Some(uuid), &spoken, taken)?;
    Ok(function_of(gpu, vf))
}

fn change(
    context: &Context<'_>,
    offer: &Offer,
    vf: Option<ParentId>,
    uuid: Option<Uuid>,
    effect: Effect,
) -> Change {
    let change = Change {
        uuid,
        vf,
        parent: Some(offer.parent.id.clone()),
        type_id: Some(offer.vgpu_type.id.clone()),
        type_name: offer.vgpu_type.name.clone(),
        ..Change::of(effect)
    };
    match change.type_name {
        Some(_) => change,
        // It has none, or it could not be read: the second look tells which.
        None => change.named(context),
    }
}

fn plan(
    context: &Context<'_>,
    request: &CreateRequest,
    offers: &[Offer],
    foreseen: Vec<&Offer>,
    spoken: &Spoken,
) -> Result<Report> {
    let mut taken = HashSet::new();
    let mut planned = Vec::new();
    for offer in foreseen {
        let (parent, id) = (&offer.parent, &offer.vgpu_type.id);
        let vf = match needs_function(parent) {
            true => Some(free_function(
                context,
                parent,
                id,
                request.uuid,
                spoken,
                &taken,
            )?),
            false => parent.gpu.is_some().then(|| parent.id.clone()),
        };
        taken.extend(vf.clone());
        let vf = vf.filter(|_| parent.framework == FrameworkKind::Vfio);
        let effect = Effect::Planned(Action::Create);
        planned.push(change(context, offer, vf, request.uuid, effect));
    }
    let mut report = Report::of(planned);
    report.cautions = cautions(context, request, offers, &report.changes);
    Ok(report)
}

/// All or nothing: removes what this command made before one failed.
fn take_back(context: &Context<'_>, made: &[Made], cause: Error) -> Error {
    let is_interrupted = cause.kind() == Kind::Interrupted;
    if is_interrupted && made.len() > 1 {
        log::warn!(
            "{cause}: taking back the {} devices that were made; once more ends at once",
            made.len()
        );
    }
    let mut clean_up = Ok(());
    for one in made.iter().rev() {
        clean_up = clean_up.and(take_away_for_good(context, &one.at));
    }
    match made.len() {
        0 => cause,
        count => {
            let told = match (is_interrupted, count) {
                (true, 1) => "the one that was made is taken back".to_owned(),
                (true, _) => format!("all {count} that were made are taken back"),
                (false, _) => format!("the {count} made before it were taken back"),
            };
            cause.hint(told).and_clean_up(clean_up)
        }
    }
}
