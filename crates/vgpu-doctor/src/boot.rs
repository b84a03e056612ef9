//! What brings devices back at the next boot: ours, and mdevctl's.

use std::path::{Path, PathBuf};

use super::facts::boot::Rule;
use super::facts::units::{Unit, words};
use super::remedies::usual;
use super::{Evidence, Facts, Finding, Severity};

const MDEVCTL: &str = "mdevctl";

/// How bad it is when nothing comes back: that depends on whether anything should.
fn severity(facts: &Facts<'_>) -> Severity {
    match facts.saved.at_boot() {
        0 => Severity::Note,
        _ => Severity::Problem,
    }
}

fn to_start(facts: &Facts<'_>) -> String {
    match facts.saved.at_boot() {
        1 => "1 definition is".to_owned(),
        count => format!("{count} definitions are"),
    }
}

/// Our udev rule and units are there, enabled, and find the program.
pub fn boot(facts: &Facts<'_>) -> Vec<Finding> {
    if !facts.is_for_vgpus() {
        return Vec::new();
    }
    let boot = &facts.boot;
    let (units, once) = ([&boot.once, &boot.each], &boot.once.name);
    if boot.rule.is_none() && units.iter().all(|unit| unit.file.is_none()) {
        return not_installed(facts).into();
    }
    let rule = usual(&facts.host.rule_dirs(), &boot.rule_name);
    let rule_missing = boot
        .rule
        .is_none()
        .then_some((rule, "absent, empty or masked"));
    let units_missing = units.iter().filter_map(|unit| match &unit.file {
        None => Some((usual(&facts.host.unit_dirs(), &unit.name), "absent")),
        Some(file) => unit.is_masked.then(|| (file.clone(), "masked")),
    });
    let missing = rule_missing.into_iter().chain(units_missing);
    let missing: Vec<Evidence> = missing
        .map(|(path, found)| Evidence::new(path, found))
        .collect();
    if !missing.is_empty() {
        let message = "the udev rule and units that restore devices at boot are incomplete";
        return Finding::new(severity(facts), message)
            .seen_all(missing)
            .run("make install")
            .run(format!("systemctl unmask {once}; systemctl enable {once}"))
            .into();
    }
    let Some(wanted_by) = &boot.once.wanted_by else {
        let message = format!(
            "{once} is not enabled: {} set to start at boot",
            to_start(facts)
        );
        return Finding::new(severity(facts), message)
            .seen(boot.once.place(), "not in the .wants of any target")
            .run(format!("systemctl enable {once}"))
            .into();
    };
    let mut lost = units.iter().filter_map(|unit| unreachable(facts, unit));
    if let Some(lost) = without_systemd(facts).or_else(|| lost.next()) {
        return lost.into();
    }
    let to_start = to_start(facts);
    Finding::ok(format!(
        "rule and units are installed and enabled; {to_start} set to start at boot"
    ))
    .seen(path_of(boot.rule.as_ref()), "present")
    .seen(wanted_by, "enabled")
    .into()
}

fn path_of(rule: Option<&Rule>) -> PathBuf {
    rule.map(|rule| rule.path.clone()).unwrap_or_default()
}

fn not_installed(facts: &Facts<'_>) -> Finding {
    let path = usual(&facts.host.rule_dirs(), &facts.boot.rule_name);
    if facts.saved.at_boot() == 0 {
        let message = format!(
            "{} is not installed to run at boot; there is nothing to restore yet",
            facts.program
        );
        return Finding::note(message)
            .seen(path, "absent")
            .run("make install");
    }
    let mut theirs = mdevctl_rule(facts).into_iter();
    let is_sound = theirs.all(|found| found.severity == Severity::Ok);
    if let (Some(other), true) = (&facts.boot.mdevctl, is_sound) {
        return Finding::note(format!(
            "{} set to start at boot, by mdevctl",
            to_start(facts)
        ))
        .seen(&other.path, "present")
        .seen(path, "absent");
    }
    let message = format!(
        "{} set to start at boot, but nothing is installed to do that",
        to_start(facts)
    );
    Finding::problem(message)
        .seen(path, "absent")
        .run("make install")
        .run(format!("systemctl enable {}", facts.boot.once.name))
}

/// On a host that runs without systemd, udev itself runs the program, out of its own directory.
fn without_systemd(facts: &Facts<'_>) -> Option<Finding> {
    let (boot, program) = (&facts.boot, facts.program);
    if boot.has_systemd || boot.is_beside_rules || facts.managers.is_none() {
        return None;
    }
    let message = format!("systemd is not running, and udev does not find {program}");
    let places = facts.host.rule_dirs().map(|dir| dir.with_file_name(""));
    let finding = Finding::new(severity(facts), message)
        .seen(path_of(boot.rule.as_ref()), format!("RUN calls {program}"))
        .seen(usual(&places, program), "absent, or a dangling link")
        .run("make install");
    Some(finding)
}

/// The unit's program is not where systemd looks for it.
fn unreachable(facts: &Facts<'_>, unit: &Unit) -> Option<Finding> {
    let setting = unit.exec_start.first()?;
    let program = words(&setting.value).into_iter().next()?;
    let places: Vec<PathBuf> = match program.starts_with('/') {
        true => vec![facts.host.named(Path::new(&program))],
        false => facts
            .host
            .program_dirs()
            .map(|dir| dir.join(&program))
            .into(),
    };
    if places.iter().any(|path| unit.finds(path)) {
        return None;
    }
    let message = format!("{} does not find its program {program}", unit.name);
    let absent = places
        .into_iter()
        .take(4)
        .map(|path| Evidence::new(path, "absent"));
    let finding = Finding::new(severity(facts), message)
        .seen_all([setting.as_evidence("ExecStart=")])
        .seen_all(absent)
        .run("make install");
    Some(finding)
}

/// mdevctl's rule calls a program that exists.
pub fn mdevctl_rule(facts: &Facts<'_>) -> Vec<Finding> {
    let Some(rule) = &facts.boot.mdevctl else {
        return Vec::new();
    };
    let Some(called) = &rule.calls else {
        let message = "cannot tell how mdevctl's rule calls mdevctl";
        return Finding::unchecked(message)
            .seen(&rule.path, "no path that ends in /mdevctl")
            .into();
    };
    if rule.is_found {
        let message = format!("mdevctl's rule calls {called}");
        return Finding::ok(message).seen(&rule.path, "present").into();
    }
    let (ours, program) = (facts.boot.rule.is_some(), facts.program);
    let severity = match (ours, facts.saved.at_boot()) {
        (true, _) => Severity::Note,
        (false, 0) => Severity::Warning,
        (false, _) => Severity::Problem,
    };
    let therefore = match ours {
        true => format!("; {program}'s own rule does the work"),
        false => ": it restores nothing".to_owned(),
    };
    let message = format!("mdevctl's rule calls {called}, which does not exist{therefore}");
    let found = Finding::new(severity, message)
        .seen(&rule.path, format!("RUN calls {called}"))
        .seen(facts.host.named(Path::new(called)), "absent");
    let finding = match facts.programs.get(MDEVCTL) {
        _ if ours => found,
        Some(real) => {
            let own = facts.host.own_name(real);
            let command = format!("ln -s {} {called}", own.display());
            found.seen(real, "present").run(command)
        }
        None => found.advise(format!(
            "reinstall mdevctl, or install {program} (make install)"
        )),
    };
    finding.into()
}

/// libvirt finds a program named mdevctl, with which it makes devices.
pub fn mdevctl_name(facts: &Facts<'_>) -> Vec<Finding> {
    let mut daemons = ["libvirtd", "virtnodedevd"].into_iter();
    let libvirt = daemons.find_map(|name| facts.programs.get(name));
    let Some(libvirt) = libvirt.filter(|_| facts.is_for_vgpus()) else {
        return Vec::new();
    };
    if let Some(path) = facts.programs.get(MDEVCTL) {
        return Finding::ok("libvirt finds mdevctl")
            .seen(path, "present")
            .into();
    }
    let place = usual(&facts.host.program_dirs(), MDEVCTL);
    Finding::warning(
        "libvirt does not find mdevctl, so `virsh nodedev-define` and `nodedev-start` fail",
    )
    .seen(libvirt, "present")
    .seen(place, "absent, as in all other program directories")
    .run("make install MDEVCTL=yes")
    .into()
}
