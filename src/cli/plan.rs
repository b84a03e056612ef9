//! `vgpuctl plan`.

use clap::Args;

use super::declaration::DeclarationArgs;
use crate::error::Result;
use crate::ops::Context;
use crate::output::{Lines, Reply};

#[derive(Debug, Args)]
pub struct PlanArgs {
    #[command(flatten)]
    file: DeclarationArgs,
    /// Also list vGPUs that match the declaration
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
