//! `restore`: what runs at boot.

use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use insta::assert_snapshot;

use crate::harness::{SimHost, finished};
use crate::helpers::{Beside, P1, P2, counter, device, put_auto, uuid};

/// Two definitions on each GPU, and a manual one.
fn host_with_definitions() -> SimHost {
    let host = SimHost::start("two-p4");
    put_auto(&host, P2, &uuid(3), "nvidia-64");
    put_auto(&host, P1, &uuid(4), "nvidia-63");
    put_auto(&host, P2, &uuid(1), "nvidia-64");
    put_auto(&host, P1, &uuid(2), "nvidia-63");
    host.run(&format!("define -t P4-1Q -p {P1} -u {} --manual", uuid(5)))
        .expect(0);
    host
}

#[test]
fn every_auto_definition_is_started_in_order_of_parent_and_uuid() {
    let host = host_with_definitions();
    assert_snapshot!(host.run("restore").snapshot(&host), @"
    status: 0
    --- stdout
    started  a0000002-0000-4000-8000-000000000000 nvidia-63 (P4-1Q) on 0000:81:00.0
    started  a0000004-0000-4000-8000-000000000000 nvidia-63 (P4-1Q) on 0000:81:00.0
    started  a0000001-0000-4000-8000-000000000000 nvidia-64 (P4-2Q) on 0000:82:00.0
    started  a0000003-0000-4000-8000-000000000000 nvidia-64 (P4-2Q) on 0000:82:00.0
    --- stderr
    ");
    assert_eq!(host.active(), [uuid(1), uuid(2), uuid(3), uuid(4)]);
}

#[test]
fn a_second_restore_finds_all_as_wanted_and_writes_nothing() {
    let host = host_with_definitions();
    host.run("restore").expect(0);
    let run = host.run("restore").expect(0);
    assert_eq!(run.stdout.matches("active   ").count(), 4, "{run:?}");
    assert_eq!(counter(&host, "create_writes"), 4);
    // One that is missing is started, the others are left alone.
    host.run(&format!("stop {}", uuid(3))).expect(0);
    let run = host.run("restore").expect(0);
    assert_eq!(run.stdout.matches("active   ").count(), 3, "{run:?}");
    assert!(run.stdout.contains(&format!("started  {}", uuid(3))));
    assert_eq!(counter(&host, "create_writes"), 5);
}

#[test]
fn it_can_be_limited_to_one_parent() {
    let host = host_with_definitions();
    host.run(&format!("restore --parent {P2}")).expect(0);
    assert_eq!(host.active(), [uuid(1), uuid(3)]);
}

#[test]
fn a_dry_run_starts_nothing() {
    let host = host_with_definitions();
    host.run(&format!("start {}", uuid(1))).expect(0);
    let run = host.run("restore --dry-run").expect(0);
    assert_eq!(
        run.stdout.matches("would start ").count(),
        4,
        "as if nothing ran: {run:?}"
    );
    let run = host.run("restore --dry-run --now").expect(0);
    assert_eq!(run.stdout.matches("would start ").count(), 3, "{run:?}");
    assert!(run.stdout.contains(&format!("active   {}", uuid(1))));
    assert_eq!(counter(&host, "create_writes"), 1);
}

#[test]
fn one_that_fails_has_its_line_and_does_not_stop_the_others() {
    let host = host_with_definitions();
    host.ctl(&["fail-create", "1", "EINVAL"]);
    let run = host.run(&format!("restore --parent {P1}"));
    assert_snapshot!(run.snapshot(&host), @"
    status: 7
    --- stdout
    failed   a0000002-0000-4000-8000-000000000000 nvidia-63 (P4-1Q) on 0000:81:00.0: cannot create a0000002-0000-4000-8000-000000000000 of type nvidia-63 on 0000:81:00.0: [ROOT]/sys/class/mdev_bus/0000:81:00.0/mdev_supported_types/nvidia-63/create: Invalid argument (EINVAL)
    started  a0000004-0000-4000-8000-000000000000 nvidia-63 (P4-1Q) on 0000:81:00.0
    --- stderr
    hint: the kernel does not accept this UUID here, or the type has just been withdrawn
    ");
    assert_eq!(host.active(), [uuid(4)]);
    assert_eq!(host.defined().len(), 5, "no definition is lost");
    host.run("restore").expect(0);
}

#[test]
fn one_failure_alone_is_exit_7_too() {
    let host = SimHost::start("two-p4");
    put_auto(&host, "0000:99:00.0", &uuid(1), "nvidia-63");
    let run = host.run("restore");
    assert_snapshot!(run.snapshot(&host), @"
    status: 7
    --- stdout
    failed   a0000001-0000-4000-8000-000000000000 nvidia-63 on 0000:99:00.0: parent 0000:99:00.0 not found
    --- stderr
    hint: available parents: 0000:81:00.0, 0000:82:00.0
    hint: if its card is now at 0000:81:00.0, move all of its definitions there: vgpuctl export > host.toml; sed -i 's/0000:99:00.0/0000:81:00.0/' host.toml; vgpuctl apply host.toml
    ");
}

#[test]
fn a_uuid_that_two_parents_claim_goes_to_the_first_every_time() {
    let host = SimHost::start("two-p4");
    put_auto(&host, P2, &uuid(1), "nvidia-64");
    put_auto(&host, P1, &uuid(1), "nvidia-63");
    for _ in 0..5 {
        let run = host.run("restore").expect(7);
        assert_eq!(run.stdout.lines().count(), 2, "{run:?}");
        assert!(run.stdout.contains("is set to start on both"), "{run:?}");
        assert_eq!(device(&host, &uuid(1), "parent"), P1);
        host.ctl(&["reboot"]);
    }
    host.run(&format!("modify {} --parent {P1} --manual", uuid(1)))
        .expect(0);
    host.run("restore").expect(0);
    assert_eq!(device(&host, &uuid(1), "parent"), P2);
}

#[test]
fn a_late_parent_is_waited_for() {
    let host = host_with_definitions();
    host.ctl(&["detach", P2]);
    host.ctl(&["attach-after", P2, "700"]);
    let run = host.run("restore --wait 120").expect(0);
    assert_eq!(run.stdout.matches("started ").count(), 4, "{run:?}");
    assert_eq!(host.active().len(), 4);
}

#[test]
fn the_other_gpu_does_not_wait_for_the_late_one() {
    let host = host_with_definitions();
    host.ctl(&["detach", P2]);
    let mut restore = Beside::start(&host, "restore --wait 120");
    restore.until("waiting for 0000:82:00.0");
    let deadline = Instant::now() + Duration::from_secs(60);
    while host.active() != [uuid(2), uuid(4)] {
        assert!(Instant::now() < deadline, "{:?}", host.active());
    }
    host.ctl(&["attach", P2]);
    let (status, stdout) = restore.end();
    assert_eq!(status, 0, "{stdout}");
    assert_eq!(host.active().len(), 4);
}

#[test]
fn waiting_for_a_parent_that_never_comes_ends() {
    let host = host_with_definitions();
    host.ctl(&["detach", P2]);
    let run = host.run("restore --wait 1").expect(7);
    assert_eq!(
        run.stdout.matches("parent 0000:82:00.0 not found").count(),
        2
    );
    assert_eq!(host.active(), [uuid(2), uuid(4)]);
}

#[test]
fn gpus_go_in_parallel_and_the_devices_of_one_gpu_in_sequence() {
    let host = host_with_definitions();
    host.ctl(&["delay-create", "1500"]);
    let restore = Beside::start(&host, "restore");
    let deadline = Instant::now() + Duration::from_secs(60);
    let mut most_at_once = 0;
    while counter(&host, "created") < 4 {
        assert!(Instant::now() < deadline, "{}", host.status());
        let status = host.status();
        let devices = status["devices"].as_array().unwrap().iter();
        let creating: Vec<&str> = devices
            .filter(|device| device["stage"] == "creating")
            .map(|device| device["parent"].as_str().unwrap())
            .collect();
        for parent in [P1, P2] {
            let here = creating.iter().filter(|p| **p == parent).count();
            assert!(here <= 1, "{parent} makes {here} at once");
        }
        most_at_once = most_at_once.max(creating.len());
    }
    assert_eq!(restore.end().0, 0);
    assert_eq!(most_at_once, 2, "both GPUs work at the same time");
}

#[test]
fn two_restores_at_once_make_each_device_once() {
    let host = host_with_definitions();
    let (first, second) = (
        Beside::start(&host, "restore"),
        Beside::start(&host, "restore"),
    );
    let ends = [first.end(), second.end()];
    assert!(ends.iter().all(|(status, _)| *status == 0), "{ends:?}");
    assert_eq!(counter(&host, "created"), 4);
    assert_eq!(counter(&host, "create_writes"), 4);
}

#[test]
fn after_a_reboot_all_is_back_as_it_was() {
    let host = SimHost::start("m10");
    host.run("create -t M10-2Q --count 6").expect(0);
    host.run("create -t M10-1Q --count 9").expect(0);
    let before = host.active();
    let list = host.run("list").expect(0).stdout;
    host.ctl(&["reboot"]);
    host.run("restore").expect(0);
    assert_eq!(host.active(), before);
    assert_eq!(host.run("list").expect(0).stdout, list);
}

#[test]
fn where_no_thread_can_be_started_all_is_done_one_after_the_other() {
    let host = SimHost::start("two-p4");
    put_auto(&host, P1, &uuid(1), "nvidia-63");
    put_auto(&host, P2, &uuid(2), "nvidia-63");
    let log = tempfile::NamedTempFile::new().unwrap();
    let refused = "--inject=clone3:error=EAGAIN";
    let options = [
        "-f",
        "-qq",
        "--trace=clone3",
        refused,
        "-o",
        log.path().to_str().unwrap(),
    ];
    let output = host.strace(&options, ["restore"]).output().unwrap();
    finished(output).expect(0);
    assert_eq!(host.active(), [uuid(1), uuid(2)]);
    let calls = std::fs::read_to_string(log.path()).unwrap();
    assert!(calls.contains("EAGAIN"), "no thread was asked for: {calls}");
}

#[test]
fn parents_that_are_still_to_come_keep_no_other_waiting_however_many_they_are() {
    let host = SimHost::start("two-p4");
    for n in 0..70 {
        // Their turn comes before that of those that are there.
        put_auto(&host, &format!("0000:{n:02x}:00.0"), &uuid(n), "nvidia-63");
    }
    put_auto(&host, P2, &uuid(99), "nvidia-63");
    let mut restore = host.command(["restore", "--wait", "600"]);
    let mut restore = restore
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let long_after = Instant::now() + Duration::from_secs(60);
    while host.active() != [uuid(99)] {
        assert!(
            Instant::now() < long_after,
            "it waits for what is not there"
        );
        assert_eq!(restore.try_wait().unwrap(), None);
        thread::yield_now();
    }
    let threads = std::fs::read_dir(format!("/proc/{}/task", restore.id()))
        .unwrap()
        .count();
    restore.kill().unwrap();
    restore.wait().unwrap();
    assert!(threads <= 32, "{threads} threads");
}

#[test]
fn types_that_are_listed_late_do_not_change_the_order_of_sizes() {
    const GPU: &str = "0000:41:00.0";
    let host = SimHost::with_l40s(1, 3);
    // In the order of UUIDs, 8 and 16 GiB leave no placement ID for 24.
    for (n, size) in [(1, 8), (2, 16), (3, 24)] {
        host.run(&format!("define -t L40S-{size}Q -p {GPU} -u {}", uuid(n)))
            .expect(0);
    }
    let settings = host.path("etc/vgpuctl.d").join(GPU).join("gpu.conf");
    std::fs::write(settings, "mixed-sizes = yes\n").unwrap();
    host.ctl(&["reboot"]);
    for n in 4..7 {
        let file = format!("0000:41:00.{n}/nvidia/creatable_vgpu_types");
        host.ctl(&["break", &file, "empty"]);
    }
    let mut restore = Beside::start(&host, "restore --wait 120");
    restore.until("waiting for 0000:41:00.0");
    host.ctl(&["mend"]);
    let (status, stdout) = restore.end();
    assert_eq!(status, 0, "{stdout}");
    assert_eq!(stdout.matches("started ").count(), 3, "{stdout}");
}
