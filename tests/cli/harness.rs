//! The real binary against a simulated host of its own.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

#[path = "../shared/schema.rs"]
pub mod schema;

/// How a command ended.
#[derive(Debug)]
pub struct Run {
    pub status: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Run {
    /// All three in one text, for a snapshot; the host's root is written as `[ROOT]`.
    pub fn snapshot(&self, host: &SimHost) -> String {
        let root = host.root().to_string_lossy().into_owned();
        let clean = |text: &str| text.replace(&root, "[ROOT]");
        format!(
            "status: {}\n--- stdout\n{}--- stderr\n{}",
            self.status,
            clean(&self.stdout),
            clean(&self.stderr)
        )
    }

    #[track_caller]
    pub fn expect(self, status: i32) -> Run {
        assert_eq!(self.status, status, "{self:#?}");
        self
    }

    /// The answer as JSON; one of `vgpuctl` is as its schema says.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        let document: serde_json::Value =
            serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:#?}"));
        if document.get("version").is_some() {
            schema::kind(&document);
        }
        document
    }
}

/// A simulated host that lives as long as this.
pub struct SimHost {
    process: Child,
    root: TempDir,
}

/// Has a command look at this root, without the caller's settings and input.
pub fn below<'c>(command: &'c mut Command, root: &Path) -> &'c mut Command {
    command
        .env("VGPUCTL_ROOT", root)
        .env_remove("NO_COLOR")
        // The tests may be run by sudo.
        .env_remove("SUDO_UID")
        // cargo sets it for tests, and the loader then looks beside the binary.
        .env_remove("LD_LIBRARY_PATH")
        .stdin(Stdio::null())
}

impl SimHost {
    /// Starts the host that `examples/hosts/<name>.toml` describes.
    #[track_caller]
    pub fn start(name: &str) -> SimHost {
        let hosts = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/hosts");
        Self::start_file(&hosts.join(format!("{name}.toml")))
    }

    /// Starts the host that a file describes.
    #[track_caller]
    pub fn start_file(file: &Path) -> SimHost {
        Self::start_file_in(file, &std::env::temp_dir())
    }

    /// Starts a host with that many L40S at 0000:41:00.0, 0000:42:00.0 and so on, each with so many
    /// functions that take types.
    #[track_caller]
    pub fn with_l40s(count: u8, functions: u8) -> SimHost {
        let text = format!(
            "mdev = false\n[[parent]]\nid = \"0000:41:00.0\"\ncard = \"l40s\"\ncount = {count}\n\
             vfs = {functions}\nenabled_vfs = {functions}\nvf_framework = \"vendor\"\n"
        );
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        Self::start_file(file.path())
    }

    /// Starts a host with one A40 at 0000:41:00.0, whose functions, so many, are on and are parents of
    /// mediated devices.
    #[track_caller]
    pub fn with_a40(functions: u8) -> SimHost {
        let text = format!(
            "[[parent]]\nid = \"0000:41:00.0\"\ncard = \"a40\"\nvfs = {functions}\n\
             enabled_vfs = {functions}\nvf_framework = \"mdev\"\n"
        );
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        Self::start_file(file.path())
    }

    /// As [`SimHost::start`], with its root in the directory `outside`, which the caller watches.
    #[track_caller]
    pub fn start_in(name: &str, outside: &Path) -> SimHost {
        let hosts = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/hosts");
        Self::start_file_in(&hosts.join(format!("{name}.toml")), outside)
    }

    #[track_caller]
    fn start_file_in(file: &Path, outside: &Path) -> SimHost {
        let root = tempfile::Builder::new()
            .prefix("vgpuctl-")
            .tempdir_in(outside)
            .unwrap();
        // Other users read it in some tests.
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(root.path(), mode).unwrap();
        let mut process = Command::new(simhost())
            .arg(file)
            .arg(root.path())
            .arg("--die-with-parent")
            // Otherwise glibc clears 16 MiB for the buffer of each of its threads.
            .env("MALLOC_MMAP_THRESHOLD_", "1048576")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("simhost is built with: cargo build --examples");
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        assert!(line.starts_with("ready "), "simhost said {line:?}");
        SimHost { process, root }
    }

    pub fn root(&self) -> &Path {
        self.root.path()
    }

    pub fn path(&self, below: &str) -> PathBuf {
        self.root().join(below)
    }

    /// `simhost ctl ROOT ...`; its answer.
    #[track_caller]
    pub fn ctl(&self, words: &[&str]) -> String {
        let output = Command::new(simhost())
            .arg("ctl")
            .arg(self.root())
            .args(words)
            .output()
            .unwrap();
        assert!(output.status.success(), "{words:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// What the simulated kernel says of itself.
    pub fn status(&self) -> serde_json::Value {
        serde_json::from_str(&self.ctl(&["status"])).unwrap()
    }

    /// The UUIDs of the active devices, sorted, as the simulated kernel says.
    pub fn active(&self) -> Vec<String> {
        let status = self.status();
        let devices = status["devices"].as_array().unwrap();
        let mut uuids: Vec<String> = devices
            .iter()
            .map(|device| device["uuid"].as_str().unwrap().to_owned())
            .collect();
        uuids.sort();
        uuids
    }

    /// The UUIDs that have a definition, sorted; fails on any other file.
    pub fn defined(&self) -> Vec<String> {
        let Ok(parents) = std::fs::read_dir(self.path("etc/mdevctl.d")) else {
            return Vec::new();
        };
        let mut uuids = Vec::new();
        for parent in parents {
            for file in std::fs::read_dir(parent.unwrap().path()).unwrap() {
                let path = file.unwrap().path();
                let text = std::fs::read(&path).unwrap();
                serde_json::from_slice::<serde_json::Value>(&text)
                    .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
                uuids.push(path.file_name().unwrap().to_str().unwrap().to_owned());
            }
        }
        uuids.sort();
        uuids
    }

    /// As [`SimHost::defined`], of vGPUs on one GPU's virtual functions.
    pub fn defined_functions(&self, gpu: &str) -> Vec<String> {
        let Ok(files) = std::fs::read_dir(self.path(&format!("etc/vgpuctl.d/{gpu}"))) else {
            return Vec::new();
        };
        let name = |file: std::io::Result<std::fs::DirEntry>| file.unwrap().file_name();
        let mut names: Vec<String> = files
            .map(|file| name(file).into_string().unwrap())
            .filter(|name| name != "gpu.conf")
            .collect();
        names.sort();
        names
    }

    /// Runs the binary as `mdevctl`.
    pub fn mdevctl(&self, line: &str) -> Run {
        let mut command = self.command(line.split_whitespace());
        command.arg0("mdevctl").env("MDEVCTL_ENV_ROOT", self.root());
        finished(command.output().unwrap())
    }

    /// The command, not yet started, without the caller's settings.
    pub fn command<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_vgpuctl"));
        below(command.args(args), self.root());
        command
    }

    /// The command under `strace` with these options, not yet started.
    pub fn strace<S: AsRef<OsStr>>(
        &self,
        options: &[&str],
        args: impl IntoIterator<Item = S>,
    ) -> Command {
        let mut command = Command::new("strace");
        command
            .args(options)
            .args(["--", env!("CARGO_BIN_EXE_vgpuctl")])
            .args(args);
        below(&mut command, self.root());
        command
    }

    /// Runs `vgpuctl` with these words to its end.
    pub fn run(&self, line: &str) -> Run {
        self.run_args(line.split_whitespace())
    }

    /// Runs `vgpuctl` with these arguments to its end.
    pub fn run_args<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Run {
        finished(self.command(args).output().unwrap())
    }
}

impl Drop for SimHost {
    fn drop(&mut self) {
        let pid = nix::unistd::Pid::from_raw(i32::try_from(self.process.id()).unwrap());
        // SIGTERM lets it unmount before the folder goes.
        let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM);
        let _ = self.process.wait();
    }
}

/// A process that holds a file open until it is dropped.
pub struct HeldOpen(Child);

impl HeldOpen {
    /// Opens `path` for reading and writing in a process of that name.
    pub fn open(path: &Path, command_line: &str) -> HeldOpen {
        Self::open_by(Path::new("bash"), path, command_line)
    }

    /// As [`HeldOpen::open`]; `/proc` tells `name` of the process.
    pub fn open_as(name: &str, path: &Path) -> HeldOpen {
        let folder = tempfile::tempdir().unwrap();
        let shell = folder.path().join(name);
        std::os::unix::fs::symlink("/bin/bash", &shell).unwrap();
        Self::open_by(&shell, path, "")
    }

    /// Opens `own` under the name of `node`: in a mount namespace, /proc shows that name.
    pub fn pretend(own: &Path, node: &Path) -> HeldOpen {
        let (own, name) = (own.display(), node.display());
        let first = format!("mount --bind '{own}' '{name}' && ");
        let mut command = Command::new("unshare");
        command.args(["--mount", "bash"]);
        Self::held_by(command, &first, node, "")
    }

    /// A process of a user without rights that has the file by a descriptor which only names it.
    pub fn name_only(path: &Path) -> HeldOpen {
        use nix::fcntl::{OFlag, open};
        let flags = OFlag::O_PATH | OFlag::O_CLOEXEC;
        let named = open(path, flags, nix::sys::stat::Mode::empty()).unwrap();
        let child = Command::new("sleep")
            .arg("1000")
            .stdin(Stdio::from(named))
            .uid(65534)
            .gid(65534)
            .spawn()
            .unwrap();
        HeldOpen(child)
    }

    fn open_by(shell: &Path, path: &Path, command_line: &str) -> HeldOpen {
        Self::held_by(Command::new(shell), "", path, command_line)
    }

    fn held_by(mut shell: Command, first: &str, path: &Path, command_line: &str) -> HeldOpen {
        let open = format!("exec 7<>'{}' && echo held && read -r _", path.display());
        let mut child = shell
            .args(["-c", &format!("{first}{open}")])
            .args(command_line.split_whitespace())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap())
            .read_line(&mut line)
            .unwrap();
        assert_eq!(line, "held\n", "cannot hold {}", path.display());
        HeldOpen(child)
    }

    pub fn pid(&self) -> u32 {
        self.0.id()
    }

    /// Lets go of the file.
    pub fn close(mut self) {
        let _ = self.0.stdin.take().map(|mut stdin| stdin.write_all(b"\n"));
        let _ = self.0.wait();
    }
}

impl Drop for HeldOpen {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub fn finished(output: std::process::Output) -> Run {
    Run {
        // A death by a signal is no exit status that a test may expect.
        status: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// cargo puts examples beside the binaries.
pub fn simhost() -> PathBuf {
    let binary = Path::new(env!("CARGO_BIN_EXE_vgpuctl"));
    binary.with_file_name("examples").join("simhost")
}
