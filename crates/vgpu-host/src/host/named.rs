//! Files that the caller names, such as a declaration: read within bounds, and told of only as far as
//! he could read them himself.

use std::ffi::CString;
use std::fs::File;
use std::io;
use std::path::Path;

use log::debug;
use nix::errno::Errno;
use nix::unistd::{
    Gid, Uid, User, getegid, geteuid, getgrouplist, getgroups, setfsgid, setfsuid, setgroups,
};

use super::sudo::other_user;
use crate::dir::beginning;
use crate::error::{Error, Kind, Result, errno_of};

/// A file that is open, and why its text is not to be shown, where it is not.
#[derive(Debug)]
pub struct NamedFile {
    /// The file.
    pub file: File,
    /// "user 1000, who ran sudo, may not read it".
    pub unshown: Option<String>,
}

/// What such a file holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Named {
    /// All of it.
    pub bytes: Vec<u8>,
    /// As of [`NamedFile`].
    pub unshown: Option<String>,
}

/// Opens a file that the caller names. Where sudo runs the program for another user, it is opened with
/// that user's rights first, so that what is shown is of the very file that he may read.
///
/// # Errors
/// What the kernel answered.
pub fn open_named(path: &Path) -> io::Result<NamedFile> {
    let shown = |file| NamedFile {
        file,
        unshown: None,
    };
    let Some(user) = other_user() else {
        return File::open(path).map(shown);
    };
    let number = user.to_str().and_then(|user| user.parse().ok());
    if let Some(file) = number.and_then(|number| open_as(Uid::from_raw(number), path)) {
        return Ok(shown(file));
    }
    let user = crate::text::shortened(&user.to_string_lossy());
    Ok(NamedFile {
        file: File::open(path)?,
        unshown: Some(format!("user {user}, who ran sudo, may not read it")),
    })
}

/// Reads a whole file that the caller names, of at most `most` MiB. `what` says what is read.
///
/// # Errors
/// What the kernel answered; the file is longer, or has no end.
pub fn read_named(path: &Path, what: &str, most: usize) -> Result<Named> {
    let failed =
        |error: io::Error| Error::system(format!("cannot read {what}"), path, errno_of(&error));
    let named = open_named(path).map_err(failed)?;
    let bytes = read_bounded(named.file, path, what, most)?;
    Ok(Named {
        bytes,
        unshown: named.unshown,
    })
}

/// As [`read_named`], of what is open already; `name` is what it is called in messages.
///
/// # Errors
/// As there.
pub fn read_bounded(from: impl io::Read, name: &Path, what: &str, most: usize) -> Result<Vec<u8>> {
    let read = beginning(from, most << 20);
    let read =
        read.map_err(|error| Error::system(format!("cannot read {what}"), name, errno_of(&error)))?;
    match read.is_whole {
        true => Ok(read.bytes),
        false => Err(Error::new(
            Kind::Failed,
            format!("cannot read {what}: it is larger than {most} MiB, or endless"),
        )
        .at(name)),
    }
}

/// Opens a file with the rights of a user; `None` where he may not, or they cannot be taken on.
fn open_as(user: Uid, path: &Path) -> Option<File> {
    let known = User::from_uid(user).ok().flatten()?;
    let groups = groups_of(&known).ok()?;
    let _ours_again = Rights::take_on(user, known.gid, &groups)?;
    match File::open(path) {
        Ok(file) => Some(file),
        Err(error) => {
            debug!("user {user} cannot open {}: {error}", path.display());
            None
        }
    }
}

/// The groups that this system has a user in, his own among them.
///
/// # Errors
/// What the system answered.
pub fn groups_of(user: &User) -> nix::Result<Vec<Gid>> {
    let name = CString::new(user.name.as_str()).map_err(|_| Errno::EINVAL)?;
    getgrouplist(&name, user.gid)
}

/// Another user's rights at files, until it is dropped.
struct Rights {
    before: Vec<Gid>,
}

impl Rights {
    fn take_on(user: Uid, group: Gid, groups: &[Gid]) -> Option<Rights> {
        let before = getgroups().ok()?;
        setgroups(groups).ok()?;
        let rights = Rights { before };
        setfsgid(group);
        setfsuid(user);
        // They answer what was before; a second time that is what is now.
        let is_taken = setfsgid(group) == group && setfsuid(user) == user;
        is_taken.then_some(rights)
    }
}

impl Drop for Rights {
    fn drop(&mut self) {
        setfsuid(geteuid());
        setfsgid(getegid());
        // Without these groups root can still do all that it could.
        if let Err(errno) = setgroups(&self.before) {
            debug!("cannot take back this process's own groups: {errno}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_no_end_is_refused_with_its_name_and_the_limit() {
        let error = read_named(Path::new("/dev/zero"), "the declaration", 1).unwrap_err();
        assert_eq!(
            error.to_string(),
            "cannot read the declaration: it is larger than 1 MiB, or endless: /dev/zero"
        );
        let absent = read_named(Path::new("/nonexistent"), "the declaration", 1).unwrap_err();
        assert!(absent.is_absent());
    }
}
