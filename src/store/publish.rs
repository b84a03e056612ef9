//! Files that other programs read at any time: always whole, and readable for everybody.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::id;

use log::debug;
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, openat, renameat};
use nix::sys::signal::kill;
use nix::sys::stat::{Mode, SFlag, fchmod, fstatat};
use nix::unistd::{Pid, UnlinkatFlags, fsync, unlinkat};

use crate::dir::{Dir, write_all};
use crate::error::{Error, Kind, Result, errno_of};

const MODE: Mode = Mode::from_bits_truncate(0o644);

/// Puts `content` in the place of the file at `path`. Several may do so at once: one of them is last.
/// It lies beside it first, under a hidden name that ends in the process's id.
///
/// # Errors
/// What the kernel answered; [`Kind::Usage`] where something else than a file is there.
pub fn publish(path: &Path, content: &[u8]) -> Result<()> {
    let Some(name) = path.file_name() else {
        return Err(no_file(path));
    };
    let folder = path.parent().filter(|folder| *folder != Path::new(""));
    let mut dir = Dir::open(folder.unwrap_or(Path::new(".")))?;
    publish_in(&mut dir, name, content)
}

/// As [`publish`], in a directory that is open.
///
/// # Errors
/// As there.
pub fn publish_in(dir: &mut Dir, name: &OsStr, content: &[u8]) -> Result<()> {
    let path = &dir.join(name);
    if let Ok(there) = fstatat(&*dir, name, AtFlags::AT_SYMLINK_NOFOLLOW)
        && SFlag::from_bits_truncate(there.st_mode & SFlag::S_IFMT.bits()) != SFlag::S_IFREG
    {
        return Err(no_file(path));
    }
    let mut prefix = OsString::from(".");
    prefix.push(name);
    prefix.push(".");
    sweep(dir, &prefix);
    let mut beside = prefix;
    beside.push(id().to_string());
    let written =
        fill(dir, &beside, content).and_then(|()| renameat(&*dir, beside.as_os_str(), &*dir, name));
    if let Err(errno) = written {
        let _ = unlink(dir, &beside);
        return Err(Error::system("cannot write", path, errno));
    }
    debug!("write {}: {} bytes", path.display(), content.len());
    Ok(())
}

/// As [`publish`], of a file that nobody else keeps there: where there is one, it is empty or begins as
/// all of ours do.
///
/// # Errors
/// As there; [`Kind::Usage`] where another file is there.
pub fn publish_own(path: &Path, beginning: &str, content: &[u8]) -> Result<()> {
    // What is no file is refused below, and not waited for.
    if path.symlink_metadata().is_ok_and(|there| there.is_file()) {
        let failed = |error: io::Error| Error::system("cannot read", path, errno_of(&error));
        let file = File::open(path).map_err(failed)?;
        let most = u64::try_from(beginning.len()).unwrap_or(u64::MAX);
        let mut begin = Vec::new();
        file.take(most).read_to_end(&mut begin).map_err(failed)?;
        if !begin.is_empty() && begin != beginning.as_bytes() {
            let message = "cannot write: what is there is not of this command's";
            return Err(Error::new(Kind::Usage, message)
                .at(path)
                .hint("name another file, or take this one away first"));
        }
    }
    publish(path, content)
}

fn fill(dir: &Dir, name: &OsString, content: &[u8]) -> nix::Result<()> {
    let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_CLOEXEC;
    let file: OwnedFd = openat(dir, name.as_os_str(), flags, MODE)?;
    // Whatever the umask is.
    fchmod(&file, MODE)?;
    write_all(&file, content)?;
    fsync(&file)
}

fn no_file(path: &Path) -> Error {
    Error::new(Kind::Usage, "cannot write: that is no file")
        .at(path)
        .hint("name a file; it is replaced as a whole")
}

/// Takes away what writers left that were killed: their ids are nobody's now, or this process's.
fn sweep(dir: &mut Dir, prefix: &OsString) {
    for entry in dir.entries_unsaid().unwrap_or_default() {
        let name = entry.name.as_encoded_bytes();
        let pid = name.strip_prefix(prefix.as_encoded_bytes());
        let pid = pid.and_then(|pid| str::from_utf8(pid).ok()?.parse().ok());
        let is_left = |pid: i32| {
            pid.unsigned_abs() == id() || kill(Pid::from_raw(pid), None) == Err(Errno::ESRCH)
        };
        if pid.is_some_and(is_left) {
            let _ = unlink(dir, &entry.name);
        }
    }
}

fn unlink(dir: &Dir, name: &OsString) -> nix::Result<()> {
    unlinkat(dir, name.as_os_str(), UnlinkatFlags::NoRemoveDir)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    #[test]
    fn a_file_is_replaced_whole_and_everybody_may_read_it() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("x.prom");
        fs::write(&path, "a longer old content").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        // A process that is no more; another file that only looks alike.
        fs::write(root.path().join(".x.prom.2147483646"), "half").unwrap();
        fs::write(root.path().join(format!(".x.prom.{}", id())), "half").unwrap();
        fs::write(root.path().join(".x.prom.swp"), "an editor's").unwrap();
        publish(&path, b"new").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o644);
        let mut names: Vec<_> = fs::read_dir(root.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        names.sort();
        assert_eq!(names, [".x.prom.swp", "x.prom"]);
    }

    #[test]
    fn only_a_file_of_ours_is_replaced() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("x.prom");
        let put = || publish_own(&path, "# HELP vgpuctl_", b"# HELP vgpuctl_x new");
        put().unwrap();
        put().unwrap();
        fs::write(&path, "").unwrap();
        put().unwrap();
        for other in ["x", "# HELP node_x y", "# HELP vgpuct", " # HELP vgpuctl_x"] {
            fs::write(&path, other).unwrap();
            let error = put().unwrap_err();
            assert_eq!((error.kind(), error.path()), (Kind::Usage, Some(&*path)));
            assert_eq!(fs::read_to_string(&path).unwrap(), other);
        }
    }

    #[test]
    fn what_is_no_file_is_left_alone() {
        let root = tempfile::tempdir().unwrap();
        symlink("/dev/stdout", root.path().join("link")).unwrap();
        fs::create_dir(root.path().join("dir")).unwrap();
        for bad in ["link", "dir", "..", "dir/."] {
            let error = publish(&root.path().join(bad), b"new").unwrap_err();
            assert!(matches!(error.kind(), Kind::Usage), "{bad}: {error}");
        }
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 2);
        let error = publish(&root.path().join("gone/x"), b"new").unwrap_err();
        assert_eq!(error.errno(), Some(Errno::ENOENT));
    }
}
