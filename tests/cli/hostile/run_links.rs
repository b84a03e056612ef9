//! What somebody puts where the program keeps its own things in /run: no link is followed, nothing is
//! waited for, and the command says what is in its way.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use nix::sys::stat::Mode;
use nix::unistd::mkfifo;

use super::frame::{Group, Known, New, sound};
use super::scene::{Outside, Scene, active, clear, ended, run};
use crate::harness::{Run, SimHost};
use crate::helpers::{P1, P2, uuid};

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// Puts it there; false where that makes no sense for a folder or a file.
fn put_in_place(kind: &str, place: &Path, outside: &Outside, is_folder: bool) -> bool {
    clear(place);
    fs::create_dir_all(place.parent().unwrap()).unwrap();
    match kind {
        "a link to a file" => symlink(outside.path("file"), place).unwrap(),
        "a link to a folder" => symlink(outside.path("folder"), place).unwrap(),
        "a link to nowhere" => symlink(outside.path("new"), place).unwrap(),
        "a FIFO" => mkfifo(place, Mode::S_IRWXU).unwrap(),
        "a socket" => drop(UnixListener::bind(place).unwrap()),
        "a folder" if !is_folder => fs::create_dir(place).unwrap(),
        "a file" if is_folder => fs::write(place, "").unwrap(),
        "a hard link" if !is_folder => fs::hard_link(outside.path("file"), place).unwrap(),
        "another user's" => {
            match is_folder {
                true => fs::create_dir(place).unwrap(),
                false => fs::write(place, "").unwrap(),
            }
            chown(place, Some(65534), Some(65534)).unwrap();
        }
        "one that others may write to" if is_folder => {
            fs::create_dir(place).unwrap();
            set_mode(place, 0o777);
        }
        "one that others may add to" if is_folder => {
            fs::create_dir(place).unwrap();
            set_mode(place, 0o1777);
        }
        "one that a group may write to" if is_folder => {
            fs::create_dir(place).unwrap();
            chown(place, None, Some(65534)).unwrap();
            set_mode(place, 0o775);
        }
        _ => return false,
    }
    true
}

const KINDS: [&str; 12] = [
    "a link to a file",
    "a link to a folder",
    "a link to nowhere",
    "a FIFO",
    "a socket",
    "a folder",
    "a file",
    "a hard link",
    "another user's",
    "one that others may write to",
    "one that others may add to",
    "one that a group may write to",
];

/// A place of the program's own.
struct Own {
    what: &'static str,
    below: String,
    is_folder: bool,
}

fn own(what: &'static str, below: impl Into<String>, is_folder: bool) -> Own {
    Own {
        what,
        below: below.into(),
        is_folder,
    }
}

/// What must hold of a command that found something in the place of the program's own file.
fn holds(run: &Run, outside_is_same: bool, is_done: bool) -> Vec<(&'static str, bool)> {
    let text = format!("{}{}", run.stdout, run.stderr);
    vec![
        ("nothing outside changed", outside_is_same),
        ("the answer is sound", sound(run)),
        (
            "it is done, or it is said where",
            is_done || text.contains("run/vgpuctl"),
        ),
        ("what fails is told", is_done || run.status != 0),
    ]
}

#[test]
fn on_a_host_of_mediated_devices() {
    let mut group = Group::part("links in /run");
    let scene = Scene::new();
    let create = "create -t nvidia-63 -p {p} -u {4} --param disable_vnc=1";
    for (own, line, target) in [
        (own("the folder", "run/vgpuctl", true), create, 4),
        (
            own("the lock", format!("run/vgpuctl/{P1}.lock"), false),
            create,
            4,
        ),
        (
            own(
                "the mark",
                format!("run/vgpuctl/{}.unfinished", uuid(4)),
                false,
            ),
            create,
            4,
        ),
        (
            own("the folder of results", "run/vgpuctl/restores", true),
            "restore",
            3,
        ),
        (
            own("a result", format!("run/vgpuctl/restores/{P2}"), false),
            "restore",
            3,
        ),
    ] {
        for kind in KINDS {
            scene.reset();
            let place = scene.host.path(&own.below);
            if !put_in_place(kind, &place, &scene.outside, own.is_folder) {
                continue;
            }
            let around = scene.outside.sight();
            let run = scene.run(line);
            let is_same = scene.outside.sight() == around;
            let is_done = active(&scene.host).contains(&uuid(target));
            let age = match (own.what, kind) {
                ("the lock", "a link to nowhere" | "a FIFO")
                | ("the mark", "a link to nowhere")
                | (
                    "the folder",
                    "a link to a folder" | "one that others may write to" | "another user's",
                ) => Known,
                _ => New,
            };
            let situation = format!("{} is {kind}", own.what);
            group.check(age, situation, &run, &holds(&run, is_same, is_done));
        }
    }
    // Who reads does not need the folder; who changes something by another door meets the same guard.
    for kind in [
        "a link to a folder",
        "a FIFO",
        "another user's",
        "one that others may write to",
    ] {
        for (line, changes) in [
            ("list", false),
            ("metrics", false),
            ("show {1}", false),
            ("define -t nvidia-63 -p {p} -u {4}", true),
            ("modify {2} --auto", true),
            ("undefine {2}", true),
            ("start {2}", true),
            ("stop {1}", true),
            ("remove {1}", true),
            ("apply --yes {file}", true),
        ] {
            scene.reset();
            put_in_place(kind, &scene.host.path("run/vgpuctl"), &scene.outside, true);
            let before = scene.state();
            let run = scene.run(line);
            let holds = [
                ("nothing changed", scene.state() == before),
                ("the answer is sound", sound(&run)),
                (
                    "a change is refused",
                    !changes || [1, 6, 7].contains(&run.status),
                ),
                (
                    "it says where",
                    !changes || run.stderr.contains("run/vgpuctl"),
                ),
                ("a look is answered", changes || !run.stdout.is_empty()),
            ];
            group.check(New, format!("{line}, the folder is {kind}"), &run, &holds);
        }
        for line in [
            "define -u {4} -p {p} -t nvidia-63",
            "start -u {2}",
            "stop -u {1}",
        ] {
            scene.reset();
            put_in_place(kind, &scene.host.path("run/vgpuctl"), &scene.outside, true);
            let before = scene.state();
            let run = scene.run_mdevctl(line);
            let holds = [
                ("nothing changed", scene.state() == before),
                ("the answer is sound", sound(&run)),
                ("it is refused", run.status == 1),
                ("it says where", run.stderr.contains("run/vgpuctl")),
            ];
            group.check(
                New,
                format!("mdevctl {line}, the folder is {kind}"),
                &run,
                &holds,
            );
        }
    }
    group.end();
}

const GPU: &str = "0000:41:00.0";
const FUNCTION: &str = "0000:41:00.4";

fn empty_functions(host: &SimHost) {
    for function in 4..=6 {
        let file = format!("sys/bus/pci/devices/0000:41:00.{function}/nvidia/current_vgpu_type");
        // One that is empty already says so by an error.
        let _ = fs::write(host.path(&file), "0");
    }
    clear(&host.path("run/vgpuctl"));
    clear(&host.path("etc/vgpuctl.d"));
}

fn types_on(host: &SimHost) -> usize {
    let is_set = |function: &u32| {
        let file = format!("sys/bus/pci/devices/0000:41:00.{function}/nvidia/current_vgpu_type");
        fs::read_to_string(host.path(&file)).unwrap().trim() != "0"
    };
    (4..=6).filter(is_set).count()
}

#[test]
fn on_a_host_of_functions() {
    let mut group = Group::part("links in /run");
    let (host, outside) = (SimHost::with_l40s(1, 3), Outside::new());
    let create = format!("create -t L40S-1Q -p {FUNCTION} -u {}", uuid(4));
    for own in [
        own("the folder of records", "run/vgpuctl/vfs", true),
        own("a record", format!("run/vgpuctl/vfs/{FUNCTION}"), false),
        own("the folder of types' names", "run/vgpuctl/types", true),
        own(
            "a file of types' names",
            format!("run/vgpuctl/types/{GPU}"),
            false,
        ),
        own(
            "the lock of a GPU",
            format!("run/vgpuctl/{GPU}.lock"),
            false,
        ),
    ] {
        for kind in KINDS {
            empty_functions(&host);
            let place: PathBuf = host.path(&own.below);
            if !put_in_place(kind, &place, &outside, own.is_folder) {
                continue;
            }
            let around = outside.sight();
            let made = run(&host, &create);
            let listed = run(&host, "list --json");
            let is_done = types_on(&host) == 1;
            let mut all = holds(&made, outside.sight() == around, is_done);
            all.push(("the list is sound", sound(&listed)));
            all.push(("never more than one is made", types_on(&host) <= 1));
            // Where it failed, nothing is left of it.
            let definition = host.path(&format!("etc/vgpuctl.d/{GPU}/{}", uuid(4)));
            all.push(("all or nothing", definition.exists() == is_done));
            group.check(
                New,
                format!("{} is {kind}", own.what),
                &[made, listed],
                &all,
            );
        }
    }
    group.end();
}

/// What is taken away again is taken away in the program's own folders only.
#[test]
fn what_is_forgotten_is_the_programs_own() {
    let mut group = Group::part("links in /run");
    let (host, outside) = (SimHost::with_l40s(1, 3), Outside::new());
    run(
        &host,
        &format!("create -t L40S-1Q -p {FUNCTION} -u {}", uuid(4)),
    )
    .expect(0);
    let folder = outside.path("folder");
    fs::write(folder.join(FUNCTION), "of somebody else").unwrap();
    let records = host.path("run/vgpuctl/vfs");
    clear(&records);
    symlink(&folder, &records).unwrap();
    let around = outside.sight();
    for line in [
        format!("remove {FUNCTION}"),
        format!("stop {}", uuid(4)),
        format!("undefine {}", uuid(4)),
        "restore".to_owned(),
    ] {
        let run = run(&host, &line);
        let holds = [
            ("nothing outside changed", outside.sight() == around),
            ("the answer is sound", sound(&run)),
        ];
        group.check(
            New,
            format!("{line}, the folder of records is a link to one with such files"),
            &run,
            &holds,
        );
    }
    let scene = Scene::new();
    fs::write(scene.outside.path("folder").join(P2), "of somebody else").unwrap();
    fs::write(scene.outside.path("folder").join(P1), "of somebody else").unwrap();
    let results = scene.host.path("run/vgpuctl/restores");
    for line in ["restore", "undefine {3}", "restore --parent {p2}"] {
        clear(&results);
        fs::create_dir_all(results.parent().unwrap()).unwrap();
        symlink(scene.outside.path("folder"), &results).unwrap();
        let around = scene.outside.sight();
        let run = scene.run(line);
        let holds = [
            ("nothing outside changed", scene.outside.sight() == around),
            ("the answer is sound", sound(&run)),
        ];
        group.check(
            New,
            format!("{line}, the folder of results is a link to one with such files"),
            &run,
            &holds,
        );
    }
    group.end();
}

/// Half-written files that a kill left, put there as links: their names are those of this very process.
#[test]
fn a_link_under_the_name_of_what_is_being_written() {
    let mut group = Group::part("links in /run");
    let scene = Scene::new();
    for (what, line, folder, name) in [
        (
            "the mark",
            "create -t nvidia-63 -p {p} -u {4} --param disable_vnc=1",
            "run/vgpuctl",
            format!(".{}.unfinished", uuid(4)),
        ),
        (
            "a result",
            "restore",
            "run/vgpuctl/restores",
            format!(".{P2}"),
        ),
    ] {
        scene.reset();
        let folder = scene.host.path(folder);
        fs::create_dir_all(&folder).unwrap();
        // The shell becomes the program: both have one number.
        let script = format!(
            "ln -s {0} '{1}/{name}.'$$ && exec \"$@\"",
            scene.outside.path("file").display(),
            folder.display()
        );
        let around = scene.outside.sight();
        let run = ended(scene.by_shell(&script, line));
        let left = fs::read_dir(&folder)
            .unwrap()
            .map(|e| e.unwrap().file_name());
        let left = left
            .filter(|left| left.to_string_lossy().starts_with('.'))
            .count();
        let holds = [
            ("nothing outside changed", scene.outside.sight() == around),
            ("it is done", run.status == 0),
            ("the link is gone", left == 0),
        ];
        group.check(
            New,
            format!("{what}, half-written under this process's number, is a link"),
            &run,
            &holds,
        );
    }
    group.end();
}
