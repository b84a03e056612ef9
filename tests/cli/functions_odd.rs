//! Virtual functions in odd states: stale notes, other programs, unreadable files, wrong places.

use std::fs;

use crate::harness::SimHost;
use crate::helpers::uuid;

const GPU: &str = "0000:41:00.0";
const VF0: &str = "0000:41:00.4";
const VF1: &str = "0000:41:00.5";
const TYPE: &str = "nvidia-1153";
const NUMBER: u32 = 1153;

fn attribute(host: &SimHost, vf: &str, name: &str) -> std::path::PathBuf {
    host.path(&format!("sys/bus/pci/devices/{vf}/nvidia/{name}"))
}

fn current(host: &SimHost, vf: &str) -> String {
    let text = fs::read_to_string(attribute(host, vf, "current_vgpu_type")).unwrap();
    text.trim().to_owned()
}

fn set(host: &SimHost, vf: &str, number: u32) {
    let path = attribute(host, vf, "current_vgpu_type");
    fs::write(path, number.to_string()).unwrap();
}

fn break_it(host: &SimHost, vf: &str, name: &str, how: &str) {
    host.ctl(&["break", &format!("{vf}/nvidia/{name}"), how]);
}

fn note(host: &SimHost, vf: &str, uuid: &str) {
    let dir = host.path("run/vgpuctl/vfs");
    fs::create_dir_all(&dir).unwrap();
    let text = format!("{{\"type\":\"{TYPE}\",\"uuid\":\"{uuid}\"}}");
    fs::write(dir.join(vf), text).unwrap();
}

fn types_on(host: &SimHost) -> usize {
    let status = host.status();
    let all = status["vendor_vfs"].as_array().unwrap();
    let holds = |vf: &&serde_json::Value| vf["type"].as_u64().is_some_and(|number| number != 0);
    all.iter().filter(holds).count()
}

#[test]
fn a_definition_goes_where_libvirt_does_not_look_and_is_restored() {
    for (parent, functions_are_on) in [(GPU, true), (VF1, true), (GPU, false), (VF1, false)] {
        let host = SimHost::start("l40s");
        if !functions_are_on {
            host.ctl(&["sriov-manage", "-d", GPU]);
        }
        let at = format!("{parent}, functions on: {functions_are_on}");
        let id = uuid(1);
        let line = format!("define --type {TYPE} --parent {parent} --uuid {id}");
        host.run(&format!("{line} --dry-run")).expect(0);
        assert!(host.defined_functions(GPU).is_empty(), "{at}");
        host.run(&line).expect(0);
        assert!(!host.path("etc/mdevctl.d").exists(), "{at}");
        assert_eq!(host.defined_functions(GPU), [id.as_str()], "{at}");
        host.run(&line).expect(1);
        if !functions_are_on {
            host.run("restore").expect(7);
            host.ctl(&["sriov-manage", "-e", GPU]);
        }
        host.run("restore").expect(0);
        let vf = if parent == VF1 { VF1 } else { VF0 };
        assert_eq!(current(&host, vf), NUMBER.to_string(), "{at}");
        host.run(&format!("remove {id}")).expect(0);
        assert_eq!(types_on(&host), 0, "{at}");
    }
}

#[test]
fn what_cannot_be_told_of_a_switched_off_gpu_is_asked_for_and_not_guessed() {
    let host = SimHost::start("both-frameworks");
    let gpu = "0000:c1:00.0";
    host.ctl(&["sriov-manage", "-d", gpu]);
    let refused = host
        .run(&format!("define --type {TYPE} --parent {gpu}"))
        .expect(2);
    assert!(
        refused
            .stderr
            .contains(&format!("vgpuctl vfs enable {gpu}")),
        "{}",
        refused.stderr
    );
    assert!(!host.path("etc/mdevctl.d").exists());
    // Its settings say enough.
    fs::create_dir_all(host.path(&format!("etc/vgpuctl.d/{gpu}"))).unwrap();
    host.run(&format!("define --type {TYPE} --parent {gpu}"))
        .expect(0);
    assert_eq!(host.defined_functions(gpu).len(), 1);
    // A parent of mediated devices is defined as ever, there or not.
    for parent in ["0000:81:00.0", "0000:99:00.0"] {
        host.run(&format!("define --type nvidia-63 --parent {parent}"))
            .expect(0);
    }
    assert_eq!(host.defined().len(), 2);
}

#[test]
fn one_whose_function_cannot_be_read_is_neither_made_twice_nor_forgotten() {
    let host = SimHost::start("l40s");
    let id = uuid(1);
    let line = format!("create --type {TYPE} --uuid {id}");
    host.run(&line).expect(0);
    for how in ["eio", "garbage"] {
        break_it(&host, VF0, "current_vgpu_type", how);
        for verb in [
            "restore".to_owned(),
            format!("start {id}"),
            format!("remove {id}"),
            line.clone(),
        ] {
            let run = host.run(&verb);
            assert_ne!(run.status, 0, "{verb}: {run:?}");
            assert!(
                format!("{}{}", run.stdout, run.stderr).contains("current_vgpu_type"),
                "{verb}: {run:?}"
            );
        }
        assert_eq!(types_on(&host), 1, "{how}");
        assert_eq!(host.defined_functions(GPU), [id.as_str()]);
        let listed = host.run("list --json").expect(7).json();
        assert_eq!(
            listed["devices"][0]["active"],
            serde_json::Value::Null,
            "not known"
        );
        let disabled = host.run(&format!("vfs disable {GPU}"));
        assert_ne!(disabled.status, 0, "{disabled:?}");
        assert_eq!(types_on(&host), 1, "{how}");
        host.ctl(&["mend"]);
    }
    host.run(&format!("remove {id}")).expect(0);
    assert_eq!(types_on(&host), 0);
}

#[test]
fn one_bad_function_hides_no_other() {
    let host = SimHost::start("l40s");
    break_it(&host, VF0, "creatable_vgpu_types", "garbage");
    break_it(&host, VF1, "current_vgpu_type", "eio");
    let types = host.run("types --json").expect(7);
    assert!(
        !types.json()["parents"][0]["types"]
            .as_array()
            .unwrap()
            .is_empty()
    );
    for path in [
        format!("{VF0}/nvidia/creatable"),
        format!("{VF1}/nvidia/current"),
    ] {
        let warnings = types.json()["warnings"].as_array().unwrap().clone();
        let told = |warning: &&serde_json::Value| warning["path"].to_string().contains(&path);
        assert_eq!(
            warnings.iter().filter(told).count(),
            1,
            "{path}: {warnings:?}"
        );
    }
    host.run(&format!("create --type {TYPE}")).expect(0);
    assert_eq!(current(&host, "0000:41:00.6"), NUMBER.to_string());
}

#[test]
fn a_stale_note_never_reaches_anothers_vgpu() {
    let host = SimHost::start("l40s");
    let id = uuid(1);
    // A create was killed after it had noted what it was going to do on the first function, which
    // another program has given the same type since; ours is on the second.
    note(&host, VF0, &id);
    host.run(&format!("create --type {TYPE} --uuid {id} --parent {VF1}"))
        .expect(0);
    set(&host, VF0, NUMBER);
    host.run(&format!("remove {id}")).expect(0);
    assert_eq!(current(&host, VF1), "0");
    assert_eq!(
        current(&host, VF0),
        NUMBER.to_string(),
        "it is another VM's"
    );
    let listed = host.run("list --json").expect(0).json();
    assert_eq!(listed["devices"][0]["uuid"], serde_json::Value::Null);
}

#[test]
fn functions_that_are_switched_off_take_their_notes_with_them() {
    let host = SimHost::start("l40s");
    let id = uuid(1);
    host.run(&format!("create --type {TYPE} --uuid {id}"))
        .expect(0);
    // Another program, which knows nothing of us.
    set(&host, VF0, 0);
    host.run(&format!("vfs disable {GPU}")).expect(0);
    host.run(&format!("vfs enable {GPU}")).expect(0);
    set(&host, VF0, NUMBER);
    host.run(&format!("remove {id}")).expect(0);
    assert_eq!(
        current(&host, VF0),
        NUMBER.to_string(),
        "it is another VM's"
    );
}

#[test]
fn a_note_of_two_functions_is_not_guessed_at() {
    let host = SimHost::start("l40s");
    let id = uuid(1);
    host.run(&format!("create --type {TYPE} --uuid {id}"))
        .expect(0);
    set(&host, VF1, NUMBER);
    note(&host, VF1, &id);
    let refused = host.run(&format!("remove {id}")).expect(1);
    assert!(
        refused.stderr.contains(VF0) && refused.stderr.contains(VF1),
        "{}",
        refused.stderr
    );
    assert_eq!(types_on(&host), 2);
}

#[test]
fn a_uuid_that_is_given_is_never_that_of_anothers_function() {
    let host = SimHost::start("l40s");
    set(&host, VF0, NUMBER);
    // What the program calls that vGPU inside: version 8, the address's digits.
    let made_up = "00000000-0000-8000-8000-000041000004";
    host.run(&format!(
        "define --type {TYPE} --parent {GPU} --uuid {made_up}"
    ))
    .expect(0);
    host.run(&format!("start {made_up}")).expect(0);
    assert_eq!(
        current(&host, VF1),
        NUMBER.to_string(),
        "it has one of its own"
    );
    host.run(&format!("stop {made_up}")).expect(0);
    assert_eq!(current(&host, VF0), NUMBER.to_string());
    host.run(&format!("remove {made_up}")).expect(0);
    assert_eq!(
        current(&host, VF0),
        NUMBER.to_string(),
        "it is another VM's"
    );
    host.run(&format!("stop {made_up}")).expect(3);
}

#[test]
fn the_same_create_on_another_function_is_another_wish() {
    let host = SimHost::start("l40s");
    let id = uuid(1);
    host.run(&format!("define --type {TYPE} --uuid {id} --parent {VF1}"))
        .expect(0);
    host.run(&format!("create --type {TYPE} --uuid {id} --parent {VF0}"))
        .expect(1);
    assert_eq!(types_on(&host), 0);
    host.run(&format!("create --type {TYPE} --uuid {id} --parent {VF1}"))
        .expect(0);
    assert_eq!(current(&host, VF1), NUMBER.to_string());
}

#[test]
fn one_that_sits_on_another_function_than_defined_is_told() {
    let host = SimHost::start("l40s");
    let id = uuid(1);
    host.run(&format!("define --type {TYPE} --uuid {id} --parent {VF1}"))
        .expect(0);
    set(&host, VF0, NUMBER);
    note(&host, VF0, &id);
    let restored = host.run("restore").expect(7).stdout;
    assert!(
        restored.contains(VF0) && restored.contains(VF1),
        "{restored}"
    );
    assert_eq!(types_on(&host), 1);
}

#[test]
fn settings_that_make_no_sense_are_said_before_anything_is_switched() {
    let host = SimHost::start("l40s");
    host.ctl(&["sriov-manage", "-d", GPU]);
    let dir = host.path(&format!("etc/vgpuctl.d/{GPU}"));
    fs::create_dir_all(&dir).unwrap();
    for bad in [b"vfs = on\n".to_vec(), vec![0xff], vec![b'#'; 3 << 20]] {
        fs::write(dir.join("gpu.conf"), &bad).unwrap();
        let refused = host.run(&format!("vfs enable {GPU} --at-boot")).expect(1);
        assert!(refused.stderr.contains("gpu.conf"), "{}", refused.stderr);
        let shown = host.run("vfs --json").expect(7).json();
        assert_eq!(shown["gpus"][0]["enabled"], 0);
        let restored = host.run("restore");
        assert_ne!(restored.status, 0, "{restored:?}");
        assert!(restored.stderr.contains("gpu.conf"), "{restored:?}");
        assert_eq!(fs::read(dir.join("gpu.conf")).unwrap(), bad);
    }
}

#[test]
fn one_gpu_in_both_directories_loses_nothing_and_is_explained() {
    let host = SimHost::start("l40s");
    let (old, new) = (uuid(1), uuid(2));
    let dir = host.path(&format!("etc/mdevctl.d/{GPU}"));
    fs::create_dir_all(&dir).unwrap();
    let text = format!("{{\"mdev_type\":\"{TYPE}\",\"start\":\"auto\"}}");
    fs::write(dir.join(&old), &text).unwrap();
    host.run(&format!("create --type {TYPE} --uuid {new}"))
        .expect(0);
    let restored = host.run("restore").expect(7);
    assert!(
        restored.stderr.contains("upgrade") && restored.stderr.contains(&old),
        "{restored:?}"
    );
    let listed = host.run("list --json").expect(0).json();
    assert_eq!(listed["devices"].as_array().unwrap().len(), 2);

    // One UUID in both: neither is deleted by guessing.
    fs::write(dir.join(&new), &text).unwrap();
    let refused = host.run(&format!("undefine {new}")).expect(2);
    for path in ["etc/mdevctl.d", "etc/vgpuctl.d"] {
        assert!(refused.stderr.contains(path), "{}", refused.stderr);
    }
    assert!(dir.join(&new).exists());
    assert_eq!(host.defined_functions(GPU), [new.as_str()]);
    fs::remove_file(dir.join(&new)).unwrap();
    host.run(&format!("remove {new}")).expect(0);
    assert_eq!(fs::read_to_string(dir.join(&old)).unwrap(), text);
}
