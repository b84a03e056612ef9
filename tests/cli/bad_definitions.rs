//! Definitions that cannot be used: each is named with its path, and hides nothing else.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use crate::harness::SimHost;
use crate::helpers::{P1, P2, as_nobody, definition, put, put_auto, uuid};

const BAD: [(&[u8], &str); 13] = [
    (b"", "it is empty"),
    (b" \n", "it is empty"),
    (b"{\"mdev_type\": ", "it is not JSON"),
    (b"\xff\xfe", "it is not JSON"),
    (b"[]", "it is not a JSON object"),
    (b"{}", "\"mdev_type\" is missing"),
    (b"{\"mdev_type\":\"nvidia-63\"}", "\"start\" is missing"),
    (b"{\"mdev_type\":5}", "\"mdev_type\" is not a string"),
    (b"{\"mdev_type\":\"../x\"}", "\"../x\" is not a valid type"),
    (
        b"{\"mdev_type\":\"nvidia-63\",\"start\":\"later\"}",
        "neither \"auto\" nor \"manual\"",
    ),
    (
        b"{\"mdev_type\":\"nvidia-63\",\"start\":true}",
        "neither \"auto\" nor \"manual\"",
    ),
    (
        b"{\"mdev_type\":\"nvidia-63\",\"start\":\"auto\",\"attrs\":{}}",
        "\"attrs\" is not a list",
    ),
    (
        b"{\"mdev_type\":\"nvidia-63\",\"start\":\"auto\",\"attrs\":[{\"a\":1}]}",
        "is not of the form {\"name\": \"value\"}",
    ),
];

/// A host where `bad` is defined between two good ones.
fn host_with(bad: &[u8]) -> (SimHost, PathBuf) {
    let host = SimHost::start("two-p4");
    put_auto(&host, P1, &uuid(1), "nvidia-63");
    let path = put(&host, P1, &uuid(2), bad);
    put_auto(&host, P1, &uuid(3), "nvidia-63");
    put_auto(&host, P2, &uuid(4), "nvidia-63");
    (host, path)
}

#[test]
fn list_and_restore_name_it_and_go_on() {
    let (host, path) = host_with(b"");
    for (bad, why) in BAD {
        std::fs::write(&path, bad).unwrap();
        let list = host.run("list").expect(7);
        assert_eq!(list.stdout.lines().count(), 4, "{list:?}");
        let restore = host.run("restore").expect(7);
        assert_eq!(host.active(), [uuid(1), uuid(3), uuid(4)], "{why}");
        for run in [list, restore] {
            let warning = run.stderr.lines().next().unwrap();
            assert!(warning.starts_with("warning: invalid definition: "));
            assert!(warning.contains(why), "{why}: {run:?}");
            assert!(warning.ends_with(path.to_str().unwrap()), "{run:?}");
            assert!(run.stderr.contains("hint: fix the file"), "{run:?}");
        }
        assert_eq!(std::fs::read(&path).unwrap(), bad, "it is left as it is");
        host.ctl(&["reboot"]);
    }
}

#[test]
fn the_verbs_that_need_it_name_it() {
    let (host, path) = host_with(b"{");
    for verb in ["start", "modify --auto", "show"] {
        let run = host.run(&format!("{verb} {}", uuid(2)));
        assert!([1, 7].contains(&run.status), "{verb}: {run:?}");
        assert!(
            run.stderr.contains(path.to_str().unwrap()),
            "{verb}: {run:?}"
        );
        assert!(run.stderr.contains("it is not JSON"), "{verb}: {run:?}");
    }
    host.run(&format!("define -t P4-1Q -p {P1} -u {}", uuid(2)))
        .expect(1);
    host.run(&format!("create -t P4-1Q -p {P1} -u {}", uuid(2)))
        .expect(1);
    assert_eq!(std::fs::read(&path).unwrap(), b"{");
    // The others are not touched by it.
    host.run(&format!("show {}", uuid(1))).expect(0);
    host.run(&format!("start {}", uuid(1))).expect(0);
}

#[test]
fn show_tells_what_there_is_beside_the_unusable_definition() {
    let (host, path) = host_with(b"{");
    let run = host.run(&format!("show {}", uuid(2))).expect(7);
    assert!(
        run.stdout
            .contains("Start        ? (the definition cannot be read)\n")
    );
    assert!(
        run.stdout
            .contains(&format!("Definition   {}\n", path.display()))
    );
}

#[test]
fn show_names_a_definition_that_is_a_link_to_nowhere() {
    let (host, path) = host_with(b"");
    std::fs::remove_file(&path).unwrap();
    std::os::unix::fs::symlink("nowhere", &path).unwrap();
    let run = host.run(&format!("show {}", uuid(2))).expect(7);
    assert!(run.stderr.contains(path.to_str().unwrap()), "{run:?}");
    assert!(
        run.stderr.contains("hint: fix the dangling symbolic link"),
        "{run:?}"
    );
}

#[test]
fn a_directory_in_the_place_of_a_definition_is_named_and_hides_nothing() {
    let (host, path) = host_with(b"");
    std::fs::remove_file(&path).unwrap();
    std::fs::create_dir(&path).unwrap();
    for verb in ["list", "restore"] {
        let run = host.run(verb).expect(7);
        let wanted = format!("{}: Is a directory (EISDIR)\n", path.display());
        assert!(run.stderr.contains(&wanted), "{verb}: {run:?}");
        assert_eq!(run.stderr.lines().count(), 2, "{verb}: {run:?}");
        assert!(
            run.stderr
                .contains("hint: expected a file, found a directory; remove it")
        );
    }
    assert_eq!(host.active(), [uuid(1), uuid(3), uuid(4)]);
    let run = host.run(&format!("undefine {}", uuid(2))).expect(1);
    assert!(run.stderr.contains("Is a directory"), "{run:?}");
    assert!(path.is_dir());
}

#[test]
fn a_definition_that_the_caller_may_not_read_is_named_and_hides_nothing() {
    let (host, path) = host_with(b"{\"mdev_type\":\"nvidia-63\",\"start\":\"manual\"}");
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
    let run = as_nobody(&host, "list").expect(7);
    assert_eq!(run.stdout.lines().count(), 4, "{run:?}");
    let wanted = format!(
        "warning: cannot read the definition: {}: Permission denied (EACCES)\nhint: this needs root",
        path.display()
    );
    assert!(run.stderr.starts_with(&wanted), "{run:?}");
    host.run("list").expect(0);
}

#[test]
fn a_folder_that_the_caller_may_not_read_hides_no_other_folder() {
    let (host, path) = host_with(b"{}");
    let folder = path.parent().unwrap();
    std::fs::set_permissions(folder, PermissionsExt::from_mode(0o700)).unwrap();
    let run = as_nobody(&host, "list").expect(7);
    assert_eq!(run.stdout.lines().count(), 2, "{run:?}");
    assert!(run.stdout.contains(&uuid(4)));
    assert!(run.stderr.contains(folder.to_str().unwrap()), "{run:?}");
}

#[test]
fn what_is_no_definition_is_told_apart_from_what_programs_leave_there() {
    let (host, path) = host_with(b"{\"mdev_type\":\"nvidia-63\",\"start\":\"manual\"}");
    let top = host.path("etc/mdevctl.d");
    std::fs::create_dir_all(top.join("scripts.d/callouts")).unwrap();
    std::fs::write(top.join("scripts.d/callouts/x.sh"), "").unwrap();
    std::fs::write(top.join("README"), "").unwrap();
    std::fs::write(path.with_file_name(".hidden"), "").unwrap();
    let run = host.run("list").expect(0);
    assert_eq!(run.stderr, "");
    std::fs::write(path.with_file_name("notes.txt"), "").unwrap();
    let run = host.run("list").expect(7);
    assert_eq!(run.stdout.lines().count(), 5, "{run:?}");
    assert!(run.stderr.contains("/notes.txt"), "{run:?}");
}

#[test]
fn a_link_to_a_definition_is_a_definition() {
    let (host, path) = host_with(b"{}");
    let target = host.path("etc/elsewhere");
    std::fs::rename(definition(&host, P1, &uuid(1)), &target).unwrap();
    std::os::unix::fs::symlink(&target, definition(&host, P1, &uuid(1))).unwrap();
    std::fs::remove_file(&path).unwrap();
    let run = host.run("list").expect(0);
    assert_eq!(run.stdout.lines().count(), 4, "{run:?}");
}

#[test]
fn a_link_that_leads_nowhere_is_named() {
    let (host, path) = host_with(b"");
    std::fs::remove_file(&path).unwrap();
    std::os::unix::fs::symlink("nowhere", &path).unwrap();
    for verb in ["list", "restore"] {
        let run = host.run(verb).expect(7);
        assert!(run.stderr.contains(path.to_str().unwrap()), "{run:?}");
    }
}

#[test]
fn a_modified_link_becomes_a_file_of_ordinary_mode() {
    let (host, path) = host_with(br#"{"mdev_type":"nvidia-63","start":"auto"}"#);
    let target = host.path("etc/kept");
    std::fs::rename(&path, &target).unwrap();
    std::os::unix::fs::symlink(&target, &path).unwrap();
    host.run(&format!("modify {} --manual", uuid(2))).expect(0);
    let mode = std::fs::symlink_metadata(&path).unwrap().permissions();
    assert_eq!(std::os::unix::fs::PermissionsExt::mode(&mode), 0o100_644);
}

#[test]
fn a_long_value_is_quoted_as_far_as_a_message_goes() {
    let long = "x".repeat(5000);
    let texts = [
        format!(r#"{{"mdev_type":"{long}","start":"auto"}}"#),
        format!(r#"{{"mdev_type":"nvidia-63","start":"\u0007{long}"}}"#),
        format!(r#"{{"mdev_type":"nvidia-63","start":"auto","attrs":[{{"\u001b{long}":"1"}}]}}"#),
        format!(r#"{{"mdev_type":"nvidia-63","start":"auto","attrs":["{long}"]}}"#),
    ];
    let (host, path) = host_with(b"");
    for text in texts {
        std::fs::write(&path, &text).unwrap();
        let run = host.run("list").expect(7);
        let message = run.stderr.lines().next().unwrap();
        let message = message.replace(path.to_str().unwrap(), "");
        assert!(message.contains("xxx…"), "{message}");
        assert!(message.chars().count() < 200, "{message}");
        assert!(!message.contains(char::is_control), "{message:?}");
    }
}

/// A reader of a terminal is told of the first hundred and how many there are; a program of all.
#[test]
fn a_flood_of_bad_files_is_counted() {
    let host = SimHost::start("two-p4");
    put_auto(&host, P1, &uuid(1), "nvidia-63");
    for n in 0..300 {
        put(&host, P1, &format!("misnamed-{n}"), "{}");
    }
    for line in ["list", "metrics", "restore"] {
        let run = host.run(line).expect(7);
        let warnings: Vec<&str> = run.stderr.lines().collect();
        assert_eq!(warnings.len(), 101, "{line}");
        assert_eq!(
            *warnings.last().unwrap(),
            "warning: 200 more warnings; all of them: --json",
            "{line}"
        );
        assert!(!run.stdout.is_empty(), "{line}");
    }
    let all = host.run("list --json").expect(7).json();
    assert_eq!(all["warnings"].as_array().unwrap().len(), 300);
}
