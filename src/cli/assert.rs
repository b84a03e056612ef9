//! `vgpuctl assert`.

use clap::Args;

use super::declaration::DeclarationArgs;
use crate::error::Result;
use crate::ops::Context;
use crate::output::Reply;

/// Tell by the exit status whether this host is as a file declares it
///
/// As plan: 0 where it is, 2 where it is not, 1 for any error. Prints only what differs.
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
