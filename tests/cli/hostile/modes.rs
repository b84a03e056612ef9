//! Whose what the program writes is, and who may read and write it: whatever the umask, and whatever
//! stood there before.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::path::{Path, PathBuf};

use super::frame::{Group, Known, New, sound};
use super::scene::{Scene, active, by_shell, ended, sight};
use crate::harness::SimHost;
use crate::helpers::{P1, P2, definition, put, uuid};

/// What is wrong with the modes below a host's own folders.
fn wrong_modes(root: &Path) -> Vec<(PathBuf, u32)> {
    let mut wrong = Vec::new();
    for below in ["etc/mdevctl.d", "etc/vgpuctl.d", "run/vgpuctl", "usr/out"] {
        for (path, (mode, ..)) in sight(&root.join(below)) {
            let is_lock = path.extension().is_some_and(|end| end == "lock");
            let wanted = match (mode & 0o170_000 == 0o040_000, is_lock) {
                (true, _) => 0o755,
                (false, true) => 0o600,
                (false, false) => 0o644,
            };
            if mode & 0o7777 != wanted {
                wrong.push((path, mode));
            }
        }
    }
    wrong
}

#[test]
fn modes_do_not_follow_the_umask() {
    let mut group = Group::part("modes");
    let scene = Scene::new();
    let prom = scene.host.path("usr/out/x.prom");
    let metrics = format!("metrics --output {}", prom.display());
    let lines = [
        "create -t nvidia-63 -p {p} -u {4} --param disable_vnc=1",
        "define -t nvidia-63 -p 0000:99:00.0 -u {4}",
        "modify {2} --auto",
        "modify {1} --param disable_vnc=1",
        "start {2}",
        "stop {1}",
        "restore",
        "apply --yes {file}",
        metrics.as_str(),
    ];
    let theirs = [
        "define -p 0000:99:00.0 -u {4} -t nvidia-63 --auto",
        "define -u {1} -p {p2} -t nvidia-63",
        "modify -u {2} --addattr nvidia/vgpu_params --value x=1",
        "start -u {4} -p {p} -t nvidia-63",
    ];
    // Another test has these, of create and restore.
    for umask in ["000", "077", "0777"] {
        let script = format!("umask {umask}; exec \"$@\"");
        for line in lines {
            scene.reset();
            fs::create_dir_all(prom.parent().unwrap()).unwrap();
            let run = ended(scene.by_shell(&script, line));
            let wrong = wrong_modes(scene.root());
            let known = line == "restore" || line.starts_with("create");
            let age = if known { Known } else { New };
            let holds = [
                ("it is done", run.status == 0),
                ("every mode is its own", wrong.is_empty()),
            ];
            let short = line.split(" /").next().unwrap();
            group.check(
                age,
                format!("{short}, umask {umask}"),
                &(run, wrong),
                &holds,
            );
        }
        for line in theirs {
            scene.reset();
            let run = ended(scene.mdevctl_by_shell(&script, line));
            let wrong = wrong_modes(scene.root());
            let holds = [
                ("it is done", run.status == 0),
                ("every mode is its own", wrong.is_empty()),
            ];
            group.check(
                New,
                format!("mdevctl {line}, umask {umask}"),
                &(run, wrong),
                &holds,
            );
        }
    }
    let host = SimHost::with_l40s(1, 2);
    for umask in ["000", "077", "0777"] {
        let script = format!("umask {umask}; exec \"$@\"");
        for line in [
            "vfs enable 0000:41:00.0 --at-boot",
            "create -t L40S-1Q --transient",
            "define -t L40S-1Q -p 0000:41:00.0",
            "list",
        ] {
            let run = ended(by_shell(host.root(), &script, "vgpuctl", line));
            let wrong = wrong_modes(host.root());
            // While a vGPU is there, or all functions are taken, a verb may refuse.
            let holds = [
                ("the answer is sound", sound(&run)),
                ("every mode is its own", wrong.is_empty()),
            ];
            group.check(New, format!("{line}, umask {umask}"), &(run, wrong), &holds);
        }
    }
    group.end();
}

/// A definition that is changed stays whose it was; what it may not keep is the right to become another.
#[test]
fn a_changed_file_keeps_its_owner_and_its_readers() {
    let mut group = Group::part("modes");
    let scene = Scene::new();
    let lines = [
        ("vgpuctl", "modify {2} --auto"),
        ("vgpuctl", "modify {2} --attr nvidia/vgpu_params=x=1"),
        ("vgpuctl", "modify {2} --param disable_vnc=1"),
        ("vgpuctl", "modify {2} -t nvidia-64"),
        ("mdevctl", "modify -u {2} --auto"),
        (
            "mdevctl",
            "modify -u {2} --addattr nvidia/vgpu_params --value x=1",
        ),
    ];
    for (user, owners, mode) in [
        (0, 0, 0o600),
        (1234, 5678, 0o640),
        (0, 5678, 0o660),
        (1234, 0, 0o444),
    ] {
        for (name, line) in lines {
            scene.reset();
            let path = definition(&scene.host, P1, &uuid(2));
            chown(&path, Some(user), Some(owners)).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            let before = fs::read(&path).unwrap();
            let run = match name {
                "mdevctl" => scene.run_mdevctl(line),
                _ => scene.run(line),
            };
            let meta = fs::metadata(&path).unwrap();
            let holds = [
                (
                    "it is done",
                    run.status == 0 && fs::read(&path).unwrap() != before,
                ),
                (
                    "the owner stays",
                    (meta.uid(), meta.gid()) == (user, owners),
                ),
                ("the mode stays", meta.mode() & 0o7777 == mode),
            ];
            let is_known =
                name == "vgpuctl" && line == "modify {2} --auto" && user == 1234 && mode == 0o640;
            let age = if is_known { Known } else { New };
            group.check(
                age,
                format!("{name} {line}, {user}:{owners} {mode:o}"),
                &run,
                &holds,
            );
        }
    }
    // Nobody gets more than the rights to read and write it.
    for mode in [0o4755, 0o2755, 0o1777] {
        scene.reset();
        let path = definition(&scene.host, P1, &uuid(2));
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        let run = scene.run("modify {2} --auto");
        let now = fs::metadata(&path).unwrap().mode() & 0o7777;
        let holds = [
            ("it is done", run.status == 0),
            ("no such bit is on the new file", now == mode & 0o777),
        ];
        group.check(
            New,
            format!("modify, a definition of mode {mode:o}"),
            &run,
            &holds,
        );
    }
    // Folders that are there stay as the administrator has them.
    for line in [
        "define -t nvidia-63 -p {p} -u {4}",
        "undefine {3}",
        "modify {2} --auto",
    ] {
        scene.reset();
        let top = scene.host.path("etc/mdevctl.d");
        for folder in [top.clone(), top.join(P1)] {
            chown(&folder, Some(1234), Some(5678)).unwrap();
            fs::set_permissions(&folder, fs::Permissions::from_mode(0o750)).unwrap();
        }
        let run = scene.run(line);
        let same = [top.clone(), top.join(P1)].iter().all(|folder| {
            let meta = fs::metadata(folder).unwrap();
            (meta.uid(), meta.gid(), meta.mode() & 0o7777) == (1234, 5678, 0o750)
        });
        let holds = [("it is done", run.status == 0), ("the folders stay", same)];
        group.check(
            New,
            format!("{line}, folders of 1234:5678 750"),
            &run,
            &holds,
        );
    }
    group.end();
}

/// A user without rights changes nothing by any verb, and what others may not read is not read to him.
#[test]
fn what_a_caller_may_not_touch_stays() {
    let mut group = Group::part("modes");
    let scene = Scene::new();
    let secret = put(
        &scene.host,
        P2,
        &uuid(4),
        r#"{"mdev_type":"nvidia-63","start":"manual","note":"s3cr3t"}"#,
    );
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).unwrap();
    let gpu = scene.host.path(&format!("etc/vgpuctl.d/{P2}/gpu.conf"));
    fs::create_dir_all(gpu.parent().unwrap()).unwrap();
    fs::write(&gpu, "s3cr3t\n").unwrap();
    fs::set_permissions(&gpu, fs::Permissions::from_mode(0o600)).unwrap();
    let before = scene.state();
    for line in super::scene::CHANGING {
        let run = crate::helpers::as_nobody(&scene.host, &scene.line(line));
        let holds = [
            ("it is refused", run.status != 0),
            ("nothing changed", scene.state() == before),
            ("the answer is sound", sound(&run)),
        ];
        let known = [
            "restore",
            "start {2}",
            "stop {1}",
            "remove {1}",
            "undefine {2}",
        ];
        let age = if known.contains(&line) { Known } else { New };
        group.check(age, format!("{line}, without rights"), &run, &holds);
    }
    for line in [
        "list",
        "list --json",
        "show {4}",
        "attach {4}",
        "restore --dry-run",
        "export",
        "doctor",
        "metrics",
        "list -v",
    ] {
        let run = crate::helpers::as_nobody(&scene.host, &scene.line(line));
        let holds = [
            (
                "nothing of it is told",
                !format!("{run:?}").contains("s3cr3t"),
            ),
            ("the answer is sound", sound(&run)),
            ("nothing changed", scene.state() == before),
        ];
        group.check(
            New,
            format!("{line}, of what the caller may not read"),
            &run,
            &holds,
        );
    }
    assert_eq!(active(&scene.host), [uuid(1)]);
    group.end();
}
