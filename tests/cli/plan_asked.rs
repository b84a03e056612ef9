//! `apply` at a terminal: what it asks, which answers it takes, and how far it says it is.

use std::process::Command;

use crate::harness::{Run, SimHost, finished};
use crate::plan::{file, host};
use crate::terminal::{AtTerminal, END_OF_FILE, on_screen};

const TWO: &str = "[[group]]\nname = \"a\"\ntype = \"P4-1Q\"\ncount = 2\n";

fn command(host: &SimHost, text: &str, options: &[&str]) -> Command {
    let path = file(host, text);
    let mut command = host.command(["apply", path.to_str().unwrap()]);
    command.args(options).env("TERM", "xterm");
    command
}

/// What came of this answer to the question: status, answer, screen.
#[track_caller]
fn answered(host: &SimHost, keys: &str) -> (i32, String, String) {
    let mut apply = AtTerminal::start(command(host, TWO, &[]));
    apply.until("Apply these changes? [y/N] ");
    apply.types(keys);
    apply.end()
}

#[test]
fn it_asks_and_does_it_only_if_told_so() {
    for no in ["n\n", "\n", "no\n", "yes please\n", END_OF_FILE] {
        let host = host("two-p4");
        let (status, answer, shown) = answered(&host, no);
        assert_eq!((status, answer.as_str()), (1, ""), "{no:?}: {shown}");
        let lines: Vec<&str> = shown.lines().collect();
        assert!(lines[0].starts_with("+ create "), "{shown}");
        assert_eq!(lines[2], "2 to create", "{shown}");
        assert!(
            lines[3].starts_with("Apply these changes? [y/N]"),
            "{shown}"
        );
        assert_eq!(
            lines[4], "error: not confirmed: nothing was changed",
            "{shown}"
        );
        assert_eq!((host.active(), host.defined()), (vec![], vec![]), "{no:?}");
    }
    for yes in ["y\n", "Y\n", " yes\n", "Yes\n"] {
        let host = host("two-p4");
        let (status, answer, shown) = answered(&host, yes);
        assert_eq!(status, 0, "{yes:?}: {shown}");
        assert_eq!(answer.matches("created ").count(), 2, "{answer}");
        assert!(shown.ends_with("2 created\n"), "{shown:?}");
        assert_eq!(host.active().len(), 2);
    }
}

#[test]
fn where_there_is_nothing_to_do_it_does_not_ask() {
    let host = host("two-p4");
    answered(&host, "y\n");
    let (status, answer, shown) = AtTerminal::start(command(&host, TWO, &[])).end();
    assert_eq!((status, answer.as_str()), (0, ""));
    assert!(shown.ends_with("2 as declared\n"), "{shown:?}");
    assert!(!shown.contains("Apply these changes?"), "{shown:?}");
}

#[test]
fn what_could_not_be_read_is_told_before_the_question_and_once() {
    let host = host("two-p4");
    crate::helpers::put(&host, crate::helpers::P1, &crate::helpers::uuid(1), "{");
    let (status, _, shown) = answered(&host, "y\n");
    assert_eq!(status, 0, "{shown}");
    let (before, after) = shown.split_once("Apply these changes?").unwrap();
    assert!(before.contains("warning: "), "{shown}");
    assert!(!after.contains("warning: "), "{shown}");
}

/// Without a terminal: standard input is one, but nobody would see the question; or the other way
/// round; or the file itself comes that way.
#[test]
fn where_nobody_can_be_asked_it_changes_nothing_and_says_what_to_do() {
    let host = host("two-p4");
    let path = file(&host, TWO);
    let line = |words: &str| {
        let script = format!("\"$0\" {words} {}", path.display());
        let mut command = Command::new("script");
        command
            .args([
                "-qec",
                &script.replace("\"$0\"", env!("CARGO_BIN_EXE_vgpuctl")),
            ])
            .arg("/dev/null")
            .env("VGPUCTL_ROOT", host.root())
            .env_remove("LD_LIBRARY_PATH")
            .stdin(std::process::Stdio::null());
        finished(command.output().unwrap())
    };
    let refused = |run: Run, why: &str| {
        let said = format!("{}{}", run.stdout, run.stderr);
        assert_eq!(run.status, 2, "{said}");
        assert!(said.contains(why), "{said}");
        assert!(
            said.contains("hint: review the plan with: vgpuctl plan "),
            "{said}"
        );
        assert!(said.contains("--yes"), "{said}");
        assert_eq!((host.active(), host.defined()), (vec![], vec![]));
    };
    let none = "cannot ask for confirmation: there is no terminal";
    refused(host.run(&format!("apply {}", path.display())), none);
    refused(line("apply </dev/null"), none);
    let log = host.path("usr/log");
    let run = line(&format!("apply 2>{}", log.display()));
    let stderr = std::fs::read_to_string(&log).unwrap();
    refused(Run { stderr, ..run }, none);
    refused(line("apply - <"), "the file is read from standard input");
}

#[test]
fn a_line_tells_on_the_terminal_how_far_it_is_and_is_gone_in_the_end() {
    let host = host("two-p4");
    // Each is waited for, so that there is something to wait for.
    host.ctl(&["delay-create", "200"]);
    let mut apply = AtTerminal::start(command(&host, TWO, &["--yes"]));
    for told in ["0 of 2 done", "1 of 2 done", "2 of 2 done"] {
        apply.until(told);
    }
    let (status, answer, shown) = apply.end();
    assert_eq!(status, 0, "{shown}");
    assert!(!answer.contains(" done"), "{answer}");
    assert_eq!(on_screen(&shown), ["2 created", ""], "{shown:?}");
}

#[test]
fn the_line_is_gone_before_an_error_is_told() {
    let host = host("two-p4");
    host.ctl(&["fail-create", "2", "EIO"]);
    let (status, _, shown) = AtTerminal::start(command(&host, TWO, &["--yes"])).end();
    assert_eq!(status, 1);
    assert!(shown.contains("1 of 2 done"), "{shown:?}");
    let screen = on_screen(&shown);
    assert!(
        screen[0].starts_with("error: cannot create "),
        "{screen:#?}"
    );
    assert!(!screen.join("\n").contains(" done"), "{screen:#?}");
}

#[test]
fn programs_and_dumb_terminals_get_no_such_line() {
    let host = host("two-p4");
    let piped = finished(command(&host, TWO, &["--yes"]).output().unwrap()).expect(0);
    assert_eq!(piped.stderr, "2 created\n");
    let empty = "unlisted = \"remove\"\n";
    let (status, answer, shown) =
        AtTerminal::start(command(&host, empty, &["--yes", "--json"])).end();
    assert_eq!((status, shown.as_str()), (0, ""));
    let answer: serde_json::Value = serde_json::from_str(&answer).unwrap();
    assert_eq!(answer["plan"]["summary"]["remove"], 2);
    let mut dumb = command(&host, TWO, &["--yes"]);
    dumb.env("TERM", "dumb");
    let (status, _, shown) = AtTerminal::start(dumb).end();
    assert_eq!((status, shown.as_str()), (0, "2 created\n"));
}
