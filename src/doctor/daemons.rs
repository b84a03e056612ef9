//! nvidia-vgpud, which makes the types and ends, and nvidia-vgpu-mgr, which stays.

use super::facts::units::{Unit, words};
use super::{Facts, Finding};

/// Both daemons: installed, not forbidden, enabled, and running where that can be seen.
pub fn daemons(facts: &Facts<'_>) -> Vec<Finding> {
    if facts.candidates().is_empty() || !facts.has_manager() {
        return Vec::new();
    }
    let units = [&facts.vgpud, &facts.manager];
    let mut found: Vec<Finding> = units.iter().filter_map(|unit| wrong(facts, unit)).collect();
    if facts.manager.is_startable() && found.is_empty() {
        found.extend(not_running(facts));
    }
    if found.is_empty() {
        let pids = facts.processes.manager.iter();
        let pids: Vec<String> = pids.map(|process| process.pid.to_string()).collect();
        let mut finding = Finding::ok(format!(
            "both enabled, nvidia-vgpu-mgr runs (pid {})",
            pids.join(", ")
        ));
        for unit in units {
            finding = finding.seen(unit.wanted_by.clone().unwrap_or_default(), "enabled");
        }
        found.push(finding);
    }
    found
}

fn wrong(facts: &Facts<'_>, unit: &Unit) -> Option<Finding> {
    let name = &unit.name;
    let Some(file) = &unit.file else {
        let place = facts
            .look
            .host
            .unit_dirs()
            .into_iter()
            .nth(3)
            .unwrap_or_default();
        return Some(
            Finding::problem(format!("{name} is not installed"))
                .seen(place.join(name), "absent")
                .advise("install the vGPU manager (NVIDIA-Linux-x86_64-*-vgpu-kvm.run) again"),
        );
    };
    if unit.is_masked {
        return Some(
            Finding::problem(format!("{name} is masked, so nothing starts it"))
                .seen(file, "a link to /dev/null")
                .run(format!("systemctl unmask {name}"))
                .run(format!("systemctl enable --now {name}")),
        );
    }
    if let Some(error) = &unit.unreadable {
        return Some(Finding::unreadable(error));
    }
    let missing = unit.exec_start.iter().find_map(|setting| {
        let words = words(&setting.value);
        // A wrapper is looked at with the unlock; the daemon itself stands last.
        let program = words.last().filter(|word| word.starts_with('/'))?;
        let path = facts.look.host.named(std::path::Path::new(program));
        (!facts.look.is_there(&path)).then_some((setting, path))
    });
    if let Some((setting, path)) = missing {
        return Some(
            Finding::problem(format!("{name} starts a program that is not there"))
                .seen(&setting.path, format!("ExecStart={}", setting.value))
                .seen(path, "absent")
                .advise("install the vGPU manager (NVIDIA-Linux-x86_64-*-vgpu-kvm.run) again"),
        );
    }
    if unit.wanted_by.is_none() {
        return Some(
            Finding::warning(format!(
                "{name} is not enabled: nothing starts it at the next boot"
            ))
            .seen(file, "in no target's .wants")
            .run(format!("systemctl enable --now {name}")),
        );
    }
    None
}

fn not_running(facts: &Facts<'_>) -> Option<Finding> {
    let path = facts.look.host.processes();
    if !facts.processes.is_known {
        return Some(
            Finding::unchecked("whether nvidia-vgpu-mgr runs: the processes cannot be seen")
                .seen(path, "no process 1"),
        );
    }
    if !facts.processes.manager.is_empty() {
        return None;
    }
    Some(
        Finding::problem(
            "nvidia-vgpu-mgr does not run: a VM that opens a vGPU waits for it in vain",
        )
        .seen(path, "no process of that name")
        .run("systemctl restart nvidia-vgpu-mgr")
        .run("journalctl -b -u nvidia-vgpu-mgr"),
    )
}
