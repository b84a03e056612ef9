//! `start`: a device, from its definition.

use std::collections::HashSet;

use nix::errno::Errno;

use super::capacity::{label, nothing_free_on, taken_function_error};
use super::choose::Offer;
use super::execute::{Done, Step, all_or_nothing, clear_unfinished};
use super::functions::{Place, holder, is_gone, note_function, place_for};
use super::stop::{change, each};
use super::target::find;
use super::tenant::{has, refuse_start};
use super::{Action, Change, Context, Effect, Report, Selector};
use crate::error::{Error, Kind, Result, Warnings, if_present};
use crate::model::{Definition, Device, ParentId};
use crate::store::Location;

/// What to start.
#[derive(Debug, Clone)]
pub struct StartRequest {
    /// Which definitions.
    pub selectors: Vec<Selector>,
    /// Show what would be done without changing anything.
    pub dry_run: bool,
}

/// Starts devices. One that is active as it is defined is left alone.
pub fn start(context: &Context<'_>, request: &StartRequest) -> Report {
    let one = |selector: &Selector| -> Result<Change> {
        let target = find(context, selector)?;
        if let (true, Some(_)) = (target.defined.is_empty(), &target.device) {
            return Ok(change(context, &target, Effect::Already("active")));
        }
        let at = target.only_definition(context)?;
        let mut definition = context.store.read(at)?;
        refuse_start(context, &definition)?;
        let is_wanted = |now: &Definition| has(context, &Location::of(now));
        let brought = bring_up(context, &mut definition, is_wanted, request.dry_run)
            .map_err(|error| with_what_is_in_the_way(context, &definition, error))?;
        Ok(as_change(context, definition, brought))
    };
    each(&request.selectors, one)
}

/// What became of a definition, and what is to be said of it.
#[derive(Debug)]
pub struct Brought {
    /// What became of it.
    pub effect: Effect,
    /// Such as that it has another virtual function than before.
    pub cautions: Warnings,
}

impl From<Effect> for Brought {
    fn from(effect: Effect) -> Brought {
        let cautions = Vec::new();
        Brought { effect, cautions }
    }
}

/// Tells what became of a definition.
pub fn as_change(context: &Context<'_>, definition: Definition, brought: Brought) -> Change {
    let Definition {
        uuid,
        parent,
        vf,
        type_id,
        ..
    } = definition;
    let change = Change {
        uuid: Some(uuid),
        parent: Some(parent),
        vf,
        type_id: Some(type_id),
        cautions: brought.cautions,
        ..Change::of(brought.effect)
    };
    change.named(context)
}

/// Makes the device that is defined, unless it is there already. The definition is read again under
/// the lock, and brought up to date: where it is gone or no longer `wanted`, nothing is made. From then
/// on it names the virtual function that the device has.
///
/// # Errors
/// The UUID is active as something else; the parent or its type is not there; nothing is free; what
/// the kernel answered.
pub fn bring_up(
    context: &Context<'_>,
    definition: &mut Definition,
    wanted: impl Fn(&Definition) -> bool,
    dry_run: bool,
) -> Result<Brought> {
    match already_up(context, definition) {
        Ok(Some(device)) => return Ok(up_already(context, definition, &device, dry_run)),
        Ok(None) => {}
        // Somebody is just making it, which can take long: they hold the lock until it is done.
        Err(error) if error.is_absent() => {}
        Err(error) => return Err(error),
    }
    if dry_run {
        return foreseen(context, definition);
    }
    // Where there is no place yet, nobody is kept waiting for the lock.
    context.kernel.place_of(definition).or_else(|error| {
        let vf = definition.vf.as_ref();
        match vf.is_some_and(|vf| is_gone(context, &definition.parent, vf)) {
            true => context.kernel.parent(&definition.parent, &mut Vec::new()),
            false => Err(error),
        }
    })?;
    clear_unfinished(context, definition.uuid)?;
    let mut taken = HashSet::new();
    loop {
        let mut chosen = None;
        let result = all_or_nothing(context, &definition.parent, || {
            let found = to_start(context, definition, &wanted, &taken)?;
            if let Start::At(_, place) = &found {
                chosen = place.is_chosen.then(|| place.parent.id.clone());
            }
            Ok((found.steps(), found))
        });
        match result {
            Ok((done, Start::At(now, place))) => {
                let noted = done.iter().filter_map(Done::not_noted);
                let cautions = place.moved.into_iter().chain(noted).collect();
                *definition = Definition {
                    vf: place.vf,
                    ..now
                };
                let effect = Effect::Done(Action::Start);
                return Ok(Brought { effect, cautions });
            }
            Ok((_, Start::Already(now, word))) => {
                *definition = now;
                return Ok(Effect::Already(word).into());
            }
            // mdevctl and its udev rule know nothing of our lock, and may have been first.
            Err(error) if error.errno() == Some(Errno::EEXIST) => {
                return match already_up(context, definition) {
                    Ok(Some(_)) => Ok(Effect::Already("active").into()),
                    _ => Err(error),
                };
            }
            // Somebody who knows nothing of our lock was faster: another function will do.
            Err(error) if error.kind() == Kind::InUse => match chosen {
                Some(vf) if taken.insert(vf.clone()) => {}
                _ => return Err(error),
            },
            Err(error) => return Err(error),
        }
    }
}

/// What starting a definition comes to under the lock.
enum Start {
    /// Nothing is to do, and why.
    Already(Definition, &'static str),
    /// The definition as it is now, and where its device is made.
    At(Definition, Place),
}

impl Start {
    /// The function that was chosen is noted first.
    fn steps(&self) -> Vec<Step> {
        let Start::At(now, place) = self else {
            return Vec::new();
        };
        let placed = Definition {
            vf: place.vf.clone(),
            ..now.clone()
        };
        let note = (placed != *now).then(|| Step::Note(Box::new((now.clone(), placed.clone()))));
        note.into_iter().chain([Step::Make(placed)]).collect()
    }
}

/// Somebody else, such as a second restore or an undefine, may have held the lock until now.
fn to_start(
    context: &Context<'_>,
    definition: &Definition,
    wanted: &impl Fn(&Definition) -> bool,
    taken: &HashSet<ParentId>,
) -> Result<Start> {
    let already = |word| Ok(Start::Already(definition.clone(), word));
    let now = match if_present(context.store.read(&Location::of(definition)))? {
        Some(now) if wanted(&now) => now,
        Some(_) => return already("set to manual"),
        None => return already("undefined"),
    };
    if already_up(context, &now)?.is_some() {
        return Ok(Start::Already(now, "active"));
    }
    let place = place_for(context, &now, taken)?;
    Ok(Start::At(now, place))
}

/// What starting it would do, as far as it can be told without doing it.
fn foreseen(context: &Context<'_>, definition: &mut Definition) -> Result<Brought> {
    let place = place_for(context, definition, &HashSet::new())?;
    let (parent, id) = (&place.parent, &definition.type_id);
    if !place.is_chosen {
        let full = |label: &str| {
            let message = format!("no instance of {label} is free on {}", parent.id);
            Error::new(Kind::NoCapacity, message)
        };
        let is_function = parent.gpu.is_some();
        if is_function && holder(context, &parent.id).is_some() {
            return Err(full(id.as_str()));
        }
        let framework = context.kernel.serving(parent);
        let vgpu_type = framework.vgpu_type(&parent.id, id, &mut Vec::new())?;
        if vgpu_type.available == Some(0) {
            return Err(full(&label(&vgpu_type)));
        }
    }
    definition.vf = place.vf;
    Ok(Brought {
        effect: Effect::Planned(Action::Start),
        cautions: place.moved.into_iter().collect(),
    })
}

/// Notes the function of a device that is up in a definition that names none, so that it has the same
/// one after the next boot.
fn up_already(
    context: &Context<'_>,
    definition: &mut Definition,
    device: &Device,
    dry_run: bool,
) -> Brought {
    if definition.vf.is_none() && device.vf().is_some() {
        let noted = match dry_run {
            true => Ok(()),
            false => note_function(context, device),
        };
        if let Err(error) = noted {
            log::debug!("cannot record the function of {}: {error}", device.uuid);
        }
        definition.vf = device.vf().cloned();
    }
    Effect::Already("active").into()
}

fn with_what_is_in_the_way(context: &Context<'_>, definition: &Definition, error: Error) -> Error {
    if let Some(taken) = taken(context, definition).filter(|_| error.kind() == Kind::NoCapacity) {
        return error
            .hints(std::iter::once(taken.message().to_owned()))
            .hints_of(&taken);
    }
    match offer_of(context, definition).filter(|_| error.kind() == Kind::NoCapacity) {
        Some(offer) => {
            let nothing = nothing_free_on(context, &offer);
            error.hints_of(&nothing)
        }
        None => error,
    }
}

/// The error for a definition that names a function which another vGPU has.
pub fn taken(context: &Context<'_>, definition: &Definition) -> Option<Error> {
    let vf = definition.vf.as_ref()?;
    let held = holder(context, vf)?;
    (held.uuid != definition.uuid).then(|| taken_function_error(vf, &held, definition))
}

/// The parent and the type of a definition, as far as they are there.
pub fn offer_of(context: &Context<'_>, definition: &Definition) -> Option<Offer> {
    let parent = context.kernel.place_of(definition).ok()?;
    let framework = context.kernel.serving(&parent);
    let vgpu_type = framework
        .vgpu_type(&parent.id, &definition.type_id, &mut Vec::new())
        .ok()?;
    Some(Offer { parent, vgpu_type })
}

/// Makes a device as it is described here, whatever definitions say; it is gone after a reboot.
///
/// # Errors
/// The UUID is active; the parent is not there; nothing is free; what the kernel answered.
pub fn start_as_described(context: &Context<'_>, wanted: &Definition) -> Result<()> {
    let parent = context.kernel.place_of(wanted)?;
    let make = || {
        if let Some(device) = context.kernel.device(wanted.uuid)? {
            return Err(Error::new(
                Kind::Failed,
                format!("{} is already active on {}", device.uuid, device.parent),
            ));
        }
        let framework = context.kernel.serving(&parent);
        let vgpu_type = framework.vgpu_type(&parent.id, &wanted.type_id, &mut Vec::new())?;
        match vgpu_type.available {
            Some(0) => Err(nothing_free_on(
                context,
                &Offer {
                    parent: parent.clone(),
                    vgpu_type,
                },
            )),
            _ => Ok((vec![Step::Make(wanted.clone())], ())),
        }
    };
    all_or_nothing(context, &wanted.parent, make).map(|_| ())
}

/// The device of a definition, where it is up and complete.
fn already_up(context: &Context<'_>, definition: &Definition) -> Result<Option<Device>> {
    match context.kernel.device(definition.uuid)? {
        None => Ok(None),
        Some(device) if is_the_one(&device, definition) => {
            let is_complete = !context.store.is_unfinished(device.uuid);
            Ok(is_complete.then_some(device))
        }
        Some(device) => Err(Error::new(
            Kind::Failed,
            format!(
                "{} is active as {} on {}, but defined as {} on {}",
                device.uuid,
                device.type_id,
                place(&device.parent, device.vf()),
                definition.type_id,
                place(&definition.parent, definition.vf.as_ref())
            ),
        )
        .hint(format!(
            "stop the running device first: vgpuctl stop {}",
            device.uuid
        ))),
    }
}

fn is_the_one(device: &Device, definition: &Definition) -> bool {
    let sits_right = definition.vf.is_none() || device.vf() == definition.vf.as_ref();
    device.parent == definition.parent && device.type_id == definition.type_id && sits_right
}

/// "0000:41:00.0", and the virtual function where one is known.
fn place(parent: &ParentId, vf: Option<&ParentId>) -> String {
    match vf {
        Some(vf) => format!("{vf} of {parent}"),
        None => parent.to_string(),
    }
}
