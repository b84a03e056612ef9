//! One root with one program on it, and two of them that must stay alike.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use tempfile::TempDir;

use crate::compare::{self, Found};
use crate::harness::SimHost;
use crate::scene::Scene;
use crate::table::Case;

/// What is there after a command, with names that are the same on both sides.
#[derive(Debug, PartialEq, Eq)]
pub struct After {
    pub status: i32,
    pub stdout: String,
    pub stderr: String,
    /// What scripts logged of this command.
    pub log: String,
    /// Every file that the program could have changed: path to kind, mode and bytes.
    pub tree: BTreeMap<String, String>,
    /// What the simulated kernel says.
    pub kernel: String,
}

enum Root {
    Plain(TempDir),
    Host(SimHost),
}

impl Root {
    fn path(&self) -> &Path {
        match self {
            Root::Plain(folder) => folder.path(),
            Root::Host(host) => host.root(),
        }
    }
}

/// A root and the program that is run on it.
pub struct Side {
    root: Root,
    /// A folder with `mdevctl` and `lsmdev` in it.
    programs: PathBuf,
    parents: Vec<String>,
    /// UUIDs that the case itself names, and those that the program made up, in that order.
    known: String,
    made_up: Vec<String>,
}

impl Side {
    fn start(case: &Case, programs: &Path) -> Side {
        let root = match &case.host {
            Some(host) => Root::Host(SimHost::start(host)),
            None => Root::Plain(
                tempfile::Builder::new()
                    .prefix("vgpuctl-")
                    .tempdir()
                    .unwrap(),
            ),
        };
        let mut side = Side {
            root,
            programs: programs.to_owned(),
            parents: Vec::new(),
            known: String::new(),
            made_up: Vec::new(),
        };
        side.furnish(case);
        side
    }

    fn furnish(&mut self, case: &Case) {
        let ctl = |words: &[&str]| {
            if let Root::Host(host) = &self.root {
                host.ctl(words);
            }
        };
        let scene = match &self.root {
            Root::Plain(folder) => Scene::plain(folder.path(), case.bare),
            Root::Host(host) => {
                let scene = Scene {
                    root: host.root(),
                    parents: parents(host),
                    ctl: Some(&ctl),
                };
                scene.folders();
                scene
            }
        };
        for line in &case.given {
            scene.make(line);
        }
        let mut known = scene.expand(&case.given.join("\n"));
        known += &scene.expand(&case.run.join("\n"));
        known += &case.stdin;
        let parents = scene.parents;
        self.known = known.to_lowercase();
        self.parents = parents;
    }

    fn expand(&self, text: &str) -> String {
        let scene = Scene {
            root: self.root.path(),
            parents: self.parents.clone(),
            ctl: None,
        };
        let mut text = scene.expand(text);
        for (n, uuid) in self.made_up.iter().enumerate() {
            text = text.replace(&format!("[new-{}]", n + 1), uuid);
        }
        text
    }

    /// Runs one line to its end and looks around.
    pub fn run(&mut self, line: &str, stdin: &str) -> After {
        let mut words = words(&self.expand(line));
        let program = if words.first().is_some_and(|word| word == "lsmdev") {
            words.remove(0)
        } else {
            "mdevctl".to_owned()
        };
        let log = self.root.path().join("log");
        let _ = fs::remove_file(&log);
        let mut child = Command::new(self.programs.join(program))
            .args(&words)
            .current_dir(self.root.path())
            .env("MDEVCTL_ENV_ROOT", self.root.path())
            .env("DIFFERENTIAL", "inherited")
            .env_remove("VGPUCTL_ROOT")
            .env_remove("RUST_BACKTRACE")
            .env_remove("RUST_LOG")
            // cargo sets it for tests, and the loader then looks beside the binary.
            .env_remove("LD_LIBRARY_PATH")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // A command that does not read it closes the pipe.
        let _ = child.stdin.take().unwrap().write_all(stdin.as_bytes());
        let output = child.wait_with_output().unwrap();
        let stdout = self.clean(&output.stdout);
        let log = self.clean_call(&fs::read(&log).unwrap_or_default());
        After {
            status: output.status.code().unwrap_or(-1),
            stdout,
            stderr: self.clean_call(&output.stderr),
            log,
            tree: self.tree(),
            kernel: self.kernel(),
        }
    }

    pub fn parents(&self) -> &[String] {
        &self.parents
    }

    /// How many UUIDs the program made up so far.
    pub fn made_up(&self) -> usize {
        self.made_up.len()
    }

    pub fn root(&self) -> &Path {
        self.root.path()
    }

    pub fn ctl(&self, words: &[&str]) {
        if let Root::Host(host) = &self.root {
            host.ctl(words);
        }
    }

    /// Text in which the root is `$ROOT` and made-up UUIDs are `[new-1]` and so on.
    fn clean(&mut self, bytes: &[u8]) -> String {
        self.cleaned(bytes, true)
    }

    /// As [`Side::clean`]; a UUID that was made up for a command that then failed has no number.
    fn clean_call(&mut self, bytes: &[u8]) -> String {
        self.cleaned(bytes, false)
    }

    fn cleaned(&mut self, bytes: &[u8], number: bool) -> String {
        let text = String::from_utf8_lossy(bytes);
        let text = text.replace(&*self.root.path().to_string_lossy(), "$ROOT");
        let mut clean = String::with_capacity(text.len());
        let mut rest = text.as_str();
        while let Some(at) = find_uuid(rest) {
            let uuid = &rest[at..at + 36];
            clean += &rest[..at];
            if self.known.contains(uuid) {
                clean += uuid;
            } else {
                match self.made_up.iter().position(|made| made == uuid) {
                    Some(n) => clean += &format!("[new-{}]", n + 1),
                    None if number => {
                        self.made_up.push(uuid.to_owned());
                        clean += &format!("[new-{}]", self.made_up.len());
                    }
                    None => clean += "[new]",
                }
            }
            rest = &rest[at + 36..];
        }
        clean + rest
    }

    fn tree(&mut self) -> BTreeMap<String, String> {
        let root = self.root.path().to_owned();
        // The simulated host's own, and where ours keeps its locks.
        let mut skip = vec![root.join("run"), root.join("log")];
        if let Root::Host(_) = self.root {
            skip.extend(["sys", "dev", "proc"].map(|name| root.join(name)));
        }
        let mut tree = BTreeMap::new();
        self.walk(&root, &root, &skip, &mut tree);
        tree
    }

    fn walk(
        &mut self,
        root: &Path,
        folder: &Path,
        skip: &[PathBuf],
        tree: &mut BTreeMap<String, String>,
    ) {
        for name in names(folder) {
            let path = folder.join(name);
            if skip.contains(&path) {
                continue;
            }
            let about = fs::symlink_metadata(&path).unwrap();
            let mode = about.permissions().mode() & 0o7777;
            let name = path.strip_prefix(root).unwrap().to_string_lossy();
            let name = self.clean(name.as_bytes());
            let what = if about.is_dir() {
                format!("folder {mode:o}")
            } else if about.is_symlink() {
                format!("link to {}", fs::read_link(&path).unwrap().display())
            } else {
                let text = self.clean(&fs::read(&path).unwrap());
                format!("file {mode:o} {text:?}")
            };
            tree.insert(name, what);
            if about.is_dir() {
                self.walk(root, &path, skip, tree);
            }
        }
    }

    fn kernel(&mut self) -> String {
        let Root::Host(host) = &self.root else {
            return String::new();
        };
        let mut status = host.status();
        let status_map = status.as_object_mut().unwrap();
        // Who looks, and how often it is tried, is the program's own affair.
        for key in ["open", "create_writes", "remove_writes"] {
            status_map.remove(key);
        }
        let text = self.clean(status.to_string().as_bytes());
        let mut status: serde_json::Value = serde_json::from_str(&text).unwrap();
        // It lists them by their UUIDs, also by those that the program made up.
        let devices = status["devices"].as_array_mut().unwrap();
        devices.sort_by_key(|device| device["uuid"].to_string());
        serde_json::to_string_pretty(&status).unwrap()
    }
}

/// The real mdevctl and ours, side by side.
pub struct Pair {
    pub theirs: Side,
    pub ours: Side,
}

impl Pair {
    pub fn start(case: &Case) -> Pair {
        let (theirs, ours) = programs();
        Pair {
            theirs: Side::start(case, theirs),
            ours: Side::start(case, ours),
        }
    }

    /// Runs one line on both sides; what differs.
    pub fn compare(&mut self, line: &str, case: &Case) -> Found {
        let theirs = self.theirs.run(line, &case.stdin);
        let ours = self.ours.run(line, &case.stdin);
        compare::compare(line, theirs, ours, case.any_order)
    }
}

/// Both sides run mdevctl itself, to prove that the test sees no differences by itself.
pub fn with_itself() -> bool {
    std::env::var_os("VGPUCTL_DIFFERENTIAL_SELF").is_some_and(|value| value == "1")
}

/// Two folders, each with a `mdevctl` and a `lsmdev`: the real ones, and ours.
fn programs() -> (&'static Path, &'static Path) {
    static PROGRAMS: OnceLock<(TempDir, TempDir)> = OnceLock::new();
    let (theirs, ours) = PROGRAMS.get_or_init(|| {
        let reference = reference();
        let own = if with_itself() {
            reference.clone()
        } else {
            PathBuf::from(env!("CARGO_BIN_EXE_vgpuctl"))
        };
        (named(&reference), named(&own))
    });
    (theirs.path(), ours.path())
}

fn named(program: &Path) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for name in ["mdevctl", "lsmdev"] {
        symlink(program, folder.path().join(name)).unwrap();
    }
    folder
}

/// The real mdevctl 1.4.0: `MDEVCTL_REFERENCE`, or where `make mdevctl-reference` puts it.
fn reference() -> PathBuf {
    let path = std::env::var_os("MDEVCTL_REFERENCE").map_or_else(
        || {
            let cache = std::env::var_os("XDG_CACHE_HOME").map_or_else(
                || Path::new(&std::env::var_os("HOME").unwrap_or_default()).join(".cache"),
                PathBuf::from,
            );
            cache.join("vgpuctl-mdevctl/1.4.0/bin/mdevctl")
        },
        PathBuf::from,
    );
    assert!(
        path.is_file(),
        "the real mdevctl to compare with is not at {}: `make mdevctl-reference` installs it",
        path.display()
    );
    path
}

/// Some hosts have no mediated parents at all.
fn parents(host: &SimHost) -> Vec<String> {
    let bus = host.path("sys/class/mdev_bus");
    if bus.exists() {
        names(&bus)
    } else {
        Vec::new()
    }
}

/// The names in a folder, sorted.
fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// The words of a command line, as a shell would split it: quotes and nothing else.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    for c in line.chars() {
        match (quote, c) {
            (Some(end), _) if c == end => quote = None,
            (Some(_), _) => word.get_or_insert_default().push(c),
            (None, '\'' | '"') => {
                word.get_or_insert_default();
                quote = Some(c);
            }
            (None, ' ') => words.extend(word.take()),
            (None, _) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

/// Where the first UUID begins.
fn find_uuid(text: &str) -> Option<usize> {
    let is_uuid = |bytes: &[u8]| {
        bytes.iter().enumerate().all(|(n, byte)| match n {
            8 | 13 | 18 | 23 => *byte == b'-',
            _ => byte.is_ascii_digit() || (b'a'..=b'f').contains(byte),
        })
    };
    text.as_bytes().windows(36).position(is_uuid)
}
