//! `vgpuctl`: mediated devices and virtual GPUs, listed, created and restored at boot.
//!
//! The map of the crate and of those in `crates/` is docs/architecture.md; `tests/architecture.rs`
//! enforces it.

#![deny(missing_docs, unsafe_code)]
// What comes from outside is never unwrapped, and printing must not panic on a closed stream.
#![deny(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#![deny(clippy::print_stdout, clippy::print_stderr, clippy::exit)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic))]

pub mod attach;
#[cfg(not(fuzzing))]
pub mod cli;
// One place for what tests roll, here and on simulated hosts.
#[cfg(test)]
#[path = "../tests/shared/dice.rs"]
mod dice;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzzing;
pub mod hints;
#[cfg(not(fuzzing))]
pub mod mdevctl;
pub mod ops;
#[cfg(not(fuzzing))]
pub mod output;

pub use nvidia_vgpu as nvidia;
pub use vgpu_doctor as doctor;
pub use vgpu_host::{
    advice, dir, error, forks, host, interrupt, memo, model, notify, scripts, smi, store, sysfs,
    text,
};
pub use vgpu_plan::{capacity, declare};
