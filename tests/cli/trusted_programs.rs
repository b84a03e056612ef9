//! Programs that are run: only those that nobody but root and the caller could have put there.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::Path;

use crate::harness::SimHost;
use crate::helpers::{P1, counter, put, uuid};
use crate::script;

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// A host with a callout script that allows everything and leaves a file `usr/ran`.
fn with_callout() -> SimHost {
    let host = SimHost::start("two-p4");
    let ran = format!("#!/bin/sh\ntouch '{}'\n", host.path("usr/ran").display());
    script::install(&host.path("usr/lib/mdevctl/scripts.d/callouts/10-x"), &ran);
    host
}

fn ran(host: &SimHost) -> bool {
    fs::remove_file(host.path("usr/ran")).is_ok()
}

#[test]
fn a_callout_that_others_could_have_written_stops_every_change() {
    let host = with_callout();
    host.run(&format!("create -t P4-1Q -p {P1} -u {}", uuid(1)))
        .expect(0);
    assert!(ran(&host));
    let far_up = host.path("usr/lib");
    set_mode(&far_up, 0o777);
    for line in [
        "create -t P4-1Q".to_owned(),
        format!("define -t P4-1Q -p {P1}"),
        format!("modify {} --manual", uuid(1)),
        format!("stop {}", uuid(1)),
        format!("remove {}", uuid(1)),
        format!("undefine {}", uuid(1)),
    ] {
        let run = host.run(&line).expect(1);
        let why = format!(
            "refusing to run a script: the directory {} is writable by others (mode 0777)",
            far_up.display()
        );
        assert!(run.stderr.contains(&why), "{line}: {run:?}");
        assert!(run.stderr.contains("chmod go-w"), "{run:?}");
    }
    assert_eq!((host.active().len(), host.defined().len()), (1, 1));
    // mdevctl's way to go on all the same.
    host.mdevctl(&format!("stop --uuid {}", uuid(1))).expect(1);
    let stop = host.mdevctl(&format!("stop --force --uuid {}", uuid(1)));
    assert!(stop.expect(0).stderr.contains("refusing to run"));
    assert!(host.active().is_empty() && !ran(&host));
    // Looking does not need it.
    host.run("list").expect(0);
    set_mode(&far_up, 0o755);
    host.run(&format!("start {}", uuid(1))).expect(0);
    assert!(ran(&host));
}

#[test]
fn restore_makes_nothing_that_a_callout_could_not_be_asked_about() {
    let host = with_callout();
    put(
        &host,
        P1,
        &uuid(1),
        r#"{"mdev_type":"nvidia-63","start":"auto"}"#,
    );
    let script = host.path("usr/lib/mdevctl/scripts.d/callouts/10-x");
    chown(&script, Some(1234), None).unwrap();
    let run = host.run("restore").expect(7);
    assert!(run.stdout.contains("it is owned by user 1234"), "{run:?}");
    assert!(host.active().is_empty() && !ran(&host));
}

#[test]
fn programs_of_a_root_that_is_anothers_are_not_run() {
    let host = with_callout();
    chown(host.root(), Some(1234), None).unwrap();
    let run = host.run("create -t P4-1Q").expect(1);
    let why = "is not this host's root, and is owned by user 1234";
    assert!(run.stderr.contains(why), "{run:?}");
    assert!(!ran(&host));
}

#[test]
fn nvidias_programs_are_run_only_where_nobody_else_could_have_written_them() {
    let host = SimHost::start("l40s");
    let (program, gpu) = (host.path("usr/lib/nvidia/sriov-manage"), "0000:41:00.0");
    let calls = counter(&host, "sriov_calls");
    set_mode(program.parent().unwrap(), 0o777);
    let run = host.run(&format!("vfs disable {gpu}")).expect(6);
    let why = "refusing to run NVIDIA's program: the directory";
    assert!(run.stderr.contains(why), "{run:?}");
    assert!(run.stderr.contains("sriov-manage"), "{run:?}");
    set_mode(program.parent().unwrap(), 0o755);
    // By a link that leads where others may write.
    let open = host.path("usr/open");
    fs::create_dir(&open).unwrap();
    set_mode(&open, 0o777);
    fs::rename(&program, open.join("x")).unwrap();
    symlink("../../open/x", &program).unwrap();
    host.run(&format!("vfs disable {gpu}")).expect(6);
    assert_eq!(counter(&host, "sriov_calls"), calls);
    set_mode(&open, 0o755);
    host.run(&format!("vfs disable {gpu}")).expect(0);
    assert_eq!(counter(&host, "sriov_calls"), calls + 1);
}
