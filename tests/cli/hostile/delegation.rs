//! What users may send to the service, whoever wrote it.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::process::Stdio;

use serde_json::{Value, json};

use crate::delegate::{Service, allow};
use crate::delegation::{ALICE, ask, create, host};
use crate::harness::{SimHost, finished};
use crate::helpers::{P1, uuid};

/// A host whose root may ask for two, so that the test itself can.
fn open_host() -> (SimHost, Service) {
    let (host, service) = host();
    allow(
        &host,
        "[[allow]]\nuser = 0\ntypes = [\"P4-1Q\"]\ndevices = 2\n",
    );
    (host, service)
}

/// Sends bytes and returns what is answered.
#[track_caller]
fn send(service: &Service, bytes: &[u8]) -> Value {
    let mut stream = service.connect();
    // Whoever is refused early has no more to send.
    let _ = stream.write_all(bytes);
    let _ = stream.shutdown(Shutdown::Write);
    heard(stream)
}

#[track_caller]
fn heard(mut stream: UnixStream) -> Value {
    let mut answer = String::new();
    let read = stream.read_to_string(&mut answer);
    assert!(read.is_ok() || !answer.is_empty(), "{read:?}");
    assert_eq!(answer.matches('\n').count(), 1, "{answer:?}");
    serde_json::from_str(&answer).unwrap()
}

#[track_caller]
fn is_refused(answer: &Value, why: &str) {
    assert_eq!(answer["version"], 1);
    assert_eq!(answer["error"]["code"], "usage", "{answer}");
    let message = answer["error"]["message"].as_str().unwrap();
    assert!(message.contains(why), "{message}");
    assert!(message.len() < 400, "{message}");
}

#[test]
fn what_is_no_request_is_refused_and_does_nothing() {
    let (host, service) = open_host();
    let one = create(&host, 0, "--type P4-1Q");
    let long = "x".repeat(4000);
    for (line, why) in [
        ("", "ends before its line does"),
        ("{", "ends before its line does"),
        (
            r#"{"version":1,"verb":"list"}"#,
            "ends before its line does",
        ),
        ("\n", "is not understood"),
        ("null\n", "is not understood"),
        ("[]\n", "is not understood"),
        ("{}\n", "missing field"),
        ("\0\0\0\n", "is not understood"),
        ("GET / HTTP/1.1\r\n\r\n", "followed by something else"),
        (
            "{\"version\":1,\"verb\":\"list\"}\n\n",
            "followed by something else",
        ),
        (
            "{\"version\":1,\"verb\":\"list\"}\n{\"version\":1,\"verb\":\"list\"}\n",
            "followed by",
        ),
        ("{\"version\":1,\"verb\":\"undefine\"}\n", "unknown variant"),
        (
            "{\"version\":1,\"verb\":\"list\",\"root\":\"/tmp\"}\n",
            "unknown field",
        ),
        (
            "{\"version\":1,\"verb\":\"list\",\"user\":0}\n",
            "unknown field",
        ),
        ("{\"version\":9,\"verb\":\"list\"}\n", "version 9"),
        (
            &format!("{{\"version\":1,\"verb\":\"{long}\"}}\n"),
            "unknown variant",
        ),
        (
            &format!("{{\"version\":1,\"{long}\":1}}\n"),
            "unknown field",
        ),
        (&format!("{}\n", "[".repeat(4000)), "is not understood"),
        (&format!("{long}{long}\n"), "longer than 4096 bytes"),
    ] {
        is_refused(&send(&service, line.as_bytes()), why);
    }
    is_refused(&send(&service, &[0xff, 0xfe, b'\n']), "is not understood");
    is_refused(
        &send(&service, &vec![b'a'; 1 << 20]),
        "longer than 4096 bytes",
    );
    assert_eq!(host.active(), [one]);
    // In the log each is one line, with nothing in it that a terminal obeys.
    let log = service.log();
    assert_eq!(log.lines().count(), 22, "{log}");
    assert!(
        log.lines()
            .skip(1)
            .all(|line| line.starts_with("user 0 (root): a request: refused (usage): ")),
        "{log}"
    );
}

#[test]
fn words_that_lead_elsewhere_or_hide_something_are_no_names() {
    let (host, service) = open_host();
    let before = host.run("list --json").stdout;
    let mut sent = 0;
    for bad in [
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
    ] {
        for key in ["type", "parent", "uuid"] {
            let mut request = json!({
                "version": 1, "verb": "create", "type": "P4-1Q", "parent": P1,
            });
            request[key] = json!(bad);
            let answer = send(&service, format!("{request}\n").as_bytes());
            let code = answer["error"]["code"].as_str().unwrap_or("none");
            // A name that is only unknown is not found.
            assert!(
                ["usage", "not-found"].contains(&code),
                "{key} {bad:?}: {answer}"
            );
            sent += 1;
        }
        let request = json!({ "version": 1, "verb": "remove", "uuid": bad });
        is_refused(&send(&service, format!("{request}\n").as_bytes()), "");
        sent += 1;
    }
    assert_eq!(host.run("list --json").stdout, before);
    let log = service.log();
    assert_eq!(log.lines().count(), sent, "{log}");
    let is_plain =
        |c: char| c == '\n' || !c.is_control() && !"\u{202e}\u{2028}\u{200b}".contains(c);
    assert!(log.chars().all(is_plain), "{log:?}");
}

#[test]
fn who_says_half_of_it_and_waits_is_not_waited_for() {
    let (host, service) = open_host();
    let mut silent = service.connect();
    let mut half = service.connect();
    half.write_all(b"{\"version\":1,").unwrap();
    // Others are served meanwhile.
    create(&host, 0, "--type P4-1Q");
    is_refused(&heard(half), "did not come within");
    let mut answer = String::new();
    silent.read_to_string(&mut answer).unwrap();
    assert!(answer.contains("did not come within"), "{answer}");
}

#[test]
fn who_is_gone_before_the_answer_has_it_done_all_the_same() {
    let (host, service) = open_host();
    let asked = uuid(1);
    let request = json!({
        "version": 1, "verb": "create", "type": "P4-1Q", "parent": P1, "uuid": asked,
    });
    let mut stream = service.connect();
    stream.write_all(format!("{request}\n").as_bytes()).unwrap();
    drop(stream);
    let log = service.log();
    assert!(log.contains(&format!("created {asked}")), "{log}");
    assert_eq!(host.active(), [asked.as_str()]);
    host.run(&format!("request remove {asked}")).expect(0);
}

#[test]
fn it_serves_connections_only() {
    let host = SimHost::start("two-p4");
    for input in [Stdio::null(), Stdio::piped()] {
        let output = host.command(["serve-request"]).stdin(input).output();
        let run = finished(output.unwrap()).expect(2);
        assert!(
            run.stderr.contains("is no connection of a user's"),
            "{run:?}"
        );
        assert_eq!(run.stdout, "");
    }
    assert!(!host.run("--help").stdout.contains("serve-request"));
}

#[test]
fn an_answer_that_makes_no_sense_is_told_and_a_service_of_anothers_not_asked() {
    let host = SimHost::start("two-p4");
    let path = host.path("run/vgpuctl-delegate.socket");
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o666);
    std::fs::set_permissions(&path, mode).unwrap();
    let answers = [
        ("", "ended without an answer"),
        ("\n", "is not understood"),
        ("{}\n", "is not understood"),
        ("{\"version\":2}\n", "it is of version 2"),
        ("{\"version\":1}\n", "it says nothing"),
        (
            "{\"version\":1,\"error\":{\"code\":\"x\",\"message\":\"a\\u001b[2Jb\"}}\n",
            r"a\u{1b}[2Jb",
        ),
        (
            "{\"version\":1,\"changes\":[{\"result\":\"x\"}]}\n",
            "is no result",
        ),
    ];
    // One that ends without having heard what is asked.
    std::thread::scope(|scope| {
        scope.spawn(|| drop(listener.accept().unwrap()));
        let run = ask(&host, ALICE, "list").expect(1);
        assert!(run.stderr.contains("ended without an answer"), "{run:?}");
    });
    for (answer, why) in answers {
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let (mut stream, _) = listener.accept().unwrap();
                let mut asked = String::new();
                stream.read_to_string(&mut asked).unwrap();
                stream.write_all(answer.as_bytes()).unwrap();
            });
            let run = ask(&host, ALICE, "list").expect(1);
            assert!(run.stderr.contains(why), "{answer}: {run:?}");
        });
    }
}
