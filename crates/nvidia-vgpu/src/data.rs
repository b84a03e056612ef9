//! The tables in `data/`, compiled in and parsed on first use.

use std::collections::BTreeMap;
use std::sync::{LazyLock, OnceLock};

use serde::Deserialize;
use toml::de::{Error, ValueDeserializer};

use crate::Card;

/// `data/types.toml`.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Types {
    pub series: BTreeMap<String, SeriesFacts>,
    /// Compute slices by prefix of the GPU name.
    pub mig_slices: BTreeMap<String, u32>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct SeriesFacts {
    pub purpose: String,
    pub licence: String,
    pub licence_today: Option<String>,
    pub opengl: Option<bool>,
}

pub static TYPES: LazyLock<Types> =
    LazyLock::new(|| valid(toml::from_str(include_str!("../data/types.toml"))));

const CARDS: &str = include_str!("../data/cards.toml");

/// The card with this device id. Parsing the whole table takes a millisecond, so only its line is parsed.
pub fn card(device: u16) -> Option<&'static Card> {
    type Line = (&'static str, OnceLock<Card>);
    static LINES: LazyLock<BTreeMap<&str, Line>> = LazyLock::new(|| {
        let lines = CARDS.lines().filter_map(|line| line.split_once(" = "));
        let unread = lines.map(|(number, card)| (number, (card, OnceLock::new())));
        unread.collect()
    });
    let (line, card) = LINES.get(format!("{device:04x}").as_str())?;
    Some(card.get_or_init(|| valid(ValueDeserializer::parse(line).and_then(Card::deserialize))))
}

/// Tests parse the whole table, so invalid data is never released.
fn valid<T>(read: Result<T, Error>) -> T {
    read.unwrap_or_else(|error| panic!("in data/: {error}"))
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// All cards with their device ids, in the order of the file.
    pub fn all_cards() -> Vec<(u16, Card)> {
        let table: BTreeMap<String, Card> = toml::from_str(CARDS).unwrap();
        let number = |text: &str| u16::from_str_radix(text, 16).unwrap();
        let mut cards: Vec<(u16, Card)> = table
            .into_iter()
            .map(|(text, card)| (number(&text), card))
            .collect();
        cards.sort_by_key(|(device, _)| CARDS.find(&format!("\n{device:04x} = ")).unwrap());
        cards
    }

    #[test]
    fn a_card_read_alone_is_the_one_that_toml_has() {
        let all = all_cards();
        assert!(all.len() > 250);
        for (device, expected) in all {
            assert_eq!(card(device), Some(&expected), "{device:04x}");
        }
    }

    #[test]
    fn every_table_says_where_it_is_from() {
        assert!(CARDS.contains("\n# Sources: "));
        let types = include_str!("../data/types.toml");
        for table in types.split("\n\n").skip(1) {
            assert!(table.contains("\n# Source: "), "{table}");
        }
    }
}
