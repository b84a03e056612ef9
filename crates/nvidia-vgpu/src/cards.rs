//! NVIDIA's cards: model, memory, and the card that each is unlocked as.
//!
//! The driver does not report the memory of a card (`/proc/driver/nvidia/gpus/*/information` has
//! the model, not the size; BAR1 is a window of mostly 256 MiB), and an unlocked driver lists the
//! types of the card that it takes this one for. The size therefore comes from a table, by PCI device id.

use serde::{Deserialize, Deserializer};

use crate::{Layout, Region, TypeName, data, size};

/// NVIDIA's PCI vendor id.
pub const NVIDIA: u16 = 0x10de;

/// A card, or one GPU of a multi-GPU board.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Card {
    /// The chip: "GP102".
    pub chip: &'static str,
    /// The common model name: "GTX 1080 Ti".
    pub name: &'static str,
    /// The memory sizes sold under this device id, in MiB, in ascending order.
    #[serde(rename = "gib", deserialize_with = "gib_as_mib")]
    pub memory_sizes_mib: Vec<u64>,
    /// Whether NVIDIA's vGPU host driver supports it without an unlock.
    #[serde(default)]
    vgpu: bool,
}

fn gib_as_mib<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u64>, D::Error> {
    let gib = Vec::<u64>::deserialize(from)?;
    Ok(gib.into_iter().map(|gib| gib * 1024).collect())
}

impl Card {
    /// The maximum memory of this card, in MiB.
    pub fn memory_mib(&self) -> u64 {
        self.memory_sizes_mib.last().copied().unwrap_or_default()
    }

    /// Whether it can be partitioned into GPU instances (MIG).
    pub fn has_mig(&self) -> bool {
        match self.chip {
            "GA100" | "GH100" | "GB100" => true,
            // Consumer cards have this chip too, without MIG.
            "GB202" => self.vgpu,
            _ => false,
        }
    }

    /// How vGPUs of different sizes share it; `None` for a card without mixed-size mode, or one that is sold with
    /// several memory sizes.
    pub fn region(&self) -> Option<Region> {
        let layout = Layout::of_chip(self.chip).filter(|_| self.vgpu)?;
        let [mib] = self.memory_sizes_mib[..] else {
            return None;
        };
        let gib = u32::try_from(mib / 1024).ok()?;
        Some(Region { gib, layout })
    }

    /// The memory as text: "11 GiB", or "up to 4 GiB" if it is also sold with less.
    pub fn memory(&self) -> String {
        match self.memory_sizes_mib.len() {
            0 | 1 => size(self.memory_mib()),
            _ => format!("up to {}", size(self.memory_mib())),
        }
    }

    /// "a GTX 1080 Ti", "an RTX 2080".
    pub fn with_article(&self) -> String {
        let article = match self.name.get(..3) {
            Some("RTX" | "NVS") => "an",
            _ => "a",
        };
        format!("{article} {}", self.name)
    }
}

/// The card that an unlocked driver takes another card for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unlock {
    /// Its model: "Tesla P40".
    pub as_card: &'static str,
    /// Whether guests are known to work.
    pub outlook: Outlook,
}

/// How well an unlock works.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outlook {
    /// In wide use.
    Works,
    /// Guests crash: consumer cards with Ampere chips.
    Unstable,
}

/// How the vGPU host driver treats a card.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Supported without an unlock.
    VgpuCard,
    /// Supported only by an unlocked driver, which treats it as another card.
    Unlockable(Unlock),
    /// Not supported.
    Neither,
}

impl Standing {
    /// As text: "vGPU card", "unlockable as Tesla P40", "no vGPU".
    pub fn words(self) -> String {
        match self {
            Standing::VgpuCard => "vGPU card".to_owned(),
            Standing::Unlockable(Unlock {
                as_card,
                outlook: Outlook::Works,
                ..
            }) => format!("unlockable as {as_card}"),
            Standing::Unlockable(Unlock {
                outlook: Outlook::Unstable,
                ..
            }) => "no stable unlock".to_owned(),
            Standing::Neither => "no vGPU".to_owned(),
        }
    }

    /// The keyword in JSON: "vgpu-card", "unlockable", "unstable-unlock", "neither".
    pub fn code(self) -> &'static str {
        match self {
            Standing::VgpuCard => "vgpu-card",
            Standing::Unlockable(unlock) if unlock.outlook == Outlook::Works => "unlockable",
            Standing::Unlockable(_) => "unstable-unlock",
            Standing::Neither => "neither",
        }
    }

    /// The unlock, if one is needed.
    pub fn unlock(self) -> Option<Unlock> {
        match self {
            Standing::Unlockable(unlock) => Some(unlock),
            Standing::VgpuCard | Standing::Neither => None,
        }
    }
}

/// The card with these PCI ids, if known.
pub fn card(vendor: u16, device: u16) -> Option<&'static Card> {
    (vendor == NVIDIA).then(|| data::card(device))?
}

/// How the vGPU host driver treats a card with these PCI ids; `None` for other vendors.
pub fn standing(vendor: u16, device: u16) -> Option<Standing> {
    if vendor != NVIDIA {
        return None;
    }
    let is_vgpu_card = data::card(device).is_some_and(|card| card.vgpu);
    Some(match unlocks_as(device) {
        _ if is_vgpu_card => Standing::VgpuCard,
        Some(unlock) => Standing::Unlockable(unlock),
        None => Standing::Neither,
    })
}

/// Like the above for a card whose driver offers types with these names (`None`: not parsed), regardless of the
/// table: a vGPU card, unless at least two of these indicate an unlock: it is a known consumer card; its
/// types are those of the card that an unlocked driver takes it for; an unlock is configured on the host, which
/// is only checked if it makes a difference.
pub fn standing_with(
    (vendor, device): (u16, u16),
    offered: impl IntoIterator<Item = Option<TypeName>>,
    is_wired: impl FnOnce() -> bool,
) -> Option<Standing> {
    let by_number = standing(vendor, device)?;
    let mut offered = offered.into_iter().peekable();
    if offered.peek().is_none() {
        return Some(by_number);
    }
    let Some(unlock) = by_number.unlock() else {
        return Some(Standing::VgpuCard);
    };
    let is_consumers = card(vendor, device).is_some();
    let is_anothers = offered.flatten().any(|name| is_of(unlock.as_card, &name));
    let is_unlocked = match (is_consumers, is_anothers) {
        (true, true) => true,
        (false, false) => false,
        _ => is_wired(),
    };
    Some(match is_unlocked {
        true => by_number,
        false => Standing::VgpuCard,
    })
}

/// Whether a type belongs to a card, such as "GRID P40-1Q" to the "Tesla P40".
fn is_of(card: &str, name: &TypeName) -> bool {
    let model = card.strip_prefix("Tesla ").or(card.strip_prefix("Quadro "));
    let model = model.unwrap_or(card).replace(' ', "");
    name.gpu.replace(' ', "").contains(&model)
}

/// The card that an unlocked driver takes an NVIDIA device for, including vGPU cards: the ranges of device
/// ids that vgpu_unlock-rs replaces (in its `src/lib.rs`), whether or not the card is in our table.
pub fn unlocks_as(device: u16) -> Option<Unlock> {
    use Outlook::{Unstable, Works};
    let (as_card, outlook) = match device {
        0x1340..=0x13bd | 0x174d..=0x179c => ("Tesla M10", Works),
        0x13c0..=0x1436 | 0x1617..=0x1667 | 0x17c2..=0x17fd => ("Tesla M60", Works),
        0x15f0..=0x15f1 | 0x1725..=0x172f | 0x1b00..=0x1d56 => ("Tesla P40", Works),
        0x1d81 | 0x1dba => ("Tesla V100", Works),
        0x1e02..=0x1ff9 | 0x2182..=0x21d1 => ("Quadro RTX 6000", Works),
        0x2200..=0x2600 => ("RTX A6000", Unstable),
        _ => return None,
    };
    Some(Unlock { as_card, outlook })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::tests::all_cards;

    /// The vGPU cards and the others, with their device ids.
    fn both_lists() -> [Vec<(u16, Card)>; 2] {
        let (vgpu, others) = all_cards().into_iter().partition(|(_, card)| card.vgpu);
        [vgpu, others]
    }

    #[test]
    fn every_line_of_the_lists_is_in_order_and_makes_sense() {
        const CHIPS: [&str; 11] = [
            "GK1", "GM1", "GM2", "GP1", "GV1", "TU1", "GA1", "AD1", "GH1", "GB1", "GB2",
        ];
        for list in both_lists() {
            assert!(list.is_sorted_by(|(a, _), (b, _)| a < b));
            for (_, card) in list {
                assert!(CHIPS.contains(&&card.chip[..3]), "{card:?}");
                assert!(!card.memory_sizes_mib.is_empty(), "{card:?}");
                let sizes = &card.memory_sizes_mib;
                assert!(sizes.is_sorted_by(|a, b| a < b), "{card:?}");
                assert!(sizes.iter().all(|mib| mib.is_multiple_of(1024)), "{card:?}");
            }
        }
    }

    #[test]
    fn every_card_of_the_table_has_the_unlock_that_its_chip_allows() {
        let [vgpu, others] = both_lists();
        for (device, card) in others {
            let unlock = unlocks_as(device).unwrap_or_else(|| panic!("{card:?}"));
            let is_model = |(_, model): &&(u16, Card)| model.name.starts_with(unlock.as_card);
            let (_, model) = vgpu.iter().find(is_model).unwrap();
            assert_eq!(model.chip[..3], card.chip[..3], "{card:?}");
            let is_unstable = unlock.outlook == Outlook::Unstable;
            assert_eq!(is_unstable, card.chip.starts_with("GA1"), "{card:?}");
        }
    }

    #[test]
    fn a_consumer_card_has_its_own_memory_and_anothers_types() {
        let known = card(NVIDIA, 0x1b06).unwrap();
        assert_eq!((known.name, known.chip), ("GTX 1080 Ti", "GP102"));
        assert_eq!(
            (known.memory_mib(), known.memory()),
            (11264, "11 GiB".into())
        );
        let standing = standing(NVIDIA, 0x1b06).unwrap();
        assert_eq!(standing.words(), "unlockable as Tesla P40");
        assert_eq!(standing.code(), "unlockable");
    }

    #[test]
    fn a_number_under_which_several_sizes_are_sold_promises_the_largest() {
        let known = card(NVIDIA, 0x1401).unwrap();
        assert_eq!(known.memory_mib(), 4096);
        assert_eq!(known.memory(), "up to 4 GiB");
    }

    #[test]
    fn a_vgpu_card_needs_no_unlock_though_its_number_lies_in_an_unlocks_range() {
        assert_eq!(standing(NVIDIA, 0x1bb3), Some(Standing::VgpuCard));
        assert_eq!(unlocks_as(0x1bb3).unwrap().as_card, "Tesla P40");
        assert_eq!(Standing::VgpuCard.unlock(), None);
    }

    #[test]
    fn a_card_that_is_not_in_the_table_is_judged_by_its_number_alone() {
        assert_eq!(card(NVIDIA, 0x1bad), None);
        assert_eq!(standing(NVIDIA, 0x1bad).unwrap().code(), "unlockable");
        assert_eq!(standing(NVIDIA, 0x0fff), Some(Standing::Neither));
        assert_eq!(
            standing(NVIDIA, 0x2204).unwrap().words(),
            "no stable unlock"
        );
    }

    #[test]
    fn who_offers_types_without_an_unlock_is_a_vgpu_card() {
        for (device, name, is_wired, wanted) in [
            // A known and an unknown card.
            (0x1b38, "GRID P40-2Q", false, "vgpu-card"),
            (0x0fff, "GRID X-2Q", false, "vgpu-card"),
            (0x3182, "NVIDIA B300X-1-34C", false, "vgpu-card"),
            // In the id range of an unlock, but with its own types.
            (0x1bad, "GRID P9-2Q", false, "vgpu-card"),
            (0x1bad, "GRID P40-2Q", false, "vgpu-card"),
            (0x1bad, "GRID P9-2Q", true, "vgpu-card"),
            (0x1b30, "GRID P6000-2Q", false, "vgpu-card"),
            // With the types of another card, with and without a detected unlock.
            (0x1bad, "GRID P40-2Q", true, "unlockable"),
            (0x1b06, "GRID P40-2Q", false, "unlockable"),
            (0x1b06, "GRID P40-2Q", true, "unlockable"),
            (0x1e04, "GRID RTX6000-2Q", false, "unlockable"),
            (0x1b06, "GRID M60-2Q", true, "unlockable"),
            (0x1b06, "GRID GTX P40-6", false, "unlockable"),
        ] {
            let found = standing_with((NVIDIA, device), [TypeName::parse(name)], || is_wired);
            let code = found.map(Standing::code);
            assert_eq!(code, Some(wanted), "{device:04x} {name} {is_wired}");
        }
        assert_eq!(
            standing_with((NVIDIA, 0x1b06), [], || true).unwrap().code(),
            "unlockable"
        );
        assert_eq!(standing_with((0x8086, 0x1b06), [None], || true), None);
    }

    #[test]
    fn what_nvidias_list_has_is_a_vgpu_card_with_its_memory() {
        for (device, gib) in [
            (0x20b8, 80),
            (0x20b9, 24),
            (0x20f3, 80),
            (0x20f5, 80),
            (0x20f6, 40),
            (0x20fd, 80),
            (0x26b3, 48),
            (0x26ba, 48),
            (0x27b6, 24),
            (0x2901, 180),
            (0x2941, 186),
            (0x2bb5, 96),
            (0x2bb9, 84),
            (0x2c3a, 32),
            (0x3182, 269),
            (0x2321, 94),
            (0x2322, 80),
            (0x2324, 80),
            (0x2329, 96),
            (0x232c, 141),
            (0x2336, 96),
            (0x2337, 64),
            (0x2339, 94),
            (0x233a, 94),
            (0x2342, 96),
            (0x2348, 144),
        ] {
            assert_eq!(standing(NVIDIA, device), Some(Standing::VgpuCard));
            let known = card(NVIDIA, device).unwrap();
            assert_eq!(known.memory_mib(), gib * 1024, "{known:?}");
        }
    }

    #[test]
    fn other_vendors_numbers_mean_nothing_here() {
        assert_eq!(card(0x8086, 0x1b06), None);
        assert_eq!(standing(0x1002, 0x1b06), None);
    }
}
