//! Devices that were begun: a mark stands until the last attribute is written, so that nobody takes
//! for complete what the one who made it did not live to end.

use std::collections::HashSet;

use log::debug;
use nix::errno::Errno;
use uuid::Uuid;

use super::{Lock, Store};
use crate::dir::{Dir, Entry};
use crate::error::{Error, Result, if_present};
use crate::model::{ParentId, parse_uuid};

impl Store<'_> {
    /// Notes that a device is about to be made under the lock of `home`, and needs more than its
    /// creation. Until [`Store::finish`], whoever finds it active must not take it for complete.
    ///
    /// # Errors
    /// What the kernel answered, with the path.
    pub fn begin(&self, _held: &Lock, home: &ParentId, uuid: Uuid) -> Result<()> {
        let path = self.host.unfinished(uuid);
        Dir::open_own(&self.host.locks())?
            .put(&name_of(uuid), home.as_str().as_bytes())
            .map_err(|errno| {
                Error::system("cannot record that a device is being created", &path, errno)
            })?;
        debug!("make {}", path.display());
        Ok(())
    }

    /// Notes that the device is complete, or gone.
    ///
    /// # Errors
    /// What the kernel answered, with the path.
    pub fn finish(&self, _held: &Lock, uuid: Uuid) -> Result<()> {
        self.forget_begun(uuid)
    }

    /// Takes the mark of a device away that nobody is making.
    ///
    /// # Errors
    /// What the kernel answered, with the path.
    pub fn forget_begun(&self, uuid: Uuid) -> Result<()> {
        let path = self.host.unfinished(uuid);
        match nix::unistd::unlink(&path) {
            Ok(()) | Err(Errno::ENOENT) => Ok(()),
            Err(errno) => Err(Error::system(
                "cannot record that a device is complete",
                &path,
                errno,
            )),
        }
    }

    /// Takes away what writers left half written that were killed, in all folders of ours in `/run`.
    pub fn sweep_halves(&self) {
        let host = self.host;
        for path in [
            host.locks(),
            host.vf_records(),
            host.type_names(),
            host.restore_results(),
        ] {
            // What is not there or not ours is left alone.
            if let Ok(mut dir) = Dir::open_own(&path) {
                dir.sweep();
            }
        }
    }

    /// Whether a device of that UUID was begun and not finished: its maker is at it, or has died.
    pub fn is_unfinished(&self, uuid: Uuid) -> bool {
        self.host.unfinished(uuid).symlink_metadata().is_ok()
    }

    /// All devices that were begun and not finished; none where that is not known.
    pub fn unfinished(&self) -> HashSet<Uuid> {
        let entries = Dir::open_own(&self.host.locks()).and_then(|mut dir| dir.entries());
        let noted = |entry: &Entry| {
            let name = entry.name.to_str()?.strip_suffix(ENDING)?;
            parse_uuid(name).ok()
        };
        entries
            .unwrap_or_default()
            .iter()
            .filter_map(noted)
            .collect()
    }

    /// Under whose lock a device was begun; `None` where its mark does not say so.
    ///
    /// # Errors
    /// The mark is there and cannot be read.
    pub fn begun_under(&self, uuid: Uuid) -> Result<Option<ParentId>> {
        let dir = Dir::open_own(&self.host.locks())?;
        let home = if_present(dir.read_text(name_of(uuid)))?;
        Ok(home.and_then(|home| home.parse().ok()))
    }
}

const ENDING: &str = ".unfinished";

fn name_of(uuid: Uuid) -> String {
    format!("{uuid}{ENDING}")
}
