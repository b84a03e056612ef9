//! A text that means something where it is put: in a label, in XML, on a command line, in a file of lines.

use std::fs;
use std::io::Write as _;
use std::process::{Command, Stdio};

use super::frame::{Group, Known, New, hides, sound};
use super::scene::{Scene, active, ended, run, run_mdevctl, vgpuctl};
use crate::harness::{Run, SimHost};
use crate::helpers::{P1, definition, put, uuid};
use crate::script;

/// Texts that end a label, an element, a comment, a word, an option, a line or a string.
const TEXTS: [(&str, &str); 9] = [
    ("a label", "x\",gpu=\"y\"} 1\nvgpuctl_devices{a=\"b"),
    ("an element", "x'/><hostdev type='pci'/><a b='"),
    ("a comment", "x --><hostdev/><!-- "),
    ("a word", "x y'; id; echo \"$(id)\" `id`"),
    ("an option", "x,display=on,romfile=/etc/passwd"),
    (
        "a line",
        "x\nargs: -chardev socket\n[[group]]\nname = \"y\"",
    ),
    ("a string", "x\"\"\"'''\\\",\"start\":\"auto"),
    ("a format", "%s%n{}{0}$1\\1"),
    ("a level", "<0>x\n<0>y"),
];

/// Whether a text of metrics is one: each line a comment or a sample, each label closed.
fn are_metrics(text: &str) -> bool {
    let is_sample = |line: &str| {
        let Some((name, rest)) = line.split_once('{') else {
            return false;
        };
        let mut chars = rest.chars();
        let (mut inside, mut closed, mut is_escape) = (false, false, true);
        while let Some(c) = chars.next() {
            match (c, inside) {
                ('\\', true) => is_escape &= matches!(chars.next(), Some('\\' | '"' | 'n')),
                ('"', _) => inside = !inside,
                ('}', false) => {
                    closed = true;
                    break;
                }
                _ => {}
            }
        }
        let value = chars.as_str().trim();
        closed
            && is_escape
            && !inside
            && value.parse::<f64>().is_ok()
            && name.starts_with("vgpuctl_")
    };
    text.lines().all(|line| {
        line.starts_with("# HELP vgpuctl_")
            || line.starts_with("# TYPE vgpuctl_")
            || is_sample(line)
    })
}

fn promtool_accepts(text: &str) -> bool {
    let Some(promtool) = std::env::var_os("PROMTOOL") else {
        return true;
    };
    let mut child = Command::new(promtool)
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(text.as_bytes())
        .unwrap();
    child.wait().unwrap().code() != Some(1)
}

/// The name, the description and the kind of a type are the driver's.
#[test]
fn what_a_driver_calls_its_types() {
    let mut group = Group::part("injection");
    let mut text = format!("[[parent]]\nid = \"{P1}\"\ndriver = \"nvidia\"\npool = 20\n");
    for (n, (_, hostile)) in TEXTS.iter().enumerate() {
        let hostile: String = hostile
            .chars()
            .map(|c| format!("\\U{:08X}", u32::from(c)))
            .collect();
        text += &format!(
            "[[parent.type]]\nid = \"{}\"\nname = \"GRID P4-{}Q{hostile}\"\ndescription = \"num_heads=4{hostile}\"\ncost = 1\n",
            60 + n,
            n + 1
        );
    }
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), text).unwrap();
    let host = SimHost::start_file(file.path());
    let metrics = run(&host, "metrics");
    let holds = [
        ("it is one text of samples", are_metrics(&metrics.stdout)),
        ("promtool accepts it", promtool_accepts(&metrics.stdout)),
        (
            "every type is told",
            metrics
                .stdout
                .matches("vgpuctl_type_free_instances{")
                .count()
                == TEXTS.len(),
        ),
    ];
    group.check(Known, "metrics: names of types", &metrics, &holds);
    let types = run(&host, "types");
    let holds = [
        (
            "a line a type",
            types.stdout.lines().count() == TEXTS.len() + 1,
        ),
        ("nothing is hidden", !hides(&types)),
    ];
    group.check(New, "types: names of types", &types, &holds);
    for line in ["types --json", "metrics --json"] {
        let answer = run(&host, line);
        let whole = serde_json::from_str::<serde_json::Value>(&answer.stdout).is_ok();
        let all = TEXTS.iter().all(|(_, text)| {
            let quoted = serde_json::to_string(text).unwrap();
            answer.stdout.contains(quoted.trim_matches('"'))
        });
        group.check(
            New,
            format!("{line}: names of types"),
            &answer,
            &[("JSON is whole", whole), ("each text is told whole", all)],
        );
    }
    for (n, (what, _)) in TEXTS.iter().enumerate() {
        let (u, id) = (uuid(n as u8 + 1), format!("nvidia-{}", 60 + n));
        let made = run(&host, &format!("create -t {id} -u {u} --manual"));
        let lines = made
            .stderr
            .lines()
            .filter(|line| line.starts_with("created "))
            .count();
        let holds = [
            (
                "it is one line",
                lines == 1 && made.stdout.lines().count() == 1,
            ),
            ("it is made", made.status == 0),
            (
                "every line is the program's own",
                made.stderr.lines().all(|line| {
                    ["created ", "note: ", "hint: ", "warning: "]
                        .iter()
                        .any(|begin| line.starts_with(begin))
                }),
            ),
        ];
        group.check(
            New,
            format!("create: a type's name ends {what}"),
            &made,
            &holds,
        );
        for (format, only) in [
            ("libvirt", &["hostdev", "source", "address"][..]),
            ("qemu", &["-uuid", "-device"][..]),
            ("proxmox", &["hostpci0", "args"][..]),
        ] {
            let attach = run(&host, &format!("attach {u} --format {format}"));
            let is_clean = attach.stdout.lines().all(|line| {
                let line = line.trim();
                line.is_empty()
                    || line.starts_with('#')
                    || line.starts_with("<!--")
                        && line.ends_with("-->")
                        && line.matches("-->").count() == 1
                    || only
                        .iter()
                        .any(|word| line.trim_start_matches(['<', '/']).starts_with(word))
            });
            let holds = [
                ("the answer is sound", sound(&attach)),
                ("there is nothing but the device", is_clean),
            ];
            group.check(
                New,
                format!("attach --format {format}: a type's name ends {what}"),
                &attach,
                &holds,
            );
        }
    }
    group.end();
}

/// Where the host's root stands, its path is in what is printed to be pasted.
#[test]
fn what_a_folder_is_called() {
    let mut group = Group::part("injection");
    for (what, name) in [
        ("an option", "x,romfile=y,z"),
        ("a word", "x y'$(id)`id`;\"z"),
        ("an element", "x'><a b='&lt;"),
        ("a format", "x%s{}"),
    ] {
        let outside = tempfile::tempdir().unwrap();
        let folder = outside.path().join(name);
        fs::create_dir(&folder).unwrap();
        let host = SimHost::start_in("two-p4", &folder);
        run(&host, &format!("create -t nvidia-63 -u {}", uuid(1))).expect(0);
        for format in ["libvirt", "qemu", "proxmox"] {
            let attach = run(
                &host,
                &format!("attach {} --format {format} --looking-glass nvfbc", uuid(1)),
            );
            let holds: Vec<(&str, bool)> = match format {
                "libvirt" => vec![(
                    "no element more",
                    attach.stdout.matches("<a b").count() == 0,
                )],
                _ => {
                    // A shell gives back the arguments; a comma within a value is doubled.
                    let words = attach.stdout.replace("\\\n", " ");
                    let line = words
                        .lines()
                        .find(|line| line.contains("sysfsdev") || line.contains("mem-path"))
                        .unwrap_or_default();
                    let line = line.trim_start_matches("args: ");
                    let shell = Command::new("sh")
                        .args(["-c", &format!("printf '%s\\n' {line}")])
                        .output()
                        .unwrap();
                    let given = String::from_utf8(shell.stdout).unwrap();
                    let doubled = name.replace(',', ",,");
                    vec![
                        (
                            "a shell takes it as it is",
                            shell.status.success() && shell.stderr.is_empty(),
                        ),
                        (
                            "the path is one value",
                            given.contains(&doubled) || format == "proxmox" && attach.status != 0,
                        ),
                        ("nothing was run", !given.contains("uid=")),
                    ]
                }
            };
            group.check(
                New,
                format!("attach --format {format}: the root's path has {what}"),
                &attach,
                &holds,
            );
        }
        let script = run(&host, &format!("attach {} --format qemu", uuid(1)));
        group.check(
            New,
            format!("attach: sound below a path with {what}"),
            &script,
            &[
                ("the answer is sound", sound(&script)),
                ("it is done", script.status == 0),
            ],
        );
    }
    group.end();
}

/// What the caller gives to be put into a text for another program.
#[test]
fn what_is_to_be_put_into_anothers_text() {
    let mut group = Group::part("injection");
    let scene = Scene::new();
    for (what, text) in TEXTS {
        for option in ["--licence-server", "--present-as", "--looking-glass"] {
            let run = ended(vgpuctl(scene.root(), ["attach", &uuid(1), option, text]));
            let holds = [
                ("it is refused", run.status == 2),
                ("the answer is sound", sound(&run)),
                ("nothing is printed to paste", run.stdout.is_empty()),
            ];
            group.check(New, format!("attach {option}: {what}"), &run, &holds);
        }
        // One name with one value, on one line.
        scene.reset();
        let before = scene.state();
        for (option, value) in [
            ("--param", format!("disable_vnc={text}")),
            ("--param", format!("{text}=1")),
            ("--attr", format!("nvidia/vgpu_params={text}")),
        ] {
            let run = ended(vgpuctl(scene.root(), ["modify", &uuid(2), option, &value]));
            let is_name = value.ends_with("=1") && option == "--param";
            let written = fs::read_to_string(definition(&scene.host, P1, &uuid(2))).unwrap();
            let parsed: serde_json::Value = serde_json::from_str(&written).unwrap();
            let attrs = parsed["attrs"].as_array().map_or(0, Vec::len);
            let keys = parsed
                .as_object()
                .unwrap()
                .keys()
                .filter(|key| *key == "start")
                .count();
            let one = match option {
                // It is handed to the driver as it is.
                "--attr" => run.status != 0 || attrs == 1,
                _ => {
                    let line = parsed["attrs"][0]["nvidia/vgpu_params"]
                        .as_str()
                        .unwrap_or_default();
                    run.status != 0 || line.trim_end_matches('\n').matches(['\n', ',']).count() == 0
                }
            };
            let holds = [
                ("the answer is sound", sound(&run)),
                ("it is one parameter, or refused", one),
                (
                    "the definition is as it was, or has one more",
                    run.status == 0 || scene.state() == before,
                ),
                (
                    "its start mode stays",
                    keys == 1 && parsed["start"] == "manual",
                ),
            ];
            let which = if is_name { "name" } else { "value" };
            group.check(
                New,
                format!("modify {option}: its {which} ends {what}"),
                &run,
                &holds,
            );
            scene.reset();
        }
    }
    group.end();
}

/// What a definition says, written down as a declaration, is read back as the same and nothing else.
#[test]
fn an_export_says_what_there_is_and_no_more() {
    let mut group = Group::part("injection");
    let scene = Scene::new();
    for (what, text) in TEXTS {
        scene.reset();
        let attrs = serde_json::json!({ "mdev_type": "nvidia-63", "start": "manual", "attrs": [{ "nvidia/vgpu_params": text }], text: text });
        put(&scene.host, P1, &uuid(4), attrs.to_string());
        scene.run("start {3}").expect(0);
        let exported = scene.run("export");
        fs::write(scene.declaration(), &exported.stdout).unwrap();
        let planned = scene.run("plan {file}");
        // An attribute with a line's end inside is told apart, and not written wrongly.
        let holds = [
            ("the answers are sound", sound(&exported) && sound(&planned)),
            (
                "a plan of it has nothing to do, or it said what it left out",
                planned.status == 0 || exported.status == 7,
            ),
            (
                "no group more",
                exported.stdout.matches("[[group]]").count() <= 4,
            ),
            (
                "it starts nothing at boot",
                !exported.stdout.contains("\nname = \"y\""),
            ),
        ];
        group.check(
            New,
            format!("export: an attribute ends {what}"),
            &(exported, planned),
            &holds,
        );
        for line in ["list -d -v", "list -d --dumpjson"] {
            let run = scene.run_mdevctl(line);
            let holds = [
                ("the answer is sound", sound(&run)),
                ("no device more", run.stdout.matches(&uuid(4)).count() == 1),
                (
                    "JSON is whole",
                    !line.contains("json")
                        || serde_json::from_str::<serde_json::Value>(&run.stdout).is_ok(),
                ),
            ];
            group.check(
                New,
                format!("mdevctl {line}: an attribute ends {what}"),
                &run,
                &holds,
            );
        }
    }
    group.end();
}

/// A script gets each word as it is, whatever is in it, and a start mode that nothing in it changed.
#[test]
fn what_a_script_is_told() {
    let mut group = Group::part("injection");
    let scene = Scene::new();
    let words = [
        ("a space", "a b"),
        ("a command", "$(touch pwned)"),
        ("an option", "-f"),
        ("a quote", "a'b\"c"),
        ("a pattern", "*"),
        ("a variable", "$HOME"),
        ("an assignment", "LD_PRELOAD=x"),
    ];
    for (what, word) in words {
        for (door, args) in [
            (
                "a parent",
                vec!["define", "-t", "x", "--parent", word, "-u"],
            ),
            (
                "a type",
                vec!["define", "--parent", "nowhere", "--type", word, "-u"],
            ),
        ] {
            scene.reset();
            let log = scene.host.path("usr/args");
            let _ = fs::remove_file(&log);
            script::install(
                &scene.host.path("usr/lib/mdevctl/scripts.d/callouts/10-x"),
                &format!(
                    "#!/bin/bash\nfor word; do printf '%s\\0' \"$word\"; done >>'{}'\n",
                    log.display()
                ),
            );
            let mut args: Vec<String> = args
                .into_iter()
                .map(|word| match word.starts_with('-') && word == "-f" {
                    true => format!("={word}"),
                    false => word.to_owned(),
                })
                .collect();
            // An option's value that begins with a dash is given by "=".
            if let Some(at) = args.iter().position(|arg| arg == "=-f") {
                let joined = format!("{}{}", args[at - 1], args[at]);
                args.splice(at - 1..=at, [joined]);
            }
            args.push(uuid(4));
            let mut command = vgpuctl(scene.root(), &args);
            command.current_dir(scene.outside.0.path());
            let around = scene.outside.sight();
            let run = ended(command);
            let told = fs::read(&log).unwrap_or_default();
            let told: Vec<&[u8]> = told.split(|byte| *byte == 0).collect();
            let holds = [
                ("it is done, or refused", sound(&run)),
                (
                    "the word is one word",
                    run.status != 0 || told.contains(&word.as_bytes()),
                ),
                ("it was asked", run.status != 0 || told.len() > 10),
                ("nothing was run", scene.outside.sight() == around),
            ];
            group.check(
                New,
                format!("a callout: {door} is {what}"),
                &(run, told.len()),
                &holds,
            );
        }
    }
    // What a script's environment has: the caller's, and no more.
    for (name, value) in [
        ("VGPUCTL_X", "y\nz=1"),
        ("BASH_FUNC_id%%", "() { touch pwned; }"),
        ("IFS", "x"),
    ] {
        scene.reset();
        let log = scene.host.path("usr/ran");
        let _ = fs::remove_file(&log);
        script::install(
            &scene.host.path("usr/lib/mdevctl/scripts.d/callouts/10-x"),
            &format!("#!/bin/sh\ntouch '{}'\n", log.display()),
        );
        let mut command = scene.command("start {2}");
        command.env(name, value).current_dir(scene.outside.0.path());
        let around = scene.outside.sight();
        let run = ended(command);
        let holds = [
            (
                "it is done",
                run.status == 0 && active(&scene.host).contains(&uuid(2)),
            ),
            ("the script ran", log.exists()),
            ("nothing else was run", scene.outside.sight() == around),
        ];
        group.check(
            New,
            format!("a callout with {name} in the environment"),
            &run,
            &holds,
        );
    }
    group.end();
}

/// Lines of settings: what a verb writes is what it was asked for, and the rest of the file stays.
#[test]
fn what_is_written_into_a_file_of_lines() {
    let mut group = Group::part("injection");
    let host = SimHost::with_l40s(1, 2);
    let gpu = "0000:41:00.0";
    let conf = host.path(&format!("etc/vgpuctl.d/{gpu}/gpu.conf"));
    for (what, text) in [
        ("comments", "# vfs = leave\n# mixed-sizes = yes\n"),
        ("no last newline", "mixed-sizes = no"),
        ("two of a key", "vfs = leave\nvfs = leave\n"),
    ] {
        fs::create_dir_all(conf.parent().unwrap()).unwrap();
        fs::write(&conf, text).unwrap();
        let done = run(&host, &format!("vfs enable {gpu} --at-boot"));
        let now = fs::read_to_string(&conf).unwrap();
        let others: Vec<&str> = text
            .lines()
            .filter(|line| !line.starts_with("vfs"))
            .collect();
        let holds = [
            ("the answer is sound", sound(&done)),
            (
                "one line asks for it",
                now.lines().filter(|line| line.starts_with("vfs")).count() == 1,
            ),
            (
                "the others stay",
                others
                    .iter()
                    .all(|line| now.lines().any(|now| now == *line)),
            ),
        ];
        group.check(
            New,
            format!("vfs enable --at-boot, gpu.conf with {what}"),
            &(done, now),
            &holds,
        );
    }
    let theirs: Run = run_mdevctl(&host, "list");
    group.check(
        New,
        "mdevctl list beside it",
        &theirs,
        &[("the answer is sound", sound(&theirs))],
    );
    group.end();
}
