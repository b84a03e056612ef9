//! The root directory of a host and its two mounts.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use fuser::{BackgroundSession, Config, MountOption, SessionACL};
use nix::mount::{MntFlags, umount2};

use crate::fs::{Side, SimFs};
use crate::shared::Shared;

/// Threads of each mount. Requests that wait use a separate thread, so a few are sufficient.
const THREADS: usize = 8;

/// A prepared ROOT.
#[derive(Debug, Clone)]
pub struct Root {
    path: PathBuf,
}

impl Root {
    /// Creates the directories, after removing mounts left by a killed simhost.
    pub fn prepare(path: &Path) -> Result<Self, String> {
        let told = |e| format!("{}: {e}", path.display());
        fs::create_dir_all(path).map_err(told)?;
        let path = path.canonicalize().map_err(told)?;
        if path == Path::new("/") {
            return Err("ROOT is to be a directory of its own, not /".to_owned());
        }
        let root = Self { path };
        root.unmount_stale()?;
        for name in ["etc", "run/simhost", "usr", "sys", "dev"] {
            let dir = root.path.join(name);
            fs::create_dir_all(&dir).map_err(|e| format!("{}: {e}", dir.display()))?;
        }
        for side in ["sys", "dev"] {
            let dir = root.path.join(side);
            let mut entries = fs::read_dir(&dir).map_err(|e| format!("{}: {e}", dir.display()))?;
            // Do not hide existing files.
            if entries.next().is_some() {
                return Err(format!("{} is not empty", dir.display()));
            }
        }
        match symlink("/proc", root.path.join("proc")) {
            Err(e) if e.kind() != ErrorKind::AlreadyExists => Err(format!("proc: {e}")),
            _ => Ok(root),
        }
    }

    fn unmount_stale(&self) -> Result<(), String> {
        let table = fs::read_to_string("/proc/self/mountinfo").map_err(|e| e.to_string())?;
        for side in ["dev", "sys"] {
            let point = self.path.join(side);
            for _ in 0..fuse_mounts_at(&table, &point) {
                umount2(&point, MntFlags::MNT_DETACH)
                    .map_err(|e| format!("unmounting {}: {e}", point.display()))?;
            }
        }
        Ok(())
    }

    /// The path of the control socket.
    pub fn control_dir(&self) -> PathBuf {
        self.path.join("run/simhost")
    }

    /// Installs replacements for NVIDIA's programs, which call this program through the control socket.
    pub fn install_nvidias_programs(&self) -> Result<(), String> {
        self.install("usr/lib/nvidia", "sriov-manage")?;
        self.install("usr/bin", "nvidia-smi")
    }

    fn install(&self, folder: &str, name: &str) -> Result<(), String> {
        let folder = self.path.join(folder);
        let path = folder.join(name);
        let told = |e: std::io::Error| format!("{}: {e}", path.display());
        let quoted = |p: &Path| format!("'{}'", p.to_string_lossy().replace('\'', "'\\''"));
        let program = std::env::current_exe().map_err(told)?;
        let (program, root) = (quoted(&program), quoted(&self.path));
        let text = format!("#!/bin/sh\nexec {program} ctl {root} {name} \"$@\"\n");
        fs::create_dir_all(&folder).map_err(told)?;
        // A running program cannot be overwritten, so create a new file.
        let _ = fs::remove_file(&path);
        fs::write(&path, text).map_err(told)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).map_err(told)
    }

    /// Mounts both sides.
    pub fn mount(&self, shared: &Arc<Shared>) -> Result<[BackgroundSession; 2], String> {
        Ok([
            self.mount_side(shared, Side::Sys, "sys")?,
            self.mount_side(shared, Side::Dev, "dev")?,
        ])
    }

    fn mount_side(
        &self,
        shared: &Arc<Shared>,
        side: Side,
        name: &str,
    ) -> Result<BackgroundSession, String> {
        let point = self.path.join(name);
        let mut config = Config::default();
        config.mount_options = vec![
            MountOption::FSName("simhost".to_owned()),
            MountOption::DefaultPermissions,
            MountOption::NoExec,
            MountOption::NoAtime,
        ];
        config.n_threads = Some(THREADS);
        if nix::unistd::geteuid().is_root() {
            config.acl = SessionACL::All;
        }
        let fs = SimFs::new(Arc::clone(shared), side);
        fuser::spawn_mount(fs, &point, &config)
            .map_err(|e| format!("mounting {}: {e}", point.display()))
    }

    /// Unmounts both sides, even if files in them are open.
    pub fn unmount(&self) {
        for side in ["dev", "sys"] {
            // Without privileges the sessions unmount themselves when dropped.
            let _ = umount2(&self.path.join(side), MntFlags::MNT_DETACH);
        }
    }

    /// Empties `run`, like a reboot, except for the control socket.
    pub fn empty_run(&self) -> Result<(), String> {
        let run = self.path.join("run");
        let told = |e: std::io::Error| format!("{}: {e}", run.display());
        for entry in fs::read_dir(&run).map_err(told)? {
            let entry = entry.map_err(told)?;
            if entry.file_name() == "simhost" {
                continue;
            }
            let is_dir = entry.file_type().map_err(told)?.is_dir();
            let removed = if is_dir {
                fs::remove_dir_all(entry.path())
            } else {
                fs::remove_file(entry.path())
            };
            removed.map_err(|e| format!("{}: {e}", entry.path().display()))?;
        }
        Ok(())
    }
}

/// Number of FUSE mounts of this program at exactly this path.
fn fuse_mounts_at(mountinfo: &str, point: &Path) -> usize {
    let escaped = point
        .to_string_lossy()
        .replace('\\', "\\134")
        .replace(' ', "\\040")
        .replace('\t', "\\011")
        .replace('\n', "\\012");
    mountinfo
        .lines()
        .filter(|line| {
            let mut halves = line.split(" - ");
            let place = halves.next().and_then(|h| h.split(' ').nth(4));
            let kind = halves.next().unwrap_or("");
            place == Some(escaped.as_str())
                && kind.starts_with("fuse")
                && kind.contains(" simhost ")
        })
        .count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_own_mounts_at_the_exact_place_count() {
        let table = "40 1 0:33 / /t/a\\040b/sys rw,noatime - fuse simhost rw,user_id=0\n\
                     41 1 0:33 / /t/a\\040b/sys rw,noatime - fuse simhost rw,user_id=0\n\
                     42 1 0:34 / /t/a\\040b/dev rw,noatime - fuse sshfs rw,user_id=0\n\
                     43 1 0:35 / /t/a\\040b/system rw - fuse simhost rw\n";
        assert_eq!(fuse_mounts_at(table, Path::new("/t/a b/sys")), 2);
        assert_eq!(fuse_mounts_at(table, Path::new("/t/a b/dev")), 0);
        assert_eq!(fuse_mounts_at(table, Path::new("/t/a b")), 0);
    }

    #[test]
    fn the_real_root_is_refused() {
        assert!(Root::prepare(Path::new("/")).unwrap_err().contains("not /"));
    }
}
