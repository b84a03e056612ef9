//! What is known about NVIDIA's vGPU types. Data and pure functions; the kernel is asked elsewhere.

mod details;
pub mod messages;
mod placement;

pub use details::{TypeDetails, size};
pub use placement::{Held, hold_line, holdings};

/// A type's name without the product line in front: `GRID P4-1Q` and `NVIDIA A40-1Q` become
/// `P4-1Q` and `A40-1Q` (NVIDIA dropped "GRID" for newer cards).
pub fn short_name(name: &str) -> &str {
    ["GRID ", "NVIDIA "]
        .iter()
        .find_map(|prefix| name.strip_prefix(prefix))
        .unwrap_or(name)
}
