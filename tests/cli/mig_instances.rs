//! `mig`: what `nvidia-smi` says of GPU instances, and what is on them.

use std::fs;

use crate::harness::{Run, SimHost};
use crate::helpers::uuid;

const GPU: &str = "0000:41:00.0";
const FUNCTION: &str = "0000:41:00.4";

fn smi(host: &SimHost, line: &str) {
    let words: Vec<&str> = ["nvidia-smi"].into_iter().chain(line.split(' ')).collect();
    host.ctl(&words);
}

/// Puts a program in the place of `nvidia-smi` that answers one of its calls in another way.
fn answers(host: &SimHost, option: &str, text: &str, status: u8) {
    let program = host.path("usr/bin/nvidia-smi");
    let real = host.path("usr/bin/nvidia-smi.real");
    if !real.exists() {
        fs::rename(&program, &real).unwrap();
    }
    let said = host.path("usr/said");
    fs::write(&said, text).unwrap();
    let script = format!(
        "#!/bin/sh\ncase \" $* \" in *'{option}'*) cat '{}'; exit {status};; esac\nexec '{}' \"$@\"\n",
        said.display(),
        real.display()
    );
    fs::write(&program, script).unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(&program, mode).unwrap();
}

/// The words of the line that begins with these.
#[track_caller]
fn row<'r>(run: &'r Run, begin: &[&str]) -> Vec<&'r str> {
    let rows = run
        .stdout
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>());
    let mut found = rows.filter(|row| row.starts_with(begin));
    found
        .next()
        .unwrap_or_else(|| panic!("no row {begin:?}: {run:#?}"))
}

#[track_caller]
fn says(run: &Run, words: &str) {
    assert!(run.stderr.contains(words), "{words}: {run:#?}");
}

#[test]
fn profiles_of_a_gpu_that_is_not_in_mig_mode() {
    let host = SimHost::start("h200");
    let run = host.run("mig").expect(0);
    assert_eq!(run.stderr, "");
    assert_eq!(run.stdout.lines().count(), 8, "{run:#?}");
    let three = row(&run, &[GPU, "disabled", "3g.71gb"]);
    assert_eq!(
        three[3..],
        ["9", "2", "2", "69.8", "GiB", "60", "0", "4", "4"]
    );
    let answer = host.run("mig --json").expect(0).json();
    let gpu = &answer["gpus"][0];
    assert_eq!(
        (&gpu["mode"], &gpu["gpu"]),
        (&"disabled".into(), &GPU.into())
    );
    assert_eq!(gpu["profiles"][6]["memory_mib"], 143_360);
    assert_eq!(
        gpu["profiles"][2]["placement_starts"],
        serde_json::json!([0, 2, 4, 6])
    );
    assert_eq!(gpu["gpu_instances"], serde_json::json!([]));
}

#[test]
fn gpu_instances_with_the_vgpus_on_them() {
    let host = SimHost::start("h100-mig");
    let run = host.run("mig").expect(0);
    says(&run, "is in MIG mode and has no GPU instances");
    smi(&host, "mig -cgi 9,14,19 -C");
    host.run(&format!("create -t H100XM-3-40C -u {}", uuid(1)))
        .expect(0);
    // Another program's vGPU.
    let other = host.path("sys/bus/pci/devices/0000:41:00.5/nvidia/current_vgpu_type");
    fs::write(other, "2006").unwrap();
    let run = host.run(&format!("mig {FUNCTION}")).expect(0);
    assert_eq!(run.stderr, "");
    let first = row(&run, &[GPU, "2", "3g.40gb"]);
    assert_eq!(first[3..], ["0", "4", FUNCTION, uuid(1).as_str()]);
    let second = row(&run, &[GPU, "5", "2g.20gb"]);
    assert_eq!(
        second[3..],
        ["4", "2", "0000:41:00.5", "somebody", "else's"]
    );
    let third = row(&run, &[GPU, "13", "1g.10gb"]);
    assert_eq!(third[3..], ["6", "1", "-", "free"]);
    assert_eq!(row(&run, &[GPU, "enabled", "1g.20gb"])[4..6], ["0", "4"]);

    let answer = host.run("mig --json").expect(0).json();
    let instances = &answer["gpus"][0]["gpu_instances"];
    assert_eq!(instances[0]["vgpus"][0]["uuid"], uuid(1));
    assert_eq!(instances[1]["vgpus"][0]["uuid"], serde_json::Value::Null);
    assert_eq!(instances[1]["vgpus"][0]["vf"], "0000:41:00.5");
    assert_eq!(instances[2]["vgpus"], serde_json::json!([]));

    host.ctl(&["reboot"]);
    let run = host.run("mig").expect(0);
    assert_eq!(row(&run, &[GPU, "disabled", "7g.80gb"])[4..6], ["1", "1"]);
    assert!(!run.stdout.contains("INSTANCE"), "{run:#?}");
}

#[test]
fn vgpus_are_created_only_on_gpu_instances_of_their_profile() {
    let host = SimHost::start("h100-mig");
    host.run("create -t H100XM-1-10C").expect(4);
    smi(&host, "mig -cgi 19,19");
    let line = "create -t H100XM-1-10C";
    host.run(line).expect(0);
    host.run(line).expect(0);
    host.run(line).expect(4);
    smi(&host, "mig -cgi 19");
    host.run(line).expect(0);
}

#[test]
fn a_host_without_mig_is_told_so() {
    let run = SimHost::start("l40s").run("mig").expect(0);
    assert_eq!(run.stdout, "");
    says(&run, "note: no GPU has MIG: nvidia-smi lists 1 without it");
    let run = SimHost::start("empty").run("mig").expect(0);
    says(&run, "note: no GPU has MIG: this host has no NVIDIA GPU");
    let host = SimHost::start("l40s");
    says(
        &host.run(&format!("mig {GPU}")).expect(3),
        "0000:41:00.0 does not have MIG",
    );
    let run = host.run("mig 0000:42:00.0").expect(3);
    says(&run, "nvidia-smi does not list a GPU 0000:42:00.0");
    says(&run, "it lists: 0000:41:00.0");
    answers(&host, "query-gpu", "No devices were found\n", 6);
    says(&host.run("mig").expect(0), "nvidia-smi lists no GPUs");
}

#[test]
fn without_nvidia_smi_nothing_can_be_told() {
    let host = SimHost::start("h200");
    let program = host.path("usr/bin/nvidia-smi");
    fs::remove_file(&program).unwrap();
    for (line, status) in [("mig".to_owned(), 7), (format!("mig {GPU}"), 3)] {
        let run = host.run(&line).expect(status);
        says(&run, "nvidia-smi not found");
        says(&run, program.to_str().unwrap());
        says(&run, "hint: nvidia-smi is part of NVIDIA's driver");
    }
    // One that others could have written is not run.
    fs::write(&program, "#!/bin/sh\n").unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o777);
    fs::set_permissions(&program, mode).unwrap();
    says(
        &host.run("mig").expect(6),
        "refusing to run NVIDIA's program",
    );
}

#[test]
fn what_is_not_understood_is_quoted() {
    let host = SimHost::start("h100-mig");
    smi(&host, "mig -cgi 9");
    let table = "+---+\n| GPU instances: |\n|===|\n|   0  MIG 3g.40gb   9   2   0-4  |\n+---+\n";
    for (option, text, words) in [
        (
            "-lgi ",
            table,
            "line 4, \"|   0  MIG 3g.40gb   9   2   0-4  |\": \"0-4\" is not of the form",
        ),
        ("-lgi ", "", "there is no table"),
        (
            "-lgip ",
            "Segmentation fault\n",
            "line 1, \"Segmentation fault\"",
        ),
        (
            "-lgipp ",
            "GPU  0 Profile 19\n",
            "expected GPU N Profile ID N",
        ),
        (
            "query-gpu",
            "0, 00000000:41:00.0, Maybe, Enabled\n",
            "\"Maybe\" is not a MIG mode",
        ),
        ("query-gpu", "\u{1b}[31m, x\n", "line 1"),
    ] {
        answers(&host, option, text, 0);
        let run = host.run("mig").expect(1);
        says(&run, "cannot understand what nvidia-smi ");
        says(&run, words);
        assert_eq!(run.stdout, "");
        assert!(!run.stderr.contains('\u{1b}'), "{run:#?}");
    }
}

#[test]
fn a_failure_is_told_with_what_was_printed() {
    let host = SimHost::start("h100-mig");
    let text = "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver.\n";
    answers(&host, "query-gpu", text, 9);
    let run = host.run("mig").expect(1);
    says(&run, "failed with exit status 9");
    says(&run, "it printed: NVIDIA-SMI has failed because");
    answers(
        &host,
        "-lgi ",
        "Failed to display GPU instances: Insufficient Permissions\n",
        4,
    );
    let run = host.run("mig").expect(6);
    says(&run, "nvidia-smi mig -lgi failed with exit status 4");
    says(&run, "run it again with sudo");
    // Other words for an empty list.
    for (text, status) in [
        ("No GPU instances found: Not Found\n", 6),
        ("No MIG-enabled devices found.\n", 0),
    ] {
        answers(&host, "-lgi ", text, status);
        host.run("mig").expect(0);
    }
    let row = "+---+\n| GPU instances: |\n|===|\n|   3  MIG 3g.40gb   9   2   0:4  |\n+---+\n";
    answers(&host, "-lgi ", row, 0);
    says(
        &host.run("mig").expect(7),
        "lists GPU instance 2 on GPU 3, but no GPU with that index",
    );
}

#[test]
fn an_id_that_cannot_be_read_is_a_warning() {
    let host = SimHost::start("h100-mig");
    smi(&host, "mig -cgi 9");
    host.run("create -t H100XM-3-40C").expect(0);
    host.ctl(&[
        "break",
        &format!("{FUNCTION}/nvidia/gpu_instance_id"),
        "garbage",
    ]);
    let run = host.run("mig").expect(7);
    says(&run, "warning: ");
    says(&run, "nvidia/gpu_instance_id");
    assert_eq!(row(&run, &[GPU, "2", "3g.40gb"])[5..], ["-", "free"]);
}

#[test]
fn a_change_that_waits_for_a_reset_is_noted() {
    let host = SimHost::start("h200");
    let text = "0, 00000000:41:00.0, Disabled, Enabled\n";
    answers(&host, "query-gpu", text, 0);
    let run = host.run("mig").expect(0);
    says(
        &run,
        "MIG mode is disabled now, and enabled after the next reset of the GPU or reboot",
    );
    assert!(
        run.stdout.contains("disabled, pending: enabled"),
        "{run:#?}"
    );
    assert_eq!(
        host.run("mig --json").json()["gpus"][0]["pending_mode"],
        "enabled"
    );
}

/// The IDs of the GPU instances of the GPU.
fn instances(host: &SimHost) -> Vec<u64> {
    let answer = host.run("mig --json").json();
    let all = answer["gpus"][0]["gpu_instances"]
        .as_array()
        .unwrap()
        .clone();
    all.iter()
        .map(|one| one["gpu_instance_id"].as_u64().unwrap())
        .collect()
}

fn mode(host: &SimHost) -> String {
    let answer = host.run("mig --json").json();
    answer["gpus"][0]["mode"].as_str().unwrap().to_owned()
}

#[test]
fn a_card_from_its_mode_to_its_vgpus_and_back() {
    let host = SimHost::start("h200");
    // Functions are in the way.
    let run = host.run(&format!("mig enable {GPU}")).expect(1);
    says(&run, "cannot enable MIG mode of 0000:41:00.0");
    says(
        &run,
        "it printed: Unable to enable MIG Mode for GPU 00000000:41:00.0: In use",
    );
    says(&run, &format!("vgpuctl vfs disable {GPU}"));
    let run = host
        .run(&format!("mig create 3g.71gb --gpu {GPU}"))
        .expect(2);
    says(&run, "GPU 0000:41:00.0 is not in MIG mode");
    says(&run, &format!("vgpuctl mig enable {GPU}"));
    host.run(&format!("vfs disable {GPU}")).expect(0);

    says(
        &host.run(&format!("mig enable {GPU} --dry-run")).expect(0),
        "would enable",
    );
    assert_eq!(mode(&host), "disabled");
    let run = host.run(&format!("mig enable {GPU}")).expect(0);
    says(&run, "note: enabled MIG mode of 0000:41:00.0");
    assert_eq!(row(&run, &[GPU, "enabled", "7g.141gb"])[4..6], ["1", "1"]);
    says(
        &host.run(&format!("mig enable {GPU}")).expect(0),
        "is already enabled",
    );
    host.run(&format!("vfs enable {GPU}")).expect(0);

    let line = format!("mig create 3g.71gb 1g.18gb:6 19 --gpu {GPU}");
    let run = host.run(&format!("{line} --dry-run")).expect(0);
    says(
        &run,
        "would create on 0000:41:00.0: 3g.71gb, 1g.18gb:6, 1g.18gb",
    );
    assert!(instances(&host).is_empty());
    let run = host.run(&line).expect(0);
    for (id, name) in [(2, "3g.71gb"), (11, "1g.18gb"), (13, "1g.18gb")] {
        says(
            &run,
            &format!("created GPU instance {id} ({name}) on 0000:41:00.0"),
        );
    }
    says(&run, "do not survive a reboot");
    assert_eq!(
        row(&run, &[GPU, "13", "1g.18gb"])[3..],
        ["6", "1", "-", "free"]
    );
    host.run(&format!("create -t H200-3-71C -u {}", uuid(1)))
        .expect(0);

    for (line, words) in [
        (format!("mig disable {GPU}"), "0000:41:00.0 has 1 vGPUs"),
        (
            format!("mig destroy 11 2 --gpu {GPU}"),
            "GPU instance 2 of 0000:41:00.0 has the vGPU ",
        ),
    ] {
        for line in [line.clone(), format!("{line} --dry-run")] {
            let run = host.run(&line).expect(5);
            says(&run, words);
            says(&run, &format!("vgpuctl stop {}", uuid(1)));
        }
    }
    assert_eq!(instances(&host), [2, 11, 13]);
    host.run(&format!("remove {}", uuid(1))).expect(0);
    let run = host.run(&format!("mig disable {GPU}")).expect(5);
    says(&run, &format!("vgpuctl mig destroy 2 11 13 --gpu {GPU}"));

    let run = host
        .run(&format!("mig destroy 2 13 --gpu {GPU} --dry-run"))
        .expect(0);
    says(
        &run,
        "would destroy GPU instances of 0000:41:00.0: 2 (3g.71gb), 13 (1g.18gb)",
    );
    let run = host
        .run(&format!("mig destroy 13 2 13 --gpu {GPU}"))
        .expect(0);
    says(
        &run,
        "destroyed GPU instances of 0000:41:00.0: 2 (3g.71gb), 13 (1g.18gb)",
    );
    assert_eq!(instances(&host), [11]);
    let run = host.run(&format!("mig destroy 11 2 --gpu {GPU}")).expect(3);
    says(&run, "has no GPU instance 2");
    says(&run, "its GPU instances: 11");
    assert_eq!(instances(&host), [11]);
    host.run(&format!("mig destroy 11 --gpu {GPU}")).expect(0);
    host.run(&format!("vfs disable {GPU}")).expect(0);
    host.run(&format!("mig disable {GPU}")).expect(0);
    assert_eq!(mode(&host), "disabled");
}

#[test]
fn all_gpu_instances_are_created_or_none() {
    let host = SimHost::start("h100-mig");
    // Both are free, but not together.
    let run = host
        .run(&format!("mig create 19 14 4g.40gb 3g.40gb --gpu {GPU}"))
        .expect(4);
    says(
        &run,
        "cannot create on 0000:41:00.0: 1g.10gb, 2g.20gb, 4g.40gb, 3g.40gb",
    );
    says(&run, "Insufficient Resources");
    assert!(!run.stderr.contains("rollback failed"), "{run:#?}");
    assert!(instances(&host).is_empty());
    // More than fit are not tried.
    let run = host
        .run(&format!("mig create 3g.40gb 3g.40gb 9 --gpu {GPU}"))
        .expect(4);
    says(
        &run,
        "at most 2 more of 3g.40gb fit now (2 on an empty GPU)",
    );
    smi(&host, "mig -cgi 0");
    let run = host
        .run(&format!("mig create 1g.10gb --gpu {GPU}"))
        .expect(4);
    says(
        &run,
        "no more instance of 1g.10gb fits now (7 on an empty GPU)",
    );
    assert_eq!(instances(&host), [0]);

    // What was created and cannot be taken away is told.
    smi(&host, "mig -dgi");
    answers(&host, "-dgi", "Unable to destroy: Unknown Error\n", 3);
    let run = host
        .run(&format!("mig create 19 4g.40gb 3g.40gb --gpu {GPU}"))
        .expect(4);
    says(
        &run,
        "rollback failed: cannot destroy GPU instances of 0000:41:00.0: 7",
    );
    says(&run, "Unable to destroy: Unknown Error");
    // Success is not believed.
    answers(
        &host,
        "-dgi",
        "Successfully destroyed GPU instance ID  7 from GPU  0\n",
        0,
    );
    let run = host.run(&format!("mig destroy 7 --gpu {GPU}")).expect(1);
    says(
        &run,
        "cannot destroy GPU instances of 0000:41:00.0: 7: it reported success",
    );
}

#[test]
fn a_mistake_in_the_arguments_is_named() {
    let host = SimHost::start("h100-mig");
    for (line, status, words) in [
        (
            "mig create 3g.41gb --gpu 0000:41:00.0",
            3,
            "did you mean 3g.40gb?",
        ),
        (
            "mig create 77 --gpu 0000:41:00.0",
            3,
            "its profiles: 1g.10gb, 1g.10gb+me,",
        ),
        (
            "mig create 3g.40gb:2 --gpu 0000:41:00.0",
            2,
            "they can at: 0, 4",
        ),
        (
            "mig create 9,9 --gpu 0000:41:00.0",
            2,
            "is not a GPU instance profile",
        ),
        (
            "mig create 9 --gpu 0000:41:00.4",
            2,
            "is a virtual function of 0000:41:00.0",
        ),
        (
            "mig create 9 --gpu 0000:42:00.0",
            3,
            "does not list a GPU 0000:42:00.0",
        ),
        ("mig create --gpu 0000:41:00.0", 2, "<PROFILE>"),
        ("mig create 9", 2, "--gpu"),
        ("mig destroy x --gpu 0000:41:00.0", 2, "invalid value 'x'"),
        (
            "mig destroy 1 --gpu 0000:41:00.0",
            3,
            "it has no GPU instances",
        ),
    ] {
        let run = host.run(line).expect(status);
        says(&run, words);
    }
    assert!(instances(&host).is_empty());
    let other = SimHost::start("l40s");
    says(
        &other.run(&format!("mig enable {GPU}")).expect(3),
        "does not have MIG",
    );
    fs::remove_file(host.path("usr/bin/nvidia-smi")).unwrap();
    says(
        &host.run(&format!("mig enable {GPU}")).expect(3),
        "nvidia-smi not found",
    );
}

/// A process that has a function open, whether or not it has a type: a virtual machine.
fn holder(host: &SimHost) -> std::process::Child {
    let group = fs::read_link(host.path(&format!("sys/bus/pci/devices/{FUNCTION}/iommu_group")));
    let group = group.unwrap().file_name().unwrap().to_owned();
    let node = host.path("dev/vfio").join(group);
    std::process::Command::new("sleep")
        .arg("60")
        .stdin(fs::File::open(&node).unwrap())
        .spawn()
        .unwrap()
}

#[test]
fn gpu_instances_come_and_go_beside_vgpus_on_others() {
    let host = SimHost::start("h100-mig");
    host.run(&format!("mig create 3g.40gb --gpu {GPU}"))
        .expect(0);
    host.run(&format!("create -t H100XM-3-40C -u {}", uuid(1)))
        .expect(0);
    let mut vm = holder(&host);
    let made = host.run(&format!("mig create 2g.20gb 1g.10gb --gpu {GPU}"));
    let gone = host.run(&format!("mig destroy 5 --gpu {GPU}"));
    let held = host.run(&format!("mig destroy 2 13 --gpu {GPU}"));
    let mode = host.run(&format!("mig disable {GPU}"));
    vm.kill().unwrap();
    vm.wait().unwrap();
    made.expect(0);
    gone.expect(0);
    says(&held.expect(5), "sleep");
    says(&mode.expect(5), "sleep");
    assert_eq!(instances(&host), [2, 13]);
    // Nor is one taken away that was created together with one that does not fit.
    host.run(&format!("mig create 1g.10gb 2g.20gb --gpu {GPU}"))
        .expect(4);
    assert_eq!(instances(&host), [2, 13]);
}

#[test]
fn nothing_is_destroyed_while_it_is_not_known_where_a_vgpu_is() {
    let host = SimHost::start("h100-mig");
    smi(&host, "mig -cgi 9,14 -C");
    host.run(&format!("create -t H100XM-3-40C -u {}", uuid(1)))
        .expect(0);
    let file = format!("{FUNCTION}/nvidia/gpu_instance_id");
    for (how, words, status) in [
        ("garbage", "nvidia/gpu_instance_id", 1),
        ("eio", "nvidia/gpu_instance_id", 1),
        ("missing", "cannot tell which GPU instance", 5),
    ] {
        host.ctl(&["break", &file, how]);
        let run = host.run(&format!("mig destroy 5 --gpu {GPU}"));
        says(&run.expect(status), words);
        assert_eq!(smi_ids(&host), 2, "{how}");
    }
}

/// How many GPU instances `nvidia-smi` lists.
fn smi_ids(host: &SimHost) -> usize {
    let listed = std::process::Command::new(host.path("usr/bin/nvidia-smi"))
        .args(["mig", "-lgi"])
        .output()
        .unwrap();
    String::from_utf8(listed.stdout)
        .unwrap()
        .matches("MIG ")
        .count()
}

#[test]
fn on_an_a100_with_functions_the_mode_waits_for_a_reset() {
    let text = "mdev = false\n[[parent]]\nid = \"0000:41:00.0\"\ndriver = \"nvidia\"\ndevice = 0x20f1\n\
                class = 0x030200\nmig = \"a100-40\"\nvfs = 4\nenabled_vfs = 4\nvf_framework = \"vendor\"\n";
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), text).unwrap();
    let host = SimHost::start_file(file.path());
    let run = host.run(&format!("mig enable {GPU}")).expect(0);
    says(
        &run,
        "MIG mode is disabled now, and enabled after the next reset of the GPU or reboot",
    );
    assert!(!run.stderr.contains("enabled MIG mode of"), "{run:#?}");
    assert!(
        run.stdout.contains("disabled, pending: enabled"),
        "{run:#?}"
    );
    host.run(&format!("mig create 1g.5gb --gpu {GPU}"))
        .expect(2);
    host.ctl(&["reboot"]);
    assert_eq!(mode(&host), "enabled");
    host.run(&format!("mig create 3g.20gb 1g.5gb+me --gpu {GPU}"))
        .expect(0);
    assert_eq!(instances(&host), [2, 11]);
}
