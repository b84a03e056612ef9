//! nvidia-vgpud, which makes the types and ends, and nvidia-vgpu-mgr, which stays.

use std::path::Path;

use super::facts::units::{Unit, words};
use super::remedies::usual;
use super::{Facts, Finding};

const AGAIN: &str = "reinstall the vGPU manager (NVIDIA-Linux-x86_64-*-vgpu-kvm.run)";

/// Both daemons: installed, not forbidden, enabled, and running where that can be seen.
pub fn daemons(facts: &Facts<'_>) -> Vec<Finding> {
    if facts.candidates().is_empty() || !facts.has_manager() {
        return Vec::new();
    }
    let units = facts.units();
    let wrong: Vec<Finding> = units.iter().filter_map(|unit| wrong(facts, unit)).collect();
    if !wrong.is_empty() {
        return wrong;
    }
    let path = facts.host.processes();
    let finding = match facts.managers.as_deref() {
        None => Finding::unchecked(
            "cannot tell whether nvidia-vgpu-mgr is running: processes are not visible",
        )
        .seen(path, "no process 1"),
        Some([]) => Finding::problem(
            "nvidia-vgpu-mgr is not running: a VM that opens a vGPU hangs waiting for it",
        )
        .seen(path, "no process with that name")
        .run("systemctl restart nvidia-vgpu-mgr")
        .run("journalctl -b -u nvidia-vgpu-mgr"),
        Some(running) => {
            let pids: Vec<String> = running
                .iter()
                .map(|process| process.pid.to_string())
                .collect();
            let pids = pids.join(", ");
            let message = format!("both are enabled, and nvidia-vgpu-mgr is running (PID {pids})");
            let links = units.map(|unit| unit.wanted_by.clone().unwrap_or_default());
            let seen = |finding: Finding, link| finding.seen(link, "enabled");
            links.into_iter().fold(Finding::ok(message), seen)
        }
    };
    finding.into()
}

fn wrong(facts: &Facts<'_>, unit: &Unit) -> Option<Finding> {
    let name = &unit.name;
    let Some(file) = &unit.file else {
        let finding = Finding::problem(format!("{name} is not installed"))
            .seen(usual(&facts.host.unit_dirs(), name), "absent")
            .advise(AGAIN);
        return Some(finding);
    };
    if unit.is_masked {
        let finding = Finding::problem(format!("{name} is masked, so nothing starts it"))
            .seen(file, "a link to /dev/null")
            .run(format!("systemctl unmask {name}"))
            .run(format!("systemctl enable --now {name}"));
        return Some(finding);
    }
    if let Some(error) = &unit.unreadable {
        return Some(Finding::unreadable(error));
    }
    let missing = unit.exec_start.iter().find_map(|setting| {
        let words = words(&setting.value);
        // A wrapper is looked at with the unlock; the daemon itself stands last.
        let program = words.last().filter(|word| word.starts_with('/'))?;
        let path = facts.host.named(Path::new(program));
        (!unit.finds(&path)).then_some((setting, path))
    });
    if let Some((setting, path)) = missing {
        let finding = Finding::problem(format!("{name} starts a program that does not exist"))
            .seen_all([setting.as_evidence("ExecStart=")])
            .seen(path, "absent")
            .advise(AGAIN);
        return Some(finding);
    }
    let message = format!("{name} is not enabled: it will not start at the next boot");
    let not_enabled = || {
        Finding::warning(message)
            .seen(file, "not in the .wants of any target")
            .run(format!("systemctl enable --now {name}"))
    };
    unit.wanted_by.is_none().then(not_enabled)
}
