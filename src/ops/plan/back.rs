//! What was done, taken back.

use super::apply::{is_same, place};
use crate::error::{Error, Result, if_present};
use crate::model::Definition;
use crate::ops::activate::make;
use crate::ops::deactivate::remove_idle;
use crate::ops::wishes::{forget, keep};
use crate::ops::{Action, Context};
use crate::store::Location;

/// A step that was taken.
#[derive(Debug, Clone)]
pub enum Done {
    /// A device went, which was made like this.
    Stopped(Definition),
    /// This definition was deleted.
    Forgot(Definition),
    /// This definition was written.
    Defined(Definition),
    /// The first was replaced by the second.
    Rewrote(Box<(Definition, Definition)>),
    /// This device was made.
    Made(Definition),
}

/// Takes back what was done, the last first. One that cannot be taken back does not keep the others.
/// The cause comes first; then what could not be taken back, then how much was.
pub fn take_back(context: &Context<'_>, done: Vec<Done>, cause: Error) -> Error {
    let total = done.len();
    let mut failures = Vec::new();
    for one in done.iter().rev() {
        failures.extend(undo(context, one).err());
    }
    if total == 0 {
        return cause.hint("nothing was changed");
    }
    let mut failures = failures.into_iter();
    let first = failures.next();
    let more: Vec<String> = failures.map(|error| error.to_string()).collect();
    let left = usize::from(first.is_some()) + more.len();
    let cause = cause.hint(match left {
        0 => format!("all {total} steps before it were taken back: the host is as it was"),
        _ => format!(
            "{} of {total} steps before it were taken back",
            total - left
        ),
    });
    let cause = cause.hints(
        more.into_iter()
            .map(|line| format!("not taken back: {line}")),
    );
    cause.and_clean_up(first.map_or(Ok(()), Err))
}

fn undo(context: &Context<'_>, done: &Done) -> Result<()> {
    match done {
        Done::Stopped(what) => {
            let held = context.store.lock(&what.parent)?;
            match context.kernel.device(what.uuid)? {
                None => make(context, &held, &place(what), what),
                Some(_) => Ok(()),
            }
        }
        Done::Forgot(definition) => {
            let held = context.store.lock(&definition.parent)?;
            match if_present(context.store.read(&Location::of(definition)))? {
                None => keep(context, &held, definition, Action::Define),
                Some(_) => Ok(()),
            }
        }
        Done::Defined(new) => {
            let held = context.store.lock(&new.parent)?;
            let at = Location::of(new);
            match if_present(context.store.read(&at))? {
                Some(now) if is_same(&now, new) => forget(context, &held, &at),
                _ => Ok(()),
            }
        }
        Done::Rewrote(both) => {
            let (old, new) = both.as_ref();
            let held = context.store.lock(&new.parent)?;
            match if_present(context.store.read(&Location::of(new)))? {
                Some(now) if is_same(&now, new) => keep(context, &held, old, Action::Modify),
                _ => Ok(()),
            }
        }
        Done::Made(what) => {
            let held = context.store.lock(&what.parent)?;
            match context.kernel.device(what.uuid)? {
                Some(device) => remove_idle(context, &device, &held),
                None => Ok(()),
            }
        }
    }
}
