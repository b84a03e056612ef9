//! What the parents offer, and why they may offer nothing.

use super::facts::kinds::{Generation, Way, title, way};
use super::facts::pci::{Gpu, Offer};
use super::{Facts, Finding, functions};
use crate::model::Parent;
use crate::sysfs::Kernel;

/// The first kernel without mediated devices for SR-IOV cards, and the first driver for it.
const VENDOR_VFIO_KERNEL: (u32, u32) = (6, 8);
const VENDOR_VFIO_BRANCH: u32 = 550;

fn is_served(card: &&Gpu) -> bool {
    card.driver.as_deref() == Some("nvidia")
}

/// SR-IOV cards have their virtual functions.
pub fn virtual_functions(facts: &Facts<'_>) -> Vec<Finding> {
    if !facts.has_manager() {
        return Vec::new();
    }
    let cards = facts.candidates().into_iter().filter(is_served);
    cards
        .filter(|card| way(card) == Way::Functions)
        .map(|card| functions_of(facts, card))
        .collect()
}

fn functions_of(facts: &Facts<'_>, card: &Gpu) -> Finding {
    let (who, on) = (
        format!("{} at {}", title(card), card.address),
        card.functions_on,
    );
    let total = card.path.join("sriov_totalvfs");
    let Some(possible) = card.functions_possible else {
        let finding = Finding::problem(format!(
            "{who} shows no SR-IOV, of which its vGPUs are made"
        ))
        .seen(total, "absent or 0");
        return match facts.is_virtual_machine() {
            true => finding.advise("this is a virtual machine itself: make the vGPUs on its host"),
            false => finding
                .advise("turn SR-IOV (and Above 4G Decoding, ARI) on in the BIOS")
                .advise("an RTX A5000, A5500 or A6000 shows it after displaymodeselector"),
        };
    };
    let number = card.path.join("sriov_numvfs");
    if on > 0 {
        return Finding::ok(format!(
            "{who}: {on} of {possible} virtual functions are on"
        ))
        .seen(number, on.to_string());
    }
    let tool = facts.look.host.sriov_manage();
    let finding = Finding::problem(format!(
        "{who}: its {possible} virtual functions are off, and vGPUs are made of those"
    ))
    .seen(number, "0")
    .seen(total, possible.to_string());
    let finding = match facts.look.is_there(&tool) {
        true => finding,
        false => finding.seen(tool, "absent: it comes with the vGPU manager"),
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
    let cards: Vec<&Gpu> = match facts.has_manager() {
        true => facts.candidates().into_iter().filter(is_served).collect(),
        false => Vec::new(),
    };
    let mut found: Vec<Finding> = cards.iter().map(|card| types_of(facts, card)).collect();
    let parents = match &facts.parents {
        Ok(parents) => parents,
        Err(error) => return vec![Finding::unreadable(error)],
    };
    let of_card = |parent: &&Parent| {
        let mut gpus = facts.gpus.iter().flatten();
        gpus.any(|gpu| gpu.address == parent.id.as_str() && gpu.vendor == super::facts::pci::NVIDIA)
    };
    found.extend(
        parents
            .iter()
            .filter(|parent| !of_card(parent))
            .map(|parent| types_of_parent(facts, parent)),
    );
    found
}

fn types_of(facts: &Facts<'_>, card: &Gpu) -> Finding {
    let who = format!("{} at {}", title(card), card.address);
    let dir = card.path.join("mdev_supported_types");
    let functions = facts.functions(card);
    let counts = functions
        .iter()
        .chain([&card])
        .filter_map(|gpu| match gpu.offer {
            Offer::Mdev(types) if types > 0 => Some(types),
            _ => None,
        });
    if let Some(types) = counts.max() {
        return Finding::ok(format!("{who}: {}", types_in_words(types))).seen(dir, "present");
    }
    let mut by_vendor = functions.iter().chain([&card]);
    if let Some(function) = by_vendor.find(|gpu| gpu.offer == Offer::VendorVfio) {
        return Finding::ok(format!(
            "{who}: types are set on its virtual functions (vendor-specific VFIO), so programs for \
             mediated devices show none"
        ))
        .seen(function.path.join("nvidia/creatable_vgpu_types"), "present");
    }
    let found = match card.offer {
        Offer::Mdev(_) => "empty",
        _ => "absent",
    };
    let mut finding = Finding::problem(format!(
        "{who} offers no types: nvidia-vgpud has not run, or has refused the card"
    ))
    .seen(dir, found)
    .advise("while no VM has a vGPU:")
    .run("systemctl restart nvidia-vgpud")
    .run("journalctl -b -u nvidia-vgpud -u nvidia-vgpu-mgr");
    let (branch, generation) = (facts.driver.branch(), Generation::of(card.device));
    if branch >= Some(VENDOR_VFIO_BRANCH) && generation <= Some(Generation::Pascal) {
        finding = finding.advise(
            "drivers from R550 (vGPU 17) on no longer list Maxwell and Pascal cards: use R535 \
             (vGPU 16)",
        );
    }
    let kernel = facts.release.as_ref().map(|release| release.number);
    if kernel >= Some(VENDOR_VFIO_KERNEL)
        && branch < Some(VENDOR_VFIO_BRANCH)
        && generation >= Some(Generation::Ampere)
    {
        finding = finding
            .advise("for SR-IOV cards, kernels from 6.8 on want drivers from R550 (vGPU 17) on");
    }
    finding
}

fn types_of_parent(facts: &Facts<'_>, parent: &Parent) -> Finding {
    let kernel = Kernel::of(facts.look.host);
    let dir = facts.look.host.mdev_parents().join(parent.id.as_str());
    match kernel.serving(parent).types(&parent.id, &mut Vec::new()) {
        Ok(types) if types.is_empty() => {
            Finding::warning(format!("{} offers no types", parent.id)).seen(dir, "no types")
        }
        Ok(types) => Finding::ok(format!("{}: {}", parent.id, types_in_words(types.len())))
            .seen(dir, "present"),
        Err(error) => Finding::unreadable(&error),
    }
}
