//! Reading a host's files below its root, as a program on that host would see them.

use std::ffi::OsString;
use std::path::{Component, Path, PathBuf};

use nix::errno::Errno;

use crate::dir::{Beginning, Dir};
use crate::error::{Error, Result, if_present};
use crate::host::Host;

/// Links that lead in a circle end here, as in the kernel.
const MOST_LINKS: usize = 40;

/// What tells of one processor is far shorter.
const FIRST_LINES: usize = 1 << 16;

/// Longer lists of the kernel's, such as of what a process has in its memory, are none.
const LONGEST_LIST: usize = 16 << 20;

/// Reads below one root. An absolute link there leads to a file of that host, not of ours.
#[derive(Debug, Clone, Copy)]
pub struct Look<'h> {
    pub host: &'h Host,
}

impl Look<'_> {
    /// A file's text; `None` where it is not there.
    pub fn text(&self, path: &Path) -> Result<Option<String>> {
        let bytes = self.bytes(path)?;
        Ok(bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
    }

    /// A file's bytes; `None` where it is not there.
    pub fn bytes(&self, path: &Path) -> Result<Option<Vec<u8>>> {
        let real = self.real(path);
        let (Some(dir), Some(name)) = (real.parent(), real.file_name()) else {
            return Ok(None);
        };
        match if_present(Dir::open(dir))? {
            Some(dir) => if_present(dir.read_bytes(name)),
            None => Ok(None),
        }
    }

    /// The lines at a file's beginning, for what stands there; `None` where it is not there. A host of
    /// several hundred processors tells as much of each as of the first.
    pub fn first_lines(&self, path: &Path) -> Result<Option<String>> {
        let begin = self.beginning(path, FIRST_LINES)?;
        Ok(begin.map(|begin| {
            let text = String::from_utf8_lossy(&begin.bytes);
            match text.rsplit_once('\n') {
                Some((lines, _)) if !begin.is_whole => lines.to_owned(),
                _ => text.into_owned(),
            }
        }))
    }

    /// The text of a file of the kernel's that may be long; `None` where it is not there.
    pub fn long_text(&self, path: &Path) -> Result<Option<String>> {
        let begin = self.beginning(path, LONGEST_LIST)?;
        begin
            .map(|begin| match begin.is_whole {
                true => Ok(String::from_utf8_lossy(&begin.bytes).into_owned()),
                false => Err(Error::system("cannot read", path, Errno::EFBIG)
                    .hint("lists of more than 16 MiB are not read here")),
            })
            .transpose()
    }

    fn beginning(&self, path: &Path, most: usize) -> Result<Option<Beginning>> {
        let real = self.real(path);
        let (Some(dir), Some(name)) = (real.parent(), real.file_name()) else {
            return Ok(None);
        };
        match if_present(Dir::open(dir))? {
            Some(dir) => if_present(dir.read_beginning(name, most)),
            None => Ok(None),
        }
    }

    /// The names in a directory, sorted; `None` where it is not there.
    pub fn names(&self, path: &Path) -> Result<Option<Vec<String>>> {
        let Some(mut dir) = if_present(Dir::open(self.real(path)))? else {
            return Ok(None);
        };
        let entries = dir.entries()?.into_iter();
        Ok(Some(
            entries
                .map(|entry| entry.name.to_string_lossy().into_owned())
                .collect(),
        ))
    }

    /// As [`Look::names`], where nothing and unreadable come to the same.
    pub fn names_or_none(&self, path: &Path) -> Vec<String> {
        self.names(path).ok().flatten().unwrap_or_default()
    }

    /// Whether something is there.
    pub fn is_there(&self, path: &Path) -> bool {
        self.real(path).exists()
    }

    /// Where a link points, as it is written there.
    pub fn link(&self, path: &Path) -> Option<PathBuf> {
        let (dir, name) = (path.parent()?, path.file_name()?);
        std::fs::read_link(self.real(dir).join(name)).ok()
    }

    /// The last part of where a link points.
    pub fn link_name(&self, path: &Path) -> Option<String> {
        let target = self.link(path)?;
        Some(target.file_name()?.to_str()?.to_owned())
    }

    /// The path with every link on the way followed below the root.
    fn real(&self, path: &Path) -> PathBuf {
        let root = self.host.root();
        if root == Path::new("/") {
            return path.to_owned();
        }
        let Ok(below) = path.strip_prefix(root) else {
            return path.to_owned();
        };
        let mut left: Vec<OsString> = parts(below);
        let mut at = PathBuf::new();
        let mut links = 0;
        while let Some(part) = left.pop() {
            if part == ".." {
                at.pop();
                continue;
            }
            at.push(&part);
            match std::fs::read_link(root.join(&at)) {
                Ok(target) if links < MOST_LINKS => {
                    links += 1;
                    at.pop();
                    if target.is_absolute() {
                        at = PathBuf::new();
                    }
                    left.extend(parts(&target));
                }
                _ => {}
            }
        }
        root.join(at)
    }
}

/// The names in a path, the last one first.
fn parts(path: &Path) -> Vec<OsString> {
    let names = path.components().filter_map(|part| match part {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        _ => None,
    });
    let mut names: Vec<OsString> = names.collect();
    names.reverse();
    names
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
        let look = Look { host: &host };
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
        let look = Look { host: &host };
        let error = look.text(&root.path().join("dir")).unwrap_err();
        assert_eq!(error.path(), Some(root.path().join("dir").as_path()));
    }
}
