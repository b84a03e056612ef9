//! The processor, KVM and the IOMMU.

use super::{Look, Read};

/// What of them can be seen.
pub struct Machine {
    /// What `/proc/cpuinfo` begins with.
    pub cpu: Read<String>,
    /// There are device nodes at all.
    pub has_nodes: bool,
    /// KVM's is among them.
    pub has_kvm: bool,
    /// The IOMMUs in use.
    pub iommus: Read<Vec<String>>,
    /// How many groups of devices they tell apart.
    pub iommu_groups: usize,
}

impl Machine {
    /// Reads all of it.
    pub fn read(look: &Look<'_>) -> Machine {
        let nodes = look.host.devices();
        Machine {
            cpu: look.first_lines(&look.host.cpu_info()),
            has_nodes: look.is_there(&nodes),
            has_kvm: look.is_there(&nodes.join("kvm")),
            iommus: look.names(&look.host.iommus()),
            iommu_groups: look.names_or_none(&look.host.iommu_groups()).len(),
        }
    }

    /// The flags of the processor; `None` where it tells none.
    pub fn flags(&self) -> Option<Vec<&str>> {
        let text = self.cpu.as_ref().ok()?.as_ref()?;
        let flags = text.lines().find(|line| line.starts_with("flags"))?;
        Some(flags.split_whitespace().collect())
    }

    /// Whose processor it says that it is: "AuthenticAMD".
    pub fn is_made_by(&self, vendor: &str) -> bool {
        self.cpu.iter().flatten().any(|text| text.contains(vendor))
    }

    /// The processor says that it is one of a virtual machine.
    pub fn is_virtual(&self) -> bool {
        self.flags()
            .is_some_and(|flags| flags.contains(&"hypervisor"))
    }
}
