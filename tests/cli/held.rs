//! A device that a process holds open: its `remove` file is never written.

use std::fs;
use std::path::PathBuf;

use crate::harness::{HeldOpen, SimHost, finished};
use crate::helpers::{Beside, counter, uuid};

fn host_and_node(field: &str) -> (SimHost, PathBuf) {
    let host = SimHost::start("two-p4");
    host.run(&format!("create -t P4-1Q -u {}", uuid(1)))
        .expect(0);
    let shown = host
        .run(&format!("show {} --json", uuid(1)))
        .expect(0)
        .json();
    let node = PathBuf::from(shown["device"][field].as_str().unwrap());
    (host, node)
}

#[test]
fn it_is_refused_at_once_naming_who_holds_it() {
    for field in ["vfio_group", "vfio_device"] {
        let (host, node) = host_and_node(field);
        let held = HeldOpen::open(&node, "-name guest=web,debug-threads=on");
        let wanted = format!("is in use by pid {} (bash, VM web): ", held.pid());
        let line = |verb: &str| format!("{verb} {}", uuid(1));
        for verb in [
            "remove",
            "stop",
            "remove --keep-definition",
            "remove --dry-run",
        ] {
            let naps = host.path("usr/naps");
            let only = "--trace=nanosleep,clock_nanosleep";
            let options = ["-f", "-qq", only, "-o", naps.to_str().unwrap()];
            let line = line(verb);
            let output = host.strace(&options, line.split_whitespace()).output();
            let run = finished(output.unwrap()).expect(5);
            assert_eq!(fs::read_to_string(&naps).unwrap(), "", "{verb} waited");
            assert!(run.stderr.contains(&wanted), "{verb}: {run:?}");
            assert!(run.stderr.contains("hint: shut the VM down"), "{run:?}");
        }
        assert_eq!(counter(&host, "remove_writes"), 0, "{field}");
        assert_eq!(host.active(), [uuid(1)]);
        assert_eq!(host.defined(), [uuid(1)]);
    }
}

#[test]
fn a_holder_without_a_name_is_named_by_its_command() {
    let (host, node) = host_and_node("vfio_group");
    let held = HeldOpen::open(&node, "");
    let run = host.run(&format!("remove {}", uuid(1))).expect(5);
    assert!(
        run.stderr.contains(&format!("pid {} (bash): ", held.pid())),
        "{run:?}"
    );
}

#[test]
fn waiting_ends_when_the_holder_lets_go() {
    let (host, node) = host_and_node("vfio_group");
    let held = HeldOpen::open(&node, "-name web");
    let mut remove = Beside::start(&host, &format!("remove {} --wait 120", uuid(1)));
    remove.until("waiting for the holder");
    assert_eq!(counter(&host, "remove_writes"), 0);
    held.close();
    assert_eq!(remove.end().0, 0);
    assert_eq!(host.active(), [""; 0]);
    assert_eq!(host.defined(), [""; 0]);
}

#[test]
fn waiting_ends_when_the_time_is_over() {
    let (host, node) = host_and_node("vfio_group");
    let _held = HeldOpen::open(&node, "-name web");
    let run = host.run(&format!("remove {} --wait 1", uuid(1))).expect(5);
    assert!(run.stderr.contains("is in use by pid "), "{run:?}");
    assert!(run.stderr.contains("hint: waited for 1 s"), "{run:?}");
    assert_eq!(counter(&host, "remove_writes"), 0);
    assert_eq!(host.active(), [uuid(1)]);
    assert_eq!(host.defined(), [uuid(1)]);
}

#[test]
fn the_others_are_removed_all_the_same() {
    let (host, node) = host_and_node("vfio_group");
    host.run(&format!("create -t P4-1Q -u {}", uuid(2)))
        .expect(0);
    let _held = HeldOpen::open(&node, "-name web");
    host.run(&format!("remove {} {}", uuid(1), uuid(2)))
        .expect(7);
    assert_eq!(host.active(), [uuid(1)]);
    assert_eq!(host.defined(), [uuid(1)]);
}

#[test]
fn its_definition_alone_may_go() {
    let (host, node) = host_and_node("vfio_group");
    let _held = HeldOpen::open(&node, "-name web");
    host.run(&format!("undefine {}", uuid(1))).expect(0);
    assert_eq!(host.active(), [uuid(1)]);
    assert_eq!(host.defined(), [""; 0]);
    host.run(&format!("remove {}", uuid(1))).expect(5);
}

#[test]
fn a_root_that_is_written_another_way_hides_no_holder() {
    let (host, node) = host_and_node("vfio_device");
    let _held = HeldOpen::open(&node, "");
    let elsewhere = tempfile::tempdir().unwrap();
    let link = elsewhere.path().join("root");
    std::os::unix::fs::symlink(host.root(), &link).unwrap();
    let other_way = host.path("sys/..");
    for root in [&other_way, &link] {
        let root = root.to_str().unwrap();
        let output = host
            .command(["--root", root, "remove", &uuid(1)])
            .output()
            .unwrap();
        crate::harness::finished(output).expect(5);
    }
    assert_eq!(counter(&host, "remove_writes"), 0);
}

#[test]
fn a_process_that_only_has_a_nodes_name_open_is_no_holder() {
    for kind in ["vfio_group", "vfio_device"] {
        let (host, node) = host_and_node(kind);
        let own = tempfile::NamedTempFile::new().unwrap();
        let held = HeldOpen::pretend(own.path(), &node);
        let shown = std::fs::read_link(format!("/proc/{}/fd/7", held.pid())).unwrap();
        assert_eq!(shown, node);
        host.run(&format!("remove {}", uuid(1))).expect(0);
    }
}

#[test]
fn a_process_that_only_names_a_node_is_no_holder() {
    for kind in ["vfio_group", "vfio_device"] {
        let (host, node) = host_and_node(kind);
        let held = HeldOpen::name_only(&node);
        let shown = std::fs::read_link(format!("/proc/{}/fd/0", held.pid())).unwrap();
        assert_eq!(shown, node);
        host.run(&format!("remove {}", uuid(1))).expect(0);
    }
}

#[test]
fn a_holder_is_found_whatever_name_it_opened_the_node_by() {
    for kind in ["vfio_group", "vfio_device"] {
        let (host, node) = host_and_node(kind);
        let other = tempfile::NamedTempFile::new().unwrap();
        let held = HeldOpen::pretend(&node, other.path());
        let shown = std::fs::read_link(format!("/proc/{}/fd/7", held.pid())).unwrap();
        assert_eq!(shown, other.path());
        let refused = host.run(&format!("remove {}", uuid(1))).expect(5);
        assert!(
            refused.stderr.contains(&format!("pid {}", held.pid())),
            "{refused:?}"
        );
    }
}

/// libvirt keeps the group open while it runs `mdevctl stop`, to keep others out.
#[test]
fn a_caller_that_keeps_others_out_is_no_holder() {
    let (host, node) = host_and_node("vfio_group");
    let script = format!(
        "exec 7<>'{}'; {} remove {}; exit $?",
        node.display(),
        env!("CARGO_BIN_EXE_vgpuctl"),
        uuid(1)
    );
    let output = std::process::Command::new("bash")
        .args(["-c", &script])
        .env("VGPUCTL_ROOT", host.root())
        .output()
        .unwrap();
    crate::harness::finished(output).expect(0);
    assert_eq!(host.active(), [""; 0]);
}
