//! Saved devices that another program makes, or is to make, in another way.

use super::facts::kernel::Distro;
use super::{Facts, Finding};
use vgpu_host::model::{Definition, FrameworkKind, proxmox_uuid};
use vgpu_host::store::Location;
use vgpu_plan::declare::{VmDevice, vm_devices};

/// Active devices without the parameters that are defined for them: Proxmox VE recreates a device
/// at each start of its VM, and gives it none.
pub fn with_other_params(facts: &Facts<'_>, definitions: &[Definition]) -> Vec<Finding> {
    let others = definitions.iter().filter_map(|definition| {
        let at = Location::of(definition);
        let mut all = facts.outlook.other_params.iter();
        Some((definition, &all.find(|(place, _)| *place == at)?.1))
    });
    let found = others.map(|(definition, now)| {
        let (uuid, program) = (definition.uuid, facts.program);
        let now = match now.is_empty() {
            true => "no parameters".to_owned(),
            false => now.to_string(),
        };
        let message = format!("{uuid} runs with {now}, which differs from its definition");
        let finding = Finding::warning(message).seen(facts.path(definition), "its parameters");
        match facts.distro {
            Distro::Proxmox => finding.advise(
                "Proxmox VE recreated it when the VM started; with the hookscript in \
                 examples/proxmox, it is created as defined from the VM's next start on",
            ),
            _ => finding
                .advise("if a VM uses it, shut down the VM first")
                .run(format!("{program} stop {uuid} && {program} start {uuid}")),
        }
    });
    found.collect()
}

/// Definitions under the UUID of a VM of Proxmox VE whose configuration wants another type, or another
/// place: while such a device is active, the VM does not start.
pub fn otherwise_in_proxmox(facts: &Facts<'_>, definitions: &[Definition]) -> Vec<Finding> {
    let mut found = Vec::new();
    for (vmid, text) in &facts.saved.vms {
        for device in vm_devices(text) {
            let uuid = proxmox_uuid(*vmid, device.index).ok();
            let same = definitions.iter().filter(|one| Some(one.uuid) == uuid);
            found.extend(same.filter_map(|definition| conflict(facts, *vmid, &device, definition)));
        }
    }
    found
}

fn conflict(
    facts: &Facts<'_>,
    vmid: u64,
    device: &VmDevice<'_>,
    definition: &Definition,
) -> Option<Finding> {
    let why = difference(device, definition)?;
    let (index, program) = (device.index, facts.program);
    let file = facts.host.proxmox_vm(Some(vmid));
    let message = format!(
        "VM {vmid} requests {why} for hostpci{index}, but that device is defined as {} on {}: \
         while it is active, Proxmox VE does not start the VM",
        definition.type_id, definition.parent
    );
    let finding = Finding::warning(message)
        .seen(&file, format!("line {} says {why}", device.line))
        .seen(facts.path(definition), "the definition")
        .run(format!("{program} remove {}", definition.uuid))
        .run(format!("{program} plan --from proxmox {}", file.display()));
    Some(finding)
}

/// What of it the definition is not.
fn difference(device: &VmDevice<'_>, definition: &Definition) -> Option<String> {
    if device.type_name != definition.type_id.as_str() {
        return Some(device.type_name.to_owned());
    }
    let address = device.host?;
    let place = definition.vf.as_ref().unwrap_or(&definition.parent);
    let is_known = definition.vf.is_some() || definition.framework == FrameworkKind::Mdev;
    // A definition on a GPU of virtual functions may leave open which of them it has.
    let is_there = place
        .as_str()
        .trim_start_matches("0000:")
        .starts_with(address)
        || place.as_str().starts_with(address);
    (is_known && !is_there).then(|| format!("{} on {address}", device.type_name))
}
