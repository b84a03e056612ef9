//! `vgpuctl start`.

use clap::Args;

use super::complete::Live;
use super::selector::SelectorsArgs;
use crate::error::Result;
use crate::ops::{self, Context, StartRequest};
use crate::output::Reply;

#[derive(Debug, Args)]
#[command(mut_arg("uuids", |argument| argument.add(Live::InactiveDevice)))]
pub struct StartArgs {
    #[command(flatten)]
    which: SelectorsArgs,
    /// Show what would be done without changing anything
    #[arg(long)]
    dry_run: bool,
}

impl StartArgs {
    pub fn run(self, context: &Context<'_>) -> Result<Reply> {
        let request = StartRequest {
            selectors: self.which.selectors(),
            dry_run: self.dry_run,
        };
        Ok(Reply::Changed(ops::start(context, &request)))
    }
}
