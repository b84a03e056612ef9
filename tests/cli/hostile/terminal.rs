//! What others wrote reaches a terminal, a log or a program only as letters: each text that others write,
//! by each way in which it is told.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use super::frame::{Age, Group, Known, New, hides, sound};
use super::scene::{Scene, clear, ended, run, words};
use super::texts::{HIDDEN, SHORT, is_shown};
use crate::harness::{HeldOpen, Run, SimHost};
use crate::helpers::{P1, put, uuid};
use crate::script;

/// An answer that tells such a text: sound, shown, and whole JSON where that is its form.
fn told(group: &mut Group, age: Age, situation: String, line: &str, run: &Run) {
    let text = format!("{}{}", run.stdout, run.stderr);
    let is_json = line.contains("--json") || line.contains("--dumpjson");
    let document = match run.stdout.is_empty() {
        true => &run.stderr,
        false => &run.stdout,
    };
    let holds = [
        ("the answer is sound", sound(run)),
        ("nothing is hidden", !hides(run)),
        ("it is told and shown", is_shown(&text)),
        (
            "JSON is whole",
            !is_json || serde_json::from_str::<serde_json::Value>(document).is_ok(),
        ),
    ];
    group.check(age, situation, run, &holds);
}

#[test]
fn what_definitions_say() {
    let mut group = Group::part("terminal");
    let scene = Scene::new();
    let json = |text: &str| serde_json::to_string(text).unwrap();
    let hidden = json(HIDDEN);
    let of = |more: &str| format!(r#"{{"mdev_type":"nvidia-63","start":"manual",{more}}}"#);
    let name = format!("x{SHORT}");
    let attr = of(&format!(r#""attrs":[{{"nvidia/vgpu_params":{hidden}}}]"#));
    let bad_attr = of(&format!(r#""attrs":[{{{hidden}:"1"}}]"#));
    let bad_type = format!(r#"{{"mdev_type":{hidden},"start":"manual"}}"#);
    let bad_start = format!(r#"{{"mdev_type":"nvidia-63","start":{hidden}}}"#);
    let bad_key = of(&format!(r#""attrs":[{hidden}]"#));
    let no_json = format!("{{\"mdev_type\":\"{SHORT}");
    let u = uuid(4);
    let all_of_them = [
        "list",
        "list --json",
        "restore",
        "restore --json",
        "mdevctl list -d",
        "doctor",
    ];
    let of_one = [
        "show {4}",
        "show {4} --json",
        "start {4}",
        "modify {4} --auto",
        "attach {4}",
        "mdevctl start -u {4}",
    ];
    for (what, parent, file, text, lines) in [
        ("a file's name", P1, name.as_str(), "{}", &all_of_them[..]),
        (
            "a folder's name",
            name.as_str(),
            u.as_str(),
            "{}",
            &all_of_them[..],
        ),
        ("a type", P1, &u, bad_type.as_str(), &all_of_them[..]),
        ("a type", P1, &u, bad_type.as_str(), &of_one[..]),
        (
            "an attribute's name",
            P1,
            &u,
            bad_attr.as_str(),
            &of_one[..],
        ),
        ("a start mode", P1, &u, bad_start.as_str(), &of_one[..]),
        (
            "no attribute",
            P1,
            &u,
            bad_key.as_str(),
            &["show {4}", "show {4} --json", "list"][..],
        ),
        (
            "an attribute's value",
            P1,
            &u,
            attr.as_str(),
            &[
                "show {4}",
                "show {4} --json",
                "mdevctl list -d -v",
                "mdevctl list -d --dumpjson",
                "export",
            ][..],
        ),
        ("half a document", P1, &u, no_json.as_str(), &of_one[..]),
    ] {
        scene.reset();
        put(&scene.host, parent, file, text);
        for line in lines {
            let run = match line.strip_prefix("mdevctl ") {
                Some(line) => scene.run_mdevctl(line),
                None => scene.run(line),
            };
            // Half a document is told by where it ends, not by its text; the doctor counts.
            if what == "half a document" || *line == "doctor" {
                let said = format!("{}{}", run.stdout, run.stderr);
                let holds = [
                    ("the answer is sound", sound(&run)),
                    ("it is named", said.contains(&u) || *line == "doctor"),
                ];
                group.check(New, format!("{line}: {what}"), &run, &holds);
                continue;
            }
            let known = ["list", "mdevctl list -d"].contains(line) && what != "a start mode";
            let age = if known { Known } else { New };
            told(&mut group, age, format!("{line}: {what}"), line, &run);
        }
    }
    group.end();
}

#[test]
fn what_declarations_and_other_programs_files_say() {
    let mut group = Group::part("terminal");
    let scene = Scene::new();
    let toml = |text: &str| {
        let escaped = text.chars().map(|c| format!("\\U{:08X}", u32::from(c)));
        format!("\"{}\"", escaped.collect::<String>())
    };
    let hidden = toml(HIDDEN);
    let group_of =
        |name: &str, more: &str| format!("version = 1\n[[group]]\nname = {name}\n{more}\n");
    let declared = [
        (
            "a group's name",
            group_of(&hidden, "type = \"nvidia-63\"\ncount = 1"),
        ),
        (
            "a group's type",
            group_of("\"a\"", &format!("type = {hidden}\ncount = 1")),
        ),
        (
            "a group's GPU",
            group_of(
                "\"a\"",
                &format!("type = \"nvidia-63\"\ncount = 1\ngpus = [{hidden}]"),
            ),
        ),
        (
            "a member's UUID",
            group_of(
                "\"a\"",
                &format!("type = \"nvidia-63\"\nuuids = [{hidden}]"),
            ),
        ),
        (
            "a key that is none",
            group_of(
                "\"a\"",
                &format!("type = \"nvidia-63\"\ncount = 1\n{hidden} = 1"),
            ),
        ),
        (
            "a start mode",
            group_of(
                "\"a\"",
                &format!("type = \"nvidia-63\"\ncount = 1\nstart = {hidden}"),
            ),
        ),
        (
            "a parameter",
            group_of(
                "\"a\"",
                &format!("type = \"nvidia-63\"\ncount = 1\nparams = {{ {hidden} = \"1\" }}"),
            ),
        ),
    ];
    for (what, text) in &declared {
        fs::write(scene.declaration(), text).unwrap();
        for line in [
            "plan {file}",
            "plan {file} --json",
            "assert {file}",
            "apply --yes {file}",
        ] {
            let run = scene.run(line);
            let holds = [
                ("the answer is sound", sound(&run)),
                ("it is refused", run.status == 1),
                (
                    "the text is shown, or not told",
                    is_shown(&run.stderr) || run.stderr.contains("control characters"),
                ),
                ("the line is told", run.stderr.contains("declared.toml:")),
            ];
            group.check(New, format!("{line}: {what}"), &run, &holds);
        }
    }
    let raw = format!("version = 1\nname = \"{HIDDEN}\n");
    fs::write(scene.declaration(), raw).unwrap();
    for line in ["plan {file}", "plan {file} --json"] {
        let run = scene.run(line);
        let holds = [
            ("the answer is sound", sound(&run)),
            ("it is refused", run.status == 1),
        ];
        group.check(New, format!("{line}: what is no TOML"), &run, &holds);
    }
    let yaml = HIDDEN.replace(['\u{8}', '\u{7f}'], "");
    let quoted: String = yaml
        .chars()
        .map(|c| format!("\\U{:08x}", u32::from(c)))
        .collect();
    for (format, text) in [
        (
            "nvidia-vgpu-device-manager",
            format!(
                "version: v1\nvgpu-configs:\n  \"{quoted}\":\n    - devices: all\n      vgpu-devices:\n        \"{quoted}\": 1\n"
            ),
        ),
        (
            "kubevirt",
            format!("mediatedDevicesConfiguration:\n  mediatedDeviceTypes:\n    - \"{quoted}\"\n"),
        ),
        ("nova", format!("[devices]\nenabled_mdev_types = {SHORT}\n")),
        (
            "cyborg",
            format!("[gpu_devices]\nenabled_vgpu_types = {SHORT}\n"),
        ),
        ("proxmox", format!("hostpci0: 0000:81:00.0,mdev={SHORT}\n")),
    ] {
        // Proxmox VE's files are named by their VMs.
        let path = scene.host.path("usr/100.conf");
        fs::write(&path, text).unwrap();
        for form in ["", " --json"] {
            let line = format!("plan --from {format} {}{form}", path.display());
            let run = scene.run(&line);
            let holds = [
                ("the answer is sound", sound(&run)),
                ("nothing is hidden", !hides(&run)),
            ];
            group.check(New, format!("plan --from {format}{form}"), &run, &holds);
        }
    }
    group.end();
}

#[test]
fn what_scripts_and_programs_say() {
    let mut group = Group::part("terminal");
    let scene = Scene::new();
    let bytes: String = HIDDEN.bytes().map(|byte| format!("\\{byte:03o}")).collect();
    let callouts = "usr/lib/mdevctl/scripts.d/callouts";
    let notifiers = "usr/lib/mdevctl/scripts.d/notifiers";
    for (what, folder, events, status) in [
        ("a callout that refuses", callouts, "pre", 1),
        ("a callout that fails afterwards", callouts, "post", 1),
        ("a notifier that fails", notifiers, "notify", 1),
    ] {
        for line in [
            "create -t nvidia-63 -p {p} -u {4}",
            "create -t nvidia-63 -p {p} -u {4} --json",
            "define -t nvidia-63 -p {p} -u {4}",
            "start {2}",
            "stop {1}",
            "modify {2} --auto",
            "undefine {2}",
            "restore",
            "apply --yes {file}",
            "mdevctl start -u {2}",
            "mdevctl define -u {4} -p {p} -t nvidia-63",
        ] {
            scene.reset();
            let text = format!(
                "#!/bin/sh\ncase \"$*\" in *'-a capabilities'*) exit 2;; *'-e {events}'*) printf 'no: {bytes}\\n' >&2; exit {status};; esac\n"
            );
            script::install(&scene.host.path(folder).join("10-x"), &text);
            let run = match line.strip_prefix("mdevctl ") {
                Some(line) => scene.run_mdevctl(line),
                None => scene.run(line),
            };
            let known = what == "a callout that refuses" && line.ends_with("start {2}");
            let age = if known { Known } else { New };
            // A restore of one that is told fails afterwards says so on standard output.
            told(&mut group, age, format!("{line}: {what}"), line, &run);
        }
    }
    // Its name, and an answer about what it can do.
    scene.reset();
    let refuse = "#!/bin/sh\ncase \"$*\" in *'-e pre'*) exit 1;; *) exit 2;; esac\n";
    script::install(
        &scene.host.path(callouts).join(format!("10{SHORT}")),
        refuse,
    );
    for line in ["start {2}", "start {2} --json", "mdevctl start -u {2}"] {
        let run = match line.strip_prefix("mdevctl ") {
            Some(line) => scene.run_mdevctl(line),
            None => scene.run(line),
        };
        told(
            &mut group,
            New,
            format!("{line}: a callout's name"),
            line,
            &run,
        );
    }
    group.end();
}

#[test]
fn what_virsh_and_domains_say() {
    let mut group = Group::part("terminal");
    let scene = Scene::new();
    let folder = tempfile::tempdir().unwrap();
    script::install(
        &folder.path().join("bin/virsh"),
        include_str!("../bin/virsh"),
    );
    let domain = "3e2a7f60-0000-4000-8000-000000000001";
    let xml = |name: &str| {
        format!(
            "<domain type='kvm'>\n<name>{name}</name>\n<uuid>{domain}</uuid>\n<devices>\n</devices>\n</domain>\n"
        )
    };
    let attach = |domain: &str, form: &str| {
        let mut words: Vec<String> =
            vec!["attach".into(), uuid(1), "--apply".into(), domain.into()];
        words.extend(form.split_whitespace().map(str::to_owned));
        let mut command = super::scene::vgpuctl(scene.root(), words);
        let path = format!(
            "{}/bin:{}",
            folder.path().display(),
            std::env::var("PATH").unwrap()
        );
        command.env("PATH", path).env("FAKE_LIBVIRT", folder.path());
        command.args(["--connect", "test:///files"]);
        ended(command)
    };
    fs::write(
        folder.path().join(format!("{domain}.xml")),
        xml(&format!("web{HIDDEN}")),
    )
    .unwrap();
    for form in ["--dry-run", "--dry-run --json", "", "--json"] {
        let run = attach(domain, form);
        let line = format!("attach {form}");
        told(
            &mut group,
            New,
            format!("{line}: a domain's name"),
            &line,
            &run,
        );
        fs::write(
            folder.path().join(format!("{domain}.xml")),
            xml(&format!("web{HIDDEN}")),
        )
        .unwrap();
    }
    for form in ["", "--json"] {
        let run = attach(&format!("nobody{HIDDEN}"), form);
        told(
            &mut group,
            New,
            format!("attach {form}: a domain that is not there"),
            form,
            &run,
        );
    }
    for verb in ["list", "dumpxml", "attach-device"] {
        fs::write(
            folder.path().join(format!("fail-{verb}")),
            format!("error: {HIDDEN}\n"),
        )
        .unwrap();
        for form in ["", "--json"] {
            let run = attach(domain, form);
            told(
                &mut group,
                New,
                format!("attach {form}: virsh {verb} fails"),
                form,
                &run,
            );
        }
        fs::remove_file(folder.path().join(format!("fail-{verb}"))).unwrap();
    }
    group.end();
}

/// What the caller and his environment say comes back in messages.
#[test]
fn what_the_command_line_and_the_environment_say() {
    let mut group = Group::part("terminal");
    let scene = Scene::new();
    let place = scene.outside.path(&format!("x{SHORT}"));
    let path = place.to_str().unwrap();
    for words in [
        vec!["metrics", "--output", &format!("{path}/y")],
        vec!["explain", path],
        vec!["plan", path],
        vec!["apply", "--yes", path],
        vec!["attach", &uuid(1), "--licence-server", HIDDEN],
        vec!["attach", &uuid(1), "--present-as", HIDDEN],
        vec!["attach", &uuid(1), "--looking-glass", HIDDEN],
        vec!["attach", &uuid(1), "--format", HIDDEN],
        vec!["attach", &uuid(1), "--vmid", HIDDEN],
        vec!["vfs", HIDDEN],
        vec!["vfs", "enable", HIDDEN],
        vec!["watch", HIDDEN],
        vec!["doctor", HIDDEN],
        vec!["types", "--series", HIDDEN],
        vec!["types", "--min-framebuffer", HIDDEN],
        vec!["create", "--type", "nvidia-63", "--param", HIDDEN],
        vec!["create", "--type", "nvidia-63", "--attr", HIDDEN],
        vec!["modify", &uuid(2), "--set-attr", HIDDEN, "a=b"],
        vec!["restore", "--wait", HIDDEN],
        vec!["list", "--root", path],
    ] {
        for form in ["", "--json"] {
            let mut all = words.clone();
            all.extend(form.split_whitespace());
            let run = ended(super::scene::vgpuctl(scene.root(), &all));
            let short = words[..words.len() - 1].join(" ").replace(path, "PATH");
            let known = ["doctor", "list --root"].contains(&short.as_str());
            let age = if known { Known } else { New };
            told(&mut group, age, format!("{short} TEXT {form}"), form, &run);
        }
    }
    for words in [
        vec!["define", "--jsonfile", path, "-u", &uuid(4), "-p", P1],
        vec![
            "modify",
            "-u",
            &uuid(2),
            "--addattr",
            HIDDEN,
            "--value",
            "1",
        ],
        vec!["list", "--uuid", HIDDEN],
        vec!["types", "--parent", HIDDEN],
        vec![HIDDEN],
    ] {
        let run = ended(super::scene::mdevctl(scene.root(), &words));
        let short = words
            .join(" ")
            .replace(path, "PATH")
            .replace(HIDDEN, "TEXT");
        told(&mut group, New, format!("mdevctl {short}"), "", &run);
    }
    for (name, value, line) in [
        ("VGPUCTL_ROOT", path, "list"),
        ("VGPUCTL_ROOT", path, "list --json"),
        ("VGPUCTL_ROOT", SHORT, "types"),
        ("SUDO_UID", HIDDEN, "list"),
        ("SUDO_UID", HIDDEN, "list --json"),
    ] {
        let mut command = scene.command(line);
        command.env(name, value);
        let run = ended(command);
        let value = if value == path { "PATH" } else { "TEXT" };
        told(
            &mut group,
            New,
            format!("{name}={value} {line}"),
            line,
            &run,
        );
    }
    for (name, value) in [("MDEVCTL_ENV_ROOT", path), ("SUDO_UID", HIDDEN)] {
        let mut command = scene.mdevctl_command("list");
        command.env(name, value);
        told(
            &mut group,
            New,
            format!("{name} mdevctl list"),
            "",
            &ended(command),
        );
    }
    group.end();
}

/// What the kernel passes on of drivers' and users' making.
#[test]
fn what_drivers_processes_and_files_of_the_host_say() {
    let mut group = Group::part("terminal");
    let escaped: String = HIDDEN
        .chars()
        .map(|c| format!("\\U{:08X}", u32::from(c)))
        .collect();
    let file = tempfile::NamedTempFile::new().unwrap();
    let text = format!(
        "[[parent]]\nid = \"{P1}\"\ndriver = \"nvidia\"\npool = 2\n[[parent.type]]\nid = \"63\"\n\
         name = \"GRID P4-1Q{escaped}\"\ndescription = \"d{escaped}\"\ndevice_api = \"vfio-pci{escaped}\"\ncost = 1\n"
    );
    fs::write(file.path(), text).unwrap();
    let host = SimHost::start_file(file.path());
    for (line, age) in [
        ("types", Known),
        ("types --json", Known),
        ("types -o wide", Known),
        ("types -v", New),
        ("metrics", Known),
        ("metrics --json", Known),
        ("create -t nvidia-63 --dry-run", New),
        ("create -t nvidia-63 --dry-run --json", New),
        ("define -t nvidia-63 -p 0000:81:00.0 --dry-run", New),
        ("mdevctl types", Known),
        ("mdevctl types --dumpjson", Known),
    ] {
        let run = match line.strip_prefix("mdevctl ") {
            Some(line) => super::scene::run_mdevctl(&host, line),
            None => run(&host, line),
        };
        told(
            &mut group,
            age,
            format!("{line}: a type's texts"),
            line,
            &run,
        );
    }
    let made = run(&host, &format!("create -t nvidia-63 -u {}", uuid(1)));
    told(&mut group, New, "create: a type's name".into(), "", &made);
    let shown = run(&host, &format!("show {} --json", uuid(1)));
    let node = shown.json()["device"]["vfio_group"]
        .as_str()
        .unwrap()
        .to_owned();
    {
        let _held = HeldOpen::open_as(SHORT, Path::new(&node));
        for line in [
            "show {}",
            "show {} --json",
            "remove {}",
            "stop {} --json",
            "remove {} --dry-run",
        ] {
            let run = run(&host, &line.replace("{}", &uuid(1)));
            told(
                &mut group,
                New,
                format!("{line}: a process's name"),
                line,
                &run,
            );
        }
    }
    {
        let name = HIDDEN.replace(['\u{2028}', '\u{2029}', '\u{85}', '\r'], "");
        let _held = HeldOpen::open(Path::new(&node), &format!("-name guest={name}"));
        for line in ["show {}", "remove {}", "remove {} --json"] {
            let run = run(&host, &line.replace("{}", &uuid(1)));
            let age = if line == "remove {} --json" {
                New
            } else {
                Known
            };
            told(&mut group, age, format!("{line}: a VM's name"), line, &run);
        }
        let run = super::scene::run_mdevctl(&host, &format!("stop -u {}", uuid(1)));
        told(
            &mut group,
            New,
            "mdevctl stop: a VM's name".into(),
            "",
            &run,
        );
    }
    doctors_files(&mut group, &host);
    group.end();
}

/// Files of the host that only `doctor` reads, and logs.
fn doctors_files(group: &mut Group, host: &SimHost) {
    for (what, below) in [
        (
            "vgpu_unlock's settings",
            "etc/vgpu_unlock/profile_override.toml",
        ),
        ("vgpu_unlock's switches", "etc/vgpu_unlock/config.toml"),
        ("modprobe's settings", "etc/modprobe.d/x.conf"),
        (
            "a unit's drop-in",
            "etc/systemd/system/nvidia-vgpud.service.d/x.conf",
        ),
        ("a unit", "etc/systemd/system/nvidia-vgpu-mgr.service"),
        ("a udev rule", "etc/udev/rules.d/60-mdevctl.rules"),
        ("the distribution's name", "etc/os-release"),
        ("a GPU's settings", "etc/vgpuctl.d/0000:81:00.0/gpu.conf"),
        ("a VM of Proxmox VE's", "etc/pve/qemu-server/100.conf"),
    ] {
        let path = host.path(below);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let text = format!(
            "[profile.\"{HIDDEN}\"]\n{HIDDEN} = \"{HIDDEN}\"\nExecStart={HIDDEN}\nEnvironment=LD_PRELOAD=/{HIDDEN}\nNAME=\"{HIDDEN}\"\nhostpci0: {P1},mdev={HIDDEN}\noptions nvidia {HIDDEN}\n"
        );
        fs::write(&path, text).unwrap();
        for form in ["", " --json", " -v"] {
            let run = run(host, &format!("doctor{form}"));
            let holds = [
                ("the answer is sound", sound(&run)),
                ("nothing is hidden", !hides(&run)),
            ];
            group.check(New, format!("doctor{form}: {what}"), &run, &holds);
        }
        clear(&path);
    }
    let log = tempfile::NamedTempFile::new().unwrap();
    for (what, text) in [
        (
            "in the middle",
            format!("nvidia-vgpu-mgr[1]: error: vmiop_log: error: failed to allocate fb{HIDDEN}\n"),
        ),
        ("no UTF-8", String::new()),
    ] {
        let bytes = match what {
            "no UTF-8" => {
                b"vmiop_log: error: failed to allocate fb\xff\xfe\x1b[31m\xc2\x9b\n".to_vec()
            }
            _ => text.into_bytes(),
        };
        fs::write(log.path(), bytes).unwrap();
        for form in ["", " --json"] {
            let run = run(host, &format!("explain {}{form}", log.path().display()));
            let holds = [
                ("the answer is sound", sound(&run)),
                ("it is recognised", run.status == 0),
            ];
            let age = if what == "no UTF-8" { New } else { Known };
            group.check(age, format!("explain{form}: {what}"), &run, &holds);
        }
    }
}

/// sysfs of a kernel that somebody else wrote a driver for: plain folders say the same as it would.
fn little_root() -> TempDir {
    let root = tempfile::tempdir().unwrap();
    let parent = |name: &str| {
        let device = root.path().join(format!("sys/devices/{name}"));
        let of_type = device.join(format!("mdev_supported_types/x{name}"));
        fs::create_dir_all(of_type.join("devices")).unwrap();
        for (file, text) in [
            ("name", "a name\n"),
            ("available_instances", "1\n"),
            ("device_api", "vfio-pci\n"),
        ] {
            fs::write(of_type.join(file), text).unwrap();
        }
        let bus = root.path().join("sys/class/mdev_bus");
        fs::create_dir_all(&bus).unwrap();
        symlink(format!("../../devices/{name}"), bus.join(name)).unwrap();
    };
    parent(&format!("mtty{SHORT}"));
    parent("mtty");
    fs::create_dir_all(root.path().join("sys/bus/mdev/devices")).unwrap();
    for name in [format!("x{SHORT}"), uuid(1)] {
        symlink(
            format!("../../../devices/mtty{SHORT}/{name}"),
            root.path().join("sys/bus/mdev/devices").join(name),
        )
        .unwrap();
    }
    fs::create_dir_all(root.path().join("proc")).unwrap();
    root
}

#[test]
fn names_in_sysfs() {
    let mut group = Group::part("terminal");
    let root = little_root();
    for line in [
        "types",
        "types --json",
        "types -v",
        "list",
        "list --json",
        "list -v",
        "gpus",
        "gpus --json",
        "metrics",
        "export",
        "doctor",
        "doctor --json",
        "restore",
    ] {
        let run = ended(super::scene::vgpuctl(root.path(), words(line)));
        let served = match line {
            "types" | "types --json" | "metrics" | "gpus" | "gpus --json" => {
                run.stdout.contains("mtty")
            }
            _ => true,
        };
        let holds = [
            ("the answer is sound", sound(&run)),
            ("nothing is hidden", !hides(&run)),
            ("the good parent is served", served),
        ];
        group.check(New, format!("{line}: names in sysfs"), &run, &holds);
    }
    for line in ["types", "types --dumpjson", "list", "list --dumpjson"] {
        let run = ended(super::scene::mdevctl(root.path(), words(line)));
        let holds = [
            ("the answer is sound", sound(&run)),
            ("nothing is hidden", !hides(&run)),
        ];
        group.check(New, format!("mdevctl {line}: names in sysfs"), &run, &holds);
    }
    // What a shell asks for when Tab is pressed.
    let complete = |line: &str| {
        let mut command: Command = super::scene::vgpuctl(root.path(), [""; 0]);
        command.args(["--"]).args(words(line)).arg("");
        command
            .env("COMPLETE", "bash")
            .env("_CLAP_COMPLETE_INDEX", "3")
            .env("_CLAP_IFS", "\n");
        ended(command)
    };
    for line in [
        "vgpuctl types --parent",
        "vgpuctl create --type",
        "vgpuctl show",
    ] {
        let run = complete(line);
        let holds = [
            ("nothing is hidden", !hides(&run)),
            ("it ended", (0..=7).contains(&run.status)),
        ];
        group.check(New, format!("{line} and Tab: names in sysfs"), &run, &holds);
    }
    group.end();
}
