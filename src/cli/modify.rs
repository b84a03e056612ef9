//! `vgpuctl modify`.

use clap::Args;

use super::selector::SelectorArgs;
use crate::error::{Error, Kind, Result};
use crate::model::{Attr, StartMode};
use crate::ops::{self, AttrEdit, Context, ModifyRequest, TypeWish};
use crate::output::Reply;

/// Change a definition; a device that runs is left as it is
#[derive(Debug, Args)]
pub struct ModifyArgs {
    #[command(flatten)]
    which: SelectorArgs,
    /// Another type: id, name or short name
    #[arg(short, long = "type", value_name = "TYPE")]
    type_name: Option<String>,
    /// Start it at boot
    #[arg(long, conflicts_with = "manual")]
    auto: bool,
    /// Do not start it at boot
    #[arg(long)]
    manual: bool,
    /// Add an attribute at the end; repeat for more
    #[arg(short, long = "attr", value_name = "NAME=VALUE")]
    append: Vec<Attr>,
    /// Put another attribute in the place of the one of that index (from 0); may be repeated
    #[arg(long = "set-attr", num_args = 2, value_names = ["INDEX", "NAME=VALUE"])]
    replace: Vec<String>,
    /// Take out the attribute of that index (from 0, as before the change); may be repeated
    #[arg(long = "delete-attr", value_name = "INDEX")]
    delete: Vec<usize>,
    /// Only say what would be done
    #[arg(long)]
    dry_run: bool,
}

impl ModifyArgs {
    pub fn run(self, context: &Context<'_>) -> Result<Reply> {
        let mut attrs = replacements(&self.replace)?;
        attrs.extend(self.delete.into_iter().map(AttrEdit::Delete));
        attrs.extend(self.append.into_iter().map(AttrEdit::Append));
        let start = match (self.auto, self.manual) {
            (true, _) => Some(StartMode::Auto),
            (_, true) => Some(StartMode::Manual),
            _ => None,
        };
        if attrs.is_empty() && start.is_none() && self.type_name.is_none() {
            return Err(Error::new(Kind::Usage, "nothing to modify").hint(
                "say what to change: --type, --auto, --manual, --attr, --set-attr or --delete-attr",
            ));
        }
        let request = ModifyRequest {
            selector: self.which.selector(),
            type_wish: self.type_name.map(TypeWish::Named),
            start,
            attrs,
            dry_run: self.dry_run,
        };
        ops::modify(context, &request).map(Reply::Changed)
    }
}

/// clap hands over the values of all `--set-attr` in one list, two each.
fn replacements(values: &[String]) -> Result<Vec<AttrEdit>> {
    values
        .chunks_exact(2)
        .map(|pair| {
            let index = pair[0].parse().map_err(|_| {
                Error::new(
                    Kind::Usage,
                    format!("{:?} is not the index of an attribute", pair[0]),
                )
                .hint("write it as: --set-attr INDEX NAME=VALUE")
            })?;
            Ok(AttrEdit::Replace(index, pair[1].parse()?))
        })
        .collect()
}
