//! The arguments by which a type is chosen.

use clap::Args;

use super::complete::Live;
use super::for_clap;
use crate::error::Result;
use crate::model::ParentId;
use crate::nvidia::{Invalid, Series, parse_size};
use crate::ops::{Context, TypeWants, pick_type};

// One type: by its name, or as the only one that fits.
#[derive(Debug, Args)]
pub struct TypeChoice {
    /// The type: id, name or short name (nvidia-63, "GRID P4-1Q", P4-1Q)
    #[arg(short, long = "type", value_name = "TYPE", add = Live::Type)]
    #[arg(required_unless_present_any = ["framebuffer", "series"])]
    #[arg(conflicts_with_all = ["framebuffer", "series"])]
    type_name: Option<String>,
    /// Instead of --type: exactly this much framebuffer (2G, 2GiB, 2048M), if only one type matches
    #[arg(long, value_name = "SIZE", value_parser = size, add = Live::Framebuffer)]
    framebuffer: Option<u64>,
    /// Instead of --type: this series (A, B, C, Q or gaming), if only one type matches
    #[arg(long, value_parser = series, add = Live::Series)]
    series: Option<Series>,
}

impl TypeChoice {
    /// The name of the chosen type, on all parents or on the `only` one.
    ///
    /// # Errors
    /// Not exactly one type fits.
    pub fn type_name(self, context: &Context<'_>, only: Option<&ParentId>) -> Result<String> {
        match self.type_name {
            Some(name) => Ok(name),
            None => {
                let wants = TypeWants {
                    framebuffer_mib: self.framebuffer,
                    series: self.series,
                };
                pick_type(context, wants, only).map(|id| id.as_str().to_owned())
            }
        }
    }
}

/// For clap: a framebuffer size, in MiB.
pub fn size(text: &str) -> std::result::Result<u64, String> {
    parse_size(text).map_err(|error: Invalid| for_clap(&error.into()))
}

/// For clap: a series of types.
pub fn series(text: &str) -> std::result::Result<Series, String> {
    text.parse()
        .map_err(|error: Invalid| for_clap(&error.into()))
}
