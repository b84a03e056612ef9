//! NVIDIA cards and their vGPU types, from `examples/hosts/cards.toml`.

use std::collections::BTreeMap;

use serde::Deserialize;

const TABLE: &str = include_str!("../hosts/cards.toml");

/// One physical GPU as the vGPU driver sees it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Card {
    /// Its name in type names: `P4`.
    pub name: String,
    /// The prefix of type names, `GRID` before Ampere.
    #[serde(default = "grid")]
    pub brand: String,
    /// Maximum number of vGPUs of one type, if memory would allow more.
    #[serde(default)]
    pub most: Option<u32>,
    /// PCI device id.
    pub device: u16,
    /// PCI subsystem device id.
    pub subsystem: u16,
    /// PCI class: 0x030000 with a display, 0x030200 without.
    pub class: u32,
    /// Framebuffer that the vGPUs share.
    pub memory_mib: u32,
    /// The maximum resolution of the card, if less than 7680x4320.
    #[serde(default)]
    pub widest: Option<String>,
    /// Type ids with the end of the type name.
    pub types: BTreeMap<String, String>,
}

/// One vGPU type as its sysfs files describe it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CardType {
    /// `63`, of the directory `nvidia-63`.
    pub id: u32,
    /// `GRID P4-1Q`.
    pub name: String,
    /// `num_heads=4, frl_config=60, ...`.
    pub description: String,
    /// Framebuffer of one vGPU.
    pub framebuffer_mib: u32,
    /// Maximum number of vGPUs of this type on one GPU.
    pub max_instance: u32,
}

fn grid() -> String {
    "GRID".to_owned()
}

/// The card named `key` in host files.
pub fn card(key: &str) -> Result<Card, String> {
    let mut table: BTreeMap<String, Card> =
        toml::from_str(TABLE).map_err(|e| format!("cards.toml: {e}"))?;
    let known: Vec<String> = table.keys().cloned().collect();
    table
        .remove(key)
        .ok_or_else(|| format!("no card \"{key}\"; known cards: {}", known.join(", ")))
}

impl Card {
    /// The card's types, ordered by id.
    pub fn types(&self) -> Result<Vec<CardType>, String> {
        let mut types = Vec::new();
        for (id, suffix) in &self.types {
            types.push(self.card_type(id, suffix)?);
        }
        types.sort_by_key(|t| t.id);
        Ok(types)
    }

    fn card_type(&self, id: &str, suffix: &str) -> Result<CardType, String> {
        let bad = || {
            format!(
                "cards.toml: {} has a bad type {id} = \"{suffix}\"",
                self.name
            )
        };
        let id = id.parse().map_err(|_| bad())?;
        let digits = suffix.chars().take_while(char::is_ascii_digit).count();
        let gigabytes: u32 = suffix[..digits].parse().map_err(|_| bad())?;
        let series = suffix[digits..].chars().next().ok_or_else(bad)?;
        // Size 0 means half a gigabyte.
        let framebuffer_mib = if gigabytes == 0 {
            512
        } else {
            gigabytes * 1024
        };
        let max_instance = self.memory_mib / framebuffer_mib;
        let max_instance = self
            .most
            .map_or(max_instance, |most| max_instance.min(most));
        let (heads, frl, resolution) = self.display(series, gigabytes).ok_or_else(bad)?;
        Ok(CardType {
            id,
            name: format!("{} {}-{suffix}", self.brand, self.name),
            description: format!(
                "num_heads={heads}, frl_config={frl}, framebuffer={framebuffer_mib}M, \
                 max_resolution={resolution}, max_instance={max_instance}"
            ),
            framebuffer_mib,
            max_instance,
        })
    }

    /// Heads, frame rate limit and resolution of a series (vGPU user guide, per-card tables).
    fn display(&self, series: char, gigabytes: u32) -> Option<(u32, u32, &str)> {
        let widest = self.widest.as_deref().unwrap_or("7680x4320");
        Some(match (series, gigabytes) {
            ('B', 0) => (2, 45, "2560x1600"),
            ('Q', 0) => (2, 60, "2560x1600"),
            ('A', _) => (1, 60, "1280x1024"),
            ('B', _) => (4, 45, "5120x2880"),
            ('C', _) => (1, 60, "4096x2160"),
            ('Q', 1) => (4, 60, "5120x2880"),
            ('Q', _) => (4, 60, widest),
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::card;

    #[test]
    fn p4_1q_reads_as_on_a_real_host() {
        let types = card("p4").unwrap().types().unwrap();
        assert_eq!(types.len(), 14);
        assert_eq!(types[0].id, 63);
        assert_eq!(types[0].name, "GRID P4-1Q");
        assert_eq!(
            types[0].description,
            "num_heads=4, frl_config=60, framebuffer=1024M, max_resolution=5120x2880, max_instance=8"
        );
    }

    #[test]
    fn counts_follow_from_the_memory() {
        let max = |key: &str, id: u32| {
            let types = card(key).unwrap().types().unwrap();
            types.iter().find(|t| t.id == id).unwrap().max_instance
        };
        assert_eq!(max("p4", 66), 1);
        assert_eq!(max("p40", 46), 24);
        assert_eq!(max("p40", 48), 8);
        assert_eq!(max("m10", 36), 16);
        // A 48 GiB card with 32 VFs.
        assert_eq!((max("a40", 557), max("a40", 558)), (32, 24));
    }

    #[test]
    fn an_unknown_card_names_the_known_ones() {
        assert_eq!(
            card("k80").unwrap_err(),
            "no card \"k80\"; known cards: a100-40, a16, a40, l40s, m10, p4, p40, rtx-pro-6000"
        );
    }
}
