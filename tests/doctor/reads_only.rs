//! The doctor changes nothing: proved by its system calls, and by the host afterwards.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;

use crate::{hosts, tree::Tree};

/// Every file's size and times, and every link's target.
fn state(tree: &Tree) -> BTreeMap<String, String> {
    fn walk(dir: &Path, found: &mut BTreeMap<String, String>) {
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            let meta = std::fs::symlink_metadata(&path).unwrap();
            let what = format!(
                "{:o} {} {} {} {:?}",
                meta.mode(),
                meta.size(),
                meta.mtime_nsec(),
                meta.ctime_nsec(),
                std::fs::read_link(&path).ok()
            );
            found.insert(path.display().to_string(), what);
            if meta.is_dir() {
                walk(&path, found);
            }
        }
    }
    let mut found = BTreeMap::new();
    walk(tree.root(), &mut found);
    found
}

#[test]
fn no_system_call_writes_starts_or_asks_anybody() {
    // One that is broken in many ways takes more paths than a healthy one.
    let tree = hosts::gtx_1080_ti();
    hosts::define(&tree, "0000:99:00.0", 1, "nvidia-47");
    tree.without("etc/systemd/system/nvidia-vgpud.service.d/vgpu_unlock.conf");
    let before = state(&tree);
    let log = tempfile::NamedTempFile::new().unwrap();
    let run = Command::new("strace")
        .args(["-f", "-qq", "-o"])
        .arg(log.path())
        .args(["-e", "trace=%file,%process,%network,write,kill,ioctl", "--"])
        .args([env!("CARGO_BIN_EXE_vgpuctl"), "doctor"])
        .env("VGPUCTL_ROOT", tree.root())
        .env_remove("LD_LIBRARY_PATH")
        .output()
        .unwrap();
    assert_eq!(run.status.code(), Some(1), "{run:?}");
    let log = std::fs::read_to_string(log.path()).unwrap();
    let mut opened = 0;
    for line in log.lines() {
        let call = line
            .split_once(' ')
            .map_or(line, |(_, call)| call.trim_start());
        let name = call.split('(').next().unwrap();
        let harmless = match name {
            "open" | "openat" => {
                opened += 1;
                call.contains("O_RDONLY") || call.contains("O_PATH")
            }
            // Standard output and standard error.
            "write" => call.starts_with("write(1,") || call.starts_with("write(2,"),
            "ioctl" => call.contains("TCGETS") || call.contains("TIOCGWINSZ"),
            "execve" => call.contains("/vgpuctl"),
            "access" | "stat" | "lstat" | "newfstatat" | "statx" | "readlink" | "readlinkat"
            | "getcwd" | "statfs" | "exit_group" | "exit" | "faccessat" | "faccessat2" => true,
            // strace's own lines.
            name => name.starts_with("+++") || name.starts_with("---"),
        };
        assert!(harmless, "{line}");
    }
    assert!(opened > 100, "only {opened} files were opened:\n{log}");
    assert_eq!(state(&tree), before);
}

/// "Not checked" is told where a file may not be read, never "ok".
#[test]
fn what_may_not_be_read_is_not_checked() {
    let tree = hosts::gtx_1080_ti();
    // A directory in a file's place cannot be read by root either.
    tree.without("proc/modules").dir("proc/modules");
    let run = tree.run(&["modules"]);
    let text = String::from_utf8(run.stdout).unwrap();
    assert!(text.starts_with("not checked modules: "), "{text}");
    assert!(!text.contains("ok          modules"), "{text}");
}

/// A user without rights is told what he could not see, and it is not called well.
#[test]
fn what_only_root_may_read_is_not_checked_for_others() {
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::process::CommandExt;
    let tree = hosts::gtx_1080_ti();
    let close = |below: &str, mode: u32| {
        std::fs::set_permissions(tree.path(below), PermissionsExt::from_mode(mode)).unwrap();
    };
    close("", 0o755);
    close("etc/vgpu_unlock/profile_override.toml", 0o600);
    close("proc/1712/maps", 0o400);
    // That user may not come near the build's folder.
    let copy = tree.path("usr/vgpuctl-copy");
    let copied = Command::new("cp")
        .arg(env!("CARGO_BIN_EXE_vgpuctl"))
        .arg(&copy)
        .status();
    assert!(copied.unwrap().success());
    let ask = || {
        let run = Command::new(&copy)
            .args(["doctor", "profile-override", "unlock-wiring", "daemons"])
            .env("VGPUCTL_ROOT", tree.root())
            .env_remove("LD_LIBRARY_PATH")
            .uid(65534)
            .gid(65534)
            .output();
        String::from_utf8(run.unwrap().stdout).unwrap()
    };
    let text = ask();
    let unseen = "not checked unlock-wiring: cannot tell whether the running nvidia-vgpu-mgr has \
                  loaded the unlock";
    assert!(text.contains(unseen), "{text}");
    close(
        "etc/systemd/system/nvidia-vgpud.service.d/vgpu_unlock.conf",
        0o600,
    );
    let text = ask();
    assert!(text.contains("not checked profile-override: "), "{text}");
    assert!(!text.contains("ok          profile-override"), "{text}");
    assert!(
        text.contains("not checked unlock-wiring: cannot read\n"),
        "{text}"
    );
    assert!(
        text.contains("vgpu_unlock.conf: Permission denied (EACCES)"),
        "{text}"
    );
    assert!(
        text.contains("not checked daemons: cannot read\n"),
        "{text}"
    );
    assert!(text.contains("run it again with sudo"), "{text}");
}
