//! `vgpuctl modify`.

use clap::Args;

use super::complete::Live;
use super::params::ParamEditArgs;
use super::selector::SelectorArgs;
use super::type_choice::{series, size};
use crate::error::{Error, Kind, Result};
use crate::model::{Attr, StartMode};
use crate::nvidia::Series;
use crate::ops::{self, AttrEdit, Context, FunctionChoice, ModifyRequest, TypeChoice, TypeWants};
use crate::output::Reply;

#[derive(Debug, Args)]
#[command(mut_arg("uuid", |argument| argument.add(Live::DefinedDevice)))]
pub struct ModifyArgs {
    #[command(flatten)]
    which: SelectorArgs,
    /// New type: id, name or short name
    #[arg(short, long = "type", value_name = "TYPE", add = Live::Type)]
    type_name: Option<String>,
    /// Instead of --type: exactly this much framebuffer (2G, 2GiB, 2048M), if only one type matches
    #[arg(long, value_name = "SIZE", value_parser = size, add = Live::Framebuffer)]
    #[arg(conflicts_with = "type_name")]
    framebuffer: Option<u64>,
    /// Instead of --type: this series (A, B, C, Q or gaming), if only one type matches
    #[arg(long, value_parser = series, add = Live::Series, conflicts_with = "type_name")]
    series: Option<Series>,
    /// Start it at boot
    #[arg(long, conflicts_with = "manual")]
    auto: bool,
    /// Do not start it at boot
    #[arg(long)]
    manual: bool,
    /// Virtual function to use from the next start on, or "any" for one that is free then
    #[arg(long, value_name = "VF|any")]
    vf: Option<FunctionChoice>,
    /// Append an attribute; may be repeated
    #[arg(short, long = "attr", value_name = "NAME=VALUE")]
    append: Vec<Attr>,
    /// Replace the attribute at INDEX (from 0); may be repeated
    #[arg(long = "set-attr", num_args = 2, value_names = ["INDEX", "NAME=VALUE"])]
    replace: Vec<String>,
    /// Delete the attribute at INDEX (from 0, as before the change); may be repeated
    #[arg(long = "delete-attr", value_name = "INDEX")]
    delete: Vec<usize>,
    #[command(flatten)]
    params: ParamEditArgs,
    /// Show what would be done without changing anything
    #[arg(long)]
    dry_run: bool,
}

impl ModifyArgs {
    pub fn run(self, context: &Context<'_>) -> Result<Reply> {
        let mut attrs = replacements(&self.replace)?;
        attrs.extend(self.delete.into_iter().map(AttrEdit::Delete));
        attrs.extend(self.append.into_iter().map(AttrEdit::Append));
        let params = self.params.edits(attrs.iter().filter_map(put_in))?;
        let type_choice = type_choice(self.type_name, self.framebuffer, self.series);
        let start = match (self.auto, self.manual) {
            (true, _) => Some(StartMode::Auto),
            (_, true) => Some(StartMode::Manual),
            _ => None,
        };
        let is_about_more = start.is_some() || type_choice.is_some() || self.vf.is_some();
        if attrs.is_empty() && params.is_empty() && !is_about_more {
            return Err(Error::new(Kind::Usage, "nothing to modify").hint(
                "specify what to change: --type, --auto, --manual, --vf, --param, --attr, --set-attr or \
                 --delete-attr",
            ));
        }
        let request = ModifyRequest {
            selector: self.which.selector(),
            type_choice,
            start,
            function: self.vf,
            attrs,
            params,
            dry_run: self.dry_run,
        };
        ops::modify(context, &request).map(Reply::Changed)
    }
}

fn type_choice(
    name: Option<String>,
    framebuffer_mib: Option<u64>,
    series: Option<Series>,
) -> Option<TypeChoice> {
    let is_described = framebuffer_mib.is_some() || series.is_some();
    let wants = TypeWants {
        framebuffer_mib,
        series,
    };
    let described = is_described.then_some(TypeChoice::Fitting(wants));
    name.map(TypeChoice::Named).or(described)
}

/// The attribute that an edit puts into the list.
fn put_in(edit: &AttrEdit) -> Option<&Attr> {
    match edit {
        AttrEdit::Append(attr) | AttrEdit::Replace(_, attr) | AttrEdit::Insert(_, attr) => {
            Some(attr)
        }
        AttrEdit::Delete(_) | AttrEdit::DeleteLast | AttrEdit::Clear => None,
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
                    format!("{:?} is not an attribute index", pair[0]),
                )
                .hint("use: --set-attr INDEX NAME=VALUE")
            })?;
            Ok(AttrEdit::Replace(index, pair[1].parse()?))
        })
        .collect()
}
