//! What a declaration's file may need to know of the host's GPUs.

use std::collections::HashSet;

use uuid::Uuid;

use super::{Answer, Context, ParentTypes, TypeFilter, TypesRequest, types};
use crate::declare::{GpuDetails, GpuFacts, TypeMore};
use crate::dir::read_file;
use crate::error::{Result, Warnings};
use crate::host::Host;
use crate::model::{FrameworkKind, VgpuType};
use crate::nvidia::{self, TypeDetails};
use crate::store::Mark;
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
    let mut facts: Vec<GpuFacts> = facts.collect();
    add_numbers(context, &mut facts);
    add_active(context, &found.value, &mut facts, warnings)?;
    Ok(Answer {
        value: facts,
        warnings: found.warnings,
        notes: found.notes,
    })
}

/// What the host is called in a cluster of Proxmox VE: its name up to the first dot.
pub fn node_name(host: &Host) -> Option<String> {
    // A host that is only a directory may have no name of its own.
    let own = host.names().into_iter().chain(Host::new("/").names());
    let names = own.filter_map(|path| read_file(&path).ok());
    let short = names.filter_map(|bytes| {
        let mut lines = str::from_utf8(&bytes).ok()?.lines().map(str::trim);
        let name = lines.find(|line| !line.is_empty() && !line.starts_with('#'))?;
        Some(name.split('.').next()?.to_owned())
    });
    short.filter(|name| !name.is_empty()).take(1).next()
}

/// The GPUs' places among NVIDIA's, which may have others that cannot be split.
fn add_numbers(context: &Context<'_>, facts: &mut [GpuFacts]) {
    let all = context.kernel.nvidia_controllers().unwrap_or_default();
    for one in facts {
        one.details.nvidia_number = all.iter().position(|id| *id == one.id);
    }
}

/// What is active on them.
fn add_active(
    context: &Context<'_>,
    of_gpus: &[ParentTypes],
    facts: &mut [GpuFacts],
    warnings: &mut Warnings,
) -> Result<()> {
    let devices = context.kernel.devices(warnings)?;
    let definitions = context.store.all(&mut Vec::new())?;
    let ours: HashSet<Uuid> = definitions
        .iter()
        .filter(|one| Mark::of(one).is_some())
        .map(|one| one.uuid)
        .collect();
    for device in devices {
        let mut known = facts.iter_mut();
        let on =
            known.find(|one| one.id == device.parent || one.functions.contains(&device.parent));
        if let Some(one) = on {
            let is_ours = ours.contains(&device.uuid);
            one.details.active.push((device.type_id, is_ours));
        }
    }
    for (one, of_gpu) in facts.iter_mut().zip(of_gpus) {
        let active = &one.details.active;
        for (more, known) in one.details.types.iter_mut().zip(&of_gpu.types) {
            // Without the driver's number: what is free now, and what is taken.
            let taken = active.iter().filter(|(id, _)| *id == more.id).count();
            let sum = |free: u32| Some(free + u32::try_from(taken).ok()?);
            more.room = more.room.or_else(|| known.available.and_then(sum));
        }
    }
    Ok(())
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
        details: GpuDetails {
            subsystem: pci.as_ref().and_then(PciIdentity::board),
            types: types.clone().map(more_of).collect(),
            ..GpuDetails::default()
        },
        models: pci.map_or_else(Vec::new, |pci| models(cards, &pci)),
        types: types
            .map(|known| (known.id.clone(), known.short_name().to_owned()))
            .collect(),
    }
}

fn more_of(known: &VgpuType) -> TypeMore {
    let described = known.description.as_deref().and_then(TypeDetails::parse);
    TypeMore {
        id: known.id.clone(),
        full_name: known.name.as_deref().map(str::to_owned),
        room: described.map(|described| described.max_instances),
    }
}

/// The model of our table, the hardware database's name, and what that has in brackets:
/// "GP104GL [Tesla P4]".
pub fn models(cards: &Cards, pci: &PciIdentity) -> Vec<String> {
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
