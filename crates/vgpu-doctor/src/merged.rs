//! A merged driver: a desktop driver's module with a vGPU manager of nearly the same version.

use super::facts::units::Unit;
use super::remedies::drop_in;
use super::unlock::QUIET;
use super::{Facts, Finding};

const NO_CHECK: &str = "__RM_NO_VERSION_CHECK";

/// Whether the daemons get along with a module of another version.
pub fn merged_driver(facts: &Facts<'_>) -> Vec<Finding> {
    let driver = &facts.driver;
    let (Some(module), Some((library, version))) = (&driver.module, &driver.manager) else {
        return Vec::new();
    };
    let both = |finding: Finding| {
        let finding = finding.seen(&module.path, &module.line);
        finding.seen(library, version)
    };
    if module.version == *version {
        let message = format!("module and vGPU manager are both {version}");
        return both(Finding::ok(message)).into();
    }
    let units = facts.units();
    if let Some(error) = units.iter().find_map(|unit| unit.unreadable.as_ref()) {
        return Finding::unreadable(error).into();
    }
    let is_told = |unit: &Unit| {
        unit.variable(NO_CHECK)
            .is_some_and(|(_, value)| value == "1")
    };
    let left: Vec<&Unit> = units.into_iter().filter(|unit| !is_told(unit)).collect();
    let message = format!(
        "the module is {}, the vGPU manager is {version}",
        module.version
    );
    let seen = |finding: Finding| match &driver.desktop_library {
        Some(path) => both(finding).seen(path, "has the module's version: a merged driver"),
        None => both(finding),
    };
    if left.is_empty() {
        let message =
            format!("{message}: a merged driver, and both daemons skip the version check");
        return seen(Finding::ok(message)).into();
    }
    if driver.desktop_library.is_none() {
        return seen(Finding::problem(format!("{message}: \"API mismatch\"")))
            .advise("after an update, the old module stays loaded until the reboot")
            .run("reboot")
            .into();
    }
    let names: Vec<&str> = left.iter().map(|unit| unit.name.as_str()).collect();
    let mut finding = seen(Finding::problem(format!(
        "{message}; the version check fails in {} (\"API mismatch\")",
        names.join(" and ")
    )));
    for unit in &left {
        let line = format!("Environment={NO_CHECK}=1");
        let absent = format!("no {NO_CHECK}=1 here or in its drop-ins");
        let step = drop_in(facts.host, &unit.name, "merged-driver.conf", &line);
        finding = finding.seen(unit.place(), absent).then([step]);
    }
    finding
        .advise(QUIET)
        .run("systemctl daemon-reload && systemctl restart nvidia-vgpud nvidia-vgpu-mgr")
        .into()
}
