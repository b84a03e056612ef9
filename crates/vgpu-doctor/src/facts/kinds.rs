//! What a GPU is, by its PCI numbers.

use super::pci::{AMD, Gpu, INTEL, Offer};
use nvidia_vgpu::{Standing, card};

/// NVIDIA's generations, as far as vGPUs differ between them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Generation {
    /// GRID K1 and K2, and what was sold with the same chips.
    Kepler,
    /// Tesla M10, M60.
    Maxwell,
    /// Tesla P4, P40, P100.
    Pascal,
    /// Tesla V100.
    Volta,
    /// Tesla T4, Quadro RTX 6000.
    Turing,
    /// A40, A100; the first that make vGPUs of virtual functions only.
    Ampere,
    /// H100, H200.
    Hopper,
    /// L4, L40S.
    Ada,
    /// What came later.
    Blackwell,
}

impl Generation {
    /// Its name; `Blackwell` also stands for what is newer still.
    pub fn as_str(self) -> &'static str {
        match self {
            Generation::Kepler => "Kepler",
            Generation::Maxwell => "Maxwell",
            Generation::Pascal => "Pascal",
            Generation::Volta => "Volta",
            Generation::Turing => "Turing",
            Generation::Ampere => "Ampere",
            Generation::Hopper => "Hopper",
            Generation::Ada => "Ada",
            Generation::Blackwell => "Blackwell or newer",
        }
    }

    /// The generation of NVIDIA's PCI device of that number (ranges of the public PCI ID list).
    pub fn of(device: u16) -> Option<Generation> {
        Some(match device {
            0x0fc0..=0x0fff | 0x1001..=0x103f | 0x1180..=0x12ff => Generation::Kepler,
            0x1340..=0x1436 | 0x1617..=0x1667 | 0x174d..=0x17fd => Generation::Maxwell,
            0x15f0..=0x15ff | 0x1725..=0x172f | 0x1b00..=0x1d7f => Generation::Pascal,
            0x1d80..=0x1dff => Generation::Volta,
            0x1e00..=0x1fff | 0x2180..=0x21ff => Generation::Turing,
            0x20b0..=0x20ff | 0x2200..=0x22ff | 0x2400..=0x25ff => Generation::Ampere,
            0x2300..=0x23ff => Generation::Hopper,
            0x2600..=0x28ff => Generation::Ada,
            0x2900.. => Generation::Blackwell,
            _ => return None,
        })
    }
}

/// In which way an NVIDIA card can be split.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// NVIDIA sells it for vGPUs; mediated devices on the card itself.
    Card,
    /// NVIDIA sells it for vGPUs, of virtual functions; or it has those.
    Functions,
    /// Only with vgpu_unlock, which has it pass for that card.
    Unlock(&'static str),
    /// A consumer's card of a generation that vgpu_unlock does not serve.
    NoUnlock,
    /// GRID K1 and K2: drivers that no present kernel runs.
    Past,
    /// Not known.
    Unknown,
}

/// In which way this NVIDIA card can be split. A card's own virtual functions and types count for
/// more than any list.
pub fn way(gpu: &Gpu) -> Way {
    let generation = Generation::of(gpu.device);
    let is_recent = generation >= Some(Generation::Ampere);
    let offers_itself = matches!(gpu.offer, Offer::Mdev(1..));
    match gpu.standing {
        Some(Standing::VgpuCard) if offers_itself => Way::Card,
        _ if generation == Some(Generation::Kepler) => Way::Past,
        _ if is_recent && gpu.functions_possible.is_some() => Way::Functions,
        Some(Standing::VgpuCard) if is_recent => Way::Functions,
        // No consumer's card has one of these chips: GA100, GH100, and B200's.
        _ if matches!(gpu.device, 0x20b0..=0x20ff | 0x2300..=0x23ff | 0x2900..=0x297f) => {
            Way::Functions
        }
        Some(Standing::VgpuCard) => Way::Card,
        _ if is_recent => Way::NoUnlock,
        Some(Standing::Unlockable(unlock)) => Way::Unlock(unlock.as_card),
        _ => Way::Unknown,
    }
}

/// The card's name and numbers, for people: "Tesla P4 (10de:1bb3)".
pub fn title(gpu: &Gpu) -> String {
    let name = match (card(gpu.vendor, gpu.device), Generation::of(gpu.device)) {
        (Some(card), _) => card.name.to_owned(),
        (None, Some(generation)) => format!("NVIDIA {} card", generation.as_str()),
        (None, None) => "NVIDIA card".to_owned(),
    };
    format!("{name} ({})", gpu.ids())
}

/// What another vendor's GPU has in place of NVIDIA vGPU, in one sentence; `None` for a plain
/// display adapter such as a server's management controller.
pub fn alternative(gpu: &Gpu) -> Option<String> {
    let what = match (gpu.vendor, gpu.functions_possible) {
        (AMD, Some(functions)) => format!(
            "AMD MxGPU card ({}): its {functions} virtual functions are whole PCI devices that \
             AMD's own driver (gim) creates; no mediated devices, so nothing for this program to \
             manage",
            gpu.ids()
        ),
        (AMD, None) => format!(
            "AMD card ({}) without SR-IOV: it cannot be split",
            gpu.ids()
        ),
        (INTEL, Some(functions)) => format!(
            "Intel GPU ({}) with {functions} virtual functions: SR-IOV, no mediated devices, so \
             nothing for this program to manage",
            gpu.ids()
        ),
        (INTEL, None) => format!(
            "Intel GPU ({}) without mediated devices: from Broadwell to Comet Lake, \
             i915.enable_gvt=1 and the module kvmgt make it a parent (GVT-g)",
            gpu.ids()
        ),
        _ => return None,
    };
    Some(what)
}

#[cfg(test)]
mod tests {
    use super::{Way, title, way};
    use crate::facts::pci::{Gpu, NVIDIA, Offer};
    use nvidia_vgpu::standing;

    fn card(device: u16, functions_possible: Option<u32>) -> Gpu {
        Gpu {
            address: "0000:01:00.0".into(),
            path: "x".into(),
            vendor: NVIDIA,
            device,
            driver: None,
            physical: None,
            functions_possible,
            functions_on: 0,
            offer: Offer::Nothing,
            standing: standing(NVIDIA, device),
        }
    }

    #[test]
    fn cards_are_told_apart_as_the_guide_tells_them() {
        for (device, functions, wanted) in [
            (0x1bb3, None, Way::Card),
            (0x13bd, None, Way::Card),
            (0x1eb8, Some(16), Way::Card),
            (0x1b06, None, Way::Unlock("Tesla P40")),
            (0x1c03, None, Way::Unlock("Tesla P40")),
            (0x13c2, None, Way::Unlock("Tesla M60")),
            (0x1381, None, Way::Unlock("Tesla M10")),
            (0x1d81, None, Way::Unlock("Tesla V100")),
            (0x1e04, None, Way::Unlock("Quadro RTX 6000")),
            (0x2184, None, Way::Unlock("Quadro RTX 6000")),
            (0x2206, None, Way::NoUnlock),
            (0x2684, None, Way::NoUnlock),
            (0x2206, Some(16), Way::Functions),
            (0x2335, None, Way::Functions),
            (0x26b9, Some(32), Way::Functions),
            (0x0ff2, None, Way::Past),
            (0x0611, None, Way::Unknown),
        ] {
            assert_eq!(way(&card(device, functions)), wanted, "{device:04x}");
        }
    }

    #[test]
    fn a_card_has_its_name_or_its_generation() {
        assert_eq!(title(&card(0x1bb3, None)), "Tesla P4 (10de:1bb3)");
        assert_eq!(
            title(&card(0x2c99, None)),
            "NVIDIA Blackwell or newer card (10de:2c99)"
        );
        assert_eq!(title(&card(0x0020, None)), "NVIDIA card (10de:0020)");
    }
}
