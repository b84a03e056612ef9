//! The PCI ids that a guest sees in place of a device's own.

use std::str::FromStr;

use crate::error::{Error, Kind, Result};

/// PCI ids to present to the guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    /// Vendor.
    pub vendor: u16,
    /// Device.
    pub device: u16,
    /// Vendor and device of the subsystem, where they are to differ too.
    pub subsystem: Option<(u16, u16)>,
}

impl Identity {
    /// The ids by their names in QEMU's properties (`x-pci-` before them) and in Proxmox VE.
    pub fn named(&self) -> Vec<(&'static str, u16)> {
        let mut named = vec![("vendor-id", self.vendor), ("device-id", self.device)];
        if let Some((vendor, device)) = self.subsystem {
            named.extend([("sub-vendor-id", vendor), ("sub-device-id", device)]);
        }
        named
    }
}

impl FromStr for Identity {
    type Err = Error;

    /// Parses `VENDOR:DEVICE[:SUBVENDOR:SUBDEVICE]`, each one to four hexadecimal digits, as lspci
    /// writes them. `ffff` is what an empty slot answers, so it stands for nothing.
    fn from_str(text: &str) -> Result<Identity> {
        let ids: Option<Vec<u16>> = text.split(':').map(id).collect();
        let (vendor, device, subsystem) = match ids.as_deref() {
            Some([vendor, device]) => (*vendor, *device, None),
            Some([vendor, device, sub_vendor, sub_device]) => {
                (*vendor, *device, Some((*sub_vendor, *sub_device)))
            }
            _ => {
                return Err(Error::new(
                    Kind::Usage,
                    format!(
                        "{text:?} is not VENDOR:DEVICE or VENDOR:DEVICE:SUBVENDOR:SUBDEVICE in \
                         hexadecimal, as 10de:1bb1 is a Quadro P4000"
                    ),
                ));
            }
        };
        Ok(Identity {
            vendor,
            device,
            subsystem,
        })
    }
}

fn id(text: &str) -> Option<u16> {
    let digits = text.strip_prefix("0x").unwrap_or(text);
    let is_hex = (1..=4).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_hexdigit());
    let id = is_hex.then(|| u16::from_str_radix(digits, 16).ok())??;
    (id != u16::MAX).then_some(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_or_four_ids_are_an_identity() {
        let two: Identity = "10de:1bb1".parse().unwrap();
        assert_eq!(
            (two.vendor, two.device, two.subsystem),
            (0x10de, 0x1bb1, None)
        );
        let four: Identity = "0x10DE:1bb1:10de:11a3".parse().unwrap();
        assert_eq!(four.subsystem, Some((0x10de, 0x11a3)));
        assert_eq!(four.named()[3], ("sub-device-id", 0x11a3));
        for bad in [
            "",
            "10de",
            "10de:",
            "10de:1bb1:10de",
            "10de:1bb1:1:2:3",
            "10de:1bb11",
            "10de:ffff",
            "10de:-1",
            "10de:+1",
            "10de:1bb1,x=y",
            "x:y",
        ] {
            assert!(bad.parse::<Identity>().is_err(), "{bad:?}");
        }
    }
}
