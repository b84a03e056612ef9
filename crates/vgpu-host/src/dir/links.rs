//! Links in a directory: where they point.

use std::ffi::OsStr;
use std::mem::MaybeUninit;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use log::debug;
use rustix::fs::readlinkat_raw;
use rustix::io;

use super::{Dir, refused};
use crate::error::{Error, Result};

/// The kernel's limit for a path, and so for where a link points (PATH_MAX).
const LONGEST_PATH: usize = 4096;

impl Dir {
    /// Where a link below this directory points, as it is written there.
    ///
    /// # Errors
    /// What the kernel answered, with the path.
    pub fn read_link(&self, name: impl AsRef<Path>) -> Result<PathBuf> {
        let name = name.as_ref();
        self.follow(name, |target| Some(target.into()))
            .map_err(|error| self.no_link(name, error))
    }

    /// The last part of where a link below this directory points.
    ///
    /// # Errors
    /// As [`Dir::read_link`]; EINVAL where the target has no last part.
    pub fn link_name(&self, name: impl AsRef<Path>) -> Result<String> {
        let name = name.as_ref();
        self.follow(name, |target| part_from_end(target, 0).map(str::to_owned))
            .map_err(|error| self.no_link(name, error))
    }

    /// As [`Dir::link_name`]; `None` where there is no such link.
    ///
    /// # Errors
    /// As there.
    pub fn link_name_if_any(&self, name: impl AsRef<Path>) -> Result<Option<String>> {
        let name = name.as_ref();
        match self.follow(name, |target| part_from_end(target, 0).map(str::to_owned)) {
            Err(io::Errno::NOENT | io::Errno::NODEV) => Ok(None),
            answer => answer.map(Some).map_err(|error| self.no_link(name, error)),
        }
    }

    /// What the last part of where a link below this directory points is the name of.
    ///
    /// # Errors
    /// As [`Dir::link_name`]; it is no such name.
    pub fn link_name_of<T: FromStr<Err = Error>>(&self, name: impl AsRef<Path>) -> Result<T> {
        self.part_of_link(name.as_ref(), 0)
    }

    /// What the last part but one of where a link below this directory points is the name of.
    ///
    /// # Errors
    /// As [`Dir::link_name_of`].
    pub fn link_parent_of<T: FromStr<Err = Error>>(&self, name: impl AsRef<Path>) -> Result<T> {
        self.part_of_link(name.as_ref(), 1)
    }

    fn part_of_link<T: FromStr<Err = Error>>(&self, name: &Path, place: usize) -> Result<T> {
        let part = self.follow(name, |target| part_from_end(target, place).map(str::parse));
        let part = part.map_err(|error| self.no_link(name, error))?;
        part.map_err(|error: Error| error.at(self.join(name)))
    }

    /// What `take` takes out of where a link points; EINVAL where there is nothing of the kind.
    fn follow<T>(&self, name: &Path, take: impl Fn(&OsStr) -> Option<T>) -> io::Result<T> {
        let mut place = [MaybeUninit::uninit(); LONGEST_PATH];
        loop {
            match readlinkat_raw(self.as_fd(), name, &mut place) {
                Ok((target, _)) => {
                    let target = OsStr::from_bytes(target);
                    debug!("link {} -> {}", self.join(name).display(), target.display());
                    return take(target).ok_or(io::Errno::INVAL);
                }
                Err(io::Errno::INTR) => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn no_link(&self, name: &Path, error: io::Errno) -> Error {
        refused("cannot read the link", self.join(name), error)
    }
}

/// A part of a path, counted from its end, where it is a name.
fn part_from_end(path: &OsStr, place: usize) -> Option<&str> {
    let mut parts = path.as_bytes().rsplit(|byte| *byte == b'/');
    let part = str::from_utf8(parts.nth(place)?).ok()?;
    (!matches!(part, "" | "." | "..")).then_some(part)
}
