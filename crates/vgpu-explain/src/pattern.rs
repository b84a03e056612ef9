//! Patterns: words in an order. `*` stands for anything in between, within one message, `**` for more
//! of it; `~` for the edge of a word. Case, blanks, quotes and stars of the log do not count (see `text.rs`).

use std::collections::HashMap;

use crate::automaton::{Automaton, WordId};
use crate::text::Plain;

/// How many bytes `*` stands for at most, and `**`: longer paths than the one, whole audit records are
/// rare.
const WIDTHS: [u64; 2] = [120, 400];

/// A pattern's number.
pub type PatternId = usize;

/// Which word of which pattern.
#[derive(Debug, Clone, Copy)]
struct Part {
    pattern: PatternId,
    index: usize,
    /// How far the word before may be.
    width: u64,
    /// Whether the word must begin, and end, where a word of the text does.
    edges: [bool; 2],
}

/// Where a word was found.
#[derive(Debug, Clone, Copy)]
pub struct Spot {
    /// Its first and last byte, counted from the beginning of the log.
    pub begin: u64,
    /// See `begin`.
    pub end: u64,
    /// Whether an edge of a word is at its beginning, and at its end.
    pub edges: [bool; 2],
}

/// How much of each pattern a text has shown, pattern by pattern. For each word: where the whole
/// began, and where this word ended.
#[derive(Debug)]
pub struct Progress(Vec<Option<(u64, u64)>>);

/// All patterns.
#[derive(Debug)]
pub struct Patterns {
    automaton: Automaton,
    parts: Vec<Vec<Part>>,
    /// How long each word is.
    lengths: Vec<u64>,
    /// Where the words of each pattern begin among those of all, and after the last where they end.
    begins: Vec<usize>,
}

impl Patterns {
    /// Reads the patterns; their numbers are their places in `texts`.
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
                // Later words of a pattern first: one that occurs twice must not answer itself.
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

    /// Of a text that has shown nothing yet.
    pub fn progress(&self) -> Progress {
        Progress(vec![None; self.begins.last().copied().unwrap_or(0)])
    }

    /// What finds the words.
    pub fn automaton(&self) -> &Automaton {
        &self.automaton
    }

    /// How long a word is.
    pub fn length(&self, word: WordId) -> u64 {
        self.lengths[word as usize]
    }

    /// Takes note of a word. Calls `whole` with each pattern that it completes, and where in the
    /// text that began. Words before `message` belong to another message.
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

/// A word as the text would show it.
fn plain(word: &str) -> Vec<u8> {
    let mut plain = Plain::default();
    plain.read(word.as_bytes());
    plain.bytes
}
