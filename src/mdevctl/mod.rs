//! The other face: what programs that call `mdevctl` and `lsmdev` expect, over the same operations.
//!
//! Command line, output and exit statuses are those of mdevctl 1.4.0 as observed, except where that
//! loses data or hides a cause (see `tests/differential`).

mod args;
mod change;
mod list;
mod print;
mod types;

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;

use crate::error::Result;
use crate::host::Host;
use crate::interrupt;
use crate::ops::Context;
use crate::scripts::Refusals;
use args::{Command, Lsmdev, Mdevctl};

/// The names under which the program is mdevctl.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Name {
    /// The whole of it.
    Mdevctl,
    /// `mdevctl list` alone.
    Lsmdev,
}

impl Name {
    /// The personality that a program name asks for: these names exactly, whatever their folder.
    pub fn of(program: &OsStr) -> Option<Name> {
        match Path::new(program).file_name()?.to_str()? {
            "mdevctl" => Some(Name::Mdevctl),
            "lsmdev" => Some(Name::Lsmdev),
            _ => None,
        }
    }
}

/// Runs one command line and says how it ended.
pub fn run(name: Name, arguments: impl Iterator<Item = OsString>) -> ExitCode {
    print::start_warnings();
    let command = match name {
        Name::Mdevctl => Mdevctl::try_parse_from(arguments).map(|parsed| parsed.command),
        Name::Lsmdev => Lsmdev::try_parse_from(arguments).map(|parsed| Command::List(parsed.list)),
    };
    let status = match command {
        Ok(command) => print::end(answer(command)),
        Err(error) => print::refused_arguments(&error),
    };
    interrupt::end();
    status
}

/// The definition of both command lines, for what is made out of them.
pub fn commands() -> [clap::Command; 2] {
    use clap::CommandFactory;
    [Mdevctl::command(), Lsmdev::command()].map(|mut command| {
        command.build();
        command
    })
}

/// The variable that names the host's root. Where it is empty, mdevctl takes the caller's directory
/// for one, which nobody means.
const ROOT: &str = "MDEVCTL_ENV_ROOT";

fn answer(command: Command) -> Result<String> {
    let root = std::env::var_os(ROOT).map(PathBuf::from);
    let host = Host::below(root, ROOT)?;
    let mut context = Context::of_mediated_devices(&host);
    if command.is_forced() {
        context.refusals = Refusals::Overruled;
    }
    match command {
        Command::Types(args) => types::types(&context, &args),
        Command::List(args) => list::list(&context, &args),
        Command::Define(args) => change::define(&context, args),
        Command::Undefine(args) => change::undefine(&context, args),
        Command::Modify(args) => change::modify(&context, args),
        Command::Start(args) => change::start(&context, args),
        Command::Stop(args) => change::stop(&context, args),
        Command::StartParentMdevs(args) => change::start_parent(&context, args),
    }
}
