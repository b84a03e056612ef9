//! One device, made where there is room when its parent is locked.

use std::collections::HashSet;

use uuid::Uuid;

use super::begun::begun_before;
use super::outlook::change;
use super::{CreateRequest, Persistence};
use crate::error::{Kind, Result};
use crate::model::{Definition, Parent, ParentId, StartMode};
use crate::ops::capacity::nothing_free;
use crate::ops::choose::Offer;
use crate::ops::execute::{Done, Step, all_or_nothing};
use crate::ops::functions::{Spoken, free_function, function_of, needs_function};
use crate::ops::place::{Site, foresee, sites};
use crate::ops::tenant::note_owner;
use crate::ops::{Action, Change, Context, Effect};

/// How often the choice of a parent is repeated because others were faster, before the parent that
/// was chosen last is taken as it is. Each time means that somebody else made or removed a device.
const CHOICES: usize = 100;

/// What was found under the lock of an offer's parent.
enum Choice<'o> {
    /// It is still the right one; the function that was chosen.
    Here(Option<ParentId>),
    /// Another is now, or none.
    Elsewhere(Option<&'o Offer>),
}

/// Makes one device on the offer that is expected to be the one to choose, or on another where it is not
/// any more when looked at under its lock. Whoever else makes devices only makes the others fuller
/// meanwhile, so that the choice is right however many do so at once. What was made, and by which steps.
///
/// # Errors
/// Nothing was made. [`Kind::NoCapacity`] says what is in the way.
pub fn create_one(
    context: &Context<'_>,
    request: &CreateRequest,
    offers: &[Offer],
    expected: &Offer,
    spoken: &Spoken,
    uuid: Uuid,
) -> Result<(Change, Vec<Done>)> {
    let mut left: Vec<&Offer> = offers.iter().collect();
    let (mut choices, mut refusal, mut taken) = (CHOICES, None, HashSet::new());
    let mut chosen = Some(expected);
    while let Some(offer) = chosen {
        let mut tried = None;
        let result = all_or_nothing(context, offer.parent.home(), || {
            let sites = sites_now(context, &left, spoken, uuid)?;
            let best = foresee(&sites, request.placement, 1).pop();
            let is_best = best.is_some_and(|best| std::ptr::eq(best, offer));
            let has_room = sites.iter().any(|site| site.has_room_on(offer));
            if !has_room || !(is_best || choices == 0) {
                return Ok((Vec::new(), Choice::Elsewhere(best)));
            }
            let steps = steps(context, request, offer, uuid, &taken, &mut tried)?;
            Ok((steps, Choice::Here(tried.clone())))
        });
        match result {
            Ok((_, Choice::Elsewhere(best))) => {
                choices = choices.saturating_sub(1);
                chosen = best;
            }
            Ok((done, Choice::Here(vf))) => {
                let effect = Effect::Done(Action::Create);
                let change = change(context, offer, vf, Some(uuid), effect);
                return Ok((with_cautions(change, &done), done));
            }
            // Somebody who knows nothing of our lock was faster: another function will do.
            Err(error) if error.kind() == Kind::InUse && needs_function(&offer.parent) => {
                if !tried.is_some_and(|vf| taken.insert(vf)) {
                    return Err(error);
                }
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

fn with_cautions(change: Change, done: &[Done]) -> Change {
    let noted = done.iter().filter_map(Done::not_noted);
    Change {
        cautions: noted.collect(),
        ..change
    }
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

/// Intent first: the definition, then the device. `chosen` is the function that it is made on.
fn steps(
    context: &Context<'_>,
    request: &CreateRequest,
    offer: &Offer,
    uuid: Uuid,
    taken: &HashSet<ParentId>,
    chosen: &mut Option<ParentId>,
) -> Result<Vec<Step>> {
    let begun = match request.persistence {
        Persistence::Transient => None,
        Persistence::Defined(_) => {
            let asked = blueprint(context, request, offer, &offer.parent, uuid);
            begun_before(context, &asked)?
        }
    };
    let on = place_on(context, offer, uuid, begun.as_ref(), taken)?;
    let mut wanted = blueprint(context, request, offer, &on, uuid);
    if let Some(begun) = &begun {
        wanted.document = begun.document.clone();
    }
    chosen.clone_from(&wanted.vf);
    let define = match (begun, request.persistence) {
        (_, Persistence::Transient) => None,
        (None, _) => Some(Step::Define(wanted.clone(), Action::Define)),
        (Some(begun), _) if begun.vf == wanted.vf => None,
        (Some(begun), _) => Some(Step::Note(Box::new((begun, wanted.clone())))),
    };
    Ok(define.into_iter().chain([Step::Make(wanted)]).collect())
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
