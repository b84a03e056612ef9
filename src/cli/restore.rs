//! `vgpuctl restore`.

use std::time::Duration;

use clap::Args;

use super::complete::Live;
use crate::error::Result;
use crate::model::ParentId;
use crate::ops::{self, Context, RestoreRequest};
use crate::output::Reply;

#[derive(Debug, Args)]
pub struct RestoreArgs {
    /// Only devices of this parent
    #[arg(short, long, value_name = "PARENT", add = Live::Parent)]
    parent: Option<ParentId>,
    /// Wait for parents that do not exist yet, for at most this many seconds
    #[arg(
        long,
        value_name = "SECS",
        default_value_t = 0,
        hide_default_value = true
    )]
    wait: u32,
    /// Only show what the next boot will do, regardless of what is running now
    #[arg(long)]
    dry_run: bool,
    /// With --dry-run: show what would be done now
    #[arg(long)]
    now: bool,
}

impl RestoreArgs {
    pub fn run(self, context: &Context<'_>) -> Result<Reply> {
        let request = RestoreRequest {
            parent: self.parent,
            wait: Duration::from_secs(self.wait.into()),
            dry_run: self.dry_run,
            now: self.now,
        };
        ops::restore(context, &request).map(Reply::Restored)
    }
}
