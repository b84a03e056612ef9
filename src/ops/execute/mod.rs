//! What changes a host: steps, taken one after the other under the lock of their parent, with the
//! host's scripts around them, and undone where a later one fails.

mod callouts;
mod definitions;
mod holders;
mod make;
mod stop;
mod undo;

use super::params::{params_now, set_params};
use super::{Action, Context};
use crate::error::Result;
use crate::model::{Attr, Definition, Device, Parent, ParentId};
use crate::nvidia::params::{self, Params};
use crate::store::{Location, Lock, as_read};

pub use callouts::{around, subject};
pub use definitions::{forget, keep, refuse_long};
pub use holders::{foresee_held, held, held_among, patiently, refuse_held};
pub use make::make;
pub use stop::{active_at, clear_unfinished, remove_idle};
pub use undo::{Done, take_back, undo_all, with_failures};
use undo::{undo, undo_each};

/// One change of the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// The device is taken away from the kernel.
    Stop(Device),
    /// The definition, as it was read, is deleted.
    Forget(Definition),
    /// The definition in that place is deleted, whatever it says.
    Delete(Location),
    /// A definition is written where there is none. Scripts are notified of it as that action.
    Define(Definition, Action),
    /// The definition, as it was read, is deleted where the device was until now. It comes after
    /// [`Step::Define`]: should the power go between them, it is there twice rather than nowhere.
    Leave(Definition),
    /// A definition, as it was read, is replaced.
    Rewrite(Box<(Definition, Definition)>),
    /// The same, only by the virtual function that the device is to have, of which scripts are not
    /// told. Where it cannot be written, the steps after it are taken all the same.
    Note(Box<(Definition, Definition)>),
    /// The device that is described so is made.
    Make(Definition),
    /// The parameters of a running device are set.
    Set(Device, Params),
    /// Scripts are notified of a change to a definition that changes nothing.
    Tell(Definition),
}

impl Step {
    /// Whether it gives room rather than takes it.
    pub fn frees(&self) -> bool {
        matches!(self, Step::Stop(_) | Step::Forget(_) | Step::Delete(_))
    }

    /// The parent whose lock it needs.
    pub fn home(&self) -> &ParentId {
        match self {
            Step::Stop(device) | Step::Set(device, _) => &device.parent,
            Step::Forget(definition)
            | Step::Define(definition, _)
            | Step::Leave(definition)
            | Step::Make(definition)
            | Step::Tell(definition) => &definition.parent,
            Step::Rewrite(both) | Step::Note(both) => &both.1.parent,
            Step::Delete(at) => &at.parent,
        }
    }
}

/// Takes the lock of a parent, has `decide` look at what it protects and name the steps, and takes
/// them. Where one fails, those before it are undone. What was done, and what else `decide` found.
///
/// # Errors
/// As `decide`; what a step failed for, and what could not be undone.
pub fn all_or_nothing<T>(
    context: &Context<'_>,
    home: &ParentId,
    decide: impl FnOnce() -> Result<(Vec<Step>, T)>,
) -> Result<(Vec<Done>, T)> {
    let held = context.store.lock(home)?;
    let (steps, found) = decide()?;
    let mut all = Vec::new();
    for step in steps {
        match take(context, &held, &step) {
            Ok(done) => all.extend(done),
            Err(error) => {
                let failures = undo_each(&all, |done| undo(context, &held, done));
                return Err(with_failures(error, failures));
            }
        }
    }
    Ok((all, found))
}

/// As [`all_or_nothing`], where what was done before a failure stays.
///
/// # Errors
/// As there.
pub fn in_order(
    context: &Context<'_>,
    home: &ParentId,
    decide: impl FnOnce() -> Result<Vec<Step>>,
) -> Result<()> {
    let held = context.store.lock(home)?;
    for step in decide()? {
        match step {
            // How it was does not matter.
            Step::Stop(device) => remove_idle(context, &device, &held)?,
            Step::Delete(at) => forget(context, &held, &at)?,
            step => _ = take(context, &held, &step)?,
        }
    }
    Ok(())
}

/// Takes a step, for which the host was found fit under this lock; `None` where there was nothing to
/// do.
///
/// # Errors
/// A script refuses; the device is in use; what the kernel or the disk answered.
pub fn take(context: &Context<'_>, held: &Lock, step: &Step) -> Result<Option<Done>> {
    Ok(Some(match step {
        Step::Stop(device) => {
            let as_it_was = as_it_was(context, device);
            remove_idle(context, device, held)?;
            Done::Stopped(as_it_was)
        }
        Step::Forget(definition) | Step::Leave(definition) => {
            forget(context, held, &Location::of(definition))?;
            Done::Forgot(definition.clone())
        }
        Step::Delete(at) => {
            let before = context.store.read(at).ok();
            forget(context, held, at)?;
            before.map_or_else(|| Done::Lost(at.parent.clone()), Done::Forgot)
        }
        Step::Define(new, action) => {
            keep(context, held, new, *action)?;
            Done::Defined(new.clone())
        }
        Step::Rewrite(both) => {
            keep(context, held, &both.1, Action::Modify)?;
            Done::Rewrote(both.clone())
        }
        Step::Note(both) => match context.store.write(held, &both.1) {
            Ok(()) => Done::Noted(both.clone()),
            Err(error) => Done::NotNoted(both.1.clone(), error),
        },
        Step::Make(what) => {
            make(context, held, &place(what), what)?;
            Done::Made(what.clone())
        }
        Step::Set(device, wanted) => {
            let before = params_now(context, device).ok().flatten();
            match set_params(context, device, wanted)? {
                true => Done::Set(device.clone(), before.unwrap_or_default()),
                false => return Ok(None),
            }
        }
        Step::Tell(definition) => {
            around(context, definition, Action::Modify, || Ok(()))?;
            return Ok(None);
        }
    }))
}

/// How a running device is made again: by its definition if it has one of its type, else with the
/// parameters that can be read.
fn as_it_was(context: &Context<'_>, device: &Device) -> Definition {
    let defined = context.store.read(&Location::of_device(device));
    if let Ok(defined) = defined
        && defined.type_id == device.type_id
    {
        let vf = device.vf().cloned();
        return Definition { vf, ..defined };
    }
    let mut described = stop::as_described(device);
    if let Ok(Some(params)) = params_now(context, device)
        && !params.is_empty()
    {
        let attr = Attr::new(params::ATTRIBUTE, &params.to_string());
        described.attrs.extend(attr.ok());
    }
    described
}

/// Where a definition's device is made, without looking whether it is there: making it tells.
pub fn place(what: &Definition) -> Parent {
    Parent {
        id: what.vf.clone().unwrap_or_else(|| what.parent.clone()),
        framework: what.framework,
        gpu: what.vf.is_some().then(|| what.parent.clone()),
    }
}

/// Whether two definitions are the same once they are written.
pub fn is_same(one: &Definition, other: &Definition) -> bool {
    as_read(one) == as_read(other)
}
