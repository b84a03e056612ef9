//! `vgpuctl doctor`.

use clap::Args;
use clap::builder::PossibleValuesParser;

use super::outlook::outlook;
use crate::doctor::{CHECKS, Facts, examine};
use crate::error::Result;
use crate::hints::PROGRAM;
use crate::host::Host;
use crate::ops::Context;
use crate::output::Reply;

#[derive(Debug, Args)]
#[command(after_help = "\
Makes no changes. Without root, some checks cannot be made. Exit status: 0 healthy, 1 problems.")]
pub struct DoctorArgs {
    /// Run only these checks, and those they depend on
    #[arg(value_name = "CHECK", value_parser = known(), hide_possible_values = true)]
    checks: Vec<String>,
    /// List all checks
    #[arg(long, conflicts_with = "checks")]
    list: bool,
}

fn known() -> PossibleValuesParser {
    PossibleValuesParser::new(CHECKS.iter().map(|check| check.id))
}

impl DoctorArgs {
    pub fn run(self, host: &Host) -> Result<Reply> {
        if self.list {
            return Ok(Reply::Checks(CHECKS));
        }
        let context = Context::of(host).snapshot();
        let mut facts = Facts::read(&context.kernel, &context.store, PROGRAM);
        facts.outlook = outlook(&context);
        Ok(Reply::Doctor(examine(&facts, &self.checks)))
    }
}
