//! Files of every form, from the command line to the devices.

use std::ffi::OsStr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use crate::harness::{Run, SimHost, finished};
use crate::helpers::as_nobody;
use crate::plan::{apply, file, host, plan};

fn example(name: &str) -> PathBuf {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/declarations");
    examples.join(name)
}

fn run(host: &SimHost, verb: &[&str], arguments: &[&str], files: &[&str]) -> Run {
    let files: Vec<PathBuf> = files.iter().map(|name| example(name)).collect();
    let words = verb.iter().chain(arguments).map(OsStr::new);
    host.run_args(words.chain(files.iter().map(|file| file.as_os_str())))
}

/// What a host is made into: plan has so much to create, apply does it, and then nothing is to do.
#[track_caller]
fn converges(name: &str, arguments: &[&str], files: &[&str], to_create: &str) -> SimHost {
    let host = host(name);
    let planned = run(&host, &["plan"], arguments, files).expect(2);
    assert!(planned.stdout.ends_with(to_create), "{planned:#?}");
    run(&host, &["apply", "--yes"], arguments, files).expect(0);
    run(&host, &["assert"], arguments, files).expect(0);
    host
}

#[test]
fn our_own_examples_converge() {
    for (name, on, to_create) in [
        ("host.toml", "two-p4", "6 to create\n"),
        ("fill.toml", "two-p4", "8 to create\n"),
        ("proxmox.toml", "two-p4", "2 to create\n"),
    ] {
        converges(on, &[], &[name], to_create);
    }
}

#[test]
fn nvidias_device_manager() {
    let arguments = ["--from", "nvidia-vgpu-device-manager", "--select", "small"];
    let host = converges(
        "two-p4",
        &arguments,
        &["vgpu-device-manager.yaml"],
        "16 to create\n",
    );
    assert_eq!(host.active().len(), 16);
    // Another configuration of the same file: what both have stays.
    let before = host.active();
    let arguments = ["--from", "nvidia-vgpu-device-manager", "--select", "mixed"];
    run(
        &host,
        &["apply", "--yes"],
        &arguments,
        &["vgpu-device-manager.yaml"],
    )
    .expect(0);
    let after = host.active();
    let kept = after.iter().filter(|uuid| before.contains(uuid));
    assert_eq!((after.len(), kept.count()), (10, 8));
    let arguments = ["--from", "nvidia-vgpu-device-manager"];
    let refused = run(&host, &["plan"], &arguments, &["vgpu-device-manager.yaml"]).expect(1);
    assert!(
        refused.stderr.contains("available: small, mixed"),
        "{refused:#?}"
    );
}

#[test]
fn kubevirt() {
    let arguments = ["--from", "kubevirt", "--select", "gpu=small"];
    converges("two-p4", &arguments, &["kubevirt.yaml"], "16 to create\n");
    let arguments = ["--from", "kubevirt", "--select", "gpu=big"];
    converges("two-p4", &arguments, &["kubevirt.yaml"], "4 to create\n");
}

#[test]
fn nova() {
    converges(
        "two-p4",
        &["--from", "nova"],
        &["nova.conf"],
        "12 to create\n",
    );
}

#[test]
fn cyborg() {
    converges(
        "two-p4",
        &["--from", "cyborg"],
        &["cyborg.conf"],
        "10 to create\n",
    );
}

/// What other programs made stays: devices of a type that has another provider, and a GPU that KubeVirt
/// counts as configured.
#[test]
fn kubevirt_leaves_other_providers_devices_alone() {
    let host = host("two-p4");
    let uuid = "99999999-0000-4000-8000-000000000001";
    let types = "sys/class/mdev_bus/0000:82:00.0/mdev_supported_types";
    let create = host.root().join(types).join("nvidia-65/create");
    std::fs::write(create, uuid).unwrap();
    for name in ["GRID P4-4Q", "GRID_P4-4Q", "nvidia-65"] {
        let text = format!(
            "spec:\n  configuration:\n    mediatedDevicesConfiguration:\n      mediatedDeviceTypes: [nvidia-63]\n    \
             permittedHostDevices:\n      mediatedDevices:\n      - mdevNameSelector: {name}\n        \
             externalResourceProvider: true\n"
        );
        let file = host.path("usr/kubevirt.yaml");
        std::fs::write(&file, text).unwrap();
        let arguments = ["plan", "--from", "kubevirt"].map(OsStr::new);
        let arguments = arguments.into_iter().chain([file.as_os_str()]);
        let planned = host.run_args(arguments).expect(2);
        assert!(planned.stdout.ends_with("8 to create\n"), "{planned:#?}");
        assert!(!planned.stdout.contains(uuid), "{planned:#?}");
        assert!(!planned.stdout.contains("0000:82:00.0"), "{planned:#?}");
    }
}

#[test]
fn proxmox() {
    let files = ["100.conf", "pci.cfg"];
    let arguments = ["--from", "proxmox", "--select", "one"];
    let host = converges("two-p4", &arguments, &files, "2 to create\n");
    assert_eq!(
        host.defined(),
        [
            "00000000-0000-0000-0000-000000000100",
            "00000001-0000-0000-0000-000000000100"
        ]
    );
    assert_eq!(host.active(), [""; 0]);
    let planned = run(&host, &["plan"], &["--from", "proxmox"], &["100.conf"]);
    assert!(
        planned
            .stderr
            .contains("the mapping cards cannot be resolved"),
        "{planned:#?}"
    );
}

#[test]
fn all_faults_of_a_file_are_told_a_line_each() {
    let host = host("two-p4");
    let file = host.path("usr/wrong.toml");
    std::fs::write(&file, "version = 1\nx = 1\n[[group]]\nname = \"a b\"\n").unwrap();
    let refused = host.run_args(["plan".as_ref(), file.as_os_str()]).expect(1);
    assert_eq!(refused.stderr.matches("error: ").count(), 4, "{refused:#?}");
    assert!(
        refused
            .stderr
            .contains("wrong.toml:4: \"a b\" is not a valid group name"),
        "{refused:#?}"
    );
    let refused = host.run_args(["--json".as_ref(), "plan".as_ref(), file.as_os_str()]);
    let told: serde_json::Value = serde_json::from_str(&refused.stderr).unwrap();
    assert_eq!(told["error"]["others"].as_array().map(Vec::len), Some(3));
}

/// With this text on standard input.
fn with_input(host: &SimHost, line: &str, text: &str) -> Run {
    let mut command = host.command(line.split_whitespace());
    let path = file(host, text);
    command.stdin(Stdio::from(std::fs::File::open(path).unwrap()));
    finished(command.output().unwrap())
}

const ONE: &str = "[[group]]\nname = \"a\"\ntype = \"P4-1Q\"\ncount = 1\n";

#[test]
fn a_file_may_come_from_standard_input() {
    let host = host("two-p4");
    let planned = with_input(&host, "plan -", ONE).expect(2);
    assert!(planned.stdout.ends_with("1 to create\n"), "{planned:#?}");
    with_input(&host, "apply -", ONE).expect(2);
    assert_eq!(host.active(), [""; 0]);
    with_input(&host, "apply --yes -", ONE).expect(0);
    assert_eq!(host.active().len(), 1);
    with_input(&host, "assert -", ONE).expect(0);
    let wrong = with_input(&host, "plan -", "x = 1\n").expect(1);
    assert!(
        wrong.stderr.starts_with("error: standard input:2: "),
        "{wrong:#?}"
    );
}

/// What is given in the place of a file, and cannot be one, changes nothing and is named.
#[test]
fn what_is_no_file_to_read_is_named() {
    let host = host("two-p4");
    apply(&host, ONE).expect(0);
    let before = host.active();
    let root = host.root().display();
    for (name, text) in [
        ("empty", ""),
        ("blank", "\n\n"),
        ("remark", "# nothing yet\n"),
    ] {
        let path = host.path(&format!("usr/{name}"));
        std::fs::write(&path, text).unwrap();
        for (verb, status) in [("plan", 1), ("assert", 1), ("apply --yes", 1)] {
            let run = host
                .run(&format!("{verb} {}", path.display()))
                .expect(status);
            let said = format!(
                "error: {}:1: the file does not set its version: begin it with version = 1\n",
                path.display()
            );
            assert_eq!(run.stderr, said);
        }
    }
    for (place, why) in [("etc", "Is a directory (EISDIR)"), ("none", "(ENOENT)")] {
        for verb in ["plan", "apply --yes"] {
            let run = host.run(&format!("{verb} {root}/{place}")).expect(1);
            let begin = format!("error: cannot read the declaration: {root}/{place}: ");
            assert!(run.stderr.starts_with(&begin), "{run:#?}");
            assert!(run.stderr.ends_with(&format!("{why}\n")), "{run:#?}");
        }
    }
    let secret = file(&host, ONE);
    std::fs::set_permissions(&secret, PermissionsExt::from_mode(0o600)).unwrap();
    let run = as_nobody(&host, &format!("plan {}", secret.display())).expect(1);
    assert!(
        run.stderr.contains("host.toml: Permission denied (EACCES)"),
        "{run:#?}"
    );
    assert!(run.stderr.contains("hint: this needs root"), "{run:#?}");
    let run = host.run("plan /dev/zero").expect(1);
    assert!(run.stderr.contains("larger than 1 MiB"), "{run:#?}");
    assert_eq!(host.active(), before);
}

#[test]
fn none_is_a_number_too() {
    let host = host("two-p4");
    for none in [
        "count = 0",
        "per-gpu = 0",
        "names = []",
        "vms = []",
        "uuids = []",
    ] {
        let text = ONE.replace("count = 1", none);
        let run = plan(&host, &text).expect(0);
        assert_eq!(
            run.stdout, "nothing is declared, and nothing is to do\n",
            "{none}"
        );
        apply(&host, &text).expect(0);
    }
    // Those that are members by their note are none of it any more.
    apply(&host, ONE).expect(0);
    let none = format!(
        "unlisted = \"remove-own\"\n{}",
        ONE.replace("count = 1", "count = 0")
    );
    let run = apply(&host, &none).expect(0);
    assert!(run.stderr.ends_with("1 removed\n"), "{run:#?}");
    assert_eq!((host.active(), host.defined()), (vec![], vec![]));
}

#[test]
fn nothing_can_be_two_members() {
    let host = host("two-p4");
    let group = |name: &str, members: &str| {
        format!("[[group]]\nname = \"{name}\"\ntype = \"P4-1Q\"\n{members}\n")
    };
    let uuid = "00000000-0000-0000-0000-000000000101";
    let listed = format!("uuids = [\"{uuid}\"]");
    // Derived of the group's name, and so known only once the host is.
    let derived = "uuids = [\"536f122e-baf6-5419-9269-e15e90687624\"]";
    let named = format!("names = [{{ name = \"x\", uuid = \"{uuid}\" }}]");
    for (one, other, said) in [
        (
            "vms = [100, 101]",
            "vms = [101, 102]",
            format!("VM 101 ({uuid}) is already in group a"),
        ),
        (
            "vms = [101]",
            &listed,
            format!("{uuid} is already in group a"),
        ),
        (
            &named,
            "vms = [101]",
            format!("VM 101 ({uuid}) is already in group a"),
        ),
        (
            "count = 1",
            derived,
            "a/0 and b/536f122e-baf6-5419-9269-e15e90687624 have the same UUID".to_owned(),
        ),
        (
            "names = [\"x\", \"x\"]",
            "count = 1",
            "names has x twice".to_owned(),
        ),
        (
            "vms = [107, \"107:0\"]",
            "count = 1",
            "vms has 107 twice".to_owned(),
        ),
    ] {
        let text = group("a", one) + &group("b", other);
        let run = plan(&host, &text).expect(1);
        assert!(run.stderr.contains(&said), "{said}: {run:#?}");
        let status = apply(&host, &text).status;
        assert!([1, 2].contains(&status), "{status}");
    }
    let same_name = group("a", "count = 1") + &group("a", "names = [\"x\"]");
    let run = plan(&host, &same_name).expect(1);
    assert!(
        run.stderr
            .contains("host.toml:6: group a is already defined in line 2"),
        "{run:#?}"
    );
    // A name may be there in two groups: they are two.
    let text = group("a", "names = [\"x\"]") + &group("b", "names = [\"x\"]");
    apply(&host, &text).expect(0);
    assert_eq!(host.active().len(), 2);
}
