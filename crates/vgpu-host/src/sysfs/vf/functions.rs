//! The virtual functions of a host: where they are, and what each holds and lists.

use super::listing::{self, Listed};
use crate::dir::Dir;
use crate::error::{Result, Warnings, if_present, or_warn, warn_once};
use crate::host::Host;
use crate::model::ParentId;
use crate::sysfs::pci;

/// Beneath a VF's directory: what can be created on it now, one line a type.
const CREATABLE: &str = "nvidia/creatable_vgpu_types";
/// The number of the VF's type; 0 for none.
pub const CURRENT: &str = "nvidia/current_vgpu_type";

/// A virtual function and its GPU.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    pub vf: ParentId,
    pub gpu: ParentId,
}

/// A virtual function and the number of its type, 0 for none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Function {
    pub vf: ParentId,
    pub gpu: ParentId,
    pub current: u32,
}

/// The PCI devices, held open: a GPU has many functions, of which few files are read each.
pub struct Bus(Dir);

impl Bus {
    /// # Errors
    /// There is none, as on a host without PCI.
    pub fn open(host: &Host) -> Result<Bus> {
        Dir::open(host.pci_devices()).map(Bus)
    }

    /// The GPU that a device is a virtual function of; `None` where it is none, or not there.
    pub fn gpu_of(&self, vf: &ParentId) -> Result<Option<ParentId>> {
        let link = self.0.link_name_if_any(format!("{vf}/physfn"))?;
        link.map(|gpu| gpu.parse()).transpose()
    }

    /// The function as it is now; `None` where it takes no type, as a VF that is an mdev parent.
    pub fn function(&self, vf: ParentId, gpu: ParentId) -> Result<Option<Function>> {
        let current = if_present(number_in(&self.0, &format!("{vf}/{CURRENT}")))?;
        Ok(current.map(|current| Function { vf, gpu, current }))
    }

    /// Whether a GPU has a function that takes types; none that cannot be read counts.
    pub fn has_functions(&self, gpu: &ParentId) -> Result<bool> {
        let Some(dir) = if_present(self.0.open_dir(gpu.as_str()))? else {
            return Ok(false);
        };
        let functions = pci::virtual_functions(dir)?;
        let takes_types = |vf| matches!(self.function(vf, gpu.clone()), Ok(Some(_)));
        Ok(functions.into_iter().any(takes_types))
    }

    /// Where `on` stands for: itself, or the functions of the GPU.
    pub fn places_on(&self, on: &ParentId) -> Result<Vec<Place>> {
        if let Some(gpu) = self.gpu_of(on)? {
            let vf = on.clone();
            return Ok(vec![Place { vf, gpu }]);
        }
        let functions = pci::virtual_functions(self.0.open_dir(on.as_str())?)?;
        let place = |vf| Place {
            vf,
            gpu: on.clone(),
        };
        Ok(functions.into_iter().map(place).collect())
    }

    /// What a function that holds no type can take now.
    pub fn listed_on(&self, vf: &ParentId) -> Result<Vec<Listed>> {
        let path = format!("{vf}/{CREATABLE}");
        let text = self.0.read_text(&path)?;
        listing::parse(&text).map_err(|error| error.at(self.0.join(&path)))
    }
}

/// The functions of all GPUs, by GPU and address, each by `read`. Those bound to another driver take no type.
///
/// # Errors
/// The driver's devices cannot be listed. One that cannot be read is a warning.
pub fn all(
    host: &Host,
    read: impl Fn(&Bus, &Place) -> Result<Option<Function>>,
    warnings: &mut Warnings,
) -> Result<Vec<Function>> {
    let Some(mut bound) = if_present(Dir::open(host.nvidia_driver()))? else {
        return Ok(Vec::new());
    };
    let bus = Bus::open(host)?;
    let mut functions = Vec::new();
    for entry in bound.entries()? {
        let Some(name) = entry.name.to_str().filter(|name| name.contains(':')) else {
            continue;
        };
        let vf: ParentId = name.parse()?;
        let Some(gpu) = or_warn(bus.gpu_of(&vf), warnings).flatten() else {
            continue;
        };
        match read(&bus, &Place { vf, gpu }) {
            Ok(function) => functions.extend(function),
            Err(error) => warn_once(warnings, error),
        }
    }
    functions.sort_by(|a, b| (&a.gpu, &a.vf).cmp(&(&b.gpu, &b.vf)));
    Ok(functions)
}

/// The number of a function's type, by its own directory.
pub fn current_type(vf: &Dir) -> Result<u32> {
    number_in(vf, CURRENT)
}

fn number_in(dir: &Dir, path: &str) -> Result<u32> {
    dir.read_number(path, "vGPU type number")
}
