//! The real mdevctl 1.4.0 and ours under its name, over two copies of one tree: what they print,
//! how they end, and what they leave behind must be the same, except where `differences.toml`
//! says why not.
//!
//! `cases/*.toml` are the single commands, `random.rs` makes sequences of them. With
//! `VGPUCTL_DIFFERENTIAL_SELF=1` the real one runs on both sides, which must show no difference.

mod compare;
mod differences;
#[allow(dead_code)]
#[path = "../cli/harness.rs"]
mod harness;
mod random;
mod scene;
mod side;
mod table;

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use compare::Found;
use differences::Differences;
use side::Pair;

/// Most of the time is spent waiting for processes.
const WORKERS: usize = 4;

#[test]
fn every_case_ends_as_with_mdevctl() {
    let cases = table::all();
    assert!(cases.len() >= 500, "only {} cases", cases.len());
    let differences = Differences::read();
    let next = AtomicUsize::new(0);
    let results = Mutex::new(Vec::new());
    let commands = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(|| {
                while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let mut pair = Pair::start(case);
                    let mut found = Found::default();
                    for line in &case.run {
                        commands.fetch_add(1, Ordering::Relaxed);
                        found.add(pair.compare(line, case));
                    }
                    results.lock().unwrap().push((case.name.clone(), found));
                }
            });
        }
    });
    let results = results.into_inner().unwrap();
    assert_eq!(results.len(), cases.len(), "a case ended early");
    println!(
        "{} cases with {} commands, {} listed differences in {} of them, {} rules",
        cases.len(),
        commands.into_inner(),
        differences.cases(),
        differences.cases_named(),
        differences.rules(),
    );
    differences.judge_cases(&results);
}

#[test]
fn random_sequences_leave_the_same_hosts() {
    let seed = random::seed();
    println!("seed: VGPUCTL_DIFFERENTIAL_SEED={seed}");
    let differences = Differences::read();
    let results = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for (number, host) in random::HOSTS.iter().enumerate() {
            let results = &results;
            scope.spawn(move || {
                let ran = random::sequence(host, seed.wrapping_add(number as u64));
                results.lock().unwrap().push(ran);
            });
        }
    });
    let results = results.into_inner().unwrap();
    assert_eq!(
        results.len(),
        random::HOSTS.len(),
        "a sequence broke off; seed {seed}"
    );
    let steps: usize = results.iter().map(|ran| ran.steps).sum();
    let worked: usize = results.iter().map(|ran| ran.worked).sum();
    println!(
        "{steps} random steps on {} hosts, {worked} of them succeeded; seed {seed}",
        results.len()
    );
    differences.judge_sequences(&results, seed);
    assert!(steps >= 500, "only {steps} steps");
}
