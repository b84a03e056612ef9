//! Scripts that are asked and told: who wrote them, what they do, and what they say.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown, symlink};
use std::path::Path;

use nix::sys::stat::Mode;
use nix::unistd::mkfifo;

use super::frame::{Group, Known, New, sound};
use super::scene::{Scene, active, clear, ended};
use crate::helpers::{P1, definition, uuid};
use crate::script;

const CALLOUTS: &str = "usr/lib/mdevctl/scripts.d/callouts";
const NOTIFIERS: &str = "usr/lib/mdevctl/scripts.d/notifiers";

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// A script that leaves a file, and the file.
fn marker(scene: &Scene) -> String {
    format!(
        "#!/bin/sh\ntouch '{}'\n",
        scene.host.path("usr/ran").display()
    )
}

fn ran(scene: &Scene) -> bool {
    fs::remove_file(scene.host.path("usr/ran")).is_ok()
}

const LINES: [&str; 6] = [
    "create -t nvidia-63 -p {p} -u {4}",
    "define -t nvidia-63 -p {p} -u {4}",
    "start {2}",
    "stop {1}",
    "modify {2} --auto",
    "undefine {2}",
];

/// Each way in which somebody else could have written what is run.
#[test]
fn a_script_that_is_not_plainly_roots_is_not_run() {
    let mut group = Group::part("callouts");
    let scene = Scene::new();
    for what in [
        "writable by all",
        "writable by a group",
        "another user's",
        "in a folder of another user's",
        "in a folder that all may write to",
        "in a folder that all may add to",
        "below a folder of another user's",
        "a link to a file of another user's",
        "a link of another user's",
        "a link through a folder that all may write to",
    ] {
        for line in LINES {
            scene.reset();
            let folder = scene.host.path(CALLOUTS);
            let script = folder.join("10-x");
            script::install(&script, &marker(&scene));
            let open = scene.host.path("usr/open");
            clear(&open);
            match what {
                "writable by all" => set_mode(&script, 0o777),
                "writable by a group" => {
                    chown(&script, None, Some(1234)).unwrap();
                    set_mode(&script, 0o775);
                }
                "another user's" => chown(&script, Some(1234), None).unwrap(),
                "in a folder of another user's" => chown(&folder, Some(1234), None).unwrap(),
                "in a folder that all may write to" => set_mode(&folder, 0o777),
                "in a folder that all may add to" => set_mode(&folder, 0o1777),
                "below a folder of another user's" => {
                    chown(scene.host.path("usr/lib/mdevctl"), Some(1234), None).unwrap()
                }
                _ => {
                    fs::create_dir(&open).unwrap();
                    fs::rename(&script, open.join("x")).unwrap();
                    symlink("../../../../open/x", &script).unwrap();
                    match what {
                        "a link to a file of another user's" => {
                            chown(open.join("x"), Some(1234), None).unwrap()
                        }
                        "a link of another user's" => {
                            std::os::unix::fs::lchown(&script, Some(1234), None).unwrap()
                        }
                        _ => set_mode(&open, 0o777),
                    }
                }
            }
            let before = scene.state();
            let run = scene.run(line);
            let holds = [
                ("it was not run", !ran(&scene)),
                ("the change is refused", run.status == 1 || run.status == 6),
                ("nothing changed", scene.state() == before),
                (
                    "it says which and why",
                    run.stderr.contains("10-x") && run.stderr.contains("refusing to run"),
                ),
                ("the answer is sound", sound(&run)),
            ];
            // The library's tests have some of these, of a definition.
            let elsewhere = ["writable by all", "writable by a group", "another user's"];
            let known = what == "below a folder of another user's"
                || elsewhere.contains(&what) && line.starts_with("define");
            let age = if known { Known } else { New };
            group.check(age, format!("{line}: the script is {what}"), &run, &holds);
            if line == LINES[0] {
                clear(&scene.host.path(CALLOUTS));
                let notifier = scene.host.path(NOTIFIERS).join("10-x");
                script::install(&notifier, &marker(&scene));
                if what == "writable by all" || what == "another user's" {
                    match what {
                        "another user's" => chown(&notifier, Some(1234), None).unwrap(),
                        _ => set_mode(&notifier, 0o777),
                    }
                    let run = scene.run(line);
                    let holds = [
                        ("it was not run", !ran(&scene)),
                        ("the answer is sound", sound(&run)),
                        ("it is told", run.stderr.contains("10-x")),
                    ];
                    group.check(New, format!("{line}: a notifier is {what}"), &run, &holds);
                }
            }
        }
    }
    group.end();
}

/// What lies among the scripts and is none.
#[test]
fn what_is_no_script_is_not_run() {
    let mut group = Group::part("callouts");
    let scene = Scene::new();
    for what in [
        "a folder",
        "a FIFO",
        "a link to nowhere",
        "a link to itself",
        "a link to null",
        "no program",
        "an empty file",
        "an interpreter that is not there",
        "a hidden file",
        "an editor's copy",
        "one without the right to run",
    ] {
        for (line, wanted) in [("start {2}", 2), ("create -t nvidia-63 -p {p} -u {4}", 4)] {
            scene.reset();
            let folder = scene.host.path(CALLOUTS);
            fs::create_dir_all(&folder).unwrap();
            let place = folder.join("10-x");
            match what {
                "a folder" => fs::create_dir(&place).unwrap(),
                "a FIFO" => mkfifo(&place, Mode::S_IRWXU).unwrap(),
                "a link to nowhere" => symlink("nowhere", &place).unwrap(),
                "a link to itself" => symlink("10-x", &place).unwrap(),
                "a link to null" => symlink("/dev/null", &place).unwrap(),
                "no program" => script::install(&place, "touch x\0\x01\x02"),
                "an empty file" => script::install(&place, ""),
                "an interpreter that is not there" => script::install(&place, "#!/nowhere/sh\n"),
                "a hidden file" => script::install(&folder.join(".10-x"), &marker(&scene)),
                "an editor's copy" => script::install(&folder.join("10-x~"), &marker(&scene)),
                _ => {
                    script::install(&place, &marker(&scene));
                    set_mode(&place, 0o644);
                }
            }
            let run = scene.run(line);
            let done = active(&scene.host).contains(&uuid(wanted));
            let holds = [
                ("nothing was run", !ran(&scene)),
                (
                    "it is done, or refused with the name",
                    done || run.status != 0 && run.stderr.contains("10-x"),
                ),
                ("the answer is sound", sound(&run)),
            ];
            let elsewhere = [
                "a folder",
                "a link to nowhere",
                "no program",
                "an interpreter that is not there",
                "a hidden file",
                "an editor's copy",
                "one without the right to run",
            ];
            let known = elsewhere.contains(&what) && line.starts_with("start");
            let age = if known { Known } else { New };
            group.check(
                age,
                format!("{line}: among the scripts lies {what}"),
                &run,
                &holds,
            );
        }
    }
    group.end();
}

/// A script that misbehaves is ended, and what it was asked about is as before, or done.
#[test]
fn a_script_that_misbehaves() {
    let mut group = Group::part("callouts");
    let scene = Scene::new();
    let flood = "head -c 3000000 /dev/zero | tr '\\0' x";
    for (what, body, refuses) in [
        ("never ends", "exec sleep 1000".to_owned(), true),
        (
            "never ends and ignores SIGTERM",
            "trap '' TERM; while :; do sleep 1; done".to_owned(),
            true,
        ),
        ("floods its output", format!("{flood}; exit 0"), false),
        ("floods its errors", format!("{flood} >&2; exit 0"), false),
        (
            "floods its errors and refuses",
            format!("{flood} >&2; exit 1"),
            true,
        ),
        (
            "leaves a process with its pipes",
            "sleep 300 & exit 0".to_owned(),
            false,
        ),
        (
            "closes its pipes",
            "exec <&- >&- 2>&-; exit 0".to_owned(),
            false,
        ),
        ("does not read", "exit 0".to_owned(), false),
        ("kills itself", "kill -KILL $$".to_owned(), true),
        ("stops itself", "kill -STOP $$".to_owned(), true),
        ("ends with 255", "exit 255".to_owned(), true),
        ("says it is another's", "exit 2".to_owned(), false),
        (
            "says NULs",
            "printf 'a\\0b\\0' >&2; exit 1".to_owned(),
            true,
        ),
        (
            "says no UTF-8",
            "printf '\\377\\376' >&2; exit 1".to_owned(),
            true,
        ),
        ("signals its group", "kill -TERM 0".to_owned(), true),
    ] {
        for (line, wanted) in [("start {2}", 2), ("create -t nvidia-63 -p {p} -u {4}", 4)] {
            scene.reset();
            let text = format!(
                "#!/bin/bash\ncase \"$*\" in *'-e pre'*) ;; *'-e post'*) exit 0;; *) exit 2;; esac\n{body}\n"
            );
            script::install(&scene.host.path(CALLOUTS).join("10-x"), &text);
            let before = scene.state();
            let mut command = scene.command(line);
            command.env("VGPUCTL_SCRIPT_TIMEOUT", "1");
            let run = ended(command);
            let done = active(&scene.host).contains(&uuid(wanted));
            let holds = [
                ("it ended", run.status >= 0),
                (
                    "it is refused, and all is as before",
                    !refuses || !done && run.status != 0 && scene.state() == before,
                ),
                ("it is done otherwise", refuses || done && run.status == 0),
                ("it says which", !refuses || run.stderr.contains("10-x")),
                (
                    "the answer is sound and short",
                    sound(&run) && run.stderr.len() < 3000,
                ),
            ];
            // Other tests try these on the library.
            let elsewhere = [
                "never ends",
                "never ends and ignores SIGTERM",
                "kills itself",
                "leaves a process with its pipes",
                "floods its errors",
                "does not read",
            ];
            let known = elsewhere.contains(&what) && line.starts_with("start");
            let age = if known { Known } else { New };
            group.check(age, format!("{line}: a script {what}"), &run, &holds);
        }
    }
    // What a script that is asked changes behind the program's back.
    for (what, body) in [
        (
            "deletes the definition",
            format!(
                "rm -f '{}'",
                definition(&scene.host, P1, &uuid(2)).display()
            ),
        ),
        (
            "empties the definition",
            format!(": >'{}'", definition(&scene.host, P1, &uuid(2)).display()),
        ),
        (
            "takes the locks away",
            format!("rm -rf '{}'", scene.host.path("run/vgpuctl").display()),
        ),
    ] {
        scene.reset();
        let text = format!("#!/bin/bash\ncase \"$*\" in *'-e pre'*) {body};; esac\n");
        script::install(&scene.host.path(CALLOUTS).join("10-x"), &text);
        let run = scene.run("start {2}");
        let next = scene.run("list");
        let holds = [
            ("the answers are sound", sound(&run) && sound(&next)),
            (
                "the others stay",
                next.stdout.contains(&uuid(1)) && next.stdout.contains(&uuid(3)),
            ),
        ];
        group.check(New, format!("start: a script {what}"), &run, &holds);
    }
    group.end();
}
