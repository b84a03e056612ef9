//! The XML that `attach` prints, against libvirt's own schema.

use std::io::Write;
use std::process::{Command, Stdio};

use crate::harness::SimHost;
use crate::helpers::uuid;

/// Debian: in libvirt0.
const SCHEMA: &str = "/usr/share/libvirt/schemas/domain.rng";

/// What libvirt's schema has to say against a domain with these elements, or nothing.
fn faults(within_devices: &str, at_the_end: &str) -> String {
    let domain = format!(
        "<domain type='kvm'><name>web</name><memory unit='MiB'>512</memory>\
         <os><type arch='x86_64' machine='q35'>hvm</type></os>\
         <devices>{within_devices}</devices>{at_the_end}</domain>"
    );
    let mut xmllint = Command::new("xmllint")
        .args(["--noout", "--relaxng", SCHEMA, "-"])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("xmllint is there: make setup installs it");
    xmllint
        .stdin
        .take()
        .unwrap()
        .write_all(domain.as_bytes())
        .unwrap();
    let output = xmllint.wait_with_output().unwrap();
    match output.status.success() {
        true => String::new(),
        false => String::from_utf8_lossy(&output.stderr).into_owned() + &domain,
    }
}

#[test]
fn the_schema_does_refuse() {
    assert_eq!(faults("", ""), "");
    for (within, end) in [
        (
            "<hostdev mode='subsystem' type='mdev' model='vfio-xyz'/>",
            "",
        ),
        ("<shmem/>", ""),
        (
            "",
            "<qemu:override xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'><x/></qemu:override>",
        ),
    ] {
        assert_ne!(faults(within, end), "", "{within}{end}");
    }
}

#[test]
fn every_combination_of_settings_is_valid() {
    let pci = SimHost::start("two-p4");
    pci.run(&format!("create -t P4-1Q -u {}", uuid(1)))
        .expect(0);
    let functions = SimHost::start("l40s");
    functions
        .run(&format!("create -t L40S-12Q -u {}", uuid(1)))
        .expect(0);
    let s390 = SimHost::start("s390-matrix");
    s390.run(&format!("create -t vfio_ap-passthrough -u {}", uuid(1)))
        .expect(0);
    let mut tried = 0;
    let mut check = |host: &SimHost, line: &str| {
        let run = host
            .run(&format!("attach a0000001 --json {line}"))
            .expect(0);
        let document = run.json();
        let text = |place: &str| -> String {
            let blocks = document["attach"]["blocks"].as_array().unwrap();
            let here = blocks.iter().filter(|block| block["place"] == place);
            here.map(|block| block["text"].as_str().unwrap()).collect()
        };
        let (within, end) = (text("domain-devices"), text("domain-end"));
        assert!(within.contains("<hostdev"), "{line}");
        assert_eq!(end.is_empty(), !line.contains("--present-as"), "{line}");
        assert_eq!(faults(&within, &end), "", "{line}");
        tried += 1;
    };
    for display in ["", "--display on", "--display off", "--ramfb"] {
        for glass in ["", "--looking-glass nvfbc", "--looking-glass 1920x1080"] {
            for identity in ["", "--present-as 10de:1bb1", "--present-as 10de:1bb1:0:ff"] {
                check(&pci, &format!("{display} {glass} {identity}"));
            }
        }
    }
    for glass in ["", "--looking-glass nvfbc", "--looking-glass 1920x1080"] {
        for identity in ["", "--present-as 10de:1bb1", "--present-as 10de:1bb1:0:ff"] {
            check(&functions, &format!("{glass} {identity}"));
        }
    }
    check(&s390, "");
    assert_eq!(tried, 46);
}
