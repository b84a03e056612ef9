//! Why a GPU has no room for one more vGPU, in words. A reason is told only where it is known to hold.

use super::old::{clashes, has_other_size};
use super::{Held, framebuffer_needed, hold_line, instances_left};
use crate::model::VgpuType;
use crate::nvidia::{Share, size};

/// What surely is the most that a GPU takes, as far as it is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Bounds {
    /// Its memory, where its types are its own.
    pub memory_mib: Option<u64>,
    /// Its virtual functions, each of which takes one vGPU; `None` where it needs none.
    pub functions: Option<u32>,
}

impl Bounds {
    /// Whether one more of a type is surely too much.
    pub fn are_reached(&self, held: &[Held<'_>], wanted: &VgpuType) -> bool {
        self.has_no_function_left(held) || self.has_no_room(held, wanted)
    }

    /// Whether each virtual function has a vGPU.
    fn has_no_function_left(&self, held: &[Held<'_>]) -> bool {
        let count: usize = held.iter().map(|held| held.count).sum();
        let all = self.functions.and_then(|all| usize::try_from(all).ok());
        all.is_some_and(|all| count >= all)
    }

    /// Whether one more of a type is more than the type allows, or than the memory holds.
    fn has_no_room(&self, held: &[Held<'_>], wanted: &VgpuType) -> bool {
        let count: usize = held.iter().map(|held| held.count).sum();
        let most = wanted.details().map(|details| details.max_instances);
        let most = most.and_then(|most| usize::try_from(most).ok());
        let needed = framebuffer_needed(held) + wanted.framebuffer_mib().unwrap_or_default();
        most.is_some_and(|most| count >= most) || self.memory_mib.is_some_and(|all| needed > all)
    }
}

/// Why a GPU that holds these has no room for one more of a type: "holds 3 x P4-2Q (2 GiB each); a
/// GPU serves one framebuffer size at a time, and this type needs 4 GiB".
pub fn why_no_room(held: &[Held<'_>], wanted: &VgpuType, bounds: &Bounds) -> String {
    if held.is_empty() {
        let none = "holds nothing, yet its driver offers no instance of this type";
        return match wanted.share() {
            Share::Instance => format!(
                "{none}, which needs MIG mode and a GPU instance of its profile (nvidia-smi mig)"
            ),
            _ => none.to_owned(),
        };
    }
    format!("holds {}", too_full(held, wanted, bounds))
}

/// The same of one that holds something, without the verb.
pub fn too_full(held: &[Held<'_>], wanted: &VgpuType, bounds: &Bounds) -> String {
    let held_line = hold_line(held);
    match wanted.share() {
        Share::Size(mib) if has_other_size(held, wanted) => format!(
            "{held_line}; a GPU serves one framebuffer size at a time, and this type needs {}",
            size(mib)
        ),
        Share::Size(_) if clashes(held, wanted) => format!(
            "{held_line}; a GPU in MIG mode serves MIG-backed types only, and this type is none"
        ),
        Share::Instance if clashes(held, wanted) => format!(
            "{held_line}; this type is MIG-backed, and a GPU in MIG mode serves such types only"
        ),
        _ if bounds.has_no_function_left(held) => no_function_left(&held_line, bounds),
        Share::Unknown => held_line,
        Share::Instance if instances_left(held, wanted, bounds.memory_mib) == Some(0) => {
            format!("{held_line}, which leaves no GPU instance for this type")
        }
        Share::Instance => {
            format!("{held_line}, and its driver offers no GPU instance for this type now")
        }
        Share::Size(_) if bounds.has_no_room(held, wanted) => {
            format!("{held_line}, as many as fit")
        }
        // Whatever the reason is, it is not the number.
        Share::Size(_) => format!("{held_line}, and its driver offers no more of this type now"),
    }
}

/// The same of one that serves several sizes.
pub fn too_full_of_several(held: &[Held<'_>], bounds: &Bounds) -> String {
    let held_line = hold_line(held);
    match bounds.has_no_function_left(held) {
        true => no_function_left(&held_line, bounds),
        false => format!("{held_line}, which leaves too little for one more"),
    }
}

fn no_function_left(held_line: &str, bounds: &Bounds) -> String {
    match bounds.functions {
        Some(1) => format!("{held_line}, on its only virtual function"),
        all => format!(
            "{held_line}, on all of its {} virtual functions",
            all.unwrap_or_default()
        ),
    }
}
