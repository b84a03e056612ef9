//! `modify`: a definition changed; of the device that runs, only the parameters.

use std::str::FromStr;

use super::cautions::{Ahead, set_cautions};
use super::choose::type_for_definition;
use super::execute::{Done, Step, all_or_nothing, held};
use super::functions::{crowd_cautions, function_now};
use super::params::{holds_params, params_in, params_now, with_params};
use super::pick_type::{TypeWants, pick_type};
use super::rivals::rival_cautions;
use super::target::find;
use super::{Action, Change, Context, Effect, Report, Selector};
use crate::error::{Error, Kind, Result, Warnings};
use crate::model::{Attr, Definition, Device, FrameworkKind, ParentId, StartMode, TypeId};
use crate::nvidia::params::{ParamEdit, Params, doubts};
use crate::store::Location;
use crate::text::quoted;

/// A change to the list of attributes. Indexes count from 0 in the list as it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AttrEdit {
    /// Adds one at the end.
    Append(Attr),
    /// Puts another in the place of one.
    Replace(usize, Attr),
    /// Takes one out.
    Delete(usize),
    /// Adds one in front of the one of that index.
    Insert(usize, Attr),
    /// Takes out the last one, if there is one.
    DeleteLast,
    /// Takes out all that were there before.
    Clear,
}

/// Another type for a definition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TypeChoice {
    /// By its id, full name or short name, which must be one of the parent's if that is there.
    Named(String),
    /// By its id, whatever the parent offers.
    Exactly(TypeId),
    /// The one of the parent's that is so.
    Fitting(TypeWants),
}

/// The virtual function that a definition is to name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FunctionChoice {
    /// None: at its next start it gets one that is free.
    Any,
    /// This one.
    This(ParentId),
}

impl FromStr for FunctionChoice {
    type Err = Error;

    fn from_str(text: &str) -> Result<FunctionChoice> {
        if text == "any" {
            return Ok(FunctionChoice::Any);
        }
        let vf: ParentId = text.to_ascii_lowercase().parse()?;
        match vf.is_pci_address() {
            true => Ok(FunctionChoice::This(vf)),
            false => Err(Error::new(
                Kind::Usage,
                format!("{} is neither a PCI address nor \"any\"", quoted(text)),
            )),
        }
    }
}

/// What to change about a definition.
#[derive(Debug, Clone)]
pub struct ModifyRequest {
    /// Which definition.
    pub selector: Selector,
    /// Another type.
    pub type_choice: Option<TypeChoice>,
    /// Another start mode.
    pub start: Option<StartMode>,
    /// Another virtual function.
    pub function: Option<FunctionChoice>,
    /// Changes to the attributes.
    pub attrs: Vec<AttrEdit>,
    /// Changes to the vGPU's parameters, made after those to the attributes. They are set on the
    /// running device too.
    pub params: Vec<ParamEdit>,
    /// Show what would be done without changing anything.
    pub dry_run: bool,
}

/// Changes a definition, as one step that no other change is lost to.
///
/// # Errors
/// It is not there, cannot be understood, or has no attribute of an index; parameters are to change
/// and somebody uses the device ([`Kind::InUse`]); nothing was written.
pub fn modify(context: &Context<'_>, request: &ModifyRequest) -> Result<Report> {
    let target = find(context, &request.selector)?;
    let at = target.only_definition(context)?.clone();
    let mut notes = doubts(&request.params);
    let type_id = match &request.type_choice {
        Some(TypeChoice::Exactly(id)) => Some(id.clone()),
        Some(TypeChoice::Fitting(wants)) => Some(pick_type(context, *wants, Some(&at.parent))?),
        Some(TypeChoice::Named(name)) => {
            let (id, said) = type_for_definition(context, name, &at.parent)?;
            notes.extend(said);
            Some(id)
        }
        None => None,
    };
    let change_it = |mut definition: Definition| -> Result<Definition> {
        if let Some(id) = &type_id {
            definition.type_id = id.clone();
        }
        definition.start = request.start.unwrap_or(definition.start);
        if let Some(choice) = &request.function {
            definition.vf = function_for(context, &at, choice)?;
        } else {
            definition.vf = function_now(context, &definition);
        }
        let attrs = edited(definition.attrs, &request.attrs)?;
        definition.attrs = with_params(attrs, &request.params)?;
        context.store.refuse_long(&definition)?;
        Ok(definition)
    };

    let mut is_set = false;
    let (old, new) = if request.dry_run {
        let old = context.store.read(&at)?;
        idle_device(context, request, &at)?;
        (old.clone(), change_it(old)?)
    } else {
        let (done, both) = all_or_nothing(context, &at.parent, || {
            let old = context.store.read(&at)?;
            let new = change_it(old.clone())?;
            let device = idle_device(context, request, &at)?;
            Ok((steps(&old, &new, device), (old, new)))
        })?;
        is_set = done.iter().any(|done| matches!(done, Done::Set(..)));
        both
    };
    let effect = match (new == old && !is_set, request.dry_run) {
        (true, _) => Effect::Already("up to date"),
        (false, true) => Effect::Planned(Action::Modify),
        (false, false) => Effect::Done(Action::Modify),
    };
    if let Some(device) = &target.device {
        if is_set {
            notes.push(seen(context, device, &params_in(&new.attrs)));
        }
        notes.extend(difference(request, &old, &new, device));
    }
    let cautions = boot_set_cautions(context, &old, &new);
    let change = Change {
        uuid: Some(at.uuid),
        parent: Some(at.parent),
        vf: new.vf.clone(),
        type_id: Some(new.type_id),
        ..Change::of(effect)
    };
    let mut report = Report::of(vec![change.named(context)]);
    report.notes = notes;
    report.cautions = cautions;
    Ok(report)
}

/// The function that a definition is to name.
///
/// # Errors
/// [`Kind::Usage`] for a mediated device, whose parent says where it is, and for a function that is
/// there and not the GPU's. What is not there may come.
fn function_for(
    context: &Context<'_>,
    at: &Location,
    choice: &FunctionChoice,
) -> Result<Option<ParentId>> {
    if at.framework == FrameworkKind::Mdev {
        return Err(Error::new(
            Kind::Usage,
            format!(
                "{} is a mediated device and has no virtual function to choose",
                at.uuid
            ),
        )
        .hint("define it under another parent: vgpuctl define --parent PARENT"));
    }
    let FunctionChoice::This(vf) = choice else {
        return Ok(None);
    };
    let found = context.kernel.sriov_gpu(&at.parent).ok().flatten();
    let functions = found.map(|found| found.functions).unwrap_or_default();
    match functions.is_empty() || functions.contains(vf) {
        true => Ok(Some(vf.clone())),
        false => Err(Error::new(
            Kind::NotFound,
            format!("{vf} is not a virtual function of {}", at.parent),
        )
        .hint(format!("see: vgpuctl vfs {}", at.parent))),
    }
}

/// The device whose parameters are to change with its definition, if it runs.
///
/// # Errors
/// [`Kind::InUse`] where somebody holds it: the driver takes parameters only before.
fn idle_device(
    context: &Context<'_>,
    request: &ModifyRequest,
    at: &Location,
) -> Result<Option<Device>> {
    if request.params.is_empty() {
        return Ok(None);
    }
    let device = context.kernel.device(at.uuid)?;
    let Some(device) = device.filter(|device| device.parent == at.parent) else {
        return Ok(None);
    };
    match held(context, &device)? {
        Some(error) => Err(error.hint(
            "vGPU parameters can be changed only while the device is not in use: shut the VM down, \
             then repeat",
        )),
        None => Ok(Some(device)),
    }
}

/// Scripts hear of a change that changes nothing all the same, and may refuse: so it is with mdevctl.
fn steps(old: &Definition, new: &Definition, device: Option<Device>) -> Vec<Step> {
    let write = match new == old {
        true => Step::Tell(new.clone()),
        false => Step::Rewrite(Box::new((old.clone(), new.clone()))),
    };
    let set = device.map(|device| Step::Set(device, params_in(&new.attrs)));
    [write].into_iter().chain(set).collect()
}

/// What the change means for the next boot, if anything.
fn boot_set_cautions(context: &Context<'_>, old: &Definition, new: &Definition) -> Warnings {
    let is_touched = old.type_id != new.type_id || old.start != new.start || old.vf != new.vf;
    match is_touched && new.start == StartMode::Auto {
        true => {
            let mut cautions = set_cautions(context, &new.parent, &[Ahead::of(new)]);
            cautions.extend(crowd_cautions(context, new));
            cautions.extend(rival_cautions(context, &Location::of(new)));
            cautions
        }
        false => Vec::new(),
    }
}

/// The list after all edits.
///
/// # Errors
/// [`Kind::Usage`] for an index that is not there.
fn edited(attrs: Vec<Attr>, edits: &[AttrEdit]) -> Result<Vec<Attr>> {
    // What stands at each place of the list as it was, so that indexes keep their meaning.
    let mut places: Vec<Vec<Attr>> = attrs.into_iter().map(|attr| vec![attr]).collect();
    let mut added = Vec::new();
    for edit in edits {
        match edit {
            AttrEdit::Append(attr) => added.push(attr.clone()),
            AttrEdit::Replace(index, attr) => *place(&mut places, *index)? = vec![attr.clone()],
            AttrEdit::Delete(index) => place(&mut places, *index)?.clear(),
            AttrEdit::Insert(index, attr) if *index == places.len() => {
                added.insert(0, attr.clone())
            }
            AttrEdit::Insert(index, attr) => place(&mut places, *index)?.insert(0, attr.clone()),
            AttrEdit::DeleteLast => {
                places.pop();
            }
            AttrEdit::Clear => places.clear(),
        }
    }
    Ok(places.into_iter().flatten().chain(added).collect())
}

fn place(places: &mut [Vec<Attr>], index: usize) -> Result<&mut Vec<Attr>> {
    let count = places.len();
    places.get_mut(index).ok_or_else(|| {
        let error = Error::new(
            Kind::Usage,
            format!("the definition has no attribute with index {index}"),
        );
        match count {
            0 => Error::new(Kind::Usage, "the definition has no attributes"),
            _ => error.hint(format!(
                "valid indexes are 0 to {}: see vgpuctl show",
                count - 1
            )),
        }
    })
}

/// What a look at the running device says after its parameters were set.
fn seen(context: &Context<'_>, device: &Device, wanted: &Params) -> String {
    match params_now(context, device) {
        Ok(Some(now)) if now == *wanted => "the running device now has these parameters".to_owned(),
        Ok(Some(now)) => {
            let now = quoted(&now.to_string());
            format!("the running device accepted the parameters and reports {now}")
        }
        Ok(None) => {
            "the running device accepted the parameters but does not report them".to_owned()
        }
        Err(error) => {
            format!(
                "the running device accepted the parameters, but they cannot be read back: {error}"
            )
        }
    }
}

fn difference(
    request: &ModifyRequest,
    old: &Definition,
    new: &Definition,
    device: &Device,
) -> Option<String> {
    let uuid = device.uuid;
    let again =
        format!("the change takes effect after: vgpuctl stop {uuid} && vgpuctl start {uuid}");
    if device.parent != new.parent {
        return Some(format!(
            "{uuid} is active on {}, not {}",
            device.parent, new.parent
        ));
    }
    if device.type_id != new.type_id {
        return Some(format!(
            "the running device is still of type {}; {again}",
            device.type_id
        ));
    }
    if let Some(now) = device.vf()
        && request.function.is_some()
        && new.vf.as_ref() != Some(now)
    {
        return Some(format!("the running device is still on {now}; {again}"));
    }
    // Parameters that were asked for by name are set on the device.
    let is_left = |attr: &&Attr| request.params.is_empty() || !holds_params(attr);
    let left = |attrs: &'_ [Attr]| -> Vec<Attr> { attrs.iter().filter(is_left).cloned().collect() };
    (left(&old.attrs) != left(&new.attrs))
        .then(|| format!("the running device still has its old attributes; {again}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attrs(list: &[&str]) -> Vec<Attr> {
        list.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn indexes_mean_the_list_as_it_was_whatever_the_order_of_the_edits() {
        let attr = |text: &str| text.parse().unwrap();
        let edits = [
            AttrEdit::Append(attr("d=4")),
            AttrEdit::Delete(0),
            AttrEdit::Replace(2, attr("c=9")),
            AttrEdit::Append(attr("b=2")),
        ];
        assert_eq!(
            edited(attrs(&["a=1", "b=2", "c=3"]), &edits).unwrap(),
            attrs(&["b=2", "c=9", "d=4", "b=2"])
        );
    }

    #[test]
    fn an_index_that_is_not_there_is_refused_and_the_range_said() {
        let error = edited(attrs(&["a=1"]), &[AttrEdit::Delete(1)]).unwrap_err();
        assert_eq!(error.kind(), Kind::Usage);
        assert!(crate::hints::hints(&error)[0].contains("0 to 0"), "{error}");
        assert!(edited(Vec::new(), &[AttrEdit::Delete(0)]).is_err());
    }
}
