//! What things are: names that cannot be wrong, parents, types, devices, definitions. No I/O.

use std::cmp::Ordering;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use serde_json::{Map, Value};
use uuid::Uuid;

use crate::error::{Error, Kind, Result};
use crate::nvidia::TypeDetails;

/// The kernel's limit for one name in a directory (NAME_MAX), in bytes.
const LONGEST_NAME: usize = 255;

/// Says why `name` cannot be one component of a path below a fixed directory.
fn check_component(what: &str, name: &str) -> Result<()> {
    let fault = if name.is_empty() {
        "it is empty"
    } else if name.len() > LONGEST_NAME {
        "it is longer than 255 bytes"
    } else if name == "." || name == ".." {
        "it names a directory"
    } else if name.contains('/') {
        "it contains '/'"
    } else if name.chars().any(char::is_control) {
        "it contains a control character"
    } else {
        return Ok(());
    };
    Err(refusal(what, name, fault))
}

fn refusal(what: &str, name: &str, fault: &str) -> Error {
    let mut shown: String = name.chars().take(60).collect();
    if shown.len() < name.len() {
        shown.push('…');
    }
    Error::new(
        Kind::Usage,
        format!("{shown:?} is not a valid {what}: {fault}"),
    )
}

/// A parent's name below `/sys/class/mdev_bus`: a PCI address, `matrix`, a CCW id, `mtty`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ParentId(String);

impl ParentId {
    /// The name as it stands in sysfs and in the definitions' directory.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ParentId {
    type Err = Error;

    /// Accepts any single path component.
    fn from_str(name: &str) -> Result<ParentId> {
        check_component("parent", name)?;
        Ok(ParentId(name.to_owned()))
    }
}

impl fmt::Display for ParentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// A type's directory name below a parent's `mdev_supported_types`, such as `nvidia-63`.
/// Ordered naturally: `nvidia-46` before `nvidia-105`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TypeId(String);

impl TypeId {
    /// The name as it stands in sysfs and in definitions.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for TypeId {
    type Err = Error;

    /// Accepts any single path component.
    fn from_str(name: &str) -> Result<TypeId> {
        check_component("type", name)?;
        Ok(TypeId(name.to_owned()))
    }
}

impl fmt::Display for TypeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl Ord for TypeId {
    fn cmp(&self, other: &TypeId) -> Ordering {
        natural_order(&self.0, &other.0)
    }
}

impl PartialOrd for TypeId {
    fn partial_cmp(&self, other: &TypeId) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Compares runs of digits by their value and everything else byte by byte.
fn natural_order(a: &str, b: &str) -> Ordering {
    let (mut rest_a, mut rest_b) = (a, b);
    while let (Some(first_a), Some(first_b)) = (rest_a.chars().next(), rest_b.chars().next()) {
        let order = if first_a.is_ascii_digit() && first_b.is_ascii_digit() {
            let (run_a, run_b) = (take_digits(&mut rest_a), take_digits(&mut rest_b));
            run_a.len().cmp(&run_b.len()).then(run_a.cmp(run_b))
        } else {
            rest_a = &rest_a[first_a.len_utf8()..];
            rest_b = &rest_b[first_b.len_utf8()..];
            first_a.cmp(&first_b)
        };
        if order != Ordering::Equal {
            return order;
        }
    }
    rest_a.len().cmp(&rest_b.len()).then_with(|| a.cmp(b))
}

/// Takes the leading digits off `text`, without leading zeros.
fn take_digits<'a>(text: &mut &'a str) -> &'a str {
    let end = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (run, rest) = text.split_at(end);
    *text = rest;
    run.trim_start_matches('0')
}

/// The name of an attribute below a device's directory; inner `/` is allowed (`nvidia/vgpu_params`).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct AttrName(String);

impl AttrName {
    /// The name, relative to the device's directory.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for AttrName {
    type Err = Error;

    /// Accepts path components joined by `/`, none of which leads out of the device's directory.
    fn from_str(name: &str) -> Result<AttrName> {
        if name.starts_with('/') {
            return Err(refusal("attribute name", name, "it is an absolute path"));
        }
        if name.len() > LONGEST_NAME {
            return Err(refusal(
                "attribute name",
                name,
                "it is longer than 255 bytes",
            ));
        }
        for part in name.split('/') {
            check_component("attribute name", part).map_err(|error| match part == name {
                true => error,
                false => refusal("attribute name", name, "a part of it leads elsewhere"),
            })?;
        }
        Ok(AttrName(name.to_owned()))
    }
}

impl fmt::Display for AttrName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

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
                format!("{text:?} is not of the form NAME=VALUE"),
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

/// Parses a UUID in the only form that the kernel accepts: 36 characters with dashes, any case.
///
/// # Errors
/// [`Kind::Usage`] for every other form (braces, URN, no dashes).
pub fn parse_uuid(text: &str) -> Result<Uuid> {
    match Uuid::try_parse(text) {
        Ok(uuid) if text.len() == 36 => Ok(uuid),
        _ => Err(refusal(
            "UUID",
            text,
            "the form is 8-4-4-4-12 hexadecimal digits",
        )),
    }
}

/// Proxmox's UUID for a device of a VM: decimal digits of the index and of the VM's id
/// (pve-common's `generate_mdev_uuid`, as observed).
///
/// # Errors
/// [`Kind::Usage`] where a number has more digits than its place (8 and 12).
pub fn proxmox_uuid(vmid: u64, index: u64) -> Result<Uuid> {
    parse_uuid(&format!("{index:08}-0000-0000-0000-{vmid:012}")).map_err(|_| {
        Error::new(
            Kind::Usage,
            format!("VM {vmid} with index {index} has no UUID of Proxmox's form"),
        )
    })
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FrameworkKind {
    /// The kernel's mediated devices, `/sys/class/mdev_bus`.
    Mdev,
}

impl FrameworkKind {
    /// The word shown to users and in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            FrameworkKind::Mdev => "mdev",
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
}

/// One way in which a parent can be split, as the kernel lists it now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VgpuType {
    /// Its directory's name.
    pub id: TypeId,
    /// The driver's name for it; optional in the kernel's interface.
    pub name: Option<String>,
    /// The driver's description; optional, and may span lines.
    pub description: Option<String>,
    /// What the description says, where its form is known.
    pub details: Option<TypeDetails>,
    /// Instances that can be created now; `None` where the kernel's answer could not be read.
    pub available: Option<u32>,
    /// The device API that an instance offers, such as `vfio-pci`; `None` as above.
    pub device_api: Option<String>,
}

impl VgpuType {
    /// The name for people: the driver's, without its marketing prefix; else the id.
    pub fn short_name(&self) -> &str {
        match &self.name {
            Some(name) => crate::nvidia::short_name(name),
            None => self.id.as_str(),
        }
    }

    /// Whether a user who writes `text` may mean this type: its id, full name or short name.
    pub fn answers_to(&self, text: &str) -> bool {
        self.id.as_str() == text || self.name.as_deref() == Some(text) || self.short_name() == text
    }
}

/// An instance that exists in the kernel now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// Its UUID, under which only one can be active on the whole host.
    pub uuid: Uuid,
    /// The parent that it is a part of.
    pub parent: ParentId,
    /// Its type.
    pub type_id: TypeId,
    /// Which framework it belongs to.
    pub framework: FrameworkKind,
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

/// A device that the user wants, as the store keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Definition {
    /// The device's UUID.
    pub uuid: Uuid,
    /// The parent it is to be created on; the same UUID may be defined on several.
    pub parent: ParentId,
    /// The type to create.
    pub type_id: TypeId,
    /// Whether it is started at boot.
    pub start: StartMode,
    /// Attributes written after creation, in this order.
    pub attrs: Vec<Attr>,
    /// The whole document as it was read, so that keys of other programs survive.
    pub document: Map<String, Value>,
}

impl Definition {
    /// A new definition with nothing beside what is given.
    pub fn new(uuid: Uuid, parent: ParentId, type_id: TypeId, start: StartMode) -> Definition {
        Definition {
            uuid,
            parent,
            type_id,
            start,
            attrs: Vec::new(),
            document: Map::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_lead_elsewhere_are_refused() {
        let long = "x".repeat(4096);
        for bad in ["", ".", "..", "../x", "a/b", "/etc", "a\0b", "a\nb", &long] {
            assert!(bad.parse::<ParentId>().is_err(), "{bad:?}");
            assert!(bad.parse::<TypeId>().is_err(), "{bad:?}");
        }
        for bad in [
            "",
            "..",
            "../x",
            "/etc/passwd",
            "a/../b",
            "a//b",
            "a/",
            "a\0",
            &long,
        ] {
            assert!(bad.parse::<AttrName>().is_err(), "{bad:?}");
        }
        for good in ["0000:81:00.0", "matrix", "0.0.0314", "10000:00:02.0"] {
            assert_eq!(good.parse::<ParentId>().unwrap().as_str(), good);
        }
        assert!("nvidia/vgpu_params".parse::<AttrName>().is_ok());
    }

    #[test]
    fn a_refusal_of_a_huge_name_is_still_one_readable_line() {
        let error = "é".repeat(4096).parse::<ParentId>().unwrap_err();
        assert!(error.to_string().len() < 250, "{error}");
    }

    #[test]
    fn types_sort_as_people_count() {
        let mut ids: Vec<TypeId> = ["nvidia-105", "nvidia-46", "i915-GVTg_V5_8", "nvidia-046"]
            .iter()
            .map(|id| id.parse().unwrap())
            .collect();
        ids.sort();
        let ids: Vec<&str> = ids.iter().map(TypeId::as_str).collect();
        assert_eq!(
            ids,
            ["i915-GVTg_V5_8", "nvidia-046", "nvidia-46", "nvidia-105"]
        );
    }

    #[test]
    fn only_the_kernels_form_of_a_uuid_is_taken() {
        let plain = "83b8f4f2-509f-382f-3c1e-e6bfe0fa1001";
        assert!(parse_uuid(plain).is_ok());
        assert_eq!(parse_uuid(&plain.to_uppercase()), parse_uuid(plain));
        for bad in [
            "{83b8f4f2-509f-382f-3c1e-e6bfe0fa1001}",
            "urn:uuid:83b8f4f2-509f-382f-3c1e-e6bfe0fa1001",
            "83b8f4f2509f382f3c1ee6bfe0fa1001",
            " 83b8f4f2-509f-382f-3c1e-e6bfe0fa1001",
            "",
        ] {
            assert!(parse_uuid(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_vm_gets_the_uuid_that_proxmox_gives_it() {
        let uuid = proxmox_uuid(100, 0).unwrap();
        assert_eq!(uuid.to_string(), "00000000-0000-0000-0000-000000000100");
        let uuid = proxmox_uuid(100, 1).unwrap();
        assert_eq!(uuid.to_string(), "00000001-0000-0000-0000-000000000100");
        assert!(proxmox_uuid(1_000_000_000_000, 0).is_err());
        assert!(proxmox_uuid(1, 100_000_000).is_err());
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
