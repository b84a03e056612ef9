//! Streams that are closed or full.

use std::fs::OpenOptions;
use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};

use nix::fcntl::OFlag;
use nix::unistd::pipe2;

use crate::harness::{Run, SimHost, finished};
use crate::helpers::{P1, put_auto, uuid};

/// The writing end of a pipe that nobody reads.
fn nobody_reads() -> OwnedFd {
    pipe2(OFlag::O_CLOEXEC).unwrap().1
}

fn full() -> Stdio {
    OpenOptions::new()
        .write(true)
        .open("/dev/full")
        .unwrap()
        .into()
}

fn with_stdout(host: &SimHost, line: &str, stdout: impl Into<Stdio>) -> Run {
    let mut command = host.command(line.split_whitespace());
    let command = command.stdout(stdout).stderr(Stdio::piped());
    finished(command.spawn().unwrap().wait_with_output().unwrap())
}

/// A shell's line about `vgpuctl`, as `$0`.
fn shell(host: &SimHost, script: &str) -> Run {
    let mut command = Command::new("bash");
    command
        .args(["-o", "pipefail", "-c", script])
        .arg(env!("CARGO_BIN_EXE_vgpuctl"))
        .env("VGPUCTL_ROOT", host.root());
    finished(command.output().unwrap())
}

const ANSWERING: [&str; 6] = [
    "types",
    "gpus",
    "list",
    "types --json",
    "restore --json",
    "--help",
];

#[test]
fn a_reader_that_has_read_enough_is_no_error() {
    // More than a pipe holds, so that the writer meets the closed end.
    let host = SimHost::start("sixteen-p4");
    for verb in ["types", "types --json"] {
        let run = shell(&host, &format!("\"$0\" {verb} | head -1")).expect(0);
        assert_eq!(run.stdout.lines().count(), 1);
        assert_eq!(run.stderr, "", "{verb}");
    }
}

#[test]
fn a_pipe_that_nobody_reads_is_no_error() {
    let host = SimHost::start("two-p4");
    put_auto(&host, P1, &uuid(1), "nvidia-63");
    for verb in ANSWERING {
        let run = with_stdout(&host, verb, nobody_reads()).expect(0);
        assert_eq!(run.stderr, "", "{verb}");
    }
    // The work is done all the same.
    with_stdout(&host, "create -t P4-1Q", nobody_reads()).expect(0);
    assert_eq!(host.active().len(), 2);
}

#[test]
fn a_full_disk_is_an_error() {
    let host = SimHost::start("two-p4");
    put_auto(&host, P1, &uuid(1), "nvidia-63");
    for verb in ANSWERING {
        let run = with_stdout(&host, verb, full()).expect(1);
        assert!(
            run.stderr.contains("cannot write to standard output"),
            "{run:?}"
        );
        assert!(!run.stderr.contains("panicked"), "{run:?}");
    }
}

#[test]
fn streams_that_are_not_open_at_all_are_no_error() {
    let host = SimHost::start("two-p4");
    for redirection in [">&-", "2>&-", ">&- 2>&-", "<&- >&- 2>&-"] {
        for verb in ["types", "types --json", "gpus", "list -v", "restore"] {
            shell(&host, &format!("\"$0\" {verb} {redirection}")).expect(0);
        }
        shell(&host, &format!("\"$0\" show {} {redirection}", uuid(9))).expect(3);
        shell(&host, &format!("\"$0\" nonsense {redirection}")).expect(2);
        let make = format!("\"$0\" create -t P4-1Q -u {} {redirection}", uuid(1));
        shell(&host, &make).expect(0);
        assert_eq!(host.active(), [uuid(1)]);
        shell(&host, &format!("\"$0\" remove {} {redirection}", uuid(1))).expect(0);
        assert_eq!(host.active(), [""; 0]);
        assert_eq!(host.defined(), [""; 0]);
    }
}

#[test]
fn messages_that_nobody_can_read_do_not_change_the_exit_status() {
    let host = SimHost::start("two-p4");
    let stderr = |line: &str, stderr: Stdio| {
        let mut command = host.command(line.split_whitespace());
        let status = command.stdout(Stdio::null()).stderr(stderr).status();
        status.unwrap().code()
    };
    for line in ["-v types", "list"] {
        assert_eq!(stderr(line, full()), Some(0), "{line}");
        assert_eq!(stderr(line, nobody_reads().into()), Some(0), "{line}");
    }
    for line in ["create -t nope", "create -t nope --json"] {
        assert_eq!(stderr(line, full()), Some(3), "{line}");
        assert_eq!(stderr(line, nobody_reads().into()), Some(3), "{line}");
    }
    assert_eq!(stderr("nonsense", full()), Some(2));
    assert_eq!(stderr("nonsense", nobody_reads().into()), Some(2));
}

#[test]
fn what_is_no_terminal_gets_neither_colour_nor_borders() {
    let host = SimHost::start("two-p4");
    for verb in ["types", "gpus", "list"] {
        let run = host.run(verb);
        assert!(
            run.stdout.is_ascii() && !run.stdout.contains('\u{1b}'),
            "{run:?}"
        );
        assert!(
            run.stdout.lines().all(|line| line == line.trim_end()),
            "{run:?}"
        );
    }
}
