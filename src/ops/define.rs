//! `define` and `undefine`: definitions alone, without touching the kernel.

use uuid::Uuid;

use super::cautions::{Ahead, set_cautions};
use super::choose::type_for_definition;
use super::execute::{Step, all_or_nothing, around, in_order, subject};
use super::functions::{crowd_cautions, function_now, named};
use super::home::home_of;
use super::rivals::rival_cautions;
use super::stop::{change, each};
use super::target::find;
use super::{Action, Change, Context, Effect, Report, Selector};
use crate::error::{Error, Kind, Result};
use crate::model::{Attr, Definition, ParentId, StartMode};
use crate::store::Location;

/// What to define.
#[derive(Debug, Clone)]
pub struct DefineRequest {
    /// The type's id, full name or short name.
    pub type_name: String,
    /// Under which parent; it need not be there now.
    pub parent: ParentId,
    /// Under which UUID; else a random one.
    pub uuid: Option<Uuid>,
    /// Whether it is started at boot.
    pub start: StartMode,
    /// What is written to the device after it is made, in order.
    pub attrs: Vec<Attr>,
    /// Show what would be done without changing anything.
    pub dry_run: bool,
}

/// What to undefine.
#[derive(Debug, Clone)]
pub struct UndefineRequest {
    /// Which definitions.
    pub selectors: Vec<Selector>,
    /// Show what would be done without changing anything.
    pub dry_run: bool,
}

/// Writes a definition.
///
/// # Errors
/// The UUID is defined under this parent already; the parent is there and has no such type.
pub fn define(context: &Context<'_>, request: &DefineRequest) -> Result<Report> {
    let (type_id, notes) = type_for_definition(context, &request.type_name, &request.parent)?;
    let uuid = request.uuid.unwrap_or_else(Uuid::new_v4);
    let home = home_of(context, &request.parent)?;
    let mut definition = Definition::on(&home, uuid, type_id, request.start);
    definition.attrs.clone_from(&request.attrs);
    // One that runs already is to have the same function after the next boot.
    if request.uuid.is_some() {
        definition.vf = function_now(context, &definition);
    }
    let mut change = match request.dry_run {
        false => record(context, &definition, Action::Define)?,
        true => {
            refuse_defined(context, &Location::of(&definition))?;
            context.store.refuse_long(&definition)?;
            as_change(context, &definition, Effect::Planned(Action::Define))
        }
    };
    if request.dry_run {
        change.uuid = request.uuid;
    }
    let mut report = Report::of(vec![change]);
    report.notes = notes;
    let at = Location::of(&definition);
    if request.start == StartMode::Auto {
        let ahead = Ahead::new(request.uuid, definition.type_id.clone()).on(named(&definition));
        let planned = match request.dry_run {
            true => vec![ahead],
            false => Vec::new(),
        };
        report.cautions = set_cautions(context, &request.parent, &planned);
        report.cautions.extend(crowd_cautions(context, &definition));
        // One that was made up for it is nobody else's.
        if request.uuid.is_some() {
            report.cautions.extend(rival_cautions(context, &at));
        }
    }
    Ok(report)
}

/// Writes a new definition as it is, whether or not its parent and type are there. Scripts are notified
/// of it as the action that it is to the caller.
///
/// # Errors
/// The UUID is defined under this parent already.
pub fn record(context: &Context<'_>, definition: &Definition, action: Action) -> Result<Change> {
    all_or_nothing(context, &definition.parent, || {
        refuse_defined(context, &Location::of(definition))?;
        Ok((vec![Step::Define(definition.clone(), action)], ()))
    })?;
    Ok(as_change(context, definition, Effect::Done(action)))
}

/// As [`record`], with the attributes that a script tells of the active device.
///
/// # Errors
/// As [`record`]; the script that was asked failed, or gave no sensible answer.
pub fn record_running(context: &Context<'_>, mut definition: Definition) -> Result<Change> {
    let lock = context.store.lock(&definition.parent)?;
    refuse_defined(context, &Location::of(&definition))?;
    let bare = definition.clone();
    around(context, &bare, Action::Define, || {
        let answered = context.scripts.attributes(&subject(&bare))?;
        definition.attrs = answered.unwrap_or_default();
        context.store.write(&lock, &definition)
    })?;
    Ok(as_change(context, &bare, Effect::Done(Action::Define)))
}

fn as_change(context: &Context<'_>, definition: &Definition, effect: Effect) -> Change {
    let Definition {
        parent, type_id, ..
    } = definition;
    let change = Change {
        uuid: Some(definition.uuid),
        vf: definition.vf.clone(),
        parent: Some(parent.clone()),
        type_id: Some(type_id.clone()),
        ..Change::of(effect)
    };
    change.named(context)
}

fn refuse_defined(context: &Context<'_>, at: &Location) -> Result<()> {
    let defined = Error::new(
        Kind::Failed,
        format!("{} is already defined on {}", at.uuid, at.parent),
    )
    .at(context.store.path(at));
    match context.store.read(at) {
        Ok(_) => Err(defined.hint(format!("change it with: vgpuctl modify {}", at.uuid))),
        Err(error) if error.is_absent() => Ok(()),
        // What is there and makes no sense is defined too.
        Err(error) if error.errno().is_none() => {
            Err(defined.hint(format!("{}: vgpuctl undefine {}", error.message(), at.uuid)))
        }
        Err(error) => Err(error),
    }
}

/// Deletes definitions, readable or not; active devices stay.
pub fn undefine(context: &Context<'_>, request: &UndefineRequest) -> Report {
    let one = |selector: &Selector| {
        let target = find(context, selector)?;
        let at = target.only_definition(context)?;
        if request.dry_run {
            return Ok(change(context, &target, Effect::Planned(Action::Undefine)));
        }
        let before = change(context, &target, Effect::Done(Action::Undefine));
        in_order(context, &at.parent, || Ok(vec![Step::Delete(at.clone())]))?;
        Ok(before)
    };
    each(&request.selectors, one)
}
