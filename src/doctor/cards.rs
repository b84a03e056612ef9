//! Which GPUs are there, and what each can be split by.

use super::facts::kinds::{Way, alternative, title, way};
use super::facts::pci::{Gpu, Offer};
use super::{Facts, Finding};

/// One finding a GPU.
pub fn cards(facts: &Facts<'_>) -> Vec<Finding> {
    let gpus = match &facts.gpus {
        Ok(gpus) => gpus,
        Err(error) => return vec![Finding::unreadable(error)],
    };
    let has_better = !facts.candidates().is_empty() || facts.is_elsewhere();
    let mut found: Vec<Finding> = gpus
        .iter()
        .filter(|gpu| gpu.is_nvidia_card())
        .map(|card| nvidia(card, has_better))
        .collect();
    found.extend(
        gpus.iter()
            .filter(|gpu| gpu.physical.is_none())
            .filter_map(other),
    );
    let parents = facts.parents.as_ref().map_or(&[][..], Vec::as_slice);
    let elsewhere = parents
        .iter()
        .filter(|parent| !gpus.iter().any(|gpu| gpu.address == parent.id.as_str()));
    let elsewhere: Vec<&str> = elsewhere.map(|parent| parent.id.as_str()).collect();
    if !elsewhere.is_empty() {
        let message = format!("parents that are no GPUs: {}", elsewhere.join(", "));
        found.push(Finding::ok(message).seen(facts.look.host.mdev_parents(), "present"));
    }
    if found.is_empty() {
        let path = facts.look.host.pci_devices();
        found.push(match facts.look.names(&path) {
            Ok(None) => Finding::unchecked("there is no list of PCI devices").seen(path, "absent"),
            _ => Finding::note("no GPU that could be split, and no other parent, on this host")
                .seen(path, "no NVIDIA, AMD or Intel display controller"),
        });
    }
    found
}

fn nvidia(card: &Gpu, has_better: bool) -> Finding {
    let who = format!("{}: {}", card.address, title(card));
    let is_splitting =
        !matches!(card.offer, Offer::Nothing | Offer::Mdev(0)) || card.functions_on > 0;
    let bad = |message: String| match has_better || is_splitting {
        true => Finding::note(message),
        false => Finding::problem(message),
    };
    let finding = match way(card) {
        Way::Card => Finding::ok(format!("{who}, a vGPU card")),
        Way::Functions => Finding::ok(format!("{who}, a vGPU card by SR-IOV")),
        Way::Unlock(other) => Finding::ok(format!("{who}, unlockable as {other}")),
        Way::NoUnlock => bad(format!(
            "{who}: a consumer's card without virtual functions, for which there is no stable \
             unlock; guests crash when their driver starts"
        ))
        .advise("use a card up to Turing, or one that NVIDIA's vGPU software lists")
        .advise("an RTX A5000 or A6000 shows its virtual functions after displaymodeselector"),
        Way::Past => bad(format!(
            "{who}: a Kepler card; the last drivers that split GRID K1 and K2 were GRID 4, for \
             XenServer and ESXi"
        ))
        .advise("use a card from Maxwell on"),
        Way::Unknown => bad(format!(
            "{who}: neither a vGPU card nor known to be unlockable"
        )),
    };
    finding.seen(&card.path, seen(card))
}

fn seen(card: &Gpu) -> String {
    match card.functions_possible {
        Some(count) => format!("sriov_totalvfs {count}"),
        None => format!("vendor and device {}", card.ids()),
    }
}

fn other(gpu: &Gpu) -> Option<Finding> {
    let what = alternative(gpu)?;
    let finding = match gpu.offer {
        Offer::Mdev(types) => Finding::ok(format!(
            "{}: GPU ({}) with {types} types of mediated devices (GVT-g)",
            gpu.address,
            gpu.ids()
        )),
        Offer::Nothing | Offer::VendorVfio => Finding::note(format!("{}: {what}", gpu.address)),
    };
    Some(finding.seen(&gpu.path, gpu.ids()))
}

/// Several unlocked GPUs that are not of one kind.
pub fn gpu_mix(facts: &Facts<'_>) -> Vec<Finding> {
    let mut cards = facts.unlocked();
    cards.retain(|card| card.driver.as_deref() == Some("nvidia"));
    if cards.len() < 2 {
        return Vec::new();
    }
    let mut devices: Vec<u16> = cards.iter().map(|card| card.device).collect();
    devices.sort_unstable();
    devices.dedup();
    let (served, left): (Vec<&Gpu>, Vec<&Gpu>) = cards
        .iter()
        .partition(|card| matches!(card.offer, Offer::Mdev(1..)));
    match (devices.len(), served.is_empty(), left.is_empty()) {
        (1, _, _) => vec![Finding::ok("the unlocked GPUs share one device id")],
        (_, _, true) => vec![Finding::ok("the unlocked GPUs differ, and all offer types")],
        // Then it is not the mix: nothing works.
        (_, true, _) => vec![Finding::note(
            "the unlocked GPUs differ; the unlock is known to work for GPUs of one device id only",
        )],
        _ => {
            let names: Vec<String> = left
                .iter()
                .map(|card| format!("{} at {}", title(card), card.address))
                .collect();
            let mut finding = Finding::problem(format!(
                "several GPUs are unlocked only if they share one device id: no types for {}",
                names.join(", ")
            ));
            for card in &cards {
                finding = finding.seen(&card.path, format!("device 0x{:04x}", card.device));
            }
            vec![
                finding
                    .advise("give the other GPUs away whole (vfio-pci), or take them out")
                    .run("journalctl -b -u nvidia-vgpud"),
            ]
        }
    }
}
