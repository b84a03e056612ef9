//! Simulated faults: failing writes, delays, broken files.

use nix::errno::Errno;

/// How `break` changes a file or directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Broken {
    /// It does not exist.
    Missing,
    /// It is empty.
    Empty,
    /// It contains bytes that are not valid UTF-8.
    Garbage,
    /// Reading it fails with EIO.
    Eio,
}

impl Broken {
    /// The mode of that name; `Ok(None)` for `ok`.
    pub fn by_name(name: &str) -> Result<Option<Self>, String> {
        Ok(Some(match name {
            "missing" => Self::Missing,
            "empty" => Self::Empty,
            "garbage" => Self::Garbage,
            "eio" => Self::Eio,
            "ok" => return Ok(None),
            _ => {
                return Err(format!(
                    "\"{name}\" is not missing, empty, garbage, eio or ok"
                ));
            }
        }))
    }
}

/// The content of a `garbage` file.
pub const GARBAGE: &[u8] = b"\xff\xfe\x80garbage\xc3\n";

/// Writes that will fail: the Nth from now.
#[derive(Debug, Default)]
pub struct Countdown(Vec<(u64, Errno)>);

impl Countdown {
    /// Makes the `nth` write from now (1 is the next) fail.
    pub fn add(&mut self, nth: u64, errno: Errno) {
        self.0.push((nth, errno));
    }

    /// Counts one write; returns the errno if it fails.
    pub fn tick(&mut self) -> Option<Errno> {
        let mut hit = None;
        self.0.retain_mut(|(left, errno)| {
            *left = left.saturating_sub(1);
            if *left == 0 {
                hit = Some(*errno);
            }
            *left > 0
        });
        hit
    }

    /// Number of pending failures.
    pub fn len(&self) -> usize {
        self.0.len()
    }
}

/// The errno with this name, such as `EIO`.
pub fn errno_by_name(name: &str) -> Result<Errno, String> {
    // Those that drivers return on these paths, and a few others.
    const KNOWN: &[Errno] = &[
        Errno::EPERM,
        Errno::ENOENT,
        Errno::EINTR,
        Errno::EIO,
        Errno::ENXIO,
        Errno::E2BIG,
        Errno::EAGAIN,
        Errno::ENOMEM,
        Errno::EACCES,
        Errno::EFAULT,
        Errno::EBUSY,
        Errno::EEXIST,
        Errno::ENODEV,
        Errno::EINVAL,
        Errno::EFBIG,
        Errno::ENOSPC,
        Errno::EROFS,
        Errno::ERANGE,
        Errno::ENOSYS,
        Errno::EOPNOTSUPP,
        Errno::EADDRINUSE,
        Errno::EADDRNOTAVAIL,
        Errno::ETIMEDOUT,
        Errno::EUSERS,
        Errno::ECANCELED,
    ];
    KNOWN
        .iter()
        .find(|e| format!("{e:?}") == name)
        .copied()
        .ok_or_else(|| format!("\"{name}\" is not an errno of this program's list"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nth_write_fails_and_only_that_one() {
        let mut faults = Countdown::default();
        faults.add(2, Errno::EIO);
        faults.add(3, Errno::EBUSY);
        let seen: Vec<_> = (0..4).map(|_| faults.tick()).collect();
        assert_eq!(seen, [None, Some(Errno::EIO), Some(Errno::EBUSY), None]);
    }

    #[test]
    fn errnos_go_by_name() {
        assert_eq!(errno_by_name("EUSERS"), Ok(Errno::EUSERS));
        assert!(errno_by_name("EWHAT").is_err());
    }
}
