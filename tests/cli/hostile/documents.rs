//! Files that are not what they should be: each is answered with where it is, and the rest of the host is
//! served.

use std::fs;
use std::path::PathBuf;

use super::frame::{Group, Known, New, sound};
use super::scene::{Scene, active, clear, ended, mdevctl, run, words};
use crate::harness::SimHost;
use crate::helpers::{P1, put, uuid};

fn nested(open: &str, close: &str, depth: usize) -> Vec<u8> {
    (open.repeat(depth) + &close.repeat(depth)).into_bytes()
}

/// Definitions that are none.
fn definitions() -> Vec<(&'static str, Vec<u8>)> {
    let of =
        |more: &str| format!(r#"{{"mdev_type":"nvidia-63","start":"manual"{more}}}"#).into_bytes();
    vec![
        ("truncated", br#"{"mdev_type":"nvidia-63","sta"#.to_vec()),
        (
            "half a character",
            b"{\"mdev_type\":\"nvidia-63\xe2\x82".to_vec(),
        ),
        (
            "a byte order mark",
            [b"\xef\xbb\xbf".to_vec(), of("")].concat(),
        ),
        (
            "UTF-16",
            "{\"mdev_type\":\"nvidia-63\"}"
                .encode_utf16()
                .flat_map(u16::to_le_bytes)
                .collect(),
        ),
        ("NULs", vec![0; 4096]),
        ("a NUL behind it", [of(""), vec![0]].concat()),
        ("two documents", [of(""), of("")].concat()),
        ("deep lists", nested("[", "]", 100_000)),
        ("deep objects", nested("{\"a\":", "}", 50_000)),
        (
            "a deep value",
            of(&format!(",\"x\":{}{}", "[".repeat(500), "]".repeat(500))),
        ),
        (
            "a number as a type",
            br#"{"mdev_type":1e999,"start":"manual"}"#.to_vec(),
        ),
        (
            "null as a type",
            br#"{"mdev_type":null,"start":"manual"}"#.to_vec(),
        ),
        (
            "a list as a type",
            br#"{"mdev_type":["nvidia-63"],"start":"manual"}"#.to_vec(),
        ),
        ("null as attributes", of(",\"attrs\":null")),
        ("a text as attributes", of(",\"attrs\":\"x\"")),
        (
            "two names in an attribute",
            of(",\"attrs\":[{\"a\":\"1\",\"b\":\"2\"}]"),
        ),
        ("an attribute without a name", of(",\"attrs\":[{}]")),
        (
            "an attribute of an empty name",
            of(",\"attrs\":[{\"\":\"1\"}]"),
        ),
        ("an attribute's value null", of(",\"attrs\":[{\"a\":null}]")),
        ("a half surrogate", of(",\"attrs\":[{\"a\":\"\\ud800\"}]")),
        ("the kernel's remove", of(",\"attrs\":[{\"remove\":\"1\"}]")),
        (
            "the kernel's uevent",
            of(",\"attrs\":[{\"uevent\":\"add\"}]"),
        ),
        (
            "the kernel's driver_override",
            of(",\"attrs\":[{\"driver_override\":\"x\"}]"),
        ),
        (
            "an absolute attribute",
            of(",\"attrs\":[{\"/etc/passwd\":\"x\"}]"),
        ),
        ("a function that is no address", of(",\"vf\":{\"a\":1}")),
        (
            "a comment",
            b"// x\n{\"mdev_type\":\"nvidia-63\",\"start\":\"manual\"}".to_vec(),
        ),
        (
            "a trailing comma",
            br#"{"mdev_type":"nvidia-63","start":"manual",}"#.to_vec(),
        ),
        (
            "single quotes",
            br#"{'mdev_type':'nvidia-63','start':'manual'}"#.to_vec(),
        ),
        ("no object", b"true".to_vec()),
        ("TOML", b"mdev_type = \"nvidia-63\"\n".to_vec()),
        (
            "a program",
            b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec(),
        ),
    ]
}

#[test]
fn definitions_that_are_none() {
    let mut group = Group::part("documents");
    let scene = Scene::new();
    for (what, text) in definitions() {
        scene.reset();
        let path = put(&scene.host, P1, &uuid(4), &text);
        let list = scene.run("list");
        let start = scene.run("start {4}");
        let theirs = scene.run_mdevctl("list -d");
        let restore = scene.run("restore");
        // What is odd and harmless may be understood: two equal keys, an unknown value.
        let understood = list.status == 0;
        let said = list.stderr.contains(path.to_str().unwrap());
        let holds = [
            ("it is named, or understood", said || understood),
            (
                "it is served, or refused with its name",
                understood || start.stderr.contains(&uuid(4)) && start.status != 0,
            ),
            (
                "the others are listed",
                list.stdout.contains(&uuid(2)) && theirs.stdout.contains(&uuid(2)),
            ),
            (
                "the others are restored",
                active(&scene.host).contains(&uuid(3)),
            ),
            (
                "the answers are sound",
                [&list, &start, &theirs, &restore]
                    .iter()
                    .all(|run| sound(run)),
            ),
            ("the file stays", fs::read(&path).unwrap() == text),
            (
                "its device never ran on what is forbidden",
                understood || !active(&scene.host).contains(&uuid(4)),
            ),
        ];
        let known = [
            "truncated",
            "a list as a type",
            "an attribute's value null",
            "an absolute attribute",
            "a text as attributes",
        ];
        let age = if known.contains(&what) { Known } else { New };
        group.check(
            age,
            format!("a definition: {what}"),
            &(list, start, restore),
            &holds,
        );
    }
    group.end();
}

/// Declarations that are none.
fn declarations() -> Vec<(&'static str, Vec<u8>)> {
    let of = |more: &str| {
        format!("version = 1\n[[group]]\nname = \"a\"\ntype = \"nvidia-63\"\n{more}\n").into_bytes()
    };
    vec![
        ("empty", Vec::new()),
        ("NULs", vec![0; 100]),
        ("a byte order mark and nothing", b"\xef\xbb\xbf".to_vec()),
        ("no UTF-8", b"version = 1\n\xff\xfe\n".to_vec()),
        ("truncated", b"version = 1\n[[group]]\nname = \"a".to_vec()),
        (
            "no version",
            b"[[group]]\nname = \"a\"\ntype = \"nvidia-63\"\ncount = 1\n".to_vec(),
        ),
        (
            "a version of the future",
            b"version = 99999999999999999999\n".to_vec(),
        ),
        ("a negative count", of("count = -1")),
        ("a huge count", of("count = 9223372036854775807")),
        (
            "a count too huge for TOML",
            of("count = 99999999999999999999999999"),
        ),
        ("a count that is no whole number", of("count = 1.5")),
        ("a count that is infinite", of("count = inf")),
        ("a text as count", of("count = \"1\"")),
        ("two equal keys", of("count = 1\ncount = 1")),
        (
            "two equal groups",
            [
                of("count = 1"),
                b"[[group]]\nname = \"a\"\ntype = \"nvidia-63\"\ncount = 1\n".to_vec(),
            ]
            .concat(),
        ),
        (
            "two equal UUIDs",
            of(
                "uuids = [\"a0000009-0000-4000-8000-000000000000\", \"a0000009-0000-4000-8000-000000000000\"]",
            ),
        ),
        (
            "a deep list",
            of(&format!(
                "count = {}1{}",
                "[".repeat(5000),
                "]".repeat(5000)
            )),
        ),
        (
            "a deep table",
            of(&format!(
                "count = {}1{}",
                "{a=".repeat(1000),
                "}".repeat(1000)
            )),
        ),
        (
            "a deep key",
            of(&format!("{} = 1", vec!["a"; 2000].join("."))),
        ),
        (
            "a long line",
            of(&format!("count = \"{}\"", "x".repeat(500_000))),
        ),
        (
            "a table in place of a group",
            b"version = 1\n[group]\nname = \"a\"\n".to_vec(),
        ),
        ("a date", of("count = 1979-05-27T07:32:00Z")),
        ("an unknown key", of("count = 1\ncolour = \"red\"")),
        (
            "a type that leads elsewhere",
            b"version = 1\n[[group]]\nname = \"a\"\ntype = \"../../x\"\ncount = 1\n".to_vec(),
        ),
        (
            "a GPU that leads elsewhere",
            of("count = 1\ngpus = [\"../../x\"]"),
        ),
        (
            "an attribute that leads elsewhere",
            of("count = 1\nattrs = [\"../../x=1\"]"),
        ),
        (
            "an attribute of the kernel's",
            of("count = 1\nattrs = [\"remove=1\"]"),
        ),
        ("JSON", br#"{"version": 1}"#.to_vec()),
        ("carriage returns", b"version = 1\r[[group]]\r".to_vec()),
    ]
}

#[test]
fn declarations_that_are_none() {
    let mut group = Group::part("documents");
    let scene = Scene::new();
    for (what, text) in declarations() {
        scene.reset();
        fs::write(scene.declaration(), &text).unwrap();
        let before = scene.state();
        for verb in ["plan", "apply --yes"] {
            let run = scene.run(&format!("{verb} {{file}}"));
            let holds = [
                ("it is refused", [1, 3].contains(&run.status)),
                (
                    "it is told where",
                    run.stderr.contains("declared.toml") || run.stderr.contains("(line 2)"),
                ),
                (
                    "the answer is sound and short",
                    sound(&run) && run.stderr.len() < 3000,
                ),
                ("nothing changed", scene.state() == before),
            ];
            // What the library's tests have of them is what plan says.
            let known = [
                "an unknown key",
                "a text as count",
                "a negative count",
                "a count too huge for TOML",
                "a version of the future",
                "no version",
                "a table in place of a group",
                "two equal groups",
                "two equal UUIDs",
            ];
            let is_known = known.contains(&what) && verb == "plan";
            let age = if is_known { Known } else { New };
            group.check(age, format!("{verb}: {what}"), &run, &holds);
        }
    }
    group.end();
}

#[test]
fn other_programs_files_that_are_none() {
    let mut group = Group::part("documents");
    let scene = Scene::new();
    let texts: Vec<(&str, Vec<u8>)> = vec![
        ("empty", Vec::new()),
        ("NULs", vec![0; 100]),
        (
            "no UTF-8",
            b"[devices]\nenabled_mdev_types = \xff\xfe\n".to_vec(),
        ),
        ("a program", b"\x7fELF\x02\x01\x01\0\0\0\0".to_vec()),
        ("a byte order mark", b"\xef\xbb\xbf[devices]\n".to_vec()),
        ("deep lists", nested("[", "]", 20_000)),
        (
            "deep blocks",
            (0..2000)
                .map(|n| format!("{}a:\n", " ".repeat(n)))
                .collect::<String>()
                .into_bytes(),
        ),
        ("an alias of nothing", b"a: *x\n".to_vec()),
        ("an alias of itself", b"a: &x [*x]\n".to_vec()),
        (
            "a tag",
            b"!!python/object/apply:os.system ['id']\n".to_vec(),
        ),
        ("two documents", b"a: 1\n---\nb: 2\n".to_vec()),
        ("only a key", b"=\n".to_vec()),
        ("only a section", b"[\n".to_vec()),
    ];
    let before = scene.state();
    for format in [
        "nvidia-vgpu-device-manager",
        "kubevirt",
        "nova",
        "cyborg",
        "proxmox",
    ] {
        for (what, text) in &texts {
            let path = scene.host.path("usr/100.conf");
            fs::write(&path, text).unwrap();
            let run = scene.run(&format!("plan --from {format} {}", path.display()));
            let holds = [
                (
                    "the answer is sound and short",
                    sound(&run) && run.stderr.len() < 4000,
                ),
                (
                    "what is refused is named",
                    run.status != 1 || run.stderr.contains("100.conf"),
                ),
                (
                    "it ends with one of its statuses",
                    [0, 1, 2].contains(&run.status),
                ),
                ("nothing changed", scene.state() == before),
            ];
            group.check(New, format!("plan --from {format}: {what}"), &run, &holds);
        }
    }
    group.end();
}

#[test]
fn json_files_that_are_named() {
    let mut group = Group::part("documents");
    let scene = Scene::new();
    for (what, text) in definitions() {
        // Each has the same reader as a definition's file; these differ by what is named.
        if ![
            "truncated",
            "deep lists",
            "NULs",
            "a byte order mark",
            "no object",
            "the kernel's remove",
            "an absolute attribute",
        ]
        .contains(&what)
        {
            continue;
        }
        scene.reset();
        let path: PathBuf = scene.host.path("usr/x.json");
        fs::write(&path, &text).unwrap();
        let before = scene.state();
        for line in [
            "define -u {4} -p {p}",
            "modify -u {2}",
            "start -u {4} -p {p}",
        ] {
            let mut args = words(&scene.line(line));
            args.extend(["--jsonfile".into(), path.clone().into()]);
            let run = ended(mdevctl(scene.root(), args));
            let holds = [
                ("it is refused", run.status != 0),
                ("the answer is sound", sound(&run)),
                ("nothing changed", scene.state() == before),
            ];
            group.check(
                New,
                format!("mdevctl {line} --jsonfile: {what}"),
                &run,
                &holds,
            );
        }
    }
    group.end();
}

/// Settings, records and notes: nobody but the program and root writes them, and still no content of them
/// stops the rest.
#[test]
fn settings_and_records_that_are_none() {
    let mut group = Group::part("documents");
    let host = SimHost::with_l40s(1, 3);
    let (gpu, function) = ("0000:41:00.0", "0000:41:00.4");
    run(
        &host,
        &format!("create -t L40S-1Q -p {function} -u {}", uuid(1)),
    )
    .expect(0);
    run(&host, "restore").expect(0);
    let texts: [(&str, &[u8]); 8] = [
        ("empty", b""),
        ("NULs", &[0; 64]),
        ("no UTF-8", b"\xff\xfe\xfd"),
        ("a list", b"[1,2,3]"),
        ("wrong types", br#"{"uuid":1,"type":[],"gpu":{},"start":"x","version":"1"}"#),
        ("a type that leads elsewhere", br#"{"uuid":"a0000001-0000-4000-8000-000000000000","type":"../../x","gpu":"../x","start":1}"#),
        ("another's UUID", br#"{"uuid":"a0000099-0000-4000-8000-000000000000","type":"nvidia-1153"}"#),
        ("huge numbers", br#"{"version":1,"gpu":"x","start":1e999,"seconds":-1e999,"started":99999999999999999999,"active":-1,"failed":1.5}"#),
    ];
    for (which, below) in [
        ("a record", format!("run/vgpuctl/vfs/{function}")),
        ("types' names", format!("run/vgpuctl/types/{gpu}")),
        ("a result", format!("run/vgpuctl/restores/{gpu}")),
        ("gpu.conf", format!("etc/vgpuctl.d/{gpu}/gpu.conf")),
        ("a mark", format!("run/vgpuctl/{}.unfinished", uuid(9))),
    ] {
        let path = host.path(&below);
        let before = fs::read(&path).ok();
        for (what, text) in texts {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, text).unwrap();
            let all = ["list", "types", "metrics"].map(|line| run(&host, line));
            let current = host.path(&format!(
                "sys/bus/pci/devices/{function}/nvidia/current_vgpu_type"
            ));
            let holds = [
                ("the answers are sound", all.iter().all(sound)),
                ("the types are told", all[1].stdout.contains("L40S-1Q")),
                (
                    "the device stays",
                    fs::read_to_string(current).unwrap().trim() != "0",
                ),
                (
                    "its definition stays",
                    host.defined_functions(gpu) == [uuid(1)],
                ),
            ];
            group.check(New, format!("{which}: {what}"), &all[0], &holds);
        }
        match before {
            Some(text) => fs::write(&path, text).unwrap(),
            None => clear(&path),
        }
    }
    // Who sudo runs the program for gets nothing by a file that is not plainly root's.
    let sudo = host.path("etc/vgpuctl.d/sudo.conf");
    fs::write(&sudo, "roots = allow\n").unwrap();
    let mut command = super::scene::vgpuctl(host.root(), ["list"]);
    command.env("SUDO_UID", "1000");
    let run = ended(command);
    let holds = [("the root's own file allows nothing", run.status == 6)];
    group.check(New, "sudo.conf below the named root", &run, &holds);
    group.end();
}
