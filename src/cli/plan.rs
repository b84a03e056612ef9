//! `vgpuctl plan`.

use clap::Args;

use super::declaration::DeclarationArgs;
use crate::error::Result;
use crate::ops::Context;
use crate::output::{Lines, Reply};

/// Say what there is to do to have this host as a file declares it
///
/// One line for each vGPU that is to be created (+), changed (~) or removed (-), or that is blocked
/// (!), each with its reason. Nothing is changed. The exit status is 0 where there is nothing to do,
/// 2 where there is, and 1 for any error.
#[derive(Debug, Args)]
pub struct PlanArgs {
    #[command(flatten)]
    file: DeclarationArgs,
    /// Also list what is as declared
    #[arg(long)]
    all: bool,
}

impl PlanArgs {
    pub fn run(self, context: &Context<'_>) -> Result<Reply> {
        let answer = self.file.plan(context)?;
        let lines = match self.all {
            true => Lines::All,
            false => Lines::Differences,
        };
        Ok(Reply::Planned(answer, lines))
    }
}
