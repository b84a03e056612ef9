//! The end of every command: the result on standard output, the rest on standard error, an exit status.

use std::io::{self, IsTerminal};
use std::process::ExitCode;

use clap::error::ContextValue;
use serde_json::Value;

use crate::error::{Error, Kind, Result};
use crate::output::{
    Reply, Style, error_document, problem, reply_document, sentences, stdout_text, to_stderr,
    to_stdout,
};
use crate::text::{in_json, with_short_quotes};

/// Who reads the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// A person.
    Text,
    /// A program.
    Json,
}

/// What an exit status means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scale {
    /// Which kind of failure there was.
    Kinds,
    /// 2 is a difference, so that every failure is 1.
    Differences,
}

impl Scale {
    fn status(self, kind: Kind) -> ExitCode {
        ExitCode::from(match self {
            Scale::Kinds => kind.exit_status(),
            Scale::Differences => Kind::Failed.exit_status(),
        })
    }
}

/// Prints the result of a command.
pub fn end(result: Result<Reply>, form: Form, scale: Scale) -> ExitCode {
    let reply = match result {
        Ok(reply) => reply,
        Err(error) => return failed(&error, form, scale),
    };
    let answer = match form {
        Form::Json => pretty(&reply_document(&reply)),
        Form::Text => stdout_text(&reply, style()),
    };
    let printed = to_stdout(&answer);
    if form == Form::Text {
        say(sentences(&reply));
    }
    if let Err(error) = printed {
        return failed(&error, form, scale);
    }
    ExitCode::from(reply.status())
}

/// Ends a command that has given its answer already.
pub fn end_of_answer(result: Result<()>, form: Form, scale: Scale) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed(&error, form, scale),
    }
}

/// Handles invalid arguments, and `--help` and `--version`.
pub fn refused_arguments(error: &clap::Error, wants_json: bool, scale: Scale) -> ExitCode {
    if !error.use_stderr() {
        let text = error.render();
        return match to_stdout(&text.to_string()) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => failed(&error, Form::Text, scale),
        };
    }
    let text = said(error);
    if wants_json {
        let lines = text.lines().map(str::trim);
        let lines: Vec<&str> = lines.take_while(|line| !line.is_empty()).collect();
        let message = lines.join(" ");
        let message = message.strip_prefix("error: ").unwrap_or(&message);
        return failed(&Error::new(Kind::Usage, message), Form::Json, scale);
    }
    to_stderr(text.trim_end());
    scale.status(Kind::Usage)
}

/// clap's message, which quotes the complete command line.
fn said(error: &clap::Error) -> String {
    let quoted = error.context().filter_map(|(_, value)| match value {
        ContextValue::String(text) => Some(text.as_str()),
        _ => None,
    });
    with_short_quotes(error.render().to_string(), quoted)
}

fn failed(error: &Error, form: Form, scale: Scale) -> ExitCode {
    match form {
        Form::Text => say(problem("error", error)),
        Form::Json => to_stderr(pretty(&error_document(error)).trim_end()),
    }
    scale.status(error.kind())
}

fn say(lines: Vec<String>) {
    for line in lines {
        to_stderr(&line);
    }
}

fn pretty(document: &Value) -> String {
    in_json(format!("{document:#}\n"))
}

/// The style for standard output, which may be a terminal.
pub fn style() -> Style {
    let variable = |name| std::env::var(name).ok();
    Style::choose(
        io::stdout().is_terminal(),
        variable("NO_COLOR").as_deref(),
        variable("TERM").as_deref(),
    )
}
