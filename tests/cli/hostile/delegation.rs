//! What users may send to the service that they ask for vGPUs.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::process::Stdio;

use serde_json::{Value, json};

use super::frame::{Group, Known, New, is_plain_log, sound};
use super::scene::{Sight, active, sight};
use super::texts;
use crate::delegate::{Service, allow};
use crate::delegation::{ALICE, BOB, ask, block, create, host};
use crate::harness::{SimHost, finished};
use crate::helpers::{P1, P2, put, uuid};

/// A host whose root may ask for two, so that the test itself can.
fn open_host() -> (SimHost, Service) {
    let (host, service) = host();
    allow(&host, &block(0, &["P4-1Q"], 2, ""));
    (host, service)
}

/// What must not change where a request is refused.
fn state(host: &SimHost) -> (Sight, Vec<String>) {
    (sight(&host.path("etc")), active(host))
}

/// Sends bytes and returns the whole answer.
fn send(service: &Service, bytes: &[u8]) -> String {
    let mut stream = service.connect();
    // Whoever is refused early has no more to send.
    let _ = stream.write_all(bytes);
    let _ = stream.shutdown(Shutdown::Write);
    heard(stream)
}

fn heard(mut stream: UnixStream) -> String {
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

/// What holds of every refusal: one short line of JSON, with the code and some of the words.
fn refuses(answer: &str, code: &str, why: &str) -> bool {
    let Ok(value) = serde_json::from_str::<Value>(answer) else {
        return false;
    };
    let message = value["error"]["message"].as_str().unwrap_or_default();
    value["version"] == 1
        && value["error"]["code"] == code
        && message.contains(why)
        && message.len() < 400
        && answer.matches('\n').count() == 1
}

#[test]
fn what_is_no_request_is_refused_and_does_nothing() {
    let mut group = Group::part("delegation");
    let (host, service) = open_host();
    create(&host, 0, "--type P4-1Q");
    let before = state(&host);
    let long = "x".repeat(4000);
    let early = "does not end with a newline";
    let garbage = "invalid request";
    let more = "unexpected data after the request";
    let key = "unknown field";
    let deep = format!("{}\n", "[".repeat(4000));
    let list = r#"{"version":1,"verb":"list"#;
    let lines: [(&str, Vec<u8>, &str); 40] = [
        ("nothing", vec![], early),
        ("a brace", b"{".into(), early),
        ("no end of its line", format!("{list}\"}}").into(), early),
        ("half a line", list.into(), early),
        ("an empty line", b"\n".into(), garbage),
        ("spaces", b"   \n".into(), garbage),
        ("null", b"null\n".into(), garbage),
        ("a number", b"17\n".into(), garbage),
        ("a string", b"\"list\"\n".into(), garbage),
        ("an array", b"[]\n".into(), garbage),
        ("an array of keys", b"[1,\"list\"]\n".into(), garbage),
        ("no keys", b"{}\n".into(), "missing field"),
        (
            "no version",
            b"{\"verb\":\"list\"}\n".into(),
            "missing field",
        ),
        ("no verb", b"{\"version\":1}\n".into(), "missing field"),
        ("NUL", b"\0\0\0\n".into(), garbage),
        ("no UTF-8", b"\xff\xfe\n".into(), garbage),
        ("UTF-16", b"{\0\"\0v\0\n\0".into(), more),
        (
            "a mark of the byte order",
            format!("\u{feff}{list}\"}}\n").into(),
            garbage,
        ),
        ("HTTP", b"GET / HTTP/1.1\r\n\r\n".into(), more),
        (
            "an empty second line",
            format!("{list}\"}}\n\n").into(),
            more,
        ),
        (
            "a second request",
            format!("{list}\"}}\n{list}\"}}\n").into(),
            more,
        ),
        (
            "two requests in a line",
            format!("{list}\"}}{list}\"}}\n").into(),
            garbage,
        ),
        (
            "a key twice",
            format!("{list}\",\"verb\":\"list\"}}\n").into(),
            "duplicate field",
        ),
        ("a comment", format!("{list}\"}} // x\n").into(), garbage),
        (
            "the verb undefine",
            b"{\"version\":1,\"verb\":\"undefine\"}\n".into(),
            "unknown variant",
        ),
        (
            "the verb modify",
            b"{\"version\":1,\"verb\":\"modify\"}\n".into(),
            "unknown variant",
        ),
        (
            "a verb in capitals",
            b"{\"version\":1,\"verb\":\"LIST\"}\n".into(),
            "unknown variant",
        ),
        (
            "a long verb",
            format!("{{\"version\":1,\"verb\":\"{long}\"}}\n").into(),
            "unknown variant",
        ),
        (
            "a root",
            format!("{list}\",\"root\":\"/tmp\"}}\n").into(),
            key,
        ),
        ("a user", format!("{list}\",\"user\":0}}\n").into(), key),
        ("an owner", format!("{list}\",\"owner\":0}}\n").into(), key),
        (
            "attributes",
            format!("{list}\",\"attrs\":[]}}\n").into(),
            key,
        ),
        ("force", format!("{list}\",\"force\":true}}\n").into(), key),
        (
            "a long key",
            format!("{{\"version\":1,\"{long}\":1}}\n").into(),
            key,
        ),
        (
            "another version",
            b"{\"version\":9,\"verb\":\"list\"}\n".into(),
            "version 9",
        ),
        (
            "a version below 0",
            b"{\"version\":-1,\"verb\":\"list\"}\n".into(),
            garbage,
        ),
        (
            "a version in words",
            b"{\"version\":\"1\",\"verb\":\"list\"}\n".into(),
            garbage,
        ),
        ("arrays in arrays", deep.into(), garbage),
        (
            "a line that is too long",
            format!("{long}{long}\n").into(),
            "longer than 4096 bytes",
        ),
        ("a MiB", vec![b'a'; 1 << 20], "longer than 4096 bytes"),
    ];
    let sent = lines.len();
    for (what, bytes, why) in lines {
        let answer = send(&service, &bytes);
        let holds = [
            ("it is refused in a line", refuses(&answer, "usage", why)),
            ("nothing changed", state(&host) == before),
        ];
        group.check(New, what, &answer, &holds);
    }
    let log = service.log();
    let told = |line: &str| line.starts_with("user 0 (root): a request: refused (usage): ");
    let holds = [
        ("a plain line each", is_plain_log(&log, 1 + sent)),
        ("it says who", log.lines().skip(1).all(told)),
    ];
    group.check(New, "the log of them all", &log, &holds);
    group.end();
}

#[test]
fn words_that_lead_elsewhere_or_hide_something_are_no_names() {
    let mut group = Group::part("delegation");
    let (host, service) = open_host();
    let before = state(&host);
    let words = [
        "..",
        "../..",
        "/",
        "/etc/passwd",
        "a/b",
        ".",
        "",
        "\0",
        "a\0b",
        "a\nb",
        "\u{1b}[2J",
        "\u{9b}2J",
        "\u{202e}x",
        "\u{2028}",
        "\u{200b}",
        "$(id)",
        "`id`",
        "; id",
        "--force",
        "-",
        "%n%s",
        "\u{fffd}",
        texts::HIDDEN,
    ];
    let mut sent = 0;
    for bad in words {
        for key in ["type", "parent", "uuid", "removed"] {
            let mut request = match key {
                "removed" => json!({ "version": 1, "verb": "remove" }),
                _ => json!({ "version": 1, "verb": "create", "type": "P4-1Q", "parent": P1 }),
            };
            let named = if key == "removed" { "uuid" } else { key };
            request[named] = json!(bad);
            let answer = send(&service, format!("{request}\n").as_bytes());
            // A name that is only unknown is not found.
            let unknown = ["type", "parent"].contains(&key) && refuses(&answer, "not-found", "");
            let holds = [
                (
                    "it is refused in a line",
                    unknown || refuses(&answer, "usage", ""),
                ),
                ("nothing changed", state(&host) == before),
            ];
            group.check(New, format!("{key} {bad:?}"), &answer, &holds);
            sent += 1;
        }
    }
    let log = service.log();
    let holds = [("a plain line each", is_plain_log(&log, sent))];
    group.check(New, "the log of the names", &log, &holds);
    group.end();
}

#[test]
fn who_says_little_or_goes_is_not_waited_for() {
    let mut group = Group::part("delegation");
    let (host, service) = open_host();
    let silent = service.connect();
    let mut half = service.connect();
    half.write_all(b"{\"version\":1,").unwrap();
    let answer = ask(&host, 0, "create --type P4-1Q");
    let holds = [("it is served", answer.status == 0)];
    group.check(New, "a request beside silent ones", &answer, &holds);
    for (what, stream) in [("half of a request", half), ("no word", silent)] {
        let answer = heard(stream);
        let holds = [(
            "it is ended",
            refuses(&answer, "usage", "no request was received within"),
        )];
        group.check(New, what, &answer, &holds);
    }
    let asked = uuid(1);
    let request =
        json!({ "version": 1, "verb": "create", "type": "P4-1Q", "parent": P1, "uuid": asked });
    let mut stream = service.connect();
    stream.write_all(format!("{request}\n").as_bytes()).unwrap();
    drop(stream);
    let log = service.log();
    let holds = [
        ("it is done", active(&host).contains(&asked)),
        ("the log says so", log.contains(&format!("created {asked}"))),
    ];
    group.check(New, "gone before the answer", &log, &holds);
    let removed = ask(&host, 0, &format!("remove {asked}"));
    let holds = [("it is the user's", removed.status == 0)];
    group.check(New, "its removal afterwards", &removed, &holds);
    let file = |path: &str| Stdio::from(fs::File::open(path).unwrap());
    for (input, stdin) in [
        ("/dev/null", file("/dev/null")),
        ("/dev/zero", file("/dev/zero")),
        ("/proc/self/status", file("/proc/self/status")),
        ("a pipe", Stdio::piped()),
    ] {
        let output = host.command(["serve-request"]).stdin(stdin).output();
        let run = finished(output.unwrap());
        let holds = [
            ("it is refused", run.status == 2 && sound(&run)),
            ("it answers nothing", run.stdout.is_empty()),
            (
                "it says why",
                run.stderr.contains("is not a client connection"),
            ),
        ];
        group.check(New, format!("served from {input}"), &run, &holds);
    }
    let help = host.run("--help");
    let holds = [("it is not told", !help.stdout.contains("serve-request"))];
    group.check(New, "the help", &help, &holds);
    group.end();
}

/// What is not the user's own is what is not there, whoever's it is, and is not touched.
#[test]
fn what_is_anothers_cannot_be_touched_or_told_from_what_is_absent() {
    let mut group = Group::part("delegation");
    let (host, _service) = host();
    let alices = create(&host, ALICE, "--type nvidia-63");
    let owned = |n: u8, owner: &str| {
        let text =
            format!(r#"{{"mdev_type":"nvidia-63","start":"manual","vgpuctl-owner":{owner}}}"#);
        put(&host, P2, &uuid(n), text);
        uuid(n)
    };
    let transient = uuid(2);
    let line = format!("create -t P4-1Q -p {P1} -u {transient} --transient");
    host.run(&line).expect(0);
    put(&host, P2, &uuid(4), "garbage");
    fs::create_dir(host.path("etc/mdevctl.d").join(P2).join(uuid(5))).unwrap();
    let group_of_a_file = format!(
        r#"{{"mdev_type":"nvidia-63","start":"manual","vgpuctl-owner":{BOB},"vgpuctl":{{"group":"g","member":"1"}}}}"#
    );
    put(&host, P2, &uuid(7), group_of_a_file);
    let others = [
        ("another user's", alices),
        ("a transient one", transient),
        ("root's definition", owned(3, "0")),
        ("one that is not understood", uuid(4)),
        ("a folder", uuid(5)),
        ("one that a file declares", uuid(7)),
        ("one whose owner is a text", owned(8, &format!("\"{BOB}\""))),
        ("one whose owner is a list", owned(10, &format!("[{BOB}]"))),
        (
            "one whose owner is a fraction",
            owned(11, &format!("{BOB}.5")),
        ),
        ("one whose owner is below 0", owned(12, &format!("-{BOB}"))),
        ("one whose owner is true", owned(13, "true")),
        ("one whose owner is null", owned(14, "null")),
        (
            "one whose owner wraps to the user",
            owned(15, &(u64::from(BOB) + (1 << 32)).to_string()),
        ),
    ];
    let before = state(&host);
    let absent = uuid(99);
    for verb in ["start", "stop", "remove"] {
        for form in ["", " --json"] {
            let told = |uuid: &str| {
                let run = ask(&host, BOB, &format!("{verb} {uuid}{form}"));
                (run.status, (run.stdout + &run.stderr).replace(uuid, "UUID"))
            };
            let wanted = told(&absent);
            for (what, other) in &others {
                let came = told(other);
                let holds = [
                    ("it is not found", came.0 == 3),
                    ("the answer is that of an absent one", came == wanted),
                    ("nothing changed", state(&host) == before),
                ];
                let age = if ["another user's", "a transient one"].contains(what) {
                    Known
                } else {
                    New
                };
                group.check(age, format!("{verb}{form}: {what}"), &came, &holds);
            }
        }
    }
    for (what, other) in &others {
        let run = ask(
            &host,
            BOB,
            &format!("create --type P4-1Q --parent {P1} --uuid {other}"),
        );
        let holds = [
            ("it is refused", run.status != 0 && sound(&run)),
            ("nothing changed", state(&host) == before),
        ];
        group.check(New, format!("create over {what}"), &run, &holds);
    }
    let list = ask(&host, BOB, "list");
    let holds = [("nothing is his", list.status == 0 && list.stdout.is_empty())];
    group.check(Known, "list", &list, &holds);
    group.end();
}
