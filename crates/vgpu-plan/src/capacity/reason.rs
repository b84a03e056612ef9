//! Why a GPU has no room for one more of a type. A reason is given only where it is known to hold.

use super::Capacity;
use super::gpu::Fragmentation;
use super::held::{Held, framebuffer_needed, hold_line, instances_left};
use super::limits::Limits;
use nvidia_vgpu::{Share, size};
use vgpu_host::model::VgpuType;

/// What a GPU holds, and why that leaves no room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal<'t> {
    /// What it holds in the end; now, for [`Reason::MayFitLater`].
    pub held: Vec<Held<'t>>,
    /// Whether something of that is still to come.
    pub is_to_fill: bool,
    /// Why.
    pub reason: Reason,
}

/// Why there is no room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// It holds nothing, yet its driver offers no instance of the type.
    NotOffered,
    /// The same of a MIG-backed type.
    NoInstance,
    /// It serves one framebuffer size at a time, and the type has another, in MiB.
    OtherSize(u64),
    /// It is in MIG mode, and the type is not MIG-backed.
    IsMig,
    /// The type is MIG-backed, and it is not in MIG mode.
    IsNotMig,
    /// Each of its virtual functions, of which there are so many, has a vGPU.
    NoFunction(u32),
    /// The virtual functions without one are kept for definitions.
    KeptFunctions,
    /// It cannot be cut into one more GPU instance of the type's kind.
    NoInstanceLeft,
    /// It could be, and its driver offers none.
    NoInstanceOffered,
    /// GPU instances of other kinds go first: whether it can be cut anew then, its driver alone can tell.
    MayFitLater,
    /// It holds as many as fit.
    Full,
    /// It serves several sizes, and what is left is too little.
    TooLittleLeft,
    /// It serves several sizes, and no placement id of the type is free.
    NoPlacement(Fragmentation),
    /// Something that is not known keeps its driver from offering more.
    NoMoreOffered,
    /// Nothing more is known of the type than what it holds.
    Unknown,
}

impl Reason {
    /// Whether it is what the GPU holds, so that there is room once that is gone.
    pub fn is_in_the_way(self) -> bool {
        matches!(
            self,
            Reason::OtherSize(_) | Reason::IsMig | Reason::IsNotMig
        )
    }
}

impl<'t> Refusal<'t> {
    pub(super) fn of(gpu: &Capacity<'t>, at: usize) -> Refusal<'t> {
        let reason = reason(gpu, at);
        Refusal {
            held: match reason {
                Reason::MayFitLater => gpu.held_now(),
                _ => gpu.holdings(),
            },
            is_to_fill: gpu.is_to_fill() && reason != Reason::MayFitLater,
            reason,
        }
    }

    /// Why, in words that follow the GPU's name: "holds 3 x P4-2Q (2 GiB each), as many as fit".
    pub fn words(&self) -> String {
        self.words_after("holds")
    }

    /// The same, where what is still to come is told apart: "will hold ...".
    pub fn words_of_plan(&self) -> String {
        self.words_after(match self.is_to_fill {
            true => "will hold",
            false => "holds",
        })
    }

    fn words_after(&self, verb: &str) -> String {
        let held = match self.held.is_empty() {
            true => "nothing".to_owned(),
            false => hold_line(&self.held),
        };
        let why = match self.reason {
            Reason::NotOffered => ", but its driver offers no instance of this type",
            Reason::NoInstance => {
                ", but its driver offers no instance of this type, which needs MIG mode and a GPU \
                 instance of its profile (nvidia-smi mig)"
            }
            Reason::OtherSize(mib) => {
                return format!(
                    "{verb} {held}; a GPU serves one framebuffer size at a time, and this type needs {}",
                    size(mib)
                );
            }
            Reason::IsMig => {
                "; a GPU in MIG mode serves only MIG-backed types, and this type is not MIG-backed"
            }
            Reason::IsNotMig => {
                "; this type is MIG-backed, and a GPU in MIG mode serves only such types"
            }
            Reason::NoFunction(1) => ", on its only virtual function",
            Reason::NoFunction(all) => {
                return format!("{verb} {held}, on all of its {all} virtual functions");
            }
            Reason::KeptFunctions => {
                "; its other virtual functions are kept for definitions that start at boot"
            }
            Reason::NoInstanceLeft => ", which leaves no GPU instance for this type",
            Reason::NoInstanceOffered => {
                ", and its driver offers no GPU instance for this type now"
            }
            Reason::MayFitLater => {
                " now; only its driver can tell whether removing some of them makes room for a GPU \
                 instance of this type: remove those first, then apply again"
            }
            Reason::Full => ", as many as fit",
            Reason::NoPlacement(left) => {
                let largest = match left.largest_mib {
                    Some(mib) => format!("the largest type that fits has {}", size(mib)),
                    None => "no type fits".to_owned(),
                };
                return format!(
                    "{verb} {held}, as many as fit: {} is free, but at no placement ID of this type; {largest}",
                    size(left.free_mib)
                );
            }
            Reason::TooLittleLeft => ", which leaves no room for one more",
            Reason::NoMoreOffered => ", and its driver offers no more of this type now",
            Reason::Unknown => "",
        };
        format!("{verb} {held}{why}")
    }
}

fn reason(gpu: &Capacity<'_>, at: usize) -> Reason {
    let (held, (wanted, share)) = (gpu.holdings(), gpu.wanted(at));
    let limits = gpu.limits();
    if gpu.has_only_kept_functions() {
        return Reason::KeptFunctions;
    }
    let left = instances_left(&held, wanted, limits.memory_mib);
    if share == Share::Instance && gpu.instances_leave() && left != Some(0) {
        return Reason::MayFitLater;
    }
    if held.is_empty() {
        return match share {
            Share::Instance => Reason::NoInstance,
            Share::Size(_) | Share::Unknown => Reason::NotOffered,
        };
    }
    let others = held.iter().map(|held| held.vgpu_type.share());
    let is_other_mode = others.clone().any(|other| other.is_other_mode(share));
    let is_other_size = others.clone().any(|other| other.is_other_size(share));
    let has_no_function = has_no_function_left(gpu, limits);
    match share {
        Share::Size(mib) if is_other_size && !gpu.mixes_sizes() => Reason::OtherSize(mib),
        Share::Size(_) if is_other_mode => Reason::IsMig,
        Share::Instance if is_other_mode => Reason::IsNotMig,
        _ if has_no_function => Reason::NoFunction(limits.functions.unwrap_or_default()),
        Share::Unknown => Reason::Unknown,
        Share::Instance if left == Some(0) => Reason::NoInstanceLeft,
        Share::Instance => Reason::NoInstanceOffered,
        Share::Size(_) if gpu.mixes_sizes() && gpu.has_place(at) => Reason::NoMoreOffered,
        Share::Size(mib) if gpu.mixes_sizes() => match gpu.fragmentation() {
            Some(left) if left.free_mib >= mib => Reason::NoPlacement(left),
            _ => Reason::TooLittleLeft,
        },
        Share::Size(_) if is_full(&held, wanted, limits) => Reason::Full,
        // Whatever the reason is, it is not the number.
        Share::Size(_) => Reason::NoMoreOffered,
    }
}

fn has_no_function_left(gpu: &Capacity<'_>, limits: &Limits) -> bool {
    limits.functions.is_some_and(|all| gpu.taken() >= all)
}

/// Whether one more is more than the type allows, or than the memory holds.
fn is_full(held: &[Held<'_>], wanted: &VgpuType, limits: &Limits) -> bool {
    let count: usize = held.iter().map(|held| held.count).sum();
    let most = wanted.details().map(|details| details.max_instances);
    let most = most.and_then(|most| usize::try_from(most).ok());
    let needed = framebuffer_needed(held) + wanted.framebuffer_mib().unwrap_or_default();
    most.is_some_and(|most| count >= most) || limits.memory_mib.is_some_and(|all| needed > all)
}
