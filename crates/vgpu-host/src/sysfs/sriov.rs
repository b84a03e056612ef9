//! GPUs with SR-IOV: how many virtual functions they have (kernel:
//! Documentation/ABI/testing/sysfs-bus-pci, `sriov_totalvfs` and `sriov_numvfs`).

use super::{attr, pci};
use crate::dir::Dir;
use crate::error::{Result, Warnings, if_present};
use crate::host::Host;
use crate::model::ParentId;

const TOTAL: &str = "sriov_totalvfs";
const NUMBER: &str = "sriov_numvfs";

/// A GPU that can have virtual functions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SriovGpu {
    /// Its address.
    pub gpu: ParentId,
    /// How many functions it can have.
    pub total: u32,
    /// Those that are there, in the order of their numbers.
    pub functions: Vec<ParentId>,
}

/// The GPUs of NVIDIA's driver that can have virtual functions, by address.
///
/// # Errors
/// The driver's devices cannot be listed.
pub fn gpus(host: &Host, warnings: &mut Warnings) -> Result<Vec<SriovGpu>> {
    let Some(mut bound) = if_present(Dir::open(host.nvidia_driver()))? else {
        return Ok(Vec::new());
    };
    let mut gpus = Vec::new();
    for entry in bound.entries()? {
        let name = entry.name.to_str().unwrap_or_default();
        if let Ok(id) = name.parse::<ParentId>()
            && id.is_pci_address()
        {
            match gpu(host, &id) {
                Ok(found) => gpus.extend(found),
                Err(error) => warnings.push(error),
            }
        }
    }
    gpus.sort_by(|a, b| a.gpu.cmp(&b.gpu));
    Ok(gpus)
}

/// The PCI class of displays and 3D controllers.
const DISPLAY: &str = "0x03";

/// Drivers of GPUs, whatever class their devices say that they have.
const GPU_DRIVERS: [&str; 6] = ["nvidia", "nouveau", "nova-core", "i915", "xe", "amdgpu"];

/// What a PCI device is where it is no GPU: "PCI class 0x020000, driver ixgbe". Network cards and
/// disks have virtual functions too.
///
/// # Errors
/// It cannot be read.
pub fn no_gpu(dir: &Dir) -> Result<Option<String>> {
    let Some(class) = if_present(dir.read_text("class"))? else {
        return Ok(None);
    };
    if class.starts_with(DISPLAY) {
        return Ok(None);
    }
    let driver = dir.link_name_if_any("driver")?;
    Ok(match driver {
        Some(driver) if GPU_DRIVERS.contains(&driver.as_str()) => None,
        Some(driver) => Some(format!("PCI class {class}, driver {driver}")),
        None => Some(format!("PCI class {class}")),
    })
}

/// As [`no_gpu`], of the device at an address; `None` also where there is none.
///
/// # Errors
/// It cannot be read.
pub fn no_gpu_at(host: &Host, id: &ParentId) -> Result<Option<String>> {
    let dir = if_present(Dir::open(host.pci_devices().join(id.as_str())))?;
    dir.map_or(Ok(None), |dir| no_gpu(&dir))
}

/// One GPU; `None` where it is not there, is no GPU, or cannot have virtual functions.
///
/// # Errors
/// What is there cannot be read.
pub fn gpu(host: &Host, id: &ParentId) -> Result<Option<SriovGpu>> {
    let Some(dir) = if_present(Dir::open(host.pci_devices().join(id.as_str())))? else {
        return Ok(None);
    };
    match if_present(dir.read_number(TOTAL, "number of functions"))? {
        None | Some(0) => Ok(None),
        Some(_) if no_gpu(&dir)?.is_some() => Ok(None),
        Some(total) => Ok(Some(SriovGpu {
            gpu: id.clone(),
            total,
            functions: pci::virtual_functions(dir)?,
        })),
    }
}

/// How many functions the GPU is to have now. While they are being switched the kernel answers only
/// afterwards (it holds the device's lock), so functions that are listed later are all of them.
///
/// # Errors
/// It cannot be read.
pub fn number(host: &Host, gpu: &ParentId) -> Result<usize> {
    let dir = Dir::open(host.pci_devices().join(gpu.as_str()))?;
    dir.read_number(NUMBER, "number of functions")
}

/// Asks the kernel for that many functions, 0 for none: for drivers without a program for it.
///
/// # Errors
/// What the kernel answered; NVIDIA's own driver refuses what does not come from its program.
pub fn write_number(host: &Host, gpu: &ParentId, number: u32) -> Result<()> {
    let dir = Dir::open(host.pci_devices().join(gpu.as_str()))?;
    let what = format!("cannot change the number of virtual functions of {gpu}");
    attr::write_value(&dir, NUMBER, &number.to_string(), &what)
}
