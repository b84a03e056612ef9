//! Who has a device open: found before anything is removed, because the kernel would block until
//! they let go.

use std::cell::OnceCell;
use std::collections::HashSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::parent_id;
use std::path::PathBuf;

use log::debug;
use nix::errno::Errno;

use super::opened::{FileIdentity, OpenFiles};
use crate::dir::{Beginning, Dir, EntryKind};
use crate::error::{Kind, Result, if_present};
use crate::host::Host;
use crate::model::{Holder, Nodes};

/// The node beside the groups that is none: the container.
const CONTAINER: &str = "vfio";

/// The processes found to have a device open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holders {
    /// Those that could be seen, by process id.
    pub found: Vec<Holder>,
    /// Those that have some VFIO device open and no group: they closed the group behind them, so
    /// which device it is cannot be told.
    pub suspects: Vec<Holder>,
    /// Whether every process could be looked into; without root it is only one's own.
    pub complete: bool,
    /// Whether the process that called this one has the group open and no device. libvirt does so
    /// while it has a device stopped; it keeps others out and does not make the kernel wait.
    pub claimed_by_caller: bool,
}

/// Looks through the open files of all processes for the device's nodes.
pub fn find(host: &Host, nodes: &Nodes) -> Result<Holders> {
    let mut all = find_each(host, &[nodes])?;
    Ok(all.pop().unwrap_or_else(Holders::none))
}

/// As [`find`], for several devices at one look at the processes.
pub fn find_each(host: &Host, nodes: &[&Nodes]) -> Result<Vec<Holders>> {
    let mut all: Vec<Holders> = nodes.iter().map(|_| Holders::none()).collect();
    if nodes
        .iter()
        .all(|one| one.group.is_none() && one.device.is_none())
    {
        return Ok(all);
    }
    let sought: Vec<Sought<'_>> = nodes
        .iter()
        .map(|one| Sought::of(one))
        .collect::<Result<_>>()?;
    let groups = Groups {
        host,
        all: OnceCell::new(),
    };
    let mut processes = Dir::open(host.processes())?;
    for entry in processes.entries()? {
        let Some(pid) = entry.name.to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        let files = match OpenFiles::of(&processes, pid) {
            Ok(files) => files,
            Err(error) if error.is_absent() || error.errno() == Some(Errno::ESRCH) => continue,
            Err(error) if error.kind() == Kind::NotPermitted => {
                all.iter_mut().for_each(|holders| holders.complete = false);
                continue;
            }
            Err(error) => return Err(error),
        };
        for (holders, sought) in all.iter_mut().zip(&sought) {
            match sought.seen_in(pid, &files, &groups)? {
                Sight::Holder => holders.found.push(describe(&processes, pid)),
                Sight::Suspect => holders.suspects.push(describe(&processes, pid)),
                Sight::Caller => holders.claimed_by_caller = true,
                Sight::Stranger => {}
            }
        }
    }
    for (holders, nodes) in all.iter_mut().zip(nodes) {
        holders.found.sort_by_key(|holder| holder.pid);
        debug!("holders of {}: {:?}", nodes.sysfs.display(), holders.found);
    }
    Ok(all)
}

impl Holders {
    fn none() -> Holders {
        Holders {
            found: Vec::new(),
            suspects: Vec::new(),
            complete: true,
            claimed_by_caller: false,
        }
    }
}

/// What a process's open files say about it.
enum Sight {
    Holder,
    Suspect,
    Caller,
    Stranger,
}

/// A device's nodes as they are known by.
struct Sought<'a> {
    nodes: &'a Nodes,
    group: Option<FileIdentity>,
    device: Option<FileIdentity>,
}

impl<'a> Sought<'a> {
    fn of(nodes: &'a Nodes) -> Result<Sought<'a>> {
        let identity = |node: &Option<PathBuf>| match node {
            Some(node) => FileIdentity::of(node),
            None => Ok(None),
        };
        Ok(Sought {
            nodes,
            group: identity(&nodes.group)?,
            device: identity(&nodes.device)?,
        })
    }

    fn seen_in(&self, pid: i32, files: &OpenFiles, groups: &Groups) -> Result<Sight> {
        let has = |node: Option<FileIdentity>| node.is_some_and(|node| files.has(node));
        let name = self.nodes.sysfs.file_name();
        if has(self.device) || name.is_some_and(|name| files.has_device(name)) {
            return Ok(Sight::Holder);
        }
        let has_a_device = files.has_some_device;
        Ok(match (has(self.group), has_a_device) {
            (true, false) if pid.unsigned_abs() == parent_id() => Sight::Caller,
            (true, _) => Sight::Holder,
            (false, true) if !files.has_any(groups.all()?) => Sight::Suspect,
            (false, _) => Sight::Stranger,
        })
    }
}

/// The nodes of all groups, read when they are first asked for.
struct Groups<'h> {
    host: &'h Host,
    all: OnceCell<HashSet<FileIdentity>>,
}

impl Groups<'_> {
    fn all(&self) -> Result<&HashSet<FileIdentity>> {
        if let Some(all) = self.all.get() {
            return Ok(all);
        }
        let mut all = HashSet::new();
        if let Some(mut dir) = if_present(Dir::open(self.host.vfio_groups()))? {
            for entry in dir.entries()? {
                if entry.kind == EntryKind::Other && entry.name != CONTAINER {
                    all.extend(FileIdentity::of(&dir.join(&entry.name))?);
                }
            }
        }
        Ok(self.all.get_or_init(|| all))
    }
}

fn describe(processes: &Dir, pid: i32) -> Holder {
    let command = processes
        .read_text(format!("{pid}/comm"))
        .unwrap_or_else(|_| "?".to_owned());
    let arguments = processes
        .read_beginning(format!("{pid}/cmdline"), FIRST_ARGUMENTS)
        .map(whole_arguments)
        .unwrap_or_default();
    Holder {
        pid,
        command,
        vm: vm_name(&arguments),
    }
}

/// A command line may be as long as its user likes; a VM's name is one of the first arguments.
const FIRST_ARGUMENTS: usize = 1 << 16;

fn whole_arguments(begin: Beginning) -> Vec<u8> {
    let mut arguments = begin.bytes;
    if !begin.is_whole {
        let end = arguments.iter().rposition(|byte| *byte == 0);
        arguments.truncate(end.unwrap_or_default());
    }
    arguments
}

/// The VM's name out of QEMU's command line: `-name guest=NAME,...` (libvirt) or `-name NAME,...`
/// (Proxmox, by hand).
fn vm_name(arguments: &[u8]) -> Option<String> {
    let mut arguments = arguments.split(|byte| *byte == 0);
    arguments.find(|argument| matches!(*argument, b"-name" | b"--name"))?;
    let value = OsStr::from_bytes(arguments.next()?).to_string_lossy();
    let guest = value.split(',').find_map(|o| o.strip_prefix("guest="));
    let name = guest.or_else(|| value.split(',').next())?;
    (!name.is_empty()).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::path::{Path, PathBuf};

    const DEVICE_FILE: &str = "anon_inode:[vfio-device]";

    /// Files in the places of nodes: making real ones takes more than a test may do.
    fn make_nodes(host: &Host) {
        fs::create_dir_all(host.vfio_devices()).unwrap();
        for group in ["9", "12", "123", CONTAINER] {
            fs::write(host.vfio_group(group), "").unwrap();
        }
        fs::write(host.vfio_device("vfio0"), "").unwrap();
    }

    fn nodes(host: &Host) -> Nodes {
        Nodes {
            sysfs: PathBuf::from("/unused"),
            iommu_group: Some("12".into()),
            group: Some(host.vfio_group("12")),
            device: Some(host.vfio_device("vfio0")),
        }
    }

    fn process(host: &Host, pid: i32, opens: &Path, arguments: &[u8]) {
        let dir = host.processes().join(pid.to_string());
        fs::create_dir_all(dir.join("fd")).unwrap();
        fs::write(dir.join("comm"), "qemu-system-x86\n").unwrap();
        fs::write(dir.join("cmdline"), arguments).unwrap();
        symlink("/dev/null", dir.join("fd/0")).unwrap();
        symlink(opens, dir.join("fd/7")).unwrap();
    }

    #[test]
    fn holders_of_either_node_are_found_with_their_vms_names() {
        let root = tempfile::tempdir().unwrap();
        let host = Host::new(root.path());
        make_nodes(&host);
        let libvirt = b"qemu\0-name\0guest=win11,debug-threads=on\0-S\0";
        process(&host, 4242, &host.vfio_group("12"), libvirt);
        process(
            &host,
            77,
            &host.vfio_device("vfio0"),
            b"qemu\0-name\0pve,x=y\0",
        );
        process(&host, 99, &host.vfio_group("123"), b"qemu\0-name\0other\0");
        fs::create_dir_all(host.processes().join("self")).unwrap();
        process(&host, 55, Path::new(DEVICE_FILE), b"crosvm\0");
        process(&host, 56, Path::new(DEVICE_FILE), b"qemu\0");
        symlink(host.vfio_group("9"), host.processes().join("56/fd/8")).unwrap();
        symlink(host.vfio_group("vfio"), host.processes().join("55/fd/8")).unwrap();

        let holders = find(&host, &nodes(&host)).unwrap();
        assert!(holders.complete);
        let suspects: Vec<i32> = holders.suspects.iter().map(|s| s.pid).collect();
        assert_eq!(
            suspects,
            [55],
            "56 has a group of its own, so that is its device"
        );
        let lines: Vec<String> = holders.found.iter().map(Holder::to_string).collect();
        assert_eq!(
            lines,
            [
                "pid 77 (qemu-system-x86, VM pve)",
                "pid 4242 (qemu-system-x86, VM win11)"
            ]
        );
    }

    #[test]
    fn another_name_of_a_node_hides_no_holder() {
        let root = tempfile::tempdir().unwrap();
        let host = Host::new(root.path());
        make_nodes(&host);
        let elsewhere = root.path().join("another-name");
        fs::hard_link(host.vfio_group("12"), &elsewhere).unwrap();
        process(&host, 71, &elsewhere, b"qemu\0");
        let holders = find(&host, &nodes(&host)).unwrap();
        let found: Vec<i32> = holders.found.iter().map(|holder| holder.pid).collect();
        assert_eq!(found, [71]);
    }

    #[test]
    fn a_kernel_that_says_which_device_a_file_is_is_believed() {
        let root = tempfile::tempdir().unwrap();
        let host = Host::new(root.path());
        make_nodes(&host);
        for (pid, device) in [(60, "unused"), (61, "another")] {
            process(&host, pid, Path::new(DEVICE_FILE), b"qemu\0");
            let info = host.processes().join(pid.to_string()).join("fdinfo");
            fs::create_dir_all(&info).unwrap();
            let text = format!(
                "pos:\t0\nflags:\t02\nvfio-device-syspath: /sys/devices/pci0000:e0/{device}\n"
            );
            fs::write(info.join("7"), text).unwrap();
        }
        let holders = find(&host, &nodes(&host)).unwrap();
        let found: Vec<i32> = holders.found.iter().map(|holder| holder.pid).collect();
        assert_eq!(found, [60]);
        assert_eq!(holders.suspects, []);
    }

    #[test]
    fn a_command_line_without_a_name_names_no_vm() {
        for arguments in [&b""[..], b"cat\0file\0", b"qemu\0-name", b"qemu\0-name\0\0"] {
            assert_eq!(vm_name(arguments), None);
        }
    }
}
