//! `vgpuctl assert`.

use clap::Args;

use super::declaration::DeclarationArgs;
use crate::error::Result;
use crate::ops::Context;
use crate::output::Reply;

#[derive(Debug, Args)]
pub struct AssertArgs {
    #[command(flatten)]
    file: DeclarationArgs,
}

impl AssertArgs {
    pub fn run(self, context: &Context<'_>) -> Result<Reply> {
        Ok(Reply::Asserted(self.file.plan(context)?))
    }
}
