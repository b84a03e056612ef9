//! A directory held open: everything in it is reached by descriptor, each file opened and read once.

use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use log::debug;
use nix::dir::Type;
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag, openat, readlinkat};
use nix::sys::stat::Mode;
use nix::unistd::read;

use crate::error::{Error, Result};

/// Files larger than this are refused: sysfs shows a page at most, definitions are a few lines.
const LARGEST_FILE: usize = 1 << 20;

/// One name in a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its name, which need not be UTF-8.
    pub name: OsString,
    /// What the directory says that it is.
    pub kind: EntryKind,
}

/// What a directory says of a name in it, without looking there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntryKind {
    /// A directory, or the file system does not say.
    Directory,
    /// A symbolic link.
    Link,
    /// A file or anything else.
    Other,
}

/// An open directory and the path it was opened by, for messages.
#[derive(Debug)]
pub struct Dir {
    handle: nix::dir::Dir,
    path: PathBuf,
}

impl Dir {
    /// Opens the directory at `path`, following links.
    ///
    /// # Errors
    /// What the kernel answered, with the path.
    pub fn open(path: impl Into<PathBuf>) -> Result<Dir> {
        let path = path.into();
        Self::open_from(AT_FDCWD, &path.clone(), path, OFlag::empty())
    }

    /// Opens a directory below this one, following links.
    ///
    /// # Errors
    /// What the kernel answered, with the path.
    pub fn open_dir(&self, name: impl AsRef<Path>) -> Result<Dir> {
        let name = name.as_ref();
        Self::open_from(self.as_fd(), name, self.path.join(name), OFlag::empty())
    }

    /// Opens a directory below this one, unless the name is a link.
    ///
    /// # Errors
    /// What the kernel answered, with the path; ENOTDIR for a link.
    pub fn open_real_dir(&self, name: impl AsRef<Path>) -> Result<Dir> {
        let name = name.as_ref();
        Self::open_from(self.as_fd(), name, self.path.join(name), OFlag::O_NOFOLLOW)
    }

    fn open_from(at: BorrowedFd<'_>, name: &Path, path: PathBuf, more: OFlag) -> Result<Dir> {
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC | more;
        match nix::dir::Dir::openat(at, name, flags, Mode::empty()) {
            Ok(handle) => Ok(Dir { handle, path }),
            Err(errno) => Err(Error::system("cannot open the directory", path, errno)),
        }
    }

    /// The path this directory was opened by.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The path of `name` in this directory.
    pub fn join(&self, name: impl AsRef<Path>) -> PathBuf {
        self.path.join(name)
    }

    /// Everything in the directory but `.` and `..`, sorted by name.
    ///
    /// # Errors
    /// What the kernel answered, with the path.
    pub fn entries(&mut self) -> Result<Vec<Entry>> {
        let entries = self.entries_unsaid()?;
        debug!("list {}: {} entries", self.path.display(), entries.len());
        Ok(entries)
    }

    /// As [`Dir::entries`], too often and too dull for `-v`.
    ///
    /// # Errors
    /// As [`Dir::entries`].
    pub fn entries_unsaid(&mut self) -> Result<Vec<Entry>> {
        let mut entries = Vec::new();
        for entry in self.handle.iter() {
            let entry = entry
                .map_err(|errno| Error::system("cannot list the directory", &self.path, errno))?;
            let name = OsStr::from_bytes(entry.file_name().to_bytes());
            if name != "." && name != ".." {
                entries.push(Entry {
                    name: name.to_owned(),
                    kind: match entry.file_type() {
                        None | Some(Type::Directory) => EntryKind::Directory,
                        Some(Type::Symlink) => EntryKind::Link,
                        Some(_) => EntryKind::Other,
                    },
                });
            }
        }
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(entries)
    }

    /// Opens a file below this directory. A FIFO or device does not block the opening.
    ///
    /// # Errors
    /// What the kernel answered, with the path.
    pub fn open_file(&self, name: impl AsRef<Path>, flags: OFlag) -> Result<OwnedFd> {
        let name = name.as_ref();
        let flags = flags | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK;
        openat(self.as_fd(), name, flags, Mode::empty())
            .map_err(|errno| Error::system("cannot open", self.join(name), errno))
    }

    /// The whole of a file below this directory, as bytes.
    ///
    /// # Errors
    /// What the kernel answered, or that the file is larger than anything expected here.
    pub fn read_bytes(&self, name: impl AsRef<Path>) -> Result<Vec<u8>> {
        let name = name.as_ref();
        let file = openat(
            self.as_fd(),
            name,
            OFlag::O_RDONLY | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK,
            Mode::empty(),
        )
        .map_err(|errno| Error::system("cannot read", self.join(name), errno))?;
        read_whole(&file).map_err(|errno| Error::system("cannot read", self.join(name), errno))
    }

    /// A file's text, without its one last newline.
    ///
    /// # Errors
    /// As [`Dir::read_bytes`]; EILSEQ where the content is not UTF-8.
    pub fn read_text(&self, name: impl AsRef<Path>) -> Result<String> {
        let name = name.as_ref();
        let mut text = String::from_utf8(self.read_bytes(name)?).map_err(|_| {
            Error::system("the content is not text", self.join(name), Errno::EILSEQ)
        })?;
        if text.ends_with('\n') {
            text.pop();
        }
        debug!("read {}: {text:?}", self.join(name).display());
        Ok(text)
    }

    /// Where a link below this directory points, as it is written there.
    ///
    /// # Errors
    /// What the kernel answered, with the path.
    pub fn read_link(&self, name: impl AsRef<Path>) -> Result<PathBuf> {
        let name = name.as_ref();
        let target = readlinkat(self.as_fd(), name)
            .map(PathBuf::from)
            .map_err(|errno| Error::system("cannot read the link", self.join(name), errno))?;
        debug!("link {} -> {}", self.join(name).display(), target.display());
        Ok(target)
    }

    /// The last part of where a link below this directory points.
    ///
    /// # Errors
    /// As [`Dir::read_link`]; EINVAL where the target has no last part.
    pub fn link_name(&self, name: impl AsRef<Path>) -> Result<String> {
        let name = name.as_ref();
        let target = self.read_link(name)?;
        target
            .file_name()
            .and_then(OsStr::to_str)
            .map(str::to_owned)
            .ok_or_else(|| Error::system("odd link target", self.join(name), Errno::EINVAL))
    }
}

impl AsFd for Dir {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.handle.as_fd()
    }
}

/// Reads until a read comes back short: one read for what sysfs shows, and no more for a small file.
fn read_whole(file: &OwnedFd) -> nix::Result<Vec<u8>> {
    let mut content = vec![0; 4097];
    let mut filled = 0;
    loop {
        match read(file, &mut content[filled..]) {
            Ok(count) => filled += count,
            Err(Errno::EINTR) => continue,
            Err(errno) => return Err(errno),
        }
        if filled < content.len() {
            content.truncate(filled);
            return Ok(content);
        }
        if filled > LARGEST_FILE {
            return Err(Errno::EFBIG);
        }
        content.resize(content.len() * 2, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn text_loses_exactly_one_newline_and_absence_is_told_from_garbage() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("good"), "63\n\n").unwrap();
        fs::write(root.path().join("garbage"), [0xff, 0xfe]).unwrap();
        let dir = Dir::open(root.path()).unwrap();
        assert_eq!(dir.read_text("good").unwrap(), "63\n");
        assert!(dir.read_text("missing").unwrap_err().is_absent());
        let garbage = dir.read_text("garbage").unwrap_err();
        assert_eq!(garbage.path(), Some(root.path().join("garbage").as_path()));
        assert!(!garbage.is_absent());
    }

    #[test]
    fn files_of_every_size_around_the_buffer_are_read_whole_and_giants_refused() {
        let root = tempfile::tempdir().unwrap();
        let dir = Dir::open(root.path()).unwrap();
        for size in [0, 1, 4095, 4096, 4097, 4098, 8194, 100_000] {
            fs::write(root.path().join("f"), vec![b'x'; size]).unwrap();
            assert_eq!(dir.read_bytes("f").unwrap().len(), size);
        }
        fs::write(root.path().join("f"), vec![b'x'; 3 * LARGEST_FILE]).unwrap();
        assert_eq!(dir.read_bytes("f").unwrap_err().errno(), Some(Errno::EFBIG));
    }

    #[test]
    fn a_fifo_is_not_waited_for() {
        let root = tempfile::tempdir().unwrap();
        nix::unistd::mkfifo(&root.path().join("fifo"), Mode::S_IRUSR).unwrap();
        let dir = Dir::open(root.path()).unwrap();
        assert_eq!(dir.read_bytes("fifo").unwrap(), b"");
    }
}
