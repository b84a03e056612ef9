//! Which driver a PCI function has (kernel: Documentation/ABI/testing/sysfs-bus-pci, `bind` and
//! `driver_override`).

use super::attr;
use crate::dir::Dir;
use crate::error::{Error, Kind, Result, if_present};
use crate::host::Host;
use crate::model::ParentId;

/// What the kernel shows where nobody has set an override.
const NO_OVERRIDE: &str = "(null)";

/// The driver that a function has; `None` where it has none.
///
/// # Errors
/// The function is not there, or cannot be read.
pub fn of(host: &Host, function: &ParentId) -> Result<Option<String>> {
    Dir::open(host.pci_devices().join(function.as_str()))?.link_name_if_any("driver")
}

/// Has a driver serve a function that has none. One that is set aside for another driver is left
/// alone.
///
/// # Errors
/// [`Kind::InUse`] where it is set aside; what the kernel answered: EBUSY where somebody was faster,
/// ENODEV where the driver does not take it.
pub fn bind(host: &Host, function: &ParentId, driver: &str) -> Result<()> {
    let dir = Dir::open(host.pci_devices().join(function.as_str()))?;
    let set_aside = if_present(dir.read_text("driver_override"))?;
    let set_aside = set_aside.filter(|name| !name.is_empty() && name != NO_OVERRIDE);
    if let Some(other) = set_aside.filter(|name| name != driver) {
        let message = format!("{function} is reserved for the driver {other}");
        return Err(Error::new(Kind::InUse, message).at(dir.join("driver_override")));
    }
    let what = format!("cannot bind {function} to {driver}");
    let driver = Dir::open(host.pci_driver(driver)).map_err(|error| error.retold(&what))?;
    attr::write_value(&driver, "bind", function.as_str(), &what)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    #[test]
    fn what_is_set_aside_for_another_driver_is_left_to_it() {
        let root = tempfile::tempdir().unwrap();
        let host = Host::new(root.path());
        let gpu: ParentId = "0000:41:00.0".parse().unwrap();
        let (dir, nvidia) = (host.pci_devices().join(gpu.as_str()), host.nvidia_driver());
        fs::create_dir_all(&dir).unwrap();
        fs::create_dir_all(&nvidia).unwrap();
        fs::write(nvidia.join("bind"), "").unwrap();
        assert_eq!(of(&host, &gpu), Ok(None));
        let bound = || fs::read_to_string(nvidia.join("bind")).unwrap();

        fs::write(dir.join("driver_override"), "vfio-pci\n").unwrap();
        let error = bind(&host, &gpu, "nvidia").unwrap_err();
        assert_eq!(error.kind(), Kind::InUse);
        assert_eq!(bound(), "");

        for nothing in ["(null)\n", "\n", "nvidia\n"] {
            fs::write(dir.join("driver_override"), nothing).unwrap();
            bind(&host, &gpu, "nvidia").unwrap();
        }
        assert_eq!(bound(), gpu.as_str());
        symlink(&nvidia, dir.join("driver")).unwrap();
        assert_eq!(of(&host, &gpu), Ok(Some("nvidia".to_owned())));
        fs::remove_file(dir.join("driver_override")).unwrap();
        assert!(bind(&host, &gpu, "other").unwrap_err().is_absent());
        assert!(of(&host, &"0000:99:00.0".parse().unwrap()).is_err());
    }
}
