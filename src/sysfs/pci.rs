//! What a parent is on the PCI bus.

use crate::dir::Dir;
use crate::error::{Result, Warnings, if_present};
use crate::model::ParentId;

/// Vendor and device number of a PCI device, and what hardware databases look it up by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PciIdentity {
    /// "10de:1bb3".
    pub ids: String,
    /// `pci:v000010DEd00001BB3sv...`, where the kernel shows it.
    pub modalias: Option<String>,
}

impl PciIdentity {
    /// Vendor and device as numbers.
    pub fn numbers(&self) -> Option<(u16, u16)> {
        let (vendor, device) = self.ids.split_once(':')?;
        let number = |text| u16::from_str_radix(text, 16).ok();
        Some((number(vendor)?, number(device)?))
    }
}

/// Reads a PCI device's identity; `None` where the directory is not one of a PCI device.
pub fn read(parent: &Dir, warnings: &mut Warnings) -> Option<PciIdentity> {
    let mut number = |file: &str| match if_present(parent.read_text(file)) {
        Ok(text) => text.map(|text| text.trim_start_matches("0x").to_owned()),
        Err(error) => {
            warnings.push(error);
            None
        }
    };
    let (vendor, device) = (number("vendor")?, number("device")?);
    Some(PciIdentity {
        ids: format!("{vendor}:{device}"),
        modalias: parent
            .read_text("modalias")
            .ok()
            .filter(|text| is_plain(text)),
    })
}

/// The hardware database, which is asked in C's strings, does not survive a NUL.
fn is_plain(modalias: &str) -> bool {
    !modalias.contains('\0')
}

/// The virtual functions of a GPU, in the order of their numbers; none where they are off.
///
/// # Errors
/// The directory or a link in it cannot be read.
pub fn virtual_functions(mut gpu: Dir) -> Result<Vec<ParentId>> {
    let mut numbers: Vec<u32> = gpu
        .entries()?
        .iter()
        .filter_map(|entry| entry.name.to_str()?.strip_prefix("virtfn")?.parse().ok())
        .collect();
    numbers.sort_unstable();
    let one = |number: u32| gpu.link_name_of(format!("virtfn{number}"));
    numbers.into_iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_pci_device_is_known_by_its_numbers_and_anything_else_is_none() {
        let root = tempfile::tempdir().unwrap();
        let mut warnings = Vec::new();
        let dir = Dir::open(root.path()).unwrap();
        assert_eq!(read(&dir, &mut warnings), None);
        fs::write(root.path().join("vendor"), "0x10de\n").unwrap();
        fs::write(root.path().join("device"), "0x1bb3\n").unwrap();
        let identity = read(&dir, &mut warnings).unwrap();
        assert_eq!(identity.ids, "10de:1bb3");
        assert_eq!(identity.numbers(), Some((0x10de, 0x1bb3)));
        assert_eq!(identity.modalias, None);
        assert!(warnings.is_empty());
        // The hardware database is asked in C's strings.
        fs::write(root.path().join("modalias"), "pci:v000010DE\0d\n").unwrap();
        assert_eq!(read(&dir, &mut warnings).unwrap().modalias, None);

        fs::write(root.path().join("vendor"), [0xff]).unwrap();
        assert_eq!(read(&dir, &mut warnings), None);
        assert_eq!(
            warnings[0].path(),
            Some(root.path().join("vendor").as_path())
        );
    }
}
