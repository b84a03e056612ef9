//! `vgpuctl mig`.

use clap::Args;

use super::complete::Live;
use crate::error::Result;
use crate::model::ParentId;
use crate::ops::{self, Context, MigRequest};
use crate::output::Reply;

#[derive(Debug, Args)]
pub struct MigArgs {
    /// Only this GPU
    #[arg(value_name = "GPU", add = Live::SriovGpu)]
    gpu: Option<ParentId>,
}

impl MigArgs {
    pub fn run(self, context: &Context<'_>) -> Result<Reply> {
        ops::mig(context, &MigRequest { gpu: self.gpu }).map(Reply::Mig)
    }
}
