//! What Proxmox VE makes of vGPUs, and what vgpuctl makes of Proxmox VE's files.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::harness::{Run, SimHost, finished};

const VM_100: &str = "00000000-0000-0000-0000-000000000100";
const VM_100_1: &str = "00000001-0000-0000-0000-000000000100";
const P1: &str = "0000:81:00.0";

/// The hookscript, as Proxmox VE calls it.
fn hook(host: &SimHost, arguments: &[&str]) -> Run {
    let programs = tempfile::tempdir().unwrap();
    symlink(
        env!("CARGO_BIN_EXE_vgpuctl"),
        programs.path().join("vgpuctl"),
    )
    .unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/proxmox/vgpuctl-hook");
    let path = format!("{}:/usr/bin:/bin", programs.path().display());
    let output = Command::new(script)
        .args(arguments)
        .env("PATH", path)
        .env("VGPUCTL_ROOT", host.root())
        .output()
        .unwrap();
    finished(output)
}

/// Makes a device as Proxmox VE does: without a definition's parameters.
fn made_by_proxmox(host: &SimHost, parent: &str, type_id: &str, uuid: &str) {
    let types = format!("sys/class/mdev_bus/{parent}/mdev_supported_types");
    let create = host.path(&types).join(type_id).join("create");
    fs::write(create, uuid).unwrap();
}

fn files(host: &SimHost, files: &[(&str, &str)]) -> Vec<PathBuf> {
    let dir = host.path("usr/pve");
    fs::create_dir_all(&dir).unwrap();
    let files = files.iter().map(|(name, text)| {
        let path = dir.join(name);
        fs::write(&path, text).unwrap();
        path
    });
    files.collect()
}

fn planned(host: &SimHost, verb: &[&str], files: &[PathBuf]) -> Run {
    let words = verb.iter().map(AsRef::as_ref);
    let words = words.chain(["--from".as_ref(), "proxmox".as_ref()]);
    host.run_args(words.chain(files.iter().map(|file| file.as_os_str())))
}

#[test]
fn the_hookscript_makes_a_vms_devices_as_they_are_defined() {
    let host = SimHost::start("two-p4");
    host.run(&format!(
        "define -t P4-1Q -p {P1} -u {VM_100} --param frame_rate_limiter=0"
    ))
    .expect(0);
    host.run(&format!("define -t P4-1Q -p {P1} -u {VM_100_1} --manual"))
        .expect(0);
    // Other VMs, other phases: nothing, and no word.
    for arguments in [
        ["101", "pre-start"],
        ["100", "post-start"],
        ["100", "post-stop"],
    ] {
        let run = hook(&host, &arguments).expect(0);
        assert_eq!((run.stdout.as_str(), run.stderr.as_str()), ("", ""));
        assert_eq!(host.active(), [""; 0]);
    }
    hook(&host, &["100", "pre-start"]).expect(0);
    assert_eq!(host.active(), [VM_100, VM_100_1]);
    let shown = host.run(&format!("show {VM_100}")).expect(0);
    assert!(shown.stdout.contains("frame_rate_limiter=0\n"), "{shown:?}");
    assert!(!shown.stdout.contains("Running with"), "{shown:?}");
    // Where they are there already, too.
    hook(&host, &["100", "pre-start"]).expect(0);
    // What cannot be started keeps the VM from starting, and says why.
    host.run(&format!("stop {VM_100} {VM_100_1}")).expect(0);
    made_by_proxmox(
        &host,
        P1,
        "nvidia-64",
        "a0000001-0000-4000-8000-000000000000",
    );
    let refused = hook(&host, &["100", "pre-start"]).expect(1);
    assert!(refused.stderr.contains("error: "), "{refused:?}");
    hook(&host, &["x", "pre-start"]).expect(2);
    hook(&host, &[]).expect(2);
}

#[test]
fn what_runs_with_other_parameters_than_defined_is_told() {
    let host = SimHost::start("two-p4");
    host.run(&format!(
        "create -t P4-1Q -p {P1} -u {VM_100} --param frame_rate_limiter=0 --param disable_vnc=1"
    ))
    .expect(0);
    let shown = host.run(&format!("show {VM_100}")).expect(0);
    assert_eq!(shown.stderr, "");
    // The VM ends and starts again.
    host.run(&format!("stop {VM_100}")).expect(0);
    made_by_proxmox(&host, P1, "nvidia-63", VM_100);
    let shown = host.run(&format!("show {VM_100}")).expect(0);
    assert!(
        shown.stdout.contains("Running with no parameters\n"),
        "{shown:?}"
    );
    assert!(
        shown.stderr.contains(&format!(
            "vgpuctl stop {VM_100}, then vgpuctl start {VM_100}"
        )),
        "{shown:?}"
    );
    // The same, spaced in another way, is no difference.
    let params = format!("sys/bus/mdev/devices/{VM_100}/nvidia/vgpu_params");
    fs::write(host.path(&params), "frame_rate_limiter=0,disable_vnc=1\n").unwrap();
    let shown = host.run(&format!("show {VM_100}")).expect(0);
    assert_eq!(shown.stderr, "", "{shown:?}");
}

#[test]
fn a_mapping_means_this_nodes_entries() {
    let host = SimHost::start("two-p4");
    let cfg = "gpu\n\tmap id=10de:1bb3,node=pve1,path=0000:82:00.0\n\
               \tmap id=10de:1bb3,node=pve2,path=0000:81:00.0\n\tmdev 1\n";
    let machine = "hostpci0: mapping=gpu,mdev=nvidia-64,pcie=1\n";
    let files = files(&host, &[("100.conf", machine), ("pci.cfg", cfg)]);
    for (name, on) in [("pve1\n", "82"), ("pve2.example.com\n", "81")] {
        fs::write(host.path("etc/hostname"), name).unwrap();
        let run = planned(&host, &["plan"], &files).expect(2);
        let line = format!("nvidia-64 (P4-2Q) on 0000:{on}:00.0: ");
        assert!(run.stdout.contains(&line), "{run:?}");
    }
    let run = planned(&host, &["plan", "--select", "pve1"], &files).expect(2);
    assert!(run.stdout.contains("on 0000:82:00.0: "), "{run:?}");
    fs::write(host.path("etc/hostname"), "other\n").unwrap();
    let run = planned(&host, &["plan"], &files).expect(1);
    assert!(
        run.stderr
            .contains("has no entry for this node, other, only for pve1, pve2"),
        "{run:?}"
    );
}

#[test]
fn alternatives_are_taken_where_there_is_room() {
    let host = SimHost::start("two-p4");
    host.run(&format!("create -t P4-1Q -p {P1}")).expect(0);
    let cfg = "gpu\n\tmap id=10de:1bb3,node=n,path=0000:81:00.0\n\
               \tmap id=10de:1bb3,node=n,path=0000:82:00.0\n\tmdev 1\n";
    let machine = "hostpci0: mapping=gpu,mdev=nvidia-64\n";
    let files = files(&host, &[("100.conf", machine), ("pci.cfg", cfg)]);
    // The first card holds another size.
    let run = planned(&host, &["plan", "--select", "n"], &files).expect(2);
    assert!(run.stdout.contains("on 0000:82:00.0: "), "{run:?}");
}

#[test]
fn a_line_that_names_a_function_means_it() {
    for (name, card, type_id) in [
        ("l40s", "10de:26b9", "nvidia-1147"),
        ("a40-vf-mdev", "10de:2235", "nvidia-558"),
    ] {
        let host = SimHost::start(name);
        if name == "a40-vf-mdev" {
            host.run("vfs enable 0000:41:00.0").expect(0);
        }
        fs::write(host.path("etc/hostname"), "n\n").unwrap();
        let mut cfg = "vf\n\tmdev 1\n".to_owned();
        for function in ["0000:41:01.0", "0000:41:01.1"] {
            cfg += &format!("\tmap id={card},node=n,path={function}\n");
        }
        let one = format!("hostpci0: 0000:41:00.6,mdev={type_id}\n");
        let mapped = format!("hostpci0: mapping=vf,mdev={type_id}\n");
        let files = files(
            &host,
            &[
                ("100.conf", one.as_str()),
                ("101.conf", &mapped),
                ("102.conf", &mapped),
                ("pci.cfg", &cfg),
            ],
        );
        let run = planned(&host, &["plan"], &files).expect(2);
        for function in ["0000:41:00.6", "0000:41:01.0", "0000:41:01.1"] {
            assert_eq!(run.stdout.matches(function).count(), 1, "{name}: {run:?}");
        }
        planned(&host, &["apply", "--yes"], &files).expect(0);
        planned(&host, &["assert"], &files).expect(0);
        host.run(&format!("start {VM_100}")).expect(0);
        let run = host.run(&format!("attach {VM_100} -f proxmox")).expect(0);
        let line = format!("hostpci0: 0000:41:00.6,mdev={type_id}\n");
        assert!(run.stdout.contains(&line), "{name}: {run:?}");
        // The GPU's own address serves none of this.
        let own = format!("hostpci0: 0000:41:00.0,mdev={type_id}\n");
        let files = self::files(&host, &[("103.conf", &own)]);
        let run = planned(&host, &["plan"], &files).expect(0);
        assert!(
            run.stderr.contains("only on its virtual functions"),
            "{name}: {run:?}"
        );
    }
}

#[test]
fn our_own_declarations_name_functions_too() {
    for (name, type_id) in [("l40s", "nvidia-1147"), ("a40-vf-mdev", "nvidia-558")] {
        let host = SimHost::start(name);
        if name == "a40-vf-mdev" {
            host.run("vfs enable 0000:41:00.0").expect(0);
        }
        fs::write(
            host.path("etc/machine-id"),
            "0123456789abcdef0123456789abcdef\n",
        )
        .unwrap();
        let declare = |count: u8| {
            let text = format!(
                "version = 1\n[[group]]\nname = \"a\"\ntype = \"{type_id}\"\ncount = {count}\n\
                 gpus = [\"0000:41:01.1\", \"0000:41:01.2\"]\n"
            );
            fs::write(host.path("usr/a.toml"), text).unwrap();
            host.path("usr/a.toml")
        };
        let on = |verb: &[&str], file: &Path| {
            let words = verb.iter().map(AsRef::as_ref);
            host.run_args(words.chain([file.as_os_str()]))
        };
        on(&["apply", "--yes"], &declare(2)).expect(0);
        on(&["assert"], &declare(2)).expect(0);
        let listed = host.run("list").expect(0).stdout;
        for function in ["0000:41:01.1", "0000:41:01.2"] {
            assert_eq!(listed.matches(function).count(), 1, "{name}: {listed}");
        }
        let run = on(&["plan"], &declare(3)).expect(2);
        let why =
            "all functions of 0000:41:00.0 that it names are in use: 0000:41:01.1, 0000:41:01.2";
        assert!(run.stdout.contains(why), "{name}: {run:?}");
    }
}
