//! What `create` would do, and what is to be said of what it does.

use std::collections::HashSet;

use super::{CreateRequest, Persistence};
use crate::error::{Result, Warnings};
use crate::model::{Definition, FrameworkKind, ParentId, StartMode};
use crate::ops::cautions::{Ahead, boot_cautions, memory_cautions};
use crate::ops::choose::Offer;
use crate::ops::functions::{Spoken, crowd_cautions, free_function, needs_function};
use crate::ops::{Action, Change, Context, Effect, Report};
use uuid::Uuid;

/// What would be made, on these offers one after the other.
///
/// # Errors
/// No function is free for one of them.
pub fn dry_run(
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

/// One device, and what becomes of it.
pub fn change(
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

/// What is to be said of each parent that devices were made on, or would be.
pub fn cautions(
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
