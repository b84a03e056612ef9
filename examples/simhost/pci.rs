//! PCI addresses and ids in the formats of sysfs.

/// NVIDIA's vendor id.
pub const NVIDIA: u16 = 0x10de;

/// The ids of one PCI function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pci {
    /// Vendor id.
    pub vendor: u16,
    /// Device id.
    pub device: u16,
    /// Subsystem vendor id.
    pub subsystem_vendor: u16,
    /// Subsystem device id.
    pub subsystem_device: u16,
    /// Base class, sub class and interface.
    pub class: u32,
}

impl Pci {
    /// The `modalias` line (kernel: `pci_uevent`).
    pub fn modalias(&self) -> String {
        format!(
            "pci:v{:08X}d{:08X}sv{:08X}sd{:08X}bc{:02X}sc{:02X}i{:02X}",
            self.vendor,
            self.device,
            self.subsystem_vendor,
            self.subsystem_device,
            self.class >> 16,
            (self.class >> 8) & 0xff,
            self.class & 0xff
        )
    }
}

/// Domain, bus, and the rest of `0000:81:00.0`.
fn split(address: &str) -> Option<(u32, u8, &str)> {
    let mut parts = address.splitn(3, ':');
    let domain = u32::from_str_radix(parts.next()?, 16).ok()?;
    let bus = u8::from_str_radix(parts.next()?, 16).ok()?;
    let rest = parts.next()?;
    (rest.len() == 4 && rest.as_bytes()[2] == b'.').then_some((domain, bus, rest))
}

/// Whether this is a PCI address.
pub fn is_address(id: &str) -> bool {
    split(id).is_some()
}

/// The address `offset` buses further; other names only for offset 0.
pub fn nth_address(first: &str, offset: u8) -> Result<String, String> {
    if offset == 0 {
        return Ok(first.to_owned());
    }
    let (domain, bus, rest) =
        split(first).ok_or_else(|| format!("count needs a PCI address, not \"{first}\""))?;
    let bus = bus
        .checked_add(offset)
        .ok_or_else(|| format!("no bus {offset} after {first}"))?;
    Ok(format!("{domain:04x}:{bus:02x}:{rest}"))
}

/// The address of VF `n` of a PF: on NVIDIA's cards, the first one is function 4.
pub fn vf_address(pf: &str, n: u16) -> Option<String> {
    let (domain, bus, _) = split(pf)?;
    let function = 4 + n;
    let (slot, function) = (function / 8, function % 8);
    (slot < 32).then(|| format!("{domain:04x}:{bus:02x}:{slot:02x}.{function}"))
}

/// The path of the function below `/sys`: on its root bus, or behind its own bridge.
pub fn device_path(address: &str) -> String {
    let Some((domain, bus, _)) = split(address) else {
        return format!("devices/{address}");
    };
    let root = bus & 0x80;
    if bus == root {
        return format!("devices/pci{domain:04x}:{root:02x}/{address}");
    }
    let slot = (bus - root) & 0x1f;
    format!("devices/pci{domain:04x}:{root:02x}/{domain:04x}:{root:02x}:{slot:02x}.0/{address}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modalias_has_the_kernels_form() {
        let p4 = Pci {
            vendor: NVIDIA,
            device: 0x1bb3,
            subsystem_vendor: NVIDIA,
            subsystem_device: 0x11d8,
            class: 0x03_0200,
        };
        assert_eq!(
            p4.modalias(),
            "pci:v000010DEd00001BB3sv000010DEsd000011D8bc03sc02i00"
        );
    }

    #[test]
    fn vfs_are_beside_their_pf() {
        let address = |n| vf_address("0000:81:00.0", n).unwrap();
        assert_eq!(
            [address(0), address(4), address(31)],
            ["0000:81:00.4", "0000:81:01.0", "0000:81:04.3"]
        );
        assert_eq!(vf_address("0000:81:00.0", 252), None);
    }

    #[test]
    fn paths_go_through_a_bridge_except_on_the_root_bus() {
        assert_eq!(
            device_path("0000:81:00.0"),
            "devices/pci0000:80/0000:80:01.0/0000:81:00.0"
        );
        assert_eq!(
            device_path("0000:00:02.0"),
            "devices/pci0000:00/0000:00:02.0"
        );
    }
}
