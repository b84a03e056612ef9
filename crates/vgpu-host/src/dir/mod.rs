//! A directory held open: everything in it is reached by descriptor, each file opened and read once.

mod bounded;
mod links;
mod own;
mod trust;

use std::ffi::{OsStr, OsString};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use log::debug;
use nix::errno::Errno;
use nix::fcntl::OFlag;
use rustix::fs::{CWD, FileType, Mode, OFlags, RawDir, fstat, openat};
use rustix::io::{self, read};

use crate::error::{Error, Kind, Result};
use crate::text::quoted;

pub use bounded::{Beginning, beginning, read_file};
pub use own::{is_gone, make_all, write_all};
pub use trust::{Owned, is_file};

/// Files larger than this are refused: sysfs shows a page at most, definitions are a few lines.
pub const LARGEST_FILE: usize = 1 << 20;

/// Nearly every file read here is shorter than this.
const USUAL_FILE: usize = 1024;

/// What one look into a directory can tell: some hundred names.
const NAMES: usize = 1 << 15;

/// Most directories read here hold fewer.
const USUAL_NAMES: usize = 32;

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
    handle: OwnedFd,
    path: PathBuf,
}

impl Dir {
    /// Opens the directory at `path`, following links.
    ///
    /// # Errors
    /// What the kernel answered, with the path.
    pub fn open(path: impl Into<PathBuf>) -> Result<Dir> {
        let path = path.into();
        Self::open_from(CWD, &path.clone(), path, OFlags::empty())
    }

    /// Opens a directory below this one, following links.
    ///
    /// # Errors
    /// What the kernel answered, with the path.
    pub fn open_dir(&self, name: impl AsRef<Path>) -> Result<Dir> {
        let name = name.as_ref();
        Self::open_from(self.as_fd(), name, self.path.join(name), OFlags::empty())
    }

    /// Opens a directory below this one, unless the name is a link.
    ///
    /// # Errors
    /// What the kernel answered, with the path; ENOTDIR for a link.
    pub fn open_real_dir(&self, name: impl AsRef<Path>) -> Result<Dir> {
        let name = name.as_ref();
        Self::open_from(self.as_fd(), name, self.path.join(name), OFlags::NOFOLLOW)
    }

    fn open_from(at: BorrowedFd<'_>, name: &Path, path: PathBuf, more: OFlags) -> Result<Dir> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | more;
        match retried(|| openat(at, name, flags, Mode::empty())) {
            Ok(handle) => Ok(Dir { handle, path }),
            Err(error) => Err(refused("cannot open the directory", path, error)),
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

    /// Everything in the directory but `.` and `..`, sorted by name. It can be asked for once: what
    /// is there later takes a new [`Dir`].
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
        let mut names = [MaybeUninit::uninit(); NAMES];
        let mut listed = RawDir::new(&self.handle, &mut names);
        let mut entries = Vec::with_capacity(USUAL_NAMES);
        while let Some(entry) = listed.next() {
            let entry = match entry {
                // The next turn asks again.
                Err(io::Errno::INTR) => continue,
                // The kernel's answer where it was removed meanwhile: it is empty.
                Err(io::Errno::NOENT)
                    if fstat(&self.handle).is_ok_and(|stat| stat.st_nlink == 0) =>
                {
                    break;
                }
                Err(error) => return Err(refused("cannot list the directory", &self.path, error)),
                Ok(entry) => entry,
            };
            let name = entry.file_name().to_bytes();
            if name != b"." && name != b".." {
                entries.push(Entry {
                    name: OsStr::from_bytes(name).to_owned(),
                    kind: match entry.file_type() {
                        FileType::Unknown | FileType::Directory => EntryKind::Directory,
                        FileType::Symlink => EntryKind::Link,
                        _ => EntryKind::Other,
                    },
                });
            }
        }
        entries.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        Ok(entries)
    }

    /// Opens a file below this directory. A FIFO or device does not block the opening.
    ///
    /// # Errors
    /// What the kernel answered, with the path.
    pub fn open_file(&self, name: impl AsRef<Path>, flags: OFlag) -> Result<OwnedFd> {
        let name = name.as_ref();
        let flags = flags | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK;
        loop {
            let opened =
                nix::fcntl::openat(self.as_fd(), name, flags, nix::sys::stat::Mode::empty());
            if !matches!(opened, Err(Errno::EINTR)) {
                return opened
                    .map_err(|errno| Error::system("cannot open", self.join(name), errno));
            }
        }
    }

    /// The whole of a file below this directory, as bytes.
    ///
    /// # Errors
    /// What the kernel answered, or that the file is larger than anything expected here.
    pub fn read_bytes(&self, name: impl AsRef<Path>) -> Result<Vec<u8>> {
        self.bytes_of(name.as_ref(), <[u8]>::to_vec)
    }

    /// A file's text, without its one last newline.
    ///
    /// # Errors
    /// As [`Dir::read_bytes`]; EILSEQ where the content is not UTF-8.
    pub fn read_text(&self, name: impl AsRef<Path>) -> Result<String> {
        self.text_of(name.as_ref(), str::to_owned)
    }

    /// As [`Dir::read_text`], of a file that says the same as others of its kind: where it is
    /// `known`, it is not kept twice.
    ///
    /// # Errors
    /// As there.
    pub fn read_shared(&self, name: &str, known: Option<&Arc<str>>) -> Result<Arc<str>> {
        self.bytes_of(name.as_ref(), |bytes| match known {
            Some(known) if without_newline(bytes) == known.as_bytes() => {
                self.log_text(name.as_ref(), known);
                Ok(Arc::clone(known))
            }
            _ => self.as_text(name.as_ref(), bytes).map(Arc::from),
        })?
    }

    /// What `take` makes of a file's text.
    ///
    /// # Errors
    /// As [`Dir::read_text`].
    pub fn text_of<T>(&self, name: &Path, take: impl FnOnce(&str) -> T) -> Result<T> {
        self.bytes_of(name, |bytes| self.as_text(name, bytes).map(take))?
    }

    fn as_text<'b>(&self, name: &Path, bytes: &'b [u8]) -> Result<&'b str> {
        let text = str::from_utf8(without_newline(bytes)).map_err(|_| {
            Error::system("the content is not text", self.join(name), Errno::EILSEQ)
        })?;
        self.log_text(name, text);
        Ok(text)
    }

    fn log_text(&self, name: &Path, text: &str) {
        debug!("read {}: {text:?}", self.join(name).display());
    }

    /// What `take` makes of a file's content.
    fn bytes_of<T>(&self, name: &Path, take: impl FnOnce(&[u8]) -> T) -> Result<T> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
        retried(|| openat(self.as_fd(), name, flags, Mode::empty()))
            .and_then(|file| whole_of(&file, take))
            .map_err(|error| refused("cannot read", self.join(name), error))
    }

    /// The number that is all of a file's text. `what` says what it is, for the error message.
    ///
    /// # Errors
    /// As [`Dir::read_text`]; the content is not such a number.
    pub fn read_number<N: FromStr>(&self, name: impl AsRef<Path>, what: &str) -> Result<N> {
        let name = name.as_ref();
        let text = self.read_text(name)?;
        text.trim().parse().map_err(|_| {
            let message = format!("{} is not a valid {what}", quoted(&text));
            Error::new(Kind::Failed, message).at(self.join(name))
        })
    }
}

impl AsFd for Dir {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.handle.as_fd()
    }
}

/// Asks the kernel again as long as a signal comes in between.
fn retried<T>(ask: impl Fn() -> io::Result<T>) -> io::Result<T> {
    loop {
        match ask() {
            Err(io::Errno::INTR) => {}
            answer => return answer,
        }
    }
}

/// Reads until a read comes back short: one read for what sysfs shows, and no more for a small file,
/// whose content is not kept either.
fn whole_of<T>(file: &OwnedFd, take: impl FnOnce(&[u8]) -> T) -> io::Result<T> {
    let mut place = [MaybeUninit::uninit(); USUAL_FILE];
    let mut content = Vec::new();
    loop {
        let part = match read(file, &mut place) {
            Ok((part, _)) => &*part,
            Err(io::Errno::INTR) => continue,
            Err(error) => return Err(error),
        };
        if content.is_empty() && part.len() < USUAL_FILE {
            return Ok(take(part));
        }
        content.extend_from_slice(part);
        if content.len() > LARGEST_FILE {
            return Err(io::Errno::FBIG);
        }
        if part.len() < USUAL_FILE {
            return Ok(take(&content));
        }
    }
}

fn without_newline(bytes: &[u8]) -> &[u8] {
    bytes.strip_suffix(b"\n").unwrap_or(bytes)
}

fn refused(what: &str, path: impl Into<PathBuf>, error: io::Errno) -> Error {
    let refused = Error::system(what, path, Errno::from_raw(error.raw_os_error()));
    match error {
        io::Errno::FBIG => refused.hint("files larger than 1 MiB are not read"),
        _ => refused,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn what_was_removed_after_it_was_opened_is_empty() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("folder");
        fs::create_dir(&path).unwrap();
        let mut dir = Dir::open(&path).unwrap();
        fs::remove_dir(&path).unwrap();
        assert!(dir.entries().unwrap().is_empty());
    }

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
        for size in [0, 1, 1023, 1024, 1025, 2048, 4096, 100_000] {
            fs::write(root.path().join("f"), vec![b'x'; size]).unwrap();
            assert_eq!(dir.read_bytes("f").unwrap().len(), size);
        }
        for (size, is_read) in [(0, true), (1, false), (2 * LARGEST_FILE, false)] {
            fs::write(root.path().join("f"), vec![b'x'; LARGEST_FILE + size]).unwrap();
            let errno = dir.read_bytes("f").err().map(|error| error.errno());
            assert_eq!(errno, (!is_read).then_some(Some(Errno::EFBIG)));
        }
    }

    #[test]
    fn a_file_that_the_kernel_hands_out_record_by_record_is_read_to_its_end() {
        let last_mapping = |text: &str| {
            let is_head = |line: &&str| {
                let address = line.split('-').next().unwrap_or_default();
                u64::from_str_radix(address, 16).is_ok()
            };
            text.lines().rfind(is_head).unwrap().to_owned()
        };
        let whole = fs::read_to_string("/proc/self/smaps").unwrap();
        assert!(whole.len() > 8192);
        let text = Dir::open("/proc/self").unwrap().read_text("smaps").unwrap();
        assert_eq!(last_mapping(&text), last_mapping(&whole));
    }

    #[test]
    fn what_is_no_number_is_refused_with_its_beginning() {
        let root = tempfile::tempdir().unwrap();
        let dir = Dir::open(root.path()).unwrap();
        let number = |text: &str| {
            fs::write(root.path().join("f"), text).unwrap();
            dir.read_number::<u32>("f", "number of functions")
        };
        assert_eq!(number("16\n"), Ok(16));
        for bad in ["", "-1", "16 32", "4294967296"] {
            let error = number(bad).unwrap_err();
            assert_eq!(
                error.message(),
                format!("{bad:?} is not a valid number of functions")
            );
            assert_eq!(error.path(), Some(root.path().join("f").as_path()));
        }
        let error = number(&"7\u{1b}".repeat(1 << 19)).unwrap_err();
        assert!(
            error.message().starts_with(r#""7\u{1b}7\u{1b}7"#),
            "{error}"
        );
        assert!(error.message().len() < 300, "{error}");
        assert!(
            dir.read_number::<u32>("missing", "number of functions")
                .unwrap_err()
                .is_absent()
        );
    }

    #[test]
    fn a_fifo_is_not_waited_for() {
        let root = tempfile::tempdir().unwrap();
        nix::unistd::mkfifo(&root.path().join("fifo"), nix::sys::stat::Mode::S_IRUSR).unwrap();
        let dir = Dir::open(root.path()).unwrap();
        assert_eq!(dir.read_bytes("fifo").unwrap(), b"");
    }
}
