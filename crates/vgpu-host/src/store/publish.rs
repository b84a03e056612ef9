//! Files that other programs read at any time: always whole, and readable for everybody.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::id;

use log::debug;
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, openat, renameat};
use nix::sys::stat::{FileStat, Mode, fchmod, fstat, fstatat};
use nix::unistd::{UnlinkatFlags, fsync, unlinkat};
use rustix::fs::{RenameFlags, renameat_with};

use crate::dir::{Dir, beginning as beginning_of, is_file, is_gone, write_all};
use crate::error::{Error, Kind, Result, errno_of};

const MODE: Mode = Mode::from_bits_truncate(0o644);

/// Puts `content` in the place of the file at `path`. Several may do so at once: one of them is last.
/// It lies beside it first, under a hidden name that ends in the process's id.
///
/// # Errors
/// What the kernel answered; [`Kind::Usage`] where something else than a file is there.
pub fn publish(path: &Path, content: &[u8]) -> Result<()> {
    publish_at(Place::of(path)?, content)
}

/// As [`publish`], in a directory that is open, which is `path`'s.
///
/// # Errors
/// As there.
pub fn publish_in(dir: Dir, path: &Path, content: &[u8]) -> Result<()> {
    publish_at(Place::within(dir, path)?, content)
}

fn publish_at(mut place: Place<'_>, content: &[u8]) -> Result<()> {
    if place.stat(place.name).is_some_and(|there| !is_file(&there)) {
        return Err(no_file(place.path));
    }
    place.fill(content)?;
    renameat(&place.dir, place.beside.as_os_str(), &place.dir, place.name)
        .map_err(|errno| place.given_up(place.failed(errno)))
}

/// As [`publish`], of a file that nobody else keeps there: where there is one, it is empty or begins as
/// all of ours do.
///
/// # Errors
/// As there; [`Kind::Usage`] where another file is there.
pub fn publish_own(path: &Path, beginning: &str, content: &[u8]) -> Result<()> {
    let mut place = Place::of(path)?;
    place.look(place.name, beginning)?;
    place.fill(content)?;
    let put = place.put(beginning);
    put.map_err(|error| place.given_up(error))
}

/// What is at a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum There {
    Nothing,
    Ours,
}

/// Where a file is to be.
struct Place<'p> {
    path: &'p Path,
    dir: Dir,
    name: &'p OsStr,
    /// Where it lies before it is whole.
    beside: OsString,
    /// Which file that is: device and inode.
    ours: Option<(u64, u64)>,
}

impl<'p> Place<'p> {
    fn of(path: &'p Path) -> Result<Place<'p>> {
        let folder = path.parent().filter(|folder| *folder != Path::new(""));
        Place::within(Dir::open(folder.unwrap_or(Path::new(".")))?, path)
    }

    fn within(dir: Dir, path: &'p Path) -> Result<Place<'p>> {
        let name = path.file_name().ok_or_else(|| no_file(path))?;
        let mut beside = prefix(name);
        beside.push(id().to_string());
        Ok(Place {
            path,
            dir,
            name,
            beside,
            ours: None,
        })
    }

    fn stat(&self, name: &OsStr) -> Option<FileStat> {
        fstatat(&self.dir, name, AtFlags::AT_SYMLINK_NOFOLLOW).ok()
    }

    /// Writes it beside its place.
    fn fill(&mut self, content: &[u8]) -> Result<()> {
        sweep(&mut self.dir, &prefix(self.name));
        if let Err(errno) = fill(&self.dir, &self.beside, content) {
            let _ = unlink(&self.dir, &self.beside);
            return Err(Error::system("cannot write", self.path, errno));
        }
        self.ours = self.stat(&self.beside).map(|own| (own.st_dev, own.st_ino));
        debug!("write {}: {} bytes", self.path.display(), content.len());
        Ok(())
    }

    /// The error, with nothing of ours left beside the place.
    fn given_up(&self, error: Error) -> Error {
        let beside = self.stat(&self.beside);
        if self.ours.is_some() && beside.map(|one| (one.st_dev, one.st_ino)) == self.ours {
            let _ = unlink(&self.dir, &self.beside);
        }
        error
    }

    /// What is at a name, judged by what is read from it, whatever the name stands for afterwards.
    fn look(&self, name: &OsStr, beginning: &str) -> Result<There> {
        let failed = |errno| Error::system("cannot read", self.path, errno);
        let there = match fstatat(&self.dir, name, AtFlags::AT_SYMLINK_NOFOLLOW) {
            Err(Errno::ENOENT) => return Ok(There::Nothing),
            there => there.map_err(failed)?,
        };
        // What is no file is not even opened, unless it comes between the two.
        if !is_file(&there) {
            return Err(no_file(self.path));
        }
        let file = match self
            .dir
            .open_file(name, OFlag::O_RDONLY | OFlag::O_NOFOLLOW)
        {
            Err(error) if error.is_absent() => return Ok(There::Nothing),
            file => file.map_err(|error| error.at(self.path))?,
        };
        if !is_file(&fstat(&file).map_err(failed)?) {
            return Err(no_file(self.path));
        }
        let read = beginning_of(File::from(file), beginning.len());
        let begin = read.map_err(|error| failed(errno_of(&error)))?.bytes;
        match begin.is_empty() || begin == beginning.as_bytes() {
            true => Ok(There::Ours),
            false => {
                let message = "cannot write: the existing file was not written by this command";
                Err(Error::new(Kind::Usage, message)
                    .at(self.path)
                    .hint("choose another file, or remove this one first"))
            }
        }
    }

    /// Puts the new file in the place, and nothing of another's away: the two change places, and what
    /// has come out is looked at. Where it is another's, they change back; what remains is that for
    /// this moment the new file is seen in its place. On file systems that cannot exchange names, what
    /// comes between the look and the renaming is lost.
    fn put(&self, beginning: &str) -> Result<()> {
        loop {
            match self.look(self.name, beginning)? {
                There::Ours => return self.exchange(beginning, || {}),
                There::Nothing => match self.rename(RenameFlags::NOREPLACE) {
                    // It came after the look.
                    Err(Errno::EEXIST) => {}
                    renamed => return renamed.map_err(|errno| self.failed(errno)),
                },
            }
        }
    }

    /// `between` is what others do before the change, for tests.
    fn exchange(&self, beginning: &str, between: impl FnOnce()) -> Result<()> {
        between();
        match self.rename(RenameFlags::EXCHANGE) {
            // It went after the look.
            Err(Errno::ENOENT) if self.stat(&self.beside).is_some() => return self.put(beginning),
            exchanged => exchanged.map_err(|errno| self.failed(errno))?,
        }
        let out = self.stat(&self.beside);
        if out.is_none_or(|out| Some((out.st_dev, out.st_ino)) == self.ours) {
            // It was replaced, as where names cannot be exchanged.
            return Ok(());
        }
        if let Err(error) = self.look(&self.beside, beginning) {
            self.rename(RenameFlags::EXCHANGE)
                .map_err(|errno| self.failed(errno))?;
            return Err(error);
        }
        unlink(&self.dir, &self.beside).map_err(|errno| self.failed(errno))
    }

    /// Renames it into its place in this way, or as the file system can.
    fn rename(&self, how: RenameFlags) -> nix::Result<()> {
        let renamed = renameat_with(&self.dir, &self.beside, &self.dir, self.name, how);
        match renamed.map_err(|errno| Errno::from_raw(errno.raw_os_error())) {
            Err(Errno::EINVAL | Errno::ENOSYS) => {
                renameat(&self.dir, self.beside.as_os_str(), &self.dir, self.name)
            }
            renamed => renamed,
        }
    }

    fn failed(&self, errno: Errno) -> Error {
        Error::system("cannot write", self.path, errno)
    }
}

/// How the names begin of what lies beside a file.
fn prefix(name: &OsStr) -> OsString {
    let mut prefix = OsString::from(".");
    prefix.push(name);
    prefix.push(".");
    prefix
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
    Error::new(Kind::Usage, "cannot write: not a regular file")
        .at(path)
        .hint("specify a regular file; it is replaced as a whole")
}

/// Takes away what writers left that were killed: their ids are nobody's now, or this process's.
fn sweep(dir: &mut Dir, prefix: &OsString) {
    for entry in dir.entries_unsaid().unwrap_or_default() {
        let name = entry.name.as_encoded_bytes();
        let pid = name.strip_prefix(prefix.as_encoded_bytes());
        let pid = pid.and_then(|pid| str::from_utf8(pid).ok()?.parse().ok());
        let is_left = |pid: i32| pid.unsigned_abs() == id() || is_gone(pid);
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
    fn what_comes_into_the_place_meanwhile_is_not_lost() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("x.prom");
        const OWN: &str = "# HELP vgpuctl_";
        let begin = |path| {
            let mut place = Place::of(path).unwrap();
            place.look(place.name, OWN).unwrap();
            place.fill(b"# HELP vgpuctl_x new").unwrap();
            place
        };
        let names = || fs::read_dir(root.path()).unwrap().count();
        // Another's file comes after the look, and one after that where ours has just been put.
        for old in [None, Some("# HELP vgpuctl_x old")] {
            let _ = fs::remove_file(&path);
            if let Some(old) = old {
                fs::write(&path, old).unwrap();
            }
            let place = begin(&path);
            fs::write(&path, "another's").unwrap();
            let error = place.put(OWN).map_err(|error| place.given_up(error));
            assert_eq!(error.unwrap_err().kind(), Kind::Usage);
            assert_eq!(fs::read_to_string(&path).unwrap(), "another's");
            assert_eq!(names(), 1);
        }
        fs::write(&path, "# HELP vgpuctl_x old").unwrap();
        let place = begin(&path);
        let put = place.exchange(OWN, || {
            fs::remove_file(&path).unwrap();
            fs::write(&path, "another's").unwrap();
        });
        let error = put.map_err(|error| place.given_up(error)).unwrap_err();
        assert_eq!((error.kind(), names()), (Kind::Usage, 1));
        assert_eq!(fs::read_to_string(&path).unwrap(), "another's");
        // One that goes meanwhile is made anew.
        fs::write(&path, "# HELP vgpuctl_x old").unwrap();
        let place = begin(&path);
        fs::remove_file(&path).unwrap();
        place.put(OWN).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "# HELP vgpuctl_x new");
        assert_eq!(names(), 1);
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
