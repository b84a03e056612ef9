//! A signal that ends the command while a script runs ends the script with all that it started.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::os::fd::AsFd;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, kill, killpg};
use nix::sys::stat::Mode;
use nix::unistd::{Pid, mkfifo};

use crate::harness::SimHost;
use crate::helpers::{P1, P2, put_auto, uuid};
use crate::script;

/// In a script: neither it nor its child lets itself be talked into ending.
const DEAF: &str = "trap '' INT HUP TERM; sleep 600 & while :; do wait; done";

/// A script for `pre start`, which tells of itself through a FIFO that it and its children hold.
struct Told(BufReader<File>);

impl Told {
    /// Puts the script there. Its end is `body`.
    fn script(host: &SimHost, body: &str) -> PathBuf {
        let directory = host.path("etc/mdevctl.d/scripts.d/callouts");
        std::fs::create_dir_all(&directory).unwrap();
        let fifo = host.path("run/told");
        std::fs::create_dir_all(fifo.parent().unwrap()).unwrap();
        mkfifo(&fifo, Mode::S_IRWXU).unwrap();
        let text = format!(
            "#!/bin/sh\n[ \"$4 $6\" = 'pre start' ] || exit 2\n\
             exec 9>'{}'\necho $$ >&9\n{body}\n",
            fifo.display()
        );
        let script = directory.join("10-x");
        script::install(&script, &text);
        fifo
    }

    /// Returns once a script runs.
    fn listen(fifo: &Path) -> Told {
        Told(BufReader::new(File::open(fifo).unwrap()))
    }

    /// The next script that runs, which ends with the test.
    fn next(&mut self) -> Script {
        let mut line = String::new();
        self.0.read_line(&mut line).unwrap();
        Script(Pid::from_raw(line.trim().parse().unwrap()))
    }

    /// Whether nobody who could tell anything is there any more.
    fn all_are_gone(&self) -> bool {
        let mut polled = [PollFd::new(self.0.get_ref().as_fd(), PollFlags::empty())];
        let gone = poll(&mut polled, PollTimeout::try_from(60_000).unwrap()).unwrap();
        gone == 1
    }
}

/// A script's process group.
struct Script(Pid);

impl Drop for Script {
    fn drop(&mut self) {
        let _ = killpg(self.0, Signal::SIGKILL);
    }
}

fn start(mut command: Command) -> Child {
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().unwrap()
}

/// `vgpuctl` as a terminal starts it, however the tests were started: those that run in the
/// background or under `nohup` have signals ignored, which their children inherit.
fn vgpuctl(host: &SimHost, args: &[&str]) -> Child {
    let mut command = Command::new("env");
    command
        .arg("--default-signal=HUP,INT,QUIT,TERM")
        .arg(env!("CARGO_BIN_EXE_vgpuctl"))
        .args(args)
        .env("VGPUCTL_ROOT", host.root())
        .stdin(Stdio::null());
    start(command)
}

fn send(child: &Child, signal: Signal) {
    let pid = Pid::from_raw(i32::try_from(child.id()).unwrap());
    kill(pid, signal).unwrap();
}

fn died_of(ended: ExitStatus) -> Option<Signal> {
    ended
        .signal()
        .map(|signal| Signal::try_from(signal).unwrap())
}

#[test]
fn whatever_ends_the_command_ends_its_script() {
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        let host = SimHost::start("two-p4");
        let file = put_auto(&host, P1, &uuid(1), "nvidia-63");
        let before = std::fs::read(&file).unwrap();
        let fifo = Told::script(&host, DEAF);
        let mut child = vgpuctl(&host, &["start", &uuid(1)]);
        let mut told = Told::listen(&fifo);
        let _script = told.next();
        send(&child, signal);
        assert_eq!(died_of(child.wait().unwrap()), Some(signal));
        assert!(told.all_are_gone(), "the script outlives {signal}");
        // As after any other end at this point.
        assert_eq!(host.active(), [""; 0]);
        assert_eq!(std::fs::read(&file).unwrap(), before);
        std::fs::remove_file(host.path("etc/mdevctl.d/scripts.d/callouts/10-x")).unwrap();
        host.run(&format!("start {}", uuid(1))).expect(0);
    }
}

#[test]
fn a_restore_ends_the_scripts_of_all_parents() {
    let host = SimHost::start("two-p4");
    put_auto(&host, P1, &uuid(1), "nvidia-63");
    put_auto(&host, P2, &uuid(2), "nvidia-63");
    let fifo = Told::script(&host, DEAF);
    let mut child = vgpuctl(&host, &["restore"]);
    let mut told = Told::listen(&fifo);
    let _scripts = [told.next(), told.next()];
    send(&child, Signal::SIGTERM);
    assert_eq!(died_of(child.wait().unwrap()), Some(Signal::SIGTERM));
    assert!(told.all_are_gone(), "a script outlives the command");
    assert_eq!(host.active(), [""; 0]);
}

#[test]
fn a_signal_that_the_caller_ignores_ends_nothing() {
    let host = SimHost::start("two-p4");
    put_auto(&host, P1, &uuid(1), "nvidia-63");
    let go = host.path("run/go");
    let fifo = Told::script(&host, &format!("read -r _ <'{}'", go.display()));
    mkfifo(&go, Mode::S_IRWXU).unwrap();
    let mut command = Command::new("sh");
    command
        .args(["-c", "trap '' HUP; exec \"$@\"", "sh"])
        .args([env!("CARGO_BIN_EXE_vgpuctl"), "start", &uuid(1)])
        .env("VGPUCTL_ROOT", host.root())
        .stdin(Stdio::null());
    let mut child = start(command);
    let mut told = Told::listen(&fifo);
    let _script = told.next();
    send(&child, Signal::SIGHUP);
    std::fs::write(&go, "go\n").unwrap();
    assert!(child.wait().unwrap().success());
    assert_eq!(host.active(), [uuid(1)]);
}

#[test]
fn after_the_script_a_signal_ends_the_command_as_before_it() {
    let host = SimHost::start("two-p4");
    put_auto(&host, P1, &uuid(1), "nvidia-63");
    put_auto(&host, "0000:99:00.0", &uuid(2), "nvidia-63");
    let fifo = Told::script(&host, "exit 0");
    // The second device's parent is waited for.
    let mut child = vgpuctl(&host, &["restore", "--wait", "600"]);
    let mut told = Told::listen(&fifo);
    let _script = told.next();
    assert!(told.all_are_gone());
    send(&child, Signal::SIGINT);
    assert_eq!(died_of(child.wait().unwrap()), Some(Signal::SIGINT));
}
