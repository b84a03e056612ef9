//! `mig =` in a GPU's settings: the whole GPU comes back at boot.

use std::fs;
use std::path::PathBuf;

use crate::harness::SimHost;
use crate::helpers::uuid;

const GPU: &str = "0000:41:00.0";
const WHOLE: &str = "vfs = enable\nmig = 3g.40gb, 2g.20gb, 1g.10gb\n";

fn settings(host: &SimHost, text: &str) -> PathBuf {
    let path = host.path("etc/vgpuctl.d").join(GPU).join("gpu.conf");
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, text).unwrap();
    path
}

/// The profiles of the GPU instances that there are.
pub fn instances(host: &SimHost) -> Vec<String> {
    let answer = host.run("mig --json").expect(0).json();
    let all = answer["gpus"][0]["gpu_instances"].as_array().unwrap();
    let mut names: Vec<String> = all
        .iter()
        .map(|one| one["profile"].as_str().unwrap().to_owned())
        .collect();
    names.sort();
    names
}

/// UUIDs, types and functions of what is active.
fn active(host: &SimHost) -> Vec<(String, String, String)> {
    let listed = host.run("list --active --json").expect(0).json();
    let word = |device: &serde_json::Value, key: &str| device[key].as_str().unwrap().to_owned();
    let devices = listed["devices"].as_array().unwrap().iter();
    let mut all: Vec<_> = devices
        .map(|one| (word(one, "uuid"), word(one, "type_name"), word(one, "vf")))
        .collect();
    all.sort();
    all
}

/// An H100 set up as [`WHOLE`] says, with a vGPU on each GPU instance.
fn set_up() -> SimHost {
    let host = SimHost::start("h100-mig");
    settings(&host, WHOLE);
    host.run("restore").expect(0);
    let types = ["H100XM-1-10C", "H100XM-3-40C", "H100XM-2-20C"];
    for (number, type_name) in (1..).zip(types) {
        host.run(&format!("create -t {type_name} -u {}", uuid(number)))
            .expect(0);
    }
    host
}

#[test]
fn one_restore_brings_the_whole_gpu_back() {
    let host = set_up();
    let before = active(&host);
    assert_eq!(before.len(), 3);
    host.ctl(&["reboot"]);
    assert_eq!(instances(&host), [""; 0]);
    let run = host.run("restore").expect(0);
    assert_eq!(run.stderr, "");
    let lines: Vec<&str> = run.stdout.lines().collect();
    let steps = [
        format!("enabled  MIG mode on {GPU}"),
        format!("enabled  virtual functions on {GPU}"),
        format!("created  GPU instances 3g.40gb, 2g.20gb, 1g.10gb on {GPU}"),
    ];
    assert_eq!(lines[..3], steps, "{run:#?}");
    assert_eq!(lines.len(), 6, "{run:#?}");
    assert_eq!(active(&host), before);
    // And there is nothing left to do.
    let again = host.run("restore").expect(0);
    assert!(!again.stdout.contains("GPU instances"), "{again:#?}");
    assert_eq!(active(&host), before);
    assert_eq!(instances(&host), ["1g.10gb", "2g.20gb", "3g.40gb"]);
}

/// Has a program of the host kill `vgpuctl`, its parent, at its call number `at`, before or after what it does there.
pub fn deadly(host: &SimHost, program: &str, at: usize, before: bool) {
    let path = host.path(program);
    let real = path.with_extension("real");
    if !real.exists() {
        fs::rename(&path, &real).unwrap();
    }
    let count = path.with_extension("count");
    fs::write(&count, "").unwrap();
    let (count, real) = (count.display(), real.display());
    let (first, last) = match before {
        true => (r#"[ $n = AT ] && kill -9 $PPID && exit"#, ""),
        false => ("", r#"[ $n = AT ] && kill -9 $PPID"#),
    };
    let script = format!(
        "#!/bin/sh\necho >> '{count}'\nn=$(wc -l < '{count}')\n{first}\n'{real}' \"$@\"\ns=$?\n{last}\nexit $s\n"
    )
    .replace("AT", &at.to_string());
    fs::write(&path, script).unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(&path, mode).unwrap();
}

pub fn harmless(host: &SimHost, program: &str) {
    let path = host.path(program);
    fs::rename(path.with_extension("real"), path).unwrap();
}

#[test]
fn a_restore_that_is_killed_at_any_step_is_finished_by_the_next() {
    let host = set_up();
    let whole = active(&host);
    let mut kills = 0;
    for program in ["usr/bin/nvidia-smi", "usr/lib/nvidia/sriov-manage"] {
        for at in 1..100 {
            let mut was_killed = false;
            for before in [true, false] {
                host.ctl(&["reboot"]);
                // A host whose functions are off when it has booted.
                host.ctl(&["vfs", GPU, "0"]);
                deadly(&host, program, at, before);
                let run = host.run("restore");
                harmless(&host, program);
                was_killed = run.status != 0;
                kills += usize::from(was_killed);
                let next = host.run("restore").expect(0);
                assert_eq!(active(&host), whole, "{program} {at}: {run:#?} {next:#?}");
                assert_eq!(instances(&host), ["1g.10gb", "2g.20gb", "3g.40gb"]);
            }
            if !was_killed {
                break;
            }
        }
    }
    assert!(kills >= 12, "{kills}");
}

#[test]
fn a_client_that_is_in_the_way_at_boot_is_waited_for() {
    let host = set_up();
    let whole = active(&host);
    host.ctl(&["reboot"]);
    host.ctl(&["vfs", GPU, "0"]);
    let program = host.path("usr/bin/nvidia-smi");
    let real = program.with_extension("real");
    fs::rename(&program, &real).unwrap();
    let script = format!(
        "#!/bin/sh\ncase \" $* \" in *' -mig 1 '*) if mkdir '{}' 2>/dev/null; then\n\
         echo 'Unable to enable MIG Mode for GPU 00000000:41:00.0: In use by another client'; exit 19\n\
         fi;; esac\nexec '{}' \"$@\"\n",
        program.with_extension("once").display(),
        real.display()
    );
    fs::write(&program, script).unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(&program, mode).unwrap();
    let run = host.run("restore").expect(0);
    assert!(run.stderr.contains("next try in 1 s"), "{run:#?}");
    assert_eq!(active(&host), whole);
}

#[test]
fn what_cannot_be_is_told_and_leaves_the_rest_as_it_was() {
    // More than fits: no instance is left behind.
    let host = SimHost::start("h100-mig");
    settings(&host, "vfs = enable\nmig = 3g.40gb, 3g.40gb, 1g.10gb\n");
    host.ctl(&["reboot"]);
    let run = host.run("restore").expect(7);
    assert!(
        run.stdout
            .contains(&format!("failed   GPU setup on {GPU}: ")),
        "{run:#?}"
    );
    assert_eq!(instances(&host), [""; 0]);
    // A profile that the GPU does not have.
    settings(&host, "vfs = enable\nmig = 3g.71gb\n");
    let run = host.run("restore").expect(7);
    assert!(run.stdout.contains("3g.71gb"), "{run:#?}");
    assert_eq!(instances(&host), [""; 0]);
    // Instances of others stay; those that are missing are created beside them.
    host.ctl(&["nvidia-smi", "mig", "-cgi", "19:6", "-C"]);
    settings(&host, "vfs = enable\nmig = 2g.20gb, 3g.40gb\n");
    host.run("restore").expect(0);
    assert_eq!(instances(&host), ["1g.10gb", "2g.20gb", "3g.40gb"]);
}

#[test]
fn a_gpu_without_mig_says_so() {
    let host = SimHost::start("l40s");
    settings(&host, "mig = 1g.10gb\n");
    let run = host.run("restore").expect(7);
    assert!(run.stdout.contains("MIG"), "{run:#?}");
}

#[test]
fn the_scheduler_is_set_at_boot_before_the_first_vgpu() {
    let host = SimHost::start("l40s");
    let line = "scheduler = fixed arr=off time-slice=2000000\n";
    settings(&host, line);
    host.run(&format!("create -t L40S-8Q -u {}", uuid(1)))
        .expect(0);
    // A vGPU is there, so that it has to wait for the next boot.
    host.run("restore").expect(0);
    assert_eq!(host.ctl(&["scheduler", GPU]).trim(), "");
    host.ctl(&["reboot"]);
    host.run("restore").expect(0);
    assert_eq!(
        host.ctl(&["scheduler", GPU]).trim(),
        "-p 3 -a 0 -ts 2000000"
    );
    assert_eq!(active(&host).len(), 1);
    settings(&host, "scheduler = equal time-slice=2000000\n");
    let run = host.run("restore");
    assert!(run.stderr.contains("line 1 is invalid"), "{run:#?}");
}

#[test]
fn a_vgpu_whose_gpu_instance_boot_does_not_create_is_foreseen() {
    let host = set_up();
    settings(&host, "vfs = enable\nmig = 3g.40gb, 1g.10gb\n");
    let forecast = host.run("restore --dry-run");
    assert!(
        forecast.stdout.contains(&format!("failed   {}", uuid(3))),
        "{forecast:#?}"
    );
    let words = "boot creates no further GPU instance 2g.20gb on 0000:41:00.0";
    assert!(forecast.stdout.contains(words), "{forecast:#?}");
    host.ctl(&["reboot"]);
    host.run("restore").expect(7);
    let there: Vec<String> = active(&host).into_iter().map(|one| one.0).collect();
    assert_eq!(there, [uuid(1), uuid(2)]);
}
