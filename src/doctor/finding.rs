//! What a check says.

use std::path::PathBuf;

use crate::error::{Error, describe};

/// How bad it is, the worst last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Looked at, and as it should be.
    Ok,
    /// Good to know; nothing to be done.
    Note,
    /// Could not be looked at. Never the same as [`Severity::Ok`].
    Unchecked,
    /// Works now, and may not later.
    Warning,
    /// Keeps vGPUs from working.
    Problem,
}

impl Severity {
    /// The word for it, in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Severity::Ok => "ok",
            Severity::Note => "note",
            Severity::Unchecked => "unchecked",
            Severity::Warning => "warning",
            Severity::Problem => "problem",
        }
    }
}

/// Where it was seen, and what stood there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evidence {
    /// The file, directory or link.
    pub path: PathBuf,
    /// What stood there, in few words.
    pub found: String,
}

/// What to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// A command to type, as root.
    Run(String),
    /// Something that no command does.
    Do(String),
}

/// One thing that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// What is so, in one sentence.
    pub message: String,
    /// Where that was seen.
    pub evidence: Vec<Evidence>,
    /// What to do about it.
    pub steps: Vec<Step>,
}

impl Finding {
    fn new(severity: Severity, message: impl Into<String>) -> Finding {
        Finding {
            severity,
            message: message.into(),
            evidence: Vec::new(),
            steps: Vec::new(),
        }
    }

    /// As it should be.
    pub fn ok(message: impl Into<String>) -> Finding {
        Finding::new(Severity::Ok, message)
    }

    /// Good to know.
    pub fn note(message: impl Into<String>) -> Finding {
        Finding::new(Severity::Note, message)
    }

    /// Could not be looked at, and why.
    pub fn unchecked(message: impl Into<String>) -> Finding {
        Finding::new(Severity::Unchecked, message)
    }

    /// May go wrong later.
    pub fn warning(message: impl Into<String>) -> Finding {
        Finding::new(Severity::Warning, message)
    }

    /// Is wrong.
    pub fn problem(message: impl Into<String>) -> Finding {
        Finding::new(Severity::Problem, message)
    }

    /// Could not be read.
    pub fn unreadable(error: &Error) -> Finding {
        let mut finding = Finding::unchecked(error.message());
        if let Some(path) = error.path() {
            let cause = error.errno().map(describe);
            finding = finding.seen(path, cause.unwrap_or_else(|| "unreadable".to_owned()));
        }
        let hints = crate::hints::hints(error).into_iter();
        finding.then(hints.map(Step::Do))
    }

    /// Trouble that comes from other checks' problems.
    pub fn waiting(causes: &[&str]) -> Finding {
        Finding::unchecked(format!("settle {} first", causes.join(" and ")))
    }

    /// Adds where it was seen.
    pub fn seen(mut self, path: impl Into<PathBuf>, found: impl Into<String>) -> Finding {
        self.evidence.push(Evidence {
            path: path.into(),
            found: found.into(),
        });
        self
    }

    /// Adds several sightings.
    pub fn seen_all(mut self, evidence: impl IntoIterator<Item = Evidence>) -> Finding {
        self.evidence.extend(evidence);
        self
    }

    /// Adds a command to type.
    pub fn run(mut self, command: impl Into<String>) -> Finding {
        self.steps.push(Step::Run(command.into()));
        self
    }

    /// Adds something to do by hand.
    pub fn advise(mut self, advice: impl Into<String>) -> Finding {
        self.steps.push(Step::Do(advice.into()));
        self
    }

    /// Adds several steps.
    pub fn then(mut self, steps: impl IntoIterator<Item = Step>) -> Finding {
        self.steps.extend(steps);
        self
    }
}
