//! mdevctl's callouts and notifiers, with small shell scripts in a directory of their own.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use vgpuctl::error::{Error, Kind, Result};
use vgpuctl::host::Host;
use vgpuctl::model::{Attr, ParentId, TypeId, parse_uuid};
use vgpuctl::scripts::{Action, Refusals, Scripts, Subject};

const UUID: &str = "83b8f4f2-509f-382f-3c1e-e6bfe0fa1001";
const DOCUMENT: &str = r#"{"mdev_type":"mtty-1","start":"manual"}"#;

/// Much longer than anything here takes, and much shorter than what must not be waited for.
const GENEROUS: Duration = Duration::from_secs(60);
const SHORT: Duration = Duration::from_millis(300);

#[path = "shared/script.rs"]
mod script;

struct Fixture {
    _dir: tempfile::TempDir,
    host: Host,
    parent: ParentId,
    type_id: TypeId,
}

impl Fixture {
    fn new() -> Fixture {
        let dir = tempfile::tempdir().unwrap();
        Fixture {
            host: Host::new(dir.path()),
            _dir: dir,
            parent: "mtty".parse().unwrap(),
            type_id: "mtty-1".parse().unwrap(),
        }
    }

    fn path(&self, below: &str) -> PathBuf {
        self.host.root().join(below)
    }

    fn callout(&self, name: &str, body: &str) -> PathBuf {
        self.script(&self.host.callouts()[1].join(name), body)
    }

    fn notifier(&self, name: &str, body: &str) -> PathBuf {
        self.script(&self.host.notifiers()[1].join(name), body)
    }

    /// A script that notes how it was called, and then does `body`, in which `$event` and `$action`
    /// are what they say.
    fn script(&self, path: &Path, body: &str) -> PathBuf {
        let log = self.path("log");
        let text = format!(
            "#!/bin/sh\nevent=$4 action=$6\n\
             [ $action = capabilities ] || echo \"${{0##*/}} $event $action $8\" >> {}\n{body}\n",
            log.display()
        );
        write_script(path, &text);
        path.to_owned()
    }

    /// How the scripts were called, without the questions for their capabilities.
    fn calls(&self) -> Vec<String> {
        let log = fs::read_to_string(self.path("log")).unwrap_or_default();
        log.lines().map(str::to_owned).collect()
    }

    fn subject(&self) -> Subject<'_> {
        Subject {
            uuid: parse_uuid(UUID).unwrap(),
            parent: &self.parent,
            type_id: &self.type_id,
            document: DOCUMENT.to_owned(),
        }
    }

    fn scripts(&self) -> Scripts<'_> {
        Scripts::of(&self.host).with_limit(GENEROUS)
    }

    /// Defines something. Returns the result, whether the work was done, and the warnings.
    fn define(&self, scripts: &Scripts<'_>, refusals: Refusals) -> (Result<u8>, bool, Vec<String>) {
        let (mut warnings, mut done) = (Vec::new(), false);
        let result = scripts.around(
            &self.subject(),
            Action::Define,
            refusals,
            &mut warnings,
            || {
                done = true;
                Ok(7)
            },
        );
        (result, done, texts(&warnings))
    }

    fn attributes(&self) -> Result<Option<Vec<Attr>>> {
        self.scripts().attributes(&self.subject())
    }

    fn live(&self) -> (Result<()>, Vec<String>) {
        let mut warnings = Vec::new();
        let result = self.scripts().live_modify(&self.subject(), &mut warnings);
        (result, texts(&warnings))
    }
}

fn texts(errors: &[Error]) -> Vec<String> {
    errors.iter().map(Error::to_string).collect()
}

fn write_script(path: &Path, text: &str) {
    script::install(path, text);
    set_mode(path.parent().unwrap(), 0o755);
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

/// The part of a script that declares its capabilities.
fn serves(actions: &str, events: &str) -> String {
    format!(
        "if [ $action = capabilities ]; then\n\
         echo '{{\"supports\":{{\"version\":2,\"actions\":[{actions}],\"events\":[{events}]}}}}'\n\
         exit 0\nfi\n"
    )
}

#[test]
fn without_any_directory_the_work_is_just_done() {
    let host = Fixture::new();
    let (result, done, warnings) = host.define(&host.scripts(), Refusals::Heeded);
    assert_eq!((result, done, warnings), (Ok(7), true, Vec::new()));
    assert_eq!(host.attributes(), Ok(None));
}

#[test]
fn the_first_that_is_responsible_is_asked_and_told_and_every_notifier_hears_of_it() {
    let host = Fixture::new();
    for (place, name, status) in [
        (0, "20-other", 2),
        (0, "90-mine", 0),
        (1, "10-late", 0),
        (0, "10-other", 2),
    ] {
        let path = host.host.callouts()[place].join(name);
        host.script(&path, &format!("exit {status}"));
    }
    host.notifier("b", "");
    host.notifier("a", "exit 2");
    host.script(&host.host.notifiers()[0].join("c"), "");
    let (result, done, warnings) = host.define(&host.scripts(), Refusals::Heeded);
    assert_eq!((result, done, warnings), (Ok(7), true, Vec::new()));
    assert_eq!(
        host.calls(),
        [
            "10-other pre define none",
            "20-other pre define none",
            "90-mine pre define none",
            "90-mine post define success",
            "c notify define success",
            "a notify define success",
            "b notify define success",
        ]
    );
}

#[test]
fn where_nobody_was_responsible_before_everybody_is_told_afterwards() {
    let host = Fixture::new();
    host.callout("a", "exit 2");
    host.callout("b", "[ $event = pre ] && exit 2; exit 0");
    host.callout("c", "exit 2");
    host.define(&host.scripts(), Refusals::Heeded).0.unwrap();
    assert_eq!(
        host.calls()[3..],
        ["a post define success", "b post define success"]
    );
}

#[test]
fn a_script_gets_its_arguments_and_the_document() {
    let host = Fixture::new();
    let seen = host.path("seen");
    let note = format!("{{ echo \"$@\"; cat; echo; }} >> {}", seen.display());
    host.callout("a", &note);
    host.notifier("n", &note);
    host.define(&host.scripts(), Refusals::Heeded).0.unwrap();
    let common = format!("-u {UUID} -p mtty");
    let question = r#"{"provides":{"version":2,"actions":["start","stop","define","undefine","modify","attributes","capabilities"],"events":["pre","post","notify","get","live"]}}"#;
    let expected = format!(
        "-t mtty-1 -e get -a capabilities -s none {common}\n{question}\n\
         -t mtty-1 -e pre -a define -s none {common}\n{DOCUMENT}\n\
         -t mtty-1 -e post -a define -s success {common}\n{DOCUMENT}\n\
         -t mtty-1 -e notify -a define -s success {common}\n\n"
    );
    assert_eq!(fs::read_to_string(seen).unwrap(), expected);
}

#[test]
fn a_refusal_stops_the_work_and_says_who_and_why() {
    let host = Fixture::new();
    let path = host.callout(
        "a",
        "[ $event = pre ] || exit 0\necho; echo >&2; echo no room >&2; echo more >&2; exit 5",
    );
    host.callout("b", "");
    host.notifier("n", "");
    let (result, done, warnings) = host.define(&host.scripts(), Refusals::Heeded);
    assert!(!done);
    assert_eq!(
        result.unwrap_err().to_string(),
        format!(
            "the script for pre define of {UUID} exited with status 5: no room: {}",
            path.display()
        )
    );
    assert!(warnings.is_empty(), "{warnings:?}");
    assert_eq!(host.calls(), ["a pre define none", "n notify define none"]);
}

#[test]
fn an_overruled_refusal_is_a_warning_and_the_script_is_told_how_it_went() {
    let host = Fixture::new();
    host.callout("a", "[ $event = pre ] || exit 0\nexit 1");
    host.callout("b", "");
    let (result, done, warnings) = host.define(&host.scripts(), Refusals::Overruled);
    assert_eq!((result, done, warnings.len()), (Ok(7), true, 1));
    assert!(warnings[0].contains("exited with status 1"), "{warnings:?}");
    assert_eq!(host.calls(), ["a pre define none", "a post define success"]);
}

#[test]
fn death_by_a_signal_is_a_refusal() {
    let host = Fixture::new();
    host.callout("a", "[ $event = pre ] && kill -9 $$");
    host.callout("b", "");
    let (result, done, _) = host.define(&host.scripts(), Refusals::Heeded);
    let error = result.unwrap_err().to_string();
    assert!(!done && error.contains("was killed by SIGKILL"), "{error}");
}

#[test]
fn what_fails_after_the_work_undoes_nothing_and_every_notifier_is_still_run() {
    let host = Fixture::new();
    host.callout(
        "a",
        "[ $event = post ] && { echo late >&2; exit 3; }; exit 0",
    );
    host.notifier("m", "echo bad >&2; exit 1");
    host.notifier("n", "kill -15 $$");
    host.notifier("o", "");
    let (result, done, warnings) = host.define(&host.scripts(), Refusals::Heeded);
    assert_eq!((result, done), (Ok(7), true));
    let expected = ["status 3: late", "status 1: bad", "killed by SIGTERM"];
    assert_eq!(warnings.len(), 3, "{warnings:?}");
    for (warning, part) in warnings.iter().zip(expected) {
        assert!(warning.contains(part), "{warning}");
    }
    assert_eq!(host.calls().last().unwrap(), "o notify define success");
}

#[test]
fn a_failure_of_the_work_is_told_and_returned() {
    let host = Fixture::new();
    host.callout("a", "");
    host.notifier("n", "");
    let failed = || -> Result<()> { Err(Error::new(Kind::NoCapacity, "full")) };
    let mut warnings = Vec::new();
    let result = host.scripts().around(
        &host.subject(),
        Action::Start,
        Refusals::Heeded,
        &mut warnings,
        failed,
    );
    assert_eq!(result, failed());
    assert_eq!(
        host.calls()[1..],
        ["a post start failure", "n notify start failure"]
    );
}

#[test]
fn only_what_is_meant_as_a_script_is_run() {
    let host = Fixture::new();
    for name in [".hidden", "a~", "b.bak", "c.rpmsave", "d.dpkg-old"] {
        host.callout(name, "exit 1");
    }
    let plain = host.callout("plain", "exit 1");
    set_mode(&plain, 0o644);
    let callouts = &host.host.callouts()[1];
    fs::create_dir(callouts.join("directory")).unwrap();
    std::os::unix::fs::symlink("/nonexistent", callouts.join("nowhere")).unwrap();
    let elsewhere = host.path("share/real");
    host.script(&elsewhere, "");
    std::os::unix::fs::symlink(&elsewhere, callouts.join("link")).unwrap();
    let (result, _, warnings) = host.define(&host.scripts(), Refusals::Heeded);
    assert_eq!((result, warnings), (Ok(7), Vec::new()));
    assert_eq!(
        host.calls(),
        ["link pre define none", "link post define success"]
    );
}

#[test]
fn what_the_kernel_does_not_run_is_left_out_with_a_warning() {
    let host = Fixture::new();
    let broken = host.host.callouts()[1].join("broken");
    write_script(&broken, "exit 1\n");
    let orphan = host.host.callouts()[1].join("orphan");
    write_script(&orphan, "#!/nonexistent/interpreter\n");
    host.callout("z", "");
    let (result, _, warnings) = host.define(&host.scripts(), Refusals::Heeded);
    assert_eq!(result, Ok(7));
    assert!(
        warnings[0].contains(broken.to_str().unwrap()),
        "{warnings:?}"
    );
    assert!(
        warnings[1].contains(orphan.to_str().unwrap()),
        "{warnings:?}"
    );
    assert_eq!(host.calls()[0], "z pre define none");
}

/// Lets a group write that is not root's.
fn share(path: &Path) {
    if nix::unistd::geteuid().is_root() {
        std::os::unix::fs::chown(path, None, Some(12345)).unwrap();
    }
    set_mode(path, 0o775);
}

#[test]
fn what_others_may_write_to_is_not_run_and_stops_the_change_unless_forced() {
    let refused = |prepare: &dyn Fn(&Fixture, &Path)| {
        let host = Fixture::new();
        let path = host.callout("a", "exit 1");
        prepare(&host, &path);
        let (result, done, _) = host.define(&host.scripts(), Refusals::Heeded);
        let error = result.unwrap_err();
        assert_eq!((error.kind(), done), (Kind::Failed, false));
        assert_eq!(error.path(), Some(path.as_path()));
        let (result, _, warnings) = host.define(&host.scripts(), Refusals::Overruled);
        assert_eq!((result, warnings), (Ok(7), vec![error.to_string()]));
        // Where nothing is changed, it is only told.
        let scripts = host.scripts();
        assert_eq!(scripts.attributes(&host.subject()), Ok(None));
        assert_eq!(scripts.attributes(&host.subject()), Ok(None));
        assert_eq!(scripts.take_warnings().len(), 1);
        assert_eq!(host.calls(), Vec::<String>::new());
    };
    refused(&|_, path| set_mode(path, 0o757));
    refused(&|_, path| share(path));
    refused(&|_, path| set_mode(path.parent().unwrap(), 0o777));
    refused(&|_, path| share(path.parent().unwrap()));
    refused(&|host, path| {
        let open = host.path("open/script");
        host.script(&open, "exit 1");
        set_mode(open.parent().unwrap(), 0o1777);
        fs::remove_file(path).unwrap();
        std::os::unix::fs::symlink(&open, path).unwrap();
    });
    if nix::unistd::geteuid().is_root() {
        refused(&|_, path| std::os::unix::fs::chown(path, Some(12345), None).unwrap());
        refused(&|_, path| {
            let directory = path.parent().unwrap();
            std::os::unix::fs::chown(directory, Some(12345), None).unwrap();
        });
    }
}

#[test]
fn what_the_group_of_root_may_write_to_is_run() {
    if nix::unistd::getegid().as_raw() != 0 {
        return; // only root can give files to that group
    }
    let host = Fixture::new();
    let path = host.callout("a", "exit 1");
    set_mode(&path, 0o775);
    set_mode(path.parent().unwrap(), 0o775);
    let (result, done, warnings) = host.define(&host.scripts(), Refusals::Heeded);
    assert!(result.is_err() && !done, "a guard's no is not heard");
    assert_eq!(warnings, Vec::<String>::new());
}

#[test]
fn the_whole_group_is_ended_at_the_limit_even_where_it_ignores_sigterm() {
    let host = Fixture::new();
    let pids = host.path("pids");
    host.callout(
        "a",
        &format!(
            "[ $event = pre ] || exit 2\ntrap '' TERM\necho waiting >&2\nsleep 1000 &\n\
             echo $$ $! > {}\nwhile :; do sleep 1000; done",
            pids.display()
        ),
    );
    let scripts = Scripts::of(&host.host).with_limit(Duration::from_secs(3));
    let began = Instant::now();
    let (result, done, _) = host.define(&scripts, Refusals::Heeded);
    let error = result.unwrap_err();
    assert!(!done && began.elapsed() < GENEROUS);
    let text = error.to_string();
    assert!(
        text.contains("did not finish within 3s and was killed: waiting"),
        "{text}"
    );
    assert!(vgpuctl::hints::hints(&error)[0].contains("VGPUCTL_SCRIPT_TIMEOUT"));
    let pids = fs::read_to_string(pids).unwrap();
    assert_eq!(pids.split_whitespace().count(), 2);
    for pid in pids.split_whitespace() {
        wait_until_gone(pid);
    }
}

fn wait_until_gone(pid: &str) {
    let began = Instant::now();
    while is_running(pid) {
        assert!(began.elapsed() < GENEROUS, "process {pid} is still there");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A zombie has ended, though nobody has asked how: in a container nobody may.
fn is_running(pid: &str) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat
        .rsplit(") ")
        .next()
        .and_then(|rest| rest.chars().next());
    !matches!(state, None | Some('Z' | 'X'))
}

#[test]
fn a_script_that_did_not_end_in_time_is_not_waited_for_again() {
    let host = Fixture::new();
    host.callout("a", "sleep 1000");
    let scripts = Scripts::of(&host.host).with_limit(SHORT);
    for _ in 0..20 {
        let began = Instant::now();
        let error = scripts.attributes(&host.subject()).unwrap_err().to_string();
        assert!(error.contains("did not finish within"), "{error}");
        assert!(began.elapsed() < GENEROUS);
    }
    assert_eq!(
        host.calls(),
        Vec::<String>::new(),
        "asked for more than capabilities"
    );
}

#[test]
fn a_process_left_behind_with_the_pipes_open_is_not_waited_for() {
    let host = Fixture::new();
    let pid = host.path("pid");
    host.callout(
        "a",
        &format!(
            "sleep 1000 &\necho $! >> {}\nprintf '[{{\"x\":\"1\"}}]'",
            pid.display()
        ),
    );
    let began = Instant::now();
    let attrs = host.attributes();
    assert!(began.elapsed() < GENEROUS);
    assert_eq!(attrs, Ok(Some(vec!["x=1".parse().unwrap()])));
    for pid in fs::read_to_string(pid).unwrap().lines() {
        assert!(is_running(pid));
        Command::new("kill").arg(pid).status().unwrap();
    }
}

#[test]
fn more_than_the_pipes_hold_flows_in_every_direction_at_once() {
    let host = Fixture::new();
    let size = host.path("size");
    let flood = "head -c 2097152 /dev/zero";
    host.callout(
        "reader",
        &format!(
            "[ $event = pre ] && {{ {flood}; {flood} >&2; wc -c > {}; }}; exit 2",
            size.display()
        ),
    );
    host.callout("deaf", "exit 2");
    host.callout("closed", "exec <&-; exit 2");
    let mut subject = host.subject();
    subject.document = "x".repeat(2_000_000);
    let mut warnings = Vec::new();
    let result = host.scripts().around(
        &subject,
        Action::Modify,
        Refusals::Heeded,
        &mut warnings,
        || Ok(()),
    );
    assert_eq!((result, texts(&warnings)), (Ok(()), Vec::new()));
    assert_eq!(fs::read_to_string(size).unwrap().trim(), "2000000");
}

#[test]
fn attributes_come_from_the_first_script_that_handles_the_type() {
    let host = Fixture::new();
    host.callout("a", "exit 2");
    host.callout("b", r#"printf '[{"x":"1"},{"n/y":""},{"x":"2"}]\n\0\0\0'"#);
    host.callout("c", r#"echo '[]'"#);
    let attrs = ["x=1", "n/y=", "x=2"].map(|attr| attr.parse().unwrap());
    assert_eq!(host.attributes(), Ok(Some(attrs.to_vec())));
}

#[test]
fn an_answer_that_cannot_be_understood_is_an_error_with_the_scripts_name() {
    for (body, fault) in [
        (r"printf '[\377]'", "not text"),
        ("echo '{'", "not JSON"),
        ("echo '{}'", "not a JSON array"),
        (r#"echo '[{"x":1}]'"#, "not of the form"),
        (r#"echo '[{"x":"1","y":"2"}]'"#, "not of the form"),
        (r#"echo '[{"../x":"1"}]'"#, "not a valid attribute"),
        (r#"echo '[{"/etc/passwd":"1"}]'"#, "not a valid attribute"),
        ("head -c 2097152 /dev/zero", "printed more than"),
        ("echo why >&2; exit 1", "exited with status 1: why"),
        ("kill -9 $$", "was killed by SIGKILL"),
    ] {
        let host = Fixture::new();
        let path = host.callout("a", &format!("[ $event = get ] || exit 0\n{body}"));
        let error = host.attributes().unwrap_err().to_string();
        assert!(error.contains(fault), "{body}: {error}");
        assert!(error.ends_with(path.to_str().unwrap()), "{error}");
    }
}

#[test]
fn no_answer_is_not_an_empty_list() {
    for (body, expected) in [
        ("", None),
        (r"printf '\n\0'", None),
        ("exit 2", None),
        ("echo '[]'", Some(Vec::new())),
    ] {
        let host = Fixture::new();
        host.callout("a", body);
        assert_eq!(host.attributes(), Ok(expected), "{body}");
    }
}

#[test]
fn the_first_versioned_script_is_alone_responsible_and_is_asked_for_what_it_serves_only() {
    let host = Fixture::new();
    host.callout("a", "exit 1");
    let can = serves(r#""define","dance""#, r#""pre","sing""#);
    let path = host.callout("b", &format!("{can}exit 0"));
    host.callout("c", &serves(r#""define""#, r#""pre","post""#));
    let (result, _, warnings) = host.define(&host.scripts(), Refusals::Heeded);
    assert_eq!(result, Ok(7));
    assert_eq!(host.calls(), ["b pre define none"]);
    assert_eq!(warnings.len(), 2, "{warnings:?}");
    assert!(warnings[0].contains("\"dance\"") && warnings[1].contains("\"sing\""));
    assert!(warnings[0].ends_with(path.to_str().unwrap()));
    assert_eq!(host.attributes(), Ok(None));
}

#[test]
fn what_the_responsible_script_does_not_serve_is_refused() {
    for (actions, events) in [
        (r#""modify""#, r#""pre","post""#),
        (r#""define""#, r#""post""#),
        ("", ""),
    ] {
        let host = Fixture::new();
        let path = host.callout("a", &serves(actions, events));
        let (result, done, _) = host.define(&host.scripts(), Refusals::Heeded);
        let error = result.unwrap_err();
        assert!(!done && error.path() == Some(&path), "{error}");
        let (result, done, warnings) = host.define(&host.scripts(), Refusals::Overruled);
        assert_eq!((result, done, warnings.len()), (Ok(7), true, 1));
    }
    let host = Fixture::new();
    let can = serves(r#""define""#, r#""pre""#);
    host.callout("a", &format!("{can}exit 2"));
    let (result, done, _) = host.define(&host.scripts(), Refusals::Heeded);
    assert!(!done && result.unwrap_err().message().contains("status 2"));
}

#[test]
fn an_answer_of_another_form_makes_no_versioned_script() {
    for answer in [
        "hello",
        "[]",
        "{}",
        r#"{"supports":{}}"#,
        r#"{"supports":{"version":2}}"#,
        r#"{"supports":{"version":"2","actions":[],"events":[]}}"#,
        r#"{"supports":{"version":2,"actions":[1],"events":[]}}"#,
        r#"{"supports":{"version":2,"actions":[],"events":[]}}'; exit 2; '"#,
    ] {
        let host = Fixture::new();
        let body = format!("[ $action = capabilities ] && echo '{answer}'; exit 0");
        host.callout("a", &body);
        let (result, _, warnings) = host.define(&host.scripts(), Refusals::Heeded);
        assert_eq!((result, warnings), (Ok(7), Vec::new()), "{answer}");
        assert_eq!(host.calls()[0], "a pre define none", "{answer}");
    }
    // The same, but an answer: a status other than 2 and NUL bytes at the end do not spoil it.
    let host = Fixture::new();
    let answer = r#"{"supports":{"version":1,"actions":[],"events":[]}}\0\0"#;
    host.callout("a", &format!("printf '{answer}'; exit 1"));
    assert!(host.define(&host.scripts(), Refusals::Heeded).0.is_err());
}

#[test]
fn a_type_is_asked_about_once_for_all_its_devices() {
    let host = Fixture::new();
    let asked = host.path("asked");
    host.callout(
        "a",
        &format!(
            "[ $action = capabilities ] && echo x >> {}; exit 0",
            asked.display()
        ),
    );
    let scripts = host.scripts();
    for _ in 0..3 {
        assert_eq!(scripts.attributes(&host.subject()), Ok(None));
    }
    assert_eq!(fs::read_to_string(asked).unwrap(), "x\n");
}

#[test]
fn a_running_device_is_changed_by_a_script_that_declared_it() {
    let host = Fixture::new();
    let seen = host.path("seen");
    let can = serves(r#""modify""#, r#""live""#);
    host.callout("a", &format!("{can}cat > {}", seen.display()));
    host.notifier("n", "");
    let (result, warnings) = host.live();
    assert_eq!((result, warnings), (Ok(()), Vec::new()));
    assert_eq!(fs::read_to_string(seen).unwrap(), DOCUMENT);
    assert_eq!(host.calls(), ["a live modify none", "n notify modify none"]);
}

#[test]
fn without_such_a_script_or_against_its_will_a_running_device_stays_as_it_is() {
    for (actions, events, status, fault) in [
        (r#""modify""#, r#""live""#, 3, "exited with status 3: no"),
        (r#""modify""#, r#""live""#, 2, "status 2"),
        (r#""modify""#, r#""pre""#, 0, "while it is running"),
        (r#""define""#, r#""live""#, 0, "while it is running"),
    ] {
        let host = Fixture::new();
        let can = serves(actions, events);
        host.callout("a", &format!("{can}echo no >&2; exit {status}"));
        let error = host.live().0.unwrap_err().to_string();
        assert!(error.contains(fault), "{error}");
    }
    let host = Fixture::new();
    host.callout("a", "");
    assert!(host.live().0.is_err());
    assert_eq!(host.calls(), Vec::<String>::new());
}

#[test]
fn scripts_may_be_used_by_several_threads() {
    let host = Fixture::new();
    host.callout("a", r#"[ $event = get ] && echo '[{"x":"1"}]'"#);
    let scripts = host.scripts();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let attrs = scripts.attributes(&host.subject()).unwrap();
                assert_eq!(attrs.map(|attrs| attrs.len()), Some(1));
            });
        }
    });
}
