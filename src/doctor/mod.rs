//! What is wrong with a host, and what to do about it. Reads only; one file a theme.
//!
//! [`Facts`] are read once; each [`Check`] judges them. A check whose trouble only follows from
//! another's says so instead of repeating it, so that the root stands alone.

mod boot;
mod cards;
mod daemons;
mod definitions;
mod driver;
pub(crate) mod facts;
mod finding;
mod functions;
mod hardware;
mod kernel;
mod keys;
mod merged;
pub(crate) mod overrides;
mod parents;
mod remedies;
mod running;
mod unlock;
pub(crate) mod unlock_config;
mod unlock_kernel;
mod unlock_reads;
mod unlock_toml;

use crate::error::{Error, Kind, Result};
use crate::host::Host;

pub use facts::Facts;
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

/// All checks, roots before what follows from them.
pub const CHECKS: &[Check] = &[
    Check {
        id: "cards",
        theme: Theme::Hardware,
        about: "which GPUs are there, and what each can be split by",
        after: &[],
        look: cards::cards,
    },
    Check {
        id: "cpu-virtualization",
        theme: Theme::Hardware,
        about: "VT-x or AMD-V, without which no virtual machine runs",
        after: &[],
        look: hardware::cpu_virtualization,
    },
    Check {
        id: "iommu",
        theme: Theme::Hardware,
        about: "the IOMMU, which SR-IOV cards need and older ones do not",
        after: &[],
        look: hardware::iommu,
    },
    Check {
        id: "nouveau",
        theme: Theme::Software,
        about: "nouveau in the place of NVIDIA's driver",
        after: &[],
        look: driver::nouveau,
    },
    Check {
        id: "vfio-pci",
        theme: Theme::Software,
        about: "GPUs and virtual functions taken away by vfio-pci",
        after: &[],
        look: driver::vfio_pci,
    },
    Check {
        id: "kernel",
        theme: Theme::Software,
        about: "the kernel's version, and the driver built for it",
        after: &["cards"],
        look: kernel::kernel,
    },
    Check {
        id: "driver",
        theme: Theme::Software,
        about: "NVIDIA's driver: its version, and whether it is the vGPU manager",
        after: &["cards", "nouveau", "vfio-pci", "kernel"],
        look: driver::driver,
    },
    Check {
        id: "firmware",
        theme: Theme::Software,
        about: "the firmware that newer GPUs need",
        after: &["driver"],
        look: driver::firmware,
    },
    Check {
        id: "modules",
        theme: Theme::Software,
        about: "the kernel modules that vGPUs need",
        after: &["driver"],
        look: kernel::modules,
    },
    Check {
        id: "daemons",
        theme: Theme::Software,
        about: "nvidia-vgpud and nvidia-vgpu-mgr: installed, enabled, running",
        after: &["driver", "modules", "merged-driver"],
        look: daemons::daemons,
    },
    Check {
        id: "unlock-wiring",
        theme: Theme::Software,
        about: "vgpu_unlock in both daemons",
        after: &["driver"],
        look: unlock::wiring,
    },
    Check {
        id: "unlock-kernel",
        theme: Theme::Software,
        about: "vgpu_unlock in the kernel module's source",
        after: &["driver"],
        look: unlock_kernel::kernel_side,
    },
    Check {
        id: "merged-driver",
        theme: Theme::Software,
        about: "a merged driver's version check",
        after: &["driver"],
        look: merged::merged_driver,
    },
    Check {
        id: "gpu-mix",
        theme: Theme::Hardware,
        about: "several unlocked GPUs of different kinds",
        after: &["driver", "daemons", "unlock-wiring", "unlock-kernel"],
        look: cards::gpu_mix,
    },
    Check {
        id: "virtual-functions",
        theme: Theme::Devices,
        about: "the virtual functions of SR-IOV cards",
        after: &["cards", "iommu", "driver", "modules"],
        look: parents::virtual_functions,
    },
    Check {
        id: "types",
        theme: Theme::Devices,
        about: "whether the parents offer any types, and why not",
        after: &[
            "driver",
            "modules",
            "daemons",
            "unlock-wiring",
            "unlock-kernel",
            "merged-driver",
            "gpu-mix",
            "virtual-functions",
            "unlock-config",
        ],
        look: parents::types,
    },
    Check {
        id: "definitions",
        theme: Theme::Devices,
        about: "saved devices that cannot start",
        after: &["types", "vfio-pci"],
        look: definitions::definitions,
    },
    Check {
        id: "boot",
        theme: Theme::Boot,
        about: "the udev rule and the units that bring devices back",
        after: &["mdevctl-rule"],
        look: boot::boot,
    },
    Check {
        id: "mdevctl-rule",
        theme: Theme::Boot,
        about: "whether mdevctl's udev rule finds mdevctl",
        after: &[],
        look: boot::mdevctl_rule,
    },
    Check {
        id: "mdevctl-name",
        theme: Theme::Boot,
        about: "whether libvirt finds a program named mdevctl",
        after: &[],
        look: boot::mdevctl_name,
    },
    Check {
        id: "profile-override",
        theme: Theme::Settings,
        about: "profile_override.toml of vgpu_unlock-rs",
        after: &[],
        look: overrides::profile_override,
    },
    Check {
        id: "unlock-config",
        theme: Theme::Settings,
        about: "config.toml of vgpu_unlock-rs",
        after: &[],
        look: unlock_config::unlock_config,
    },
];

/// Which checks to make.
#[derive(Debug, Clone, Default)]
pub struct DoctorRequest {
    /// Only those; all where empty.
    pub only: Vec<String>,
}

/// What one check found.
#[derive(Debug)]
pub struct Checked {
    /// The check.
    pub check: &'static Check,
    /// Its findings; none where it does not apply to this host.
    pub findings: Vec<Finding>,
    /// The checks whose problems are to be settled before this one is worth a look.
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

/// Looks at a host.
///
/// # Errors
/// [`Kind::Usage`] where a check is asked for that does not exist.
pub fn examine(host: &Host, request: &DoctorRequest) -> Result<Diagnosis> {
    for id in &request.only {
        if !CHECKS.iter().any(|check| check.id == id) {
            return Err(Error::new(Kind::Usage, format!("there is no check {id:?}"))
                .hint("see: vgpuctl doctor --list"));
        }
    }
    let facts = Facts::read(host);
    let mut checks: Vec<Checked> = CHECKS
        .iter()
        .map(|check| Checked {
            check,
            findings: (check.look)(&facts),
            waits_for: Vec::new(),
        })
        .collect();
    let causes: Vec<Vec<&'static str>> =
        CHECKS.iter().map(|check| causes(check, &checks)).collect();
    let mut wanted: Vec<&str> = request.only.iter().map(String::as_str).collect();
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
    Ok(Diagnosis { checks })
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
