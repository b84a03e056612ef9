//! `plan`, `apply`, `assert` and `export`: a host made into what a file says, and nothing else.

use std::path::PathBuf;

use crate::harness::{HeldOpen, Run, SimHost};
use crate::helpers::{P1, P2};

/// A machine id, so that UUIDs are the same in every run.
pub const MACHINE_ID: &str = "0123456789abcdef0123456789abcdef\n";

/// A simulated host that has an identity.
pub fn host(name: &str) -> SimHost {
    let host = SimHost::start(name);
    std::fs::write(host.path("etc/machine-id"), MACHINE_ID).unwrap();
    host
}

/// Writes a declaration.
pub fn file(host: &SimHost, text: &str) -> PathBuf {
    let path = host.path("usr/host.toml");
    std::fs::write(&path, format!("version = 1\n{text}")).unwrap();
    path
}

pub fn plan(host: &SimHost, text: &str) -> Run {
    let path = file(host, text);
    host.run_args(["plan".as_ref(), path.as_os_str()])
}

pub fn apply(host: &SimHost, text: &str) -> Run {
    let path = file(host, text);
    host.run_args(["apply".as_ref(), "--yes".as_ref(), path.as_os_str()])
}

const FIVE: &str = "[[group]]\nname = \"desks\"\ntype = \"P4-1Q\"\ncount = 5\n";

#[test]
fn what_is_missing_is_made_once_and_then_nothing_is_to_do() {
    let host = host("two-p4");
    let run = plan(&host, FIVE).expect(2);
    assert_eq!(run.stdout.matches("+ create ").count(), 5, "{run:#?}");
    assert!(run.stdout.ends_with("5 to create\n"), "{run:#?}");
    assert_eq!(host.active(), Vec::<String>::new());
    apply(&host, FIVE).expect(0);
    assert_eq!(host.active().len(), 5);
    assert_eq!(host.active(), host.defined());
    let run = plan(&host, FIVE).expect(0);
    assert_eq!(run.stdout, "5 as declared\n");
    // Our note is nothing to mdevctl.
    let listed = host.mdevctl("list --defined --dumpjson").expect(0).stdout;
    assert!(!listed.contains("vgpuctl"), "{listed}");
    let before = host.status()["create_writes"].clone();
    apply(&host, FIVE).expect(0);
    assert_eq!(host.status()["create_writes"], before);
}

#[test]
fn the_same_uuids_come_back_after_all_definitions_are_lost() {
    let host = host("two-p4");
    apply(&host, FIVE).expect(0);
    let uuids = host.active();
    host.ctl(&["reboot"]);
    std::fs::remove_dir_all(host.path("etc/mdevctl.d")).unwrap();
    apply(&host, FIVE).expect(0);
    assert_eq!(host.active(), uuids);
}

#[test]
fn a_device_that_is_held_stays_and_the_rest_is_done() {
    let host = host("two-p4");
    let before = "[[group]]\nname = \"a\"\ntype = \"P4-1Q\"\nnames = [\"x\", \"y\"]\n";
    apply(&host, before).expect(0);
    let uuid = host.active()[0].clone();
    let held = HeldOpen::open(&group_of(&host, &uuid), "qemu -name guest=web");
    let after = before.replace("P4-1Q", "P4-2Q");
    let run = apply(&host, &after).expect(7);
    assert!(run.stdout.contains("in use by pid"), "{run:#?}");
    assert!(host.active().contains(&uuid));
    let waiting = std::thread::scope(|scope| {
        let path = file(&host, &after);
        let args = ["apply", "--yes", "--wait", "60", path.to_str().unwrap()].map(str::to_owned);
        let waiting = scope.spawn(|| host.run_args(args));
        held.close();
        waiting.join().unwrap()
    });
    waiting.expect(0);
    plan(&host, &after).expect(0);
    for device in host.status()["devices"].as_array().unwrap() {
        assert_eq!(device["type"], "nvidia-64");
    }
}

/// The node that a VM opens.
pub fn group_of(host: &SimHost, uuid: &str) -> PathBuf {
    let link = std::fs::read_link(host.path(&format!("sys/bus/mdev/devices/{uuid}/iommu_group")));
    host.path("dev/vfio")
        .join(link.unwrap().file_name().unwrap())
}

#[test]
fn what_would_go_serves_as_a_member_that_only_counts() {
    let host = host("two-p4");
    let kept = host.run("create -t P4-1Q -n 2").expect(0).stdout;
    let file = format!("unlisted = \"remove\"\n{FIVE}");
    let run = apply(&host, &file).expect(0);
    assert!(run.stderr.contains("3 created, 2 changed"), "{run:#?}");
    for uuid in kept.lines() {
        assert!(host.active().contains(&uuid.to_owned()));
    }
    plan(&host, &file).expect(0);
    // Without the policy it is a member all the same, since it bears the note.
    plan(&host, FIVE).expect(0);
    let fewer = file.replace("count = 5", "count = 1");
    apply(&host, &fewer).expect(0);
    assert_eq!(host.active().len(), 1);
    plan(&host, &fewer).expect(0);
}

#[test]
fn what_is_not_listed_stays_unless_the_file_says_otherwise() {
    let host = host("two-p4");
    let foreign = host.run("create -t P4-1Q").expect(0).stdout;
    apply(&host, FIVE).expect(0);
    assert_eq!(host.active().len(), 6);
    apply(&host, "unlisted = \"remove-own\"\n").expect(0);
    assert_eq!(host.active(), [foreign.trim()]);
    apply(&host, "unlisted = \"remove\"\n").expect(0);
    assert_eq!(host.active(), Vec::<String>::new());
    assert_eq!(host.defined(), Vec::<String>::new());
}

#[test]
fn an_exported_host_has_nothing_to_do_and_comes_back_from_nothing() {
    let host = host("two-p4");
    host.run(&format!(
        "create -t P4-1Q -p {P1} -n 3 --param disable_vnc=1"
    ))
    .expect(0);
    host.run(&format!("create -t P4-2Q -p {P2} --transient"))
        .expect(0);
    host.run(&format!("define -t P4-1Q -p {P2} --manual"))
        .expect(0);
    let text = host.run("export").expect(0).stdout;
    let path = host.path("usr/exported.toml");
    std::fs::write(&path, &text).unwrap();
    let path = path.to_str().unwrap();
    assert!(text.contains("is active without a definition"), "{text}");
    let run = host.run(&format!("assert {path}")).expect(0);
    assert_eq!(run.stdout, "");
    let defined = host.defined();
    host.ctl(&["reboot"]);
    std::fs::remove_dir_all(host.path("etc/mdevctl.d")).unwrap();
    host.run(&format!("apply --yes {path}")).expect(0);
    assert_eq!(host.defined(), defined);
    let again = host.run("export").expect(0).stdout;
    assert!(text.starts_with(&again), "{text}{again}");
}

#[test]
fn an_export_says_which_of_its_gpus_plan_will_not_find() {
    let host = host("two-p4");
    host.run(&format!("define -t P4-1Q -p {P1}")).expect(0);
    host.run("define -t nvidia-63 -p 0000:99:00.0").expect(0);
    let text = host.run("export").expect(0).stdout;
    let said = text.lines().filter(|line| line.contains("is not present"));
    let said: Vec<_> = said.collect();
    assert_eq!(said.len(), 1, "{text}");
    assert!(said[0].starts_with("# 0000:99:00.0 "), "{text}");
}

#[test]
fn without_a_terminal_it_has_to_be_told_not_to_ask() {
    let host = host("two-p4");
    let path = file(&host, FIVE);
    let run = host
        .run_args(["apply".as_ref(), path.as_os_str()])
        .expect(2);
    assert!(run.stderr.contains("--yes"), "{run:#?}");
    assert_eq!(host.active(), Vec::<String>::new());
}

#[test]
fn two_means_a_difference_and_every_error_is_one() {
    let host = host("two-p4");
    for line in [
        "plan",
        "plan --nothing x",
        "plan /nowhere",
        "assert /nowhere",
        "apply --dry-run",
    ] {
        host.run(line).expect(1);
    }
    plan(
        &host,
        "[[group]]\nname = \"a\"\ntype = \"P4-9Q\"\ncount = 1\n",
    )
    .expect(1);
    apply(
        &host,
        "[[group]]\nname = \"a\"\ntype = \"P4-9Q\"\ncount = 1\n",
    )
    .expect(3);
}
