//! Answers kept for as long as one reading of a host lasts.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::error::{Warnings, warn_once};

/// Answers by question. A question is asked once where answers are kept, and each time where not.
#[derive(Debug)]
pub struct Memo<K, V>(Option<Mutex<HashMap<K, V>>>);

impl<K, V> Memo<K, V> {
    /// Keeps answers, or none.
    pub fn new(is_kept: bool) -> Memo<K, V> {
        Memo(is_kept.then(|| Mutex::new(HashMap::new())))
    }
}

impl<K: Eq + Hash + Clone, V: Clone> Memo<K, V> {
    /// The answer to `question`, by `ask` unless it is known. Two threads may both ask.
    pub fn get(&self, question: &K, ask: impl FnOnce() -> V) -> V {
        let Some(known) = &self.0 else {
            return ask();
        };
        if let Some(answer) = locked(known).get(question) {
            return answer.clone();
        }
        let answer = ask();
        locked(known).insert(question.clone(), answer.clone());
        answer
    }

    /// The answer, where it is known.
    pub fn known(&self, question: &K) -> Option<V> {
        locked(self.0.as_ref()?).get(question).cloned()
    }
}

/// An answer, and what could not be read on the way.
pub type Read<T> = (T, Warnings);

impl<K: Eq + Hash + Clone, T: Clone> Memo<K, Read<T>> {
    /// As [`Memo::get`]; what could not be read is added to the caller's, once.
    pub fn read(
        &self,
        question: &K,
        warnings: &mut Warnings,
        ask: impl FnOnce(&mut Warnings) -> T,
    ) -> T {
        let (answer, unread) = self.get(question, || {
            let mut unread = Vec::new();
            (ask(&mut unread), unread)
        });
        unread
            .into_iter()
            .for_each(|error| warn_once(warnings, error));
        answer
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    #[test]
    fn a_question_is_asked_once_where_answers_are_kept_and_each_time_where_not() {
        for (is_kept, asked) in [(true, 2), (false, 3)] {
            let (memo, count) = (Memo::new(is_kept), Cell::new(0));
            let ask = || {
                count.set(count.get() + 1);
                count.get()
            };
            assert_eq!(memo.get(&"a", ask), 1);
            memo.get(&"a", ask);
            memo.get(&"b", ask);
            assert_eq!(count.get(), asked);
            assert_eq!(memo.known(&"a"), is_kept.then_some(1));
        }
    }
}
