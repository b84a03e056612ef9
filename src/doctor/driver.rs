//! Who serves the GPUs, and whether that is the vGPU manager.

use super::facts::kernel::Distro;
use super::facts::kinds::title;
use super::facts::pci::Gpu;
use super::{Evidence, Facts, Finding, Step, remedies};

/// nouveau in the place of NVIDIA's driver.
pub fn nouveau(facts: &Facts<'_>) -> Vec<Finding> {
    let cards = facts.candidates();
    let of = |driver: &str| -> Vec<&Gpu> {
        let on = cards.iter().copied();
        on.filter(|card| card.driver.as_deref() == Some(driver))
            .collect()
    };
    let taken = of("nouveau");
    if cards.is_empty() {
        return Vec::new();
    }
    if taken.is_empty() {
        return vec![Finding::ok("nouveau serves no GPU that could be split")];
    }
    let message = format!(
        "nouveau serves {}, so NVIDIA's driver cannot",
        names(&taken)
    );
    let finding = match of("nvidia").is_empty() {
        true => Finding::problem(message),
        false => Finding::warning(message),
    };
    let host = facts.look.host;
    let file = host.own_name(&host.nouveau_blacklist());
    vec![
        finding
            .seen_all(drivers(&taken))
            .run(format!(
                "printf 'blacklist nouveau\\noptions nouveau modeset=0\\n' > {}",
                file.display()
            ))
            .then(remedies::new_initramfs(facts.distro)),
    ]
}

/// GPUs and virtual functions that vfio-pci has taken.
pub fn vfio_pci(facts: &Facts<'_>) -> Vec<Finding> {
    let cards = facts.candidates();
    if cards.is_empty() {
        return Vec::new();
    }
    let is_taken = |gpu: &&Gpu| gpu.driver.as_deref() == Some("vfio-pci");
    let mut found = Vec::new();
    let taken: Vec<&Gpu> = cards.iter().copied().filter(is_taken).collect();
    if taken.len() == cards.len() {
        found.push(whole(facts, &taken));
    } else if !taken.is_empty() {
        let message = format!("{} is given away whole, by vfio-pci", names(&taken));
        found.push(Finding::note(message).seen_all(drivers(&taken)));
    }
    for card in &cards {
        let functions: Vec<&Gpu> = facts.functions(card).into_iter().filter(is_taken).collect();
        if let (Some(first), false) = (functions.first(), is_taken(card)) {
            found.push(functions_taken(card, &functions, first));
        }
    }
    if found.is_empty() {
        found.push(Finding::ok("vfio-pci has taken no GPU"));
    }
    found
}

fn whole(facts: &Facts<'_>, taken: &[&Gpu]) -> Finding {
    let message = format!(
        "vfio-pci has taken {}: given to a VM whole, and not to be split",
        names(taken)
    );
    let mut finding = Finding::problem(message).seen_all(drivers(taken));
    let line = facts.command_line.clone().unwrap_or_default();
    if let Some(word) = line
        .split_whitespace()
        .find(|word| word.starts_with("vfio-pci.ids="))
    {
        return finding
            .seen(facts.look.host.command_line(), word)
            .advise(format!(
                "take `{word}` off the kernel's command line, then reboot"
            ));
    }
    let mut named = false;
    for dir in facts.look.host.modprobe_dirs() {
        for name in facts.look.names_or_none(&dir) {
            let path = dir.join(name);
            let text = facts.look.text(&path).ok().flatten().unwrap_or_default();
            let lines = text.lines().map(str::trim);
            let mut options = lines.filter(|line| {
                line.starts_with("options vfio-pci") || line.starts_with("options vfio_pci")
            });
            if let Some(option) = options.find(|line| line.contains("ids=")) {
                let file = facts.look.host.own_name(&path);
                finding = finding
                    .seen(path, option)
                    .advise(format!("take that line out of {}", file.display()));
                named = true;
            }
        }
    }
    if named {
        return finding.then(remedies::new_initramfs(facts.distro));
    }
    let Some(first) = taken.first() else {
        return finding;
    };
    finding
        .advise("shut the VM down that has it, and take the whole card out of its settings")
        .then(rebind(first))
}

fn functions_taken(card: &Gpu, functions: &[&Gpu], first: &Gpu) -> Finding {
    Finding::problem(format!(
        "vfio-pci has taken {} of the virtual functions of {} at {}: they must stay with nvidia",
        functions.len(),
        title(card),
        card.address
    ))
    .seen_all(drivers(functions))
    .advise("give a VM the function with managed='no', and shut VMs down that hold these")
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
        return vec![not_loaded(facts)];
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
        return vec![match facts.is_virtual_machine() {
            true => finding.advise(
                "this is a virtual machine: if it only uses a GPU or vGPU, nothing is missing",
            ),
            false => finding,
        }];
    }
    let left: Vec<&Gpu> = facts
        .candidates()
        .into_iter()
        .filter(|card| card.driver.is_none())
        .collect();
    if !left.is_empty() {
        return vec![unserved(&left, module.is_open).seen(&module.path, &module.line)];
    }
    let manager = driver.manager.as_ref();
    let manager = manager.map_or(String::new(), |(_, version)| {
        format!(", vGPU manager {version}")
    });
    vec![
        Finding::ok(format!("{kind} {}{manager}", module.version)).seen(&module.path, &module.line),
    ]
}

fn not_loaded(facts: &Facts<'_>) -> Finding {
    let path = facts.look.host.nvidia_version();
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
            .seen(path, "present: the guest's (grid) package")
            .advise("the guest's package belongs into the VMs; the host needs the other one"),
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
    use super::facts::kinds::Generation;
    let finding = Finding::problem(format!(
        "NVIDIA's driver is loaded, but does not serve {}",
        names(left)
    ))
    .seen_all(left.iter().map(|gpu| Evidence {
        path: gpu.path.join("driver"),
        found: "absent".to_owned(),
    }));
    let is_too_old =
        |gpu: &&Gpu| Generation::of(gpu.device).is_some_and(|known| known < Generation::Turing);
    match is_open && left.iter().any(is_too_old) {
        true => finding.advise(
            "the open kernel module serves GPUs from Turing on: install with \
             --kernel-module-type=proprietary",
        ),
        false => finding.run("dmesg | grep -i nvrm"),
    }
}

/// The firmware that NVIDIA's driver loads into newer GPUs is there, in the module's version.
pub fn firmware(facts: &Facts<'_>) -> Vec<Finding> {
    use super::facts::kinds::Generation;
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
    let dir = facts.look.host.nvidia_firmware(&module.version);
    let names = facts.look.names_or_none(&dir);
    let found: Vec<String> = names
        .into_iter()
        .filter(|name| name.starts_with("gsp_"))
        .collect();
    if !found.is_empty() {
        let message = format!("firmware of {} is there", module.version);
        return vec![Finding::ok(message).seen(dir, found.join(" "))];
    }
    vec![
        Finding::warning(format!(
            "no firmware of {} for {}, which may not start without",
            module.version,
            title(card)
        ))
        .seen(dir, "no gsp_*.bin")
        .run("dmesg | grep -i gsp")
        .advise("install the driver again, or copy firmware/gsp_*.bin out of its .run file there"),
    ]
}

fn names(gpus: &[&Gpu]) -> String {
    let names: Vec<String> = gpus
        .iter()
        .map(|gpu| format!("{} at {}", title(gpu), gpu.address))
        .collect();
    names.join(", ")
}

fn drivers(gpus: &[&Gpu]) -> Vec<Evidence> {
    let seen = gpus.iter().map(|gpu| Evidence {
        path: gpu.path.join("driver"),
        found: gpu.driver.clone().unwrap_or_default(),
    });
    seen.collect()
}
