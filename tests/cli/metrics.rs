//! `metrics`: the numbers are true, and what cannot be known is not there.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;
use std::process::Stdio;

use crate::harness::{HeldOpen, Run, SimHost, finished};
use crate::helpers::{P1, P2, as_nobody, put, put_auto, uuid};

const GPU: &str = "0000:41:00.0";
const GIB: f64 = 1_073_741_824.0;

/// Every sample's value by its name and labels, as they are written.
pub fn samples(text: &str) -> BTreeMap<String, f64> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let mut all = BTreeMap::new();
    for line in lines {
        let (series, value) = line.rsplit_once(' ').unwrap();
        let before = all.insert(series.to_owned(), value.parse().unwrap());
        assert_eq!(before, None, "{series} is there twice");
    }
    all
}

/// The host's numbers now; all of it can be read.
#[track_caller]
fn now(host: &SimHost) -> BTreeMap<String, f64> {
    samples(&host.run("metrics").expect(0).stdout)
}

fn free(gpu: &str, id: &str, name: &str) -> String {
    format!("vgpuctl_type_free_instances{{gpu=\"{gpu}\",type=\"{id}\",name=\"{name}\"}}")
}

fn least(gpu: &str, id: &str, name: &str) -> String {
    free(gpu, id, name).replace("instances", "instances_min")
}

fn devices(gpu: &str, state: &str, start: &str) -> String {
    format!("vgpuctl_devices{{gpu=\"{gpu}\",state=\"{state}\",start=\"{start}\"}}")
}

fn restored(gpu: &str, result: &str) -> String {
    format!("vgpuctl_restore_devices{{gpu=\"{gpu}\",result=\"{result}\"}}")
}

fn held(gpu: &str) -> String {
    format!("vgpuctl_gpu_held_devices{{gpu=\"{gpu}\"}}")
}

fn used(gpu: &str) -> String {
    format!("vgpuctl_gpu_framebuffer_used_bytes{{gpu=\"{gpu}\"}}")
}

fn promised(gpu: &str) -> String {
    used(gpu).replace("used", "promised")
}

fn unreadable(what: &str) -> String {
    format!("vgpuctl_unreadable{{what=\"{what}\"}}")
}

/// Each device's VFIO group, through which it is opened.
fn node(host: &SimHost, uuid: &str) -> PathBuf {
    let shown = host.run(&format!("show {uuid} --json")).expect(0).json();
    PathBuf::from(shown["device"]["vfio_group"].as_str().unwrap())
}

#[test]
fn the_numbers_follow_what_is_created_held_stopped_and_removed() {
    let host = SimHost::start("two-p4");
    let line = |n| format!("create -t P4-2Q -p {P1} -u {}", uuid(n));
    host.run(&line(1)).expect(0);
    host.run(&(line(2) + " --transient")).expect(0);
    host.run(&(line(3) + " --manual")).expect(0);
    host.run(&format!("define -t P4-8Q -p {P2} -u {}", uuid(4)))
        .expect(0);
    let all = now(&host);
    assert_eq!(all[&free(P1, "nvidia-64", "P4-2Q")], 1.0);
    assert_eq!(all[&least(P1, "nvidia-64", "P4-2Q")], 1.0);
    assert_eq!(all[&free(P1, "nvidia-63", "P4-1Q")], 0.0);
    assert_eq!(all[&free(P2, "nvidia-64", "P4-2Q")], 4.0);
    let most = free(P1, "nvidia-63", "P4-1Q").replace("free", "max");
    assert_eq!(all[&most], 8.0);
    let active = free(P1, "nvidia-64", "P4-2Q").replace("free", "active");
    assert_eq!(all[&active], 3.0);
    assert_eq!(all[&used(P1)], 6.0 * GIB);
    assert_eq!(all[&used(P2)], 0.0);
    assert_eq!(
        all[&format!("vgpuctl_gpu_memory_bytes{{gpu=\"{P1}\"}}")],
        8.0 * GIB
    );
    for (gpu, state, start, count) in [
        (P1, "active", "auto", 1.0),
        (P1, "active", "none", 1.0),
        (P1, "active", "manual", 1.0),
        (P1, "inactive", "auto", 0.0),
        (P1, "foreign", "none", 0.0),
        (P2, "active", "auto", 0.0),
        (P2, "inactive", "auto", 1.0),
    ] {
        assert_eq!(
            all[&devices(gpu, state, start)],
            count,
            "{gpu} {state} {start}"
        );
    }

    let first = HeldOpen::open(&node(&host, &uuid(1)), "-name web");
    let second = HeldOpen::open(&node(&host, &uuid(2)), "-name mail");
    let all = now(&host);
    assert_eq!((all[&held(P1)], all[&held(P2)]), (2.0, 0.0));
    first.close();
    assert_eq!(now(&host)[&held(P1)], 1.0);
    second.close();

    host.run(&format!("stop {}", uuid(1))).expect(0);
    host.run(&format!("remove {} {}", uuid(2), uuid(3)))
        .expect(0);
    let all = now(&host);
    assert_eq!(all[&held(P1)], 0.0);
    assert_eq!(all[&used(P1)], 0.0);
    assert_eq!(all[&devices(P1, "active", "none")], 0.0);
    assert_eq!(all[&devices(P1, "inactive", "auto")], 1.0);
    assert_eq!(all[&free(P1, "nvidia-63", "P4-1Q")], 8.0);
}

#[test]
fn a_failed_restore_is_told_until_the_next_one_of_that_gpu() {
    let host = SimHost::start("two-p4");
    put_auto(&host, P1, &uuid(1), "nvidia-63");
    put_auto(&host, P1, &uuid(2), "nvidia-63");
    put_auto(&host, P2, &uuid(3), "nvidia-64");
    assert!(!now(&host).keys().any(|name| name.contains("restore_")));
    host.run("restore --dry-run").expect(0);
    assert!(!now(&host).keys().any(|name| name.contains("restore_")));

    host.ctl(&["fail-create", "1", "EINVAL"]);
    host.run(&format!("restore --parent {P1}")).expect(7);
    let results = |all: &BTreeMap<String, f64>, gpu| {
        ["started", "active", "failed"].map(|result| all[&restored(gpu, result)])
    };
    let all = now(&host);
    assert_eq!(results(&all, P1), [1.0, 0.0, 1.0]);
    assert!(!all.contains_key(&restored(P2, "failed")));
    let start = |all: &BTreeMap<String, f64>, gpu| {
        all[&format!("vgpuctl_restore_start_time_seconds{{gpu=\"{gpu}\"}}")]
    };
    let (first, since_1970) = (start(&all, P1), std::time::UNIX_EPOCH.elapsed().unwrap());
    assert!((since_1970.as_secs_f64() - first).abs() < 600.0, "{first}");

    // Another GPU's restore says nothing of this one.
    host.run(&format!("restore --parent {P2}")).expect(0);
    let all = now(&host);
    assert_eq!(results(&all, P1), [1.0, 0.0, 1.0]);
    assert_eq!(results(&all, P2), [1.0, 0.0, 0.0]);
    assert_eq!(start(&all, P1), first);

    host.run("restore").expect(0);
    let all = now(&host);
    assert_eq!(results(&all, P1), [1.0, 1.0, 0.0]);
    assert_eq!(results(&all, P2), [0.0, 1.0, 0.0]);
    assert!(start(&all, P1) > first);
    assert_eq!(start(&all, P1), start(&all, P2));

    // Nothing is left to restore on the one, so nothing is said of it any more.
    host.run(&format!("remove {}", uuid(3))).expect(0);
    host.run(&format!("restore --parent {P1}")).expect(0);
    assert!(now(&host).contains_key(&restored(P2, "failed")));
    host.run("restore").expect(0);
    assert!(!now(&host).contains_key(&restored(P2, "failed")));
    // A reboot empties /run.
    host.ctl(&["reboot"]);
    assert!(!now(&host).keys().any(|name| name.contains("restore_")));
}

#[test]
fn the_time_of_a_restore_is_as_long_as_its_gpu_took() {
    let host = SimHost::start("two-p4");
    put_auto(&host, P1, &uuid(1), "nvidia-63");
    put_auto(&host, P1, &uuid(2), "nvidia-63");
    put_auto(&host, P2, &uuid(3), "nvidia-63");
    host.ctl(&["delay-create", "400"]);
    host.run("restore").expect(0);
    let all = now(&host);
    let seconds = |gpu| all[&format!("vgpuctl_restore_duration_seconds{{gpu=\"{gpu}\"}}")];
    assert!(seconds(P1) >= 0.8, "two after each other: {}", seconds(P1));
    assert!(seconds(P2) >= 0.4, "one: {}", seconds(P2));
}

#[test]
fn functions_of_one_gpu_are_restored_apart_and_told_together() {
    let host = SimHost::start("a40-vf-mdev");
    host.ctl(&["sriov-manage", "-e", "ALL"]);
    let functions = ["0000:41:00.4", "0000:41:00.5"];
    put_auto(&host, functions[0], &uuid(1), "nvidia-557");
    put_auto(&host, functions[1], &uuid(2), "nvidia-557");
    host.ctl(&["fail-create", "1", "EINVAL"]);
    host.run("restore").expect(7);
    let all = now(&host);
    assert_eq!(all[&restored(GPU, "failed")], 1.0);
    assert_eq!(all[&restored(GPU, "started")], 1.0);
    assert_eq!(all[&devices(GPU, "active", "auto")], 1.0);
    assert_eq!(all[&devices(GPU, "inactive", "auto")], 1.0);
    // The other function's restore does not make up for the one that failed.
    host.run(&format!("restore --parent {}", functions[1]))
        .expect(0);
    assert_eq!(now(&host)[&restored(GPU, "failed")], 1.0);
    host.run(&format!("restore --parent {}", functions[0]))
        .expect(0);
    let all = now(&host);
    assert_eq!(all[&restored(GPU, "failed")], 0.0);
    assert!(
        all.keys()
            .all(|name| functions.iter().all(|vf| !name.contains(vf)))
    );
}

#[test]
fn two_restores_at_once_leave_true_numbers() {
    let host = SimHost::start("two-p4");
    for (parent, n) in [(P1, 1), (P1, 2), (P2, 3)] {
        put_auto(&host, parent, &uuid(n), "nvidia-63");
    }
    let lines = [
        "restore".to_owned(),
        format!("restore --parent {P1}"),
        format!("restore --parent {P2}"),
    ];
    let children = lines.map(|line| {
        let mut command = host.command(line.split_whitespace());
        command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    });
    for child in children {
        finished(child.wait_with_output().unwrap()).expect(0);
    }
    let all = now(&host);
    for (gpu, count) in [(P1, 2.0), (P2, 1.0)] {
        let made = all[&restored(gpu, "started")] + all[&restored(gpu, "active")];
        assert_eq!((made, all[&restored(gpu, "failed")]), (count, 0.0), "{gpu}");
    }
    let names = fs::read_dir(host.path("run/vgpuctl/restores")).unwrap();
    assert_eq!(names.count(), 2, "nothing is left beside them");
}

#[test]
fn a_result_that_cannot_be_kept_fails_no_restore() {
    let host = SimHost::start("two-p4");
    put_auto(&host, P1, &uuid(1), "nvidia-63");
    fs::create_dir_all(host.path("run/vgpuctl")).unwrap();
    fs::write(host.path("run/vgpuctl/restores"), "").unwrap();
    let run = host.run("restore").expect(0);
    assert!(
        run.stderr
            .starts_with("warning: cannot save the restore result"),
        "{run:?}"
    );
    assert_eq!(host.active(), [uuid(1)]);
    let run = host.run("metrics").expect(7);
    assert_eq!(samples(&run.stdout)[&unreadable("restores")], 1.0);
}

#[test]
fn what_a_listing_does_not_tell_is_absent_on_functions_that_take_types() {
    let host = SimHost::start("l40s");
    let all = now(&host);
    assert_eq!(all[&least(GPU, "nvidia-1153", "L40S-12Q")], 1.0);
    assert!(
        !all.contains_key(&free(GPU, "nvidia-1153", "L40S-12Q")),
        "how many fit is not told"
    );
    assert!(
        !all.keys()
            .any(|name| name.starts_with("vgpuctl_type_max_instances"))
    );

    host.run(&format!("create -t L40S-12Q -u {}", uuid(1)))
        .expect(0);
    let foreign = "sys/bus/pci/devices/0000:41:00.5/nvidia/current_vgpu_type";
    fs::write(host.path(foreign), "1153").unwrap();
    let all = now(&host);
    assert_eq!(all[&devices(GPU, "active", "auto")], 1.0);
    assert_eq!(all[&devices(GPU, "foreign", "none")], 1.0);
    assert_eq!(all[&used(GPU)], 24.0 * GIB);
    let node = host.run("show 0000:41:00.5 --json").json()["device"]["vfio_device"].clone();
    let open = HeldOpen::open(node.as_str().unwrap().as_ref(), "-name other");
    assert_eq!(now(&host)[&held(GPU)], 1.0);
    open.close();

    // Full: that nothing of a type that was listed before fits is known.
    host.run("create -t L40S-12Q --count 2").expect(0);
    assert_eq!(now(&host)[&free(GPU, "nvidia-1153", "L40S-12Q")], 0.0);
}

#[test]
fn what_some_functions_do_not_tell_is_no_zero() {
    let host = SimHost::start("l40s");
    host.run("create -t L40S-12Q --count 4").expect(0);
    assert_eq!(now(&host)[&free(GPU, "nvidia-1153", "L40S-12Q")], 0.0);
    host.ctl(&["break", "0000:41:00.6/nvidia/current_vgpu_type", "eio"]);
    let run = host.run("metrics").expect(7);
    let all = samples(&run.stdout);
    for name in [
        free(GPU, "nvidia-1153", "L40S-12Q"),
        least(GPU, "nvidia-1153", "L40S-12Q"),
        used(GPU),
    ] {
        assert!(!all.contains_key(&name), "{name} cannot be known: {run:?}");
    }
    let total: f64 = all
        .iter()
        .filter(|(name, _)| name.contains("unreadable"))
        .map(|(_, n)| n)
        .sum();
    assert_eq!(
        total, 1.0,
        "one thing is unreadable, and is counted once: {run:?}"
    );
}

#[test]
fn bad_data_is_counted_by_what_it_is_and_hides_nothing_else() {
    let host = SimHost::start("two-p4");
    host.run(&format!("create -t P4-1Q -p {P2} -u {}", uuid(1)))
        .expect(0);
    put(&host, P1, &uuid(2), "{");
    put(&host, P1, &uuid(3), "[]");
    host.ctl(&[
        "break",
        &format!("{P1}/nvidia-63/available_instances"),
        "garbage",
    ]);
    fs::create_dir_all(host.path("run/vgpuctl/restores")).unwrap();
    fs::write(host.path("run/vgpuctl/restores").join(P1), "{}").unwrap();
    let run = host.run("metrics").expect(7);
    assert_eq!(run.stderr.matches("warning: ").count(), 4, "{run:?}");
    let all = samples(&run.stdout);
    for (what, count) in [
        ("parents", 0.0),
        ("types", 1.0),
        ("devices", 0.0),
        ("definitions", 2.0),
        ("restores", 1.0),
    ] {
        assert_eq!(all[&unreadable(what)], count, "{what}");
    }
    assert!(!all.contains_key(&free(P1, "nvidia-63", "P4-1Q")));
    assert!(!all.contains_key(&least(P1, "nvidia-63", "P4-1Q")));
    assert_eq!(all[&free(P1, "nvidia-64", "P4-2Q")], 4.0);
    assert_eq!(all[&devices(P2, "active", "auto")], 1.0);

    host.ctl(&["break", &format!("{}/mdev_type", uuid(1)), "missing"]);
    let all = samples(&host.run("metrics").expect(7).stdout);
    assert_eq!(all[&unreadable("devices")], 1.0);
    assert_eq!(all[&devices(P2, "unknown", "auto")], 1.0);
    assert!(!all.contains_key(&used(P2)), "what it takes is not known");
}

#[test]
fn devices_that_cannot_be_listed_at_all_are_no_zeros() {
    let host = SimHost::start("empty");
    put_auto(&host, P1, &uuid(1), "nvidia-63");
    assert_eq!(now(&host)[&devices(P1, "inactive", "auto")], 1.0);
    let definitions = host.path("etc/mdevctl.d");
    fs::rename(&definitions, host.path("etc/elsewhere")).unwrap();
    fs::write(&definitions, "").unwrap();
    let run = host.run("metrics").expect(7);
    let all = samples(&run.stdout);
    assert_eq!(all[&unreadable("definitions")], 1.0);
    assert!(!run.stdout.contains("vgpuctl_devices"), "{run:?}");
}

#[test]
fn a_definition_whose_gpu_is_gone_is_counted_under_its_name() {
    let host = SimHost::start("two-p4");
    put_auto(&host, "0000:99:00.0", &uuid(1), "nvidia-63");
    let all = now(&host);
    assert_eq!(all[&devices("0000:99:00.0", "inactive", "auto")], 1.0);
    let info = all
        .keys()
        .filter(|name| name.starts_with("vgpuctl_gpu_info"));
    assert!(info.clone().all(|name| !name.contains("0000:99:00.0")));
    assert_eq!(info.count(), 2);
}

#[test]
fn an_unlocked_card_has_its_own_memory() {
    let host = SimHost::start("gtx-1080ti");
    host.run("create -t P40-12Q --count 2").expect(0);
    let all = now(&host);
    let gpu = "0000:01:00.0";
    assert_eq!(
        all[&format!("vgpuctl_gpu_memory_bytes{{gpu=\"{gpu}\"}}")],
        11.0 * GIB
    );
    // No more is taken than there is; what was promised is told beside.
    assert_eq!(all[&used(gpu)], 11.0 * GIB);
    assert_eq!(all[&promised(gpu)], 24.0 * GIB);
}

#[test]
fn only_who_offers_types_has_numbers() {
    let host = SimHost::start("all-kinds-of-cards");
    let text = host.run("metrics").expect(0).stdout;
    assert!(
        text.contains("vgpuctl_gpu_info{gpu=\"0000:81:00.0\""),
        "{text}"
    );
    for other in [
        "0000:03:00.0",
        "0000:21:00.0",
        "0000:41:00.0",
        "0000:61:00.0",
    ] {
        assert!(!text.contains(other), "{other}: {text}");
    }
}

#[test]
fn what_a_full_gpu_of_functions_holds_is_known_though_it_lists_nothing() {
    let host = SimHost::start("l40s");
    host.run("create -t L40S-24Q --count 2").expect(0);
    let all = now(&host);
    assert_eq!(all[&used("0000:41:00.0")], 48.0 * GIB);
    assert_eq!(all[&promised("0000:41:00.0")], 48.0 * GIB);
}

#[test]
fn without_root_only_the_holders_are_missing() {
    let host = SimHost::start("two-p4");
    let run = as_nobody(&host, "metrics").expect(0);
    assert_eq!(
        run.stdout,
        host.run("metrics").stdout,
        "nothing is active, so nothing is held"
    );
    assert_eq!(run.stderr, "");
    host.run("create -t P4-1Q").expect(0);
    host.run("restore").expect(0);
    let run = as_nobody(&host, "metrics").expect(0);
    let is_other = |line: &&str| !line.contains("vgpuctl_gpu_held_devices");
    let full = host.run("metrics").stdout;
    let wanted: Vec<&str> = full.lines().filter(is_other).collect();
    assert_eq!(run.stdout.lines().collect::<Vec<_>>(), wanted);
    assert!(
        run.stderr.starts_with("note: device holders are left out"),
        "{run:?}"
    );
}

#[test]
fn json_has_the_same_numbers() {
    let host = SimHost::start("two-p4");
    put_auto(&host, P1, &uuid(1), "nvidia-63");
    host.run("restore").expect(0);
    let text = now(&host);
    let run = host.run("metrics --json").expect(0);
    let document = run.json();
    let mut all = BTreeMap::new();
    for family in document["metrics"].as_array().unwrap() {
        assert_eq!(family["type"], "gauge");
        assert!(family["help"].is_string());
        for sample in family["samples"].as_array().unwrap() {
            let labels: Vec<String> = sample["labels"]
                .as_object()
                .unwrap()
                .iter()
                .map(|(key, value)| format!("{key}={value}"))
                .collect();
            let name = family["name"].as_str().unwrap();
            let value = sample["value"].as_f64().unwrap();
            all.insert(format!("{name}{{{}}}", labels.join(",")), value);
        }
    }
    assert_eq!(all, text);
}

/// What a run wrote to a file in a folder of its own, and how it ended.
fn written(host: &SimHost, name: &str) -> (tempfile::TempDir, Run) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join(name);
    let run = host.run(&format!("metrics --output {}", file.display()));
    (folder, run)
}

#[test]
fn a_file_is_written_whole_for_everybody_to_read() {
    let host = SimHost::start("two-p4");
    let (folder, run) = written(&host, "vgpuctl.prom");
    assert_eq!(
        (run.status, run.stdout.as_str(), run.stderr.as_str()),
        (0, "", "")
    );
    let file = folder.path().join("vgpuctl.prom");
    assert_eq!(
        fs::read_to_string(&file).unwrap(),
        host.run("metrics").stdout
    );
    let mode = fs::metadata(&file).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o644);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    // With bad data it is written all the same, and counts it.
    put(&host, P1, &uuid(1), "{");
    let run = host
        .run(&format!("metrics -o {}", file.display()))
        .expect(7);
    assert_eq!(run.stdout, "");
    let all = samples(&fs::read_to_string(&file).unwrap());
    assert_eq!(all[&unreadable("definitions")], 1.0);
    // The document says the same.
    let run = host
        .run(&format!("metrics --json -o {}", file.display()))
        .expect(7);
    assert!(run.json()["metrics"].as_array().unwrap().len() > 5);
}

#[test]
fn a_name_that_node_exporter_does_not_read_is_told() {
    let host = SimHost::start("empty");
    let (folder, run) = written(&host, "vgpuctl.txt");
    assert_eq!(run.status, 0);
    assert!(
        run.stderr
            .starts_with("note: node_exporter only reads files that end in .prom")
    );
    assert!(folder.path().join("vgpuctl.txt").exists());
}

#[test]
fn what_cannot_be_written_is_told_with_the_way_out() {
    let host = SimHost::start("empty");
    let (_folder, run) = written(&host, "no/such/folder/vgpuctl.prom");
    assert_eq!(run.status, 1, "{run:?}");
    assert!(
        run.stderr.contains("hint: create the directory first"),
        "{run:?}"
    );
    let folder = tempfile::tempdir().unwrap();
    let link = folder.path().join("x.prom");
    symlink("/dev/stdout", &link).unwrap();
    let run = host
        .run(&format!("metrics -o {}", link.display()))
        .expect(2);
    assert!(run.stderr.contains("not a regular file"), "{run:?}");
    assert!(
        fs::symlink_metadata(&link).unwrap().is_symlink(),
        "it is left as it is"
    );
}

#[test]
fn readers_never_see_half_a_file_however_many_write_it() {
    let host = SimHost::start("two-p4");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("vgpuctl.prom");
    let wanted = host.run("metrics").stdout;
    let line = format!("metrics --output {}", file.display());
    let mut children: Vec<_> = (0..16)
        .map(|_| host.command(line.split_whitespace()).spawn().unwrap())
        .collect();
    let (mut reads, mut running) = (0, true);
    while running {
        running = children
            .iter_mut()
            .any(|child| child.try_wait().unwrap().is_none());
        for entry in fs::read_dir(folder.path()).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            assert!(
                name == "vgpuctl.prom" || !name.ends_with(".prom"),
                "{name} would be read"
            );
        }
        if let Ok(text) = fs::read_to_string(&file) {
            assert_eq!(text, wanted);
            reads += 1;
        }
    }
    assert!(reads > 0);
    for mut child in children {
        assert_eq!(child.wait().unwrap().code(), Some(0));
    }
    assert_eq!(
        fs::read_dir(folder.path()).unwrap().count(),
        1,
        "nothing is left beside it"
    );
}

#[test]
fn a_writer_that_was_killed_leaves_nothing_that_is_read_and_nothing_for_long() {
    let host = SimHost::start("two-p4");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("vgpuctl.prom");
    let line = format!("metrics --output {}", file.display());
    host.run(&line).expect(0);
    let before = fs::read(&file).unwrap();
    host.run("create -t P4-1Q").expect(0);
    let log = folder.path().join("log");
    for call in ["write", "fchmod", "fsync", "rename,renameat,renameat2"] {
        let inject = format!("--inject={call}:signal=SIGKILL:when=1");
        let options = ["-qq", "-o", log.to_str().unwrap(), &inject];
        let status = host
            .strace(&options, line.split_whitespace())
            .output()
            .unwrap()
            .status;
        assert!(!status.success(), "{call} was to end it: {status:?}");
        assert_eq!(fs::read(&file).unwrap(), before, "{call}");
    }
    fs::remove_file(&log).unwrap();
    host.run(&line).expect(0);
    assert_ne!(fs::read(&file).unwrap(), before);
    assert_eq!(
        fs::read_dir(folder.path()).unwrap().count(),
        1,
        "the next writer tidies up"
    );
}

/// System calls of a run, those that look into processes apart.
fn calls(host: &SimHost, line: &str) -> (usize, usize) {
    let trace = host.path("usr/trace");
    // With the path of each descriptor.
    let options = ["-f", "-qq", "-y", "-o", trace.to_str().unwrap()];
    let output = host
        .strace(&options, line.split_whitespace())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let text = fs::read_to_string(&trace).unwrap();
    let (inside, outside): (Vec<&str>, Vec<&str>) =
        text.lines().partition(|line| line.contains("/proc"));
    (outside.len(), inside.len())
}

#[test]
fn it_costs_what_list_and_types_cost_and_one_look_at_the_processes() {
    let host = SimHost::start("sixteen-p4");
    host.run("create -t P4-1Q --count 64").expect(0);
    host.run(&format!("create -t P4-1Q -u {}", uuid(1)))
        .expect(0);
    host.run("restore").expect(0);
    let (list, _) = calls(&host, "list");
    let (types, _) = calls(&host, "types");
    let (metrics, processes) = calls(&host, "metrics");
    let show = format!("show {}", uuid(1));
    let (_, of_one) = calls(&host, &show);
    println!("list {list}, types {types}; metrics {metrics} and {processes}, show {of_one}");
    // It also asks what each of the 16 cards is, and what is opened to use each of the 65 devices.
    assert!(
        metrics <= list + types + 16 * 16 + 65 * 20,
        "{metrics} calls, not {list} + {types}"
    );
    // Processes come and go beside this test; a look for each device would be 65 times as much.
    assert!(
        processes < 4 * of_one,
        "{processes} calls, where one look is {of_one}"
    );
}

#[test]
fn names_of_any_kind_stay_in_their_labels() {
    let host = SimHost::start_file(odd_host().path());
    let run = host.run("metrics").expect(0);
    let all = samples(&run.stdout);
    let label = r#"gpu="odd \"parent\" \\n",type="acme-a\"b\\c",name="two\nlines \"and\" a \\ {x=\"1\"} 7""#;
    assert_eq!(all[&format!("vgpuctl_type_free_instances{{{label}}}")], 4.0);
}

/// A parent and a type whose names need to be written otherwise.
pub fn odd_host() -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    let text = r##"
[[parent]]
id = "odd \"parent\" \\n"
driver = "acme"
pool = 4
full = "ENOSPC"

[[parent.type]]
id = "a\"b\\c"
name = "two\nlines \"and\" a \\ {x=\"1\"} 7"
cost = 1
"##;
    fs::write(file.path(), text).unwrap();
    file
}
