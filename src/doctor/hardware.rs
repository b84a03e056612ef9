//! The processor and the IOMMU.

use super::facts::kernel::Distro;
use super::facts::kinds::{Generation, title};
use super::facts::pci::Gpu;
use super::{Facts, Finding, remedies};

/// Whether virtual machines can run at all.
pub fn cpu_virtualization(facts: &Facts<'_>) -> Vec<Finding> {
    if !facts.is_for_vgpus() {
        return Vec::new();
    }
    let host = facts.look.host;
    let nodes = host.devices();
    let kvm = nodes.join("kvm");
    if facts.look.is_there(&kvm) {
        return vec![Finding::ok("KVM is there").seen(kvm, "present")];
    }
    let path = host.cpu_info();
    let text = match facts.look.first_lines(&path) {
        Ok(Some(text)) => text,
        Ok(None) => {
            return vec![
                Finding::unchecked("nothing tells what the CPU can do").seen(path, "absent"),
            ];
        }
        Err(error) => return vec![Finding::unreadable(&error)],
    };
    let flags = text.lines().find(|line| line.starts_with("flags"));
    let has =
        |wanted: &str| flags.is_some_and(|line| line.split_whitespace().any(|flag| flag == wanted));
    let is_intel = text.contains("GenuineIntel");
    match [("vmx", "kvm_intel"), ("svm", "kvm_amd")]
        .iter()
        .find(|(flag, _)| has(flag))
    {
        Some((flag, module)) if facts.look.is_there(&nodes) => vec![
            Finding::problem("the CPU can virtualize, but KVM is not loaded")
                .seen(path, format!("flags have {flag}"))
                .seen(kvm, "absent")
                .run(format!("modprobe {module}"))
                .advise("where that fails, VT-x or AMD-V is off in the BIOS: dmesg | grep kvm"),
        ],
        Some((flag, _)) => {
            vec![Finding::ok("the CPU can virtualize").seen(path, format!("flags have {flag}"))]
        }
        None if flags.is_none() => vec![
            Finding::unchecked("this CPU does not say in flags whether it can virtualize")
                .seen(path, "no line of flags")
                .seen(kvm, "absent"),
        ],
        None => {
            let finding = Finding::problem("the CPU offers no virtualization, so no VM can run")
                .seen(path, "flags have neither vmx nor svm")
                .seen(kvm, "absent");
            vec![match has("hypervisor") {
                true => finding.advise(
                    "this is a virtual machine itself: allow nested virtualization on its host",
                ),
                false if is_intel => finding.advise("turn VT-x on in the BIOS"),
                false => finding.advise("turn AMD-V (SVM) on in the BIOS"),
            }]
        }
    }
}

/// Whether the IOMMU is on where a card needs it.
pub fn iommu(facts: &Facts<'_>) -> Vec<Finding> {
    let cards = facts.candidates();
    if cards.is_empty() {
        return Vec::new();
    }
    let needs = |card: &&Gpu| Generation::of(card.device) >= Some(Generation::Ampere);
    let needing = cards.iter().copied().find(needs);
    let host = facts.look.host;
    let is_proxmox = facts.distro == Distro::Proxmox;
    let units = match facts.look.names(&host.iommus()) {
        Ok(Some(units)) => units,
        Ok(None) if is_proxmox => Vec::new(),
        Ok(None) => {
            return vec![
                Finding::unchecked("nothing tells of IOMMUs").seen(host.iommus(), "absent"),
            ];
        }
        Err(error) => return vec![Finding::unreadable(&error)],
    };
    let groups = facts.look.names_or_none(&host.iommu_groups());
    match (needing, units.is_empty() || groups.is_empty()) {
        (_, false) => vec![
            Finding::ok("the IOMMU is on")
                .seen(host.iommus(), units.join(" "))
                .seen(host.iommu_groups(), format!("{} groups", groups.len())),
        ],
        (None, true) if is_proxmox && units.is_empty() => vec![off(
            facts,
            "the IOMMU is off: the cards do without, but Proxmox VE starts no VM with a vGPU then \
             (\"cannot prepare PCI pass-through, IOMMU not present\")"
                .to_owned(),
        )],
        (None, true) => vec![
            Finding::ok("the IOMMU is off, which cards before Ampere do not mind")
                .seen(host.iommus(), "empty"),
        ],
        (Some(card), true) => vec![off(
            facts,
            format!(
                "the IOMMU is off, and {} at {} makes vGPUs by SR-IOV only, which needs it",
                title(card),
                card.address
            ),
        )],
    }
}

fn off(facts: &Facts<'_>, message: String) -> Finding {
    let host = facts.look.host;
    let mut finding = Finding::problem(message).seen(host.iommus(), "empty");
    let line = facts.command_line.clone().unwrap_or_default();
    let words: Vec<&str> = line.split_whitespace().collect();
    let cpu = facts
        .look
        .first_lines(&host.cpu_info())
        .ok()
        .flatten()
        .unwrap_or_default();
    let (name, arguments) = match cpu.contains("AuthenticAMD") {
        true => ("AMD-Vi", "amd_iommu=on iommu=pt"),
        false => ("VT-d", "intel_iommu=on iommu=pt"),
    };
    let wanted = arguments.split_whitespace().next().unwrap_or_default();
    let said: Vec<&str> = words
        .iter()
        .copied()
        .filter(|word| word.contains("iommu"))
        .collect();
    finding = finding.seen(
        host.command_line(),
        match said.is_empty() {
            _ if facts.command_line.is_none() => "absent or unreadable".to_owned(),
            true => "says nothing of an IOMMU".to_owned(),
            false => said.join(" "),
        },
    );
    if facts.is_virtual_machine() {
        return finding
            .advise("this is a virtual machine itself: give it a virtual IOMMU on its host");
    }
    if words.contains(&wanted) {
        return finding.advise(format!("turn {name} on in the BIOS"));
    }
    finding
        .then(remedies::kernel_arguments(facts.distro, arguments))
        .advise(format!("where it stays off, turn {name} on in the BIOS"))
}
