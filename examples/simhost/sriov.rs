//! GPUs with virtual functions: enabling and disabling VFs, and `sriov-manage`.

use nix::errno::Errno;

use crate::ap::unsigned;
use crate::build;
use crate::host::Host;
use crate::hostfile::{ParentSpec, VfFramework};
use crate::pci;
use crate::state::Stage;
use crate::vf::VendorVf;

/// IOMMU groups of VFs start here, far above those of parents and mediated devices.
const FIRST_GROUP: u32 = 1000;
/// Number of groups reserved for the VFs of one GPU.
const GROUPS_OF_A_GPU: u32 = 1000;

/// How `sriov-manage` misbehaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SriovManage {
    /// Not at all.
    #[default]
    Works,
    /// It reports success but creates no VFs.
    NoVfs,
    /// It cannot unbind the GPU because of an NVML client.
    UnbindLock,
    /// It loses a race with the driver and leaves the GPU without one: this many times, or always.
    Race(Option<u32>),
}

impl SriovManage {
    /// The name in `ctl`.
    pub fn by_name(words: &[&str]) -> Result<Self, String> {
        match words {
            ["works"] => Ok(Self::Works),
            ["no-vfs"] => Ok(Self::NoVfs),
            ["unbindLock"] => Ok(Self::UnbindLock),
            ["race"] => Ok(Self::Race(None)),
            ["race", times] => match times.parse() {
                Ok(times) if times > 0 => Ok(Self::Race(Some(times))),
                _ => Err(format!("\"{times}\" is not a count from 1")),
            },
            _ => {
                let said = words.join(" ");
                Err(format!(
                    "\"{said}\" is not works, no-vfs, unbindLock or race [N]"
                ))
            }
        }
    }
}

impl Host {
    /// A write to the PF's `sriov_numvfs`.
    pub fn write_numvfs(&mut self, pf: &str, data: &[u8]) -> Result<(), Errno> {
        let spec = self.parent(pf)?;
        let sriov = spec.sriov.as_ref().ok_or(Errno::ENODEV)?;
        let wanted = unsigned(data).map_err(|_| Errno::EINVAL)?;
        let wanted = u16::try_from(wanted).map_err(|_| Errno::EINVAL)?;
        if wanted > sriov.total {
            return Err(Errno::ERANGE);
        }
        let now = self.vfs_of(pf).count();
        if usize::from(wanted) == now {
            return Ok(());
        }
        // The kernel's error if no driver is bound or, as for NVIDIA's, the driver does not support this.
        if !self.attached.contains(pf) || !sriov.raw_numvfs {
            return Err(Errno::ENOENT);
        }
        if now > 0 && wanted > 0 {
            return Err(Errno::EBUSY);
        }
        self.set_vfs(&spec, wanted)
    }

    /// Sets the number of enabled VFs of a PF.
    pub fn switch_vfs(&mut self, pf: &str, count: u16) -> Result<(), String> {
        let spec = self.parent(pf).map_err(|_| format!("there is no {pf}"))?;
        let total = spec.sriov.as_ref().map_or(0, |sriov| sriov.total);
        if count > total {
            return Err(format!("{pf} can have {total} VFs"));
        }
        let switched = self.set_vfs(&spec, 0);
        let switched = switched.and_then(|()| self.set_vfs(&spec, count));
        switched.map_err(|errno| format!("{pf}: {}", errno.desc()))
    }

    /// The output of `sriov-manage -e|-d PF|ALL`; an error is its output on failure.
    pub fn sriov_manage(&mut self, switch: &str, which: &str) -> Result<String, String> {
        let usage = "Usage: sriov-manage <-e|-d> <ssss:bb:dd.f|ALL>";
        if !matches!(switch, "-e" | "-d") {
            return Err(usage.to_owned());
        }
        let gpus: Vec<ParentSpec> = self
            .spec
            .parents
            .iter()
            .filter(|p| p.sriov.is_some() && self.attached.contains(&p.id))
            // NVIDIA's script only considers NVIDIA devices.
            .filter(|p| p.pci.is_some_and(|pci| pci.vendor == pci::NVIDIA))
            .filter(|p| which == "ALL" || p.id == which)
            .cloned()
            .collect();
        if gpus.is_empty() && which != "ALL" {
            return Err(format!("{which}: no GPU with virtual functions"));
        }
        let mut said = String::new();
        for gpu in gpus {
            self.counters.sriov_calls += 1;
            match self.faults.sriov_manage {
                SriovManage::UnbindLock => {
                    return Err(format!("Cannot obtain unbindLock for {}", gpu.id));
                }
                SriovManage::NoVfs => continue,
                SriovManage::Race(left) => {
                    said.push_str(&self.lose_race(&gpu.id, left)?);
                    continue;
                }
                SriovManage::Works => {}
            }
            let (verb, wanted) = match (switch, &gpu.sriov) {
                ("-e", Some(sriov)) => ("Enabling", sriov.total),
                _ => ("Disabling", 0),
            };
            said.push_str(&format!("{verb} VFs on {}\n", gpu.id));
            if self.vfs_of(&gpu.id).count() != usize::from(wanted) {
                self.set_vfs(&gpu, 0)
                    .and_then(|()| self.set_vfs(&gpu, wanted))
                    .map_err(|errno| format!("{}: {}", gpu.id, errno.desc()))?;
            }
        }
        Ok(said)
    }

    /// The output of `nvidia-smi vgpu -shm 0|1 -i GPU`, which sets whether the GPU allows several sizes.
    pub fn mix_sizes(&mut self, mode: &str, gpu: &str) -> Result<String, String> {
        let is_on = match mode {
            "0" => false,
            "1" => true,
            _ => return Err(format!("Invalid heterogeneous mode: {mode}")),
        };
        if self.vendor_vfs.is_empty() || self.vfs_of(gpu).next().is_none() {
            return Err(format!("{gpu}: not supported"));
        }
        if !self.weights_on(gpu).is_empty() {
            return Err(format!("{gpu}: in use by vGPUs"));
        }
        match is_on {
            true => self.mixed.insert(gpu.to_owned()),
            false => self.mixed.remove(gpu),
        };
        Ok(format!("vGPU heterogeneous mode was set for {gpu}\n"))
    }

    /// The output of `nvidia-smi vgpu set-scheduler-state`, for one GPU.
    pub fn set_scheduler(&mut self, words: &[&str]) -> Result<String, String> {
        let ["-i", gpu, "-p", "1" | "2" | "3", ..] = words else {
            return Err(format!("Invalid arguments: {}", words.join(" ")));
        };
        if self.vendor_vfs.is_empty() || self.vfs_of(gpu).next().is_none() {
            return Ok("No supported devices in vGPU mode\n".to_owned());
        }
        if !self.weights_on(gpu).is_empty() {
            return Err(format!("{gpu}: in use by vGPUs"));
        }
        self.schedulers
            .insert((*gpu).to_owned(), words[2..].join(" "));
        Ok(format!("Set vGPU scheduler state for {gpu}\n"))
    }

    /// The options that set a GPU's scheduler since it booted.
    pub fn scheduler(&self, gpu: &str) -> String {
        self.schedulers.get(gpu).cloned().unwrap_or_default() + "\n"
    }

    /// The part of `nvidia-smi -q -i GPU` about virtualization, in the words of driver 580.
    pub fn query_gpu(&self, gpu: &str) -> Result<String, String> {
        if !self.spec.parents.iter().any(|parent| parent.id == gpu) {
            return Err("No devices were found".to_owned());
        }
        let mode = match (self.vfs_of(gpu).next(), self.mixed.contains(gpu)) {
            (None, _) => "N/A",
            (Some(_), true) => "Enabled",
            (Some(_), false) => "Disabled",
        };
        Ok(format!(
            "    GPU Virtualization Mode\n        Virtualization Mode                            : Host VGPU\n        \
             Host VGPU Mode                                 : SR-IOV\n        \
             vGPU Heterogeneous Mode                        : {mode}\n"
        ))
    }

    /// The framebuffer sizes of all vGPUs on a GPU, including its VFs.
    pub fn weights_on(&self, gpu: &str) -> Vec<u32> {
        let on_it = |id: &str| self.spec_of(id).is_ok_and(|p| p.gpu() == gpu);
        let devices = self.devices.values().filter(|d| on_it(&d.parent));
        let set = self.vendor_vfs.iter().filter(|(id, _)| on_it(id));
        let set = set.filter_map(|(_, vf)| vf.current.as_ref());
        devices
            .map(|d| d.weight)
            .chain(set.map(|c| c.weight))
            .collect()
    }

    /// Whether this VF has a vGPU.
    pub fn has_vgpu(&self, vf: &str) -> bool {
        let set = self.vendor_vfs.get(vf).is_some_and(|v| v.current.is_some());
        set || self.devices_of(vf).next().is_some()
    }

    /// Serial, group and number of what can be opened: a device that stays, a VF's group, a VF with a type.
    pub fn vfio_device(&self, name: &str, is_group: bool) -> Result<(u64, u32, u32), Errno> {
        if let Some(vf) = self.vendor_vfs.get(name) {
            let there = is_group || vf.current.as_ref().is_some_and(|c| !c.setting);
            let numbers = (vf.serial, vf.group, vf.group);
            return there.then_some(numbers).ok_or(Errno::ENODEV);
        }
        let device = self.devices.get(name).ok_or(Errno::ENODEV)?;
        if device.stage == Stage::Removing {
            return Err(Errno::ENODEV);
        }
        Ok((device.serial, device.group, device.vfio))
    }

    /// The enabled VFs of a PF.
    pub fn vfs_of<'a>(&'a self, pf: &'a str) -> impl Iterator<Item = &'a ParentSpec> {
        let mine = move |vf: &&ParentSpec| vf.physfn.as_deref() == Some(pf);
        self.vfs.iter().filter(mine)
    }

    /// Enables this number of VFs, or disables all; fails while one is open.
    pub fn set_vfs(&mut self, pf: &ParentSpec, wanted: u16) -> Result<(), Errno> {
        let old: Vec<ParentSpec> = self.vfs_of(&pf.id).cloned().collect();
        let held = |vf: &ParentSpec| {
            let own = |uuid: &str| self.devices.get(uuid).is_some_and(|d| d.parent == vf.id);
            self.opens.values().any(|o| o.uuid == vf.id || own(&o.uuid))
        };
        if old.iter().any(held) {
            return Err(Errno::EBUSY);
        }
        for vf in old.iter().rev() {
            self.drop_vf(vf);
        }
        self.mixed.remove(&pf.id);
        if let Some(mig) = self.mig.get_mut(&pf.id) {
            mig.instances.clear();
        }
        for n in 0..wanted {
            self.add_vf(pf, n)?;
        }
        Ok(())
    }

    fn add_vf(&mut self, pf: &ParentSpec, n: u16) -> Result<(), Errno> {
        let sriov = pf.sriov.as_ref().ok_or(Errno::ENODEV)?;
        let id = pci::vf_address(&pf.id, n).ok_or(Errno::ENODEV)?;
        let slot = self.spec.parents.iter().position(|p| p.id == pf.id);
        let group = FIRST_GROUP + GROUPS_OF_A_GPU * slot.unwrap_or(0) as u32 + u32::from(n);
        let vf = ParentSpec {
            path: pci::device_path(&id),
            id,
            sriov: None,
            physfn: Some(pf.id.clone()),
            ..pf.clone()
        };
        build::vf(&mut self.sys, pf, &vf, n, group);
        match sriov.framework {
            VfFramework::Mdev => self.attach_spec(&vf),
            VfFramework::Vendor => {
                build::vendor_vf(&mut self.sys, &mut self.dev, &vf, group);
                let state = VendorVf::new(group, self.new_serial());
                self.vendor_vfs.insert(vf.id.clone(), state);
            }
            VfFramework::None => {}
        }
        self.vfs.push(vf);
        Ok(())
    }

    fn drop_vf(&mut self, vf: &ParentSpec) {
        let devices = self.devices.iter().filter(|(_, d)| d.parent == vf.id);
        for uuid in devices.map(|(u, _)| u.clone()).collect::<Vec<_>>() {
            self.drop_device(&uuid);
        }
        if let Some(state) = self.vendor_vfs.remove(&vf.id) {
            build::vendor_vf_gone(&mut self.dev, state.group);
        }
        self.attached.remove(&vf.id);
        let n = self.vfs_of(vf.physfn.as_deref().unwrap_or("")).count();
        self.vfs.retain(|v| v.id != vf.id);
        // In reverse order: the index of the last link is the remaining number.
        build::vf_gone(&mut self.sys, vf, n.saturating_sub(1));
    }
}
