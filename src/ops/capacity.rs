//! Why nothing is free, and where something is.

use uuid::Uuid;

use super::Context;
use super::choose::{Offer, with_type};
use super::functions::{Spoken, kept, kept_line, needs_function};
use super::inventory::{active_on, inventory};
use super::place::{Site, by_gpu, sites};
use crate::capacity::{Bound, By, Held, hold_line};
use crate::error::{Error, Kind};
use crate::model::{Definition, Device, ParentId, Slot, VgpuType};
use crate::nvidia::size;

/// The error for a type of which nothing is free on any of the `offers`, which must not be empty:
/// says what is in the way on each parent, and which other parent has room. `spoken` are the functions
/// that were kept for others.
pub fn nothing_free(
    context: &Context<'_>,
    offers: &[Offer],
    spoken: &Spoken,
    wanted: usize,
) -> Error {
    let vgpu_type = &offers[0].vgpu_type;
    let label = label(vgpu_type);
    let groups = by_gpu(offers);
    let places: Vec<&str> = groups.iter().map(|g| g[0].parent.gpu().as_str()).collect();
    let message = match wanted {
        1 => format!("no instance of {label} is free on {}", places.join(", ")),
        _ => format!(
            "not enough capacity: requested {wanted} x {label} on {}",
            places.join(", ")
        ),
    };
    let mut error = Error::new(Kind::NoCapacity, message);
    for group in &groups {
        error = error.hint(what_is_in_the_way_of(context, group, spoken));
    }
    error.hints(room_elsewhere(context, offers))
}

/// The functions of a GPU are all in the same way, so one stands for them.
fn what_is_in_the_way_of(context: &Context<'_>, group: &[&Offer], spoken: &Spoken) -> String {
    let gpu = group[0].parent.gpu();
    let site = site_with_room(context, group, spoken);
    let Some(site) = site else {
        return what_is_in_the_way(context, group, spoken);
    };
    let capacity = site.capacity();
    let why = capacity
        .bound(0)
        .and_then(|bound| bound_words(bound, &capacity.holdings()));
    match why {
        Some(why) => format!("{gpu} has room for at most {}: it {why}", site.free()),
        None => format!("{gpu} has room for {}", site.free()),
    }
}

/// The GPU of these offers, if it has room, with all that bounds it.
fn site_with_room<'o>(
    context: &Context<'_>,
    group: &[&'o Offer],
    spoken: &Spoken,
) -> Option<Site<'o>> {
    let sites = sites(context, group, spoken, None, usize::MAX).ok()?;
    sites.into_iter().next().filter(|site| site.free() > 0)
}

/// What bounds a GPU, in words, where that is not the driver's own number: "has 48 GiB of memory, ...".
fn bound_words(bound: Bound, held: &[Held<'_>]) -> Option<String> {
    Some(match bound.by {
        By::Driver | By::Type | By::Others => return None,
        By::Placements => {
            "serves several framebuffer sizes, which start at fixed placement IDs".to_owned()
        }
        By::Functions { all, taken, kept } => {
            let gone = match (taken, kept) {
                (0, 0) => String::new(),
                (_, 0) => format!(", {taken} of them in use"),
                (0, _) => format!(", {kept} of them reserved for devices that start at boot"),
                _ => format!(
                    ", {taken} of them in use and {kept} reserved for devices that start at boot"
                ),
            };
            format!("has {all} virtual functions{gone}")
        }
        By::Instances if held.is_empty() => {
            "cannot be split into more GPU instances of this kind".to_owned()
        }
        By::Instances => format!(
            "holds {} and cannot be split into more GPU instances of this kind",
            hold_line(held)
        ),
        By::Memory {
            all,
            taken: 0,
            each,
        } => {
            format!("has {} of memory, and each needs {}", size(all), size(each))
        }
        By::Memory { all, taken, each } => format!(
            "has {} of memory, {} of it in use, and each needs {}",
            size(all),
            size(taken),
            size(each)
        ),
    })
}

/// As [`nothing_free`], for a device that is to be on this parent and no other.
pub fn nothing_free_on(context: &Context<'_>, offer: &Offer) -> Error {
    let label = label(&offer.vgpu_type);
    let message = format!("no instance of {label} is free on {}", offer.parent.id);
    let spoken = spoken_beside(context, offer);
    Error::new(Kind::NoCapacity, message).hint(what_is_in_the_way(context, &[offer], &spoken))
}

/// "nvidia-63 (P4-1Q)".
pub fn label(vgpu_type: &VgpuType) -> String {
    match &vgpu_type.name {
        Some(_) => format!("{} ({})", vgpu_type.id, vgpu_type.short_name()),
        None => vgpu_type.id.to_string(),
    }
}

/// As [`nothing_free_on`], with the reason in the message: a boot's log has one line a device.
pub fn left_out(context: &Context<'_>, offer: &Offer) -> Error {
    let parent = &offer.parent.id;
    let spoken = spoken_beside(context, offer);
    let why = match look(context, &[offer], &spoken) {
        Look::Room(free) => format!("{parent} now has room for {free}"),
        Look::Full(Full { line, .. }) => line,
    };
    no_room_for(&offer.vgpu_type, &why).hint(left_out_hint(offer.parent.gpu()))
}

/// What to do for a device that others leave no room for at boot.
pub fn left_out_hint(parent: &ParentId) -> String {
    format!(
        "remove what is in the way (vgpuctl list --active --parent {parent}), or change what starts \
         at boot: vgpuctl modify UUID --type TYPE, or --manual"
    )
}

/// "no instance of nvidia-64 (P4-2Q) is free: 0000:81:00.0 holds ...".
pub fn no_room_for(vgpu_type: &VgpuType, why: &str) -> Error {
    let message = format!("no instance of {} is free: {why}", label(vgpu_type));
    Error::new(Kind::NoCapacity, message)
}

enum Look {
    Room(u32),
    Full(Full),
}

/// Why nothing is free, and what can be done about it.
struct Full {
    line: String,
    way_out: String,
}

/// What definitions keep from whoever asks for this offer: nothing where that is a function itself.
fn spoken_beside(context: &Context<'_>, offer: &Offer) -> Spoken {
    match needs_function(&offer.parent) {
        true => Spoken::on(context, std::iter::once(&offer.parent)),
        false => Spoken::default(),
    }
}

/// The group is a parent, or functions of one GPU.
fn look(context: &Context<'_>, group: &[&Offer], spoken: &Spoken) -> Look {
    let offer = group[0];
    let (parent, gpu) = (&offer.parent.id, offer.parent.gpu());
    if let Some(site) = site_with_room(context, group, spoken) {
        return Look::Room(site.free());
    }
    let active = active_on(context, &offer.parent);
    let is_on = |device: &&Device| device.vf() == Some(parent) || device.parent == *parent;
    let is_function = offer.parent.gpu.is_some() && group.len() == 1;
    if let Some(taken) = active.iter().find(is_on).filter(|_| is_function) {
        return Look::Full(taken_function(parent, taken));
    }
    let kept = kept_among(context, group, spoken);
    if let Some(line) = kept_line(&kept) {
        let (vf, uuid) = &kept[0];
        return Look::Full(Full {
            line: format!("{gpu} has room, but {line}"),
            way_out: format!(
                "; to use one anyway: --parent {vf}; to release it: vgpuctl modify {uuid} --manual"
            ),
        });
    }
    let mut inventory = inventory(context, &offer.parent);
    if inventory
        .types
        .iter()
        .all(|one| one.id != offer.vgpu_type.id)
    {
        inventory.types.push(offer.vgpu_type.clone());
    }
    let capacity = inventory.capacity();
    let Some(at) = capacity.type_at(&offer.vgpu_type.id) else {
        return Look::Room(0);
    };
    let refusal = capacity.refusal(at);
    Look::Full(Full {
        line: format!("{gpu} {}", refusal.words()),
        way_out: match refusal.reason.is_in_the_way() {
            true => {
                format!(": remove those first (vgpuctl list --active --parent {gpu})")
            }
            false => String::new(),
        },
    })
}

/// The functions of a group that have room and are kept, and for whom.
fn kept_among(context: &Context<'_>, group: &[&Offer], spoken: &Spoken) -> Vec<(ParentId, Uuid)> {
    if spoken.is_empty() {
        return Vec::new();
    }
    let id = &group[0].vgpu_type.id;
    if needs_function(&group[0].parent) {
        return kept(context, &group[0].parent, id, None, spoken);
    }
    let with_room = group.iter().filter_map(|offer| {
        let parent = &offer.parent;
        let uuid = spoken.keeper(&parent.id, None)?;
        let free = context.kernel.serving(parent).free(&parent.id, id);
        free.is_ok_and(|free| free != Some(0))
            .then(|| (parent.id.clone(), uuid))
    });
    with_room.collect()
}

/// The error for a definition whose function has a vGPU that is not its own.
pub fn taken_function_error(vf: &ParentId, device: &Device, wanted: &Definition) -> Error {
    let Full { line, .. } = taken_function(vf, device);
    let (uuid, id) = (wanted.uuid, &wanted.type_id);
    let message = format!("no instance of {id} is free: {line}");
    Error::new(Kind::NoCapacity, message).hint(format!(
        "to use another function: vgpuctl modify {uuid} --vf any"
    ))
}

/// The one function that will do has a vGPU, which may be another VM's.
fn taken_function(vf: &ParentId, device: &Device) -> Full {
    let whose = match device.slot {
        Slot::ForeignVf(_) => format!(
            "{}, which was created by another program and is not changed",
            device.type_id
        ),
        Slot::Mdev | Slot::OwnVf(_) => format!("{} of type {}", device.uuid, device.type_id),
    };
    Full {
        line: format!("{vf} already holds {whose}"),
        way_out: String::new(),
    }
}

fn what_is_in_the_way(context: &Context<'_>, group: &[&Offer], spoken: &Spoken) -> String {
    match look(context, group, spoken) {
        Look::Room(free) => format!("{} has room for {free}", group[0].parent.gpu()),
        Look::Full(Full { line, way_out }) => line + &way_out,
    }
}

fn room_elsewhere(context: &Context<'_>, tried: &[Offer]) -> Vec<String> {
    let mut unrelated = Vec::new();
    let wanted = &tried[0].vgpu_type.id;
    let mut parents = context.kernel.parents(&mut unrelated).unwrap_or_default();
    parents.retain(|parent| !tried.iter().any(|offer| offer.parent.gpu() == parent.gpu()));
    let devices = context.kernel.devices(&mut unrelated).unwrap_or_default();
    let used: Vec<ParentId> = devices
        .iter()
        .map(|device| context.kernel.gpu_of(&device.parent))
        .collect();
    let others = with_type(context, wanted, &parents);
    let spoken = Spoken::on(context, others.iter().map(|offer| &offer.parent));
    let lines = by_gpu(&others).into_iter().filter_map(|group| {
        let gpu = group[0].parent.gpu();
        let free = site_with_room(context, &group, &spoken)?.free();
        let state = match used.contains(gpu) {
            false => "is free, with room for",
            true => "has room for",
        };
        Some(format!("{gpu} {state} {free}: use --parent {gpu}"))
    });
    lines.collect()
}
