//! `types`: what each parent can be split into.

use super::choose::{empty_list_hint, no_types};
use super::{Answer, Context};
use crate::error::Result;
use crate::model::{Parent, ParentId, VgpuType};
use crate::nvidia::{Series, size};

/// Which types to tell.
#[derive(Debug, Clone)]
pub struct TypesRequest {
    /// Only this parent's.
    pub parent: Option<ParentId>,
    /// Only these.
    pub filter: TypeFilter,
}

/// Which types are wanted; by default all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TypeFilter {
    /// Only those of which an instance is free.
    pub available: bool,
    /// Only those of this series.
    pub series: Option<Series>,
    /// Only those with at least this much framebuffer, in MiB.
    pub min_framebuffer_mib: Option<u64>,
}

impl TypeFilter {
    /// Whether the type is one of them. What is not known of a type does not fit.
    pub fn admits(&self, vgpu_type: &VgpuType) -> bool {
        let is_free = vgpu_type.available.is_some_and(|free| free > 0);
        let of_series = |series| {
            let name = vgpu_type.name_parts();
            name.is_some_and(|name| name.series == series)
        };
        let is_large = |least| vgpu_type.framebuffer_mib().is_some_and(|mib| mib >= least);
        (is_free || !self.available)
            && self.series.is_none_or(of_series)
            && self.min_framebuffer_mib.is_none_or(is_large)
    }

    /// Why nothing fits, and where to look.
    fn nothing_fits(&self) -> String {
        let series = self.series.map(|series| format!(" of series {series}"));
        let least = self.min_framebuffer_mib;
        let least = least.map(|mib| format!(" with {} or more", size(mib)));
        let what = format!(
            "{}{}",
            series.unwrap_or_default(),
            least.unwrap_or_default()
        );
        match (self.available, what.is_empty()) {
            (true, true) => {
                "no type has a free instance; see what is taken: vgpuctl list".to_owned()
            }
            (true, false) => format!("no type{what} has a free instance; see all: vgpuctl types"),
            (false, _) => format!("there is no type{what}; see all: vgpuctl types"),
        }
    }
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
        Some(parent) => vec![context.kernel.parent(parent, &mut warnings)?],
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
        types.retain(|vgpu_type| request.filter.admits(vgpu_type));
        all.push(ParentTypes { parent, types });
    }
    let is_filtered = request.filter != TypeFilter::default();
    if is_filtered && !all.is_empty() && all.iter().all(|one| one.types.is_empty()) {
        notes.push(request.filter.nothing_fits());
    }
    Ok(Answer {
        value: all,
        warnings,
        notes,
    })
}
