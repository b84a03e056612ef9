//! Killed where it hurts: what is kept is whole, and the next command settles the rest. Every system call
//! of every verb is tried elsewhere; here are verbs and moments that are not.

use std::collections::BTreeSet;
use std::fs;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use super::frame::{Group, Known, New, sound};
use super::scene::{Scene, active, clear, sight};
use crate::crash::points::{Point, calls, kill_if_reached};
use crate::helpers::{P1, P2, definition, uuid};
use crate::script;

/// Whether every definition is a whole one.
fn all_whole(scene: &Scene) -> bool {
    sight(&scene.host.path("etc/mdevctl.d"))
        .iter()
        .filter(|(path, (mode, ..))| {
            let is_hidden = path
                .file_name()
                .is_some_and(|name| name.to_string_lossy().starts_with('.'));
            mode & 0o170_000 == 0o100_000 && !is_hidden
        })
        .all(|(_, (.., text))| {
            serde_json::from_slice::<serde_json::Value>(text)
                .is_ok_and(|document| document["mdev_type"].is_string())
        })
}

/// The last call of each of these names that a verb makes: where something is about to be the case.
fn moments(all: &BTreeSet<Point>) -> Vec<Point> {
    let names = [
        "openat",
        "write",
        "fsync",
        "renameat",
        "renameat2",
        "rename",
        "unlink",
        "unlinkat",
        "flock",
        "fchmod",
        "mkdirat",
    ];
    names
        .iter()
        .filter_map(|name| {
            all.iter()
                .filter(|(call, _)| call == name)
                .max_by_key(|(_, count)| *count)
                .cloned()
        })
        .collect()
}

#[test]
fn verbs_that_are_killed_leave_whole_files() {
    let mut group = Group::part("kills");
    let scene = Scene::new();
    // A machine's real processes come and go, and so would the calls.
    fs::remove_file(scene.host.path("proc")).unwrap();
    fs::create_dir_all(scene.host.path("proc/1/fd")).unwrap();
    let prom = scene.host.path("usr/x.prom");
    let metrics = format!("metrics --output {}", prom.display());
    for line in [
        "apply --yes {file}",
        "undefine {2}",
        "stop {1}",
        metrics.as_str(),
    ] {
        let line = scene.line(line);
        scene.reset();
        let points = moments(&calls(&scene.host, &line));
        for point in points {
            scene.reset();
            let was_killed = kill_if_reached(&scene.host, &line, &point);
            let (whole, list) = (all_whole(&scene), scene.run("list"));
            let restored = scene.run("restore");
            let again = scene.run(&line);
            let left = sight(&scene.host.path("run/vgpuctl"));
            let marks = left
                .keys()
                .filter(|path| path.extension().is_some_and(|end| end == "unfinished"))
                .count();
            let is_settled = again.status == 0
                || again.status == 3
                || again.stderr.contains("already")
                || again.stderr.contains("not active");
            let holds = [
                ("it was killed", was_killed),
                ("every definition is whole", whole),
                ("the list is sound", sound(&list) && list.status == 0),
                (
                    "a restore does what is left",
                    restored.status == 0 && active(&scene.host).contains(&uuid(3))
                        || line.starts_with("apply"),
                ),
                ("the same command again settles it", is_settled),
                ("no mark is left", marks == 0),
                (
                    "the file of metrics is whole or not there",
                    fs::read_to_string(&prom).is_ok_and(|text| text.ends_with('\n'))
                        || !line.starts_with("metrics"),
                ),
            ];
            let short = line
                .split(" /")
                .next()
                .unwrap()
                .replace(&uuid(1), "{1}")
                .replace(&uuid(2), "{2}");
            let known = line.starts_with("metrics") && point.0 != "openat";
            let age = if known { Known } else { New };
            group.check(
                age,
                format!("{short}, killed before {} {}", point.0, point.1),
                &(list, restored, again),
                &holds,
            );
        }
    }
    group.end();
}

/// Waits for something that another process does.
fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !is_so() {
        assert!(
            begin.elapsed() < Duration::from_secs(60),
            "{what} never happened"
        );
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn spawn(scene: &Scene, line: &str) -> Child {
    let mut command = scene.command(line);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().unwrap()
}

fn kill(mut child: Child) {
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn moments_that_last() {
    let mut group = Group::part("kills");
    let scene = Scene::new();
    let create = "create -t nvidia-63 -p {p} -u {4} --param disable_vnc=1";
    let callout = scene.host.path("usr/lib/mdevctl/scripts.d/callouts/10-x");
    let ran = scene.host.path("usr/ran");
    // While a script is asked, and while it is told.
    for event in ["pre", "post"] {
        for (line, device) in [
            (create, 4),
            ("start {2}", 2),
            ("stop {1}", 1),
            ("restore", 3),
        ] {
            scene.reset();
            clear(&ran);
            script::install(
                &callout,
                &format!(
                    "#!/bin/bash\ncase \"$*\" in *'-e {event}'*) touch '{}'; exec sleep 5;; *'-e p'*) exit 0;; *) exit 2;; esac\n",
                    ran.display()
                ),
            );
            let child = spawn(&scene, line);
            until("the script's start", || ran.exists());
            kill(child);
            fs::remove_file(&callout).unwrap();
            let (whole, list) = (all_whole(&scene), scene.run("list"));
            let again = scene.run(line);
            let is_there = active(&scene.host).contains(&uuid(device));
            let wanted = line != "stop {1}";
            let holds = [
                ("every definition is whole", whole && list.status == 0),
                (
                    "the same command again settles it",
                    again.status == 0
                        || again.stderr.contains("already")
                        || again.stderr.contains("not active"),
                ),
                ("the device is as asked for", is_there == wanted),
            ];
            group.check(
                New,
                format!("{line}, killed while a script is called ({event})"),
                &(list, again),
                &holds,
            );
        }
    }
    // While the kernel makes or removes the device.
    for (line, slow, device, wanted) in [
        (create, "delay-create", 4, true),
        ("restore", "delay-create", 3, true),
        ("stop {1}", "delay-remove", 1, false),
        ("remove {1}", "delay-remove", 1, false),
    ] {
        scene.reset();
        scene.host.ctl(&[slow, "300"]);
        let counter = if slow == "delay-create" {
            "create_writes"
        } else {
            "remove_writes"
        };
        let before = crate::helpers::counter(&scene.host, counter);
        let child = spawn(&scene, line);
        until("the write to sysfs", || {
            crate::helpers::counter(&scene.host, counter) > before
        });
        kill(child);
        scene.host.ctl(&["mend"]);
        let settled = scene.run("restore");
        let again = scene.run(line);
        until("the kernel's end of it", || {
            active(&scene.host).contains(&uuid(device)) == wanted
        });
        let whole = all_whole(&scene);
        let holds = [
            ("every definition is whole", whole),
            ("a restore is sound", sound(&settled)),
            (
                "the same command again settles it",
                again.status == 0
                    || again.stderr.contains("already")
                    || again.status == 3
                    || again.stderr.contains("not active"),
            ),
            (
                "its definition is as the device",
                definition(
                    &scene.host,
                    if device == 3 { P2 } else { P1 },
                    &uuid(device),
                )
                .exists()
                    == (wanted || line == "stop {1}"),
            ),
        ];
        group.check(
            New,
            format!("{line}, killed while the kernel is at it"),
            &(settled, again),
            &holds,
        );
    }
    // While it waits for another's lock: nothing has been done, and the lock is nobody's afterwards.
    for line in ["define -t nvidia-63 -p {p} -u {4}", "modify {2} --auto"] {
        scene.reset();
        fs::create_dir_all(scene.host.path("run/vgpuctl")).unwrap();
        let lock = scene.host.path(&format!("run/vgpuctl/{P1}.lock"));
        let file = fs::OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&lock)
            .unwrap();
        let held = nix::fcntl::Flock::lock(file, nix::fcntl::FlockArg::LockExclusive)
            .map_err(|(_, errno)| errno)
            .unwrap();
        let before = scene.state();
        let child = spawn(&scene, line);
        let fds = format!("/proc/{}/fd", child.id());
        until("the lock's opening", || {
            let links = fs::read_dir(&fds).into_iter().flatten().flatten();
            links
                .filter_map(|link| fs::read_link(link.path()).ok())
                .any(|target| target == lock)
        });
        kill(child);
        let same = scene.state() == before;
        drop(held);
        let again = scene.run(line);
        group.check(
            New,
            format!("{line}, killed while it waits for the lock"),
            &again,
            &[
                ("nothing was done", same),
                ("the same command does it", again.status == 0),
            ],
        );
    }
    group.end();
}
