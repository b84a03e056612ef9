//! Which UUID a declared vGPU has: the same on every run, also after `/etc` was lost.

use std::fmt;
use std::str::FromStr;

use uuid::Uuid;

use vgpu_host::error::{Error, Kind, Result};
use vgpu_host::model::{ParentId, proxmox_uuid};
use vgpu_host::text::quoted;

/// The longest name of a group or member, in bytes.
const LONGEST: usize = 64;

/// A host's identity, which tells its vGPUs from those that the same file makes elsewhere
/// (machine-id(5)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MachineId(Uuid);

impl FromStr for MachineId {
    type Err = Error;

    /// Reads what `/etc/machine-id` holds: 32 hexadecimal digits.
    fn from_str(text: &str) -> Result<MachineId> {
        let text = text.trim();
        let id = match text.len() {
            32 => Uuid::try_parse(text).ok().filter(|id| !id.is_nil()),
            _ => None,
        };
        id.map(MachineId).ok_or_else(|| {
            Error::new(
                Kind::Failed,
                format!(
                    "{} is not a machine id (32 hexadecimal digits)",
                    quoted(text)
                ),
            )
            .hint("create one with systemd-machine-id-setup")
        })
    }
}

/// A group's name: letters, digits, and `-`, `_`, `.` between them.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GroupName(String);

/// What tells a member from the others of its group: an index, or a name of the same form.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MemberKey(String);

/// A member with an identity of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// What it is called in its group.
    pub key: MemberKey,
    /// Its UUID where the file gives it, or a VM's id; else it is derived.
    pub uuid: Option<Uuid>,
}

impl Member {
    /// One of that name, whose UUID is derived.
    pub fn named(key: MemberKey) -> Member {
        Member { key, uuid: None }
    }

    /// The vGPU of a virtual machine of Proxmox VE's, under the UUID that it gives it.
    ///
    /// # Errors
    /// [`Kind::Usage`] for numbers that have no such UUID.
    pub fn of_vm(vmid: u64, index: u64) -> Result<Member> {
        let key = match index {
            0 => format!("{vmid}"),
            _ => format!("{vmid}.{index}"),
        };
        Ok(Member {
            uuid: Some(proxmox_uuid(vmid, index)?),
            key: MemberKey(key),
        })
    }

    /// The VM's id and index, of a member that [`Member::of_vm`] made.
    pub fn vm(&self) -> Option<(u64, u64)> {
        let (vmid, index) = self.key.0.split_once('.').unwrap_or((&self.key.0, "0"));
        let (vmid, index) = (vmid.parse().ok()?, index.parse().ok()?);
        let same = Member::of_vm(vmid, index).ok()?;
        (same == *self).then_some((vmid, index))
    }

    /// One that is known by its UUID.
    pub fn given(uuid: Uuid) -> Member {
        Member {
            key: MemberKey(uuid.to_string()),
            uuid: Some(uuid),
        }
    }

    /// The UUID that it has on this host.
    pub fn uuid_on(&self, host: &MachineId, group: &GroupName) -> Uuid {
        self.uuid.unwrap_or_else(|| host.uuid_of(group, &self.key))
    }
}

impl MachineId {
    /// The UUID of a group's member on this host: one of version 5 (RFC 9562), so that the machine
    /// id itself, which is confidential, cannot be read out of it.
    pub fn uuid_of(&self, group: &GroupName, member: &MemberKey) -> Uuid {
        let name = format!("vgpuctl/{group}/{member}");
        Uuid::new_v5(&self.0, name.as_bytes())
    }
}

impl MemberKey {
    /// The key of a member that has no name: its number in the group, from 0.
    pub fn index(index: u32) -> MemberKey {
        MemberKey(index.to_string())
    }

    /// The key of a member that has no name and belongs to one GPU: its number there, from 0.
    pub fn on_gpu(gpu: &ParentId, index: u32) -> MemberKey {
        MemberKey(format!("{gpu}/{index}"))
    }

    /// The name as the file has it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl GroupName {
    /// The name of a group that has none of its own.
    pub fn numbered(number: usize) -> GroupName {
        GroupName(format!("group.{number}"))
    }

    /// The name as the file has it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn check(what: &str, name: &str) -> Result<()> {
    let is_sound = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let fault = if name.is_empty() {
        "it is empty".to_owned()
    } else if name.len() > LONGEST {
        format!("it is longer than {LONGEST} characters")
    } else if !name.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        "it does not begin with a letter or digit".to_owned()
    } else if let Some(odd) = name.chars().find(|c| !is_sound(*c)) {
        format!("it contains {odd:?}; use letters, digits, '-', '_' and '.'")
    } else {
        return Ok(());
    };
    let shown = quoted(name);
    Err(Error::new(
        Kind::Usage,
        format!("{shown} is not a valid {what} name: {fault}"),
    ))
}

impl FromStr for GroupName {
    type Err = Error;

    fn from_str(name: &str) -> Result<GroupName> {
        check("group", name)?;
        Ok(GroupName(name.to_owned()))
    }
}

impl FromStr for MemberKey {
    type Err = Error;

    fn from_str(name: &str) -> Result<MemberKey> {
        check("member", name)?;
        Ok(MemberKey(name.to_owned()))
    }
}

impl fmt::Display for GroupName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Display for MemberKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uuid_is_the_same_every_time_and_another_for_all_else() {
        let host: MachineId = "0123456789abcdef0123456789abcdef\n".parse().unwrap();
        let other: MachineId = "0123456789abcdef0123456789abcdee".parse().unwrap();
        let (a, b): (GroupName, GroupName) = ("a".parse().unwrap(), "b".parse().unwrap());
        let first = host.uuid_of(&a, &MemberKey::index(0));
        // Pinned: a change would make every applied host anew.
        assert_eq!(first.to_string(), "536f122e-baf6-5419-9269-e15e90687624");
        for another in [
            host.uuid_of(&a, &MemberKey::index(1)),
            host.uuid_of(&b, &MemberKey::index(0)),
            other.uuid_of(&a, &MemberKey::index(0)),
        ] {
            assert_ne!(first, another);
        }
    }

    #[test]
    fn a_machine_id_has_32_digits() {
        for bad in ["", "x", "uninitialized", "0123456789abcdef0123456789abcde"] {
            assert!(bad.parse::<MachineId>().is_err(), "{bad:?}");
        }
        assert!("0".repeat(32).parse::<MachineId>().is_err());
    }

    #[test]
    fn names_are_words() {
        for good in ["a", "desk-1", "x.y_z", "0"] {
            assert!(good.parse::<GroupName>().is_ok(), "{good:?}");
        }
        for bad in ["", "-a", "a b", "a/b", "a\n", "ä", &"x".repeat(65)] {
            assert!(bad.parse::<GroupName>().is_err(), "{bad:?}");
        }
    }
}
