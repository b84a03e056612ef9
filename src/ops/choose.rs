//! Which type a user means, and which parents offer it.

use super::Context;
use crate::error::{Error, Kind, Result};
use crate::model::{Parent, ParentId, TypeId, VgpuType};
use crate::text::quoted;

/// A parent that has the type that is wanted.
#[derive(Debug, Clone)]
pub struct Offer {
    /// The parent.
    pub parent: Parent,
    /// The type, as read now.
    pub vgpu_type: VgpuType,
}

/// The parents, in order, that have the type that `text` names by its id, full or short name; with
/// `only`, that one parent.
///
/// # Errors
/// [`Kind::NotFound`] where no parent has it, with what is near; [`Kind::Usage`] where the name
/// matches several types, with the choices.
pub fn offers(context: &Context<'_>, text: &str, only: Option<&ParentId>) -> Result<Vec<Offer>> {
    let mut warnings = Vec::new();
    let parents = match only {
        Some(parent) => context.kernel.parents_named(parent, &mut warnings)?,
        None => context.kernel.parents(&mut warnings)?,
    };
    // An id stands before all names, and needs none of them.
    let id = text.parse::<TypeId>().ok();
    let fitting = id.map(|id| with_type(context, &id, &parents));
    let fitting = fitting.unwrap_or_default();
    if !fitting.is_empty() {
        return Ok(fitting);
    }
    let mut all = Vec::new();
    for parent in parents {
        let framework = context.kernel.serving(&parent);
        match framework.type_names(&parent.id, &mut warnings) {
            Ok(names) => {
                let types = names.into_iter();
                all.extend(types.map(|(id, name)| Offer {
                    parent: parent.clone(),
                    vgpu_type: VgpuType::unlisted(id, name, None),
                }));
            }
            Err(error) if only.is_some() => return Err(no_types(error, &parent.id)),
            Err(error) => warnings.push(error),
        }
    }
    let (fitting, others): (Vec<Offer>, Vec<Offer>) = all
        .into_iter()
        .partition(|offer| offer.vgpu_type.answers_to(text));
    match distinct(&fitting).as_slice() {
        [] => Err(unknown_type(context, text, only, &others).with_unread(&warnings)),
        [_] => whole(context, fitting),
        several => Err(Error::new(
            Kind::Usage,
            format!("{} matches several types", quoted(text)),
        )
        .hint(format!("choose one by its id: {}", several.join(", ")))),
    }
}

/// Those of the parents that have the type of that id.
pub fn with_type(context: &Context<'_>, id: &TypeId, parents: &[Parent]) -> Vec<Offer> {
    let offer = |parent: &Parent| offer_on(context, parent, id).ok();
    parents.iter().filter_map(offer).collect()
}

/// The offers whose types can be read whole; never none.
///
/// # Errors
/// None can.
fn whole(context: &Context<'_>, named: Vec<Offer>) -> Result<Vec<Offer>> {
    let (mut whole, mut failure) = (Vec::new(), None);
    for Offer { parent, vgpu_type } in named {
        match offer_on(context, &parent, &vgpu_type.id) {
            Ok(offer) => whole.push(offer),
            Err(error) => failure = failure.or(Some(error)),
        }
    }
    match failure.filter(|_| whole.is_empty()) {
        Some(failure) => Err(failure),
        None => Ok(whole),
    }
}

fn offer_on(context: &Context<'_>, parent: &Parent, id: &TypeId) -> Result<Offer> {
    let framework = context.kernel.serving(parent);
    let vgpu_type = framework.vgpu_type(&parent.id, id, &mut Vec::new())?;
    Ok(Offer {
        parent: parent.clone(),
        vgpu_type,
    })
}

/// As [`offers`], where the parent need not be there: a type on an absent parent is taken at its
/// word, unless its name stands for one type elsewhere.
///
/// # Errors
/// As [`offers`]; a text that cannot be a type's id; the parents cannot be listed.
pub fn type_for_definition(
    context: &Context<'_>,
    text: &str,
    parent: &ParentId,
) -> Result<(TypeId, Vec<String>)> {
    match context.kernel.parents_named(parent, &mut Vec::new()) {
        Ok(_) => {
            let offers = offers(context, text, Some(parent))?;
            return Ok((offers[0].vgpu_type.id.clone(), Vec::new()));
        }
        Err(error) if error.kind() == Kind::NotFound => {}
        // Whether it is there is not known.
        Err(error) => return Err(error),
    }
    let elsewhere = offers(context, text, None)
        .ok()
        .and_then(|offers| offers.into_iter().next())
        .map(|offer| offer.vgpu_type.id);
    let id: TypeId = match elsewhere {
        Some(id) => id,
        // Names have spaces, ids have none.
        None if text.contains(' ') => {
            return Err(Error::new(
                Kind::NotFound,
                format!(
                    "{parent} is not present, so {} cannot be looked up",
                    quoted(text)
                ),
            )
            .hint("specify the type's id, such as nvidia-63"));
        }
        None => text.parse()?,
    };
    let note = format!("{parent} is not present, so its type {id} could not be checked");
    Ok((id, vec![note]))
}

/// A parent whose list of types cannot be opened.
pub fn no_types(error: Error, parent: &ParentId) -> Error {
    let error = error.retold(format!("{parent} offers no types"));
    match error.is_absent() {
        true => error
            .with_kind(Kind::NotFound)
            .hint(empty_list_hint(parent)),
        false => error,
    }
}

fn unknown_type(
    context: &Context<'_>,
    text: &str,
    only: Option<&ParentId>,
    others: &[Offer],
) -> Error {
    let shown = quoted(text);
    let error = match only {
        Some(parent) => Error::new(Kind::NotFound, format!("{parent} has no type {shown}")),
        None => Error::new(Kind::NotFound, format!("no parent has a type {shown}")),
    };
    if others.is_empty() {
        return match only {
            Some(parent) => error.hint(empty_list_hint(parent)),
            None => error.hints(context.kernel.why_no_parents()),
        };
    }
    let error = match only {
        Some(_) => error,
        None => error.hints(types_to_come(context)),
    };
    let lower = text.to_lowercase();
    let near: Vec<&Offer> = others
        .iter()
        .filter(|offer| {
            let vgpu_type = &offer.vgpu_type;
            let id = vgpu_type.id.as_str().to_lowercase();
            let name = vgpu_type.name.as_deref().unwrap_or_default().to_lowercase();
            !lower.is_empty() && (id.contains(&lower) || name.contains(&lower))
        })
        .collect();
    match near.is_empty() {
        true => error.hint("see all types: vgpuctl types"),
        false => {
            let near: Vec<Offer> = near.into_iter().take(8).cloned().collect();
            error.hint(format!("did you mean: {}", distinct(&near).join(", ")))
        }
    }
}

/// Where there may be types that nobody lists yet: one sentence a GPU.
pub fn types_to_come(context: &Context<'_>) -> Vec<String> {
    let gpus = context.kernel.gpus_without_functions().into_iter();
    gpus.map(|gpu| {
        format!(
            "the virtual functions of {gpu} are off, so its types are unknown; to switch them on: \
             vgpuctl vfs enable {gpu}"
        )
    })
    .collect()
}

/// What an empty list of types means, for NVIDIA's driver above all.
pub fn empty_list_hint(parent: &ParentId) -> String {
    format!(
        "{parent} lists no types (yet): for NVIDIA they appear once nvidia-vgpud has run \
         (systemctl restart nvidia-vgpud)"
    )
}

/// "nvidia-63 (GRID P4-1Q)" for each type among the offers, once.
fn distinct(offers: &[Offer]) -> Vec<String> {
    let mut seen: Vec<&VgpuType> = Vec::new();
    for Offer { vgpu_type, .. } in offers {
        if !seen.iter().any(|known| known.id == vgpu_type.id) {
            seen.push(vgpu_type);
        }
    }
    seen.iter()
        .map(|vgpu_type| match &vgpu_type.name {
            Some(name) => format!("{} ({name})", vgpu_type.id),
            None => vgpu_type.id.to_string(),
        })
        .collect()
}
