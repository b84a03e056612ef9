//! Killed at every system call: a definition is as before or as after, never anything else, and
//! the next `restore` or the same command again settles the rest.
//!
//! strace counts the calls of an undisturbed run, then kills one run before each of them. It counts
//! each name for itself, so a point is a name and a number: the third `openat`. The calls before
//! the first one that names the host's root are the dynamic loader's and the runtime's; nothing can
//! have changed before them, and they are left out.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::time::Instant;

use crate::harness::{SimHost, finished};

const UUID: &str = "11111111-2222-3333-4444-555555555555";
const PARENT: &str = "0000:81:00.0";
const TYPE: &str = "nvidia-63";
const ATTRIBUTE: &str = "disable_vnc=1";
const CHANGED: &str = "disable_vnc=0";
/// mdevctl's form, so that nothing but a verb's own change can change a byte.
const BEFORE: &str = r#"{
  "mdev_type": "nvidia-63",
  "start": "auto",
  "attrs": [
    {
      "nvidia/vgpu_params": "disable_vnc=1"
    }
  ]
}"#;

/// A definition that no command is about: it must never change.
const BYSTANDER: &str = "0000:82:00.0/99999999-2222-3333-4444-555555555555";
const BYSTANDERS_TEXT: &str = "{\"start\":\"manual\", \"mdev_type\":\"nvidia-63\",\"by\": 1}\n";

#[test]
fn create_killed_anywhere() {
    kill_everywhere(Verb {
        name: "create",
        line: &format!(
            "create --type {TYPE} --parent {PARENT} --uuid {UUID} \
             --attr nvidia/vgpu_params={ATTRIBUTE}"
        ),
        before: State::default(),
        after: State {
            defined: true,
            active: true,
        },
        when_done: (1, "is active already"),
    });
}

#[test]
fn define_killed_anywhere() {
    kill_everywhere(Verb {
        name: "define",
        line: &format!("define --type {TYPE} --parent {PARENT} --uuid {UUID}"),
        before: State::default(),
        after: State {
            defined: true,
            active: false,
        },
        when_done: (1, "is defined already"),
    });
}

#[test]
fn modify_killed_anywhere() {
    let both = State {
        defined: true,
        active: true,
    };
    kill_everywhere(Verb {
        name: "modify",
        line: &format!(
            "modify {UUID} --manual --type nvidia-64 --set-attr 0 nvidia/vgpu_params=x=2"
        ),
        before: both,
        after: both,
        when_done: (0, ""),
    });
}

#[test]
fn parameters_killed_anywhere() {
    let both = State {
        defined: true,
        active: true,
    };
    kill_everywhere(Verb {
        name: "modify",
        line: &format!("modify {UUID} --param {CHANGED}"),
        before: both,
        after: both,
        when_done: (0, ""),
    });
}

#[test]
fn undefine_killed_anywhere() {
    kill_everywhere(Verb {
        name: "undefine",
        line: &format!("undefine {UUID}"),
        before: State {
            defined: true,
            active: false,
        },
        after: State::default(),
        when_done: (3, "is neither active nor defined"),
    });
}

#[test]
fn remove_killed_anywhere() {
    kill_everywhere(Verb {
        name: "remove",
        line: &format!("remove {UUID}"),
        before: State {
            defined: true,
            active: true,
        },
        after: State::default(),
        when_done: (3, "is neither active nor defined"),
    });
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct State {
    defined: bool,
    active: bool,
}

struct Verb<'a> {
    name: &'a str,
    line: &'a str,
    before: State,
    after: State,
    /// How the same command ends where the killed one had done its work.
    when_done: (i32, &'a str),
}

fn kill_everywhere(verb: Verb) {
    let begin = Instant::now();
    let host = SimHost::start("two-p4");
    few_processes(&host);

    prepare(&host, verb.before);
    let points = calls(&host, verb.line);
    assert!(points.len() > 20, "{}: {points:?}", verb.name);
    assert_eq!(state(&host), verb.after, "{} undisturbed", verb.name);
    let texts = Texts {
        before: verb.before.defined.then(|| BEFORE.to_owned()),
        after: verb.after.defined.then(|| definition(&host).unwrap()),
    };

    // `restore` before the same command is tried wherever the kill left what no kill before it left.
    let mut left = BTreeSet::new();
    for point in &points {
        let at = format!("{} killed before {point:?}", verb.name);
        prepare(&host, verb.before);
        kill(&host, verb.line, point, &at);
        check_definitions(&host, &texts, true, &at);
        // Each restore of this test leaves its result, which says nothing of a kill.
        let notes = fs::read_dir(host.path("run/vgpuctl")).map_or(0, |notes| {
            let names = notes.map(|note| note.unwrap().file_name());
            names.filter(|name| name != "restores").count()
        });
        let is_new = left.insert((files(&host), attribute(&host), notes));
        the_same_again(&host, &verb, &texts, &at);
        if is_new {
            let at = format!("{at}, then restored");
            prepare(&host, verb.before);
            kill(&host, verb.line, point, &at);
            restore(&host, &at);
            check_definitions(&host, &texts, true, &at);
            the_same_again(&host, &verb, &texts, &at);
        }
    }
    println!(
        "{}: killed at {} system calls, which left {} different states, in {:.0} s",
        verb.name,
        points.len(),
        left.len(),
        begin.elapsed().as_secs_f64()
    );
}

/// `remove` looks through all processes: a machine's real ones come and go, and so would the calls.
fn few_processes(host: &SimHost) {
    fs::remove_file(host.path("proc")).unwrap();
    for pid in ["1", "4711"] {
        fs::create_dir_all(host.path("proc").join(pid).join("fd")).unwrap();
    }
}

/// The same state before each run, made without the program.
fn prepare(host: &SimHost, wanted: State) {
    host.ctl(&["reboot"]);
    let _ = fs::remove_dir_all(host.path("etc/mdevctl.d"));
    write(&definitions(host).join(BYSTANDER), BYSTANDERS_TEXT);
    if wanted.defined {
        write(&definitions(host).join(PARENT).join(UUID), BEFORE);
    }
    if wanted.active {
        let types = format!("sys/class/mdev_bus/{PARENT}/mdev_supported_types");
        tell_kernel(host, &format!("{types}/{TYPE}/create"), UUID);
        let device = format!("sys/bus/mdev/devices/{UUID}");
        let params = format!("{device}/nvidia/vgpu_params");
        tell_kernel(host, &params, &format!("{ATTRIBUTE}\n"));
    }
}

fn tell_kernel(host: &SimHost, file: &str, value: &str) {
    OpenOptions::new()
        .write(true)
        .open(host.path(file))
        .and_then(|mut file| file.write_all(value.as_bytes()))
        .unwrap();
}

fn write(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

/// Which call of which name.
type Point = (String, usize);

/// The calls of an undisturbed run. A process and its child each count for themselves.
fn calls(host: &SimHost, line: &str) -> BTreeSet<Point> {
    let trace = host.path("usr/trace");
    let options = ["-f", "-qq", "-o", trace.to_str().unwrap()];
    let run = finished(
        host.strace(&options, line.split_whitespace())
            .output()
            .expect("strace is installed by: make"),
    );
    assert_eq!(
        run.status, 0,
        "an undisturbed run under strace fails; may this user trace (ptrace) at all? {run:#?}"
    );
    let root = host.root().to_str().unwrap();
    let mut counts: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    // A child's end may or may not interrupt its parent's waiting, which then counts once more.
    let mut again: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    let mut points = BTreeSet::new();
    let mut started = false;
    let text = fs::read_to_string(&trace).unwrap();
    for line in text.lines() {
        // "4711  openat(AT_FDCWD, ..."; the second half of a call is "4711  <... openat resumed>".
        let (pid, call) = line.split_once(' ').unwrap();
        let Some((name, arguments)) = call.trim_start().split_once('(') else {
            continue;
        };
        if !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
            continue;
        }
        let count = counts.entry((pid, name)).or_default();
        *count += 1;
        started |= name != "execve" && arguments.contains(root);
        if line.contains("ERESTART") {
            *again.entry((pid, name)).or_default() += 1;
        }
        if started && name != "restart_syscall" {
            points.insert((pid, name, *count));
        }
    }
    points
        .into_iter()
        .filter(|(pid, name, count)| {
            let more = again.get(&(*pid, *name)).copied().unwrap_or_default();
            *count <= counts[&(*pid, *name)] - more
        })
        .map(|(_, name, count)| (name.to_owned(), count))
        .collect()
}

/// Runs the command and kills it before that call.
fn kill(host: &SimHost, line: &str, (name, count): &Point, at: &str) {
    let log = host.path("usr/kill");
    let (log, inject) = (
        log.to_str().unwrap(),
        format!("--inject={name}:signal=KILL:when={count}"),
    );
    let trace = format!("--trace={name}");
    // A child that is to be killed may be the one that writes for its parent: wait for all.
    let options = ["-f", "-q", "-o", log, &trace, &inject];
    let output = host
        .strace(&options, line.split_whitespace())
        .output()
        .unwrap();
    let log = fs::read_to_string(log).unwrap();
    assert!(
        log.contains("+++ killed by SIGKILL +++"),
        "{at}: it was not: {output:?}\n{log}"
    );
    let signal = output.status.signal();
    assert!(
        signal == Some(9) || log.contains("+++ exited with"),
        "{at}: {output:?}"
    );
}

/// The definition's text as before and as after.
struct Texts {
    before: Option<String>,
    after: Option<String>,
}

fn definitions(host: &SimHost) -> PathBuf {
    host.path("etc/mdevctl.d")
}

fn definition(host: &SimHost) -> Option<String> {
    fs::read_to_string(definitions(host).join(PARENT).join(UUID)).ok()
}

fn is_active(host: &SimHost) -> bool {
    let device = host.path("sys/bus/mdev/devices").join(UUID);
    let Ok(target) = fs::read_link(device.join("mdev_type")) else {
        return false;
    };
    assert_eq!(target.file_name().unwrap(), TYPE);
    true
}

/// The attribute as the simulated driver has it.
fn attribute(host: &SimHost) -> Option<String> {
    let status = host.status();
    let devices = status["devices"].as_array().unwrap();
    let own = devices.iter().find(|device| device["uuid"] == UUID)?;
    Some(own["vgpu_params"].as_str().unwrap().to_owned())
}

fn state(host: &SimHost) -> State {
    State {
        defined: definition(host).is_some(),
        active: is_active(host),
    }
}

/// Everything below the definitions' directory: text by path.
fn files(host: &SimHost) -> BTreeMap<PathBuf, String> {
    let mut all = BTreeMap::new();
    for dir in fs::read_dir(definitions(host)).unwrap() {
        for file in fs::read_dir(dir.unwrap().path()).unwrap() {
            let path = file.unwrap().path();
            let short = path.strip_prefix(definitions(host)).unwrap().to_owned();
            all.insert(short, fs::read_to_string(&path).unwrap());
        }
    }
    all
}

/// Nothing but whole definitions, as before or as after, and hidden files where `may_be_hidden`.
#[track_caller]
fn check_definitions(host: &SimHost, texts: &Texts, may_be_hidden: bool, at: &str) {
    let mut files = files(host);
    let bystander = files.remove(Path::new(BYSTANDER));
    assert_eq!(bystander.as_deref(), Some(BYSTANDERS_TEXT), "{at}");
    let own = files.remove(&Path::new(PARENT).join(UUID));
    assert!(
        own == texts.before || own == texts.after,
        "{at}: the definition is {own:?}"
    );
    for path in files.keys() {
        let name = path.file_name().unwrap().to_str().unwrap();
        assert!(name.starts_with('.') && may_be_hidden, "{at}: {path:?}");
    }
}

/// What is wanted at boot is active after it.
#[track_caller]
fn restore(host: &SimHost, at: &str) {
    let run = host.run("restore");
    assert_eq!(run.status, 0, "{at}: {run:?}");
    let wanted = definition(host).is_some_and(|text| text.contains("\"auto\""));
    assert!(is_active(host) || !wanted, "{at}: {run:?}");
    if wanted && definition(host).is_some_and(|text| text.contains(ATTRIBUTE)) {
        assert_eq!(attribute(host).as_deref(), Some(ATTRIBUTE), "{at}: {run:?}");
    }
}

#[track_caller]
fn the_same_again(host: &SimHost, verb: &Verb, texts: &Texts, at: &str) {
    let found = state(host);
    // `define` and `undefine` have nothing to do with the device.
    let touches_device = matches!(verb.name, "create" | "remove");
    let done =
        definition(host) == texts.after && (!touches_device || found.active == verb.after.active);
    let gone = !found.defined && matches!(verb.name, "undefine");
    let run = host.run(verb.line);
    match run.status {
        status if (done || gone) && status == verb.when_done.0 => {
            assert!(run.stderr.contains(verb.when_done.1), "{at}: {run:#?}");
        }
        // A device whose maker was killed before it could say that it is finished is made anew.
        status => {
            let may_repeat = !done || verb.name == "create";
            assert!(
                status == 0 && may_repeat && !gone,
                "{at}: found {found:?}: {run:#?}"
            );
        }
    }
    assert_eq!(definition(host), texts.after, "{at}: {run:#?}");
    if touches_device {
        assert_eq!(is_active(host), verb.after.active, "{at}: {run:#?}");
        let wanted = verb.after.active.then_some(ATTRIBUTE);
        assert_eq!(attribute(host).as_deref(), wanted, "{at}: {run:#?}");
    } else {
        assert_eq!(is_active(host), found.active, "{at}: {run:#?}");
    }
    if verb.line.ends_with(CHANGED) {
        assert_eq!(attribute(host).as_deref(), Some(CHANGED), "{at}: {run:#?}");
    }
    check_definitions(host, texts, false, at);
}
