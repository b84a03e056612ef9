//! What a check says.

use std::path::PathBuf;

use vgpu_host::error::{Error, Hint, describe};

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

impl Evidence {
    /// Something that stood at a path.
    pub fn new(path: impl Into<PathBuf>, found: impl Into<String>) -> Evidence {
        Evidence {
            path: path.into(),
            found: found.into(),
        }
    }
}

/// What to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// A command to type, as root.
    Run(String),
    /// Something that no command does.
    Do(String),
    /// An error's, which the program that shows it puts into words.
    Hint(Hint),
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

impl From<Finding> for Vec<Finding> {
    fn from(only: Finding) -> Vec<Finding> {
        vec![only]
    }
}

impl Finding {
    /// Something found, and how bad it is.
    pub fn new(severity: Severity, message: impl Into<String>) -> Finding {
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
        Finding::of_error(Severity::Unchecked, error, "unreadable")
    }

    /// What an error says; `otherwise` stands for what the kernel has not said.
    pub fn of_error(severity: Severity, error: &Error, otherwise: &str) -> Finding {
        let cause = error.errno().map(describe);
        let cause = cause.unwrap_or_else(|| otherwise.to_owned());
        let seen = error.path().map(|path| Evidence::new(path, cause));
        Finding::new(severity, error.message())
            .seen_all(seen)
            .hints(error)
    }

    /// Trouble that comes from other checks' problems.
    pub fn waiting(causes: &[&str]) -> Finding {
        let causes: Vec<String> = causes.iter().map(|id| format!("{id:?}")).collect();
        Finding::unchecked(format!("skipped: fix {} first", causes.join(" and ")))
    }

    /// Adds where it was seen.
    pub fn seen(mut self, path: impl Into<PathBuf>, found: impl Into<String>) -> Finding {
        self.evidence.push(Evidence::new(path, found));
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

    /// Adds an error's hints.
    pub fn hints(self, error: &Error) -> Finding {
        self.then(error.all_hints().into_iter().cloned().map(Step::Hint))
    }

    /// Adds several steps.
    pub fn then(mut self, steps: impl IntoIterator<Item = Step>) -> Finding {
        self.steps.extend(steps);
        self
    }
}
