//! How often the host is read: a verb that asks the same question again and again is slow on hosts with
//! many GPUs, and may decide by two answers that differ.

use std::fs;

use crate::harness::{SimHost, finished};

/// What counts as reading.
const READS: &str = "trace=openat,openat2,read,readlink,readlinkat,getdents64";

/// The reads of a run, with those of the loader and the runtime (about 20).
fn reads(host: &SimHost, line: &str, status: i32) -> usize {
    let trace = host.path("usr/trace");
    let options = ["-f", "-qq", "-e", READS, "-o", trace.to_str().unwrap()];
    let command = host.strace(&options, line.split_whitespace()).output();
    finished(command.expect("strace is installed by: make")).expect(status);
    fs::read_to_string(&trace).unwrap().lines().count()
}

fn at_most(host: &SimHost, line: &str, most: usize) {
    let reads = reads(host, line, 0);
    assert!(
        reads <= most,
        "{line}: {reads} reads, at most {most} wanted"
    );
}

#[test]
fn several_devices_are_made_after_one_reading_of_the_host() {
    let host = SimHost::start("two-p4");
    at_most(&host, "create -t P4-2Q -n 3", 304);
    let host = SimHost::start("two-p4");
    at_most(&host, "create -t P4-1Q -n 8 --parent 0000:81:00.0", 317);
}

#[test]
fn a_dry_run_reads_each_definition_and_type_once() {
    let host = SimHost::start("two-p4");
    for number in 10..30 {
        let uuid = format!("000000{number}-0000-4000-8000-0000000000{number}");
        let parent = format!("0000:8{}:00.0", number % 2 + 1);
        host.run(&format!(
            "define --type nvidia-63 --parent {parent} --uuid {uuid}"
        ))
        .expect(0);
    }
    // Four of them find no room, since each card takes eight: what is in their way is read too.
    let reads = reads(&host, "restore --dry-run", 7);
    assert!(reads <= 390, "{reads} reads");
}

#[test]
fn what_is_only_active_is_not_read_where_definitions_are_asked_for() {
    let host = SimHost::start("two-p4");
    host.run("define --type nvidia-63 --parent 0000:81:00.0")
        .expect(0);
    let alone = reads(&host, "list --defined", 0);
    host.run("create --transient -t P4-1Q -n 8 --parent 0000:82:00.0")
        .expect(0);
    // A longer directory may be read in two pieces.
    at_most(&host, "list --defined", alone + 1);
}
