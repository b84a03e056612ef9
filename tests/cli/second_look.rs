//! What one command finds must still be so when it acts: others change the host in between.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};

use nix::fcntl::{Flock, FlockArg};

use crate::harness::SimHost;

const PARENT: &str = "0000:81:00.0";
const UUID: &str = "11111111-2222-3333-4444-555555555555";
const DEFINE: &str =
    "define --type nvidia-63 --parent 0000:81:00.0 --uuid 11111111-2222-3333-4444-555555555555";

/// Takes a parent's lock, as a `create` that is under way has it.
fn hold_lock(host: &SimHost) -> Flock<fs::File> {
    let dir = host.path("run/vgpuctl");
    fs::create_dir_all(&dir).unwrap();
    let file = fs::File::create(dir.join(format!("{PARENT}.lock"))).unwrap();
    Flock::lock(file, FlockArg::LockExclusive).unwrap()
}

/// Starts a command and returns once it waits for the lock.
fn until_it_waits(host: &SimHost, line: &str) -> Child {
    let mut child = host
        .command(line.split_whitespace())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = String::new();
    BufReader::new(child.stderr.as_mut().unwrap())
        .read_line(&mut said)
        .unwrap();
    assert!(said.contains("waiting for another process"), "{said}");
    child
}

#[test]
fn a_remove_that_waited_for_a_create_looks_again() {
    let host = SimHost::start("two-p4");
    host.run(DEFINE).expect(0);
    let lock = hold_lock(&host);
    let mut remove = until_it_waits(&host, &format!("remove {UUID}"));
    // The create goes on and makes its device.
    let types = format!("sys/class/mdev_bus/{PARENT}/mdev_supported_types");
    fs::OpenOptions::new()
        .write(true)
        .open(host.path(&format!("{types}/nvidia-63/create")))
        .and_then(|mut file| std::io::Write::write_all(&mut file, UUID.as_bytes()))
        .unwrap();
    drop(lock);
    remove.wait().unwrap();
    assert_eq!(host.active(), host.defined());
}

#[test]
fn a_restore_that_waited_for_an_undefine_looks_again() {
    let host = SimHost::start("two-p4");
    host.run(DEFINE).expect(0);
    let lock = hold_lock(&host);
    let mut restore = until_it_waits(&host, "restore");
    fs::remove_file(host.path(&format!("etc/mdevctl.d/{PARENT}/{UUID}"))).unwrap();
    drop(lock);
    restore.wait().unwrap();
    assert_eq!(host.active(), host.defined());
}

#[test]
fn a_restore_that_waited_for_a_modify_makes_what_is_wanted_now() {
    let host = SimHost::start("two-p4");
    host.run(DEFINE).expect(0);
    let lock = hold_lock(&host);
    let mut restore = until_it_waits(&host, "restore");
    let path = host.path(&format!("etc/mdevctl.d/{PARENT}/{UUID}"));
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace("nvidia-63", "nvidia-64")).unwrap();
    drop(lock);
    restore.wait().unwrap();
    assert_eq!(host.status()["devices"][0]["type"], "nvidia-64");
}

#[test]
fn a_create_that_fails_leaves_the_definition_that_was_there_before() {
    let host = SimHost::start("two-p4");
    host.run(DEFINE).expect(0);
    host.ctl(&["fail-create", "1", "EIO"]);
    host.run(&format!("create --type nvidia-63 --uuid {UUID}"))
        .expect(1);
    assert_eq!(host.defined(), [UUID]);
}

#[test]
fn a_create_goes_on_where_it_was_defined_and_nowhere_else() {
    let host = SimHost::start("two-p4");
    host.run(DEFINE).expect(0);
    let line = format!("create --type nvidia-63 --parent {PARENT} --transient --count 8");
    host.run(&line).expect(0);
    host.run(&format!("create --type nvidia-63 --uuid {UUID}"));
    assert_eq!(host.defined(), [UUID], "one definition");
}
