//! The same work on several GPUs at once: each waits for its own driver.

use std::panic::resume_unwind;
use std::thread;

use log::debug;

/// Does it for each, all at the same time; what came of it in their order. Where the system starts no
/// more threads, the rest is done one after the other.
pub fn at_once<T: Sync, R: Send>(all: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let work = &work;
    thread::scope(|scope| {
        let start = |one| thread::Builder::new().spawn_scoped(scope, move || work(one));
        let started: Vec<_> = all.iter().map(|one| (one, start(one))).collect();
        let ended = started.into_iter().map(|(one, started)| match started {
            Ok(worker) => worker.join().unwrap_or_else(|panic| resume_unwind(panic)),
            Err(error) => {
                debug!("cannot start a thread: {error}");
                work(one)
            }
        });
        ended.collect()
    })
}
