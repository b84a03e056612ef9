//! What was done to devices and definitions.

use schemars::JsonSchema;
use serde::Serialize;

use super::Error;
use crate::model::ParentId;
use crate::ops::{self, Effect};

/// The answer of the verbs that change devices or definitions.
#[derive(Serialize, JsonSchema)]
pub struct Changes<'a> {
    /// The devices, in the order in which they were changed.
    pub changes: Vec<Change<'a>>,
}

/// A device and what became of it.
#[derive(Serialize, JsonSchema)]
pub struct Change<'a> {
    /// Its UUID; null where it would get a random one.
    uuid: Option<String>,
    /// Its parent.
    parent: Option<&'a str>,
    /// Its virtual function.
    vf: Option<&'a str>,
    /// The type's id.
    r#type: Option<&'a str>,
    /// The type's name.
    type_name: Option<&'a str>,
    /// Such as `created`, `removed`, `started`, `enabled`, `unchanged` or `failed`; with --dry-run
    /// `would-create` and the like.
    result: String,
    /// Why it failed.
    error: Option<Error<'a>>,
}

impl<'a> From<&'a ops::Change> for Change<'a> {
    fn from(change: &'a ops::Change) -> Self {
        let result = match &change.effect {
            Effect::Done(action) => action.done().to_owned(),
            Effect::Planned(action) => format!("would-{}", action.verb()),
            Effect::Enabled => "enabled".to_owned(),
            Effect::WouldEnable => "would-enable".to_owned(),
            Effect::Already(_) => "unchanged".to_owned(),
            Effect::Failed(_) => "failed".to_owned(),
        };
        Change {
            uuid: change.uuid.map(|uuid| uuid.to_string()),
            parent: change.parent.as_ref().map(ParentId::as_str),
            vf: change.vf.as_ref().map(ParentId::as_str),
            r#type: change.type_id.as_ref().map(|id| id.as_str()),
            type_name: change.type_name.as_deref(),
            result,
            error: change.error().map(Error::from),
        }
    }
}
