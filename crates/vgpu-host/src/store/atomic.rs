//! Files that are either as before or as after, whenever the machine stops.

use std::os::fd::OwnedFd;
use std::path::Path;

use log::debug;
use nix::errno::Errno;
use nix::fcntl::{AtFlags, renameat};
use nix::sys::stat::{FileStat, Mode, fchmod, fstat, fstatat, mkdirat};
use nix::unistd::{Gid, Uid, UnlinkatFlags, fchown, fsync, unlinkat};

use crate::dir::{Dir, is_file, make_all, write_all};
use crate::error::{Error, Result, errno_of, if_present};

/// The name of a file that is being written. One is enough for a directory, since writers hold its
/// lock; it is hidden, so that nobody takes it for a definition, and the next writer takes it over.
const UNFINISHED: &str = ".vgpuctl.tmp";

/// The mode of a definition, unless the one that it takes the place of has another.
const USUAL_MODE: u32 = 0o644;

/// The mode of a file that is to get another's.
const UNREADABLE: u32 = 0o600;

/// Opens `name` below `top`, making both where they are missing.
pub fn make_dir(top: &Path, name: &str) -> Result<Dir> {
    let path = top.join(name);
    if let Some(top) = if_present(Dir::open(top))?
        && let Some(dir) = if_present(top.open_real_dir(name))?
    {
        return Ok(dir);
    }
    let failed = |path: &Path, errno| refused("cannot create the directory", path, errno);
    make_all(top).map_err(|error| failed(top, errno_of(&error)))?;
    let dir = Dir::open(top)?;
    match mkdirat(&dir, name, Mode::from_bits_truncate(0o755)) {
        Ok(()) => debug!("make {}", path.display()),
        Err(Errno::EEXIST) => {}
        Err(errno) => return Err(failed(&path, errno)),
    }
    fsync(&dir).map_err(|errno| failed(&path, errno))?;
    dir.open_real_dir(name)
}

/// Puts `content` in the place of the file `name`, whole or not at all, and onto the disk.
pub fn replace(dir: &Dir, name: &str, content: &[u8]) -> Result<()> {
    let path = dir.join(name);
    let old = if_present(dir.read_bytes(name));
    if let Err(errno) = put(dir, name, content) {
        sweep(dir);
        return Err(refused("cannot write the definition", &path, errno));
    }
    debug!("write {}: {} bytes", path.display(), content.len());
    fsync(dir).map_err(|errno| {
        put_back(dir, name, old);
        refused("cannot write the definition", &path, errno)
    })
}

fn put(dir: &Dir, name: &str, content: &[u8]) -> nix::Result<()> {
    write_beside(dir, name, content)?;
    renameat(dir, UNFINISHED, dir, name)
}

/// What may not be on the disk counts as not written, so it must not be there either.
fn put_back(dir: &Dir, name: &str, old: Result<Option<Vec<u8>>>) {
    let undone = match old {
        Ok(Some(content)) => put(dir, name, &content),
        Ok(None) => unlinkat(dir, name, UnlinkatFlags::NoRemoveDir),
        Err(_) => Ok(()),
    };
    if let Err(errno) = undone {
        debug!(
            "{} stays as it was written: {errno}",
            dir.join(name).display()
        );
        sweep(dir);
    }
}

fn refused(what: &str, path: &Path, errno: Errno) -> Error {
    let error = Error::system(what, path, errno);
    match errno {
        Errno::ENOSPC | Errno::EDQUOT => error.hint(
            "nothing was lost or changed: free some space on that file system, then try again",
        ),
        _ => error,
    }
}

fn write_beside(dir: &Dir, name: &str, content: &[u8]) -> nix::Result<()> {
    sweep(dir);
    let old = fstatat(dir, name, AtFlags::AT_SYMLINK_NOFOLLOW).ok();
    let old = old.filter(is_file);
    let file = dir.create_file(UNFINISHED, old.map_or(USUAL_MODE, |_| UNREADABLE))?;
    if let Some(old) = old {
        keep_owner(&file, &old)?;
        fchmod(&file, Mode::from_bits_truncate(old.st_mode & 0o777))?;
    }
    write_all(&file, content)?;
    fsync(&file)
}

/// Gives the file to whom the old one belongs. Only root can; to anybody else the folder's owner gave
/// the right to replace it.
fn keep_owner(file: &OwnedFd, old: &FileStat) -> nix::Result<()> {
    let new = fstat(file)?;
    if (new.st_uid, new.st_gid) == (old.st_uid, old.st_gid) {
        return Ok(());
    }
    let (user, group) = (Uid::from_raw(old.st_uid), Gid::from_raw(old.st_gid));
    match fchown(file, Some(user), Some(group)) {
        Err(Errno::EPERM) => Ok(()),
        done => done,
    }
}

/// Takes away what an interrupted writer left.
pub fn sweep(dir: &Dir) {
    let _ = unlinkat(dir, UNFINISHED, UnlinkatFlags::NoRemoveDir);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_file_is_replaced_whole_keeps_its_mode_and_leaves_no_trace() {
        let root = tempfile::tempdir().unwrap();
        let dir = make_dir(&root.path().join("a/b"), "c").unwrap();
        // What a killed writer leaves.
        fs::write(dir.join(UNFINISHED), "half").unwrap();
        replace(&dir, "x", b"one").unwrap();
        fs::set_permissions(dir.join("x"), fs::Permissions::from_mode(0o600)).unwrap();
        replace(&dir, "x", b"two").unwrap();
        assert_eq!(fs::read(dir.join("x")).unwrap(), b"two");
        let mode = fs::metadata(dir.join("x")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_cannot_be_replaced_stays_as_it_was() {
        let root = tempfile::tempdir().unwrap();
        let dir = make_dir(root.path(), "c").unwrap();
        fs::create_dir(dir.join("x")).unwrap();
        let error = replace(&dir, "x", b"one").unwrap_err();
        assert_eq!(error.path(), Some(dir.join("x").as_path()));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
