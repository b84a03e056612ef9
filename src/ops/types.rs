//! `types`: what each parent can be split into.

use super::choose::{empty_list_hint, no_types};
use super::{Answer, Context};
use crate::error::Result;
use crate::model::{Parent, ParentId, VgpuType};

/// Which types to tell.
#[derive(Debug, Clone)]
pub struct TypesRequest {
    /// Only this parent's.
    pub parent: Option<ParentId>,
    /// Only those of which an instance is free.
    pub available: bool,
}

/// A parent and its types.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParentTypes {
    /// The parent.
    pub parent: Parent,
    /// Its types, in natural order.
    pub types: Vec<VgpuType>,
}

/// The types of each parent, with a note for every list that is empty.
///
/// # Errors
/// The parent that was named is not there, or no parent can be listed.
pub fn types(context: &Context<'_>, request: &TypesRequest) -> Result<Answer<Vec<ParentTypes>>> {
    let (mut warnings, mut notes) = (Vec::new(), Vec::new());
    let parents = match &request.parent {
        Some(parent) => context.kernel.parents_named(parent, &mut warnings)?,
        None => context.kernel.parents(&mut warnings)?,
    };
    if parents.is_empty() {
        notes.extend(context.kernel.why_no_parents());
    }
    let mut all = Vec::new();
    for parent in parents {
        let framework = context.kernel.serving(&parent);
        let mut types = match framework.types(&parent.id, &mut warnings) {
            Ok(types) => types,
            Err(error) => {
                warnings.push(no_types(error, &parent.id));
                continue;
            }
        };
        if types.is_empty() {
            notes.push(empty_list_hint(&parent.id));
        }
        if request.available {
            types.retain(|vgpu_type| vgpu_type.at_least > 0);
        }
        all.push(ParentTypes { parent, types });
    }
    if request.available && !all.is_empty() && all.iter().all(|one| one.types.is_empty()) {
        notes.push("no type has a free instance; see what is taken: vgpuctl list".to_owned());
    }
    Ok(Answer {
        value: all,
        warnings,
        notes,
    })
}
