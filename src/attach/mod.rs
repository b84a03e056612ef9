//! A device as what its consumers read: libvirt's XML, QEMU's arguments, Proxmox VE's lines; and
//! the licence settings that its guest needs. Data in, text out: nothing here looks at a host.

mod address;
mod identity;
mod libvirt;
mod licence;
mod looking_glass;
mod proxmox;
mod qemu;
mod xml;

use std::path::PathBuf;

use uuid::Uuid;

use crate::error::{Error, Kind, Result};
use crate::model::{ParentId, TypeId};
use crate::text::quoted;

pub use address::PciAddress;
pub use identity::Identity;
pub use libvirt::{LIBVIRT_ALIAS_PREFIX, devices_xml, override_xml, taken_by};
pub use licence::{LicenceServer, licence_blocks};
pub use looking_glass::LookingGlass;
pub use proxmox::{Slot, proxmox_blocks};
pub use qemu::{qemu_arguments, shell_lines};

/// Who is to read the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// libvirt: XML of a domain.
    Libvirt,
    /// QEMU: arguments, quoted for a shell.
    Qemu,
    /// Proxmox VE: lines of a VM's configuration.
    Proxmox,
}

impl Format {
    /// The word on the command line and in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Format::Libvirt => "libvirt",
            Format::Qemu => "qemu",
            Format::Proxmox => "proxmox",
        }
    }
}

/// The bus that a guest sees a mediated device on: the kernel's device APIs that both libvirt and
/// QEMU know (include/uapi/linux/vfio.h).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Model {
    /// PCI.
    Pci,
    /// s390's cryptographic adapters.
    Ap,
    /// s390's channel subsystem.
    Ccw,
}

impl Model {
    /// The kernel's word for it, which is also libvirt's model and QEMU's device.
    pub fn as_str(self) -> &'static str {
        match self {
            Model::Pci => "vfio-pci",
            Model::Ap => "vfio-ap",
            Model::Ccw => "vfio-ccw",
        }
    }

    /// What a type's `device_api` means.
    ///
    /// # Errors
    /// An API that neither libvirt nor QEMU has a device for.
    pub fn of_api(device_api: &str) -> Result<Model> {
        [Model::Pci, Model::Ap, Model::Ccw]
            .into_iter()
            .find(|model| model.as_str() == device_api)
            .ok_or_else(|| {
                Error::new(
                    Kind::Failed,
                    format!(
                        "neither libvirt nor QEMU has a device for the API {}",
                        quoted(device_api)
                    ),
                )
            })
    }

    /// The likely model of a type that no parent lists now: s390's have names of their own
    /// (kernel: Documentation/arch/s390/vfio-ap.rst, vfio-ccw.rst), and all others are PCI.
    pub fn guess(type_id: &TypeId) -> Model {
        match type_id.as_str() {
            id if id.starts_with("vfio_ap-") => Model::Ap,
            id if id.starts_with("vfio_ccw-") => Model::Ccw,
            _ => Model::Pci,
        }
    }
}

/// What the guest is to get.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A mediated device.
    Mdev {
        /// Its UUID.
        uuid: Uuid,
        /// The parent it is a part of.
        parent: ParentId,
        /// Its type.
        type_id: TypeId,
        /// The bus it is on.
        model: Model,
        /// Its directory in sysfs.
        sysfs: PathBuf,
    },
    /// A virtual function that the driver serves itself, without a mediated device.
    Vf {
        /// Its address, which is also its name.
        address: PciAddress,
        /// The type it was set to.
        type_id: TypeId,
        /// Its directory in sysfs.
        sysfs: PathBuf,
    },
}

impl Source {
    /// The bus it is on.
    pub fn model(&self) -> Model {
        match self {
            Source::Mdev { model, .. } => *model,
            Source::Vf { .. } => Model::Pci,
        }
    }
}

/// Whether the hypervisor shows the device's screen, as in VNC or SPICE.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Display {
    /// As the hypervisor does where nothing is said.
    Unsaid,
    /// No.
    Off,
    /// Yes, from when the guest's driver runs.
    On,
    /// Yes, and a plain framebuffer before that, for firmware and boot loader.
    WithRamFb,
}

/// Memory that the guest shares with the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SharedMemory {
    /// Its size in MiB, a power of two.
    pub size_mib: u64,
    /// Its name, which libvirt makes a file in `/dev/shm` of.
    pub name: String,
    /// The file.
    pub path: PathBuf,
}

/// A device and how it is to be attached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attachment {
    /// The device.
    pub source: Source,
    /// Its screen.
    pub display: Display,
    /// PCI ids that the guest is to see instead of the device's own.
    pub identity: Option<Identity>,
    /// Shared memory beside it.
    pub memory: Option<SharedMemory>,
}

impl Attachment {
    /// Checks that the settings exist for the device's kind.
    ///
    /// # Errors
    /// [`Kind::Usage`], naming the setting.
    pub fn check(&self) -> Result<()> {
        let model = self.source.model();
        let only_pci = |what: &str| {
            Error::new(
                Kind::Usage,
                format!(
                    "{what} is for PCI devices, and this one is a {}",
                    model.as_str()
                ),
            )
        };
        if model != Model::Pci {
            if self.display != Display::Unsaid {
                return Err(only_pci("a display"));
            }
            if self.identity.is_some() {
                return Err(only_pci("another PCI identity"));
            }
            if self.memory.is_some() {
                return Err(only_pci("Looking Glass"));
            }
        }
        if matches!(self.source, Source::Vf { .. }) && self.display != Display::Unsaid {
            return Err(Error::new(
                Kind::Usage,
                "a virtual function has no display that the hypervisor could show",
            ));
        }
        Ok(())
    }
}

/// Where a piece of the answer belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Within `<devices>` of a libvirt domain.
    DomainDevices,
    /// Within `<domain>`, at its end.
    DomainEnd,
    /// On QEMU's command line.
    QemuCommand,
    /// In a VM's configuration of Proxmox VE.
    ProxmoxConfig,
    /// In the same, on versions that do not name the VM to QEMU.
    ProxmoxOlder,
    /// The licence daemon's settings in a Linux guest.
    LinuxGuest,
    /// A registry file for a Windows guest.
    WindowsGuest,
}

impl Place {
    /// The word in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Place::DomainDevices => "domain-devices",
            Place::DomainEnd => "domain-end",
            Place::QemuCommand => "qemu-command",
            Place::ProxmoxConfig => "proxmox-config",
            Place::ProxmoxOlder => "proxmox-config-older",
            Place::LinuxGuest => "linux-guest",
            Place::WindowsGuest => "windows-guest",
        }
    }
}

/// A piece of the answer, to be pasted in one place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// Where it belongs.
    pub place: Place,
    /// The same for people.
    pub whereto: String,
    /// The text, with a newline at its end.
    pub text: String,
}

/// libvirt's pieces.
///
/// # Errors
/// As [`Attachment::check`].
pub fn libvirt_blocks(attachment: &Attachment) -> Result<Vec<Block>> {
    attachment.check()?;
    let mut blocks = vec![Block {
        place: Place::DomainDevices,
        whereto: "within <devices> of the domain: virsh edit DOMAIN".into(),
        text: devices_xml(attachment).concat(),
    }];
    blocks.extend(override_xml(attachment).map(|text| Block {
        place: Place::DomainEnd,
        whereto: "just above </domain> (libvirt 8.2 or newer)".into(),
        text,
    }));
    Ok(blocks)
}

/// QEMU's piece, for the VM of that UUID.
///
/// # Errors
/// As [`Attachment::check`].
pub fn qemu_blocks(attachment: &Attachment) -> Result<Vec<Block>> {
    attachment.check()?;
    Ok(vec![Block {
        place: Place::QemuCommand,
        whereto: "at the end of QEMU's command line".into(),
        text: shell_lines(&qemu_arguments(attachment)),
    }])
}

#[cfg(test)]
mod samples {
    //! Devices for the tests of this folder.

    use super::{Attachment, Display, Model, SharedMemory, Source};

    pub fn mdev() -> Attachment {
        plain(Source::Mdev {
            uuid: "83b8f4f2-509f-382f-3c1e-e6bfe0fa1001".parse().unwrap(),
            parent: "0000:81:00.0".parse().unwrap(),
            type_id: "nvidia-63".parse().unwrap(),
            model: Model::Pci,
            sysfs: "/sys/bus/mdev/devices/83b8f4f2-509f-382f-3c1e-e6bfe0fa1001".into(),
        })
    }

    pub fn ap() -> Attachment {
        plain(Source::Mdev {
            uuid: "83b8f4f2-509f-382f-3c1e-e6bfe0fa1001".parse().unwrap(),
            parent: "matrix".parse().unwrap(),
            type_id: "vfio_ap-passthrough".parse().unwrap(),
            model: Model::Ap,
            sysfs: "/sys/bus/mdev/devices/83b8f4f2-509f-382f-3c1e-e6bfe0fa1001".into(),
        })
    }

    pub fn vf() -> Attachment {
        plain(Source::Vf {
            address: "10000:81:01.4".parse().unwrap(),
            type_id: "nvidia-1147".parse().unwrap(),
            sysfs: "/sys/bus/pci/devices/10000:81:01.4".into(),
        })
    }

    pub fn memory() -> SharedMemory {
        SharedMemory {
            size_mib: 32,
            name: "looking-glass".into(),
            path: "/dev/shm/looking-glass".into(),
        }
    }

    fn plain(source: Source) -> Attachment {
        Attachment {
            source,
            display: Display::Unsaid,
            identity: None,
            memory: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::samples::{ap, mdev, vf};
    use super::*;

    #[test]
    fn the_kernels_apis_that_have_no_device_are_refused() {
        for (api, model) in [
            ("vfio-pci", Model::Pci),
            ("vfio-ap", Model::Ap),
            ("vfio-ccw", Model::Ccw),
        ] {
            assert_eq!(Model::of_api(api).unwrap(), model);
        }
        for api in ["vfio-platform", "vfio-amba", "", "vfio-pci'/><x"] {
            assert!(Model::of_api(api).is_err(), "{api:?}");
        }
    }

    #[test]
    fn s390s_types_are_known_by_their_names() {
        let guess = |id: &str| Model::guess(&id.parse().unwrap());
        assert_eq!(guess("vfio_ap-passthrough"), Model::Ap);
        assert_eq!(guess("vfio_ccw-io"), Model::Ccw);
        assert_eq!(guess("nvidia-63"), Model::Pci);
    }

    #[test]
    fn settings_of_pci_devices_are_refused_for_others() {
        let identity = Some("10de:1bb1".parse().unwrap());
        let memory = Some(samples::memory());
        for (wanted, attachment) in [
            (
                true,
                Attachment {
                    identity,
                    memory,
                    display: Display::WithRamFb,
                    ..mdev()
                },
            ),
            (true, ap()),
            (false, Attachment { identity, ..ap() }),
            (
                false,
                Attachment {
                    memory: Some(samples::memory()),
                    ..ap()
                },
            ),
            (
                false,
                Attachment {
                    display: Display::Off,
                    ..ap()
                },
            ),
            (
                true,
                Attachment {
                    identity,
                    memory: Some(samples::memory()),
                    ..vf()
                },
            ),
            (
                false,
                Attachment {
                    display: Display::On,
                    ..vf()
                },
            ),
        ] {
            assert_eq!(attachment.check().is_ok(), wanted, "{attachment:?}");
            assert_eq!(libvirt_blocks(&attachment).is_ok(), wanted);
            assert_eq!(qemu_blocks(&attachment).is_ok(), wanted);
        }
    }
}
