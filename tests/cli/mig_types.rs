//! MIG-backed types and the GPU instances that they need: counted, named in errors, created with them.

use std::fs;

use serde_json::{Value, json};

use crate::harness::{Run, SimHost};
use crate::helpers::uuid;

const GPU: &str = "0000:41:00.0";

fn smi(host: &SimHost, line: &str) {
    let words: Vec<&str> = ["nvidia-smi"].into_iter().chain(line.split(' ')).collect();
    host.ctl(&words);
}

/// Puts a program in the place of `nvidia-smi`, which notes its calls and, where one has this option, answers this.
fn answers(host: &SimHost, option: &str, text: &str, status: u8) {
    let program = host.path("usr/bin/nvidia-smi");
    let real = host.path("usr/bin/nvidia-smi.real");
    if !real.exists() {
        fs::rename(&program, &real).unwrap();
    }
    let (said, calls) = (host.path("usr/said"), host.path("usr/calls"));
    fs::write(&said, text).unwrap();
    fs::write(&calls, "").unwrap();
    let script = format!(
        "#!/bin/sh\necho \"$*\" >> '{}'\ncase \" $* \" in *'{option}'*) cat '{}'; exit {status};; esac\n\
         exec '{}' \"$@\"\n",
        calls.display(),
        said.display(),
        real.display()
    );
    fs::write(&program, script).unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(&program, mode).unwrap();
}

/// The calls of `nvidia-smi` since the last [`answers`].
fn calls(host: &SimHost) -> Vec<String> {
    let text = fs::read_to_string(host.path("usr/calls")).unwrap();
    text.lines().map(str::to_owned).collect()
}

const NO_CALL: &str = "no call has this";

#[track_caller]
fn says(run: &Run, words: &str) {
    assert!(run.stderr.contains(words), "{words}: {run:#?}");
}

/// What `types` says of each type: its short name, how many are free, at least, and at most.
fn types(host: &SimHost) -> Vec<(String, Value, Value, Value)> {
    let answer = host.run("types --json").expect(0).json();
    let types = answer["parents"][0]["types"].as_array().unwrap().clone();
    let told = |one: &Value| {
        let name = one["name"].as_str().unwrap();
        (
            name.rsplit(' ').next().unwrap().to_owned(),
            one["available"].clone(),
            one["available_at_least"].clone(),
            one["max_instances"].clone(),
        )
    };
    types.iter().map(told).collect()
}

#[track_caller]
fn counts(host: &SimHost, wanted: &[(&str, u32, u32)]) {
    let all = types(host);
    let expected: Vec<_> = wanted
        .iter()
        .map(|(name, free, most)| ((*name).to_owned(), json!(free), json!(free), json!(most)))
        .collect();
    assert_eq!(all, expected);
}

#[test]
fn types_count_the_gpu_instances_of_their_profiles() {
    let host = SimHost::start("h100-mig");
    // Three memory slices are left for it beside the half card.
    smi(&host, "mig -cgi 9,19 -C");
    counts(&host, &[("H100XM-1-10C", 1, 3), ("H100XM-3-40C", 1, 1)]);
    smi(&host, "mig -cgi 19,19 -C");
    counts(&host, &[("H100XM-1-10C", 3, 3), ("H100XM-3-40C", 1, 1)]);
    let run = host.run("types").expect(0);
    assert_eq!(run.stderr, "");
    assert!(run.stdout.contains("FREE  MAX"), "{run:#?}");
    host.run("create -t H100XM-1-10C --count 2").expect(0);
    host.run("create -t H100XM-3-40C").expect(0);
    counts(&host, &[("H100XM-1-10C", 1, 3), ("H100XM-3-40C", 0, 1)]);
    let free = host.run("types --available --json").expect(0).json();
    assert_eq!(free["parents"][0]["types"].as_array().unwrap().len(), 1);
}

#[test]
fn nvidia_smi_is_asked_once_and_only_where_types_are_mig_backed() {
    for (name, prepared, wanted) in [
        ("h100-mig", "mig -cgi 9 -C", 4),
        ("h200", "mig -lgi", 0),
        ("l40s", "mig -lgi", 0),
    ] {
        let host = SimHost::start(name);
        smi(&host, prepared);
        answers(&host, NO_CALL, "", 0);
        host.run("types").expect(0);
        let calls = calls(&host);
        assert_eq!(calls.len(), wanted, "{name}: {calls:?}");
    }
}

#[test]
fn without_nvidia_smi_types_are_as_their_driver_lists_them() {
    let host = SimHost::start("h100-mig");
    smi(&host, "mig -cgi 9,19 -C");
    let listed = |run: &Run| {
        let answer = run.json();
        let first = answer["parents"][0]["types"][0].clone();
        (
            first["available"].clone(),
            first["available_at_least"].clone(),
            first["max_instances"].clone(),
        )
    };
    let as_before = (Value::Null, json!(1), Value::Null);
    for (option, text, status) in [
        ("query-gpu", "NVIDIA-SMI has failed\n", 9),
        ("-lgip ", "Failed: Insufficient Permissions\n", 4),
        ("-lgi ", "Segmentation fault\n", 0),
    ] {
        answers(&host, option, text, status);
        let run = host.run("types --json").expect(0);
        let notes = run.json()["notes"].to_string();
        assert!(
            notes.contains("GPU instances could not be counted: "),
            "{notes}"
        );
        assert_eq!(listed(&run), as_before, "{option}");
    }
    fs::remove_file(host.path("usr/bin/nvidia-smi")).unwrap();
    let run = host.run("types --json").expect(0);
    assert_eq!(listed(&run), as_before);
    let run = host.run("types").expect(0);
    says(&run, "note: GPU instances could not be counted: ");
    says(&run, "nvidia-smi not found");
    assert!(!run.stdout.contains("MAX"), "{run:#?}");
}

#[test]
fn a_vgpu_on_an_unknown_gpu_instance_leaves_free_to_the_driver() {
    let host = SimHost::start("h100-mig");
    smi(&host, "mig -cgi 19,19 -C");
    host.run("create -t H100XM-1-10C").expect(0);
    counts(&host, &[("H100XM-1-10C", 1, 7)]);
    host.ctl(&["break", "0000:41:00.4/nvidia/gpu_instance_id", "missing"]);
    let one = &types(&host)[0];
    assert_eq!(
        (&one.1, &one.2, &one.3),
        (&Value::Null, &json!(1), &json!(7))
    );
    host.ctl(&["break", "0000:41:00.4/nvidia/gpu_instance_id", "eio"]);
    let run = host.run("types").expect(0);
    says(&run, "note: GPU instances could not be counted: ");
    assert!(run.stdout.contains("1+"), "{run:#?}");
}

#[test]
fn why_no_type_is_listed_is_told() {
    let host = SimHost::start("h100-mig");
    let run = host.run("types").expect(0);
    says(&run, "is in MIG mode and has no GPU instances");
    assert!(!run.stderr.contains("nvidia-vgpud"), "{run:#?}");
    // Its only GPU instance has another program's vGPU.
    smi(&host, "mig -cgi 0 -C");
    let function = host.path("sys/bus/pci/devices/0000:41:00.4/nvidia/current_vgpu_type");
    fs::write(function, "2009").unwrap();
    let run = host.run("types").expect(0);
    assert_eq!(run.stdout, "");
    says(&run, "all GPU instances of 0000:41:00.0 are in use");
}

#[test]
fn gpus_show_the_gpu_instances_of_gpus_in_mig_mode() {
    let host = SimHost::start("h100-mig");
    let run = host.run("gpus").expect(0);
    assert!(run.stdout.contains("enabled, no GPU instances"), "{run:#?}");
    assert!(run.stdout.contains("no free GPU instance"), "{run:#?}");
    smi(&host, "mig -cgi 9,19,19 -C");
    host.run(&format!("create -t H100XM-3-40C -u {}", uuid(1)))
        .expect(0);
    let run = host.run("gpus").expect(0);
    assert!(run.stdout.contains("3g.40gb, 2 x 1g.10gb"), "{run:#?}");
    assert_eq!(run.stderr, "");
    let answer = host.run("gpus --json").expect(0).json();
    let gpu = &answer["gpus"][0];
    assert_eq!(gpu["mig_mode"], "enabled");
    let of_mig = host.run("mig --json").expect(0).json();
    assert_eq!(gpu["gpu_instances"], of_mig["gpus"][0]["gpu_instances"]);
    assert_eq!(gpu["gpu_instances"][0]["vgpus"][0]["uuid"], uuid(1));
}

#[test]
fn gpus_without_mig_have_no_column_for_it() {
    for (name, mode, asked) in [("h200", json!("disabled"), 1), ("l40s", Value::Null, 0)] {
        let host = SimHost::start(name);
        answers(&host, NO_CALL, "", 0);
        let run = host.run("gpus").expect(0);
        assert_eq!(run.stderr, "");
        assert!(!run.stdout.contains("MIG"), "{run:#?}");
        assert_eq!(calls(&host).len(), asked, "{name}");
        let gpu = host.run("gpus --json").expect(0).json()["gpus"][0].clone();
        assert_eq!(gpu["mig_mode"], mode);
        assert_eq!(gpu["gpu_instances"], json!([]));
    }
    let host = SimHost::start("h200");
    answers(&host, "query-gpu", "NVIDIA-SMI has failed\n", 9);
    let run = host.run("gpus").expect(0);
    says(
        &run,
        "note: MIG modes and GPU instances are not known: nvidia-smi",
    );
    assert!(run.stdout.contains(GPU), "{run:#?}");
}
