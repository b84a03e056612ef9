//! `gpus`: one line a parent.

use super::cautions::unlocked;
use super::choose::no_types;
use super::{Answer, Context};
use crate::error::Result;
use crate::model::{Device, Parent, VgpuType};
use crate::nvidia::{self, Card, Standing, hold_line, holdings, size};
use crate::sysfs::{Cards, PciIdentity};

/// Which parents to tell: all.
#[derive(Debug, Clone, Default)]
pub struct GpusRequest {}

/// A parent and what it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gpu {
    /// The parent.
    pub parent: Parent,
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
    /// How many devices are active on it.
    pub active: usize,
    /// What those are: "3 x P4-2Q (2 GiB each)".
    pub holds: String,
    /// Framebuffer taken and in all, in MiB, as far as the types' descriptions tell.
    pub framebuffer: Option<(u64, u64)>,
}

/// All parents, by name.
///
/// # Errors
/// Parents or devices cannot be listed at all.
pub fn gpus(context: &Context<'_>, _request: &GpusRequest) -> Result<Answer<Vec<Gpu>>> {
    let (mut warnings, mut notes) = (Vec::new(), Vec::new());
    let mut parents = context.kernel.parents(&mut warnings)?;
    if parents.is_empty() {
        notes.extend(context.kernel.why_no_parents());
    }
    let devices = context.kernel.devices(&mut warnings)?;
    let cards = Cards::open();
    let mut all = Vec::new();
    while let Some(parent) = parents.first().cloned() {
        let of_gpu: Vec<Parent>;
        (of_gpu, parents) = parents.into_iter().partition(|p| p.gpu() == parent.gpu());
        let framework = context.kernel.serving(&parent);
        let types = match framework.types(&parent.id, &mut warnings) {
            Ok(types) => types,
            Err(error) => {
                warnings.push(no_types(error, &parent.id));
                Vec::new()
            }
        };
        let pci = framework.pci(&parent.id, &mut warnings);
        let held: Vec<&Device> = devices
            .iter()
            .filter(|d| of_gpu.iter().any(|parent| parent.id == d.parent))
            .collect();
        let known = held
            .iter()
            .filter_map(|device| types.iter().find(|t| t.id == device.type_id));
        let known: Vec<&VgpuType> = known.collect();
        let numbers = pci.as_ref().and_then(PciIdentity::numbers);
        let framebuffer = framebuffer(&types, &known);
        notes.extend(promises_too_much(&parent, pci.as_ref(), framebuffer));
        all.push(Gpu {
            known: numbers.and_then(|(vendor, device)| nvidia::card(vendor, device)),
            standing: numbers.and_then(|(vendor, device)| nvidia::standing(vendor, device)),
            card: pci.as_ref().map(|pci| name(&cards, pci)),
            pci_ids: pci.map(|pci| pci.ids),
            driver: framework.driver(&parent.id, &mut warnings),
            active: held.len(),
            framebuffer,
            holds: hold_line(&holdings(known)),
            parent: parent.whole(),
        });
    }
    Ok(Answer {
        value: all,
        warnings,
        notes,
    })
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

/// A sentence about an unlocked card whose types promise more memory than it has.
fn promises_too_much(
    parent: &Parent,
    pci: Option<&PciIdentity>,
    framebuffer: Option<(u64, u64)>,
) -> Option<String> {
    let (card, (_, promised)) = (unlocked(pci?.numbers()?)?, framebuffer?);
    (promised > card.memory_mib()).then(|| {
        format!(
            "{} is {} with {} of memory; its types are another card's and promise up to {}",
            parent.id,
            card.with_article(),
            card.memory(),
            size(promised)
        )
    })
}

/// Taken and total MiB. The total is what the type that fills the GPU best promises.
fn framebuffer(types: &[VgpuType], active: &[&VgpuType]) -> Option<(u64, u64)> {
    let total = types
        .iter()
        .filter_map(VgpuType::details)
        .map(|details| details.framebuffer_mib * u64::from(details.max_instances))
        .max()?;
    let taken = active
        .iter()
        .filter_map(|vgpu_type| vgpu_type.details())
        .map(|details| details.framebuffer_mib)
        .sum();
    Some((taken, total))
}
