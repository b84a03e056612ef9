//! Definitions written and deleted as the host's scripts are notified of it.

use uuid::Uuid;

use super::callouts::around;
use crate::error::{Error, Result};
use crate::model::{Attr, Definition, StartMode};
use crate::ops::{Action, Context};
use crate::store::{Location, Lock};

/// Writes a definition, which is new ([`Action::Define`]) or changed ([`Action::Modify`]).
///
/// # Errors
/// It would not be read again; a script refuses; what the disk answered.
pub fn keep(
    context: &Context<'_>,
    lock: &Lock,
    definition: &Definition,
    action: Action,
) -> Result<()> {
    // Before scripts hear of what cannot be.
    context.store.refuse_long(definition)?;
    around(context, definition, action, || {
        context.store.write(lock, definition)
    })
}

/// Refuses attributes with which a definition would not be read again, wherever it is to be.
///
/// # Errors
/// [`Kind::Usage`](crate::error::Kind::Usage).
pub fn refuse_long(
    context: &Context<'_>,
    uuid: Option<Uuid>,
    start: StartMode,
    attrs: &[Attr],
) -> Result<()> {
    let any = "any";
    let mut probe = Definition::new(uuid.unwrap_or_default(), any.parse()?, any.parse()?, start);
    probe.attrs = attrs.to_vec();
    context
        .store
        .refuse_long(&probe)
        .map_err(|error| Error::new(error.kind(), error.message()).hints_of(&error))
}

/// Deletes a definition. Scripts are notified only of one that can be read.
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
