//! Every path the program touches, under one root prefix. Nothing else spells them.

mod named;
mod sudo;

use std::ffi::CStr;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use uuid::Uuid;

use crate::error::{Error, Kind, Result, errno_of};
use crate::model::ParentId;

pub use named::{Named, NamedFile, groups_of, open_named, read_bounded, read_named};

/// The licence daemon's settings inside a Linux guest (NVIDIA's licensing guide).
pub const GUEST_LICENCE_SETTINGS: &str = "/etc/nvidia/gridd.conf";

/// Where a Linux guest keeps the token of a licence server that hands out tokens (same guide).
pub const GUEST_LICENCE_TOKEN: &str = "/etc/nvidia/ClientConfigToken/";

/// A child process's own standard input, for programs that read files only.
pub const STANDARD_INPUT: &str = "/dev/stdin";

/// A process's own open files: those of the process that looks, so never below a host's root.
pub const OWN_DESCRIPTORS: &CStr = c"/proc/self/fd";

/// A host: `/` for the one we run on, another directory for a simulated or mounted one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    root: PathBuf,
}

impl Host {
    /// The host whose `/` is the directory `root`.
    pub fn new(root: impl Into<PathBuf>) -> Host {
        Host { root: root.into() }
    }

    /// The host below a directory that a user or a variable names, by the one name that the kernel
    /// uses when it tells of open files; `/` where none is named. `by` says who names it.
    ///
    /// # Errors
    /// [`Kind::Usage`]: it is not absolute, not there, or no directory. [`Kind::NotPermitted`] where
    /// sudo runs the program for a user who may not name one.
    pub fn below(named: Option<PathBuf>, by: &str) -> Result<Host> {
        let Some(root) = named.filter(|root| !root.as_os_str().is_empty()) else {
            return Ok(Host::new("/"));
        };
        let this_one = Host::new("/");
        if root == this_one.root {
            return Ok(this_one);
        }
        if root.is_relative() {
            let message =
                format!("cannot use the host root set by {by}: it is not an absolute path");
            let error = Error::new(Kind::Usage, message).at(&root);
            return Err(error.hint("use an absolute path, such as \"$PWD/host\""));
        }
        sudo::check(by, &this_one.sudo_settings())?;
        let refused = |errno| {
            Error::system(
                format!("cannot use the host root set by {by}"),
                &root,
                errno,
            )
            .with_kind(Kind::Usage)
        };
        let whole = root
            .canonicalize()
            .map_err(|error| refused(errno_of(&error)))?;
        match whole.metadata() {
            Ok(found) if found.is_dir() => Ok(Host::new(whole)),
            Ok(_) => Err(refused(Errno::ENOTDIR)),
            Err(error) => Err(refused(errno_of(&error))),
        }
    }

    fn path(&self, below: &str) -> PathBuf {
        self.root.join(below)
    }

    /// The kernel's tree of devices.
    pub fn sysfs(&self) -> PathBuf {
        self.path("sys")
    }

    /// Links to the parents, by name (kernel: Documentation/driver-api/vfio-mediated-device.rst).
    pub fn mdev_parents(&self) -> PathBuf {
        self.path("sys/class/mdev_bus")
    }

    /// Links to the active mediated devices, by UUID (same document).
    pub fn mdev_devices(&self) -> PathBuf {
        self.path("sys/bus/mdev/devices")
    }

    /// Links to all PCI devices, by address (kernel: Documentation/ABI/testing/sysfs-bus-pci).
    pub fn pci_devices(&self) -> PathBuf {
        self.path("sys/bus/pci/devices")
    }

    /// Links to the PCI devices that NVIDIA's driver serves, by address (same document).
    pub fn nvidia_driver(&self) -> PathBuf {
        self.path("sys/bus/pci/drivers/nvidia")
    }

    /// Links to the PCI devices that a driver serves, and how it is told to (same document).
    pub fn pci_driver(&self, name: &str) -> PathBuf {
        self.path("sys/bus/pci/drivers").join(name)
    }

    /// mdevctl's definitions, `<parent>/<uuid>`, which this program shares.
    pub fn definitions(&self) -> PathBuf {
        self.path("etc/mdevctl.d")
    }

    /// Definitions of vGPUs on virtual functions, `<GPU>/<uuid>`: not where mdevctl and libvirt
    /// look, who would take them for mediated devices.
    pub fn own_definitions(&self) -> PathBuf {
        self.path("etc/vgpuctl.d")
    }

    /// What root allows those who run the program by sudo: lines of the form `key = value`.
    pub fn sudo_settings(&self) -> PathBuf {
        self.own_definitions().join("sudo.conf")
    }

    /// What root allows to other users, and the directories on the way to it from the root down.
    pub fn policy(&self) -> (PathBuf, [PathBuf; 3]) {
        let (etc, dir) = (self.path("etc"), self.path("etc/vgpuctl"));
        (dir.join("policy.toml"), [self.root.clone(), etc, dir])
    }

    /// Where users ask for vGPUs of their own.
    pub fn request_socket(&self) -> PathBuf {
        self.path("run/vgpuctl-delegate.socket")
    }

    /// Directories of the scripts that are asked before and told after a change, in the order of
    /// mdevctl(8): what packages bring, then what the administrator adds.
    pub fn callouts(&self) -> [PathBuf; 2] {
        self.scripts("callouts")
    }

    /// Directories of the scripts that are told what happened, in the same order.
    pub fn notifiers(&self) -> [PathBuf; 2] {
        self.scripts("notifiers")
    }

    fn scripts(&self, kind: &str) -> [PathBuf; 2] {
        [
            self.path("usr/lib/mdevctl/scripts.d").join(kind),
            self.definitions().join("scripts.d").join(kind),
        ]
    }

    /// Where locks live; the directory and the locks in it are never deleted.
    pub fn locks(&self) -> PathBuf {
        self.path("run/vgpuctl")
    }

    /// The lock of one parent's definitions and devices.
    pub fn parent_lock(&self, parent: &ParentId) -> PathBuf {
        self.locks().join(format!("{parent}.lock"))
    }

    /// The locks of users whose requests are done one after the other.
    pub fn user_locks(&self) -> PathBuf {
        self.locks().join("users")
    }

    /// The lock of one user's requests.
    pub fn user_lock(&self, user: u32) -> PathBuf {
        self.user_locks().join(format!("{user}.lock"))
    }

    /// Stands while a device exists whose attributes are not all written yet.
    pub fn unfinished(&self, uuid: Uuid) -> PathBuf {
        self.locks().join(format!("{uuid}.unfinished"))
    }

    /// Which vGPUs on virtual functions are ours, a file a function.
    pub fn vf_records(&self) -> PathBuf {
        self.locks().join("vfs")
    }

    /// What types are called while none of them is listed, a file a GPU.
    pub fn type_names(&self) -> PathBuf {
        self.locks().join("types")
    }

    /// What came of the last restore, a file a parent.
    pub fn restore_results(&self) -> PathBuf {
        self.locks().join("restores")
    }

    /// NVIDIA's program that switches a GPU's virtual functions.
    pub fn sriov_manage(&self) -> PathBuf {
        self.path("usr/lib/nvidia/sriov-manage")
    }

    /// NVIDIA's program that tells and sets what GPUs do.
    pub fn nvidia_smi(&self) -> PathBuf {
        self.path("usr/bin/nvidia-smi")
    }

    /// Processes.
    pub fn processes(&self) -> PathBuf {
        self.path("proc")
    }

    /// The nodes through which VFIO groups are opened.
    pub fn vfio_groups(&self) -> PathBuf {
        self.path("dev/vfio")
    }

    /// The node through which a VFIO group is opened, `/dev/vfio/<group>`.
    pub fn vfio_group(&self, group: &str) -> PathBuf {
        self.vfio_groups().join(group)
    }

    /// The nodes of single VFIO devices, on kernels that have them.
    pub fn vfio_devices(&self) -> PathBuf {
        self.path("dev/vfio/devices")
    }

    /// The node of one VFIO device on kernels with the device cdev, `/dev/vfio/devices/vfio<N>`.
    pub fn vfio_device(&self, name: &str) -> PathBuf {
        self.vfio_devices().join(name)
    }

    /// What the processor can do.
    pub fn cpu_info(&self) -> PathBuf {
        self.path("proc/cpuinfo")
    }

    /// Device nodes.
    pub fn devices(&self) -> PathBuf {
        self.path("dev")
    }

    /// The IOMMUs that the kernel uses.
    pub fn iommus(&self) -> PathBuf {
        self.path("sys/class/iommu")
    }

    /// The groups of devices that an IOMMU tells apart.
    pub fn iommu_groups(&self) -> PathBuf {
        self.path("sys/kernel/iommu_groups")
    }

    /// The kernel's command line.
    pub fn command_line(&self) -> PathBuf {
        self.path("proc/cmdline")
    }

    /// The kernel's release, as `uname -r` says it.
    pub fn kernel_release(&self) -> PathBuf {
        self.path("proc/sys/kernel/osrelease")
    }

    /// Which distribution this is (os-release(5)), in the order in which the two are read.
    pub fn os_release(&self) -> [PathBuf; 2] {
        [self.path("etc/os-release"), self.path("usr/lib/os-release")]
    }

    /// What stands on Proxmox VE hosts only.
    pub fn proxmox(&self) -> [PathBuf; 2] {
        [self.path("usr/bin/pveversion"), self.path("etc/pve")]
    }

    /// Configurations of Proxmox VE's virtual machines, a file each.
    pub fn proxmox_vms(&self) -> PathBuf {
        self.path("etc/pve/qemu-server")
    }

    /// Modules that are loaded.
    pub fn loaded_modules(&self) -> PathBuf {
        self.path("proc/modules")
    }

    /// A directory for each module, also for many that are built in.
    pub fn module(&self, name: &str) -> PathBuf {
        self.path("sys/module").join(name)
    }

    /// Modules on disk for one kernel.
    pub fn modules_on_disk(&self, release: &str) -> PathBuf {
        self.path("lib/modules").join(release)
    }

    /// What NVIDIA's module says of itself.
    pub fn nvidia_version(&self) -> PathBuf {
        self.path("proc/driver/nvidia/version")
    }

    /// What NVIDIA's module of one version loads into a GPU's own processor.
    pub fn nvidia_firmware(&self, version: &str) -> PathBuf {
        self.path("lib/firmware/nvidia").join(version)
    }

    /// Sources that DKMS builds modules from.
    pub fn sources(&self) -> PathBuf {
        self.path("usr/src")
    }

    /// Directories of shared libraries on Debian's, Red Hat's and other systems.
    pub fn libraries(&self) -> [PathBuf; 3] {
        ["usr/lib/x86_64-linux-gnu", "usr/lib64", "usr/lib"].map(|dir| self.path(dir))
    }

    /// Where systemd looks for units, the first wins (systemd.unit(5)).
    pub fn unit_dirs(&self) -> [PathBuf; 5] {
        [
            "etc/systemd/system",
            "run/systemd/system",
            "usr/local/lib/systemd/system",
            "usr/lib/systemd/system",
            "lib/systemd/system",
        ]
        .map(|dir| self.path(dir))
    }

    /// Where the administrator adds to a unit.
    pub fn drop_ins(&self, unit: &str) -> PathBuf {
        self.path("etc/systemd/system").join(format!("{unit}.d"))
    }

    /// Whether a link in a unit's or a rule's place forbids it.
    pub fn is_mask(target: &Path) -> bool {
        target == Path::new("/dev/null")
    }

    /// Where udev looks for rules, the first wins (udev(7)).
    pub fn rule_dirs(&self) -> [PathBuf; 5] {
        [
            "etc/udev/rules.d",
            "run/udev/rules.d",
            "usr/local/lib/udev/rules.d",
            "usr/lib/udev/rules.d",
            "lib/udev/rules.d",
        ]
        .map(|dir| self.path(dir))
    }

    /// Where systemd looks for a program that a unit names without a path (systemd.exec(5)).
    pub fn program_dirs(&self) -> [PathBuf; 6] {
        [
            "usr/local/sbin",
            "usr/local/bin",
            "usr/sbin",
            "usr/bin",
            "sbin",
            "bin",
        ]
        .map(|dir| self.path(dir))
    }

    /// Where modprobe's settings lie.
    pub fn modprobe_dirs(&self) -> [PathBuf; 2] {
        [self.path("etc/modprobe.d"), self.path("usr/lib/modprobe.d")]
    }

    /// The file that keeps nouveau from loading.
    pub fn nouveau_blacklist(&self) -> PathBuf {
        self.path("etc/modprobe.d/blacklist-nouveau.conf")
    }

    /// Where systemd says that it runs.
    pub fn systemd_runs(&self) -> PathBuf {
        self.path("run/systemd/system")
    }

    /// Settings of vgpu_unlock-rs for each type, device and VM.
    pub fn profile_override(&self) -> PathBuf {
        self.path("etc/vgpu_unlock/profile_override.toml")
    }

    /// Settings of vgpu_unlock-rs as a whole.
    pub fn unlock_config(&self) -> PathBuf {
        self.path("etc/vgpu_unlock/config.toml")
    }

    /// A file of the host that one of its settings names by an absolute path.
    pub fn named(&self, absolute: &Path) -> PathBuf {
        match absolute.strip_prefix("/") {
            Ok(below) => self.root.join(below),
            Err(_) => self.root.join(absolute),
        }
    }

    /// How the host itself names a path that this type made.
    pub fn own_name(&self, path: &Path) -> PathBuf {
        match path.strip_prefix(&self.root) {
            Ok(below) => Path::new("/").join(below),
            Err(_) => path.to_owned(),
        }
    }

    /// The directory of one active mediated device, which QEMU opens it by.
    pub fn mdev_device(&self, uuid: Uuid) -> PathBuf {
        self.mdev_devices().join(uuid.to_string())
    }

    /// A file of memory that processes share, as QEMU does with Looking Glass.
    pub fn shared_memory(&self, name: &str) -> PathBuf {
        self.path("dev/shm").join(name)
    }

    /// The configuration of a Proxmox VE VM, or of one whose id is not known.
    pub fn proxmox_vm(&self, vmid: Option<u64>) -> PathBuf {
        let vmid = vmid.map_or_else(|| "VMID".to_owned(), |vmid| vmid.to_string());
        self.proxmox_vms().join(vmid + ".conf")
    }

    /// Where the host's name stands: what the kernel has, and what it gets at boot (hostname(5)). The
    /// first counts; the kernel of a host that is only a directory may be this one's.
    pub fn names(&self) -> [PathBuf; 2] {
        let mut names = [
            self.path("proc/sys/kernel/hostname"),
            self.path("etc/hostname"),
        ];
        if !self.is_this_one() {
            names.reverse();
        }
        names
    }

    /// The host's identity (machine-id(5)).
    pub fn machine_id(&self) -> PathBuf {
        self.path("etc/machine-id")
    }

    /// Whether this is the host that the program runs on, and not a simulated or mounted one.
    pub fn is_this_one(&self) -> bool {
        self.root == Path::new("/")
    }

    /// The root prefix.
    pub fn root(&self) -> &Path {
        &self.root
    }
}
