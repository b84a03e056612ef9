//! The commands that change something.

use std::path::{Path, PathBuf};
use std::time::Duration;

use uuid::Uuid;

use super::args::{DefineArgs, ModifyArgs, StartArgs, StartParentArgs, StopArgs, UndefineArgs};
use super::list::told_by_script;
use crate::dir::LARGEST_FILE;
use crate::error::{Error, Kind, Result};
use crate::host::{Named, read_named};
use crate::model::{Attr, Definition, Device, ParentId, StartMode, TypeId};
use crate::ops::{
    self, Action, AttrEdit, Context, ModifyRequest, Report, RestoreRequest, Selector, StartRequest,
    StopRequest, TypeChoice, UndefineRequest, UuidGiven,
};
use crate::store::{Location, understand};

/// `define`: prints the UUID where none was given.
pub fn define(context: &Context<'_>, args: DefineArgs) -> Result<String> {
    let uuid = args.uuid.unwrap_or_else(Uuid::new_v4);
    let wanted = match (&args.jsonfile, args.parent) {
        (Some(file), Some(parent)) => Wanted::Described(read_file(file)?.describes(parent, uuid)?),
        (Some(_), None) => return Err(refused("--jsonfile needs --parent")),
        (None, parent) => from_options(context, uuid, parent, args.type_id, args.auto)?,
    };
    match wanted {
        Wanted::Described(definition) => ops::record(context, &definition, Action::Define)?,
        Wanted::Running(definition) => ops::record_running(context, definition)?,
    };
    Ok(answer(args.uuid, uuid))
}

/// What options say, filled up from the active device of that UUID.
fn from_options(
    context: &Context<'_>,
    uuid: Uuid,
    parent: Option<ParentId>,
    type_id: Option<TypeId>,
    auto: bool,
) -> Result<Wanted> {
    let start = if auto {
        StartMode::Auto
    } else {
        StartMode::Manual
    };
    let active = context.kernel.device(uuid)?;
    let parent = match (parent, &active, &type_id) {
        (Some(parent), _, _) => parent,
        (None, Some(device), None) => device.parent.clone(),
        (None, Some(_), Some(_)) => return Err(refused("--type needs --parent")),
        (None, None, _) => {
            return Err(refused(&format!(
                "{uuid} is not active, so --parent is needed"
            )));
        }
    };
    let type_id = type_id
        .or_else(|| active.as_ref().map(|device| device.type_id.clone()))
        .ok_or_else(|| refused(&format!("{uuid} is not active, so --type is needed")))?;
    let definition = Definition::new(uuid, parent, type_id, start);
    Ok(match active {
        Some(_) => Wanted::Running(definition),
        None => Wanted::Described(definition),
    })
}

/// What `define` is to write.
enum Wanted {
    /// This.
    Described(Definition),
    /// This, with the attributes that the active device has.
    Running(Definition),
}

/// `undefine`: all definitions of the UUID, or the one under a parent.
pub fn undefine(context: &Context<'_>, args: UndefineArgs) -> Result<String> {
    let places = definitions_of(context, args.uuid, args.parent.as_ref())?;
    if places.is_empty() {
        return Err(not_defined(args.uuid));
    }
    // Each goes or stays by itself; the first that stays is the error.
    let undefine = |at: Location| {
        let request = UndefineRequest {
            selectors: vec![selector(at.uuid, Some(at.parent))],
            dry_run: false,
        };
        first_error(ops::undefine(context, &request))
    };
    let results: Vec<Result<()>> = places.into_iter().map(undefine).collect();
    results.into_iter().collect::<Result<()>>()?;
    Ok(String::new())
}

/// `modify`: the definition, the active device, or both.
pub fn modify(context: &Context<'_>, args: ModifyArgs) -> Result<String> {
    let device = match args.live {
        true => Some(to_change_live(context, &args)?),
        false => None,
    };
    // Read once: it may be standard input.
    let whole = match &args.jsonfile {
        Some(file) => Some(read_file(file)?),
        None => None,
    };
    let Some(device) = device else {
        return modify_defined(context, &args, args.parent.as_ref(), whole.as_ref());
    };
    modify_live(context, &args, &device, whole.as_ref())?;
    match args.defined {
        true => modify_defined(context, &args, Some(&device.parent), whole.as_ref()),
        false => Ok(String::new()),
    }
}

fn modify_defined(
    context: &Context<'_>,
    args: &ModifyArgs,
    parent: Option<&ParentId>,
    whole: Option<&File>,
) -> Result<String> {
    let edits = edits(args, parent, whole)?;
    let places = definitions_of(context, args.uuid, parent)?;
    if let (Some(file), Some(parent), true) = (whole, parent, places.is_empty()) {
        let wanted = file.describes(parent.clone(), args.uuid)?;
        ops::record(context, &wanted, Action::Modify)?;
        return Ok(String::new());
    }
    let at = only_of(places, args.uuid)?;
    let request = ModifyRequest {
        function: None,
        selector: selector(at.uuid, Some(at.parent)),
        type_choice: edits.type_id.map(TypeChoice::Exactly),
        start: edits.start,
        attrs: edits.attrs,
        params: Vec::new(),
        dry_run: false,
    };
    first_error(ops::modify(context, &request)?)?;
    Ok(String::new())
}

/// The active device that is to change. Its attributes are asked for, because scripts of mdevctl's
/// see that question first; what they answer does not matter.
fn to_change_live(context: &Context<'_>, args: &ModifyArgs) -> Result<Device> {
    if args.auto || args.manual {
        return Err(refused("an active device has no start mode to change"));
    }
    let Some(device) = active_on(context, args.uuid, args.parent.as_ref())? else {
        return Err(refused(&format!("{} is not active", args.uuid)));
    };
    let described = Definition::new(
        device.uuid,
        device.parent.clone(),
        device.type_id.clone(),
        StartMode::Manual,
    );
    if let Err(error) = told_by_script(context, &described) {
        log::warn!("{error}");
    }
    Ok(device)
}

/// Changes the active device; with its definition to follow, only where that can be done.
fn modify_live(
    context: &Context<'_>,
    args: &ModifyArgs,
    device: &Device,
    whole: Option<&File>,
) -> Result<()> {
    let file = whole.ok_or_else(|| refused("--live needs --jsonfile"))?;
    let wanted = file.describes(device.parent.clone(), args.uuid)?;
    if wanted.type_id != device.type_id {
        return Err(refused("the type of an active device cannot be changed"));
    }
    if args.defined {
        let places = definitions_of(context, args.uuid, Some(&device.parent))?;
        let defined = context.store.read(&only_of(places, args.uuid)?)?;
        if defined.type_id != device.type_id {
            return Err(refused(&format!(
                "{} is active as {} and defined as {}",
                args.uuid, device.type_id, defined.type_id
            )));
        }
        let attrs = wanted.attrs.clone();
        context
            .store
            .refuse_long(&Definition { attrs, ..defined })?;
    }
    ops::modify_live(context, &wanted)
}

/// What `modify` was asked to change.
struct Edits {
    type_id: Option<TypeId>,
    start: Option<StartMode>,
    attrs: Vec<AttrEdit>,
}

fn edits(args: &ModifyArgs, parent: Option<&ParentId>, whole: Option<&File>) -> Result<Edits> {
    if let Some(file) = whole {
        let parent = parent
            .ok_or_else(|| refused("--jsonfile needs --parent"))?
            .clone();
        let wanted = file.describes(parent, args.uuid)?;
        let appended = wanted.attrs.into_iter().map(AttrEdit::Append);
        return Ok(Edits {
            type_id: Some(wanted.type_id),
            start: Some(wanted.start),
            attrs: [AttrEdit::Clear].into_iter().chain(appended).collect(),
        });
    }
    let index = args
        .index
        .map(|index| usize::try_from(index).unwrap_or(usize::MAX));
    let attr = match (&args.addattr, &args.value, args.delattr) {
        (Some(name), Some(value), _) => Some(match index {
            Some(index) => AttrEdit::Insert(index, Attr::new(name, value)?),
            None => AttrEdit::Append(Attr::new(name, value)?),
        }),
        (_, _, true) => Some(match index {
            Some(index) => AttrEdit::Delete(index),
            None => AttrEdit::DeleteLast,
        }),
        _ => None,
    };
    Ok(Edits {
        type_id: args.type_id.clone(),
        start: match (args.auto, args.manual) {
            (true, _) => Some(StartMode::Auto),
            (_, true) => Some(StartMode::Manual),
            _ => None,
        },
        attrs: attr.into_iter().collect(),
    })
}

/// `start`: a defined device, or one that is described here.
pub fn start(context: &Context<'_>, args: StartArgs) -> Result<String> {
    let uuid = args.uuid.unwrap_or_else(Uuid::new_v4);
    if let Some(device) = context.kernel.device(uuid)? {
        return Err(refused(&format!(
            "{uuid} is active already, as {} on {}",
            device.type_id, device.parent
        )));
    }
    if let Some(file) = &args.jsonfile {
        let parent = args
            .parent
            .ok_or_else(|| refused("--jsonfile needs --parent"))?;
        let wanted = read_file(file)?.describes(parent, uuid)?;
        make(context, wanted)?;
        return Ok(answer(args.uuid, uuid));
    }
    let places = definitions_of(context, uuid, args.parent.as_ref())?;
    match (places.as_slice(), args.parent, args.type_id) {
        ([at], _, type_id) => start_defined(context, at, type_id.as_ref())?,
        ([], Some(parent), Some(type_id)) => {
            make(
                context,
                Definition::new(uuid, parent, type_id, StartMode::Manual),
            )?;
        }
        ([], _, _) => {
            return Err(refused(&format!(
                "{uuid} is not defined, so --parent and --type are needed"
            )));
        }
        (_, _, _) => return Err(several(uuid)),
    }
    Ok(answer(args.uuid, uuid))
}

fn start_defined(context: &Context<'_>, at: &Location, type_id: Option<&TypeId>) -> Result<()> {
    let definition = context.store.read(at)?;
    if type_id.is_some_and(|type_id| *type_id != definition.type_id) {
        return Err(refused(&format!(
            "{} is defined as {} on {}",
            at.uuid, definition.type_id, at.parent
        )));
    }
    let request = StartRequest {
        selectors: vec![selector(at.uuid, Some(at.parent.clone()))],
        dry_run: false,
    };
    first_error(ops::start(context, &request))
}

/// Makes a device that is gone after a reboot.
fn make(context: &Context<'_>, wanted: Definition) -> Result<()> {
    refuse_unknown(context, &wanted.parent, &wanted.type_id)?;
    ops::start_as_described(context, &wanted)
}

/// `stop`.
pub fn stop(context: &Context<'_>, args: StopArgs) -> Result<String> {
    if context.kernel.device(args.uuid)?.is_none() {
        return Err(refused(&format!("{} is not active", args.uuid)));
    }
    let request = StopRequest {
        selectors: vec![selector(args.uuid, None)],
        wait: Duration::ZERO,
        dry_run: false,
    };
    first_error(ops::stop(context, &request))?;
    Ok(String::new())
}

/// `start-parent-mdevs`: what is defined to start with the parent, one line for each that fails.
pub fn start_parent(context: &Context<'_>, args: StartParentArgs) -> Result<String> {
    let request = RestoreRequest {
        parent: Some(args.parent),
        wait: Duration::ZERO,
        dry_run: false,
        now: false,
    };
    let report = ops::restore(context, &request)?;
    for warning in &report.warnings {
        log::warn!("{warning}");
    }
    let failed: Vec<&Error> = report.changes.iter().filter_map(|c| c.error()).collect();
    for error in &failed {
        log::warn!("{error}");
    }
    match failed.len() + report.warnings.len() {
        0 => Ok(String::new()),
        count => Err(refused(&format!(
            "{count} of its devices could not be started"
        ))),
    }
}

fn answer(given: Option<Uuid>, uuid: Uuid) -> String {
    match given {
        Some(_) => String::new(),
        None => format!("{uuid}\n"),
    }
}

fn first_error(report: Report) -> Result<()> {
    let error = report
        .changes
        .into_iter()
        .find_map(|change| change.error().cloned());
    error.map_or(Ok(()), Err)
}

fn refused(message: &str) -> Error {
    Error::new(Kind::Failed, message)
}

fn not_defined(uuid: Uuid) -> Error {
    refused(&format!("{uuid} is not defined"))
}

fn several(uuid: Uuid) -> Error {
    refused(&format!(
        "{uuid} is defined under several parents, so --parent is needed"
    ))
}

fn selector(uuid: Uuid, parent: Option<ParentId>) -> Selector {
    Selector {
        uuid: UuidGiven::Whole(uuid),
        parent,
    }
}

fn active_on(
    context: &Context<'_>,
    uuid: Uuid,
    parent: Option<&ParentId>,
) -> Result<Option<Device>> {
    let device = context.kernel.device(uuid)?;
    Ok(device.filter(|device| parent.is_none_or(|parent| *parent == device.parent)))
}

fn definitions_of(
    context: &Context<'_>,
    uuid: Uuid,
    parent: Option<&ParentId>,
) -> Result<Vec<Location>> {
    let mut places = context.store.index(&mut Vec::new())?;
    places.retain(|at| at.uuid == uuid && parent.is_none_or(|parent| *parent == at.parent));
    Ok(places)
}

fn only_of(mut places: Vec<Location>, uuid: Uuid) -> Result<Location> {
    match (places.pop(), places.is_empty()) {
        (Some(only), true) => Ok(only),
        (None, _) => Err(not_defined(uuid)),
        (Some(_), false) => Err(several(uuid)),
    }
}

/// Refuses a parent that is not there, or has no such type, with what was probably meant.
fn refuse_unknown(context: &Context<'_>, parent: &ParentId, type_id: &TypeId) -> Result<()> {
    let mut unrelated = Vec::new();
    let parents = context.kernel.parents(&mut unrelated)?;
    let Some(found) = parents.iter().find(|p| p.id == *parent) else {
        let near = parents.iter().map(|p| p.id.as_str());
        return Err(unknown("parent", parent.as_str(), near));
    };
    let types = context
        .kernel
        .serving(found)
        .types(parent, &mut unrelated)?;
    match types.iter().any(|t| t.id == *type_id) {
        true => Ok(()),
        false => {
            let near = types.iter().map(|t| t.id.as_str());
            Err(unknown(
                &format!("type on {parent}"),
                type_id.as_str(),
                near,
            ))
        }
    }
}

fn unknown<'a>(what: &str, name: &str, mut known: impl Iterator<Item = &'a str>) -> Error {
    let message = format!("there is no {what} of the name {name}");
    match known.find(|known| known.eq_ignore_ascii_case(name)) {
        Some(near) => refused(&format!("{message}. Did you mean {near}?")),
        None => refused(&message),
    }
}

/// A file that describes a device.
struct File {
    path: PathBuf,
    named: Named,
}

/// In MiB: no definition is read that is longer.
const LONGEST_FILE: usize = LARGEST_FILE >> 20;

fn read_file(path: &Path) -> Result<File> {
    Ok(File {
        path: path.to_owned(),
        named: read_named(path, "the description", LONGEST_FILE)?,
    })
}

impl File {
    fn describes(&self, parent: ParentId, uuid: Uuid) -> Result<Definition> {
        let described = understand(parent, uuid, &self.named.bytes);
        let described = described.map_err(|error| match &self.named.unshown {
            Some(why) => {
                let at = line(error.message())
                    .map_or_else(String::new, |line| format!(" in line {line}"));
                let message = format!("it describes no device{at}, and is not shown: {why}");
                Error::new(error.kind(), message)
            }
            None => error,
        });
        let mut definition = described.map_err(|error| error.at(&self.path))?;
        // What the file says beside our three keys is the caller's, not the definition's.
        definition.document.clear();
        Ok(definition)
    }
}

/// The line that a message about JSON names.
fn line(message: &str) -> Option<usize> {
    let (_, place) = message.rsplit_once(" at line ")?;
    place.split(' ').next()?.parse().ok()
}
