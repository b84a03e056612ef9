//! Known errors of vGPU hosts and guests: how they appear in logs, their causes, and remedies.
//!
//! The data is in `data/`, one TOML file per subject, compiled in and parsed on first use. A [`Listener`]
//! processes a log of any length, in pieces of any size, in bounded memory; [`Listener::findings`] evaluates
//! the matches.

mod automaton;
mod checks;
mod judge;
mod listen;
mod pattern;
mod text;

use std::sync::LazyLock;

use serde::Deserialize;

use checks::{Check, Fill};

pub use listen::Listener;

/// A known error: one `[[message]]` in a file in `data/`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Known {
    /// Its stable name.
    pub code: String,
    /// It is recognized by any of these patterns, in the format described in `pattern.rs`.
    #[serde(default)]
    patterns: Vec<String>,
    /// If not empty, one of these must also be in the log.
    #[serde(default)]
    needs: Vec<String>,
    /// Not reported if any of these is in the log.
    #[serde(default)]
    unless: Vec<String>,
    /// A line is ignored if any of these is within a few lines of it.
    #[serde(default)]
    excused_by: Vec<String>,
    /// Additional condition on the lines, if words are not sufficient.
    #[serde(default)]
    check: Check,
    /// Codes of possible causes; a trailing `*` matches all codes with this prefix.
    #[serde(default)]
    follows: Vec<String>,
    #[serde(default)]
    when: When,
    /// The part of the quoted lines that replaces [`BLANK`] in the cause and next step.
    fill: Option<Fill>,
    cause: String,
    next: String,
    /// Source of the cause.
    pub source: String,
    /// Example logs, as they were pasted.
    #[serde(default)]
    pub examples: Vec<String>,
}

/// Placeholder in a cause or next step for a value from the log.
const BLANK: &str = "<N>";

/// Placeholder in them for the program's name.
const PROGRAM: &str = "{program}";

impl Known {
    /// The cause, with values from the quoted lines. If there are two possible causes, both, and how to
    /// tell them apart.
    pub fn cause(&self, program: &str, evidence: Option<&str>) -> String {
        self.filled(&self.cause, program, evidence)
    }

    /// The next step, with values from the quoted lines.
    pub fn next(&self, program: &str, evidence: Option<&str>) -> String {
        self.filled(&self.next, program, evidence)
    }

    fn filled(&self, text: &str, program: &str, evidence: Option<&str>) -> String {
        let text = text.replace(PROGRAM, program);
        let value = self
            .fill
            .zip(evidence)
            .and_then(|(fill, quote)| fill.value(quote));
        match value {
            Some(value) => text.replace(BLANK, &value),
            None => text,
        }
    }
}

/// When a recognized error is reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum When {
    /// Always, but after its causes.
    #[default]
    Always,
    /// Only if none of its causes is found, since it adds no information to them.
    Alone,
    /// Never for a log: it is only available as a topic.
    Asked,
}

/// The subjects and their files.
const THEMES: [(&str, &str); 14] = [
    ("unlock", include_str!("../data/unlock.toml")),
    ("plugin", include_str!("../data/plugin.toml")),
    ("rm", include_str!("../data/rm.toml")),
    ("sriov", include_str!("../data/sriov.toml")),
    ("install", include_str!("../data/install.toml")),
    ("build", include_str!("../data/build.toml")),
    ("create", include_str!("../data/create.toml")),
    ("qemu", include_str!("../data/qemu.toml")),
    ("libvirt", include_str!("../data/libvirt.toml")),
    ("proxmox", include_str!("../data/proxmox.toml")),
    ("kubernetes", include_str!("../data/kubernetes.toml")),
    ("guest", include_str!("../data/guest.toml")),
    ("gvtg", include_str!("../data/gvtg.toml")),
    ("topics", include_str!("../data/topics.toml")),
];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Theme {
    message: Vec<Known>,
}

static ALL: LazyLock<Vec<Known>> = LazyLock::new(|| {
    let read = |(name, text): (&str, &str)| -> Vec<Known> {
        let theme: Result<Theme, _> = toml::from_str(text);
        // A test parses all of them, so an invalid file is never released.
        theme
            .unwrap_or_else(|error| panic!("data/{name}.toml: {error}"))
            .message
    };
    THEMES.into_iter().flat_map(read).collect()
});

/// All known errors, by subject.
pub fn all_known() -> impl Iterator<Item = &'static Known> {
    ALL.iter()
}

/// The error with this code.
pub fn known(code: &str) -> Option<&'static Known> {
    all_known().find(|known| known.code == code)
}

impl PartialEq for Known {
    /// Index by code, which is unique.
    fn eq(&self, other: &Known) -> bool {
        self.code == other.code
    }
}

impl Eq for Known {}

/// Cause and next step of an error that occurred in the program itself, as hints.
pub fn hints(code: &str, program: &str) -> impl Iterator<Item = String> {
    let told = known(code).map(|known| [known.cause(program, None), known.next(program, None)]);
    told.into_iter().flatten()
}

/// An error found in a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The known error.
    pub known: &'static Known,
    /// The matching lines.
    pub evidence: String,
}

#[cfg(test)]
mod tests;
