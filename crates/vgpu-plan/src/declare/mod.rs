//! What a host is declared to have: groups of vGPUs, as a file says them. Pure: text in, meaning out.
//!
//! A declaration names no device that exists; `ops` compares it with what the host has.

mod fault;
mod identity;
mod import;
mod policy;
mod read;
mod read_gpu;
mod read_group;
mod read_members;
mod read_parts;
mod table;
mod write;
mod yaml;
mod yaml_value;

use crate::capacity::Placement;
use vgpu_host::model::{Attr, ParentId, StartMode, TypeId};
use vgpu_host::store::{FunctionsAtBoot, GpuInstanceSpec, GpuSettings, Scheduler, Sizes};

pub use fault::Source;
pub use identity::{GroupName, MachineId, Member, MemberKey};
pub use import::{Format, VmDevice, import, vm_devices};
pub use policy::{Account, Allow, NOBODY, Policy, Quota, Who};
pub use read::{LONGEST_FILE, Reading, parse};
pub use write::write;

/// What a host is to have.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Declaration {
    /// The groups, in the order of the file.
    pub groups: Vec<Group>,
    /// What becomes of devices and definitions that no group lists.
    pub unlisted: Unlisted,
    /// How GPUs are to be set up before they take vGPUs, now and at each boot.
    pub setups: Vec<GpuSetup>,
}

/// How GPUs are to be set up. What it leaves out stays as the GPU's own settings say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GpuSetup {
    /// Which: by address or model, not by index, which depends on what is set up.
    pub gpus: Vec<GpuName>,
    /// Whether boot enables their virtual functions.
    pub functions: Option<FunctionsAtBoot>,
    /// Their GPU instances.
    pub mig: Option<Vec<GpuInstanceSpec>>,
    /// Whether they serve several framebuffer sizes at a time.
    pub sizes: Option<Sizes>,
    /// Their scheduler.
    pub scheduler: Option<Scheduler>,
    /// Where it stands in its file, from 1, for messages.
    pub line: usize,
}

impl GpuSetup {
    /// A GPU's settings once they are as declared.
    pub fn over(&self, now: GpuSettings) -> GpuSettings {
        GpuSettings {
            functions: self.functions.unwrap_or(now.functions),
            mig: self.mig.clone().unwrap_or(now.mig),
            sizes: self.sizes.unwrap_or(now.sizes),
            scheduler: self.scheduler.clone().or(now.scheduler),
        }
    }
}

/// What becomes of devices and definitions that no group lists.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Unlisted {
    /// They stay.
    #[default]
    Keep,
    /// They go.
    Remove,
    /// Those go that an earlier `apply` made; the others stay.
    RemoveOwn,
    /// They go from these GPUs, and stay on others: what other programs' files mean that speak of
    /// some GPUs only.
    RemoveOn {
        /// The GPUs.
        gpus: Vec<GpuName>,
        /// Types, by id, whose devices stay on these too.
        but: Vec<TypeId>,
    },
}

/// vGPUs of one type that are alike.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Its name, which the UUIDs of its members are derived from.
    pub name: GroupName,
    /// The type's id, full name or short name.
    pub type_name: String,
    /// Which vGPUs it has.
    pub members: Members,
    /// The GPUs that they may be on.
    pub gpus: GpuChoice,
    /// How to choose among those that have room.
    pub placement: Placement,
    /// Whether they are started at boot.
    pub start: StartMode,
    /// What is written to each, in order; parameters of NVIDIA's plugin among them.
    pub attrs: Vec<Attr>,
    /// Where it stands in its file, from 1, for messages.
    pub line: usize,
}

/// Which vGPUs a group has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Members {
    /// As many in all.
    Count(u32),
    /// As many on each of the GPUs.
    PerGpu(Amount),
    /// These, each of which has an identity of its own.
    Listed(Vec<Member>),
}

/// How many on one GPU.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Amount {
    /// So many.
    Exactly(u32),
    /// As many as there is room for, but not more than this.
    UpTo(u32),
}

/// The most that a group may count, on one GPU or in all.
pub const LARGEST: u32 = 4096;

impl Amount {
    /// As many as there is room for: no GPU has room for so many.
    pub const MAX: Amount = Amount::UpTo(LARGEST);
}

/// The GPUs that a group's vGPUs may be on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GpuChoice {
    /// Any that has the type.
    Any,
    /// One of these.
    These(Vec<GpuName>),
}

/// How a file names a GPU.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum GpuName {
    /// Its address (a parent that is no PCI device: its name), or the model of one or several cards,
    /// such as `Tesla P4` or `10de:1bb3`.
    Text(String),
    /// Its place among the host's GPUs in the order of their addresses, from 0.
    Index(usize),
}

/// What an importer needs to know of a host's GPUs, whose files speak of "each" and "the second".
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GpuFacts {
    /// The GPU's address, or the name of another parent.
    pub id: ParentId,
    /// Its virtual functions that vGPUs are made on.
    pub functions: Vec<ParentId>,
    /// Other PCI functions of its slot, such as the sound of a graphics card.
    pub beside: Vec<ParentId>,
    /// Its PCI vendor and device.
    pub pci_ids: Option<(u16, u16)>,
    /// What people call the card: its model, and what the hardware database calls it.
    pub models: Vec<String>,
    /// The types that it lists, with their short names.
    pub types: Vec<(TypeId, String)>,
    /// What only some files speak of.
    pub details: GpuDetails,
}

/// What is to be known of a GPU for some programs' files only.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct GpuDetails {
    /// The PCI vendor and device of its board.
    pub subsystem: Option<(u16, u16)>,
    /// Its place among NVIDIA's display and 3D controllers that are no virtual functions, whether
    /// they can be split or not, in the order of their addresses, from 0.
    pub nvidia_number: Option<usize>,
    /// More of its types.
    pub types: Vec<TypeMore>,
    /// The types of what is active on it, and whether an earlier `apply` made it.
    pub active: Vec<(TypeId, bool)>,
}

/// More of a GPU's type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TypeMore {
    /// Which one.
    pub id: TypeId,
    /// The driver's name, in full.
    pub full_name: Option<String>,
    /// How many the empty GPU takes, where that is known.
    pub room: Option<u32>,
}

impl GpuFacts {
    /// How many of a type the GPU takes when it is empty, where that is known.
    pub fn room_for(&self, type_id: &str) -> Option<u32> {
        let mut types = self.details.types.iter();
        types.find(|one| one.id.as_str() == type_id)?.room
    }

    /// Whether this is the GPU's address, or that of a function of it.
    pub fn is_at(&self, address: &str) -> bool {
        let mut ids = std::iter::once(&self.id).chain(&self.functions);
        ids.any(|id| id.as_str().eq_ignore_ascii_case(address))
    }
}

impl GpuName {
    /// What a text names; an address may leave out the domain, as in 81:00.0.
    pub fn text(text: &str) -> GpuName {
        let full = format!("0000:{text}");
        let is_short = full.parse::<ParentId>().is_ok_and(|id| id.is_pci_address());
        GpuName::Text(if is_short { full } else { text.to_owned() })
    }

    /// Whether this GPU, which is at `index` among the host's, is one that the name means.
    pub fn means(&self, gpu: &GpuFacts, index: usize) -> bool {
        match self {
            GpuName::Index(wanted) => *wanted == index,
            GpuName::Text(text) => {
                let is_same = |known: &str| known.eq_ignore_ascii_case(text);
                let ids = gpu
                    .pci_ids
                    .map(|(vendor, device)| format!("{vendor:04x}:{device:04x}"));
                is_same(gpu.id.as_str())
                    || gpu.models.iter().any(|model| is_same(model))
                    || ids.as_deref().is_some_and(is_same)
            }
        }
    }
}
