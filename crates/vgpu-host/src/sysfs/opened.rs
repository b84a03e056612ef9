//! What a process has open, whatever its links in /proc say: they show the name by which a file was
//! opened, and names can be chosen.

use std::collections::{HashMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use log::debug;
use nix::fcntl::{OFlag, readlinkat};
use rustix::fs::{AtFlags, CWD, FileType, Statx, StatxFlags, statx};

use crate::dir::Dir;
use crate::error::{Error, Result, errno_of, if_present};

/// What /proc shows for a device opened through its group (observed on 6.1).
const DEVICE_FILE: &[u8] = b"anon_inode:[vfio-device]";
/// Files that only the kernel makes, and that have no name; paths begin with a slash, or with
/// `(unreachable)`.
const NAMELESS: [&[u8]; 3] = [b"anon_inode:", b"socket:", b"pipe:"];
/// The line of such a file's fdinfo that says which device it is (kernels from 6.16 on).
const DEVICE_LINE: &str = "vfio-device-syspath:";

/// Which file this is, under whatever name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FileIdentity {
    /// A character device: every node of that number opens it.
    Device {
        /// Of its driver.
        major: u32,
        /// Of the device itself.
        minor: u32,
    },
    /// Any other file, as stands in a node's place on a simulated host.
    Other {
        /// The file system's number.
        file_system: (u32, u32),
        /// The number within it.
        inode: u64,
    },
}

impl FileIdentity {
    /// Of the file that a path leads to; `None` where there is none.
    ///
    /// # Errors
    /// What the kernel answered, with the path.
    pub fn of(path: &Path) -> Result<Option<FileIdentity>> {
        if_present(Self::at(CWD, path).map_err(|errno| {
            let errno = errno_of(&errno.into());
            Error::system("cannot tell which device this is", path, errno)
        }))
    }

    fn at(dir: impl AsFd, name: &Path) -> rustix::io::Result<FileIdentity> {
        // Of a file system that does not answer, such as another user's, nothing is asked.
        let flags = AtFlags::STATX_DONT_SYNC;
        let mask = StatxFlags::TYPE | StatxFlags::INO;
        loop {
            match statx(&dir, name, flags, mask) {
                Err(rustix::io::Errno::INTR) => {}
                found => return found.map(|found| Self::from_statx(&found)),
            }
        }
    }

    fn from_statx(found: &Statx) -> FileIdentity {
        match FileType::from_raw_mode(found.stx_mode.into()) {
            FileType::CharacterDevice => FileIdentity::Device {
                major: found.stx_rdev_major,
                minor: found.stx_rdev_minor,
            },
            _ => FileIdentity::Other {
                file_system: (found.stx_dev_major, found.stx_dev_minor),
                inode: found.stx_ino,
            },
        }
    }
}

/// The line of a file's fdinfo that says how it was opened, in octal digits (proc(5)).
const FLAGS_LINE: &str = "flags:";

/// What one process has open.
#[derive(Debug)]
pub struct OpenFiles {
    /// Its directory of open files.
    links: Dir,
    /// By which of its descriptors.
    files: HashMap<FileIdentity, Vec<OsString>>,
    /// The names in sysfs of the devices that it got through their groups.
    devices: HashSet<String>,
    /// Whether it got a device through its group on a kernel that does not say which.
    pub has_some_device: bool,
}

impl OpenFiles {
    /// Of a process, by what stands in its directory in /proc.
    ///
    /// # Errors
    /// What the kernel answered, with the path.
    pub fn of(processes: &Dir, pid: i32) -> Result<OpenFiles> {
        let mut links = processes.open_dir(format!("{pid}/fd"))?;
        let entries = links.entries_unsaid()?;
        let mut all = OpenFiles {
            links,
            files: HashMap::new(),
            devices: HashSet::new(),
            has_some_device: false,
        };
        for entry in entries {
            // A file that has just been closed is no longer there.
            let Ok(target) = readlinkat(&all.links, entry.name.as_os_str()) else {
                continue;
            };
            let target = target.as_bytes();
            if target == DEVICE_FILE {
                match named_device(processes, pid, &entry.name) {
                    Some(device) => drop(all.devices.insert(device)),
                    None => all.has_some_device = true,
                }
            } else if !NAMELESS.iter().any(|kind| target.starts_with(kind))
                && let Ok(file) = FileIdentity::at(&all.links, Path::new(&entry.name))
            {
                all.files.entry(file).or_default().push(entry.name);
            }
        }
        Ok(all)
    }

    /// Whether it has this file open.
    pub fn has(&self, file: FileIdentity) -> bool {
        let descriptors = self.files.get(&file);
        descriptors.is_some_and(|all| all.iter().any(|fd| !self.only_names_it(fd)))
    }

    /// Whether it has any of these open.
    pub fn has_any(&self, files: &HashSet<FileIdentity>) -> bool {
        files.iter().any(|file| self.has(*file))
    }

    /// Whether a descriptor only says where a file is (O_PATH): its driver knows nothing of it, and
    /// anybody can have one of a file that he may not open.
    fn only_names_it(&self, fd: &OsStr) -> bool {
        let info = self.links.read_text(Path::new("../fdinfo").join(fd));
        let flags = info.ok().and_then(|text| {
            let flags = text.lines().find_map(|line| line.strip_prefix(FLAGS_LINE));
            i32::from_str_radix(flags?.trim(), 8).ok()
        });
        flags.is_some_and(|flags| OFlag::from_bits_retain(flags).contains(OFlag::O_PATH))
    }

    /// Whether the kernel says that it has this device open, by the device's name in sysfs.
    pub fn has_device(&self, name: &OsStr) -> bool {
        name.to_str()
            .is_some_and(|name| self.devices.contains(name))
    }
}

/// The device that a file got through a group is, where the kernel says so.
fn named_device(processes: &Dir, pid: i32, fd: &OsStr) -> Option<String> {
    let info = Path::new(&pid.to_string()).join("fdinfo").join(fd);
    let text = processes.read_text(info).ok()?;
    let path = text
        .lines()
        .find_map(|line| line.strip_prefix(DEVICE_LINE))?;
    debug!("pid {pid} has open: {}", path.trim());
    let name = Path::new(path.trim()).file_name()?;
    Some(name.to_str()?.to_owned())
}
