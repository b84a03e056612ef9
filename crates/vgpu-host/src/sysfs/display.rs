//! Graphics cards on the PCI bus, whether or not anything is offered on them.

use super::{PciIdentity, pci, sriov};
use crate::dir::Dir;
use crate::error::{Result, Warnings, if_present, or_warn};
use crate::host::Host;
use crate::model::ParentId;

/// PCI's base class of display controllers: VGA (0x0300), 3D (0x0302) and others (0x0380).
const DISPLAY: u32 = 0x03;

/// A display controller that is no virtual function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Controller {
    /// Its address.
    pub id: ParentId,
    /// What it is.
    pub pci: PciIdentity,
    /// The driver that serves it.
    pub driver: Option<String>,
    /// Virtual functions that it can have and those that are on; `None` where it can have none.
    pub functions: Option<(u32, usize)>,
}

/// All of a host's, by address. None where there is no PCI bus.
///
/// # Errors
/// The list of PCI devices cannot be read. What cannot be read of one device is a warning.
pub fn controllers(host: &Host, warnings: &mut Warnings) -> Result<Vec<Controller>> {
    let Some(mut devices) = if_present(Dir::open(host.pci_devices()))? else {
        return Ok(Vec::new());
    };
    let mut found = Vec::new();
    for entry in devices.entries()? {
        let name = entry.name.to_str().unwrap_or_default();
        let Ok(id) = name.parse::<ParentId>() else {
            continue;
        };
        if id.is_pci_address()
            && or_warn(is_display(&devices, &id), warnings) == Some(true)
            && let Some(controller) = or_warn(controller(host, id, warnings), warnings)
        {
            found.extend(controller);
        }
    }
    found.sort_by(|a, b| a.id.cmp(&b.id));
    Ok(found)
}

fn is_display(devices: &Dir, id: &ParentId) -> Result<bool> {
    let class = if_present(devices.read_text(format!("{id}/class")))?.unwrap_or_default();
    let class = u32::from_str_radix(class.trim().trim_start_matches("0x"), 16);
    Ok(class.is_ok_and(|class| class >> 16 == DISPLAY))
}

fn controller(host: &Host, id: ParentId, warnings: &mut Warnings) -> Result<Option<Controller>> {
    let dir = Dir::open(host.pci_devices().join(id.as_str()))?;
    if if_present(dir.link_name("physfn"))?.is_some() {
        return Ok(None);
    }
    let Some(pci) = pci::read(&dir, warnings) else {
        return Ok(None);
    };
    let functions = or_warn(sriov::gpu(host, &id), warnings).flatten();
    Ok(Some(Controller {
        driver: if_present(dir.link_name("driver"))?,
        functions: functions.map(|known| (known.total, known.functions.len())),
        pci,
        id,
    }))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::path::Path;

    use super::*;

    fn put(root: &Path, address: &str, class: &[u8], driver: Option<&str>) {
        let dir = root.join("sys/bus/pci/devices").join(address);
        fs::create_dir_all(&dir).unwrap();
        fs::write(dir.join("class"), class).unwrap();
        fs::write(dir.join("vendor"), "0x10de\n").unwrap();
        fs::write(dir.join("device"), "0x1bb3\n").unwrap();
        if let Some(driver) = driver {
            symlink(format!("../../drivers/{driver}"), dir.join("driver")).unwrap();
        }
    }

    #[test]
    fn display_controllers_are_found_and_virtual_functions_left_out() {
        let root = tempfile::tempdir().unwrap();
        let host = Host::new(root.path());
        let mut warnings = Vec::new();
        assert_eq!(controllers(&host, &mut warnings), Ok(Vec::new()));
        for (address, class, driver) in [
            ("0000:02:00.0", &b"0x030200\n"[..], Some("nvidia")),
            ("0000:01:00.0", b"0x030000\n", None),
            ("0000:03:00.0", b"0x038000\n", Some("i915")),
            ("0000:04:00.0", b"0x020000\n", Some("e1000e")),
            ("0000:05:00.0", b"0x03020\xff\n", None),
            ("0000:06:00.0", b"", None),
            ("0000:41:00.4", b"0x030200\n", Some("nvidia")),
        ] {
            put(root.path(), address, class, driver);
        }
        let devices = root.path().join("sys/bus/pci/devices");
        symlink("../0000:41:00.0", devices.join("0000:41:00.4/physfn")).unwrap();
        fs::create_dir(devices.join("odd name")).unwrap();
        fs::write(devices.join("0000:02:00.0/sriov_totalvfs"), "16\n").unwrap();
        let found = controllers(&host, &mut warnings).unwrap();
        let told: Vec<_> = found
            .iter()
            .map(|one| (one.id.as_str(), one.driver.as_deref(), one.functions))
            .collect();
        assert_eq!(
            told,
            [
                ("0000:01:00.0", None, None),
                ("0000:02:00.0", Some("nvidia"), Some((16, 0))),
                ("0000:03:00.0", Some("i915"), None),
            ]
        );
        // The class that is no text.
        let paths: Vec<_> = warnings
            .iter()
            .filter_map(|warning| warning.path())
            .collect();
        assert_eq!(paths, [devices.join("0000:05:00.0/class")]);
    }
}
