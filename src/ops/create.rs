//! `create`: a device now, and its definition for the next boot.

use uuid::Uuid;

use super::activate::make;
use super::capacity::nothing_free;
use super::cautions::{Ahead, boot_cautions, memory_cautions};
use super::choose::{Offer, offers};
use super::deactivate::{clear_unfinished, take_away_for_good};
use super::place::{ceilings, foresee, rooms};
use super::wishes::{forget, keep};
use super::{Action, Change, Context, Effect, Report};
use crate::error::{Error, Kind, Result, Warnings, if_present};
use crate::interrupt::{Patience, refuse_if_asked};
use crate::model::{Attr, Definition, ParentId, StartMode};
use crate::nvidia::{Placement, choose};
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
    /// Only say what would be done.
    pub dry_run: bool,
}

/// Creates devices.
///
/// # Errors
/// Nothing was made, or all that was made was taken back (where even that failed, the error says
/// so). [`Kind::NoCapacity`] says what is in the way.
pub fn create(context: &Context<'_>, request: &CreateRequest) -> Result<Report> {
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
    begun.is_some_and(|at| {
        context
            .store
            .read(&at)
            .is_err_and(|error| error.is_absent())
    })
}

/// Creates devices; on the parent of the definition that was `begun`, where there is one.
fn attempt(
    context: &Context<'_>,
    request: &CreateRequest,
    begun: &mut Option<Location>,
) -> Result<Report> {
    if let (Some(uuid), false) = (request.uuid, request.dry_run) {
        clear_unfinished(context, uuid)?;
    }
    let mut offers = offers(context, &request.type_name, request.parent.as_ref())?;
    if let Some(uuid) = request.uuid {
        if request.count != 1 {
            return Err(Error::new(
                Kind::Usage,
                "one UUID cannot serve several devices: leave out --uuid or --count",
            ));
        }
        refuse_active(context, uuid)?;
        *begun = refuse_defined(context, request, &offers, uuid)?;
        if let Some(begun) = begun {
            offers.retain(|offer| *offer.parent.home() == begun.parent);
        }
    }
    let all: Vec<&Offer> = offers.iter().collect();
    let foreseen = foresee(
        &all,
        rooms(context, &all)?,
        ceilings(context, &all, request.count),
        request.placement,
        request.count,
    );
    if foreseen.len() < request.count {
        return Err(nothing_free(context, &offers, request.count));
    }
    if request.dry_run {
        return Ok(plan(context, request, &offers, foreseen));
    }
    let patience = Patience::begin();
    let mut made: Vec<Made> = Vec::new();
    for _ in 0..request.count {
        let uuid = request.uuid.unwrap_or_else(Uuid::new_v4);
        let one = create_one(context, request, &offers, uuid);
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
    report.cautions = cautions(context, request, &offers, &report.changes);
    Ok(report)
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
            .map(|change| Ahead::new(change.uuid, vgpu_type.id.clone()))
            .collect();
        if here.count() == 0 {
            continue;
        }
        all.extend(memory_cautions(context, parent, &planned));
        if request.persistence == Persistence::Defined(StartMode::Auto) {
            all.extend(boot_cautions(context, &parent.id, &planned));
        }
    }
    all
}

/// A device that this command made.
struct Made {
    change: Change,
    at: Location,
}

fn refuse_active(context: &Context<'_>, uuid: Uuid) -> Result<()> {
    match context.kernel.device(uuid)? {
        None => Ok(()),
        Some(device) => Err(Error::new(
            Kind::Failed,
            format!(
                "{uuid} is active already, as {} on {}",
                device.type_id, device.parent
            ),
        )
        .hint(format!("see: vgpuctl show {uuid}"))),
    }
}

/// Refuses a UUID that is defined as something else. The same definition is what a `create` leaves
/// that was interrupted before it made the device: the same command goes on there.
fn refuse_defined(
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
            .map(|offer| blueprint(request, offer, uuid))
            .is_some_and(|wanted| same_wish(context, at, &wanted));
        if !same {
            return Err(Error::new(
                Kind::Failed,
                format!("{uuid} is defined already, on {}", at.parent),
            )
            .at(context.store.path(at))
            .hints(what_to_do_instead(context, at)));
        }
    }
    Ok(all.pop())
}

fn what_to_do_instead(context: &Context<'_>, at: &Location) -> Vec<String> {
    let (start, undefine) = (
        format!("make the device that is defined: vgpuctl start {}", at.uuid),
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

fn same_wish(context: &Context<'_>, at: &Location, wanted: &Definition) -> bool {
    context.store.read(at).is_ok_and(|found| {
        found.type_id == wanted.type_id
            && found.vf == wanted.vf
            && found.start == wanted.start
            && found.attrs == wanted.attrs
    })
}

/// What is to be made; a transient device has no definition on disk, but is described like one.
fn blueprint(request: &CreateRequest, offer: &Offer, uuid: Uuid) -> Definition {
    let start = match request.persistence {
        Persistence::Defined(start) => start,
        Persistence::Transient => StartMode::Manual,
    };
    let mut definition = Definition::on(&offer.parent, uuid, offer.vgpu_type.id.clone(), start);
    definition.attrs.clone_from(&request.attrs);
    definition
}

/// Makes one device on the parent that is still the one to choose when looked at under its lock.
/// Whoever else makes devices only makes the others fuller meanwhile, so that the choice is right
/// however many do so at once.
fn create_one(
    context: &Context<'_>,
    request: &CreateRequest,
    offers: &[Offer],
    uuid: Uuid,
) -> Result<Made> {
    let mut left: Vec<&Offer> = offers.iter().collect();
    let mut choices = CHOICES;
    let mut refusal = None;
    while let Some(at) = choose(&rooms(context, &left)?, request.placement) {
        let offer = left[at];
        let lock = context.store.lock(offer.parent.home())?;
        let rooms = rooms(context, &left)?;
        let is_still_right = choices == 0 || choose(&rooms, request.placement) == Some(at);
        if !is_still_right || !rooms[at].fits() {
            choices = choices.saturating_sub(1);
            continue;
        }
        match create_here(context, request, offer, uuid, &lock) {
            Ok(at) => {
                let change = change(context, offer, Some(uuid), Effect::Done(Action::Create));
                return Ok(Made { change, at });
            }
            Err(error) if error.kind() == Kind::NoCapacity => {
                refusal = Some(error);
                left.remove(at);
            }
            Err(error) => return Err(error),
        }
    }
    let nothing = nothing_free(context, offers, 1);
    Err(match refusal {
        // The kernel's own answer is worth more than our guess, and both have hints.
        Some(error) => error.hints(nothing.all_hints().into_iter().map(str::to_owned)),
        None => nothing,
    })
}

/// Intent first: the definition, then the device; the definition is taken back if that fails.
fn create_here(
    context: &Context<'_>,
    request: &CreateRequest,
    offer: &Offer,
    uuid: Uuid,
    lock: &Lock,
) -> Result<Location> {
    let wanted = blueprint(request, offer, uuid);
    let at = Location::of(&wanted);
    let mut written = false;
    if request.persistence != Persistence::Transient && !is_there_already(context, &wanted)? {
        keep(context, lock, &wanted, Action::Define)?;
        written = true;
    }
    match make(context, lock, &offer.parent, &wanted) {
        Ok(()) => Ok(at),
        Err(error) if written => Err(error.and_clean_up(forget(context, lock, &at))),
        Err(error) => Err(error),
    }
}

/// Under the lock: whether this very definition is there. Somebody else may have defined or made
/// this UUID since the first look.
fn is_there_already(context: &Context<'_>, wanted: &Definition) -> Result<bool> {
    let at = Location::of(wanted);
    let there = if_present(context.store.read(&at).map(|_| ()))?;
    let active = context.kernel.device(wanted.uuid)?;
    match (there, active) {
        (None, None) => Ok(false),
        (Some(()), None) if same_wish(context, &at, wanted) => Ok(true),
        _ => Err(Error::new(
            Kind::Failed,
            format!("somebody else has just made {}", wanted.uuid),
        )
        .at(context.store.path(&at))),
    }
}

fn change(context: &Context<'_>, offer: &Offer, uuid: Option<Uuid>, effect: Effect) -> Change {
    let change = Change {
        uuid,
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
) -> Report {
    let planned = |offer| {
        change(
            context,
            offer,
            request.uuid,
            Effect::Planned(Action::Create),
        )
    };
    let mut report = Report::of(foreseen.into_iter().map(planned).collect());
    report.cautions = cautions(context, request, offers, &report.changes);
    report
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
        1 if is_interrupted => cause
            .hint("the one that was made is taken back")
            .and_clean_up(clean_up),
        count if is_interrupted => cause
            .hint(format!("all {count} that were made are taken back"))
            .and_clean_up(clean_up),
        count => cause
            .hint(format!("the {count} made before it were taken back"))
            .and_clean_up(clean_up),
    }
}
