//! Names and links that lead elsewhere: on the command line, in sysfs, in the definitions' folders, and
//! as the host's root.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use nix::sys::stat::Mode;
use nix::unistd::mkfifo;

use super::frame::{Group, Known, New, sound, tells};
use super::scene::{CHANGING, Outside, PERSONALITY, READING, Scene, ended, mdevctl, vgpuctl};
use crate::helpers::{P1, P2, put, uuid};

/// None of these is a name of anything, and most lead out of a folder.
fn names() -> Vec<(&'static str, OsString)> {
    let long = "A".repeat(4096);
    let mut all: Vec<(&str, OsString)> = [
        ("up", "../../../../../../etc/passwd"),
        ("dots", ".."),
        ("empty", ""),
        ("long", long.as_str()),
        ("newline", "0000:81:00.0\n0000:82:00.0"),
    ]
    .map(|(what, name)| (what, OsString::from(name)))
    .to_vec();
    all.push(("no UTF-8", OsString::from_vec(b"0000:81\xff\xfe".to_vec())));
    all
}

/// Words with `@` in the place of the name.
fn with_name(scene: &Scene, line: &str, name: &OsStr) -> Vec<OsString> {
    let word = |word: &str| match word.split_once('@') {
        Some((before, after)) => {
            OsString::from_vec([before.as_bytes(), name.as_bytes(), after.as_bytes()].concat())
        }
        None => OsString::from(word),
    };
    scene.line(line).split_whitespace().map(word).collect()
}

/// Doors by which a name comes in that no other test tries: each refuses each name, and changes nothing.
#[test]
fn a_name_that_leads_elsewhere_is_refused_at_every_door() {
    let mut group = Group::part("paths");
    let scene = Scene::new();
    let before = scene.state();
    let doors = [
        "attach @",
        "attach {1} --parent @",
        "vfs @",
        "vfs enable @",
        "vfs disable @",
        "modify {2} --vf @",
        "create -t nvidia-63 --placement @",
        "doctor @",
        "define -t nvidia-63 -p @ --dry-run",
        "restore --dry-run --parent @",
        "show {1} --json --parent @",
    ];
    let theirs = [
        "define -t nvidia-63 -p @",
        "define -p {p} -t @",
        "define -p {p} -t nvidia-63 -u @",
        "undefine -u {2} -p @",
        "modify -u {2} --auto -p @",
        "modify -u {2} -t @ --auto",
        "modify -u {2} --addattr @ --value 1",
        "start -u {2} -p @",
        "start -p {p} -t @",
        "stop -u @",
        "list -p @",
        "types -p @",
        "start-parent-mdevs @",
    ];
    for (what, name) in names() {
        for door in doors {
            let run = ended(vgpuctl(scene.root(), with_name(&scene, door, &name)));
            let holds = [
                ("it is refused", [2, 3].contains(&run.status)),
                ("the answer is sound", sound(&run)),
                (
                    "it is told in short",
                    tells(&run) || door.contains("--json"),
                ),
                ("nothing changed", scene.state() == before),
            ];
            group.check(New, format!("{door} ({what})"), &run, &holds);
        }
        for door in theirs {
            // A name that is not there is no error in a list.
            let is_list = door.starts_with("list") || door.starts_with("types");
            let run = ended(mdevctl(scene.root(), with_name(&scene, door, &name)));
            let holds = [
                ("it is refused", run.status != 0 || is_list),
                ("the answer is sound", sound(&run)),
                ("it is told in short", run.stderr.len() < 2000),
                ("nothing changed", scene.state() == before),
            ];
            group.check(New, format!("mdevctl {door} ({what})"), &run, &holds);
        }
    }
    group.end();
}

/// A file that somebody names is read, and nothing else is done with what the name means.
#[test]
fn a_file_that_is_named_is_only_read() {
    let mut group = Group::part("paths");
    let scene = Scene::new();
    let fifo = scene.outside.path("fifo");
    mkfifo(&fifo, Mode::S_IRWXU).unwrap();
    let _socket = UnixListener::bind(scene.outside.path("socket")).unwrap();
    symlink("loop", scene.outside.path("loop")).unwrap();
    symlink("nowhere", scene.outside.path("dangling")).unwrap();
    let before = scene.state();
    let named = [
        ("a folder", scene.outside.path("folder")),
        ("a socket", scene.outside.path("socket")),
        ("a link to itself", scene.outside.path("loop")),
        ("a link to nowhere", scene.outside.path("dangling")),
        ("below a file", scene.outside.path("file/x")),
        ("another's file", scene.outside.path("file")),
        ("null", PathBuf::from("/dev/null")),
        ("long", PathBuf::from("/".to_owned() + &"x".repeat(5000))),
    ];
    for (what, path) in &named {
        for door in [
            "plan",
            "assert",
            "apply --yes",
            "plan --from nova",
            "explain",
        ] {
            let mut line: Vec<OsString> = door.split_whitespace().map(OsString::from).collect();
            line.push(path.into());
            let run = ended(vgpuctl(scene.root(), line));
            // An empty log or a foreign one is one in which nothing is known.
            let holds = [
                (
                    "it is refused",
                    run.status != 0 || door == "plan --from nova",
                ),
                ("the answer is sound", sound(&run)),
                ("nothing changed", scene.state() == before),
            ];
            group.check(New, format!("{door} FILE: {what}"), &run, &holds);
        }
        for door in [
            "define -p {p} -u {4}",
            "modify -u {2}",
            "start -p {p} -u {4}",
        ] {
            let mut line: Vec<OsString> = super::scene::words(&scene.line(door));
            line.extend(["--jsonfile".into(), path.into()]);
            let run = ended(mdevctl(scene.root(), line));
            let holds = [
                ("it is refused", run.status != 0),
                ("the answer is sound", sound(&run)),
                ("nothing changed", scene.state() == before),
            ];
            group.check(
                New,
                format!("mdevctl {door} --jsonfile: {what}"),
                &run,
                &holds,
            );
        }
    }
    group.end();
}

/// What stands in a definition's or a folder's place.
fn put_in_place(kind: &str, place: &Path, outside: &Outside) {
    let _ = fs::remove_file(place);
    match kind {
        "a link to a folder" => symlink(outside.path("folder"), place).unwrap(),
        "a link to itself" => symlink(place.file_name().unwrap(), place).unwrap(),
        "a link to nowhere" => symlink(outside.path("nowhere"), place).unwrap(),
        "a FIFO" => mkfifo(place, Mode::S_IRWXU).unwrap(),
        "a socket" => drop(UnixListener::bind(place).unwrap()),
        "a folder" => fs::create_dir(place).unwrap(),
        "an empty file" => fs::write(place, "").unwrap(),
        other => panic!("{other}"),
    }
}

const KINDS: [&str; 7] = [
    "a link to a folder",
    "a link to itself",
    "a link to nowhere",
    "a FIFO",
    "a socket",
    "a folder",
    "an empty file",
];

/// In a definition's place: the verbs that read all of them serve the rest, those that are about it say
/// where it is, and nothing outside is touched.
#[test]
fn what_stands_in_a_definitions_place_hides_nothing() {
    let mut group = Group::part("paths");
    let scene = Scene::new();
    for kind in KINDS {
        scene.reset();
        let place = put(&scene.host, P1, &uuid(4), "");
        put_in_place(kind, &place, &scene.outside);
        let around = scene.outside.sight();
        for line in [
            "list",
            "restore",
            "export",
            "metrics",
            "doctor",
            "restore --dry-run",
        ] {
            let run = scene.run(line);
            let others = match line {
                "list" => run.stdout.contains(&uuid(2)) && run.stdout.contains(&uuid(3)),
                "restore" => scene.host.active() == [uuid(1), uuid(3)],
                _ => true,
            };
            let is_said = match line {
                "metrics" => run
                    .stdout
                    .contains("vgpuctl_unreadable{what=\"definitions\"} 1"),
                "list" | "restore" => run.stderr.contains(&uuid(4)),
                _ => true,
            };
            let holds = [
                ("the others are served", others),
                ("it is named", is_said),
                ("the answer is sound", sound(&run)),
                ("nothing outside changed", scene.outside.sight() == around),
            ];
            group.check(New, format!("{line}, a definition is {kind}"), &run, &holds);
        }
        for line in ["start {4}", "modify {4} --auto", "show {4}", "attach {4}"] {
            let run = scene.run(line);
            let holds = [
                ("it is refused", run.status != 0),
                ("it is named", run.stderr.contains(&uuid(4))),
                ("the answer is sound", sound(&run)),
                ("nothing outside changed", scene.outside.sight() == around),
            ];
            group.check(
                New,
                format!("{line}, its definition is {kind}"),
                &run,
                &holds,
            );
        }
        let run = scene.run("undefine {4}");
        let is_gone = fs::symlink_metadata(&place).is_err();
        let holds = [
            ("it is gone, or told", is_gone == (run.status == 0)),
            ("only a folder stays", is_gone || kind == "a folder"),
            ("nothing outside changed", scene.outside.sight() == around),
        ];
        group.check(
            New,
            format!("undefine, a definition is {kind}"),
            &run,
            &holds,
        );
    }
    group.end();
}

/// In the place of a folder of definitions.
#[test]
fn what_stands_in_the_place_of_a_folder_is_not_entered() {
    let mut group = Group::part("paths");
    let scene = Scene::new();
    for (which, below) in [
        ("the folder of a parent", format!("etc/mdevctl.d/{P2}")),
        ("the folder of a GPU", format!("etc/vgpuctl.d/{P2}")),
        ("gpu.conf", format!("etc/vgpuctl.d/{P2}/gpu.conf")),
        (
            "the folder of scripts",
            "etc/mdevctl.d/scripts.d".to_owned(),
        ),
    ] {
        for kind in KINDS {
            if kind == "a folder" && below.ends_with("gpu.conf") || kind == "an empty file" {
                continue;
            }
            scene.reset();
            let place = scene.host.path(&below);
            let _ = fs::remove_dir_all(&place);
            fs::create_dir_all(place.parent().unwrap()).unwrap();
            put_in_place(kind, &place, &scene.outside);
            // What a way through it would find.
            fs::write(
                scene.outside.path("folder").join(uuid(4)),
                r#"{"mdev_type":"nvidia-63","start":"auto"}"#,
            )
            .unwrap();
            let around = scene.outside.sight();
            let list = scene.run("list");
            let restore = scene.run("restore");
            let define = scene.run(&format!("define -t nvidia-63 -p {P2} -u {{4}}"));
            let undefine = scene.run("undefine {4}");
            let all = [&list, &restore, &define, &undefine];
            let holds = [
                ("the rest is listed", list.stdout.contains(&uuid(2))),
                (
                    "nothing is started of it",
                    !scene.host.active().contains(&uuid(4)),
                ),
                ("the answers are sound", all.iter().all(|run| sound(run))),
                ("nothing outside changed", scene.outside.sight() == around),
            ];
            group.check(New, format!("{which} is {kind}"), &all, &holds);
        }
    }
    group.end();
}

/// A root that is none, for every verb: refused before anything is looked at.
#[test]
fn a_root_that_is_none_is_refused_by_every_verb() {
    let mut group = Group::part("paths");
    let scene = Scene::new();
    let before = scene.state();
    let absent = scene.outside.path("absent");
    let lines = READING.iter().chain(&CHANGING);
    for line in lines {
        // Another test tries these.
        let known = ["list", "types", "doctor", "restore", "metrics"];
        let age = if known.contains(line) { Known } else { New };
        let mut command = scene.command(line);
        command.env("VGPUCTL_ROOT", &absent);
        let run = ended(command);
        let is_scale = line.starts_with("plan") || line.starts_with("assert");
        let holds = [
            ("it is refused", run.status == if is_scale { 1 } else { 2 }),
            ("it is told", tells(&run) && run.stderr.contains("/absent")),
            ("nothing is answered", run.stdout.is_empty()),
            ("the answer is sound", sound(&run)),
            (
                "nothing changed",
                scene.state() == before && !absent.exists(),
            ),
        ];
        group.check(age, format!("{line}, the root is not there"), &run, &holds);
        let mut command = scene.command(line);
        command.env("SUDO_UID", "1000");
        let run = ended(command);
        let holds = [
            ("it is refused", run.status == if is_scale { 1 } else { 6 }),
            ("it is told", tells(&run) && run.stderr.contains("sudo")),
            ("nothing is answered", run.stdout.is_empty()),
            ("nothing changed", scene.state() == before),
        ];
        let age = if *line == "list" { Known } else { New };
        group.check(
            age,
            format!("{line}, by sudo for another user"),
            &run,
            &holds,
        );
    }
    for line in PERSONALITY {
        let mut command = scene.mdevctl_command(line);
        command.env("MDEVCTL_ENV_ROOT", &absent);
        let run = ended(command);
        let holds = [
            ("it is refused", run.status == 1),
            ("it is told", run.stderr.contains("/absent")),
            (
                "nothing changed",
                scene.state() == before && !absent.exists(),
            ),
        ];
        let age = if line == "list" { Known } else { New };
        group.check(
            age,
            format!("mdevctl {line}, the root is not there"),
            &run,
            &holds,
        );
        let mut command = scene.mdevctl_command(line);
        command.env("SUDO_UID", "1000");
        let run = ended(command);
        let holds = [
            ("it is refused", run.status == 1),
            ("it is told", run.stderr.contains("sudo")),
            ("nothing changed", scene.state() == before),
        ];
        let age = if line == "list" { Known } else { New };
        group.check(
            age,
            format!("mdevctl {line}, by sudo for another user"),
            &run,
            &holds,
        );
    }
    group.end();
}
