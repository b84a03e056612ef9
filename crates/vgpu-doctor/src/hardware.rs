//! The processor and the IOMMU.

use super::facts::kernel::Distro;
use super::facts::kinds::Generation;
use super::facts::pci::Gpu;
use super::{Facts, Finding, remedies};

/// Whether virtual machines can run at all.
pub fn cpu_virtualization(facts: &Facts<'_>) -> Vec<Finding> {
    if !facts.is_for_vgpus() {
        return Vec::new();
    }
    let machine = &facts.machine;
    let (kvm, path) = (facts.host.devices().join("kvm"), facts.host.cpu_info());
    if machine.has_kvm {
        return Finding::ok("KVM is available").seen(kvm, "present").into();
    }
    match &machine.cpu {
        Ok(Some(_)) => {}
        Ok(None) => {
            let finding = Finding::unchecked("cannot tell whether the CPU supports virtualization");
            return finding.seen(path, "absent").into();
        }
        Err(error) => return Finding::unreadable(error).into(),
    }
    let Some(flags) = machine.flags() else {
        return Finding::unchecked(
            "cannot tell whether the CPU supports virtualization: its flags are not listed",
        )
        .seen(path, "no flags line")
        .seen(kvm, "absent")
        .into();
    };
    let mut known = [("vmx", "kvm_intel"), ("svm", "kvm_amd")].into_iter();
    let finding = match known.find(|(flag, _)| flags.contains(flag)) {
        Some((flag, module)) if machine.has_nodes => {
            Finding::problem("the CPU supports virtualization, but KVM is not loaded")
                .seen(path, format!("flags include {flag}"))
                .seen(kvm, "absent")
                .run(format!("modprobe {module}"))
                .advise("if that fails, VT-x or AMD-V is disabled in the BIOS: dmesg | grep kvm")
        }
        Some((flag, _)) => Finding::ok("the CPU supports virtualization")
            .seen(path, format!("flags include {flag}")),
        None => Finding::problem("the CPU does not support virtualization, so no VM can run")
            .seen(path, "flags include neither vmx nor svm")
            .seen(kvm, "absent")
            .advise(match machine.is_made_by("GenuineIntel") {
                _ if machine.is_virtual() => {
                    "this is a virtual machine: enable nested virtualization on its host"
                }
                true => "enable VT-x in the BIOS",
                false => "enable AMD-V (SVM) in the BIOS",
            }),
    };
    finding.into()
}

/// Whether the IOMMU is on where a card needs it.
pub fn iommu(facts: &Facts<'_>) -> Vec<Finding> {
    let cards = facts.candidates();
    if cards.is_empty() {
        return Vec::new();
    }
    let needs = |card: &&Gpu| Generation::of(card.device) >= Some(Generation::Ampere);
    let needing = cards.iter().copied().find(needs);
    let (host, groups) = (facts.host, facts.machine.iommu_groups);
    let is_proxmox = facts.distro == Distro::Proxmox;
    let units = match &facts.machine.iommus {
        Ok(Some(units)) => units.as_slice(),
        Ok(None) if is_proxmox => &[],
        Ok(None) => {
            let finding = Finding::unchecked("cannot tell whether the IOMMU is on");
            return finding.seen(host.iommus(), "absent").into();
        }
        Err(error) => return Finding::unreadable(error).into(),
    };
    let finding = match (needing, units.is_empty() || groups == 0) {
        (_, false) => Finding::ok("the IOMMU is on")
            .seen(host.iommus(), units.join(" "))
            .seen(host.iommu_groups(), format!("{groups} groups")),
        (None, true) if is_proxmox && units.is_empty() => off(
            facts,
            "the IOMMU is off: the cards work without it, but Proxmox VE does not start VMs with \
             a vGPU (\"cannot prepare PCI pass-through, IOMMU not present\")",
        ),
        (None, true) => Finding::ok("the IOMMU is off; cards before Ampere do not need it")
            .seen(host.iommus(), "empty"),
        (Some(card), true) => {
            let who = card.who();
            let why = format!("{who} supports vGPUs only through SR-IOV, which needs it");
            off(facts, &format!("the IOMMU is off, and {why}"))
        }
    };
    finding.into()
}

fn off(facts: &Facts<'_>, message: &str) -> Finding {
    let words = facts.arguments();
    let (name, arguments, wanted) = match facts.machine.is_made_by("AuthenticAMD") {
        true => ("AMD-Vi", "amd_iommu=on iommu=pt", "amd_iommu=on"),
        false => ("VT-d", "intel_iommu=on iommu=pt", "intel_iommu=on"),
    };
    let of_iommu = words.iter().copied().filter(|word| word.contains("iommu"));
    let said: Vec<&str> = of_iommu.collect();
    let said = match (&facts.command_line, said.is_empty()) {
        (Err(_) | Ok(None), _) => "absent or unreadable".to_owned(),
        (_, true) => "no IOMMU option".to_owned(),
        (_, false) => said.join(" "),
    };
    let finding = Finding::problem(message)
        .seen(facts.host.iommus(), "empty")
        .seen(facts.host.command_line(), said);
    if facts.machine.is_virtual() {
        return finding.advise("this is a virtual machine: give it a virtual IOMMU on its host");
    }
    if words.contains(&wanted) {
        return finding.advise(format!("enable {name} in the BIOS"));
    }
    finding
        .then(remedies::kernel_arguments(facts.distro, arguments))
        .advise(format!("if it stays off, enable {name} in the BIOS"))
}
