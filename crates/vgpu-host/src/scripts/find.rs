//! Which scripts there are, and which of them may be trusted.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::trust::{check, unseen};
use crate::dir::Dir;
use crate::error::{Error, Result, Warnings, if_present};
use crate::host::Host;

const MAY_RUN: u32 = 0o111;

/// What a message calls one.
const WHAT: &str = "a script";

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

/// What is there to be run.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Those that may be.
    pub scripts: Vec<PathBuf>,
    /// Those that others could have written, or that cannot be looked at, each with the reason.
    pub refused: Vec<Error>,
}

/// The scripts in these directories of a host, those of one directory sorted by name. A directory that
/// cannot be read is said in `warnings`.
pub(super) fn scripts(host: &Host, directories: &[PathBuf], warnings: &mut Warnings) -> Found {
    let mut found = Found::default();
    for path in directories {
        if let Err(error) = in_directory(host, path, &mut found) {
            warnings.push(error.retold("the scripts in this directory are skipped"));
        }
    }
    found
}

/// The first program of that name in PATH; `None` where there is none. Folders that are named from where
/// the caller is do not count.
///
/// # Errors
/// Others could have written it.
pub fn program_in_path(name: &str) -> Result<Option<PathBuf>> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let is_program = |program: &PathBuf| {
        let meta = program.metadata();
        meta.is_ok_and(|meta| meta.is_file() && meta.mode() & MAY_RUN != 0)
    };
    let mut all = std::env::split_paths(&path).filter(|dir| dir.is_absolute());
    let first = all.find_map(|dir| Some(dir.join(name)).filter(is_program));
    if let Some(first) = &first {
        // Whatever the root is that is looked after: these are the machine's that we run on.
        check(&Host::new("/"), first, name)?;
    }
    Ok(first)
}

fn in_directory(host: &Host, path: &Path, found: &mut Found) -> Result<()> {
    let Some(mut directory) = if_present(Dir::open(path))? else {
        return Ok(());
    };
    for entry in directory.entries()? {
        if is_left_over(&entry.name) {
            continue;
        }
        let script = directory.join(&entry.name);
        let judged = match is_script(&script) {
            Ok(true) => check(host, &script, WHAT).map(|()| found.scripts.push(script)),
            Ok(false) => Ok(()),
            Err(error) => Err(error),
        };
        found.refused.extend(judged.err());
    }
    Ok(())
}

fn is_left_over(name: &OsStr) -> bool {
    let name = name.as_bytes();
    let is_backup = |end: &&str| name.ends_with(end.as_bytes());
    name.starts_with(b".") || BACKUPS.iter().any(is_backup)
}

/// Whether there is something to run at `script`.
fn is_script(script: &Path) -> Result<bool> {
    match fs::metadata(script) {
        Ok(meta) => Ok(meta.is_file() && meta.mode() & MAY_RUN != 0),
        // A link that leads nowhere, or a file that was just removed.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(unseen(WHAT, script, &error)),
    }
}
