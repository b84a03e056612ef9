//! What shells run when Tab is pressed: `vgpuctl __complete WORD...`, the last word as far as it is typed.
//!
//! The scripts in `completions/` run it. One line per candidate: the word, and after a tab its description. Errors
//! are not reported, because the output would end up on the command line.

mod live;

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Command;
use clap_complete::engine::{ArgValueCandidates, CompletionCandidate};

use crate::output::to_stdout;
use crate::text::hides_something;
use live::Line;
pub use live::Live;

/// The word that a script puts before those that were typed.
const ASKED: &str = "__complete";

/// The words to complete, if the command line requests that.
pub fn asked(arguments: &[OsString]) -> Option<&[OsString]> {
    match arguments {
        [_, asked, words @ ..] if asked == ASKED => Some(words),
        _ => None,
    }
}

/// Prints the candidates for the last word.
pub fn answer(words: &[OsString]) -> ExitCode {
    let text: String = candidates(words).iter().map(line).collect();
    // There is nobody to report a failure to.
    let _ = to_stdout(&text);
    ExitCode::SUCCESS
}

fn candidates(words: &[OsString]) -> Vec<CompletionCandidate> {
    let (last, before) = match words {
        [before @ .., last] => (last.as_os_str(), before),
        [] => (OsStr::new(""), words),
    };
    // A dash offers all long options; one-letter options need no completion.
    let last = if last == "-" { OsStr::new("--") } else { last };
    let line = Line::of(before);
    let mut command = with_live_values(super::command(), &line);
    let mut arguments = vec![OsString::from("vgpuctl")];
    arguments.extend(before.iter().cloned());
    arguments.push(last.to_owned());
    let at = arguments.len() - 1;
    let here: Option<PathBuf> = std::env::current_dir().ok();
    let found = clap_complete::engine::complete(&mut command, arguments, at, here.as_deref());
    let mut found = found.unwrap_or_default();
    found.retain(|one| is_option(last) || !is_option(one.get_value()));
    found
}

fn is_option(word: &OsStr) -> bool {
    word.as_encoded_bytes().starts_with(b"-")
}

/// The command with the host's own values for the arguments marked with a [`Live`].
fn with_live_values(command: Command, line: &Line) -> Command {
    let verbs: Vec<String> = command
        .get_subcommands()
        .map(|verb| verb.get_name().to_owned())
        .collect();
    let command = command.mut_args(|argument| match argument.get::<Live>().copied() {
        Some(live) => {
            let line = line.clone();
            argument.add(ArgValueCandidates::new(move || live.candidates(&line)))
        }
        None => argument,
    });
    verbs.into_iter().fold(command, |command, verb| {
        command.mut_subcommand(verb, |verb| with_live_values(verb, line))
    })
}

/// One candidate on a line. A name that would not stay on its line is omitted.
fn line(candidate: &CompletionCandidate) -> String {
    let value = candidate.get_value().to_string_lossy();
    if hides_something(&value) {
        return String::new();
    }
    let help = candidate.get_help().map(ToString::to_string);
    let help = help.as_deref().and_then(|help| help.lines().next());
    match help.filter(|help| !hides_something(help)) {
        Some(help) => format!("{value}\t{help}\n"),
        None => format!("{value}\n"),
    }
}
