//! Links, and names at the edge of what the kernel takes.

use std::fs;
use std::os::unix::fs::symlink;

use crate::harness::SimHost;

const PARENT: &str = "0000:81:00.0";
const UUID: &str = "11111111-2222-3333-4444-555555555555";

#[test]
fn links_in_the_definitions_directory_are_not_followed() {
    let host = SimHost::start("two-p4");
    let outside = tempfile::tempdir().unwrap();
    let text = r#"{"mdev_type":"nvidia-63","start":"auto"}"#;
    fs::write(outside.path().join(UUID), text).unwrap();
    let top = host.path("etc/mdevctl.d");
    fs::create_dir_all(&top).unwrap();
    symlink(outside.path(), top.join(PARENT)).unwrap();
    assert_eq!(host.run("list").status, 7, "the link is named");
    assert_eq!(host.run("restore").status, 7);
    assert_eq!(host.active(), [""; 0]);
    host.run(&format!("undefine {UUID}"));
    assert!(outside.path().join(UUID).exists(), "deleted outside");
    host.run(&format!("define --type nvidia-63 --parent {PARENT}"));
    assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 1);
}

#[test]
fn a_refused_argument_is_told_in_one_line() {
    let host = SimHost::start("two-p4");
    let run = host.run_args(["list", "--parent", "a\nb"]).expect(2);
    assert!(
        run.stderr
            .lines()
            .next()
            .unwrap()
            .contains("not a valid parent")
    );
}

#[test]
fn the_longest_name_of_a_parent_can_be_locked_and_a_longer_one_is_refused() {
    let host = SimHost::start("two-p4");
    let define = |length: usize| {
        let parent = "p".repeat(length);
        host.run(&format!("define --type nvidia-63 --parent {parent}"))
    };
    define(240).expect(0);
    define(241).expect(2);
}
