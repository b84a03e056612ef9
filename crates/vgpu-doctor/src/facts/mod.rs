//! What is read from a host, once, before anything is judged.

pub mod boot;
pub mod driver;
pub mod kernel;
pub mod kinds;
mod look;
mod machine;
mod outlook;
pub mod pci;
mod processes;
mod saved;
pub mod settings;
pub mod units;

use std::collections::BTreeMap;
use std::path::PathBuf;

use nvidia_vgpu::standing_with;
use vgpu_host::error::Result;
use vgpu_host::host::Host;
use vgpu_host::model::{Definition, Parent, ParentId, VgpuType};
use vgpu_host::store::{Location, Store};
use vgpu_host::sysfs::Kernel;

use super::unlock::is_unlocked;
use boot::Boot;
use driver::Driver;
use kernel::{Distro, Modules, OnDisk, Release};
use kinds::Way;
pub use look::{Look, Read};
use machine::Machine;
pub use outlook::Outlook;
use pci::Gpu;
use processes::Process;
use saved::Saved;
use settings::Settings;
use units::Unit;

/// A host as the checks see it.
pub struct Facts<'h> {
    /// The host, for its paths: no check reads what is there.
    pub host: &'h Host,
    /// The name of the program that steps call.
    pub program: &'static str,
    /// What that program expects of its devices; nothing until it says so.
    pub outlook: Outlook,
    /// GPUs and their virtual functions.
    pub gpus: Read<Vec<Gpu>>,
    /// The parents of all frameworks, and what each offers.
    pub parents: Result<Vec<(Parent, Result<Vec<VgpuType>>)>>,
    /// Processor and IOMMU.
    pub machine: Machine,
    /// Whose tools this host has.
    pub distro: Distro,
    /// The distribution's name for people.
    pub system: Option<String>,
    /// The running kernel.
    pub release: Option<Release>,
    /// Its modules.
    pub modules: Read<Modules>,
    /// What is on disk for it, where a driver's source is there and no module of it is loaded.
    pub on_disk: Option<OnDisk>,
    /// Its command line.
    pub command_line: Read<String>,
    /// Lines that have vfio-pci take devices, where it has taken GPUs.
    pub vfio_options: Vec<(PathBuf, String)>,
    /// NVIDIA's driver.
    pub driver: Driver,
    /// nvidia-vgpud.service.
    pub vgpud: Unit,
    /// nvidia-vgpu-mgr.service.
    pub manager: Unit,
    /// The managers that run; `None` where the processes of others cannot be seen.
    pub managers: Option<Vec<Process>>,
    /// Programs that others look for by name, where they are there.
    pub programs: BTreeMap<&'static str, PathBuf>,
    /// What brings devices back.
    pub boot: Boot,
    /// What is defined and set.
    pub saved: Saved,
    /// The unlock's settings.
    pub settings: Settings,
}

/// Programs that libvirt, and udev for mdevctl, look for by name.
const PROGRAMS: [&str; 3] = ["libvirtd", "virtnodedevd", "mdevctl"];

impl<'h> Facts<'h> {
    /// Reads a host. What cannot be read is kept as such.
    pub fn read(kernel: &Kernel<'h>, store: &Store<'_>, program: &'static str) -> Facts<'h> {
        let host = kernel.host();
        let look = &Look::at(host);
        let release = look.text(&host.kernel_release()).ok().flatten();
        let release = release.as_deref().and_then(Release::parse);
        let (distro, system) = kernel::distro(look);
        let vgpud = Unit::read(look, "nvidia-vgpud.service");
        let manager = Unit::read(look, "nvidia-vgpu-mgr.service");
        let is_wired = is_unlocked(&vgpud) || is_unlocked(&manager);
        let parents = kernel.parents(&mut Vec::new());
        let parents = parents.map(|all| kernel.types_of_all(all, &mut Vec::new()));
        let mut gpus = pci::gpus(look);
        for gpu in gpus.iter_mut().flatten().flatten() {
            judge(gpu, parents.as_deref().unwrap_or_default(), is_wired);
        }
        let driver = Driver::read(look);
        let is_built = driver.sources.is_empty() || driver.module.is_some();
        let on_disk = release.as_ref().filter(|_| !is_built);
        let is_given_away = gpus.iter().flatten().flatten().any(Gpu::is_given_away);
        let programs = PROGRAMS.into_iter().filter_map(|name| {
            let dirs = host.program_dirs().map(|dir| dir.join(name));
            Some((name, look.first(dirs)?))
        });
        let facts = Facts {
            vfio_options: match is_given_away {
                true => vfio_options(look),
                false => Vec::new(),
            },
            on_disk: on_disk.and_then(|release| OnDisk::read(look, release)),
            modules: Modules::read(look, release.as_ref()),
            command_line: look.text(&host.command_line()),
            machine: Machine::read(look),
            managers: None,
            programs: programs.collect(),
            boot: Boot::read(look, program),
            saved: Saved::read(look, kernel, store),
            settings: Settings::read(look, &manager),
            host,
            program,
            outlook: Outlook::default(),
            gpus,
            parents,
            distro,
            system,
            release,
            driver,
            vgpud,
            manager,
        };
        Facts {
            managers: processes::managers(look, facts.has_manager()),
            ..facts
        }
    }

    /// GPUs and virtual functions, as far as they can be read.
    pub fn gpus(&self) -> impl Iterator<Item = &Gpu> {
        self.gpus.iter().flatten().flatten()
    }

    /// The GPU of that address.
    pub fn gpu(&self, id: &ParentId) -> Option<&Gpu> {
        self.gpus().find(|gpu| gpu.address == id.as_str())
    }

    /// The parents, as far as they can be read.
    pub fn parents(&self) -> impl Iterator<Item = &Parent> {
        self.parents.iter().flatten().map(|(parent, _)| parent)
    }

    /// The parent is a GPU of NVIDIA's, or one of its virtual functions.
    pub fn is_nvidias(&self, parent: &Parent) -> bool {
        self.gpu(&parent.id)
            .is_some_and(|gpu| gpu.vendor == pci::NVIDIA)
    }

    /// Devices of another vendor are split here, and nothing was ever done to split NVIDIA's: a
    /// laptop with GVT-g whose second GPU is left alone.
    pub fn is_elsewhere(&self) -> bool {
        !self.has_manager() && self.parents().any(|parent| !self.is_nvidias(parent))
    }

    /// NVIDIA's cards that this host is about, without their virtual functions.
    pub fn cards(&self) -> Vec<&Gpu> {
        match self.is_elsewhere() {
            true => Vec::new(),
            false => self.gpus().filter(|gpu| gpu.is_nvidia_card()).collect(),
        }
    }

    /// The virtual functions of a card.
    pub fn functions(&self, card: &Gpu) -> Vec<&Gpu> {
        let is_its = |gpu: &&Gpu| gpu.physical.as_deref() == Some(card.address.as_str());
        self.gpus().filter(is_its).collect()
    }

    /// The GPU that a virtual function is one of; anything else is its own.
    pub fn gpu_of(&self, id: &ParentId) -> ParentId {
        let physical = self
            .gpu(id)
            .and_then(|gpu| gpu.physical.as_ref()?.parse().ok());
        let of_parent = || self.parents().find(|parent| parent.id == *id)?.gpu.clone();
        physical.or_else(of_parent).unwrap_or_else(|| id.clone())
    }

    /// The cards that can be split in some way.
    pub fn candidates(&self) -> Vec<&Gpu> {
        let is_one = |way: Way| matches!(way, Way::Card | Way::Functions | Way::Unlock(_));
        let mut cards = self.cards();
        cards.retain(|card| is_one(kinds::way(card)));
        cards
    }

    /// The cards that need vgpu_unlock.
    pub fn unlocked(&self) -> Vec<&Gpu> {
        let mut cards = self.cards();
        cards.retain(|card| matches!(kinds::way(card), Way::Unlock(_)));
        cards
    }

    /// The cards that NVIDIA's driver serves with a vGPU manager beside it.
    pub fn served(&self) -> Vec<&Gpu> {
        let mut cards = self.candidates();
        cards.retain(|card| card.driver.as_deref() == Some("nvidia") && self.has_manager());
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
            || self.parents().next().is_some()
            || self.saved.at_boot() > 0
            || self.has_manager()
    }

    /// The words on the kernel's command line.
    pub fn arguments(&self) -> Vec<&str> {
        let line = self.command_line.iter().flatten();
        line.flat_map(|line| line.split_whitespace()).collect()
    }

    /// The daemons' units: what makes the types, and what stays.
    pub fn units(&self) -> [&Unit; 2] {
        [&self.vgpud, &self.manager]
    }

    /// Where a definition is.
    pub fn path(&self, definition: &Definition) -> PathBuf {
        Store::of(self.host).path(&Location::of(definition))
    }

    /// Where a GPU's settings are, there or not.
    pub fn settings_path(&self, gpu: &ParentId) -> PathBuf {
        Store::of(self.host).settings_path(gpu)
    }
}

/// Judges a card that offers types by what it offers: what one function offers, all do.
fn judge(gpu: &mut Gpu, parents: &[(Parent, Result<Vec<VgpuType>>)], is_wired: bool) {
    let mut all = parents.iter();
    let on_it = all.find(|(parent, _)| parent.gpu().as_str() == gpu.address);
    if let (Some((_, types)), true) = (on_it, gpu.is_nvidia_card()) {
        let names = types.iter().flatten().map(VgpuType::name_parts);
        gpu.standing = standing_with((gpu.vendor, gpu.device), names, || is_wired);
    }
}

/// Lines of modprobe's settings that name devices for vfio-pci.
fn vfio_options(look: &Look<'_>) -> Vec<(PathBuf, String)> {
    let dirs = look.host.modprobe_dirs().into_iter();
    let files = dirs.flat_map(|dir| {
        let names = look.names_or_none(&dir).into_iter();
        names.map(move |name| dir.join(name))
    });
    let option = |path: PathBuf| {
        let text = look.text(&path).ok().flatten()?;
        let is_one = |line: &&str| {
            (line.starts_with("options vfio-pci") || line.starts_with("options vfio_pci"))
                && line.contains("ids=")
        };
        let line = text.lines().map(str::trim).find(is_one)?.to_owned();
        Some((path, line))
    };
    files.filter_map(option).collect()
}
