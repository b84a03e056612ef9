//! `types`: what each parent can be split into.

use std::collections::BTreeMap;

use super::choose::{empty_list_hint, no_types};
use super::group::by_gpu;
use super::inventory::{mixed_inventory, mixes_by_settings};
use super::mig::{MigGpu, has_mig, overview};
use super::{Answer, Context};
use crate::error::{Error, Result};
use crate::hints::in_words;
use crate::model::{FrameworkKind, Parent, ParentId, TypeId, VgpuType};
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
        let is_free = vgpu_type.at_least > 0;
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
                "no type has a free instance; see what is in use: vgpuctl list".to_owned()
            }
            (true, false) => format!("no type{what} has a free instance; see all: vgpuctl types"),
            (false, _) => format!("no type{what}; see all: vgpuctl types"),
        }
    }
}

/// A parent and its types.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParentTypes {
    /// The parent, or the GPU whose functions are parents.
    pub parent: Parent,
    /// The parents that are functions of it, which are shown as one.
    pub functions: Vec<ParentId>,
    /// Its types, in natural order.
    pub types: Vec<VgpuType>,
    /// Of MIG-backed types, how many GPU instances of their profiles there are or can still be created, where that
    /// was asked for.
    pub most: BTreeMap<TypeId, u32>,
}

/// The types of each parent, where those that are virtual functions of one GPU are shown as that GPU.
///
/// # Errors
/// As [`types_of_parents`].
pub fn types(context: &Context<'_>, request: &TypesRequest) -> Result<Answer<Vec<ParentTypes>>> {
    let answer = whole_types(&context.snapshot(), request)?;
    Ok(filtered(&request.filter, answer))
}

/// As [`types`], where `nvidia-smi` is asked for the GPU instances that MIG-backed types have. Where it does not answer,
/// a note says so.
///
/// # Errors
/// As [`types_of_parents`].
pub fn types_with_instances(
    context: &Context<'_>,
    request: &TypesRequest,
) -> Result<Answer<Vec<ParentTypes>>> {
    types_with_instances_in(&context.snapshot(), request)
}

/// The same as part of a reading that has begun.
///
/// # Errors
/// As [`types`].
pub fn types_with_instances_in(
    context: &Context<'_>,
    request: &TypesRequest,
) -> Result<Answer<Vec<ParentTypes>>> {
    let mut answer = whole_types(context, request)?;
    let matters = |one: &ParentTypes| has_mig(context, &one.parent, &one.types);
    if answer.value.iter().any(matters) {
        count_instances(context, &mut answer);
    }
    Ok(filtered(&request.filter, answer))
}

fn count_instances(context: &Context<'_>, answer: &mut Answer<Vec<ParentTypes>>) {
    let mut doubts = Vec::new();
    let gpus = match overview(context, &mut doubts) {
        Ok(gpus) => gpus,
        Err(error) => return answer.notes.push(not_counted(&error)),
    };
    answer.notes.extend(doubts.iter().map(not_counted));
    for one in &mut answer.value {
        let gpu = gpus.iter().find(|gpu| gpu.gpu == *one.parent.gpu());
        let Some(gpu) = gpu.filter(|gpu| gpu.is_enabled()) else {
            continue;
        };
        if let Some(why) = gpu.why_no_types().filter(|_| one.types.is_empty()) {
            let other = empty_list_hint(&one.parent.id);
            answer.notes.retain(|note| *note != other);
            answer.notes.push(why);
        }
        one.count_instances(gpu);
    }
}

fn not_counted(error: &Error) -> String {
    format!("GPU instances could not be counted: {error}")
}

fn whole_types(context: &Context<'_>, request: &TypesRequest) -> Result<Answer<Vec<ParentTypes>>> {
    let mut answer = types_of_parents(context, request.parent.as_ref())?;
    let named = |one: &ParentTypes| Some(&one.parent.id) == request.parent.as_ref();
    let is_function = |one: &ParentTypes| one.parent.gpu.is_some() && !named(one);
    if answer.value.iter().any(is_function) {
        let devices = context.kernel.devices(&mut answer.warnings)?;
        answer.value = by_gpu(answer.value, &devices);
    }
    for one in &mut answer.value {
        count_placements(context, one);
    }
    Ok(answer)
}

fn filtered(filter: &TypeFilter, mut answer: Answer<Vec<ParentTypes>>) -> Answer<Vec<ParentTypes>> {
    let all = &mut answer.value;
    for one in all.iter_mut() {
        one.types.retain(|vgpu_type| filter.admits(vgpu_type));
    }
    let is_filtered = *filter != TypeFilter::default();
    if is_filtered && !all.is_empty() && all.iter().all(|one| one.types.is_empty()) {
        answer.notes.push(filter.nothing_fits());
    }
    answer
}

impl ParentTypes {
    /// Counts the GPU instances of its MIG-backed types. Whether any can be created at all is the driver's to say: a
    /// GPU instance may lack a compute instance, and several vGPUs may share one.
    fn count_instances(&mut self, gpu: &MigGpu) {
        for vgpu_type in &mut self.types {
            let name = vgpu_type.name_parts();
            let Some(profile) = name.and_then(|name| gpu.profile_for(&name)) else {
                continue;
            };
            let count = gpu.count(profile);
            let most = count.all.saturating_add(count.to_come);
            self.most.insert(vgpu_type.id.clone(), most);
            let free = vgpu_type
                .available
                .map_or(count.free, |free| free.min(count.free));
            if vgpu_type.at_least > 0 && free > 0 && gpu.unplaced.is_empty() {
                (vgpu_type.available, vgpu_type.at_least) = (Some(free), free);
            }
        }
    }
}

/// Where a GPU serves several sizes, its placement IDs tell how many more of each type fit.
fn count_placements(context: &Context<'_>, one: &mut ParentTypes) {
    let is_whole = one.parent.framework == FrameworkKind::Vfio || !one.functions.is_empty();
    // To find the devices of a GPU that is not known to be in this mode would take a third more reads.
    if !is_whole || !mixes_by_settings(context, &one.parent) {
        return;
    }
    let Some(inventory) = mixed_inventory(context, &one.parent) else {
        return;
    };
    let capacity = inventory.capacity();
    for vgpu_type in &mut one.types {
        let at = capacity.type_at(&vgpu_type.id);
        if let Some(free) = at.and_then(|at| capacity.bound(at)).map(|bound| bound.most) {
            (vgpu_type.available, vgpu_type.at_least) = (Some(free), free);
        }
    }
}

/// The types of each parent, or of those that `only` names; a note for every list that is empty.
///
/// # Errors
/// The parent that was named is not there, or no parent can be listed.
pub fn types_of_parents(
    context: &Context<'_>,
    only: Option<&ParentId>,
) -> Result<Answer<Vec<ParentTypes>>> {
    let (mut warnings, mut notes) = (Vec::new(), Vec::new());
    let parents = match only {
        Some(parent) => context.kernel.parents_named(parent, &mut warnings)?,
        None => context.kernel.parents(&mut warnings)?,
    };
    if parents.is_empty() {
        let why = context.kernel.why_no_parents();
        notes.extend(why.iter().flat_map(in_words));
    }
    let mut all = Vec::new();
    for (parent, types) in context.kernel.types_of_all(parents, &mut warnings) {
        let types = match types {
            Ok(types) => types,
            Err(error) => {
                warnings.push(no_types(error, &parent.id));
                continue;
            }
        };
        if types.is_empty() {
            notes.push(empty_list_hint(&parent.id));
        }
        all.push(ParentTypes {
            parent,
            functions: Vec::new(),
            types,
            most: BTreeMap::new(),
        });
    }
    Ok(Answer {
        value: all,
        warnings,
        notes,
    })
}
