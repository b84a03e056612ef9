//! `restore`: every device that is wanted at boot, made unless it is there.

use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, Instant};

use super::capacity::{active_on, left_out, left_out_hint, no_room_for, types_of};
use super::start::{bring_up, offer_of, told};
use super::{Change, Context, Effect, Report};
use crate::error::{Error, Kind, Result};
use crate::model::{Definition, ParentId, StartMode};
use crate::nvidia::Queue;

/// Between two looks at whether a late parent has come.
const PAUSE: Duration = Duration::from_millis(200);

/// What to restore.
#[derive(Debug, Clone)]
pub struct RestoreRequest {
    /// Only this parent's devices.
    pub parent: Option<ParentId>,
    /// How long to wait for parents and types that are not there yet.
    pub wait: Duration,
    /// Only say what would be done.
    pub dry_run: bool,
}

/// Starts every `auto` definition that is not active: parents at the same time, the devices of one
/// parent one after the other in order of their UUIDs. Changes are told in order of parent and UUID.
///
/// # Errors
/// The definitions cannot be listed at all. A bad definition is a warning.
pub fn restore(context: &Context<'_>, request: &RestoreRequest) -> Result<Report> {
    let mut warnings = Vec::new();
    let definitions = match &request.parent {
        Some(parent) => context.store.of_parent(parent, &mut warnings)?,
        None => context.store.all(&mut warnings)?,
    };
    let mut by_parent: BTreeMap<ParentId, Vec<Job>> = BTreeMap::new();
    for job in jobs(definitions.into_iter().filter(at_boot)) {
        let parent = job.definition.parent.clone();
        by_parent.entry(parent).or_default().push(job);
    }
    let deadline = Instant::now() + request.wait;
    let changes: Vec<Change> = thread::scope(|scope| {
        let workers: Vec<_> = by_parent
            .values()
            .map(|jobs| scope.spawn(move || one_parent(jobs, request.dry_run, deadline, context)))
            .collect();
        workers
            .into_iter()
            .flat_map(|worker| match worker.join() {
                Ok(changes) => changes,
                Err(panic) => std::panic::resume_unwind(panic),
            })
            .collect()
    });
    let notes = match changes.is_empty() {
        true => vec!["no device is defined to start at boot".to_owned()],
        false => Vec::new(),
    };
    Ok(Report {
        changes,
        warnings,
        notes,
        ..Report::default()
    })
}

/// A definition, and the other parent that claims its UUID, if one comes before it.
struct Job {
    definition: Definition,
    rival: Option<ParentId>,
}

/// A UUID can be active once only, so the first parent in order has it, every time.
fn jobs(definitions: impl Iterator<Item = Definition>) -> Vec<Job> {
    let mut first = BTreeMap::new();
    definitions
        .map(|definition| {
            let owner = first
                .entry(definition.uuid)
                .or_insert_with(|| definition.parent.clone());
            let rival = (*owner != definition.parent).then(|| owner.clone());
            Job { definition, rival }
        })
        .collect()
}

fn one_parent(
    jobs: &[Job],
    dry_run: bool,
    deadline: Instant,
    context: &Context<'_>,
) -> Vec<Change> {
    let mut changes: Vec<Change> = jobs
        .iter()
        .map(|Job { definition, rival }| {
            let mut definition = definition.clone();
            let result = match rival {
                Some(rival) => Err(contested(&definition, rival)),
                None => when_ready(&mut definition, dry_run, deadline, context)
                    .map_err(|error| with_reason(context, &definition, error)),
            };
            let effect = result.unwrap_or_else(Effect::Failed);
            told(context, definition, effect)
        })
        .collect();
    if let (true, Some(first)) = (dry_run, jobs.first()) {
        let parent = &first.definition.parent;
        foresee(context, parent, &mut changes);
    }
    changes
}

/// A lack of room, with what is in the way in its message.
fn with_reason(context: &Context<'_>, definition: &Definition, error: Error) -> Error {
    match offer_of(context, definition).filter(|_| error.kind() == Kind::NoCapacity) {
        Some(offer) => {
            let reason = left_out(context, &offer);
            let hints = reason.all_hints().into_iter().map(str::to_owned);
            error.retold(reason.message()).hints(hints)
        }
        None => error,
    }
}

/// Each device was judged alone by what the parent holds now; here those lose for which the ones
/// before them leave no room, in the words that the real start will have.
fn foresee(context: &Context<'_>, parent: &ParentId, changes: &mut [Change]) {
    let mut unrelated = Vec::new();
    let Ok(found) = context.kernel.parent(parent, &mut unrelated) else {
        return;
    };
    let framework = context.kernel.serving(&found);
    let types = framework.types(parent, &mut unrelated).unwrap_or_default();
    let active = active_on(context, parent);
    let mut queue = Queue::now(types_of(&active, &types), &types);
    for change in changes {
        let type_id = change.type_id.as_ref();
        let wanted = types.iter().find(|t| Some(&t.id) == type_id);
        let is_to_start = match &change.effect {
            Effect::Planned(_) => true,
            Effect::Failed(error) => error.kind() == Kind::NoCapacity,
            Effect::Done(_) | Effect::Already(_) => false,
        };
        let Some(wanted) = wanted.filter(|_| is_to_start) else {
            continue;
        };
        if let Err(why) = queue.admit(wanted, wanted.available) {
            let error = no_room_for(wanted, &format!("{parent} {why}"));
            change.effect = Effect::Failed(error.hint(left_out_hint(parent)));
        }
    }
}

/// What the next boot starts on a parent, in order. Definitions that cannot be read are left out.
pub fn at_next_boot(context: &Context<'_>, parent: &ParentId) -> Vec<Definition> {
    let definitions = context.store.all(&mut Vec::new()).unwrap_or_default();
    jobs(definitions.into_iter().filter(at_boot))
        .into_iter()
        .filter(|job| job.rival.is_none() && job.definition.parent == *parent)
        .map(|job| job.definition)
        .collect()
}

/// Brings the device up, trying again while its parent or type is not there and time is left.
fn when_ready(
    definition: &mut Definition,
    dry_run: bool,
    deadline: Instant,
    context: &Context<'_>,
) -> Result<Effect> {
    loop {
        match bring_up(context, definition, at_boot, dry_run) {
            Err(error) if error.kind() == Kind::NotFound && Instant::now() < deadline => {
                log::debug!("waiting for {}: {error}", definition.parent);
                thread::sleep(PAUSE);
            }
            result => return result,
        }
    }
}

fn at_boot(definition: &Definition) -> bool {
    definition.start == StartMode::Auto
}

fn contested(definition: &Definition, rival: &ParentId) -> Error {
    Error::new(
        Kind::Failed,
        format!(
            "{} is to be started on both {rival} and {}, but a UUID can be active once only",
            definition.uuid, definition.parent
        ),
    )
    .hint(format!(
        "make one of them manual: vgpuctl modify {} --parent {} --manual",
        definition.uuid, definition.parent
    ))
}
