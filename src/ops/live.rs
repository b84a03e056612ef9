//! A running device changed with its script's help, its definition left alone.

use super::Context;
use super::execute::subject;
use crate::error::Result;
use crate::model::Definition;

/// Hands a running device, as it is to be, to the script that serves its type.
///
/// # Errors
/// No script can change devices of this type while they run; the script refuses.
pub fn modify_live(context: &Context<'_>, wanted: &Definition) -> Result<()> {
    let _lock = context.store.lock(&wanted.parent)?;
    let mut warnings = Vec::new();
    let result = context.scripts.live_modify(&subject(wanted), &mut warnings);
    for warning in warnings {
        log::warn!("{warning}");
    }
    result
}
