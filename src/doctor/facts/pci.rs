//! Graphics cards, as they stand on the PCI bus.

use std::path::PathBuf;

use super::Look;
use crate::error::Result;
use crate::nvidia::{Standing, standing};

pub use crate::nvidia::NVIDIA;
/// PCI's vendor number of AMD.
pub const AMD: u16 = 0x1002;
/// PCI's vendor number of Intel.
pub const INTEL: u16 = 0x8086;

/// A display or 3D controller, or a processing accelerator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gpu {
    /// "0000:81:00.0".
    pub address: String,
    /// Its directory in sysfs.
    pub path: PathBuf,
    /// PCI vendor.
    pub vendor: u16,
    /// PCI device.
    pub device: u16,
    /// PCI subsystem device, which tells boards with one chip apart.
    pub subsystem: u16,
    /// The driver that serves it.
    pub driver: Option<String>,
    /// The physical function, where this is a virtual one.
    pub physical: Option<String>,
    /// Virtual functions that it could have; `None` where it has no SR-IOV.
    pub functions_possible: Option<u32>,
    /// Virtual functions that are on.
    pub functions_on: u32,
    /// What it can be split into, and how.
    pub offer: Offer,
    /// What an NVIDIA card is to the vGPU host driver; of a card that offers types, as that tells.
    pub standing: Option<Standing>,
}

/// What the driver offers on a GPU or virtual function now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Offer {
    /// Nothing.
    Nothing,
    /// Mediated devices, and so many types of them.
    Mdev(usize),
    /// Types set on the function itself (vendor-specific VFIO).
    VendorVfio,
}

impl Gpu {
    /// "10de:1bb3".
    pub fn ids(&self) -> String {
        format!("{:04x}:{:04x}", self.vendor, self.device)
    }

    /// NVIDIA's, and not a virtual function.
    pub fn is_nvidia_card(&self) -> bool {
        self.vendor == NVIDIA && self.physical.is_none()
    }
}

/// All GPUs and their virtual functions, by address.
///
/// # Errors
/// There is no list of PCI devices to be read.
pub fn gpus(look: Look<'_>) -> Result<Vec<Gpu>> {
    let dir = look.host.pci_devices();
    let addresses = look.names(&dir)?.unwrap_or_default();
    Ok(addresses
        .into_iter()
        .filter_map(|address| gpu(look, address))
        .collect())
}

fn gpu(look: Look<'_>, address: String) -> Option<Gpu> {
    let path = look.host.pci_devices().join(&address);
    let number = |file: &str| {
        let text = look.text(&path.join(file)).ok()??;
        u32::from_str_radix(text.trim().trim_start_matches("0x"), 16).ok()
    };
    let short = |file: &str| number(file).and_then(|value| u16::try_from(value).ok());
    let count =
        |file: &str| -> Option<u32> { look.text(&path.join(file)).ok()??.trim().parse().ok() };
    // 03xxxx is a display controller, 12xxxx a processing accelerator (AMD Instinct).
    matches!(number("class")? >> 16, 0x03 | 0x12).then_some(())?;
    let (vendor, device) = (short("vendor")?, short("device")?);
    Some(Gpu {
        standing: standing(vendor, device),
        vendor,
        device,
        subsystem: short("subsystem_device").unwrap_or_default(),
        driver: look.link_name(&path.join("driver")),
        physical: look.link_name(&path.join("physfn")),
        functions_possible: count("sriov_totalvfs").filter(|possible| *possible > 0),
        functions_on: count("sriov_numvfs").unwrap_or_default(),
        offer: offer(look, &path),
        address,
        path,
    })
}

fn offer(look: Look<'_>, path: &std::path::Path) -> Offer {
    if look.is_there(&path.join("nvidia/creatable_vgpu_types")) {
        return Offer::VendorVfio;
    }
    match look.names(&path.join("mdev_supported_types")) {
        Ok(Some(types)) => Offer::Mdev(types.len()),
        _ => Offer::Nothing,
    }
}
