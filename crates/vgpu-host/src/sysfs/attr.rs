//! Writing one attribute: one `write(2)` of the whole value, errno kept.

use std::os::fd::{AsFd, OwnedFd};

use log::debug;
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, openat};
use nix::sys::stat::{Mode, fstat, fstatat};
use nix::unistd::write;

use crate::dir::{Dir, is_file};
use crate::error::{Error, Kind, Result};
use crate::model::AttrName;
use nvidia_vgpu::params;

/// Writes `value` to the file `name` below `dir`. `what` says what it is for.
pub fn write_value(dir: &Dir, name: &str, value: &str, what: &str) -> Result<()> {
    let file = dir
        .open_file(name, OFlag::O_WRONLY)
        .map_err(|error| error.retold(what))?;
    write_once(&file, value).map_err(|errno| Error::system(what, dir.join(name), errno))?;
    debug!("write {}: {value:?}", dir.join(name).display());
    Ok(())
}

/// What each device's directory has, and no group of attributes.
const OF_DEVICES: &str = "uevent";

/// Writes a device's attribute, reached component by component without following a link, so that
/// it cannot lie outside the device's directory, nor in that of a device below it. `openat2` would do this in one call, but hosts
/// that this tool is for run kernels older than it (4.18, 5.4).
pub fn write_beneath(device: &Dir, name: &AttrName, value: &str, what: &str) -> Result<()> {
    let failed = |errno| Error::system(what, device.join(name.as_str()), errno);
    let mut parts: Vec<&str> = name.as_str().split('/').collect();
    let last = parts.pop().unwrap_or_default();
    let mut at: Option<OwnedFd> = None;
    for part in parts {
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let from = at.as_ref().map_or(device.as_fd(), OwnedFd::as_fd);
        let group = openat(from, part, flags, Mode::empty()).map_err(failed)?;
        if fstatat(&group, OF_DEVICES, AtFlags::AT_SYMLINK_NOFOLLOW).is_ok() {
            return Err(no_attribute(
                device,
                name,
                what,
                "it belongs to another device",
            ));
        }
        at = Some(group);
    }
    let flags = OFlag::O_WRONLY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK;
    let from = at.as_ref().map_or(device.as_fd(), OwnedFd::as_fd);
    let file = openat(from, last, flags, Mode::empty()).map_err(failed)?;
    if !is_file(&fstat(&file).map_err(failed)?) {
        return Err(no_attribute(device, name, what, "it is not a regular file"));
    }
    let line = (name.as_str() == params::ATTRIBUTE).then(|| params::line(value));
    let value = line.as_deref().unwrap_or(value);
    write_once(&file, value).map_err(failed)?;
    debug!("write {}: {value:?}", device.join(name.as_str()).display());
    Ok(())
}

fn no_attribute(device: &Dir, name: &AttrName, what: &str, why: &str) -> Error {
    Error::new(Kind::Failed, format!("{what}: {why}"))
        .at(device.join(name.as_str()))
        .hint("an attribute is a file of the device, or of a group created by its driver")
}

/// sysfs hands each write to the driver as a whole, so a value must never be split.
/// A write of nothing would not reach the driver at all; an empty line is what `echo` writes.
fn write_once(file: &OwnedFd, value: &str) -> nix::Result<()> {
    let value = if value.is_empty() { "\n" } else { value };
    match write(file, value.as_bytes())? {
        count if count == value.len() => Ok(()),
        _ => Err(Errno::EIO),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    #[test]
    fn an_attribute_is_never_reached_through_a_link() {
        let root = tempfile::tempdir().unwrap();
        let (device, outside) = (root.path().join("device"), root.path().join("outside"));
        fs::create_dir_all(device.join("nvidia")).unwrap();
        fs::create_dir(&outside).unwrap();
        fs::write(device.join("nvidia/vgpu_params"), "").unwrap();
        fs::write(outside.join("secret"), "untouched").unwrap();
        symlink(&outside, device.join("dirlink")).unwrap();
        symlink(outside.join("secret"), device.join("filelink")).unwrap();
        let dir = Dir::open(&device).unwrap();

        for bad in ["dirlink/secret", "filelink"] {
            let error = write_beneath(&dir, &bad.parse().unwrap(), "x", "w").unwrap_err();
            assert_eq!(error.path(), Some(device.join(bad).as_path()));
        }
        assert_eq!(
            fs::read_to_string(outside.join("secret")).unwrap(),
            "untouched"
        );

        let name = "nvidia/vgpu_params".parse().unwrap();
        write_beneath(&dir, &name, "disable_vnc=1", "w").unwrap();
        assert_eq!(
            fs::read_to_string(device.join("nvidia/vgpu_params")).unwrap(),
            "disable_vnc=1\n"
        );
    }

    #[test]
    fn an_attribute_is_a_regular_file_and_of_no_other_device() {
        let root = tempfile::tempdir().unwrap();
        let path = |name: &str| root.path().join(name);
        fs::create_dir(path("child")).unwrap();
        fs::write(path("child/uevent"), "").unwrap();
        fs::write(path("child/x"), "untouched").unwrap();
        nix::unistd::mkfifo(&path("fifo"), Mode::S_IRWXU).unwrap();
        // Somebody who listens, so that it opens.
        let mut both = fs::OpenOptions::new();
        let _listener = both.read(true).write(true).open(path("fifo")).unwrap();
        let dir = Dir::open(root.path()).unwrap();
        for (bad, why) in [
            ("child/x", "belongs to another device"),
            ("fifo", "not a regular file"),
        ] {
            let error = write_beneath(&dir, &bad.parse().unwrap(), "x", "w").unwrap_err();
            assert!(error.message().contains(why), "{error}");
            assert_eq!(error.path(), Some(path(bad).as_path()));
        }
        assert_eq!(fs::read_to_string(path("child/x")).unwrap(), "untouched");
    }

    #[test]
    fn a_missing_attribute_is_not_made() {
        let root = tempfile::tempdir().unwrap();
        let dir = Dir::open(root.path()).unwrap();
        let error = write_beneath(&dir, &"nothing".parse().unwrap(), "x", "w").unwrap_err();
        assert!(error.is_absent());
        assert!(write_value(&dir, "nothing", "x", "w").is_err());
        assert!(!root.path().join("nothing").exists());
    }
}
