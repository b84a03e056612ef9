//! The arguments that set a vGPU's parameters.

use clap::Args;

use super::for_clap;
use crate::error::{Error, Kind, Result};
use crate::model::Attr;
use crate::nvidia::Invalid;
use crate::nvidia::params::{ATTRIBUTE, ParamEdit, doubts, refuse_doubles};
use crate::ops::{Report, holds_params, with_params};

// Parameters of a new device.
#[derive(Debug, Args)]
pub struct ParamArgs {
    /// NVIDIA vGPU parameter, such as frame_rate_limiter=0; may be repeated
    #[arg(long = "param", value_name = "NAME=VALUE", value_parser = setting)]
    params: Vec<ParamEdit>,
}

impl ParamArgs {
    /// The attributes including these parameters, and the notes on the parameters.
    ///
    /// # Errors
    /// [`Kind::Usage`] if the same is set in two ways.
    pub fn merged(self, attrs: Vec<Attr>) -> Result<(Vec<Attr>, Doubts)> {
        refuse_conflict(&self.params, &attrs)?;
        let doubts = Doubts(doubts(&self.params));
        Ok((with_params(attrs, &self.params)?, doubts))
    }
}

/// Notes on unusual parameters, which are passed on nevertheless.
#[derive(Debug)]
pub struct Doubts(Vec<String>);

impl Doubts {
    /// The report, with these notes first.
    pub fn told_in(self, mut report: Report) -> Report {
        report.notes.splice(0..0, self.0);
        report
    }
}

// Changes to the parameters of a definition.
#[derive(Debug, Args)]
pub struct ParamEditArgs {
    /// Set an NVIDIA vGPU parameter, such as frame_rate_limiter=0, and keep the others; an empty
    /// value deletes it; may be repeated. An active device must not be in use
    #[arg(long = "param", value_name = "NAME=VALUE", value_parser = setting)]
    params: Vec<ParamEdit>,
    /// Delete a parameter; may be repeated
    #[arg(long = "del-param", value_name = "NAME", value_parser = removal)]
    removals: Vec<ParamEdit>,
}

impl ParamEditArgs {
    /// The changes, given the attributes that the same command sets.
    ///
    /// # Errors
    /// [`Kind::Usage`] if the same is set in two ways.
    pub fn edits<'a>(self, attrs: impl IntoIterator<Item = &'a Attr>) -> Result<Vec<ParamEdit>> {
        let mut edits = self.params;
        edits.extend(self.removals);
        refuse_doubles(&edits)?;
        refuse_conflict(&edits, attrs)?;
        Ok(edits)
    }
}

fn refuse_conflict<'a>(
    params: &[ParamEdit],
    attrs: impl IntoIterator<Item = &'a Attr>,
) -> Result<()> {
    match !params.is_empty() && attrs.into_iter().any(holds_params) {
        true => Err(Error::new(
            Kind::Usage,
            format!("parameters by name and the whole attribute {ATTRIBUTE} cannot be combined"),
        )
        .hint("set all of them by name: --param frame_rate_limiter=0 --param disable_vnc=1")),
        false => Ok(()),
    }
}

fn setting(text: &str) -> std::result::Result<ParamEdit, String> {
    text.parse()
        .map_err(|error: Invalid| for_clap(&error.into()))
}

fn removal(text: &str) -> std::result::Result<ParamEdit, String> {
    ParamEdit::remove(text).map_err(|error: Invalid| for_clap(&error.into()))
}
