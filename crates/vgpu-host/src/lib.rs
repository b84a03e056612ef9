//! A host with virtual GPUs: what its kernel offers and has, what is defined to be made, and changing
//! both. Nothing here talks to people: failures are values, and next steps are named, not worded.

#![deny(missing_docs, unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

pub mod advice;
pub mod dir;
pub mod error;
pub mod forks;
pub mod host;
pub mod interrupt;
pub mod memo;
pub mod model;
pub mod notify;
pub mod scripts;
pub mod smi;
pub mod store;
pub mod sysfs;
pub mod text;
