//! Where a command can be killed, and killing it there.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::process::ExitStatusExt;

use crate::harness::{SimHost, finished};

/// Which call of which name.
pub type Point = (String, usize);

/// Whether a thread waits for another depends on which is faster; nothing changes by waiting.
const WAITS: [&str; 2] = ["restart_syscall", "futex"];

/// The calls of an undisturbed run. A process, thread or child each count for themselves.
pub fn calls(host: &SimHost, line: &str) -> BTreeSet<Point> {
    let trace = host.path("usr/trace");
    let options = ["-f", "-qq", "-o", trace.to_str().unwrap()];
    let run = finished(
        host.strace(&options, line.split_whitespace())
            .output()
            .expect("strace is installed by: make"),
    );
    assert_eq!(
        run.status, 0,
        "an undisturbed run under strace fails; may this user trace (ptrace) at all? {run:#?}"
    );
    let root = host.root().to_str().unwrap();
    let mut counts: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    // A child's end may or may not interrupt its parent's waiting, which then counts once more.
    let mut again: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    let mut points = BTreeSet::new();
    let mut started = false;
    let text = fs::read_to_string(&trace).unwrap();
    for line in text.lines() {
        // "4711  openat(AT_FDCWD, ..."; the second half of a call is "4711  <... openat resumed>".
        let (pid, call) = line.split_once(' ').unwrap();
        let Some((name, arguments)) = call.trim_start().split_once('(') else {
            continue;
        };
        if !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
            continue;
        }
        let count = counts.entry((pid, name)).or_default();
        *count += 1;
        started |= name != "execve" && arguments.contains(root);
        if line.contains("ERESTART") {
            *again.entry((pid, name)).or_default() += 1;
        }
        if started && !WAITS.contains(&name) {
            points.insert((pid, name, *count));
        }
    }
    points
        .into_iter()
        .filter(|(pid, name, count)| {
            let more = again.get(&(*pid, *name)).copied().unwrap_or_default();
            *count <= counts[&(*pid, *name)] - more
        })
        .map(|(_, name, count)| (name.to_owned(), count))
        .collect()
}

/// Runs the command and kills it before that call.
pub fn kill(host: &SimHost, line: &str, point: &Point, at: &str) {
    assert!(kill_if_reached(host, line, point), "{at}: it was not");
}

/// Runs the command and kills it before that call, which threads may get to in another order, or not
/// at all; whether it was killed.
pub fn kill_if_reached(host: &SimHost, line: &str, (name, count): &Point) -> bool {
    let log = host.path("usr/kill");
    let (log, inject) = (
        log.to_str().unwrap(),
        format!("--inject={name}:signal=KILL:when={count}"),
    );
    let trace = format!("--trace={name}");
    // A child that is to be killed may be the one that writes for its parent: wait for all.
    let options = ["-f", "-q", "-o", log, &trace, &inject];
    let output = host
        .strace(&options, line.split_whitespace())
        .output()
        .unwrap();
    let log = fs::read_to_string(log).unwrap();
    let signal = output.status.signal();
    assert!(
        signal == Some(9) || log.contains("+++ exited with"),
        "{output:?}"
    );
    log.contains("+++ killed by SIGKILL +++")
}
