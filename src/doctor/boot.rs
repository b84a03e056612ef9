//! What brings devices back at the next boot: ours, and mdevctl's.

use std::path::{Path, PathBuf};

use super::facts::units::{Unit, words};
use super::{Evidence, Facts, Finding, Severity};

const RULE: &str = "60-vgpuctl.rules";
const ONCE: &str = "vgpuctl-restore.service";
const EACH: &str = "vgpuctl-restore@.service";
const PROGRAM: &str = "vgpuctl";
const MDEVCTL_RULE: &str = "60-mdevctl.rules";
const MDEVCTL: &str = "mdevctl";

/// A rule as udev reads it: the first of that name, unless it is a link to nothing.
fn rule(facts: &Facts<'_>, name: &str) -> Option<PathBuf> {
    let dirs = facts.look.host.rule_dirs().into_iter();
    let path = dirs
        .map(|dir| dir.join(name))
        .find(|path| facts.look.link(path).is_some() || facts.look.is_there(path))?;
    let text = facts.look.text(&path).ok().flatten()?;
    (!text.is_empty()).then_some(path)
}

/// How bad it is when nothing comes back: that depends on whether anything should.
fn severity(facts: &Facts<'_>) -> Severity {
    match facts.auto_definitions {
        0 => Severity::Note,
        _ => Severity::Problem,
    }
}

fn finding(severity: Severity, message: impl Into<String>) -> Finding {
    let mut finding = Finding::note(message);
    finding.severity = severity;
    finding
}

fn to_start(facts: &Facts<'_>) -> String {
    match facts.auto_definitions {
        1 => "1 definition is".to_owned(),
        count => format!("{count} definitions are"),
    }
}

/// Our udev rule and units are there, enabled, and find the program.
pub fn boot(facts: &Facts<'_>) -> Vec<Finding> {
    if !facts.is_for_vgpus() {
        return Vec::new();
    }
    let rule = rule(facts, RULE);
    let once = Unit::read(facts.look, ONCE);
    let each = Unit::read(facts.look, EACH);
    if rule.is_none() && once.file.is_none() && each.file.is_none() {
        return vec![not_installed(facts)];
    }
    let place = |dirs: &[PathBuf], name: &str| dirs.get(3).map(|dir| dir.join(name));
    let rules = place(&facts.look.host.rule_dirs(), RULE);
    let mut missing: Vec<Evidence> = Vec::new();
    let mut lacks = |path: Option<PathBuf>, found: &str| {
        missing.extend(path.map(|path| Evidence {
            path,
            found: found.to_owned(),
        }));
    };
    if rule.is_none() {
        lacks(rules, "absent, empty or masked");
    }
    for unit in [&once, &each] {
        let dirs = facts.look.host.unit_dirs();
        match (&unit.file, unit.is_masked) {
            (None, _) => lacks(place(&dirs, &unit.name), "absent"),
            (Some(file), true) => lacks(Some(file.clone()), "masked"),
            (Some(_), false) => {}
        }
    }
    if !missing.is_empty() {
        return vec![
            finding(
                severity(facts),
                "what brings devices back at boot is not whole",
            )
            .seen_all(missing)
            .run("make install")
            .run(format!("systemctl unmask {ONCE}; systemctl enable {ONCE}")),
        ];
    }
    if once.wanted_by.is_none() {
        let file = once.file.clone().unwrap_or_default();
        return vec![
            finding(
                severity(facts),
                format!(
                    "{ONCE} is not enabled: {} to start at boot",
                    to_start(facts)
                ),
            )
            .seen(file, "in no target's .wants")
            .run(format!("systemctl enable {ONCE}")),
        ];
    }
    if let Some(dangling) = without_systemd(facts, rule.as_deref()) {
        return vec![dangling];
    }
    if let Some(unreachable) = [&once, &each]
        .iter()
        .find_map(|unit| unreachable(facts, unit))
    {
        return vec![unreachable];
    }
    vec![
        Finding::ok(format!(
            "rule and units are installed and enabled; {} to start",
            to_start(facts)
        ))
        .seen(rule.unwrap_or_default(), "present")
        .seen(once.wanted_by.unwrap_or_default(), "enabled"),
    ]
}

fn not_installed(facts: &Facts<'_>) -> Finding {
    let path = facts
        .look
        .host
        .rule_dirs()
        .into_iter()
        .nth(3)
        .unwrap_or_default()
        .join(RULE);
    if facts.auto_definitions == 0 {
        return Finding::note(
            "nothing of vgpuctl's runs at boot; nothing is to be brought back yet",
        )
        .seen(path, "absent")
        .run("make install");
    }
    let theirs = mdevctl_rule(facts);
    let is_sound = theirs.iter().all(|found| found.severity == Severity::Ok);
    if let (Some(other), true) = (rule(facts, MDEVCTL_RULE), is_sound) {
        return Finding::note(format!("{} to start at boot, by mdevctl", to_start(facts)))
            .seen(other, "present")
            .seen(path, "absent");
    }
    Finding::problem(format!(
        "{} to start at boot, and nothing does that",
        to_start(facts)
    ))
    .seen(path, "absent")
    .run("make install")
    .run(format!("systemctl enable {ONCE}"))
}

/// On a host that runs without systemd, udev itself runs the program, out of its own directory.
fn without_systemd(facts: &Facts<'_>, rule: Option<&Path>) -> Option<Finding> {
    let look = facts.look;
    if look.is_there(&look.host.systemd_runs()) || !facts.processes.is_known {
        return None;
    }
    let places = look.host.rule_dirs().map(|dir| dir.with_file_name(PROGRAM));
    if places.iter().any(|path| look.is_there(path)) {
        return None;
    }
    let message = format!("systemd does not run here, and udev does not find {PROGRAM}");
    let place = places.into_iter().nth(3).unwrap_or_default();
    Some(
        finding(severity(facts), message)
            .seen(
                rule.unwrap_or(Path::new("")),
                format!("RUN calls {PROGRAM}"),
            )
            .seen(place, "absent, or a link to nothing")
            .run("make install"),
    )
}

/// The unit's program is not where systemd looks for it.
fn unreachable(facts: &Facts<'_>, unit: &Unit) -> Option<Finding> {
    let setting = unit.exec_start.first()?;
    let program = words(&setting.value).into_iter().next()?;
    let places: Vec<PathBuf> = match program.starts_with('/') {
        true => vec![facts.look.host.named(Path::new(&program))],
        false => facts
            .look
            .host
            .program_dirs()
            .map(|dir| dir.join(&program))
            .into(),
    };
    if places.iter().any(|path| facts.look.is_there(path)) {
        return None;
    }
    let mut finding = finding(
        severity(facts),
        format!("{} does not find its program {program}", unit.name),
    )
    .seen(&setting.path, format!("ExecStart={}", setting.value));
    for path in places.into_iter().take(4) {
        finding = finding.seen(path, "absent");
    }
    Some(finding.run("make install"))
}

/// mdevctl's rule calls a program that exists.
pub fn mdevctl_rule(facts: &Facts<'_>) -> Vec<Finding> {
    let Some(path) = rule(facts, MDEVCTL_RULE) else {
        return Vec::new();
    };
    let text = facts.look.text(&path).ok().flatten().unwrap_or_default();
    let Some(called) = called(&text) else {
        return vec![
            Finding::unchecked("mdevctl's rule calls mdevctl in a way that is not known")
                .seen(path, "no path that ends in /mdevctl"),
        ];
    };
    let program = facts.look.host.named(Path::new(&called));
    if facts.look.is_there(&program) {
        return vec![Finding::ok(format!("mdevctl's rule calls {called}")).seen(path, "present")];
    }
    let ours = rule(facts, RULE).is_some();
    let severity = match (ours, facts.auto_definitions) {
        (true, _) => Severity::Note,
        (false, 0) => Severity::Warning,
        (false, _) => Severity::Problem,
    };
    let dirs = facts.look.host.program_dirs().into_iter();
    let real = dirs
        .map(|dir| dir.join(MDEVCTL))
        .find(|path| facts.look.is_there(path));
    let message = match ours {
        true => format!(
            "mdevctl's rule calls {called}, which is not there; {PROGRAM}'s own does the work"
        ),
        false => {
            format!("mdevctl's rule calls {called}, which is not there: it brings nothing back")
        }
    };
    let found = finding(severity, message)
        .seen(path, format!("RUN calls {called}"))
        .seen(program, "absent");
    if ours {
        return vec![found];
    }
    vec![match real {
        Some(real) => {
            let own = facts.look.host.own_name(&real);
            let command = format!("ln -s {} {called}", own.display());
            found.seen(real, "present").run(command)
        }
        None => found.advise("install mdevctl again, or make install of vgpuctl"),
    }]
}

/// libvirt finds a program named mdevctl, with which it makes devices.
pub fn mdevctl_name(facts: &Facts<'_>) -> Vec<Finding> {
    let find = |name: &str| {
        let dirs = facts.look.host.program_dirs().into_iter();
        dirs.map(|dir| dir.join(name))
            .find(|path| facts.look.is_there(path))
    };
    let Some(libvirt) = find("libvirtd").or_else(|| find("virtnodedevd")) else {
        return Vec::new();
    };
    if !facts.is_for_vgpus() {
        return Vec::new();
    }
    if let Some(path) = find(MDEVCTL) {
        return vec![Finding::ok("libvirt finds mdevctl").seen(path, "present")];
    }
    let place = facts
        .look
        .host
        .program_dirs()
        .into_iter()
        .nth(3)
        .unwrap_or_default();
    vec![
        Finding::warning("libvirt finds no mdevctl, so `virsh nodedev-define` and -start fail")
            .seen(libvirt, "present")
            .seen(
                place.join(MDEVCTL),
                "absent, as in every other directory of programs",
            )
            .run("make install MDEVCTL=yes"),
    ]
}

/// The path by which a rule calls mdevctl.
fn called(rule: &str) -> Option<String> {
    let lines = rule.lines().map(str::trim_start);
    let mut words = lines
        .filter(|line| !line.starts_with('#'))
        .flat_map(|line| line.split(|c: char| c.is_whitespace() || "\"'=,{}".contains(c)));
    words
        .find(|word| word.starts_with('/') && word.ends_with("/mdevctl"))
        .map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::called;

    #[test]
    fn the_path_is_found_in_the_rules_that_distributions_ship() {
        let debian = "# /x/mdevctl\nACTION==\"change\", ENV{MDEV_STATE}==\"registered\", \
            TEST==\"/etc/mdevctl.d/$kernel\", RUN+=\"/bin/sh -c '{ /usr/sbin/mdevctl \
            start-parent-mdevs %k 2>&3 | logger -t mdevctl; } 3>&1'\"\n";
        assert_eq!(called(debian).as_deref(), Some("/usr/sbin/mdevctl"));
        assert_eq!(
            called("RUN+=\"/usr/bin/mdevctl start-parent-mdevs %k\"").as_deref(),
            Some("/usr/bin/mdevctl")
        );
        assert_eq!(
            called("ACTION==\"change\", TEST==\"/etc/mdevctl.d/$kernel\""),
            None
        );
    }
}
