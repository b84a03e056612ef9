//! What root allows to other users: read only where nobody else could have written it.

use super::Store;
use std::path::PathBuf;

use crate::dir::Dir;
use crate::error::{Result, if_present};

impl Store<'_> {
    /// The policy's file and its text; `None` where there is no file, so that nothing is allowed.
    ///
    /// # Errors
    /// Others could have written it, or put another in its place
    /// ([`NotPermitted`](crate::error::Kind::NotPermitted)); what the kernel answered.
    pub fn policy(&self) -> Result<Option<(PathBuf, String)>> {
        let (path, way) = self.host.policy();
        let mut folder = None;
        // Once nobody else may change the folders above, the next one stays what it is.
        for dir in way {
            match if_present(Dir::open_own(&dir))? {
                Some(dir) => folder = Some(dir),
                None => return Ok(None),
            }
        }
        let (Some(dir), Some(name)) = (folder, path.file_name()) else {
            return Ok(None);
        };
        let text = dir.read_own(name, "the policy for users")?;
        Ok(text.map(|text| (path, text)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;
    use crate::host::Host;
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::path::Path;

    const TEXT: &str = "[[allow]]\nuser = 1000\ntypes = [\"nvidia-63\"]\ndevices = 1\n";

    fn set_mode(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn only_a_policy_that_nobody_else_could_have_written_counts() {
        let root = tempfile::tempdir().unwrap();
        let host = Host::new(root.path());
        let store = Store::of(&host);
        assert_eq!(store.policy(), Ok(None));
        let (path, way) = host.policy();
        fs::create_dir_all(&way[2]).unwrap();
        for dir in &way {
            set_mode(dir, 0o755);
        }
        assert_eq!(store.policy(), Ok(None));
        fs::write(&path, TEXT).unwrap();
        set_mode(&path, 0o644);
        let text = TEXT.trim_end().to_owned();
        assert_eq!(store.policy(), Ok(Some((path.clone(), text))));
        for (place, mode) in [
            (&path, 0o646),
            (&way[2], 0o777),
            (&way[1], 0o757),
            (&way[0], 0o757),
        ] {
            let usual = if place == &path { 0o644 } else { 0o755 };
            set_mode(place, mode);
            let error = store.policy().unwrap_err();
            assert_eq!(error.kind(), Kind::NotPermitted, "{}", place.display());
            assert_eq!(error.path(), Some(place.as_path()));
            set_mode(place, usual);
        }
        assert!(store.policy().is_ok());
        if nix::unistd::geteuid().is_root() {
            std::os::unix::fs::chown(&path, Some(1000), None).unwrap();
            assert_eq!(store.policy().unwrap_err().kind(), Kind::NotPermitted);
            std::os::unix::fs::chown(&path, Some(0), None).unwrap();
        }
        let elsewhere = way[2].join("other.toml");
        fs::rename(&path, &elsewhere).unwrap();
        symlink(&elsewhere, &path).unwrap();
        assert!(store.policy().is_err());
        fs::remove_file(&path).unwrap();
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert_eq!(store.policy().unwrap_err().kind(), Kind::NotPermitted);
    }
}
