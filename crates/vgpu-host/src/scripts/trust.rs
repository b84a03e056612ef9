//! Whether a program may be run: nobody but root and the caller could have put another in its place.

use std::ffi::OsString;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

use nix::errno::Errno;
use nix::unistd::geteuid;

use crate::dir::Owned;
use crate::error::{Error, Kind, Result, errno_of};
use crate::host::Host;

/// As many links as the kernel follows on one way.
const MOST_LINKS: usize = 40;

/// In such a directory nobody replaces what is another's.
const STICKY: u32 = 0o1000;

/// Refuses a program of a host that others could have changed: each directory from the host's root
/// down, each link and the program itself has to be root's or the caller's, and nobody else's to write
/// to. `what` names it, for the message.
///
/// # Errors
/// [`Kind::NotPermitted`], saying who could; absent ([`Error::is_absent`]) where there is none.
pub(super) fn check(host: &Host, program: &Path, what: &str) -> Result<()> {
    match doubt(host, program).map_err(|error| unseen(what, program, &error))? {
        None => Ok(()),
        Some(doubt) => Err(Error::new(
            Kind::NotPermitted,
            format!("refusing to run {what}: {doubt}"),
        )
        .at(program)
        .hint("make root its owner and deny others write access: chown root, chmod go-w")),
    }
}

/// The error for a program that cannot be looked at.
pub(super) fn unseen(what: &str, program: &Path, error: &io::Error) -> Error {
    let message = format!("refusing to run {what}: cannot stat it");
    Error::system(message, program, errno_of(error))
}

/// What others could have changed on the way from a host's root to one of its programs: "the directory
/// /opt/x is owned by user 1000".
///
/// # Errors
/// What the kernel answered.
fn doubt(host: &Host, program: &Path) -> io::Result<Option<String>> {
    let root = host.root();
    if !host.is_this_one() {
        let owner = fs::metadata(root)?.uid();
        if owner != geteuid().as_raw() {
            return Ok(Some(format!(
                "{} is not this host's root, and is owned by user {owner}",
                root.display()
            )));
        }
    }
    Way::from(root).to(program)
}

/// A way through the file system, link by link.
struct Way {
    /// How far it has come. No part of it is a link.
    at: PathBuf,
    /// What is still to come, the next one last.
    ahead: Vec<OsString>,
    links: usize,
    /// Whether others may add names where it is.
    is_shared: bool,
}

impl Way {
    fn from(root: &Path) -> Way {
        Way {
            at: root.to_owned(),
            ahead: Vec::new(),
            links: 0,
            is_shared: false,
        }
    }

    fn to(mut self, program: &Path) -> io::Result<Option<String>> {
        let below = program.strip_prefix(&self.at).unwrap_or(program);
        let top = fs::metadata(&self.at)?;
        let below = below.to_owned();
        if let Some(doubt) = self.enter(&top).or_else(|| self.lead(&below)) {
            return Ok(Some(doubt));
        }
        while let Some(name) = self.ahead.pop() {
            if name == ".." {
                self.at.pop();
                continue;
            }
            let next = self.at.join(name);
            let meta = fs::symlink_metadata(&next)?;
            let doubt = match self.shared(&meta, &next) {
                Some(doubt) => Some(doubt),
                None if meta.is_symlink() => self.follow(&next, &meta)?,
                None => {
                    self.at = next;
                    self.enter(&meta)
                }
            };
            if doubt.is_some() {
                return Ok(doubt);
            }
        }
        Ok(None)
    }

    /// What lies loose in a directory where anybody may put something.
    fn shared(&self, meta: &Metadata, next: &Path) -> Option<String> {
        (self.is_shared && !meta.is_dir()).then(|| {
            let (at, next) = (self.at.display(), next.display());
            format!("{next} is in {at}, which is writable by others")
        })
    }

    /// What is wrong with where it is now.
    fn enter(&mut self, meta: &Metadata) -> Option<String> {
        let (owned, at) = (Owned::from(meta), self.at.display());
        let what = match meta.is_dir() {
            true => format!("the directory {at}"),
            false => "it".to_owned(),
        };
        let fault = owned.fault();
        self.is_shared = fault.is_some() && owned.is_ours() && meta.mode() & STICKY != 0;
        let fault = fault.filter(|_| !(self.is_shared && meta.is_dir()));
        fault.map(|fault| format!("{what} {fault}"))
    }

    /// Goes on where a link leads. Where that is an absolute path, all of it counts.
    fn follow(&mut self, link: &Path, meta: &Metadata) -> io::Result<Option<String>> {
        self.links += 1;
        if self.links > MOST_LINKS {
            return Err(Errno::ELOOP.into());
        }
        if !Owned::from(meta).is_ours() {
            let doubt = format!(
                "the link {} is owned by user {}",
                link.display(),
                meta.uid()
            );
            return Ok(Some(doubt));
        }
        Ok(self.lead(&fs::read_link(link)?))
    }

    /// Puts a path before what is still to come.
    fn lead(&mut self, path: &Path) -> Option<String> {
        for part in path.components().rev() {
            match part {
                Component::Normal(name) => self.ahead.push(name.to_owned()),
                Component::ParentDir => self.ahead.push("..".into()),
                Component::RootDir => {
                    self.at = PathBuf::from("/");
                    let top = fs::metadata(&self.at).ok()?;
                    return self.enter(&top);
                }
                Component::CurDir | Component::Prefix(_) => {}
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::Permissions;
    use std::os::unix::fs::{PermissionsExt, chown, symlink};

    fn set_mode(path: &Path, mode: u32) {
        fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    }

    /// A host with `usr/bin/x`, and what is thought of it.
    struct Tree(tempfile::TempDir);

    impl Tree {
        fn new() -> Tree {
            let tree = Tree(tempfile::tempdir().unwrap());
            for dir in ["usr", "usr/bin", "opt"] {
                fs::create_dir(tree.path(dir)).unwrap();
                set_mode(&tree.path(dir), 0o755);
            }
            fs::write(tree.path("usr/bin/x"), "").unwrap();
            set_mode(&tree.path("usr/bin/x"), 0o755);
            tree
        }

        fn path(&self, below: &str) -> PathBuf {
            self.0.path().join(below)
        }

        fn doubt(&self) -> Option<String> {
            let host = Host::new(self.0.path());
            let doubt = doubt(&host, &self.path("usr/bin/x")).unwrap();
            doubt.map(|text| text.replace(self.0.path().to_str().unwrap(), ""))
        }
    }

    #[test]
    fn every_directory_on_the_way_counts() {
        let tree = Tree::new();
        assert_eq!(tree.doubt(), None);
        for (below, mode, text) in [
            ("usr/bin/x", 0o777, "it is writable"),
            ("usr/bin", 0o777, "the directory /usr/bin is writable"),
            ("usr/bin", 0o1777, "/usr/bin/x is in /usr/bin, which"),
            ("usr", 0o757, "the directory /usr is writable"),
            (".", 0o757, "the directory  is writable"),
        ] {
            set_mode(&tree.path(below), mode);
            let told = tree.doubt().unwrap();
            assert!(told.starts_with(text), "{told}");
            set_mode(&tree.path(below), 0o755);
        }
        // Nobody replaces another's directory there.
        set_mode(&tree.path("usr"), 0o1777);
        assert_eq!(tree.doubt(), None);
    }

    #[test]
    fn every_link_on_the_way_counts_and_what_it_leads_to() {
        let tree = Tree::new();
        fs::rename(tree.path("usr/bin"), tree.path("opt/bin")).unwrap();
        symlink("../opt/./bin", tree.path("usr/bin")).unwrap();
        assert_eq!(tree.doubt(), None);
        set_mode(&tree.path("opt"), 0o777);
        let told = tree.doubt().unwrap();
        assert!(told.starts_with("the directory /opt is"), "{told}");
        set_mode(&tree.path("opt"), 0o755);
        if geteuid().is_root() {
            std::os::unix::fs::lchown(tree.path("usr/bin"), Some(12345), None).unwrap();
            assert_eq!(
                tree.doubt().unwrap(),
                "the link /usr/bin is owned by user 12345"
            );
            std::os::unix::fs::lchown(tree.path("usr/bin"), Some(0), None).unwrap();
            chown(tree.path("opt"), Some(12345), None).unwrap();
            assert_eq!(
                tree.doubt().unwrap(),
                "the directory /opt is owned by user 12345"
            );
        }
        fs::remove_file(tree.path("usr/bin")).unwrap();
        symlink("bin", tree.path("usr/bin")).unwrap();
        let host = Host::new(tree.0.path());
        assert!(doubt(&host, &tree.path("usr/bin/x")).is_err());
    }

    #[test]
    fn a_whole_path_that_a_link_names_counts_from_the_real_root_down() {
        let (tree, other) = (Tree::new(), tempfile::tempdir().unwrap());
        let open = other.path().join("open");
        fs::create_dir(&open).unwrap();
        fs::copy(tree.path("usr/bin/x"), open.join("x")).unwrap();
        fs::remove_file(tree.path("usr/bin/x")).unwrap();
        symlink(open.join("x"), tree.path("usr/bin/x")).unwrap();
        assert_eq!(tree.doubt(), None);
        set_mode(&open, 0o777);
        assert!(tree.doubt().unwrap().contains("open is writable"));
    }

    #[test]
    fn another_root_has_to_be_the_callers() {
        let tree = Tree::new();
        if geteuid().is_root() {
            chown(tree.0.path(), Some(12345), None).unwrap();
            let told = tree.doubt().unwrap();
            assert!(told.contains("is not this host's root"), "{told}");
        }
    }
}
