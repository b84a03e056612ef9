//! A signal between the steps of a command: the step ends, and nothing is left half done.

use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::harness::SimHost;
use crate::helpers::{P1, P2, counter, uuid};

const ALL: [Signal; 3] = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP];

/// `vgpuctl` as a terminal starts it, whatever this process has ignored.
fn start(host: &SimHost, line: &str) -> Child {
    Command::new("env")
        .arg("--default-signal=HUP,INT,QUIT,TERM")
        .arg(env!("CARGO_BIN_EXE_vgpuctl"))
        .args(line.split_whitespace())
        .env("VGPUCTL_ROOT", host.root())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Returns once a counter of the simulated kernel is as high.
#[track_caller]
fn until(host: &SimHost, name: &str, least: u64) {
    let deadline = Instant::now() + Duration::from_secs(300);
    while counter(host, name) < least {
        assert!(Instant::now() < deadline, "{name} stays below {least}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Sends the signal; what it says then on both its outputs.
#[track_caller]
fn ended_by(signal: Signal, child: Child) -> (String, String) {
    kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), signal).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    let (stdout, stderr) = (text(output.stdout), text(output.stderr));
    assert_eq!(
        output.status.signal(),
        Some(signal as i32),
        "{stdout}{stderr}"
    );
    (stdout, stderr)
}

#[test]
fn create_takes_back_what_it_made() {
    for signal in ALL {
        let host = SimHost::start("two-p4");
        host.run(&format!("create -t P4-1Q -u {}", uuid(1)))
            .expect(0);
        host.ctl(&["delay-create", "500"]);
        let child = start(&host, "create -t P4-1Q --count 12");
        until(&host, "created", 3);
        let (stdout, stderr) = ended_by(signal, child);
        assert_eq!(stdout, "");
        assert!(
            stderr.contains(&format!("create was ended by {signal}")),
            "{stderr}"
        );
        assert!(stderr.contains("rolled back all "), "{stderr}");
        assert_eq!(host.active(), [uuid(1)]);
        assert_eq!(host.defined(), [uuid(1)]);
    }
}

#[test]
fn apply_says_how_far_it_came_and_goes_on_from_there() {
    for signal in ALL {
        let host = SimHost::start("two-p4");
        let machine = host.path("etc/machine-id");
        std::fs::write(machine, "0123456789abcdef0123456789abcdef\n").unwrap();
        let file = host.path("usr/host.toml");
        let text = "version = 1\n[[group]]\nname = \"all\"\ntype = \"P4-1Q\"\ncount = 16\n";
        std::fs::write(&file, text).unwrap();
        host.ctl(&["delay-create", "500"]);
        let line = format!("apply --yes {}", file.display());
        let child = start(&host, &line);
        until(&host, "created", 2);
        let (_, stderr) = ended_by(signal, child);
        let active = host.active();
        let wanted = format!("{} of 16 pending vGPU changes were made", active.len());
        assert!(
            stderr.contains(&format!("apply was ended by {signal}: {wanted}")),
            "{stderr}"
        );
        assert!(
            stderr.contains("run the same command again to continue"),
            "{stderr}"
        );
        assert!((2..16).contains(&active.len()), "{active:?}");
        assert_eq!(host.defined(), active);
        host.ctl(&["mend"]);
        host.run(&line).expect(0);
        assert_eq!(host.active().len(), 16);
        assert_eq!(
            counter(&host, "created"),
            16,
            "what was done is not done again"
        );
    }
}

#[test]
fn what_is_removed_goes_with_its_definition() {
    let host = SimHost::start("two-p4");
    for n in 1..=6 {
        host.run(&format!("create -t P4-1Q -u {}", uuid(n)))
            .expect(0);
    }
    host.ctl(&["delay-remove", "700"]);
    let uuids: Vec<String> = (1..=6).map(uuid).collect();
    let child = start(&host, &format!("remove {}", uuids.join(" ")));
    until(&host, "remove_writes", 2);
    ended_by(Signal::SIGTERM, child);
    let left = host.active();
    assert!((1..6).contains(&left.len()), "{left:?}");
    assert_eq!(host.defined(), left);
}

#[test]
fn a_restore_ends_with_the_devices_that_are_begun() {
    let host = SimHost::start("two-p4");
    for n in 1..=8 {
        let parent = [P1, P2][usize::from(n % 2)];
        let text =
            r#"{"mdev_type":"nvidia-63","start":"auto","attrs":[{"nvidia/vgpu_params":"a=1\n"}]}"#;
        crate::helpers::put(&host, parent, &uuid(n), text);
    }
    host.ctl(&["delay-create", "500"]);
    let child = start(&host, "restore");
    until(&host, "create_writes", 3);
    ended_by(Signal::SIGTERM, child);
    let active = host.active();
    assert!((2..8).contains(&active.len()), "{active:?}");
    // Each that is there has its parameters, and no mark that says otherwise.
    for uuid in &active {
        let params = crate::helpers::device(&host, uuid, "vgpu_params");
        assert_eq!(params.trim_end(), "a=1");
        assert!(
            !host
                .path(&format!("run/vgpuctl/{uuid}.unfinished"))
                .exists()
        );
    }
    host.ctl(&["mend"]);
    host.run("restore").expect(0);
    assert_eq!(host.active().len(), 8);
}
