//! What others may put in the place of root's policy and of root's service for users.

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{PermissionsExt as _, chown, symlink};
use std::os::unix::net::UnixListener;

use serde_json::json;

use super::frame::{Group, New, is_plain_log, sound};
use super::scene::{active, clear, sight};
use super::texts;
use crate::delegate::{allow, set_mode};
use crate::delegation::{ALICE, ask, block, create, host};
use crate::harness::SimHost;
use crate::helpers::uuid;

/// How a policy comes not to count: what is wrong, and what makes it so.
type Way<'a> = (&'a str, Box<dyn Fn() + 'a>);

#[test]
fn a_policy_that_others_could_have_written_or_that_has_a_slip_allows_nothing() {
    let mut group = Group::part("delegation");
    let (host, service) = host();
    let good = block(ALICE, &["P4-1Q"], 2, "");
    let policy = allow(&host, &good);
    let one = create(&host, ALICE, "--type P4-1Q");
    let before = active(&host);
    let folder = host.path("etc/vgpuctl");
    let etc = host.path("etc");
    let aside = host.path("usr/policy");
    let slips = [
        ("an unknown key", format!("{good}secret = 1\n")),
        ("an unknown table", format!("{good}[secret]\n")),
        ("a key twice", format!("{good}devices = 1\n")),
        (
            "a string as a count",
            good.replace("devices = 2", "devices = \"secret\""),
        ),
        (
            "a count below 0",
            good.replace("devices = 2", "devices = -1"),
        ),
        (
            "a huge count",
            good.replace("devices = 2", "devices = 99999999999999999999"),
        ),
        (
            "a count with a fraction",
            good.replace("devices = 2", "devices = 2.0"),
        ),
        (
            "a block for nobody",
            "[[allow]]\ntypes = [\"P4-1Q\"]\ndevices = 2\n".to_owned(),
        ),
        ("a user and a group", format!("{good}group = 0\n")),
        ("no list of types", good.replace("[\"P4-1Q\"]", "\"P4-1Q\"")),
        ("no TOML", format!("{good}secret\n")),
        ("half a file", good[..good.len() / 2].to_owned()),
        ("a MiB and more", "#\n".repeat(600_000) + &good),
    ];
    let mut ways: Vec<Way> = Vec::new();
    for (what, text) in slips {
        let policy = policy.clone();
        ways.push((what, Box::new(move || fs::write(&policy, &text).unwrap())));
    }
    let modes = [
        ("the file is writable by all", &policy, 0o666),
        ("the file is writable by a group", &policy, 0o664),
        ("the folder is writable by all", &folder, 0o777),
        ("the folder is writable by a group", &folder, 0o775),
        ("all may add to the folder", &folder, 0o1777),
    ];
    for (what, path, mode) in modes {
        ways.push((
            what,
            Box::new(move || {
                chown(path, None, Some(1234)).unwrap();
                set_mode(path, mode);
            }),
        ));
    }
    for (what, path) in [
        ("the file is the user's", &policy),
        ("the folder is the user's", &folder),
        ("the folder above is the user's", &etc),
    ] {
        ways.push((
            what,
            Box::new(move || chown(path, Some(ALICE), None).unwrap()),
        ));
    }
    ways.push((
        "the file is a link",
        Box::new(|| {
            fs::rename(&policy, &aside).unwrap();
            symlink(&aside, &policy).unwrap();
        }),
    ));
    ways.push((
        "the file is a folder",
        Box::new(|| {
            clear(&policy);
            fs::create_dir(&policy).unwrap();
        }),
    ));
    ways.push((
        "the file is a FIFO",
        Box::new(|| {
            clear(&policy);
            nix::unistd::mkfifo(&policy, nix::sys::stat::Mode::from_bits_truncate(0o644)).unwrap();
        }),
    ));
    ways.push((
        "the file has no end",
        Box::new(|| {
            clear(&policy);
            symlink("/dev/zero", &policy).unwrap();
        }),
    ));
    ways.push((
        "the file is no UTF-8",
        Box::new(|| fs::write(&policy, b"\xff\xfe").unwrap()),
    ));
    let lines = [
        "create --type P4-1Q".to_owned(),
        "list".to_owned(),
        format!("start {one}"),
        format!("stop {one}"),
        format!("remove {one}"),
    ];
    for (what, way) in &ways {
        way();
        let definitions = sight(&host.path("etc/mdevctl.d"));
        for line in &lines {
            let run = ask(&host, ALICE, line);
            let verb = line.split(' ').next().unwrap();
            let holds = [
                ("it is refused", [1, 6].contains(&run.status) && sound(&run)),
                (
                    "the user is not told what is in it",
                    !(run.stdout.clone() + &run.stderr).contains("secret"),
                ),
                (
                    "nothing changed",
                    active(&host) == before && sight(&host.path("etc/mdevctl.d")) == definitions,
                ),
            ];
            group.check(New, format!("{verb}: {what}"), &run, &holds);
        }
        for path in [&policy, &folder, &etc] {
            chown(path, Some(0), Some(0)).unwrap_or_default();
        }
        clear(&policy);
        clear(&aside);
        allow(&host, &good);
    }
    let log = service.log();
    let holds = [("plain lines", is_plain_log(&log, log.lines().count()))];
    group.check(New, "the log of the policies", &log, &holds);
    let run = ask(&host, ALICE, &format!("remove {one}"));
    group.check(
        New,
        "the good one counts again",
        &run,
        &[("it is done", run.status == 0)],
    );
    group.end();
}

/// Whoever answers in root's place, or answers what root's service never would.
#[test]
fn an_answer_of_anothers_is_not_taken_and_nothing_in_it_is_obeyed() {
    let mut group = Group::part("delegation");
    let host = SimHost::start("two-p4");
    let path = host.path("run/vgpuctl-delegate.socket");
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let listener = UnixListener::bind(&path).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
    let hidden = json!({ "version": 1, "error": { "code": "x", "message": texts::HIDDEN } });
    let names = json!({ "version": 1, "changes": [{
        "uuid": texts::HIDDEN, "parent": texts::HIDDEN, "vf": null, "type": texts::HIDDEN,
        "type_name": texts::HIDDEN, "result": "created", "error": null,
    }], "warnings": [texts::HIDDEN], "notes": [texts::HIDDEN] });
    let answers = [
        (
            "nothing",
            String::new(),
            "closed the connection without an answer",
        ),
        ("an empty line", "\n".to_owned(), "invalid answer"),
        ("no keys", "{}\n".to_owned(), "invalid answer"),
        (
            "another version",
            "{\"version\":2}\n".to_owned(),
            "unsupported version 2",
        ),
        ("no word", "{\"version\":1}\n".to_owned(), "it is empty"),
        (
            "no result",
            "{\"version\":1,\"changes\":[{\"result\":\"x\"}]}\n".to_owned(),
            "unknown result",
        ),
        ("hidden words in an error", format!("{hidden}\n"), r"\u{1b}"),
        ("hidden words in a change", format!("{names}\n"), ""),
        (
            "arrays in arrays",
            "[".repeat(100_000) + "\n",
            "invalid answer",
        ),
        (
            "HTML",
            "<html>\u{1b}[2J</html>\n".to_owned(),
            "invalid answer",
        ),
    ];
    // One that ends without having heard what is asked.
    std::thread::scope(|scope| {
        scope.spawn(|| drop(listener.accept().unwrap()));
        let run = ask(&host, ALICE, "list");
        let holds = [
            ("it is no success", run.status == 1 && sound(&run)),
            (
                "it says why",
                run.stderr
                    .contains("closed the connection without an answer"),
            ),
        ];
        group.check(New, "list: not heard", &run, &holds);
    });
    for (what, answer, why) in &answers {
        for verb in [
            "list".to_owned(),
            "create --type P4-1Q".to_owned(),
            format!("stop {}", uuid(1)),
        ] {
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    let (mut stream, _) = listener.accept().unwrap();
                    let mut asked = String::new();
                    stream.read_to_string(&mut asked).unwrap();
                    // Whoever has read enough of it is gone.
                    let _ = stream.write_all(answer.as_bytes());
                });
                let run = ask(&host, ALICE, &verb);
                let said = run.stdout.clone() + &run.stderr;
                let holds = [
                    ("nothing of it is obeyed", sound(&run)),
                    ("it says what is wrong", said.contains(why)),
                    (
                        "it is no success",
                        what.starts_with("hidden words in a change") || run.status == 1,
                    ),
                ];
                let verb = verb.split(' ').next().unwrap();
                group.check(New, format!("{verb}: answered {what}"), &run, &holds);
            });
        }
    }
    // Where nobody serves.
    let closed = |what: &str, group: &mut Group| {
        let run = ask(&host, ALICE, "list");
        let holds = [("it is refused", run.status != 0 && sound(&run))];
        group.check(New, what, &run, &holds);
    };
    drop(listener);
    closed("a socket of which nobody takes care", &mut group);
    clear(&path);
    fs::write(&path, "").unwrap();
    closed("a file in the socket's place", &mut group);
    clear(&path);
    fs::create_dir(&path).unwrap();
    closed("a folder in the socket's place", &mut group);
    clear(&path);
    symlink("loop", &path).unwrap();
    closed("a link to nowhere in the socket's place", &mut group);
    group.end();
}
