//! Saved devices that another program makes, or is to make, in another way.

use super::definitions::path;
use super::facts::kernel::Distro;
use super::{Facts, Finding};
use crate::declare::{VmDevice, vm_devices};
use crate::model::{Definition, FrameworkKind, proxmox_uuid};
use crate::ops::{Context, other_params};

/// Active devices without the parameters that are defined for them: Proxmox VE makes a device anew
/// at each start of its VM, and gives it none.
pub fn with_other_params(
    facts: &Facts<'_>,
    context: &Context<'_>,
    definitions: &[Definition],
) -> Vec<Finding> {
    let others = definitions
        .iter()
        .filter_map(|definition| Some((definition, other_params(context, definition)?)));
    let found = others.map(|(definition, (_, now))| {
        let uuid = definition.uuid;
        let now = match now.is_empty() {
            true => "no parameters".to_owned(),
            false => now.to_string(),
        };
        let message = format!("{uuid} runs with {now}, not with what its definition says");
        let finding = Finding::warning(message).seen(path(context, definition), "its parameters");
        match facts.distro {
            Distro::Proxmox => finding.advise(
                "Proxmox VE made it anew when the VM started; the hookscript of examples/proxmox \
                 has it made as it is defined, from the VM's next start on",
            ),
            _ => finding
                .advise("where a VM uses it, shut that down first")
                .run(format!("vgpuctl stop {uuid} && vgpuctl start {uuid}")),
        }
    });
    found.collect()
}

/// Definitions under the UUID of a VM of Proxmox VE whose configuration wants another type, or another
/// place: while such a device is active, the VM does not start.
pub fn otherwise_in_proxmox(
    facts: &Facts<'_>,
    context: &Context<'_>,
    definitions: &[Definition],
) -> Vec<Finding> {
    let host = facts.look.host;
    let mut found = Vec::new();
    for name in facts.look.names_or_none(&host.proxmox_vms()) {
        let Some(vmid) = name.strip_suffix(".conf").and_then(|id| id.parse().ok()) else {
            continue;
        };
        let file = host.proxmox_vm(Some(vmid));
        let Ok(Some(text)) = facts.look.text(&file) else {
            continue;
        };
        for device in vm_devices(&text) {
            let uuid = proxmox_uuid(vmid, device.index).ok();
            let same = definitions.iter().filter(|one| Some(one.uuid) == uuid);
            for definition in same {
                let Some(why) = difference(&device, definition) else {
                    continue;
                };
                let index = device.index;
                let message = format!(
                    "VM {vmid} wants {why} for hostpci{index}, whose device is defined as {} on {}: \
                     while that is active, Proxmox VE does not start the VM",
                    definition.type_id, definition.parent
                );
                let line = format!("line {} says {why}", device.line);
                found.push(
                    Finding::warning(message)
                        .seen(&file, line)
                        .seen(path(context, definition), "the definition")
                        .run(format!("vgpuctl remove {}", definition.uuid))
                        .run(format!("vgpuctl plan --from proxmox {}", file.display())),
                );
            }
        }
    }
    found
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
