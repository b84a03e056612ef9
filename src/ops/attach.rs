//! `attach`: what to paste so that a virtual machine gets a device.

use std::sync::Arc;

use super::show::{ShowRequest, Shown, show};
use super::{Answer, Context, Selector};
use crate::attach::{
    Attachment, Block, Display, Format, Identity, LicenceServer, LookingGlass, Model, Slot, Source,
    libvirt_blocks, licence_blocks, proxmox_blocks, qemu_arguments, qemu_blocks,
};
use crate::error::{Error, Kind, Result, Warnings};
use crate::host::{GUEST_LICENCE_SETTINGS, GUEST_LICENCE_TOKEN};
use crate::model::{FrameworkKind, Holder, TypeId};
use crate::store::Location;

/// Which device is to be attached, to what, and how.
#[derive(Debug, Clone)]
pub struct AttachRequest {
    /// Which device.
    pub selector: Selector,
    /// Who is to read it.
    pub format: Format,
    /// The device's screen.
    pub display: Display,
    /// PCI ids for the guest to see.
    pub identity: Option<Identity>,
    /// Memory for Looking Glass.
    pub looking_glass: Option<LookingGlass>,
    /// The guest's licence server.
    pub licences: Option<LicenceServer>,
    /// Proxmox VE's id of the VM.
    pub vmid: Option<u64>,
    /// Proxmox VE's number of the device in the VM.
    pub index: Option<u64>,
}

/// What to paste.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attached {
    /// Which device.
    pub at: Location,
    /// Its type.
    pub type_id: TypeId,
    /// The type's name for people, where the parent tells it.
    pub type_name: Option<Arc<str>>,
    /// Whether it exists in the kernel.
    pub active: bool,
    /// Who is to read it.
    pub format: Format,
    /// The pieces, each with its place.
    pub blocks: Vec<Block>,
    /// QEMU's arguments one by one, without a shell's quotes; empty for others.
    pub arguments: Vec<String>,
}

/// A device that was found, and how it is to be attached.
pub(super) struct Prepared {
    pub shown: Shown,
    pub type_id: TypeId,
    pub attachment: Attachment,
    pub warnings: Warnings,
    pub notes: Vec<String>,
}

/// Says what to paste.
///
/// # Errors
/// It is neither active nor defined; a setting that the device, or the format, does not have.
pub fn attach(context: &Context<'_>, request: &AttachRequest) -> Result<Answer<Attached>> {
    if request.format != Format::Proxmox && (request.vmid.is_some() || request.index.is_some()) {
        return Err(Error::new(
            Kind::Usage,
            "a VM id and index apply to Proxmox VE only: use --format proxmox",
        ));
    }
    let Prepared {
        shown,
        type_id,
        attachment,
        warnings,
        mut notes,
    } = prepare(context, request)?;
    let type_name = shown.vgpu_type.as_ref().and_then(|t| t.name.clone());
    let mut arguments = Vec::new();
    let mut blocks = match request.format {
        Format::Libvirt => {
            notes.extend(libvirt_notes(&attachment));
            libvirt_blocks(&attachment)?
        }
        Format::Qemu => {
            arguments = qemu_arguments(&attachment);
            notes.extend(qemu_notes(&arguments));
            qemu_blocks(&attachment)?
        }
        Format::Proxmox => {
            let slot = slot(&shown, request)?;
            notes.extend(proxmox_notes(&shown, &type_id, slot));
            let file = context.host.proxmox_vm(slot.vmid);
            proxmox_blocks(&attachment, slot, &file.display().to_string())?
        }
    };
    if let Some(server) = &request.licences {
        let name = type_name.as_deref().unwrap_or(type_id.as_str());
        blocks.extend(licence_blocks(server, name, GUEST_LICENCE_SETTINGS)?);
        notes.push(format!(
            "a token-based licence server (NVIDIA DLS or CLS, vGPU 13 or newer) needs no address: \
             put the token in {GUEST_LICENCE_TOKEN}, on Windows in C:\\Program Files\\NVIDIA \
             Corporation\\vGPU Licensing\\ClientConfigToken"
        ));
    }
    if let [only] = blocks.as_slice() {
        notes.insert(0, format!("this belongs {}", only.whereto));
    }
    Ok(Answer {
        value: Attached {
            active: shown.running.is_some(),
            at: shown.at,
            type_id,
            type_name,
            format: request.format,
            blocks,
            arguments,
        },
        warnings,
        notes,
    })
}

/// What QEMU is to open: a mediated device by its UUID, a virtual function by its address.
fn source(context: &Context<'_>, shown: &Shown, type_id: &TypeId, model: Model) -> Result<Source> {
    if shown.at.framework == FrameworkKind::Mdev {
        return Ok(Source::Mdev {
            uuid: shown.at.uuid,
            parent: shown.at.parent.clone(),
            type_id: type_id.clone(),
            model,
            sysfs: context.host.mdev_device(shown.at.uuid),
        });
    }
    let Some(vf) = shown.vf() else {
        let uuid = shown.at.uuid;
        return Err(Error::new(
            Kind::Failed,
            format!("{uuid} is not active, so its virtual function is not known yet"),
        )
        .hint(format!(
            "vgpuctl start {uuid}, or define it on a virtual function: --parent VF"
        )));
    };
    Ok(Source::Vf {
        address: vf.as_str().parse()?,
        type_id: type_id.clone(),
        sysfs: context.host.pci_devices().join(vf.as_str()),
    })
}

/// Finds the device and how it is attached.
pub(super) fn prepare(context: &Context<'_>, request: &AttachRequest) -> Result<Prepared> {
    let selector = request.selector.clone();
    let mut answer = show(context, &ShowRequest { selector })?;
    let shown = answer.value;
    let Some(type_id) = shown.type_id.clone() else {
        let unreadable = answer.warnings.pop();
        let unknown = || Error::new(Kind::Failed, format!("{} has no known type", shown.at.uuid));
        return Err(unreadable.unwrap_or_else(unknown));
    };
    let mut notes = Vec::new();
    let api = shown.vgpu_type.as_ref().map(|t| t.device_api.as_deref());
    let model = match api.flatten() {
        Some(api) => Model::of_api(api)?,
        None => {
            let model = Model::guess(&type_id);
            notes.push(format!(
                "cannot read the device API of {type_id} on {}; assuming {}",
                shown.at.parent,
                model.as_str()
            ));
            model
        }
    };
    let attachment = Attachment {
        source: source(context, &shown, &type_id, model)?,
        display: request.display,
        identity: request.identity,
        memory: request
            .looking_glass
            .map(|option| option.memory(|name| context.host.shared_memory(name))),
    };
    attachment.check()?;
    notes.extend(state_notes(&shown, request.format));
    notes.extend(setting_notes(&attachment));
    Ok(Prepared {
        shown,
        type_id,
        attachment,
        warnings: answer.warnings,
        notes,
    })
}

fn state_notes(shown: &Shown, format: Format) -> Vec<String> {
    let uuid = shown.at.uuid;
    let mut notes = Vec::new();
    match &shown.running {
        // Proxmox VE makes the device itself.
        None if format == Format::Proxmox => {}
        None => notes.push(format!(
            "it is not active; before starting the virtual machine: vgpuctl start {uuid}"
        )),
        Some(running) => {
            if shown.definition_path.is_none() {
                notes.push(
                    "it has no definition: after a reboot it will be gone, and the virtual machine \
                     will not start"
                        .to_owned(),
                );
            }
            let holders = &running.holders.found;
            if !holders.is_empty() {
                let holders: Vec<String> = holders.iter().map(Holder::to_string).collect();
                notes.push(format!(
                    "it is in use by {}; only one virtual machine can use it at a time",
                    holders.join(", ")
                ));
            }
        }
    }
    notes
}

fn setting_notes(attachment: &Attachment) -> Vec<String> {
    let mut notes = Vec::new();
    if attachment.identity.is_some() {
        notes.push(
            "with another identity the guest's NVIDIA driver must be older than 450, and neither \
             CUDA nor OpenCL will work"
                .to_owned(),
        );
    }
    if let Some(memory) = &attachment.memory {
        notes.push(format!(
            "Looking Glass opens {}, which is owned by QEMU's user: give your user access to it, \
             and remove it when its size changes",
            memory.path.display()
        ));
    }
    notes
}

fn libvirt_notes(attachment: &Attachment) -> Option<String> {
    let has_screen = matches!(attachment.display, Display::On | Display::WithRamFb);
    has_screen.then(|| {
        "a display needs <graphics> in the domain: VNC, or SPICE with <gl enable='yes'/> if the \
         driver requires OpenGL"
            .to_owned()
    })
}

fn qemu_notes(arguments: &[String]) -> Option<String> {
    let names_vm = arguments.iter().any(|argument| argument == "-uuid");
    names_vm.then(|| {
        "-uuid identifies the virtual machine, which NVIDIA's vGPU manager requires; leave it out \
         if the command line already has one"
            .to_owned()
    })
}

/// Which of Proxmox VE's places is meant: what is said, else what the UUID says.
fn slot(shown: &Shown, request: &AttachRequest) -> Result<Slot> {
    let by_uuid = Slot::of_uuid(shown.at.uuid);
    let vmid = request.vmid.or_else(|| by_uuid?.vmid);
    let index = match by_uuid {
        Some(slot) if slot.vmid == vmid => slot.index,
        _ => 0,
    };
    Slot::new(vmid, request.index.unwrap_or(index))
}

fn proxmox_notes(shown: &Shown, type_id: &TypeId, slot: Slot) -> Vec<String> {
    let uuid = shown.at.uuid;
    if shown.at.framework == FrameworkKind::Vfio {
        return vec![
            "Proxmox VE sets this type on the function when the VM starts, whatever it held \
             before, and resets it when the VM stops: set vGPU parameters with the hookscript from \
             examples/proxmox"
                .to_owned(),
        ];
    }
    let mut notes =
        vec!["a VM can have only one args: line: if it already has one, add to it".to_owned()];
    let (Some(vmid), Some(wanted)) = (slot.vmid, slot.uuid()) else {
        notes.push(format!(
            "Proxmox VE uses this device only if {uuid} is the UUID that it assigns to the VM's \
             hostpci{}: specify the VM with --vmid",
            slot.index
        ));
        return notes;
    };
    if wanted != uuid {
        let parent = &shown.at.parent;
        let index = slot.index;
        notes.push(format!(
            "Proxmox VE will not use this device: for hostpci{index} of VM {vmid} it creates \
             {wanted} itself; to define that one instead: vgpuctl remove {uuid}, then vgpuctl \
             create --type {type_id} --parent {parent} --vmid {vmid}:{index}"
        ));
    }
    notes
}
