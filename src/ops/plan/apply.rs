//! A plan carried out: what frees room first, then what takes it; GPUs at the same time, the vGPUs of
//! one GPU one after the other.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use uuid::Uuid;

use super::{Item, Plan, PlanRequest, Verdict, plan};
use crate::error::{Error, Kind, Result, if_present};
use crate::interrupt::{self, Patience};
use crate::model::{Definition, Device, ParentId, VgpuType};
use crate::ops::execute::{
    Done, Step, is_same, remove_idle, take, take_back, undo_all, with_failures,
};
use crate::ops::functions::note_functions;
use crate::ops::prepare::set_modes_if_wanted;
use crate::ops::together::at_once;
use crate::ops::{Answer, Context};
use crate::store::{Location, Lock};

/// Between two looks at whether holders have let go.
const PAUSE: Duration = Duration::from_millis(100);

/// Told at the begin and after each vGPU: how many are done, of how many. Never from two threads at once.
pub type Progress<'p> = &'p (dyn Fn(usize, usize) + Sync);

/// What to make a host into.
#[derive(Debug, Clone)]
pub struct ApplyDeclared {
    /// What is declared.
    pub plan: PlanRequest,
    /// How long to wait for holders of what is to change or go.
    pub wait: Duration,
}

/// A plan that was carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Carried {
    /// The plan.
    pub plan: Plan,
}

/// What became of one vGPU.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It is as declared now.
    Done,
    /// It was before.
    Already,
    /// It is not.
    Blocked,
}

impl Item {
    fn framebuffer_mib(&self) -> Option<u64> {
        let name = self.type_name.clone();
        VgpuType::unlisted(self.type_id.clone(), name, None).framebuffer_mib()
    }

    /// What became of it once its plan was carried out.
    pub fn outcome(&self) -> Outcome {
        match self.verdict {
            Verdict::Keep => Outcome::Already,
            Verdict::Blocked(_) => Outcome::Blocked,
            _ => Outcome::Done,
        }
    }
}

/// Makes the plan, once holders have let go of what is to change or the time is up.
///
/// # Errors
/// As [`plan`].
pub fn plan_patiently(context: &Context<'_>, request: &ApplyDeclared) -> Result<Answer<Plan>> {
    let begin = Instant::now();
    loop {
        let answer = plan(context, &request.plan)?;
        let waited = begin.elapsed();
        if !answer.value.is_held_up() || waited >= request.wait {
            return Ok(answer);
        }
        log::debug!("waiting for holders");
        thread::sleep(PAUSE.min(request.wait.saturating_sub(waited)));
    }
}

/// Does what a plan says. Where that fails, what was done is taken back.
///
/// # Errors
/// Why it failed, and what could not be taken back. What has changed since the plan was made is not
/// touched: that is a failure too.
pub fn apply(context: &Context<'_>, plan: Plan, progress: Progress<'_>) -> Result<Carried> {
    let patience = Patience::begin();
    let run = Run {
        context,
        log: Mutex::new(Vec::new()),
        failure: Mutex::new(None),
        stopped: AtomicBool::new(false),
        left_out: Mutex::new(Vec::new()),
        done: Mutex::new(0),
        between: AtomicUsize::new(0),
        total: plan.items.iter().filter(|i| !i.steps.is_empty()).count(),
        progress,
    };
    (run.progress)(0, run.total);
    let mut gpus = HashMap::new();
    for frees in [true, false] {
        run.phase(queues(context, &plan, frees, &mut gpus));
    }
    let (failure, done) = (unlocked(run.failure), unlocked(run.done));
    match failure {
        None if done == run.total => {
            note_kept(context, &plan);
            let left_out = unlocked(run.left_out);
            Ok(Carried {
                plan: without(plan, left_out),
            })
        }
        None => Err(interrupted(done, run.total, run.between.into_inner())),
        Some(error) => {
            patience.go_on();
            Err(take_back(context, &unlocked(run.log), error))
        }
    }
}

/// The plan without what found no room, of each of which there is a caution.
fn without(mut plan: Plan, left_out: Vec<(Uuid, Error)>) -> Plan {
    for (uuid, why) in left_out {
        let at = plan.items.iter().position(|item| item.uuid == uuid);
        let item = at.map(|at| plan.items.remove(at));
        let member = item.and_then(|item| item.member);
        let name = member.map_or_else(|| uuid.to_string(), |mark| mark.to_string());
        let message = format!("{name} is left out: {}", why.message());
        plan.cautions.push(why.retold(message));
    }
    plan
}

/// Those that were as declared may have definitions that name no virtual function.
fn note_kept(context: &Context<'_>, plan: &Plan) {
    let kept = plan
        .items
        .iter()
        .filter(|item| item.verdict == Verdict::Keep);
    let kept: HashSet<Uuid> = kept.map(|item| item.uuid).collect();
    if kept.is_empty() {
        return;
    }
    let devices = context.kernel.devices(&mut Vec::new()).unwrap_or_default();
    note_functions(
        context,
        devices.iter().filter(|device| kept.contains(&device.uuid)),
    );
}

/// What is done stays: the next run of the same command finds it as declared.
fn interrupted(done: usize, total: usize, between: usize) -> Error {
    let what = format!(
        "apply was ended by {}: {done} of {total} pending vGPU changes were made",
        interrupt::name()
    );
    let error = Error::new(Kind::Interrupted, what);
    let error = match between {
        0 => error,
        1 => error.hint("1 more is stopped and not yet recreated"),
        more => error.hint(format!("{more} more are stopped and not yet recreated")),
    };
    error.hint("nothing is left half done; run the same command again to continue")
}

/// The work of each GPU, in the order of the plan.
type Queues<'p> = BTreeMap<ParentId, Vec<Part<'p>>>;

/// What is done about one vGPU in one phase.
struct Part<'p> {
    steps: Vec<&'p Step>,
    /// The vGPU, if it is made only if there is room.
    optional: Option<Uuid>,
    /// The framebuffer of its type in MiB, where that is known.
    mib: Option<u64>,
    /// It is done then.
    is_last: bool,
    /// It is stopped in the first phase and made again in the second.
    is_made_anew: bool,
}

fn queues<'p>(
    context: &Context<'_>,
    plan: &'p Plan,
    frees: bool,
    gpus: &mut HashMap<ParentId, ParentId>,
) -> Queues<'p> {
    let mut queues: Queues = BTreeMap::new();
    for item in &plan.items {
        let steps: Vec<&Step> = item.steps.iter().filter(|s| s.frees() == frees).collect();
        let Some(first) = steps.first() else {
            continue;
        };
        let home = first.home();
        let gpu = gpus
            .entry(home.clone())
            .or_insert_with(|| context.kernel.gpu_of(home));
        let frees_only = item.steps.iter().all(Step::frees);
        let stops = item.steps.iter().any(|s| matches!(s, Step::Stop(_)));
        queues.entry(gpu.clone()).or_default().push(Part {
            steps,
            optional: item.is_optional.then_some(item.uuid),
            mib: item.framebuffer_mib(),
            is_last: !frees || frees_only,
            is_made_anew: stops && !frees_only,
        });
    }
    // Where a GPU serves several sizes, any other order can leave no placement ID for a large one.
    for work in queues.values_mut() {
        work.sort_by_key(|part| Reverse(part.mib));
    }
    queues
}

/// One run of a plan.
struct Run<'r, 'h> {
    context: &'r Context<'h>,
    log: Mutex<Vec<Done>>,
    failure: Mutex<Option<Error>>,
    /// Optional members that turned out to have no room, and why.
    left_out: Mutex<Vec<(Uuid, Error)>>,
    stopped: AtomicBool,
    done: Mutex<usize>,
    /// How many were stopped and are still to be made.
    between: AtomicUsize,
    total: usize,
    progress: Progress<'r>,
}

impl Run<'_, '_> {
    fn phase(&self, queues: Queues<'_>) {
        let queues: Vec<(&ParentId, &Vec<Part<'_>>)> = queues.iter().collect();
        at_once(&queues, |(gpu, work)| match self.one_gpu(gpu, work) {
            Err(error) if error.kind() == Kind::Interrupted => {}
            Err(error) => self.fail(error),
            Ok(()) => {}
        });
    }

    /// Keeps the first failure, and has all stop.
    fn fail(&self, error: Error) {
        self.stopped.store(true, Ordering::SeqCst);
        let mut failure = lock(&self.failure);
        *failure = Some(match failure.take() {
            Some(first) => first.hint(format!("also failed: {error}")),
            None => error,
        });
    }

    fn one_gpu(&self, gpu: &ParentId, work: &[Part<'_>]) -> Result<()> {
        let mut steps = work.iter().flat_map(|part| &part.steps);
        if steps.any(|step| matches!(step, Step::Make(_))) {
            set_modes_if_wanted(self.context, gpu)?;
        }
        for part in work {
            if self.stopped.load(Ordering::SeqCst) || interrupt::is_asked() {
                break;
            }
            self.one_part(part)?;
            match (part.is_made_anew, part.is_last) {
                (true, false) => self.between.fetch_add(1, Ordering::SeqCst),
                (true, true) => self.between.fetch_sub(1, Ordering::SeqCst),
                (false, _) => 0,
            };
            if part.is_last {
                // Told while it is counted, so that no smaller number comes after a larger one.
                let mut done = lock(&self.done);
                *done += 1;
                (self.progress)(*done, self.total);
            }
        }
        Ok(())
    }

    /// How many have room may have been a guess: an optional one that has none is left out.
    fn one_part(&self, part: &Part<'_>) -> Result<()> {
        let mut done = Vec::new();
        let made = self.one_item(&part.steps, &mut done);
        let (Err(error), Some(uuid)) = (&made, part.optional) else {
            lock(&self.log).extend(done);
            return made;
        };
        let undone = match error.kind() {
            Kind::NoCapacity => undo_all(self.context, &done),
            _ => {
                lock(&self.log).extend(done);
                return made;
            }
        };
        match undone.is_empty() {
            true => {
                lock(&self.left_out).push((uuid, error.clone()));
                Ok(())
            }
            false => Err(with_failures(error.clone(), undone)),
        }
    }

    /// Steps of one vGPU under one lock, as far as they are about one parent; what was done, also where one fails.
    fn one_item(&self, steps: &[&Step], log: &mut Vec<Done>) -> Result<()> {
        for steps in steps.chunk_by(|a, b| a.home() == b.home()) {
            let held = self.context.store.lock(steps[0].home())?;
            for step in steps {
                log.extend(take_step(self.context, &held, step)?);
            }
        }
        Ok(())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn unlocked<T>(mutex: Mutex<T>) -> T {
    mutex.into_inner().unwrap_or_else(PoisonError::into_inner)
}

/// Takes one step, if the host is still as it was when the plan was made. `None` where somebody else
/// has taken it meanwhile.
fn take_step(context: &Context<'_>, held: &Lock, step: &Step) -> Result<Option<Done>> {
    match is_due(context, held, step)? {
        true => take(context, held, step),
        false => Ok(None),
    }
}

/// Whether a step is still to be taken.
///
/// # Errors
/// The host has changed since the plan was made, so that it must not be.
fn is_due(context: &Context<'_>, held: &Lock, step: &Step) -> Result<bool> {
    let read = |at: &Definition| if_present(context.store.read(&Location::of(at)));
    match step {
        Step::Stop(device) => {
            context.kernel.settle(&device.parent);
            match context.kernel.device(device.uuid)? {
                None => Ok(false),
                Some(now) if now == *device => Ok(true),
                Some(now) => Err(made_anew(&now)),
            }
        }
        Step::Forget(definition) | Step::Leave(definition) => match read(definition)? {
            None => Ok(false),
            Some(now) if is_same(&now, definition) => Ok(true),
            Some(_) => Err(changed(context, definition)),
        },
        Step::Define(new, _) => match read(new)? {
            None => Ok(true),
            Some(now) if is_same(&now, new) => Ok(false),
            Some(_) => Err(changed(context, new)),
        },
        Step::Rewrite(both) | Step::Note(both) => match read(&both.1)? {
            Some(now) if is_same(&now, &both.0) => Ok(true),
            Some(now) if is_same(&now, &both.1) => Ok(false),
            _ => Err(changed(context, &both.1)),
        },
        Step::Make(what) => match read(what)?.is_some_and(|now| is_same(&now, what)) {
            true => is_to_be_made(context, held, what),
            false => Err(changed(context, what)),
        },
        Step::Delete(_) | Step::Set(..) | Step::Tell(_) => Ok(true),
    }
}

fn is_to_be_made(context: &Context<'_>, held: &Lock, what: &Definition) -> Result<bool> {
    let Some(device) = context.kernel.device(what.uuid)? else {
        return Ok(true);
    };
    let is_it = device.parent == what.parent && device.type_id == what.type_id;
    match (is_it, context.store.is_unfinished(device.uuid)) {
        (true, false) => Ok(false),
        (true, true) => remove_idle(context, &device, held).map(|()| true),
        (false, _) => Err(Error::new(
            Kind::Failed,
            format!(
                "{} is already active as {} on {}",
                device.uuid, device.type_id, device.parent
            ),
        )
        .hint(AGAIN)),
    }
}

fn made_anew(now: &Device) -> Error {
    Error::new(
        Kind::Failed,
        format!(
            "{} is now {} on {}: another process has recreated it",
            now.uuid, now.type_id, now.parent
        ),
    )
    .hint(AGAIN)
}

const AGAIN: &str = "see what is left to do: vgpuctl plan FILE";

fn changed(context: &Context<'_>, definition: &Definition) -> Error {
    Error::new(
        Kind::Failed,
        format!(
            "the definition of {} has changed since the plan was made",
            definition.uuid
        ),
    )
    .at(context.store.path(&Location::of(definition)))
    .hint(AGAIN)
}
