//! What the program makes: of its own mode whatever the caller's umask, in folders that nobody else
//! may write to.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime};

use crate::harness::{Run, SimHost, finished};
use crate::helpers::{P1, as_nobody, definition, put, put_auto, uuid};

const ATTRS: &str =
    r#"{"mdev_type":"nvidia-63","start":"auto","attrs":[{"nvidia/vgpu_params":"a=1\n"}]}"#;

/// Runs the program as a shell with that umask does.
fn under_umask(host: &SimHost, umask: &str, line: &str) -> Run {
    let script = format!("umask {umask}; exec \"$@\"");
    let output = Command::new("sh")
        .args(["-c", &script, "sh", env!("CARGO_BIN_EXE_vgpuctl")])
        .args(line.split_whitespace())
        .env("VGPUCTL_ROOT", host.root())
        .output();
    finished(output.unwrap())
}

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().mode() & 0o7777
}

/// The modes of everything below a folder and of itself: folders, files but locks, locks.
fn modes(path: &Path, all: &mut [Vec<u32>; 3]) {
    let meta = fs::symlink_metadata(path).unwrap();
    let is_lock = path.extension().is_some_and(|end| end == "lock");
    all[if meta.is_dir() {
        0
    } else {
        1 + usize::from(is_lock)
    }]
    .push(meta.mode() & 0o7777);
    if meta.is_dir() {
        for entry in fs::read_dir(path).unwrap() {
            modes(&entry.unwrap().path(), all);
        }
    }
}

#[test]
fn every_file_and_folder_has_its_own_mode_whatever_the_umask_is() {
    for umask in ["000", "022", "077", "0777"] {
        let host = SimHost::start("two-p4");
        under_umask(&host, umask, &format!("create -t P4-1Q -u {}", uuid(1))).expect(0);
        under_umask(&host, umask, "restore").expect(0);
        let functions = SimHost::with_l40s(1, 2);
        let create = "create -t L40S-1Q --param disable_vnc=1";
        under_umask(&functions, umask, create).expect(0);
        let mut all = Default::default();
        for path in [
            host.path("etc/mdevctl.d"),
            host.path("run/vgpuctl"),
            functions.path("etc/vgpuctl.d"),
            functions.path("run/vgpuctl"),
        ] {
            modes(&path, &mut all);
        }
        let [folders, files, locks] = all;
        assert!(folders.len() >= 7 && files.len() >= 4 && locks.len() >= 2);
        assert!(folders.iter().all(|mode| *mode == 0o755), "{umask}");
        assert!(files.iter().all(|mode| *mode == 0o644), "{umask}");
        assert!(locks.iter().all(|mode| *mode == 0o600), "{umask}");
    }
}

#[test]
fn a_definition_keeps_whose_it_is_and_who_may_read_it() {
    let host = SimHost::start("two-p4");
    let path = put_auto(&host, P1, &uuid(1), "nvidia-63");
    chown(&path, Some(1234), Some(5678)).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    host.run(&format!("modify {} --manual", uuid(1))).expect(0);
    let meta = fs::metadata(&path).unwrap();
    assert_eq!(
        (meta.uid(), meta.gid(), meta.mode() & 0o7777),
        (1234, 5678, 0o640)
    );
    assert!(fs::read_to_string(path).unwrap().contains("manual"));
}

#[test]
fn a_folder_of_locks_that_others_may_write_to_is_refused() {
    let host = SimHost::start("two-p4");
    let run = host.path("run/vgpuctl");
    fs::create_dir_all(&run).unwrap();
    let refuses = |what: &str| {
        let create = host.run("create -t P4-1Q").expect(6);
        assert!(create.stderr.contains(what), "{create:?}");
        assert!(create.stderr.contains("chmod go-w "), "{create:?}");
        assert!(create.stderr.contains("run/vgpuctl"), "{create:?}");
        assert_eq!(fs::read_dir(&run).unwrap().count(), 0);
        assert_eq!((host.active().len(), host.defined().len()), (0, 0));
    };
    fs::set_permissions(&run, fs::Permissions::from_mode(0o777)).unwrap();
    refuses("the directory is writable by others (mode 0777)");
    fs::set_permissions(&run, fs::Permissions::from_mode(0o755)).unwrap();
    chown(&run, Some(65534), None).unwrap();
    refuses("the directory is owned by user 65534");
    // Who may not change anything is told so, as ever.
    chown(&run, Some(0), None).unwrap();
    as_nobody(&host, "create -t P4-1Q").expect(6);
    host.run("create -t P4-1Q").expect(0);
}

#[test]
fn a_link_in_the_place_of_what_is_made_is_not_followed() {
    let host = SimHost::start("two-p4");
    let outside = host.path("outside");
    fs::create_dir_all(host.path("run/vgpuctl")).unwrap();
    let lock = host.path(&format!("run/vgpuctl/{P1}.lock"));
    symlink(&outside, &lock).unwrap();
    let create = format!(
        "create -t P4-1Q -p {P1} --param disable_vnc=1 -u {}",
        uuid(1)
    );
    host.run(&create).expect(1);
    fs::remove_file(&lock).unwrap();
    // A mark's place is taken, and given up.
    let mark = host.path(&format!("run/vgpuctl/{}.unfinished", uuid(1)));
    symlink(&outside, &mark).unwrap();
    host.run(&create).expect(0);
    assert!(fs::symlink_metadata(&mark).is_err());
    fs::remove_dir_all(host.path("run/vgpuctl")).unwrap();
    symlink(host.path("etc"), host.path("run/vgpuctl")).unwrap();
    let create = host.run("create -t P4-1Q").expect(1);
    assert!(create.stderr.contains("run/vgpuctl"), "{create:?}");
    assert!(!outside.exists());
}

#[test]
fn records_in_a_folder_that_others_may_write_to_say_nothing() {
    let host = SimHost::with_l40s(1, 2);
    host.run("create -t L40S-1Q").expect(0);
    let records = host.path("run/vgpuctl/vfs");
    assert_eq!(mode(&records), 0o755);
    let known = host.run("list --json").expect(0).json();
    fs::set_permissions(&records, fs::Permissions::from_mode(0o777)).unwrap();
    let doubted = host.run("list --json").expect(7).json();
    assert_ne!(doubted["devices"], known["devices"]);
    assert_eq!(doubted["warnings"][0]["path"], records.to_str().unwrap());
}

#[test]
fn marks_that_a_kill_left_are_swept_by_restore() {
    let host = SimHost::start("two-p4");
    put(&host, P1, &uuid(1), ATTRS);
    host.run("restore").expect(0);
    let mark = |n| host.path(&format!("run/vgpuctl/{}.unfinished", uuid(n)));
    // Of a device that is there, of one that is not, and one that names no parent.
    fs::write(mark(1), P1).unwrap();
    fs::write(mark(2), P1).unwrap();
    fs::write(mark(3), "").unwrap();
    // Half of one, of a writer that is no more, and of one that may be at work.
    let half = |name: &str, age: u64| {
        let path = host.path("run/vgpuctl").join(name);
        let file = fs::File::create(&path).unwrap();
        let time = SystemTime::now() - Duration::from_secs(age);
        file.set_modified(time).unwrap();
        path
    };
    let dead = half(&format!(".{}.unfinished.2147483646", uuid(4)), 600);
    let alive = half(
        &format!(".{}.unfinished.{}", uuid(4), std::process::id()),
        600,
    );
    host.run("restore --dry-run").expect(0);
    assert!(mark(2).exists() && mark(3).exists() && dead.exists());
    host.run(&format!("restore --parent {}", crate::helpers::P2))
        .expect(0);
    assert!(mark(2).exists() && !mark(3).exists());
    assert!(alive.exists() && !dead.exists());
    host.run("restore").expect(0);
    assert!((1..=3).all(|n| !mark(n).exists()));
    assert_eq!(host.active(), [uuid(1)]);
    assert!(definition(&host, P1, &uuid(1)).exists());
}
