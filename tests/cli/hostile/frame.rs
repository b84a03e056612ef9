//! Checks, counted by group.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{Debug, Display};
use std::sync::Mutex;

use crate::harness::Run;

/// The groups, and in how many parts each is made.
const GROUPS: [(&str, usize); 15] = [
    ("paths", 5),
    ("links in /run", 4),
    ("modes", 3),
    ("terminal", 7),
    ("injection", 6),
    ("documents", 5),
    ("environment", 4),
    ("callouts", 3),
    ("limits", 3),
    ("kills", 2),
    ("hammer", 1),
    ("races", 2),
    ("metrics", 2),
    ("holders", 3),
    ("delegation", 6),
];

/// Whether another test makes the check too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Age {
    /// No other test does.
    New,
    /// Another test has a check of the same situation.
    Known,
}

pub use Age::{Known, New};

#[derive(Default)]
struct Tally {
    parts: usize,
    checks: usize,
    held: usize,
    new: usize,
}

static ALL: Mutex<BTreeMap<&str, Tally>> = Mutex::new(BTreeMap::new());

/// One part of a group.
pub struct Group {
    name: &'static str,
    checks: usize,
    new: usize,
    seen: BTreeSet<String>,
    failed: Vec<String>,
}

impl Group {
    #[track_caller]
    pub fn part(name: &'static str) -> Group {
        assert!(GROUPS.iter().any(|(known, _)| *known == name), "{name}");
        Group {
            name,
            checks: 0,
            new: 0,
            seen: BTreeSet::new(),
            failed: Vec::new(),
        }
    }

    /// One check: the situation, what came, and what must hold of it.
    #[track_caller]
    pub fn check(
        &mut self,
        age: Age,
        situation: impl Display,
        came: &dyn Debug,
        holds: &[(&str, bool)],
    ) {
        let situation = situation.to_string();
        assert!(!holds.is_empty(), "{situation}: nothing is asked");
        let is_first = self.seen.insert(situation.clone());
        assert!(is_first, "{situation}: checked twice");
        self.checks += 1;
        self.new += usize::from(age == New);
        let broken: Vec<&str> = holds
            .iter()
            .filter_map(|(what, held)| (!held).then_some(*what))
            .collect();
        if !broken.is_empty() {
            let came = format!("{came:?}");
            let came: String = came.chars().take(900).collect();
            let name = self.name;
            let why = broken.join("; ");
            self.failed.push(format!(
                "{name}: {situation}\n  does not hold: {why}\n  came: {came}"
            ));
        }
    }

    /// Counts the part in; the last one of its group prints the group's line.
    ///
    /// # Panics
    /// A check of this part did not hold.
    #[track_caller]
    pub fn end(self) {
        let (_, parts) = GROUPS.iter().find(|(name, _)| *name == self.name).unwrap();
        let mut all = ALL.lock().unwrap();
        let tally = all.entry(self.name).or_default();
        tally.parts += 1;
        tally.checks += self.checks;
        tally.held += self.checks - self.failed.len();
        tally.new += self.new;
        if tally.parts == *parts {
            println!(
                "hostile: {}: {} checks, {} held, {} of them new",
                self.name, tally.checks, tally.held, tally.new
            );
        }
        drop(all);
        assert!(self.failed.is_empty(), "{}", self.failed.join("\n\n"));
    }
}

/// What holds of every answer, whatever was asked: the program ended by itself and said so in words, and
/// nothing in them is hidden or obeyed by a terminal.
pub fn sound(run: &Run) -> bool {
    (0..=7).contains(&run.status)
        && !run.stderr.contains("panicked")
        && !hides(run)
        && (run.status == 0 || !run.stderr.is_empty() || !run.stdout.is_empty())
}

/// Whether a terminal would obey part of an answer, or not show it. Written anew, not taken from the
/// program.
pub fn hides(run: &Run) -> bool {
    let hidden = |c: char| {
        (c != '\n' && c.is_control())
            || matches!(c,
                '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
    };
    run.stdout.chars().chain(run.stderr.chars()).any(hidden)
}

/// One line in the log for each request, in which a terminal finds nothing to obey.
pub fn is_plain_log(log: &str, lines: usize) -> bool {
    let run = Run {
        status: 0,
        stdout: log.to_owned(),
        stderr: String::new(),
    };
    log.lines().count() == lines && !hides(&run)
}

/// Whether an error is told as errors are: one line, then hints, in at most so many bytes.
pub fn tells(run: &Run) -> bool {
    let mut lines = run.stderr.lines();
    let first = lines.next().unwrap_or_default();
    run.stderr.len() < 4000 && (first.starts_with("error: ") || first.starts_with("warning: "))
}

#[test]
fn a_check_that_does_not_hold_is_told_with_its_group_situation_and_answer() {
    let mut group = Group::part("paths");
    group.check(New, "all is well", &"came", &[("a", true), ("b", true)]);
    group.check(
        New,
        "one is not",
        &"what came",
        &[("a", true), ("b", false)],
    );
    assert_eq!((group.checks, group.failed.len()), (2, 1));
    let told = &group.failed[0];
    for word in ["paths: one is not", "does not hold: b", "what came"] {
        assert!(told.contains(word), "{told}");
    }
    let answer = |status, text: &str| Run {
        status,
        stdout: String::new(),
        stderr: text.to_owned(),
    };
    assert!(sound(&answer(1, "error: x\n")));
    for bad in [
        answer(-1, "killed"),
        answer(101, "thread main panicked"),
        answer(1, "error: \u{1b}[31m"),
        answer(1, "error: \u{202e}"),
        answer(2, ""),
    ] {
        assert!(!sound(&bad), "{bad:?}");
    }
}
