//! `attach --apply`, with a `virsh` whose libvirt is a folder of files (`bin/virsh`).

use std::fs;

use insta::assert_snapshot;
use tempfile::TempDir;

use crate::harness::{Run, SimHost, finished};
use crate::helpers::{P1, uuid};
use crate::json::answer;
use crate::script;

const WEB: &str = "3e2a7f60-0000-4000-8000-000000000001";
const MAIL: &str = "3e2a7f60-0000-4000-8000-000000000002";

struct Libvirt {
    host: SimHost,
    files: TempDir,
}

impl Libvirt {
    /// A host with one active device, and the domains `web` and `mail` that do not run.
    fn start() -> Libvirt {
        let host = SimHost::start("two-p4");
        host.run(&format!("create -t P4-1Q -p {P1} -u {}", uuid(1)))
            .expect(0);
        let libvirt = Libvirt {
            host,
            files: tempfile::tempdir().unwrap(),
        };
        // A copy: whoever owns the sources could change what root runs.
        let virsh = libvirt.files.path().join("bin/virsh");
        script::install(&virsh, include_str!("bin/virsh"));
        libvirt.put(&format!("{WEB}.xml"), &domain("web", WEB, ""));
        libvirt.put(&format!("{MAIL}.xml"), &domain("mail", MAIL, ""));
        libvirt
    }

    fn put(&self, name: &str, text: &str) {
        fs::write(self.files.path().join(name), text).unwrap();
    }

    fn text(&self, name: &str) -> String {
        fs::read_to_string(self.files.path().join(name)).unwrap()
    }

    /// The calls that change something.
    fn changes(&self) -> Vec<String> {
        let calls = self.text("calls");
        let of_interest = calls.lines().filter(|line| line.contains("-device "));
        of_interest.map(str::to_owned).collect()
    }

    fn command<S: AsRef<std::ffi::OsStr>>(&self, args: &[S]) -> std::process::Command {
        let programs = self.files.path().join("bin");
        let path = std::env::var("PATH").unwrap();
        let mut command = self.host.command(["attach"]);
        command
            .args(args)
            .env("FAKE_LIBVIRT", self.files.path())
            .env("PATH", format!("{}:{path}", programs.display()));
        command
    }

    fn run_args(&self, args: &[&str]) -> Run {
        let whole = [args, &["--connect", "test:///files"]].concat();
        finished(self.command(&whole).output().unwrap())
    }

    /// `attach UUID --connect ... ARGUMENTS`.
    fn run(&self, line: &str) -> Run {
        let uuid = uuid(1);
        let mut words = vec![uuid.as_str()];
        words.extend(line.split_whitespace());
        self.run_args(&words)
    }
}

fn domain(name: &str, uuid: &str, devices: &str) -> String {
    format!(
        "<domain type='kvm'>\n<name>{name}</name>\n<uuid>{uuid}</uuid>\n<devices>\n{devices}</devices>\n</domain>\n"
    )
}

fn hostdev(uuid: &str) -> String {
    format!(
        "<hostdev mode='subsystem' type='mdev' managed='no' model='vfio-pci'>\n<source>\n<address uuid='{uuid}'/>\n</source>\n</hostdev>\n"
    )
}

#[test]
fn the_domain_has_the_device_afterwards_and_no_other_has() {
    let libvirt = Libvirt::start();
    let run = libvirt.run("--apply web");
    assert_snapshot!(run.snapshot(&libvirt.host), @"
    status: 0
    --- stdout
    --- stderr
    attached a0000001-0000-4000-8000-000000000000 (P4-1Q) to domain web, from its next start on
    ");
    assert!(libvirt.text(&format!("{WEB}.xml")).contains(&uuid(1)));
    assert!(!libvirt.text(&format!("{MAIL}.xml")).contains(&uuid(1)));
    assert_eq!(
        libvirt.changes(),
        [format!(
            "--quiet --connect test:///files attach-device --domain {WEB} --file /dev/stdin --config"
        )]
    );
}

#[test]
fn in_json_it_is_told_what_was_added() {
    let libvirt = Libvirt::start();
    let run = libvirt.run("--apply web --json").expect(0);
    answer(&libvirt.host, "attach-apply", &run);
}

#[test]
fn a_domain_is_named_by_its_uuid_too_and_a_name_is_never_an_option() {
    let libvirt = Libvirt::start();
    libvirt
        .run(&format!("--apply {}", MAIL.to_uppercase()))
        .expect(0);
    assert!(libvirt.text(&format!("{MAIL}.xml")).contains(&uuid(1)));
    for name in ["--all", "a & <b> 'c' \"d\"", "$(touch x)", "7"] {
        let escaped = name
            .replace('&', "&amp;")
            .replace('<', "&lt;")
            .replace('>', "&gt;");
        libvirt.put(&format!("{WEB}.xml"), &domain(&escaped, WEB, ""));
        libvirt.put(&format!("{MAIL}.xml"), &domain("mail", MAIL, ""));
        let argument = format!("--apply={name}");
        let run = libvirt.run_args(&[&uuid(1), &argument]).expect(0);
        assert!(
            run.stderr.contains(&format!("to domain {name},")),
            "{run:?}"
        );
        assert!(
            libvirt.text(&format!("{WEB}.xml")).contains(&uuid(1)),
            "{name}"
        );
    }
}

#[test]
fn a_dry_run_says_what_it_would_add_and_adds_nothing() {
    let libvirt = Libvirt::start();
    let before = libvirt.text(&format!("{WEB}.xml"));
    let run = libvirt.run("--apply web --dry-run --looking-glass 1920x1080 --display on");
    assert_snapshot!(run.snapshot(&libvirt.host), @"
    status: 0
    --- stdout
    would attach a0000001-0000-4000-8000-000000000000 (P4-1Q) to domain web, from its next start on:
    <hostdev mode='subsystem' type='mdev' managed='no' model='vfio-pci' display='on'>
      <source>
        <address uuid='a0000001-0000-4000-8000-000000000000'/>
      </source>
    </hostdev>
    <shmem name='looking-glass'>
      <model type='ivshmem-plain'/>
      <size unit='M'>32</size>
    </shmem>
    --- stderr
    note: Looking Glass opens [ROOT]/dev/shm/looking-glass, which is owned by QEMU's user: give your user access to it, and remove it when its size changes
    ");
    assert_eq!(libvirt.text(&format!("{WEB}.xml")), before);
    assert_eq!(libvirt.changes(), [""; 0]);
}

#[test]
fn a_running_domain_gets_it_at_once_where_that_is_asked_for() {
    let libvirt = Libvirt::start();
    let text = domain("web", WEB, "");
    libvirt.put(&format!("{WEB}.live"), &text);
    let run = libvirt.run("--apply web").expect(0);
    assert!(
        run.stderr.contains("shut down and started again"),
        "{run:?}"
    );
    assert!(!libvirt.text(&format!("{WEB}.live")).contains(&uuid(1)));
    libvirt.put(&format!("{WEB}.xml"), &text);
    let run = libvirt.run("--apply web --live").expect(0);
    assert!(run.stderr.contains("now and at every start"), "{run:?}");
    for kind in ["xml", "live"] {
        assert!(libvirt.text(&format!("{WEB}.{kind}")).contains(&uuid(1)));
    }
}

#[test]
fn live_is_refused_where_it_cannot_be() {
    let libvirt = Libvirt::start();
    let run = libvirt.run("--apply web --live").expect(1);
    assert!(run.stderr.contains("domain web is not running"), "{run:?}");
    libvirt.put(&format!("{WEB}.live"), &domain("web", WEB, ""));
    let run = libvirt.run("--apply web --live --ramfb").expect(2);
    assert!(run.stderr.contains("ramfb"), "{run:?}");
    libvirt.host.run(&format!("stop {}", uuid(1))).expect(0);
    let run = libvirt.run("--apply web --live").expect(1);
    assert!(run.stderr.contains("is not active"), "{run:?}");
    assert!(
        run.stderr
            .contains(&format!("hint: vgpuctl start {}", uuid(1)))
    );
    assert!(!libvirt.text(&format!("{WEB}.xml")).contains(&uuid(1)));
}

#[test]
fn a_device_that_a_domain_has_is_given_to_no_other_and_not_twice() {
    let libvirt = Libvirt::start();
    for (owner, name, kind) in [
        (WEB, "web", "xml"),
        (MAIL, "mail", "xml"),
        (MAIL, "mail", "live"),
    ] {
        let text = domain(name, owner, &hostdev(&uuid(1).to_uppercase()));
        libvirt.put(&format!("{owner}.{kind}"), &text);
        let run = libvirt.run("--apply web").expect(1);
        let said = format!("error: domain {name} already has {}", uuid(1));
        assert!(run.stderr.starts_with(&said), "{run:?}");
        assert_eq!(run.stderr.contains("create another"), name == "mail");
        libvirt.put(&format!("{owner}.xml"), &domain(name, owner, ""));
    }
    assert_eq!(libvirt.changes(), [""; 0]);
}

#[test]
fn an_unknown_domain_or_device_is_not_found() {
    let libvirt = Libvirt::start();
    let run = libvirt.run("--apply wbe");
    assert_snapshot!(run.snapshot(&libvirt.host), @r#"
    status: 3
    --- stdout
    --- stderr
    error: libvirt has no domain "wbe"
    hint: available domains: web, mail
    "#);
    let run = libvirt.run_args(&[&uuid(9), "--apply", "web"]).expect(3);
    assert!(run.stderr.contains("neither active nor defined"), "{run:?}");
    for name in [WEB, MAIL] {
        fs::remove_file(libvirt.files.path().join(format!("{name}.xml"))).unwrap();
    }
    let run = libvirt.run("--apply web").expect(3);
    assert!(run.stderr.contains("use --connect for another"), "{run:?}");
}

#[test]
fn without_virsh_the_way_by_hand_is_said() {
    let libvirt = Libvirt::start();
    let mut command = libvirt.command(&[&uuid(1), "--apply", "web", "--connect", "x"]);
    let nothing = tempfile::tempdir().unwrap();
    let run = finished(command.env("PATH", nothing.path()).output().unwrap());
    assert_snapshot!(run.snapshot(&libvirt.host), @"
    status: 1
    --- stdout
    --- stderr
    error: virsh not found in PATH
    hint: install it (Debian: libvirt-clients), or paste the XML with another libvirt tool: vgpuctl attach UUID --format libvirt
    ");
}

#[test]
fn what_virsh_says_is_in_the_error() {
    for (verb, said) in [
        (
            "list",
            "error: failed to connect to the hypervisor\nerror: Operation not supported\n",
        ),
        ("dumpxml", "error: Domain not found: gone\n"),
        (
            "attach-device",
            "error: Failed to attach device from /dev/stdin\nerror: internal error: x\n",
        ),
    ] {
        let libvirt = Libvirt::start();
        libvirt.put(&format!("fail-{verb}"), said);
        let run = libvirt.run("--apply web").expect(1);
        let words = said
            .replace("\nerror: ", "; ")
            .replacen("error: ", "", 1)
            .trim()
            .replace('\n', "; ");
        assert_eq!(run.stderr, format!("error: virsh {verb} failed: {words}\n"));
        let document: serde_json::Value =
            serde_json::from_str(&libvirt.run("--apply web --json").expect(1).stderr).unwrap();
        assert_eq!(document["error"]["code"], "failed");
    }
}

#[test]
fn a_virsh_that_does_nothing_is_found_out() {
    let libvirt = Libvirt::start();
    libvirt.put("lie-attach-device", "");
    let run = libvirt.run("--apply web").expect(1);
    assert!(
        run.stderr.contains("but the domain does not have it"),
        "{run:?}"
    );
}

#[test]
fn a_virsh_that_never_ends_is_ended() {
    let libvirt = Libvirt::start();
    libvirt.put("hang-list", "");
    let uuid = uuid(1);
    let words = [uuid.as_str(), "--apply", "web", "--connect", "x"];
    let mut command = libvirt.command(&words);
    let run = finished(command.env("VGPUCTL_SCRIPT_TIMEOUT", "1").output().unwrap());
    let run = run.expect(1);
    assert!(
        run.stderr.contains("virsh list did not finish within 1 s"),
        "{run:?}"
    );
}

#[test]
fn where_the_device_fails_its_shared_memory_is_taken_back() {
    let libvirt = Libvirt::start();
    let before = libvirt.text(&format!("{WEB}.xml"));
    libvirt.put("fail-attach-device", "only <hostdev\nerror: no\n");
    let run = libvirt.run("--apply web --looking-glass nvfbc").expect(1);
    assert_eq!(run.stderr, "error: virsh attach-device failed: no\n");
    assert_eq!(libvirt.text(&format!("{WEB}.xml")), before);
    assert_eq!(libvirt.changes().len(), 3);
    libvirt.put("fail-detach-device", "error: not that either\n");
    let run = libvirt.run("--apply web --looking-glass nvfbc").expect(1);
    let both = "failed: no; rollback failed: virsh detach-device failed: not that either";
    assert!(run.stderr.contains(both), "{run:?}");
}

#[test]
fn shared_memory_that_is_there_is_not_added_again() {
    let libvirt = Libvirt::start();
    libvirt.run("--apply web --looking-glass nvfbc").expect(0);
    let other = uuid(2);
    libvirt
        .host
        .run(&format!("create -t P4-1Q -p {P1} -u {other}"))
        .expect(0);
    let words = [&other, "--apply", "web", "--looking-glass", "nvfbc"];
    let run = libvirt.run_args(&words).expect(1);
    assert!(
        run.stderr
            .contains("already has shared memory named looking-glass"),
        "{run:?}"
    );
    assert!(!libvirt.text(&format!("{WEB}.xml")).contains(&other));
}

#[test]
fn what_cannot_be_applied_is_refused_before_libvirt_is_asked() {
    let libvirt = Libvirt::start();
    for line in [
        "--apply web --present-as 10de:1bb1",
        "--apply web --format qemu",
        "--apply web --licence-server a",
        "--apply web --vmid 100",
        "--live",
        "--dry-run",
    ] {
        libvirt.run(line).expect(2);
    }
    // A simulated host has no libvirt of its own: this one's would be touched.
    let run = finished(
        libvirt
            .command(&[&uuid(1), "--apply", "web"])
            .output()
            .unwrap(),
    );
    let run = run.expect(2);
    assert!(run.stderr.contains("--connect"), "{run:?}");
    assert!(!libvirt.files.path().join("calls").exists());
}

#[test]
fn a_virsh_that_others_could_have_put_there_is_not_run() {
    use std::os::unix::fs::PermissionsExt;

    let libvirt = Libvirt::start();
    let bin = libvirt.files.path().join("bin");
    let set_mode = |mode| fs::set_permissions(&bin, fs::Permissions::from_mode(mode)).unwrap();
    set_mode(0o777);
    let run = libvirt.run("--apply web").expect(6);
    assert!(
        run.stderr.contains("refusing to run virsh: the directory"),
        "{run:?}"
    );
    assert!(!libvirt.files.path().join("calls").exists());
    // Where the caller is does not count either.
    set_mode(0o755);
    let mut here = libvirt.command(&[&uuid(1), "--apply", "web", "--connect", "test:///files"]);
    here.current_dir(&bin).env("PATH", ".:");
    let run = finished(here.output().unwrap()).expect(1);
    assert!(run.stderr.contains("virsh not found in PATH"), "{run:?}");
    libvirt.run("--apply web").expect(0);
}

#[test]
fn a_uuid_comes_before_a_name_and_two_of_a_name_are_refused() {
    let libvirt = Libvirt::start();
    // Named as another one's UUID.
    libvirt.put(&format!("{MAIL}.xml"), &domain(WEB, MAIL, ""));
    libvirt.run(&format!("--apply {WEB}")).expect(0);
    assert!(libvirt.text(&format!("{WEB}.xml")).contains(&uuid(1)));
    assert!(!libvirt.text(&format!("{MAIL}.xml")).contains(&uuid(1)));
    let twice = Libvirt::start();
    twice.put(&format!("{MAIL}.xml"), &domain("web", MAIL, ""));
    let run = twice.run("--apply web").expect(2);
    for word in ["2 domains", WEB, MAIL] {
        assert!(run.stderr.contains(word), "{word}: {run:?}");
    }
    assert!(twice.changes().is_empty());
}

#[test]
fn a_domain_that_cannot_be_read_keeps_no_other_from_its_device() {
    let libvirt = Libvirt::start();
    fs::write(libvirt.files.path().join(format!("{MAIL}.xml")), [0xff]).unwrap();
    let run = libvirt.run("--apply web").expect(0);
    let note = format!("cannot tell whether domain {MAIL} uses {}", uuid(1));
    assert!(run.stderr.contains(&note), "{run:?}");
    assert!(libvirt.text(&format!("{WEB}.xml")).contains(&uuid(1)));
    for name in ["mail", MAIL] {
        let run = libvirt.run(&format!("--apply {name}"));
        assert!([1, 3].contains(&run.status), "{run:?}");
        assert!(
            run.stderr.contains("printed output that is not UTF-8"),
            "{run:?}"
        );
    }
}
