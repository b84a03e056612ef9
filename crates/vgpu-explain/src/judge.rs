//! Evaluation of all matches: which errors they indicate or exclude, and which are consequences of others.

use std::collections::BTreeMap;

use crate::pattern::PatternId;
use crate::{Finding, Known, When, all_known};

/// Maximum distance of a line that causes another one to be ignored.
const NEIGHBOURHOOD: u64 = 12;

/// A match of a pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sighting {
    /// The number of the line.
    pub line: u64,
    /// The line, if the pattern identifies an error.
    pub quote: String,
}

impl Known {
    /// All its patterns, in the order in which [`findings`] expects their matches.
    pub(super) fn patterns(&self) -> impl Iterator<Item = &str> {
        let lists = [&self.patterns, &self.needs, &self.unless, &self.excused_by];
        lists.into_iter().flatten().map(String::as_str)
    }

    /// The number of leading patterns that identify the error.
    pub(super) fn patterns_that_tell(&self) -> usize {
        self.patterns.len()
    }

    fn follows_from(&self, code: &str) -> bool {
        self.follows
            .iter()
            .any(|pattern| match pattern.strip_suffix('*') {
                Some(begin) => code.starts_with(begin),
                None => pattern == code,
            })
    }
}

/// A recognized error and its location.
struct Recognised {
    finding: Finding,
    line: u64,
}

/// The errors indicated by the matches of all patterns, each after its causes.
pub fn findings(mut sightings: BTreeMap<PatternId, Vec<Sighting>>) -> Vec<Finding> {
    let mut recognised: Vec<Recognised> = Vec::new();
    let mut next = 0;
    for known in all_known() {
        let mut take = |patterns: &[String]| -> Vec<Sighting> {
            let taken = next..next + patterns.len();
            next = taken.end;
            let taken = sightings.range_mut(taken);
            taken.flat_map(|(_, seen)| std::mem::take(seen)).collect()
        };
        let (told, needs, unless, excused) = (
            take(&known.patterns),
            take(&known.needs),
            take(&known.unless),
            take(&known.excused_by),
        );
        if told.is_empty() || (needs.is_empty() && !known.needs.is_empty()) || !unless.is_empty() {
            continue;
        }
        let is_excused = |told: &Sighting| {
            excused
                .iter()
                .any(|excuse| excuse.line.abs_diff(told.line) <= NEIGHBOURHOOD)
        };
        let mut told: Vec<Sighting> = told.into_iter().filter(|told| !is_excused(told)).collect();
        told.sort_by_key(|told| told.line);
        let first = known.check.pick(told);
        recognised.extend(first.map(|told| Recognised {
            line: told.line,
            finding: Finding {
                known,
                evidence: told.quote,
            },
        }));
    }
    in_order(recognised)
}

/// Omits redundant errors, and places causes before their consequences.
fn in_order(recognised: Vec<Recognised>) -> Vec<Finding> {
    let codes: Vec<&str> = recognised
        .iter()
        .map(|r| r.finding.known.code.as_str())
        .collect();
    let has_root = |known: &Known| {
        let is_other = |code: &&&str| **code != known.code;
        codes
            .iter()
            .filter(is_other)
            .any(|code| known.follows_from(code))
    };
    let mut waiting: Vec<Recognised> = recognised
        .into_iter()
        .filter(|r| match r.finding.known.when {
            When::Always => true,
            When::Alone => !has_root(r.finding.known),
            When::Asked => false,
        })
        .collect();
    waiting.sort_by_key(|r| r.line);
    let mut told: Vec<Finding> = Vec::new();
    while !waiting.is_empty() {
        let is_free = |index: &usize| {
            let known = waiting[*index].finding.known;
            !waiting.iter().any(|other| {
                other.finding.known.code != known.code
                    && known.follows_from(&other.finding.known.code)
            })
        };
        // In a cycle of causes, the first line decides.
        let next = (0..waiting.len()).find(is_free).unwrap_or(0);
        told.push(waiting.remove(next).finding);
    }
    told
}
