//! Definitions that name no virtual function, as older versions wrote them, whose devices run: whoever
//! sees both notes the function. And what is said where a function changes, or two want one.

use std::fs;

use serde_json::Value;

use crate::harness::SimHost;
use crate::helpers::uuid;
use crate::plan::{apply, file, plan};

const GPU: &str = "0000:41:00.0";

/// Three that run, on .4 to .6, whose definitions do not say where.
fn host() -> SimHost {
    let host = SimHost::start("l40s");
    fs::write(host.path("etc/machine-id"), crate::plan::MACHINE_ID).unwrap();
    for n in 1..=3 {
        host.run(&format!("create -t L40S-8Q -u {}", uuid(n)))
            .expect(0);
        let mut document = document(&host, n);
        document.as_object_mut().unwrap().remove("vf").unwrap();
        fs::write(definition(&host, n), document.to_string()).unwrap();
    }
    host
}

fn definition(host: &SimHost, n: u8) -> std::path::PathBuf {
    host.path(&format!("etc/vgpuctl.d/{GPU}/{}", uuid(n)))
}

fn document(host: &SimHost, n: u8) -> Value {
    serde_json::from_slice(&fs::read(definition(host, n)).unwrap()).unwrap()
}

#[test]
fn whatever_sees_it_run_notes_its_function() {
    let third = uuid(3);
    for verb in ["stop", "modify", "define", "restore", "apply"] {
        let host = host();
        match verb {
            "stop" => host.run(&format!("stop {third}")).expect(0),
            "modify" => host.run(&format!("modify {third} -t L40S-8A")).expect(0),
            "define" => {
                host.run(&format!("undefine {third}")).expect(0);
                let line = format!("define -u {third} -t L40S-8Q -p {GPU}");
                host.run(&line).expect(0)
            }
            "restore" => host.run("restore").expect(0),
            _ => {
                let text = host.run("export").expect(0).stdout;
                let applied = apply(&host, text.trim_start_matches("version = 1\n")).expect(0);
                assert!(
                    applied.stderr.contains("3 as declared"),
                    "nothing is to do: {applied:?}"
                );
                applied
            }
        };
        assert_eq!(document(&host, 3)["vf"], "0000:41:00.6", "{verb}");
        // With a lower UUID gone it would get a lower function.
        host.run(&format!("remove {}", uuid(1))).expect(0);
        host.ctl(&["reboot"]);
        host.run("restore").expect(0);
        assert_eq!(document(&host, 3)["vf"], "0000:41:00.6", "{verb}");
    }
}

#[test]
fn a_dry_run_notes_nothing() {
    let host = host();
    for line in [
        format!("stop --dry-run {}", uuid(3)),
        format!("modify --dry-run {} --manual", uuid(3)),
        "restore --dry-run --now".to_owned(),
    ] {
        host.run(&line).expect(0);
        assert_eq!(document(&host, 3)["vf"], Value::Null, "{line}");
    }
}

#[test]
fn a_declared_function_that_another_definition_starts_on_is_said() {
    let host = SimHost::start("l40s");
    fs::write(host.path("etc/machine-id"), crate::plan::MACHINE_ID).unwrap();
    let line = format!("define -t L40S-8Q -u {} -p 0000:41:00.4", uuid(1));
    host.run(&line).expect(0);
    let text = format!(
        "[[group]]\nname = \"a\"\ntype = \"L40S-8Q\"\nuuids = [\"{}\"]\ngpus = \"0000:41:00.4\"\n",
        uuid(2)
    );
    let words = format!(
        "{} will be on the virtual function 0000:41:00.4, on which {} starts at boot",
        uuid(2),
        uuid(1)
    );
    let run = plan(&host, &text).expect(2);
    assert!(run.stderr.contains(&words), "{run:?}");
    assert!(run.stderr.contains("--vf any"), "{run:?}");
    let run = apply(&host, &text).expect(0);
    assert!(run.stderr.contains(&words), "{run:?}");
    // One that goes, or goes elsewhere, is no reason.
    let alone = format!("unlisted = \"remove\"\n{text}");
    let run = plan(&host, &alone).expect(2);
    assert!(!run.stderr.contains("starts at boot"), "{run:?}");
}

#[test]
fn what_is_declared_elsewhere_is_no_other_vgpus_fault() {
    let host = SimHost::start("l40s");
    fs::write(host.path("etc/machine-id"), crate::plan::MACHINE_ID).unwrap();
    let line = format!("create -t L40S-8Q -u {} -p 0000:41:00.4", uuid(1));
    host.run(&line).expect(0);
    let text = format!(
        "[[group]]\nname = \"a\"\ntype = \"L40S-8Q\"\nuuids = [\"{}\"]\ngpus = \"0000:41:00.7\"\n",
        uuid(1)
    );
    let run = plan(&host, &text).expect(2);
    let words = "moves from 0000:41:00.4, which is not the declared one, to 0000:41:00.7";
    assert!(run.stderr.contains(words), "{run:?}");
}

#[test]
fn a_gpu_of_several_sizes_is_not_said_to_have_one() {
    let host = SimHost::start("l40s");
    let settings = host.path(&format!("etc/vgpuctl.d/{GPU}"));
    fs::create_dir_all(&settings).unwrap();
    fs::write(settings.join("gpu.conf"), "mixed-sizes = yes\n").unwrap();
    fs::write(host.path("etc/machine-id"), crate::plan::MACHINE_ID).unwrap();
    let group =
        |name: &str| format!("[[group]]\nname = \"{name}\"\ntype = \"{name}\"\ncount = 1\n");
    let text: String = ["L40S-4Q", "L40S-8Q", "L40S-16Q"].map(group).concat();
    apply(&host, &text).expect(0);
    let run = host.run("create -t L40S-24Q").expect(4);
    assert!(!run.stderr.contains("one framebuffer size"), "{run:?}");
    assert!(
        run.stderr.contains("which leaves no room for one more"),
        "{run:?}"
    );
}

#[test]
fn proxmox_has_no_vm_of_such_an_id_and_no_such_place() {
    let host = SimHost::start("two-p4");
    for vmid in ["99", "1000000000", "100:16"] {
        let run = host
            .run(&format!("create -t P4-1Q --vmid {vmid} --dry-run"))
            .expect(2);
        assert!(
            run.stderr.contains("Proxmox VE") || run.stderr.contains("hostpci16"),
            "{run:?}"
        );
    }
    let text = "[[group]]\nname = \"a\"\ntype = \"P4-1Q\"\nvms = [\"101:16\"]\n";
    let declared = file(&host, text);
    host.run_args(["plan".as_ref(), declared.as_os_str()])
        .expect(1);
    host.run("create -t P4-1Q --vmid 100:15 --dry-run")
        .expect(0);
}
