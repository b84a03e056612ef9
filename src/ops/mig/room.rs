//! GPU instances as other commands count them: those that MIG-backed types have, and those that they could have.

use super::{MigGpu, MigProfile, not_found_smi, notes, survey};
use crate::error::{Result, Warnings};
use crate::model::{FrameworkKind, Parent, ParentId, VgpuType};
use crate::nvidia::{Share, TypeName, card};
use crate::ops::Context;
use crate::smi::{GpuInstance, GpuMode, MigMode, Smi};
use crate::sysfs::Controller;

/// GPU instances of one profile on one GPU.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Count {
    /// Those that exist.
    pub all: u32,
    /// Those of them that have no vGPU.
    pub free: u32,
    /// How many more can be created now.
    pub to_come: u32,
}

impl MigGpu {
    /// Whether it is in MIG mode.
    pub fn is_enabled(&self) -> bool {
        self.current == MigMode::Enabled
    }

    /// The profile of the GPU instance that a type needs; `None` where that is not known.
    pub fn profile_for(&self, name: &TypeName) -> Option<&MigProfile> {
        let wanted = name.gpu_instance_profile()?;
        let mut profiles = self.profiles.iter();
        profiles.find(|one| one.profile.name == wanted)
    }

    /// How many GPU instances of a profile there are.
    pub fn count(&self, profile: &MigProfile) -> Count {
        let mut count = Count {
            all: 0,
            free: 0,
            to_come: profile.profile.free,
        };
        for one in &self.instances {
            if one.instance.profile == profile.profile.id {
                count.all += 1;
                count.free += u32::from(one.devices.is_empty());
            }
        }
        count
    }

    /// Why no type is listed on it, where that is because of its GPU instances.
    pub fn why_no_types(&self) -> Option<String> {
        if !self.is_enabled() || !self.unplaced.is_empty() {
            return None;
        }
        match self.instances.iter().all(|one| !one.devices.is_empty()) {
            true if self.instances.is_empty() => notes(self).pop(),
            true => Some(format!(
                "all GPU instances of {0} are in use, so no type can be created on it; to create another GPU \
                 instance: vgpuctl mig create PROFILE --gpu {0}",
                self.gpu
            )),
            false => None,
        }
    }
}

/// Whether the GPU instances of a parent's GPU matter: it has MIG-backed types, or lists no types and could have some.
pub fn has_mig(context: &Context<'_>, parent: &Parent, types: &[VgpuType]) -> bool {
    let has_functions = parent.framework == FrameworkKind::Vfio || parent.gpu.is_some();
    match types.is_empty() {
        false => has_functions && types.iter().any(|one| one.share() == Share::Instance),
        true => has_functions && is_mig_card(context, parent),
    }
}

fn is_mig_card(context: &Context<'_>, parent: &Parent) -> bool {
    let framework = context.kernel.serving(parent);
    let pci = framework.pci(parent.gpu(), &mut Vec::new());
    let numbers = pci.and_then(|pci| pci.numbers());
    let card = numbers.and_then(|(vendor, device)| card(vendor, device));
    card.is_some_and(|card| card.has_mig())
}

/// The GPU instances of a GPU, which a change of something else would destroy. Only cards that have MIG are asked for.
///
/// # Errors
/// As [`super::mig`].
pub fn instances_of(context: &Context<'_>, gpu: &ParentId) -> Result<Vec<GpuInstance>> {
    let controllers = context.kernel.display_controllers(&mut Vec::new())?;
    let is_it = |one: &&Controller| one.id == *gpu;
    if !controllers.iter().find(is_it).is_some_and(has_mig_card) {
        return Ok(Vec::new());
    }
    let (smi, _, gpus) = asked(context)?;
    let is_it = |one: &&GpuMode| one.gpu == *gpu && one.current == MigMode::Enabled;
    let Some(mode) = gpus.iter().find(is_it) else {
        return Ok(Vec::new());
    };
    let mut all = smi.gpu_instances()?;
    all.retain(|one| one.index == mode.index);
    Ok(all)
}

fn has_mig_card(controller: &Controller) -> bool {
    let numbers = controller.pci.numbers();
    let card = numbers.and_then(|(vendor, device)| card(vendor, device));
    card.is_some_and(|card| card.has_mig())
}

/// The GPUs that have MIG, where a command about something else shows them too; only their modes where none is in MIG
/// mode, which others than root can ask for. Each part of `nvidia-smi`'s answer is asked for once.
///
/// # Errors
/// As [`super::mig`].
pub fn overview(context: &Context<'_>, warnings: &mut Warnings) -> Result<Vec<MigGpu>> {
    let (smi, modes, gpus) = asked(context)?;
    if gpus.iter().any(|one| one.current == MigMode::Enabled) {
        return survey(context, smi, &modes, gpus, warnings);
    }
    let without = |mode: GpuMode| MigGpu {
        gpu: mode.gpu,
        current: mode.current,
        pending: mode.pending,
        profiles: Vec::new(),
        instances: Vec::new(),
        unplaced: Vec::new(),
    };
    Ok(gpus.into_iter().map(without).collect())
}

/// As [`overview`], with the profiles also of those that are not in MIG mode, where their driver lists them.
///
/// # Errors
/// As there.
pub fn with_profiles(context: &Context<'_>) -> Result<Vec<MigGpu>> {
    let (smi, modes, gpus) = asked(context)?;
    match gpus.is_empty() {
        true => Ok(Vec::new()),
        false => survey(context, smi, &modes, gpus, &mut Vec::new()),
    }
}

/// The modes of all GPUs, and those that have MIG.
fn asked<'h>(context: &Context<'h>) -> Result<(Smi<'h>, Vec<GpuMode>, Vec<GpuMode>)> {
    let smi = Smi::of(context.host)?.ok_or_else(|| not_found_smi(context, None))?;
    let modes = smi.modes()?;
    let has_mig = |one: &&GpuMode| one.current != MigMode::Unsupported;
    let gpus = modes.iter().filter(has_mig).cloned().collect();
    Ok((smi, modes, gpus))
}
