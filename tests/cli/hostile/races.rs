//! What is looked at is what is used: while a file and a link to somewhere else change places all the time,
//! nothing outside is ever touched, and what is told is one of the two.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};

use super::frame::{Group, New, sound};
use super::scene::{Scene, clear};
use crate::harness::Run;
use crate::helpers::{P1, P2, definition, uuid};

/// Lets two names change places all the time while `work` runs; how often they did.
fn swapping<T>(one: &Path, other: &Path, work: impl FnOnce() -> T) -> (T, usize) {
    let (over, swaps) = (AtomicBool::new(false), AtomicUsize::new(0));
    let result = thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                // Where one of them was replaced or deleted, there is nothing to swap for a moment.
                if renameat2(AT_FDCWD, one, AT_FDCWD, other, RenameFlags::RENAME_EXCHANGE).is_ok() {
                    swaps.fetch_add(1, Ordering::Relaxed);
                }
                // Now and then, at no step of what it races with.
                thread::sleep(std::time::Duration::from_micros(30));
            }
        });
        let result = work();
        over.store(true, Ordering::Relaxed);
        result
    });
    (result, swaps.into_inner())
}

const TIMES: usize = 6;

/// Runs lines again and again while a place and a link beside it are swapped, and judges.
fn race(group: &mut Group, scene: &Scene, what: &str, place: &Path, target: &str, lines: &[&str]) {
    for line in lines {
        scene.reset();
        fs::create_dir_all(place.parent().unwrap()).unwrap();
        let is_folder = target == "folder";
        match (is_folder, place.exists()) {
            (_, true) => {}
            (true, false) => fs::create_dir(place).unwrap(),
            (false, false) => fs::write(place, "").unwrap(),
        }
        // Not in the same folder: it would be taken for a definition.
        let beside = scene.host.path("usr/beside");
        clear(&beside);
        symlink(scene.outside.path(target), &beside).unwrap();
        let around = scene.outside.sight();
        let (runs, swaps) = swapping(place, &beside, || {
            (0..TIMES).map(|_| scene.run(line)).collect::<Vec<Run>>()
        });
        // Whoever is now a link is one of ours, and leads nowhere anybody wrote.
        let holds = [
            ("nothing outside changed", scene.outside.sight() == around),
            ("the answers are sound", runs.iter().all(sound)),
            ("they did change places", swaps > 0),
        ];
        let last = runs.into_iter().next_back();
        group.check(
            New,
            format!("{line}, while {what} and a link change places"),
            &(last, swaps),
            &holds,
        );
        // What is a link now is taken away, so that the next finds its place empty.
        for path in [place, beside.as_path()] {
            clear(path);
        }
    }
}

#[test]
fn places_that_become_links() {
    let mut group = Group::part("races");
    let scene = Scene::new();
    let at = |below: &str| -> PathBuf { scene.host.path(below) };
    let define = "define -t nvidia-63 -p {p} -u {4}";
    race(
        &mut group,
        &scene,
        "the folder of locks",
        &at("run/vgpuctl"),
        "folder",
        &[
            define,
            "modify {2} --auto",
            "restore",
            "create -t nvidia-63 -p {p2} --param disable_vnc=1",
        ],
    );
    race(
        &mut group,
        &scene,
        "a lock",
        &at(&format!("run/vgpuctl/{P1}.lock")),
        "file",
        &[define, "modify {2} --auto"],
    );
    race(
        &mut group,
        &scene,
        "a mark",
        &at(&format!("run/vgpuctl/{}.unfinished", uuid(4))),
        "file",
        &["create -t nvidia-63 -p {p} -u {4} --param disable_vnc=1"],
    );
    race(
        &mut group,
        &scene,
        "the folder of results",
        &at("run/vgpuctl/restores"),
        "folder",
        &["restore", "metrics"],
    );
    race(
        &mut group,
        &scene,
        "a result",
        &at(&format!("run/vgpuctl/restores/{P2}")),
        "file",
        &["restore", "metrics"],
    );
    race(
        &mut group,
        &scene,
        "a parent's folder",
        &at(&format!("etc/mdevctl.d/{P1}")),
        "folder",
        &[define, "undefine {2}", "modify {2} --auto", "list"],
    );
    race(
        &mut group,
        &scene,
        "a definition",
        &definition(&scene.host, P1, &uuid(2)),
        "file",
        &["modify {2} --auto", "undefine {2}", "start {2}", "list"],
    );
    race(
        &mut group,
        &scene,
        "a GPU's settings",
        &at(&format!("etc/vgpuctl.d/{P2}/gpu.conf")),
        "file",
        &["restore", "doctor"],
    );
    let prom = at("usr/out/x.prom");
    let line = format!("metrics --output {}", prom.display());
    race(
        &mut group,
        &scene,
        "the file of metrics",
        &prom,
        "file",
        &[&line],
    );
    group.end();
}

/// Two whole definitions change places while one is changed: what is read and told is one of them.
#[test]
fn a_definition_that_is_another_every_time() {
    let mut group = Group::part("races");
    let scene = Scene::new();
    for line in [
        "modify {2} --attr nvidia/vgpu_params=x=1",
        "start {2}",
        "show {2} --json",
        "list --json",
        "attach {2}",
    ] {
        scene.reset();
        let place = definition(&scene.host, P1, &uuid(2));
        let other = scene.host.path("usr/beside");
        clear(&other);
        fs::write(
            &other,
            r#"{"mdev_type":"nvidia-64","start":"auto","mine":"kept"}"#,
        )
        .unwrap();
        let (runs, swaps) = swapping(&place, &other, || {
            (0..TIMES).map(|_| scene.run(line)).collect::<Vec<Run>>()
        });
        let whole = [&place, &other].iter().all(|path| {
            let text = fs::read(path).unwrap();
            let document: serde_json::Value = serde_json::from_slice(&text).unwrap_or_default();
            let (id, start) = (document["mdev_type"].clone(), document["start"].clone());
            // Never the type of one with the start of the other.
            id == "nvidia-63" && start == "manual"
                || id == "nvidia-64" && start == "auto" && document["mine"] == "kept"
        });
        let holds = [
            ("each is whole, and one of the two", whole),
            ("the answers are sound", runs.iter().all(sound)),
            ("they did change places", swaps > 0),
        ];
        let last = runs.into_iter().next_back();
        group.check(
            New,
            format!("{line}, while two definitions change places"),
            &(last, swaps),
            &holds,
        );
    }
    group.end();
}
