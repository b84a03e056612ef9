//! `list`.

use insta::assert_snapshot;

use crate::harness::SimHost;
use crate::helpers::{P1, P2, uuid};

/// One of each: auto and manual, transient, only defined.
fn host_with_one_of_each() -> SimHost {
    let host = SimHost::start("two-p4");
    host.run(&format!("create -t P4-1Q -u {}", uuid(3)))
        .expect(0);
    host.run(&format!("create -t P4-1Q -u {} --manual", uuid(2)))
        .expect(0);
    host.run(&format!("create -t P4-2Q -u {} --transient", uuid(1)))
        .expect(0);
    host.run(&format!("define -t P4-1Q -p {P2} -u {}", uuid(4)))
        .expect(0);
    host
}

/// The last digits of the UUIDs in the answer.
fn listed(host: &SimHost, args: &[&str]) -> Vec<String> {
    let run = host.run_args([&["list"], args].concat()).expect(0);
    let rows = run.stdout.lines().skip(1);
    rows.map(|line| line[6..8].to_owned()).collect()
}

#[test]
fn active_and_defined_devices_share_one_table_by_parent_and_uuid() {
    let host = host_with_one_of_each();
    assert_snapshot!(host.run("list").snapshot(&host), @"
    status: 0
    --- stdout
    UUID                                  TYPE       NAME   PARENT        STATE     START
    a0000002-0000-4000-8000-000000000000  nvidia-63  P4-1Q  0000:81:00.0  active    manual
    a0000003-0000-4000-8000-000000000000  nvidia-63  P4-1Q  0000:81:00.0  active    auto
    a0000001-0000-4000-8000-000000000000  nvidia-64  P4-2Q  0000:82:00.0  active    -
    a0000004-0000-4000-8000-000000000000  nvidia-63  P4-1Q  0000:82:00.0  inactive  auto
    --- stderr
    ");
}

#[test]
fn lists_can_be_narrowed_by_state_parent_and_type() {
    let host = host_with_one_of_each();
    assert_eq!(listed(&host, &["--active"]), ["02", "03", "01"]);
    assert_eq!(listed(&host, &["--defined"]), ["02", "03", "04"]);
    assert_eq!(listed(&host, &["--parent", P1]), ["02", "03"]);
    assert_eq!(listed(&host, &["-p", P2, "--active"]), ["01"]);
    for name in ["nvidia-63", "GRID P4-1Q", "P4-1Q"] {
        assert_eq!(
            listed(&host, &["--type", name]),
            ["02", "03", "04"],
            "{name}"
        );
    }
    assert_eq!(listed(&host, &["-t", "P4-2Q", "-p", P2]), ["01"]);
    host.run("list --active --defined").expect(2);
}

#[test]
fn an_empty_list_says_why_on_stderr_and_is_no_failure() {
    let host = SimHost::start("two-p4");
    assert_snapshot!(host.run("list").snapshot(&host), @"
    status: 0
    --- stdout
    --- stderr
    note: no active or defined devices; create one with: vgpuctl create --type TYPE
    ");
    host.run("create -t P4-1Q").expect(0);
    let run = host.run("list --type P4-2Q");
    assert_snapshot!(run.snapshot(&host), @"
    status: 0
    --- stdout
    --- stderr
    note: no active or defined devices match; see all: vgpuctl list
    ");
}

#[test]
fn after_a_reboot_definitions_are_inactive_and_transient_devices_gone() {
    let host = host_with_one_of_each();
    host.ctl(&["reboot"]);
    assert_snapshot!(host.run("list").snapshot(&host), @"
    status: 0
    --- stdout
    UUID                                  TYPE       NAME   PARENT        STATE     START
    a0000002-0000-4000-8000-000000000000  nvidia-63  P4-1Q  0000:81:00.0  inactive  manual
    a0000003-0000-4000-8000-000000000000  nvidia-63  P4-1Q  0000:81:00.0  inactive  auto
    a0000004-0000-4000-8000-000000000000  nvidia-63  P4-1Q  0000:82:00.0  inactive  auto
    --- stderr
    ");
}

#[test]
fn a_definition_whose_parent_is_gone_is_still_listed() {
    let host = host_with_one_of_each();
    host.ctl(&["detach", P2]);
    let run = host.run(&format!("list -p {P2}"));
    assert_snapshot!(run.snapshot(&host), @"
    status: 0
    --- stdout
    UUID                                  TYPE       NAME  PARENT        STATE     START
    a0000004-0000-4000-8000-000000000000  nvidia-63  -     0000:82:00.0  inactive  auto
    --- stderr
    ");
}

#[test]
fn a_device_that_cannot_be_read_is_not_called_inactive() {
    let host = SimHost::start("two-p4");
    host.run(&format!("create -t P4-1Q -u {}", uuid(1)))
        .expect(0);
    host.ctl(&["break", &format!("{}/mdev_type", uuid(1)), "eio"]);
    let run = host.run("list --json").expect(7);
    assert_eq!(run.json()["devices"][0]["active"], serde_json::Value::Null);
}
