//! The manual page and the examples say what is true.

use std::path::{Path, PathBuf};

use vgpuctl::declare::{Format, Source, import, parse};

use super::{gpus, source, told};

fn file(below: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(below)
}

fn manual() -> String {
    let text = std::fs::read_to_string(file("man/vgpuctl.toml.5")).unwrap();
    text.replace("\\-", "-").replace("\\(dq", "\"")
}

#[test]
fn every_key_is_in_the_manual_and_every_key_there_exists() {
    let manual = manual();
    let paragraphs: Vec<&str> = manual
        .split(".SH ")
        .filter(|section| section.starts_with("KEYS"))
        .flat_map(|section| section.split(".TP\n.B ").skip(1))
        .map(|paragraph| paragraph.lines().next().unwrap())
        .collect();
    // The reader names all that it knows when it is given a key that it does not know.
    let known = |text: &str| {
        let error = parse(&source(text)).unwrap_err();
        let lines = told(&error);
        let list = lines
            .iter()
            .find_map(|line| line.split_once("; it takes "))
            .unwrap()
            .1;
        list.split(", ").map(str::to_owned).collect::<Vec<_>>()
    };
    let mut wanted = known("version = 1\nzzzzzzzz = 1");
    wanted.retain(|key| key != "group" && key != "gpu");
    wanted.extend(known("version = 1\n[[group]]\nzzzzzzzz = 1"));
    wanted.extend(known("version = 1\n[[gpu]]\nzzzzzzzz = 1"));
    assert_eq!(paragraphs, wanted);
}

#[test]
fn every_example_of_the_manual_is_right() {
    let manual = manual();
    let examples: Vec<&str> = manual.split(".nf\n").skip(1).collect();
    assert_eq!(examples.len(), 3);
    for example in examples {
        let text = example.split(".fi\n").next().unwrap();
        let read = parse(&source(text)).map_err(|error| told(&error));
        assert!(!read.unwrap().declaration.groups.is_empty());
    }
}

#[test]
fn every_form_is_in_the_manual() {
    for form in [
        "nvidia-vgpu-device-manager",
        "kubevirt",
        "nova",
        "cyborg",
        "proxmox",
    ] {
        assert!(manual().contains(&format!(".B {form}\n")), "{form}");
    }
}

#[test]
fn every_example_file_is_right() {
    let read = |name: &str| Source {
        name: name.to_owned(),
        text: std::fs::read_to_string(file("examples/declarations").join(name)).unwrap(),
    };
    let mut seen = 0;
    for entry in std::fs::read_dir(file("examples/declarations")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        seen += 1;
        let form = match name.as_str() {
            "vgpu-device-manager.yaml" => Some((Format::VgpuDeviceManager, Some("small"))),
            "kubevirt.yaml" => Some((Format::KubeVirt, Some("gpu=big"))),
            "nova.conf" => Some((Format::Nova, None)),
            "cyborg.conf" => Some((Format::Cyborg, None)),
            "100.conf" | "pci.cfg" => Some((Format::Proxmox, Some("one"))),
            _ => None,
        };
        let reading = match form {
            None => parse(&read(&name)),
            Some((Format::Proxmox, node)) => {
                let files = [read("100.conf"), read("pci.cfg")];
                import(Format::Proxmox, &files, node, &gpus())
            }
            Some((form, select)) => import(form, &[read(&name)], select, &gpus()),
        };
        reading.map_err(|error| told(&error)).unwrap();
    }
    assert!(seen >= 10, "{seen}");
}
