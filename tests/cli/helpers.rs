//! Words that many tests share.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use crate::harness::{Run, SimHost, finished};

/// The two parents of the host `two-p4`.
pub const P1: &str = "0000:81:00.0";
pub const P2: &str = "0000:82:00.0";

/// A UUID whose first 8 characters are its own.
pub fn uuid(n: u8) -> String {
    format!("a00000{n:02}-0000-4000-8000-000000000000")
}

/// The path of a definition.
pub fn definition(host: &SimHost, parent: &str, uuid: &str) -> PathBuf {
    host.path("etc/mdevctl.d").join(parent).join(uuid)
}

/// Puts a definition there by hand.
pub fn put(host: &SimHost, parent: &str, uuid: &str, text: impl AsRef<[u8]>) -> PathBuf {
    let path = definition(host, parent, uuid);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, text).unwrap();
    path
}

/// A definition that starts at boot.
pub fn put_auto(host: &SimHost, parent: &str, uuid: &str, type_id: &str) -> PathBuf {
    let text = format!(r#"{{"mdev_type":"{type_id}","start":"auto"}}"#);
    put(host, parent, uuid, text)
}

/// A counter of the simulated kernel.
pub fn counter(host: &SimHost, name: &str) -> u64 {
    host.status()[name].as_u64().unwrap()
}

/// One field of an active device, as the simulated kernel says.
pub fn device(host: &SimHost, uuid: &str, field: &str) -> String {
    let status = host.status();
    let devices = status["devices"].as_array().unwrap();
    let found = devices.iter().find(|device| device["uuid"] == uuid);
    let found = found.unwrap_or_else(|| panic!("{uuid} is not active: {devices:?}"));
    found[field].as_str().unwrap().to_owned()
}

/// Runs `vgpuctl` as a user without any rights.
pub fn as_nobody(host: &SimHost, line: &str) -> Run {
    finished(
        as_user(host, 65534, line.split_whitespace())
            .output()
            .unwrap(),
    )
}

/// `vgpuctl`, not yet started, as another user.
pub fn as_user<S: AsRef<OsStr>>(
    host: &SimHost,
    user: u32,
    args: impl IntoIterator<Item = S>,
) -> Command {
    // That user may not come near the build's folder. cp, because a file that this process has
    // open for writing when another thread forks cannot be executed.
    let copy = host.path("usr/vgpuctl");
    if !copy.exists() {
        let copied = Command::new("cp")
            .args([env!("CARGO_BIN_EXE_vgpuctl").as_ref(), copy.as_os_str()])
            .status();
        assert!(copied.unwrap().success());
    }
    let mut command = Command::new(copy);
    command
        .args(args)
        .env("VGPUCTL_ROOT", host.root())
        .env_remove("SUDO_UID")
        .stdin(Stdio::null())
        .uid(user)
        .gid(user);
    command
}

/// A `vgpuctl -v` that runs beside the test.
pub struct Beside {
    child: Child,
    stderr: BufReader<std::process::ChildStderr>,
}

impl Beside {
    pub fn start(host: &SimHost, line: &str) -> Beside {
        let mut child = host
            .command(line.split_whitespace())
            .arg("-v")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        Beside { child, stderr }
    }

    /// Returns as soon as it says a line with `text` in it.
    #[track_caller]
    pub fn until(&mut self, text: &str) {
        let mut line = String::new();
        while self.stderr.read_line(&mut line).unwrap() > 0 {
            if line.contains(text) {
                return;
            }
            line.clear();
        }
        panic!("it ended without saying {text:?}");
    }

    /// Its exit status and standard output.
    pub fn end(mut self) -> (i32, String) {
        // It must not wait for a reader.
        std::io::copy(&mut self.stderr, &mut std::io::sink()).unwrap();
        let output = self.child.wait_with_output().unwrap();
        let stdout = String::from_utf8(output.stdout).unwrap();
        (output.status.code().unwrap_or(-1), stdout)
    }
}
