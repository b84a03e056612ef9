//! What a declaration's file may need to know of the host's GPUs.

use super::{Answer, Context, ParentTypes, TypeFilter, TypesRequest, types};
use crate::declare::GpuFacts;
use crate::error::{Result, Warnings};
use crate::host::Host;
use crate::model::FrameworkKind;
use crate::nvidia;
use crate::sysfs::{Cards, PciIdentity};

/// The host's GPUs in the order of their addresses; one whose functions are parents is one GPU.
///
/// # Errors
/// Parents cannot be listed at all.
pub fn gpu_facts(context: &Context<'_>) -> Result<Answer<Vec<GpuFacts>>> {
    let request = TypesRequest {
        parent: None,
        filter: TypeFilter::default(),
    };
    let mut found = types(context, &request)?;
    let cards = Cards::open();
    let warnings = &mut found.warnings;
    let facts = found.value.iter();
    let facts = facts.map(|of_gpu| {
        let mut facts = facts_of(context, &cards, of_gpu, warnings);
        if of_gpu.parent.framework == FrameworkKind::Vfio {
            let gpu = context.kernel.sriov_gpu(&facts.id).ok().flatten();
            facts.functions = gpu.map_or_else(Vec::new, |gpu| gpu.functions);
        }
        facts.beside = context.kernel.beside(&facts.id, &facts.functions);
        facts
    });
    Ok(Answer {
        value: facts.collect(),
        warnings: found.warnings,
        notes: found.notes,
    })
}

/// What the host is called in a cluster of Proxmox VE: its name up to the first dot.
pub fn node_name(host: &Host) -> Option<String> {
    // A host that is only a directory may have no name of its own.
    let own = host.names().into_iter().chain(Host::new("/").names());
    let names = own.filter_map(|path| std::fs::read_to_string(path).ok());
    let short = names.filter_map(|text| {
        let mut lines = text.lines().map(str::trim);
        let name = lines.find(|line| !line.is_empty() && !line.starts_with('#'))?;
        Some(name.split('.').next()?.to_owned())
    });
    short.filter(|name| !name.is_empty()).take(1).next()
}

/// What is to be known of one GPU, whose types these are.
pub fn facts_of(
    context: &Context<'_>,
    cards: &Cards,
    of_gpu: &ParentTypes,
    warnings: &mut Warnings,
) -> GpuFacts {
    let parent = &of_gpu.parent;
    // The functions of a GPU are what its framework knows.
    let known = of_gpu.functions.first().unwrap_or(&parent.id);
    let pci = context.kernel.serving(parent).pci(known, warnings);
    let types = of_gpu.types.iter();
    GpuFacts {
        id: parent.gpu().clone(),
        functions: of_gpu.functions.clone(),
        beside: Vec::new(),
        pci_ids: pci.as_ref().and_then(PciIdentity::numbers),
        models: pci.map_or_else(Vec::new, |pci| models(cards, &pci)),
        types: types
            .map(|known| (known.id.clone(), known.short_name().to_owned()))
            .collect(),
    }
}

/// The model of our table, the hardware database's name, and what that has in brackets:
/// "GP104GL [Tesla P4]".
fn models(cards: &Cards, pci: &PciIdentity) -> Vec<String> {
    let known = pci
        .numbers()
        .and_then(|(vendor, device)| nvidia::card(vendor, device));
    let mut models: Vec<String> = known.map(|card| card.name.to_owned()).into_iter().collect();
    let named = cards.name(pci);
    let bracketed = named
        .split_once('[')
        .and_then(|(_, rest)| rest.split_once(']'));
    models.extend(bracketed.map(|(model, _)| model.to_owned()));
    models.push(named);
    models.dedup();
    models
}
