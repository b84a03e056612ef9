//! `vgpuctl define`.

use clap::Args;
use uuid::Uuid;

use super::complete::Live;
use super::create::whole_uuid;
use super::params::ParamArgs;
use super::type_choice::TypeChoice;
use crate::error::Result;
use crate::model::{Attr, ParentId, StartMode};
use crate::ops::{self, Context, DefineRequest};
use crate::output::Reply;

#[derive(Debug, Args)]
pub struct DefineArgs {
    #[command(flatten)]
    choice: TypeChoice,
    /// The parent to use
    #[arg(short, long, value_name = "PARENT", add = Live::Parent)]
    parent: ParentId,
    /// Use this UUID instead of a random one
    #[arg(short, long, value_parser = whole_uuid)]
    uuid: Option<Uuid>,
    /// Do not start it at boot
    #[arg(long)]
    manual: bool,
    /// Attribute to set after creation; may be repeated, order is kept
    #[arg(short, long = "attr", value_name = "NAME=VALUE")]
    attrs: Vec<Attr>,
    #[command(flatten)]
    params: ParamArgs,
    /// Show what would be done without changing anything
    #[arg(long)]
    dry_run: bool,
}

impl DefineArgs {
    pub fn run(self, context: &Context<'_>) -> Result<Reply> {
        let (attrs, doubts) = self.params.merged(self.attrs)?;
        let request = DefineRequest {
            type_name: self.choice.type_name(context, Some(&self.parent))?,
            parent: self.parent,
            uuid: self.uuid,
            start: match self.manual {
                true => StartMode::Manual,
                false => StartMode::Auto,
            },
            attrs,
            dry_run: self.dry_run,
        };
        let report = ops::define(context, &request)?;
        Ok(Reply::Made(doubts.told_in(report)))
    }
}
