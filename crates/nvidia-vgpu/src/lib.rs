//! Data about NVIDIA's vGPUs: type names, series, parameters, cards, MIG instances.
//!
//! Consists of the tables in `data/` and pure functions; the host is never accessed.

#![deny(missing_docs, unsafe_code)]

mod cards;
mod data;
mod details;
mod invalid;
mod mig;
mod name;
pub mod params;
mod placement;
mod series;
mod size;

pub use cards::{
    Card, NVIDIA, Outlook, Standing, Unlock, card, standing, standing_with, unlocks_as,
};
pub use details::TypeDetails;
pub use invalid::Invalid;
pub use mig::{Instance, MigType, Share, instances_left, is_cut_as_wanted, may_be_of};
pub use name::{TypeName, short_name};
pub use placement::{Filling, Layout, Places, Region};
pub use series::Series;
pub use size::{parse_size, size};
