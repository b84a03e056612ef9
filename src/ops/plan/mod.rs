//! `plan`: what a host lacks of what is declared. `apply`: exactly that, done.
//!
//! One look at the host ([`observe`]), the declaration in its terms ([`resolve`]), what is there for
//! each member ([`matching`]), where the others go ([`place`]), and what that takes ([`steps`]).

mod adopt;
mod apply;
mod boot;
mod cautions;
mod export;
mod matching;
mod observe;
mod place;
#[cfg(test)]
mod random_tests;
mod resolve;
mod search;
mod setup;
mod space;
mod steps;
mod tell;
mod work;

use std::collections::HashSet;
use std::sync::Arc;

use uuid::Uuid;

use super::choose::types_to_come;
use super::execute::{Step, held_among};
use super::{Answer, Context};
use crate::declare::{Declaration, GroupName, MemberKey, Members, Unlisted};
use crate::error::{Error, Kind, Result, Warnings};
use crate::model::{ParentId, TypeId};
use crate::nvidia;
use crate::store::Mark;

pub use apply::{ApplyDeclared, Carried, Outcome, Progress, apply, plan_patiently};
pub use export::export;
use observe::World;
use resolve::{Identity, Wanted, in_group, resolve};
pub use setup::{GpuItem, SetUp, set_up};
use tell::foreign_notes;
use work::Draft;

/// What to compare a host with.
#[derive(Debug, Clone)]
pub struct PlanRequest {
    /// What is declared.
    pub declaration: Declaration,
}

/// What there is to do, a line for each vGPU that is declared or is to go.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Plan {
    /// The GPUs that the file sets up, by address.
    pub gpus: Vec<GpuItem>,
    /// Members in the order of the file, then what no group lists; none while a GPU is still to be prepared.
    pub items: Vec<Item>,
    /// Whether the file speaks of GPUs or devices that could not be read, which may not be as declared.
    pub is_partial: bool,
    /// What may not work though nothing is in its way.
    pub cautions: Warnings,
    /// Blocked members for which a GPU in mixed-size mode has enough memory, but no placement ID.
    without_placement: HashSet<Uuid>,
}

/// One vGPU, and what is to become of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// Its UUID.
    pub uuid: Uuid,
    /// Whose member it is; `None` for what no group lists.
    pub member: Option<Mark>,
    /// Where it is, or is to be, as far as that is known.
    pub parent: Option<ParentId>,
    /// The virtual function of it that it is, or is to be, on; `None` where that is left open, or the
    /// parent itself.
    pub vf: Option<ParentId>,
    /// The type that it is to have; of what goes, the one that it has.
    pub type_id: TypeId,
    /// The type's name for people.
    pub type_name: Option<Arc<str>>,
    /// What is to become of it.
    pub verdict: Verdict,
    steps: Vec<Step>,
    /// Whether it is made only if there is room, and nothing of it is there yet.
    is_optional: bool,
}

/// What is to become of a vGPU.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It is made. Why, in words.
    Create(String),
    /// It is as declared.
    Keep,
    /// Each difference: "start: manual -> auto".
    Change(Vec<String>),
    /// It goes. Why, in words.
    Remove(String),
    /// It is not as declared, and cannot be made so now.
    Blocked(Error),
}

/// How many vGPUs there are of each verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Summary {
    /// To be made.
    pub create: usize,
    /// As declared.
    pub keep: usize,
    /// To be changed.
    pub change: usize,
    /// To be removed.
    pub remove: usize,
    /// Not possible now.
    pub blocked: usize,
}

impl Plan {
    /// Counts the items.
    pub fn summary(&self) -> Summary {
        let mut summary = Summary::default();
        for item in &self.items {
            *match &item.verdict {
                Verdict::Create(_) => &mut summary.create,
                Verdict::Keep => &mut summary.keep,
                Verdict::Change(_) => &mut summary.change,
                Verdict::Remove(_) => &mut summary.remove,
                Verdict::Blocked(_) => &mut summary.blocked,
            } += 1;
        }
        summary
    }

    /// Whether the host is as declared.
    pub fn is_empty(&self) -> bool {
        let mut gpus = self.gpus.iter();
        gpus.all(GpuItem::is_set_up) && self.items.iter().all(|item| item.verdict == Verdict::Keep)
    }

    /// Whether there is something that can be done.
    pub fn has_work(&self) -> bool {
        self.items.iter().any(|item| !item.steps.is_empty()) || self.sets_up()
    }

    /// Whether a GPU can be set up.
    pub fn sets_up(&self) -> bool {
        let is_due = |gpu: &GpuItem| !gpu.is_set_up() && gpu.blocked.is_none();
        self.gpus.iter().any(is_due)
    }

    /// Whether vGPUs can only be planned once a GPU is prepared.
    pub fn is_first_part(&self) -> bool {
        self.gpus.iter().any(GpuItem::is_to_be_prepared)
    }

    /// Refuses a declaration that memory admits and placement IDs do not: what it asks for together can never start.
    ///
    /// # Errors
    /// [`Kind::NoCapacity`], with how many of the first such group fit.
    pub fn refuse_without_placement(&self) -> Result<()> {
        let mut items = self.items.iter();
        let Some(item) = items.find(|item| self.without_placement.contains(&item.uuid)) else {
            return Ok(());
        };
        let (Some(mark), Verdict::Blocked(why)) = (&item.member, &item.verdict) else {
            return Ok(());
        };
        let of_group = |item: &&Item| {
            let member = item.member.as_ref();
            member.is_some_and(|other| other.group == mark.group)
        };
        let all = self.items.iter().filter(of_group);
        let (lost, fit): (Vec<&Item>, Vec<&Item>) =
            all.partition(|item| matches!(item.verdict, Verdict::Blocked(_)));
        let name = item.type_name.as_deref().map_or_else(
            || item.type_id.to_string(),
            |name| nvidia::short_name(name).to_owned(),
        );
        let total = lost.len() + fit.len();
        let (group, fit) = (&mark.group, fit.len());
        let message = format!("group {group} declares {total} x {name}, of which {fit} fit");
        Err(Error::new(Kind::NoCapacity, message)
            .hint(why.message())
            .hint("nothing was changed; see what fits: vgpuctl types"))
    }

    /// Whether a process stands in the way of something.
    pub fn is_held_up(&self) -> bool {
        self.items.iter().any(|item| match &item.verdict {
            Verdict::Blocked(error) => error.kind() == Kind::InUse,
            _ => false,
        })
    }
}

/// Compares a host with what is declared; changes nothing.
///
/// # Errors
/// The host cannot be listed at all; the declaration names a GPU, type or attribute that is not there,
/// or one UUID twice; UUIDs are to be derived and the host has no machine id.
pub fn plan(context: &Context<'_>, request: &PlanRequest) -> Result<Answer<Plan>> {
    let gpus = setup::setups(context, &request.declaration)?;
    if gpus.iter().any(GpuItem::is_to_be_prepared) {
        let value = Plan {
            gpus,
            ..Plan::default()
        };
        return Ok(Answer {
            value,
            warnings: Vec::new(),
            notes: vec![LATER.to_owned()],
        });
    }
    let world = observe::observe(context, &gpus)?;
    let mut identity = Identity::Of(context.host);
    let wanted = resolve(&world, &request.declaration, &mut identity)
        .map_err(|error| error.with_unread(&world.warnings))
        .map_err(|error| match error.kind() {
            Kind::NotFound => error.hints(types_to_come(context)),
            _ => error,
        })?;
    check_attrs(context, &world, &wanted)?;
    let draft = Draft::of(&world, &wanted, &request.declaration.unlisted);
    let held = held_among(context, draft.may_stop())?;
    let plan = Plan {
        gpus,
        is_partial: world.is_partial && speaks_of_all(&request.declaration),
        ..draft.plan(&held)
    };
    refuse_long(context, &plan)?;
    let notes = foreign_notes(&world, &request.declaration);
    Ok(Answer {
        value: plan,
        warnings: world.warnings,
        notes,
    })
}

/// The note of a plan that is only about GPUs: which types a GPU has is known when it is set up.
pub const LATER: &str = "the vGPUs of the file are planned once these GPUs are set up";

/// Refuses definitions that would not be read again, before any step is taken.
fn refuse_long(context: &Context<'_>, plan: &Plan) -> Result<()> {
    let steps = plan.items.iter().flat_map(|item| &item.steps);
    for step in steps {
        match step {
            Step::Define(new, _) => context.store.refuse_long(new)?,
            Step::Rewrite(both) => context.store.refuse_long(&both.1)?,
            _ => {}
        }
    }
    Ok(())
}

/// What no device on one of a group's GPUs can have is a mistake in the file.
fn check_attrs(context: &Context<'_>, world: &World, wanted: &[Wanted<'_>]) -> Result<()> {
    for one in wanted {
        for gpu in &one.gpus {
            let parent = world.gpus[*gpu].as_parent(None);
            let framework = context.kernel.serving(&parent);
            for attr in &one.group.attrs {
                let checked = framework.check_attr(&attr.name);
                checked.map_err(|error| in_group(one.group, error))?;
            }
        }
    }
    Ok(())
}

/// Whether it is about each GPU, or about what it does not list.
fn speaks_of_all(declaration: &Declaration) -> bool {
    let mut groups = declaration.groups.iter();
    let is_of_each = |members: &Members| matches!(members, Members::PerGpu(_));
    declaration.unlisted != Unlisted::Keep || groups.any(|group| is_of_each(&group.members))
}

/// "desks/3".
pub fn label(group: &GroupName, key: &MemberKey) -> String {
    format!("{group}/{key}")
}
