//! A vGPU keeps its virtual function: what a definition names is kept for it, and changed only where it
//! cannot be had.

use std::fs;

use crate::harness::{Run, SimHost};
use crate::helpers::uuid;

const GPU: &str = "0000:41:00.0";
const VF0: &str = "0000:41:00.4";
const VF1: &str = "0000:41:00.5";
const VF2: &str = "0000:41:00.6";
const TYPE: &str = "nvidia-1152";

fn create(host: &SimHost, id: &str) -> Run {
    host.run(&format!("create --type {TYPE} --uuid {id}"))
        .expect(0)
}

fn vf_of(host: &SimHost, id: &str) -> serde_json::Value {
    let shown = host.run("list --json").json();
    let devices = shown["devices"].as_array().unwrap();
    let found = devices.iter().find(|one| one["uuid"] == id);
    found.unwrap_or_else(|| panic!("{id}: {devices:?}"))["vf"].clone()
}

fn is_active(host: &SimHost, id: &str) -> bool {
    let shown = host.run("list --json").json();
    let devices = shown["devices"].as_array().unwrap();
    devices
        .iter()
        .any(|one| one["uuid"] == id && one["active"] == true)
}

fn path(host: &SimHost, id: &str) -> std::path::PathBuf {
    host.path(&format!("etc/vgpuctl.d/{GPU}/{id}"))
}

/// A definition as somebody wrote it by hand, or an older version did.
fn put(host: &SimHost, id: &str, vf: Option<&str>) {
    fs::create_dir_all(path(host, id).parent().unwrap()).unwrap();
    let vf = vf.map_or(String::new(), |vf| format!(",\"vf\":{vf}"));
    let text = format!("{{\"mdev_type\":\"{TYPE}\",\"start\":\"auto\",\"by\":\"hand\"{vf}}}");
    fs::write(path(host, id), text).unwrap();
}

fn set(host: &SimHost, vf: &str, number: u32) {
    let path = format!("sys/bus/pci/devices/{vf}/nvidia/current_vgpu_type");
    fs::write(host.path(&path), number.to_string()).unwrap();
}

#[test]
fn a_definition_without_a_function_gets_it_at_its_next_start() {
    for verb in ["start", "restore", "apply"] {
        let host = SimHost::start("l40s");
        let (id, other) = (uuid(1), uuid(2));
        create(&host, &other);
        put(&host, &id, None);
        assert_eq!(vf_of(&host, &id), serde_json::Value::Null);
        match verb {
            "start" => host.run(&format!("start {id}")).expect(0),
            "restore" => host.run("restore").expect(0),
            _ => {
                let file = host.path("etc/host.toml");
                let text = host.run("export").expect(0).stdout;
                fs::write(&file, text).unwrap();
                let file = file.to_str().unwrap().to_owned();
                let plan = host.run(&format!("plan {file}")).expect(2).stdout;
                assert!(plan.contains(&format!("function {VF1}")), "{plan}");
                host.run(&format!("apply --yes {file}")).expect(0)
            }
        };
        assert_eq!(vf_of(&host, &id), VF1, "{verb}");
        let text = fs::read_to_string(path(&host, &id)).unwrap();
        let written: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(
            (&written["vf"], &written["by"]),
            (&VF1.into(), &"hand".into())
        );
        host.run(&format!("remove {other}")).expect(0);
        host.ctl(&["reboot"]);
        host.run("restore").expect(0);
        assert_eq!(vf_of(&host, &id), VF1, "{verb}");
    }
}

#[test]
fn a_definition_without_a_function_whose_device_runs_gets_its() {
    let host = SimHost::start("l40s");
    let (first, id) = (uuid(1), uuid(2));
    create(&host, &first);
    create(&host, &id);
    put(&host, &id, None);
    host.run(&format!("remove {first}")).expect(0);
    host.run("restore").expect(0);
    host.ctl(&["reboot"]);
    host.run("restore").expect(0);
    assert_eq!(vf_of(&host, &id), VF1);
}

#[test]
fn what_names_a_function_is_served_before_what_names_none() {
    let host = SimHost::start("l40s");
    let (unnamed, named) = (uuid(1), uuid(2));
    put(&host, &unnamed, None);
    put(&host, &named, Some(&format!("\"{VF0}\"")));
    let planned = host.run("restore --dry-run --now --json").expect(0).json();
    let functions = planned["changes"].as_array().unwrap().iter();
    let functions: Vec<_> = functions.map(|one| one["vf"].clone()).collect();
    assert_eq!(functions, [VF1, VF0]);
    let done = host.run("restore --json").expect(0).json();
    for (planned, done) in [(&planned["changes"], &done["changes"])] {
        for key in ["vf", "uuid"] {
            assert_eq!(planned[0][key], done[0][key]);
            assert_eq!(planned[1][key], done[1][key]);
        }
    }
    assert_eq!(
        (vf_of(&host, &unnamed), vf_of(&host, &named)),
        (VF1.into(), VF0.into())
    );
    // Where there is room for one only, it is the one that names its function.
    let host = SimHost::start("l40s");
    let with = |id: &str, vf: &str| {
        put(&host, id, None);
        let text = format!("{{\"mdev_type\":\"nvidia-1156\",\"start\":\"auto\"{vf}}}");
        fs::write(path(&host, id), text).unwrap();
    };
    with(&unnamed, "");
    with(&named, &format!(",\"vf\":\"{VF1}\""));
    for line in ["restore --dry-run --now", "restore"] {
        let run = host.run(line).expect(7);
        let left_out = run
            .stdout
            .lines()
            .find(|line| line.starts_with("failed"))
            .unwrap();
        assert!(left_out.contains(&unnamed), "{line}: {run:?}");
        assert!(
            left_out.contains("holds 1 x L40S-48Q (48 GiB each), as many as fit"),
            "{run:?}"
        );
    }
    assert!(is_active(&host, &named));
}

#[test]
fn create_leaves_functions_alone_that_are_kept() {
    for host in [SimHost::with_l40s(1, 3), SimHost::with_a40(3)] {
        let is_mdev = host.path("sys/class/mdev_bus").exists();
        let type_name = if is_mdev { "A40-8Q" } else { "L40S-8Q" };
        let place = |id: &str| {
            let list = host.run("list --json").expect(0).json();
            let devices = list["devices"].as_array().unwrap().clone();
            let one = devices.into_iter().find(|one| one["uuid"] == id).unwrap();
            let key = if is_mdev { "parent" } else { "vf" };
            one[key].as_str().unwrap().to_owned()
        };
        let make = |id: &str, more: &str| {
            host.run(&format!("create --type {type_name} --uuid {id} {more}"))
        };
        let (auto, manual) = (uuid(1), uuid(2));
        make(&auto, "").expect(0);
        make(&manual, "--manual").expect(0);
        host.ctl(&["reboot"]);
        // First what no definition names, then what a manual one does.
        let planned = make(&uuid(3), "--dry-run").expect(0).stdout;
        assert!(planned.contains(VF2), "{planned}");
        make(&uuid(3), "--transient").expect(0);
        assert_eq!(place(&uuid(3)), VF2);
        make(&uuid(4), "--transient").expect(0);
        assert_eq!(place(&uuid(4)), VF1);
        for dry_run in ["--dry-run", ""] {
            let refused = make(&uuid(5), dry_run).expect(4).stderr;
            assert!(refused.contains(&format!("{VF0} for {auto}")), "{refused}");
            assert!(!refused.contains("as many as fit"), "{refused}");
        }
        let count = host
            .run(&format!("create --type {type_name} --count 2"))
            .expect(4);
        assert!(count.stderr.contains(&auto), "{}", count.stderr);
        // The manual one waits, and is told for what.
        let refused = host.run(&format!("start {manual}")).expect(4).stderr;
        assert!(
            refused.contains(&format!("{VF1} already holds {}", uuid(4))),
            "{refused}"
        );
        assert!(refused.contains(&uuid(4)), "{refused}");
        host.run("restore").expect(0);
        assert_eq!(place(&auto), VF0);
        host.run(&format!("remove {}", uuid(4))).expect(0);
        host.run(&format!("start {manual}")).expect(0);
        assert_eq!(place(&manual), VF1);
        // All functions have one: that is the reason, and not the memory.
        let refused = make(&uuid(5), "").expect(4).stderr;
        assert!(
            refused.contains("on all of its 3 virtual functions"),
            "{refused}"
        );
        // Whoever names the function gets it, and is told of the other one.
        host.run(&format!("stop {auto}")).expect(0);
        let taken = make(&uuid(6), &format!("--parent {VF0}")).expect(0).stderr;
        assert!(
            taken.contains(&auto) && taken.contains("both start at boot"),
            "{taken}"
        );
    }
}

#[test]
fn a_function_that_is_gone_is_replaced_and_that_is_said() {
    let host = SimHost::start("l40s");
    let (first, id) = (uuid(1), uuid(2));
    create(&host, &first);
    host.run(&format!("create --type {TYPE} --uuid {id} --parent {VF2}"))
        .expect(0);
    let attribute = "nvidia/vgpu_params=frame_rate_limiter=0";
    host.run(&format!("modify {id} --attr {attribute}"))
        .expect(0);
    host.ctl(&["reboot"]);
    host.ctl(&["vfs", GPU, "2"]);
    let planned = host.run("restore --dry-run --now").expect(0);
    let done = host.run("restore").expect(0);
    for run in [planned, done] {
        let told = format!("{}{}", run.stdout, run.stderr);
        assert!(
            told.contains(&format!("{id} moves from {VF2}, which is gone, to {VF1}")),
            "{told}"
        );
        assert!(told.contains(&format!("vgpuctl attach {id}")), "{told}");
        assert!(told.contains(&format!("function {VF1}")), "{told}");
    }
    assert_eq!(vf_of(&host, &id), VF1);
    let shown = host.run(&format!("show {id} --json")).expect(0).json();
    assert_eq!(
        shown["device"]["params_now"][0]["name"],
        "frame_rate_limiter"
    );
    // From then on it is its function, and nothing is said any more.
    host.ctl(&["reboot"]);
    host.ctl(&["vfs", GPU, "32"]);
    let again = host.run("restore").expect(0);
    assert!(!again.stderr.contains("moves from"), "{}", again.stderr);
    assert_eq!(vf_of(&host, &id), VF1);
    // Functions that are off are not gone.
    host.ctl(&["reboot"]);
    host.ctl(&["vfs", GPU, "0"]);
    host.run("restore").expect(7);
    assert_eq!(vf_of(&host, &id), VF1);
    host.ctl(&["vfs", GPU, "32"]);
    host.run("restore").expect(0);
    assert_eq!(vf_of(&host, &id), VF1);
}

#[test]
fn of_two_definitions_of_one_function_the_second_goes_elsewhere_and_both_are_named() {
    for verb in ["restore", "plan"] {
        let host = SimHost::start("l40s");
        let (first, second) = (uuid(1), uuid(2));
        put(&host, &first, Some(&format!("\"{VF1}\"")));
        put(&host, &second, Some(&format!("\"{VF1}\"")));
        if verb == "plan" {
            let file = host.path("etc/host.toml");
            fs::write(&file, host.run("export").expect(0).stdout).unwrap();
            let plan = host.run(&format!("plan {}", file.display())).expect(2);
            let told = format!("function: {VF1} -> {VF0}");
            assert!(plan.stdout.contains(&told), "{plan:?}");
            assert!(
                plan.stderr.contains(&format!("vgpuctl attach {second}")),
                "{plan:?}"
            );
            host.run(&format!("apply --yes {}", file.display()))
                .expect(0);
        } else {
            let planned = host.run("restore --dry-run --now").expect(0);
            assert!(
                planned.stdout.contains(&format!("function {VF0}")),
                "{planned:?}"
            );
            assert!(planned.stderr.contains(&second), "{planned:?}");
            let done = host.run("restore").expect(0);
            assert!(
                done.stderr.contains(&first) && done.stderr.contains(&second),
                "{done:?}"
            );
            assert!(
                done.stderr.contains(&format!("vgpuctl attach {second}")),
                "{done:?}"
            );
        }
        assert!(is_active(&host, &first) && is_active(&host, &second));
        assert_eq!(
            (vf_of(&host, &first), vf_of(&host, &second)),
            (VF1.into(), VF0.into())
        );
        let quiet = host.run("restore").expect(0);
        assert_eq!(quiet.stderr, "");
    }
    // Mediated devices cannot go elsewhere: the reason names the function, dry or not.
    let host = SimHost::with_a40(4);
    for id in [uuid(1), uuid(2)] {
        let run = host.run(&format!("define --type A40-8Q --parent {VF1} --uuid {id}"));
        let is_second = id == uuid(2);
        assert_eq!(
            run.expect(0).stderr.contains("both start at boot"),
            is_second
        );
    }
    for line in ["restore --dry-run --now", "restore"] {
        let run = host.run(line).expect(7);
        let failed = run
            .stdout
            .lines()
            .find(|line| line.starts_with("failed"))
            .unwrap();
        assert!(failed.contains(&uuid(2)) && failed.contains(VF1), "{run:?}");
        assert!(!failed.contains("as many as fit"), "{run:?}");
    }
}

#[test]
fn a_function_that_another_program_has_is_waited_for_and_not_changed() {
    let host = SimHost::start("l40s");
    let id = uuid(1);
    create(&host, &id);
    host.ctl(&["reboot"]);
    set(&host, VF0, 1152);
    let file = host.path("etc/host.toml");
    fs::write(&file, host.run("export").expect(0).stdout).unwrap();
    let plan = format!("plan {}", file.display());
    for line in [
        "restore --dry-run --now",
        "restore",
        &format!("start {id}"),
        &plan,
    ] {
        let run = host.run(line);
        assert_ne!(run.status, 0, "{line}");
        let told = format!("{}{}", run.stdout, run.stderr);
        assert!(
            told.contains(&format!("{VF0} already holds {TYPE}")),
            "{line}: {told}"
        );
        assert!(told.contains("another program"), "{line}: {told}");
        assert!(
            told.contains(&format!("vgpuctl modify {id} --vf any")),
            "{line}: {told}"
        );
        assert!(!told.contains("as many as fit"), "{line}: {told}");
        assert_eq!(vf_of(&host, &id), VF0, "{line}");
    }
    host.run(&format!("modify {id} --vf any")).expect(0);
    assert_eq!(vf_of(&host, &id), serde_json::Value::Null);
    host.run(&format!("start {id}")).expect(0);
    assert_eq!(vf_of(&host, &id), VF1);
    // The user may also name one, and what cannot be one is refused.
    let running = host
        .run(&format!("modify {id} --vf 0000:41:00.7"))
        .expect(0)
        .stderr;
    assert!(running.contains(VF1), "{running}");
    host.run(&format!("stop {id}")).expect(0);
    host.run(&format!("start {id}")).expect(0);
    assert_eq!(vf_of(&host, &id), "0000:41:00.7");
    host.run(&format!("modify {id} --vf 0000:99:00.1"))
        .expect(3);
    host.run(&format!("modify {id} --vf nonsense")).expect(2);
}

#[test]
fn what_makes_no_sense_as_a_function_has_an_address_and_hides_nothing() {
    let host = SimHost::start("l40s");
    let good = uuid(9);
    create(&host, &good);
    host.run(&format!("stop {good}")).expect(0);
    let bad = ["5", "\"\"", "\"x/y\"", "\"mtty\"", "[]", "\"0000:41:00.0\""];
    for (n, vf) in bad.iter().enumerate() {
        put(&host, &uuid(n as u8 + 1), Some(vf));
    }
    let run = host.run("restore");
    for (n, vf) in bad.iter().enumerate() {
        let file = path(&host, &uuid(n as u8 + 1));
        assert!(run.stderr.contains(file.to_str().unwrap()), "{vf}: {run:?}");
    }
    assert!(is_active(&host, &good), "{run:?}");
    // Another GPU's function.
    let host = SimHost::with_l40s(2, 4);
    put(&host, &uuid(1), Some("\"0000:42:00.4\""));
    for line in ["restore --dry-run --now", "restore"] {
        let run = host.run(line);
        assert_ne!(run.status, 0);
        let told = format!("{}{}", run.stdout, run.stderr);
        assert!(
            told.contains("0000:42:00.4, which is not a virtual function of 0000:41:00.0"),
            "{told}"
        );
        assert!(
            told.contains(path(&host, &uuid(1)).to_str().unwrap()),
            "{told}"
        );
    }
    // As somebody writes it who copies from elsewhere.
    put(&host, &uuid(1), Some("null"));
    host.run("restore").expect(0);
    assert_eq!(vf_of(&host, &uuid(1)), VF0);
}

#[test]
fn apply_keeps_the_function_of_what_it_changes() {
    let host = SimHost::start("l40s");
    let (first, id) = (uuid(1), uuid(2));
    create(&host, &first);
    create(&host, &id);
    let file = host.path("etc/host.toml");
    fs::write(
        &file,
        host.run("export").expect(0).stdout.replace("1152", "1162"),
    )
    .unwrap();
    host.run(&format!("remove {first}")).expect(0);
    let text = fs::read_to_string(&file).unwrap();
    let apply = format!("apply --yes {}", file.display());
    host.run(&apply).expect(0);
    assert_eq!(
        (vf_of(&host, &first), vf_of(&host, &id)),
        (VF0.into(), VF1.into())
    );
    // Stopped and started by it, and other attributes.
    let with = text.replace(
        "nvidia-1162\"",
        "nvidia-1162\"\nattrs = [\"nvidia/vgpu_params=disable_vnc=1\"]",
    );
    fs::write(&file, with).unwrap();
    host.run(&apply);
    assert_eq!(
        (vf_of(&host, &first), vf_of(&host, &id)),
        (VF0.into(), VF1.into())
    );
    host.ctl(&["reboot"]);
    host.run("restore").expect(0);
    assert_eq!(
        (vf_of(&host, &first), vf_of(&host, &id)),
        (VF0.into(), VF1.into())
    );
}

#[test]
fn where_definitions_cannot_be_written_they_start_all_the_same() {
    let host = SimHost::start("l40s");
    let id = uuid(1);
    put(&host, &id, None);
    let dir = host.path(&format!("etc/vgpuctl.d/{GPU}"));
    // As on a host whose /etc is part of an image.
    let mount = std::process::Command::new("mount")
        .args(["--bind", "-o", "ro"])
        .args([&dir, &dir])
        .status();
    assert!(mount.unwrap().success());
    let run = host.run("restore");
    let unmounted = std::process::Command::new("umount").arg(&dir).status();
    assert!(unmounted.unwrap().success());
    assert!(run.stderr.contains("may be on another function"), "{run:?}");
    run.expect(0);
    assert!(is_active(&host, &id));
}
