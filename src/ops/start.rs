//! `start`: a device, from its definition.

use nix::errno::Errno;

use super::activate::make;
use super::capacity::{label, nothing_free_on};
use super::choose::Offer;
use super::deactivate::clear_unfinished;
use super::stop::{change, each};
use super::target::find;
use super::{Action, Change, Context, Effect, Report, Selector};
use crate::error::{Error, Kind, Result, if_present};
use crate::model::{Definition, Device, ParentId};
use crate::store::Location;

/// What to start.
#[derive(Debug, Clone)]
pub struct StartRequest {
    /// Which definitions.
    pub selectors: Vec<Selector>,
    /// Only say what would be done.
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
        let effect = bring_up(context, &mut definition, |_| true, request.dry_run)
            .map_err(|error| with_what_is_in_the_way(context, &definition, error))?;
        Ok(told(context, definition, effect))
    };
    each(&request.selectors, one)
}

/// What became of a definition.
pub fn told(context: &Context<'_>, definition: Definition, effect: Effect) -> Change {
    let Definition {
        uuid,
        parent,
        type_id,
        ..
    } = definition;
    let change = Change {
        uuid: Some(uuid),
        parent: Some(parent),
        type_id: Some(type_id),
        ..Change::of(effect)
    };
    change.named(context)
}

/// Makes the device that is defined, unless it is there already. The definition is read again under
/// the lock, and brought up to date: where it is gone or no longer `wanted`, nothing is made.
///
/// # Errors
/// The UUID is active as something else; the parent or its type is not there; nothing is free; what
/// the kernel answered.
pub fn bring_up(
    context: &Context<'_>,
    definition: &mut Definition,
    wanted: impl Fn(&Definition) -> bool,
    dry_run: bool,
) -> Result<Effect> {
    match already_up(context, definition) {
        Ok(true) => return Ok(Effect::Already("active")),
        Ok(false) => {}
        // Somebody is just making it, which can take long: they hold the lock until it is done.
        Err(error) if error.is_absent() => {}
        Err(error) => return Err(error),
    }
    let parent = context.kernel.place_of(definition)?;
    if dry_run {
        let framework = context.kernel.serving(&parent);
        let id = &definition.type_id;
        let vgpu_type = framework.vgpu_type(&parent.id, id, &mut Vec::new())?;
        return match vgpu_type.available {
            Some(0) => Err(Error::new(
                Kind::NoCapacity,
                format!(
                    "no instance of {} is free on {}",
                    label(&vgpu_type),
                    parent.id
                ),
            )),
            _ => Ok(Effect::Planned(Action::Start)),
        };
    }
    clear_unfinished(context, definition.uuid)?;
    let lock = context.store.lock(&definition.parent)?;
    // Somebody else, such as a second restore or an undefine, may have held the lock until now.
    match if_present(context.store.read(&Location::of(definition)))? {
        Some(current) if wanted(&current) => *definition = current,
        Some(_) => return Ok(Effect::Already("no longer wanted")),
        None => return Ok(Effect::Already("undefined")),
    }
    if already_up(context, definition)? {
        return Ok(Effect::Already("active"));
    }
    match make(context, &lock, &parent, definition) {
        Ok(()) => Ok(Effect::Done(Action::Start)),
        // mdevctl and its udev rule know nothing of our lock, and may have been first.
        Err(error) if error.errno() == Some(Errno::EEXIST) => match already_up(context, definition)
        {
            Ok(true) => Ok(Effect::Already("active")),
            _ => Err(error),
        },
        Err(error) => Err(error),
    }
}

fn with_what_is_in_the_way(context: &Context<'_>, definition: &Definition, error: Error) -> Error {
    match offer_of(context, definition).filter(|_| error.kind() == Kind::NoCapacity) {
        Some(offer) => {
            let nothing = nothing_free_on(context, &offer);
            error.hints(nothing.all_hints().into_iter().map(str::to_owned))
        }
        None => error,
    }
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
    let lock = context.store.lock(&wanted.parent)?;
    if let Some(device) = context.kernel.device(wanted.uuid)? {
        return Err(Error::new(
            Kind::Failed,
            format!("{} is active already, on {}", device.uuid, device.parent),
        ));
    }
    let framework = context.kernel.serving(&parent);
    let vgpu_type = framework.vgpu_type(&parent.id, &wanted.type_id, &mut Vec::new())?;
    match vgpu_type.available {
        Some(0) => Err(nothing_free_on(context, &Offer { parent, vgpu_type })),
        _ => make(context, &lock, &parent, wanted),
    }
}

fn already_up(context: &Context<'_>, definition: &Definition) -> Result<bool> {
    match context.kernel.device(definition.uuid)? {
        None => Ok(false),
        Some(device) if is_the_one(&device, definition) => {
            Ok(!context.store.is_unfinished(device.uuid))
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
            "stop the one that runs first: vgpuctl stop {}",
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
