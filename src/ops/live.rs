//! A running device changed with its script's help, its definition left alone.

use super::callouts::subject;
use super::modify::edited;
use super::{AttrEdit, Context};
use crate::error::Result;
use crate::model::Definition;

/// Hands the device's attributes, as they are to be, to the script that serves its type.
///
/// # Errors
/// No script can change devices of this type while they run; the script refuses.
pub fn modify_live(
    context: &Context<'_>,
    mut running: Definition,
    edits: &[AttrEdit],
) -> Result<()> {
    running.attrs = edited(running.attrs, edits)?;
    let _lock = context.store.lock(&running.parent)?;
    let mut warnings = Vec::new();
    let result = context
        .scripts
        .live_modify(&subject(&running), &mut warnings);
    for warning in warnings {
        log::warn!("{warning}");
    }
    result
}
