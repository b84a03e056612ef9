//! `create`: what it makes, and how it is named.

use insta::assert_snapshot;

use crate::harness::SimHost;
use crate::helpers::{P1, P2, counter, definition, device, put_auto, uuid};

#[test]
fn a_type_answers_to_its_id_its_full_name_and_its_short_name() {
    let host = SimHost::start("two-p4");
    for name in ["nvidia-63", "GRID P4-1Q", "P4-1Q"] {
        let run = host.run_args(["create", "--type", name]).expect(0);
        assert_eq!(device(&host, run.stdout.trim_end(), "type"), "nvidia-63");
    }
}

#[test]
fn stdout_is_the_uuid_and_stderr_the_sentence() {
    let host = SimHost::start("two-p4");
    let run = host.run(&format!("create -t P4-1Q -u {}", uuid(1)));
    assert_snapshot!(run.snapshot(&host), @"
    status: 0
    --- stdout
    a0000001-0000-4000-8000-000000000000
    --- stderr
    created a0000001-0000-4000-8000-000000000000: nvidia-63 (P4-1Q) on 0000:81:00.0
    ");
    let text = std::fs::read_to_string(definition(&host, P1, &uuid(1))).unwrap();
    assert_snapshot!(text, @r#"
    {
      "mdev_type": "nvidia-63",
      "start": "auto",
      "attrs": []
    }
    "#);
}

#[test]
fn a_name_that_stands_for_several_types_is_refused_with_the_choices() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let types = ["1", "2"].map(|id| format!("[[parent.type]]\nid = \"{id}\"\nname = \"Twin\"\n"));
    let parent = "[[parent]]\nid = \"0000:05:00.0\"\ndriver = \"acme\"\npool = 4\n";
    std::fs::write(file.path(), parent.to_owned() + &types.concat()).unwrap();
    let host = SimHost::start_file(file.path());
    let run = host.run("create --type Twin");
    assert_snapshot!(run.snapshot(&host), @r#"
    status: 2
    --- stdout
    --- stderr
    error: "Twin" matches several types
    hint: choose one by its id: acme-1 (Twin), acme-2 (Twin)
    "#);
    assert_eq!(counter(&host, "create_writes"), 0);
    host.run("create --type acme-2").expect(0);
}

#[test]
fn an_unknown_type_gets_a_suggestion_where_something_is_near() {
    let host = SimHost::start("two-p4");
    assert_snapshot!(host.run("create -t p4-1q").snapshot(&host), @r#"
    status: 3
    --- stdout
    --- stderr
    error: no parent has a type "p4-1q"
    hint: did you mean: nvidia-63 (GRID P4-1Q)
    "#);
    assert_snapshot!(host.run("create -t nvidia-999").snapshot(&host), @r#"
    status: 3
    --- stdout
    --- stderr
    error: no parent has a type "nvidia-999"
    hint: see all types: vgpuctl types
    "#);
    let run = host.run(&format!("create -t nvidia-999 -p {P2}")).expect(3);
    assert!(
        run.stderr
            .starts_with("error: 0000:82:00.0 has no type \"nvidia-999\"\n")
    );
    let run = host.run("create -t nvidia-63 -p 0000:99:00.0").expect(3);
    assert!(
        run.stderr
            .contains("available parents: 0000:81:00.0, 0000:82:00.0")
    );
}

#[test]
fn the_first_parent_with_room_is_taken_unless_one_is_named() {
    let host = SimHost::start("two-p4");
    host.run(&format!("create -t P4-8Q -u {}", uuid(1)))
        .expect(0);
    host.run(&format!("create -t P4-1Q -u {}", uuid(2)))
        .expect(0);
    assert_eq!(device(&host, &uuid(1), "parent"), P1);
    assert_eq!(device(&host, &uuid(2), "parent"), P2);

    let host = SimHost::start("two-p4");
    host.run(&format!("create -t P4-8Q -p {P2} -u {}", uuid(1)))
        .expect(0);
    assert_eq!(device(&host, &uuid(1), "parent"), P2);
}

#[test]
fn a_uuid_in_capitals_is_the_same_uuid() {
    let host = SimHost::start("two-p4");
    let capitals = uuid(1).to_uppercase();
    let run = host
        .run(&format!("create -t P4-1Q -u {capitals}"))
        .expect(0);
    assert_eq!(run.stdout.trim_end(), uuid(1));
    assert_eq!(host.active(), [uuid(1)]);
    assert_eq!(host.defined(), [uuid(1)]);
    host.run(&format!("create -t P4-1Q -u {}", uuid(1)))
        .expect(1);
}

#[test]
fn a_virtual_machines_number_becomes_proxmoxs_uuid() {
    let host = SimHost::start("two-p4");
    let run = host.run("create -t P4-1Q --vmid 100").expect(0);
    assert_eq!(run.stdout, "00000000-0000-0000-0000-000000000100\n");
    let run = host.run("create -t P4-1Q --vmid 100:1").expect(0);
    assert_eq!(run.stdout, "00000001-0000-0000-0000-000000000100\n");
    for bad in ["x", "100:", "-1", "1:2:3", "1234567890123"] {
        host.run(&format!("create -t P4-1Q --vmid={bad}")).expect(2);
    }
    assert_eq!(host.active().len(), 2);
}

#[test]
fn count_goes_over_several_gpus_where_one_is_not_enough() {
    let host = SimHost::start("two-p4");
    let run = host.run("create -t P4-2Q --count 6").expect(0);
    let mut made: Vec<&str> = run.stdout.lines().collect();
    made.sort_unstable();
    assert_eq!(host.active(), made);
    assert_eq!(host.defined(), made);
    let on_the_first = made
        .iter()
        .filter(|uuid| device(&host, uuid, "parent") == P1);
    assert_eq!(on_the_first.count(), 4);
}

#[test]
fn a_transient_device_has_no_definition_and_a_manual_one_is_not_restored() {
    let host = SimHost::start("two-p4");
    host.run(&format!("create -t P4-1Q -u {} --transient", uuid(1)))
        .expect(0);
    assert_eq!(host.defined(), [""; 0]);
    host.run(&format!("create -t P4-1Q -u {} --manual", uuid(2)))
        .expect(0);
    assert_eq!(host.defined(), [uuid(2)]);
    host.ctl(&["reboot"]);
    let run = host.run("restore").expect(0);
    assert_eq!(run.stdout, "");
    assert_eq!(host.active(), [""; 0]);
}

#[test]
fn a_dry_run_says_what_it_would_do_and_does_nothing() {
    let host = SimHost::start("two-p4");
    let run = host.run("create -t P4-4Q --count 3 --dry-run");
    assert_snapshot!(run.snapshot(&host), @"
    status: 0
    --- stdout
    would create a new device: nvidia-65 (P4-4Q) on 0000:81:00.0
    would create a new device: nvidia-65 (P4-4Q) on 0000:81:00.0
    would create a new device: nvidia-65 (P4-4Q) on 0000:82:00.0
    --- stderr
    ");
    let line = format!("create -t P4-1Q -u {} --dry-run", uuid(1));
    assert_snapshot!(host.run(&line).snapshot(&host), @"
    status: 0
    --- stdout
    would create a0000001-0000-4000-8000-000000000000: nvidia-63 (P4-1Q) on 0000:81:00.0
    --- stderr
    ");
    assert_eq!(counter(&host, "create_writes"), 0);
    assert!(!host.path("etc/mdevctl.d").exists());
    assert!(!host.path("run/vgpuctl").exists(), "not even a lock");
    host.run("create -t P4-1Q --count 17 --dry-run").expect(4);
    host.run("create -t nope --dry-run").expect(3);
}

#[test]
fn a_uuid_that_is_taken_is_refused_and_nothing_changes() {
    let host = SimHost::start("two-p4");
    host.run(&format!("create -t P4-1Q -u {}", uuid(1)))
        .expect(0);
    let run = host.run(&format!("create -t P4-1Q -u {} -p {P2}", uuid(1)));
    assert_snapshot!(run.snapshot(&host), @"
    status: 1
    --- stdout
    --- stderr
    error: a0000001-0000-4000-8000-000000000000 is already active as nvidia-63 on 0000:81:00.0
    hint: see: vgpuctl show a0000001-0000-4000-8000-000000000000
    ");

    let path = put_auto(&host, P2, &uuid(2), "nvidia-64");
    let before = std::fs::read(&path).unwrap();
    let run = host.run(&format!("create -t P4-1Q -u {} -p {P2}", uuid(2)));
    assert_snapshot!(run.snapshot(&host), @"
    status: 1
    --- stdout
    --- stderr
    error: a0000002-0000-4000-8000-000000000000 is already defined on 0000:82:00.0: [ROOT]/etc/mdevctl.d/0000:82:00.0/a0000002-0000-4000-8000-000000000000
    hint: start the defined device: vgpuctl start a0000002-0000-4000-8000-000000000000
    hint: or delete the definition first: vgpuctl undefine a0000002-0000-4000-8000-000000000000
    ");
    assert_eq!(std::fs::read(&path).unwrap(), before);
    assert_eq!(host.active(), [uuid(1)]);
}

#[test]
fn a_create_that_was_interrupted_after_its_definition_goes_on_when_repeated() {
    let host = SimHost::start("two-p4");
    let line = format!("create -t P4-1Q -p {P2} -u {}", uuid(1));
    host.run(&line).expect(0);
    host.ctl(&["reboot"]);
    assert_eq!(host.run(&line).expect(0).stdout.trim_end(), uuid(1));
    assert_eq!(host.active(), [uuid(1)]);
    assert_eq!(host.defined(), [uuid(1)]);
}

#[test]
fn arguments_that_contradict_each_other_are_refused() {
    let host = SimHost::start("two-p4");
    let one = uuid(1);
    for bad in [
        "create".to_owned(),
        "create -t P4-1Q --transient --manual".to_owned(),
        "create -t P4-1Q --count 0".to_owned(),
        format!("create -t P4-1Q -u {one} --vmid 100"),
        format!("create -t P4-1Q -u {one} --count 2"),
        "create -t P4-1Q --uuid {a0000001-0000-4000-8000-000000000000}".to_owned(),
        "create -t P4-1Q --attr nonsense".to_owned(),
    ] {
        let run = host.run(&bad).expect(2);
        assert_eq!(run.stdout, "", "{bad}");
        assert!(run.stderr.starts_with("error: "), "{run:?}");
    }
    assert_eq!(counter(&host, "create_writes"), 0);
}
