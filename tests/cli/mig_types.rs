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

/// The profiles of the GPU instances that there are.
fn instances(host: &SimHost) -> Vec<String> {
    let answer = host.run("mig --json").json();
    let all = answer["gpus"][0]["gpu_instances"]
        .as_array()
        .unwrap()
        .clone();
    let names = all
        .iter()
        .map(|one| one["profile"].as_str().unwrap().to_owned());
    names.collect()
}

fn active(host: &SimHost) -> usize {
    let answer = host.run("list --active --json").expect(0).json();
    answer["devices"].as_array().unwrap().len()
}

#[test]
fn create_says_which_gpu_instance_is_missing() {
    let host = SimHost::start("h100-mig");
    let line = "create -t H100XM-1-10C";
    let create =
        "vgpuctl mig create 1g.10gb --gpu 0000:41:00.0, or repeat the command with --make-instance";
    let none = "no GPU instance of profile 1g.10gb is free on 0000:41:00.0 for H100XM-1-10C";
    for line in [line.to_owned(), format!("{line} -p {GPU} --dry-run")] {
        let run = host.run(&line).expect(4);
        says(&run, none);
        says(&run, "has none, and 7 more can be created now: ");
        says(&run, create);
    }
    smi(&host, "mig -cgi 19 -C");
    host.run(line).expect(0);
    let run = host.run(line).expect(4);
    says(&run, none);
    says(
        &run,
        "the one on 0000:41:00.0 is in use, and 6 more can be created now: ",
    );
    smi(&host, "mig -cgi 19,9 -C");
    let run = host.run(&format!("{line} -n 4")).expect(4);
    says(
        &run,
        "not enough GPU instances of profile 1g.10gb are free on 0000:41:00.0 for 4 x H100XM-1-10C",
    );
    says(
        &run,
        "1 of 2 on 0000:41:00.0 are free, and only 2 more can be created",
    );
    let run = host.run("create -t H100XM-4-40C").expect(4);
    says(
        &run,
        "has none, and no more can be created beside its other GPU instances",
    );
    // Of another card, and of none.
    for name in ["A100D-1-10C", "H100XM-5-50C", "nvidia-2003x", "nvidia-9999"] {
        let run = host.run(&format!("create -t {name}")).expect(3);
        says(&run, "no parent has a type");
    }
    says(
        &host.run(&format!("{line} -p 0000:42:00.0")).expect(3),
        "parent 0000:42:00.0 not found",
    );
}

#[test]
fn the_order_is_told_where_the_mode_or_the_functions_are_off() {
    let host = SimHost::start("h200");
    let run = host.run("create -t H200-3-71C").expect(4);
    says(
        &run,
        "no GPU instance of profile 3g.71gb is free on 0000:41:00.0 for H200-3-71C",
    );
    says(
        &run,
        "0000:41:00.0 is not in MIG mode; to create one, in this order: vgpuctl vfs disable 0000:41:00.0; \
         vgpuctl mig enable 0000:41:00.0; vgpuctl vfs enable 0000:41:00.0; vgpuctl mig create 3g.71gb --gpu \
         0000:41:00.0",
    );
    let run = host.run("create -t H200-3-71C --make-instance").expect(4);
    says(&run, "0000:41:00.0 is not in MIG mode");
    host.run(&format!("vfs disable {GPU}")).expect(0);
    host.run(&format!("mig enable {GPU}")).expect(0);
    for flag in ["", "--make-instance"] {
        let run = host.run(&format!("create -t H200-3-71C {flag}")).expect(4);
        says(
            &run,
            "enable its virtual functions first: vgpuctl vfs enable 0000:41:00.0",
        );
    }
    assert!(instances(&host).is_empty());
    host.run(&format!("vfs enable {GPU}")).expect(0);
    host.run("create -t H200-3-71C --make-instance").expect(0);
}

#[test]
fn why_nothing_is_free_is_told_without_nvidia_smi_too() {
    let host = SimHost::start("h100-mig");
    answers(&host, "query-gpu", "NVIDIA-SMI has failed\n", 9);
    let line = "create -t H100XM-1-10C";
    let run = host.run(line).expect(3);
    says(&run, "no parent has a type");
    says(
        &run,
        "it needs a GPU instance of profile 1g.10gb; which there are could not be asked: nvidia-smi",
    );
    says(
        &host.run(&format!("{line} --make-instance")).expect(1),
        "failed with exit status 9",
    );
    fs::remove_file(host.path("usr/bin/nvidia-smi")).unwrap();
    says(&host.run(line).expect(3), "nvidia-smi not found");
    says(
        &host.run(&format!("{line} --make-instance")).expect(3),
        "nvidia-smi not found",
    );
    let host = SimHost::start("two-p4");
    let run = host.run(line).expect(3);
    assert!(!run.stderr.contains("GPU instance"), "{run:#?}");
}

#[test]
fn make_instance_creates_those_that_are_missing() {
    let host = SimHost::start("h100-mig");
    let line = "create -t H100XM-1-10C --make-instance";
    let run = host.run(&format!("{line} --dry-run")).expect(0);
    assert_eq!(
        run.stdout,
        "would create GPU instances 1g.10gb: on 0000:41:00.0\n\
         would create a new device: H100XM-1-10C on 0000:41:00.0\n"
    );
    assert!(instances(&host).is_empty());
    let run = host.run(&format!("{line} -u {}", uuid(1))).expect(0);
    assert_eq!(run.stdout, format!("{}\n", uuid(1)));
    says(&run, "created GPU instances 1g.10gb: on 0000:41:00.0\n");
    says(&run, "note: GPU instances do not survive a reboot");
    // Another is only created where none is free.
    smi(&host, "mig -cgi 19 -C");
    let run = host.run(&format!("{line} --transient")).expect(0);
    assert!(!run.stderr.contains("GPU instance"), "{run:#?}");
    assert_eq!(instances(&host).len(), 2);
    smi(&host, "mig -cgi 19 -C");
    let run = host.run(&format!("{line} --count 3 --json")).expect(0);
    let changes = run.json()["changes"].clone();
    assert_eq!(changes[0]["result"], "gpu-instances-created");
    assert_eq!(changes[0]["gpu_instances"], json!(["1g.10gb", "1g.10gb"]));
    assert_eq!(changes.as_array().unwrap().len(), 4);
    assert_eq!((instances(&host).len(), active(&host)), (5, 5));
    // Beside running vGPUs, and by its full name.
    host.run_args(["create", "-t", "NVIDIA H100XM-3-40C", "--make-instance"])
        .expect(4);
    host.run_args([
        "create",
        "-t",
        "NVIDIA H100XM-1-10CME",
        "--make-instance",
        "--manual",
    ])
    .expect(0);
    assert_eq!(instances(&host).len(), 6);
    let run = host.run(&format!("{line} --count 2")).expect(4);
    says(&run, "only 1 more can be created");
    assert_eq!(instances(&host).len(), 6);
}

#[test]
fn make_instance_is_for_mig_backed_types() {
    for (name, line, status, words) in [
        ("h100-mig", "-t H100XM-40C", 2, "is not a MIG-backed type"),
        ("h100-mig", "-t nonsense", 3, "no parent has a type"),
        (
            "h100-mig",
            "-t nvidia-2003",
            3,
            "for --make-instance, specify its name",
        ),
        (
            "h100-mig",
            "-t A100-1-5C",
            3,
            "no GPU can have GPU instances of profile 1g.5gb",
        ),
        (
            "h100-mig",
            "-t H100XM-1-10C -p 0000:99:00.0",
            3,
            "no GPU 0000:99:00.0 can have",
        ),
        ("two-p4", "-t P4-1Q", 2, "is not a MIG-backed type"),
        (
            "two-p4",
            "-t nvidia-63 --dry-run",
            2,
            "is not a MIG-backed type",
        ),
        (
            "a100-mig",
            "-t A100D-1-10C",
            3,
            "no GPU can have GPU instances",
        ),
    ] {
        let host = SimHost::start(name);
        let run = host.run(&format!("create --make-instance {line}"));
        says(&run.expect(status), words);
        assert_eq!(active(&host), 0);
        assert!(instances_or_none(&host).is_empty());
    }
    let host = SimHost::start("h100-mig");
    host.run(&format!(
        "create -t H100XM-1-10C --make-instance -u {}",
        uuid(1)
    ))
    .expect(0);
    let run = host.run(&format!(
        "create -t H100XM-1-10C --make-instance -u {}",
        uuid(1)
    ));
    says(&run.expect(1), "is already active");
    assert_eq!(instances(&host).len(), 1);
}

fn instances_or_none(host: &SimHost) -> Vec<String> {
    match host.run("mig --json").json()["gpus"]
        .as_array()
        .unwrap()
        .is_empty()
    {
        true => Vec::new(),
        false => instances(host),
    }
}

#[test]
fn what_was_made_is_destroyed_again_where_the_vgpu_fails() {
    let host = SimHost::start("h100-mig");
    smi(&host, "mig -cgi 19 -C");
    let line = "create -t H100XM-1-10C -n 2 --make-instance --attr nonsense=1";
    let run = host.run(line);
    assert_ne!(run.status, 0);
    says(&run, "nonsense");
    says(
        &run,
        "rolled back the GPU instances created for it on 0000:41:00.0",
    );
    assert_eq!((instances(&host).len(), active(&host)), (1, 0));
    // And where that fails too, both are told.
    answers(&host, "-dgi", "Unable to destroy: Unknown Error\n", 3);
    let run = host.run(line);
    assert_ne!(run.status, 0);
    says(&run, "nonsense");
    says(&run, "cannot destroy GPU instances of 0000:41:00.0: 8");
    says(&run, "Unable to destroy: Unknown Error");
    assert_eq!((instances(&host).len(), active(&host)), (2, 0));
    // The instance itself cannot be made.
    answers(
        &host,
        "-cgi",
        "Failed to create GPU instances: Unknown Error\n",
        3,
    );
    let run = host.run("create -t H100XM-2-20C --make-instance").expect(1);
    says(&run, "cannot create on 0000:41:00.0: 2g.20gb");
}

#[test]
fn a_signal_after_the_gpu_instance_was_made_takes_it_back() {
    let host = SimHost::start("h100-mig");
    answers(&host, NO_CALL, "", 0);
    let program = host.path("usr/bin/nvidia-smi");
    let script = fs::read_to_string(&program).unwrap();
    let script = script.replace(
        "exec ",
        "case \"$*\" in *-cgi*) kill -TERM $PPID;; esac\nexec ",
    );
    fs::write(&program, script).unwrap();
    let run = host.run("create -t H100XM-1-10C --make-instance");
    assert_ne!(run.status, 0);
    says(&run, "create was ended by SIGTERM");
    says(&run, "rolled back the GPU instances");
    assert_eq!((instances(&host).len(), active(&host)), (0, 0));
}

#[test]
fn switching_functions_names_the_gpu_instances_that_it_destroys() {
    let host = SimHost::start("h100-mig");
    smi(&host, "mig -cgi 9,19 -C");
    let run = host.run(&format!("vfs disable {GPU} --dry-run")).expect(0);
    says(
        &run,
        "note: this would destroy the GPU instances of 0000:41:00.0: 2 (3g.40gb), 11 (1g.10gb)",
    );
    assert_eq!(instances(&host).len(), 2);
    // They are on already: nothing happens.
    for line in [
        format!("vfs enable {GPU} --dry-run"),
        format!("vfs enable {GPU}"),
    ] {
        let run = host.run(&line).expect(0);
        assert!(!run.stderr.contains("GPU instances"), "{run:#?}");
    }
    let run = host.run(&format!("vfs disable {GPU}")).expect(0);
    says(
        &run,
        "destroyed its GPU instances: 2 (3g.40gb), 11 (1g.10gb); to create them again: vgpuctl mig create 3g.40gb:0 \
         1g.10gb:4 --gpu 0000:41:00.0",
    );
    assert!(instances(&host).is_empty());
    let run = host.run(&format!("vfs enable {GPU}")).expect(0);
    assert!(!run.stderr.contains("GPU instances"), "{run:#?}");
    host.run(&format!("mig create 3g.40gb:0 1g.10gb:4 --gpu {GPU}"))
        .expect(0);
    assert_eq!(instances(&host).len(), 2);
    answers(&host, "-lgi", "Segmentation fault\n", 0);
    for flag in ["--dry-run", ""] {
        let run = host.run(&format!("vfs disable {GPU} {flag}")).expect(0);
        says(
            &run,
            "whether 0000:41:00.0 had any could not be asked: cannot understand",
        );
    }
    // A vGPU is in the way, as ever; and without MIG nobody is asked.
    let host = SimHost::start("l40s");
    answers(&host, NO_CALL, "", 0);
    host.run(&format!("vfs disable {GPU}")).expect(0);
    assert_eq!(calls(&host), [""; 0]);
}

#[test]
fn functions_with_vgpus_are_not_switched_and_their_gpu_instances_stay() {
    let host = SimHost::start("h100-mig");
    host.run("create -t H100XM-3-40C --make-instance").expect(0);
    for flag in ["--dry-run", "--wait 0"] {
        let run = host.run(&format!("vfs disable {GPU} {flag}")).expect(5);
        says(&run, "0000:41:00.0 has 1 vGPUs");
        assert!(!run.stderr.contains("destroyed"), "{run:#?}");
    }
    assert_eq!(instances(&host), ["3g.40gb"]);
}

#[test]
fn a_vgpu_that_does_not_tell_its_gpu_instance_counts_by_its_type() {
    let host = SimHost::start("h100-mig");
    let line = "create -t H100XM-1-10C";
    host.run(&format!("{line} --make-instance")).expect(0);
    host.ctl(&["break", "0000:41:00.4/nvidia/gpu_instance_id", "missing"]);
    says(
        &host.run(line).expect(4),
        "the one on 0000:41:00.0 is in use, and 6 more can be created now",
    );
    host.run(&format!("{line} --make-instance")).expect(0);
    host.run("create -t H100XM-2-20C --make-instance").expect(0);
    assert_eq!((instances(&host).len(), active(&host)), (3, 3));
}
