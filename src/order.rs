//! Sorting, by one sort for all types: one for each type that is sorted made a tenth of the program.

use std::cmp::Ordering;

/// What `slice::sort_by` and `slice::sort_by_key` do. Equal items keep their order.
pub trait Order<T> {
    /// Puts the items in the order that `compare` tells.
    fn order_by(&mut self, compare: impl Fn(&T, &T) -> Ordering);

    /// Puts the items in the order of their keys.
    fn order_by_key<K: Ord>(&mut self, key: impl Fn(&T) -> K);
}

impl<T> Order<T> for [T] {
    fn order_by(&mut self, compare: impl Fn(&T, &T) -> Ordering) {
        // Directories are listed in order: what comes from one often is in order already.
        if self.is_sorted_by(|a, b| compare(a, b) != Ordering::Greater) {
            return;
        }
        let mut places = places(self.len(), &|a, b| compare(&self[a], &self[b]));
        for at in 0..self.len() {
            while places[at] != at {
                let to = places[at];
                self.swap(at, to);
                places.swap(at, to);
            }
        }
    }

    fn order_by_key<K: Ord>(&mut self, key: impl Fn(&T) -> K) {
        self.order_by(|a, b| key(a).cmp(&key(b)));
    }
}

/// The place of each of `number` items in their order.
fn places(number: usize, compare: &dyn Fn(usize, usize) -> Ordering) -> Vec<usize> {
    let mut order: Vec<usize> = (0..number).collect();
    order.sort_by(|a, b| compare(*a, *b));
    let mut places = vec![0; number];
    for (place, at) in order.into_iter().enumerate() {
        places[at] = place;
    }
    places
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn it_is_the_order_of_the_standard_sort(keys in prop::collection::vec(0..20u8, 0..200)) {
            let mut ours: Vec<(u8, String)> = keys
                .into_iter()
                .enumerate()
                .map(|(at, key)| (key, at.to_string()))
                .collect();
            let mut theirs = ours.clone();
            ours.order_by_key(|(key, _)| *key);
            theirs.sort_by_key(|(key, _)| *key);
            prop_assert_eq!(&ours, &theirs);
            ours.order_by(|a, b| b.cmp(a));
            theirs.sort_by(|a, b| b.cmp(a));
            prop_assert_eq!(ours, theirs);
        }
    }
}
