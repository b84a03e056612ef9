//! `vgpuctl list`.

use clap::Args;

use super::complete::Live;
use crate::error::Result;
use crate::model::ParentId;
use crate::ops::{self, Context, ListRequest, Which};
use crate::output::Reply;

#[derive(Debug, Args)]
pub struct ListArgs {
    /// Only active devices
    #[arg(short, long, conflicts_with = "defined")]
    active: bool,
    /// Only devices that have a definition
    #[arg(short, long)]
    defined: bool,
    /// Only devices of this parent
    #[arg(short, long, value_name = "PARENT", add = Live::Parent)]
    parent: Option<ParentId>,
    /// Only devices of this type: id, name or short name
    #[arg(short, long = "type", value_name = "TYPE", add = Live::Type)]
    type_name: Option<String>,
}

impl ListArgs {
    pub fn run(self, context: &Context<'_>) -> Result<Reply> {
        let which = match (self.active, self.defined) {
            (true, _) => Which::Active,
            (_, true) => Which::Defined,
            _ => Which::All,
        };
        let request = ListRequest {
            which,
            parent: self.parent,
            type_name: self.type_name,
        };
        ops::list(context, &request).map(Reply::List)
    }
}
