//! Which scripts there are, and which of them may be trusted.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;

use crate::dir::Dir;
use crate::error::{Error, Kind, Result, Warnings, if_present};

const MAY_RUN: u32 = 0o111;
const GROUP_MAY_WRITE: u32 = 0o020;
const OTHERS_MAY_WRITE: u32 = 0o002;

/// What editors and package managers leave beside a script.
const BACKUPS: [&str; 10] = [
    "~",
    ".bak",
    ".orig",
    ".swp",
    ".rpmsave",
    ".rpmnew",
    ".rpmorig",
    ".dpkg-old",
    ".dpkg-dist",
    ".dpkg-new",
];

/// The scripts in `directories`, those of one directory sorted by name. What cannot be used, though
/// it looks like a script, is said in `warnings`.
pub(super) fn scripts(directories: &[PathBuf], warnings: &mut Warnings) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for path in directories {
        match in_directory(path, warnings) {
            Ok(scripts) => found.extend(scripts),
            Err(error) => warnings.push(error.retold("the scripts here are left out")),
        }
    }
    found
}

fn in_directory(path: &Path, warnings: &mut Warnings) -> Result<Vec<PathBuf>> {
    let Some(mut directory) = if_present(Dir::open(path))? else {
        return Ok(Vec::new());
    };
    let mut found = Vec::new();
    for entry in directory.entries()? {
        if is_left_over(&entry.name) {
            continue;
        }
        let script = directory.join(&entry.name);
        match is_trusted_script(&script) {
            Ok(true) => found.push(script),
            Ok(false) => {}
            Err(error) => warnings.push(error),
        }
    }
    Ok(found)
}

fn is_left_over(name: &OsStr) -> bool {
    let name = name.as_bytes();
    let is_backup = |end: &&str| name.ends_with(end.as_bytes());
    name.starts_with(b".") || BACKUPS.iter().any(is_backup)
}

/// Whether there is something to run at `script`; an error where others could have written it.
fn is_trusted_script(script: &Path) -> Result<bool> {
    let meta = match fs::metadata(script) {
        Ok(meta) => meta,
        // A link that leads nowhere, or a file that was just removed.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(unreadable(script, &error)),
    };
    if !meta.is_file() || meta.mode() & MAY_RUN == 0 {
        return Ok(false);
    }
    check(script, &meta, "the script")?;
    // Where it really is: whoever may write there can put another script in its place.
    let real = fs::canonicalize(script).map_err(|error| unreadable(script, &error))?;
    for directory in [script.parent(), real.parent()].into_iter().flatten() {
        let meta = fs::metadata(directory).map_err(|error| unreadable(directory, &error))?;
        check(
            script,
            &meta,
            &format!("its directory {}", directory.display()),
        )?;
    }
    Ok(true)
}

/// Refuses what somebody other than root, its group and the caller could have changed.
fn check(script: &Path, meta: &fs::Metadata, what: &str) -> Result<()> {
    let caller = nix::unistd::geteuid().as_raw();
    let shared = meta.mode() & GROUP_MAY_WRITE != 0 && meta.gid() != 0;
    let fault = if meta.uid() != 0 && meta.uid() != caller {
        format!("{what} belongs to user {}", meta.uid())
    } else if shared || meta.mode() & OTHERS_MAY_WRITE != 0 {
        let mode = meta.mode() & 0o7777;
        format!("{what} may be written to by others (mode {mode:04o})")
    } else {
        return Ok(());
    };
    let message = format!("a script is not run: {fault}");
    Err(Error::new(Kind::NotPermitted, message)
        .at(script)
        .hint("give it to root and take the others' right to write: chown root, chmod go-w"))
}

fn unreadable(path: &Path, error: &io::Error) -> Error {
    let errno = error.raw_os_error().map_or(Errno::EIO, Errno::from_raw);
    Error::system("a script is not run: cannot look at it", path, errno)
}
