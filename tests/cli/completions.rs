//! What Tab offers in bash, zsh and fish.

use std::collections::BTreeSet;
use std::path::Path;

use crate::harness::SimHost;
use crate::helpers::{P1, P2, put_auto, uuid};
use crate::shells::{Fish, Installed, Offers, bash, zsh};

/// Two active devices on the first parent, one definition on the second.
fn host() -> SimHost {
    let host = SimHost::start("two-p4");
    for n in [1, 2] {
        let line = format!("create --type nvidia-63 --parent {P1} --uuid {}", uuid(n));
        host.run(&line).expect(0);
    }
    host.run(&format!(
        "create --type nvidia-63 --parent {P1} --uuid {} --transient",
        uuid(3)
    ))
    .expect(0);
    put_auto(&host, P2, &uuid(4), "nvidia-64");
    host
}

fn set<T: AsRef<str>>(words: &[T]) -> BTreeSet<String> {
    words.iter().map(|word| word.as_ref().to_owned()).collect()
}

#[track_caller]
fn offers_what_the_host_has(shell: &mut dyn Offers) {
    let active = set(&[uuid(1), uuid(2), uuid(3)]);
    let defined = set(&[uuid(1), uuid(2), uuid(4)]);
    let all = set(&[uuid(1), uuid(2), uuid(3), uuid(4)]);
    for verb in ["stop", "remove"] {
        assert_eq!(shell.offers(&format!("vgpuctl {verb} ")), active, "{verb}");
    }
    for verb in ["undefine", "modify"] {
        assert_eq!(shell.offers(&format!("vgpuctl {verb} ")), defined, "{verb}");
    }
    for verb in ["show", "attach"] {
        assert_eq!(shell.offers(&format!("vgpuctl {verb} ")), all, "{verb}");
    }
    assert_eq!(shell.offers("vgpuctl start "), set(&[uuid(4)]));
    // Of one parent, and without what is named already.
    let line = format!("vgpuctl show --parent {P2} ");
    assert_eq!(shell.offers(&line), set(&[uuid(4)]));
    let line = format!("vgpuctl stop {} ", uuid(2));
    assert_eq!(shell.offers(&line), set(&[uuid(1), uuid(3)]));
    assert_eq!(shell.offers("vgpuctl create --parent "), set(&[P1, P2]));
    assert_eq!(
        shell.offers("vgpuctl create --placement s"),
        set(&["spread"])
    );
    assert_eq!(
        shell.offers("vgpuctl attach --format "),
        set(&["libvirt", "qemu", "proxmox"])
    );
    assert_eq!(
        shell.offers("vgpuctl create --framebuffer "),
        set(&["1G", "2G", "4G", "8G"])
    );
    let line = format!("vgpuctl stop {}", &uuid(3)[..8]);
    assert_eq!(shell.tab(&line), format!("vgpuctl stop {}", uuid(3)));
    // Addresses have colons, at which bash breaks words.
    let line = format!("vgpuctl create --parent {}", &P2[..7]);
    assert_eq!(shell.tab(&line), format!("vgpuctl create --parent {P2}"));
    let line = format!("vgpuctl create --parent={}", &P2[..7]);
    assert_eq!(shell.tab(&line), format!("vgpuctl create --parent={P2}"));
}

#[track_caller]
fn offers_types_of_the_parent(shell: &mut dyn Offers) {
    let of_gvtg = shell.offers("vgpuctl create --parent 0000:00:02.0 --type ");
    let of_all = shell.offers("vgpuctl create --type ");
    assert!(
        of_gvtg.contains("i915-GVTg_V5_8") && !of_gvtg.contains("nvidia-63"),
        "{of_gvtg:?}"
    );
    assert!(
        of_all.contains("i915-GVTg_V5_8") && of_all.contains("nvidia-63"),
        "{of_all:?}"
    );
    assert_eq!(
        shell.tab("vgpuctl define --type P4-8Q"),
        "vgpuctl define --type P4-8Q"
    );
}

/// Another host by `--root`, one that is not there.
#[track_caller]
fn asks_the_host_that_is_named(shell: &mut dyn Offers, other: &Path) {
    let line = format!("vgpuctl --root {} stop ", other.display());
    assert_eq!(shell.offers(&line), set(&[uuid(9)]));
    let line = format!("vgpuctl stop --root={} ", other.display());
    assert_eq!(shell.offers(&line), set(&[uuid(9)]));
    assert_eq!(
        shell.offers("vgpuctl --root /nowhere/at/all stop "),
        set::<&str>(&[])
    );
}

/// Each long option of a verb, as the command line knows it.
fn options(verb: &str) -> BTreeSet<String> {
    let mut command = vgpuctl::cli::command();
    command.build();
    let verb = command.find_subcommand(verb).unwrap();
    let shown = verb
        .get_arguments()
        .filter(|argument| !argument.is_hide_set());
    shown
        .filter_map(|argument| Some(format!("--{}", argument.get_long()?)))
        .collect()
}

#[track_caller]
fn offers_each_option(shell: &mut dyn Offers) {
    for verb in ["create", "modify", "list", "attach"] {
        assert_eq!(
            shell.offers(&format!("vgpuctl {verb} --")),
            options(verb),
            "{verb}"
        );
    }
}

#[track_caller]
fn all_of_it(shell: &mut dyn Offers, other: &SimHost) {
    offers_what_the_host_has(shell);
    offers_each_option(shell);
    asks_the_host_that_is_named(shell, other.root());
}

fn other() -> SimHost {
    let other = SimHost::start("two-p4");
    let line = format!("create --type nvidia-63 --parent {P2} --uuid {}", uuid(9));
    other.run(&line).expect(0);
    other
}

#[test]
fn bash_completes() {
    let (installed, host, other) = (Installed::new(), host(), other());
    let mut shell = bash(&installed, &host);
    all_of_it(&mut shell, &other);
    let host = SimHost::start("mixed");
    let mut shell = bash(&installed, &host);
    offers_types_of_the_parent(&mut shell);
}

#[test]
fn zsh_completes() {
    let (installed, host, other) = (Installed::new(), host(), other());
    let mut shell = zsh(&installed, &host);
    all_of_it(&mut shell, &other);
    let host = SimHost::start("mixed");
    let mut shell = zsh(&installed, &host);
    offers_types_of_the_parent(&mut shell);
}

#[test]
fn fish_completes() {
    let (installed, host, other) = (Installed::new(), host(), other());
    all_of_it(&mut Fish(&installed, &host), &other);
    let host = SimHost::start("mixed");
    offers_types_of_the_parent(&mut Fish(&installed, &host));
}

#[test]
fn every_verb_and_option_is_offered_and_none_is_made_up() {
    let host = host();
    let ask = |words: &[&str]| {
        let mut line = vec!["__complete"];
        line.extend(words);
        let run = host.run_args(line).expect(0);
        assert_eq!(run.stderr, "", "{words:?}");
        let words = run
            .stdout
            .lines()
            .map(|line| line.split('\t').next().unwrap().to_owned());
        words.collect::<BTreeSet<String>>()
    };
    let mut command = vgpuctl::cli::command();
    command.build();
    let verbs: Vec<&str> = command
        .get_subcommands()
        .filter(|verb| !verb.is_hide_set())
        .map(clap::Command::get_name)
        .collect();
    assert_eq!(ask(&[""]), set(&verbs));
    for verb in verbs.iter().filter(|verb| **verb != "help") {
        assert_eq!(ask(&[verb, "--"]), options(verb), "{verb}");
        assert_eq!(ask(&[verb, "-"]), options(verb), "{verb}");
    }
}

#[test]
fn a_question_that_makes_no_sense_is_answered_by_silence() {
    let host = SimHost::start("two-p4");
    for words in [
        &["stop", "--parent", "a/b", ""][..],
        &["--root", "/nowhere", "show", ""],
        &["x", "y"],
        &["--", "-"],
        &[],
    ] {
        let mut line = vec!["__complete"];
        line.extend(words);
        let run = host.run_args(line).expect(0);
        assert_eq!(run.stderr, "", "{words:?}");
    }
}
