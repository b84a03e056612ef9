//! What is kept for the next boot, and what the kernel has of it now.

use std::collections::BTreeMap;

use super::Look;
use vgpu_host::error::{Result, Warnings};
use vgpu_host::model::{Definition, Device, ParentId, StartMode};
use vgpu_host::store::{GpuSettings, Store};
use vgpu_host::sysfs::{Kernel, SriovGpu};

/// Definitions and settings.
pub struct Saved {
    /// The definitions, and those that cannot be read.
    pub definitions: Result<(Vec<Definition>, Warnings)>,
    /// The settings of GPUs, and those that cannot be read.
    pub settings: Result<(Vec<(ParentId, GpuSettings)>, Warnings)>,
    /// GPUs that have settings or definitions, as far as they can have virtual functions.
    pub sriov: BTreeMap<ParentId, Result<Option<SriovGpu>>>,
    /// The devices that are active.
    pub devices: Vec<Device>,
    /// Configurations of Proxmox VE's virtual machines, by number.
    pub vms: Vec<(u64, String)>,
}

impl Saved {
    /// Reads all of it.
    pub fn read(look: &Look<'_>, kernel: &Kernel<'_>, store: &Store<'_>) -> Saved {
        let (mut unread, mut unset) = (Vec::new(), Vec::new());
        let definitions = store.all(&mut unread).map(|all| (all, unread));
        let settings = store.gpu_settings(&mut unset).map(|all| (all, unset));
        let places = definitions.iter().flat_map(|(all, _)| all);
        let homes = places.map(|definition| kernel.gpu_of(&definition.parent));
        let set = settings.iter().flat_map(|(all, _)| all);
        let gpus = set.map(|(gpu, _)| gpu.clone()).chain(homes);
        let sriov = gpus.map(|gpu| {
            let found = kernel.sriov_gpu(&gpu);
            (gpu, found)
        });
        let vms = look.names_or_none(&look.host.proxmox_vms()).into_iter();
        let vms = vms.filter_map(|name| {
            let vmid = name.strip_suffix(".conf")?.parse().ok()?;
            let text = look.text(&look.host.proxmox_vm(Some(vmid))).ok()??;
            Some((vmid, text))
        });
        Saved {
            sriov: sriov.collect(),
            vms: vms.collect(),
            devices: kernel.devices(&mut Vec::new()).unwrap_or_default(),
            definitions,
            settings,
        }
    }

    /// The definitions that can be read.
    pub fn all(&self) -> &[Definition] {
        self.definitions.as_ref().map_or(&[], |(all, _)| all)
    }

    /// How many of them are to be started at boot.
    pub fn at_boot(&self) -> usize {
        let auto = |definition: &&Definition| definition.start == StartMode::Auto;
        self.all().iter().filter(auto).count()
    }

    /// A GPU with virtual functions, as far as that could be read.
    pub fn sriov_gpu(&self, gpu: &ParentId) -> Option<&SriovGpu> {
        self.sriov.get(gpu)?.as_ref().ok()?.as_ref()
    }
}
