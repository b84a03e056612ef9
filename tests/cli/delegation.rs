//! vGPUs of users: what the policy allows is done for whom it names, and nothing else.

use std::fs;
use std::os::unix::fs::{FileTypeExt, chown};
use std::path::Path;
use std::process::{Child, Stdio};

use serde_json::{Value, json};

use crate::delegate::{Service, allow, set_mode};
use crate::harness::{HeldOpen, Run, SimHost, finished};
use crate::helpers::{P1, P2, as_user, definition, put, uuid};

/// Users whom no system knows.
pub const ALICE: u32 = 60001;
pub const BOB: u32 = 60002;

/// A block of a policy for a user.
pub fn block(user: u32, types: &[&str], devices: u32, more: &str) -> String {
    format!("[[allow]]\nuser = {user}\ntypes = {types:?}\ndevices = {devices}\n{more}\n")
}

/// A host on which Alice may have two and Bob one.
pub fn host() -> (SimHost, Service) {
    let host = SimHost::start("two-p4");
    let alice = block(ALICE, &["nvidia-63", "GRID P4-2Q"], 2, "");
    allow(&host, &(alice + &block(BOB, &["P4-1Q"], 1, "")));
    let service = Service::start(&host);
    (host, service)
}

pub fn ask(host: &SimHost, user: u32, line: &str) -> Run {
    let words = ["request"].into_iter().chain(line.split_whitespace());
    finished(as_user(host, user, words).output().unwrap())
}

/// Creates one of that type; its UUID.
#[track_caller]
pub fn create(host: &SimHost, user: u32, words: &str) -> String {
    let run = ask(host, user, &format!("create {words}")).expect(0);
    run.stdout.trim_end().to_owned()
}

fn owned(host: &SimHost, parent: &str, uuid: &str) -> Value {
    let text = fs::read(definition(host, parent, uuid)).unwrap();
    serde_json::from_slice::<Value>(&text).unwrap()["vgpuctl-owner"].clone()
}

#[test]
fn a_user_creates_stops_starts_and_removes_what_is_his() {
    let (host, service) = host();
    let run = ask(
        &host,
        ALICE,
        &format!("create --type nvidia-63 --parent {P2}"),
    )
    .expect(0);
    let one = run.stdout.trim_end();
    assert_eq!(
        run.stderr,
        format!("created {one}: nvidia-63 (P4-1Q) on {P2}\n")
    );
    assert_eq!(host.active(), [one]);
    assert_eq!(owned(&host, P2, one), ALICE);
    let list = ask(&host, ALICE, "list").expect(0);
    let line = format!("{one}  nvidia-63  P4-1Q  {P2}  active  manual\n");
    assert!(list.stdout.ends_with(&line), "{list:?}");
    assert_eq!(list.stderr, "you have 1 of 2: nvidia-63, GRID P4-2Q\n");

    let run = ask(&host, ALICE, &format!("stop {one}")).expect(0);
    assert_eq!(
        run.stderr,
        format!("stopped {one}: nvidia-63 (P4-1Q) on {P2}\n")
    );
    assert!(host.active().is_empty());
    let run = ask(&host, ALICE, &format!("stop {one}")).expect(0);
    assert!(run.stderr.contains("is already inactive"), "{run:?}");
    ask(&host, ALICE, &format!("start {one}")).expect(0);
    assert_eq!(host.active(), [one]);
    let run = ask(&host, ALICE, &format!("start {one}")).expect(0);
    assert!(run.stderr.contains("is already active"), "{run:?}");
    ask(&host, ALICE, &format!("remove {one}")).expect(0);
    assert!(host.active().is_empty() && host.defined().is_empty());
    let log = service.log();
    for line in [
        format!("user {ALICE}: create \"nvidia-63\" on {P2}: created {one} on {P2}\n"),
        format!("user {ALICE}: list: listed 1\n"),
        format!("user {ALICE}: stop {one}: unchanged {one} on {P2}\n"),
        format!("user {ALICE}: remove {one}: removed {one} on {P2}\n"),
    ] {
        assert!(log.contains(&line), "{line}{log}");
    }
    assert_eq!(log.lines().count(), 7, "{log}");
}

#[test]
fn answers_are_documents_of_the_same_form_as_all_others() {
    let (host, _service) = host();
    let asked = "a0000001-0000-4000-8000-000000000000";
    let line = format!("create --type P4-2Q --parent {P1} --uuid {asked} --json");
    let made = ask(&host, ALICE, &line).expect(0).json();
    assert_eq!(
        made,
        json!({
            "version": 1,
            "changes": [{
                "uuid": asked,
                "parent": P1,
                "vf": null,
                "type": "nvidia-64",
                "type_name": "GRID P4-2Q",
                "result": "created",
                "error": null,
            }],
            "warnings": [],
            "notes": [],
        })
    );
    let list = ask(&host, ALICE, "list --json").expect(0).json();
    assert_eq!(list["devices"][0]["uuid"], asked);
    assert_eq!(
        list["allowed"],
        json!([{
            "types": ["nvidia-63", "GRID P4-2Q"],
            "parents": null,
            "devices": 2,
            "used": 1,
            "at_boot": false,
        }])
    );
    let run = ask(&host, BOB, "create --type nvidia-64 --json").expect(6);
    let error: Value = serde_json::from_str(&run.stderr).unwrap();
    assert_eq!(error["version"], 1);
    assert_eq!(error["error"]["code"], "not-permitted");
}

#[test]
fn types_parents_and_the_number_are_the_policys() {
    let (host, _service) = host();
    let text = block(ALICE, &["nvidia-63"], 2, &format!("parents = [{P1:?}]"));
    allow(&host, &text);
    let refused = |line: &str, why: &str| {
        let run = ask(&host, ALICE, line).expect(6);
        assert!(run.stderr.contains(why), "{line}: {run:?}");
        assert!(run.stderr.contains("hint: list your vGPUs"), "{run:?}");
    };
    refused("create --type nvidia-64", "you may not have a vGPU of type");
    refused(
        &format!("create --type nvidia-63 --parent {P2}"),
        &format!("\"nvidia-63\" on {P2}"),
    );
    refused("create --type nvidia-63 --at-boot", "started at boot");
    // Without --parent, of those that are allowed, also where another one is fuller.
    host.run(&format!("create -t P4-1Q -p {P2}")).expect(0);
    for _ in 0..2 {
        let one = create(&host, ALICE, "--type P4-1Q");
        assert_eq!(owned(&host, P1, &one), ALICE);
    }
    refused("create --type P4-1Q", "you have 2 of 2");
    // What is stopped counts too, what is removed does not.
    let list = ask(&host, ALICE, "list --json").expect(0).json();
    let mine = list["devices"][0]["uuid"].as_str().unwrap();
    ask(&host, ALICE, &format!("stop {mine}")).expect(0);
    refused("create --type P4-1Q", "you have 2 of 2");
    ask(&host, ALICE, &format!("remove {mine}")).expect(0);
    create(&host, ALICE, "--type P4-1Q");
    // No type of that name at all.
    ask(&host, ALICE, "create --type nvidia-9999").expect(3);
}

#[test]
fn blocks_that_share_types_count_the_same_vgpus_and_others_add_up() {
    let (host, _service) = host();
    let small = block(ALICE, &["nvidia-63"], 1, "");
    let more = block(ALICE, &["nvidia-63"], 2, "at-boot = true");
    let large = block(ALICE, &["nvidia-64"], 1, "");
    allow(&host, &(small + &more + &large));
    create(&host, ALICE, &format!("--type nvidia-63 --parent {P1}"));
    let one = create(&host, ALICE, "--type nvidia-63 --at-boot");
    let text = fs::read_to_string(definition(&host, P1, &one)).unwrap();
    assert!(text.contains(r#""start": "auto""#), "{text}");
    let run = ask(&host, ALICE, "create --type nvidia-63").expect(6);
    assert!(run.stderr.contains(": you have 2 of 2\n"), "{run:?}");
    create(&host, ALICE, &format!("--type nvidia-64 --parent {P2}"));
    ask(&host, ALICE, "create --type nvidia-64").expect(6);
    assert_eq!(host.active().len(), 3);
}

#[test]
fn what_is_anothers_is_answered_as_what_is_not_there() {
    let (host, _service) = host();
    let alices = create(&host, ALICE, "--type nvidia-63");
    let roots = uuid(1);
    host.run(&format!("create -t P4-1Q -u {roots}")).expect(0);
    let transient = uuid(2);
    host.run(&format!("create -t P4-1Q -u {transient} --transient"))
        .expect(0);
    let defined = uuid(3);
    host.run(&format!("define -t P4-1Q -p {P1} -u {defined}"))
        .expect(0);
    put(&host, P1, &uuid(4), "garbage");
    let before = (host.active(), host.run("list").stdout);
    let absent = uuid(9);
    for verb in ["start", "stop", "remove"] {
        let told = |uuid: &str, form: &str| {
            let run = ask(&host, BOB, &format!("{verb} {uuid}{form}")).expect(3);
            (run.stdout + &run.stderr).replace(uuid, "UUID")
        };
        for form in ["", " --json"] {
            let wanted = told(&absent, form);
            for other in [&alices, &roots, &transient, &defined, &uuid(4)] {
                assert_eq!(told(other, form), wanted, "{verb} {other}");
            }
        }
    }
    assert_eq!((host.active(), host.run("list").stdout), before);
    let list = ask(&host, BOB, "list").expect(0);
    assert_eq!(list.stdout, "");
    // Nor can one be taken over.
    for other in [&alices, &roots, &transient, &defined, &uuid(4)] {
        let line = format!("create --type P4-1Q --parent {P1} --uuid {other}");
        let run = ask(&host, BOB, &line);
        assert!([1, 6].contains(&run.status), "{other}: {run:?}");
    }
    assert_eq!((host.active(), host.run("list").stdout), before);
}

#[test]
fn uuids_that_programs_derive_are_nobodys_to_choose() {
    let (host, _service) = host();
    for other in [
        "00000000-0000-0000-0000-000000000100",
        "886313e1-3b8a-5372-9b90-0c9aee199e5d",
        "ffffffff-ffff-ffff-ffff-ffffffffffff",
    ] {
        let line = format!("create --type P4-1Q --uuid {other}");
        let run = ask(&host, BOB, &line).expect(2);
        assert!(run.stderr.contains("is not a random UUID"), "{run:?}");
    }
    assert!(host.active().is_empty());
}

#[test]
fn what_a_file_declares_is_roots_even_where_a_user_made_it() {
    let (host, _service) = host();
    let text = format!(
        r#"{{"mdev_type":"nvidia-63","start":"manual","vgpuctl-owner":{BOB},"vgpuctl":{{"group":"g","member":"1"}}}}"#
    );
    put(&host, P1, &uuid(1), text);
    ask(&host, BOB, &format!("start {}", uuid(1))).expect(3);
    ask(&host, BOB, &format!("remove {}", uuid(1))).expect(3);
    create(&host, BOB, "--type P4-1Q");
}

#[test]
fn who_is_not_named_may_do_nothing_and_without_a_policy_nobody_is() {
    let (host, _service) = host();
    let one = create(&host, ALICE, "--type P4-1Q");
    let lines = [
        "create --type P4-1Q".to_owned(),
        format!("stop {one}"),
        format!("start {one}"),
        format!("remove {one}"),
        "list".to_owned(),
    ];
    let policy = host.path("etc/vgpuctl/policy.toml");
    let all_refused = |why: &str| {
        for line in &lines {
            let run = ask(&host, ALICE, line).expect(6);
            assert!(
                run.stderr
                    .contains("is not allowed to request vGPUs on this host"),
                "{why}: {run:?}"
            );
        }
    };
    allow(&host, &block(BOB, &["P4-1Q"], 1, ""));
    all_refused("not named");
    fs::remove_file(&policy).unwrap();
    all_refused("no policy");
    fs::remove_dir(policy.parent().unwrap()).unwrap();
    all_refused("no folder");
    // Root has no rights of his own here either, and those that he is given like everybody.
    allow(&host, &block(ALICE, &["P4-1Q"], 1, ""));
    host.run("request create --type P4-1Q").expect(6);
    allow(
        &host,
        "[[allow]]\ngroup = \"root\"\ntypes = [\"P4-1Q\"]\ndevices = 1\n",
    );
    host.run("request create --type P4-1Q").expect(0);
    host.run("request create --type P4-1Q").expect(6);
    host.run(&format!("request remove {one}")).expect(3);
    assert_eq!(host.active().len(), 2);
}

#[test]
fn groups_are_those_of_the_system_and_not_those_of_the_process() {
    let (host, _service) = host();
    // Debian's daemon (1) is in group 1; a process of Alice's that runs with that group is not.
    for group in ["1", "\"daemon\""] {
        allow(
            &host,
            &format!("[[allow]]\ngroup = {group}\ntypes = [\"P4-1Q\"]\ndevices = 1\n"),
        );
        let one = create(&host, 1, "--type P4-1Q");
        ask(&host, 1, &format!("remove {one}")).expect(0);
        let mut alice = as_user(&host, ALICE, ["request", "create", "--type", "P4-1Q"]);
        std::os::unix::process::CommandExt::gid(&mut alice, 1);
        let run = finished(alice.output().unwrap()).expect(6);
        assert!(run.stderr.contains("is not allowed to request"), "{run:?}");
    }
    // Who stands for nobody is nobody.
    allow(
        &host,
        "[[allow]]\ngroup = \"nogroup\"\ntypes = [\"P4-1Q\"]\ndevices = 1\n",
    );
    let run = ask(&host, 65534, "create --type P4-1Q").expect(6);
    assert!(run.stderr.contains("is not a specific user"), "{run:?}");
}

#[test]
fn what_is_no_longer_allowed_is_not_started_but_may_go() {
    let (host, _service) = host();
    let one = create(&host, ALICE, "--type P4-1Q");
    allow(&host, &format!("[[allow]]\nuser = {ALICE}\n"));
    ask(&host, ALICE, &format!("stop {one}")).expect(0);
    let run = ask(&host, ALICE, &format!("start {one}")).expect(6);
    assert!(run.stderr.contains("you may no longer have"), "{run:?}");
    ask(&host, ALICE, "create --type P4-1Q").expect(6);
    assert_eq!(ask(&host, ALICE, "list").expect(0).stderr, "");
    ask(&host, ALICE, &format!("remove {one}")).expect(0);
    assert!(host.defined().is_empty());
}

#[test]
fn a_policy_that_cannot_be_relied_on_allows_nothing_and_the_log_says_why() {
    let (host, service) = host();
    let good = block(ALICE, &["P4-1Q"], 1, "");
    let policy = allow(&host, &good);
    let refused = || {
        let run = ask(&host, ALICE, "create --type P4-1Q").expect(1);
        let told = "error: the delegation policy cannot be used, so all requests are refused\n";
        assert!(run.stderr.starts_with(told), "{run:?}");
        assert!(!run.stderr.contains("secret"), "{run:?}");
    };
    for (path, mode, usual) in [
        (policy.clone(), 0o666, 0o644),
        (host.path("etc/vgpuctl"), 0o777, 0o755),
        (host.path("etc"), 0o777, 0o755),
    ] {
        set_mode(&path, mode);
        refused();
        set_mode(&path, usual);
    }
    chown(&policy, Some(ALICE), None).unwrap();
    refused();
    chown(&policy, Some(0), None).unwrap();
    allow(&host, &(good.clone() + "[[allow]]\nsecret = 1\n"));
    refused();
    allow(&host, &"#\n".repeat(600_000));
    refused();
    fs::write(&policy, [0xff, 0xfe]).unwrap();
    refused();
    let log = service.log();
    for why in [
        "the file is writable by others (mode 0666)",
        "the directory is writable by others (mode 0777)",
        &format!("is owned by user {ALICE}"),
        "policy.toml:7: allow has no key \"secret\"",
    ] {
        assert!(log.contains(why), "{why}: {log}");
    }
    allow(&host, &good);
    create(&host, ALICE, "--type P4-1Q");
}

#[test]
fn twenty_at_once_get_no_more_than_is_allowed() {
    let (host, _service) = host();
    for round in 0..3 {
        ask(&host, ALICE, "list").expect(0);
        let all: Vec<Child> = (0..20)
            .map(|_| {
                as_user(&host, ALICE, ["request", "create", "--type", "P4-1Q"])
                    .stdout(Stdio::piped())
                    .stderr(Stdio::piped())
                    .spawn()
                    .unwrap()
            })
            .collect();
        let runs = all.into_iter().map(|one| one.wait_with_output().unwrap());
        let (made, refused): (Vec<Run>, Vec<Run>) =
            runs.map(finished).partition(|run| run.status == 0);
        assert_eq!(made.len(), 2, "{round}: {made:?} {refused:?}");
        assert!(refused.iter().all(|run| run.status == 6), "{refused:?}");
        assert_eq!(host.active().len(), 2);
        for run in made {
            ask(&host, ALICE, &format!("remove {}", run.stdout.trim_end())).expect(0);
        }
        assert!(host.active().is_empty() && host.defined().is_empty());
    }
}

#[test]
fn a_vgpu_in_use_stays_and_its_holder_is_named() {
    let (host, _service) = host();
    let one = create(&host, ALICE, "--type P4-1Q");
    let shown = host.run(&format!("show {one} --json")).json();
    let node = shown["device"]["vfio_group"].as_str().unwrap();
    let held = HeldOpen::open(Path::new(node), "");
    for verb in ["stop", "remove"] {
        let run = ask(&host, ALICE, &format!("{verb} {one}")).expect(5);
        assert!(
            run.stderr.contains(&format!("pid {}", held.pid())),
            "{run:?}"
        );
        assert!(
            run.stderr.contains("hint: shut down the virtual machine"),
            "{run:?}"
        );
    }
    assert_eq!(host.active(), [one.as_str()]);
    held.close();
    ask(&host, ALICE, &format!("remove {one}")).expect(0);
}

#[test]
fn a_vgpu_on_a_virtual_function_is_as_much_the_users() {
    let host = SimHost::with_l40s(1, 4);
    let gpu = "0000:41:00.0";
    let all = host.run("types --json").json();
    let types = all["parents"][0]["types"].as_array().unwrap();
    let id = types[0]["id"].as_str().unwrap();
    let on_gpu = format!("parents = [{gpu:?}]");
    allow(
        &host,
        &(block(ALICE, &[id], 1, &on_gpu) + &block(BOB, &[id], 1, &on_gpu)),
    );
    let _service = Service::start(&host);
    let one = create(&host, ALICE, &format!("--type {id}"));
    let list = ask(&host, ALICE, "list --json").expect(0).json();
    assert_eq!(list["devices"][0]["uuid"], one);
    let vf = list["devices"][0]["vf"].as_str().unwrap();
    let named: Value = ask(&host, ALICE, "list")
        .expect(0)
        .stdout
        .contains(vf)
        .into();
    assert_eq!(named, true);
    ask(&host, BOB, &format!("remove {one}")).expect(3);
    let run = ask(&host, BOB, &format!("create --type {id} --parent {vf}"));
    assert_ne!(run.status, 0, "{run:?}");
    ask(&host, ALICE, &format!("create --type {id}")).expect(6);
    ask(&host, ALICE, &format!("stop {one}")).expect(0);
    ask(&host, ALICE, &format!("start {one}")).expect(0);
    ask(&host, ALICE, &format!("remove {one}")).expect(0);
    assert!(host.defined_functions(gpu).is_empty());
}

#[test]
fn the_owner_stays_in_the_definition_through_what_root_does() {
    let (host, _service) = host();
    let one = create(&host, ALICE, "--type P4-1Q");
    let parent = P1;
    host.run(&format!("modify {one} --auto")).expect(0);
    host.run(&format!("stop {one}")).expect(0);
    host.run("restore").expect(0);
    host.mdevctl(&format!("modify --uuid {one} --manual"))
        .expect(0);
    assert_eq!(owned(&host, parent, &one), ALICE);
    let shown = host.run(&format!("show {one}")).expect(0);
    let line = format!("Owner        user {ALICE}\n");
    assert!(shown.stdout.contains(&line), "{shown:?}");
    let shown = host.run(&format!("show {one} --json")).json();
    assert_eq!(shown["device"]["owner"], ALICE);
    ask(&host, ALICE, &format!("remove {one}")).expect(0);
}

#[test]
fn refusals_of_the_plain_verbs_name_the_way_in_where_there_is_one() {
    let host = SimHost::start("two-p4");
    let one = uuid(1);
    host.run(&format!("create -t P4-1Q -u {one}")).expect(0);
    let hint = |verb: &str| format!("hint: for a vGPU of your own: vgpuctl request {verb}\n");
    let lines = [
        ("create", "create -t P4-1Q".to_owned()),
        ("stop", format!("stop {one}")),
        ("remove", format!("remove {one}")),
    ];
    let plain = |line: &str| {
        let words = line.split_whitespace();
        finished(as_user(&host, ALICE, words).output().unwrap()).expect(6)
    };
    for (verb, line) in &lines {
        assert!(!plain(line).stderr.contains(&hint(verb)));
    }
    let _service = Service::start(&host);
    for (verb, line) in &lines {
        let run = plain(line);
        assert!(run.stderr.contains(&hint(verb)), "{run:?}");
    }
    let run = plain(&format!("undefine {one}"));
    assert!(!run.stderr.contains("vgpuctl request"), "{run:?}");
}

#[test]
fn where_nobody_serves_the_next_step_is_told() {
    let host = SimHost::start("two-p4");
    let run = ask(&host, ALICE, "list").expect(1);
    assert!(
        run.stderr.contains("No such file or directory (ENOENT)"),
        "{run:?}"
    );
    assert!(
        run.stderr
            .contains("systemctl enable --now vgpuctl-delegate.socket")
    );
    let service = Service::start(&host);
    let socket = host.path("run/vgpuctl-delegate.socket");
    assert!(socket.metadata().unwrap().file_type().is_socket());
    set_mode(&socket, 0o660);
    let run = ask(&host, ALICE, "list").expect(6);
    assert!(
        run.stderr.contains("usermod -aG vgpu-users USER"),
        "{run:?}"
    );
    set_mode(&socket, 0o666);
    chown(&socket, Some(BOB), None).unwrap();
    drop(service);
}

#[test]
fn the_policy_on_the_page_is_one() {
    let page = include_str!("../../docs/delegation.md");
    let policy = page.split("```toml\n").nth(1).unwrap();
    let policy = policy.split("```").next().unwrap();
    let (host, _service) = host();
    allow(&host, policy);
    // Its names are nobody's here.
    let run = ask(&host, ALICE, "list").expect(6);
    assert!(
        run.stderr
            .contains("is not allowed to request vGPUs on this host"),
        "{run:?}"
    );
    let named = policy.replace("group = \"vgpu-users\"", &format!("user = {ALICE}"));
    assert_ne!(named, policy);
    allow(&host, &named);
    create(&host, ALICE, "--type P4-1Q");
}
