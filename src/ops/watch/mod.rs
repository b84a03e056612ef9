//! `watch`: what changes on a host, as it changes.
//!
//! Nothing is looked at unless something was heard, and nothing that was heard is believed: it only
//! says what to read again. What is read is compared with what was read before.

mod change;
mod heard;
mod kernel;
mod scene;
mod watcher;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::time::{Duration, Instant, SystemTime};

use super::Context;
use crate::error::Result;
use crate::store::Location;
use heard::Heard;
use watcher::{Watcher, Woken};

pub use change::{Change, Ready, Turn, Turned, TypeChange, TypesChange, Written};
pub use scene::{Scene, Seen};
pub use watcher::Stop;

/// The kernel tells of some things a little before they are so: an opened file is not in the
/// opener's list yet, a removed device's instance not free. What was heard of is looked at again
/// after these times.
const AGAIN: [Duration; 3] = [
    Duration::from_millis(20),
    Duration::from_millis(80),
    Duration::from_millis(400),
];

/// How to watch.
#[derive(Debug)]
pub struct WatchRequest<'a> {
    /// What ends it.
    pub stop: Stop<'a>,
}

/// What one look at the host has shown.
#[derive(Debug)]
pub struct Look<'a> {
    /// When.
    pub time: SystemTime,
    /// Whether it is the first one, in which everything has just come.
    pub is_first: bool,
    /// What has changed since the look before, in the order to tell it.
    pub changes: &'a [Change],
    /// The host as it is now.
    pub scene: &'a Scene,
}

/// Tells the host's state, and then each change of it, until it is stopped or `tell` has enough.
///
/// # Errors
/// The system does not let us listen, or what `tell` returns.
pub fn watch(
    context: &Context<'_>,
    request: &WatchRequest<'_>,
    mut tell: impl FnMut(Look<'_>) -> Result<ControlFlow<()>>,
) -> Result<()> {
    // Listened first, read then: what happens in between is heard.
    let mut watcher = Watcher::open(context)?;
    let mut scene = Scene::default();
    let mut changes = scene.look(context, &mut watcher, &Heard::everything());
    changes.push(Change::Ready(scene.summary(watcher.hears_the_kernel())));
    let mut is_first = true;
    let mut later = Later::default();
    loop {
        if !changes.is_empty() {
            let look = Look {
                time: SystemTime::now(),
                is_first,
                changes: &changes,
                scene: &scene,
            };
            if tell(look)?.is_break() {
                return Ok(());
            }
            is_first = false;
        }
        let time = match scene.owes_a_look() {
            true => Some(Duration::ZERO),
            false => later.time_left(Instant::now()),
        };
        let mut heard = match watcher.wait(request.stop, time)? {
            Woken::Heard(heard) => heard,
            Woken::Stop => return Ok(()),
        };
        let now = Instant::now();
        later.put_off(&heard, now);
        let due = later.due(now);
        heard.and_again(&due);
        heard.doubted = due.doubted;
        changes = match heard.is_nothing() && !scene.owes_a_look() {
            true => Vec::new(),
            false => scene.look(context, &mut watcher, &heard),
        };
        later.doubt(scene.take_doubts(), now);
        if scene.owes_types() && later.is_over() {
            later.put_off(&Heard::of_the_kernel(), now);
        }
    }
}

/// What is to be looked at again, and when.
#[derive(Debug, Default)]
struct Later {
    what: Heard,
    next: Option<(Instant, usize)>,
    doubted: BTreeMap<Location, Instant>,
}

impl Later {
    fn time_left(&self, now: Instant) -> Option<Duration> {
        let next = self.next.map(|(when, _)| when);
        let when = self.doubted.values().copied().chain(next).min()?;
        Some(when.saturating_duration_since(now))
    }

    /// Starts over with what was heard, in addition to what is left. New events put nothing off for long.
    fn put_off(&mut self, heard: &Heard, now: Instant) {
        let mut again = Heard::default();
        again.and_again(heard);
        if !again.is_nothing() {
            self.what.and_again(&again);
            self.begin(now);
        }
    }

    /// Whether nothing is left to be looked at again.
    fn is_over(&self) -> bool {
        self.next.is_none()
    }

    /// Has these definitions read again, a little later.
    fn doubt(&mut self, definitions: BTreeSet<Location>, now: Instant) {
        let soon = now + AGAIN[0];
        self.doubted
            .extend(definitions.into_iter().map(|at| (at, soon)));
    }

    fn begin(&mut self, now: Instant) {
        let soon = now + AGAIN[0];
        let next = self.next.map_or(soon, |(when, _)| when.min(soon));
        self.next = Some((next, 0));
    }

    /// What it is time for now.
    fn due(&mut self, now: Instant) -> Heard {
        let mut due = Heard::default();
        if let Some((when, step)) = self.next
            && when <= now
        {
            due = self.what.clone();
            let next = AGAIN.get(step + 1);
            self.next = next.map(|pause| (now + *pause, step + 1));
            if self.next.is_none() {
                self.what = Heard::default();
            }
        }
        self.doubted.retain(|at, when| {
            let is_due = *when <= now;
            if is_due {
                due.doubted.insert(at.clone());
            }
            !is_due
        });
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holders() -> Heard {
        Heard {
            holders: true,
            ..Heard::default()
        }
    }

    /// What is due, until nothing is.
    fn all_due(later: &mut Later, mut now: Instant) -> Vec<Heard> {
        let mut all = Vec::new();
        while let Some(time) = later.time_left(now) {
            now += time;
            all.push(later.due(now));
        }
        all
    }

    #[test]
    fn what_was_heard_is_looked_at_again_a_few_times_and_then_no_more() {
        let (mut later, now) = (Later::default(), Instant::now());
        assert_eq!(later.time_left(now), None);
        later.put_off(&holders(), now);
        assert_eq!(later.due(now), Heard::default());
        assert_eq!(all_due(&mut later, now), [holders(), holders(), holders()]);
    }

    #[test]
    fn noise_that_does_not_end_puts_nothing_off() {
        let (mut later, now) = (Later::default(), Instant::now());
        later.put_off(&holders(), now);
        for n in 0..10 {
            later.put_off(&holders(), now + Duration::from_millis(n));
        }
        assert_eq!(later.time_left(now), Some(AGAIN[0]));
    }

    #[test]
    fn a_definition_in_doubt_is_read_once_more() {
        let at = Location {
            framework: crate::model::FrameworkKind::Mdev,
            parent: "mtty".parse().unwrap(),
            uuid: uuid::Uuid::nil(),
        };
        let (mut later, now) = (Later::default(), Instant::now());
        later.doubt(BTreeSet::from([at.clone()]), now);
        let due = all_due(&mut later, now);
        let read = due.iter().filter(|due| due.doubted.contains(&at));
        assert_eq!(read.count(), 1);
    }
}
