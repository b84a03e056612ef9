//! The user for whom sudo runs the program, and whether he may name another root: what it reads there as root
//! would be that user's word, and what it writes there would be root's.

use std::ffi::OsString;
use std::path::Path;

use nix::unistd::geteuid;

use crate::dir::Dir;
use crate::error::{Error, Kind, Result, if_present};

/// How sudo tells for whom it runs a program.
const USER: &str = "SUDO_UID";

/// The line of root's that allows it.
const ALLOWED: (&str, &str) = ("roots", "allow");

/// The user for whom sudo runs the program as root, by his number, if he is another.
pub(super) fn other_user() -> Option<OsString> {
    let user = std::env::var_os(USER).filter(|user| !user.is_empty() && user != "0");
    user.filter(|_| geteuid().is_root())
}

/// Refuses another root that `by` names where sudo runs the program as root for another user, unless
/// root's file `settings` allows it.
///
/// # Errors
/// [`Kind::NotPermitted`].
pub(super) fn check(by: &str, settings: &Path) -> Result<()> {
    let Some(user) = other_user() else {
        return Ok(());
    };
    if allows(settings)? {
        return Ok(());
    }
    let user = user.to_string_lossy();
    let message = format!(
        "{by} sets another root, which user {} may not do through sudo",
        crate::text::quoted(&user)
    );
    let (key, word) = ALLOWED;
    Err(Error::new(Kind::NotPermitted, message).hint(format!(
        "root can allow it with a line in {}: {key} = {word}",
        settings.display()
    )))
}

/// Whether the file is root's and says so. One that is not there does not.
///
/// # Errors
/// Others could have written it; what the kernel answered.
fn allows(settings: &Path) -> Result<bool> {
    let (Some(folder), Some(name)) = (settings.parent(), settings.file_name()) else {
        return Ok(false);
    };
    let Some(dir) = if_present(Dir::open_own(folder))? else {
        return Ok(false);
    };
    let text = dir.read_own(name, "the sudo settings")?;
    Ok(text.is_some_and(|text| text.lines().any(is_permission)))
}

fn is_permission(line: &str) -> bool {
    let line = line.split('#').next().unwrap_or_default();
    let setting = line.split_once('=');
    setting.is_some_and(|(key, value)| (key.trim(), value.trim()) == ALLOWED)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    #[test]
    fn only_a_file_that_nobody_else_could_have_written_allows_it() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("sudo.conf");
        assert_eq!(allows(&path), Ok(false));
        assert_eq!(allows(&root.path().join("absent/sudo.conf")), Ok(false));
        for (text, wanted) in [
            ("", false),
            ("# roots = allow\n", false),
            ("roots = deny\n", false),
            ("other = allow\n", false),
            ("# ours\n roots=allow # all of them\n", true),
        ] {
            fs::write(&path, text).unwrap();
            assert_eq!(allows(&path), Ok(wanted), "{text:?}");
        }
        let set_mode =
            |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode));
        set_mode(&path, 0o666).unwrap();
        assert_eq!(allows(&path).unwrap_err().path(), Some(path.as_path()));
        set_mode(&path, 0o644).unwrap();
        set_mode(root.path(), 0o777).unwrap();
        assert!(allows(&path).is_err());
        set_mode(root.path(), 0o755).unwrap();
        symlink(&path, root.path().join("link")).unwrap();
        assert!(allows(&root.path().join("link")).is_err());
    }
}
