//! A diagnosis as text: what is wrong first, then one line for each passed check.

use super::{Style, json};
use crate::doctor::{Check, Diagnosis, Finding, Severity, Step};
use crate::hints;
use crate::text::on_one_line;

/// The order in which findings are shown.
const ORDER: [Severity; 5] = [
    Severity::Problem,
    Severity::Warning,
    Severity::Note,
    Severity::Unchecked,
    Severity::Ok,
];

/// The diagnosis as text.
pub fn text(diagnosis: &Diagnosis, style: Style) -> String {
    let mut told = String::new();
    for severity in ORDER {
        for checked in &diagnosis.checks {
            let found = checked.findings.iter();
            for finding in found.filter(|finding| finding.severity == severity) {
                told += &one(checked.check, finding, style);
            }
        }
    }
    let idle = diagnosis
        .checks
        .iter()
        .filter(|checked| checked.findings.is_empty());
    let idle: Vec<&str> = idle.map(|checked| checked.check.id).collect();
    if !idle.is_empty() {
        told += &format!("{:<12}{}\n", "n/a", idle.join(", "));
    }
    told += &format!("\n{}\n", sum(diagnosis));
    told
}

fn word(severity: Severity) -> &'static str {
    match severity {
        Severity::Unchecked => "not checked",
        other => other.as_str(),
    }
}

/// ANSI colour of a severity; none for what needs no attention.
fn colour(severity: Severity) -> Option<&'static str> {
    match severity {
        Severity::Problem => Some("\u{1b}[1;31m"),
        Severity::Warning => Some("\u{1b}[1;33m"),
        Severity::Ok => Some("\u{1b}[32m"),
        Severity::Note | Severity::Unchecked => None,
    }
}

fn one(check: &Check, finding: &Finding, style: Style) -> String {
    let word = format!("{:<12}", word(finding.severity));
    let word = match (style, colour(finding.severity)) {
        (Style::Coloured, Some(colour)) => format!("{colour}{word}\u{1b}[0m"),
        _ => word,
    };
    let mut told = format!("{word}{}: {}\n", check.id, on_one_line(&finding.message));
    if finding.severity == Severity::Ok {
        return told;
    }
    for evidence in &finding.evidence {
        let path = on_one_line(evidence.path.to_string_lossy());
        told += &format!(
            "{:<12}  seen  {path}: {}\n",
            "",
            on_one_line(&evidence.found)
        );
    }
    for step in steps(finding) {
        let (word, step) = match step {
            json::Step::Run(command) => ("run", command),
            json::Step::Do(advice) => ("do", advice),
        };
        told += &format!("{:<12}  {word:<5} {}\n", "", on_one_line(step));
    }
    told
}

/// What to do next, in words: a command to run, or what no command does.
pub fn steps(finding: &Finding) -> Vec<json::Step> {
    let in_words = |step: &Step| match step {
        Step::Run(command) => vec![json::Step::Run(command.clone())],
        Step::Do(advice) => vec![json::Step::Do(advice.clone())],
        Step::Hint(hint) => hints::in_words(hint)
            .into_iter()
            .map(json::Step::Do)
            .collect(),
    };
    finding.steps.iter().flat_map(in_words).collect()
}

fn sum(diagnosis: &Diagnosis) -> String {
    let count = |severity, one: &str, many: &str| match diagnosis.count(severity) {
        1 => format!("1 {one}"),
        count => format!("{count} {many}"),
    };
    [
        count(Severity::Problem, "problem", "problems"),
        count(Severity::Warning, "warning", "warnings"),
        count(Severity::Unchecked, "not checked", "not checked"),
        count(Severity::Ok, "ok", "ok"),
    ]
    .join(", ")
}

/// The names of all checks, as text.
pub fn list_text(checks: &[Check]) -> String {
    let width = checks
        .iter()
        .map(|check| check.id.len())
        .max()
        .unwrap_or_default();
    let line = |check: &Check| {
        format!(
            "{:<width$}  {:<8}  {}\n",
            check.id,
            check.theme.as_str(),
            check.about
        )
    };
    checks.iter().map(line).collect()
}
