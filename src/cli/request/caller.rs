//! The requesting user: what this system knows about the user reported by the kernel.

use nix::errno::Errno;
use nix::unistd::{Gid, Group, Uid, User};

use crate::declare::{Account, NOBODY, Policy, Quota, Who};
use crate::error::{Error, Kind, Result};
use crate::host::groups_of;

/// A requesting user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The user id reported by the kernel.
    pub user: u32,
    /// The name, if this system knows the user.
    pub name: Option<String>,
    /// The groups of which this system lists the user as a member, by id, regardless of the groups of the process.
    groups: Vec<u32>,
}

impl std::fmt::Display for Caller {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.name {
            Some(name) => write!(f, "user {} ({name})", self.user),
            None => write!(f, "user {}", self.user),
        }
    }
}

impl Caller {
    /// What is known about a user.
    ///
    /// # Errors
    /// [`Kind::NotPermitted`] for an id that does not identify a
    /// user; the user cannot be looked up.
    pub fn of(user: u32) -> Result<Caller> {
        if user == NOBODY || user == u32::MAX {
            let message = format!("user {user} is not a specific user");
            return Err(Error::new(Kind::NotPermitted, message));
        }
        let known = User::from_uid(Uid::from_raw(user)).map_err(unknown)?;
        let groups = match &known {
            Some(known) => groups_of(known).map_err(unknown)?,
            None => Vec::new(),
        };
        Ok(Caller {
            user,
            name: known.map(|known| known.name),
            groups: groups.into_iter().map(Gid::as_raw).collect(),
        })
    }

    /// What the policy allows this user; `None` if it does not name the user.
    ///
    /// # Errors
    /// A group cannot be looked up.
    pub fn quotas(&self, policy: &Policy) -> Result<Option<Vec<Quota>>> {
        self.quotas_by(policy, |name| {
            let group = Group::from_name(name).map_err(unknown)?;
            Ok(group.map(|group| group.gid.as_raw()))
        })
    }

    fn quotas_by(
        &self,
        policy: &Policy,
        group: impl Fn(&str) -> Result<Option<u32>>,
    ) -> Result<Option<Vec<Quota>>> {
        let mut quotas = None;
        for block in policy.blocks() {
            let is_meant = match &block.who {
                Who::User(Account::Number(user)) => *user == self.user,
                Who::User(Account::Name(name)) => self.name.as_ref() == Some(name),
                Who::Group(Account::Number(group)) => self.groups.contains(group),
                Who::Group(Account::Name(name)) => {
                    group(name)?.is_some_and(|group| self.groups.contains(&group))
                }
            };
            if is_meant {
                let all = quotas.get_or_insert_with(Vec::new);
                // One without types lets the user remove existing vGPUs.
                all.extend(Some(block.quota.clone()).filter(|quota| !quota.types.is_empty()));
            }
        }
        Ok(quotas)
    }
}

fn unknown(errno: Errno) -> Error {
    let message = "cannot look up the requesting user or their groups";
    Error::new(Kind::Failed, message).answered(errno)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::declare::Source;

    fn devices(caller: &Caller, text: &str) -> Option<Vec<u32>> {
        let policy = Policy::parse(&Source {
            name: String::new(),
            text: text.to_owned(),
        });
        let group = |name: &str| Ok((name == "vgpu-users").then_some(990));
        let quotas = caller.quotas_by(&policy.unwrap(), group).unwrap()?;
        Some(quotas.iter().map(|quota| quota.devices).collect())
    }

    fn block(who: &str, devices: u32) -> String {
        format!("[[allow]]\n{who}\ntypes = [\"a\"]\ndevices = {devices}\n")
    }

    #[test]
    fn only_blocks_that_name_the_user_or_a_group_of_his_count() {
        let alice = Caller {
            user: 1000,
            name: Some("alice".to_owned()),
            groups: vec![1000, 990],
        };
        let stranger = Caller {
            user: 60001,
            name: None,
            groups: Vec::new(),
        };
        let all = [
            block("group = \"vgpu-users\"", 1),
            block("group = 990", 2),
            block("user = \"alice\"", 3),
            block("user = 1000", 4),
            block("user = \"alic\"", 5),
            block("user = 990", 6),
            block("group = 60001", 7),
            block("group = \"alice\"", 8),
            block("user = 60001", 9),
            block("user = \"Alice\"", 10),
        ]
        .concat();
        assert_eq!(devices(&alice, &all), Some(vec![1, 2, 3, 4]));
        assert_eq!(devices(&stranger, &all), Some(vec![9]));
        assert_eq!(devices(&stranger, &block("user = 1000", 1)), None);
        assert_eq!(devices(&alice, ""), None);
        let only_named = "[[allow]]\nuser = \"alice\"\n";
        assert_eq!(devices(&alice, only_named), Some(Vec::new()));
    }

    #[test]
    fn a_user_has_the_groups_that_the_system_says_and_nobody_is_nobody() {
        let root = Caller::of(0).unwrap();
        assert_eq!(root.name.as_deref(), Some("root"));
        assert!(root.groups.contains(&0));
        let stranger = Caller::of(60001).unwrap();
        assert!(stranger.groups.is_empty());
        for nobody in [NOBODY, u32::MAX] {
            assert_eq!(Caller::of(nobody).unwrap_err().kind(), Kind::NotPermitted);
        }
    }
}
