//! Failures of vGPU hosts and guests as their logs tell them: what they come from, what to do.
//!
//! The knowledge is data, one file a theme. A [`Listener`] hears a log of any length, in pieces of
//! any size, and remembers little of it; [`Listener::findings`] judges what it heard.

mod automaton;
mod build;
mod checks;
mod create;
mod guest;
mod gvtg;
mod install;
mod judge;
mod kubernetes;
mod libvirt;
mod listen;
mod pattern;
mod plugin;
mod proxmox;
mod qemu;
mod rm;
mod sriov;
mod text;
mod topics;
mod unlock;

pub use listen::Listener;

/// A failure that is known.
#[derive(Debug, Clone, Copy)]
pub struct Known {
    /// Its name, which stays.
    pub code: &'static str,
    /// What tells it: any of these patterns, in the form that `pattern.rs` describes.
    told_by: &'static [&'static str],
    /// Where not empty, one of these must be in the log too.
    needs: &'static [&'static str],
    /// Any of these in the log speaks against it.
    unless: &'static [&'static str],
    /// Any of these within a few lines excuses the line.
    excused: &'static [&'static str],
    /// What the lines must say besides, where words alone do not decide.
    check: Check,
    /// Codes that this may follow from; one that ends in `*` means all that begin like it.
    follows: &'static [&'static str],
    voice: Voice,
    /// What of the quoted lines stands for [`BLANK`] in the two texts that follow.
    blank: fn(&str) -> Option<String>,
    /// What is wrong. Where two causes are possible, both and how to tell them apart.
    pub cause: &'static str,
    /// What to do next.
    pub next: &'static str,
    /// Where its cause was established.
    pub source: &'static str,
}

/// Stands in a cause or next step for what only the log tells.
const BLANK: &str = "<N>";

impl Known {
    /// What is wrong, with what the quoted lines say of it.
    pub fn cause_in(&self, evidence: Option<&str>) -> String {
        self.filled(self.cause, evidence)
    }

    /// What to do next, with what the quoted lines say of it.
    pub fn next_in(&self, evidence: Option<&str>) -> String {
        self.filled(self.next, evidence)
    }

    fn filled(&self, text: &str, evidence: Option<&str>) -> String {
        match evidence.and_then(self.blank) {
            Some(value) => text.replace(BLANK, &value),
            None => text.to_owned(),
        }
    }
}

/// Picks the line that tells a failure out of all lines that show its patterns, in their order.
type Check = fn(Vec<judge::Sighting>) -> Option<judge::Sighting>;

/// When a failure that was recognised is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Voice {
    /// Always, though after what it follows from.
    Always,
    /// Where nothing is found that it follows from: beside that it would say nothing new.
    Alone,
    /// Never by a log: it is a topic that can be asked for.
    Asked,
}

/// What the others are changes of.
const PLAIN: Known = Known {
    code: "",
    told_by: &[],
    needs: &[],
    unless: &[],
    excused: &[],
    check: checks::first,
    follows: &[],
    voice: Voice::Always,
    blank: |_| None,
    cause: "",
    next: "",
    source: "",
};

const THEMES: [&[Known]; 14] = [
    unlock::KNOWN,
    plugin::KNOWN,
    rm::KNOWN,
    sriov::KNOWN,
    install::KNOWN,
    build::KNOWN,
    create::KNOWN,
    qemu::KNOWN,
    libvirt::KNOWN,
    proxmox::KNOWN,
    kubernetes::KNOWN,
    guest::KNOWN,
    gvtg::KNOWN,
    topics::KNOWN,
];

/// All that is known, theme by theme.
pub fn all_known() -> impl Iterator<Item = &'static Known> {
    THEMES.into_iter().flatten()
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

/// Cause and next step of a failure that a command of our own ran into, as hints.
pub fn hints(code: &str) -> impl Iterator<Item = String> {
    let told = known(code).map(|known| [known.cause, known.next]);
    told.into_iter().flatten().map(str::to_owned)
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
