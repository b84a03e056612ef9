//! `explain`: what a log says went wrong, or what is known under a name.

mod journal;

use std::ffi::OsString;
use std::io::{self, ErrorKind, Read};
use std::path::Path;

use log::debug;
use nix::errno::Errno;
use vgpu_explain::{Finding, Known, Listener, all_known, known};

use super::{Answer, Context};
use crate::error::{Error, Kind, Result};
use crate::host::open_named;

/// How much of a log is read at a time.
const PORTION: usize = 1 << 16;

/// The most that is read of a log, in GiB: what goes on has no end.
const MOST: u64 = 1;

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
        ExplainRequest::Named(name) => match open_named(Path::new(name)) {
            Ok(named) => {
                let answer = heard(named.file, Path::new(name), MOST << 30)?;
                Ok(match named.unshown {
                    Some(why) => without_lines(answer, &why),
                    None => answer,
                })
            }
            Err(error) if error.kind() == ErrorKind::NotFound => topic(name).map(one),
            Err(error) => Err(unreadable(&error, Path::new(name))),
        },
        ExplainRequest::StandardInput => {
            heard(io::stdin().lock(), Path::new("standard input"), MOST << 30)
        }
        ExplainRequest::Journal => journal::explain(context),
        ExplainRequest::Everything => {
            let mut all: Vec<Explanation> = all_known().map(Explanation::from).collect();
            all.sort_by_key(|explanation| explanation.known.code.as_str());
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

/// The answer without the log's text.
fn without_lines(mut answer: Answer<Vec<Explanation>>, why: &str) -> Answer<Vec<Explanation>> {
    let evidence = answer.value.iter_mut().map(|one| one.evidence.take());
    if evidence.flatten().count() > 0 {
        let note = format!("the log's lines are not shown: {why}");
        answer.notes.push(note);
    }
    answer
}

/// Explains a log, of which at most so many bytes are read.
fn heard(mut log: impl Read, path: &Path, most: u64) -> Result<Answer<Vec<Explanation>>> {
    let mut listener = Listener::new();
    let mut portion = vec![0; PORTION];
    let mut read = 0;
    loop {
        match log.read(&mut portion) {
            Ok(0) => break,
            Ok(_) if read >= most => {
                let mut answer = answer_of(listener, "the log");
                let message = format!("only the first {MOST} GiB of the log was read");
                answer.warnings.push(
                    Error::new(Kind::Failed, message)
                        .at(path)
                        .hint("pass the relevant part: tail -n 100000 FILE | vgpuctl explain -"),
                );
                return Ok(answer);
            }
            Ok(count) => {
                listener.hear(&portion[..count]);
                read += count as u64;
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(unreadable(&error, path)),
        }
    }
    Ok(answer_of(listener, "the log"))
}

/// What was heard, and a sentence for people where it is nothing.
fn answer_of(mut listener: Listener, what: &str) -> Answer<Vec<Explanation>> {
    listener.end();
    let lines = listener.lines();
    debug!("heard {lines} lines of {what}");
    let findings = listener.findings().into_iter();
    let mut answer = answer(findings.map(Explanation::from).collect());
    if lines == 0 {
        answer.notes.push(format!("{what} is empty"));
    } else if answer.value.is_empty() {
        answer.notes.push(format!(
            "{what} ({lines} lines) shows no known failure; messages known to be harmless are not \
             listed"
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
        let mut error = Error::new(Kind::NotFound, format!("no file or topic {text:?}"));
        let near = all_known().filter(|known| !wanted.is_empty() && known.code.contains(&wanted));
        let near: Vec<&str> = near.map(|known| known.code.as_str()).collect();
        if !near.is_empty() {
            error = error.hint(format!("did you mean: {}", near.join(", ")));
        }
        error.hint("see all topics: vgpuctl explain --list")
    };
    known(&wanted)
        .or_else(|| known(&format!("code-{wanted}")))
        .ok_or_else(missing)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_without_end_is_read_as_far_as_the_limit_and_that_is_told() {
        let line = b"one two three\n".repeat(PORTION);
        let endless = || line.chain(io::repeat(b'x'));
        let most = 20 * PORTION as u64;
        let answer = heard(endless(), Path::new("f"), most).unwrap();
        assert_eq!(answer.warnings.len(), 1);
        assert_eq!(answer.warnings[0].path(), Some(Path::new("f")));
        let whole = heard(endless().take(most), Path::new("f"), most).unwrap();
        assert_eq!(whole.warnings, []);
    }
}
