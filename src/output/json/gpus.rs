//! GPUs, and their virtual functions.

use schemars::JsonSchema;
use serde::Serialize;

use super::each;
use super::mig::GpuInstance;
use crate::model::{FrameworkKind, Slot};
use crate::nvidia::{Card, Standing};
use crate::ops::{self, Framebuffer, FunctionsAtBoot};
use crate::output::gpus::{code, words};

/// The answer of `gpus`.
#[derive(Serialize, JsonSchema)]
pub struct Gpus<'a> {
    /// The GPUs, other parents, and display controllers on which no vGPU can be created.
    pub gpus: Vec<Gpu<'a>>,
}

/// A GPU.
#[derive(Serialize, JsonSchema)]
pub struct Gpu<'a> {
    /// Its address, or the parent's name.
    parent: &'a str,
    /// `mdev` or `vfio`; null for one that is no parent.
    framework: Option<&'a str>,
    /// Its model: from the hardware database, else the table of NVIDIA's cards, else its PCI numbers.
    card: Option<&'a str>,
    /// PCI vendor and device, such as 10de:1bb3.
    pci_ids: Option<&'a str>,
    /// The model, from the table of NVIDIA's cards.
    model: Option<&'a str>,
    /// The chip, from that table.
    chip: Option<&'a str>,
    /// The card's memory, from that table.
    memory_mib: Option<u64>,
    /// The sizes of memory that the model is sold with.
    memory_sizes_mib: Option<&'a [u64]>,
    /// `vgpu-card`, `unlockable`, `unstable-unlock` or `neither`; null for other vendors' cards.
    vgpu: Option<&'a str>,
    /// The card that an unlocked driver takes it for.
    unlocks_as: Option<&'a str>,
    /// The driver that serves it.
    driver: Option<&'a str>,
    /// Why no vGPU can be created on it; null where one can.
    reason: Option<String>,
    /// The same as a word: `no-driver`, `other-driver`, `driver-without-vgpu`, `functions-off`,
    /// `functions-without-types`, `no-types`, or `no-gpu-instances` (in MIG mode, and none is free).
    reason_code: Option<&'a str>,
    /// How many vGPUs are active on it.
    active: usize,
    /// Which ones, such as "3 x P4-2Q (2 GiB each)".
    holds: &'a str,
    /// Framebuffer that its vGPUs take, at most the total.
    framebuffer_taken_mib: Option<u64>,
    /// The card's memory; where it is not known, the most that a type promises.
    framebuffer_total_mib: Option<u64>,
    /// Framebuffer that the types of its vGPUs promise.
    framebuffer_promised_mib: Option<u64>,
    /// Whether that is more than an unlocked card has.
    overcommitted: bool,
    /// MiB of the largest type of which one more fits, on a GPU that serves several framebuffer sizes (mixed-size
    /// mode) and whose placement IDs are known; 0 if it is full, null on other GPUs.
    framebuffer_largest_free_mib: Option<u64>,
    /// MIG mode: `enabled` or `disabled`; null for a GPU without MIG, or where `nvidia-smi` could not be asked.
    mig_mode: Option<&'a str>,
    /// Its GPU instances, as in the answer of `mig`.
    gpu_instances: Vec<GpuInstance<'a>>,
}

/// The answer of `vfs`.
#[derive(Serialize, JsonSchema)]
pub struct Vfs<'a> {
    /// The GPUs that can have virtual functions.
    pub gpus: Vec<GpuFunctions<'a>>,
}

/// A GPU and its virtual functions.
#[derive(Serialize, JsonSchema)]
pub struct GpuFunctions<'a> {
    /// Its address.
    gpu: &'a str,
    /// How many functions it can have.
    total: u32,
    /// How many functions are on.
    enabled: usize,
    /// Whether they are switched on at boot.
    enable_at_boot: bool,
    /// The functions that are on.
    functions: Vec<Function<'a>>,
}

/// A virtual function.
#[derive(Serialize, JsonSchema)]
struct Function<'a> {
    /// Its address.
    vf: &'a str,
    /// `mdev` or `vfio`; null where it offers no types.
    framework: Option<&'a str>,
    /// The type of the vGPU on it.
    r#type: Option<&'a str>,
    /// The UUID of the vGPU on it; null where another program created it.
    uuid: Option<String>,
}

impl<'a> From<&'a ops::Gpu> for Gpu<'a> {
    fn from(gpu: &'a ops::Gpu) -> Self {
        let unlock = gpu.standing.and_then(Standing::unlock);
        let framebuffer = gpu.framebuffer;
        Gpu {
            parent: gpu.id.as_str(),
            framework: gpu.framework.map(FrameworkKind::as_str),
            card: gpu.card.as_deref(),
            pci_ids: gpu.pci_ids.as_deref(),
            model: gpu.known.map(|card| card.name),
            chip: gpu.known.map(|card| card.chip),
            memory_mib: gpu.known.map(Card::memory_mib),
            memory_sizes_mib: gpu.known.map(|card| card.memory_sizes_mib.as_slice()),
            vgpu: gpu.standing.map(Standing::code),
            unlocks_as: unlock.map(|unlock| unlock.as_card),
            driver: gpu.driver.as_deref(),
            reason: gpu.lack.map(|lack| words(lack, gpu.driver.as_deref())),
            reason_code: gpu.lack.map(code),
            active: gpu.active,
            holds: &gpu.holds,
            framebuffer_taken_mib: framebuffer.map(Framebuffer::taken),
            framebuffer_total_mib: framebuffer.and_then(|known| known.total),
            framebuffer_promised_mib: framebuffer.map(|known| known.promised),
            overcommitted: framebuffer.is_some_and(|known| known.is_overcommitted),
            framebuffer_largest_free_mib: framebuffer.and_then(|known| known.largest_free),
            mig_mode: gpu.mig.as_ref().map(|mig| mig.current.as_str()),
            gpu_instances: gpu
                .mig
                .iter()
                .flat_map(|mig| each(&mig.instances))
                .collect(),
        }
    }
}

impl<'a> From<&'a ops::GpuVfs> for GpuFunctions<'a> {
    fn from(gpu: &'a ops::GpuVfs) -> Self {
        GpuFunctions {
            gpu: gpu.gpu.as_str(),
            total: gpu.total,
            enabled: gpu.functions.len(),
            enable_at_boot: gpu.at_boot == FunctionsAtBoot::Enable,
            functions: each(&gpu.functions),
        }
    }
}

impl<'a> From<&'a ops::VfState> for Function<'a> {
    fn from(vf: &'a ops::VfState) -> Self {
        let device = vf.device.as_ref();
        let ours = device.filter(|device| !matches!(device.slot, Slot::ForeignVf(_)));
        Function {
            vf: vf.vf.as_str(),
            framework: vf.framework.map(FrameworkKind::as_str),
            r#type: device.map(|device| device.type_id.as_str()),
            uuid: ours.map(|device| device.uuid.to_string()),
        }
    }
}
