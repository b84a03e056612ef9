//! The settings of vgpu_unlock-rs: the doctor's verdict is the unlock's own.

use std::fmt::Write as _;

use serde_json::Value;

use crate::hosts;
use crate::tree::Tree;
use crate::unlock_table::{FILES, Verdict, Which};

const OVERRIDES: &str = "etc/vgpu_unlock/profile_override.toml";
const CONFIG: &str = "etc/vgpu_unlock/config.toml";
const DROP_IN: &str = "etc/systemd/system/nvidia-vgpu-mgr.service.d/path.conf";

/// A host with an unlocked card and neither file.
fn host() -> Tree {
    let tree = hosts::gtx_1080_ti();
    tree.without(OVERRIDES).without(CONFIG);
    tree
}

/// The findings of one check.
fn findings(tree: &Tree, check: &str) -> Vec<Value> {
    let run = tree.run(&["--json"]);
    let document: Value = serde_json::from_slice(&run.stdout).unwrap();
    let checks = document["diagnosis"]["checks"].as_array().unwrap();
    let of = checks.iter().find(|one| one["id"] == check).unwrap();
    of["findings"].as_array().unwrap().clone()
}

/// The message of a finding, and where it was seen.
fn told(finding: &Value) -> String {
    let seen = finding["evidence"].as_array().unwrap();
    let seen = seen.iter().map(|one| one["found"].as_str().unwrap());
    let message = finding["message"].as_str().unwrap();
    format!("{message} | {}", seen.collect::<Vec<_>>().join(" | "))
}

fn verdict(which: Which, findings: &[Value]) -> Verdict {
    let ends = match which {
        Which::Overrides => "every VM fails to start",
        Which::Config => "the daemons exit at once",
    };
    let worst = &findings[0];
    let message = worst["message"].as_str().unwrap();
    match worst["severity"].as_str().unwrap() {
        "problem" if message.ends_with(ends) => Verdict::Refused,
        "problem" => Verdict::Limited,
        "warning" if message.contains("the daemons ignore it") => Verdict::LeftAside,
        "warning" => Verdict::Useless,
        _ => Verdict::Taken,
    }
}

#[test]
fn every_file_is_judged_as_the_unlock_judges_it() {
    let (mut faults, mut counts) = (String::new(), Vec::new());
    for case in FILES {
        let tree = host();
        let (path, check) = match case.which {
            Which::Overrides => (OVERRIDES, "profile-override"),
            Which::Config => (CONFIG, "unlock-config"),
        };
        tree.file(path, case.text);
        let found = findings(&tree, check);
        let (judged, told) = (verdict(case.which, &found), told(&found[0]));
        counts.push(judged);
        let line = format!("line {}", case.line);
        let is_right = judged == case.verdict
            && told.contains(case.says)
            && (case.line == 0 || told.contains(&format!("{line}:")) || told.ends_with(&line));
        if !is_right {
            let text = String::from_utf8_lossy(case.text);
            let _ = writeln!(
                faults,
                "{text}\n  wanted {:?} at {line}, {:?}\n  got {judged:?}: {told}\n",
                case.verdict, case.says
            );
        }
    }
    assert!(faults.is_empty(), "{faults}");
    let of = |wanted| counts.iter().filter(|one| **one == wanted).count();
    println!(
        "{} files: {} taken, {} with something useless, {} limited, {} refused, {} left aside",
        FILES.len(),
        of(Verdict::Taken),
        of(Verdict::Useless),
        of(Verdict::Limited),
        of(Verdict::Refused),
        of(Verdict::LeftAside)
    );
}

#[test]
fn how_long_a_name_may_be_depends_on_the_driver() {
    let name = |length: usize| format!("[vm.100]\ncard_name = '{}'\n", "x".repeat(length));
    for (version, length, wanted) in [
        ("570.172.07", 32, "problem"),
        ("580.65.05", 32, "ok"),
        ("580.65.05", 63, "ok"),
        ("580.65.05", 64, "problem"),
    ] {
        let tree = host();
        tree.edit("proc/driver/nvidia/version", "535.129.03", version);
        tree.file(OVERRIDES, name(length));
        let found = findings(&tree, "profile-override");
        assert_eq!(
            found[0]["severity"], wanted,
            "{version} {length}: {found:?}"
        );
    }
    let tree = host();
    tree.without("proc/driver").file(OVERRIDES, name(32));
    let found = findings(&tree, "profile-override");
    assert_eq!(found[0]["severity"], "warning", "{found:?}");
    assert!(
        told(&found[0]).contains("with drivers before 580"),
        "{found:?}"
    );
}

#[test]
fn the_file_that_the_manager_is_told_of_is_the_one_that_is_judged() {
    const BAD: &str = "[vm.100]\ncuda_enabled = true\n";
    let variable = "VGPU_UNLOCK_PROFILE_OVERRIDE_CONFIG_PATH=/srv/vgpu/mine.toml";
    for drop_in in [
        format!("[Service]\nEnvironment={variable}\n"),
        format!("[Service]\nEnvironment=A=1 \"{variable}\"\n"),
        format!(
            "[Service]\nExecStart=\nExecStart=/usr/bin/env {variable} /usr/bin/nvidia-vgpu-mgr\n"
        ),
        "[Service]\nEnvironmentFile=/etc/default/vgpu\n".to_owned(),
    ] {
        let tree = host();
        tree.file(DROP_IN, &drop_in)
            .file("etc/default/vgpu", format!("{variable}\n"))
            .file("srv/vgpu/mine.toml", BAD)
            .file(OVERRIDES, "");
        let found = findings(&tree, "profile-override");
        assert_eq!(found[0]["severity"], "problem", "{drop_in}{found:?}");
        assert!(
            told(&found[0]).starts_with("cuda_enabled in [vm.100]"),
            "{found:?}"
        );
        let path = found[0]["evidence"][0]["path"].as_str().unwrap();
        assert!(path.ends_with("/srv/vgpu/mine.toml"), "{path}");
        assert!(
            told(&found[1]).contains("profile_override.toml is not read"),
            "{found:?}"
        );

        tree.file("srv/vgpu/mine.toml", "").file(OVERRIDES, BAD);
        let found = findings(&tree, "profile-override");
        assert_eq!(found[0]["severity"], "ok", "{drop_in}{found:?}");

        tree.without("srv/vgpu/mine.toml");
        let found = findings(&tree, "profile-override");
        assert_eq!(found[0]["severity"], "warning", "{drop_in}{found:?}");
        assert!(
            told(&found[0]).contains("which does not exist"),
            "{found:?}"
        );
    }
    // The other daemon starts no VMs.
    let tree = host();
    tree.file(
        &DROP_IN.replace("vgpu-mgr", "vgpud"),
        format!("[Service]\nEnvironment={variable}\n"),
    )
    .file(OVERRIDES, BAD);
    let found = findings(&tree, "profile-override");
    assert_eq!(found[0]["severity"], "problem", "{found:?}");
    assert!(
        told(&found[1]).contains("only for nvidia-vgpud"),
        "{found:?}"
    );
}

#[test]
fn a_number_that_was_meant_to_be_hexadecimal_is_told() {
    let tree = hosts::gtx_1080_ti();
    // A card whose number has no letters.
    tree.without(OVERRIDES);
    let device = "sys/bus/pci/devices/0000:81:00.0/device";
    tree.file(device, "0x1382\n");
    tree.file(
        CONFIG,
        "[pci_info_map.1382]\ndevice_id = 0x13bd\nsub_system_id = 0x1160\n",
    );
    let found = findings(&tree, "unlock-config");
    assert_eq!(found[0]["severity"], "warning", "{found:?}");
    assert!(told(&found[0]).contains("write 0x1382"), "{found:?}");
}

#[test]
fn a_folder_in_a_files_place_is_as_bad_as_a_broken_file() {
    let tree = host();
    tree.dir(OVERRIDES).dir(CONFIG);
    let found = findings(&tree, "profile-override");
    assert_eq!(
        verdict(Which::Overrides, &found),
        Verdict::Refused,
        "{found:?}"
    );
    let found = findings(&tree, "unlock-config");
    assert_eq!(
        verdict(Which::Config, &found),
        Verdict::LeftAside,
        "{found:?}"
    );
}

#[test]
fn definitions_that_other_programs_read_otherwise_are_named() {
    let tree = hosts::p4();
    let dir = format!("etc/mdevctl.d/{}", hosts::CARD.address);
    let uuid = "abcdef00-0000-4000-8000-000000000001";
    let text = |start: &str| format!("{{\"mdev_type\":\"nvidia-63\",\"start\":\"{start}\"}}");
    tree.file(&format!("{dir}/{}", uuid.to_uppercase()), text("auto"));
    let found = findings(&tree, "definitions");
    assert_eq!(found[0]["severity"], "problem", "{found:?}");
    assert!(
        told(&found[0]).contains("its name is in upper case"),
        "{found:?}"
    );
    let step = found[0]["steps"][0].to_string();
    assert!(
        step.contains("rename it: mv ") && step.contains(uuid),
        "{step}"
    );

    tree.file(&format!("{dir}/{uuid}"), text("Auto"));
    let found = findings(&tree, "definitions");
    let all: Vec<String> = found.iter().map(told).collect();
    assert!(
        all.iter().any(|one| one.contains("\"start\" is \"Auto\"")),
        "{all:?}"
    );
    let step = found[0]["steps"][0].to_string();
    assert!(step.contains("also exists and is the one used"), "{step}");
}
