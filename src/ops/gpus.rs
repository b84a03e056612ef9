//! `gpus`: one line a GPU, whether or not anything can be made on it.

use super::choose::no_types;
use super::inventory::{mixed_inventory, mixes_by_settings};
use super::mig::{MigGpu, overview};
use super::standing::standing_of;
use super::{Answer, Context};
use crate::capacity::{hold_line, holdings};
use crate::error::{Error, Result, Warnings};
use crate::hints::in_words;
use crate::model::{Device, FrameworkKind, Parent, ParentId, VgpuType};
use crate::nvidia::{self, Card, NVIDIA, Share, Standing, size};
use crate::sysfs::{Cards, Controller, PciIdentity};

/// Which GPUs to tell: all.
#[derive(Debug, Clone, Default)]
pub struct GpusRequest {}

/// A parent and what it holds, or another display controller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gpu {
    /// Its address, or the parent's name.
    pub id: ParentId,
    /// How vGPUs are made on it; `None` for one that is no parent.
    pub framework: Option<FrameworkKind>,
    /// The card's model, of the hardware database or our table, else its PCI numbers, else nothing for a parent that is no PCI device.
    pub card: Option<String>,
    /// PCI vendor and device, "10de:1bb3".
    pub pci_ids: Option<String>,
    /// The model, chip and memory, where the table of NVIDIA's cards has them.
    pub known: Option<&'static Card>,
    /// What NVIDIA's card is to the vGPU host driver; `None` for another vendor's.
    pub standing: Option<Standing>,
    /// The driver that serves it.
    pub driver: Option<String>,
    /// Why no vGPU can be made on it.
    pub lack: Option<Lack>,
    /// How many devices are active on it.
    pub active: usize,
    /// What those are: "3 x P4-2Q (2 GiB each)".
    pub holds: String,
    /// Its memory and what its vGPUs take of it.
    pub framebuffer: Option<Framebuffer>,
    /// Its MIG mode and GPU instances; `None` where it has no MIG, or that is not known.
    pub mig: Option<MigGpu>,
}

/// What a GPU lacks to make vGPUs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lack {
    /// No driver serves it.
    Driver,
    /// The driver is one without vGPUs, or has none here.
    OtherDriver,
    /// It is NVIDIA's driver, without the part for vGPUs.
    VgpuDriver,
    /// Its virtual functions are off.
    Functions,
    /// Its virtual functions are on, and nothing is offered on them.
    FunctionTypes,
    /// The driver for vGPUs offers no types on it.
    Types,
    /// It is in MIG mode, and has no GPU instance that is free.
    Instances,
}

/// Framebuffer in MiB.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Framebuffer {
    /// What the active vGPUs are promised, as their types say.
    pub promised: u64,
    /// The card's own memory where it is known, else what the type that fills it best promises.
    pub total: Option<u64>,
    /// Whether more is promised than there is, which only an unlocked card's types do.
    pub is_overcommitted: bool,
    /// The largest type of which one more fits, on a GPU that serves several sizes and whose placement IDs are known;
    /// 0 where none fits.
    pub largest_free: Option<u64>,
}

impl Framebuffer {
    /// What is taken, which is never more than there is.
    pub fn taken(self) -> u64 {
        self.total
            .map_or(self.promised, |total| total.min(self.promised))
    }
}

/// All parents and other display controllers, by name.
///
/// # Errors
/// Parents, devices or the PCI bus cannot be listed at all.
pub fn gpus(context: &Context<'_>, _request: &GpusRequest) -> Result<Answer<Vec<Gpu>>> {
    let context = &context.snapshot();
    let (mut warnings, mut notes) = (Vec::new(), Vec::new());
    let mut parents = context.kernel.parents(&mut warnings)?;
    if parents.is_empty() {
        let why = context.kernel.why_no_parents();
        notes.extend(why.iter().flat_map(in_words));
    }
    let devices = context.kernel.devices(&mut warnings)?;
    let cards = Cards::open();
    let mut all = Vec::new();
    while let Some(parent) = parents.first().cloned() {
        let of_gpu: Vec<Parent>;
        (of_gpu, parents) = parents.into_iter().partition(|p| p.gpu() == parent.gpu());
        let is_here = |device: &&Device| of_gpu.iter().any(|one| one.id == device.parent);
        let held: Vec<&Device> = devices.iter().filter(is_here).collect();
        let (gpu, note) = of_parent(context, &cards, &parent, &held, &mut warnings);
        all.push(gpu);
        notes.extend(note);
    }
    let mut others = context.kernel.display_controllers(&mut warnings)?;
    others.retain(|other| all.iter().all(|gpu| gpu.id != other.id));
    let others = others.into_iter();
    all.extend(others.map(|other| without_types(context, &cards, other)));
    all.sort_by(|a, b| a.id.cmp(&b.id));
    if all.iter().any(may_have_mig) {
        notes.extend(add_mig(context, &mut all));
    }
    Ok(Answer {
        value: all,
        warnings,
        notes,
    })
}

/// Whether `nvidia-smi` is worth asking for the MIG mode of a GPU.
fn may_have_mig(gpu: &Gpu) -> bool {
    let is_nvidias = gpu.driver.as_deref() == Some("nvidia");
    is_nvidias && gpu.known.is_some_and(Card::has_mig)
}

/// Adds what `nvidia-smi` says of MIG, and tells what could not be asked.
fn add_mig(context: &Context<'_>, all: &mut [Gpu]) -> Vec<String> {
    let mut doubts = Vec::new();
    let found = overview(context, &mut doubts);
    let migs = found.unwrap_or_else(|error| {
        doubts.push(error);
        Vec::new()
    });
    for gpu in all.iter_mut() {
        gpu.mig = migs.iter().find(|mig| mig.gpu == gpu.id).cloned();
        let has_none = gpu.mig.as_ref().and_then(MigGpu::why_no_types).is_some();
        if gpu.lack == Some(Lack::Types) && has_none {
            gpu.lack = Some(Lack::Instances);
        }
    }
    let told = |error: &Error| format!("MIG modes and GPU instances are not known: {error}");
    doubts.iter().map(told).collect()
}

/// One on which something is offered, and what is to be said of it.
fn of_parent(
    context: &Context<'_>,
    cards: &Cards,
    parent: &Parent,
    held: &[&Device],
    warnings: &mut Warnings,
) -> (Gpu, Option<String>) {
    let framework = context.kernel.serving(parent);
    let listed = framework.types(&parent.id, warnings);
    let lack = match &listed {
        Ok(types) if !types.is_empty() || !held.is_empty() => None,
        _ => Some(Lack::Types),
    };
    let types = listed.unwrap_or_else(|error| {
        warnings.push(no_types(error, &parent.id));
        Vec::new()
    });
    let types = with_types_in_use(context, types, held, warnings);
    let pci = framework.pci(&parent.id, warnings);
    let of_device = |device: &&Device| types.iter().find(|t| t.id == device.type_id);
    let active: Vec<&VgpuType> = held.iter().filter_map(of_device).collect();
    let numbers = pci.as_ref().and_then(PciIdentity::numbers);
    let known = numbers.and_then(|(vendor, device)| nvidia::card(vendor, device));
    let standing = numbers.and_then(|numbers| standing_of(context, numbers, &types));
    let framebuffer =
        framebuffer(&types, &active, known, standing).map(|framebuffer| Framebuffer {
            largest_free: largest_free(context, parent, held),
            ..framebuffer
        });
    let gpu = Gpu {
        card: pci.as_ref().map(|pci| name(cards, pci)),
        pci_ids: pci.map(|pci| pci.ids),
        driver: framework.driver(&parent.id, warnings),
        active: held.len(),
        holds: hold_line(&holdings(active)),
        framework: Some(parent.framework),
        id: parent.whole().id,
        framebuffer,
        standing,
        known,
        lack,
        mig: None,
    };
    let note = promises_too_much(&gpu, &types);
    (gpu, note)
}

/// Functions list what fits now, and full ones nothing: what is in use is a type of theirs all the same.
pub fn with_types_in_use(
    context: &Context<'_>,
    mut types: Vec<VgpuType>,
    held: &[&Device],
    warnings: &mut Warnings,
) -> Vec<VgpuType> {
    for device in held {
        if types.iter().any(|known| known.id == device.type_id) {
            continue;
        }
        let name = context
            .kernel
            .type_name(&device.parent, &device.type_id, warnings);
        types.push(VgpuType::unlisted(device.type_id.clone(), name, Some(0)));
    }
    types
}

fn without_types(context: &Context<'_>, cards: &Cards, other: Controller) -> Gpu {
    let numbers = other.pci.numbers();
    Gpu {
        lack: Some(lack(context, &other)),
        framework: None,
        card: Some(name(cards, &other.pci)),
        known: numbers.and_then(|(vendor, device)| nvidia::card(vendor, device)),
        standing: numbers.and_then(|(vendor, device)| nvidia::standing(vendor, device)),
        pci_ids: Some(other.pci.ids),
        driver: other.driver,
        active: 0,
        holds: String::new(),
        framebuffer: None,
        mig: None,
        id: other.id,
    }
}

fn lack(context: &Context<'_>, other: &Controller) -> Lack {
    let vendor = other.pci.numbers().map(|(vendor, _)| vendor);
    match (other.driver.as_deref(), other.functions) {
        (None, _) => Lack::Driver,
        (Some("nvidia"), Some((_, 0))) => Lack::Functions,
        (Some("nvidia"), Some(_)) => Lack::FunctionTypes,
        (Some("nvidia"), None) if vendor == Some(NVIDIA) => {
            match context.kernel.has_vgpu_driver() {
                true => Lack::Types,
                false => Lack::VgpuDriver,
            }
        }
        (Some(_), _) => Lack::OtherDriver,
    }
}

/// The hardware database's name, else that of the table, else the numbers.
fn name(cards: &Cards, pci: &PciIdentity) -> String {
    let named = cards.name(pci);
    let known = pci
        .numbers()
        .and_then(|(vendor, device)| nvidia::card(vendor, device));
    match known {
        Some(card) if named == pci.ids => card.name.to_owned(),
        _ => named,
    }
}

/// A sentence about an unlocked card whose types promise more memory than it has, or have done so.
fn promises_too_much(gpu: &Gpu, types: &[VgpuType]) -> Option<String> {
    let card = gpu.known.filter(|_| is_unlocked(gpu.standing))?;
    let (who, memory) = (card.with_article(), card.memory());
    let taken = gpu.framebuffer.filter(|taken| taken.is_overcommitted);
    if let Some(Framebuffer { promised, .. }) = taken {
        return Some(format!(
            "{} is overcommitted: {who} has {memory} of memory, but the types of its vGPUs ({}) \
             promise {}; guests may fail to start, or fail later",
            gpu.id,
            gpu.holds,
            size(promised)
        ));
    }
    let promised = most_promised(types)?;
    (promised > card.memory_mib()).then(|| {
        format!(
            "{} is {who} with {memory} of memory; its types are those of another card and promise \
             up to {}",
            gpu.id,
            size(promised)
        )
    })
}

fn is_unlocked(standing: Option<Standing>) -> bool {
    matches!(standing, Some(Standing::Unlockable(_)))
}

/// What the type that fills the GPU best promises.
fn most_promised(types: &[VgpuType]) -> Option<u64> {
    types
        .iter()
        .filter_map(VgpuType::details)
        .map(|details| {
            details
                .framebuffer_mib
                .saturating_mul(u64::from(details.max_instances))
        })
        .max()
}

/// What is promised, and what there is: the card's own memory, where it is known.
fn framebuffer(
    types: &[VgpuType],
    active: &[&VgpuType],
    known: Option<&Card>,
    standing: Option<Standing>,
) -> Option<Framebuffer> {
    // Other vendors' parents have none to take.
    types.iter().find_map(VgpuType::framebuffer_mib)?;
    let sizes = active.iter().filter_map(|one| one.framebuffer_mib());
    let promised: u64 = sizes.sum();
    let by_types = most_promised(types);
    let total = match known {
        Some(card) => Some(memory_of(card, by_types.filter(|_| !is_unlocked(standing)))),
        None => by_types,
    };
    let shares_all = active.iter().all(|one| one.share() != Share::Instance);
    let is_beyond = total.is_some_and(|total| promised > total);
    Some(Framebuffer {
        is_overcommitted: is_beyond && shares_all && is_unlocked(standing),
        promised,
        total,
        largest_free: None,
    })
}

fn largest_free(context: &Context<'_>, parent: &Parent, held: &[&Device]) -> Option<u64> {
    let is_sriov = parent.framework == FrameworkKind::Vfio || parent.gpu.is_some();
    if !is_sriov || (held.is_empty() && !mixes_by_settings(context, parent)) {
        return None;
    }
    let inventory = mixed_inventory(context, &parent.whole())?;
    let left = inventory.capacity().fragmentation()?;
    Some(left.largest_mib.unwrap_or_default())
}

/// Under one number cards of several sizes may be sold: the least that holds what its own types promise.
fn memory_of(card: &Card, promised: Option<u64>) -> u64 {
    let mut sizes = card.memory_sizes_mib.iter().copied();
    let least = promised.and_then(|promised| sizes.find(|mib| *mib >= promised));
    least.unwrap_or(card.memory_mib())
}
