//! Folders of this program's own, and the files in them: nobody else may put anything there.

use std::ffi::OsStr;
use std::fs::DirBuilder;
use std::io::ErrorKind;
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use log::debug;
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, openat, renameat};
use nix::sys::signal::kill;
use nix::sys::stat::{Mode, fchmod, fstat, fstatat, mkdirat};
use nix::unistd::{Pid, UnlinkatFlags, unlinkat, write};
use rustix::fs::{CWD, OFlags};

use super::{Dir, Owned, is_file, refused, whole_of};
use crate::error::{Error, Kind, Result, errno_of, if_present};

/// In seconds: what is put into such a folder is a line or two.
const LONGEST_WRITE: u64 = 60;

/// What is put into such a folder everybody may read.
const READABLE: u32 = 0o644;

/// Makes a folder and those above it, for everybody to read. What is there already will do: who opens
/// it says what is wrong with it.
///
/// # Errors
/// What the kernel answered.
pub fn make_all(dir: &Path) -> std::io::Result<()> {
    match DirBuilder::new().recursive(true).mode(0o755).create(dir) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        made => made,
    }
}

/// Writes all of it, however many writes that takes.
///
/// # Errors
/// What the kernel answered.
pub fn write_all(file: &OwnedFd, mut content: &[u8]) -> nix::Result<()> {
    while !content.is_empty() {
        match write(file, content) {
            Ok(count) => content = &content[count..],
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

impl Dir {
    /// Opens a folder of our own.
    ///
    /// # Errors
    /// What the kernel answered; [`Kind::NotPermitted`] where it is another user's, or others may
    /// write to it: what is in it says nothing then. A link is not followed.
    pub fn open_own(path: &Path) -> Result<Dir> {
        Dir::open_from(CWD, path, path.to_owned(), OFlags::NOFOLLOW)?.if_own()
    }

    /// This directory, where nobody else may write to it.
    fn if_own(self) -> Result<Dir> {
        let path = self.path();
        let stat = fstat(&self)
            .map_err(|errno| Error::system("cannot stat the directory", path, errno))?;
        match Owned::from(&stat).fault() {
            None => Ok(self),
            Some(fault) => Err(Error::new(
                Kind::NotPermitted,
                format!("its contents cannot be trusted: the directory {fault}"),
            )
            .at(path)
            .hint(format!(
                "check that nobody has tampered with its contents, then: chown root {0}; chmod go-w {0}",
                path.display()
            ))),
        }
    }

    /// As [`Dir::open_own`], making it, and those above it, where it is missing.
    ///
    /// # Errors
    /// As there.
    pub fn make_own(path: &Path) -> Result<Dir> {
        if let Some(dir) = if_present(Dir::open_own(path))? {
            return Ok(dir);
        }
        make_all(path).map_err(|error| {
            Error::system("cannot create the directory", path, errno_of(&error))
        })?;
        Dir::open_own(path)
    }

    /// The text of a file in this directory, which is one of our own; `None` where it is not there.
    /// `what` is what it says, for messages.
    ///
    /// # Errors
    /// What the kernel answered; [`Kind::NotPermitted`] where the file is another user's, others may
    /// write to it, or it is no regular one: what is in it says nothing then. A link is not followed.
    pub fn read_own(&self, name: &OsStr, what: &str) -> Result<Option<String>> {
        let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW;
        let Some(file) = if_present(self.open_file(name, flags))? else {
            return Ok(None);
        };
        let path = self.join(name);
        let stat =
            fstat(&file).map_err(|errno| Error::system("cannot stat the file", &path, errno))?;
        let fault = match is_file(&stat) {
            true => Owned::from(&stat).fault(),
            false => Some("is not a regular file".to_owned()),
        };
        if let Some(fault) = fault {
            let message = format!("{what} cannot be trusted: the file {fault}");
            return Err(Error::new(Kind::NotPermitted, message)
                .at(path)
                .hint("make root its owner and deny others write access: chown root, chmod go-w"));
        }
        let text = whole_of(&file, |bytes| {
            self.as_text(name.as_ref(), bytes).map(str::to_owned)
        });
        text.map_err(|error| refused("cannot read", path, error))?
            .map(Some)
    }

    /// As [`Dir::make_own`], of a folder in one that is our own: what that one's name leads to meanwhile
    /// makes no difference.
    ///
    /// # Errors
    /// As there.
    pub fn make_own_below(parent: &Path, path: &Path) -> Result<Dir> {
        let parent = Dir::make_own(parent)?;
        let name = Path::new(path.file_name().unwrap_or_default());
        if let Some(dir) = if_present(parent.open_real_dir(name))? {
            return dir.if_own();
        }
        match mkdirat(&parent, name, Mode::from_bits_truncate(0o755)) {
            Ok(()) | Err(Errno::EEXIST) => parent.open_real_dir(name)?.if_own(),
            Err(errno) => Err(Error::system("cannot create the directory", path, errno)),
        }
    }

    /// Makes a file in this directory that is not there yet, of that mode whatever the umask is.
    ///
    /// # Errors
    /// What the kernel answered; EEXIST where there is anything, a link that leads nowhere too.
    pub fn create_file(&self, name: &str, mode: u32) -> nix::Result<OwnedFd> {
        let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_CLOEXEC;
        // Nobody else opens it before it has the mode that it is to have.
        let file = openat(self, name, flags, Mode::S_IRUSR | Mode::S_IWUSR)?;
        fchmod(&file, Mode::from_bits_truncate(mode))?;
        Ok(file)
    }

    /// Puts a file in the place of the one of that name, whole. Nothing is synced: what is kept in
    /// memory is gone after a crash of the kernel anyway.
    ///
    /// # Errors
    /// What the kernel answered.
    pub fn put(&self, name: &str, content: &[u8]) -> nix::Result<()> {
        let beside = format!(".{name}.{}", std::process::id());
        let made = match self.create_file(&beside, READABLE) {
            // Of a process that had this one's number and was killed.
            Err(Errno::EEXIST) => {
                self.unlink(&beside)?;
                self.create_file(&beside, READABLE)
            }
            made => made,
        };
        let put = made
            .and_then(|file| write_all(&file, content))
            .and_then(|()| renameat(self, beside.as_str(), self, name));
        if put.is_err() {
            // Where it was not made, there is nothing to take away.
            let _ = self.unlink(&beside);
        }
        put
    }

    /// Takes away what those left that [`Dir::put`] something here and were killed before it was whole.
    pub fn sweep(&mut self) {
        for entry in self.entries_unsaid().unwrap_or_default() {
            let name = entry.name.to_str().filter(|name| name.starts_with('.'));
            let writer = name.and_then(|name| name.rsplit_once('.')?.1.parse().ok());
            if writer.is_some_and(is_gone) && self.is_old(&entry.name) {
                debug!("sweep {}", self.join(&entry.name).display());
                // Another sweeper may be faster.
                let _ = unlinkat(&self, entry.name.as_os_str(), UnlinkatFlags::NoRemoveDir);
            }
        }
    }

    /// Whether it was written long ago. The number of a writer in another container may be nobody's
    /// here, and it may be at work.
    fn is_old(&self, name: &OsStr) -> bool {
        let Ok(stat) = fstatat(self, name, AtFlags::AT_SYMLINK_NOFOLLOW) else {
            return false;
        };
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let written = u64::try_from(stat.st_mtime).unwrap_or_default();
        now.is_ok_and(|now| now.as_secs().saturating_sub(written) > LONGEST_WRITE)
    }

    /// Takes away a name in this directory, whatever it stands for, unless that is a directory.
    ///
    /// # Errors
    /// What the kernel answered.
    pub fn unlink(&self, name: &str) -> nix::Result<()> {
        unlinkat(self, name, UnlinkatFlags::NoRemoveDir)
    }
}

/// Whether no process has this number.
pub fn is_gone(pid: i32) -> bool {
    pid > 0 && kill(Pid::from_raw(pid), None) == Err(Errno::ESRCH)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::time::Duration;

    fn set_mode(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn a_folder_that_others_may_write_to_is_refused_and_a_link_not_followed() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("a/run");
        Dir::make_own(&path).unwrap();
        for mode in [0o777, 0o757, 0o1777] {
            set_mode(&path, mode);
            let error = Dir::make_own(&path).unwrap_err();
            assert_eq!(error.kind(), Kind::NotPermitted);
            assert_eq!(error.path(), Some(path.as_path()));
            assert!(error.message().contains("is writable by others"));
        }
        set_mode(&path, 0o700);
        Dir::open_own(&path).unwrap();
        symlink(&path, root.path().join("link")).unwrap();
        let error = Dir::make_own(&root.path().join("link")).unwrap_err();
        assert_eq!(error.errno(), Some(Errno::ENOTDIR));
    }

    #[test]
    fn a_file_is_put_whole_where_a_link_and_a_half_one_stood() {
        let root = tempfile::tempdir().unwrap();
        let dir = Dir::make_own(root.path()).unwrap();
        let (outside, half) = (
            root.path().join("outside"),
            format!(".x.{}", std::process::id()),
        );
        fs::write(&outside, "untouched").unwrap();
        symlink(&outside, root.path().join("x")).unwrap();
        symlink(&outside, root.path().join(&half)).unwrap();
        dir.put("x", b"new").unwrap();
        assert_eq!(fs::read_to_string(&outside).unwrap(), "untouched");
        let meta = fs::symlink_metadata(root.path().join("x")).unwrap();
        assert!(meta.is_file() && meta.permissions().mode() & 0o777 == 0o644);
        assert_eq!(fs::read_to_string(root.path().join("x")).unwrap(), "new");
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 2);
    }

    #[test]
    fn only_what_nobody_writes_any_more_is_swept() {
        let root = tempfile::tempdir().unwrap();
        let long_ago = SystemTime::now() - Duration::from_secs(LONGEST_WRITE + 10);
        let own = std::process::id();
        let put = |name: &str, time: SystemTime| {
            let file = fs::File::create(root.path().join(name)).unwrap();
            file.set_modified(time).unwrap();
        };
        put(".a.unfinished.2147483646", long_ago);
        put(".new.2147483646", SystemTime::now());
        put(&format!(".alive.{own}"), long_ago);
        for name in ["x.2147483646", ".x", ".x.-1", ".x.0", ".x.swp", "y.lock"] {
            put(name, long_ago);
        }
        let count = || fs::read_dir(root.path()).unwrap().count();
        assert_eq!(count(), 9);
        Dir::open_own(root.path()).unwrap().sweep();
        assert_eq!(count(), 8);
        assert!(!root.path().join(".a.unfinished.2147483646").exists());
    }
}
