//! What a parent is on the PCI bus.

use crate::dir::Dir;
use crate::error::{Result, Warnings, if_present};
use crate::model::ParentId;
use nvidia_vgpu::NVIDIA;

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

    /// Vendor and device of the board, which the kernel shows in the modalias.
    pub fn board(&self) -> Option<(u16, u16)> {
        let (_, rest) = self.modalias.as_deref()?.split_once("sv")?;
        let (vendor, rest) = rest.split_once("sd")?;
        // As in sv000010DEsd000011D8bc03.
        let device = rest.get(..8)?;
        let number = |text| u16::try_from(u32::from_str_radix(text, 16).ok()?).ok();
        Some((number(vendor)?, number(device)?))
    }
}

/// NVIDIA's display and 3D controllers that are no virtual functions, in the order of their
/// addresses.
///
/// # Errors
/// There is no list of PCI devices to be read. A device that cannot be read is left out.
pub fn nvidia_controllers(mut bus: Dir) -> Result<Vec<ParentId>> {
    let entries = bus.entries()?;
    let ids = entries.iter().filter_map(|entry| {
        let id: ParentId = entry.name.to_str()?.parse().ok()?;
        is_nvidia_controller(&bus, &id).then_some(id)
    });
    let mut ids: Vec<ParentId> = ids.collect();
    ids.sort_by_key(place);
    Ok(ids)
}

fn is_nvidia_controller(bus: &Dir, id: &ParentId) -> bool {
    let number = |file: &str| {
        let text = bus.read_text(format!("{id}/{file}")).ok()?;
        u32::from_str_radix(text.trim_start_matches("0x"), 16).ok()
    };
    number("vendor") == Some(u32::from(NVIDIA))
        && matches!(number("class"), Some(0x03_0000 | 0x03_0200))
        && matches!(bus.link_name_if_any(format!("{id}/physfn")), Ok(None))
}

/// An address as a number, so that a longer domain comes later.
fn place(id: &ParentId) -> u64 {
    let digits: String = id
        .as_str()
        .chars()
        .filter(char::is_ascii_hexdigit)
        .collect();
    u64::from_str_radix(&digits, 16).unwrap_or(u64::MAX)
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
        let with = |modalias: &str| PciIdentity {
            modalias: Some(modalias.to_owned()),
            ..identity.clone()
        };
        let known = with("pci:v000010DEd00001BB3sv000010DEsd000011D8bc03sc02i00");
        assert_eq!(known.board(), Some((0x10de, 0x11d8)));
        assert_eq!(with("pci:v000010DEd00001BB3").board(), None);
        assert_eq!(with("pci:sv1sdä").board(), None);
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

    #[test]
    fn nvidias_controllers_are_counted_as_their_device_manager_does() {
        let root = tempfile::tempdir().unwrap();
        let device = |id: &str, vendor: &str, class: &str| {
            let dir = root.path().join(id);
            fs::create_dir(&dir).unwrap();
            fs::write(dir.join("vendor"), vendor).unwrap();
            fs::write(dir.join("class"), class).unwrap();
            dir
        };
        device("10000:01:00.0", "0x10de\n", "0x030200\n");
        device("0000:01:00.0", "0x10de\n", "0x030000\n");
        device("0000:01:00.1", "0x10de\n", "0x040300\n");
        device("0000:02:00.0", "0x8086\n", "0x030000\n");
        device("0000:03:00.0", "0x10de\n", "0x030200\n");
        device("0000:04:00.0", "0x10de\n", "0x120000\n");
        let vf = device("0000:03:00.4", "0x10de\n", "0x030200\n");
        std::os::unix::fs::symlink("../0000:03:00.0", vf.join("physfn")).unwrap();
        fs::create_dir(root.path().join("0000:05:00.0")).unwrap();
        let found = nvidia_controllers(Dir::open(root.path()).unwrap()).unwrap();
        let found: Vec<&str> = found.iter().map(ParentId::as_str).collect();
        assert_eq!(found, ["0000:01:00.0", "0000:03:00.0", "10000:01:00.0"]);
    }
}
