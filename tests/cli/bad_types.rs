//! Bad data in sysfs: each file is named with its path, and hides nothing else.

use insta::assert_snapshot;

use crate::harness::SimHost;
use crate::helpers::{P1, P2, put_auto, uuid};

/// The lines of `types --parent P1` without the heading, and the warnings.
fn types(host: &SimHost) -> (Vec<String>, Vec<String>) {
    let run = host.run(&format!("types --parent {P1}")).expect(7);
    let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
    (lines(&run.stdout).split_off(1), lines(&run.stderr))
}

#[test]
fn a_file_that_must_be_there_is_named_whatever_is_wrong_with_it() {
    let host = SimHost::start("two-p4");
    for file in ["available_instances", "device_api"] {
        for how in ["missing", "empty", "garbage", "eio"] {
            host.ctl(&["break", &format!("{P1}/nvidia-64/{file}"), how]);
            let (rows, warnings) = types(&host);
            assert_eq!(rows.len(), 14, "{file} {how}: all types are told");
            let broken: Vec<&String> = rows.iter().filter(|row| row.contains('?')).collect();
            assert_eq!(broken.len(), 1, "{file} {how}: {rows:?}");
            assert!(broken[0].contains("nvidia-64"));
            assert_eq!(warnings.len(), 1, "{file} {how}: {warnings:?}");
            assert!(warnings[0].starts_with("warning: "), "{warnings:?}");
            let path = format!("{P1}/mdev_supported_types/nvidia-64/{file}");
            assert!(warnings[0].contains(&path), "{warnings:?}");
            host.ctl(&["mend"]);
        }
    }
    host.run("types").expect(0);
}

#[test]
fn a_file_that_need_not_be_there_may_be_missing_or_empty() {
    let host = SimHost::start("two-p4");
    for file in ["name", "description"] {
        for how in ["missing", "empty"] {
            host.ctl(&["break", &format!("{P1}/nvidia-64/{file}"), how]);
            let run = host.run(&format!("types -p {P1}")).expect(0);
            assert_eq!(run.stdout.lines().count(), 15);
            assert_eq!(run.stderr, "", "{file} {how}");
            host.ctl(&["mend"]);
        }
        for how in ["garbage", "eio"] {
            host.ctl(&["break", &format!("{P1}/nvidia-64/{file}"), how]);
            let (rows, warnings) = types(&host);
            assert_eq!(rows.len(), 14);
            assert!(
                warnings[0].contains(&format!("nvidia-64/{file}: ")),
                "{warnings:?}"
            );
            host.ctl(&["mend"]);
        }
    }
}

#[test]
fn several_bad_files_are_each_told() {
    let host = SimHost::start("two-p4");
    host.ctl(&[
        "break",
        &format!("{P1}/nvidia-63/available_instances"),
        "garbage",
    ]);
    host.ctl(&["break", &format!("{P1}/nvidia-64/name"), "eio"]);
    host.ctl(&["break", &format!("{P1}/nvidia-65/device_api"), "missing"]);
    host.ctl(&[
        "break",
        &format!("{P1}/nvidia-66/available_instances"),
        "empty",
    ]);
    let run = host.run(&format!("types --parent {P1}"));
    assert_snapshot!(run.snapshot(&host), @"
    status: 7
    --- stdout
    PARENT        TYPE        NAME         FRAMEBUFFER  DISPLAYS  FPS  RESOLUTION  FREE  MAX  API
    0000:81:00.0  nvidia-63   GRID P4-1Q         1 GiB         4   60  5120x2880      ?    8  vfio-pci
    0000:81:00.0  nvidia-64   -                  2 GiB         4   60  7680x4320      4    4  vfio-pci
    0000:81:00.0  nvidia-65   GRID P4-4Q         4 GiB         4   60  7680x4320      2    2  ?
    0000:81:00.0  nvidia-66   GRID P4-8Q         8 GiB         4   60  7680x4320      ?    1  vfio-pci
    0000:81:00.0  nvidia-67   GRID P4-1A         1 GiB         1   60  1280x1024      8    8  vfio-pci
    0000:81:00.0  nvidia-68   GRID P4-2A         2 GiB         1   60  1280x1024      4    4  vfio-pci
    0000:81:00.0  nvidia-69   GRID P4-4A         4 GiB         1   60  1280x1024      2    2  vfio-pci
    0000:81:00.0  nvidia-70   GRID P4-8A         8 GiB         1   60  1280x1024      1    1  vfio-pci
    0000:81:00.0  nvidia-71   GRID P4-1B         1 GiB         4   45  5120x2880      8    8  vfio-pci
    0000:81:00.0  nvidia-157  GRID P4-2B         2 GiB         4   45  5120x2880      4    4  vfio-pci
    0000:81:00.0  nvidia-214  GRID P4-2B4        2 GiB         4   45  5120x2880      4    4  vfio-pci
    0000:81:00.0  nvidia-243  GRID P4-1B4        1 GiB         4   45  5120x2880      8    8  vfio-pci
    0000:81:00.0  nvidia-288  GRID P4-4C         4 GiB         1   60  4096x2160      2    2  vfio-pci
    0000:81:00.0  nvidia-289  GRID P4-8C         8 GiB         1   60  4096x2160      1    1  vfio-pci
    --- stderr
    warning: the content is not text: [ROOT]/sys/class/mdev_bus/0000:81:00.0/mdev_supported_types/nvidia-63/available_instances: Invalid or incomplete multibyte or wide character (EILSEQ)
    warning: cannot read: [ROOT]/sys/class/mdev_bus/0000:81:00.0/mdev_supported_types/nvidia-64/name: Input/output error (EIO)
    warning: cannot read: [ROOT]/sys/class/mdev_bus/0000:81:00.0/mdev_supported_types/nvidia-65/device_api: No such file or directory (ENOENT)
    warning: the file is empty: [ROOT]/sys/class/mdev_bus/0000:81:00.0/mdev_supported_types/nvidia-66/available_instances
    ");
    let run = host.run("gpus").expect(7);
    assert_eq!(run.stdout.lines().count(), 3, "{run:?}");
    assert_eq!(run.stderr.lines().count(), 4, "{run:?}");
}

#[test]
fn the_types_beside_a_bad_one_can_be_used() {
    let host = SimHost::start("two-p4");
    host.ctl(&[
        "break",
        &format!("{P1}/nvidia-64/available_instances"),
        "eio",
    ]);
    host.run(&format!("create -t P4-1Q -p {P1} -u {}", uuid(1)))
        .expect(0);
    host.run(&format!("create -t nvidia-64 -p {P2} -u {}", uuid(2)))
        .expect(0);
    assert_eq!(host.active(), [uuid(1), uuid(2)]);
    // Not knowing how many are free is no reason not to try; the kernel knows.
    host.run(&format!("remove {}", uuid(1))).expect(0);
    host.run(&format!("create -t nvidia-64 -p {P1} -u {}", uuid(1)))
        .expect(0);
}

#[test]
fn a_parent_without_types_is_named_and_the_others_are_told() {
    let host = SimHost::start("mixed");
    let run = host.run("types").expect(7);
    assert_eq!(run.stdout.lines().count(), 1 + 1 + 14, "{run:?}");
    let run = host.run(&format!("types --parent {P2}"));
    assert_snapshot!(run.snapshot(&host), @"
    status: 7
    --- stdout
    --- stderr
    warning: 0000:82:00.0 offers no types: [ROOT]/sys/class/mdev_bus/0000:82:00.0/mdev_supported_types: No such file or directory (ENOENT)
    hint: 0000:82:00.0 lists no types (yet): for NVIDIA they appear once nvidia-vgpud has run (systemctl restart nvidia-vgpud)
    ");
    let run = host.run(&format!("create -t nvidia-63 -p {P2}")).expect(3);
    assert!(
        run.stderr
            .starts_with("error: 0000:82:00.0 offers no types: ")
    );
    put_auto(&host, P2, &uuid(1), "nvidia-63");
    let run = host.run(&format!("start {}", uuid(1))).expect(3);
    let path = "/0000:82:00.0/mdev_supported_types: No such file or directory";
    assert!(run.stderr.contains(path), "{run:?}");
    // The others are not in its way.
    host.run("create -t nvidia-63").expect(0);
}

#[test]
fn a_list_of_types_that_cannot_be_read_hides_only_itself() {
    let host = SimHost::start("two-p4");
    for how in ["eio", "missing"] {
        host.ctl(&["break", &format!("{P1}/mdev_supported_types"), how]);
        let run = host.run("types").expect(7);
        assert_eq!(run.stdout.lines().count(), 15, "{run:?}");
        assert!(
            run.stderr
                .starts_with("warning: 0000:81:00.0 offers no types: ")
        );
        assert!(run.stderr.contains("0000:81:00.0/mdev_supported_types: "));
        let run = host.run("gpus").expect(7);
        assert_eq!(run.stdout.lines().count(), 3, "{run:?}");
        let run = host.run("create -t P4-1Q").expect(0);
        assert!(run.stderr.contains(P2), "{run:?}");
        host.run("list").expect(0);
        host.ctl(&["mend"]);
    }
}

#[test]
fn a_device_that_cannot_be_read_hides_no_other() {
    let host = SimHost::start("two-p4");
    for n in 1..=3 {
        host.run(&format!("create -t P4-1Q -u {}", uuid(n)))
            .expect(0);
    }
    host.ctl(&["break", &format!("{}/mdev_type", uuid(2)), "eio"]);
    let run = host.run("list --active").expect(7);
    assert!(run.stdout.contains(&uuid(1)) && run.stdout.contains(&uuid(3)));
    let path = format!("sys/bus/mdev/devices/{}/mdev_type: ", uuid(2));
    assert!(run.stderr.contains(&path), "{run:?}");
    host.run(&format!("show {}", uuid(1))).expect(0);
    let run = host.run("restore").expect(7);
    assert_eq!(run.stdout.matches("active   ").count(), 2, "{run:?}");
    assert!(run.stdout.contains(&path), "{run:?}");
    host.run(&format!("remove {}", uuid(1))).expect(0);
}

#[test]
fn numbers_of_a_card_that_cannot_be_read_hide_nothing_else_of_it() {
    let host = SimHost::start("two-p4");
    host.ctl(&["break", &format!("{P1}/vendor"), "eio"]);
    let run = host.run("gpus").expect(7);
    assert_eq!(run.stdout.lines().count(), 3, "{run:?}");
    let first = run.stdout.lines().nth(1).unwrap();
    assert!(first.ends_with("[--------] 0 MiB of 8 GiB"), "{run:?}");
    assert!(run.stderr.contains("0000:81:00.0/vendor: "), "{run:?}");
}

#[test]
fn a_name_that_cannot_be_read_is_missed_once_by_every_change_and_stops_none() {
    let host = SimHost::start("two-p4");
    for n in [1, 2] {
        put_auto(&host, P1, &uuid(n), "nvidia-63");
    }
    let name = format!("{P1}/nvidia-63/name");
    host.ctl(&["break", &name, "eio"]);
    assert_snapshot!(host.run("restore").snapshot(&host), @"
    status: 0
    --- stdout
    started  a0000001-0000-4000-8000-000000000000 nvidia-63 on 0000:81:00.0
    started  a0000002-0000-4000-8000-000000000000 nvidia-63 on 0000:81:00.0
    --- stderr
    warning: cannot read: [ROOT]/sys/class/mdev_bus/0000:81:00.0/mdev_supported_types/nvidia-63/name: Input/output error (EIO)
    ");

    let (one, new) = (uuid(1), uuid(3));
    for line in [
        format!("stop {one} --dry-run"),
        format!("stop {one}"),
        format!("start {one}"),
        format!("modify {one} --manual"),
        format!("remove {one}"),
        format!("define -t nvidia-63 -p {P1} -u {new} --manual"),
        format!("undefine {new}"),
        format!("create -t nvidia-63 -p {P1} -u {new}"),
    ] {
        let run = host.run(&line).expect(0);
        let told = run
            .stderr
            .matches("nvidia-63/name: Input/output error (EIO)");
        assert_eq!(told.count(), 1, "{line}: {run:#?}");
    }
    let answer = host
        .run(&format!("stop {} --json", uuid(2)))
        .expect(0)
        .json();
    assert_eq!(answer["changes"][0]["type_name"], serde_json::Value::Null);
    assert_eq!(answer["warnings"][0]["cause"], "Input/output error (EIO)");

    host.ctl(&["break", &name, "missing"]);
    let run = host.run("restore").expect(0);
    assert_eq!(run.stderr, "", "a type need not have a name");
}
