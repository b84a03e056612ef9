//! `explain`: what a log says went wrong, or what is known under a name.

mod journal;

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::path::Path;

use log::debug;
use nix::errno::Errno;

use super::{Answer, Context};
use crate::error::{Error, Kind, Result};
use crate::nvidia::messages::{Finding, Known, Listener, all_known, known};
use crate::order::Order as _;

/// How much of a log is read at a time.
const PORTION: usize = 1 << 16;

/// What to explain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExplainRequest {
    /// The log in a file of that name or, where there is none, the topic of that name.
    Named(OsString),
    /// The log on standard input.
    StandardInput,
    /// This boot's journal of NVIDIA's two services, and the kernel's log.
    Journal,
    /// Everything that is known.
    Everything,
}

/// What is known of one failure and, where a log told it, the line that did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// The failure.
    pub known: &'static Known,
    /// The line or lines of the log.
    pub evidence: Option<String>,
}

impl From<Finding> for Explanation {
    fn from(finding: Finding) -> Explanation {
        Explanation {
            known: finding.known,
            evidence: Some(finding.evidence),
        }
    }
}

impl From<&'static Known> for Explanation {
    fn from(known: &'static Known) -> Explanation {
        Explanation {
            known,
            evidence: None,
        }
    }
}

/// What the log tells, roots first; the topic; or all topics.
///
/// # Errors
/// The log cannot be read, or there is neither a file nor a topic of that name.
pub fn explain(
    context: &Context<'_>,
    request: &ExplainRequest,
) -> Result<Answer<Vec<Explanation>>> {
    match request {
        ExplainRequest::Named(name) => match File::open(name) {
            Ok(file) => heard(file, Path::new(name)),
            Err(error) if error.kind() == ErrorKind::NotFound => topic(name).map(one),
            Err(error) => Err(unreadable(&error, Path::new(name))),
        },
        ExplainRequest::StandardInput => heard(io::stdin().lock(), Path::new("standard input")),
        ExplainRequest::Journal => journal::explain(context),
        ExplainRequest::Everything => {
            let mut all: Vec<Explanation> = all_known().map(Explanation::from).collect();
            all.order_by_key(|explanation| explanation.known.code);
            Ok(answer(all))
        }
    }
}

fn answer(value: Vec<Explanation>) -> Answer<Vec<Explanation>> {
    Answer {
        value,
        warnings: Vec::new(),
        notes: Vec::new(),
    }
}

fn one(known: &'static Known) -> Answer<Vec<Explanation>> {
    answer(vec![Explanation::from(known)])
}

fn unreadable(error: &io::Error, path: &Path) -> Error {
    let errno = error.raw_os_error().map_or(Errno::EIO, Errno::from_raw);
    Error::system("cannot read the log", path, errno)
}

/// Explains a log of any length.
fn heard(mut log: impl Read, path: &Path) -> Result<Answer<Vec<Explanation>>> {
    let mut listener = Listener::new();
    let mut portion = vec![0; PORTION];
    loop {
        match log.read(&mut portion) {
            Ok(0) => break,
            Ok(count) => listener.hear(&portion[..count]),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(unreadable(&error, path)),
        }
    }
    Ok(told(listener, "the log"))
}

/// What was heard, and a sentence for people where it is nothing.
fn told(mut listener: Listener, what: &str) -> Answer<Vec<Explanation>> {
    listener.end();
    let lines = listener.lines();
    debug!("heard {lines} lines of {what}");
    let findings = listener.findings().into_iter();
    let mut answer = answer(findings.map(Explanation::from).collect());
    if lines == 0 {
        answer.notes.push(format!("{what} is empty"));
    } else if answer.value.is_empty() {
        answer.notes.push(format!(
            "{what} ({lines} lines) tells no failure that is known here; what is known to be \
             harmless is not told"
        ));
    }
    answer
}

/// The topic that a user means: case does not count, `_` or a blank is as good as `-`, and Windows'
/// codes may be given as numbers.
fn topic(name: &OsString) -> Result<&'static Known> {
    let text = name.to_string_lossy();
    let wanted = text.trim().to_ascii_lowercase().replace(['_', ' '], "-");
    let missing = || {
        let mut error = Error::new(
            Kind::NotFound,
            format!("there is neither a file nor a topic {text:?}"),
        );
        let near = all_known().filter(|known| !wanted.is_empty() && known.code.contains(&wanted));
        let near: Vec<&str> = near.map(|known| known.code).collect();
        if !near.is_empty() {
            error = error.hint(format!("did you mean: {}", near.join(", ")));
        }
        error.hint("see the topics: vgpuctl explain --list")
    };
    known(&wanted)
        .or_else(|| known(&format!("code-{wanted}")))
        .ok_or_else(missing)
}
