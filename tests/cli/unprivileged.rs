//! Without root: reading works, changing says what is missing.

use crate::harness::SimHost;
use crate::helpers::{P1, P2, as_nobody, counter, put_auto, uuid};

fn host() -> SimHost {
    let host = SimHost::start("two-p4");
    host.run(&format!("create -t P4-1Q -u {}", uuid(1)))
        .expect(0);
    put_auto(&host, P1, &uuid(2), "nvidia-63");
    host
}

#[test]
fn every_reading_verb_tells_the_same_as_to_root() {
    let host = host();
    for verb in ["types", "gpus", "list", "types --json", "list --json"] {
        let run = as_nobody(&host, verb).expect(0);
        assert_eq!(run.stdout, host.run(verb).stdout, "{verb}");
        assert_eq!(run.stderr, "", "{verb}");
    }
    let run = as_nobody(&host, &format!("show {}", uuid(2))).expect(0);
    assert!(run.stdout.contains("State        inactive\n"));
}

#[test]
fn who_holds_a_device_is_said_to_be_unknown() {
    let host = host();
    let run = as_nobody(&host, &format!("show {}", uuid(1))).expect(0);
    let wanted = "Held by      ? (only root can see other users' processes)\n";
    assert!(run.stdout.contains(wanted), "{run:?}");
    let shown = as_nobody(&host, &format!("show {} --json", uuid(1))).json();
    assert_eq!(shown["device"]["holders_complete"], false);
}

#[test]
fn every_changing_verb_is_not_permitted_and_changes_nothing() {
    let host = host();
    let list = host.run("list").stdout;
    for line in [
        "create -t P4-1Q".to_owned(),
        "create -t P4-1Q --count 3 --transient".to_owned(),
        format!("remove {}", uuid(1)),
        format!("remove --keep-definition {}", uuid(1)),
        format!("define -t P4-1Q -p {P1}"),
        format!("define -t P4-1Q -p {P2}"),
        format!("undefine {}", uuid(1)),
        format!("modify {} --manual", uuid(1)),
        format!("start {}", uuid(2)),
        format!("stop {}", uuid(1)),
        "restore".to_owned(),
    ] {
        let run = as_nobody(&host, &line);
        if line == "restore" {
            // One of the two is active already, so this is neither all nor nothing.
            assert!([6, 7].contains(&run.status), "{run:?}");
        } else {
            assert_eq!(run.status, 6, "{line}: {run:?}");
        }
        assert!(
            run.stderr.contains("hint: this needs root"),
            "{line}: {run:?}"
        );
    }
    assert_eq!(host.run("list").stdout, list);
    assert_eq!(counter(&host, "remove_writes"), 0);
    assert_eq!(counter(&host, "create_writes"), 1);
}

#[test]
fn on_a_fresh_host_too_where_not_even_the_locks_folder_is_there() {
    let host = SimHost::start("two-p4");
    let run = as_nobody(&host, "create -t P4-1Q").expect(6);
    assert!(run.stderr.contains("hint: this needs root"), "{run:?}");
    let run = as_nobody(&host, "create -t P4-1Q --json").expect(6);
    let error: serde_json::Value = serde_json::from_str(&run.stderr).unwrap();
    assert_eq!(error["error"]["code"], "not-permitted");
}

#[test]
fn a_restore_of_which_nothing_is_permitted_is_exit_6() {
    let host = SimHost::start("two-p4");
    put_auto(&host, P1, &uuid(1), "nvidia-63");
    put_auto(&host, P2, &uuid(2), "nvidia-63");
    let run = as_nobody(&host, "restore").expect(6);
    assert_eq!(run.stdout.matches("failed   ").count(), 2, "{run:?}");
}

#[test]
fn dry_runs_need_no_rights() {
    let host = host();
    for line in [
        "create -t P4-1Q --dry-run".to_owned(),
        format!("remove --dry-run {}", uuid(1)),
        format!("define -t P4-1Q -p {P1} --dry-run"),
        format!("undefine --dry-run {}", uuid(1)),
        format!("modify {} --manual --dry-run", uuid(1)),
        format!("start --dry-run {}", uuid(2)),
        format!("stop --dry-run {}", uuid(1)),
        "restore --dry-run".to_owned(),
    ] {
        let run = as_nobody(&host, &line).expect(0);
        assert!(run.stdout.contains("would "), "{line}: {run:?}");
    }
}
