//! Files of every form, from the command line to the devices.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use crate::harness::{Run, SimHost};
use crate::plan::host;

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
        refused.stderr.contains("there are small, mixed"),
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
        "8 to create\n",
    );
}

#[test]
fn proxmox() {
    let files = ["100.conf", "pci.cfg"];
    let host = converges("two-p4", &["--from", "proxmox"], &files, "2 to create\n");
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
            .contains("wrong.toml:4: \"a b\" is not a valid name"),
        "{refused:#?}"
    );
    let refused = host.run_args(["--json".as_ref(), "plan".as_ref(), file.as_os_str()]);
    let told: serde_json::Value = serde_json::from_str(&refused.stderr).unwrap();
    assert_eq!(told["error"]["others"].as_array().map(Vec::len), Some(3));
}
