//! `watch`: what changes, as it changes, from whoever changes it.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Instant;

use nix::fcntl::{FcntlArg, fcntl};
use nix::pty::PtyMaster;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::harness::{HeldOpen, SimHost, schema};
use crate::helpers::{P1, P2, definition, put, put_auto, uuid};
use crate::terminal::{self, PATIENCE, readable};

/// A `vgpuctl watch` that runs beside the test.
pub struct Watch {
    child: Child,
    stdout: Option<BufReader<ChildStdout>>,
    /// Free instances as they were told last, by parent and type.
    free: BTreeMap<(String, String), u64>,
}

impl Watch {
    /// Returns when it is ready: from here on it misses nothing.
    #[track_caller]
    fn start(host: &SimHost, options: &str) -> Watch {
        let mut watch = Watch::spawn(host, &format!("watch --json {options}"));
        if !options.contains("--initial") {
            watch.until("watch", "ready");
        }
        watch
    }

    /// As a terminal starts it, however the tests were started: background jobs have signals
    /// ignored, which their children inherit.
    pub fn spawn(host: &SimHost, line: &str) -> Watch {
        let mut child = Command::new("env")
            .arg("--default-signal=INT,TERM")
            .arg(env!("CARGO_BIN_EXE_vgpuctl"))
            .args(line.split_whitespace())
            .env("VGPUCTL_ROOT", host.root())
            .env("TZ", "UTC")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stdout = child.stdout.take().map(BufReader::new);
        Watch::of(child, stdout)
    }

    fn of(child: Child, stdout: Option<BufReader<ChildStdout>>) -> Watch {
        Watch {
            child,
            stdout,
            free: BTreeMap::new(),
        }
    }

    #[track_caller]
    pub fn line(&mut self) -> String {
        let stdout = self.stdout.as_mut().unwrap();
        if stdout.buffer().is_empty() {
            assert!(readable(stdout.get_ref()), "nothing is told");
        }
        let mut line = String::new();
        assert_ne!(stdout.read_line(&mut line).unwrap(), 0, "it has ended");
        line
    }

    #[track_caller]
    fn document(&mut self) -> Value {
        let line = self.line();
        let document: Value = serde_json::from_str(&line).unwrap();
        schema::kind(&document);
        if document["subject"] == "types" {
            let parent = document["types"]["parent"].as_str().unwrap();
            for one in document["types"]["types"].as_array().unwrap() {
                let of = (parent.to_owned(), one["id"].as_str().unwrap().to_owned());
                self.free
                    .extend(one["available"].as_u64().map(|free| (of, free)));
            }
        }
        document
    }

    /// Reads on until so many instances of a type are told to be free. A look that falls into a change
    /// tells it in two events, of which one may come before the device's.
    #[track_caller]
    fn until_free(&mut self, parent: &str, id: &str, free: u64) {
        let of = (parent.to_owned(), id.to_owned());
        while self.free.get(&of) != Some(&free) {
            self.until("types", "changed");
        }
    }

    /// The next event of that kind; others may come before it.
    #[track_caller]
    fn until(&mut self, subject: &str, event: &str) -> Value {
        loop {
            let document = self.document();
            if document["subject"] == subject && document["event"] == event {
                return document;
            }
        }
    }

    /// The next event that is not about free instances, which must be of that kind.
    #[track_caller]
    fn next(&mut self, subject: &str, event: &str) -> Value {
        let document = loop {
            let document = self.document();
            if document["subject"] != "types" {
                break document;
            }
        };
        let told = (document["subject"].as_str(), document["event"].as_str());
        assert_eq!(told, (Some(subject), Some(event)), "{document}");
        document[subject].clone()
    }

    pub fn send(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap());
        kill(pid, signal).unwrap();
    }

    /// Its exit status, and what it said beside the answer.
    pub fn end(mut self) -> (Option<i32>, String) {
        let status = self.child.wait().unwrap();
        let mut said = String::new();
        let mut stderr = self.child.stderr.take().unwrap();
        stderr.read_to_string(&mut said).unwrap();
        (status.code(), said)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn node(host: &SimHost, device: &str, field: &str) -> PathBuf {
    let shown = host.run(&format!("show {device} --json")).expect(0).json();
    shown["device"][field].as_str().unwrap().into()
}

#[test]
fn a_device_and_its_definition_come_and_go() {
    let host = SimHost::start("two-p4");
    let mut watch = Watch::start(&host, "");
    let line = format!("create -t P4-1Q -p {P1} -u {}", uuid(1));
    host.run(&line).expect(0);
    let defined = watch.next("definition", "defined");
    assert_eq!(defined["uuid"], uuid(1).as_str());
    assert_eq!(defined["start"], "auto");
    let path = definition(&host, P1, &uuid(1));
    assert_eq!(defined["path"], path.to_str().unwrap());
    let created = watch.next("device", "created");
    assert_eq!(created["uuid"], uuid(1).as_str());
    assert_eq!(created["parent"], P1);
    assert_eq!(created["type_name"], "GRID P4-1Q");
    watch.until_free(P1, "nvidia-63", 7);
    watch.until_free(P1, "nvidia-64", 0);

    host.run(&format!("modify {} --manual", uuid(1))).expect(0);
    assert_eq!(watch.next("definition", "changed")["start"], "manual");
    host.run(&format!("stop {}", uuid(1))).expect(0);
    let removed = watch.until("device", "removed");
    assert_eq!(removed["device"], created);
    watch.until_free(P1, "nvidia-63", 8);
    host.run(&format!("undefine {}", uuid(1))).expect(0);
    assert_eq!(watch.next("definition", "undefined")["parent"], P1);
}

#[test]
fn what_others_write_to_sysfs_is_told_as_well() {
    let host = SimHost::start("two-p4");
    let mut watch = Watch::start(&host, "");
    let create = format!("sys/class/mdev_bus/{P2}/mdev_supported_types/nvidia-65/create");
    fs::write(host.path(&create), uuid(1)).unwrap();
    assert_eq!(watch.next("device", "created")["type"], "nvidia-65");
    let remove = host.path(&format!("sys/bus/mdev/devices/{}/remove", uuid(1)));
    fs::write(remove, "1").unwrap();
    assert_eq!(watch.next("device", "removed")["parent"], P2);
    // The same UUID again is another device.
    fs::write(host.path(&create), uuid(1)).unwrap();
    watch.next("device", "created");
}

#[test]
fn a_virtual_function_that_anybody_gives_a_type_is_told() {
    let (gpu, vf) = ("0000:41:00.0", "0000:41:00.4");
    let host = SimHost::start("l40s");
    let mut watch = Watch::start(&host, "");
    host.run(&format!("create -t nvidia-1153 -u {}", uuid(1)))
        .expect(0);
    watch.next("definition", "defined");
    let ours = watch.next("device", "created");
    assert_eq!((&ours["uuid"], &ours["vf"]), (&uuid(1).into(), &vf.into()));
    host.run(&format!("remove {}", uuid(1))).expect(0);
    assert_eq!(watch.until("device", "removed")["device"], ours);

    let current = format!("sys/bus/pci/devices/{vf}/nvidia/current_vgpu_type");
    fs::write(host.path(&current), "1153").unwrap();
    let foreign = watch.until("device", "created")["device"].clone();
    assert_eq!(
        (&foreign["uuid"], &foreign["vf"]),
        (&Value::Null, &vf.into())
    );
    assert_eq!(foreign["parent"], gpu);
    fs::write(host.path(&current), "0").unwrap();
    assert_eq!(watch.until("device", "removed")["device"], foreign);
}

#[test]
fn a_definition_is_told_whoever_writes_it_and_however() {
    let host = SimHost::start("two-p4");
    let mut watch = Watch::start(&host, "");
    let text = |kind: &str| format!(r#"{{"mdev_type":"{kind}","start":"auto"}}"#);
    // Written in its place.
    let file = put(&host, P1, &uuid(1), text("nvidia-63"));
    assert_eq!(watch.next("definition", "defined")["type"], "nvidia-63");
    put(&host, P1, &uuid(1), text("nvidia-64"));
    assert_eq!(watch.next("definition", "changed")["type"], "nvidia-64");
    // Written beside it, and renamed.
    let beside = put(&host, P1, ".new", text("nvidia-65"));
    fs::rename(&beside, &file).unwrap();
    assert_eq!(watch.next("definition", "changed")["type"], "nvidia-65");
    // The same again is no change; a link is a definition too.
    put(&host, P1, &uuid(1), text("nvidia-65"));
    fs::hard_link(&file, definition(&host, P1, &uuid(2))).unwrap();
    assert_eq!(
        watch.next("definition", "defined")["uuid"],
        uuid(2).as_str()
    );
    // Moved to another parent that had no directory before.
    let elsewhere = definition(&host, P2, &uuid(2));
    fs::create_dir(elsewhere.parent().unwrap()).unwrap();
    fs::rename(definition(&host, P1, &uuid(2)), &elsewhere).unwrap();
    assert_eq!(watch.next("definition", "undefined")["parent"], P1);
    assert_eq!(watch.next("definition", "defined")["parent"], P2);
    fs::remove_file(&file).unwrap();
    assert_eq!(
        watch.next("definition", "undefined")["uuid"],
        uuid(1).as_str()
    );
}

#[test]
fn the_place_of_all_definitions_may_go_and_come_back() {
    let host = SimHost::start("two-p4");
    let mut watch = Watch::start(&host, "");
    let place = host.path("etc/mdevctl.d");
    for _ in 0..2 {
        put_auto(&host, P1, &uuid(1), "nvidia-63");
        watch.next("definition", "defined");
        let aside = host.path("etc/aside");
        fs::rename(&place, &aside).unwrap();
        watch.next("definition", "undefined");
        // What is elsewhere is no definition.
        fs::write(aside.join(P1).join(uuid(3)), "{}").unwrap();
        fs::rename(&aside, &place).unwrap();
        let mut told = [
            watch.document()["event"].clone(),
            watch.document()["event"].clone(),
        ];
        told.sort_by_key(Value::to_string);
        assert_eq!(told, ["defined", "unreadable"]);
        fs::remove_dir_all(&place).unwrap();
        watch.next("definition", "undefined");
        watch.next("definition", "undefined");
    }
}

#[test]
fn a_definition_that_cannot_be_understood_is_named() {
    let host = SimHost::start("two-p4");
    let broken = put(&host, P1, &uuid(1), "{");
    let mut watch = Watch::spawn(&host, "watch --json");
    // What is wrong is told also where the present state is not.
    let told = watch.next("definition", "unreadable");
    assert_eq!(told["path"], broken.to_str().unwrap());
    assert_eq!(told["error"]["path"], broken.to_str().unwrap());
    assert!(!told["error"]["hints"].as_array().unwrap().is_empty());
    watch.next("watch", "ready");
    put_auto(&host, P1, &uuid(1), "nvidia-63");
    watch.next("definition", "changed");
    put(&host, P1, &uuid(1), "no");
    watch.next("definition", "unreadable");
    // It hides no other.
    put_auto(&host, P1, &uuid(2), "nvidia-63");
    watch.next("definition", "defined");
    put(&host, P1, "not-a-uuid", "{}");
    let warning = watch.next("warning", "told");
    let path = definition(&host, P1, "not-a-uuid");
    assert_eq!(warning["path"], path.to_str().unwrap());
}

#[test]
fn a_type_that_cannot_be_read_is_a_warning_and_hides_nothing() {
    let host = SimHost::start("two-p4");
    let mut watch = Watch::start(&host, "");
    let bad = format!("{P1}/nvidia-65/available_instances");
    host.ctl(&["break", &bad, "garbage"]);
    host.run(&format!("create -t P4-1Q -p {P1} -u {}", uuid(1)))
        .expect(0);
    watch.next("definition", "defined");
    watch.next("device", "created");
    let warning = watch.next("warning", "told");
    assert!(
        warning["path"]
            .as_str()
            .unwrap()
            .ends_with(&bad.replace(P1, "")[1..]),
        "{warning}"
    );
}

#[test]
fn who_opens_and_closes_a_device_is_told() {
    let host = SimHost::start("two-p4");
    for n in [1, 2] {
        host.run(&format!("create -t P4-1Q -u {}", uuid(n)))
            .expect(0);
    }
    let mut watch = Watch::start(&host, "");
    let by_group = node(&host, &uuid(1), "vfio_group");
    let by_device = node(&host, &uuid(2), "vfio_device");
    let first = HeldOpen::open(&by_group, "-name guest=web,debug-threads=on");
    let told = watch.next("holder", "opened");
    assert_eq!(told["uuid"], uuid(1).as_str());
    assert_eq!(told["pid"], first.pid());
    assert_eq!(told["vm"], "web");
    let second = HeldOpen::open(&by_device, "");
    let told = watch.next("holder", "opened");
    assert_eq!(told["uuid"], uuid(2).as_str());
    assert_eq!(told["command"], "bash");
    first.close();
    assert_eq!(watch.next("holder", "closed")["vm"], "web");
    // One that is killed lets go as well.
    let pid = second.pid();
    drop(second);
    assert_eq!(watch.next("holder", "closed")["pid"], pid);
}

#[test]
fn the_state_comes_first_where_it_is_asked_for() {
    let host = SimHost::start("two-p4");
    host.run(&format!("create -t P4-1Q -u {}", uuid(1)))
        .expect(0);
    put(&host, P2, &uuid(2), "{");
    let held = HeldOpen::open(&node(&host, &uuid(1), "vfio_group"), "-name web");
    let mut watch = Watch::start(&host, "--initial");
    let mut told = Vec::new();
    let ready = loop {
        let document = watch.document();
        let word = |key: &str| document[key].as_str().unwrap().to_owned();
        match word("event").as_str() {
            "ready" => break document["watch"].clone(),
            event => told.push(format!("{} {event}", word("subject"))),
        }
    };
    told.sort();
    assert_eq!(
        told,
        [
            "definition present",
            "definition unreadable",
            "device present",
            "holder present",
            "parent present",
            "parent present",
            "types present",
            "types present",
        ]
    );
    assert_eq!(ready["parents"], 2);
    assert_eq!(ready["devices"], 1);
    assert_eq!(ready["definitions"], 2);
    held.close();
    watch.next("holder", "closed");
}

#[test]
fn lines_for_people_have_a_time_and_one_change_each() {
    let host = SimHost::start("two-p4");
    let mut watch = Watch::spawn(&host, "watch");
    let words = |line: &str| {
        let (time, rest) = line.split_once("  ").unwrap();
        assert_eq!(time.len(), "22:14:05".len(), "{line}");
        rest.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    let ready = words(&watch.line());
    assert_eq!(ready, "watch ready 2 parents, 0 devices, 0 definitions");
    host.run(&format!("create -t P4-8Q -p {P1} -u {}", uuid(1)))
        .expect(0);
    let place = format!("{} nvidia-66 (P4-8Q) on {P1}", uuid(1));
    assert_eq!(
        words(&watch.line()),
        format!("definition defined {place}, auto")
    );
    assert_eq!(words(&watch.line()), format!("device created {place}"));
    let types = words(&watch.line());
    assert!(
        types.starts_with(&format!("types changed {P1}: P4-1Q 8 -> 0, ")),
        "{types}"
    );
    // A name that is meant to draw on the terminal.
    let evil = format!("{}\u{1b}[2J", "x");
    put(&host, P1, &uuid(2), format!(r#"{{"mdev_type":"{evil}"}}"#));
    let line = watch.line();
    assert!(
        !line.contains('\u{1b}') && line.contains("unreadable"),
        "{line:?}"
    );
    watch.send(Signal::SIGTERM);
    let (status, said) = watch.end();
    assert_eq!(status, Some(0));
    assert!(
        said.starts_with("note: this sysfs is not the kernel's own"),
        "{said}"
    );
}

#[test]
fn every_document_is_as_it_is_pinned() {
    let host = SimHost::start("gvt-g");
    let mut watch = Watch::start(&host, "--initial");
    let parent = watch.until("parent", "present");
    let id = parent["parent"]["id"].as_str().unwrap().to_owned();
    let mut told = vec![
        parent,
        watch.until("types", "present"),
        watch.until("watch", "ready"),
    ];
    let line = format!("create -t i915-GVTg_V5_8 -p {id} -u {}", uuid(1));
    host.run(&line).expect(0);
    told.push(watch.until("definition", "defined"));
    told.push(watch.until("device", "created"));
    told.push(watch.until("types", "changed"));
    let held = HeldOpen::open(&node(&host, &uuid(1), "vfio_group"), "-name guest=web");
    let mut holder = watch.until("holder", "opened");
    assert_eq!(holder["holder"]["pid"], held.pid());
    holder["holder"]["pid"] = 4711.into();
    told.push(holder);
    held.close();
    watch.until("holder", "closed");
    put(&host, &id, &uuid(1), "{");
    told.push(watch.until("definition", "unreadable"));
    put(&host, &id, "x", "{");
    told.push(watch.until("warning", "told"));
    let mut text = String::new();
    for mut document in told {
        let time = document["time"].as_str().unwrap();
        let shape: String = time
            .chars()
            .map(|c| if c.is_ascii_digit() { '0' } else { c })
            .collect();
        assert_eq!(shape, "0000-00-00T00:00:00.000000Z");
        document["time"] = shape.into();
        text += &format!("{document}\n");
    }
    let text = text.replace(host.root().to_str().unwrap(), "[ROOT]");
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cli/fixtures/watch.jsonl");
    if std::env::var_os("VGPUCTL_UPDATE_FIXTURES").is_some() {
        fs::write(&path, &text).unwrap();
    }
    assert_eq!(text, fs::read_to_string(&path).unwrap());
}

#[test]
fn a_flood_is_told_whole_and_each_change_once() {
    const DEFINITIONS: usize = 3000;
    let host = SimHost::start("sixteen-p4");
    let mut watch = Watch::start(&host, "");
    let name = |n: usize| format!("00000000-0000-4000-8000-{n:012}");
    // Once a second change is told, the new directory has been looked through.
    put_auto(&host, P1, &uuid(1), "nvidia-63");
    watch.next("definition", "defined");
    put_auto(&host, P1, &uuid(1), "nvidia-64");
    watch.next("definition", "changed");
    for n in 0..DEFINITIONS {
        put_auto(&host, P1, &name(n), "nvidia-63");
    }
    host.run("create -t P4-1Q --count 8 --transient").expect(0);
    let mut defined = Vec::new();
    let mut created = 0;
    while defined.len() < DEFINITIONS || created < 8 {
        let document = watch.document();
        match document["subject"].as_str() {
            Some("definition") => {
                assert_eq!(document["event"], "defined");
                defined.push(document["definition"]["uuid"].as_str().unwrap().to_owned());
            }
            Some("device") => created += 1,
            _ => {}
        }
    }
    defined.sort();
    assert_eq!(defined, (0..DEFINITIONS).map(name).collect::<Vec<_>>());
    // Nothing of it is told a second time.
    fs::remove_dir_all(host.path(&format!("etc/mdevctl.d/{P1}"))).unwrap();
    for _ in 0..=DEFINITIONS {
        watch.next("definition", "undefined");
    }
    put_auto(&host, P2, &uuid(1), "nvidia-63");
    watch.next("definition", "defined");
}

#[test]
fn signals_end_it_in_good_order() {
    let host = SimHost::start("two-p4");
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let watch = Watch::start(&host, "");
        watch.send(signal);
        assert_eq!(watch.end(), (Some(0), String::new()), "{signal}");
    }
}

#[test]
fn a_reader_that_goes_ends_it_though_nothing_happens() {
    let host = SimHost::start("two-p4");
    for options in ["", "--initial"] {
        let mut watch = Watch::start(&host, options);
        watch.stdout = None;
        assert_eq!(watch.end(), (Some(0), String::new()), "{options}");
    }
}

#[test]
fn a_reader_that_reads_no_more_does_not_keep_it_from_ending() {
    let host = SimHost::start("sixteen-p4");
    let watch = Watch::spawn(&host, "watch --json --initial");
    let stdout = watch.stdout.as_ref().unwrap().get_ref();
    let room = fcntl(stdout, FcntlArg::F_SETPIPE_SZ(4096)).unwrap();
    // Its types alone are more than the pipe and this reader hold.
    assert!(readable(stdout));
    assert!(room < 10_000, "{room}");
    watch.send(Signal::SIGTERM);
    assert_eq!(watch.end().0, Some(0));
}

#[test]
fn a_full_disk_is_an_error() {
    let host = SimHost::start("two-p4");
    let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
    let status = host
        .command(["watch"])
        .stdout(full)
        .stderr(Stdio::null())
        .status();
    assert_eq!(status.unwrap().code(), Some(1));
}

#[test]
fn without_root_it_says_whom_it_cannot_see() {
    let host = SimHost::start("two-p4");
    host.run(&format!("create -t P4-1Q -u {}", uuid(1)))
        .expect(0);
    let copy = host.path("usr/vgpuctl");
    let copied = Command::new("cp")
        .args([env!("CARGO_BIN_EXE_vgpuctl").as_ref(), copy.as_os_str()])
        .status();
    assert!(copied.unwrap().success());
    let child = Command::new(copy)
        .args(["watch", "--json"])
        .env("VGPUCTL_ROOT", host.root())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .uid(65534)
        .gid(65534)
        .spawn();
    let mut child = child.unwrap();
    let stdout = child.stdout.take().map(BufReader::new);
    let mut watch = Watch::of(child, stdout);
    assert_eq!(watch.next("watch", "ready")["sees_all_processes"], false);
    host.run(&format!("remove {}", uuid(1))).expect(0);
    watch.until("device", "removed");
}

/// What strace says of a program that sleeps in the kernel until something happens: a call that
/// has no time limit and has not returned.
#[test]
fn where_nothing_happens_nothing_is_done() {
    let host = SimHost::start("two-p4");
    let mut child = host
        .strace(&["-e", "trace=poll"], ["watch", "--json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut trace = child.stderr.take().unwrap();
    let stdout = child.stdout.take().map(BufReader::new);
    let mut watch = Watch::of(child, stdout);
    let mut asleep = |mut after: bool| {
        let begin = Instant::now();
        let mut text = String::new();
        let mut piece = [0; 4096];
        loop {
            assert!(
                begin.elapsed() < PATIENCE && readable(&trace),
                "it looks for changes: {text}"
            );
            let count = trace.read(&mut piece).unwrap();
            text += std::str::from_utf8(&piece[..count]).unwrap();
            after |= text.contains("(Timeout)");
            let last = text.lines().last().unwrap_or_default();
            if after && last.contains("], 3, -1") && !last.contains(" = ") {
                return;
            }
        }
    };
    watch.until("watch", "ready");
    asleep(true);
    host.run(&format!("create -t P4-1Q -u {} --transient", uuid(1)))
        .expect(0);
    watch.until("device", "created");
    asleep(false);
    let pid = Pid::from_raw(i32::try_from(watch.child.id()).unwrap());
    let traced = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
    kill(
        Pid::from_raw(traced.trim().parse().unwrap()),
        Signal::SIGTERM,
    )
    .unwrap();
    assert_eq!(watch.child.wait().unwrap().code(), Some(0));
}

#[test]
fn a_table_is_for_terminals_and_for_people() {
    let host = SimHost::start("two-p4");
    let run = host.run("watch --table").expect(2);
    assert!(run.stderr.contains("--table needs a terminal"), "{run:?}");
    assert!(run.stderr.contains("vgpuctl watch"), "{run:?}");
    host.run("watch --table --json").expect(2);
    host.run("watch --table --initial").expect(2);
}

#[test]
fn a_table_on_a_terminal_is_kept_up_to_date() {
    let host = SimHost::start("two-p4");
    let (mut screen, slave) = Screen::open();
    let child = host
        .command(["watch", "--table"])
        .env("TERM", "xterm")
        .stdout(slave)
        .stderr(Stdio::piped())
        .spawn();
    let mut watch = Watch::of(child.unwrap(), None);
    screen.until(|frame| frame.contains("2 parents, 0 devices") && frame.contains("P4-1Q 8"));
    host.run(&format!("create -t P4-2Q -p {P1} -u {}", uuid(1)))
        .expect(0);
    let here = |frame: &str| {
        let line = frame.lines().find(|line| line.contains(&uuid(1)));
        line.map(str::to_owned)
    };
    screen.until(|frame| here(frame).is_some_and(|line| line.contains(" active")));
    let held = HeldOpen::open(&node(&host, &uuid(1), "vfio_group"), "-name guest=web");
    screen.until(|frame| here(frame).is_some_and(|line| line.contains("VM web")));
    held.close();
    screen.until(|frame| here(frame).is_some_and(|line| !line.contains("VM web")));
    host.run(&format!("stop {}", uuid(1))).expect(0);
    screen.until(|frame| here(frame).is_some_and(|line| line.contains("inactive")));
    host.run(&format!("undefine {}", uuid(1))).expect(0);
    screen.until(|frame| here(frame).is_none());
    // Each drawing takes the place of the one before, and nothing is hidden or left changed.
    assert_eq!(screen.frames.matches("\u{1b}[2J").count(), 1);
    for hidden in ["\u{1b}[?25l", "\u{1b}[?1049h"] {
        assert!(!screen.frames.contains(hidden));
    }
    // The terminal goes: so does the table.
    drop(screen);
    watch.child.wait().unwrap();
}

/// What a terminal was sent.
struct Screen {
    terminal: PtyMaster,
    frames: String,
}

impl Screen {
    /// A terminal, and the end of it that programs write to.
    fn open() -> (Screen, File) {
        let (terminal, slave) = terminal::open();
        let frames = String::new();
        (Screen { terminal, frames }, slave)
    }

    /// Returns when the last whole drawing is such.
    #[track_caller]
    fn until(&mut self, is_so: impl Fn(&str) -> bool) {
        loop {
            let whole = self.frames.rsplit("\u{1b}[J").nth(1).unwrap_or_default();
            if is_so(whole) {
                return;
            }
            assert!(readable(&self.terminal), "the last drawing is {whole}");
            let mut piece = [0; 4096];
            let count = self.terminal.read(&mut piece).unwrap();
            self.frames += &String::from_utf8_lossy(&piece[..count]);
        }
    }
}
