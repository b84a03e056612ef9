//! Where a command can be killed, and killing it there.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::process::ExitStatusExt;

use crate::harness::SimHost;
use crate::trace::Follow;

pub use crate::trace::Point;

/// The calls of an undisturbed run. A process, thread or child each count for themselves.
pub fn calls(host: &SimHost, line: &str) -> BTreeSet<Point> {
    crate::trace::calls(host, line, Follow::Children)
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
