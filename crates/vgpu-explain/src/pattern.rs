//! Patterns: words in order. `*` matches anything between them within one message, `**` more
//! of it; `~` matches a word boundary. Case, blanks, quotes and stars in the log are ignored (see `text.rs`).

use std::collections::HashMap;

use crate::automaton::{Automaton, WordId};
use crate::text::Plain;

/// Maximum number of bytes matched by `*` and by `**`: longer paths than the first, and audit records longer than
/// the second are rare.
const WIDTHS: [u64; 2] = [120, 400];

/// The index of a pattern.
pub type PatternId = usize;

/// A word of a pattern.
#[derive(Debug, Clone, Copy)]
struct Part {
    pattern: PatternId,
    index: usize,
    /// Maximum distance from the previous word.
    width: u64,
    /// Whether the word must begin, and end, at a word boundary of the text.
    edges: [bool; 2],
}

/// The position of a word in the log.
#[derive(Debug, Clone, Copy)]
pub struct Spot {
    /// Offset of its first and last byte in the log.
    pub begin: u64,
    /// See `begin`.
    pub end: u64,
    /// Whether it begins, and ends, at a word boundary.
    pub edges: [bool; 2],
}

/// The matched part of each pattern. For each word: where the match
/// began, and where the word ended.
#[derive(Debug)]
pub struct Progress(Vec<Option<(u64, u64)>>);

/// All patterns.
#[derive(Debug)]
pub struct Patterns {
    automaton: Automaton,
    parts: Vec<Vec<Part>>,
    /// The length of each word.
    lengths: Vec<u64>,
    /// For each pattern, the index of its first word; the last element is the total number.
    begins: Vec<usize>,
}

impl Patterns {
    /// Parses the patterns; their indexes are those in `texts`.
    pub fn of(texts: &[&str]) -> Patterns {
        let mut words: Vec<Vec<u8>> = Vec::new();
        let mut ids: HashMap<Vec<u8>, usize> = HashMap::new();
        let mut parts: Vec<Vec<Part>> = Vec::new();
        let mut begins = vec![0];
        let mut sum = 0;
        for (pattern, text) in texts.iter().enumerate() {
            let mut count = 0;
            let mut width = WIDTHS[0];
            for piece in text.split('*') {
                let piece = piece.trim();
                let edges = [piece.starts_with('~'), piece.ends_with('~')];
                let word = plain(piece.trim_matches('~'));
                if word.is_empty() {
                    width = WIDTHS[1];
                    continue;
                }
                let id = *ids.entry(word.clone()).or_insert_with(|| {
                    words.push(word);
                    parts.push(Vec::new());
                    parts.len() - 1
                });
                let part = Part {
                    pattern,
                    index: count,
                    width,
                    edges,
                };
                width = WIDTHS[0];
                // Later words of a pattern first: a repeated word must not follow itself.
                parts[id].insert(0, part);
                count += 1;
            }
            sum += count;
            begins.push(sum);
        }
        Patterns {
            automaton: Automaton::of(words.iter().map(Vec::as_slice)),
            lengths: words.iter().map(|word| word.len() as u64).collect(),
            parts,
            begins,
        }
    }

    /// The initial state.
    pub fn progress(&self) -> Progress {
        Progress(vec![None; self.begins.last().copied().unwrap_or(0)])
    }

    /// The automaton that finds the words.
    pub fn automaton(&self) -> &Automaton {
        &self.automaton
    }

    /// The length of a word.
    pub fn length(&self, word: WordId) -> u64 {
        self.lengths[word as usize]
    }

    /// Processes a word. Calls `whole` with each pattern that it completes, and where in the
    /// text the match began. Words before `message` belong to another message.
    pub fn note(
        &self,
        progress: &mut Progress,
        word: WordId,
        spot: Spot,
        message: u64,
        mut whole: impl FnMut(PatternId, u64),
    ) {
        for part in &self.parts[word as usize] {
            if (0..2).any(|edge| part.edges[edge] && !spot.edges[edge]) {
                continue;
            }
            let words = self.begins[part.pattern]..self.begins[part.pattern + 1];
            let seen = &mut progress.0[words];
            let before = match part.index {
                0 => Some((spot.begin, spot.begin)),
                index => seen[index - 1].filter(|(begin, end)| {
                    *end <= spot.begin && spot.begin - end <= part.width && *begin >= message
                }),
            };
            let Some((begin, _)) = before else {
                continue;
            };
            seen[part.index] = Some((begin, spot.end + 1));
            if part.index + 1 == seen.len() {
                whole(part.pattern, begin);
            }
        }
    }
}

/// A word in the normalized form of the text.
fn plain(word: &str) -> Vec<u8> {
    let mut plain = Plain::default();
    plain.read(word.as_bytes());
    plain.bytes
}
