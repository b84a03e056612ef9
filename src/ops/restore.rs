//! `restore`: every device that is wanted at boot, made unless it is there.

use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, Instant};

use super::prepare;
use super::scope::Scope;
use super::start::{bring_up, told};
use super::{Change, Context, Effect, Report};
use crate::error::{Error, Kind, Result};
use crate::model::{Definition, ParentId, StartMode};
use crate::store::GpuSettings;

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

/// Starts every `auto` definition that is not active: GPUs at the same time, the devices of one GPU
/// one after the other in order of their parents and UUIDs. Changes are told in order of parent and UUID.
///
/// # Errors
/// The definitions cannot be listed at all. A bad definition is a warning.
pub fn restore(context: &Context<'_>, request: &RestoreRequest) -> Result<Report> {
    let mut warnings = Vec::new();
    let scope = request.parent.as_ref().map(|name| Scope::of(context, name));
    let definitions = match &scope {
        Some(scope) => scope.definitions(context, &mut warnings)?,
        None => context.store.all(&mut warnings)?,
    };
    // The functions of one GPU share its memory, so their devices come one after the other.
    let mut by_gpu: BTreeMap<ParentId, Work> = BTreeMap::new();
    for (gpu, settings) in context.store.gpu_settings(&mut warnings)? {
        if scope.as_ref().is_none_or(|scope| scope.names(&gpu)) {
            by_gpu.entry(gpu).or_default().settings = settings;
        }
    }
    for job in jobs(definitions.into_iter().filter(at_boot)) {
        let gpu = context.kernel.gpu_of(&job.definition.parent);
        by_gpu.entry(gpu).or_default().jobs.push(job);
    }
    let deadline = Instant::now() + request.wait;
    let changes: Vec<Change> = thread::scope(|scope| {
        let workers: Vec<_> = by_gpu
            .iter()
            .map(|(gpu, work)| {
                scope.spawn(move || one_gpu(gpu, work, request.dry_run, deadline, context))
            })
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
    })
}

/// What is to be done on one GPU: first what its settings ask for, then its devices.
#[derive(Default)]
struct Work {
    settings: GpuSettings,
    jobs: Vec<Job>,
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

fn one_gpu(
    gpu: &ParentId,
    work: &Work,
    dry_run: bool,
    deadline: Instant,
    context: &Context<'_>,
) -> Vec<Change> {
    let first = first_of_all(gpu, work.settings, dry_run, deadline, context);
    let devices = work.jobs.iter().map(|Job { definition, rival }| {
        let mut definition = definition.clone();
        let result = match rival {
            Some(rival) => Err(contested(&definition, rival)),
            None => until(gpu, deadline, || {
                bring_up(context, &mut definition, at_boot, dry_run)
            }),
        };
        let effect = result.unwrap_or_else(Effect::Failed);
        told(context, definition, effect)
    });
    first.into_iter().chain(devices).collect()
}

/// What the GPU's settings ask for; `None` where that is nothing, or done.
fn first_of_all(
    gpu: &ParentId,
    settings: GpuSettings,
    dry_run: bool,
    deadline: Instant,
    context: &Context<'_>,
) -> Option<Change> {
    if settings == GpuSettings::default() {
        return None;
    }
    let prepared = until(gpu, deadline, || match dry_run {
        true => prepare::plan(context, gpu, settings),
        false => prepare::prepare(context, gpu, settings),
    });
    prepared.unwrap_or_else(|error| Some(prepare::told(gpu, Effect::Failed(error))))
}

/// Does the work, again and again while something it needs is not there and time is left.
fn until<T>(gpu: &ParentId, deadline: Instant, mut work: impl FnMut() -> Result<T>) -> Result<T> {
    loop {
        match work() {
            Err(error) if error.kind() == Kind::NotFound && Instant::now() < deadline => {
                log::debug!("waiting for {gpu}: {error}");
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
