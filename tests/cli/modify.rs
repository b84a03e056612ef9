//! `modify`: the definition changes, the running device does not.

use insta::assert_snapshot;
use serde_json::{Value, json};

use crate::harness::{Run, SimHost};
use crate::helpers::{P1, P2, definition, device, put, put_auto, uuid};

fn modify(host: &SimHost, what: &str) -> Run {
    host.run(&format!("modify {} {what}", uuid(1)))
}

fn document(host: &SimHost) -> Value {
    let bytes = std::fs::read(definition(host, P1, &uuid(1))).unwrap();
    serde_json::from_slice(&bytes).unwrap()
}

fn host_with_attrs(attrs: &Value) -> SimHost {
    let host = SimHost::start("two-p4");
    let document = json!({ "mdev_type": "nvidia-63", "start": "auto", "attrs": attrs });
    put(&host, P1, &uuid(1), document.to_string());
    host
}

#[test]
fn type_and_start_mode_change() {
    let host = host_with_attrs(&json!([]));
    let run = modify(&host, "--type P4-2Q --manual");
    assert_snapshot!(run.snapshot(&host), @"
    status: 0
    --- stdout
    --- stderr
    modified a0000001-0000-4000-8000-000000000000: nvidia-64 (P4-2Q) on 0000:81:00.0
    ");
    assert_eq!(document(&host)["mdev_type"], "nvidia-64");
    assert_eq!(document(&host)["start"], "manual");
    modify(&host, "--auto").expect(0);
    assert_eq!(document(&host)["start"], "auto");
    assert_eq!(document(&host)["mdev_type"], "nvidia-64");
}

#[test]
fn attr_appends_and_names_may_repeat() {
    let host = host_with_attrs(&json!([{ "a": "1" }]));
    modify(&host, "--attr b=2 --attr a=1 --attr a=3").expect(0);
    let wanted = json!([{ "a": "1" }, { "b": "2" }, { "a": "1" }, { "a": "3" }]);
    assert_eq!(document(&host)["attrs"], wanted);
}

#[test]
fn set_and_delete_count_in_the_list_as_it_was() {
    let host = host_with_attrs(&json!([{ "a": "1" }, { "b": "2" }, { "c": "3" }, { "d": "4" }]));
    modify(
        &host,
        "--delete-attr 0 --set-attr 2 c=9 --attr e=5 --delete-attr 1",
    )
    .expect(0);
    let wanted = json!([{ "c": "9" }, { "d": "4" }, { "e": "5" }]);
    assert_eq!(document(&host)["attrs"], wanted);
    modify(&host, "--set-attr 0 x=1 --set-attr 2 z=3").expect(0);
    let wanted = json!([{ "x": "1" }, { "d": "4" }, { "z": "3" }]);
    assert_eq!(document(&host)["attrs"], wanted);
}

#[test]
fn an_index_that_is_not_there_changes_nothing() {
    let host = host_with_attrs(&json!([{ "a": "1" }]));
    let before = document(&host);
    let run = modify(&host, "--manual --delete-attr 1");
    assert_snapshot!(run.snapshot(&host), @"
    status: 2
    --- stdout
    --- stderr
    error: the definition has no attribute with index 1
    hint: valid indexes are 0 to 0: see vgpuctl show
    ");
    for bad in [
        "--set-attr 5 a=1",
        "--set-attr x a=1",
        "--set-attr 0 nonsense",
        "--delete-attr -1",
    ] {
        modify(&host, bad).expect(2);
    }
    assert_eq!(document(&host), before);
    modify(&host, "--delete-attr 0").expect(0);
    let run = modify(&host, "--delete-attr 0").expect(2);
    assert!(run.stderr.contains("the definition has no attributes"));
}

#[test]
fn keys_of_other_programs_survive_in_their_order() {
    let host = SimHost::start("two-p4");
    let text = r#"{"zzz":{"deep":[1,2.5,null]},"mdev_type":"nvidia-63","note":"é","start":"auto"}"#;
    put(&host, P1, &uuid(1), text);
    modify(&host, "--manual --attr a=1").expect(0);
    let text = std::fs::read_to_string(definition(&host, P1, &uuid(1))).unwrap();
    assert_snapshot!(text, @r#"
    {
      "zzz": {
        "deep": [
          1,
          2.5,
          null
        ]
      },
      "mdev_type": "nvidia-63",
      "note": "é",
      "start": "manual",
      "attrs": [
        {
          "a": "1"
        }
      ]
    }
    "#);
}

#[test]
fn nothing_to_change_is_a_usage_error_and_nothing_changed_is_none() {
    let host = host_with_attrs(&json!([]));
    assert_snapshot!(modify(&host, "").snapshot(&host), @"
    status: 2
    --- stdout
    --- stderr
    error: nothing to modify
    hint: specify what to change: --type, --auto, --manual, --vf, --param, --attr, --set-attr or --delete-attr
    ");
    assert_snapshot!(modify(&host, "--auto").snapshot(&host), @"
    status: 0
    --- stdout
    --- stderr
    a0000001-0000-4000-8000-000000000000 is already up to date: nvidia-63 (P4-1Q) on 0000:81:00.0
    ");
    modify(&host, "--auto --manual").expect(2);
}

#[test]
fn a_running_device_is_left_as_it_is_and_the_difference_is_told() {
    let host = SimHost::start("two-p4");
    host.run(&format!("create -t P4-1Q -u {}", uuid(1)))
        .expect(0);
    let run = modify(&host, "--type P4-2Q");
    assert_snapshot!(run.snapshot(&host), @"
    status: 0
    --- stdout
    --- stderr
    modified a0000001-0000-4000-8000-000000000000: nvidia-64 (P4-2Q) on 0000:81:00.0
    note: the running device is still of type nvidia-63; the change takes effect after: vgpuctl stop a0000001-0000-4000-8000-000000000000 && vgpuctl start a0000001-0000-4000-8000-000000000000
    ");
    assert_eq!(device(&host, &uuid(1), "type"), "nvidia-63");
    modify(&host, "--type P4-1Q").expect(0);
    let run = modify(&host, "--attr nvidia/vgpu_params=x").expect(0);
    assert!(
        run.stderr
            .contains("note: the running device still has its old attributes")
    );
    assert_eq!(device(&host, &uuid(1), "vgpu_params"), "");
    let run = modify(&host, "--manual").expect(0);
    assert!(!run.stderr.contains("note:"), "{run:?}");
}

#[test]
fn a_dry_run_changes_nothing() {
    let host = host_with_attrs(&json!([]));
    let before = document(&host);
    let run = modify(&host, "--type P4-2Q --dry-run");
    assert_snapshot!(run.snapshot(&host), @"
    status: 0
    --- stdout
    would modify a0000001-0000-4000-8000-000000000000: nvidia-64 (P4-2Q) on 0000:81:00.0
    --- stderr
    ");
    modify(&host, "--delete-attr 0 --dry-run").expect(2);
    assert_eq!(document(&host), before);
}

#[test]
fn what_is_unknown_or_unreadable_is_named() {
    let host = host_with_attrs(&json!([]));
    modify(&host, "--type nope").expect(3);
    host.run(&format!("modify {} --auto", uuid(9))).expect(3);
    host.run(&format!("create -t P4-1Q -u {} --transient", uuid(2)))
        .expect(0);
    host.run(&format!("modify {} --auto", uuid(2))).expect(3);
    put(&host, P1, &uuid(1), "{");
    let run = modify(&host, "--auto").expect(1);
    let path = definition(&host, P1, &uuid(1));
    assert!(run.stderr.contains(path.to_str().unwrap()), "{run:?}");
    assert_eq!(std::fs::read(path).unwrap(), b"{");
}

#[test]
fn of_two_definitions_of_one_uuid_only_the_one_named_changes() {
    let host = host_with_attrs(&json!([]));
    let other = put_auto(&host, P2, &uuid(1), "nvidia-63");
    let before = std::fs::read(&other).unwrap();
    modify(&host, "--manual").expect(2);
    modify(&host, &format!("--manual --parent {P1}")).expect(0);
    assert_eq!(document(&host)["start"], "manual");
    assert_eq!(std::fs::read(&other).unwrap(), before);
}

#[test]
fn a_definition_of_an_absent_parent_can_be_changed() {
    let host = host_with_attrs(&json!([]));
    host.ctl(&["detach", P1]);
    let run = modify(&host, "--type nvidia-46 --manual");
    assert_snapshot!(run.snapshot(&host), @"
    status: 0
    --- stdout
    --- stderr
    modified a0000001-0000-4000-8000-000000000000: nvidia-46 on 0000:81:00.0
    note: 0000:81:00.0 is not present, so its type nvidia-46 could not be checked
    ");
    assert_eq!(document(&host)["mdev_type"], "nvidia-46");
}
