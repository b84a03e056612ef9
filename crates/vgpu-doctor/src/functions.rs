//! What is set and defined for virtual functions.

use std::collections::BTreeMap;

use super::definitions::{finding, listed, told};
use super::{Evidence, Facts, Finding};
use vgpu_host::model::{Definition, FrameworkKind, Parent, ParentId, StartMode};
use vgpu_host::store::{FunctionsAtBoot, GPU_SETTINGS, GpuSettings, Sizes};

const NOT_ENABLED: &str = "vfs = enable is not set";

/// Each GPU's settings can be read, are for a GPU with virtual functions, and bring those back that
/// definitions need.
pub fn settings(facts: &Facts<'_>, definitions: &[Definition]) -> Vec<Finding> {
    let (all, unread) = match &facts.saved.settings {
        Ok(settings) => settings,
        Err(error) => return Finding::unreadable(error).into(),
    };
    // Odd directories are told of with the definitions.
    let bad = unread
        .iter()
        .filter_map(|error| Some((error, error.path()?)));
    let bad = bad.filter(|(_, path)| path.ends_with(GPU_SETTINGS));
    let mut found: Vec<Finding> = bad.map(|(error, _)| told(error)).collect();
    let set = all.iter();
    found.extend(set.filter_map(|(gpu, settings)| nothing_to_set(facts, gpu, settings)));
    for (gpu, names) in started_on(facts, definitions) {
        let own = facts.settings_path(&gpu);
        let is_unread = unread.iter().any(|error| error.path() == Some(&own));
        let mut of_gpu = all.iter().filter(|(id, _)| *id == gpu);
        let comes_back = of_gpu.any(|(_, settings)| settings.functions == FunctionsAtBoot::Enable);
        if !comes_back && !is_unread && !facts.outlook.switches_functions {
            found.extend(lost_at_reboot(facts, &gpu, &names));
        }
    }
    found
}

fn nothing_to_set(facts: &Facts<'_>, gpu: &ParentId, settings: &GpuSettings) -> Option<Finding> {
    if !matches!(facts.saved.sriov.get(gpu), Some(Ok(None))) {
        return None;
    }
    let asked = match settings.functions {
        FunctionsAtBoot::Enable => "vfs = enable",
        FunctionsAtBoot::Leave if settings.sizes == Sizes::Mixed => "mixed-sizes = yes",
        FunctionsAtBoot::Leave => "mig is set",
    };
    let moved = facts.outlook.moved_settings.get(gpu).map(String::as_str);
    let advice =
        moved.unwrap_or("remove the file, or move it to the directory of the intended GPU");
    let message =
        format!("settings are for {gpu}, which does not exist, is not a GPU, or has no SR-IOV");
    let finding = Finding::problem(message)
        .seen(facts.settings_path(gpu), asked)
        .advise(advice)
        .run(format!("{} vfs", facts.program));
    Some(finding)
}

/// What a GPU's settings and definitions say of its functions, where those are off.
pub fn off(facts: &Facts<'_>, gpu: &str, finding: Finding) -> Finding {
    let Ok(gpu) = gpu.parse::<ParentId>() else {
        return finding;
    };
    let (path, program) = (facts.settings_path(&gpu), facts.program);
    let mut set = facts.saved.settings.iter().flat_map(|(all, _)| all);
    if set.any(|(id, settings)| *id == gpu && settings.functions == FunctionsAtBoot::Enable) {
        return finding
            .seen(path, "vfs = enable, so boot should have switched them on")
            .run(format!("systemctl restart {}", facts.boot.once.name))
            .run(format!("journalctl -b -u {}", facts.boot.once.name));
    }
    let all = facts.saved.all().iter();
    let finding = match all.filter(|definition| definition.parent == gpu).count() {
        0 => finding,
        1 => finding.seen(path, format!("{NOT_ENABLED}, with 1 definition")),
        count => finding.seen(path, format!("{NOT_ENABLED}, with {count} definitions")),
    };
    finding
        .run(format!("{program} vfs enable {gpu} --at-boot"))
        .advise("with --at-boot they are on after every boot; otherwise a reboot turns them off")
}

fn at_boot(definitions: &[Definition]) -> impl Iterator<Item = &Definition> {
    let all = definitions.iter();
    all.filter(|definition| definition.start == StartMode::Auto)
}

/// Which definitions start at boot on the functions of each GPU.
fn started_on(facts: &Facts<'_>, definitions: &[Definition]) -> BTreeMap<ParentId, Vec<String>> {
    let mut names: BTreeMap<ParentId, Vec<String>> = BTreeMap::new();
    for definition in at_boot(definitions) {
        let gpu = facts.gpu_of(&definition.parent);
        if definition.framework == FrameworkKind::Vfio || gpu != definition.parent {
            let uuid = definition.uuid.to_string();
            names.entry(gpu).or_default().push(uuid);
        }
    }
    names
}

/// They are on now, and nothing that is known of switches them on at the next boot.
fn lost_at_reboot(facts: &Facts<'_>, gpu: &ParentId, names: &[String]) -> Option<Finding> {
    // Where they are off already, that is the trouble.
    if facts.saved.sriov_gpu(gpu)?.functions.is_empty() {
        return None;
    }
    let who = match names.len() {
        1 => "1 definition starts".to_owned(),
        count => format!("{count} definitions start"),
    };
    let message = format!(
        "{who} at boot on virtual functions of {gpu}, which will be off then: {}",
        listed(names)
    );
    let finding = Finding::warning(message)
        .seen(facts.settings_path(gpu), NOT_ENABLED)
        .run(format!("{} vfs enable {gpu} --at-boot", facts.program));
    Some(finding)
}

/// A function takes one vGPU, whatever its framework.
pub fn crowded(facts: &Facts<'_>, definitions: &[Definition]) -> Vec<Finding> {
    let mut by_function: BTreeMap<&ParentId, Vec<&Definition>> = BTreeMap::new();
    for definition in at_boot(definitions) {
        let function = definition.vf.as_ref().unwrap_or(&definition.parent);
        if definition.vf.is_some() || facts.gpu_of(function) != *function {
            by_function.entry(function).or_default().push(definition);
        }
    }
    let mut found = Vec::new();
    for (function, all) in by_function {
        let [_, second, ..] = all.as_slice() else {
            continue;
        };
        let message = format!(
            "{} definitions start at boot on the virtual function {function}, which holds only \
             one vGPU",
            all.len()
        );
        let on = format!("on {function}");
        let seen = all.iter().map(|one| Evidence::new(facts.path(one), &on));
        let modify = format!("{} modify {}", facts.program, second.uuid);
        found.push(
            Finding::problem(message)
                .seen_all(seen)
                .run(match second.framework {
                    FrameworkKind::Vfio => format!("{modify} --vf any"),
                    FrameworkKind::Mdev => format!("{modify} --parent {} --manual", second.parent),
                }),
        );
    }
    found
}

/// Definitions that name a function which their GPU does not have.
pub fn no_function(
    facts: &Facts<'_>,
    parent: &Parent,
    definitions: &[&Definition],
) -> Vec<Finding> {
    let Some(gpu) = facts.saved.sriov_gpu(parent.gpu()) else {
        return Vec::new();
    };
    let named = definitions
        .iter()
        .filter_map(|d| Some((*d, d.vf.as_ref()?)));
    let gone = named.filter(|(_, vf)| !gpu.functions.contains(vf));
    gone.map(|(definition, vf)| {
        let (uuid, id, program) = (definition.uuid, &parent.id, facts.program);
        let message = format!("{uuid} is for the virtual function {vf}, which {id} does not have");
        finding(&[definition], message)
            .seen(facts.path(definition), format!("vf {vf}"))
            .run(format!("{program} vfs {id}"))
            .run(format!("{program} modify {uuid} --vf any"))
            .advise(format!(
                "it gets a free function at its next start; then update the virtual machine: \
                 {program} attach {uuid}"
            ))
    })
    .collect()
}
