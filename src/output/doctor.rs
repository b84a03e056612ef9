//! A diagnosis, for people and for programs: what is wrong first, what is well in a line each.

use serde_json::{Value, json};

use super::Style;
use crate::doctor::{Check, Checked, Diagnosis, Finding, Severity, Step};
use crate::hints;
use crate::text::on_one_line;

/// The order in which findings are told.
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
        told += &format!("{:<12}{}\n", "not here", idle.join(", "));
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

/// ANSI's colour of a severity; nothing for what needs no eye.
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
    for (word, step) in steps(finding) {
        told += &format!("{:<12}  {word:<5} {}\n", "", on_one_line(step));
    }
    told
}

/// What to do next, in words: a command to run, or what no command does.
fn steps(finding: &Finding) -> Vec<(&'static str, String)> {
    let in_words = |step: &Step| match step {
        Step::Run(command) => vec![("run", command.clone())],
        Step::Do(advice) => vec![("do", advice.clone())],
        Step::Hint(hint) => hints::in_words(hint)
            .into_iter()
            .map(|text| ("do", text))
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
        count(Severity::Ok, "in order", "in order"),
    ]
    .join(", ")
}

/// The diagnosis for programs.
pub fn document(diagnosis: &Diagnosis) -> Value {
    json!({
        "healthy": diagnosis.count(Severity::Problem) == 0,
        "problems": diagnosis.count(Severity::Problem),
        "warnings": diagnosis.count(Severity::Warning),
        "unchecked": diagnosis.count(Severity::Unchecked),
        "checks": diagnosis.checks.iter().map(checked).collect::<Value>(),
    })
}

fn checked(checked: &Checked) -> Value {
    json!({
        "id": checked.check.id,
        "theme": checked.check.theme.as_str(),
        // The worst of its findings.
        "severity": checked.worst().map_or("not-applicable", Severity::as_str),
        "waits_for": checked.waits_for,
        "findings": checked.findings.iter().map(finding).collect::<Value>(),
    })
}

fn finding(finding: &Finding) -> Value {
    let evidence = finding.evidence.iter().map(
        |evidence| json!({ "path": evidence.path.to_string_lossy(), "found": evidence.found }),
    );
    let steps = steps(finding)
        .into_iter()
        .map(|(word, step)| json!({ (word): step }));
    json!({
        "severity": finding.severity.as_str(),
        "message": finding.message,
        "evidence": evidence.collect::<Value>(),
        "steps": steps.collect::<Value>(),
    })
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

/// The same for programs.
pub fn list_document(checks: &[Check]) -> Value {
    let one = |check: &Check| json!({ "id": check.id, "theme": check.theme.as_str(), "about": check.about });
    checks.iter().map(one).collect()
}
