//! What the parents offer, and why they may offer nothing.

use super::facts::kinds::{Generation, Way, way};
use super::facts::pci::{Gpu, Offer};
use super::{Facts, Finding, functions};
use vgpu_host::error::Result;
use vgpu_host::model::{Parent, VgpuType};

/// The first kernel without mediated devices for SR-IOV cards, and the first driver for it.
const VENDOR_VFIO_KERNEL: (u32, u32) = (6, 8);
const VENDOR_VFIO_BRANCH: u32 = 550;

/// SR-IOV cards have their virtual functions.
pub fn virtual_functions(facts: &Facts<'_>) -> Vec<Finding> {
    let mut cards = facts.served();
    cards.retain(|card| way(card) == Way::Functions);
    cards
        .into_iter()
        .map(|card| functions_of(facts, card))
        .collect()
}

fn functions_of(facts: &Facts<'_>, card: &Gpu) -> Finding {
    let (who, on) = (card.who(), card.functions_on);
    let total = card.path.join("sriov_totalvfs");
    let Some(possible) = card.functions_possible else {
        let message = format!("{who} does not expose SR-IOV, which its vGPUs need");
        let finding = Finding::problem(message).seen(total, "absent or 0");
        return match facts.machine.is_virtual() {
            true => finding.advise("this is a virtual machine: create the vGPUs on its host"),
            false => finding
                .advise("enable SR-IOV (and Above 4G Decoding, ARI) in the BIOS")
                .advise("on an RTX A5000, A5500 or A6000, run displaymodeselector to expose it"),
        };
    };
    let number = card.path.join("sriov_numvfs");
    if on > 0 {
        let message = format!("{who}: {on} of {possible} virtual functions are on");
        return Finding::ok(message).seen(number, on.to_string());
    }
    let finding = Finding::problem(format!(
        "{who}: its {possible} virtual functions are off, and its vGPUs need them"
    ))
    .seen(number, "0")
    .seen(total, possible.to_string());
    let finding = match facts.driver.has_sriov_manage {
        true => finding,
        false => finding.seen(
            facts.host.sriov_manage(),
            "absent: it comes with the vGPU manager",
        ),
    };
    functions::off(facts, &card.address, finding)
}

fn types_in_words(count: usize) -> String {
    match count {
        1 => "1 type".to_owned(),
        count => format!("{count} types"),
    }
}

/// Every parent offers types.
pub fn types(facts: &Facts<'_>) -> Vec<Finding> {
    let parents = match &facts.parents {
        Ok(parents) => parents.iter(),
        Err(error) => return Finding::unreadable(error).into(),
    };
    let cards = facts.served().into_iter().map(|card| types_of(facts, card));
    let others = parents.filter(|(parent, _)| !facts.is_nvidias(parent));
    let others = others.map(|(parent, types)| types_of_parent(facts, parent, types));
    cards.chain(others).collect()
}

fn types_of(facts: &Facts<'_>, card: &Gpu) -> Finding {
    let who = card.who();
    let dir = card.path.join("mdev_supported_types");
    let functions = facts.functions(card);
    let both = functions.iter().chain([&card]);
    let counts = both.filter_map(|gpu| match gpu.offer {
        Offer::Mdev(types) if types > 0 => Some(types),
        _ => None,
    });
    if let Some(types) = counts.max() {
        return Finding::ok(format!("{who}: {}", types_in_words(types))).seen(dir, "present");
    }
    let mut by_vendor = functions.iter().chain([&card]);
    if let Some(function) = by_vendor.find(|gpu| gpu.offer == Offer::VendorVfio) {
        return Finding::ok(format!(
            "{who}: types are set on its virtual functions (vendor-specific VFIO), so tools for \
             mediated devices show none"
        ))
        .seen(function.path.join("nvidia/creatable_vgpu_types"), "present");
    }
    let found = match card.offer {
        Offer::Mdev(_) => "empty",
        _ => "absent",
    };
    let mut finding = Finding::problem(format!(
        "{who} offers no types: nvidia-vgpud has not run, or has rejected the card"
    ))
    .seen(dir, found)
    .advise("while no VM uses a vGPU:")
    .run("systemctl restart nvidia-vgpud")
    .run("journalctl -b -u nvidia-vgpud -u nvidia-vgpu-mgr");
    let (branch, generation) = (facts.driver.branch(), Generation::of(card.device));
    if branch >= Some(VENDOR_VFIO_BRANCH) && generation <= Some(Generation::Pascal) {
        finding = finding.advise(
            "drivers since R550 (vGPU 17) no longer support Maxwell and Pascal cards: use R535 \
             (vGPU 16)",
        );
    }
    let kernel = facts.release.as_ref().map(|release| release.number);
    if kernel >= Some(VENDOR_VFIO_KERNEL)
        && branch < Some(VENDOR_VFIO_BRANCH)
        && generation >= Some(Generation::Ampere)
    {
        finding = finding
            .advise("for SR-IOV cards, kernel 6.8 and newer need driver R550 (vGPU 17) or newer");
    }
    finding
}

fn types_of_parent(facts: &Facts<'_>, parent: &Parent, types: &Result<Vec<VgpuType>>) -> Finding {
    let (id, dir) = (
        &parent.id,
        facts.host.mdev_parents().join(parent.id.as_str()),
    );
    match types {
        Ok(types) if types.is_empty() => {
            Finding::warning(format!("{id} offers no types")).seen(dir, "no types")
        }
        Ok(types) => {
            Finding::ok(format!("{id}: {}", types_in_words(types.len()))).seen(dir, "present")
        }
        Err(error) => Finding::unreadable(error),
    }
}
