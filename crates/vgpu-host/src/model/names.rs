//! Names and numbers that cannot be wrong: they are checked where they enter.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use uuid::Uuid;

use crate::error::{Error, Kind, Result};
use crate::text::{hides_something, quoted};

/// The kernel's limit for one name in a directory (NAME_MAX, 255 bytes), less room for what is put
/// behind it, such as ".lock".
const LONGEST_NAME: usize = 240;

/// Says why `name` cannot be one component of a path below a fixed directory.
fn check_component(what: &str, name: &str) -> Result<()> {
    let fault = if name.is_empty() {
        "it is empty"
    } else if name.len() > LONGEST_NAME {
        "it is longer than 240 bytes"
    } else if name == "." || name == ".." {
        "it names a directory"
    } else if name.contains('/') {
        "it contains '/'"
    } else if hides_something(name) {
        "it contains a control or invisible character"
    } else {
        return Ok(());
    };
    Err(refusal(what, name, fault))
}

fn refusal(what: &str, name: &str, fault: &str) -> Error {
    let shown = quoted(name);
    Error::new(
        Kind::Usage,
        format!("{shown} is not a valid {what}: {fault}"),
    )
}

/// A parent's name below `/sys/class/mdev_bus`: a PCI address, `matrix`, a CCW id, `mtty`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ParentId(Arc<str>);

impl ParentId {
    /// The name as it stands in sysfs and in the definitions' directory.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl ParentId {
    /// Whether it has the form of a PCI address, such as 0000:81:00.4; domains may be longer.
    pub fn is_pci_address(&self) -> bool {
        let parts: Vec<&str> = self.0.split([':', '.']).collect();
        let hex = |part: &str, least: usize, most: usize| {
            (least..=most).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_hexdigit())
        };
        matches!(parts.as_slice(), [domain, bus, device, function]
            if hex(domain, 4, 8) && hex(bus, 2, 2) && hex(device, 2, 2) && hex(function, 1, 1))
    }
}

impl FromStr for ParentId {
    type Err = Error;

    /// Accepts any single path component.
    fn from_str(name: &str) -> Result<ParentId> {
        check_component("parent", name)?;
        Ok(ParentId(name.into()))
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
pub struct TypeId(Arc<str>);

impl TypeId {
    /// The name as it stands in sysfs and in definitions.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TypeId {
    /// The type that a driver numbers: `nvidia-` and 63 for `nvidia-63`.
    pub fn numbered(prefix: &'static str, number: u32) -> TypeId {
        TypeId(format!("{prefix}{number}").into())
    }
}

impl FromStr for TypeId {
    type Err = Error;

    /// Accepts any single path component.
    fn from_str(name: &str) -> Result<TypeId> {
        check_component("type", name)?;
        Ok(TypeId(name.into()))
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
    let (whole_a, whole_b) = (a.as_bytes(), b.as_bytes());
    let pairs = whole_a.iter().zip(whole_b);
    let same = pairs.take_while(|(one, other)| one == other).count();
    let digits = whole_a[..same].iter().rev();
    // A run of digits counts from its beginning.
    let same = same - digits.take_while(|byte| byte.is_ascii_digit()).count();
    let (mut rest_a, mut rest_b) = (&whole_a[same..], &whole_b[same..]);
    while let (Some(first_a), Some(first_b)) = (rest_a.first(), rest_b.first()) {
        let order = if first_a.is_ascii_digit() && first_b.is_ascii_digit() {
            let (run_a, run_b) = (take_digits(&mut rest_a), take_digits(&mut rest_b));
            run_a.len().cmp(&run_b.len()).then_with(|| run_a.cmp(run_b))
        } else {
            (rest_a, rest_b) = (&rest_a[1..], &rest_b[1..]);
            first_a.cmp(first_b)
        };
        if order != Ordering::Equal {
            return order;
        }
    }
    rest_a.len().cmp(&rest_b.len()).then_with(|| a.cmp(b))
}

/// Takes the leading digits off `text`, without leading zeros.
fn take_digits<'a>(text: &mut &'a [u8]) -> &'a [u8] {
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit());
    let (run, rest) = text.split_at(digits.count());
    *text = rest;
    let zeros = run.iter().take_while(|byte| **byte == b'0').count();
    &run[zeros..]
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

    /// Accepts the name of a device's attribute, or of a group's and one in it joined by `/`, none of
    /// which leads out of the device's directory.
    fn from_str(name: &str) -> Result<AttrName> {
        if name.starts_with('/') {
            return Err(refusal("attribute name", name, "it is an absolute path"));
        }
        if name.len() > LONGEST_NAME {
            return Err(refusal(
                "attribute name",
                name,
                "it is longer than 240 bytes",
            ));
        }
        for part in name.split('/') {
            check_component("attribute name", part).map_err(|error| match part == name {
                true => error,
                false => refusal("attribute name", name, "it has an invalid path component"),
            })?;
        }
        let mut parts = name.split('/');
        if parts
            .next()
            .is_some_and(|first| OF_THE_KERNEL.contains(&first))
        {
            return Err(refusal(
                "attribute name",
                name,
                "it is a file of the kernel, not a setting of the device",
            ));
        }
        if parts.count() > 1 {
            return Err(refusal(
                "attribute name",
                name,
                "expected NAME or GROUP/NAME",
            ));
        }
        Ok(AttrName(name.to_owned()))
    }
}

/// What the kernel itself puts beside a device's attributes. Writing there removes the device, tells
/// udev of it anew or binds it to another driver.
const OF_THE_KERNEL: [&str; 3] = ["remove", "uevent", "driver_override"];

impl fmt::Display for AttrName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
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
            "expected 8-4-4-4-12 hexadecimal digits",
        )),
    }
}

/// The kernel's form of a UUID. What `Display` makes is the same, at several times the cost.
pub fn uuid_text(uuid: Uuid) -> String {
    let mut place = Uuid::encode_buffer();
    uuid.hyphenated().encode_lower(&mut place).to_owned()
}

/// Proxmox's UUID for a device of a VM: decimal digits of the index and of the VM's id
/// (pve-common's `generate_mdev_uuid`, as observed).
///
/// # Errors
/// [`Kind::Usage`] for numbers that Proxmox VE does not take (qm.conf(5)).
pub fn proxmox_uuid(vmid: u64, index: u64) -> Result<Uuid> {
    check_proxmox_slot(Some(vmid), index)?;
    parse_uuid(&format!("{index:08}-0000-0000-0000-{vmid:012}")).map_err(|_| {
        Error::new(
            Kind::Usage,
            format!("VM {vmid} with index {index} has no Proxmox-style UUID"),
        )
    })
}

/// Refuses the numbers of a VM and of one of its PCI devices that Proxmox VE does not take.
///
/// # Errors
/// [`Kind::Usage`], with those that it takes.
pub fn check_proxmox_slot(vmid: Option<u64>, index: u64) -> Result<()> {
    let message = match vmid {
        Some(vmid) if !(100..=999_999_999).contains(&vmid) => {
            format!("{vmid} is not a Proxmox VE VM id: valid ids are 100 to 999999999")
        }
        _ if index > 15 => format!("no hostpci{index}: valid are hostpci0 to hostpci15"),
        _ => return Ok(()),
    };
    Err(Error::new(Kind::Usage, message))
}

/// A UUID for a vGPU that has none, made out of the address of its virtual function, so that it is
/// the same at each look. Version 8 (RFC 9562: of one's own making), the address's digits in it.
pub fn vf_uuid(vf: &ParentId) -> Uuid {
    let digits = vf.as_str().chars().filter_map(|c| c.to_digit(16));
    let address = digits.fold(0, |all: u128, digit| all << 4 | u128::from(digit));
    Uuid::from_u128(address & u128::from(u64::MAX >> 2) | 8 << 76 | 0b10 << 62)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

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
        for good in [
            "nvidia/vgpu_params",
            "assign_adapter",
            "removed",
            "x/remove",
            "power/control",
        ] {
            assert!(good.parse::<AttrName>().is_ok(), "{good}");
        }
        for bad in ["remove", "uevent", "driver_override", "a/b/c"] {
            assert!(bad.parse::<AttrName>().is_err(), "{bad}");
        }
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

    proptest! {
        #[test]
        fn numbers_in_types_count_and_the_order_is_one(
            (before, after) in ("[a-z0-9-]{0,5}[a-z-]", "([a-z-][a-z0-9-]{0,3})?"),
            (one, other) in (0..300u32, 0..300u32),
            ids in prop::collection::vec("[a-b01]{1,5}", 3),
        ) {
            let numbered = |number: u32| -> TypeId { format!("{before}{number}{after}").parse().unwrap() };
            prop_assert_eq!(numbered(one).cmp(&numbered(other)), one.cmp(&other));
            let ids: Vec<TypeId> = ids.iter().map(|id| id.parse().unwrap()).collect();
            prop_assert_eq!(ids[0].cmp(&ids[1]), ids[1].cmp(&ids[0]).reverse());
            prop_assert_eq!(ids[0].cmp(&ids[1]) == Ordering::Equal, ids[0] == ids[1]);
            if ids[0] < ids[1] && ids[1] < ids[2] {
                prop_assert!(ids[0] < ids[2]);
            }
        }
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
}
