//! vgpuctl's command line: arguments become requests, outcomes become text or JSON and a status.

mod apply;
mod assert;
mod attach;
mod complete;
mod create;
mod declaration;
mod define;
mod doctor;
mod explain;
mod export;
mod gpus;
mod list;
mod log;
mod metrics;
mod mig;
mod modify;
mod outlook;
mod params;
mod plan;
mod print;
mod progress;
mod remove;
mod request;
mod restore;
mod selector;
mod show;
mod start;
mod stop;
mod type_choice;
mod types;
mod undefine;
mod verb;
mod vfs;
mod watch;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory as _, FromArgMatches as _, Parser, ValueHint};

use crate::error::Error;
use crate::host::Host;
use crate::interrupt;
use verb::Verb;

/// Lists, creates and restores virtual GPUs and other mediated devices.
#[derive(Debug, Parser)]
#[command(name = "vgpuctl", version, max_term_width = 100, after_help = AFTER_HELP)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    verb: Verb,
}

const AFTER_HELP: &str = "\
Exit status: 0 done, 1 failed, 2 usage, 3 not found, 4 no capacity, 5 in use, 6 not permitted,
7 partly done. plan and assert: 0 as declared, 2 different, 1 any error.

A UUID may be abbreviated to its first 8 or more characters if they are unique.";

#[derive(Debug, clap::Args)]
struct Global {
    /// Prefix all paths with DIR, for example for a simulated or mounted host [env: VGPUCTL_ROOT]
    #[arg(long, global = true, value_name = "DIR", value_hint = ValueHint::DirPath)]
    root: Option<PathBuf>,
    /// Print JSON
    #[arg(long, global = true)]
    json: bool,
    /// Log what is read and written on standard error
    #[arg(short, long, global = true)]
    verbose: bool,
}

/// Runs one command line and returns its exit status.
pub fn run(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let arguments: Vec<OsString> = arguments.collect();
    if let Some(words) = complete::asked(&arguments) {
        return complete::answer(words);
    }
    let wants_json = arguments.iter().any(|argument| argument == "--json");
    let cli = match parse(&arguments) {
        Ok(cli) => cli,
        Err(error) => {
            return print::refused_arguments(&error, wants_json, likely_scale(&arguments));
        }
    };
    log::start(cli.global.verbose);
    let form = match cli.global.json {
        true => print::Form::Json,
        false => print::Form::Text,
    };
    let host = match host(cli.global.root) {
        Ok(host) => host,
        Err(error) => return print::end(Err(error), form, cli.verb.scale()),
    };
    let status = cli.verb.run(&host, form);
    // If a signal was received, the caller should see that.
    interrupt::end();
    status
}

fn parse(arguments: &[OsString]) -> Result<Cli, clap::Error> {
    let mut command = Cli::command();
    let mut matches = command.try_get_matches_from_mut(arguments)?;
    Cli::from_arg_matches_mut(&mut matches).map_err(|error| error.format(&mut command))
}

/// What the exit status means of a command line that cannot be parsed.
fn likely_scale(arguments: &[OsString]) -> print::Scale {
    let command = Cli::command();
    let mut words = arguments.iter().skip(1);
    let verb = words.find_map(|word| command.find_subcommand(word));
    let is_dry = arguments.iter().any(|word| word == "--dry-run");
    match verb.map(clap::Command::get_name) {
        Some("plan" | "assert") => print::Scale::Differences,
        Some("apply") if is_dry => print::Scale::Differences,
        _ => print::Scale::Kinds,
    }
}

/// The variable that names the host's root where `--root` does not.
const ROOT: &str = "VGPUCTL_ROOT";

/// The host below the given root.
///
/// # Errors
/// There is none.
fn host(root: Option<PathBuf>) -> Result<Host, Error> {
    match root {
        Some(root) => Host::below(Some(root), "--root"),
        None => Host::below(std::env::var_os(ROOT).map(PathBuf::from), ROOT),
    }
}

/// The complete definition of the command line, for what is generated from it.
pub fn command() -> clap::Command {
    let mut command = Cli::command();
    command.build();
    command
}

/// A message for clap, which adds which argument it is about.
fn for_clap(error: &Error) -> String {
    let mut text = error.to_string();
    for hint in crate::hints::hints(error) {
        text += "; ";
        text += &hint;
    }
    text
}
