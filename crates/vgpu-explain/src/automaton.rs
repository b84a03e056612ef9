//! Searches for many words at once, in time that depends only on the text (Aho and Corasick 1975).

use std::collections::{BTreeMap, VecDeque};

/// The index of a word, in the order of insertion.
pub type WordId = u32;

/// The state of the automaton, initially at the beginning of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct State(u32);

/// The transition table: for each state and byte class, the next state.
#[derive(Debug)]
pub struct Automaton {
    /// Bytes that occur in no word are in class 0, which leads back to the start.
    classes: [u8; 256],
    width: usize,
    next: Vec<u32>,
    /// The word that ends in each state, and the next shorter one that also ends there.
    ends: Vec<Option<WordId>>,
    shorter: Vec<u32>,
    /// Whether any word ends in each state.
    any: Vec<bool>,
}

/// The start state; also means "no shorter word".
const ROOT: u32 = 0;

impl Automaton {
    /// The automaton that finds `words`; equal words share the number of the first.
    pub fn of<'w>(words: impl Iterator<Item = &'w [u8]> + Clone) -> Automaton {
        let mut classes = [0_u8; 256];
        let mut width = 1;
        for byte in words.clone().flatten() {
            let class = &mut classes[usize::from(*byte)];
            if *class == 0 {
                // At most 255 classes: a byte that is in no word keeps 0, and NUL is in none.
                *class = u8::try_from(width).unwrap_or(0);
                width += 1;
            }
        }
        let mut trie: Vec<BTreeMap<u8, u32>> = vec![BTreeMap::new()];
        let mut ends = vec![None];
        for (id, word) in (0..).zip(words) {
            let mut at = ROOT;
            for byte in word {
                let fresh = trie.len() as u32;
                let class = classes[usize::from(*byte)];
                at = *trie[at as usize].entry(class).or_insert(fresh);
                if at == fresh {
                    trie.push(BTreeMap::new());
                    ends.push(None);
                }
            }
            ends[at as usize].get_or_insert(id);
        }
        let mut built = Automaton {
            classes,
            width,
            next: vec![ROOT; trie.len() * width],
            shorter: vec![ROOT; trie.len()],
            ends,
            any: Vec::new(),
        };
        built.connect(&trie);
        let states = built.ends.iter().zip(&built.shorter);
        built.any = states
            .map(|(end, shorter)| end.is_some() || *shorter != ROOT)
            .collect();
        built
    }

    /// Fills the table in order of depth, so that what a state falls back on is complete.
    fn connect(&mut self, trie: &[BTreeMap<u8, u32>]) {
        let mut fall_back = vec![ROOT; trie.len()];
        let mut waiting = VecDeque::from([ROOT]);
        while let Some(state) = waiting.pop_front() {
            let (row, back) = (state as usize * self.width, fall_back[state as usize]);
            if state != ROOT {
                let from = back as usize * self.width;
                self.next.copy_within(from..from + self.width, row);
            }
            for (class, child) in &trie[state as usize] {
                let slot = row + usize::from(*class);
                // The slot still contains the transition of the fallback.
                let beside = if state == ROOT { ROOT } else { self.next[slot] };
                fall_back[*child as usize] = beside;
                self.shorter[*child as usize] = match self.ends[beside as usize] {
                    Some(_) => beside,
                    None => self.shorter[beside as usize],
                };
                self.next[slot] = *child;
                waiting.push_back(*child);
            }
        }
    }

    /// The state after one more byte.
    pub fn step(&self, state: State, byte: u8) -> State {
        let class = usize::from(self.classes[usize::from(byte)]);
        State(self.next[state.0 as usize * self.width + class])
    }

    /// Whether any word ends in this state.
    pub fn finds(&self, state: State) -> bool {
        self.any[state.0 as usize]
    }

    /// The words that end in this state, longest first.
    pub fn found(&self, state: State) -> impl Iterator<Item = WordId> + '_ {
        let mut at = match self.ends[state.0 as usize] {
            Some(_) => state.0,
            None => self.shorter[state.0 as usize],
        };
        std::iter::from_fn(move || {
            let word = self.ends[at as usize].filter(|_| at != ROOT)?;
            at = self.shorter[at as usize];
            Some(word)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(words: &[&str], text: &str) -> Vec<(usize, WordId)> {
        let automaton = Automaton::of(words.iter().map(|word| word.as_bytes()));
        let mut state = State::default();
        let mut all = Vec::new();
        for (at, byte) in text.bytes().enumerate() {
            state = automaton.step(state, byte);
            all.extend(automaton.found(state).map(|word| (at + 1, word)));
        }
        all
    }

    #[test]
    fn words_in_words_and_overlapping_words_are_all_found() {
        let words = ["he", "she", "his", "hers"];
        assert_eq!(found(&words, "ushers"), [(4, 1), (4, 0), (6, 3)]);
        assert_eq!(found(&["aa"], "aaaa"), [(2, 0), (3, 0), (4, 0)]);
        assert_eq!(found(&["abcd", "bc"], "xabcx"), [(4, 1)]);
    }

    #[test]
    fn bytes_of_no_word_begin_anew() {
        assert_eq!(found(&["ab"], "a\u{fc}b a\0b ab"), [(11, 0)]);
        assert_eq!(found(&[], "anything"), []);
    }

    #[test]
    fn it_finds_what_a_plain_search_finds() {
        let words = ["ab", "ba", "aab", "bbb", "abba", "b"];
        let mut seed = 7_u32;
        for _ in 0..200 {
            let text: String = (0..40)
                .map(|_| {
                    seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    if seed & 0x8000_0000 == 0 { 'a' } else { 'b' }
                })
                .collect();
            let mut plain = Vec::new();
            for (id, word) in (0..).zip(words) {
                let begins = (0..text.len()).filter(|at| text[*at..].starts_with(word));
                plain.extend(begins.map(|at| (at + word.len(), id)));
            }
            plain.sort_unstable();
            let mut ours = found(&words, &text);
            ours.sort_unstable();
            assert_eq!(ours, plain, "{text}");
        }
    }
}
