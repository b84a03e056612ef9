//! GPUs whose virtual functions take a type, where nothing is a mediated device.

use std::fs;

use crate::harness::{HeldOpen, SimHost};
use crate::helpers::uuid;

const GPU: &str = "0000:41:00.0";
const VF0: &str = "0000:41:00.4";
const VF1: &str = "0000:41:00.5";

fn current(host: &SimHost, vf: &str) -> String {
    let path = format!("sys/bus/pci/devices/{vf}/nvidia/current_vgpu_type");
    fs::read_to_string(host.path(&path))
        .unwrap()
        .trim()
        .to_owned()
}

/// How many functions have a type, as the simulated driver says.
fn active_functions(host: &SimHost) -> usize {
    let status = host.status();
    let functions = status["vendor_vfs"].as_array().unwrap();
    let holds = |vf: &&serde_json::Value| vf["type"].as_u64().is_some_and(|number| number != 0);
    functions.iter().filter(holds).count()
}

fn set(host: &SimHost, vf: &str, number: u32) {
    let path = format!("sys/bus/pci/devices/{vf}/nvidia/current_vgpu_type");
    fs::write(host.path(&path), number.to_string()).unwrap();
}

fn definition(host: &SimHost, uuid: &str) -> std::path::PathBuf {
    host.path(&format!("etc/vgpuctl.d/{GPU}/{uuid}"))
}

fn holder(host: &SimHost, vf: &str) -> HeldOpen {
    let number = host.run(&format!("show {vf} --json")).json();
    let node = number["device"]["vfio_device"].as_str().unwrap().to_owned();
    HeldOpen::open(
        std::path::Path::new(&node),
        "qemu-system-x86_64 -name guest=win11",
    )
}

#[test]
fn every_verb_works_as_it_does_for_mediated_devices() {
    let host = SimHost::start("l40s");
    let id = uuid(1);
    host.run(&format!("create --type L40S-12Q --uuid {id}"))
        .expect(0);
    assert_eq!(current(&host, VF0), "1153");
    let listed = host.run("list --json").expect(0).json();
    let one = &listed["devices"][0];
    assert_eq!(one["uuid"], id.as_str());
    assert_eq!(one["parent"], GPU);
    assert_eq!(one["vf"], VF0);
    assert_eq!(one["active"], true);
    assert_eq!(one["start"], "auto");
    assert_eq!(one["type_name"], "NVIDIA L40S-12Q");
    assert!(definition(&host, &id).exists());
    assert!(
        !host.path("etc/mdevctl.d").exists(),
        "libvirt would take it for an mdev"
    );

    host.run(&format!("stop {id}")).expect(0);
    assert_eq!(current(&host, VF0), "0");
    host.run(&format!("start {id}")).expect(0);
    assert_eq!(current(&host, VF0), "1153");
    host.run(&format!("modify {id} --manual")).expect(0);
    host.run(&format!("remove {id}")).expect(0);
    assert_eq!(current(&host, VF0), "0");
    assert!(!definition(&host, &id).exists());
    assert_eq!(
        host.run("list --json").json()["devices"]
            .as_array()
            .unwrap()
            .len(),
        0
    );
}

#[test]
fn a_reboot_brings_them_back_wherever_a_function_is_free() {
    let host = SimHost::start("l40s");
    for n in 1..=3 {
        host.run(&format!("create --type nvidia-1153 --uuid {}", uuid(n)))
            .expect(0);
    }
    let pinned = format!(
        "create --type nvidia-1153 --uuid {} --parent 0000:41:00.7",
        uuid(4)
    );
    host.run(&pinned).expect(0);
    host.ctl(&["reboot"]);
    let restored = host.run("restore").expect(0);
    assert_eq!(
        restored.stdout.matches("started").count(),
        4,
        "{}",
        restored.stdout
    );
    let again = host.run("restore").expect(0);
    assert_eq!(
        again.stdout.matches("active").count(),
        4,
        "{}",
        again.stdout
    );
    let shown = host.run(&format!("show {} --json", uuid(4))).json();
    assert_eq!(shown["device"]["vf"], "0000:41:00.7");
    assert_eq!(active_functions(&host), 4);
}

#[test]
fn what_is_free_is_never_the_sum_of_the_functions() {
    let host = SimHost::start("l40s");
    let free = |id: &str| {
        let types = host
            .run(&format!("types --parent {GPU} --json"))
            .expect(0)
            .json();
        let types = types["parents"][0]["types"].as_array().unwrap().clone();
        let one = types.into_iter().find(|t| t["id"] == id).unwrap();
        (one["available"].clone(), one["available_at_least"].clone())
    };
    // 32 functions list it, and two 24 GB vGPUs fit: the listing cannot tell, so nor can we.
    assert_eq!(free("nvidia-1155"), (serde_json::Value::Null, 1.into()));
    host.run("create --type nvidia-1155 --count 2").expect(0);
    assert_eq!(
        free("nvidia-1155"),
        (0.into(), 0.into()),
        "a full GPU's types are remembered"
    );
    let refused = host.run("create --type L40S-24Q").expect(4);
    assert!(
        refused.stderr.contains("2 x L40S-24Q"),
        "{}",
        refused.stderr
    );
    // Three do not fit: none is left behind.
    host.run("remove --help").expect(0);
    let uuids: Vec<String> = host.defined_functions(GPU);
    host.run(&format!("remove {}", uuids.join(" "))).expect(0);
    host.run("create --type nvidia-1155 --count 3").expect(4);
    assert_eq!(active_functions(&host), 0);
    assert!(host.defined_functions(GPU).is_empty());
}

#[test]
fn another_ones_vgpu_is_named_by_its_function_and_never_taken_for_ours() {
    let host = SimHost::start("l40s");
    let id = uuid(1);
    host.run(&format!("create --type nvidia-1153 --uuid {id}"))
        .expect(0);
    // Somebody else reuses the function: our record of it is stale now.
    set(&host, VF0, 0);
    set(&host, VF0, 1163);
    let listed = host.run("list --json").expect(0).json();
    let foreign = listed["devices"].as_array().unwrap();
    let foreign = foreign.iter().find(|d| d["vf"] == VF0).unwrap();
    assert_eq!(foreign["uuid"], serde_json::Value::Null);
    assert_eq!(foreign["type"], "nvidia-1163");
    assert_eq!(foreign["start"], serde_json::Value::Null);

    let stopped = host.run(&format!("stop {id}")).expect(0);
    assert!(
        stopped.stderr.contains("already inactive"),
        "{}",
        stopped.stderr
    );
    host.run(&format!("remove {id}")).expect(0);
    assert_eq!(current(&host, VF0), "1163", "it is another VM's");

    // Named by its function, it is meant.
    let stopped = host.run(&format!("stop {VF0}")).expect(0);
    assert!(stopped.stderr.contains(VF0), "{}", stopped.stderr);
    assert_eq!(current(&host, VF0), "0");
}

#[test]
fn a_definition_of_one_function_leaves_it_alone_while_another_has_it() {
    let host = SimHost::start("l40s");
    let id = uuid(1);
    host.run(&format!(
        "create --type nvidia-1153 --uuid {id} --parent {VF1}"
    ))
    .expect(0);
    host.ctl(&["reboot"]);
    set(&host, VF1, 1153);
    let restored = host.run("restore").expect(7);
    assert!(restored.stdout.contains("failed"), "{}", restored.stdout);
    assert!(restored.stdout.contains(VF1), "{}", restored.stdout);
    assert_eq!(current(&host, VF1), "1153");
    assert_eq!(
        current(&host, VF0),
        "0",
        "it was to be on one function and no other"
    );
}

#[test]
fn one_that_is_open_is_left_and_the_holder_named() {
    let host = SimHost::start("l40s");
    let id = uuid(1);
    host.run(&format!("create --type nvidia-1153 --uuid {id}"))
        .expect(0);
    let open = holder(&host, VF0);
    let refused = host.run(&format!("remove {id}")).expect(5);
    assert!(
        refused.stderr.contains(&open.pid().to_string()),
        "{}",
        refused.stderr
    );
    assert!(refused.stderr.contains("win11"), "{}", refused.stderr);
    assert_eq!(current(&host, VF0), "1153");
    assert!(definition(&host, &id).exists());
    open.close();
    // NVIDIA's plugin takes a while to leave: that is waited for.
    host.ctl(&["plugin-exit", "300"]);
    host.run(&format!("remove {id}")).expect(0);
    assert_eq!(current(&host, VF0), "0");
}

#[test]
fn an_attribute_that_is_none_of_a_vgpu_is_refused() {
    let host = SimHost::start("l40s");
    for name in [
        "driver_override",
        "nvidia/current_vgpu_type",
        "reset",
        "physfn/sriov_numvfs",
    ] {
        let line = format!("create --type nvidia-1153 --attr {name}=1");
        let refused = host.run(&line);
        assert_ne!(refused.status, 0, "{name}");
        assert_eq!(current(&host, VF0), "0", "{name}");
        assert!(host.defined_functions(GPU).is_empty(), "{name}");
    }
    host.run("create --type nvidia-1153 --attr nvidia/vgpu_params=disable_vnc=1")
        .expect(0);
}

#[test]
fn the_drivers_refusal_is_told_and_nothing_stays() {
    let host = SimHost::start("l40s");
    host.ctl(&["fail-create", "1", "EIO"]);
    let refused = host.run("create --type nvidia-1153");
    assert_ne!(refused.status, 0);
    assert!(refused.stderr.contains("EIO"), "{}", refused.stderr);
    assert!(
        refused.stderr.contains("current_vgpu_type"),
        "{}",
        refused.stderr
    );
    assert!(host.defined_functions(GPU).is_empty());
    assert_eq!(current(&host, VF0), "0");
}

#[test]
fn both_frameworks_stand_side_by_side() {
    let host = SimHost::start("both-frameworks");
    host.run("create --type nvidia-63").expect(0);
    host.run("create --type nvidia-1153").expect(0);
    host.ctl(&["reboot"]);
    let restored = host.run("restore").expect(0);
    assert_eq!(
        restored.stdout.matches("started").count(),
        2,
        "{}",
        restored.stdout
    );
    let gpus = host.run("gpus --json").expect(0).json();
    let frameworks: Vec<&str> = gpus["gpus"]
        .as_array()
        .unwrap()
        .iter()
        .map(|gpu| gpu["framework"].as_str().unwrap())
        .collect();
    assert_eq!(frameworks, ["mdev", "vfio"]);
}

#[test]
fn mdevctl_knows_nothing_of_them() {
    let host = SimHost::start("both-frameworks");
    host.run("create --type nvidia-1153").expect(0);
    let mdevctl = host.mdevctl("list");
    assert_eq!(mdevctl.stdout, "");
    let mdevctl = host.mdevctl("types");
    assert!(mdevctl.stdout.contains("nvidia-63") && !mdevctl.stdout.contains("nvidia-1153"));
}

#[test]
fn functions_that_are_mdev_parents_are_one_gpu_to_the_user() {
    let host = SimHost::start("a40-vf-mdev");
    host.run("vfs enable 0000:41:00.0 --at-boot").expect(0);
    let gpu = "0000:41:00.0";
    let free = |parent: &str, id: &str| {
        let types = host
            .run(&format!("types --parent {parent} --json"))
            .expect(0)
            .json();
        let parents = types["parents"].as_array().unwrap();
        assert_eq!(parents.len(), 1);
        let types = parents[0]["types"].as_array().unwrap();
        types.iter().find(|t| t["id"] == id).unwrap()["available"].clone()
    };
    // 32 functions have an instance each; the GPU's memory has room for two.
    assert_eq!(free(gpu, "nvidia-565"), 2);
    assert_eq!(free(gpu, "nvidia-557"), 32);
    assert_eq!(free("0000:41:00.4", "nvidia-565"), 1);
    host.run(&format!(
        "create --type nvidia-565 --parent {gpu} --count 2"
    ))
    .expect(0);
    let listed = host
        .run(&format!("list --parent {gpu} --json"))
        .expect(0)
        .json();
    let parents: Vec<&str> = listed["devices"]
        .as_array()
        .unwrap()
        .iter()
        .map(|device| device["parent"].as_str().unwrap())
        .collect();
    assert_eq!(parents, ["0000:41:00.4", "0000:41:00.5"]);
    host.run(&format!("create --type nvidia-565 --parent {gpu}"))
        .expect(4);
    host.ctl(&["reboot"]);
    host.run(&format!("restore --parent {gpu}")).expect(0);
    assert_eq!(host.active().len(), 2);
}

#[test]
fn what_is_pasted_for_a_function_is_its_pci_address_left_unmanaged() {
    let host = SimHost::start("l40s");
    let id = uuid(1);
    host.run(&format!("create --type nvidia-1153 --uuid {id}"))
        .expect(0);
    let xml = host.run(&format!("attach {id}")).expect(0).stdout;
    for wanted in [
        "type='pci'",
        "managed='no'",
        "domain='0x0000'",
        "bus='0x41'",
        "slot='0x00'",
        "function='0x4'",
    ] {
        assert!(xml.contains(wanted), "{wanted}: {xml}");
    }
    let qemu = host
        .run(&format!("attach {id} --format qemu"))
        .expect(0)
        .stdout;
    assert!(qemu.contains(VF0), "{qemu}");
    // Its definition names the function, which stays its own.
    host.run(&format!("stop {id}")).expect(0);
    let idle = host.run(&format!("attach {id}")).expect(0);
    assert_eq!(idle.stdout, xml);
    let id = uuid(2);
    let line = format!("define --type nvidia-1153 --parent {GPU} --uuid {id}");
    host.run(&line).expect(0);
    let refused = host.run(&format!("attach {id}")).expect(1);
    assert!(
        refused.stderr.contains(&format!("vgpuctl start {id}")),
        "{}",
        refused.stderr
    );
}

#[test]
fn one_line_says_what_is_in_the_way_for_all_functions_of_a_gpu() {
    let host = SimHost::start("a40-vf-mdev");
    host.run("vfs enable 0000:41:00.0").expect(0);
    host.run("create --type nvidia-565 --count 2").expect(0);
    let refused = host.run("create --type nvidia-557").expect(4).stderr;
    assert_eq!(refused.matches("holds 2 x A40-24Q").count(), 1, "{refused}");
    assert!(refused.lines().count() < 5, "{refused}");
    let gpus = host.run("gpus --json").expect(0).json();
    assert_eq!(gpus["gpus"].as_array().unwrap().len(), 1);
    assert_eq!(gpus["gpus"][0]["active"], 2);
}

#[test]
fn what_is_defined_for_a_gpu_or_one_function_starts_there() {
    let host = SimHost::start("l40s");
    let (any, pinned) = (uuid(1), uuid(2));
    host.run(&format!(
        "define --type nvidia-1153 --parent {GPU} --uuid {any}"
    ))
    .expect(0);
    host.run(&format!(
        "define --type L40S-12Q --parent 0000:41:00.7 --uuid {pinned}"
    ))
    .expect(0);
    assert!(definition(&host, &any).exists() && definition(&host, &pinned).exists());
    assert!(!host.path("etc/mdevctl.d").exists());
    host.run("restore").expect(0);
    assert_eq!(current(&host, VF0), "1153");
    assert_eq!(current(&host, "0000:41:00.7"), "1153");
}

#[test]
fn a_definition_of_one_function_is_counted_with_those_of_its_gpu() {
    let host = SimHost::start("l40s");
    host.run(&format!(
        "define --type nvidia-1153 --parent {GPU} --uuid {}",
        uuid(1)
    ))
    .expect(0);
    let second = format!(
        "define --type nvidia-1153 --parent {VF1} --uuid {}",
        uuid(2)
    );
    let run = host.run(&second).expect(0);
    assert!(!run.stderr.contains("will not start"), "{}", run.stderr);
    // 24 GB beside 12 GB is another matter.
    let run = host.run(&format!(
        "define --type nvidia-1155 --parent {GPU} --uuid {}",
        uuid(3)
    ));
    assert!(run.stderr.contains("will not start"), "{}", run.stderr);
}
