//! The host's callout scripts around `apply`: asked and told as by the verbs that do one thing each.

use crate::harness::SimHost;
use crate::helpers::P1;
use crate::plan::{apply, host, plan};
use crate::script;

/// A callout script and a notifier that note each call but the question for what they can do.
/// `body` is how the callout ends.
fn watched(host: &SimHost, body: &str) {
    let log = host.path("usr/calls");
    let note = format!(
        "#!/bin/sh\n[ \"$6\" = capabilities ] && exit 2\necho \"$4 $6 $8 ${{10}}\" >>'{}'\n",
        log.display()
    );
    for (place, name, text) in [
        ("callouts", "10-x", format!("{note}{body}\n")),
        ("notifiers", "10-y", note.clone()),
    ] {
        let script = host
            .path("usr/lib/mdevctl/scripts.d")
            .join(place)
            .join(name);
        script::install(&script, &text);
    }
}

/// The calls since the last look, without the device that they are about.
fn calls(host: &SimHost) -> Vec<String> {
    let log = host.path("usr/calls");
    let text = std::fs::read_to_string(&log).unwrap_or_default();
    let _ = std::fs::remove_file(log);
    let one = |line: &str| line.rsplit_once(' ').unwrap().0.to_owned();
    text.lines().map(one).collect()
}

const ONE: &str = "[[group]]\nname = \"a\"\ntype = \"P4-1Q\"\nnames = [\"x\"]\n";

#[test]
fn scripts_hear_of_each_step_what_the_single_verbs_tell_them() {
    let host = host("two-p4");
    watched(&host, "exit 0");
    let verb = |line: String| {
        host.run(&line).expect(0);
        calls(&host)
    };
    let uuid = host
        .run(&format!("create -t P4-1Q -p {P1}"))
        .expect(0)
        .stdout;
    let uuid = uuid.trim();
    let create = calls(&host);
    let modify = verb(format!("modify {uuid} --manual"));
    let stop = verb(format!("stop {uuid}"));
    let retype = verb(format!("modify {uuid} --type P4-2Q"));
    let start = verb(format!("start {uuid}"));
    let remove = verb(format!("remove {uuid}"));
    assert_eq!((create.len(), modify.len(), remove.len()), (6, 3, 6));

    let applied = |text: &str| {
        apply(&host, text).expect(0);
        calls(&host)
    };
    assert_eq!(applied(ONE), create);
    assert_eq!(applied(ONE), [""; 0]);
    let manual = format!("{ONE}start = \"manual\"\n");
    assert_eq!(applied(&manual), modify);
    let other = manual.replace("P4-1Q", "P4-2Q");
    assert_eq!(applied(&other), [stop, retype, start].concat());
    assert_eq!(applied("unlisted = \"remove\"\n"), remove);
    plan(&host, ONE).expect(2);
    assert_eq!(calls(&host), [""; 0], "a plan asks nobody");
}

#[test]
fn a_script_that_refuses_one_has_all_taken_back_and_is_named() {
    for action in ["define", "start"] {
        let host = host("two-p4");
        let two = ONE.replace("[\"x\"]", "[\"x\", \"y\"]");
        // The second is refused.
        let refuse = format!(
            "[ \"$4 $6\" = 'pre {action}' ] || exit 0\n\
             [ -e '{0}' ] || {{ : >'{0}'; exit 0; }}\necho not on my watch >&2\nexit 7",
            host.path("usr/first").display()
        );
        watched(&host, &refuse);
        let run = apply(&host, &two).expect(1);
        assert_eq!(run.stdout, "");
        let first = run.stderr.lines().next().unwrap();
        assert!(
            first.contains(&format!("the script for pre {action} of ")),
            "{run:#?}"
        );
        assert!(first.contains("status 7: not on my watch"), "{run:#?}");
        assert!(first.ends_with("callouts/10-x"), "{run:#?}");
        assert!(
            run.stderr.contains("rolled back: the host is unchanged"),
            "{run:#?}"
        );
        assert_eq!((host.active(), host.defined()), (vec![], vec![]));
        let calls = calls(&host);
        for told in ["post stop success", "post undefine success"] {
            assert!(calls.contains(&told.to_owned()), "{calls:#?}");
        }
    }
}

#[test]
fn a_script_that_also_refuses_to_take_it_back_is_told_beside_the_cause() {
    let host = host("two-p4");
    watched(
        &host,
        "case \"$4 $6\" in\n'pre start') echo no start >&2; exit 7;;\n\
         'pre undefine') echo no way back >&2; exit 8;;\nesac\nexit 0",
    );
    let run = apply(&host, ONE).expect(1);
    let (cause, back) = run.stderr.split_once("; rollback failed: ").unwrap();
    assert!(
        cause.contains("pre start") && cause.contains("status 7: no start"),
        "{run:#?}"
    );
    assert!(
        back.contains("pre undefine") && back.contains("status 8: no way back"),
        "{run:#?}"
    );
    assert!(
        run.stderr
            .contains("0 of 1 steps before it were rolled back"),
        "{run:#?}"
    );
    assert_eq!((host.active().len(), host.defined().len()), (0, 1));
}

#[test]
fn a_script_that_refuses_a_removal_keeps_the_device_and_its_definition() {
    let host = host("two-p4");
    apply(&host, ONE).expect(0);
    let before = (host.active(), host.defined());
    for action in ["stop", "undefine"] {
        watched(
            &host,
            &format!("[ \"$4 $6\" = 'pre {action}' ] && exit 7\nexit 0"),
        );
        let run = apply(&host, "unlisted = \"remove\"\n").expect(1);
        assert!(
            run.stderr.contains(&format!("pre {action} of ")),
            "{run:#?}"
        );
        assert_eq!((host.active(), host.defined()), before, "{run:#?}");
    }
}

#[test]
fn what_goes_wrong_after_a_step_is_a_warning_and_undoes_nothing() {
    let host = host("two-p4");
    watched(
        &host,
        "[ \"$4 $6\" = 'post start' ] || exit 0\necho too late >&2\nexit 1",
    );
    let run = apply(&host, ONE).expect(0);
    assert!(
        run.stderr
            .contains("warning: the script for post start of "),
        "{run:#?}"
    );
    assert!(run.stderr.contains("too late"), "{run:#?}");
    assert!(run.stderr.ends_with("1 created\n"), "{run:#?}");
    assert_eq!(host.active().len(), 1);
}
