//! The same work on several GPUs at once: each waits for its own driver.
//!
//! There are only so many threads. What has to wait for something that is still to come gives its thread
//! to another meanwhile, so that nothing that is there waits for what is not.

use std::collections::VecDeque;
use std::panic::resume_unwind;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use log::debug;

/// More GPUs than nearly every host has.
const MOST_THREADS: usize = 32;

/// Between two turns of work that waits.
const PAUSE: Duration = Duration::from_millis(200);

/// What a turn of work came to.
pub enum Turn<R> {
    /// It is done.
    Done(R),
    /// Something is still to come: it is to be tried again.
    Later,
}

/// Does it for each, many at the same time; what came of it in their order.
pub fn at_once<T: Sync, R: Send>(all: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let all: Vec<&T> = all.iter().collect();
    in_turns(all, |one| Turn::Done(work(one)))
}

/// Gives each a turn, and again until it is done, many at the same time; what came of it in their
/// order. Where the system starts no more threads, those that there are do it all.
pub fn in_turns<T: Send, R: Send>(all: Vec<T>, work: impl Fn(&mut T) -> Turn<R> + Sync) -> Vec<R> {
    in_turns_of(MOST_THREADS, all, work)
}

/// One that waits for its turn, which is not to come before a time.
struct Waiting<T> {
    place: usize,
    one: T,
    not_before: Option<Instant>,
}

fn in_turns_of<T: Send, R: Send>(
    most: usize,
    all: Vec<T>,
    work: impl Fn(&mut T) -> Turn<R> + Sync,
) -> Vec<R> {
    let helpers = all.len().min(most).saturating_sub(1);
    let all = all.into_iter().enumerate().map(|(place, one)| Waiting {
        place,
        one,
        not_before: None,
    });
    // All pauses are equally long, so that the first one's time is always the next.
    let queue = Mutex::new(all.collect::<VecDeque<_>>());
    let worker = || work_through(&queue, &work);
    let mut done = thread::scope(|scope| {
        let started: Vec<_> = (0..helpers)
            .map_while(|_| {
                let started = thread::Builder::new().spawn_scoped(scope, worker);
                started
                    .inspect_err(|error| debug!("cannot start a thread: {error}"))
                    .ok()
            })
            .collect();
        let mut done = worker();
        for helper in started {
            done.extend(helper.join().unwrap_or_else(|panic| resume_unwind(panic)));
        }
        done
    });
    done.sort_unstable_by_key(|(place, _)| *place);
    done.into_iter().map(|(_, result)| result).collect()
}

/// Takes turns until the queue is empty. What others are at then is theirs: they put it back into the
/// queue only to take it out again.
fn work_through<T, R>(
    queue: &Mutex<VecDeque<Waiting<T>>>,
    work: &impl Fn(&mut T) -> Turn<R>,
) -> Vec<(usize, R)> {
    let queue = || queue.lock().unwrap_or_else(PoisonError::into_inner);
    let mut done = Vec::new();
    loop {
        let next = queue().pop_front();
        let Some(mut next) = next else {
            return done;
        };
        if let Some(time) = next.not_before {
            thread::sleep(time.saturating_duration_since(Instant::now()));
        }
        match work(&mut next.one) {
            Turn::Done(result) => done.push((next.place, result)),
            Turn::Later => {
                next.not_before = Some(Instant::now() + PAUSE);
                queue().push_back(next);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Condvar;
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

    #[test]
    fn results_come_in_order_and_never_more_work_at_once_than_may() {
        let (now, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let all: Vec<usize> = (0..500).collect();
        let done = in_turns_of(8, all.clone(), |one| {
            most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            thread::yield_now();
            now.fetch_sub(1, Ordering::SeqCst);
            Turn::Done(*one)
        });
        assert_eq!(done, all);
        assert!(most.into_inner() <= 8);
        assert_eq!(in_turns_of(8, Vec::<u8>::new(), |_| Turn::Done(())), []);
    }

    #[test]
    fn those_that_wait_keep_none_from_its_turn() {
        // The last one is what all the others wait for, and there are far more of them than threads.
        let is_there = AtomicBool::new(false);
        let done = in_turns_of(2, (0..40).collect(), |one| match one {
            39 => {
                is_there.store(true, Ordering::SeqCst);
                Turn::Done(*one)
            }
            _ if is_there.load(Ordering::SeqCst) => Turn::Done(*one),
            _ => Turn::Later,
        });
        assert_eq!(done, (0..40).collect::<Vec<_>>());
    }

    #[test]
    fn as_many_as_there_are_threads_go_on_at_the_same_time() {
        let (inside, all_in) = (Mutex::new(0), Condvar::new());
        let done = in_turns_of(4, vec![(); 4], |()| {
            let mut count = inside.lock().unwrap();
            *count += 1;
            all_in.notify_all();
            // Would wait for ever if one had to end before the next begins.
            drop(all_in.wait_while(count, |count| *count < 4).unwrap());
            Turn::Done(())
        });
        assert_eq!(done.len(), 4);
    }
}
