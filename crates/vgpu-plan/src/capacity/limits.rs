//! What bounds a GPU, and which of the bounds is the tightest for one type.

use nvidia_vgpu::Region;

/// What is known of a GPU beside what its types say; by default nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Limits {
    /// Its memory in MiB, where its types are its own and not those of the card that an unlocked
    /// driver takes it for.
    pub memory_mib: Option<u64>,
    /// Its virtual functions, each of which takes one vGPU; `None` where it needs none.
    pub functions: Option<u32>,
    /// Whether it serves several framebuffer sizes from when nothing is on it.
    pub mixes_sizes: bool,
    /// Whether it is known to serve several sizes now, also where all that it holds has one.
    pub is_mixed: bool,
    /// How its framebuffer is divided while it serves several sizes; `None` where that is not known, so that what fits
    /// is counted by memory.
    pub region: Option<Region>,
}

/// How many more of a type fit, and what keeps it from being more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bound {
    /// So many.
    pub most: u32,
    /// What sets it.
    pub by: By,
}

/// What sets a bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// The driver offers no more.
    Driver,
    /// The most instances of the type, as its description says.
    Type,
    /// What is on the GPU does not go with the type.
    Others,
    /// Virtual functions.
    Functions {
        /// Those that it has.
        all: u32,
        /// Those with a vGPU.
        taken: u32,
        /// Those that are kept for definitions.
        kept: u32,
    },
    /// GPU instances: what it can be cut into.
    Instances,
    /// Memory, in MiB.
    Memory {
        /// What it has.
        all: u64,
        /// What its vGPUs have.
        taken: u64,
        /// What one of the type needs.
        each: u64,
    },
    /// The placement ids of the type that are free.
    Placements,
}

impl Bound {
    /// Of two bounds the tighter one; of those that are alike, the first.
    pub fn tighter(one: Option<Bound>, other: Option<Bound>) -> Option<Bound> {
        one.into_iter().chain(other).min_by_key(|bound| bound.most)
    }
}

/// The smaller one of what is known.
pub fn least(one: Option<u32>, other: Option<u32>) -> Option<u32> {
    one.into_iter().chain(other).min()
}
