//! What the program itself has open while it removes devices of many GPUs at once is seen by nobody
//! as a holder: not by its own threads, not by another `vgpuctl`, not through its children.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::libc;

use crate::harness::{HeldOpen, Run, SimHost, finished};
use crate::helpers::{Beside, counter, uuid};
use crate::script;

/// What the kernel does when it is asked to close many descriptors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum CloseRange {
    Works,
    /// As before Linux 5.9, and under filters that do not know the call.
    Missing,
}

fn vgpuctl(host: &SimHost, line: &str, close_range: CloseRange) -> Command {
    let mut command = host.command(line.split_whitespace());
    if close_range == CloseRange::Missing {
        // SAFETY: the hook makes plain system calls only.
        unsafe { command.pre_exec(without_close_range) };
    }
    command
}

/// Has the kernel answer ENOSYS to close_range(2) from now on: seccomp(2) with a filter of one question.
fn without_close_range() -> std::io::Result<()> {
    let code = |code: u32| u16::try_from(code).unwrap();
    let statement = |what, k| libc::sock_filter {
        code: code(what),
        jt: 0,
        jf: 0,
        k,
    };
    let number = u32::try_from(libc::SYS_close_range).unwrap();
    let mut filter = [
        // The first word of `struct seccomp_data` is the call's number.
        statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0),
        libc::sock_filter {
            code: code(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K),
            jt: 0,
            jf: 1,
            k: number,
        },
        statement(
            libc::BPF_RET | libc::BPF_K,
            libc::SECCOMP_RET_ERRNO | libc::ENOSYS as u32,
        ),
        statement(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_ALLOW),
    ];
    let program = libc::sock_fprog {
        len: 4,
        filter: filter.as_mut_ptr(),
    };
    // SAFETY: both calls read what they are given, and nothing else.
    let failed = unsafe {
        libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0
            || libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &program) != 0
    };
    match failed {
        true => Err(std::io::Error::last_os_error()),
        false => Ok(()),
    }
}

fn declare(host: &SimHost, name: &str, groups: &str) -> PathBuf {
    let file = host.path("usr").join(name);
    let text = format!("version = 1\nunlisted = \"remove\"\n{groups}");
    fs::write(&file, text).unwrap();
    file
}

/// How often the large host is emptied: all of them with `make held`, a sample otherwise.
fn rounds() -> usize {
    match std::env::var("VGPUCTL_STRESS").as_deref() {
        Ok("all") => 100,
        _ => 3,
    }
}

/// Empties 16 GPUs of 64 vGPUs, again and again; also by a `restore` that finds all of them unfinished.
fn empty_again_and_again(close_range: CloseRange) {
    let host = SimHost::start("sixteen-p4");
    fs::write(
        host.path("etc/machine-id"),
        "0123456789abcdef0123456789abcdef\n",
    )
    .unwrap();
    let group = "[[group]]\nname = \"all\"\ntype = \"P4-2Q\"\ncount = 64\n";
    let (all, none) = (
        declare(&host, "all.toml", group),
        declare(&host, "none.toml", ""),
    );
    let apply = |file: &Path| format!("apply --yes {}", file.display());
    let mut failures: BTreeMap<&str, Vec<Run>> = BTreeMap::new();
    for _ in 0..rounds() {
        host.run(&apply(&all)).expect(0);
        let devices = host.active();
        assert_eq!(devices.len(), 64);
        let mut end = |what, line: &str| {
            let run = finished(vgpuctl(&host, line, close_range).output().unwrap());
            if run.status != 0 {
                failures.entry(what).or_default().push(run);
            }
        };
        for uuid in &devices {
            fs::write(host.path(&format!("run/vgpuctl/{uuid}.unfinished")), "").unwrap();
        }
        let removed = counter(&host, "removed");
        end("restore", "restore");
        assert_eq!(counter(&host, "removed"), removed + 64);
        end("apply", &apply(&none));
    }
    let of = |what| failures.get(what).map_or(0, Vec::len);
    println!(
        "close_range {close_range:?}: {} rounds of 64 vGPUs on 16 GPUs; restore failed {}, apply failed {}",
        rounds(),
        of("restore"),
        of("apply")
    );
    assert!(failures.is_empty(), "{failures:#?}");
    assert_eq!(host.active(), [""; 0]);
    assert_eq!(host.defined(), [""; 0]);
}

#[test]
fn sixteen_gpus_are_emptied_again_and_again() {
    empty_again_and_again(CloseRange::Works);
}

#[test]
fn sixteen_gpus_are_emptied_again_and_again_without_close_range() {
    empty_again_and_again(CloseRange::Missing);
}

/// The processes that have one of those files open, with what they have.
fn holders(files: &[PathBuf]) -> Vec<(String, PathBuf)> {
    let mut found = Vec::new();
    for process in fs::read_dir("/proc").unwrap().flatten() {
        let open = fs::read_dir(process.path().join("fd"))
            .into_iter()
            .flatten();
        for target in open
            .flatten()
            .filter_map(|fd| fs::read_link(fd.path()).ok())
        {
            if files.contains(&target) {
                let name = fs::read_to_string(process.path().join("comm")).unwrap_or_default();
                found.push((name, target));
            }
        }
    }
    found
}

/// While a device is being removed, its group cannot be opened, and is in no process's table.
#[test]
fn a_claim_keeps_others_out() {
    let host = SimHost::start("two-p4");
    host.run(&format!("create -t P4-1Q -u {}", uuid(1)))
        .expect(0);
    let shown = host.run(&format!("show {} --json", uuid(1))).expect(0);
    let group = PathBuf::from(shown.json()["device"]["vfio_group"].as_str().unwrap());
    let (told, go) = (host.path("run/told"), host.path("run/go"));
    for fifo in [&told, &go] {
        nix::unistd::mkfifo(fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
    }
    let text = format!(
        "#!/bin/sh\n[ \"$4 $6\" = 'pre stop' ] || exit 2\necho >'{}'\nread -r _ <'{}'\n",
        told.display(),
        go.display()
    );
    script::install(&host.path("etc/mdevctl.d/scripts.d/callouts/10-x"), &text);
    let remove = Beside::start(&host, &format!("remove {}", uuid(1)));
    fs::read(&told).unwrap();
    let opened = fs::OpenOptions::new().read(true).write(true).open(&group);
    let seen = holders(&[group]);
    fs::write(&go, "\n").unwrap();
    assert_eq!(remove.end().0, 0);
    assert_eq!(opened.unwrap_err().raw_os_error(), Some(libc::EBUSY));
    assert_eq!(seen, []);
    assert_eq!(host.active(), [""; 0]);
}

/// While the kernel removes a device, its group is in no process's table; nor does the child that may wait for the kernel for ever keep anything else of its parent's.
#[test]
fn a_child_that_waits_for_the_kernel_keeps_nothing() {
    for close_range in [CloseRange::Works, CloseRange::Missing] {
        let host = SimHost::start("two-p4");
        let mut groups = Vec::new();
        for (n, parent) in [(1, "0000:81:00.0"), (2, "0000:82:00.0")] {
            host.run(&format!("create -t P4-1Q -p {parent} -u {}", uuid(n)))
                .expect(0);
            let shown = host.run(&format!("show {} --json", uuid(n))).expect(0);
            groups.push(PathBuf::from(
                shown.json()["device"]["vfio_group"].as_str().unwrap(),
            ));
        }
        let none = declare(&host, "none.toml", "");
        host.ctl(&["delay-remove", "3000"]);
        let line = format!("apply --yes {}", none.display());
        let mut apply = vgpuctl(&host, &line, close_range)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let deadline = Instant::now() + Duration::from_secs(120);
        while counter(&host, "remove_writes") < 2 {
            assert!(Instant::now() < deadline, "nothing is removed");
            std::thread::sleep(Duration::from_millis(5));
        }
        let seen = holders(&groups);
        let locks: Vec<PathBuf> = ["0000:81:00.0", "0000:82:00.0"]
            .map(|parent| host.path(&format!("run/vgpuctl/{parent}.lock")))
            .into();
        let locks = holders(&locks);
        assert_eq!(
            counter(&host, "removed"),
            0,
            "it was over too soon to be seen"
        );
        assert_eq!(seen, [], "{close_range:?}");
        assert_eq!(
            locks.len(),
            2,
            "{close_range:?}: a child keeps a lock: {locks:?}"
        );
        host.ctl(&["mend"]);
        assert!(apply.wait().unwrap().success());
        assert_eq!(host.active(), [""; 0]);
    }
}

/// Nobody's word is taken for it: who holds a device is a holder, also under our name.
#[test]
fn a_holder_that_calls_itself_vgpuctl_is_one() {
    let host = SimHost::start("two-p4");
    host.run(&format!("create -t P4-1Q -u {}", uuid(1)))
        .expect(0);
    let shown = host.run(&format!("show {} --json", uuid(1))).expect(0);
    let group = PathBuf::from(shown.json()["device"]["vfio_group"].as_str().unwrap());
    let _held = HeldOpen::open_as("vgpuctl", &group);
    let none = declare(&host, "none.toml", "");
    let plan = host.run(&format!("plan {}", none.display()));
    assert!(plan.stdout.contains("(vgpuctl)"), "{plan:#?}");
    let apply = host.run(&format!("apply --yes {}", none.display()));
    assert_ne!(apply.status, 0);
    let said = format!("{}{}", apply.stdout, apply.stderr);
    assert!(said.contains("(vgpuctl)"), "{apply:#?}");
    let remove = host.run(&format!("remove {}", uuid(1))).expect(5);
    assert!(remove.stderr.contains("(vgpuctl)"), "{remove:#?}");
    assert_eq!(host.active(), [uuid(1)]);
}
