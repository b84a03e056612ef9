//! Plans for a GPU that serves several framebuffer sizes at a time, because its settings ask for it.

use std::path::PathBuf;

use crate::harness::SimHost;
use crate::plan::{apply, host, plan};

const GPU: &str = "0000:41:00.0";

/// A group of so many, named after its type.
fn group(type_name: &str, count: u32) -> String {
    format!("[[group]]\nname = \"{type_name}\"\ntype = \"{type_name}\"\ncount = {count}\n")
}

fn settings(host: &SimHost) -> PathBuf {
    host.path("etc/vgpuctl.d").join(GPU).join("gpu.conf")
}

/// An L40S, 48 GiB, whose settings let it have several sizes once it holds nothing.
fn mixing() -> SimHost {
    let host = host("l40s");
    let path = settings(&host);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, "mixed-sizes = yes\n").unwrap();
    host
}

fn types(host: &SimHost) -> Vec<String> {
    let listed = host.run("list --active --json").expect(0).json();
    let devices = listed["devices"].as_array().unwrap().iter();
    let name = |device: &serde_json::Value| device["type_name"].as_str().unwrap().to_owned();
    let mut names: Vec<String> = devices.map(name).collect();
    names.sort();
    names
}

#[test]
fn without_the_setting_the_second_size_is_blocked_and_it_is_told_how() {
    let host = host("l40s");
    let text = group("L40S-8Q", 2) + &group("L40S-24Q", 1);
    let run = plan(&host, &text).expect(2);
    assert!(run.stdout.ends_with("2 to create, 1 blocked\n"), "{run:#?}");
    assert!(
        run.stdout
            .contains("will hold 2 x L40S-8Q (8 GiB each); a GPU serves one framebuffer size"),
        "{run:#?}"
    );
    let hint = format!("mixed-sizes = yes in {}\n", settings(&host).display());
    assert!(run.stderr.contains(&hint), "{run:#?}");
    apply(&host, &text).expect(7);
    assert_eq!(types(&host), ["NVIDIA L40S-8Q", "NVIDIA L40S-8Q"]);
}

#[test]
fn an_idle_gpu_is_had_to_serve_them_and_filled_to_its_memory() {
    let host = mixing();
    let text = group("L40S-8Q", 1) + &group("L40S-12Q", 1) + &group("L40S-24Q", 1);
    let run = plan(&host, &text).expect(2);
    assert!(run.stdout.ends_with("3 to create\n"), "{run:#?}");
    apply(&host, &text).expect(0);
    plan(&host, &text).expect(0);
    assert_eq!(
        types(&host),
        ["NVIDIA L40S-12Q", "NVIDIA L40S-24Q", "NVIDIA L40S-8Q"]
    );
    // 44 of 48 GiB are taken.
    for (more, fits) in [("L40S-4Q", true), ("L40S-6Q", false), ("L40S-48Q", false)] {
        let run = plan(&host, &(text.clone() + &group(more, 1))).expect(2);
        assert_eq!(run.stdout.contains("+ create "), fits, "{more}: {run:#?}");
        let why = "which leaves no room for one more";
        assert_eq!(run.stdout.contains(why), !fits, "{more}: {run:#?}");
    }
}

#[test]
fn more_than_the_memory_holds_is_blocked_beforehand() {
    let host = mixing();
    let text = group("L40S-24Q", 1) + &group("L40S-16Q", 1) + &group("L40S-12Q", 1);
    let run = plan(&host, &text).expect(2);
    assert!(run.stdout.ends_with("2 to create, 1 blocked\n"), "{run:#?}");
    apply(&host, &text).expect(7);
    let run = plan(&host, &text).expect(2);
    assert!(
        run.stdout.ends_with("1 blocked, 2 as declared\n"),
        "{run:#?}"
    );
}

#[test]
fn a_gpu_that_holds_one_size_already_is_asked_when_it_is_empty() {
    let host = host("l40s");
    let one = group("L40S-8Q", 1);
    apply(&host, &one).expect(0);
    std::fs::write(settings(&host), "mixed-sizes = yes\n").unwrap();
    let both = one + &group("L40S-24Q", 1);
    let run = plan(&host, &both).expect(2);
    assert!(
        run.stdout.ends_with("1 blocked, 1 as declared\n"),
        "{run:#?}"
    );
    assert!(
        run.stderr
            .contains("takes effect once 0000:41:00.0 has no vGPUs"),
        "{run:#?}"
    );
    apply(&host, &both).expect(4);
    host.ctl(&["reboot"]);
    host.run("restore").expect(0);
    apply(&host, &both).expect(0);
    plan(&host, &both).expect(0);
    assert_eq!(types(&host).len(), 2);
}

#[test]
fn what_goes_makes_it_empty_enough() {
    let host = host("l40s");
    apply(&host, &group("L40S-12Q", 4)).expect(0);
    std::fs::write(settings(&host), "mixed-sizes = yes\n").unwrap();
    let text = format!(
        "unlisted = \"remove\"\n{}{}",
        group("L40S-24Q", 1),
        group("L40S-8Q", 2)
    );
    apply(&host, &text).expect(0);
    plan(&host, &text).expect(0);
    assert_eq!(
        types(&host),
        ["NVIDIA L40S-24Q", "NVIDIA L40S-8Q", "NVIDIA L40S-8Q"]
    );
}

#[test]
fn where_nvidias_program_fails_nothing_is_changed_and_it_is_named() {
    let host = host("l40s");
    let before = group("L40S-12Q", 1);
    apply(&host, &before).expect(0);
    std::fs::write(settings(&host), "mixed-sizes = yes\n").unwrap();
    let program = host.path("usr/bin/nvidia-smi");
    let text = format!(
        "unlisted = \"remove\"\n{}{}",
        group("L40S-24Q", 1),
        group("L40S-8Q", 2)
    );
    std::fs::remove_file(&program).unwrap();
    let run = apply(&host, &text).expect(3);
    let begin = format!("error: cannot enable vGPUs of several sizes on {GPU}: ");
    assert!(run.stderr.starts_with(&begin), "{run:#?}");
    assert!(run.stderr.contains(program.to_str().unwrap()), "{run:#?}");
    assert!(run.stderr.contains("the host is unchanged"), "{run:#?}");
    assert_eq!(types(&host), ["NVIDIA L40S-12Q"]);
    plan(&host, &before).expect(0);
}
