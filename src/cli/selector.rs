//! Arguments that several verbs share.

use std::time::Duration;

use clap::Args;

use super::complete::Live;
use crate::model::ParentId;
use crate::ops::{Selector, UuidGiven};

// One or more devices.
#[derive(Debug, Args)]
pub struct SelectorsArgs {
    /// UUIDs, or their first 8 or more characters
    #[arg(required = true, value_name = "UUID")]
    uuids: Vec<UuidGiven>,
    /// Only on this parent, if a UUID is defined under several
    #[arg(short, long, value_name = "PARENT", add = Live::Parent)]
    parent: Option<ParentId>,
}

impl SelectorsArgs {
    /// What they select.
    pub fn selectors(self) -> Vec<Selector> {
        let parent = self.parent;
        self.uuids
            .into_iter()
            .map(|uuid| Selector {
                uuid,
                parent: parent.clone(),
            })
            .collect()
    }
}

// One device.
#[derive(Debug, Args)]
pub struct SelectorArgs {
    /// UUID, or its first 8 or more characters
    #[arg(value_name = "UUID")]
    uuid: UuidGiven,
    /// Only on this parent, if the UUID is defined under several
    #[arg(short, long, value_name = "PARENT", add = Live::Parent)]
    parent: Option<ParentId>,
}

impl SelectorArgs {
    /// What it selects.
    pub fn selector(self) -> Selector {
        Selector {
            uuid: self.uuid,
            parent: self.parent,
        }
    }
}

// How long to wait.
#[derive(Debug, Args)]
pub struct WaitArgs {
    /// Wait for processes to close the device, for at most this many seconds
    #[arg(
        long,
        value_name = "SECS",
        default_value_t = 0,
        hide_default_value = true
    )]
    wait: u32,
}

impl WaitArgs {
    /// As a duration.
    pub fn duration(&self) -> Duration {
        Duration::from_secs(self.wait.into())
    }
}
