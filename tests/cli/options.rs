//! Options that every verb takes.

use std::os::unix::process::CommandExt as _;
use std::process::Command;

use crate::harness::{SimHost, finished};
use crate::helpers::{P1, as_nobody, uuid};

#[test]
fn root_is_an_option_before_and_after_the_verb_and_a_variable() {
    let host = SimHost::start("gvt-g");
    let other = SimHost::start("s390-matrix");
    let root = host.root().to_str().unwrap();
    let plain = |args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_vgpuctl"));
        command.args(args).env_remove("VGPUCTL_ROOT");
        finished(command.output().unwrap()).expect(0).stdout
    };
    let wanted = host.run("types").expect(0).stdout;
    assert_eq!(plain(&["--root", root, "types"]), wanted);
    assert_eq!(plain(&["types", "--root", root]), wanted);
    // The option beats the variable.
    assert_eq!(
        other.run(&format!("types --root {root}")).expect(0).stdout,
        wanted
    );
}

#[test]
fn verbose_says_what_is_read_and_written() {
    let host = SimHost::start("two-p4");
    let root = host.root().display();
    let types = format!("{root}/sys/class/mdev_bus/{P1}/mdev_supported_types");
    let quiet = host.run(&format!("types -p {P1}")).expect(0);
    let run = host.run(&format!("types -v -p {P1}")).expect(0);
    assert_eq!(run.stdout, quiet.stdout, "the answer is the same");
    for wanted in [
        format!("list {types}: 14 entries\n"),
        format!("read {types}/nvidia-63/name: \"GRID P4-1Q\"\n"),
        format!("read {types}/nvidia-63/available_instances: \"8\"\n"),
    ] {
        assert!(run.stderr.contains(&wanted), "{wanted}");
    }
    let run = host
        .run(&format!(
            "-v create -t P4-1Q -u {} --attr nvidia/vgpu_params=x",
            uuid(1)
        ))
        .expect(0);
    let device = format!("{root}/sys/bus/mdev/devices/{}", uuid(1));
    let places: Vec<usize> = [
        format!("lock {root}/run/vgpuctl/{P1}.lock\n"),
        format!("write {root}/etc/mdevctl.d/{P1}/{}: ", uuid(1)),
        format!("write {types}/nvidia-63/create: \"{}\"\n", uuid(1)),
        format!("write {device}/nvidia/vgpu_params: \"x\\n\"\n"),
        format!("created {}: ", uuid(1)),
    ]
    .iter()
    .map(|wanted| {
        run.stderr
            .find(wanted)
            .unwrap_or_else(|| panic!("{wanted}: {run:?}"))
    })
    .collect();
    assert!(places.is_sorted(), "definition first, then device: {run:?}");
    let run = host.run(&format!("remove {} --verbose", uuid(1))).expect(0);
    assert!(
        run.stderr
            .contains(&format!("write {device}/remove: \"1\""))
    );
}

#[test]
fn help_and_version_are_answers() {
    let host = SimHost::start("empty");
    let run = host.run("--version").expect(0);
    assert_eq!(
        run.stdout,
        concat!("vgpuctl ", env!("CARGO_PKG_VERSION"), "\n")
    );
    let run = host.run("--help").expect(0);
    assert_eq!(run.stderr, "");
    for verb in [
        "types", "gpus", "list", "show", "create", "remove", "define", "undefine", "modify",
        "start", "stop", "restore",
    ] {
        assert!(run.stdout.contains(&format!("\n  {verb} ")), "{verb}");
        let help = host.run(&format!("{verb} --help")).expect(0);
        assert!(help.stdout.contains("Usage: vgpuctl "), "{help:?}");
    }
    assert!(
        run.stdout
            .contains("Exit status: 0 done, 1 failed, 2 usage")
    );
}

#[test]
fn usage_errors_are_exit_2_and_go_to_stderr() {
    let host = SimHost::start("empty");
    for line in [
        "",
        "nonsense",
        "types --nonsense",
        "list extra",
        "show",
        "restore --wait x",
    ] {
        let run = host.run(line).expect(2);
        assert_eq!(run.stdout, "", "{line:?}");
        assert!(!run.stderr.is_empty(), "{line:?}");
    }
}

#[test]
fn each_verb_says_of_itself_what_the_list_of_verbs_says_of_it() {
    let host = SimHost::start("two-p4");
    let help = host.run("--help").expect(0).stdout;
    let list = help.split("Commands:\n").nth(1).unwrap();
    let verbs = list.lines().take_while(|line| !line.is_empty());
    let verbs = verbs.map(|line| line.trim().split_once(' ').unwrap());
    let mut told = 0;
    for (verb, about) in verbs.filter(|(verb, _)| *verb != "help") {
        let own = host.run_args([verb, "--help"]).expect(0).stdout;
        assert_eq!(own.lines().next(), Some(about.trim()), "{verb}");
        told += 1;
    }
    assert!(told > 20, "{help}");
}

#[test]
fn an_empty_root_is_none_and_one_that_is_not_there_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let absent = folder.path().join("absent");
    let dangling = folder.path().join("dangling");
    std::os::unix::fs::symlink(&absent, &dangling).unwrap();
    let run = |name: &str, variable: &str, root: Option<&str>, args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_vgpuctl"));
        command.arg0(name).args(args);
        command
            .env_remove("VGPUCTL_ROOT")
            .env_remove("MDEVCTL_ENV_ROOT");
        if let Some(root) = root {
            command.env(variable, root);
        }
        finished(command.output().unwrap())
    };
    let ours = |root, args: &[&str]| run("vgpuctl", "VGPUCTL_ROOT", root, args);
    let theirs = |root, args: &[&str]| run("mdevctl", "MDEVCTL_ENV_ROOT", root, args);
    // What this machine has is the same both times, whatever that is.
    for args in [&["list", "--json"], &["types", "--json"]] {
        let (unset, empty) = (ours(None, args), ours(Some(""), args));
        assert_eq!((unset.status, unset.stdout), (empty.status, empty.stdout));
    }
    let (unset, empty) = (theirs(None, &["list"]), theirs(Some(""), &["list"]));
    assert_eq!((unset.status, unset.stdout), (empty.status, empty.stdout));

    for (bad, why) in [
        (&absent, "ENOENT"),
        (&dangling, "ENOENT"),
        (&file, "ENOTDIR"),
    ] {
        let bad = bad.to_str().unwrap();
        for args in [
            &["list"][..],
            &["types"],
            &["doctor"],
            &["restore"],
            &["metrics"],
        ] {
            let run = ours(Some(bad), args).expect(2);
            assert!(run.stdout.is_empty(), "{run:?}");
            for word in ["VGPUCTL_ROOT", bad, why] {
                assert!(run.stderr.contains(word), "{word}: {run:?}");
            }
        }
        let run = ours(None, &["list", "--root", bad]).expect(2);
        assert!(
            run.stderr.contains("--root") && run.stderr.contains(bad),
            "{run:?}"
        );
        let run = ours(Some(bad), &["list", "--json"]).expect(2);
        assert!(run.stderr.contains("\"code\": \"usage\""), "{run:?}");
        // Where 2 is a difference, every error is 1.
        ours(Some(bad), &["plan", "x.toml"]).expect(1);
        let run = theirs(Some(bad), &["list"]).expect(1);
        for word in ["MDEVCTL_ENV_ROOT", bad, why] {
            assert!(run.stderr.contains(word), "{word}: {run:?}");
        }
        assert!(!absent.exists());
    }
    // One that is given beats the variable, also a bad one.
    let root = folder.path().to_str().unwrap();
    ours(Some(absent.to_str().unwrap()), &["list", "--root", root]).expect(0);
    // Where the caller is makes no difference.
    for relative in [".", "sys/..", "tmp"] {
        let run = ours(Some(relative), &["list"]).expect(2);
        assert!(run.stderr.contains("it is not an absolute path"), "{run:?}");
        ours(None, &["list", "--root", relative]).expect(2);
        theirs(Some(relative), &["list"]).expect(1);
    }
}

#[test]
fn who_is_started_by_sudo_names_no_other_root() {
    let host = SimHost::start("empty");
    let by_sudo = |user: &str, name: &str, words: &[&str]| {
        let mut command = host.command(words);
        command.arg0(name).env("SUDO_UID", user);
        finished(
            command
                .env("MDEVCTL_ENV_ROOT", host.root())
                .output()
                .unwrap(),
        )
    };
    for user in ["1000", "-1", "root"] {
        let run = by_sudo(user, "vgpuctl", &["list"]).expect(6);
        assert!(run.stdout.is_empty(), "{run:?}");
        for word in ["VGPUCTL_ROOT", user, "sudo.conf: roots = allow"] {
            assert!(run.stderr.contains(word), "{word}: {run:?}");
        }
        by_sudo(user, "mdevctl", &["list"]).expect(1);
        // Nor does it tell what is there.
        by_sudo(user, "vgpuctl", &["list", "--root", "/nowhere"]).expect(6);
        assert_ne!(by_sudo(user, "vgpuctl", &["list", "--root", "/"]).status, 6);
    }
    for user in ["0", ""] {
        by_sudo(user, "vgpuctl", &["list"]).expect(0);
    }
    // Who is not root reads what he may anyway.
    as_nobody(&host, "list").expect(0);
}
