//! What a command inherits: variables, descriptors, limits, a directory. None of them changes what is
//! done, or leaves it half done.

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt as _;
use std::process::{Command, Stdio};

use super::frame::{Group, Known, New, hides, sound};
use super::scene::{Scene, active, ended, mdevctl, status_of, words};
use crate::helpers::{P1, definition, uuid};
use crate::script;

/// What a create that is done leaves, or one that is not.
fn all_or_nothing(scene: &Scene) -> bool {
    let is_active = active(&scene.host).contains(&uuid(4));
    let path = definition(&scene.host, P1, &uuid(4));
    let is_whole = fs::read(&path)
        .is_ok_and(|text| serde_json::from_slice::<serde_json::Value>(&text).is_ok());
    is_active == path.exists() && is_active == is_whole
}

const CREATE: &str = "create -t nvidia-63 -p {p} -u {4} --param disable_vnc=1";

#[test]
fn variables_change_no_answer() {
    let mut group = Group::part("environment");
    let scene = Scene::new();
    let trap = scene.outside.path("bin");
    for name in [
        "virsh",
        "journalctl",
        "nvidia-smi",
        "sriov-manage",
        "systemctl",
        "modprobe",
        "sh",
        "uname",
    ] {
        script::install(&trap.join(name), "#!/bin/bash\n: >\"${0%/*}/../pwned\"\n");
    }
    let pwned = scene.outside.path("pwned");
    let trap = trap.to_str().unwrap();
    let long = "x".repeat(100_000);
    let list = scene.run("list").expect(0).stdout;
    let odd = OsString::from_vec(b"\xff\xfe\x1b[31m".to_vec());
    let settings: Vec<(&str, OsString)> = vec![
        ("PATH", trap.into()),
        ("PATH", "".into()),
        ("PATH", ".".into()),
        ("PATH", odd.clone()),
        ("LD_LIBRARY_PATH", trap.into()),
        ("LD_PRELOAD", "/nowhere/x.so".into()),
        ("HOME", "/nowhere".into()),
        ("HOME", trap.into()),
        ("TMPDIR", "/nowhere".into()),
        ("TMPDIR", "relative".into()),
        ("XDG_CONFIG_HOME", trap.into()),
        ("LANG", "xx_XX.nonsense".into()),
        ("LC_ALL", odd.clone()),
        ("LANGUAGE", "../../etc".into()),
        ("TERM", "../../../etc/passwd".into()),
        ("TERM", "".into()),
        ("TERM", odd.clone()),
        ("COLUMNS", "0".into()),
        ("COLUMNS", "-1".into()),
        ("COLUMNS", "99999999999999999999".into()),
        ("NO_COLOR", odd.clone()),
        ("CLICOLOR_FORCE", "1".into()),
        ("FORCE_COLOR", "3".into()),
        ("RUST_LOG", "trace".into()),
        ("RUST_BACKTRACE", "full".into()),
        ("TZ", ":/etc/passwd".into()),
        ("TZ", "../../../dev/zero".into()),
        ("VGPUCTL_SCRIPT_TIMEOUT", "".into()),
        ("VGPUCTL_SCRIPT_TIMEOUT", "-1".into()),
        ("VGPUCTL_SCRIPT_TIMEOUT", "99999999999999999999".into()),
        ("VGPUCTL_SCRIPT_TIMEOUT", odd.clone()),
        ("VGPUCTL_RESTORE_WAIT", "x".into()),
        ("VGPUCTL_METRICS_FILE", "/nowhere/x.prom".into()),
        ("MDEVCTL_ENV_ROOT", "/nowhere".into()),
        ("SUDO_UID", "".into()),
        ("SUDO_UID", "0".into()),
        ("SUDO_USER", "nobody".into()),
        ("SUDO_COMMAND", odd.clone()),
        ("X", long.into()),
        ("", "x".into()),
    ];
    for (name, value) in settings {
        scene.reset();
        let set = |line: &str| {
            let mut command = scene.command(line);
            match name {
                // A name that no variable can have, as a program may still pass it.
                "" => command.env("a b;c", &value),
                name => command.env(name, &value),
            };
            command.current_dir(scene.outside.0.path());
            ended(command)
        };
        let (listed, made) = (set("list"), set(CREATE));
        let what = value.to_string_lossy().replace(trap, "TRAP");
        let what: String = what.chars().take(30).collect();
        let holds = [
            (
                "the answer is the same",
                listed.stdout == list && listed.status == 0,
            ),
            (
                "the device is made, whole",
                made.status == 0
                    && all_or_nothing(&scene)
                    && active(&scene.host).contains(&uuid(4)),
            ),
            ("nothing hostile was run", !pwned.exists()),
            ("nothing is hidden", !hides(&listed) && !hides(&made)),
        ];
        let known = name == "SUDO_UID";
        let age = if known { Known } else { New };
        group.check(
            age,
            format!("{name}={}", what.escape_debug()),
            &(listed, made),
            &holds,
        );
    }
    // Programs that verbs call by name come from PATH, and only where nobody else could have put them there.
    std::os::unix::fs::chown(trap, Some(65534), None).unwrap();
    for line in ["attach {1} --apply web", "attach {1} --apply web --dry-run"] {
        let mut command = scene.command(line);
        command.env("PATH", trap);
        let run = ended(command);
        let holds = [
            ("it is refused", run.status != 0),
            ("it was not run", !pwned.exists()),
            ("the answer is sound", sound(&run)),
        ];
        group.check(
            Known,
            format!("{line}, with a virsh of another user's in PATH"),
            &run,
            &holds,
        );
    }
    let mut command = scene.command("attach {1} --apply web");
    command
        .env("PATH", "bin")
        .current_dir(scene.outside.0.path());
    let run = ended(command);
    let holds = [
        ("it is refused", run.status != 0),
        ("it was not run", !pwned.exists()),
    ];
    group.check(New, "attach --apply, with a relative PATH", &run, &holds);
    group.end();
}

#[test]
fn names_and_directories_of_the_program() {
    let mut group = Group::part("environment");
    let scene = Scene::new();
    let list = scene.run("list").expect(0).stdout;
    for name in [
        "",
        "-",
        "/",
        "vgpuctl\u{1b}[31m",
        "../mdevctlx",
        "MDEVCTL",
        "x/mdevctl/",
    ] {
        let script = "exec \"$@\"";
        let run = ended(super::scene::by_shell(scene.root(), script, name, "list"));
        // By a folder's name at the end of a path it is mdevctl, as the last part says.
        let is_theirs = name == "x/mdevctl/";
        let holds = [
            ("the answer is sound", sound(&run)),
            ("it is the same answer", is_theirs || run.stdout == list),
        ];
        group.check(New, format!("called {name:?}"), &run, &holds);
        let run = ended(super::scene::by_shell(
            scene.root(),
            script,
            name,
            "nonsense",
        ));
        group.check(
            New,
            format!("called {name:?}, with nonsense"),
            &run,
            &[
                ("the answer is sound", sound(&run)),
                ("it is refused", run.status == 2 || is_theirs),
            ],
        );
    }
    // A directory that is gone, and one that may not be read.
    for (what, script) in [
        (
            "that is gone",
            "mkdir -p gone && cd gone && rmdir ../gone && exec \"$@\"",
        ),
        (
            "below which everything is hostile",
            "cd folder && ln -sf /etc/passwd sys && ln -sf /etc/passwd etc && exec \"$@\"",
        ),
    ] {
        for line in ["list", CREATE, "metrics", "doctor"] {
            scene.reset();
            let mut command = scene.by_shell(script, line);
            command.current_dir(scene.outside.0.path());
            let run = ended(command);
            let holds = [
                ("the answer is sound", sound(&run)),
                (
                    "it is the same answer",
                    line != "list" || run.stdout == list,
                ),
                ("it is done", line == "doctor" || run.status == 0),
            ];
            group.check(New, format!("{line}, in a directory {what}"), &run, &holds);
        }
    }
    group.end();
}

#[test]
fn descriptors_that_are_closed_or_full() {
    let mut group = Group::part("environment");
    let scene = Scene::new();
    for (what, script) in [
        ("no standard input", "exec \"$@\" <&-"),
        ("no standard output", "exec \"$@\" >&-"),
        ("no standard error", "exec \"$@\" 2>&-"),
        ("no descriptor at all", "exec \"$@\" <&- >&- 2>&-"),
        ("a full standard output", "exec \"$@\" >/dev/full"),
        ("a full standard error", "exec \"$@\" 2>/dev/full"),
        ("a read-only standard output", "exec \"$@\" 1</dev/null"),
        ("a directory as standard input", "exec \"$@\" </"),
    ] {
        for line in [
            CREATE,
            "modify {2} --auto",
            "restore",
            "remove {1}",
            "list --json",
            "metrics",
        ] {
            scene.reset();
            let run = ended(scene.by_shell(script, line));
            let changed = match line {
                "restore" => active(&scene.host).contains(&uuid(3)),
                "remove {1}" => {
                    !active(&scene.host).contains(&uuid(1))
                        && !definition(&scene.host, P1, &uuid(1)).exists()
                }
                "modify {2} --auto" => fs::read_to_string(definition(&scene.host, P1, &uuid(2)))
                    .unwrap()
                    .contains("auto"),
                CREATE => active(&scene.host).contains(&uuid(4)),
                _ => true,
            };
            // What was closed is opened anew by nobody: no definition has an answer in it.
            let clean = host_has_only_json(&scene);
            let holds = [
                ("it ended by itself", (0..=7).contains(&run.status)),
                (
                    "it is done, or all as before",
                    changed || all_or_nothing(&scene) && run.status != 0,
                ),
                ("what is kept is whole", clean),
            ];
            let known = line == "list --json" && what != "a directory as standard input";
            let age = if known { Known } else { New };
            group.check(age, format!("{line}, with {what}"), &run, &holds);
        }
        scene.reset();
        let run = ended(scene.mdevctl_by_shell(script, "define -u {4} -p {p} -t nvidia-63"));
        let holds = [
            ("it ended by itself", (0..=2).contains(&run.status)),
            ("what is kept is whole", host_has_only_json(&scene)),
        ];
        group.check(New, format!("mdevctl define, with {what}"), &run, &holds);
    }
    group.end();
}

fn host_has_only_json(scene: &Scene) -> bool {
    super::scene::sight(&scene.host.path("etc/mdevctl.d"))
        .values()
        .filter(|(mode, ..)| mode & 0o170_000 == 0o100_000)
        .all(|(.., text)| serde_json::from_slice::<serde_json::Value>(text).is_ok())
}

#[test]
fn limits_on_what_it_may_use() {
    let mut group = Group::part("environment");
    let scene = Scene::new();
    let manual = fs::read(definition(&scene.host, P1, &uuid(2))).unwrap();
    for limit in [
        "-n 3",
        "-n 4",
        "-n 5",
        "-n 6",
        "-n 8",
        "-f 0",
        "-u 1",
        "-v 100000",
        "-s 256",
    ] {
        // A file that is too long is an error then, not a signal.
        let script = format!("trap '' XFSZ; ulimit {limit}; exec \"$@\"");
        for line in [CREATE, "modify {2} --auto", "restore", "list"] {
            scene.reset();
            let run = ended(scene.by_shell(&script, line));
            let two = fs::read(definition(&scene.host, P1, &uuid(2))).unwrap();
            let holds = [
                (
                    "it ended by itself",
                    (0..=7).contains(&run.status) || run.status == 127,
                ),
                (
                    "it is whole or nothing, or what is left is told",
                    all_or_nothing(&scene)
                        || run.stderr.contains("hint: the device is still there"),
                ),
                (
                    "the definition is as before, or changed whole",
                    two == manual || line.starts_with("modify") && run.status == 0,
                ),
                ("what is kept is whole", host_has_only_json(&scene)),
                (
                    "what failed is told",
                    run.status == 0
                        || limit == "-f 0"
                        || !run.stderr.is_empty()
                        || !run.stdout.is_empty(),
                ),
            ];
            // Afterwards the same command does it.
            let again = scene.run(line);
            let holds = [
                &holds[..],
                &[(
                    "it is done then",
                    again.status == 0 || again.stderr.contains("already"),
                )],
            ]
            .concat();
            group.check(
                New,
                format!("{line}, ulimit {limit}, and once more"),
                &(run, again),
                &holds,
            );
        }
    }
    // A reader that goes away.
    let mut command: Command = mdevctl(scene.root(), words("types"));
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    command.stdout(writer).stderr(Stdio::null());
    let status = status_of(command);
    group.check(
        New,
        "mdevctl types to a reader that is gone",
        &status,
        &[("it ended by itself", (0..=1).contains(&status))],
    );
    group.end();
}
