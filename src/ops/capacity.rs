//! Why nothing is free, and where something is.

use super::Context;
use super::choose::Offer;
use crate::error::{Error, Kind};
use crate::model::{ParentId, VgpuType};
use crate::nvidia::{Held, hold_line, holdings, size};

/// The error for a type of which nothing is free on any of the `offers`, which must not be empty:
/// says what is in the way on each parent, and which other parent has room.
pub fn nothing_free(context: &Context<'_>, offers: &[Offer], wanted: usize) -> Error {
    let vgpu_type = &offers[0].vgpu_type;
    let label = label(vgpu_type);
    let places: Vec<&str> = offers.iter().map(|o| o.parent.id.as_str()).collect();
    let message = match wanted {
        1 => format!("no instance of {label} is free on {}", places.join(", ")),
        _ => format!(
            "{wanted} instances of {label} are not free on {}",
            places.join(", ")
        ),
    };
    let mut error = Error::new(Kind::NoCapacity, message);
    for offer in offers {
        error = error.hint(what_is_in_the_way(context, offer));
    }
    error.hints(room_elsewhere(context, offers))
}

/// As [`nothing_free`], for a device that is to be on this parent and no other.
pub fn nothing_free_on(context: &Context<'_>, offer: &Offer) -> Error {
    let label = label(&offer.vgpu_type);
    let message = format!("no instance of {label} is free on {}", offer.parent.id);
    Error::new(Kind::NoCapacity, message).hint(what_is_in_the_way(context, offer))
}

/// "nvidia-63 (P4-1Q)".
pub fn label(vgpu_type: &VgpuType) -> String {
    match &vgpu_type.name {
        Some(_) => format!("{} ({})", vgpu_type.id, vgpu_type.short_name()),
        None => vgpu_type.id.to_string(),
    }
}

fn what_is_in_the_way(context: &Context<'_>, offer: &Offer) -> String {
    let parent = &offer.parent.id;
    let mut unrelated = Vec::new();
    let framework = context.kernel.serving(&offer.parent);
    let types = framework.types(parent, &mut unrelated).unwrap_or_default();
    let devices = context.kernel.devices(&mut unrelated).unwrap_or_default();
    let active = devices
        .iter()
        .filter(|device| device.parent == *parent)
        .filter_map(|device| types.iter().find(|t| t.id == device.type_id));
    let held = holdings(active);
    let free = types
        .iter()
        .find(|t| t.id == offer.vgpu_type.id)
        .and_then(|t| t.available)
        .unwrap_or_default();
    if free > 0 {
        return format!("{parent} has room for {free}");
    }
    if held.is_empty() {
        return format!("{parent} holds nothing, yet its driver offers no instance of this type");
    }
    format!(
        "{parent} holds {}{}",
        hold_line(&held),
        size_rule(&held, &offer.vgpu_type, parent)
    )
}

fn size_rule(held: &[Held<'_>], wanted: &VgpuType, parent: &ParentId) -> String {
    let Some(wanted) = &wanted.details else {
        return String::new();
    };
    let other_size = held
        .iter()
        .filter_map(|h| h.vgpu_type.details.as_ref())
        .any(|details| details.framebuffer_mib != wanted.framebuffer_mib);
    match other_size {
        true => format!(
            "; a GPU serves one framebuffer size at a time, and this type needs {}: remove those \
             first (vgpuctl list --active --parent {parent})",
            size(wanted.framebuffer_mib)
        ),
        false => ", as many as fit".to_owned(),
    }
}

fn room_elsewhere(context: &Context<'_>, tried: &[Offer]) -> Vec<String> {
    let mut unrelated = Vec::new();
    let wanted = &tried[0].vgpu_type.id;
    let parents = context.kernel.parents(&mut unrelated).unwrap_or_default();
    parents
        .iter()
        .filter(|parent| !tried.iter().any(|offer| offer.parent.id == parent.id))
        .filter_map(|parent| {
            let framework = context.kernel.serving(parent);
            let found = framework
                .vgpu_type(&parent.id, wanted, &mut unrelated)
                .ok()?;
            let free = found.available.filter(|free| *free > 0)?;
            Some(format!(
                "{} has room for {free}: use --parent {0}",
                parent.id
            ))
        })
        .collect()
}
