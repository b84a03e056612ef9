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
    if module.version == *version {
        return vec![
            Finding::ok(format!("module and vGPU manager are both {version}"))
                .seen(&module.path, &module.line)
                .seen(library, version),
        ];
    }
    let left: Vec<&Unit> = [&facts.vgpud, &facts.manager]
        .into_iter()
        .filter(|unit| {
            unit.variable(NO_CHECK)
                .is_none_or(|(_, value)| value != "1")
        })
        .collect();
    let message = format!(
        "the module is {}, the vGPU manager {version}",
        module.version
    );
    let seen = |finding: Finding| {
        let finding = finding
            .seen(&module.path, &module.line)
            .seen(library, version);
        match &driver.desktop_library {
            Some(path) => finding.seen(path, "of the module's version: a merged driver"),
            None => finding,
        }
    };
    let units = [&facts.vgpud, &facts.manager];
    if let Some(error) = units.iter().find_map(|unit| unit.unreadable.as_ref()) {
        return vec![Finding::unreadable(error)];
    }
    if left.is_empty() {
        return vec![seen(Finding::ok(format!(
            "{message}: a merged driver, and both daemons are told"
        )))];
    }
    if driver.desktop_library.is_none() {
        return vec![
            seen(Finding::problem(format!("{message}: \"API mismatch\"")))
                .advise("after an update, the old module runs until the reboot")
                .run("reboot"),
        ];
    }
    let names: Vec<&str> = left.iter().map(|unit| unit.name.as_str()).collect();
    let mut finding = seen(Finding::problem(format!(
        "{message}, and {} refuses that (\"API mismatch\")",
        names.join(" and ")
    )));
    for unit in &left {
        let file = unit.file.clone().unwrap_or_default();
        let line = format!("Environment={NO_CHECK}=1");
        finding = finding
            .seen(file, format!("no {NO_CHECK}=1, nor in its drop-ins"))
            .then([drop_in(
                facts.look.host,
                &unit.name,
                "merged-driver.conf",
                &line,
            )]);
    }
    vec![
        finding
            .advise(QUIET)
            .run("systemctl daemon-reload && systemctl restart nvidia-vgpud nvidia-vgpu-mgr"),
    ]
}
