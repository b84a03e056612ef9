//! `vgpuctl stop`.

use clap::Args;

use super::complete::Live;
use super::selector::{SelectorsArgs, WaitArgs};
use crate::error::Result;
use crate::ops::{self, Context, StopRequest};
use crate::output::Reply;

#[derive(Debug, Args)]
#[command(mut_arg("uuids", |argument| argument.add(Live::ActiveDevice)))]
pub struct StopArgs {
    #[command(flatten)]
    which: SelectorsArgs,
    #[command(flatten)]
    wait: WaitArgs,
    /// Show what would be done without changing anything
    #[arg(long)]
    dry_run: bool,
}

impl StopArgs {
    pub fn run(self, context: &Context<'_>) -> Result<Reply> {
        let request = StopRequest {
            selectors: self.which.selectors(),
            wait: self.wait.duration(),
            dry_run: self.dry_run,
        };
        Ok(Reply::Changed(ops::stop(context, &request)))
    }
}
