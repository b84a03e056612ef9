//! `apply` that fails in the middle, is killed anywhere, or runs twice at once.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::time::Instant;

use crate::harness::{SimHost, finished};
use crate::helpers::{P1, P2};
use crate::plan::{apply, file, host, plan};

/// What is there before: three that are to change their type, to lose their parameters, and to go.
const BEFORE: &str = r#"
[[group]]
name = "a"
type = "P4-1Q"
names = ["retyped", "gone"]
gpus = "0000:81:00.0"

[[group]]
name = "b"
type = "P4-4Q"
names = ["set"]
gpus = "0000:82:00.0"
params = { disable_vnc = 1 }
"#;

const AFTER: &str = r#"
unlisted = "remove"

[[group]]
name = "a"
type = "P4-2Q"
names = ["retyped", "new"]
gpus = "0000:81:00.0"

[[group]]
name = "b"
type = "P4-4Q"
names = ["set"]
gpus = "0000:82:00.0"
params = { disable_vnc = 0 }
"#;

/// All that the host has: definitions by path, devices with type, parent and parameters.
fn everything(host: &SimHost) -> (BTreeMap<String, String>, BTreeSet<String>) {
    let mut definitions = BTreeMap::new();
    for dir in [P1, P2] {
        let Ok(files) = fs::read_dir(host.path("etc/mdevctl.d").join(dir)) else {
            continue;
        };
        for file in files {
            let path = file.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if !name.starts_with('.') {
                let text = fs::read_to_string(&path).unwrap();
                definitions.insert(format!("{dir}/{name}"), text);
            }
        }
    }
    let status = host.status();
    let devices = status["devices"].as_array().unwrap().iter();
    let one = |device: &serde_json::Value| {
        let keys = ["uuid", "parent", "type", "vgpu_params", "stage"];
        keys.map(|key| device[key].to_string()).join(" ")
    };
    (definitions, devices.map(one).collect())
}

#[test]
fn a_create_that_fails_in_the_middle_is_told_and_everything_taken_back() {
    let host = host("two-p4");
    apply(&host, BEFORE).expect(0);
    let before = everything(&host);
    for number in 1..=3 {
        host.ctl(&["fail-create", &number.to_string(), "EIO"]);
        let run = apply(&host, AFTER).expect(1);
        assert!(run.stderr.starts_with("error: cannot create "), "{run:#?}");
        assert!(run.stderr.contains("(EIO)"), "{run:#?}");
        assert!(
            run.stderr.contains("rolled back: the host is unchanged"),
            "{run:#?}"
        );
        assert_eq!(
            everything(&host),
            before,
            "after the failure of create {number}"
        );
    }
    apply(&host, AFTER).expect(0);
    plan(&host, AFTER).expect(0);
}

#[test]
fn what_cannot_be_taken_back_is_told_after_the_cause() {
    let host = host("two-p4");
    apply(&host, BEFORE).expect(0);
    // The second create fails, and so do those that are to bring back what went.
    for number in 2..=6 {
        host.ctl(&["fail-create", &number.to_string(), "EIO"]);
    }
    let run = apply(&host, AFTER).expect(1);
    let (cause, rest) = run.stderr.split_once("; rollback failed: ").unwrap();
    assert!(
        cause.contains("(EIO)") && rest.contains("(EIO)"),
        "{run:#?}"
    );
    assert!(
        rest.contains("steps before it were rolled back"),
        "{run:#?}"
    );
    host.ctl(&["mend"]);
    apply(&host, AFTER).expect(0);
    plan(&host, AFTER).expect(0);
}

#[test]
fn two_at_once_end_as_declared() {
    const ROUNDS: usize = 6;
    let host = host("two-p4");
    let mut statuses = BTreeMap::new();
    for round in 0..ROUNDS {
        let text = [AFTER, BEFORE][round % 2].replace("unlisted = \"remove\"", "");
        let text = format!("unlisted = \"remove\"\n{text}");
        let path = file(&host, &text);
        let start = || {
            host.command(["apply", "--yes", path.to_str().unwrap()])
                .stdout(std::process::Stdio::piped())
                .stderr(std::process::Stdio::piped())
                .spawn()
                .unwrap()
        };
        let children = [start(), start(), start()];
        for child in children {
            let run = finished(child.wait_with_output().unwrap());
            *statuses.entry(run.status).or_insert(0) += 1;
            assert!(matches!(run.status, 0 | 1 | 7), "{run:#?}");
        }
        // Whoever found the host changed under its hands took back its own part, and no more.
        apply(&host, &text).expect(0);
        plan(&host, &text).expect(0);
        assert_eq!(host.active(), host.defined());
    }
    println!("{ROUNDS} rounds of three at once ended with {statuses:?}");
}

#[test]
fn killed_anywhere_the_next_apply_finishes() {
    let begin = Instant::now();
    let host = host("two-p4");
    few_processes(&host);
    let path = file(&host, AFTER);
    let line = format!("apply --yes {}", path.display());
    prepare(&host);
    let points = crate::crash::points::calls(&host, &line);
    assert!(points.len() > 50, "{points:?}");
    let done = everything(&host);
    prepare(&host);
    let before = whole_state(&host);
    let mut left = BTreeSet::new();
    let mut kills = 0;
    for point in &points {
        let at = format!("killed before {point:?}");
        if whole_state(&host) != before {
            prepare(&host);
        }
        if !crate::crash::points::kill_if_reached(&host, &line, point) {
            continue;
        }
        kills += 1;
        // The same command again is tried wherever a kill left what no kill before it left.
        if !left.insert(whole_state(&host)) {
            continue;
        }
        let run = host.run(&line);
        assert_eq!(run.status, 0, "{at}: {run:#?}");
        assert_eq!(everything(&host), done, "{at}: {run:#?}");
        let run = host.run(&format!("plan {}", path.display()));
        assert_eq!(run.status, 0, "{at}: {run:#?}");
    }
    println!(
        "apply: killed at {kills} of {} system calls, which left {} different states, in {:.0} s",
        points.len(),
        left.len(),
        begin.elapsed().as_secs_f64()
    );
}

#[test]
fn a_definition_that_moves_is_somewhere_whenever_apply_is_killed() {
    const HERE: &str = "[[group]]\nname = \"a\"\ntype = \"P4-1Q\"\nnames = [\"x\", \"y\"]\n\
                        gpus = \"0000:81:00.0\"\n";
    let there = HERE.replace(":81:", ":82:");
    let host = host("two-p4");
    few_processes(&host);
    let before = host.path("usr/before.toml");
    write(&before, &format!("version = 1\n{HERE}"));
    let start_over = || {
        host.ctl(&["reboot"]);
        let _ = fs::remove_dir_all(host.path("etc/mdevctl.d"));
        host.run(&format!("apply --yes {}", before.display()))
            .expect(0);
    };
    start_over();
    let was = everything(&host).0;
    let path = file(&host, &there);
    let line = format!("apply --yes {}", path.display());
    let points = crate::crash::points::calls(&host, &line);
    let will_be = everything(&host).0;
    let uuids = |definitions: &BTreeMap<String, String>| -> BTreeSet<String> {
        let name = |path: &String| path.rsplit('/').next().unwrap().to_owned();
        definitions.keys().map(name).collect()
    };
    assert_eq!(uuids(&was).len(), 2);
    assert_eq!(uuids(&was), uuids(&will_be));
    let mut seen = BTreeSet::new();
    for point in points
        .iter()
        .filter(|(name, _)| CHANGES.contains(&name.as_str()))
    {
        start_over();
        crate::crash::points::kill_if_reached(&host, &line, point);
        let now = everything(&host).0;
        assert_eq!(uuids(&now), uuids(&was), "killed before {point:?}");
        for (path, text) in &now {
            let either = [was.get(path), will_be.get(path)];
            assert!(either.contains(&Some(text)), "{path} at {point:?}: {text}");
        }
        // After a boot each is started once, wherever it is by then.
        host.ctl(&["reboot"]);
        host.run("restore");
        assert_eq!(
            host.active(),
            Vec::from_iter(uuids(&was)),
            "killed before {point:?}"
        );
        seen.insert(now.into_keys().collect::<Vec<_>>());
    }
    println!(
        "definitions were in {} different sets of places",
        seen.len()
    );
    assert!(seen.len() > 2, "{seen:?}");
    host.run(&line).expect(0);
    assert_eq!(everything(&host).0, will_be);
}

/// The calls that change files, or make their changes last.
const CHANGES: [&str; 7] = [
    "renameat",
    "renameat2",
    "unlinkat",
    "unlink",
    "mkdirat",
    "fsync",
    "write",
];

/// A machine's real processes come and go, and so would the calls that look at them.
fn few_processes(host: &SimHost) {
    fs::remove_file(host.path("proc")).unwrap();
    fs::create_dir_all(host.path("proc/4711/fd")).unwrap();
}

/// All that a run leaves, its notes and half-written files too.
fn whole_state(host: &SimHost) -> (BTreeSet<String>, BTreeMap<String, String>, BTreeSet<String>) {
    let (definitions, devices) = everything(host);
    let mut names = BTreeSet::new();
    for dir in [
        "run/vgpuctl",
        "etc/mdevctl.d/0000:81:00.0",
        "etc/mdevctl.d/0000:82:00.0",
    ] {
        for entry in fs::read_dir(host.path(dir)).into_iter().flatten() {
            let name = entry.unwrap().file_name().to_string_lossy().into_owned();
            // A hidden file's name ends in its writer's process id.
            let name = name.trim_end_matches(|c: char| c.is_ascii_digit());
            if name.starts_with('.') || name.ends_with(".unfinished") {
                names.insert(format!("{dir}/{name}"));
            }
        }
    }
    (names, definitions, devices)
}

/// The host as it is before each run.
fn prepare(host: &SimHost) {
    host.ctl(&["reboot"]);
    let _ = fs::remove_dir_all(host.path("etc/mdevctl.d"));
    let before = host.path("usr/before.toml");
    write(&before, &format!("version = 1\n{BEFORE}"));
    host.run(&format!("apply --yes {}", before.display()))
        .expect(0);
}

fn write(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
}

#[test]
fn optional_vgpus_that_find_no_room_after_all_are_left_out() {
    let host = host("two-p4");
    let text = "[[group]]\nname = \"pool\"\ntype = \"P4-2Q\"\nper-gpu = \"max\"\ngpus = \"0000:81:00.0\"\n";
    // The driver takes two of the four that it offers.
    host.ctl(&["fail-create", "3", "ENOSPC"]);
    let run = apply(&host, text).expect(0);
    assert!(run.stderr.contains("3 created"), "{run:#?}");
    assert!(
        run.stderr
            .contains("warning: pool/0000:81:00.0/2 is left out: "),
        "{run:#?}"
    );
    let made = host.active();
    assert_eq!((made.len(), host.defined().len()), (3, 3));
    // One that has to be there is not left out.
    host.ctl(&["fail-create", "1", "ENOSPC"]);
    let more = "[[group]]\nname = \"must\"\ntype = \"P4-2Q\"\ncount = 1\ngpus = 1\n";
    let run = apply(&host, more);
    assert_ne!(run.status, 0, "{run:#?}");
    assert_eq!(host.active(), made);
}
