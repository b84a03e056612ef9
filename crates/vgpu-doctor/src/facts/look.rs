//! Reading a host's files below its root, as a program on that host would see them.

use std::cell::RefCell;
use std::collections::HashMap;
use std::path::{Component, Path, PathBuf};

use nix::errno::Errno;

use vgpu_host::dir::{Beginning, Dir, read_file};
use vgpu_host::error::{Error, Result, if_present};
use vgpu_host::host::Host;

/// What was read; `None` where it is not there.
pub type Read<T> = Result<Option<T>>;

/// Links that lead in a circle end here, as in the kernel.
const MOST_LINKS: usize = 40;

/// What tells of one processor is far shorter.
const FIRST_LINES: usize = 1 << 16;

/// Longer lists of the kernel's, such as of what a process has in its memory, are none.
const LONGEST_LIST: usize = 16 << 20;

/// One reading of what lies below a root: no link is followed twice, no directory listed twice. An
/// absolute link there leads to a file of that host, not of ours.
pub struct Look<'h> {
    /// The host that is read.
    pub host: &'h Host,
    followed: RefCell<HashMap<PathBuf, PathBuf>>,
    listed: RefCell<HashMap<PathBuf, Read<Vec<String>>>>,
}

impl<'h> Look<'h> {
    /// A reading that begins now.
    pub fn at(host: &'h Host) -> Look<'h> {
        Look {
            host,
            followed: RefCell::default(),
            listed: RefCell::default(),
        }
    }

    /// A file's text.
    pub fn text(&self, path: &Path) -> Read<String> {
        let bytes = self.bytes(path)?;
        Ok(bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
    }

    /// A file's bytes.
    pub fn bytes(&self, path: &Path) -> Read<Vec<u8>> {
        if_present(read_file(&self.real(path)))
    }

    /// The lines at a file's beginning, for what stands there. A host of several hundred processors
    /// tells as much of each as of the first.
    pub fn first_lines(&self, path: &Path) -> Read<String> {
        let begin = self.beginning(path, FIRST_LINES)?;
        Ok(begin.map(|begin| {
            let text = String::from_utf8_lossy(&begin.bytes);
            match text.rsplit_once('\n') {
                Some((lines, _)) if !begin.is_whole => lines.to_owned(),
                _ => text.into_owned(),
            }
        }))
    }

    /// The text of a file of the kernel's that may be long.
    pub fn long_text(&self, path: &Path) -> Read<String> {
        match self.beginning(path, LONGEST_LIST)? {
            Some(begin) if !begin.is_whole => Err(Error::system("cannot read", path, Errno::EFBIG)
                .hint("files larger than 16 MiB are not read")),
            begin => Ok(begin.map(|begin| String::from_utf8_lossy(&begin.bytes).into_owned())),
        }
    }

    fn beginning(&self, path: &Path, most: usize) -> Read<Beginning> {
        let real = self.real(path);
        let (Some(dir), Some(name)) = (real.parent(), real.file_name()) else {
            return Ok(None);
        };
        if_present(Dir::open(dir).and_then(|dir| dir.read_beginning(name, most)))
    }

    /// The directory of that path.
    pub fn dir(&self, path: &Path) -> Read<Dir> {
        if_present(Dir::open(self.real(path)))
    }

    /// The names in a directory, sorted.
    pub fn names(&self, path: &Path) -> Read<Vec<String>> {
        let real = self.real(path);
        if let Some(known) = self.listed.borrow().get(&real) {
            return known.clone();
        }
        let name = |entry: vgpu_host::dir::Entry| entry.name.to_string_lossy().into_owned();
        let entries = Dir::open(&real).and_then(|mut dir| dir.entries());
        let names = if_present(entries.map(|all| all.into_iter().map(name).collect()));
        self.listed.borrow_mut().insert(real, names.clone());
        names
    }

    /// As [`Look::names`], where nothing and unreadable come to the same.
    pub fn names_or_none(&self, path: &Path) -> Vec<String> {
        self.names(path).ok().flatten().unwrap_or_default()
    }

    /// Whether something is there.
    pub fn is_there(&self, path: &Path) -> bool {
        self.real(path).exists()
    }

    /// Whether something has that name, be it a link to nothing.
    pub fn is_named(&self, path: &Path) -> bool {
        let (Some(dir), Some(name)) = (path.parent(), path.file_name()) else {
            return false;
        };
        self.real(dir).join(name).symlink_metadata().is_ok()
    }

    /// The first of these paths that is there.
    pub fn first(&self, paths: impl IntoIterator<Item = PathBuf>) -> Option<PathBuf> {
        paths.into_iter().find(|path| self.is_there(path))
    }

    /// Where a link points, as it is written there.
    pub fn link(&self, path: &Path) -> Option<PathBuf> {
        let (dir, name) = (path.parent()?, path.file_name()?);
        std::fs::read_link(self.real(dir).join(name)).ok()
    }

    /// The path with every link on the way followed below the root.
    fn real(&self, path: &Path) -> PathBuf {
        let root = self.host.root();
        match root == Path::new("/") || !path.starts_with(root) {
            true => path.to_owned(),
            false => self.follow(path, MOST_LINKS),
        }
    }

    fn follow(&self, path: &Path, links: usize) -> PathBuf {
        let root = self.host.root();
        let (Some(dir), Some(last)) = (path.parent(), path.components().next_back()) else {
            return root.to_owned();
        };
        if path == root {
            return root.to_owned();
        }
        if let Some(known) = self.followed.borrow().get(path) {
            return known.clone();
        }
        let dir = self.follow(dir, links);
        let real = match last {
            Component::ParentDir if dir == root => dir,
            Component::ParentDir => dir.parent().unwrap_or(root).to_owned(),
            _ => match std::fs::read_link(dir.join(last)) {
                Ok(target) if links > 0 => {
                    let below = target.strip_prefix("/");
                    let path = below.map_or_else(|_| dir.join(&target), |below| root.join(below));
                    self.follow(&path, links - 1)
                }
                _ => dir.join(last),
            },
        };
        self.followed
            .borrow_mut()
            .insert(path.to_owned(), real.clone());
        real
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    #[test]
    fn links_stay_below_the_root_and_circles_end() {
        let root = tempfile::tempdir().unwrap();
        let at = |below: &str| root.path().join(below);
        fs::create_dir_all(at("usr/bin")).unwrap();
        fs::write(at("usr/bin/vgpuctl"), "here").unwrap();
        symlink("usr/bin", at("bin")).unwrap();
        symlink("/bin/vgpuctl", at("absolute")).unwrap();
        symlink("../../../bin/vgpuctl", at("usr/above")).unwrap();
        symlink("b", at("a")).unwrap();
        symlink("a", at("b")).unwrap();
        symlink("/nowhere", at("dangling")).unwrap();
        let host = Host::new(root.path());
        let look = Look::at(&host);
        for name in ["absolute", "usr/above", "bin/vgpuctl"] {
            assert_eq!(
                look.text(&at(name)).unwrap().as_deref(),
                Some("here"),
                "{name}"
            );
        }
        assert!(!look.is_there(&at("a")));
        assert!(!look.is_there(&at("dangling")));
        assert_eq!(look.link(&at("dangling")), Some(PathBuf::from("/nowhere")));
        assert_eq!(look.text(&at("missing/file")), Ok(None));
    }

    #[test]
    fn what_cannot_be_read_is_an_error_with_its_path() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("dir")).unwrap();
        let host = Host::new(root.path());
        let look = Look::at(&host);
        let error = look.text(&root.path().join("dir")).unwrap_err();
        assert_eq!(error.path(), Some(root.path().join("dir").as_path()));
    }
}
