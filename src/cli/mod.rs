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
mod modify;
mod params;
mod plan;
mod print;
mod progress;
mod remove;
mod restore;
mod selector;
mod show;
mod start;
mod stop;
mod type_choice;
mod types;
mod undefine;
mod vfs;
mod watch;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueHint};

use crate::error::{Error, Result};
use crate::host::Host;
use crate::ops::Context;
use crate::output::Reply;

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
7 partly done. plan and assert: 0 as declared, 2 not as declared, 1 any error.

A UUID may be shortened to its first 8 characters where it is unique.";

#[derive(Debug, clap::Args)]
struct Global {
    /// Put every path under DIR, as for a simulated or mounted host [env: VGPUCTL_ROOT]
    #[arg(long, global = true, value_name = "DIR", value_hint = ValueHint::DirPath)]
    root: Option<PathBuf>,
    /// Answer in JSON
    #[arg(long, global = true)]
    json: bool,
    /// Say what is read and written
    #[arg(short, long, global = true)]
    verbose: bool,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Types(types::TypesArgs),
    Gpus(gpus::GpusArgs),
    List(list::ListArgs),
    Show(show::ShowArgs),
    Create(create::CreateArgs),
    Remove(remove::RemoveArgs),
    Define(define::DefineArgs),
    Undefine(undefine::UndefineArgs),
    Modify(modify::ModifyArgs),
    Start(start::StartArgs),
    Stop(stop::StopArgs),
    Restore(restore::RestoreArgs),
    Vfs(vfs::VfsArgs),
    Plan(plan::PlanArgs),
    Apply(apply::ApplyArgs),
    Assert(assert::AssertArgs),
    Export(export::ExportArgs),
    Metrics(metrics::MetricsArgs),
    Watch(watch::WatchArgs),
    Doctor(doctor::DoctorArgs),
    Attach(attach::AttachArgs),
    Explain(explain::ExplainArgs),
}

impl Verb {
    fn run(self, host: &Host, form: print::Form, scale: print::Scale) -> ExitCode {
        let context = &Context::of(host);
        let result: Result<Reply> = match self {
            // The one whose answer has no end.
            Verb::Watch(args) => return print::end_of_answer(args.run(context, form), form, scale),
            Verb::Doctor(args) => args.run(host),
            Verb::Types(args) => args.run(context),
            Verb::Gpus(args) => args.run(context),
            Verb::List(args) => args.run(context),
            Verb::Show(args) => args.run(context),
            Verb::Create(args) => args.run(context),
            Verb::Remove(args) => args.run(context),
            Verb::Define(args) => args.run(context),
            Verb::Undefine(args) => args.run(context),
            Verb::Modify(args) => args.run(context),
            Verb::Start(args) => args.run(context),
            Verb::Stop(args) => args.run(context),
            Verb::Restore(args) => args.run(context),
            Verb::Vfs(args) => args.run(context),
            Verb::Plan(args) => args.run(context),
            Verb::Apply(args) => args.run(context, form),
            Verb::Assert(args) => args.run(context),
            Verb::Export(args) => args.run(context),
            Verb::Metrics(args) => args.run(context),
            Verb::Attach(args) => args.run(context),
            Verb::Explain(args) => args.run(context),
        };
        print::end(result, form, scale)
    }
}

/// Runs one command line and says how it ended.
pub fn run(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let arguments: Vec<OsString> = arguments.collect();
    if let Some(words) = complete::asked(&arguments) {
        return complete::answer(words);
    }
    let wants_json = arguments.iter().any(|argument| argument == "--json");
    let scale = scale(&arguments);
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => return print::refused_arguments(&error, wants_json, scale),
    };
    log::start(cli.global.verbose);
    let host = Host::new(root(cli.global.root));
    let form = match cli.global.json {
        true => print::Form::Json,
        false => print::Form::Text,
    };
    cli.verb.run(&host, form, scale)
}

/// What the exit status of a command line means, also of one that cannot be parsed.
fn scale(arguments: &[OsString]) -> print::Scale {
    let is = |word: &str| arguments.iter().skip(1).any(|argument| argument == word);
    let compares = |verb: &str| {
        let mut words = arguments.iter().skip(1);
        words.find_map(|word| command().find_subcommand(word).map(|_| word == verb)) == Some(true)
    };
    match compares("plan") || compares("assert") || (compares("apply") && is("--dry-run")) {
        true => print::Scale::Differences,
        false => print::Scale::Kinds,
    }
}

/// The host's root in the one form that the kernel uses when it names open files.
fn root(given: Option<PathBuf>) -> PathBuf {
    let given = given.or_else(|| std::env::var_os("VGPUCTL_ROOT").map(PathBuf::from));
    match given {
        None => PathBuf::from("/"),
        // One that cannot be resolved is told about by whoever reads below it.
        Some(root) => root.canonicalize().unwrap_or(root),
    }
}

/// The definition of the command line, for what is made out of it.
pub fn command() -> clap::Command {
    <Cli as clap::CommandFactory>::command()
}

/// A message for clap, which adds which argument it is about.
fn for_clap(error: &Error) -> String {
    let mut text = error.to_string();
    for hint in error.all_hints() {
        text += "; ";
        text += hint;
    }
    text
}
