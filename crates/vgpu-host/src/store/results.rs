//! What the last restore came to, a file for each parent that has definitions.
//!
//! Two restores may run at once, one of the whole host and one of a parent: each leaves the files of
//! the parents that it covered, and the one that ends last stands. It lives in `/run`: before the
//! first restore after a boot there is nothing.

use log::debug;
use nix::errno::Errno;
use serde_json::{Value, json};

use super::publish::publish_in;
use crate::dir::Dir;
use crate::error::{Advice, Error, Kind, Result, Warnings, if_present};
use crate::host::Host;
use crate::model::ParentId;

/// What a restore did for one parent.
#[derive(Debug, Clone, PartialEq)]
pub struct RestoreResult {
    /// The GPU that the parent is, or is a virtual function of.
    pub gpu: ParentId,
    /// When the restore began, in seconds since 1970 (UTC).
    pub start: f64,
    /// How long it took until the GPU was done, in seconds; waiting is part of it.
    pub seconds: f64,
    /// Devices that it made.
    pub started: u64,
    /// Devices that were as wanted already.
    pub active: u64,
    /// Devices that it could not make; functions that it could not switch on count as one.
    pub failed: u64,
}

/// The results on one host.
pub struct RestoreResults<'h> {
    host: &'h Host,
}

impl<'h> RestoreResults<'h> {
    /// Those of `host`. Nothing is read yet.
    pub fn of(host: &'h Host) -> RestoreResults<'h> {
        RestoreResults { host }
    }

    /// Puts a parent's result in the place of the one before.
    ///
    /// # Errors
    /// What the kernel answered, with the path.
    pub fn write(&self, parent: &ParentId, result: &RestoreResult) -> Result<()> {
        let path = self.host.restore_results();
        let what = format!("cannot save the restore result of {parent} for the metrics");
        let dir = Dir::make_own_below(&self.host.locks(), &path).map_err(|error| {
            match error.errno() {
                Some(_) => error.retold(&what),
                None => error,
            }
        })?;
        let document = json!({
            "version": 1,
            "gpu": result.gpu.as_str(),
            "start": result.start,
            "seconds": result.seconds,
            "started": result.started,
            "active": result.active,
            "failed": result.failed,
        });
        let text = format!("{document}\n");
        let file = path.join(parent.as_str());
        publish_in(dir, &file, text.as_bytes()).map_err(|error| error.retold(what))
    }

    /// Drops a parent's result: it has nothing to restore any more.
    pub fn forget(&self, parent: &ParentId) {
        let dir = self.host.restore_results();
        match Dir::open_own(&dir).map(|dir| dir.unlink(parent.as_str())) {
            Ok(Ok(()) | Err(Errno::ENOENT)) => {}
            Err(error) if error.is_absent() => {}
            other => debug!("cannot remove {}/{parent}: {other:?}", dir.display()),
        }
    }

    /// The parents that have a result.
    ///
    /// # Errors
    /// They cannot be listed. None at all is not an error.
    pub fn parents(&self) -> Result<Vec<ParentId>> {
        let Some(mut dir) = if_present(Dir::open_own(&self.host.restore_results()))? else {
            return Ok(Vec::new());
        };
        // A hidden one is the half of a file that is being written.
        let names = dir.entries()?.into_iter().filter_map(|entry| {
            let name = entry.name.to_str()?;
            (!name.starts_with('.')).then(|| name.parse().ok())?
        });
        Ok(names.collect())
    }

    /// All results, by parent. One that cannot be read is a warning.
    ///
    /// # Errors
    /// As [`RestoreResults::parents`].
    pub fn all(&self, warnings: &mut Warnings) -> Result<Vec<RestoreResult>> {
        let mut all = Vec::new();
        for parent in self.parents()? {
            match if_present(self.read(&parent)) {
                Ok(result) => all.extend(result),
                Err(error) => warnings.push(error),
            }
        }
        Ok(all)
    }

    fn read(&self, parent: &ParentId) -> Result<RestoreResult> {
        let dir = Dir::open(self.host.restore_results())?;
        let bytes = dir.read_bytes(parent.as_str())?;
        parse(&bytes).ok_or_else(|| {
            let path = dir.join(parent.as_str());
            Error::new(Kind::Failed, "not a valid restore result")
                .at(path)
                .hint(Advice::RestoreAgain)
        })
    }
}

fn parse(bytes: &[u8]) -> Option<RestoreResult> {
    let document: Value = serde_json::from_slice(bytes).ok()?;
    let count = |key: &str| document.get(key)?.as_u64();
    let time = |key: &str| document.get(key)?.as_f64().filter(|time| *time >= 0.0);
    Some(RestoreResult {
        gpu: document.get("gpu")?.as_str()?.parse().ok()?,
        start: time("start")?,
        seconds: time("seconds")?,
        started: count("started")?,
        active: count("active")?,
        failed: count("failed")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn result(failed: u64) -> RestoreResult {
        RestoreResult {
            gpu: "0000:81:00.0".parse().unwrap(),
            start: 1_764_108_000.25,
            seconds: 0.5,
            started: 2,
            active: 1,
            failed,
        }
    }

    #[test]
    fn a_result_is_read_as_it_was_written_until_it_is_forgotten() {
        let root = tempfile::tempdir().unwrap();
        let host = Host::new(root.path());
        let results = RestoreResults::of(&host);
        let (one, other) = ("0000:81:00.0".parse().unwrap(), "matrix".parse().unwrap());
        let mut warnings = Vec::new();
        assert_eq!(results.all(&mut warnings), Ok(Vec::new()));
        results.write(&one, &result(3)).unwrap();
        results.write(&one, &result(0)).unwrap();
        results.write(&other, &result(1)).unwrap();
        assert_eq!(results.all(&mut warnings), Ok(vec![result(0), result(1)]));
        results.forget(&other);
        results.forget(&other);
        assert_eq!(results.all(&mut warnings), Ok(vec![result(0)]));
        assert_eq!(warnings, []);
    }

    #[test]
    fn garbage_is_a_warning_with_its_address_and_hides_nothing() {
        let root = tempfile::tempdir().unwrap();
        let host = Host::new(root.path());
        let results = RestoreResults::of(&host);
        results
            .write(&"0000:82:00.0".parse().unwrap(), &result(0))
            .unwrap();
        let path = host.restore_results().join("0000:81:00.0");
        for garbage in [
            &b""[..],
            b"{",
            b"[]",
            b"\xff",
            br#"{"gpu":"../x","start":1,"seconds":1,"started":0,"active":0,"failed":0}"#,
            br#"{"gpu":"x","start":-1,"seconds":1,"started":0,"active":0,"failed":0}"#,
            br#"{"gpu":"x","start":1,"seconds":1,"started":0,"active":0,"failed":-1}"#,
            br#"{"gpu":"x","start":1,"seconds":1,"started":0,"active":0}"#,
        ] {
            fs::write(&path, garbage).unwrap();
            let mut warnings = Vec::new();
            assert_eq!(results.all(&mut warnings), Ok(vec![result(0)]));
            assert_eq!(warnings.len(), 1, "{garbage:?}");
            assert_eq!(warnings[0].path(), Some(path.as_path()));
        }
    }
}
