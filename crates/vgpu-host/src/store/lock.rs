//! One writer at a time. A lock's file is never deleted: two processes could then hold "the" lock.

use std::ffi::OsStr;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use log::{debug, warn};
use nix::errno::Errno;
use nix::fcntl::OFlag;
use rustix::fs::{FlockOperation, flock};

use crate::dir::Dir;
use crate::error::{Error, Kind, Result};
use crate::interrupt::{self, Step};

/// How long another process may keep the lock. It is held while the kernel makes one device.
const PATIENCE: Duration = Duration::from_secs(120);
/// After this long the user is told what is being waited for.
const SILENCE: Duration = Duration::from_secs(2);
const PAUSE: Duration = Duration::from_millis(5);

/// A lock that is held until it is dropped. What is done under it is one [`Step`]: a signal that
/// ends the program waits until it is given back.
#[derive(Debug)]
pub struct Lock(OwnedFd, #[allow(dead_code)] Step);

impl Drop for Lock {
    /// A lock that cannot be given back goes with this process.
    fn drop(&mut self) {
        if let Err(errno) = flock(&self.0, FlockOperation::Unlock) {
            debug!("cannot unlock: {errno}");
        }
    }
}

impl Lock {
    /// Takes the lock at `path`, making its directory where it is missing.
    ///
    /// # Errors
    /// [`Kind::NotPermitted`] without root; [`Kind::Failed`] where somebody keeps it too long.
    pub fn take(dir: &Path, path: &Path) -> Result<Lock> {
        let failed = |errno| Error::system("cannot take the lock", path, errno);
        let dir = Dir::make_own(dir).map_err(|error| match error.errno() {
            Some(errno) => failed(errno),
            None => error,
        })?;
        let file = open(&dir, path).map_err(failed)?;
        let begin = Instant::now();
        let mut told = false;
        loop {
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => {
                    debug!("lock {}", path.display());
                    return Ok(Lock(file, Step::begin()));
                }
                Err(rustix::io::Errno::WOULDBLOCK | rustix::io::Errno::INTR) => {}
                Err(errno) => return Err(failed(Errno::from_raw(errno.raw_os_error()))),
            }
            interrupt::refuse_if_asked("waiting for another process")
                .map_err(|error| error.at(path))?;
            let waited = begin.elapsed();
            if waited > PATIENCE {
                return Err(Error::new(
                    Kind::Failed,
                    format!(
                        "another process has held the lock for {} s",
                        waited.as_secs()
                    ),
                )
                .at(path)
                .hint(format!(
                    "see which process it is: fuser -v {}",
                    path.display()
                )));
            }
            if waited > SILENCE && !told {
                warn!(
                    "waiting for another process, which holds {}",
                    path.display()
                );
                told = true;
            }
            sleep(PAUSE);
        }
    }
}

/// Opens the lock's file, making it where it is missing. Whoever may open it may hold it: nobody but
/// its owner.
fn open(dir: &Dir, path: &Path) -> nix::Result<OwnedFd> {
    let name = path.file_name().and_then(OsStr::to_str);
    let name = name.ok_or(Errno::EINVAL)?;
    loop {
        match dir.open_file(name, OFlag::O_WRONLY | OFlag::O_NOFOLLOW) {
            Err(error) if error.is_absent() => {}
            opened => return opened.map_err(|error| error.errno().unwrap_or(Errno::EIO)),
        }
        match dir.create_file(name, 0o600) {
            // Another process has just made it.
            Err(Errno::EEXIST) => {}
            made => return made,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::stat::Mode;
    use nix::unistd::mkfifo;
    use std::os::unix::fs::symlink;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::thread;

    #[test]
    fn one_at_a_time_holds_it_and_its_file_stays() {
        let root = tempfile::tempdir().unwrap();
        let (dir, path) = (root.path().join("run"), root.path().join("run/x.lock"));
        let inside = AtomicU32::new(0);
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..20 {
                        let _lock = Lock::take(&dir, &path).unwrap();
                        assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0);
                        inside.fetch_sub(1, Ordering::SeqCst);
                    }
                });
            }
        });
        assert!(path.exists());
    }

    #[test]
    fn what_stands_in_a_locks_place_is_neither_followed_nor_waited_for() {
        let root = tempfile::tempdir().unwrap();
        let (outside, fifo) = (root.path().join("outside"), root.path().join("b.lock"));
        symlink(&outside, root.path().join("a.lock")).unwrap();
        mkfifo(&fifo, Mode::S_IRWXU).unwrap();
        for (name, errno) in [("a.lock", Errno::ELOOP), ("b.lock", Errno::ENXIO)] {
            let error = Lock::take(root.path(), &root.path().join(name)).unwrap_err();
            assert_eq!(error.errno(), Some(errno), "{error}");
        }
        assert!(!outside.exists());
    }
}
