//! What is read from a host, once, before anything is judged.

pub mod driver;
pub mod kernel;
pub mod kinds;
mod look;
pub mod pci;
mod processes;
pub mod units;

use crate::error::Result;
use crate::host::Host;
use crate::model::{Parent, VgpuType};
use crate::nvidia::standing_with;
use crate::store::Store;
use crate::sysfs::Kernel;

use super::unlock::is_unlocked;
use driver::Driver;
use kernel::{Distro, Modules, Release};
use kinds::Way;
pub use look::Look;
use pci::Gpu;
use processes::Processes;
use units::Unit;

/// A host as the checks see it.
pub struct Facts<'h> {
    /// For what only one check reads.
    pub look: Look<'h>,
    /// GPUs and their virtual functions.
    pub gpus: Result<Vec<Gpu>>,
    /// The parents, of all frameworks.
    pub parents: Result<Vec<Parent>>,
    /// Whose tools this host has.
    pub distro: Distro,
    /// The distribution's name for people.
    pub system: Option<String>,
    /// The running kernel.
    pub release: Option<Release>,
    /// Its modules.
    pub modules: Result<Modules>,
    /// Its command line.
    pub command_line: Option<String>,
    /// NVIDIA's driver.
    pub driver: Driver,
    /// nvidia-vgpud.service.
    pub vgpud: Unit,
    /// nvidia-vgpu-mgr.service.
    pub manager: Unit,
    /// The daemons that run.
    pub processes: Processes,
    /// How many definitions are to be started at boot.
    pub auto_definitions: usize,
}

impl<'h> Facts<'h> {
    /// Reads a host. What cannot be read is kept as such.
    pub fn read(host: &'h Host) -> Facts<'h> {
        let look = Look { host };
        let release = look.text(&host.kernel_release()).ok().flatten();
        let release = release.as_deref().and_then(Release::parse);
        let (distro, system) = kernel::distro(look);
        let vgpud = Unit::read(look, "nvidia-vgpud.service");
        let manager = Unit::read(look, "nvidia-vgpu-mgr.service");
        let is_wired = is_unlocked(&vgpud) || is_unlocked(&manager);
        let mut gpus = pci::gpus(look);
        if let Ok(gpus) = &mut gpus {
            judge(host, gpus, is_wired);
        }
        Facts {
            look,
            gpus,
            parents: Kernel::of(host).parents(&mut Vec::new()),
            distro,
            system,
            modules: Modules::read(look, release.as_ref()),
            release,
            command_line: look.text(&host.command_line()).ok().flatten(),
            driver: Driver::read(look),
            vgpud,
            manager,
            processes: Processes::read(look),
            auto_definitions: auto_definitions(host),
        }
    }

    /// Devices of another vendor are split here, and nothing was ever done to split NVIDIA's: a
    /// laptop with GVT-g whose second GPU is left alone.
    pub fn is_elsewhere(&self) -> bool {
        let is_nvidias = |parent: &Parent| {
            let mut gpus = self.gpus.iter().flatten();
            gpus.any(|gpu| gpu.address == parent.id.as_str() && gpu.vendor == pci::NVIDIA)
        };
        !self.has_manager()
            && self
                .parents
                .iter()
                .flatten()
                .any(|parent| !is_nvidias(parent))
    }

    /// NVIDIA's cards that this host is about, without their virtual functions.
    pub fn cards(&self) -> Vec<&Gpu> {
        if self.is_elsewhere() {
            return Vec::new();
        }
        let all = self.gpus.iter().flatten();
        all.filter(|gpu| gpu.is_nvidia_card()).collect()
    }

    /// The virtual functions of a card.
    pub fn functions(&self, card: &Gpu) -> Vec<&Gpu> {
        let all = self.gpus.iter().flatten();
        all.filter(|gpu| gpu.physical.as_deref() == Some(card.address.as_str()))
            .collect()
    }

    /// The cards that can be split in some way.
    pub fn candidates(&self) -> Vec<&Gpu> {
        let mut cards = self.cards();
        cards.retain(|card| {
            matches!(
                kinds::way(card),
                Way::Card | Way::Functions | Way::Unlock(_)
            )
        });
        cards
    }

    /// The ids of all types that the parents offer, as far as they can be read.
    pub fn type_ids(&self) -> Vec<String> {
        let kernel = Kernel::of(self.look.host);
        let types = self.parents.iter().flatten().filter_map(|parent| {
            let framework = kernel.serving(parent);
            framework.types(&parent.id, &mut Vec::new()).ok()
        });
        types
            .flatten()
            .map(|vgpu_type| vgpu_type.id.to_string())
            .collect()
    }

    /// The cards that need vgpu_unlock.
    pub fn unlocked(&self) -> Vec<&Gpu> {
        let mut cards = self.cards();
        cards.retain(|card| matches!(kinds::way(card), Way::Unlock(_)));
        cards
    }

    /// Whether anything of the vGPU manager (vgpu-kvm) is installed.
    pub fn has_manager(&self) -> bool {
        self.driver.manager.is_some()
            || !self.driver.programs.is_empty()
            || self.vgpud.file.is_some()
            || self.manager.file.is_some()
    }

    /// Whether there is anything here that could be split, or was meant to be.
    pub fn is_for_vgpus(&self) -> bool {
        !self.cards().is_empty()
            || self
                .parents
                .as_ref()
                .is_ok_and(|parents| !parents.is_empty())
            || self.auto_definitions > 0
            || self.has_manager()
    }

    /// The processor says that it is one of a virtual machine.
    pub fn is_virtual_machine(&self) -> bool {
        let text = self.look.first_lines(&self.look.host.cpu_info());
        let text = text.ok().flatten().unwrap_or_default();
        let flags = text.lines().find(|line| line.starts_with("flags"));
        flags.is_some_and(|line| line.split_whitespace().any(|flag| flag == "hypervisor"))
    }
}

/// Judges those that offer types by what they offer.
fn judge(host: &Host, gpus: &mut [Gpu], is_wired: bool) {
    let kernel = Kernel::of(host);
    let parents = kernel.parents(&mut Vec::new()).unwrap_or_default();
    for gpu in gpus.iter_mut().filter(|gpu| gpu.is_nvidia_card()) {
        let is_on_it = |parent: &&Parent| parent.gpu().as_str() == gpu.address;
        // What one function offers, all do.
        let Some(parent) = parents.iter().find(is_on_it) else {
            continue;
        };
        let types = kernel.serving(parent).types(&parent.id, &mut Vec::new());
        let names = types.iter().flatten().map(VgpuType::name_parts);
        let numbers = (gpu.vendor, gpu.device);
        gpu.standing = standing_with(numbers, names, || is_wired);
    }
}

fn auto_definitions(host: &Host) -> usize {
    let all = Store::of(host).all(&mut Vec::new()).unwrap_or_default();
    let auto = all
        .iter()
        .filter(|definition| definition.start == crate::model::StartMode::Auto);
    auto.count()
}
