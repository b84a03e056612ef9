//! `vgpuctl gpus`.

use clap::Args;

use crate::error::Result;
use crate::ops::{self, Context, GpusRequest};
use crate::output::Reply;

#[derive(Debug, Args)]
pub struct GpusArgs {}

impl GpusArgs {
    pub fn run(self, context: &Context<'_>) -> Result<Reply> {
        ops::gpus(context, &GpusRequest {}).map(Reply::Gpus)
    }
}
