//! What is wrong with a host, and what a log tells.

use std::borrow::Cow;

use schemars::JsonSchema;
use serde::Serialize;

use super::each;
use crate::doctor::{self, Severity};
use crate::ops;
use crate::output::doctor::steps;

/// The answer of `doctor`.
#[derive(Serialize, JsonSchema)]
pub struct Doctor<'a> {
    /// What was found.
    pub diagnosis: Diagnosis<'a>,
}

/// What was found on a host.
#[derive(Serialize, JsonSchema)]
pub struct Diagnosis<'a> {
    /// Whether there are no problems.
    healthy: bool,
    /// How many problems there are.
    problems: usize,
    /// How many warnings there are.
    warnings: usize,
    /// How many things could not be looked at.
    unchecked: usize,
    /// The checks.
    checks: Vec<Checked<'a>>,
}

/// A check and its findings.
#[derive(Serialize, JsonSchema)]
struct Checked<'a> {
    /// Its name.
    id: &'a str,
    /// What it is about: `hardware`, `software`, `devices`, `boot` or `settings`.
    theme: &'a str,
    /// That of its worst finding, or `not-applicable`.
    severity: &'a str,
    /// The checks whose problems have to be fixed first.
    waits_for: &'a [&'a str],
    /// What it found.
    findings: Vec<Finding<'a>>,
}

/// A finding of a check.
#[derive(Serialize, JsonSchema)]
struct Finding<'a> {
    /// `ok`, `note`, `unchecked`, `warning` or `problem`.
    severity: &'a str,
    /// What is so, in one sentence.
    message: &'a str,
    /// Where that was seen.
    evidence: Vec<Evidence<'a>>,
    /// What to do about it.
    steps: Vec<Step>,
}

/// Where something was seen.
#[derive(Serialize, JsonSchema)]
struct Evidence<'a> {
    /// The file, directory or link.
    path: Cow<'a, str>,
    /// What was found there.
    found: &'a str,
}

/// Something to do; one of the keys.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Step {
    /// A command to run.
    Run(String),
    /// What no command does, in words.
    Do(String),
}

/// The answer of `doctor --list`.
#[derive(Serialize, JsonSchema)]
pub struct DoctorList<'a> {
    /// The checks.
    pub checks: Vec<Check<'a>>,
}

/// A check.
#[derive(Serialize, JsonSchema)]
pub struct Check<'a> {
    /// Its name.
    id: &'a str,
    /// What it is about: `hardware`, `software`, `devices`, `boot` or `settings`.
    theme: &'a str,
    /// What it looks at.
    about: &'a str,
}

/// The answer of `explain`.
#[derive(Serialize, JsonSchema)]
pub struct Explain<'a> {
    /// The failures that the log tells, or the topics.
    pub findings: Vec<Explanation<'a>>,
}

/// A known failure.
#[derive(Serialize, JsonSchema)]
pub struct Explanation<'a> {
    /// Its name.
    code: &'a str,
    /// What causes it.
    cause: String,
    /// The lines of the log that tell it.
    evidence: Option<&'a str>,
    /// What to do next.
    next: String,
}

impl<'a> From<&'a doctor::Diagnosis> for Diagnosis<'a> {
    fn from(diagnosis: &'a doctor::Diagnosis) -> Self {
        Diagnosis {
            healthy: diagnosis.count(Severity::Problem) == 0,
            problems: diagnosis.count(Severity::Problem),
            warnings: diagnosis.count(Severity::Warning),
            unchecked: diagnosis.count(Severity::Unchecked),
            checks: each(&diagnosis.checks),
        }
    }
}

impl<'a> From<&'a doctor::Checked> for Checked<'a> {
    fn from(checked: &'a doctor::Checked) -> Self {
        Checked {
            id: checked.check.id,
            theme: checked.check.theme.as_str(),
            severity: checked.worst().map_or("not-applicable", Severity::as_str),
            waits_for: &checked.waits_for,
            findings: each(&checked.findings),
        }
    }
}

impl<'a> From<&'a doctor::Finding> for Finding<'a> {
    fn from(finding: &'a doctor::Finding) -> Self {
        Finding {
            severity: finding.severity.as_str(),
            message: &finding.message,
            evidence: each(&finding.evidence),
            steps: steps(finding),
        }
    }
}

impl<'a> From<&'a doctor::Evidence> for Evidence<'a> {
    fn from(evidence: &'a doctor::Evidence) -> Self {
        Evidence {
            path: evidence.path.to_string_lossy(),
            found: &evidence.found,
        }
    }
}

impl<'a> From<&'a doctor::Check> for Check<'a> {
    fn from(check: &'a doctor::Check) -> Self {
        Check {
            id: check.id,
            theme: check.theme.as_str(),
            about: check.about,
        }
    }
}

impl<'a> From<&'a ops::Explanation> for Explanation<'a> {
    fn from(explanation: &'a ops::Explanation) -> Self {
        let evidence = explanation.evidence.as_deref();
        Explanation {
            code: &explanation.known.code,
            cause: explanation.known.cause("vgpuctl", evidence),
            evidence,
            next: explanation.known.next("vgpuctl", evidence),
        }
    }
}
