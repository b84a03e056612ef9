//! Graphics cards, as they stand on the PCI bus.

use std::path::PathBuf;

use super::{Look, Read};
use nvidia_vgpu::{Standing, standing};
use vgpu_host::dir::Dir;

pub use nvidia_vgpu::NVIDIA;
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

    /// vfio-pci has it, for a virtual machine.
    pub fn is_given_away(&self) -> bool {
        self.driver.as_deref() == Some("vfio-pci")
    }

    /// It offers types of mediated devices.
    pub fn has_types(&self) -> bool {
        matches!(self.offer, Offer::Mdev(1..))
    }

    /// Its name and where it is, for people.
    pub fn who(&self) -> String {
        format!("{} at {}", super::kinds::title(self), self.address)
    }
}

/// All GPUs and their virtual functions, by address; `None` without a list of PCI devices.
pub fn gpus(look: &Look<'_>) -> Read<Vec<Gpu>> {
    let addresses = look.names(&look.host.pci_devices())?;
    let gpus = |all: Vec<String>| all.into_iter().filter_map(|one| gpu(look, one)).collect();
    Ok(addresses.map(gpus))
}

fn gpu(look: &Look<'_>, address: String) -> Option<Gpu> {
    let path = look.host.pci_devices().join(&address);
    let dir = look.dir(&path).ok()??;
    let number = |file: &str| {
        let text = dir.read_text(file).ok()?;
        u32::from_str_radix(text.trim().trim_start_matches("0x"), 16).ok()
    };
    let short = |file: &str| number(file).and_then(|value| u16::try_from(value).ok());
    let count = |file: &str| -> Option<u32> { dir.read_text(file).ok()?.trim().parse().ok() };
    // 03xxxx is a display controller, 12xxxx a processing accelerator (AMD Instinct).
    matches!(number("class")? >> 16, 0x03 | 0x12).then_some(())?;
    let (vendor, device) = (short("vendor")?, short("device")?);
    let functions_possible = count("sriov_totalvfs").filter(|possible| *possible > 0);
    let functions_on = functions_possible.and_then(|_| count("sriov_numvfs"));
    Some(Gpu {
        standing: standing(vendor, device),
        vendor,
        device,
        driver: dir.link_name("driver").ok(),
        physical: dir.link_name("physfn").ok(),
        functions_possible,
        functions_on: functions_on.unwrap_or_default(),
        offer: offer(&dir),
        address,
        path,
    })
}

fn offer(dir: &Dir) -> Offer {
    if dir.join("nvidia/creatable_vgpu_types").exists() {
        return Offer::VendorVfio;
    }
    let types = dir.open_dir("mdev_supported_types");
    match types.and_then(|mut types| types.entries()) {
        Ok(types) => Offer::Mdev(types.len()),
        _ => Offer::Nothing,
    }
}
