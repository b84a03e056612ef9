//! What is set and defined for virtual functions.

use std::collections::BTreeMap;

use super::definitions::{finding, listed, path, told};
use super::{Facts, Finding};
use crate::model::{Definition, FrameworkKind, Parent, ParentId, StartMode};
use crate::ops::{Context, is_switched_by_another, moved_settings_hint};
use crate::store::{FunctionsAtBoot, GPU_SETTINGS, GpuSettings};

/// Each GPU's settings can be read, are for a GPU with virtual functions, and bring those back that
/// definitions need.
pub fn settings(
    facts: &Facts<'_>,
    context: &Context<'_>,
    definitions: &[Definition],
) -> Vec<Finding> {
    let mut bad = Vec::new();
    let all = match context.store.gpu_settings(&mut bad) {
        Ok(all) => all,
        Err(error) => return vec![Finding::unreadable(&error)],
    };
    // Odd directories are told of with the definitions.
    bad.retain(|error| {
        error
            .path()
            .is_some_and(|path| path.ends_with(GPU_SETTINGS))
    });
    let mut found: Vec<Finding> = bad.iter().map(told).collect();
    let unread = |gpu: &ParentId| {
        let own = context.store.settings_path(gpu);
        bad.iter().any(|error| error.path() == Some(&own))
    };
    for (gpu, settings) in &all {
        found.extend(nothing_to_set(context, gpu, *settings));
    }
    for (gpu, names) in started_on(context, definitions) {
        let mut of_gpu = all.iter().filter(|(id, _)| *id == gpu);
        let comes_back = of_gpu.any(|(_, settings)| settings.functions == FunctionsAtBoot::Enable);
        if !comes_back && !unread(&gpu) && !is_switched_by_another(facts.look.host) {
            found.extend(lost_at_reboot(context, &gpu, &names));
        }
    }
    found
}

fn nothing_to_set(context: &Context<'_>, gpu: &ParentId, settings: GpuSettings) -> Option<Finding> {
    if !matches!(context.kernel.sriov_gpu(gpu), Ok(None)) {
        return None;
    }
    let asked = match settings.functions {
        FunctionsAtBoot::Enable => "vfs = enable",
        FunctionsAtBoot::Leave => "mixed-sizes = yes",
    };
    let moved = moved_settings_hint(context, gpu);
    let message =
        format!("settings are for {gpu}, which is not there, is no GPU, or has no SR-IOV");
    Some(
        Finding::problem(message)
            .seen(context.store.settings_path(gpu), asked)
            .advise(moved.as_deref().unwrap_or(
                "take the file away, or move it to the directory of the GPU that is meant",
            ))
            .run("vgpuctl vfs"),
    )
}

/// What a GPU's settings and definitions say of its functions, where those are off.
pub fn off(facts: &Facts<'_>, gpu: &str, finding: Finding) -> Finding {
    let context = Context::of(facts.look.host);
    let Ok(gpu) = gpu.parse::<ParentId>() else {
        return finding;
    };
    let path = context.store.settings_path(&gpu);
    let settings = context.store.settings_of(&gpu).unwrap_or_default();
    if settings.functions == FunctionsAtBoot::Enable {
        return finding
            .seen(path, "vfs = enable, so boot should have switched them on")
            .run("systemctl restart vgpuctl-restore.service")
            .run("journalctl -b -u vgpuctl-restore.service");
    }
    let all = context.store.of_parent(&gpu, &mut Vec::new());
    let count = all.unwrap_or_default().len();
    let finding = match count {
        0 => finding,
        1 => finding.seen(path, "no line vfs = enable, beside 1 definition"),
        _ => finding.seen(
            path,
            format!("no line vfs = enable, beside {count} definitions"),
        ),
    };
    finding
        .run(format!("vgpuctl vfs enable {gpu} --at-boot"))
        .advise("with --at-boot they come back at every reboot, where they are lost otherwise")
}

/// Which definitions start at boot on the functions of each GPU.
fn started_on(
    context: &Context<'_>,
    definitions: &[Definition],
) -> BTreeMap<ParentId, Vec<String>> {
    let mut names: BTreeMap<ParentId, Vec<String>> = BTreeMap::new();
    for definition in definitions.iter().filter(|d| d.start == StartMode::Auto) {
        let gpu = context.kernel.gpu_of(&definition.parent);
        if definition.framework == FrameworkKind::Vfio || gpu != definition.parent {
            let uuid = definition.uuid.to_string();
            names.entry(gpu).or_default().push(uuid);
        }
    }
    names
}

/// They are on now, and nothing that is known of switches them on at the next boot.
fn lost_at_reboot(context: &Context<'_>, gpu: &ParentId, names: &[String]) -> Option<Finding> {
    let found = context.kernel.sriov_gpu(gpu).ok()??;
    // Where they are off already, that is the trouble.
    if found.functions.is_empty() {
        return None;
    }
    let who = match names.len() {
        1 => "1 definition starts".to_owned(),
        count => format!("{count} definitions start"),
    };
    let message = format!(
        "{who} at boot on virtual functions of {gpu}, which are off then: {}",
        listed(names)
    );
    Some(
        Finding::warning(message)
            .seen(context.store.settings_path(gpu), "no line vfs = enable")
            .run(format!("vgpuctl vfs enable {gpu} --at-boot")),
    )
}

/// A function takes one vGPU, whatever its framework.
pub fn crowded(context: &Context<'_>, definitions: &[Definition]) -> Vec<Finding> {
    let mut by_function: BTreeMap<&ParentId, Vec<&Definition>> = BTreeMap::new();
    for definition in definitions.iter().filter(|d| d.start == StartMode::Auto) {
        let function = definition.vf.as_ref().unwrap_or(&definition.parent);
        if definition.vf.is_some() || context.kernel.gpu_of(function) != *function {
            by_function.entry(function).or_default().push(definition);
        }
    }
    let several = by_function.into_iter().filter(|(_, all)| all.len() > 1);
    several
        .map(|(function, all)| {
            let message = format!(
                "{} definitions start at boot on the virtual function {function}, which takes one vGPU",
                all.len()
            );
            let seen = all.iter().fold(Finding::problem(message), |finding, one| {
                finding.seen(path(context, one), format!("on {function}"))
            });
            let (uuid, parent) = (all[1].uuid, &all[1].parent);
            match all[1].framework {
                FrameworkKind::Vfio => seen.run(format!("vgpuctl modify {uuid} --vf any")),
                FrameworkKind::Mdev => {
                    seen.run(format!("vgpuctl modify {uuid} --parent {parent} --manual"))
                }
            }
        })
        .collect()
}

/// Definitions that name a function which their GPU does not have.
pub fn no_function(
    context: &Context<'_>,
    parent: &Parent,
    definitions: &[Definition],
) -> Vec<Finding> {
    let Ok(Some(gpu)) = context.kernel.sriov_gpu(parent.gpu()) else {
        return Vec::new();
    };
    let named = definitions.iter().filter_map(|d| Some((d, d.vf.as_ref()?)));
    named
        .filter(|(_, vf)| !gpu.functions.contains(vf))
        .map(|(definition, vf)| {
            let uuid = definition.uuid;
            let message = format!(
                "{uuid} is for the virtual function {vf}, which {} does not have",
                parent.id
            );
            finding(&[definition], message)
                .seen(path(context, definition), format!("vf {vf}"))
                .run(format!("vgpuctl vfs {}", parent.id))
                .run(format!("vgpuctl modify {uuid} --vf any"))
                .advise(format!(
                    "it gets a free function at its next start; then change the virtual machine: \
                     vgpuctl attach {uuid}"
                ))
        })
        .collect()
}
