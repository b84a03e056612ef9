//! Virtual functions: switching them on and off, and the types that they take.

use std::time::Instant;

use nix::errno::Errno;

use crate::ap::{Matrix, unsigned};
use crate::build;
use crate::host::Host;
use crate::hostfile::{Framework, ParentSpec};
use crate::pci;
use crate::state::{Device, Stage};
use crate::tree::Attr;

/// The first function's distance from its GPU, as on NVIDIA's cards.
const OFFSET: u8 = 4;

/// IOMMU groups and VFIO numbers of functions begin here, out of the way of mediated devices'.
const FIRST_GROUP: u32 = 500;

/// The header of `creatable_vgpu_types`.
const HEADER: &str = "ID    : vGPU Name\n";

impl Host {
    /// `sriov_numvfs` of a GPU.
    pub fn number_of_vfs(&self, gpu: &str) -> usize {
        self.functions_of(gpu).count()
    }

    /// The functions of a GPU that are on.
    pub fn functions_of<'a>(&'a self, gpu: &'a str) -> impl Iterator<Item = &'a ParentSpec> {
        let parents = self.spec.parents.iter();
        parents.filter(move |p| p.gpu.as_deref() == Some(gpu))
    }

    /// A write to `sriov_numvfs`: functions come or go, as the PCI core does it.
    pub fn write_numvfs(&mut self, gpu: &str, data: &[u8]) -> Result<(), Errno> {
        let wanted = unsigned(data).map_err(|_| Errno::EINVAL)?;
        self.set_vfs(gpu, u8::try_from(wanted).map_err(|_| Errno::ERANGE)?)
    }

    /// Switches a GPU's functions on, or off.
    pub fn set_vfs(&mut self, gpu: &str, wanted: u8) -> Result<(), Errno> {
        let pf = self.parent(gpu)?;
        let vfs = pf.vfs.ok_or(Errno::ENOENT)?;
        if wanted > vfs.total {
            return Err(Errno::ERANGE);
        }
        match (self.number_of_vfs(gpu), wanted) {
            (now, wanted) if now == usize::from(wanted) => Ok(()),
            (0, _) => (0..wanted).try_for_each(|number| self.add_function(&pf, number)),
            (_, 0) => self.drop_functions(&pf),
            _ => Err(Errno::EBUSY),
        }
    }

    fn add_function(&mut self, pf: &ParentSpec, number: u8) -> Result<(), Errno> {
        let id = pci::function_after(&pf.id, OFFSET + number).ok_or(Errno::ERANGE)?;
        let vf = ParentSpec {
            path: pci::device_path(&id),
            gpu: Some(pf.id.clone()),
            vfs: None,
            id,
            ..pf.clone()
        };
        let serial = self.spec.parents.iter().filter(|p| p.gpu.is_some()).count();
        build::pci_function(&mut self.sys, &vf, FIRST_GROUP as usize + serial);
        self.sys.link(&format!("{}/physfn", vf.path), &pf.path);
        let link = format!("{}/virtfn{number}", pf.path);
        self.sys.link(&link, &vf.path);
        match pf.vfs.map(|vfs| vfs.framework) {
            Some(Framework::Vfio) => self.show_vfio_function(&vf),
            _ => build::attach(&mut self.sys, &vf),
        }
        self.attached.insert(vf.id.clone());
        self.spec.parents.push(vf);
        Ok(())
    }

    fn show_vfio_function(&mut self, vf: &ParentSpec) {
        build::bind(&mut self.sys, vf);
        let own = || vf.id.clone();
        for (name, mode, attr) in [
            ("creatable_vgpu_types", 0o444, Attr::Creatable(own())),
            ("current_vgpu_type", 0o644, Attr::Current(own())),
            ("vgpu_params", 0o644, Attr::Params(own())),
        ] {
            let path = format!("{}/nvidia/{name}", vf.path);
            self.sys.file(&path, mode, attr);
        }
    }

    fn drop_functions(&mut self, pf: &ParentSpec) -> Result<(), Errno> {
        let functions: Vec<ParentSpec> = self.functions_of(&pf.id).cloned().collect();
        let is_taken = |d: &Device| functions.iter().any(|vf| vf.id == d.parent);
        if self.devices.values().any(is_taken) {
            return Err(Errno::EBUSY);
        }
        for (number, vf) in functions.iter().enumerate() {
            self.sys.remove(&format!("{}/virtfn{number}", pf.path));
            self.sys.remove(&format!("class/mdev_bus/{}", vf.id));
            let driver = build::driver_dir(vf);
            self.sys.remove(&format!("{driver}/{}", vf.id));
            self.sys.remove(&format!("bus/pci/devices/{}", vf.id));
            self.sys.remove(&vf.path);
            self.attached.remove(&vf.id);
        }
        let parents = &mut self.spec.parents;
        parents.retain(|p| p.gpu.as_deref() != Some(pf.id.as_str()));
        Ok(())
    }

    /// What `creatable_vgpu_types` says of a function now.
    pub fn creatable(&self, vf: &str) -> Result<String, Errno> {
        let mut text = HEADER.to_owned();
        for spec in self.parent(vf)?.types {
            if self.available(vf, &spec.id)? > 0 {
                let number = spec.id.rsplit('-').next().unwrap_or_default();
                text += &format!("{number:<6}: {}\n", spec.name.unwrap_or_default());
            }
        }
        Ok(text)
    }

    /// What `current_vgpu_type` says of a function.
    pub fn current(&self, vf: &str) -> String {
        let device = self.devices.get(vf);
        let number = device.and_then(|d| d.type_id.rsplit('-').next());
        format!("{}\n", number.unwrap_or("0"))
    }

    /// A write to `current_vgpu_type`.
    pub fn write_current(&mut self, vf: &str, data: &[u8]) -> Result<(), Errno> {
        let number = unsigned(data).map_err(|_| Errno::EINVAL)?;
        match (number, self.devices.contains_key(vf)) {
            (0, true) => self.clear_type(vf),
            (0, false) | (_, true) => Err(Errno::EPERM),
            (_, false) => self.set_type(vf, &format!("nvidia-{number}")),
        }
    }

    fn clear_type(&mut self, vf: &str) -> Result<(), Errno> {
        self.counters.remove_writes += 1;
        if self.opens.values().any(|open| open.uuid == vf) {
            return Err(Errno::EPERM);
        }
        let leaving = self.left_at.get(vf).map(Instant::elapsed);
        if leaving.is_some_and(|since| since < self.faults.leaving) {
            return Err(Errno::EBUSY);
        }
        if self.faults.stick_remove > 0 {
            self.faults.stick_remove -= 1;
            return Ok(());
        }
        if let Some(errno) = self.faults.remove.tick() {
            return Err(errno);
        }
        self.left_at.remove(vf);
        self.drop_function_device(vf);
        self.counters.removed += 1;
        Ok(())
    }

    /// The vGPU on a function goes, as when its type is cleared.
    pub fn drop_function_device(&mut self, vf: &str) {
        let Some(device) = self.devices.remove(vf) else {
            return;
        };
        if let Ok(spec) = self.parent(vf) {
            self.sys.remove(&format!("{}/vfio-dev", spec.path));
        }
        self.dev.remove(&format!("vfio/{}", device.group));
        self.dev
            .remove(&format!("vfio/devices/vfio{}", device.vfio));
    }

    fn set_type(&mut self, vf: &str, type_id: &str) -> Result<(), Errno> {
        self.counters.create_writes += 1;
        let spec = self.parent(vf)?;
        let this = spec.types.iter().find(|t| t.id == type_id);
        let weight = this.ok_or(Errno::EIO)?.weight;
        if self.available(vf, type_id)? == 0 {
            return Err(Errno::EIO);
        }
        if let Some(errno) = self.faults.create.tick() {
            return Err(errno);
        }
        let functions = self.spec.parents.iter().filter(|p| p.gpu.is_some());
        let place = functions.take_while(|p| p.id != vf).count();
        let number = FIRST_GROUP + u32::try_from(place).unwrap_or_default();
        let serial = self.take_serial();
        let vfio = format!("{}/vfio-dev/vfio{number}/dev", spec.path);
        self.sys.text(&vfio, &format!("511:{number}"));
        let own = || vf.to_owned();
        let (group, cdev) = (
            format!("vfio/{number}"),
            format!("vfio/devices/vfio{number}"),
        );
        self.dev.file(&group, 0o600, Attr::Group(own()));
        self.dev.file(&cdev, 0o600, Attr::Cdev(own()));
        let device = Device {
            parent: own(),
            type_id: type_id.to_owned(),
            weight,
            group: number,
            vfio: number,
            stage: Stage::Active,
            serial,
            params: String::new(),
            matrix: Matrix::default(),
        };
        self.devices.insert(own(), device);
        self.counters.created += 1;
        Ok(())
    }
}
