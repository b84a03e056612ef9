//! More than anybody needs: in number, in length, without an end.

use std::fs;

use super::frame::{Group, Known, New, sound};
use super::scene::{Scene, active, clear, ended, vgpuctl};
use crate::helpers::{P1, P2, definition, put, uuid};

#[test]
fn files_above_what_is_read() {
    let mut group = Group::part("limits");
    let scene = Scene::new();
    let big = |size: usize| {
        format!(
            r#"{{"mdev_type":"nvidia-63","start":"auto","x":"{}"}}"#,
            "x".repeat(size)
        )
    };
    for (what, text) in [
        ("of 8 MiB", big(8 << 20)),
        ("of 2 MiB of spaces", " ".repeat(2 << 20)),
    ] {
        scene.reset();
        let path = put(&scene.host, P2, &uuid(4), &text);
        for line in [
            "list",
            "list --json",
            "start {4}",
            "modify {4} --manual",
            "show {4}",
            "restore",
            "metrics",
            "attach {4}",
        ] {
            let run = scene.run(line);
            let holds = [
                (
                    "the answer is sound and short",
                    sound(&run) && run.stderr.len() < 2000,
                ),
                ("it is told", run.status != 0),
                (
                    "the file stays",
                    fs::metadata(&path).unwrap().len() == text.len() as u64,
                ),
                (
                    "others are served",
                    line != "restore" || active(&scene.host).contains(&uuid(3)),
                ),
            ];
            group.check(New, format!("{line}: a definition {what}"), &run, &holds);
        }
        let theirs = scene.run_mdevctl("list -d");
        group.check(
            New,
            format!("mdevctl list: a definition {what}"),
            &theirs,
            &[
                ("the answer is sound", sound(&theirs)),
                ("others are served", theirs.stdout.contains(&uuid(2))),
            ],
        );
    }
    // An endless file, which no read of it ends.
    scene.reset();
    let path = put(&scene.host, P2, &uuid(4), "");
    fs::remove_file(&path).unwrap();
    std::os::unix::fs::symlink("/dev/zero", &path).unwrap();
    for line in ["list", "start {4}", "show {4}", "restore", "undefine {4}"] {
        let run = scene.run(line);
        let holds = [
            ("it ended", run.status >= 0),
            (
                "the answer is sound and short",
                sound(&run) && run.stderr.len() < 2000,
            ),
        ];
        group.check(
            New,
            format!("{line}: a definition without an end"),
            &run,
            &holds,
        );
    }
    let conf = scene.host.path(&format!("etc/vgpuctl.d/{P2}/gpu.conf"));
    for (what, make) in [("of 2 MiB", 0), ("without an end", 1)] {
        clear(&conf);
        fs::create_dir_all(conf.parent().unwrap()).unwrap();
        match make {
            0 => fs::write(&conf, "# \n".repeat(700_000)).unwrap(),
            _ => std::os::unix::fs::symlink("/dev/zero", &conf).unwrap(),
        }
        for line in ["restore", "vfs", "doctor", "restore --dry-run"] {
            let run = scene.run(line);
            let holds = [
                ("it ended", run.status >= 0),
                ("the answer is sound", sound(&run)),
            ];
            group.check(New, format!("{line}: gpu.conf {what}"), &run, &holds);
        }
    }
    clear(&conf);
    let endless = scene.host.path("usr/endless");
    clear(&endless);
    std::os::unix::fs::symlink("/dev/zero", &endless).unwrap();
    for line in [
        "plan {e}",
        "assert {e}",
        "plan --from kubevirt {e}",
        "plan --from nova {e}",
    ] {
        let line = line.replace("{e}", endless.to_str().unwrap());
        let run = scene.run(&line);
        let holds = [
            ("it ended", run.status >= 0),
            (
                "it is refused in short",
                run.status == 1 && run.stderr.len() < 2000,
            ),
        ];
        let short = line.split(" /").next().unwrap();
        group.check(
            New,
            format!("{short}: a declaration without an end"),
            &run,
            &holds,
        );
    }
    group.end();
}

#[test]
fn numbers_that_are_too_large() {
    let mut group = Group::part("limits");
    let scene = Scene::new();
    let huge = [
        "18446744073709551615",
        "18446744073709551616",
        "-1",
        "1e9",
        "0x10",
        "٣",
    ];
    for (door, line) in [
        ("--count", "create -t nvidia-63 --dry-run --count"),
        ("--vmid", "create -t nvidia-63 --dry-run --vmid"),
        ("attach --vmid", "attach {1} --format proxmox --vmid"),
        ("attach --index", "attach {1} --format proxmox --index"),
        ("--delete-attr", "modify {2} --delete-attr"),
        ("--framebuffer", "create --series Q --dry-run --framebuffer"),
        ("--min-framebuffer", "types --min-framebuffer"),
        ("--looking-glass", "attach {1} --looking-glass"),
    ] {
        for number in huge {
            scene.reset();
            let before = scene.state();
            let mut words = super::scene::words(&scene.line(line));
            words.push(number.into());
            let run = ended(vgpuctl(scene.root(), words));
            let holds = [
                (
                    "it is refused, or nothing fits",
                    run.status != 0 || run.stdout.is_empty(),
                ),
                (
                    "the answer is sound and short",
                    sound(&run) && run.stderr.len() < 2000,
                ),
                ("nothing changed", scene.state() == before),
            ];
            group.check(New, format!("{door} {number}"), &run, &holds);
        }
    }
    group.end();
}

#[test]
fn more_of_everything() {
    let mut group = Group::part("limits");
    let scene = Scene::new();
    // 2,000 files that are no definitions: named in part, counted, and nothing is kept waiting.
    let folder = scene.host.path(&format!("etc/mdevctl.d/{P2}"));
    for n in 0..2_000 {
        fs::write(folder.join(format!("misnamed-{n}")), "").unwrap();
    }
    for line in ["list", "restore", "metrics", "export", "doctor"] {
        let run = scene.run(line);
        let holds = [
            ("the answer is sound", sound(&run)),
            (
                "warnings are told in part",
                run.stderr.lines().count() < 500,
            ),
            (
                "how many more is told",
                !["list", "metrics"].contains(&line) || run.stderr.contains(" more warnings"),
            ),
            (
                "others are served",
                line != "list" || run.stdout.contains(&uuid(3)),
            ),
        ];
        let age = if line == "list" { Known } else { New };
        group.check(age, format!("{line}: 2,000 misnamed files"), &run, &holds);
    }
    let run = scene.run("list --json");
    let all = run.json()["warnings"].as_array().map_or(0, Vec::len);
    group.check(
        New,
        "list --json: 2,000 misnamed files",
        &all,
        &[("all are told", all == 2_000)],
    );
    // A definition with very many attributes, and one attribute that is very long.
    let of = |attrs: &[serde_json::Value]| {
        serde_json::json!({ "mdev_type": "nvidia-63", "start": "manual", "attrs": attrs })
            .to_string()
    };
    let many: Vec<serde_json::Value> = (0..5000)
        .map(|n| serde_json::json!({ format!("a{n}"): "1" }))
        .collect();
    let long = [serde_json::json!({ "nvidia/vgpu_params": "x".repeat(500_000) })];
    for (what, text) in [
        ("5,000 attributes", of(&many)),
        ("an attribute of 500 kB", of(&long)),
    ] {
        scene.reset();
        put(&scene.host, P1, &uuid(4), text);
        for line in [
            "list",
            "show {4}",
            "start {4}",
            "modify {4} --auto",
            "attach {4}",
        ] {
            let run = scene.run(line);
            let holds = [
                ("the answer is sound", sound(&run)),
                (
                    "what failed is told in short",
                    run.status == 0 || run.stderr.len() < 3000,
                ),
                (
                    "no device is left half made",
                    !active(&scene.host).contains(&uuid(4)),
                ),
            ];
            group.check(
                New,
                format!("{line}: a definition with {what}"),
                &run,
                &holds,
            );
        }
        let path = definition(&scene.host, P1, &uuid(4));
        let whole = serde_json::from_slice::<serde_json::Value>(&fs::read(path).unwrap()).is_ok();
        group.check(
            New,
            format!("a definition with {what} afterwards"),
            &whole,
            &[("it is whole", whole)],
        );
    }
    // Arguments as many and as long as the kernel passes on.
    scene.reset();
    let before = scene.state();
    for (what, words) in [
        (
            "30,000 UUIDs",
            (0..30_000)
                .map(|n| format!("b{n:07}-0000-4000-8000-000000000000"))
                .collect::<Vec<_>>(),
        ),
        ("one of 100 kB", vec!["a".repeat(100_000)]),
    ] {
        for verb in ["start", "undefine", "show"] {
            let run = ended(vgpuctl(
                scene.root(),
                [vec![verb.to_owned()], words.clone()].concat(),
            ));
            let holds = [
                ("it is refused", run.status != 0),
                ("nothing changed", scene.state() == before),
                (
                    "it ended by itself",
                    (0..=7).contains(&run.status) && !run.stderr.contains("panicked"),
                ),
            ];
            let known = what == "one of 100 kB" && verb == "show";
            let age = if known { Known } else { New };
            group.check(age, format!("{verb}: {what}"), &run.status, &holds);
        }
    }
    group.end();
}
