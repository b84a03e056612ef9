//! `vgpuctl`: mediated devices and virtual GPUs, listed, created and brought back at boot.
//!
//! The map of the crate. Arrows run one way, and `tests/architecture.rs` enforces them:
//! [`cli`] -> [`output`], [`ops`] -> [`sysfs`], [`store`] -> [`model`], [`nvidia`], [`host`],
//! [`dir`], [`error`].

pub mod cli;
pub mod dir;
pub mod error;
pub mod host;
pub mod model;
pub mod nvidia;
pub mod ops;
pub mod output;
pub mod store;
pub mod sysfs;
