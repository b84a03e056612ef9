//! `--framebuffer` and `--series` in place of `--type`: the one type that fits, or an error.

use insta::assert_snapshot;

use crate::harness::SimHost;
use crate::helpers::{P1, P2, device, put_auto, uuid};

#[test]
fn the_only_type_that_fits_is_taken() {
    let host = SimHost::start("two-p4");
    let line = format!("create --framebuffer 2G --series Q -u {}", uuid(1));
    host.run(&line).expect(0);
    assert_eq!(device(&host, &uuid(1), "type"), "nvidia-64");
    let line = format!(
        "create --framebuffer 2GiB --series a -u {} -p {P2}",
        uuid(2)
    );
    host.run(&line).expect(0);
    assert_eq!(device(&host, &uuid(2), "type"), "nvidia-68");
    let line = format!(
        "define --framebuffer 8192M --series C -p {P1} -u {}",
        uuid(3)
    );
    let run = host.run(&line).expect(0);
    assert!(run.stderr.contains("nvidia-289 (P4-8C)"), "{run:?}");
    let line = format!("modify {} --framebuffer 4G --series C", uuid(3));
    let run = host.run(&line).expect(0);
    assert!(run.stderr.contains("nvidia-288 (P4-4C)"), "{run:?}");
}

#[test]
fn several_that_fit_are_named_and_none_is_taken() {
    let host = SimHost::start("two-p4");
    let run = host.run("create --framebuffer 2G");
    assert_snapshot!(run.snapshot(&host), @"
    status: 2
    --- stdout
    --- stderr
    error: ambiguous: 4 types with 2 GiB
    hint: choose one with --type: nvidia-64 (P4-2Q), nvidia-68 (P4-2A), nvidia-157 (P4-2B), nvidia-214 (P4-2B4)
    hint: or specify the series: --series
    ");
    let run = host.run("create --framebuffer 2G --series B");
    assert_snapshot!(run.snapshot(&host), @"
    status: 2
    --- stdout
    --- stderr
    error: ambiguous: 2 types of series B with 2 GiB
    hint: choose one with --type: nvidia-157 (P4-2B), nvidia-214 (P4-2B4)
    ");
    assert_eq!(host.active(), [""; 0]);
    assert_eq!(host.defined(), [""; 0]);
}

#[test]
fn none_that_fits_is_not_found_and_those_near_are_named() {
    let host = SimHost::start("two-p4");
    let run = host.run(&format!("create --framebuffer 1G --series C -p {P1}"));
    assert_snapshot!(run.snapshot(&host), @"
    status: 3
    --- stdout
    --- stderr
    error: 0000:81:00.0 has no type of series C with 1 GiB
    hint: of series C: nvidia-288 (P4-4C), nvidia-289 (P4-8C)
    hint: with 1 GiB: nvidia-63 (P4-1Q), nvidia-67 (P4-1A), nvidia-71 (P4-1B), nvidia-243 (P4-1B4)
    ");
    let run = host.run("create --series gaming").expect(3);
    assert!(run.stderr.contains("hint: see all types"), "{run:?}");
    let host = SimHost::start("empty");
    let run = host.run("create --framebuffer 2G --series Q").expect(3);
    assert!(run.stderr.contains("no driver offers any"), "{run:?}");
}

/// A P4 and a P40 have both a type of 2 GB and series Q, and they are two types.
#[test]
fn cards_of_two_kinds_need_the_parent() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let text = "[[parent]]\nid = \"0000:81:00.0\"\ncard = \"p4\"\n[[parent]]\nid = \"0000:82:00.0\"\ncard = \"p40\"\n";
    std::fs::write(file.path(), text).unwrap();
    let host = SimHost::start_file(file.path());
    let run = host.run("create --framebuffer 2G --series Q");
    assert_snapshot!(run.snapshot(&host), @"
    status: 2
    --- stdout
    --- stderr
    error: ambiguous: 2 types of series Q with 2 GiB
    hint: choose one with --type: nvidia-47 (P40-2Q) on 0000:82:00.0, nvidia-64 (P4-2Q) on 0000:81:00.0
    hint: or specify the parent: --parent
    ");
    // Full or not, the choice stays as unclear as before.
    host.run(&format!("create -t P4-8Q -p {P1}")).expect(0);
    host.run("create --framebuffer 2G --series Q").expect(2);
    let line = format!("create --framebuffer 2G --series Q -p {P2} -u {}", uuid(1));
    host.run(&line).expect(0);
    assert_eq!(device(&host, &uuid(1), "type"), "nvidia-47");
    let line = format!("create --framebuffer 3G --series Q -u {}", uuid(2));
    let run = host.run(&line).expect(4);
    assert!(
        run.stderr.contains("one framebuffer size at a time"),
        "{run:?}"
    );
}

#[test]
fn on_a_parent_that_is_not_there_nothing_is_guessed() {
    let host = SimHost::start("two-p4");
    let run = host
        .run("define --framebuffer 2G --series Q -p 0000:99:00.0")
        .expect(3);
    assert!(
        run.stderr.contains("specify the type's id with --type"),
        "{run:?}"
    );
    put_auto(&host, "0000:99:00.0", &uuid(1), "nvidia-63");
    let line = format!("modify {} --framebuffer 2G --series Q", uuid(1));
    host.run(&line).expect(3);
    assert_eq!(host.defined(), [uuid(1)]);
}

#[test]
fn type_and_description_exclude_each_other_and_one_is_needed() {
    let host = SimHost::start("two-p4");
    for line in [
        "create",
        "create -t P4-1Q --series Q",
        "create -t P4-1Q --framebuffer 1G",
        "define -p 0000:81:00.0",
        "define -p 0000:81:00.0 -t P4-1Q --series Q",
    ] {
        host.run(line).expect(2);
    }
    put_auto(&host, P1, &uuid(1), "nvidia-63");
    let line = format!("modify {} -t P4-1Q --series Q", uuid(1));
    host.run(&line).expect(2);
}
