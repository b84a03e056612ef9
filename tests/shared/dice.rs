//! Random numbers for tests: a seed that is told, and the same numbers from the same seed.

use proptest::prelude::Rng;
use proptest::test_runner::{RngAlgorithm, TestRng};

/// The seed: the one in an environment variable, a fixed one where a machine tests, else the clock's.
/// Told, so that a failure can be had again.
#[allow(clippy::print_stdout)]
pub fn seed(variable: &str) -> u64 {
    let given = std::env::var(variable).ok();
    let fixed = std::env::var_os("CI").map(|_| 1);
    let clock = || {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        now.unwrap().as_nanos() as u64 % 1_000_000_007
    };
    let given = given.map(|seed| seed.parse().unwrap());
    let seed = given.or(fixed).unwrap_or_else(clock);
    println!("{variable}={seed}");
    seed
}

/// Where choices come from.
pub struct Dice(TestRng);

impl Dice {
    /// The choices that follow from a seed.
    pub fn new(seed: u64) -> Dice {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        Dice(TestRng::from_seed(RngAlgorithm::ChaCha, &bytes))
    }

    /// A number below `end`.
    pub fn below(&mut self, end: usize) -> usize {
        self.0.random_range(0..end)
    }

    /// Whether it is that one of so many.
    pub fn is_one_in(&mut self, count: usize) -> bool {
        self.below(count) == 0
    }

    /// One of these.
    pub fn of<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[self.below(all.len())]
    }
}
