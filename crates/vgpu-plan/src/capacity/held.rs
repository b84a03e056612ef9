//! What a GPU holds, counted by type.

use nvidia_vgpu::{MigType, size};
use vgpu_host::model::VgpuType;

/// How many instances of one type are active on a GPU.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held<'a> {
    /// The type.
    pub vgpu_type: &'a VgpuType,
    /// Active instances of it.
    pub count: usize,
}

/// Counts the active instances of each type, given the types of the active devices.
pub fn holdings<'a>(active: impl IntoIterator<Item = &'a VgpuType>) -> Vec<Held<'a>> {
    let mut held: Vec<Held<'a>> = Vec::new();
    for vgpu_type in active {
        match held.iter_mut().find(|h| h.vgpu_type.id == vgpu_type.id) {
            Some(known) => known.count += 1,
            None => held.push(Held {
                vgpu_type,
                count: 1,
            }),
        }
    }
    held.sort_by(|a, b| a.vgpu_type.id.cmp(&b.vgpu_type.id));
    held
}

/// "3 x P4-2Q (2 GiB each)", or "1 x mtty-2" where the size is not known; empty for an idle GPU.
pub fn hold_line(held: &[Held<'_>]) -> String {
    let parts: Vec<String> = held
        .iter()
        .map(|h| {
            let name = h.vgpu_type.short_name();
            match h.vgpu_type.framebuffer_mib() {
                Some(mib) => format!("{} x {name} ({} each)", h.count, size(mib)),
                None => format!("{} x {name}", h.count),
            }
        })
        .collect();
    parts.join(", ")
}

/// The framebuffer that all of these need, in MiB; types without a known size count for nothing.
pub fn framebuffer_needed(held: &[Held<'_>]) -> u64 {
    held.iter()
        .filter_map(|held| {
            Some(held.vgpu_type.framebuffer_mib()? * u64::try_from(held.count).ok()?)
        })
        .sum()
}

/// How many more of a MIG-backed type fit at most on a GPU that holds these; see
/// [`nvidia_vgpu::instances_left`]. `None` for other types, too.
pub fn instances_left(
    held: &[Held<'_>],
    wanted: &VgpuType,
    memory_mib: Option<u64>,
) -> Option<u32> {
    nvidia_vgpu::instances_left(&mig_types(held), &wanted.mig()?, memory_mib)
}

/// The MIG-backed types among these, each with its count.
pub fn mig_types(held: &[Held<'_>]) -> Vec<(MigType, u32)> {
    let count = |held: &Held<'_>| u32::try_from(held.count).unwrap_or(u32::MAX);
    let held = held
        .iter()
        .map(|held| Some((held.vgpu_type.mig()?, count(held))));
    held.flatten().collect()
}
