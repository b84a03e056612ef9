//! `vgpuctl show`.

use clap::Args;

use super::complete::Live;
use super::selector::SelectorArgs;
use crate::error::Result;
use crate::ops::{self, Context, ShowRequest};
use crate::output::Reply;

#[derive(Debug, Args)]
#[command(mut_arg("uuid", |argument| argument.add(Live::Device)))]
pub struct ShowArgs {
    #[command(flatten)]
    which: SelectorArgs,
}

impl ShowArgs {
    pub fn run(self, context: &Context<'_>) -> Result<Reply> {
        let request = ShowRequest {
            selector: self.which.selector(),
        };
        ops::show(context, &request).map(|answer| Reply::Show(Box::new(answer)))
    }
}
