//! `vgpuctl remove`.

use clap::Args;

use super::complete::Live;
use super::selector::{SelectorsArgs, WaitArgs};
use crate::error::Result;
use crate::ops::{self, Context, RemoveRequest, StopRequest};
use crate::output::Reply;

#[derive(Debug, Args)]
#[command(mut_arg("uuids", |argument| argument.add(Live::ActiveDevice)))]
pub struct RemoveArgs {
    #[command(flatten)]
    which: SelectorsArgs,
    /// Keep the definition: the device is restored at boot
    #[arg(long)]
    keep_definition: bool,
    #[command(flatten)]
    wait: WaitArgs,
    /// Show what would be done without changing anything
    #[arg(long)]
    dry_run: bool,
}

impl RemoveArgs {
    pub fn run(self, context: &Context<'_>) -> Result<Reply> {
        let (selectors, wait) = (self.which.selectors(), self.wait.duration());
        let report = match self.keep_definition {
            true => ops::stop(
                context,
                &StopRequest {
                    selectors,
                    wait,
                    dry_run: self.dry_run,
                },
            ),
            false => ops::remove(
                context,
                &RemoveRequest {
                    selectors,
                    wait,
                    dry_run: self.dry_run,
                },
            ),
        };
        Ok(Reply::Changed(report))
    }
}
