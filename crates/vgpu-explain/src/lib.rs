//! Known failures of vGPU hosts and guests: how their logs tell them, what causes them, what to do.
//!
//! The knowledge is in `data/`, one TOML file a theme, compiled in and read at first use. A [`Listener`]
//! takes a log of any length, in pieces of any size, and keeps little of it; [`Listener::findings`] judges
//! what it found.

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

/// A failure that is known: one `[[message]]` of a file in `data/`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Known {
    /// Its name, which stays.
    pub code: String,
    /// What tells it: any of these patterns, in the form that `pattern.rs` describes.
    #[serde(default)]
    patterns: Vec<String>,
    /// Where not empty, one of these must be in the log too.
    #[serde(default)]
    needs: Vec<String>,
    /// Any of these in the log speaks against it.
    #[serde(default)]
    unless: Vec<String>,
    /// Any of these within a few lines excuses the line.
    #[serde(default)]
    excused_by: Vec<String>,
    /// What the lines must say besides, where words alone do not decide.
    #[serde(default)]
    check: Check,
    /// Codes that this may follow from; one that ends in `*` means all that begin like it.
    #[serde(default)]
    follows: Vec<String>,
    #[serde(default)]
    when: When,
    /// What of the quoted lines stands for [`BLANK`] in the two texts that follow.
    fill: Option<Fill>,
    cause: String,
    next: String,
    /// Where its cause was established.
    pub source: String,
    /// Logs that tell it, as they were pasted.
    #[serde(default)]
    pub examples: Vec<String>,
}

/// Stands in a cause or next step for what only the log tells.
const BLANK: &str = "<N>";

/// Stands in them for the name of the program that shows them.
const PROGRAM: &str = "{program}";

impl Known {
    /// What is wrong, with what the quoted lines say of it. Where two causes are possible, both and how to
    /// tell them apart.
    pub fn cause(&self, program: &str, evidence: Option<&str>) -> String {
        self.filled(&self.cause, program, evidence)
    }

    /// What to do next, with what the quoted lines say of it.
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

/// When a failure that was recognised is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum When {
    /// Always, though after what it follows from.
    #[default]
    Always,
    /// Where nothing is found that it follows from: beside that it would say nothing new.
    Alone,
    /// Never by a log: it is a topic that can be asked for.
    Asked,
}

/// Each theme, and its file.
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
        // A test reads them all, so no program is built with one that cannot be read.
        theme
            .unwrap_or_else(|error| panic!("data/{name}.toml: {error}"))
            .message
    };
    THEMES.into_iter().flat_map(read).collect()
});

/// All that is known, theme by theme.
pub fn all_known() -> impl Iterator<Item = &'static Known> {
    ALL.iter()
}

/// What is known under that code.
pub fn known(code: &str) -> Option<&'static Known> {
    all_known().find(|known| known.code == code)
}

impl PartialEq for Known {
    /// No two have one code.
    fn eq(&self, other: &Known) -> bool {
        self.code == other.code
    }
}

impl Eq for Known {}

/// Cause and next step of a failure that the program itself ran into, as hints.
pub fn hints(code: &str, program: &str) -> impl Iterator<Item = String> {
    let told = known(code).map(|known| [known.cause(program, None), known.next(program, None)]);
    told.into_iter().flatten()
}

/// A failure found in a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What is known of it.
    pub known: &'static Known,
    /// The line or lines that tell it.
    pub evidence: String,
}

#[cfg(test)]
mod tests;
