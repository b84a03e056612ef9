//! `vgpuctl undefine`.

use clap::Args;

use super::complete::Live;
use super::selector::SelectorsArgs;
use crate::error::Result;
use crate::ops::{self, Context, UndefineRequest};
use crate::output::Reply;

#[derive(Debug, Args)]
#[command(mut_arg("uuids", |argument| argument.add(Live::DefinedDevice)))]
pub struct UndefineArgs {
    #[command(flatten)]
    which: SelectorsArgs,
    /// Show what would be done without changing anything
    #[arg(long)]
    dry_run: bool,
}

impl UndefineArgs {
    pub fn run(self, context: &Context<'_>) -> Result<Reply> {
        let request = UndefineRequest {
            selectors: self.which.selectors(),
            dry_run: self.dry_run,
        };
        Ok(Reply::Changed(ops::undefine(context, &request)))
    }
}
