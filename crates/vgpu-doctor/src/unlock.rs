//! vgpu_unlock in both daemons.

use std::path::{Path, PathBuf};

use super::driver::names;
use super::facts::units::{PREFIXES, Setting, Unit, words};
use super::remedies::drop_in;
use super::{Evidence, Facts, Finding, Step};
use vgpu_host::host::Host;

/// How a daemon is unlocked.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Wire {
    /// Not at all.
    None,
    /// By the original's wrapper in ExecStart.
    Wrapper(PathBuf, Setting),
    /// By vgpu_unlock-rs, preloaded.
    Library(PathBuf, Setting),
}

/// A daemon that restarts takes running VMs' vGPUs with it, or leaves them half served.
pub const QUIET: &str = "do this while no VM uses a vGPU";

/// What the names of the wrapper and of the library have in common.
const MARK: &str = "vgpu_unlock";
const LIBRARY: &str = "libvgpu_unlock";
const PRELOAD: &str = "LD_PRELOAD";

fn wire(unit: &Unit) -> Wire {
    let library = |value: &str| {
        let mut paths = value.split([':', ' ']);
        paths.find(|path| path.contains(LIBRARY)).map(PathBuf::from)
    };
    if let Some((setting, value)) = unit.variable(PRELOAD)
        && let Some(path) = library(value)
    {
        return Wire::Library(path, setting.clone());
    }
    for setting in &unit.exec_start {
        let words = words(&setting.value);
        // The last word is the daemon; what stands before it runs it.
        for word in words.iter().rev().skip(1) {
            if let Some(value) = word.strip_prefix(PRELOAD).and_then(|w| w.strip_prefix('='))
                && let Some(path) = library(value)
            {
                return Wire::Library(path, setting.clone());
            }
            let path = PathBuf::from(word.trim_start_matches(PREFIXES));
            let name = path.file_name().and_then(|name| name.to_str());
            if name.is_some_and(|name| name.contains(MARK)) {
                return Wire::Wrapper(path, setting.clone());
            }
        }
    }
    Wire::None
}

/// Whether a daemon is unlocked, by something that exists or not.
pub fn is_unlocked(unit: &Unit) -> bool {
    wire(unit) != Wire::None
}

impl Wire {
    fn file(&self) -> Option<(&Path, &Setting)> {
        match self {
            Wire::None => None,
            Wire::Wrapper(path, setting) | Wire::Library(path, setting) => Some((path, setting)),
        }
    }

    /// What the unit says, for evidence.
    fn evidence(&self) -> Option<Evidence> {
        let (_, setting) = self.file()?;
        Some(setting.as_evidence(match self {
            Wire::Library(..) if setting.value.starts_with(PRELOAD) => "Environment=",
            _ => "ExecStart=",
        }))
    }

    /// How another daemon is wired in the same way.
    fn for_other(&self, host: &Host, unit: &Unit) -> Vec<Step> {
        let stem = unit.name.trim_end_matches(".service");
        let lines = match self {
            Wire::Wrapper(path, _) => {
                format!("ExecStart=\\nExecStart={} /usr/bin/{stem}", path.display())
            }
            Wire::Library(path, _) => format!("Environment=LD_PRELOAD={}", path.display()),
            Wire::None => "Environment=LD_PRELOAD=PATH/libvgpu_unlock_rs.so".to_owned(),
        };
        vec![
            drop_in(host, &unit.name, "vgpu_unlock.conf", &lines),
            Step::Run(format!(
                "systemctl daemon-reload && systemctl restart {stem}"
            )),
        ]
    }
}

/// Both daemons are unlocked, by something that exists.
pub fn wiring(facts: &Facts<'_>) -> Vec<Finding> {
    let units = facts.units();
    let unlocked = facts.unlocked();
    let wires = units.map(wire);
    if !facts.has_manager() || (unlocked.is_empty() && wires.iter().all(|w| *w == Wire::None)) {
        return Vec::new();
    }
    if let Some(unit) = units.iter().find(|unit| !unit.is_startable()) {
        let message = format!("{} cannot be started", unit.name);
        let finding = Finding::unchecked(message);
        return finding.seen(unit.place(), "absent or masked").into();
    }
    if let Some(error) = units.iter().find_map(|unit| unit.unreadable.as_ref()) {
        return Finding::unreadable(error).into();
    }
    let mut wired = units.iter().zip(&wires);
    if let Some(broken) = wired.find_map(|(unit, wire)| absent(facts, unit, wire)) {
        return broken.into();
    }
    let evidence = wires.iter().filter_map(Wire::evidence);
    let finding = match &wires {
        _ if unlocked.is_empty() => {
            Finding::note("the daemons are unlocked, but no card on this host needs it")
                .seen_all(evidence)
        }
        [Wire::None, Wire::None] => not_at_all(facts),
        [Wire::None, other] => one_only(
            facts,
            &facts.vgpud,
            other,
            "so it reports no types: \"vGPU is not supported on PCI Id\"",
        ),
        [other, Wire::None] => one_only(
            facts,
            &facts.manager,
            other,
            "so no VM starts: \"vGPU is supported only on VGX capable boards\"",
        ),
        [_, wire] => match stale(facts, wire) {
            Some(finding) => finding,
            None => {
                let both = Finding::ok("both daemons are unlocked").seen_all(evidence);
                return [both].into_iter().chain(not_seen(facts, wire)).collect();
            }
        },
    };
    finding.into()
}

/// The wrapper or library that a daemon needs is not there.
fn absent(facts: &Facts<'_>, unit: &Unit, wire: &Wire) -> Option<Finding> {
    let (file, _) = wire.file()?;
    let path = facts.host.named(file);
    if !file.is_absolute() || unit.finds(&path) {
        return None;
    }
    let what = match wire {
        Wire::Library(..) => "the unlock library is missing, so the daemons run without it",
        _ => "the unlock wrapper is missing, so the daemons do not start",
    };
    let finding = Finding::problem(what)
        .seen_all(wire.evidence())
        .seen(path, "absent")
        .advise(format!("put it back at {}", file.display()))
        .advise(QUIET)
        .run("systemctl restart nvidia-vgpud nvidia-vgpu-mgr");
    Some(finding)
}

const NEITHER: &str = "no wrapper in ExecStart and no LD_PRELOAD, here or in its drop-ins";

fn one_only(facts: &Facts<'_>, unit: &Unit, other: &Wire, therefore: &str) -> Finding {
    let unread = "not read: its name does not end in .conf";
    let ignored = unit.ignored.iter().map(|path| Evidence::new(path, unread));
    Finding::problem(format!(
        "{} is not unlocked, but the other daemon is, {therefore}",
        unit.name
    ))
    .seen(unit.place(), NEITHER)
    .seen_all(ignored)
    .seen_all(other.evidence())
    .advise(QUIET)
    .then(other.for_other(facts.host, unit))
}

fn not_at_all(facts: &Facts<'_>) -> Finding {
    let cards = facts.unlocked();
    let [first, second] = facts.units();
    if cards.iter().any(|card| card.has_types()) {
        return Finding::note(
            "the daemons are not unlocked by a wrapper or LD_PRELOAD, but there are types: they \
             are unlocked in another way",
        )
        .seen(first.place(), NEITHER);
    }
    let message = format!(
        "{} is not a vGPU card, and neither daemon is unlocked",
        names(&cards)
    );
    Finding::problem(message)
        .seen(first.place(), NEITHER)
        .seen(second.place(), NEITHER)
        .advise(QUIET)
        .advise("build vgpu_unlock-rs, and replace PATH with the directory of its library:")
        .then(Wire::None.for_other(facts.host, first))
        .then(Wire::None.for_other(facts.host, second))
}

/// What a running manager has in its memory, of the first of those for which `is_it` is so of that.
fn maps(facts: &Facts<'_>, wire: &Wire, is_it: impl Fn(Option<&str>) -> bool) -> Option<PathBuf> {
    let Wire::Library(..) = wire else {
        return None;
    };
    let mut running = facts.managers.iter().flatten();
    let process = running.find(|process| {
        let maps = process.maps.as_ref().ok().and_then(|maps| maps.as_deref());
        is_it(maps.filter(|maps| !maps.is_empty()))
    })?;
    let dir = facts.host.processes().join(process.pid.to_string());
    Some(dir.join("maps"))
}

/// The manager was started before its drop-in was written.
fn stale(facts: &Facts<'_>, wire: &Wire) -> Option<Finding> {
    let without = |maps: Option<&str>| maps.is_some_and(|maps| !maps.contains(LIBRARY));
    let maps = maps(facts, wire, without)?;
    let message =
        "nvidia-vgpu-mgr is configured for the unlock, but runs without it: it was started before";
    let again = "systemctl stop nvidia-vgpu-mgr; killall nvidia-vgpu-mgr; \
                 systemctl start nvidia-vgpu-mgr";
    let finding = Finding::problem(message)
        .seen_all(wire.evidence())
        .seen(maps, "does not list the library")
        .advise("first shut down every VM that uses a vGPU, or it loses the vGPU")
        .run("systemctl daemon-reload")
        .run(again);
    Some(finding)
}

/// Whether the manager that runs has the library is for root to see.
fn not_seen(facts: &Facts<'_>, wire: &Wire) -> Option<Finding> {
    let maps = maps(facts, wire, |maps| maps.is_none())?;
    let message = "cannot tell whether the running nvidia-vgpu-mgr has loaded the unlock";
    let finding = Finding::unchecked(message)
        .seen(maps, "cannot be read")
        .advise("only root can see that: run it again with sudo");
    Some(finding)
}
