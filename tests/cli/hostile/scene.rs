//! Hosts, commands that always end, and what stands around.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{Read as _, Seek as _, Write as _};
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::harness::{Run, SimHost, below};
use crate::helpers::{P1, P2, put, put_auto, uuid};

/// Far more than any command here takes on the slowest machine; who waits for ever is found by it.
const PATIENCE: Duration = Duration::from_secs(100);

/// Runs a command to its end, with files for its outputs: what it leaves behind may hold them.
/// Status -2: it did not end.
pub fn ended(mut command: Command) -> Run {
    let (mut out, mut err) = (tempfile::tempfile().unwrap(), tempfile::tempfile().unwrap());
    command.stdout(out.try_clone().unwrap());
    command.stderr(err.try_clone().unwrap());
    let status = status_of(command);
    let text = |file: &mut fs::File| {
        let mut bytes = Vec::new();
        file.rewind().unwrap();
        file.read_to_end(&mut bytes).unwrap();
        // What is no UTF-8 shows as a character that nothing else has.
        String::from_utf8_lossy(&bytes).into_owned()
    };
    Run {
        status,
        stdout: text(&mut out),
        stderr: text(&mut err),
    }
}

/// As [`ended`], with the outputs that the command has.
pub fn status_of(mut command: Command) -> i32 {
    let mut child = command.spawn().unwrap();
    let begin = Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status.code().unwrap_or(-1);
        }
        if begin.elapsed() > PATIENCE {
            let _ = child.kill();
            let _ = child.wait();
            return -2;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// The program below a root, by its own name.
pub fn vgpuctl<S: AsRef<OsStr>>(root: &Path, args: impl IntoIterator<Item = S>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vgpuctl"));
    below(command.args(args), root).env("MDEVCTL_ENV_ROOT", root);
    command
}

/// As [`vgpuctl`], by the name mdevctl.
pub fn mdevctl<S: AsRef<OsStr>>(root: &Path, args: impl IntoIterator<Item = S>) -> Command {
    let mut command = vgpuctl(root, args);
    command.arg0("mdevctl");
    command
}

pub fn words(line: &str) -> Vec<OsString> {
    line.split_whitespace().map(OsString::from).collect()
}

/// Runs a line on a host.
pub fn run(host: &SimHost, line: &str) -> Run {
    ended(vgpuctl(host.root(), words(line)))
}

/// Runs a line on a host by the name mdevctl.
pub fn run_mdevctl(host: &SimHost, line: &str) -> Run {
    ended(mdevctl(host.root(), words(line)))
}

/// Everything below a folder: kind, mode, owner, content, by path. Links are not followed.
pub type Sight = BTreeMap<PathBuf, (u32, u32, u32, Vec<u8>)>;

pub fn sight(top: &Path) -> Sight {
    let mut all = Sight::new();
    let mut todo = vec![top.to_owned()];
    while let Some(path) = todo.pop() {
        let Ok(meta) = fs::symlink_metadata(&path) else {
            continue;
        };
        let kind = meta.file_type();
        let content = if kind.is_symlink() {
            fs::read_link(&path).unwrap().into_os_string().into_vec()
        } else if kind.is_file() {
            fs::read(&path).unwrap()
        } else if kind.is_fifo() {
            b"fifo".to_vec()
        } else {
            Vec::new()
        };
        if kind.is_dir() {
            todo.extend(fs::read_dir(&path).unwrap().map(|e| e.unwrap().path()));
        }
        all.insert(path, (meta.mode(), meta.uid(), meta.gid(), content));
    }
    all
}

/// A folder that stands for the rest of the machine, with files that nobody may touch.
pub struct Outside(pub TempDir);

impl Outside {
    pub fn new() -> Outside {
        let outside = Outside(tempfile::tempdir().unwrap());
        fs::write(outside.path("file"), "of somebody else\n").unwrap();
        fs::create_dir(outside.path("folder")).unwrap();
        fs::write(outside.path("folder/file"), "of somebody else\n").unwrap();
        outside
    }

    pub fn path(&self, below: &str) -> PathBuf {
        self.0.path().join(below)
    }

    pub fn sight(&self) -> Sight {
        sight(self.0.path())
    }
}

/// A host with a device that is active and defined (1), one that is only defined (2), and one on the
/// other GPU that starts at boot (3).
pub struct Scene {
    pub host: SimHost,
    pub outside: Outside,
}

/// Every verb, as somebody would type it on a [`Scene`].
pub const READING: [&str; 17] = [
    "types",
    "gpus",
    "list",
    "show {1}",
    "export",
    "metrics",
    "doctor",
    "vfs",
    "mig",
    "plan {file}",
    "assert {file}",
    "attach {1}",
    "attach {1} --format qemu",
    "attach {1} --format proxmox",
    "restore --dry-run",
    "explain --list",
    "watch",
];

/// As [`READING`], of what changes something.
pub const CHANGING: [&str; 18] = [
    "create -t nvidia-63",
    "create -t nvidia-63 --transient",
    "create -t nvidia-63 --param disable_vnc=1",
    "define -t nvidia-63 -p {p}",
    "start {2}",
    "stop {1}",
    "modify {2} --auto",
    "modify {1} --param disable_vnc=1",
    "remove {1}",
    "undefine {2}",
    "restore",
    "apply --yes {file}",
    "vfs enable {p}",
    "vfs disable {p}",
    "mig enable {p}",
    "mig disable {p}",
    "mig create 9 --gpu {p}",
    "mig destroy 2 --gpu {p}",
];

/// As [`READING`], of the personality's.
pub const PERSONALITY: [&str; 11] = [
    "types",
    "list",
    "list --defined --dumpjson",
    "define -u {4} -p {p} -t nvidia-63",
    "define -u {1}",
    "undefine -u {2}",
    "modify -u {2} --auto",
    "modify -u {2} --addattr nvidia/vgpu_params --value x=1",
    "start -u {2}",
    "stop -u {1}",
    "start-parent-mdevs {p2}",
];

impl Scene {
    pub fn new() -> Scene {
        let scene = Scene {
            host: SimHost::start("two-p4"),
            outside: Outside::new(),
        };
        scene.reset();
        scene
    }

    /// Everything as it was in the beginning, but for what is around.
    pub fn reset(&self) {
        for below in [
            "etc/mdevctl.d",
            "etc/vgpuctl.d",
            "run/vgpuctl",
            "usr/lib/mdevctl",
        ] {
            clear(&self.host.path(below));
        }
        let tell = |below: String, text: &str| {
            let file = fs::OpenOptions::new()
                .write(true)
                .open(self.host.path(&below));
            file.and_then(|mut file| file.write_all(text.as_bytes()))
        };
        let there = active(&self.host);
        for device in there.iter().filter(|device| **device != uuid(1)) {
            tell(format!("sys/bus/mdev/devices/{device}/remove"), "1").unwrap();
        }
        let create = format!("sys/class/mdev_bus/{P1}/mdev_supported_types/nvidia-63/create");
        let begin = Instant::now();
        // The kernel may still be at its removal.
        while !active(&self.host).contains(&uuid(1)) {
            let told = tell(create.clone(), &uuid(1));
            assert!(begin.elapsed() < PATIENCE, "{told:?}");
        }
        let manual = r#"{"mdev_type":"nvidia-63","start":"manual"}"#;
        put(&self.host, P1, &uuid(1), manual);
        put(&self.host, P1, &uuid(2), manual);
        put_auto(&self.host, P2, &uuid(3), "nvidia-63");
        let id = "0123456789abcdef0123456789abcdef\n";
        fs::write(self.host.path("etc/machine-id"), id).unwrap();
        let declared = "version = 1\n[[group]]\nname = \"web\"\ntype = \"nvidia-63\"\ncount = 1\n";
        fs::write(self.declaration(), declared).unwrap();
    }

    pub fn declaration(&self) -> PathBuf {
        self.host.path("usr/declared.toml")
    }

    pub fn root(&self) -> &Path {
        self.host.root()
    }

    /// A line with its places filled in.
    pub fn line(&self, line: &str) -> String {
        let mut line = line
            .replace("{p}", P1)
            .replace("{p2}", P2)
            .replace("{file}", self.declaration().to_str().unwrap());
        for n in 1..=4 {
            line = line.replace(&format!("{{{n}}}"), &uuid(n));
        }
        line
    }

    pub fn command(&self, line: &str) -> Command {
        vgpuctl(self.root(), words(&self.line(line)))
    }

    pub fn mdevctl_command(&self, line: &str) -> Command {
        mdevctl(self.root(), words(&self.line(line)))
    }

    /// A shell that does something first, and ends in `exec "$@"`.
    pub fn by_shell(&self, script: &str, line: &str) -> Command {
        by_shell(self.root(), script, "vgpuctl", &self.line(line))
    }

    /// As [`Scene::by_shell`], by the name mdevctl.
    pub fn mdevctl_by_shell(&self, script: &str, line: &str) -> Command {
        by_shell(self.root(), script, "mdevctl", &self.line(line))
    }

    pub fn run(&self, line: &str) -> Run {
        ended(self.command(line))
    }

    pub fn run_mdevctl(&self, line: &str) -> Run {
        ended(self.mdevctl_command(line))
    }

    /// What must not change where a command is refused: what is kept, what is active, what is around.
    pub fn state(&self) -> (Sight, Vec<String>, Sight) {
        let etc = sight(&self.host.path("etc"));
        (etc, active(&self.host), self.outside.sight())
    }
}

/// The active devices as sysfs has them, sorted, without a process for it.
pub fn active(host: &SimHost) -> Vec<String> {
    let devices = fs::read_dir(host.path("sys/bus/mdev/devices")).unwrap();
    let mut uuids: Vec<String> = devices
        .map(|device| device.unwrap().file_name().into_string().unwrap())
        .collect();
    uuids.sort();
    uuids
}

/// Takes away whatever is there.
pub fn clear(path: &Path) {
    match fs::symlink_metadata(path) {
        Ok(meta) if meta.is_dir() => fs::remove_dir_all(path).unwrap(),
        Ok(_) => fs::remove_file(path).unwrap(),
        Err(_) => {}
    }
}

/// bash, which does something and then becomes the program by `exec "$@"`.
pub fn by_shell(root: &Path, script: &str, name: &str, line: &str) -> Command {
    let mut command = Command::new("bash");
    let binary = env!("CARGO_BIN_EXE_vgpuctl");
    let script = script.replace("exec \"$@\"", "exec -a \"$0\" \"$@\"");
    command
        .args(["-c", &script, name, binary])
        .args(words(line));
    below(&mut command, root).env("MDEVCTL_ENV_ROOT", root);
    command
}
