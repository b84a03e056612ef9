//! What fits on a GPU, and what a file declares. Reads no host and changes nothing.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic))]

pub mod capacity;
pub mod declare;
// One place for what tests roll, here and on simulated hosts.
#[cfg(test)]
#[path = "../../../tests/shared/dice.rs"]
mod dice;
