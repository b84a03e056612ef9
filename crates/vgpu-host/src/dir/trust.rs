//! Who else could have written something: whether what lies there may be relied on.

use std::os::unix::fs::MetadataExt;

use nix::sys::stat::{FileStat, SFlag};
use nix::unistd::geteuid;

const GROUP_MAY_WRITE: u32 = 0o020;
const OTHERS_MAY_WRITE: u32 = 0o002;

/// Whose something is, and who may write to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owned {
    user: u32,
    group: u32,
    mode: u32,
}

impl Owned {
    /// What somebody other than root, its group and the caller could have changed it by: "is owned by
    /// user 1000", "is writable by others (mode 0777)". `None` where nobody could.
    pub fn fault(self) -> Option<String> {
        let mode = self.mode & 0o7777;
        let shared = mode & GROUP_MAY_WRITE != 0 && self.group != 0;
        if !self.is_ours() {
            Some(format!("is owned by user {}", self.user))
        } else if shared || mode & OTHERS_MAY_WRITE != 0 {
            Some(format!("is writable by others (mode {mode:04o})"))
        } else {
            None
        }
    }

    /// Whether it is root's or the caller's.
    pub fn is_ours(self) -> bool {
        self.user == 0 || self.user == geteuid().as_raw()
    }
}

impl From<&std::fs::Metadata> for Owned {
    fn from(meta: &std::fs::Metadata) -> Owned {
        Owned {
            user: meta.uid(),
            group: meta.gid(),
            mode: meta.mode(),
        }
    }
}

impl From<&FileStat> for Owned {
    fn from(stat: &FileStat) -> Owned {
        Owned {
            user: stat.st_uid,
            group: stat.st_gid,
            mode: stat.st_mode,
        }
    }
}

/// Whether it is a regular file.
pub fn is_file(stat: &FileStat) -> bool {
    SFlag::from_bits_truncate(stat.st_mode & SFlag::S_IFMT.bits()) == SFlag::S_IFREG
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_could_have_written_is_told() {
        let caller = geteuid().as_raw();
        let fault = |user, group, mode| Owned { user, group, mode }.fault();
        for fine in [
            (0, 0, 0o40755),
            (caller, 5, 0o100_644),
            (0, 0, 0o40775),
            (0, 7, 0o100_700),
        ] {
            assert_eq!(fault(fine.0, fine.1, fine.2), None, "{fine:?}");
        }
        assert_eq!(
            fault(caller + 1, 0, 0o40700).as_deref(),
            Some(format!("is owned by user {}", caller + 1).as_str())
        );
        for mode in [0o40757, 0o100_646, 0o41777] {
            assert!(fault(0, 0, mode).is_some(), "{mode:o}");
        }
        assert!(fault(0, 7, 0o40775).is_some());
    }
}
