//! `--json`, pinned: the documents are compared with `tests/cli/fixtures/*.json` character by
//! character. What differs from machine to machine is replaced first: the host's root by `[ROOT]`,
//! the card's name (from the hardware database) by `[CARD]`, a process's id by 4711.
//!
//! To accept a change: `VGPUCTL_UPDATE_FIXTURES=1 cargo test --test cli json`, then read the diff.
//! Programs rely on these documents: fields may be added, never changed or taken away.

use std::path::Path;

use serde_json::Value;

use crate::harness::{HeldOpen, Run, SimHost, schema};
use crate::helpers::{P1, P2, put, put_auto, uuid};

/// Compares `text`, of `host`, with the fixture of that name.
#[track_caller]
fn pinned(host: &SimHost, name: &str, text: &str) {
    let text = text.replace(host.root().to_str().unwrap(), "[ROOT]");
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/cli/fixtures")
        .join(format!("{name}.json"));
    if std::env::var_os("VGPUCTL_UPDATE_FIXTURES").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    let wanted = std::fs::read_to_string(&path)
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    assert_eq!(text, wanted, "{} differs", path.display());
}

/// The answer is the document, and nothing else is said.
#[track_caller]
pub fn answer(host: &SimHost, name: &str, run: &Run) {
    assert_eq!(run.stderr, "", "all is in the document");
    pinned(host, name, &run.stdout);
}

/// The error is the document, on standard error.
#[track_caller]
fn error(host: &SimHost, name: &str, run: &Run) {
    assert_eq!(run.stdout, "");
    pinned(host, name, &run.stderr);
}

#[test]
fn types() {
    let host = SimHost::start("two-p4");
    host.run("create -t P4-4Q").expect(0);
    let run = host.run(&format!("types --parent {P1} --json")).expect(0);
    answer(&host, "types", &run);
}

#[test]
fn types_with_warnings_of_several_vendors() {
    let host = SimHost::start("mixed");
    host.ctl(&[
        "break",
        &format!("{P1}/nvidia-63/available_instances"),
        "garbage",
    ]);
    let run = host.run("types --json --available").expect(7);
    answer(&host, "types-warnings", &run);
}

#[test]
fn explain() {
    let host = SimHost::start("empty");
    let log = host.path("usr/host.log");
    let text = "[   12.1] NVRM: Failed to add vgpu create request: 0x56\n\
                [   12.2] [nvidia-vgpu-vfio] vGPU creation failed on device 0x400. -5\n\
                Failed to decode config: expected `=`\n";
    std::fs::create_dir_all(log.parent().unwrap()).unwrap();
    std::fs::write(&log, text).unwrap();
    let run = host
        .run(&format!("explain {} --json", log.display()))
        .expect(0);
    answer(&host, "explain", &run);
    let run = host.run("explain opengl-q --json").expect(0);
    answer(&host, "explain-topic", &run);
    std::fs::write(&log, "all is well\n").unwrap();
    let run = host
        .run(&format!("explain {} --json", log.display()))
        .expect(3);
    answer(&host, "explain-nothing", &run);
}

#[test]
fn gpus() {
    let host = SimHost::start("two-p4");
    host.run("create -t P4-2Q --count 3").expect(0);
    let mut run = host.run("gpus --json").expect(0);
    let mut document = run.json();
    for gpu in document["gpus"].as_array_mut().unwrap() {
        assert!(gpu["card"].is_string());
        gpu["card"] = "[CARD]".into();
    }
    run.stdout = format!("{document:#}\n");
    answer(&host, "gpus", &run);
}

#[test]
fn an_unlocked_card_and_what_it_cannot_hold() {
    let host = SimHost::start("gtx-1080ti");
    let line = format!("create --json -t P40-12Q -u {}", uuid(1));
    answer(&host, "create-memory", &host.run(&line).expect(0));
    let mut run = host.run("gpus --json").expect(0);
    let mut document = run.json();
    document["gpus"][0]["card"] = "[CARD]".into();
    run.stdout = format!("{document:#}\n");
    answer(&host, "gpus-unlocked", &run);
}

#[test]
fn what_the_next_boot_cannot_start() {
    let host = SimHost::start("two-p4");
    put_auto(&host, P1, &uuid(1), "nvidia-63");
    let line = format!("define --json -t P4-2Q -p {P1} -u {}", uuid(2));
    answer(&host, "define-boot", &host.run(&line).expect(0));
}

#[test]
fn metrics() {
    let host = SimHost::start("s390-matrix");
    let line = "define -t vfio_ap-passthrough -p matrix";
    host.run(&format!("{line} -u {}", uuid(1))).expect(0);
    put(&host, "matrix", &uuid(2), "{");
    let mut run = host.run("metrics --json").expect(7);
    run.stdout = run.stdout.replace(env!("CARGO_PKG_VERSION"), "[VERSION]");
    answer(&host, "metrics", &run);
}

#[test]
fn list() {
    let host = SimHost::start("two-p4");
    host.run(&format!("create -t P4-1Q -u {}", uuid(1)))
        .expect(0);
    host.run(&format!("create -t P4-1Q -u {} --transient", uuid(2)))
        .expect(0);
    host.run(&format!("define -t P4-2Q -p {P2} -u {} --manual", uuid(3)))
        .expect(0);
    put(&host, P2, &uuid(4), "{");
    answer(&host, "list", &host.run("list --json").expect(7));
}

#[test]
fn show() {
    let host = SimHost::start("two-p4");
    let attrs = "--attr nvidia/vgpu_params=a=1";
    host.run(&format!("create -t P4-1Q -u {} {attrs}", uuid(1)))
        .expect(0);
    put_auto(&host, P2, &uuid(1), "nvidia-63");
    let show = format!("show {} --json", uuid(1));
    let group = host.run(&show).json()["device"]["vfio_group"].clone();
    let held = HeldOpen::open(group.as_str().unwrap().as_ref(), "-name guest=web");
    let mut run = host.run(&show).expect(0);
    let pid = format!("\"pid\": {}", held.pid());
    assert!(run.stdout.contains(&pid), "{run:?}");
    run.stdout = run.stdout.replace(&pid, "\"pid\": 4711");
    answer(&host, "show", &run);
}

#[test]
fn show_of_a_definition_alone() {
    let host = SimHost::start("two-p4");
    put_auto(&host, "0000:99:00.0", &uuid(1), "nvidia-63");
    let run = host.run(&format!("show {} --json", uuid(1))).expect(0);
    answer(&host, "show-inactive", &run);
}

#[test]
fn attach() {
    let host = SimHost::start("two-p4");
    host.run(&format!("create -t P4-1Q -u {}", uuid(1)))
        .expect(0);
    let line = format!("attach {} --json", uuid(1));
    answer(&host, "attach", &host.run(&line).expect(0));
    let line = format!("{line} --format qemu --licence-server licence.lan");
    answer(&host, "attach-qemu", &host.run(&line).expect(0));
}

#[test]
fn vfs() {
    let host = SimHost::with_l40s(1, 2);
    host.run(&format!("create -t nvidia-1153 -u {}", uuid(1)))
        .expect(0);
    answer(&host, "vfs", &host.run("vfs --json").expect(0));
}

#[test]
fn mig() {
    let host = SimHost::start("h100-mig");
    host.ctl(&["nvidia-smi", "mig", "-cgi", "9,19", "-C"]);
    host.run(&format!("create -t H100XM-3-40C -u {}", uuid(1)))
        .expect(0);
    answer(&host, "mig", &host.run("mig --json").expect(0));
}

#[test]
fn checks() {
    let host = SimHost::start("empty");
    let run = host.run("doctor --list --json").expect(0);
    answer(&host, "doctor-list", &run);
}

#[test]
fn create() {
    let host = SimHost::start("two-p4");
    let line = format!("create --json -t P4-1Q -u {}", uuid(1));
    let run = host.run(&(line.clone() + " --dry-run")).expect(0);
    answer(&host, "create-dry-run", &run);
    answer(&host, "create", &host.run(&line).expect(0));
}

#[test]
fn define() {
    let host = SimHost::start("two-p4");
    let line = format!("define -t nvidia-63 -p 0000:99:00.0 -u {} --json", uuid(1));
    answer(&host, "define", &host.run(&line).expect(0));
}

#[test]
fn restore() {
    let host = SimHost::start("two-p4");
    host.run(&format!("create -t P4-1Q -u {}", uuid(1)))
        .expect(0);
    put_auto(&host, P1, &uuid(2), "nvidia-63");
    put_auto(&host, P1, &uuid(3), "nvidia-64");
    put_auto(&host, "0000:99:00.0", &uuid(4), "nvidia-63");
    put(&host, P2, &uuid(5), "");
    let run = host.run("restore --json --dry-run").expect(7);
    answer(&host, "restore-dry-run", &run);
    let run = host.run("restore --json --dry-run --now").expect(7);
    answer(&host, "restore-dry-run-now", &run);
    answer(&host, "restore", &host.run("restore --json").expect(7));
}

#[test]
fn changes_of_the_other_verbs() {
    let host = SimHost::start("two-p4");
    put_auto(&host, P1, &uuid(1), "nvidia-63");
    let run = |line: &str| host.run(&format!("{line} {} --json", uuid(1))).expect(0);
    answer(&host, "start", &run("start"));
    answer(&host, "start-again", &run("start"));
    answer(&host, "modify", &run("modify --type P4-2Q"));
    answer(&host, "stop", &run("stop"));
    answer(&host, "undefine-dry-run", &run("undefine --dry-run"));
    answer(&host, "remove", &run("remove"));
}

#[test]
fn errors() {
    let host = SimHost::start("two-p4");
    host.ctl(&["fail-create", "1", "EIO"]);
    let line = format!("create --json -t P4-1Q -u {}", uuid(1));
    error(&host, "error-kernel", &host.run(&line).expect(1));
    host.run("create -t P4-8Q -p 0000:81:00.0").expect(0);
    let run = host.run("create --json -t P4-1Q -p 0000:81:00.0");
    error(&host, "error-no-capacity", &run.expect(4));
    let run = host.run(&format!("show --json {}", uuid(9))).expect(3);
    error(&host, "error-not-found", &run);
    let run = host.run("types --json --nonsense").expect(2);
    error(&host, "error-usage", &run);
}

#[test]
fn every_error_document_has_the_same_keys_and_the_code_of_its_exit_status() {
    let host = SimHost::start("two-p4");
    put(&host, P1, &uuid(1), "{");
    for (status, line) in [
        (1, format!("define -t P4-1Q -p {P1} -u {}", uuid(1))),
        (2, "types --nonsense".to_owned()),
        (2, "nonsense".to_owned()),
        (2, "show x".to_owned()),
        (2, "create -t P4-1Q --uuid x".to_owned()),
        (2, format!("modify {}", uuid(1))),
        (3, "types -p 0000:99:00.0".to_owned()),
        (3, "create -t nope".to_owned()),
        (3, format!("show {}", uuid(9))),
        (3, format!("modify {} --auto", uuid(9))),
        (4, "create -t P4-1Q --count 99".to_owned()),
    ] {
        let run = host.run(&format!("{line} --json")).expect(status);
        assert_eq!(run.stdout, "", "{line}");
        let document: Value = serde_json::from_str(&run.stderr)
            .unwrap_or_else(|error| panic!("{line}: {error}: {run:?}"));
        schema::kind(&document);
        let error = document["error"].as_object().unwrap();
        let keys: Vec<&str> = error.keys().map(String::as_str).collect();
        assert_eq!(
            keys,
            ["code", "message", "path", "cause", "hints"],
            "{line}"
        );
        let codes = ["", "failed", "usage", "not-found", "no-capacity"];
        let code = codes[usize::try_from(status).unwrap()];
        assert_eq!(error["code"], code, "{line}");
        assert!(!error["message"].as_str().unwrap().is_empty(), "{line}");
        assert!(error["hints"].is_array(), "{line}");
    }
}

#[test]
fn an_error_of_one_device_stands_with_its_change() {
    let host = SimHost::start("two-p4");
    host.run(&format!("create -t P4-1Q -u {}", uuid(1)))
        .expect(0);
    for (verb, errno, status) in [("stop", "EBUSY", 5), ("remove", "EIO", 1)] {
        host.ctl(&["fail-remove", "1", errno]);
        let run = host
            .run(&format!("{verb} --json {}", uuid(1)))
            .expect(status);
        let change = run.json()["changes"][0].clone();
        assert_eq!(change["result"], "failed");
        let cause = change["error"]["cause"].as_str().unwrap();
        assert!(cause.ends_with(&format!("({errno})")), "{cause}");
        assert!(
            change["error"]["path"]
                .as_str()
                .unwrap()
                .ends_with("/remove")
        );
    }
}

#[test]
fn plans_and_what_came_of_them() {
    let host = crate::plan::host("two-p4");
    let path = crate::plan::file(
        &host,
        "unlisted = \"remove\"\n[[group]]\nname = \"desks\"\ntype = \"P4-1Q\"\nnames = [\"a\", \"b\"]\n\
         [[group]]\nname = \"large\"\ntype = \"P4-8Q\"\ncount = 2\n",
    );
    put_auto(&host, P1, &uuid(1), "nvidia-63");
    let path = path.to_str().unwrap();
    answer(
        &host,
        "plan",
        &host.run(&format!("plan {path} --json")).expect(2),
    );
    let run = host.run(&format!("apply --yes {path} --json")).expect(7);
    answer(&host, "apply", &run);
    answer(
        &host,
        "assert",
        &host.run(&format!("assert {path} --json")).expect(2),
    );
    answer(&host, "export", &host.run("export --json").expect(0));
}
