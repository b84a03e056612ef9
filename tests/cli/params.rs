//! `--param`: parameters of an NVIDIA vGPU, kept by name in one attribute.

use insta::assert_snapshot;
use serde_json::{Value, json};

use crate::harness::{HeldOpen, Run, SimHost};
use crate::helpers::{P1, definition, device, put, uuid};

const BOTH: &str = "--param frame_rate_limiter=0 --param disable_vnc=1";

fn attrs(host: &SimHost) -> Value {
    let bytes = std::fs::read(definition(host, P1, &uuid(1))).unwrap();
    let document: Value = serde_json::from_slice(&bytes).unwrap();
    document["attrs"].clone()
}

fn params(line: &str) -> Value {
    json!([{ "nvidia/vgpu_params": line }])
}

fn on_device(host: &SimHost) -> String {
    device(host, &uuid(1), "vgpu_params")
}

fn create(host: &SimHost, options: &str) -> Run {
    host.run(&format!("create -t P4-1Q -u {} {options}", uuid(1)))
}

fn modify(host: &SimHost, options: &str) -> Run {
    host.run(&format!("modify {} {options}", uuid(1)))
}

fn hold(host: &SimHost) -> HeldOpen {
    let shown = host.run(&format!("show {} --json", uuid(1))).json();
    let group = shown["device"]["vfio_group"].as_str().unwrap();
    HeldOpen::open(group.as_ref(), "-name guest=web")
}

#[test]
fn they_are_one_attribute_written_in_one_write_and_come_back_after_a_reboot() {
    let host = SimHost::start("two-p4");
    let run = create(&host, &format!("{BOTH} -v")).expect(0);
    let written: Vec<&str> = run
        .stderr
        .lines()
        .filter(|line| line.contains("write") && line.contains("/nvidia/vgpu_params: "))
        .collect();
    assert_eq!(written.len(), 1, "{run:?}");
    assert!(
        written[0].ends_with(r#"vgpu_params: "frame_rate_limiter=0, disable_vnc=1\n""#),
        "{written:?}"
    );
    let line = "frame_rate_limiter=0, disable_vnc=1";
    assert_eq!(attrs(&host), params(line));
    assert_eq!(on_device(&host), line);
    host.ctl(&["reboot"]);
    host.run("restore").expect(0);
    assert_eq!(on_device(&host), line);
}

#[test]
fn a_definition_takes_them_too_and_a_transient_device_needs_none() {
    let host = SimHost::start("two-p4");
    let line = format!("define -t P4-1Q -p {P1} -u {} {BOTH} --attr x=1", uuid(1));
    host.run(&line).expect(0);
    let wanted =
        json!([{ "x": "1" }, { "nvidia/vgpu_params": "frame_rate_limiter=0, disable_vnc=1" }]);
    assert_eq!(attrs(&host), wanted);
    host.run(&format!("undefine {}", uuid(1))).expect(0);
    create(&host, "--transient --param disable_vnc=1").expect(0);
    assert_eq!(on_device(&host), "disable_vnc=1");
    let run = host.run(&format!("show {}", uuid(1))).expect(0);
    assert!(
        run.stdout.contains("Parameters   disable_vnc=1\n"),
        "{run:?}"
    );
}

#[test]
fn an_empty_one_asks_for_nothing() {
    let host = SimHost::start("two-p4");
    create(&host, "--param disable_vnc=").expect(0);
    assert_eq!(attrs(&host), json!([]));
}

#[test]
fn setting_one_keeps_the_others_in_the_definition_and_on_the_running_device() {
    let host = SimHost::start("two-p4");
    create(&host, BOTH).expect(0);
    let run = modify(&host, "--param frame_rate_limiter=1 --param enable_uvm=1");
    assert_snapshot!(run.snapshot(&host), @"
    status: 0
    --- stdout
    --- stderr
    modified a0000001-0000-4000-8000-000000000000: nvidia-63 (P4-1Q) on 0000:81:00.0
    note: the running device now has these parameters
    ");
    let line = "frame_rate_limiter=1, disable_vnc=1, enable_uvm=1";
    assert_eq!(attrs(&host), params(line));
    assert_eq!(on_device(&host), line);
    let run = modify(&host, "--param enable_uvm=1").expect(0);
    assert!(run.stderr.contains("is already up to date"), "{run:?}");
    modify(&host, "--param frame_rate_limiter= --del-param enable_uvm").expect(0);
    assert_eq!(attrs(&host), params("disable_vnc=1"));
    assert_eq!(on_device(&host), "disable_vnc=1");
    modify(&host, "--del-param disable_vnc").expect(0);
    assert_eq!(attrs(&host), json!([]));
    assert_eq!(on_device(&host), " ", "a space clears the line");
    let run = modify(&host, "--del-param disable_vnc").expect(0);
    assert!(run.stderr.contains("is already up to date"), "{run:?}");
}

#[test]
fn a_line_of_another_program_is_understood_in_any_spacing() {
    let host = SimHost::start("two-p4");
    let line = "frame_rate_limiter=0,disable_vnc=1 , odd";
    let document =
        json!({ "mdev_type": "nvidia-63", "start": "auto", "attrs": params(line), "note": 1 });
    put(&host, P1, &uuid(1), document.to_string());
    modify(&host, "--param disable_vnc=1").expect(0);
    assert_eq!(
        attrs(&host),
        params(line),
        "nothing changes, so nothing is written"
    );
    modify(&host, "--param disable_vnc=0").expect(0);
    assert_eq!(
        attrs(&host),
        params("frame_rate_limiter=0, disable_vnc=0, odd")
    );
    let text = std::fs::read_to_string(definition(&host, P1, &uuid(1))).unwrap();
    assert!(text.contains("\"note\": 1"), "{text}");
}

#[test]
fn a_device_that_only_now_differs_is_brought_up_to_date() {
    let host = SimHost::start("two-p4");
    create(&host, "--param disable_vnc=1").expect(0);
    let file = host
        .path("sys/bus/mdev/devices")
        .join(uuid(1))
        .join("nvidia/vgpu_params");
    std::fs::write(file, "disable_vnc=0\n").unwrap();
    let run = host.run(&format!("show {}", uuid(1))).expect(0);
    assert!(
        run.stdout
            .contains("Parameters   disable_vnc=1\nRunning with disable_vnc=0\n"),
        "{run:?}"
    );
    let run = modify(&host, "--param disable_vnc=1").expect(0);
    assert!(run.stderr.starts_with("modified "), "{run:?}");
    assert_eq!(on_device(&host), "disable_vnc=1");
}

#[test]
fn while_somebody_holds_the_device_nothing_changes_and_they_are_named() {
    let host = SimHost::start("two-p4");
    create(&host, BOTH).expect(0);
    let before = attrs(&host);
    let held = hold(&host);
    for options in [
        "--param disable_vnc=0",
        "--del-param disable_vnc",
        "--param disable_vnc=0 --dry-run",
    ] {
        let run = modify(&host, options).expect(5);
        let wanted = format!("is in use by pid {} (bash, VM web): ", held.pid());
        assert!(run.stderr.contains(&wanted), "{run:?}");
        assert!(
            run.stderr.contains("only while the device is not in use"),
            "{run:?}"
        );
        assert!(
            !run.stderr.contains("--wait"),
            "modify has no such option: {run:?}"
        );
        assert_eq!(attrs(&host), before);
    }
    assert_eq!(on_device(&host), "frame_rate_limiter=0, disable_vnc=1");
    modify(&host, "--manual").expect(0);
    held.close();
    modify(&host, "--param disable_vnc=0").expect(0);
    assert_eq!(on_device(&host), "frame_rate_limiter=0, disable_vnc=0");
}

#[test]
fn what_the_driver_refuses_is_explained_and_the_definition_is_as_before() {
    let host = SimHost::start("two-p4");
    create(&host, BOTH).expect(0);
    let before = attrs(&host);
    host.ctl(&["fail-attr", "nvidia/vgpu_params", "EPERM"]);
    let run = modify(&host, "--param disable_vnc=0").expect(5);
    assert!(
        run.stderr.contains("Operation not permitted (EPERM)"),
        "{run:?}"
    );
    assert!(
        run.stderr
            .contains("hint: parameters can be set only while the device is not in use"),
        "{run:?}"
    );
    assert_eq!(attrs(&host), before);
    let long = format!("--param disable_vnc={}", "1".repeat(1100));
    let run = modify(&host, &long).expect(1);
    assert!(
        run.stderr.contains("hint: the parameters are too long"),
        "{run:?}"
    );
    assert_eq!(attrs(&host), before);
    assert_eq!(on_device(&host), "frame_rate_limiter=0, disable_vnc=1");
}

#[test]
fn a_device_that_takes_none_is_not_made() {
    let host = SimHost::start("gvt-g");
    let run = host.run(&format!("create -t i915-GVTg_V5_8 -u {} {BOTH}", uuid(1)));
    let run = run.expect(1);
    assert!(
        run.stderr
            .contains("does not support vGPU parameters: is i915-GVTg_V5_8"),
        "{run:?}"
    );
    assert_eq!(host.active(), [""; 0]);
    assert_eq!(host.defined(), [""; 0]);
}

#[test]
fn new_names_are_passed_on_with_a_word() {
    let host = SimHost::start("two-p4");
    let run = create(&host, "--param enable_new=7 --param vgpu_id=12 --json").expect(0);
    let notes = run.json()["notes"].clone();
    assert_eq!(notes.as_array().unwrap().len(), 1, "{notes}");
    assert!(
        notes[0]
            .as_str()
            .unwrap()
            .contains("enable_new is not known here")
    );
    assert_eq!(on_device(&host), "enable_new=7, vgpu_id=12");
}

#[test]
fn what_makes_no_sense_is_refused_before_anything_is_done() {
    let host = SimHost::start("two-p4");
    put(
        &host,
        P1,
        &uuid(2),
        r#"{"mdev_type":"nvidia-63","start":"auto"}"#,
    );
    let before = host.defined();
    for options in [
        "--param disable_vnc",
        "--param =1",
        "--param disable_vnc=0,frame_rate_limiter=1",
        "--param a=b=c",
        "--param disable_vnc=1 --param disable_vnc=0",
        "--param disable_vnc=1 --attr nvidia/vgpu_params=disable_vnc=0",
    ] {
        create(&host, options).expect(2);
        host.run(&format!("define -t P4-1Q -p {P1} {options}"))
            .expect(2);
        host.run(&format!("modify {} {options}", uuid(2))).expect(2);
    }
    for options in [
        "--param disable_vnc=1 --del-param disable_vnc",
        "--del-param disable_vnc --attr nvidia/vgpu_params=x=1",
        "--del-param a=1",
    ] {
        host.run(&format!("modify {} {options}", uuid(2))).expect(2);
    }
    let run = host
        .run_args(["create", "-t", "P4-1Q", "--param", "a=1 2"])
        .expect(2);
    assert!(run.stderr.contains("no spaces, commas"), "{run:?}");
    assert_eq!(host.active(), [""; 0]);
    assert_eq!(host.defined(), before);
}

#[test]
fn what_the_device_does_not_show_as_written_is_told() {
    let host = SimHost::start("two-p4");
    create(&host, "--param disable_vnc=1").expect(0);
    let file = format!("{}/nvidia/vgpu_params", uuid(1));
    host.ctl(&["break", &file, "eio"]);
    let run = modify(&host, "--param disable_vnc=0").expect(0);
    assert!(
        run.stderr
            .contains("they cannot be read back: cannot read: "),
        "{run:?}"
    );
    let cause = format!("{file}: Input/output error (EIO)");
    assert!(run.stderr.contains(&cause), "{run:?}");
    assert_eq!(on_device(&host), "disable_vnc=0");
    let run = host.run(&format!("show {}", uuid(1))).expect(7);
    assert!(
        run.stdout.contains("Parameters   disable_vnc=0\n"),
        "{run:?}"
    );
    assert!(
        run.stderr.contains("vgpu_params: Input/output error"),
        "{run:?}"
    );
    host.ctl(&["break", &file, "empty"]);
    let run = modify(&host, "--param disable_vnc=1").expect(0);
    assert!(run.stderr.contains(r#"and reports """#), "{run:?}");
    host.ctl(&["break", &file, "missing"]);
    let before = attrs(&host);
    let run = modify(&host, "--param disable_vnc=0").expect(1);
    assert!(
        run.stderr.contains("does not support vGPU parameters"),
        "{run:?}"
    );
    assert_eq!(attrs(&host), before);
}
