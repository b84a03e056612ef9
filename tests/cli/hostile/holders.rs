//! Who has a device open: only the kernel's word counts, and nobody can pose as a holder or hide.

use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use nix::sys::stat::Mode;
use nix::unistd::mkfifo;

use super::frame::{Group, Known, New, sound};
use super::scene::{Scene, active, clear, ended, run};
use crate::harness::{HeldOpen, SimHost};
use crate::helpers::{P1, uuid};

fn nodes(host: &SimHost, device: &str) -> [PathBuf; 2] {
    let shown = run(host, &format!("show {device} --json")).expect(0).json();
    ["vfio_group", "vfio_device"]
        .map(|field| PathBuf::from(shown["device"][field].as_str().unwrap()))
}

/// A process without rights that has this as its standard input, until it is dropped.
struct With(Child);

impl With {
    fn input(file: impl Into<Stdio>) -> With {
        let mut command = Command::new("sleep");
        command.arg("1000").stdin(file).uid(65534).gid(65534);
        With(command.spawn().unwrap())
    }

    /// bash, which does something, says so, and stays.
    fn script(script: &str) -> With {
        use std::io::BufRead as _;
        let mut child = Command::new("unshare")
            .args([
                "--mount",
                "bash",
                "-c",
                &format!("{script}; echo ready; read -r _"),
            ])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        std::io::BufReader::new(child.stdout.as_mut().unwrap())
            .read_line(&mut line)
            .unwrap();
        assert_eq!(line, "ready\n", "{script}");
        With(child)
    }
}

impl Drop for With {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn open(path: &Path) -> fs::File {
    fs::File::open(path).unwrap()
}

/// Nobody who only looks like a holder keeps root from a device.
#[test]
fn posers_keep_nobody_from_a_device() {
    let mut group = Group::part("holders");
    let scene = Scene::new();
    let own = scene.outside.path("own");
    for what in [
        "a descriptor of the group that only names it",
        "a descriptor of the device that only names it",
        "a file under the name of the group",
        "a file under the name of the device",
        "a file of the group's name elsewhere",
        "a file of that name that was deleted",
        "a file called as the kernel calls a device",
        "a memory file called as the kernel calls a device",
        "the folder of the nodes",
        "another device's group",
        "a socket",
        "arguments that name the node and a VM",
        "the node's path as its own name",
    ] {
        for line in [
            "remove {1}",
            "stop {1}",
            "remove {1} --dry-run",
            "mdevctl stop -u {1}",
        ] {
            scene.reset();
            let [node, device] = nodes(&scene.host, &uuid(1));
            let name = node.file_name().unwrap();
            clear(&own);
            fs::write(&own, "").unwrap();
            let mut other = None;
            let _poser: Box<dyn std::any::Any> = match what {
                "a descriptor of the group that only names it" => {
                    Box::new(HeldOpen::name_only(&node))
                }
                "a descriptor of the device that only names it" => {
                    Box::new(HeldOpen::name_only(&device))
                }
                "a file under the name of the group" => Box::new(HeldOpen::pretend(&own, &node)),
                "a file under the name of the device" => Box::new(HeldOpen::pretend(&own, &device)),
                "a file of the group's name elsewhere" => {
                    let folder = scene.outside.path("dev/vfio");
                    fs::create_dir_all(&folder).unwrap();
                    fs::write(folder.join(name), "").unwrap();
                    Box::new(With::input(open(&folder.join(name))))
                }
                "a file of that name that was deleted" => {
                    let file = scene.outside.path(name.to_str().unwrap());
                    fs::write(&file, "").unwrap();
                    let opened = open(&file);
                    fs::remove_file(&file).unwrap();
                    Box::new(With::input(opened))
                }
                "a file called as the kernel calls a device" => {
                    let file = scene.outside.path("anon_inode:[vfio-device]");
                    fs::write(&file, "").unwrap();
                    Box::new(With::input(open(&file)))
                }
                "a memory file called as the kernel calls a device" => {
                    let name = "anon_inode:[vfio-device]";
                    let memory: OwnedFd =
                        rustix::fs::memfd_create(name, rustix::fs::MemfdFlags::CLOEXEC).unwrap();
                    Box::new(With::input(memory))
                }
                "the folder of the nodes" => Box::new(With::input(open(node.parent().unwrap()))),
                "another device's group" => {
                    scene.run("start {2}").expect(0);
                    let [others, _] = nodes(&scene.host, &uuid(2));
                    other = Some(others.clone());
                    Box::new(HeldOpen::open(&others, "-name other"))
                }
                "a socket" => {
                    let (one, two) = UnixStream::pair().unwrap();
                    Box::new((With::input(OwnedFd::from(one)), two))
                }
                "arguments that name the node and a VM" => Box::new(HeldOpen::open(
                    &own,
                    &format!("{} -name guest=web", node.display()),
                )),
                _ => {
                    let mut command = Command::new("sleep");
                    command.arg0(node.to_str().unwrap()).arg("1000");
                    Box::new(With(command.spawn().unwrap()))
                }
            };
            let run = match line.strip_prefix("mdevctl ") {
                Some(line) => scene.run_mdevctl(line),
                None => scene.run(line),
            };
            let gone = !active(&scene.host).contains(&uuid(1));
            let holds = [
                (
                    "it is done",
                    run.status == 0 && (gone || line.contains("dry-run")),
                ),
                ("the answer is sound", sound(&run)),
                ("nobody is called a holder", !run.stderr.contains("in use")),
            ];
            let known = what.starts_with("a file under the name") && line == "remove {1}";
            let age = if known { Known } else { New };
            group.check(
                age,
                format!("{line}: a process with {what}"),
                &(run, other),
                &holds,
            );
        }
    }
    // Numbers for others to see say the same.
    scene.reset();
    let [node, _] = nodes(&scene.host, &uuid(1));
    let _poser = HeldOpen::name_only(&node);
    for (line, wanted) in [
        (
            "metrics",
            format!("vgpuctl_gpu_held_devices{{gpu=\"{P1}\"}} 0"),
        ),
        ("show {1}", "Held by      nobody".to_owned()),
    ] {
        let run = scene.run(line);
        group.check(
            New,
            format!("{line}: a poser"),
            &run,
            &[("nobody holds it", run.stdout.contains(&wanted))],
        );
    }
    group.end();
}

/// Whoever has it open is found, however he came to it.
#[test]
fn holders_are_found_however_they_came_to_it() {
    let mut group = Group::part("holders");
    let scene = Scene::new();
    let place = scene.outside.path("place");
    fs::write(&place, "").unwrap();
    let folder = scene.outside.path("folder");
    for what in [
        "by its name",
        "for reading only",
        "as a user without rights",
        "under another name",
        "under a name in a folder that was unmounted",
        "through a link",
        "with a name like another process's",
        "and another file of the same name",
    ] {
        for line in [
            "remove {1}",
            "stop {1}",
            "remove {1} --keep-definition",
            "mdevctl stop -u {1}",
            "modify {1} --param disable_vnc=1",
        ] {
            scene.reset();
            let [node, device] = nodes(&scene.host, &uuid(1));
            let _holder: Box<dyn std::any::Any> = match what {
                "by its name" => Box::new(HeldOpen::open(&device, "")),
                "for reading only" => {
                    Box::new(With::script(&format!("exec 7<'{}'", node.display())))
                }
                "as a user without rights" => Box::new(With::input(open(&device))),
                "under another name" => Box::new(HeldOpen::pretend(&device, &place)),
                "under a name in a folder that was unmounted" => Box::new(With::script(&format!(
                    "mount --bind '{0}' '{1}' && exec 7<>'{1}/{2}' && umount -l '{1}'",
                    node.parent().unwrap().display(),
                    folder.display(),
                    node.file_name().unwrap().display()
                ))),
                "through a link" => {
                    let link = scene.outside.path("link");
                    clear(&link);
                    symlink(&node, &link).unwrap();
                    Box::new(HeldOpen::open(&link, ""))
                }
                "with a name like another process's" => {
                    Box::new(HeldOpen::open_as(") S 1 1 (init", &node))
                }
                _ => Box::new((
                    HeldOpen::pretend(&place, &device),
                    HeldOpen::open(&node, ""),
                )),
            };
            let before = scene.state();
            let run = match line.strip_prefix("mdevctl ") {
                Some(line) => scene.run_mdevctl(line),
                None => scene.run(line),
            };
            let holds = [
                (
                    "it is refused",
                    run.status == if line.starts_with("mdevctl") { 1 } else { 5 },
                ),
                ("nothing changed", scene.state() == before),
                ("who it is is told", run.stderr.contains("pid ")),
                ("the answer is sound", sound(&run)),
            ];
            let known =
                line == "remove {1}" && ["by its name", "under another name"].contains(&what);
            let age = if known { Known } else { New };
            group.check(age, format!("{line}: held {what}"), &run, &holds);
        }
    }
    group.end();
}

/// What /proc says of processes that a test can only write down.
#[test]
fn what_stands_in_proc() {
    let mut group = Group::part("holders");
    let scene = Scene::new();
    let proc = scene.host.path("proc");
    fs::remove_file(&proc).unwrap();
    let sysfs = |device: &str| format!("/sys/devices/pci0000:80/0000:80:01.0/{P1}/{device}");
    let named = |device: &str| {
        format!(
            "pos:\t0\nflags:\t02000002\nvfio-device-syspath: {}\n",
            sysfs(device)
        )
    };
    let elsewhere = named(&uuid(9));
    let cases: Vec<(&str, String, Option<bool>)> = vec![
        ("the device's own name", named(&uuid(1)), Some(true)),
        ("another device's name", elsewhere.clone(), Some(false)),
        ("no name", "pos:\t0\n".to_owned(), None),
        ("an empty name", "vfio-device-syspath: \n".to_owned(), None),
        (
            "a name that leads up",
            format!("vfio-device-syspath: {}/..\n", sysfs(&uuid(1))),
            None,
        ),
        ("NULs", "\0".repeat(100), None),
        ("2 MiB", "x".repeat(2 << 20), None),
        (
            "escape sequences",
            "vfio-device-syspath: \u{1b}[31m\u{202e}\n".to_owned(),
            Some(false),
        ),
        (
            "two names",
            format!("{elsewhere}{}", named(&uuid(1))),
            Some(false),
        ),
    ];
    for (what, text, holds_it) in cases {
        for line in ["remove {1}", "show {1}"] {
            scene.reset();
            clear(&proc);
            let process = proc.join("4711");
            fs::create_dir_all(process.join("fd")).unwrap();
            fs::create_dir_all(process.join("fdinfo")).unwrap();
            symlink("anon_inode:[vfio-device]", process.join("fd/7")).unwrap();
            fs::write(process.join("fdinfo/7"), &text).unwrap();
            fs::write(process.join("comm"), "qemu\n").unwrap();
            fs::write(process.join("cmdline"), "qemu\0-name\0guest=web\0").unwrap();
            let run = scene.run(line);
            let gone = !active(&scene.host).contains(&uuid(1));
            let as_said = match (line, holds_it) {
                ("remove {1}", Some(true)) => run.status == 5 && !gone,
                ("remove {1}", Some(false)) => run.status == 0 && gone,
                // Nobody can say which device it is: it is refused, or done, and said.
                ("remove {1}", None) => gone == (run.status == 0),
                _ => run.status == 0,
            };
            let holds = [
                ("it is as the kernel says", as_said),
                (
                    "the answer is sound and short",
                    sound(&run) && run.stderr.len() < 3000,
                ),
            ];
            group.check(New, format!("{line}: fdinfo has {what}"), &run, &holds);
        }
    }
    for what in [
        "names that are no numbers",
        "a process that is gone at once",
        "a process without a name",
        "a name of 2 MiB",
        "arguments of 8 MiB",
        "arguments that end in -name",
        "a FIFO in place of the arguments",
        "a file in place of the descriptors",
        "a link to itself among the descriptors",
        "very many descriptors",
    ] {
        for line in ["remove {1}", "metrics"] {
            scene.reset();
            clear(&proc);
            let [node, _] = {
                fs::create_dir_all(&proc).unwrap();
                nodes(&scene.host, &uuid(1))
            };
            let process = proc.join("4711");
            fs::create_dir_all(process.join("fd")).unwrap();
            symlink(&node, process.join("fd/7")).unwrap();
            fs::write(process.join("comm"), "qemu\n").unwrap();
            fs::write(process.join("cmdline"), "qemu\0").unwrap();
            match what {
                "names that are no numbers" => {
                    for name in ["4711x", "-4711", "99999999999999999999", " ", "0x1"] {
                        fs::create_dir(proc.join(name)).unwrap();
                    }
                }
                "a process that is gone at once" => fs::create_dir(proc.join("4712")).unwrap(),
                "a process without a name" => fs::remove_file(process.join("comm")).unwrap(),
                "a name of 2 MiB" => fs::write(process.join("comm"), "x".repeat(2 << 20)).unwrap(),
                "arguments of 8 MiB" => {
                    fs::write(process.join("cmdline"), "x\0".repeat(4 << 20)).unwrap()
                }
                "arguments that end in -name" => {
                    fs::write(process.join("cmdline"), "qemu\0-name").unwrap()
                }
                "a FIFO in place of the arguments" => {
                    fs::remove_file(process.join("cmdline")).unwrap();
                    mkfifo(&process.join("cmdline"), Mode::S_IRWXU).unwrap();
                }
                "a file in place of the descriptors" => {
                    fs::create_dir(proc.join("4712")).unwrap();
                    fs::write(proc.join("4712/fd"), "").unwrap();
                }
                "a link to itself among the descriptors" => {
                    symlink("8", process.join("fd/8")).unwrap()
                }
                _ => {
                    for n in 10..500 {
                        symlink("/dev/null", process.join(format!("fd/{n}"))).unwrap();
                    }
                }
            }
            let run = scene.run(line);
            let is_held = match line {
                "metrics" => run
                    .stdout
                    .contains(&format!("vgpuctl_gpu_held_devices{{gpu=\"{P1}\"}} 1")),
                _ => run.status == 5 || run.status == 1 && active(&scene.host).contains(&uuid(1)),
            };
            // Where processes cannot be listed at all, nothing is removed and no number is told.
            let is_untold = line == "metrics" && !run.stdout.contains("vgpuctl_gpu_held_devices{");
            let holds = [
                (
                    "the holder is found, or it is said that nobody knows",
                    is_held || is_untold,
                ),
                (
                    "the answer is sound and short",
                    sound(&run) && run.stderr.len() < 3000,
                ),
            ];
            group.check(New, format!("{line}: /proc has {what}"), &run, &holds);
        }
    }
    let mut command = scene.command("list");
    clear(&proc);
    command.env("X", "");
    let run = ended(command);
    group.check(
        New,
        "list: there is no /proc",
        &run,
        &[("it is answered", run.status == 0)],
    );
    group.end();
}
