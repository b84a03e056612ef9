//! Binding of drivers to PCI functions, through sysfs or by other programs.

use nix::errno::Errno;

use crate::build;
use crate::host::Host;
use crate::sriov::SriovManage;

/// The two messages of the script when it loses the race with the driver.
const RACES: [&str; 2] = ["File exists", "No such device"];

impl Host {
    /// A write to a driver's `bind`: binds the function, if it is unbound.
    pub fn bind(&mut self, driver: &str, data: &[u8]) -> Result<(), Errno> {
        let id = address(data)?;
        let parent = self.spec.parents.iter().find(|p| p.id == id);
        let parent = parent.filter(|p| p.driver == driver).cloned();
        let parent = parent.ok_or(Errno::ENODEV)?;
        if self.attached.contains(&parent.id) || self.taken.contains_key(&parent.id) {
            return Err(Errno::EBUSY);
        }
        self.counters.binds += 1;
        if let Some(errno) = self.faults.bind.tick() {
            return Err(errno);
        }
        self.attach_spec(&parent);
        // Unlike a boot, this does not enable VFs.
        self.set_vfs(&parent, 0)
    }

    /// A write to a driver's `unbind`: unbinds the function and removes its devices.
    pub fn unbind(&mut self, driver: &str, data: &[u8]) -> Result<(), Errno> {
        let id = address(data)?;
        match self.taken.get(&id) {
            Some(other) if other == driver => {
                self.give_back(&id);
                return Ok(());
            }
            _ => {}
        }
        let parent = self.spec.parents.iter().find(|p| p.id == id);
        if parent.is_none_or(|p| p.driver != driver) || !self.attached.contains(&id) {
            return Err(Errno::ENODEV);
        }
        self.detach(&id).map_err(|_| Errno::EBUSY)
    }

    /// Binds a parent to another driver, such as vfio-pci.
    pub fn take(&mut self, id: &str, driver: &str) -> Result<(), String> {
        if self.attached.contains(id) {
            self.detach(id)?;
        }
        let parent = self.parent(id).map_err(|_| format!("no parent {id}"))?;
        self.give_back(id);
        build::take(&mut self.sys, &parent, driver);
        self.taken.insert(id.to_owned(), driver.to_owned());
        Ok(())
    }

    /// Unbinds it from the other driver, if bound.
    pub fn give_back(&mut self, id: &str) {
        if let (Some(driver), Ok(parent)) = (self.taken.remove(id), self.parent(id)) {
            build::untake(&mut self.sys, &parent, &driver);
        }
    }

    /// The race of `sriov-manage` with the driver at boot: the GPU is left without a driver. Every second
    /// time, the script does not notice.
    pub fn lose_race(&mut self, gpu: &str, left: Option<u32>) -> Result<String, String> {
        self.faults.sriov_manage = match left {
            Some(0 | 1) => SriovManage::Works,
            Some(more) => SriovManage::Race(Some(more - 1)),
            None => SriovManage::Race(None),
        };
        self.detach(gpu)?;
        let nth = usize::from(self.counters.races % 2 == 1);
        self.counters.races += 1;
        let said = format!(
            "Enabling VFs on {gpu}\nawk: cmd. line:1: warning: error writing standard output: {}\n",
            RACES[nth]
        );
        if nth == 0 { Err(said) } else { Ok(said) }
    }
}

fn address(data: &[u8]) -> Result<String, Errno> {
    let text = std::str::from_utf8(data).map_err(|_| Errno::EINVAL)?;
    Ok(text.trim_end_matches('\n').to_owned())
}
