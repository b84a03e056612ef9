//! The host's scripts around a change of one device.

use crate::error::Result;
use crate::model::Definition;
use crate::ops::{Action, Context};
use crate::scripts::{self, Subject};
use crate::store::essence;

/// Runs `work` between the scripts that care. What they get wrong afterwards is only told: the work
/// is done.
///
/// # Errors
/// A script refuses beforehand; what `work` says.
pub fn around<T>(
    context: &Context<'_>,
    definition: &Definition,
    action: Action,
    work: impl FnOnce() -> Result<T>,
) -> Result<T> {
    let subject = subject(definition);
    let mut warnings = Vec::new();
    let result = context.scripts.around(
        &subject,
        script_action(action),
        context.refusals,
        &mut warnings,
        work,
    );
    for warning in warnings {
        log::warn!("{warning}");
    }
    result
}

/// What scripts are notified of a device.
pub fn subject(definition: &Definition) -> Subject<'_> {
    Subject {
        uuid: definition.uuid,
        parent: &definition.parent,
        type_id: &definition.type_id,
        document: essence(definition).to_string(),
    }
}

fn script_action(action: Action) -> scripts::Action {
    match action {
        Action::Start => scripts::Action::Start,
        Action::Stop => scripts::Action::Stop,
        Action::Define => scripts::Action::Define,
        Action::Undefine => scripts::Action::Undefine,
        Action::Modify => scripts::Action::Modify,
        // Both are told step by step: define and start, stop and undefine.
        Action::Create => scripts::Action::Start,
        Action::Remove => scripts::Action::Stop,
    }
}
