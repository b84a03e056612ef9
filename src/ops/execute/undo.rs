//! Steps that were taken, undone.

use std::collections::HashSet;

use super::definitions::{forget, keep};
use super::make::make;
use super::stop::remove_idle;
use super::{is_same, place};
use crate::error::{Error, Result, if_present};
use crate::model::{Definition, Device, ParentId};
use crate::nvidia::params::Params;
use crate::ops::params::set_params;
use crate::ops::{Action, Context};
use crate::store::{Location, Lock};

/// A step that was taken.
#[derive(Debug, Clone)]
pub enum Done {
    /// A device went, which was made like this.
    Stopped(Definition),
    /// This definition was deleted.
    Forgot(Definition),
    /// One that cannot be read was deleted, of this parent: it is lost.
    Lost(ParentId),
    /// This definition was written.
    Defined(Definition),
    /// The first was replaced by the second.
    Rewrote(Box<(Definition, Definition)>),
    /// The same, only by the virtual function that the device has.
    Noted(Box<(Definition, Definition)>),
    /// The function could not be noted, and what came after did not wait for it.
    NotNoted(Definition, Error),
    /// This device was made.
    Made(Definition),
    /// A device has other parameters than these.
    Set(Device, Params),
}

/// Undoes what was done, the last first, each under its parent's lock. One that cannot be undone does
/// not keep the others. The cause comes first; then what could not be undone, then how much was.
pub fn take_back(context: &Context<'_>, done: &[Done], cause: Error) -> Error {
    let (total, failures) = (done.len(), undo_all(context, done));
    let cause = cause.hint(match (total, failures.len()) {
        (0, _) => "nothing was changed".to_owned(),
        (_, 0) => format!("all {total} steps before it were rolled back: the host is unchanged"),
        (_, left) => format!(
            "{} of {total} steps before it were rolled back",
            total - left
        ),
    });
    with_failures(cause, failures)
}

/// Undoes what was done as [`take_back`] does; why the others could not be.
pub fn undo_all(context: &Context<'_>, done: &[Done]) -> Vec<Error> {
    undo_each(done, |done| {
        let held = context.store.lock(done.home())?;
        undo(context, &held, done)
    })
}

/// Undoes each, the last first; why some could not be. The definition of a device that is still there
/// stays.
pub fn undo_each(done: &[Done], undo: impl Fn(&Done) -> Result<()>) -> Vec<Error> {
    let (mut failures, mut left) = (Vec::new(), HashSet::new());
    for done in done.iter().rev() {
        if matches!(done, Done::Defined(what) if left.contains(&what.uuid)) {
            continue;
        }
        if let Err(error) = undo(done) {
            failures.push(error);
            if let Done::Made(what) = done {
                left.insert(what.uuid);
            }
        }
    }
    failures
}

/// The cause of a failure, and what could not be undone after it.
pub fn with_failures(cause: Error, failures: Vec<Error>) -> Error {
    let mut failures = failures.into_iter();
    let first = failures.next().map_or(Ok(()), Err);
    let more = failures.map(|error| format!("not rolled back: {error}"));
    cause.hints(more.collect::<Vec<_>>()).and_clean_up(first)
}

impl Done {
    /// What is to be said of a function that could not be noted.
    pub fn not_noted(&self) -> Option<Error> {
        let Done::NotNoted(definition, error) = self else {
            return None;
        };
        let Definition { uuid, parent, .. } = definition;
        let vf = definition.vf.as_ref().unwrap_or(parent);
        Some(error.clone().retold(format!(
            "{uuid} is on {vf}, but this cannot be recorded in its definition: it may be on another \
             function after the next boot"
        )))
    }

    fn home(&self) -> &ParentId {
        match self {
            Done::Stopped(what)
            | Done::Forgot(what)
            | Done::Defined(what)
            | Done::NotNoted(what, _)
            | Done::Made(what) => &what.parent,
            Done::Rewrote(both) | Done::Noted(both) => &both.1.parent,
            Done::Lost(parent) => parent,
            Done::Set(device, _) => &device.parent,
        }
    }
}

/// Undoes one step, unless somebody else has been at it since. Call it with the lock of its parent.
///
/// # Errors
/// What the kernel or the disk answered.
pub fn undo(context: &Context<'_>, held: &Lock, done: &Done) -> Result<()> {
    let read = |definition: &Definition| if_present(context.store.read(&Location::of(definition)));
    let is_still =
        |now: &Definition| read(now).map(|found| found.is_some_and(|it| is_same(&it, now)));
    match done {
        Done::Stopped(what) => match context.kernel.device(what.uuid)? {
            None => make(context, held, &place(what), what),
            Some(_) => Ok(()),
        },
        Done::Forgot(definition) => match read(definition)? {
            None => keep(context, held, definition, Action::Define),
            Some(_) => Ok(()),
        },
        Done::Defined(new) => match is_still(new)? {
            true => forget(context, held, &Location::of(new)),
            false => Ok(()),
        },
        Done::Rewrote(both) => match is_still(&both.1)? {
            true => keep(context, held, &both.0, Action::Modify),
            false => Ok(()),
        },
        Done::Noted(both) => match is_still(&both.1)? {
            true => context.store.write(held, &both.0),
            false => Ok(()),
        },
        Done::Made(what) => match context.kernel.device(what.uuid)? {
            Some(device) => remove_idle(context, &device, held),
            None => Ok(()),
        },
        Done::Set(device, before) => set_params(context, device, before).map(|_| ()),
        Done::NotNoted(..) | Done::Lost(_) => Ok(()),
    }
}
