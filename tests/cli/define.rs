//! `define` and `undefine`: the definition alone.

use insta::assert_snapshot;

use crate::harness::SimHost;
use crate::helpers::{P1, P2, counter, definition, put, put_auto, uuid};

#[test]
fn a_definition_is_written_in_mdevctls_form_and_no_device_is_made() {
    let host = SimHost::start("two-p4");
    let line = format!(
        "define -t P4-1Q -p {P2} -u {} --manual --attr b=2 --attr a=1=x --attr b=",
        uuid(1)
    );
    assert_snapshot!(host.run(&line).snapshot(&host), @"
    status: 0
    --- stdout
    a0000001-0000-4000-8000-000000000000
    --- stderr
    defined a0000001-0000-4000-8000-000000000000: nvidia-63 (P4-1Q) on 0000:82:00.0
    ");
    let text = std::fs::read_to_string(definition(&host, P2, &uuid(1))).unwrap();
    assert_snapshot!(text, @r#"
    {
      "mdev_type": "nvidia-63",
      "start": "manual",
      "attrs": [
        {
          "b": "2"
        },
        {
          "a": "1=x"
        },
        {
          "b": ""
        }
      ]
    }
    "#);
    assert_eq!(counter(&host, "create_writes"), 0);
    let random = host.run(&format!("define -t P4-1Q -p {P2}")).expect(0);
    assert!(
        host.defined()
            .contains(&random.stdout.trim_end().to_owned())
    );
}

#[test]
fn a_parent_that_is_absent_may_be_named() {
    let host = SimHost::start("two-p4");
    let run = host.run(&format!(
        "define -t nvidia-46 -p 0000:99:00.0 -u {}",
        uuid(1)
    ));
    assert_snapshot!(run.snapshot(&host), @"
    status: 0
    --- stdout
    a0000001-0000-4000-8000-000000000000
    --- stderr
    defined a0000001-0000-4000-8000-000000000000: nvidia-46 on 0000:99:00.0
    note: 0000:99:00.0 is not present, so its type nvidia-46 could not be checked
    ");
    let run = host.run(&format!("start {}", uuid(1))).expect(3);
    assert!(
        run.stderr
            .starts_with("error: parent 0000:99:00.0 not found\n")
    );
}

#[test]
fn a_name_for_an_absent_parent_becomes_the_id_it_stands_for_elsewhere() {
    let host = SimHost::start("two-p4");
    host.ctl(&["detach", P2]);
    host.run(&format!("define -t P4-1Q -p {P2} -u {}", uuid(1)))
        .expect(0);
    host.ctl(&["attach", P2]);
    host.run("restore").expect(0);
    assert_eq!(host.active(), [uuid(1)]);
}

#[test]
fn a_type_that_a_present_parent_does_not_have_is_refused() {
    let host = SimHost::start("two-p4");
    let run = host.run(&format!("define -t nvidia-46 -p {P1}"));
    assert_snapshot!(run.snapshot(&host), @r#"
    status: 3
    --- stdout
    --- stderr
    error: 0000:81:00.0 has no type "nvidia-46"
    hint: see all types: vgpuctl types
    "#);
    host.run(&format!("define -t P4-1Q -p {P1} -u x")).expect(2);
    host.run("define -t P4-1Q").expect(2);
    assert!(!host.path("etc/mdevctl.d").exists());
}

#[test]
fn what_is_defined_already_is_left_as_it_is() {
    let host = SimHost::start("two-p4");
    let path = put(
        &host,
        P1,
        &uuid(1),
        r#"{"mdev_type":"nvidia-64","start":"manual","mine":1}"#,
    );
    let before = std::fs::read(&path).unwrap();
    let line = format!("define -t P4-1Q -p {P1} -u {}", uuid(1));
    let run = host.run(&line);
    assert_snapshot!(run.snapshot(&host), @"
    status: 1
    --- stdout
    --- stderr
    error: a0000001-0000-4000-8000-000000000000 is already defined on 0000:81:00.0: [ROOT]/etc/mdevctl.d/0000:81:00.0/a0000001-0000-4000-8000-000000000000
    hint: change it with: vgpuctl modify a0000001-0000-4000-8000-000000000000
    ");
    assert_eq!(
        host.run(&(line + " --dry-run")).expect(1).stderr,
        run.stderr
    );
    assert_eq!(std::fs::read(&path).unwrap(), before);
    // Under another parent it is another definition.
    host.run(&format!("define -t P4-1Q -p {P2} -u {}", uuid(1)))
        .expect(0);
    assert_eq!(host.defined(), [uuid(1), uuid(1)]);
}

#[test]
fn dry_runs_write_and_delete_nothing() {
    let host = SimHost::start("two-p4");
    let run = host.run(&format!("define -t P4-1Q -p {P1} --dry-run"));
    assert_snapshot!(run.snapshot(&host), @"
    status: 0
    --- stdout
    would define a new device: nvidia-63 (P4-1Q) on 0000:81:00.0
    --- stderr
    ");
    assert!(!host.path("etc/mdevctl.d").exists());
    put_auto(&host, P1, &uuid(1), "nvidia-63");
    let run = host.run(&format!("undefine {} --dry-run", uuid(1)));
    assert_snapshot!(run.snapshot(&host), @"
    status: 0
    --- stdout
    would undefine a0000001-0000-4000-8000-000000000000: nvidia-63 (P4-1Q) on 0000:81:00.0
    --- stderr
    ");
    assert_eq!(host.defined(), [uuid(1)]);
}

#[test]
fn undefine_leaves_the_running_device_alone() {
    let host = SimHost::start("two-p4");
    host.run(&format!("create -t P4-1Q -u {}", uuid(1)))
        .expect(0);
    let run = host.run(&format!("undefine {}", uuid(1)));
    assert_snapshot!(run.snapshot(&host), @"
    status: 0
    --- stdout
    --- stderr
    undefined a0000001-0000-4000-8000-000000000000: nvidia-63 (P4-1Q) on 0000:81:00.0
    ");
    assert_eq!(host.active(), [uuid(1)]);
    assert_eq!(host.defined(), [""; 0]);
    assert_eq!(counter(&host, "remove_writes"), 0);
    let run = host.run(&format!("undefine {}", uuid(1))).expect(3);
    assert!(run.stderr.contains("has no definition"), "{run:?}");
}

#[test]
fn definitions_that_cannot_be_understood_can_be_undefined() {
    let host = SimHost::start("two-p4");
    for bad in [&b""[..], b"{", b"[]", b"\xff\xfe", b"{\"mdev_type\":5}"] {
        let path = put(&host, P1, &uuid(1), bad);
        let run = host.run(&format!("undefine {}", uuid(1))).expect(0);
        assert!(
            run.stderr.contains("invalid definition: "),
            "{bad:?}: {run:?}"
        );
        assert!(!path.exists(), "{bad:?}");
    }
}

#[test]
fn several_definitions_go_at_once_and_one_that_is_not_there_is_named() {
    let host = SimHost::start("two-p4");
    put_auto(&host, P1, &uuid(1), "nvidia-63");
    put_auto(&host, P2, &uuid(2), "nvidia-63");
    let line = format!("undefine {} {} {}", uuid(1), uuid(9), uuid(2));
    let run = host.run(&line).expect(7);
    assert!(
        run.stderr
            .contains(&format!("error: {} is neither", uuid(9)))
    );
    assert_eq!(host.defined(), [""; 0]);
}

#[test]
fn a_uuid_under_two_parents_is_undefined_only_where_asked() {
    let host = SimHost::start("two-p4");
    put_auto(&host, P1, &uuid(1), "nvidia-63");
    let other = put_auto(&host, P2, &uuid(1), "nvidia-63");
    let run = host.run(&format!("undefine {}", uuid(1))).expect(2);
    assert!(
        run.stderr
            .contains("hint: add --parent with one of: 0000:81:00.0, 0000:82:00.0")
    );
    host.run(&format!("undefine {} -p {P1}", uuid(1))).expect(0);
    assert!(other.exists());
    assert_eq!(host.defined(), [uuid(1)]);
}

#[test]
fn what_is_the_kernels_own_is_no_attribute() {
    let host = SimHost::start("two-p4");
    for name in ["remove", "uevent", "driver_override"] {
        for verb in ["create", "define"] {
            let run = host.run(&format!("{verb} -t P4-1Q -p {P2} --attr {name}=1"));
            let run = run.expect(2);
            assert!(run.stderr.contains("it is a file of the kernel"), "{run:?}");
        }
        let text =
            format!(r#"{{"mdev_type":"nvidia-63","start":"auto","attrs":[{{"{name}":"1"}}]}}"#);
        crate::helpers::put(&host, P2, &uuid(1), text);
        let run = host.run("restore").expect(7);
        assert!(run.stderr.contains("it is a file of the kernel"), "{run:?}");
        assert!(host.active().is_empty());
        host.run(&format!("undefine {}", uuid(1))).expect(0);
    }
    host.run(&format!("define -t P4-1Q -p {P2} -u {}", uuid(2)))
        .expect(0);
    let add = format!("modify --uuid {} --addattr remove --value 1", uuid(2));
    let run = host.mdevctl(&add).expect(1);
    assert!(run.stderr.contains("it is a file of the kernel"), "{run:?}");
}
