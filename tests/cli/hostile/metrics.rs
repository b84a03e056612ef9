//! `metrics --output`: only a file of its own is replaced, and what others wrote stays in its label.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown, symlink};
use std::os::unix::net::UnixListener;

use nix::sys::stat::Mode;
use nix::unistd::mkfifo;

use super::frame::{Group, Known, New, sound};
use super::scene::{Scene, active, clear, ended, sight, vgpuctl};
use crate::helpers::{P2, put, uuid};

#[test]
fn only_a_file_of_its_own_is_replaced() {
    let mut group = Group::part("metrics");
    let scene = Scene::new();
    let own = scene.run("metrics").expect(0).stdout;
    let folder = scene.outside.path("out");
    let file = folder.join("x.prom");
    let around = scene.outside.sight();
    let foreign: [(&str, &[u8]); 12] = [
        ("of node_exporter's", b"# HELP node_x y\n"),
        ("of somebody's", b"precious\n"),
        ("that begins almost so", b"# HELP vgpuct"),
        ("with a space before", b" # HELP vgpuctl_x y\n"),
        (
            "with a byte order mark before",
            b"\xef\xbb\xbf# HELP vgpuctl_x y\n",
        ),
        ("with an empty line before", b"\n# HELP vgpuctl_x y\n"),
        ("with our line later", b"precious\n# HELP vgpuctl_x y\n"),
        ("in other letters", b"# help VGPUCTL_x y\n"),
        ("of NULs", &[0; 100]),
        ("of one space", b" "),
        ("of a program", b"\x7fELF"),
        ("of one newline", b"\n"),
    ];
    let line = format!("metrics --output {}", file.display());
    for (what, text) in foreign {
        for form in ["", " --json"] {
            clear(&folder);
            fs::create_dir(&folder).unwrap();
            fs::write(&file, text).unwrap();
            let before = sight(&folder);
            let run = scene.run(&format!("{line}{form}"));
            let holds = [
                ("it is refused", run.status == 2),
                ("the file stays", sight(&folder) == before),
                ("it is named", run.stderr.contains("x.prom")),
                ("the answer is sound", sound(&run)),
            ];
            let age = if what == "of somebody's" && form.is_empty() {
                Known
            } else {
                New
            };
            group.check(
                age,
                format!("metrics --output{form}: a file {what}"),
                &run,
                &holds,
            );
        }
    }
    for what in [
        "a link to a file",
        "a link to our own file",
        "a link to nowhere",
        "a link to itself",
        "a FIFO",
        "a folder",
        "a socket",
        "a link to null",
        "a link to standard output",
    ] {
        clear(&folder);
        fs::create_dir(&folder).unwrap();
        match what {
            "a link to a file" => symlink(scene.outside.path("file"), &file).unwrap(),
            "a link to our own file" => {
                fs::write(folder.join("own"), &own).unwrap();
                symlink("own", &file).unwrap();
            }
            "a link to nowhere" => symlink(scene.outside.path("new"), &file).unwrap(),
            "a link to itself" => symlink("x.prom", &file).unwrap(),
            "a FIFO" => mkfifo(&file, Mode::S_IRWXU).unwrap(),
            "a folder" => fs::create_dir(&file).unwrap(),
            "a socket" => drop(UnixListener::bind(&file).unwrap()),
            "a link to null" => symlink("/dev/null", &file).unwrap(),
            _ => symlink("/dev/stdout", &file).unwrap(),
        }
        let before = sight(&folder);
        let run = scene.run(&line);
        let outside = {
            let mut now = scene.outside.sight();
            now.retain(|path, _| !path.starts_with(&folder));
            now
        };
        let mut around = around.clone();
        // The folder itself counts its entries.
        around.retain(|path, _| !path.starts_with(&folder));
        let holds = [
            ("it is refused", run.status == 2),
            ("it stays", sight(&folder) == before),
            ("nothing outside changed", outside == around),
            ("the answer is sound", sound(&run)),
        ];
        let age = if what == "a link to standard output" {
            Known
        } else {
            New
        };
        group.check(age, format!("metrics --output: {what}"), &run, &holds);
    }
    // What is named itself.
    for name in [
        "",
        ".",
        "..",
        "/",
        "/proc/self/mem",
        "/proc/1/oom_score_adj",
        "/dev/null",
        "/dev/stdout",
        "/dev/full",
        "/sys/kernel/uevent_seqnum",
        "x/.",
        "-",
        "/nowhere/x.prom",
    ] {
        let mut command = vgpuctl(scene.root(), ["metrics", "--output", name]);
        // A name without a folder is one here.
        clear(&folder);
        fs::create_dir(&folder).unwrap();
        command.current_dir(&folder);
        let run = ended(command);
        let left: Vec<_> = fs::read_dir(&folder)
            .unwrap()
            .map(|e| e.unwrap().file_name())
            .collect();
        let is_file = name == "-" || name == "x/.";
        let holds = [
            (
                "it is refused, or a file of that name",
                run.status != 0 || is_file,
            ),
            (
                "nothing else is left",
                left.is_empty() || is_file && left == [&name[..1]],
            ),
            ("the answer is sound", sound(&run)),
        ];
        group.check(New, format!("metrics --output {name:?}"), &run, &holds);
    }
    // Its own, whoever's that is and whatever may be read: whole again, and for all to read.
    for (what, mode, user) in [
        ("of mode 600", 0o600, 0),
        ("of mode 000", 0, 0),
        ("of another user's", 0o644, 1234),
        ("with a set-user-id bit", 0o4755, 1234),
        ("that all may write to", 0o666, 0),
    ] {
        clear(&folder);
        fs::create_dir(&folder).unwrap();
        fs::write(&file, &own).unwrap();
        chown(&file, Some(user), None).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
        let run = scene.run(&line);
        let meta = fs::metadata(&file).unwrap();
        let holds = [
            (
                "it is replaced",
                run.status == 0 && fs::read_to_string(&file).unwrap() == own,
            ),
            (
                "it is root's, for all to read",
                meta.uid() == 0 && meta.mode() & 0o7777 == 0o644,
            ),
            (
                "nothing is beside it",
                fs::read_dir(&folder).unwrap().count() == 1,
            ),
        ];
        group.check(
            New,
            format!("metrics --output: a file of its own {what}"),
            &run,
            &holds,
        );
    }
    // A hard link to another's file is no link that is followed: the name goes to the new file.
    clear(&folder);
    fs::create_dir(&folder).unwrap();
    fs::write(scene.outside.path("ours"), &own).unwrap();
    fs::hard_link(scene.outside.path("ours"), &file).unwrap();
    let inode = fs::metadata(scene.outside.path("ours")).unwrap().ino();
    let run = scene.run(&line);
    let other = fs::metadata(scene.outside.path("ours")).unwrap();
    let holds = [
        ("it is done", run.status == 0),
        (
            "the other name keeps its file",
            other.ino() == inode && fs::metadata(&file).unwrap().ino() != inode,
        ),
    ];
    group.check(
        New,
        "metrics --output: a second name of a file",
        &run,
        &holds,
    );
    group.end();
}

/// What is counted is told, whatever is wrong, and the rest of the numbers with it.
#[test]
fn what_cannot_be_read_is_counted_and_hides_no_number() {
    let mut group = Group::part("metrics");
    let scene = Scene::new();
    let wanted =
        "vgpuctl_type_free_instances{gpu=\"0000:82:00.0\",type=\"nvidia-63\",name=\"P4-1Q\"} 8";
    for (what, break_it) in [
        ("a definition that is none", 0),
        ("a definition of a name that is none", 1),
        ("a result of a restore that is none", 2),
        ("a folder of results that others may write to", 3),
        ("a type's file that fails", 4),
        ("a device's type that is missing", 5),
    ] {
        scene.reset();
        scene.host.ctl(&["mend"]);
        let results = scene.host.path("run/vgpuctl/restores");
        match break_it {
            0 => drop(put(&scene.host, P2, &uuid(4), "{")),
            1 => drop(put(&scene.host, P2, "x", "{}")),
            2 => {
                scene.run("restore");
                fs::write(results.join(P2), "{").unwrap();
                scene.run("stop {3}").expect(0);
            }
            3 => {
                fs::create_dir_all(&results).unwrap();
                fs::set_permissions(&results, fs::Permissions::from_mode(0o777)).unwrap();
            }
            4 => drop(scene.host.ctl(&[
                "break",
                "0000:81:00.0/nvidia-64/available_instances",
                "eio",
            ])),
            _ => drop(
                scene
                    .host
                    .ctl(&["break", &format!("{}/mdev_type", uuid(1)), "missing"]),
            ),
        }
        let run = scene.run("metrics");
        let json = scene.run("metrics --json");
        let holds = [
            ("the others are told", run.stdout.contains(wanted)),
            (
                "it is counted",
                run.stdout
                    .lines()
                    .any(|line| line.starts_with("vgpuctl_unreadable{") && !line.ends_with(" 0")),
            ),
            ("it is told", run.status == 7 && !run.stderr.is_empty()),
            (
                "the same in JSON",
                json.status == 7 && json.json()["metrics"].is_array(),
            ),
            ("the answer is sound", sound(&run)),
        ];
        group.check(New, format!("metrics: {what}"), &run, &holds);
    }
    scene.host.ctl(&["mend"]);
    assert_eq!(active(&scene.host).len(), 1);
    group.end();
}
