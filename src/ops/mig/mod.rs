//! `mig`: GPUs that have MIG, their GPU instance profiles, their GPU instances, and the vGPUs on those.

mod change;
mod room;

use super::{Answer, Context};
use crate::error::{Error, Kind, Result, Warnings};
use crate::model::{Device, ParentId};
use crate::smi::{self, GpuMode, MigMode, Smi};

pub use change::{MigAtBoot, MigChange, MigStep, change_mig, destroy_again, make_for};
pub use room::{Count, has_mig, instances_of, overview, with_profiles};

/// Which GPUs to tell.
#[derive(Debug, Clone, Default)]
pub struct MigRequest {
    /// Only this one, or that of this virtual function.
    pub gpu: Option<ParentId>,
}

/// A GPU that has MIG.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MigGpu {
    /// Its address.
    pub gpu: ParentId,
    /// Whether it is in MIG mode.
    pub current: MigMode,
    /// Whether it will be after the next reset.
    pub pending: MigMode,
    /// Its GPU instance profiles, in the driver's order. Older drivers list none while MIG mode is disabled.
    pub profiles: Vec<MigProfile>,
    /// Its GPU instances, in the driver's order.
    pub instances: Vec<MigInstance>,
    /// Its vGPUs of which is not known on which GPU instance they are, such as mediated devices.
    pub unplaced: Vec<Device>,
}

/// A GPU instance profile of one GPU.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MigProfile {
    /// What its instances have, and how many fit.
    pub profile: smi::Profile,
    /// Where they may be; `None` where the driver does not say.
    pub placements: Option<smi::Placements>,
}

/// A GPU instance, and what uses it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MigInstance {
    /// The GPU instance.
    pub instance: smi::GpuInstance,
    /// The vGPUs on it: one, or several where the driver time-slices GPU instances.
    pub devices: Vec<Device>,
}

/// The GPUs that have MIG.
///
/// # Errors
/// [`Kind::NotFound`]: the GPU that was named does not have it, or there is no `nvidia-smi`, which knows;
/// [`Kind::Failed`]: `nvidia-smi` fails, or prints what is not understood; [`Kind::NotPermitted`]: it
/// requires root.
pub fn mig(context: &Context<'_>, request: &MigRequest) -> Result<Answer<Vec<MigGpu>>> {
    let (context, mut warnings) = (&context.snapshot(), Vec::new());
    let wanted = request.gpu.as_ref().map(|gpu| context.kernel.gpu_of(gpu));
    let Some(smi) = Smi::of(context.host)? else {
        return without_smi(context, wanted.as_ref());
    };
    let modes = smi.modes()?;
    let gpus = match &wanted {
        Some(gpu) => vec![named(&modes, gpu)?.clone()],
        None => modes
            .iter()
            .filter(|one| one.current != MigMode::Unsupported)
            .cloned()
            .collect(),
    };
    if gpus.is_empty() {
        let note = match modes.len() {
            0 => "no GPU has MIG: nvidia-smi lists no GPUs".to_owned(),
            count => format!("no GPU has MIG: nvidia-smi lists {count} without it"),
        };
        return Ok(answer(Vec::new(), warnings, vec![note]));
    }
    let all = survey(context, smi, &modes, gpus, &mut warnings)?;
    let notes = all.iter().flat_map(notes).collect();
    Ok(answer(all, warnings, notes))
}

/// What these GPUs, some of those with these modes, have.
fn survey(
    context: &Context<'_>,
    smi: Smi<'_>,
    modes: &[GpuMode],
    gpus: Vec<GpuMode>,
    warnings: &mut Warnings,
) -> Result<Vec<MigGpu>> {
    let profiles = smi.profiles()?;
    let placements = smi.placements()?;
    let instances = smi.gpu_instances()?;
    for instance in &instances {
        if !modes.iter().any(|one| one.index == instance.index) {
            warnings.push(Error::new(
                Kind::Failed,
                format!(
                    "nvidia-smi lists GPU instance {} on GPU {}, but no GPU with that index",
                    instance.id, instance.index
                ),
            ));
        }
    }
    let used = used_instances(context, warnings)?;
    let all = gpus.into_iter().map(|mode| {
        let GpuMode { index, gpu, .. } = mode;
        let is_on = |device: &Device| context.kernel.gpu_of(&device.parent) == gpu;
        let profiles = profiles.iter().filter(|one| one.index == index);
        let profiles = profiles.map(|profile| {
            let mut placements = placements.iter();
            let is_its = |one: &&smi::Placements| (one.index, one.profile) == (index, profile.id);
            MigProfile {
                profile: profile.clone(),
                placements: placements.find(is_its).cloned(),
            }
        });
        let instances = instances.iter().filter(|one| one.index == index);
        let instances = instances.map(|instance| {
            let mut devices = Vec::new();
            for (device, id) in &used {
                if *id == Some(instance.id) && is_on(device) {
                    devices.push(device.clone());
                }
            }
            MigInstance {
                instance: instance.clone(),
                devices,
            }
        });
        MigGpu {
            profiles: profiles.collect(),
            instances: instances.collect(),
            unplaced: used
                .iter()
                .filter(|(device, id)| id.is_none() && is_on(device))
                .map(|(device, _)| device.clone())
                .collect(),
            current: mode.current,
            pending: mode.pending,
            gpu,
        }
    });
    Ok(all.collect())
}

fn answer(value: Vec<MigGpu>, warnings: Warnings, notes: Vec<String>) -> Answer<Vec<MigGpu>> {
    Answer {
        value,
        warnings,
        notes,
    }
}

/// The GPU of that name, if it has MIG.
fn named<'m>(modes: &'m [GpuMode], gpu: &ParentId) -> Result<&'m GpuMode> {
    let not_found = |what: String| Error::new(Kind::NotFound, what);
    let found = modes.iter().find(|one| one.gpu == *gpu);
    let found = found.ok_or_else(|| {
        let known: Vec<&str> = modes.iter().map(|one| one.gpu.as_str()).collect();
        let hint = match known.is_empty() {
            true => "it lists no GPUs: is NVIDIA's driver loaded?".to_owned(),
            false => format!("it lists: {}", known.join(", ")),
        };
        not_found(format!("nvidia-smi does not list a GPU {gpu}")).hint(hint)
    })?;
    match found.current {
        MigMode::Unsupported => Err(not_found(format!("GPU {gpu} does not have MIG"))
            .hint("see which GPUs do: vgpuctl mig")),
        _ => Ok(found),
    }
}

/// The answer where nobody can be asked: nothing is missing on a host without NVIDIA's GPUs.
fn without_smi(context: &Context<'_>, wanted: Option<&ParentId>) -> Result<Answer<Vec<MigGpu>>> {
    let controllers = context.kernel.nvidia_controllers().unwrap_or_default();
    let path = context.host.nvidia_smi();
    if wanted.is_none() && controllers.is_empty() {
        let note = format!(
            "no GPU has MIG: this host has no NVIDIA GPU, and no {}",
            path.display()
        );
        return Ok(answer(Vec::new(), Vec::new(), vec![note]));
    }
    let error = not_found_smi(context, wanted);
    match wanted {
        Some(_) => Err(error),
        None => Ok(answer(Vec::new(), vec![error], Vec::new())),
    }
}

fn not_found_smi(context: &Context<'_>, wanted: Option<&ParentId>) -> Error {
    let what = match wanted {
        Some(gpu) => format!("cannot tell whether GPU {gpu} has MIG: nvidia-smi not found"),
        None => "cannot tell which GPUs have MIG: nvidia-smi not found".to_owned(),
    };
    Error::new(Kind::NotFound, what)
        .at(context.host.nvidia_smi())
        .hint(
            "nvidia-smi is part of NVIDIA's driver: install the package of the vGPU host driver that contains it",
        )
}

/// The vGPUs of the host, each with the ID of its GPU instance; without one where its driver names none, or it cannot
/// be read.
fn used_instances(
    context: &Context<'_>,
    warnings: &mut Warnings,
) -> Result<Vec<(Device, Option<u32>)>> {
    let mut used = Vec::new();
    for device in context.kernel.devices(warnings)? {
        let nodes = context.kernel.owning(&device).nodes(&device);
        let id = nodes.and_then(|nodes| context.kernel.gpu_instance(&nodes));
        let id = id.unwrap_or_else(|error| {
            warnings.push(error);
            None
        });
        used.push((device, id));
    }
    Ok(used)
}

/// What the user should know of a GPU.
fn notes(gpu: &MigGpu) -> Vec<String> {
    let mut notes = Vec::new();
    let name = &gpu.gpu;
    if gpu.current != gpu.pending {
        notes.push(format!(
            "{name}: MIG mode is {} now, and {} after the next reset of the GPU or reboot",
            gpu.current, gpu.pending
        ));
    }
    if gpu.current == MigMode::Enabled && gpu.instances.is_empty() {
        notes.push(format!(
            "{name} is in MIG mode and has no GPU instances: no vGPU can be created on it; to create one: \
             vgpuctl mig create PROFILE --gpu {name}"
        ));
    }
    notes
}
