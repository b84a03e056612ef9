//! `vgpuctl`: mediated devices and virtual GPUs, listed, created and brought back at boot.
//!
//! The map of the crate. Arrows run one way, and `tests/architecture.rs` enforces them:
//! [`cli`], [`mdevctl`] -> [`output`], [`ops`], [`doctor`], [`attach`] -> [`sysfs`], [`store`],
//! [`scripts`] -> [`model`], [`nvidia`], [`capacity`], [`declare`], [`host`], [`dir`], [`text`],
//! [`notify`], [`order`], [`memo`], [`advice`], [`hints`], [`forks`], [`interrupt`], [`error`].
//! [`cli`] and [`mdevctl`] do not know each other.

#![deny(missing_docs, unsafe_code)]
// What comes from outside is never unwrapped, and printing must not panic on a closed stream.
#![deny(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#![deny(clippy::print_stdout, clippy::print_stderr, clippy::exit)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic))]

pub mod advice;
pub mod attach;
pub mod capacity;
#[cfg(not(fuzzing))]
pub mod cli;
pub mod declare;
pub mod dir;
pub mod doctor;
pub mod error;
pub mod forks;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzzing;
pub mod hints;
pub mod host;
pub mod interrupt;
#[cfg(not(fuzzing))]
pub mod mdevctl;
pub mod memo;
pub mod model;
pub mod notify;
pub mod ops;
pub mod order;
#[cfg(not(fuzzing))]
pub mod output;
pub mod scripts;
pub mod store;
pub mod sysfs;
pub mod text;

pub use nvidia_vgpu as nvidia;
