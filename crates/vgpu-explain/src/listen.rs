//! Incremental processing of a log in bounded memory.

use std::borrow::Cow;
use std::collections::{BTreeMap, VecDeque};
use std::sync::LazyLock;

use crate::automaton::State;
use crate::judge::{self, Sighting};
use crate::pattern::{PatternId, Patterns, Progress, Spot};
use crate::text::{Plain, goes_on};
use crate::{Finding, all_known};

/// Longer lines are processed in several pieces.
const LONGEST_PIECE: usize = 8 << 10;

/// Number of matches kept for each pattern: the first and the last ones.
const KEPT: usize = 32;

/// Maximum number of pieces of a message that are quoted completely.
const REMEMBERED: usize = 6;

/// Length of the quoted part of a long line.
const LONGEST_QUOTE: usize = 500;

/// All patterns, in the order that `judge.rs` expects.
static PATTERNS: LazyLock<Patterns> = LazyLock::new(|| Patterns::of(&texts()));

/// Whether each pattern identifies its error, so that its lines are quoted; for the others, which occur in
/// every second line, only the positions are needed.
static IS_TOLD: LazyLock<Vec<bool>> = LazyLock::new(|| {
    let all = all_known().flat_map(|known| {
        let told = known.patterns_that_tell();
        (0..known.patterns().count()).map(move |index| index < told)
    });
    all.collect()
});

fn texts() -> Vec<&'static str> {
    let patterns = all_known().flat_map(|known| known.patterns());
    patterns.collect()
}

/// A piece of the log that has been processed.
#[derive(Debug, Default)]
struct Heard {
    bytes: Vec<u8>,
    /// Its bytes without blanks: the index of the first in the log, and the original position of each.
    first: u64,
    places: Vec<u32>,
}

/// Processes a log.
#[derive(Debug)]
pub struct Listener {
    progress: Progress,
    sightings: BTreeMap<PatternId, Sightings>,
    unfinished: Vec<u8>,
    /// The piece continues a line that was split.
    is_rest: bool,
    plain: Plain,
    state: State,
    /// Number of bytes without blanks processed so far.
    heard: u64,
    line: u64,
    /// Where the current message began.
    message: u64,
    recent: VecDeque<Heard>,
}

#[derive(Debug, Default)]
struct Sightings {
    first: Vec<Sighting>,
    last: VecDeque<Sighting>,
}

impl Sightings {
    /// Whether another match in this line is relevant: for an endless line, the first ones are sufficient.
    fn wants(&self, line: u64) -> bool {
        let oldest = self.last.front().filter(|_| self.last.len() == KEPT);
        oldest.is_none_or(|oldest| oldest.line != line)
    }

    fn keep(&mut self, sighting: Sighting) {
        if self.first.len() < KEPT {
            return self.first.push(sighting);
        }
        if self.last.len() == KEPT {
            self.last.pop_front();
        }
        self.last.push_back(sighting);
    }
}

impl Default for Listener {
    fn default() -> Listener {
        Listener::new()
    }
}

impl Listener {
    /// The initial state.
    pub fn new() -> Listener {
        Listener {
            progress: PATTERNS.progress(),
            sightings: BTreeMap::new(),
            unfinished: Vec::new(),
            is_rest: false,
            plain: Plain::default(),
            state: State::default(),
            heard: 0,
            line: 0,
            message: 0,
            recent: VecDeque::new(),
        }
    }

    /// Processes more of the log, which does not have to end at a line break.
    pub fn hear(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let room = LONGEST_PIECE - self.unfinished.len();
            let reach = &bytes[..bytes.len().min(room)];
            let end = reach.iter().position(|b| matches!(b, b'\n' | b'\r'));
            let taken = end.map_or(reach.len(), |end| end + 1);
            self.unfinished
                .extend_from_slice(&reach[..end.unwrap_or(reach.len())]);
            bytes = &bytes[taken..];
            if end.is_some() || self.unfinished.len() == LONGEST_PIECE {
                self.end_piece();
                self.is_rest = end.is_none();
            }
        }
    }

    /// Ends the current log; further input belongs to another one.
    pub fn end(&mut self) {
        self.end_piece();
        self.is_rest = false;
        self.state = State::default();
        // Partial matches do not continue in the next message.
        self.message = self.heard;
    }

    /// Number of lines processed.
    pub fn lines(&self) -> u64 {
        self.line
    }

    /// The findings: root causes first, then their consequences.
    pub fn findings(mut self) -> Vec<Finding> {
        self.end();
        let sightings = self.sightings.into_iter().map(|(pattern, kept)| {
            let all = kept.first.into_iter().chain(kept.last);
            (pattern, all.collect())
        });
        judge::findings(sightings.collect())
    }

    fn end_piece(&mut self) {
        let piece = std::mem::take(&mut self.unfinished);
        // Lines without text are ignored and do not end a message.
        if !piece.iter().all(|b| b.is_ascii_whitespace() || *b == 0) {
            self.piece(&piece);
        }
        self.unfinished = piece;
        self.unfinished.clear();
    }

    fn piece(&mut self, piece: &[u8]) {
        if !self.is_rest {
            self.line += 1;
            if !goes_on(piece) {
                self.message = self.heard;
            }
        }
        self.plain.read(piece);
        let first = self.heard;
        // Reuse the memory of the oldest piece.
        let mut heard = match self.recent.len() {
            REMEMBERED => self.recent.pop_front().unwrap_or_default(),
            _ => Heard::default(),
        };
        heard.first = first;
        heard.bytes.clear();
        heard.bytes.extend_from_slice(piece);
        std::mem::swap(&mut heard.places, &mut self.plain.places);
        self.recent.push_back(heard);
        for index in 0..self.plain.bytes.len() {
            self.state = PATTERNS
                .automaton()
                .step(self.state, self.plain.bytes[index]);
            self.heard += 1;
            if PATTERNS.automaton().finds(self.state) {
                self.found(index, first);
            }
        }
    }

    /// Processes the words that end at the byte with this index.
    fn found(&mut self, index: usize, first: u64) {
        let end = first + index as u64;
        for word in PATTERNS.automaton().found(self.state) {
            let begin = (end + 1).saturating_sub(PATTERNS.length(word));
            let begins = begin
                .checked_sub(first)
                .is_none_or(|at| self.plain.begins_word(at as usize));
            let spot = Spot {
                begin,
                end,
                edges: [begins, self.plain.ends_word(index)],
            };
            let (sightings, recent, line) = (&mut self.sightings, &self.recent, self.line);
            PATTERNS.note(
                &mut self.progress,
                word,
                spot,
                self.message,
                |pattern, begin| {
                    let kept = sightings.entry(pattern).or_default();
                    if !kept.wants(line) {
                        return;
                    }
                    let quote = match IS_TOLD[pattern] {
                        true => quote(recent, begin, end),
                        false => String::new(),
                    };
                    kept.keep(Sighting { line, quote });
                },
            );
        }
    }
}

/// The lines that contain the bytes, without control characters; long lines are shortened.
fn quote(recent: &VecDeque<Heard>, begin: u64, end: u64) -> String {
    let mut lines = Vec::new();
    for (index, heard) in recent.iter().enumerate() {
        let is_before = recent
            .get(index + 1)
            .is_some_and(|next| next.first <= begin);
        if heard.first > end || is_before {
            continue;
        }
        lines.push(short(heard).unwrap_or_else(|| cut(heard, begin)));
    }
    lines.join("\n")
}

/// The complete line, unless it is too long to be quoted.
fn short(heard: &Heard) -> Option<String> {
    let bytes = heard.bytes.trim_ascii();
    // Most of the line may be omitted; it is not scanned for this.
    if bytes.len() > 2 * LONGEST_QUOTE {
        return None;
    }
    let whole = String::from_utf8_lossy(bytes);
    let text = without_controls(&whole);
    let text = text.trim();
    (text.len() <= LONGEST_QUOTE).then(|| text.to_owned())
}

fn without_controls(text: &str) -> Cow<'_, str> {
    match text.contains(char::is_control) {
        true => text.replace(char::is_control, "").into(),
        false => text.into(),
    }
}

/// The part of a long line around the byte with this index.
fn cut(heard: &Heard, begin: u64) -> String {
    let index = begin.saturating_sub(heard.first) as usize;
    let place = heard.places.get(index).map_or(0, |place| *place as usize);
    let is_within = |byte: &u8| byte & 0xc0 == 0x80;
    let mut from = place
        .saturating_sub(LONGEST_QUOTE / 3)
        .min(heard.bytes.len());
    while from > 0 && heard.bytes.get(from).is_some_and(is_within) {
        from -= 1;
    }
    let rest = &heard.bytes[from..];
    // A character has at most 4 bytes.
    let part = String::from_utf8_lossy(&rest[..rest.len().min(4 * LONGEST_QUOTE)]);
    let text = part.chars().filter(|c| !c.is_control());
    let text: String = text.take(LONGEST_QUOTE).collect();
    let before = if from > 0 { "..." } else { "" };
    format!("{before}{}...", text.trim())
}
