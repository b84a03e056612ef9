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
    /// Such as `created`, `removed`, `started`, `enabled` (virtual functions), `mig-enabled`,
    /// `gpu-instances-created`, `unchanged` or `failed`; with --dry-run `would-create` and the like.
    result: String,
    /// The profiles of GPU instances that were, or would be, created; missing in other results.
    #[serde(skip_serializing_if = "Option::is_none")]
    gpu_instances: Option<&'a [String]>,
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
            Effect::MigEnabled => "mig-enabled".to_owned(),
            Effect::WouldEnableMig => "would-enable-mig".to_owned(),
            Effect::InstancesCreated(_) => "gpu-instances-created".to_owned(),
            Effect::WouldCreateInstances(_) => "would-create-gpu-instances".to_owned(),
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
            gpu_instances: match &change.effect {
                Effect::InstancesCreated(profiles) | Effect::WouldCreateInstances(profiles) => {
                    Some(profiles)
                }
                _ => None,
            },
            error: change.error().map(Error::from),
        }
    }
}
