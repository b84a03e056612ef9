//! What things are: names that cannot be wrong, parents, types, devices, definitions. No I/O.

mod names;

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

use uuid::Uuid;

use crate::error::{Error, Kind, Result};
use crate::text::quoted;
use nvidia_vgpu::{MigType, Share, TypeDetails, TypeName};

pub use names::{
    AttrName, ParentId, TypeId, check_proxmox_slot, parse_uuid, proxmox_uuid, uuid_text, vf_uuid,
};

/// An attribute and the text to write to it. Order matters and names may repeat (s390 vfio-ap).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attr {
    /// Which attribute.
    pub name: AttrName,
    /// What is written, without a newline.
    pub value: String,
}

impl FromStr for Attr {
    type Err = Error;

    /// Parses `NAME=VALUE`. The value may be empty and may contain `=`.
    fn from_str(text: &str) -> Result<Attr> {
        let (name, value) = text.split_once('=').ok_or_else(|| {
            Error::new(
                Kind::Usage,
                format!("{} is not of the form NAME=VALUE", quoted(text)),
            )
        })?;
        Attr::new(name, value)
    }
}

impl Attr {
    /// An attribute of that name, to be set to `value`.
    ///
    /// # Errors
    /// A name that leads elsewhere; a NUL in the value, which sysfs would cut short.
    pub fn new(name: &str, value: &str) -> Result<Attr> {
        let name = name.parse()?;
        if value.contains('\0') {
            return Err(Error::new(
                Kind::Usage,
                format!("the value of attribute {name} contains a NUL character"),
            ));
        }
        Ok(Attr {
            name,
            value: value.to_owned(),
        })
    }
}

impl fmt::Display for Attr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.name, self.value)
    }
}

/// Whether a definition is started at boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StartMode {
    /// At boot, and whenever the parent appears.
    Auto,
    /// Only when asked for.
    Manual,
}

impl StartMode {
    /// The word used in definitions.
    pub fn as_str(self) -> &'static str {
        match self {
            StartMode::Auto => "auto",
            StartMode::Manual => "manual",
        }
    }
}

impl fmt::Display for StartMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// How the kernel offers a parent's virtual GPUs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FrameworkKind {
    /// The kernel's mediated devices, `/sys/class/mdev_bus`.
    Mdev,
    /// Vendor-specific VFIO: virtual functions that take a type, `<VF>/nvidia/` (NVIDIA's vGPU 17
    /// and newer on kernels from 6.8).
    Vfio,
}

impl FrameworkKind {
    /// The word shown to users and in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            FrameworkKind::Mdev => "mdev",
            FrameworkKind::Vfio => "vfio",
        }
    }
}

/// A physical device that can be split.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parent {
    /// Its name.
    pub id: ParentId,
    /// Which framework offers it.
    pub framework: FrameworkKind,
    /// The GPU that it is a virtual function of; `None` for a parent that is whole.
    pub gpu: Option<ParentId>,
}

impl Parent {
    /// The GPU that its instances share: its memory, and the rule of one framebuffer size.
    pub fn gpu(&self) -> &ParentId {
        self.gpu.as_ref().unwrap_or(&self.id)
    }

    /// The GPU itself, which stands for its functions where they are shown as one.
    pub fn whole(&self) -> Parent {
        Parent {
            id: self.gpu().clone(),
            framework: self.framework,
            gpu: None,
        }
    }

    /// The name under which definitions of its devices and its lock are kept: its own for a parent
    /// of mediated devices, the GPU's where types are set on virtual functions.
    pub fn home(&self) -> &ParentId {
        match self.framework {
            FrameworkKind::Mdev => &self.id,
            FrameworkKind::Vfio => self.gpu(),
        }
    }
}

/// One way in which a parent can be split, as the kernel lists it now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VgpuType {
    /// Its directory's name.
    pub id: TypeId,
    /// The driver's name for it; optional in the kernel's interface.
    pub name: Option<Arc<str>>,
    /// The driver's description; optional, and may span lines.
    pub description: Option<Arc<str>>,
    /// Instances that can be created now; `None` where the kernel's answer could not be
    /// read, or where it is not known (several virtual functions share what is left).
    pub available: Option<u32>,
    /// Instances that can surely be created now: as many as are available, where that is known.
    pub at_least: u32,
    /// The device API that an instance offers, such as `vfio-pci`; `None` as above.
    pub device_api: Option<Arc<str>>,
}

impl VgpuType {
    /// A type that its driver does not list now, as far as it is known.
    pub fn unlisted(id: TypeId, name: Option<Arc<str>>, available: Option<u32>) -> VgpuType {
        VgpuType {
            id,
            name,
            description: None,
            available,
            at_least: 0,
            device_api: None,
        }
    }

    /// The same type where another number of instances is free.
    pub fn with_free(&self, available: Option<u32>) -> VgpuType {
        VgpuType {
            available,
            at_least: available.unwrap_or_default(),
            ..self.clone()
        }
    }

    /// The name for people: the driver's, without its marketing prefix; else the id.
    pub fn short_name(&self) -> &str {
        match &self.name {
            Some(name) => nvidia_vgpu::short_name(name),
            None => self.id.as_str(),
        }
    }

    /// What the description says, where its form is known. It is understood anew at each call.
    pub fn details(&self) -> Option<TypeDetails<'_>> {
        TypeDetails::parse(self.description.as_deref()?)
    }

    /// What the name says, of a type of NVIDIA's whose name has the usual form.
    pub fn name_parts(&self) -> Option<TypeName> {
        let name = self.name.as_deref()?;
        let is_nvidias =
            self.id.as_str().starts_with("nvidia-") || nvidia_vgpu::short_name(name) != name;
        is_nvidias.then(|| TypeName::parse(name))?
    }

    /// Framebuffer of one instance, in MiB: the description's, else the name's.
    pub fn framebuffer_mib(&self) -> Option<u64> {
        let described = self.details().map(|details| details.framebuffer_mib);
        described.or_else(|| self.name_parts().map(|name| name.framebuffer_mib))
    }

    /// What its size means to the others on a GPU.
    pub fn share(&self) -> Share {
        Share::of(self.name_parts().as_ref(), self.framebuffer_mib())
    }

    /// The GPU instance that each of its vGPUs has, of a MIG-backed type.
    pub fn mig(&self) -> Option<MigType> {
        MigType::of(&self.name_parts()?, self.details().as_ref())
    }

    /// Whether a user who writes `text` may mean this type: its id, full name or short name.
    pub fn answers_to(&self, text: &str) -> bool {
        self.id.as_str() == text || self.name.as_deref() == Some(text) || self.short_name() == text
    }
}

/// An instance that exists in the kernel now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// Its UUID, under which only one can be active on the whole host. For a [`Slot::ForeignVf`],
    /// which has none, [`vf_uuid`] of its address.
    pub uuid: Uuid,
    /// The parent that it is a part of; for a vGPU on a virtual function, the GPU.
    pub parent: ParentId,
    /// Its type.
    pub type_id: TypeId,
    /// Where it sits, and whose it is.
    pub slot: Slot,
}

/// Where an instance sits, and whose it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Slot {
    /// A mediated device, which the kernel knows by its UUID.
    Mdev,
    /// A virtual function of this address, given its type by this program under the device's UUID.
    OwnVf(ParentId),
    /// A virtual function of this address that somebody else gave its type.
    ForeignVf(ParentId),
}

impl Slot {
    /// The virtual function, where it is one.
    pub fn vf(&self) -> Option<&ParentId> {
        match self {
            Slot::Mdev => None,
            Slot::OwnVf(vf) | Slot::ForeignVf(vf) => Some(vf),
        }
    }
}

impl Device {
    /// Which framework it belongs to.
    pub fn framework(&self) -> FrameworkKind {
        match self.slot {
            Slot::Mdev => FrameworkKind::Mdev,
            Slot::OwnVf(_) | Slot::ForeignVf(_) => FrameworkKind::Vfio,
        }
    }

    /// The virtual function that it occupies, where it does.
    pub fn vf(&self) -> Option<&ParentId> {
        self.slot.vf()
    }

    /// What people call it: its UUID, or the address of a virtual function that is not ours.
    pub fn name(&self) -> String {
        match &self.slot {
            Slot::ForeignVf(vf) => vf.to_string(),
            Slot::Mdev | Slot::OwnVf(_) => self.uuid.to_string(),
        }
    }
}

/// A device's nodes: what a process opens in order to use it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Nodes {
    /// The device's directory in sysfs.
    pub sysfs: PathBuf,
    /// The number of its IOMMU group, where it has one.
    pub iommu_group: Option<String>,
    /// `/dev/vfio/<group>`, where it has a group.
    pub group: Option<PathBuf>,
    /// `/dev/vfio/devices/vfio<N>`, on kernels that have device nodes.
    pub device: Option<PathBuf>,
}

/// A process that has a device open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// Process id.
    pub pid: i32,
    /// The command's name, as the kernel keeps it (15 bytes at most).
    pub command: String,
    /// The virtual machine's name, where the command line says it.
    pub vm: Option<String>,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "pid {} ({}", self.pid, self.command)?;
        match &self.vm {
            Some(vm) => write!(f, ", VM {vm})"),
            None => f.write_str(")"),
        }
    }
}

/// The JSON object in a definition's file, in the order of its keys: those of other programs survive.
pub type Document = serde_json::Map<String, serde_json::Value>;

/// A device that the user wants, as the store keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Definition {
    /// Which framework is to make it.
    pub framework: FrameworkKind,
    /// The device's UUID.
    pub uuid: Uuid,
    /// The parent it is to be created on; the same UUID may be defined on several.
    pub parent: ParentId,
    /// The one virtual function of the parent that it is to sit on; `None` where any will do, and
    /// for a mediated device.
    pub vf: Option<ParentId>,
    /// The type to create.
    pub type_id: TypeId,
    /// Whether it is started at boot.
    pub start: StartMode,
    /// Attributes written after creation, in this order.
    pub attrs: Vec<Attr>,
    /// The whole document as it was read, so that keys of other programs survive.
    pub document: Document,
}

impl Definition {
    /// A new definition of a mediated device with nothing beside what is given.
    pub fn new(uuid: Uuid, parent: ParentId, type_id: TypeId, start: StartMode) -> Definition {
        Definition {
            framework: FrameworkKind::Mdev,
            uuid,
            parent,
            vf: None,
            type_id,
            start,
            attrs: Vec::new(),
            document: Document::default(),
        }
    }

    /// A new definition of what is to be made on `on`, which is a parent or a virtual function.
    pub fn on(on: &Parent, uuid: Uuid, type_id: TypeId, start: StartMode) -> Definition {
        let parent = on.home().clone();
        let vf = (parent != on.id).then(|| on.id.clone());
        Definition {
            framework: on.framework,
            vf,
            ..Definition::new(uuid, parent, type_id, start)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(id: &str, name: &str, description: &str) -> VgpuType {
        VgpuType {
            id: id.parse().unwrap(),
            name: Some(name.into()),
            description: Some(description.into()),
            available: None,
            at_least: 0,
            device_api: None,
        }
    }

    #[test]
    fn only_nvidias_types_are_explained_by_their_names() {
        for (id, name) in [
            ("nvidia-63", "GRID P4-1Q"),
            ("nvidia-63", "P4-1Q"),
            ("1145", "NVIDIA L40S-1B"),
        ] {
            let vgpu_type = named(id, name, "");
            assert!(vgpu_type.name_parts().is_some(), "{id} {name}");
            assert_eq!(vgpu_type.framebuffer_mib(), Some(1024), "{id} {name}");
        }
        let other = named("acme-1", "P4-1Q", "");
        assert_eq!(other.name_parts(), None);
        assert_eq!(other.framebuffer_mib(), None);
    }

    #[test]
    fn the_description_knows_the_framebuffer_better_than_the_name() {
        let text = "num_heads=1, frl_config=60, framebuffer=4864M, max_resolution=4096x2160, max_instance=7";
        let slice = named("nvidia-474", "GRID A100-1-5C", text);
        assert_eq!(slice.framebuffer_mib(), Some(4864));
    }

    #[test]
    fn attributes_keep_everything_after_the_first_equals_sign() {
        let attr: Attr = "nvidia/vgpu_params=frame_rate_limiter=0, disable_vnc=1"
            .parse()
            .unwrap();
        assert_eq!(attr.name.as_str(), "nvidia/vgpu_params");
        assert_eq!(attr.value, "frame_rate_limiter=0, disable_vnc=1");
        assert!("novalue".parse::<Attr>().is_err());
        assert!("=x".parse::<Attr>().is_err());
    }
}
