//! Where a command can be killed, and killing it there.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::process::ExitStatusExt;

use crate::harness::SimHost;
use crate::trace::Follow;

pub use crate::trace::Point;

/// Of the calls that only look, one of so many is enough, unless VGPUCTL_CRASH is "all".
const ONE_OF: usize = 12;

/// The calls of an undisturbed run to be killed before: all that may change something, and some of the
/// others. A process, thread or child each count for themselves.
pub fn calls(host: &SimHost, line: &str) -> BTreeSet<Point> {
    let whole = std::env::var("VGPUCTL_CRASH").is_ok_and(|value| value == "all");
    let traced = crate::trace::traced(host, line, Follow::Children);
    let all = traced.len();
    let mut looks = 0;
    let kept = traced.into_iter().filter(|(_, changes)| {
        looks += usize::from(!changes);
        whole || *changes || looks % ONE_OF == 1
    });
    let points: BTreeSet<Point> = kept.map(|(point, _)| point).collect();
    println!("{line}: {} of {all} calls", points.len());
    points
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
