//! `show`.

use insta::assert_snapshot;

use crate::harness::{HeldOpen, SimHost};
use crate::helpers::{P1, P2, put_auto, uuid};

#[test]
fn an_active_device_is_shown_with_everything_about_it() {
    let host = SimHost::start("two-p4");
    let line = format!(
        "create -t P4-1Q -u {} --attr nvidia/vgpu_params=frame_rate_limiter=0",
        uuid(1)
    );
    host.run(&line).expect(0);
    let run = host.run(&format!("show {}", uuid(1)));
    assert_snapshot!(run.snapshot(&host), @"
    status: 0
    --- stdout
    UUID         a0000001-0000-4000-8000-000000000000
    Type         nvidia-63 (GRID P4-1Q)
    Framebuffer  1 GiB
    Displays     4
    Frame limit  60 FPS
    Resolution   5120x2880
    Use          professional workstation (series Q)
    Licence      vDWS (today: vWS)
    CUDA         yes
    OpenGL       yes
    Parent       0000:81:00.0
    State        active
    Start        auto
    IOMMU group  12
    VFIO group   [ROOT]/dev/vfio/12
    VFIO device  [ROOT]/dev/vfio/devices/vfio0
    Sysfs        [ROOT]/sys/bus/mdev/devices/a0000001-0000-4000-8000-000000000000
    Held by      nobody
    Definition   [ROOT]/etc/mdevctl.d/0000:81:00.0/a0000001-0000-4000-8000-000000000000
    Parameters   frame_rate_limiter=0
    Attribute 0  nvidia/vgpu_params=frame_rate_limiter=0
    --- stderr
    ");
}

#[test]
fn a_transient_device_says_that_it_will_be_gone() {
    let host = SimHost::start("gvt-g");
    host.run(&format!(
        "create -t i915-GVTg_V5_8 -u {} --transient",
        uuid(1)
    ))
    .expect(0);
    let run = host.run(&format!("show {}", uuid(1)));
    assert_snapshot!(run.snapshot(&host), @"
    status: 0
    --- stdout
    UUID         a0000001-0000-4000-8000-000000000000
    Type         i915-GVTg_V5_8
    Parent       0000:00:02.0
    State        active
    Start        - (transient: gone after a reboot)
    IOMMU group  11
    VFIO group   [ROOT]/dev/vfio/11
    VFIO device  [ROOT]/dev/vfio/devices/vfio0
    Sysfs        [ROOT]/sys/bus/mdev/devices/a0000001-0000-4000-8000-000000000000
    Held by      nobody
    Definition   -
    --- stderr
    ");
}

#[test]
fn a_definition_alone_is_shown_without_what_only_a_device_has() {
    let host = SimHost::start("two-p4");
    let line = format!(
        "define -t P4-2Q -p {P2} -u {} --manual --attr a=1 --attr b= --attr a=2",
        uuid(1)
    );
    host.run(&line).expect(0);
    let run = host.run(&format!("show {}", uuid(1)));
    assert_snapshot!(run.snapshot(&host), @"
    status: 0
    --- stdout
    UUID         a0000001-0000-4000-8000-000000000000
    Type         nvidia-64 (GRID P4-2Q)
    Framebuffer  2 GiB
    Displays     4
    Frame limit  60 FPS
    Resolution   7680x4320
    Use          professional workstation (series Q)
    Licence      vDWS (today: vWS)
    CUDA         yes
    OpenGL       yes
    Parent       0000:82:00.0
    State        inactive
    Start        manual
    Definition   [ROOT]/etc/mdevctl.d/0000:82:00.0/a0000001-0000-4000-8000-000000000000
    Attribute 0  a=1
    Attribute 1  b=
    Attribute 2  a=2
    --- stderr
    ");
}

#[test]
fn the_holder_is_named_with_its_virtual_machine() {
    let host = SimHost::start("two-p4");
    host.run(&format!("create -t P4-1Q -u {}", uuid(1)))
        .expect(0);
    let shown = host
        .run(&format!("show {} --json", uuid(1)))
        .expect(0)
        .json();
    let group = shown["device"]["vfio_group"].as_str().unwrap().to_owned();
    let held = HeldOpen::open(group.as_ref(), "-name guest=web,debug-threads=on");
    let run = host.run(&format!("show {}", uuid(1))).expect(0);
    let wanted = format!("Held by      pid {} (bash, VM web)\n", held.pid());
    assert!(run.stdout.contains(&wanted), "{run:?}");
    held.close();
    let run = host.run(&format!("show {}", uuid(1))).expect(0);
    assert!(run.stdout.contains("Held by      nobody\n"), "{run:?}");
}

#[test]
fn the_device_node_counts_as_much_as_the_group() {
    let host = SimHost::start("two-p4");
    host.run(&format!("create -t P4-1Q -u {}", uuid(1)))
        .expect(0);
    let shown = host
        .run(&format!("show {} --json", uuid(1)))
        .expect(0)
        .json();
    let node = shown["device"]["vfio_device"].as_str().unwrap().to_owned();
    let held = HeldOpen::open(node.as_ref(), "x -name plain");
    let run = host.run(&format!("show {}", uuid(1))).expect(0);
    let wanted = format!("pid {} (bash, VM plain)", held.pid());
    assert!(run.stdout.contains(&wanted), "{run:?}");
}

#[test]
fn one_uuid_under_two_parents_needs_the_parent_unless_it_is_active() {
    let host = SimHost::start("two-p4");
    put_auto(&host, P1, &uuid(1), "nvidia-63");
    put_auto(&host, P2, &uuid(1), "nvidia-64");
    let run = host.run(&format!("show {}", uuid(1)));
    assert_snapshot!(run.snapshot(&host), @"
    status: 2
    --- stdout
    --- stderr
    error: a0000001-0000-4000-8000-000000000000 is defined under several parents
    hint: add --parent with one of: 0000:81:00.0, 0000:82:00.0
    ");
    let run = host
        .run(&format!("show {} --parent {P2}", uuid(1)))
        .expect(0);
    assert!(run.stdout.contains("nvidia-64 (GRID P4-2Q)"));
    host.run(&format!("start {} --parent {P1}", uuid(1)))
        .expect(0);
    let run = host.run(&format!("show {}", uuid(1))).expect(0);
    assert!(
        run.stdout.contains("Parent       0000:81:00.0\n"),
        "{run:?}"
    );
    assert!(
        run.stdout.contains("Defined on   0000:82:00.0\n"),
        "{run:?}"
    );
}

#[test]
fn an_unknown_uuid_is_not_found_and_what_is_none_is_refused() {
    let host = SimHost::start("two-p4");
    let run = host.run(&format!("show {}", uuid(9)));
    assert_snapshot!(run.snapshot(&host), @"
    status: 3
    --- stdout
    --- stderr
    error: a0000009-0000-4000-8000-000000000000 is neither active nor defined
    hint: see: vgpuctl list
    ");
    let run = host.run("show 81");
    assert_snapshot!(run.snapshot(&host), @r#"
    status: 2
    --- stdout
    --- stderr
    error: invalid value '81' for '<UUID>': "81" is not a valid UUID: expected 8-4-4-4-12 hexadecimal digits; its first 8 characters are enough

    For more information, try '--help'.
    "#);
}

#[test]
fn eight_characters_of_a_uuid_are_enough_where_they_are_unique() {
    let host = SimHost::start("two-p4");
    put_auto(&host, P1, &uuid(1), "nvidia-63");
    put_auto(
        &host,
        P1,
        "a0000001-1111-4000-8000-000000000000",
        "nvidia-63",
    );
    put_auto(&host, P1, &uuid(2), "nvidia-63");
    let run = host.run("show A0000002").expect(0);
    assert!(run.stdout.contains(&uuid(2)), "{run:?}");
    let run = host.run("show a0000001-00").expect(0);
    assert!(run.stdout.contains(&uuid(1)), "{run:?}");
    let run = host.run("show a0000001");
    assert_snapshot!(run.snapshot(&host), @"
    status: 2
    --- stdout
    --- stderr
    error: a0000001 matches several UUIDs
    hint: specify more of it: a0000001-0000-4000-8000-000000000000, a0000001-1111-4000-8000-000000000000
    ");
    host.run("show a000000").expect(2);
    for verb in ["start", "stop", "modify --auto", "undefine", "remove"] {
        let run = host.run(&format!("{verb} a0000001")).expect(2);
        assert!(run.stderr.contains("matches several UUIDs"), "{run:?}");
    }
    assert_eq!(host.defined().len(), 3);
    host.run("start a0000002").expect(0);
    assert_eq!(host.active(), [uuid(2)]);
    host.run("stop a0000002").expect(0);
    host.run("modify a0000002 --manual").expect(0);
    host.run("remove a0000002").expect(0);
    assert_eq!(host.defined().len(), 2);
}
