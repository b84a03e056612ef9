//! What is known about NVIDIA's vGPU types. Data and pure functions; the kernel is asked elsewhere.

mod card_table;
mod cards;
mod details;
mod mig;
mod name;
pub mod params;
mod placement;
mod reasons;
mod series;
mod size;

pub use cards::{
    Card, NVIDIA, Outlook, Standing, Unlock, card, standing, standing_with, unlocks_as,
};
pub use details::TypeDetails;
pub use mig::{Instance, Share, instances_left, is_cut_as_wanted};
pub use name::TypeName;
pub use placement::{
    Held, Placement, Queue, Room, choose, clashes, framebuffer_needed, has_other_size, hold_line,
    holdings,
};
pub use reasons::{Bounds, too_full, too_full_of_several, why_no_room};
pub use series::Series;
pub use size::{parse_size, size};

/// A type's name without the product line in front: `GRID P4-1Q` and `NVIDIA A40-1Q` become
/// `P4-1Q` and `A40-1Q` (NVIDIA dropped "GRID" for newer cards).
pub fn short_name(name: &str) -> &str {
    ["GRID ", "NVIDIA "]
        .iter()
        .find_map(|prefix| name.strip_prefix(prefix))
        .unwrap_or(name)
}
