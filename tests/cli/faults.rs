//! Every call that reads or writes fails once, with each of six errors: nothing panics, what cannot be
//! told is told of with its path and the kernel's words, and a host is as before or as after.
//!
//! `cargo test` takes a sample; `make faults` takes all.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Instant;

use crate::fault::{End, inject, judge, state};
use crate::harness::SimHost;
use crate::trace::{Follow, Point, calls, few_processes};

/// What the sysfs, a disk or a network's file system may answer.
const ERRORS: [&str; 6] = ["EIO", "EACCES", "ENOSPC", "EINTR", "ENOENT", "EBUSY"];

/// The calls that read or write.
const CALLS: [&str; 22] = [
    "openat",
    "read",
    "pread64",
    "write",
    "getdents64",
    "readlink",
    "readlinkat",
    "newfstatat",
    "statx",
    "rename",
    "renameat",
    "renameat2",
    "fsync",
    "fdatasync",
    "fchmod",
    "mkdir",
    "mkdirat",
    "unlink",
    "unlinkat",
    "rmdir",
    "flock",
    "ftruncate",
];

/// One of so many is tried where not all are asked for. No multiple of the number of errors, so
/// that each call's turn comes with another one.
const STRIDE: usize = 23;

pub const UUID: &str = "11111111-2222-3333-4444-555555555555";
const OTHER: &str = "99999999-2222-3333-4444-555555555555";
const P1: &str = "0000:81:00.0";
const P2: &str = "0000:82:00.0";
const GPU: &str = "0000:41:00.0";
const VF: &str = "0000:41:00.4";

#[test]
fn types() {
    sweep(&MDEV, Begin::Both, "types --json");
}

#[test]
fn gpus() {
    sweep(&MDEV, Begin::Both, "gpus --json");
}

#[test]
fn list() {
    sweep(&MDEV, Begin::Both, "list --json");
}

#[test]
fn show() {
    sweep(&MDEV, Begin::Both, &format!("show {UUID} --json"));
}

#[test]
fn attach() {
    sweep(&MDEV, Begin::Both, &format!("attach {UUID} --json"));
}

#[test]
fn create() {
    let line = format!(
        "create --type nvidia-63 --parent {P1} --uuid {UUID} --attr nvidia/vgpu_params=a=1"
    );
    sweep(&MDEV, Begin::Nothing, &line);
}

#[test]
fn define() {
    sweep(
        &MDEV,
        Begin::Nothing,
        &format!("define --type nvidia-63 --parent {P1} --uuid {UUID}"),
    );
}

#[test]
fn modify() {
    sweep(
        &MDEV,
        Begin::Both,
        &format!("modify {UUID} --manual --param a=2"),
    );
}

#[test]
fn start() {
    sweep(&MDEV, Begin::Defined, &format!("start {UUID}"));
}

#[test]
fn stop() {
    sweep(&MDEV, Begin::Both, &format!("stop {UUID}"));
}

#[test]
fn remove() {
    sweep(&MDEV, Begin::Both, &format!("remove {UUID}"));
}

#[test]
fn undefine() {
    sweep(&MDEV, Begin::Defined, &format!("undefine {UUID}"));
}

#[test]
fn restore() {
    sweep(&MDEV, Begin::Defined, "restore");
}

/// A file that declares the one vGPU.
const DECLARED: &str = "version = 1\n\n[[group]]\nname = \"one\"\ntype = \"nvidia-63\"\n\
    uuids = [\"11111111-2222-3333-4444-555555555555\"]\nattrs = [\"nvidia/vgpu_params=a=1\"]\n";

#[test]
fn plan() {
    sweep(&MDEV, Begin::Both, "plan --json [FILE]");
}

#[test]
fn apply() {
    sweep(&MDEV, Begin::Nothing, "apply --yes [FILE]");
}

#[test]
fn functions_listed() {
    sweep(&FUNCTIONS, Begin::Both, "list --json");
    sweep(&FUNCTIONS, Begin::Both, "types --json");
    sweep(&FUNCTIONS, Begin::Both, "vfs --json");
}

#[test]
fn functions_created() {
    sweep(
        &FUNCTIONS,
        Begin::Nothing,
        &format!("create --type nvidia-1153 --parent {VF} --uuid {UUID}"),
    );
}

#[test]
fn functions_removed() {
    sweep(&FUNCTIONS, Begin::Both, &format!("remove {UUID}"));
}

#[test]
fn functions_restored() {
    sweep(&FUNCTIONS, Begin::Defined, "restore");
}

#[test]
fn functions_switched_on() {
    sweep(
        &FUNCTIONS,
        Begin::Off,
        &format!("vfs enable {GPU} --at-boot"),
    );
}

/// A host, and what stands for its vGPU there.
struct Scene {
    host: &'static str,
    parent: &'static str,
    shelf: &'static str,
    definition: &'static str,
}

const MDEV: Scene = Scene {
    host: "[[parent]]\nid = \"0000:81:00.0\"\ncard = \"p4\"\n\n[[parent]]\nid = \"0000:00:02.0\"\ndriver = \"i915\"\n\
           pool = 128\n\n[[parent.type]]\nid = \"GVTg_V5_8\"\ncost = 64\n",
    parent: P1,
    shelf: "etc/mdevctl.d",
    definition: r#"{"mdev_type":"nvidia-63","start":"auto","attrs":[{"nvidia/vgpu_params":"a=1"}]}"#,
};

const FUNCTIONS: Scene = Scene {
    host: "mdev = false\n\n[[parent]]\nid = \"0000:41:00.0\"\ncard = \"l40s\"\nvfs = 2\nenabled_vfs = 2\nvf_framework = \"vendor\"\n",
    parent: GPU,
    shelf: "etc/vgpuctl.d",
    definition: r#"{"mdev_type":"nvidia-1153","start":"auto","attrs":[],"vf":"0000:41:00.4"}"#,
};

/// What there is before each run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Begin {
    Nothing,
    /// Its definition.
    Defined,
    /// Its definition, and the vGPU.
    Both,
    /// Nothing, and the virtual functions are off.
    Off,
}

fn sweep(scene: &Scene, begin: Begin, line: &str) {
    let started = Instant::now();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("host.toml");
    fs::write(&file, scene.host).unwrap();
    let host = SimHost::start_file(&file);
    few_processes(&host);
    let declared = dir.path().join("declared.toml");
    fs::write(&declared, DECLARED).unwrap();
    let line = &line.replace("[FILE]", declared.to_str().unwrap());

    // What it runs, where it runs something, is a program of NVIDIA's.
    let follow = if begin == Begin::Off {
        Follow::Nobody
    } else {
        Follow::Children
    };
    prepare(&host, scene, begin);
    let before = state(&host);
    let points = calls(&host, line, follow);
    let after = state(&host);
    prepare(&host, scene, begin);
    // Who waits asks more or less often: what came twice comes again.
    let points = &points & &calls(&host, line, follow);
    prepare(&host, scene, begin);
    let truth = host.run(line).expect(0);
    assert_eq!(after, state(&host), "{line} is not the same twice");

    let points: Vec<Point> = points
        .into_iter()
        .filter(|(name, _)| CALLS.contains(&name.as_str()))
        .collect();
    let all: Vec<(&Point, &str)> = points
        .iter()
        .flat_map(|point| ERRORS.map(|error| (point, error)))
        .collect();
    let stride = if std::env::var_os("VGPUCTL_FAULTS").is_some() {
        1
    } else {
        STRIDE
    };
    let (mut ends, mut tried) = (BTreeMap::new(), 0);
    let mut faults = Vec::new();
    for (point, error) in all.iter().step_by(stride) {
        if after != before || state(&host) != before {
            prepare(&host, scene, begin);
        }
        let fault = inject(&host, line, follow, point, error);
        tried += 1;
        match judge(&host, line, &fault, &truth, [&before, &after]) {
            Ok(end) => *ends.entry(end).or_insert(0) += 1,
            Err(what) => faults.push(format!(
                "{error} of {}: {what}: {:#?}",
                fault.calls.join(" and "),
                fault.run
            )),
        }
    }
    println!(
        "{line}: {tried} of {} faults, {ends:?}, in {:.0} s",
        all.len(),
        started.elapsed().as_secs_f64()
    );
    let unasked = ends.get(&End::Unasked).copied().unwrap_or_default();
    assert!(unasked <= 1 + tried / 20, "{line}: {unasked} did not come");
    assert!(
        faults.is_empty(),
        "{line}: {} of {tried}:\n{}",
        faults.len(),
        faults.join("\n")
    );
}

/// The same state before each run, made without the program.
fn prepare(host: &SimHost, scene: &Scene, begin: Begin) {
    host.ctl(&["reboot"]);
    for shelf in ["etc/mdevctl.d", "etc/vgpuctl.d"] {
        let _ = fs::remove_dir_all(host.path(shelf));
    }
    prepare_files(host, scene, begin);
    prepare_devices(host, scene, begin);
}

fn prepare_files(host: &SimHost, scene: &Scene, begin: Begin) {
    let shelf = host.path(scene.shelf);
    // A definition that no command is about: it must never change.
    put(
        &shelf.join(scene.parent).join(OTHER),
        "{\"start\":\"manual\", \"mdev_type\":\"nvidia-63\",\"by\": 1}\n",
    );
    if matches!(begin, Begin::Defined | Begin::Both) {
        put(&shelf.join(scene.parent).join(UUID), scene.definition);
    }
}

fn prepare_devices(host: &SimHost, scene: &Scene, begin: Begin) {
    match (begin, scene.parent) {
        (Begin::Both, P1) => {
            let types = format!("sys/class/mdev_bus/{P1}/mdev_supported_types");
            tell(host, &format!("{types}/nvidia-63/create"), UUID);
            tell(
                host,
                &format!("sys/bus/mdev/devices/{UUID}/nvidia/vgpu_params"),
                "a=1\n",
            );
        }
        (Begin::Both, _) => {
            let record = format!(r#"{{"uuid":"{UUID}","type":"nvidia-1153"}}"#);
            put(&host.path("run/vgpuctl/vfs").join(VF), &record);
            tell(
                host,
                &format!("sys/bus/pci/devices/{VF}/nvidia/current_vgpu_type"),
                "1153",
            );
        }
        (Begin::Off, _) => {
            host.ctl(&["sriov-manage", "-d", GPU]);
        }
        _ => {}
    }
}

fn put(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

fn tell(host: &SimHost, file: &str, value: &str) {
    let file = OpenOptions::new().write(true).open(host.path(file));
    file.and_then(|mut file| file.write_all(value.as_bytes()))
        .unwrap();
}

/// A definitions' directory on a file system of its own, which is full.
#[test]
fn a_full_disk_loses_nothing_and_says_what_to_do() {
    let host = SimHost::start("two-p4");
    let folder = host.path("etc/mdevctl.d");
    prepare(&host, &MDEV, Begin::Both);
    let _mount = Mount::small(&folder);
    prepare_files(&host, &MDEV, Begin::Both);
    let filler = folder.join("filler");
    let filled = fs::write(&filler, vec![b'x'; 1 << 20]);
    assert!(filled.is_err(), "it is not full");
    let before = state(&host);

    let lines = [
        format!("modify {UUID} --manual --param a=2"),
        format!("define --type nvidia-63 --parent {P1}"),
        format!("define --type nvidia-63 --parent {P2}"),
        format!("create --type nvidia-63 --parent {P1}"),
    ];
    for line in &lines {
        let run = host.run(line).expect(1);
        assert!(run.stderr.contains("(ENOSPC)"), "{line}: {run:#?}");
        assert!(run.stderr.contains("free some space"), "{line}: {run:#?}");
        assert_eq!(state(&host), before, "{line}: {run:#?}");
    }
    fs::remove_file(&filler).unwrap();
    for line in &lines {
        host.run(line).expect(0);
    }
}

/// A file system in memory that is taken away at the end.
struct Mount(PathBuf);

impl Mount {
    fn small(at: &Path) -> Mount {
        let flags = nix::mount::MsFlags::empty();
        nix::mount::mount(Some("none"), at, Some("tmpfs"), flags, Some("size=64k")).unwrap();
        Mount(at.to_owned())
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = nix::mount::umount2(&self.0, nix::mount::MntFlags::MNT_DETACH);
    }
}
