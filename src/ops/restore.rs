//! `restore`: every device that is wanted at boot, made unless it is there.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use uuid::Uuid;

use super::capacity::{left_out, left_out_hint, no_room_for};
use super::functions::{foresee_functions, named};
use super::inventory::inventory;
use super::moved::{Moves, moved_settings_hint};
use super::next_boot::next_boot;
use super::prepare;
use super::results::{Begin, concerns, drop_results, keep_results};
use super::scope::Scope;
use super::start::{as_change, bring_up, offer_of, taken};
use super::sweep::sweep_marks;
use super::together::{Turn, in_turns};
use super::{Change, Context, Effect, Report};
use crate::error::{Error, Kind, Result, Warnings};
use crate::model::{Definition, Parent, ParentId, StartMode, TypeId, VgpuType};
use crate::store::{GpuSettings, Sizes};

/// How long virtual functions that come one by one are waited for, and the types that they list:
/// udev tells of the first function at once, and of types not at all.
const ALL_FUNCTIONS: Duration = Duration::from_secs(30);

/// What to restore.
#[derive(Debug, Clone)]
pub struct RestoreRequest {
    /// Only this parent's devices.
    pub parent: Option<ParentId>,
    /// How long to wait for parents and types that are not there yet.
    pub wait: Duration,
    /// Show what would be done without changing anything.
    pub dry_run: bool,
    /// Say it of this moment, not of the next boot.
    pub now: bool,
}

/// Starts every `auto` definition that is not active: GPUs at the same time, the devices of one GPU
/// one after the other in order of their parents and UUIDs, or the largest first where sizes are mixed. Changes are reported in order of parent and UUID.
///
/// # Errors
/// The definitions cannot be listed at all. A bad definition is a warning.
pub fn restore(context: &Context<'_>, request: &RestoreRequest) -> Result<Report> {
    match request.dry_run && !request.now {
        true => restore_all(&context.snapshot(), request),
        false => restore_all(context, request),
    }
}

/// The definitions of a GPU for which the next boot has no room, and why, by what has been read.
pub fn left_out_at_boot(context: &Context<'_>, gpu: &ParentId) -> Vec<(Uuid, Error)> {
    let request = RestoreRequest {
        parent: Some(gpu.clone()),
        wait: Duration::ZERO,
        dry_run: true,
        now: false,
    };
    let no_room = |change: &Change| {
        let error = change.error().filter(|e| e.kind() == Kind::NoCapacity)?;
        Some((change.uuid?, error.clone()))
    };
    let report = restore_all(context, &request);
    let changes = report.map(|report| report.changes).unwrap_or_default();
    changes.iter().filter_map(no_room).collect()
}

fn restore_all(context: &Context<'_>, request: &RestoreRequest) -> Result<Report> {
    let mut warnings = Vec::new();
    // The functions of one GPU share its memory, so their devices come one after the other.
    let mut by_gpu: BTreeMap<ParentId, Work> = BTreeMap::new();
    let mut scope = request.parent.as_ref().map(|name| Scope::of(context, name));
    for (gpu, settings) in context.store.gpu_settings(&mut warnings)? {
        if scope.as_ref().is_none_or(|scope| scope.names(&gpu)) {
            by_gpu.entry(gpu).or_default().settings = settings;
        }
    }
    let gpu_of = |parent: &ParentId| gpu_of(context, &by_gpu, parent);
    let definitions = match &mut scope {
        Some(scope) => {
            scope.add_functions(context, &gpu_of)?;
            scope.definitions(context, &mut warnings)?
        }
        None => context.store.all(&mut warnings)?,
    };
    let jobs: Vec<(ParentId, Job)> = jobs(definitions.into_iter().filter(at_boot))
        .into_iter()
        .map(|job| (gpu_of(&job.definition.parent), job))
        .collect();
    for (gpu, job) in jobs {
        by_gpu.entry(gpu).or_default().jobs.push(job);
    }
    let (begin, deadline) = (&Begin::now(), Instant::now() + request.wait);
    let moves = &Moves::default();
    let turn = |one: &mut OneGpu<'_>| {
        if request.dry_run && !request.now {
            return Turn::Done(next_boot(context, one.gpu, one.work, moves));
        }
        let went_on = match request.dry_run {
            true => one.go_on(true, deadline, &context.snapshot(), moves),
            false => one.go_on(false, deadline, context, moves),
        };
        let Some(changes) = went_on else {
            return Turn::Later;
        };
        let cautions = match request.dry_run {
            true => Vec::new(),
            false => keep_results(context, one.gpu, begin, &changes),
        };
        Turn::Done((changes, cautions))
    };
    let gpus = by_gpu.iter().map(|(gpu, work)| OneGpu::new(gpu, work));
    let done = in_turns(gpus.collect(), turn);
    let (changes, cautions): (Vec<Vec<Change>>, Vec<Warnings>) = done.into_iter().unzip();
    let changes = changes.concat();
    if !request.dry_run {
        drop_results(context, |parent| {
            scope.as_ref().is_none_or(|scope| scope.names(parent)) && !concerns(&changes, parent)
        });
        sweep_marks(context, |parent| {
            scope.as_ref().is_none_or(|scope| scope.names(parent))
        });
    }
    let notes = match changes.is_empty() {
        true => vec!["no devices are defined to start at boot".to_owned()],
        false => Vec::new(),
    };
    let mut report = Report::of(changes);
    report.cautions.extend(cautions.concat());
    Ok(Report {
        warnings,
        notes,
        ..report
    })
}

/// When a definition has its turn among those of its GPU: what names a virtual function comes before
/// what does not, which could take it. On a GPU that serves several sizes the largest come first: any
/// other order can leave no placement ID for a large one.
fn turn(definition: &Definition, mib: Option<u64>) -> (Reverse<Option<u64>>, bool, ParentId, Uuid) {
    let (parent, uuid) = (definition.parent.clone(), definition.uuid);
    (Reverse(mib), named(definition).is_none(), parent, uuid)
}

/// The framebuffer of a type in MiB if the GPU serves several sizes; `None` where sizes do not decide
/// who comes first.
pub fn mib_in_turn(
    context: &Context<'_>,
    gpu: &ParentId,
    sizes: Sizes,
    id: &TypeId,
) -> Option<u64> {
    if sizes != Sizes::Mixed {
        return None;
    }
    let name = context.kernel.type_name(gpu, id, &mut Vec::new());
    VgpuType::unlisted(id.clone(), name, None).framebuffer_mib()
}

/// The GPU of a parent. A function that is not there, because its GPU's functions are still to be
/// switched on, is known by the bus that it shares with its GPU.
fn gpu_of(
    context: &Context<'_>,
    prepared: &BTreeMap<ParentId, Work>,
    parent: &ParentId,
) -> ParentId {
    let gpu = context.kernel.gpu_of(parent);
    let bus = |id: &ParentId| id.as_str().rsplit_once(':').map(|(bus, _)| bus.to_owned());
    if gpu != *parent || !parent.is_pci_address() || prepared.contains_key(parent) {
        return gpu;
    }
    let neighbour = prepared.keys().find(|gpu| bus(gpu) == bus(parent));
    neighbour.cloned().unwrap_or(gpu)
}

/// What is to be done on one GPU: first what its settings ask for, then its devices.
#[derive(Default)]
pub struct Work {
    /// What its settings ask for.
    pub settings: GpuSettings,
    /// Its devices, in any order.
    pub jobs: Vec<Job>,
}

impl Work {
    /// Its devices, in the order in which they are started.
    pub fn in_order(&self, context: &Context<'_>, gpu: &ParentId) -> Vec<&Job> {
        let mut jobs: Vec<&Job> = self.jobs.iter().collect();
        let mib = |id| mib_in_turn(context, gpu, self.settings.sizes, id);
        jobs.sort_by_cached_key(|job| turn(&job.definition, mib(&job.definition.type_id)));
        jobs
    }

    /// Whether sizes decide the order of its devices, and the GPU tells none of them.
    fn sizes_are_unknown(&self, context: &Context<'_>, gpu: &ParentId) -> bool {
        let mib = |id| mib_in_turn(context, gpu, self.settings.sizes, id);
        self.settings.sizes == Sizes::Mixed
            && self.jobs.len() > 1
            && self
                .jobs
                .iter()
                .all(|job| mib(&job.definition.type_id).is_none())
    }
}

/// A definition, and the other parent that claims its UUID, if one comes before it.
pub struct Job {
    /// The definition.
    pub definition: Definition,
    /// The other parent.
    pub rival: Option<ParentId>,
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

/// One GPU, and how far its work has come.
struct OneGpu<'w> {
    gpu: &'w ParentId,
    work: &'w Work,
    /// What its settings came to, once that is known.
    first: Option<Vec<Change>>,
    /// Its devices in order, once their sizes can be told.
    jobs: Option<Vec<&'w Job>>,
    /// Until when its functions may be still to come.
    functions_by: Option<Instant>,
    /// The definition whose turn it is.
    current: Option<Definition>,
    /// Those that are done.
    devices: Vec<Change>,
}

impl<'w> OneGpu<'w> {
    fn new(gpu: &'w ParentId, work: &'w Work) -> OneGpu<'w> {
        OneGpu {
            gpu,
            work,
            first: None,
            jobs: None,
            functions_by: None,
            current: None,
            devices: Vec::new(),
        }
    }

    /// Does what can be done now; `None` where something is still to come.
    fn go_on(
        &mut self,
        dry_run: bool,
        deadline: Instant,
        context: &Context<'_>,
        moves: &Moves,
    ) -> Option<Vec<Change>> {
        let (gpu, work) = (self.gpu, self.work);
        if self.first.is_none() {
            self.first = Some(first_of_all(
                gpu,
                &work.settings,
                dry_run,
                deadline,
                context,
            )?);
        }
        let functions_by = deadline.max(Instant::now() + ALL_FUNCTIONS);
        let functions_by = *self.functions_by.get_or_insert(functions_by);
        if self.jobs.is_none()
            && !dry_run
            && Instant::now() < functions_by
            && work.sizes_are_unknown(context, gpu)
            && context.kernel.functions_are_coming(gpu)
        {
            log::debug!("waiting for {gpu}: the sizes of its types are not known yet");
            return None;
        }
        let jobs = self
            .jobs
            .get_or_insert_with(|| work.in_order(context, gpu))
            .clone();
        let still_to_come = |error: &Error| {
            (error.kind() == Kind::NotFound && Instant::now() < deadline)
                || (matches!(error.kind(), Kind::NotFound | Kind::NoCapacity)
                    && !dry_run
                    && Instant::now() < functions_by
                    && context.kernel.functions_are_coming(gpu))
        };
        // What was missing may have come between the attempt and the look at what is still to come.
        let may_have_come = |error: &Error| {
            matches!(error.kind(), Kind::NotFound | Kind::NoCapacity)
                && !dry_run
                && context
                    .kernel
                    .sriov_gpu(gpu)
                    .is_ok_and(|found| found.is_some())
        };
        while let Some(Job { definition, rival }) = jobs.get(self.devices.len()) {
            let current = self.current.get_or_insert_with(|| definition.clone());
            let result = match rival {
                Some(rival) => Err(contested(current, rival)),
                None => {
                    let mut attempt = || bring_up(context, current, at_boot, dry_run);
                    unless_to_come(gpu, still_to_come, attempt())?
                        .or_else(|error| match may_have_come(&error) {
                            true => attempt(),
                            false => Err(error),
                        })
                        .map_err(|error| with_reason(context, current, error))
                        .map_err(|error| with_move(context, moves, current, error))
                }
            };
            let brought = result.unwrap_or_else(|error| Effect::Failed(error).into());
            let definition = self.current.take().unwrap_or_else(|| definition.clone());
            self.devices.push(as_change(context, definition, brought));
        }
        Some(self.all(dry_run, context))
    }

    /// All that was done, in order.
    fn all(&mut self, dry_run: bool, context: &Context<'_>) -> Vec<Change> {
        let mut devices = std::mem::take(&mut self.devices);
        if dry_run {
            foresee(context, self.gpu, self.work.settings.sizes, &mut devices);
            let jobs = self.jobs.iter().flatten();
            let definitions = jobs.map(|job| &job.definition);
            foresee_functions(
                context,
                definitions.zip(&mut devices),
                |definition, error| with_reason(context, definition, error),
            );
        }
        devices.sort_by(|a, b| (&a.parent, a.uuid).cmp(&(&b.parent, b.uuid)));
        let first = self.first.take().unwrap_or_default();
        first.into_iter().chain(devices).collect()
    }
}

/// A parent that is not there, with where its definitions may have to follow it.
pub fn with_move(
    context: &Context<'_>,
    moves: &Moves,
    definition: &Definition,
    error: Error,
) -> Error {
    match error.kind() {
        Kind::NotFound => error.hints(moves.hint(context, definition)),
        _ => error,
    }
}

/// A lack of room, with what is in the way in its message.
fn with_reason(context: &Context<'_>, definition: &Definition, error: Error) -> Error {
    if let Some(taken) = taken(context, definition).filter(|_| error.kind() == Kind::NoCapacity) {
        return error.retold(taken.message()).hints_of(&taken);
    }
    match offer_of(context, definition).filter(|_| error.kind() == Kind::NoCapacity) {
        Some(offer) => {
            let reason = left_out(context, &offer);
            error.retold(reason.message()).hints_of(&reason)
        }
        None => error,
    }
}

/// Each device was judged alone by what the parent holds now; here those lose for which the ones
/// before them leave no room, in the words that the real start will have.
fn foresee(context: &Context<'_>, gpu: &ParentId, sizes: Sizes, changes: &mut [Change]) {
    let mut unrelated = Vec::new();
    let found = context.kernel.parents_named(gpu, &mut unrelated);
    let Some(parent) = found.ok().and_then(|parents| parents.into_iter().next()) else {
        return;
    };
    let mut inventory = inventory(context, &parent);
    inventory.limits.mixes_sizes |= sizes == Sizes::Mixed;
    let mut capacity = inventory.capacity();
    for change in changes {
        let is_to_start = match &change.effect {
            Effect::Planned(_) => true,
            Effect::Failed(error) => error.kind() == Kind::NoCapacity,
            _ => false,
        };
        let wanted = change.type_id.as_ref().filter(|_| is_to_start);
        let Some(at) = wanted.and_then(|id| capacity.type_at(id)) else {
            continue;
        };
        let mut next = capacity.clone();
        match next.admit(at) {
            Err(refusal) => {
                let wanted = &inventory.types[at];
                let error = no_room_for(wanted, &format!("{gpu} {}", refusal.words()));
                change.effect = Effect::Failed(error.hint(left_out_hint(gpu)));
            }
            // What fails for another reason takes no room.
            Ok(()) if change.error().is_none() => capacity = next,
            Ok(()) => {}
        }
    }
}

/// What the next boot starts on a parent's GPU, in order. Definitions that cannot be read are left out.
pub fn at_next_boot(context: &Context<'_>, parent: &Parent) -> Vec<Definition> {
    let definitions = context.store.all(&mut Vec::new()).unwrap_or_default();
    let mut all: Vec<Definition> = jobs(definitions.into_iter().filter(at_boot))
        .into_iter()
        .filter(|job| job.rival.is_none())
        .map(|job| job.definition)
        .filter(|definition| context.kernel.shares_gpu(parent, &definition.parent))
        .collect();
    let gpu = parent.gpu();
    let sizes = context.store.settings_of(gpu).unwrap_or_default().sizes;
    all.sort_by_cached_key(|one| turn(one, mib_in_turn(context, gpu, sizes, &one.type_id)));
    all
}

/// What the GPU's settings ask for, step by step; nothing where all is done. `None` where the GPU is still to come.
fn first_of_all(
    gpu: &ParentId,
    settings: &GpuSettings,
    dry_run: bool,
    deadline: Instant,
    context: &Context<'_>,
) -> Option<Vec<Change>> {
    if *settings == GpuSettings::default() {
        return Some(Vec::new());
    }
    let not_there = |error: &Error| error.kind() == Kind::NotFound && Instant::now() < deadline;
    let mut done = Vec::new();
    let prepared = match dry_run {
        true => prepare::plan(context, gpu, settings).map(|planned| done = planned),
        false => prepare::prepare(context, gpu, settings, deadline, &mut done),
    };
    if let Err(error) = unless_to_come(gpu, not_there, prepared)? {
        let error = error.hints(moved_settings_hint(context, gpu));
        done.push(prepare::as_change(gpu, Effect::Failed(error)));
    }
    Some(done)
}

/// What came of it; `None` where what it failed for is still to come.
fn unless_to_come<T>(
    gpu: &ParentId,
    still_to_come: impl Fn(&Error) -> bool,
    result: Result<T>,
) -> Option<Result<T>> {
    match result {
        Err(error) if still_to_come(&error) => {
            log::debug!("waiting for {gpu}: {error}");
            None
        }
        result => Some(result),
    }
}

fn at_boot(definition: &Definition) -> bool {
    definition.start == StartMode::Auto
}

/// A UUID that another parent has first.
pub fn contested(definition: &Definition, rival: &ParentId) -> Error {
    Error::new(
        Kind::Failed,
        format!(
            "{} is set to start on both {rival} and {}, but a UUID can be active only once",
            definition.uuid, definition.parent
        ),
    )
    .hint(format!(
        "make one of them manual: vgpuctl modify {} --parent {} --manual",
        definition.uuid, definition.parent
    ))
}
