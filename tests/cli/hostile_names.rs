//! Names that lead elsewhere, on the command line and inside definitions: refused, with nothing
//! written outside and nothing read outside.
//!
//! Each run is traced, and every path that it named, and every file that it got, must be in one of
//! the folders where the program has business. Around the host's root stand files that a wrong turn
//! would reach; they must stay as they are.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::harness::{Run, SimHost, finished};

const PARENT: &str = "0000:81:00.0";
const UUID: &str = "11111111-2222-3333-4444-555555555555";
const TYPE: &str = "nvidia-63";

/// Where the program has business below a root.
const EXPECTED: [&str; 11] = [
    "sys/class/mdev_bus",
    "sys/bus/mdev/devices",
    "sys/devices",
    "sys/bus/pci/devices",
    "sys/bus/pci/drivers/nvidia",
    "etc/mdevctl.d",
    "etc/vgpuctl.d",
    "run/vgpuctl",
    "usr/lib/mdevctl/scripts.d",
    "dev/vfio",
    "proc",
];

/// What every Rust program opens before `main`, and `/proc`, to which the host's `proc` is a link.
const STARTING: [&str; 6] = [
    "/etc/ld.so.preload",
    "/etc/ld.so.cache",
    "/lib",
    "/usr/lib",
    "/proc",
    "/dev/null",
];

/// None of them can be one component of a path. (An argument cannot hold a NUL.)
fn hostile() -> Vec<OsString> {
    let mut values: Vec<OsString> = [
        "../x",
        "../../../../../../../../etc/passwd",
        "/etc/passwd",
        "a/b",
        "",
        ".",
        "..",
        "a\nb",
        "a\u{1b}[31mb",
    ]
    .map(OsString::from)
    .to_vec();
    values.push(OsString::from("A".repeat(4096)));
    values.push(OsString::from_vec(vec![b'a', 0xff, 0xfe]));
    values
}

/// A host with one device, and files around its root.
struct Watched {
    host: SimHost,
    outside: TempDir,
}

impl Watched {
    fn start() -> Watched {
        let outside = tempfile::tempdir().unwrap();
        let watched = Watched {
            host: SimHost::start_in("two-p4", outside.path()),
            outside,
        };
        let canary = watched.canary();
        fs::create_dir_all(canary.join("b")).unwrap();
        let text = format!(r#"{{"mdev_type":"{TYPE}","start":"auto"}}"#);
        for path in ["x", "b/file", "99999999-2222-3333-4444-555555555555"] {
            fs::write(canary.join(path), &text).unwrap();
        }
        // What `../x` would be, seen from the folders below the root.
        for path in ["etc/x", "run/x", "x"] {
            fs::write(watched.host.path(path), &text).unwrap();
        }
        fs::write(watched.outside.path().join("x"), &text).unwrap();
        let create = format!("create --type {TYPE} --parent {PARENT} --uuid {UUID}");
        let attr = "--attr nvidia/vgpu_params=a=1";
        watched.host.run(&format!("{create} {attr}")).expect(0);
        // Makes the folder of its notes.
        watched.host.run("restore").expect(0);
        watched
    }

    fn canary(&self) -> PathBuf {
        self.outside.path().join("canary")
    }

    /// Everything around the root and in its ordinary folders: kind, time and content by path.
    fn snapshot(&self) -> BTreeMap<PathBuf, (u32, i64, i64, String)> {
        let mut all = BTreeMap::new();
        let mut todo = vec![self.outside.path().to_owned()];
        while let Some(dir) = todo.pop() {
            for entry in fs::read_dir(&dir).unwrap() {
                let path = entry.unwrap().path();
                let of_root = path.strip_prefix(self.host.root()).ok();
                if of_root.is_some_and(|p| ["sys", "dev", "proc"].iter().any(|d| p == Path::new(d)))
                    || of_root.is_some_and(|p| p.starts_with("run/simhost"))
                    // What a restore came to is noted anew each time.
                    || of_root.is_some_and(|p| p.starts_with("run/vgpuctl/restores"))
                {
                    continue;
                }
                let meta = fs::symlink_metadata(&path).unwrap();
                let content = match meta.file_type() {
                    kind if kind.is_dir() => Vec::new(),
                    kind if kind.is_symlink() => {
                        fs::read_link(&path).unwrap().into_os_string().into_vec()
                    }
                    _ => fs::read(&path).unwrap(),
                };
                if meta.is_dir() {
                    todo.push(path.clone());
                }
                let (seconds, rest) = (meta.mtime(), meta.mtime_nsec());
                let content = String::from_utf8_lossy(&content).into_owned();
                all.insert(path, (meta.mode(), seconds, rest, content));
            }
        }
        all
    }

    /// Runs a command under strace; what it said, and the paths that it named and got.
    fn traced(&self, args: &[OsString]) -> (Run, Trace) {
        let log = tempfile::NamedTempFile::new().unwrap();
        let log_path = log.path().to_str().unwrap();
        let options = ["-f", "-qq", "-y", "-o", log_path, "--trace=%file"];
        let output = self
            .host
            .strace(&options, args)
            .output()
            .expect("strace is installed by: make");
        let trace = Trace(fs::read_to_string(log.path()).unwrap());
        assert!(
            trace.0.contains("execve("),
            "strace traced nothing; may this user trace (ptrace) at all? {output:?}"
        );
        (finished(output), trace)
    }

    /// Nothing but what is below the root and expected there.
    #[track_caller]
    fn check_paths(&self, trace: &Trace, hostile: Option<&OsStr>, at: &str) {
        let paths = trace.paths();
        assert!(paths.len() > 3, "{at}: {}", trace.0);
        if let Some(path) = self.wrong_turn(&paths, hostile) {
            panic!("{at}: went to {path:?}:\n{}", trace.0);
        }
    }

    /// The first path that leads elsewhere, or that the hostile name is a part of.
    fn wrong_turn<'p>(&self, paths: &'p [String], hostile: Option<&OsStr>) -> Option<&'p String> {
        let root = self.host.root().to_str().unwrap();
        let name = hostile.map(in_strace).filter(|name| name.len() > 2);
        paths.iter().find(|path| {
            let allowed = match path.strip_prefix(root) {
                Some(below) => EXPECTED
                    .iter()
                    .any(|dir| is_in(below.trim_start_matches('/'), dir)),
                None => STARTING.iter().any(|start| is_in(path, start)),
            };
            let mut parts = path.split('/').skip(1);
            let is_odd = parts.any(|part| ["", ".", ".."].contains(&part));
            let is_hostile = name
                .as_ref()
                .is_some_and(|name| format!("{path}/").contains(&format!("/{name}/")));
            // Where the root lies is found out folder by folder.
            (!allowed && !is_in(root, path)) || is_odd || is_hostile
        })
    }
}

fn is_in(path: &str, dir: &str) -> bool {
    path.strip_prefix(dir)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// A name as strace prints it inside quotes.
fn in_strace(name: &OsStr) -> String {
    name.as_bytes()
        .iter()
        .map(|byte| match byte {
            b'\n' => "\\n".to_owned(),
            0x20..0x7f => char::from(*byte).to_string(),
            _ => format!("\\{byte:o}"),
        })
        .collect()
}

struct Trace(String);

impl Trace {
    /// Every path that a call named, made absolute by its descriptor, and every file that was got.
    fn paths(&self) -> Vec<String> {
        let mut paths = Vec::new();
        for line in self.0.lines() {
            let (_, call) = line.split_once(' ').unwrap();
            let call = call.trim_start();
            if call.starts_with("execve(") || !call.contains('(') {
                continue;
            }
            // What a link says is data; it is followed only where it is part of a path.
            let names = if call.starts_with("readlink") { 1 } else { 2 };
            let (arguments, got) = call.rsplit_once(" = ").unwrap_or((call, ""));
            paths.extend(named(arguments, names));
            if let Some((_, file)) = got.split_once('<') {
                paths.push(file.trim_end_matches('>').to_owned());
            }
        }
        paths
    }
}

/// The first quoted strings in a call, each below the directory of the descriptor before it.
fn named(arguments: &str, most: usize) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = arguments;
    while let (Some((before, after)), true) = (rest.split_once('"'), found.len() < most) {
        let end = closing_quote(after);
        let name = &after[..end];
        let dir = before
            .strip_suffix(">, ")
            .and_then(|before| before.rsplit_once('<'))
            .map_or("", |(_, dir)| dir);
        match (name.starts_with('/'), name.is_empty()) {
            (true, _) => found.push(name.to_owned()),
            // The descriptor itself is meant; a pipe has no path.
            (_, true) => found.extend(dir.starts_with('/').then(|| dir.to_owned())),
            _ => found.push(format!("{dir}/{name}")),
        }
        rest = after.get(end + 1..).unwrap_or_default();
    }
    found
}

fn closing_quote(text: &str) -> usize {
    let mut escaped = false;
    text.find(|c| {
        let end = c == '"' && !escaped;
        escaped = c == '\\' && !escaped;
        end
    })
    .unwrap_or(text.len())
}

/// One line that says what is wrong, then hints; no control character gets through.
fn check_message(run: &Run, at: &str) {
    let mut lines = run.stderr.lines();
    let first = lines.next().unwrap_or_default();
    assert!(first.starts_with("error: "), "{at}: {run:#?}");
    for line in lines {
        let follows = ["hint: ", "Usage: ", "For more information", "  "];
        let is_known = line.is_empty() || follows.iter().any(|begin| line.starts_with(begin));
        assert!(is_known, "{at}: {line:?} in {run:#?}");
    }
    let control = run.stderr.chars().find(|c| c.is_control() && *c != '\n');
    assert_eq!(control, None, "{at}: {run:#?}");
}

/// Runs each line with each hostile value in the place of `{}`, and checks all there is to check.
fn refuse_all(lines: &[&str], suffix: &str, skip: &[&str]) {
    let watched = Watched::start();
    let before = watched.snapshot();
    let mut count = 0;
    for line in lines {
        for value in hostile() {
            if skip.iter().any(|skipped| value == *skipped) {
                continue;
            }
            let args: Vec<OsString> = line
                .split_whitespace()
                .map(|word| match word {
                    "{}" => OsString::from_vec([value.as_bytes(), suffix.as_bytes()].concat()),
                    word => OsString::from(word),
                })
                .collect();
            let at = format!("{line} with {:?}", short(&value));
            let (run, trace) = watched.traced(&args);
            // A filter that fits nothing is an answer; the text is compared and never a path.
            let expected: &[i32] = match line.starts_with("list --type") {
                true => &[0, 2],
                false => &[2, 3],
            };
            assert!(expected.contains(&run.status), "{at}: {run:#?}");
            if run.status != 0 && value != "a\nb" {
                check_message(&run, &at);
            }
            watched.check_paths(&trace, Some(&value), &at);
            assert_eq!(watched.snapshot(), before, "{at}");
            count += 1;
        }
    }
    assert_eq!(watched.host.active(), [UUID]);
    assert_eq!(watched.host.status()["create_writes"], 1);
    assert_eq!(watched.host.status()["remove_writes"], 0);
    println!("{count} command lines with hostile names refused");
}

fn short(value: &OsStr) -> String {
    value.to_string_lossy().chars().take(40).collect()
}

#[test]
fn as_a_parent() {
    let lines = [
        "types --parent {}",
        "list --parent {}",
        "create --type nvidia-63 --parent {}",
        "create --type nvidia-63 --dry-run --parent {}",
        "define --type nvidia-63 --parent {}",
        "undefine 11111111 --parent {}",
        "show 11111111 --parent {}",
        "remove 11111111 --parent {}",
        "modify 11111111 --manual --parent {}",
        "start 11111111 --parent {}",
        "stop 11111111 --parent {}",
        "restore --parent {}",
    ];
    refuse_all(&lines, "", &[]);
}

#[test]
fn as_a_type() {
    let lines = [
        "list --type {}",
        "create --type {}",
        "create --parent 0000:81:00.0 --type {}",
        "define --parent 0000:81:00.0 --type {}",
        "define --parent 0000:99:00.0 --type {}",
        "modify 11111111 --type {}",
    ];
    refuse_all(&lines, "", &[]);
}

#[test]
fn as_an_attribute() {
    let lines = [
        "create --type nvidia-63 --attr {}",
        "define --type nvidia-63 --parent 0000:81:00.0 --attr {}",
        "modify 11111111 --attr {}",
        "modify 11111111 --set-attr 0 {}",
    ];
    // Attributes may have an inner '/': that one is a good name.
    refuse_all(&lines, "=1", &["a/b"]);
}

#[test]
fn as_a_uuid() {
    let lines = [
        "create --type nvidia-63 --uuid {}",
        "create --type nvidia-63 --vmid {}",
        "define --type nvidia-63 --parent 0000:81:00.0 --uuid {}",
        "undefine {}",
        "show {}",
        "remove {}",
        "modify --manual {}",
        "start {}",
        "stop {}",
    ];
    refuse_all(&lines, "", &[]);
}

fn args(line: &str) -> Vec<OsString> {
    line.split_whitespace().map(OsString::from).collect()
}

/// A JSON text for each way in which a definition's type or attribute can lead elsewhere.
fn hostile_definitions() -> Vec<Vec<u8>> {
    let names: Vec<String> = hostile()
        .into_iter()
        .filter_map(|value| value.into_string().ok())
        .chain(["\0".to_owned(), "x\0y".to_owned()])
        .collect();
    let mut texts = Vec::new();
    for name in &names {
        let name = serde_json::to_string(name).unwrap();
        texts.push(format!(r#"{{"mdev_type":{name},"start":"auto"}}"#).into_bytes());
        if name != "\"a/b\"" {
            let attrs = format!(r#"[{{"nvidia/vgpu_params":"x=1"}},{{{name}:"1"}}]"#);
            let text = format!(r#"{{"mdev_type":"{TYPE}","start":"auto","attrs":{attrs}}}"#);
            texts.push(text.into_bytes());
        }
    }
    texts.push(b"{\"mdev_type\":\"nvidia-63\xff\",\"start\":\"auto\"}".to_vec());
    texts
}

#[test]
fn inside_a_definition() {
    let watched = Watched::start();
    let dir = watched.host.path("etc/mdevctl.d").join(PARENT);
    let texts = hostile_definitions();
    let uuids: Vec<String> = (0..texts.len())
        .map(|n| format!("{n:08}-0000-4000-8000-000000000000"))
        .collect();
    for (uuid, text) in uuids.iter().zip(&texts) {
        fs::write(dir.join(uuid), text).unwrap();
    }
    let before = watched.snapshot();

    for (line, status) in [
        ("list", 7),
        ("list --defined --json", 7),
        ("restore", 7),
        ("restore --parent 0000:81:00.0", 7),
        ("gpus", 0),
    ] {
        if line == "gpus" {
            // It looks cards up in the system's hardware database, far outside.
            watched.host.run(line).expect(status);
            continue;
        }
        let (run, trace) = watched.traced(&args(line));
        assert_eq!(run.status, status, "{line}: {run:#?}");
        for uuid in &uuids {
            let said = run.stderr.contains(uuid) || run.stdout.contains(uuid);
            assert!(said, "{line} hides {uuid}: {run:#?}");
        }
        let text = format!("{}{}", run.stdout, run.stderr);
        let control = text.chars().find(|c| c.is_control() && *c != '\n');
        assert_eq!(control, None, "{line}: {run:#?}");
        watched.check_paths(&trace, None, line);
        assert_eq!(watched.snapshot(), before, "{line}");
        assert_eq!(watched.host.active(), [UUID]);
    }
    for uuid in &uuids {
        for (line, expected) in [("start", 1), ("show", 7), ("modify --manual", 1)] {
            let line = format!("{line} {uuid}");
            let (run, trace) = watched.traced(&args(&line));
            assert_eq!(run.status, expected, "{line}: {run:#?}");
            assert!(run.stderr.contains(uuid), "{line}: {run:#?}");
            watched.check_paths(&trace, None, &line);
            assert_eq!(watched.snapshot(), before, "{line}");
        }
    }
    assert_eq!(watched.host.active(), [UUID]);

    // What cannot be read can still be deleted, and nothing beside it is.
    for uuid in &uuids {
        let line = format!("undefine {uuid}");
        let (run, trace) = watched.traced(&args(&line));
        assert_eq!(run.status, 0, "{line}: {run:#?}");
        watched.check_paths(&trace, None, &line);
    }
    assert_eq!(watched.host.defined(), [UUID]);
    let mut left = before;
    let mut now = watched.snapshot();
    left.retain(|path, _| !uuids.iter().any(|uuid| path.ends_with(uuid)));
    for all in [&mut left, &mut now] {
        all.remove(&dir);
    }
    assert_eq!(now, left);
    println!("{} hostile definitions refused", texts.len());
}

#[test]
fn as_a_name_in_the_definitions_directory() {
    let watched = Watched::start();
    let top = watched.host.path("etc/mdevctl.d");
    let text = format!(r#"{{"mdev_type":"{TYPE}","start":"auto"}}"#);
    let long = "A".repeat(255);
    let names = ["x", "..x", "...", " ", "passwd", long.as_str()].map(OsString::from);
    let uuid = "22222222-2222-3333-4444-555555555555";
    for name in &names {
        fs::write(top.join(PARENT).join(name), &text).unwrap();
    }
    for name in [OsStr::from_bytes(b"a\xff\xfe"), OsStr::new("a\u{1b}[31mb")] {
        fs::create_dir(top.join(name)).unwrap();
        fs::write(top.join(name).join(uuid), &text).unwrap();
    }
    let before = watched.snapshot();
    for line in ["list", "restore", "list --defined"] {
        let (run, trace) = watched.traced(&args(line));
        assert_eq!(run.status, 7, "{line}: {run:#?}");
        assert!(run.stderr.contains("passwd"), "{line}: {run:#?}");
        watched.check_paths(&trace, None, line);
        assert_eq!(watched.snapshot(), before, "{line}");
    }
    for line in ["start", "show", "remove", "undefine"] {
        let line = format!("{line} {uuid}");
        let (run, trace) = watched.traced(&args(&line));
        assert_eq!(run.status, 3, "{line}: {run:#?}");
        watched.check_paths(&trace, None, &line);
        assert_eq!(watched.snapshot(), before, "{line}");
    }
    assert_eq!(watched.host.active(), [UUID]);
}

/// A device's directory has links to its type, group, driver and bus; what lies behind them is not
/// the device's.
#[test]
fn an_attribute_behind_a_link_of_the_device() {
    let watched = Watched::start();
    let other = "33333333-2222-3333-4444-555555555555";
    let before = watched.snapshot();
    let attrs = [
        format!("mdev_type/create={other}"),
        "mdev_type/name=x".to_owned(),
        "mdev_type=x".to_owned(),
        "iommu_group=x".to_owned(),
        "iommu_group/type=x".to_owned(),
        "driver/unbind=x".to_owned(),
        "subsystem/drivers_probe=x".to_owned(),
        "subsystem/devices/x=1".to_owned(),
        "a/b=1".to_owned(),
    ];
    let mut made = 1;
    for attr in &attrs {
        let line = format!("create --type {TYPE} --parent {PARENT} --attr {attr}");
        let (run, trace) = watched.traced(&args(&line));
        // Of some the name is refused before anything is made.
        assert!([1, 2, 3].contains(&run.status), "{line}: {run:#?}");
        made += u64::from(run.status != 2);
        check_message(&run, &line);
        let (name, _) = attr.split_once('=').unwrap();
        assert!(run.stderr.contains(name), "{line}: {run:#?}");
        watched.check_paths(&trace, None, &line);
        for call in trace.0.lines().filter(|call| call.contains("O_WRONLY")) {
            let (_, file) = call.rsplit_once('<').unwrap_or_default();
            let known = [
                "/nvidia-63/create>",
                "/remove>",
                "/.vgpuctl.tmp>",
                ".lock>",
                ".unfinished>",
            ];
            let is_mark = file.contains("/run/vgpuctl/.") && file.contains(".unfinished.");
            let is_known =
                call.contains(" = -1 ") || is_mark || known.iter().any(|end| file.ends_with(end));
            assert!(is_known, "{line}: {call}");
        }
        assert_eq!(watched.host.active(), [UUID], "{line}");
        assert_eq!(watched.host.defined(), [UUID], "{line}");
    }
    assert_eq!(watched.host.status()["create_writes"], made, "one each");
    let (mut before, mut now) = (before, watched.snapshot());
    // Definitions came and went, and notes of what is being made.
    for all in [&mut before, &mut now] {
        all.remove(&watched.host.path("etc/mdevctl.d").join(PARENT));
        all.remove(&watched.host.path("run/vgpuctl"));
    }
    assert_eq!(now, before);
}

/// The checks of a trace, on one that went astray.
#[test]
fn a_wrong_turn_would_be_seen() {
    let watched = Watched::start();
    // Really astray: a program that follows a link out of the definitions' directory.
    let link = watched.host.path("etc/mdevctl.d/link");
    symlink(watched.canary(), &link).unwrap();
    let log = tempfile::NamedTempFile::new().unwrap();
    let output = Command::new("strace")
        .env("LC_ALL", "C")
        .env_remove("LD_LIBRARY_PATH")
        .args(["-f", "-qq", "-y", "--trace=%file", "-o"])
        .args([log.path(), Path::new("cat"), &link.join("x")])
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let paths = Trace(fs::read_to_string(log.path()).unwrap()).paths();
    let wrong = watched.wrong_turn(&paths, None).unwrap();
    assert_eq!(*wrong, watched.canary().join("x").to_str().unwrap());

    // Astray in each other way, as strace would write it.
    let root = watched.host.root().to_str().unwrap();
    let canary = watched.canary();
    let canary = canary.to_str().unwrap();
    let seen = |line: String| {
        let paths = Trace(line).paths();
        let wrong = watched.wrong_turn(&paths, Some(OsStr::new("a/b")));
        wrong.is_some()
    };
    let dir = format!("3<{root}/etc/mdevctl.d>");
    assert!(!seen(format!(
        "1 openat({dir}, \"{PARENT}\", O_RDONLY) = 4<{root}/etc/mdevctl.d/{PARENT}>"
    )));
    assert!(seen(
        "1 openat(AT_FDCWD</>, \"/etc/passwd\", O_RDONLY) = -1 ENOENT (x)".into()
    ));
    assert!(seen(format!(
        "1 openat({dir}, \"../x\", O_RDONLY) = -1 ENOENT (x)"
    )));
    assert!(seen(format!(
        "1 openat({dir}, \"a/b\", O_RDONLY) = -1 ENOENT (x)"
    )));
    assert!(seen(format!(
        "1 openat({dir}, \"link\", O_RDONLY) = 4<{canary}>"
    )));
    assert!(seen(format!(
        "1 renameat({dir}, \"t\", 4<{canary}>, \"x\") = 0"
    )));
    assert!(seen(format!("1 unlink(\"{root}/etc/x\") = 0")));
}
