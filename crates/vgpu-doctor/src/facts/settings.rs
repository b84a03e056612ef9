//! The files of settings of vgpu_unlock-rs.

use std::path::{Path, PathBuf};

use super::units::Unit;
use super::{Look, Read};
use crate::Evidence;

/// The variable of a daemon that says which `profile_override.toml` it reads.
pub const MOVED_BY: &str = "VGPU_UNLOCK_PROFILE_OVERRIDE_CONFIG_PATH";

/// A file and what stands in it.
pub struct File {
    /// Where it is.
    pub path: PathBuf,
    /// What stands in it.
    pub bytes: Read<Vec<u8>>,
}

/// What nvidia-vgpu-mgr is told to read instead of the usual file.
pub struct Moved {
    /// The path as it is said.
    pub said: String,
    /// Where that is said.
    pub seen: Evidence,
    /// The file, unless that names none.
    pub file: File,
}

/// The settings.
pub struct Settings {
    /// `config.toml`.
    pub config: File,
    /// `profile_override.toml` in its usual place.
    pub overrides: File,
    /// What is read in its place.
    pub moved: Option<Moved>,
}

impl Settings {
    /// Reads them as that unit's daemon would.
    pub fn read(look: &Look<'_>, manager: &Unit) -> Settings {
        let file = |path: PathBuf| File {
            bytes: look.bytes(&path),
            path,
        };
        let moved = manager.told(MOVED_BY).map(|(said, seen)| {
            let path = look.host.named(Path::new(&said));
            let file = match said.is_empty() {
                true => File {
                    path,
                    bytes: Ok(None),
                },
                false => file(path),
            };
            Moved { said, seen, file }
        });
        Settings {
            config: file(look.host.unlock_config()),
            overrides: file(look.host.profile_override()),
            moved,
        }
    }
}
