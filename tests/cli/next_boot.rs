//! What `restore --dry-run` says of the next boot, and whether that boot agrees.

use std::fs;
use std::os::unix::fs::symlink;

use crate::harness::{Run, SimHost};
use crate::helpers::{P1, put_auto, uuid};

const GPU: &str = "0000:41:00.0";

/// The UUIDs of the lines that begin so, in their order.
fn uuids<'r>(run: &'r Run, word: &str) -> Vec<&'r str> {
    let lines = run.stdout.lines().filter(|line| line.starts_with(word));
    let names = lines.filter_map(|line| line.strip_prefix(word)?.split_whitespace().next());
    names.filter(|name| name.len() == 36).collect()
}

/// Foretells a boot, boots, and compares: the same devices start, the same fail.
#[track_caller]
fn boot_as_foretold(host: &SimHost) -> (usize, usize) {
    let foretold = host.run("restore --dry-run");
    host.ctl(&["reboot"]);
    // The simulated host may have its functions on by itself.
    if host.path(&format!("sys/bus/pci/devices/{GPU}")).exists() {
        host.ctl(&["sriov-manage", "-d", GPU]);
    }
    let done = host.run("restore");
    assert_eq!(foretold.status, done.status, "{foretold:#?}\n{done:#?}");
    assert_eq!(
        uuids(&foretold, "would start"),
        uuids(&done, "started"),
        "{foretold:#?}\n{done:#?}"
    );
    let failed = uuids(&done, "failed");
    assert_eq!(
        uuids(&foretold, "failed"),
        failed,
        "{foretold:#?}\n{done:#?}"
    );
    (uuids(&done, "started").len(), failed.len())
}

#[test]
fn what_runs_now_and_is_gone_then_is_in_nobodys_way() {
    let host = SimHost::start("two-p4");
    host.run(&format!("create -t P4-2Q -p {P1} --transient"))
        .expect(0);
    host.run(&format!("create -t P4-2Q -p {P1} --manual"))
        .expect(0);
    put_auto(&host, P1, &uuid(1), "nvidia-63");
    let now = host.run("restore --dry-run --now").expect(7);
    assert!(now.stdout.contains("holds 2 x P4-2Q"), "{now:?}");
    let run = host
        .run(&format!("restore --dry-run --parent {P1}"))
        .expect(0);
    assert_eq!(uuids(&run, "would start"), [uuid(1)]);
    assert_eq!(boot_as_foretold(&host), (1, 0));
    // Without --dry-run there is no other time than now.
    host.run(&format!("stop {}", uuid(1))).expect(0);
    let run = host.run("restore --now").expect(0);
    assert_eq!(uuids(&run, "started"), [uuid(1)]);
}

#[test]
fn functions_are_off_then_unless_something_switches_them_on() {
    for (name, type_name) in [("l40s", "L40S-8Q"), ("a40-vf-mdev", "A40-8Q")] {
        let host = SimHost::start(name);
        host.run(&format!("vfs enable {GPU}")).expect(0);
        host.run(&format!("create -t {type_name} -u {}", uuid(1)))
            .expect(0);
        for _ in 0..2 {
            let run = host.run("restore --dry-run").expect(7);
            assert_eq!(uuids(&run, "failed"), [uuid(1)]);
            let why = format!("the virtual functions of {GPU} are off after a reboot");
            assert!(run.stdout.contains(&why), "{run:?}");
            let way = format!("vgpuctl vfs enable {GPU} --at-boot");
            assert!(run.stderr.contains(&way), "{run:?}");
            host.run("restore --dry-run --now");
            // Switched off already, nothing is different.
            host.run(&format!("stop {}", uuid(1)));
            host.ctl(&["sriov-manage", "-d", GPU]);
        }
        // Another's unit does it.
        let wants = host.path("etc/systemd/system/multi-user.target.wants");
        fs::create_dir_all(&wants).unwrap();
        let unit = wants.join("pve-nvidia-sriov@ALL.service");
        symlink("/dev/null", &unit).unwrap();
        let run = host.run("restore --dry-run").expect(0);
        assert_eq!(uuids(&run, "would start"), [uuid(1)]);
        fs::remove_file(unit).unwrap();

        host.run(&format!("vfs enable {GPU} --at-boot")).expect(0);
        let run = host.run("restore --dry-run").expect(0);
        let enabled = format!("would enable virtual functions on {GPU}");
        assert!(run.stdout.contains(&enabled), "{run:?}");
        assert_eq!(boot_as_foretold(&host), (1, 0));
        // They are on and stay on until the boot, and are switched on then all the same.
        assert!(
            host.run("restore --dry-run")
                .expect(0)
                .stdout
                .contains(&enabled)
        );
        assert!(
            !host
                .run("restore --dry-run --now")
                .expect(0)
                .stdout
                .contains(&enabled)
        );
    }
}

#[test]
fn the_memory_of_functions_is_counted() {
    let host = SimHost::start("l40s");
    host.run(&format!("vfs enable {GPU} --at-boot")).expect(0);
    for n in 1..=7 {
        let line = format!("define -t L40S-8Q -p {GPU} -u {}", uuid(n));
        host.run(&line).expect(0);
    }
    host.run(&format!("define -t L40S-24Q -p {GPU} -u {}", uuid(8)))
        .expect(0);
    let run = host.run("restore --dry-run").expect(7);
    assert_eq!(uuids(&run, "failed"), [uuid(7), uuid(8)]);
    assert_eq!(boot_as_foretold(&host), (6, 2));
    // A full GPU lists no types, and is foretold as an empty one.
    assert_eq!(boot_as_foretold(&host), (6, 2));
}

#[test]
fn modes_of_size_are_those_of_the_settings() {
    let host = SimHost::start("l40s");
    host.run(&format!("vfs enable {GPU} --at-boot")).expect(0);
    host.ctl(&["nvidia-smi", "vgpu", "-shm", "1", "-i", GPU]);
    host.run(&format!("create -t L40S-8Q -u {}", uuid(1)))
        .expect(0);
    host.run(&format!("create -t L40S-24Q -u {}", uuid(2)))
        .expect(0);
    let run = host.run("restore --dry-run").expect(7);
    assert_eq!(uuids(&run, "failed"), [uuid(2)]);
    let conf = host.path(&format!("etc/vgpuctl.d/{GPU}/gpu.conf"));
    fs::write(conf, "vfs = enable\nmixed-sizes = yes\n").unwrap();
    host.run("restore --dry-run").expect(0);
    assert_eq!(boot_as_foretold(&host), (2, 0));
}

#[test]
fn sets_of_all_sizes_boot_as_foretold() {
    let host = SimHost::start("two-p4");
    let types = ["nvidia-63", "nvidia-64", "nvidia-65", "nvidia-66"];
    let (mut started, mut failed) = (0, 0);
    for round in 0..6_u8 {
        for n in 0..4 {
            let kind = usize::from(round * 3 + n * (round + 1)) % types.len();
            let parent = [P1, "0000:82:00.0"][usize::from(n + round) % 2];
            put_auto(&host, parent, &uuid(round * 4 + n), types[kind]);
        }
        let (more, less) = boot_as_foretold(&host);
        (started, failed) = (started + more, failed + less);
    }
    assert!(
        started > 10 && failed > 10,
        "{started} started, {failed} failed"
    );
}
