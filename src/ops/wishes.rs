//! Definitions written and deleted as the host's scripts are told of it.

use super::callouts::around;
use super::{Action, Context};
use crate::error::Result;
use crate::model::Definition;
use crate::store::{Location, Lock};

/// Writes a definition, which is new ([`Action::Define`]) or changed ([`Action::Modify`]).
///
/// # Errors
/// A script refuses; what the disk answered.
pub fn keep(
    context: &Context<'_>,
    lock: &Lock,
    definition: &Definition,
    action: Action,
) -> Result<()> {
    around(context, definition, action, || {
        context.store.write(lock, definition)
    })
}

/// Deletes a definition. Scripts are told only of one that can be read.
///
/// # Errors
/// A script refuses; what the disk answered.
pub fn forget(context: &Context<'_>, lock: &Lock, at: &Location) -> Result<()> {
    let delete = || context.store.delete(lock, at);
    match context.store.read(at) {
        Ok(definition) => around(context, &definition, Action::Undefine, delete),
        Err(_) => delete(),
    }
}
