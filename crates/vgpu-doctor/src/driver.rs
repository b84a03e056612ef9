//! Who serves the GPUs, and whether that is the vGPU manager.

use super::facts::kernel::Distro;
use super::facts::kinds::{Generation, title};
use super::facts::pci::Gpu;
use super::{Evidence, Facts, Finding, Severity, Step, remedies};

/// GPUs bound to nouveau instead of NVIDIA's driver.
pub fn nouveau(facts: &Facts<'_>) -> Vec<Finding> {
    let cards = facts.candidates();
    if cards.is_empty() {
        return Vec::new();
    }
    let is_on = |card: &&Gpu, driver: &str| card.driver.as_deref() == Some(driver);
    let on = cards.iter().copied();
    let taken: Vec<&Gpu> = on.filter(|card| is_on(card, "nouveau")).collect();
    if taken.is_empty() {
        return Finding::ok("no GPU that can be split is bound to nouveau").into();
    }
    let severity = match cards.iter().any(|card| is_on(card, "nvidia")) {
        true => Severity::Warning,
        false => Severity::Problem,
    };
    let names = names(&taken);
    let file = facts.host.own_name(&facts.host.nouveau_blacklist());
    Finding::new(
        severity,
        format!("nouveau is bound to {names}, so NVIDIA's driver cannot bind"),
    )
    .seen_all(drivers(&taken))
    .run(format!(
        "printf 'blacklist nouveau\\noptions nouveau modeset=0\\n' > {}",
        file.display()
    ))
    .then(remedies::new_initramfs(facts.distro))
    .into()
}

/// GPUs and virtual functions bound to vfio-pci.
pub fn vfio_pci(facts: &Facts<'_>) -> Vec<Finding> {
    let cards = facts.candidates();
    if cards.is_empty() {
        return Vec::new();
    }
    let mut found = Vec::new();
    let taken: Vec<&Gpu> = cards
        .iter()
        .copied()
        .filter(|gpu| gpu.is_given_away())
        .collect();
    if taken.len() == cards.len() {
        found.push(whole(facts, &taken));
    } else if !taken.is_empty() {
        let message = format!("passed through whole by vfio-pci: {}", names(&taken));
        found.push(Finding::note(message).seen_all(drivers(&taken)));
    }
    for card in &cards {
        let mut functions = facts.functions(card);
        functions.retain(|function| function.is_given_away());
        if let (Some(first), false) = (functions.first(), card.is_given_away()) {
            found.push(functions_taken(card, &functions, first));
        }
    }
    if found.is_empty() {
        found.push(Finding::ok("no GPU is bound to vfio-pci"));
    }
    found
}

fn whole(facts: &Facts<'_>, taken: &[&Gpu]) -> Finding {
    let message = format!(
        "vfio-pci is bound to {}: a GPU that is passed through whole cannot be split",
        names(taken)
    );
    let mut finding = Finding::problem(message).seen_all(drivers(taken));
    let mut words = facts.arguments().into_iter();
    if let Some(word) = words.find(|word| word.starts_with("vfio-pci.ids=")) {
        return finding
            .seen(facts.host.command_line(), word)
            .advise(format!(
                "remove `{word}` from the kernel command line, then reboot"
            ));
    }
    for (path, option) in &facts.vfio_options {
        let file = facts.host.own_name(path);
        finding = finding
            .seen(path, option)
            .advise(format!("remove that line from {}", file.display()));
    }
    if !facts.vfio_options.is_empty() {
        return finding.then(remedies::new_initramfs(facts.distro));
    }
    let Some(first) = taken.first() else {
        return finding;
    };
    finding
        .advise("shut down the VM that uses it, and remove the card from its configuration")
        .then(rebind(first))
}

fn functions_taken(card: &Gpu, functions: &[&Gpu], first: &Gpu) -> Finding {
    Finding::problem(format!(
        "vfio-pci is bound to {} of the virtual functions of {}: they must stay bound to nvidia",
        functions.len(),
        card.who()
    ))
    .seen_all(drivers(functions))
    .advise("assign functions to VMs with managed='no', and shut down the VMs that use these")
    .then(rebind(first))
}

/// Hands a device back to NVIDIA's driver.
fn rebind(gpu: &Gpu) -> Vec<Step> {
    let address = &gpu.address;
    [
        format!("echo {address} > /sys/bus/pci/drivers/vfio-pci/unbind"),
        format!("echo > /sys/bus/pci/devices/{address}/driver_override"),
        format!("echo {address} > /sys/bus/pci/drivers/nvidia/bind"),
    ]
    .map(Step::Run)
    .into()
}

/// NVIDIA's driver: there, loaded, and the vGPU manager.
pub fn driver(facts: &Facts<'_>) -> Vec<Finding> {
    let driver = &facts.driver;
    if facts.is_elsewhere() || (facts.cards().is_empty() && driver.module.is_none()) {
        return Vec::new();
    }
    let Some(module) = &driver.module else {
        return not_loaded(facts).into();
    };
    let kind = match module.is_open {
        true => "open kernel module",
        false => "kernel module",
    };
    if !facts.has_manager() {
        let finding = Finding::problem(format!(
            "NVIDIA's driver {} has no vGPU manager: it is a data-centre, GeForce, Quadro or \
             guest driver ({kind})",
            module.version
        ))
        .seen(&module.path, &module.line);
        let finding = install(facts, guest(facts, finding));
        let finding = match facts.machine.is_virtual() {
            true => finding.advise(
                "this is a virtual machine: if it only uses a GPU or vGPU, nothing is missing",
            ),
            false => finding,
        };
        return finding.into();
    }
    let mut left = facts.candidates();
    left.retain(|card| card.driver.is_none());
    if !left.is_empty() {
        let finding = unserved(&left, module.is_open);
        return finding.seen(&module.path, &module.line).into();
    }
    let manager = driver.manager.as_ref();
    let manager = manager.map_or(String::new(), |(_, version)| {
        format!(", vGPU manager {version}")
    });
    Finding::ok(format!("{kind} {}{manager}", module.version))
        .seen(&module.path, &module.line)
        .into()
}

fn not_loaded(facts: &Facts<'_>) -> Finding {
    let path = facts.host.nvidia_version();
    if !facts.has_manager() {
        let finding = Finding::problem("NVIDIA's driver is not installed").seen(path, "absent");
        return install(facts, guest(facts, finding));
    }
    Finding::problem("NVIDIA's vGPU driver is installed, but its module is not loaded")
        .seen(path, "absent")
        .run("modprobe nvidia")
        .run("dmesg | grep -i nvrm")
}

fn guest(facts: &Facts<'_>, finding: Finding) -> Finding {
    match &facts.driver.guest_daemon {
        Some(path) => finding
            .seen(path, "present: from the guest (GRID) package")
            .advise("the guest package belongs in the VMs; the host needs the vGPU manager"),
        None => finding,
    }
}

fn install(facts: &Facts<'_>, finding: Finding) -> Finding {
    let package = match facts.distro {
        Distro::RedHat => "NVIDIA-vGPU-rhel-*.rpm, or NVIDIA-Linux-x86_64-*-vgpu-kvm.run",
        _ => "NVIDIA-Linux-x86_64-*-vgpu-kvm.run",
    };
    finding.advise(format!(
        "install the vGPU manager for Linux KVM from NVIDIA's licensing portal: {package} --dkms"
    ))
}

fn unserved(left: &[&Gpu], is_open: bool) -> Finding {
    let finding = Finding::problem(format!(
        "NVIDIA's driver is loaded, but not bound to {}",
        names(left)
    ))
    .seen_all(
        left.iter()
            .map(|gpu| Evidence::new(gpu.path.join("driver"), "absent")),
    );
    let is_too_old =
        |gpu: &&Gpu| Generation::of(gpu.device).is_some_and(|known| known < Generation::Turing);
    match is_open && left.iter().any(is_too_old) {
        true => finding.advise(
            "the open kernel module supports only Turing and newer GPUs: install with \
             --kernel-module-type=proprietary",
        ),
        false => finding.run("dmesg | grep -i nvrm"),
    }
}

/// The firmware that NVIDIA's driver loads into newer GPUs is there, in the module's version.
pub fn firmware(facts: &Facts<'_>) -> Vec<Finding> {
    let Some(module) = &facts.driver.module else {
        return Vec::new();
    };
    // The open module always needs it; the proprietary one does for GPUs from Hopper and Ada on.
    let needs =
        |card: &&Gpu| module.is_open || Generation::of(card.device) >= Some(Generation::Hopper);
    let cards = facts.candidates();
    let Some(card) = cards.iter().copied().find(needs) else {
        return Vec::new();
    };
    let dir = facts.host.nvidia_firmware(&module.version);
    let (version, firmware) = (&module.version, &facts.driver.firmware);
    if !firmware.is_empty() {
        let message = format!("firmware {version} is installed");
        return Finding::ok(message).seen(dir, firmware.join(" ")).into();
    }
    let card = title(card);
    let message =
        format!("firmware {version} is missing for {card}, which may not start without it");
    Finding::warning(message)
        .seen(dir, "no gsp_*.bin")
        .run("dmesg | grep -i gsp")
        .advise(
            "reinstall the driver, or copy firmware/gsp_*.bin from its .run file to that directory",
        )
        .into()
}

/// The GPUs, with their places.
pub fn names(gpus: &[&Gpu]) -> String {
    let names: Vec<String> = gpus.iter().map(|gpu| gpu.who()).collect();
    names.join(", ")
}

fn drivers(gpus: &[&Gpu]) -> Vec<Evidence> {
    let driver = |gpu: &&Gpu| gpu.driver.clone().unwrap_or_default();
    let seen = gpus
        .iter()
        .map(|gpu| Evidence::new(gpu.path.join("driver"), driver(gpu)));
    seen.collect()
}
