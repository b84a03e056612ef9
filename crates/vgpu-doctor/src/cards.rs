//! The GPUs of the host, and how each can be split.

use super::driver::names;
use super::facts::kinds::{Way, alternative, title, way};
use super::facts::pci::{Gpu, Offer};
use super::{Evidence, Facts, Finding};

/// One finding a GPU.
pub fn cards(facts: &Facts<'_>) -> Vec<Finding> {
    if let Err(error) = &facts.gpus {
        return Finding::unreadable(error).into();
    }
    let has_better = !facts.candidates().is_empty() || facts.is_elsewhere();
    let cards = facts.gpus().filter(|gpu| gpu.is_nvidia_card());
    let mut found: Vec<Finding> = cards.map(|card| nvidia(card, has_better)).collect();
    let whole = facts.gpus().filter(|gpu| gpu.physical.is_none());
    found.extend(whole.filter_map(other));
    let elsewhere = facts
        .parents()
        .filter(|parent| facts.gpu(&parent.id).is_none());
    let elsewhere: Vec<&str> = elsewhere.map(|parent| parent.id.as_str()).collect();
    if !elsewhere.is_empty() {
        let message = format!("parents that are not GPUs: {}", elsewhere.join(", "));
        found.push(Finding::ok(message).seen(facts.host.mdev_parents(), "present"));
    }
    if found.is_empty() {
        let path = facts.host.pci_devices();
        found.push(match facts.gpus {
            Ok(None) => Finding::unchecked("cannot list PCI devices").seen(path, "absent"),
            _ => Finding::note("no GPU that can be split, and no other parent, on this host")
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
        Way::Functions => Finding::ok(format!("{who}, a vGPU card (SR-IOV)")),
        Way::Unlock(other) => Finding::ok(format!("{who}, unlockable as {other}")),
        Way::NoUnlock => bad(format!(
            "{who}: a consumer card without virtual functions; no stable unlock exists for it \
             (guests crash when their driver starts)"
        ))
        .advise("use a card up to Turing, or one that NVIDIA's vGPU software supports")
        .advise(
            "on an RTX A5000 or A6000, run displaymodeselector to expose the virtual functions",
        ),
        Way::Past => bad(format!(
            "{who}: a Kepler card; the last drivers with vGPU support for GRID K1 and K2 were \
             GRID 4, for XenServer and ESXi"
        ))
        .advise("use a Maxwell or newer card"),
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
            "{}: GPU ({}) with {types} mediated device types (GVT-g)",
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
    let (served, left): (Vec<&Gpu>, Vec<&Gpu>) = cards.iter().partition(|card| card.has_types());
    let finding = match (devices.len(), served.is_empty(), left.is_empty()) {
        (1, _, _) => Finding::ok("all unlocked GPUs have the same device ID"),
        (_, _, true) => {
            Finding::ok("the unlocked GPUs have different device IDs, and all offer types")
        }
        // Then it is not the mix: nothing works.
        (_, true, _) => Finding::note(
            "the unlocked GPUs have different device IDs; the unlock is known to work only for \
             GPUs with the same one",
        ),
        _ => {
            let message = format!(
                "several GPUs can be unlocked only if they have the same device ID: no types for \
                 {}",
                names(&left)
            );
            let device = |card: &&Gpu| {
                let found = format!("device 0x{:04x}", card.device);
                Evidence::new(&card.path, found)
            };
            Finding::problem(message)
                .seen_all(cards.iter().map(device))
                .advise("pass the other GPUs through whole (vfio-pci), or remove them")
                .run("journalctl -b -u nvidia-vgpud")
        }
    };
    finding.into()
}
