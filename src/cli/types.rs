//! `vgpuctl types`.

use clap::Args;

use crate::error::Result;
use crate::model::ParentId;
use crate::ops::{self, Context, TypesRequest};
use crate::output::Reply;

/// List the types that each parent can be split into
#[derive(Debug, Args)]
pub struct TypesArgs {
    /// Only this parent's types
    #[arg(short, long, value_name = "PARENT")]
    parent: Option<ParentId>,
    /// Only types that have a free instance
    #[arg(short, long)]
    available: bool,
}

impl TypesArgs {
    pub fn run(self, context: &Context<'_>) -> Result<Reply> {
        let request = TypesRequest {
            parent: self.parent,
            available: self.available,
        };
        ops::types(context, &request).map(Reply::Types)
    }
}
