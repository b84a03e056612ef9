//! `vgpuctl export`.

use clap::Args;

use crate::error::Result;
use crate::ops::{self, Context};
use crate::output::Reply;

/// Write this host down as a file for plan and apply
///
/// Each vGPU that is defined, by its UUID, on its GPU, with its attributes; comments tell what is
/// active without a definition. A plan of the file has nothing to do.
#[derive(Debug, Args)]
pub struct ExportArgs {}

impl ExportArgs {
    pub fn run(self, context: &Context<'_>) -> Result<Reply> {
        ops::export(context).map(Reply::Exported)
    }
}
