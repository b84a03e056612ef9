//! A device as lines of a Proxmox VE VM's configuration (qm.conf(5)).

use uuid::Uuid;

use super::qemu::{memory_arguments, quote};
use super::{Attachment, Block, Display, PciAddress, Place, Source};
use crate::error::{Error, Kind, Result};
use crate::model::{check_proxmox_slot, proxmox_uuid};

/// The place of a device in a VM: hostpci0 of VM 100.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slot {
    /// The VM's id, where it is known.
    pub vmid: Option<u64>,
    /// The number behind `hostpci`.
    pub index: u64,
}

impl Slot {
    /// The slot of that index, in the VM of that id.
    ///
    /// # Errors
    /// [`Kind::Usage`] for numbers that Proxmox VE does not take.
    pub fn new(vmid: Option<u64>, index: u64) -> Result<Slot> {
        check_proxmox_slot(vmid, index)?;
        Ok(Slot { vmid, index })
    }

    /// The slot whose device has that UUID.
    pub fn of_uuid(uuid: Uuid) -> Option<Slot> {
        let text = uuid.to_string();
        let index = text.get(..8)?.parse().ok()?;
        let vmid = text.get(24..)?.parse().ok()?;
        let slot = Slot::new(Some(vmid), index).ok()?;
        (slot.uuid() == Some(uuid)).then_some(slot)
    }

    /// The UUID that Proxmox VE gives the slot's mediated device.
    pub fn uuid(self) -> Option<Uuid> {
        proxmox_uuid(self.vmid?, self.index).ok()
    }
}

/// The lines for that slot; `file` names the configuration for people.
///
/// # Errors
/// [`Kind::Usage`] for a device or a setting that Proxmox VE has no words for.
pub fn proxmox_blocks(attachment: &Attachment, slot: Slot, file: &str) -> Result<Vec<Block>> {
    attachment.check()?;
    if attachment.display != Display::Unsaid {
        return Err(Error::new(
            Kind::Usage,
            "Proxmox VE has no setting for a vGPU's display or ramfb",
        ));
    }
    let memory = attachment
        .memory
        .iter()
        .flat_map(memory_arguments)
        .map(|word| quote(&word))
        .collect::<Vec<_>>();
    let mut text = hostpci(attachment, slot)?;
    if !memory.is_empty() {
        text += &format!("args: {}\n", memory.join(" "));
    }
    let mut blocks = vec![Block {
        place: Place::ProxmoxConfig,
        whereto: format!("in {file}"),
        text,
    }];
    if let Source::Mdev { uuid, .. } = &attachment.source {
        // The VM has one UUID, whichever of its devices this is: that of the first.
        let first = Slot { index: 0, ..slot };
        let mut words = vec![
            "-uuid".to_owned(),
            first.uuid().unwrap_or(*uuid).to_string(),
        ];
        words.extend(memory);
        blocks.push(Block {
            place: Place::ProxmoxOlder,
            whereto: "and there, as the only line args:, on an older Proxmox VE, where the vGPU \
                      manager logs \"Failed to get VM UUID from QEMU command-line\""
                .into(),
            text: format!("args: {}\n", words.join(" ")),
        });
    }
    Ok(blocks)
}

fn hostpci(attachment: &Attachment, slot: Slot) -> Result<String> {
    let (address, type_id) = match &attachment.source {
        Source::Mdev {
            parent, type_id, ..
        } => {
            let address: PciAddress = parent.as_str().parse().map_err(|_| {
                Error::new(
                    Kind::Usage,
                    format!(
                        "Proxmox VE passes PCI devices through, and the parent {parent} is none"
                    ),
                )
            })?;
            (address, type_id)
        }
        Source::Vf {
            address, type_id, ..
        } => (*address, type_id),
    };
    // A type may hold no dot, slash or colon there, and a comma would end it.
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c);
    if !type_id.as_str().chars().all(is_plain) {
        return Err(Error::new(
            Kind::Usage,
            format!(
                "a type named {:?} cannot stand in Proxmox VE's configuration",
                type_id.as_str()
            ),
        ));
    }
    let mut line = format!("hostpci{}: {address},mdev={type_id}", slot.index);
    for (name, id) in attachment.identity.iter().flat_map(|i| i.named()) {
        line += &format!(",{name}={id:#06x}");
    }
    Ok(line + "\n")
}

#[cfg(test)]
mod tests {
    use super::super::samples::{ap, mdev, memory, vf};
    use super::*;

    const FILE: &str = "100.conf";

    fn slot(vmid: u64, index: u64) -> Slot {
        Slot::new(Some(vmid), index).unwrap()
    }

    #[test]
    fn a_device_is_a_line_and_an_argument_for_older_versions() {
        let blocks = proxmox_blocks(&mdev(), slot(100, 1), FILE).unwrap();
        assert_eq!(blocks[0].text, "hostpci1: 0000:81:00.0,mdev=nvidia-63\n");
        assert_eq!(
            blocks[1].text,
            "args: -uuid 00000000-0000-0000-0000-000000000100\n"
        );
        let unknown = Slot::new(None, 0).unwrap();
        assert_eq!(
            proxmox_blocks(&mdev(), unknown, FILE).unwrap()[1].text,
            "args: -uuid 83b8f4f2-509f-382f-3c1e-e6bfe0fa1001\n"
        );
        let blocks = proxmox_blocks(&vf(), slot(100, 0), FILE).unwrap();
        assert_eq!(blocks.len(), 1);
        assert_eq!(blocks[0].text, "hostpci0: 10000:81:01.4,mdev=nvidia-1147\n");
    }

    #[test]
    fn settings_are_keys_and_shared_memory_is_an_argument() {
        let attachment = Attachment {
            identity: Some("10de:1bb1:10de:11a3".parse().unwrap()),
            memory: Some(memory()),
            ..mdev()
        };
        let blocks = proxmox_blocks(&attachment, slot(100, 0), FILE).unwrap();
        let memory = "-object memory-backend-file,id=looking-glass,share=on,\
                      mem-path=/dev/shm/looking-glass,size=32M \
                      -device ivshmem-plain,memdev=looking-glass";
        assert_eq!(
            blocks[0].text,
            format!(
                "hostpci0: 0000:81:00.0,mdev=nvidia-63,vendor-id=0x10de,device-id=0x1bb1,\
                 sub-vendor-id=0x10de,sub-device-id=0x11a3\nargs: {memory}\n"
            )
        );
        let uuid = "00000000-0000-0000-0000-000000000100";
        assert_eq!(blocks[1].text, format!("args: -uuid {uuid} {memory}\n"));
    }

    #[test]
    fn what_proxmox_cannot_say_is_refused() {
        let display = Display::On;
        for attachment in [ap(), Attachment { display, ..mdev() }] {
            assert!(proxmox_blocks(&attachment, slot(100, 0), FILE).is_err());
        }
        for name in ["nvidia-63,x-vga=1", "a b", "a\"b", "a'<b", "a.b", "a:b"] {
            let mut attachment = mdev();
            if let Source::Mdev { type_id, .. } = &mut attachment.source {
                *type_id = name.parse().unwrap();
            }
            assert!(
                proxmox_blocks(&attachment, slot(100, 0), FILE).is_err(),
                "{name}"
            );
        }
    }

    #[test]
    fn a_uuid_of_proxmoxs_form_says_which_slot_it_is_for() {
        let of = |text: &str| Slot::of_uuid(text.parse().unwrap());
        assert_eq!(
            of("00000001-0000-0000-0000-000000000100"),
            Some(slot(100, 1))
        );
        for other in [
            "83b8f4f2-509f-382f-3c1e-e6bfe0fa1001",
            "00000000-0000-0000-0000-000000000099",
            "00000016-0000-0000-0000-000000000100",
            "00000000-0000-0000-0001-000000000100",
            "00000000-0000-0000-0000-00000000010a",
        ] {
            assert_eq!(of(other), None, "{other}");
        }
        for (vmid, index) in [(99, 0), (1_000_000_000, 0), (100, 16)] {
            assert!(Slot::new(Some(vmid), index).is_err());
        }
    }
}
