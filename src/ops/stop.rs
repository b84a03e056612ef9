//! `stop`: a device goes. `remove`: a device and its definition go.

use std::time::Duration;

use super::execute::{Step, active_at, foresee_held, in_order, patiently};
use super::functions::note_functions;
use super::target::{Target, find};
use super::{Action, Change, Context, Effect, Report, Selector};
use crate::error::{Result, Warnings, or_warn};
use crate::model::{ParentId, Slot, TypeId};
use crate::store::Location;

/// What to stop.
#[derive(Debug, Clone)]
pub struct StopRequest {
    /// Which devices.
    pub selectors: Vec<Selector>,
    /// How long to wait for a holder to let go.
    pub wait: Duration,
    /// Show what would be done without changing anything.
    pub dry_run: bool,
}

/// What to remove.
#[derive(Debug, Clone)]
pub struct RemoveRequest {
    /// Which devices.
    pub selectors: Vec<Selector>,
    /// How long to wait for a holder to let go.
    pub wait: Duration,
    /// Show what would be done without changing anything.
    pub dry_run: bool,
}

/// Stops devices; their definitions stay.
pub fn stop(context: &Context<'_>, request: &StopRequest) -> Report {
    let one = |selector: &Selector| {
        let target = find(context, selector)?;
        let Some(device) = &target.device else {
            return Ok(change(context, &target, Effect::Already("inactive")));
        };
        if request.dry_run {
            foresee_held(context, device)?;
            return Ok(change(context, &target, Effect::Planned(Action::Stop)));
        }
        let before = change(context, &target, Effect::Done(Action::Stop));
        note_functions(context, [device]);
        let at = Location::of_device(device);
        patiently(request.wait, || {
            in_order(context, &at.parent, || {
                Ok(active_at(context, &at)?
                    .map(Step::Stop)
                    .into_iter()
                    .collect())
            })
        })?;
        Ok(before)
    };
    each(&request.selectors, one)
}

/// Removes devices and their definitions. The definition stays as long as its device does. A device
/// that is active on one parent leaves definitions of its UUID on others alone.
pub fn remove(context: &Context<'_>, request: &RemoveRequest) -> Report {
    let one = |selector: &Selector| {
        let target = find(context, selector)?;
        target.refuse_doubts()?;
        let at = match &target.device {
            Some(device) if target.defined.len() < 2 => Location::of_device(device),
            _ => target.only_definition(context)?.clone(),
        };
        if request.dry_run {
            if let Some(device) = &target.device {
                foresee_held(context, device)?;
            }
            return Ok(change(context, &target, Effect::Planned(Action::Remove)));
        }
        let before = change(context, &target, Effect::Done(Action::Remove));
        // Under one lock, so that neither can come back in between.
        patiently(request.wait, || {
            in_order(context, &at.parent, || {
                let stop = active_at(context, &at)?.map(Step::Stop);
                Ok(stop.into_iter().chain([Step::Delete(at.clone())]).collect())
            })
        })?;
        Ok(before)
    };
    each(&request.selectors, one)
}

/// Does the same for each selector; one that fails does not stop the others.
pub fn each(selectors: &[Selector], mut one: impl FnMut(&Selector) -> Result<Change>) -> Report {
    Report::of(
        selectors
            .iter()
            .map(|selector| {
                one(selector).unwrap_or_else(|error| Change {
                    uuid: selector.uuid.whole(),
                    ..Change::failed(error)
                })
            })
            .collect(),
    )
}

/// Tells about a target, with its type's name while it can still be read.
pub fn change(context: &Context<'_>, target: &Target, effect: Effect) -> Change {
    let mut unread = Vec::new();
    let (parent, type_id) = place(context, target, &mut unread);
    let change = Change {
        uuid: Some(target.uuid),
        parent,
        type_id,
        unread,
        ..Change::of(effect)
    };
    let change = change.named(context);
    match target.device.as_ref().map(|device| &device.slot) {
        Some(Slot::ForeignVf(vf)) => Change {
            uuid: None,
            parent: Some(vf.clone()),
            ..change
        },
        _ => change,
    }
}

fn place(
    context: &Context<'_>,
    target: &Target,
    unread: &mut Warnings,
) -> (Option<ParentId>, Option<TypeId>) {
    if let Some(device) = &target.device {
        return (Some(device.parent.clone()), Some(device.type_id.clone()));
    }
    match target.defined.first() {
        Some(at) => {
            let definition = or_warn(context.store.read(at), unread);
            (Some(at.parent.clone()), definition.map(|d| d.type_id))
        }
        None => (None, None),
    }
}
