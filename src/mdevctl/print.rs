//! The end of every mdevctl command: the answer and nothing else on standard output, one line on
//! standard error where it fails.

use std::process::ExitCode;

use clap::error::ContextValue;
use log::{Level, LevelFilter, Log, Metadata, Record};

use crate::error::{Error, Kind, Result};
use crate::output::{to_stderr, to_stdout};
use crate::text::{on_one_line, with_short_quotes};

/// Prints what came of a command. mdevctl knows two failures: 1, and 2 for a wrong command line.
pub fn end(result: Result<String>) -> ExitCode {
    match result.and_then(|answer| to_stdout(&answer)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            to_stderr(&format!("Error: {}", told(&error)));
            ExitCode::FAILURE
        }
    }
}

/// Answers arguments that make no sense, and `--help` and `--version`.
pub fn refused_arguments(error: &clap::Error) -> ExitCode {
    if error.use_stderr() {
        to_stderr(said(error).trim_end());
        return ExitCode::from(Kind::Usage.exit_status());
    }
    match to_stdout(&error.render().to_string()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

/// What clap says, which quotes the command line whole.
fn said(error: &clap::Error) -> String {
    let quoted = error.context().filter_map(|(_, value)| match value {
        ContextValue::String(text) => Some(text.as_str()),
        _ => None,
    });
    with_short_quotes(error.render().to_string(), quoted)
}

/// The whole of an error on one line, since callers show it as it is.
fn told(error: &Error) -> String {
    let mut line = error.to_string();
    for hint in crate::hints::hints(error) {
        line += " (";
        line += &hint;
        line += ")";
    }
    on_one_line(line).into_owned()
}

struct Warnings;

impl Log for Warnings {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= Level::Warn
    }

    fn log(&self, record: &Record<'_>) {
        let line = on_one_line(record.args().to_string());
        to_stderr(&format!("Warning: {line}"));
    }

    fn flush(&self) {}
}

/// Sends warnings to standard error.
pub fn start_warnings() {
    log::set_max_level(LevelFilter::Warn);
    // It can be set once only; a second caller in one process keeps the first.
    let _ = log::set_logger(&Warnings);
}
