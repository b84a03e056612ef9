//! `vgpuctl export`.

use clap::Args;

use crate::error::Result;
use crate::ops::{self, Context};
use crate::output::Reply;

#[derive(Debug, Args)]
pub struct ExportArgs {}

impl ExportArgs {
    pub fn run(self, context: &Context<'_>) -> Result<Reply> {
        ops::export(context).map(Reply::Exported)
    }
}
