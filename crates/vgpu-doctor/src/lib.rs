//! What is wrong with a host, and what to do about it. Reads only; one file a theme.
//!
//! [`Facts`] are read once; each [`Check`] judges them. A check whose trouble only follows from
//! another's says so instead of repeating it, so that the root stands alone.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic))]

mod boot;
mod cards;
mod daemons;
mod definitions;
mod driver;
#[doc(hidden)]
pub mod facts;
mod finding;
mod functions;
mod hardware;
mod kernel;
mod keys;
mod merged;
#[doc(hidden)]
pub mod overrides;
mod parents;
mod remedies;
mod running;
mod unlock;
#[doc(hidden)]
pub mod unlock_config;
mod unlock_kernel;
mod unlock_reads;
mod unlock_toml;

pub use facts::{Facts, Outlook};
pub use finding::{Evidence, Finding, Severity, Step};

/// What a check is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Theme {
    /// Processor, IOMMU, cards.
    Hardware,
    /// Kernel, driver, daemons.
    Software,
    /// Parents, types, definitions.
    Devices,
    /// What happens at the next boot.
    Boot,
    /// The unlock's settings.
    Settings,
}

impl Theme {
    /// The word for it, in text and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Theme::Hardware => "hardware",
            Theme::Software => "software",
            Theme::Devices => "devices",
            Theme::Boot => "boot",
            Theme::Settings => "settings",
        }
    }
}

/// One thing that can be looked at on its own.
#[derive(Debug)]
pub struct Check {
    /// The word by which it is asked for.
    pub id: &'static str,
    /// What it is about.
    pub theme: Theme,
    /// What it looks at, in a few words.
    pub about: &'static str,
    /// The checks whose problems explain one found here.
    after: &'static [&'static str],
    /// Judges the facts. No finding at all means that it does not apply to this host.
    look: fn(&Facts<'_>) -> Vec<Finding>,
}

/// Makes the table of the checks: of each its name, theme and function, what it looks at, and the
/// checks whose problems explain one found here.
macro_rules! checks {
    ($($id:literal $theme:ident $look:path, $about:literal, after $after:tt;)*) => {
        /// All checks, roots before what follows from them.
        pub const CHECKS: &[Check] = &[$(Check {
            id: $id,
            theme: Theme::$theme,
            about: $about,
            after: &$after,
            look: $look,
        }),*];
    };
}

checks! {
    "cards" Hardware cards::cards, "GPUs on this host, and how each can be split",
        after [];
    "cpu-virtualization" Hardware hardware::cpu_virtualization, "VT-x or AMD-V, required to run \
     virtual machines",
        after [];
    "iommu" Hardware hardware::iommu, "the IOMMU, required by SR-IOV cards but not by older ones",
        after [];
    "nouveau" Software driver::nouveau, "GPUs bound to nouveau instead of NVIDIA's driver",
        after [];
    "vfio-pci" Software driver::vfio_pci, "GPUs and virtual functions bound to vfio-pci",
        after [];
    "kernel" Software kernel::kernel, "the kernel version, and whether the driver is built for it",
        after ["cards"];
    "driver" Software driver::driver, "NVIDIA's driver: its version, and whether it is the vGPU manager",
        after ["cards", "nouveau", "vfio-pci", "kernel"];
    "firmware" Software driver::firmware, "the firmware that newer GPUs need",
        after ["driver"];
    "modules" Software kernel::modules, "the kernel modules that vGPUs need",
        after ["driver"];
    "daemons" Software daemons::daemons, "nvidia-vgpud and nvidia-vgpu-mgr: installed, enabled, running",
        after ["driver", "modules", "merged-driver"];
    "unlock-wiring" Software unlock::wiring, "vgpu_unlock in both daemons",
        after ["driver"];
    "unlock-kernel" Software unlock_kernel::kernel_side, "vgpu_unlock in the kernel module's source",
        after ["driver"];
    "merged-driver" Software merged::merged_driver, "the version check of a merged driver",
        after ["driver"];
    "gpu-mix" Hardware cards::gpu_mix, "unlocked GPUs of different models",
        after ["driver", "daemons", "unlock-wiring", "unlock-kernel"];
    "virtual-functions" Devices parents::virtual_functions, "the virtual functions of SR-IOV cards",
        after ["cards", "iommu", "driver", "modules"];
    "types" Devices parents::types, "whether parents offer types, and if not, why",
        after ["driver", "modules", "daemons", "unlock-wiring", "unlock-kernel",
               "merged-driver", "gpu-mix", "virtual-functions", "unlock-config"];
    "definitions" Devices definitions::definitions, "definitions that cannot start",
        after ["types", "vfio-pci"];
    "boot" Boot boot::boot, "the udev rule and units that restore devices at boot",
        after ["mdevctl-rule"];
    "mdevctl-rule" Boot boot::mdevctl_rule, "whether mdevctl's udev rule finds mdevctl",
        after [];
    "mdevctl-name" Boot boot::mdevctl_name, "whether libvirt finds a program named mdevctl",
        after [];
    "profile-override" Settings overrides::profile_override, "profile_override.toml of vgpu_unlock-rs",
        after [];
    "unlock-config" Settings unlock_config::unlock_config, "config.toml of vgpu_unlock-rs",
        after [];
}

/// What one check found.
#[derive(Debug)]
pub struct Checked {
    /// The check.
    pub check: &'static Check,
    /// Its findings; none where it does not apply to this host.
    pub findings: Vec<Finding>,
    /// The checks whose problems are to be fixed before this one is worth a look.
    pub waits_for: Vec<&'static str>,
}

impl Checked {
    /// The worst of it; `None` where the check does not apply.
    pub fn worst(&self) -> Option<Severity> {
        self.findings.iter().map(|finding| finding.severity).max()
    }
}

/// What is known about a host.
#[derive(Debug)]
pub struct Diagnosis {
    /// Each check that was asked for, and each that stands in the way of one.
    pub checks: Vec<Checked>,
}

impl Diagnosis {
    /// How many findings are of that severity.
    pub fn count(&self, severity: Severity) -> usize {
        let all = self.checks.iter().flat_map(|checked| &checked.findings);
        all.filter(|finding| finding.severity == severity).count()
    }
}

/// Judges a host: by the checks of these names, or by all where none is named.
pub fn examine(facts: &Facts<'_>, only: &[String]) -> Diagnosis {
    let mut checks: Vec<Checked> = CHECKS
        .iter()
        .map(|check| Checked {
            check,
            findings: (check.look)(facts),
            waits_for: Vec::new(),
        })
        .collect();
    let causes: Vec<Vec<&'static str>> =
        CHECKS.iter().map(|check| causes(check, &checks)).collect();
    let mut wanted: Vec<&str> = only.iter().map(String::as_str).collect();
    for (checked, causes) in checks.iter_mut().zip(&causes) {
        if !causes.is_empty() && has_trouble(&checked.findings) {
            if wanted.contains(&checked.check.id) {
                wanted.extend(causes);
            }
            checked.findings = vec![Finding::waiting(causes)];
            checked.waits_for.clone_from(causes);
        }
    }
    checks.retain(|checked| wanted.is_empty() || wanted.contains(&checked.check.id));
    Diagnosis { checks }
}

/// What is no more than a consequence must not hide what it follows from.
fn has_trouble(findings: &[Finding]) -> bool {
    findings
        .iter()
        .any(|finding| finding.severity >= Severity::Warning)
}

/// The checks whose own problems explain trouble in this one: roots only.
fn causes(check: &Check, checks: &[Checked]) -> Vec<&'static str> {
    let mut found = Vec::new();
    let before = checks
        .iter()
        .filter(|checked| check.after.contains(&checked.check.id));
    for checked in before {
        let deeper = causes(checked.check, checks);
        let own = checked.worst() == Some(Severity::Problem);
        let roots = match deeper.is_empty() {
            true if own => vec![checked.check.id],
            _ => deeper,
        };
        for root in roots {
            if !found.contains(&root) {
                found.push(root);
            }
        }
    }
    found
}
