//! What `restore` leaves behind, so that a monitoring system can tell of it later.

use std::collections::BTreeMap;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use log::debug;

use super::{Change, Context, Effect};
use crate::error::{Kind, Warnings};
use crate::model::ParentId;
use crate::store::{RestoreResult, RestoreResults};

/// When a restore began.
pub struct Begin {
    /// In seconds since 1970.
    start: f64,
    clock: Instant,
}

impl Begin {
    /// It begins now.
    pub fn now() -> Begin {
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH);
        Begin {
            start: since_1970.unwrap_or_default().as_secs_f64(),
            clock: Instant::now(),
        }
    }
}

/// Keeps what became of a GPU's devices, by the parents under which they are defined. What cannot be
/// kept is a caution: the devices matter more.
pub fn keep_results(
    context: &Context<'_>,
    gpu: &ParentId,
    begin: &Begin,
    changes: &[Change],
) -> Warnings {
    if changes.iter().all(is_forbidden) {
        // Nothing was tried, so the result of the one before still holds.
        return Vec::new();
    }
    let mut by_parent: BTreeMap<&ParentId, RestoreResult> = BTreeMap::new();
    for change in changes {
        let nothing = || RestoreResult {
            gpu: gpu.clone(),
            start: begin.start,
            seconds: begin.clock.elapsed().as_secs_f64(),
            started: 0,
            active: 0,
            failed: 0,
        };
        let parent = change.parent.as_ref().unwrap_or(gpu);
        let result = by_parent.entry(parent).or_insert_with(nothing);
        match change.effect {
            Effect::Done(_) => result.started += 1,
            Effect::Already(_) => result.active += 1,
            Effect::Failed(_) => result.failed += 1,
            // Not a device's.
            Effect::Enabled | Effect::MigEnabled | Effect::InstancesCreated(_) => {}
            Effect::Planned(_)
            | Effect::WouldEnable
            | Effect::WouldEnableMig
            | Effect::WouldCreateInstances(_) => {}
        }
    }
    let results = RestoreResults::of(context.host);
    by_parent
        .into_iter()
        .filter_map(|(parent, result)| results.write(parent, &result).err())
        .collect()
}

fn is_forbidden(change: &Change) -> bool {
    change
        .error()
        .is_some_and(|error| error.kind() == Kind::NotPermitted)
}

/// Whether one of the changes is about this parent.
pub fn concerns(changes: &[Change], parent: &ParentId) -> bool {
    changes
        .iter()
        .any(|change| change.parent.as_ref() == Some(parent))
}

/// Drops the results of parents that have nothing to restore any more.
pub fn drop_results(context: &Context<'_>, is_over: impl Fn(&ParentId) -> bool) {
    let results = RestoreResults::of(context.host);
    match results.parents() {
        Ok(parents) => parents
            .iter()
            .filter(|parent| is_over(parent))
            .for_each(|parent| results.forget(parent)),
        Err(error) => debug!("cannot remove old results: {error}"),
    }
}
