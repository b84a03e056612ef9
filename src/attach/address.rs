//! A PCI address.

use std::fmt;
use std::str::FromStr;

use crate::error::{Error, Kind, Result};

/// A PCI address in full, `0000:81:00.4`. Domains may have more than four digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PciAddress {
    /// Domain.
    pub domain: u32,
    /// Bus.
    pub bus: u8,
    /// Slot, up to 31.
    pub slot: u8,
    /// Function, up to 7.
    pub function: u8,
}

impl FromStr for PciAddress {
    type Err = Error;

    fn from_str(text: &str) -> Result<PciAddress> {
        parse(text).ok_or_else(|| {
            Error::new(
                Kind::Usage,
                format!("{text:?} is not a PCI address such as 0000:81:00.4"),
            )
        })
    }
}

fn parse(text: &str) -> Option<PciAddress> {
    let (domain, rest) = text.split_once(':')?;
    let (bus, rest) = rest.split_once(':')?;
    let (slot, function) = rest.split_once('.')?;
    let number = |text: &str, digits: std::ops::RangeInclusive<usize>| {
        let is_hex = text.bytes().all(|b| b.is_ascii_hexdigit());
        (is_hex && digits.contains(&text.len())).then(|| u32::from_str_radix(text, 16).ok())?
    };
    let small = |value: u32, most: u8| u8::try_from(value).ok().filter(|value| *value <= most);
    Some(PciAddress {
        domain: number(domain, 4..=8)?,
        bus: small(number(bus, 2..=2)?, u8::MAX)?,
        slot: small(number(slot, 2..=2)?, 31)?,
        function: small(number(function, 1..=1)?, 7)?,
    })
}

impl fmt::Display for PciAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:04x}:{:02x}:{:02x}.{}",
            self.domain, self.bus, self.slot, self.function
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_addresses_are_taken() {
        for good in ["0000:81:00.4", "10000:02:1f.7", "0000:ff:00.0"] {
            assert_eq!(good.parse::<PciAddress>().unwrap().to_string(), good);
        }
        for bad in [
            "",
            "81:00.0",
            "0000:81:00",
            "0000:81:20.0",
            "0000:81:00.8",
            "matrix",
            "0.0.0314",
            "0000:8x:00.0",
            "0000:+1:00.0",
            "000000000:81:00.0",
            "0000:81:00.0,mdev=x",
        ] {
            assert!(bad.parse::<PciAddress>().is_err(), "{bad:?}");
        }
    }
}
