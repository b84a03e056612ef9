//! The command line of the doctor.

use serde_json::Value;

use crate::hosts;

#[test]
fn a_check_can_be_asked_for_alone() {
    let tree = hosts::p4();
    let run = tree.run(&["iommu", "kernel", "--json"]);
    let document: Value = serde_json::from_slice(&run.stdout).unwrap();
    let checks = document["diagnosis"]["checks"].as_array().unwrap();
    let ids: Vec<&str> = checks.iter().map(|c| c["id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["iommu", "kernel"]);
}

#[test]
fn what_stands_in_the_way_of_a_check_is_told_with_it() {
    let tree = hosts::p4();
    hosts::drive(&tree, "0000:81:00.0", "nouveau");
    tree.without("sys/class/mdev_bus");
    tree.file("proc/driver/nvidia/version", "");
    let run = tree.run(&["driver"]);
    let text = String::from_utf8(run.stdout).unwrap();
    assert_eq!(run.status.code(), Some(1), "{text}");
    assert!(text.starts_with("problem     nouveau: "), "{text}");
    assert!(
        text.contains("not checked driver: skipped: fix \"nouveau\" first\n"),
        "{text}"
    );
    let run = tree.run(&["driver", "--json"]);
    let document: Value = serde_json::from_slice(&run.stdout).unwrap();
    let checks = document["diagnosis"]["checks"].as_array().unwrap();
    assert_eq!(checks[1]["waits_for"], serde_json::json!(["nouveau"]));
    // Other checks' problems are not this one's.
    let run = tree.run(&["iommu"]);
    assert_eq!(run.status.code(), Some(0));
}

#[test]
fn a_check_that_does_not_exist_is_refused_with_the_nearest() {
    let run = hosts::server().run(&["iomu"]);
    let text = String::from_utf8(run.stderr).unwrap();
    assert_eq!(run.status.code(), Some(2));
    assert!(text.contains("iommu"), "{text}");
}

#[test]
fn the_list_names_every_check_once() {
    let tree = hosts::server();
    let run = tree.run(&["--list"]);
    let text = String::from_utf8(run.stdout).unwrap();
    let mut ids: Vec<&str> = text
        .lines()
        .map(|l| l.split_whitespace().next().unwrap())
        .collect();
    assert!(
        ids.contains(&"unlock-wiring") && ids.contains(&"gpu-mix"),
        "{text}"
    );
    let count = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), count);
    let run = tree.run(&["--list", "--json"]);
    let document: Value = serde_json::from_slice(&run.stdout).unwrap();
    assert_eq!(document["checks"].as_array().unwrap().len(), count);
}
