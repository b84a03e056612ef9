//! A host full of texts that a terminal would obey, or that a reader would not see: whatever verb
//! tells of them shows them, in every form of its answer.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use insta::assert_snapshot;
use nix::sys::signal::Signal;

use crate::harness::{HeldOpen, Run, SimHost, finished};
use crate::helpers::{put, uuid};
use crate::script;
use crate::watch::Watch;

/// It turns the screen red, clears it by C1, turns letters around, breaks a line, and shows nothing.
const HOSTILE: &str = "\u{1b}[31m\u{9b}2J\u{202e}\u{2028}\u{200b}\u{e0041}";
const PARENT: &str = "0000:81:00.0";

/// What a terminal may get of answers in plain text: letters, and the ends of lines.
fn is_hidden(c: char) -> bool {
    // Written anew, not taken from the program.
    c != '\n' && (c.is_control() || "\u{202e}\u{2028}\u{200b}\u{e0041}\u{2066}\u{feff}".contains(c))
}

fn host() -> SimHost {
    let escaped: String = HOSTILE
        .chars()
        .map(|c| format!("\\U{:08X}", u32::from(c)))
        .collect();
    let file = tempfile::NamedTempFile::new().unwrap();
    let text = format!(
        "[[parent]]\nid = \"{PARENT}\"\ndriver = \"nvidia\"\npool = 2\n[[parent.type]]\nid = \"63\"\n\
         name = \"GRID P4-1Q{escaped}\"\ndescription = \"num_heads=4{escaped}\"\ncost = 1\n"
    );
    fs::write(file.path(), text).unwrap();
    let host = SimHost::start_file(file.path());
    let attrs = serde_json::json!({
        "mdev_type": "nvidia-63",
        "start": "manual",
        "attrs": [{ "nvidia/vgpu_params": format!("a={HOSTILE}") }],
        "note": HOSTILE,
    });
    put(&host, PARENT, &uuid(1), attrs.to_string());
    put(
        &host,
        PARENT,
        &uuid(2),
        r#"{"mdev_type":"nvidia-63","start":"manual"}"#,
    );
    let of_type =
        serde_json::json!({ "mdev_type": format!("nvidia-63{HOSTILE}"), "start": "auto" });
    put(&host, PARENT, &uuid(3), of_type.to_string());
    put(
        &host,
        PARENT,
        &uuid(4),
        format!("{{\"mdev_type\":\"{HOSTILE}"),
    );
    put(&host, PARENT, &format!("misnamed{HOSTILE}"), "{}");
    put(&host, &format!("parent{HOSTILE}"), &uuid(5), "{}");
    host
}

#[track_caller]
fn shows_all(what: &str, run: &Run) {
    for (stream, text) in [("stdout", &run.stdout), ("stderr", &run.stderr)] {
        let hidden: Vec<char> = text.chars().filter(|c| is_hidden(*c)).collect();
        assert!(
            hidden.is_empty(),
            "{what}: {stream} has {hidden:?}: {text:?}"
        );
    }
}

/// The root is another one each time.
fn told(host: &SimHost, run: &Run) -> String {
    let root = host.root().to_str().unwrap();
    format!("{}---\n{}", run.stdout, run.stderr).replace(root, "")
}

#[test]
fn list_types_and_the_personality_show_what_is_hidden() {
    let host = host();
    host.run(&format!("start {}", uuid(2))).expect(0);
    assert_snapshot!(told(&host, &host.run("list")), @r#"
        UUID                                  TYPE       NAME                                                      PARENT        STATE     START
        a0000001-0000-4000-8000-000000000000  nvidia-63  P4-1Q\u{1b}[31m\u{9b}2J\u{202e}\u{2028}\u{200b}\u{e0041}  0000:81:00.0  inactive  manual
        a0000002-0000-4000-8000-000000000000  nvidia-63  P4-1Q\u{1b}[31m\u{9b}2J\u{202e}\u{2028}\u{200b}\u{e0041}  0000:81:00.0  active    manual
        ---
        warning: "parent\u{1b}[31m\u{9b}2J\u{202e}\u{2028}\u{200b}\u{e0041}" is not a valid parent: it contains a control or invisible character: /etc/mdevctl.d/parent\u{1b}[31m\u{9b}2J\u{202e}\u{2028}\u{200b}\u{e0041}
        warning: the name of a definition must be a UUID: /etc/mdevctl.d/0000:81:00.0/misnamed\u{1b}[31m\u{9b}2J\u{202e}\u{2028}\u{200b}\u{e0041}
        warning: invalid definition: "nvidia-63\u{1b}[31m\u{9b}2J\u{202e}\u{2028}\u{200b}\u{e0041}" is not a valid type: it contains a control or invisible character: /etc/mdevctl.d/0000:81:00.0/a0000003-0000-4000-8000-000000000000
        hint: fix the file, or delete it with: vgpuctl undefine a0000003-0000-4000-8000-000000000000
        warning: invalid definition: it is not JSON: control character (\u0000-\u001F) found while parsing a string at line 1 column 15: /etc/mdevctl.d/0000:81:00.0/a0000004-0000-4000-8000-000000000000
        hint: fix the file, or delete it with: vgpuctl undefine a0000004-0000-4000-8000-000000000000
    "#);
    assert_snapshot!(told(&host, &host.run("types")), @r#"
        PARENT        TYPE       NAME                                                           FREE  API       DESCRIPTION
        0000:81:00.0  nvidia-63  GRID P4-1Q\u{1b}[31m\u{9b}2J\u{202e}\u{2028}\u{200b}\u{e0041}     1  vfio-pci  num_heads=4\u{1b}[31m\u{9b}2J\u{202e}\u{2028}\u{200b}\u{e0041}
        ---
    "#);
    assert_snapshot!(told(&host, &host.mdevctl("list --defined --verbose")), @r#"
        a0000001-0000-4000-8000-000000000000 0000:81:00.0 nvidia-63 manual
          Attrs:
            @{0}: {"nvidia/vgpu_params":"a=\u001b[31m\u009b2J\u202e\u2028\u200b\udb40\udc41"}
        a0000002-0000-4000-8000-000000000000 0000:81:00.0 nvidia-63 manual (active)
        ---
        Warning: "parent\u{1b}[31m\u{9b}2J\u{202e}\u{2028}\u{200b}\u{e0041}" is not a valid parent: it contains a control or invisible character: /etc/mdevctl.d/parent\u{1b}[31m\u{9b}2J\u{202e}\u{2028}\u{200b}\u{e0041}
        Warning: the name of a definition must be a UUID: /etc/mdevctl.d/0000:81:00.0/misnamed\u{1b}[31m\u{9b}2J\u{202e}\u{2028}\u{200b}\u{e0041}
        Warning: invalid definition: "nvidia-63\u{1b}[31m\u{9b}2J\u{202e}\u{2028}\u{200b}\u{e0041}" is not a valid type: it contains a control or invisible character: /etc/mdevctl.d/0000:81:00.0/a0000003-0000-4000-8000-000000000000
        Warning: invalid definition: it is not JSON: control character (\u0000-\u001F) found while parsing a string at line 1 column 15: /etc/mdevctl.d/0000:81:00.0/a0000004-0000-4000-8000-000000000000
    "#);
    assert_snapshot!(told(&host, &host.mdevctl("types")), @r#"
        0000:81:00.0
          nvidia-63
            Available instances: 1
            Device API: vfio-pci
            Name: GRID P4-1Q\u{1b}[31m\u{9b}2J\u{202e}\u{2028}\u{200b}\u{e0041}
            Description: num_heads=4\u{1b}[31m\u{9b}2J\u{202e}\u{2028}\u{200b}\u{e0041}
        ---
    "#);
}

#[test]
fn every_verb_shows_what_is_hidden() {
    let host = host();
    host.run(&format!("start {}", uuid(2))).expect(0);
    let node = host
        .run(&format!("show {} --json", uuid(2)))
        .expect(0)
        .json();
    let node = PathBuf::from(node["device"]["vfio_group"].as_str().unwrap());
    let _held = HeldOpen::open(
        &node,
        &format!("-name guest=vm{}", HOSTILE.replace('\u{2028}', "")),
    );
    let one = uuid(1);
    let two = uuid(2);
    let lines = [
        "types",
        "types --wide",
        "gpus",
        "list",
        "list --defined",
        "metrics",
        "doctor",
        "export",
        "restore",
        "vfs",
        "restore --dry-run",
        &format!("show {one}"),
        &format!("show {two}"),
        &format!("remove {two}"),
        &format!("attach {two}"),
        &format!("attach {two} --format qemu"),
        &format!("attach {two} --format proxmox"),
        &format!("start {one}"),
        &format!("modify {one} --param b=2"),
        &format!("define -t nvidia-63 -u {two}"),
    ];
    for line in lines {
        for form in ["", "--json"] {
            let run = host.run(&format!("{line} {form}"));
            shows_all(&format!("{line} {form}"), &run);
            if form == "--json" {
                let document = if run.stdout.is_empty() {
                    &run.stderr
                } else {
                    &run.stdout
                };
                let parsed = serde_json::from_str::<serde_json::Value>(document);
                assert!(parsed.is_ok(), "{line}: {parsed:?}: {document}");
            }
        }
    }
    for line in [
        "list",
        "list -v",
        "list --dumpjson",
        "list -d -v",
        "list -d --dumpjson",
        "types",
        "types --dumpjson",
    ] {
        shows_all(line, &host.mdevctl(line));
    }
    // JSON says all of it.
    let shown = host.run(&format!("show {one} --json")).json();
    let name = &shown["device"]["type_details"]["name"];
    assert_eq!(*name, format!("GRID P4-1Q{HOSTILE}"));
}

#[test]
fn arguments_that_make_no_sense_are_shown() {
    let host = host();
    for verb in [
        "create", "define", "list", "show", "remove", "start", "attach", "modify", "explain",
        "plan",
    ] {
        for arguments in [
            vec![verb, HOSTILE],
            vec![verb, "--type", HOSTILE],
            vec![verb, "--parent", HOSTILE],
            vec![verb, "--uuid", HOSTILE],
            vec![verb, "--file", HOSTILE],
            vec![HOSTILE],
        ] {
            shows_all(&arguments.join(" "), &host.run_args(&arguments));
            let json: Vec<&str> = arguments.iter().copied().chain(["--json"]).collect();
            shows_all(&arguments.join(" "), &host.run_args(&json));
        }
    }
    for arguments in [
        ["start", "--uuid", HOSTILE],
        ["define", "--parent", HOSTILE],
        ["list", HOSTILE, "-d"],
    ] {
        let folder = tempfile::tempdir().unwrap();
        let name = folder.path().join("mdevctl");
        std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_vgpuctl"), &name).unwrap();
        let output = Command::new(name)
            .args(arguments)
            .env("MDEVCTL_ENV_ROOT", host.root())
            .output()
            .unwrap();
        shows_all("mdevctl", &finished(output));
    }
}

#[test]
fn a_long_argument_is_quoted_short() {
    let host = host();
    let long = "A".repeat(100_000);
    for arguments in [
        vec!["list", &long],
        vec!["list", "--parent", &long],
        vec!["list", "--json", "--parent", &long],
        vec!["create", "--type", &long],
        vec!["create", "--type", "nvidia-63", "--attr", &long],
        vec!["create", "--type", "nvidia-63", "--param", &long],
        vec!["define", "--type", "nvidia-63", "--uuid", &long],
        vec!["show", &long],
        vec!["remove", &long],
        vec!["attach", &long],
        vec!["modify", &long, "--auto"],
        vec!["explain", "--topic", &long],
        vec!["doctor", "--check", &long],
        vec![&long],
    ] {
        let run = host.run_args(&arguments);
        assert_ne!(run.status, 0, "{arguments:.40?}");
        let said = run.stdout.len() + run.stderr.len();
        assert!(
            said < 2000,
            "{arguments:.40?}: {said} bytes: {:.400}",
            run.stderr
        );
    }
    let folder = tempfile::tempdir().unwrap();
    let name = folder.path().join("mdevctl");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_vgpuctl"), &name).unwrap();
    for option in ["--uuid", "--parent", "--type", "--jsonfile"] {
        let output = Command::new(&name)
            .args(["define", option, &long])
            .env("MDEVCTL_ENV_ROOT", host.root())
            .output()
            .unwrap();
        let run = finished(output);
        assert!(
            run.stderr.len() < 2000,
            "{option}: {} bytes: {:.400}",
            run.stderr.len(),
            run.stderr
        );
    }
}

#[test]
fn a_log_and_a_file_are_shown() {
    let host = host();
    let folder = tempfile::tempdir().unwrap();
    let put = |name: &str, text: String| {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let log = put(
        "log",
        format!(
            "nvidia-vgpu-mgr[1]: error{HOSTILE}: vmiop_log: error: failed to allocate fb{HOSTILE}\n"
        ),
    );
    let declared = put(
        "file",
        format!("version = 1\n[[group]]\nname = \"{HOSTILE}\"\n"),
    );
    for form in ["", "--json"] {
        shows_all("explain", &host.run(&format!("explain {log} {form}")));
        shows_all("plan", &host.run(&format!("plan {declared} {form}")));
    }
}

#[test]
fn a_scripts_answer_is_shown() {
    let host = host();
    let folder = host.path("etc/mdevctl.d/scripts.d/callouts");
    fs::create_dir_all(&folder).unwrap();
    let bytes: String = HOSTILE
        .bytes()
        .map(|byte| format!("\\{byte:03o}"))
        .collect();
    let text = format!(
        "#!/bin/sh\ncase \"$*\" in *'-e pre'*) ;; *) exit 0 ;; esac\nprintf 'no{bytes}' >&2\nexit 1\n"
    );
    script::install(Path::new(&folder.join("refuse")), &text);
    let run = host.run(&format!("start {}", uuid(2)));
    assert_ne!(run.status, 0);
    assert!(run.stderr.contains(r"\u{1b}"), "{run:?}");
    shows_all("start", &run);
    shows_all(
        "mdevctl start",
        &host.mdevctl(&format!("start -u {}", uuid(2))),
    );
}

#[test]
fn a_watch_shows_what_is_hidden() {
    let host = host();
    host.run(&format!("start {}", uuid(2))).expect(0);
    for (form, ready) in [("", "  ready  "), ("--json", "\"ready\"")] {
        let mut watch = Watch::spawn(&host, &format!("watch --initial {form}"));
        let mut text = String::new();
        while !text.lines().last().unwrap_or_default().contains(ready) {
            text += &watch.line();
        }
        watch.send(Signal::SIGTERM);
        let (_, stderr) = watch.end();
        let run = Run {
            status: 0,
            stdout: text,
            stderr,
        };
        shows_all("watch", &run);
        if form.is_empty() {
            // Each line begins with the time.
            let lines: String = run
                .stdout
                .lines()
                .filter_map(|line| line.get(10..))
                .map(|line| format!("{line}\n"))
                .collect();
            assert_snapshot!(lines.replace(host.root().to_str().unwrap(), ""), @r#"
        definition  present     a0000001-0000-4000-8000-000000000000 nvidia-63 (P4-1Q\u{1b}[31m\u{9b}2J\u{202e}\u{2028}\u{200b}\u{e0041}) on 0000:81:00.0, manual
        definition  present     a0000002-0000-4000-8000-000000000000 nvidia-63 (P4-1Q\u{1b}[31m\u{9b}2J\u{202e}\u{2028}\u{200b}\u{e0041}) on 0000:81:00.0, manual
        definition  unreadable  invalid definition: "nvidia-63\u{1b}[31m\u{9b}2J\u{202e}\u{2028}\u{200b}\u{e0041}" is not a valid type: it contains a control or invisible character: /etc/mdevctl.d/0000:81:00.0/a0000003-0000-4000-8000-000000000000
        definition  unreadable  invalid definition: it is not JSON: control character (\u0000-\u001F) found while parsing a string at line 1 column 15: /etc/mdevctl.d/0000:81:00.0/a0000004-0000-4000-8000-000000000000
        parent      present     0000:81:00.0 (mdev)
        device      present     a0000002-0000-4000-8000-000000000000 nvidia-63 (P4-1Q\u{1b}[31m\u{9b}2J\u{202e}\u{2028}\u{200b}\u{e0041}) on 0000:81:00.0
        types       present     0000:81:00.0: P4-1Q\u{1b}[31m\u{9b}2J\u{202e}\u{2028}\u{200b}\u{e0041} 1
        watch       ready       1 parent, 1 device, 4 definitions
    "#);
        } else {
            for line in run.stdout.lines() {
                serde_json::from_str::<serde_json::Value>(line).unwrap();
            }
        }
    }
}
