//! Explanations for people.

use std::fmt::Write as _;

use crate::ops::Explanation;

/// A paragraph a failure: its name and cause, the line that tells it, the next step.
pub fn explained(explanations: &[Explanation]) -> String {
    let paragraphs: Vec<String> = explanations.iter().map(paragraph).collect();
    paragraphs.join("\n")
}

fn paragraph(explanation: &Explanation) -> String {
    let known = explanation.known;
    let evidence = explanation.evidence.as_deref();
    let mut text = format!("{}: {}\n", known.code, known.cause("vgpuctl", evidence));
    for line in evidence.iter().flat_map(|quoted| quoted.lines()) {
        // Writing to a String does not fail.
        let _ = writeln!(text, "> {line}");
    }
    let _ = writeln!(text, "next: {}", known.next("vgpuctl", evidence));
    if explanation.evidence.is_none() {
        let _ = writeln!(text, "source: {}", known.source);
    }
    text
}

/// A line a topic: its name, and as much of its cause as fits beside it.
pub fn topics(explanations: &[Explanation]) -> String {
    let names = explanations.iter().map(|e| e.known.code.len());
    let width = names.max().unwrap_or(0);
    let mut text = String::new();
    for Explanation { known, .. } in explanations {
        let cause = known.cause("vgpuctl", None);
        let begin = cause.split([':', ';', '.', ',']).next().unwrap_or_default();
        let _ = writeln!(text, "{:<width$}  {begin}", known.code);
    }
    text
}
