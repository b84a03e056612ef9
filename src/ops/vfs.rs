//! `vfs`: the virtual functions of GPUs, shown and switched.

use std::time::{Duration, Instant};

use super::execute::refuse_held;
use super::mig::instances_of;
use super::switch::switch;
use super::{Answer, Context};
use crate::error::{Error, Kind, Result, Warnings, if_present};
use crate::interrupt::Patience;
use crate::model::{Device, FrameworkKind, ParentId};
use crate::scripts::Switch;
use crate::smi::GpuInstance;
use crate::store::FunctionsAtBoot;
use crate::sysfs::{SriovGpu, holders_line};

/// Which GPUs to tell.
#[derive(Debug, Clone, Default)]
pub struct VfsRequest {
    /// Only this one.
    pub gpu: Option<ParentId>,
}

/// What to switch.
#[derive(Debug, Clone)]
pub struct SwitchRequest {
    /// Of which GPU.
    pub gpu: ParentId,
    /// On or off.
    pub switch: Switch,
    /// What boot is to do from now on; `None` leaves that as it is.
    pub at_boot: Option<FunctionsAtBoot>,
    /// How long to try again where it fails.
    pub wait: Duration,
    /// Show what would be done without changing anything.
    pub dry_run: bool,
}

/// A GPU that can have virtual functions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GpuVfs {
    /// Its address.
    pub gpu: ParentId,
    /// How many functions it can have.
    pub total: u32,
    /// What boot does.
    pub at_boot: FunctionsAtBoot,
    /// The functions that are there, in the order of their numbers.
    pub functions: Vec<VfState>,
}

/// One virtual function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VfState {
    /// Its address.
    pub vf: ParentId,
    /// What its vGPU would be; `None` where it offers none (yet).
    pub framework: Option<FrameworkKind>,
    /// The device that it holds.
    pub device: Option<Device>,
}

/// The GPUs that can have virtual functions, and those.
///
/// # Errors
/// The GPU that was named is none of them; GPUs cannot be listed at all.
pub fn vfs(context: &Context<'_>, request: &VfsRequest) -> Result<Answer<Vec<GpuVfs>>> {
    let (context, mut warnings) = (&context.snapshot(), Vec::new());
    let gpus = match &request.gpu {
        Some(gpu) => vec![the_gpu(context, gpu)?],
        None => context.kernel.sriov_gpus(&mut warnings)?,
    };
    let parents = context.kernel.parents(&mut warnings)?;
    let devices = context.kernel.devices(&mut warnings)?;
    let state = |vf: ParentId, warnings: &mut Warnings| VfState {
        framework: match parents.iter().any(|parent| parent.id == vf) {
            true => Some(FrameworkKind::Mdev),
            false => context
                .kernel
                .part(&vf, warnings)
                .map(|part| part.framework),
        },
        device: devices.iter().find(|d| sits_on(d, &vf)).cloned(),
        vf,
    };
    let mut all = Vec::new();
    for SriovGpu {
        gpu,
        total,
        functions,
    } in gpus
    {
        let at_boot = context.store.settings_of(&gpu).unwrap_or_else(|error| {
            warnings.push(error);
            Default::default()
        });
        all.push(GpuVfs {
            gpu,
            total,
            at_boot: at_boot.functions,
            functions: functions
                .into_iter()
                .map(|vf| state(vf, &mut warnings))
                .collect(),
        });
    }
    let notes = match all.is_empty() {
        true => vec!["no GPU with NVIDIA's driver supports virtual functions".to_owned()],
        false => Vec::new(),
    };
    Ok(Answer {
        value: all,
        warnings,
        notes,
    })
}

/// The GPU of that name, or of the function of that name.
///
/// # Errors
/// [`Kind::NotFound`] where it can have no functions.
pub fn the_gpu(context: &Context<'_>, gpu: &ParentId) -> Result<SriovGpu> {
    let whole = context.kernel.gpu_of(gpu);
    refuse_no_gpu(context, &whole)?;
    context.kernel.sriov_gpu(&whole)?.ok_or_else(|| {
        Error::new(
            Kind::NotFound,
            format!("{gpu} is not a GPU that supports virtual functions"),
        )
        .hint("see which GPUs do: vgpuctl vfs")
    })
}

/// Refuses a device that is there and no GPU, such as a network card: its functions are not ours.
///
/// # Errors
/// [`Kind::Usage`], saying what it is.
pub fn refuse_no_gpu(context: &Context<'_>, id: &ParentId) -> Result<()> {
    match context.kernel.no_gpu(id)? {
        None => Ok(()),
        Some(what) => Err(Error::new(
            Kind::Usage,
            format!("{id} is not a GPU ({what}): its virtual functions are not changed"),
        )
        .at(context.host.pci_devices().join(id.as_str()))
        .hint("see which GPUs support virtual functions: vgpuctl vfs")),
    }
}

/// Refuses a function where its GPU is meant: all functions of the GPU would be switched.
fn refuse_function(request: &SwitchRequest, gpu: &ParentId) -> Result<()> {
    if *gpu == request.gpu {
        return Ok(());
    }
    let verb = match request.switch {
        Switch::On => "enable",
        Switch::Off => "disable",
    };
    Err(Error::new(
        Kind::Usage,
        format!(
            "{} is a virtual function of {gpu}, and functions can only be switched all at once",
            request.gpu
        ),
    )
    .hint(format!("specify the GPU: vgpuctl vfs {verb} {gpu}")))
}

fn sits_on(device: &Device, vf: &ParentId) -> bool {
    device.vf() == Some(vf) || device.parent == *vf
}

/// Switches a GPU's functions on or off, and tells how they are then.
///
/// # Errors
/// [`Kind::InUse`] while a vGPU is on the GPU; the functions did not come, or not go.
pub fn switch_vfs(context: &Context<'_>, request: &SwitchRequest) -> Result<Answer<Vec<GpuVfs>>> {
    let gpu = the_gpu(context, &request.gpu)?.gpu;
    refuse_function(request, &gpu)?;
    let _patience = Patience::begin();
    // Nothing is switched, and nothing destroyed, where the functions are as wanted.
    let at_stake = match is_as_wanted(&the_gpu(context, &gpu)?, request.switch) {
        true => Ok(Vec::new()),
        false => instances_of(context, &gpu),
    };
    let outcome = match request.dry_run {
        true => plan(context, &gpu, request.switch)?,
        false => {
            if request.at_boot.is_some() {
                // Settings that make no sense could not be changed afterwards.
                context.store.settings_of(&gpu)?;
            }
            let deadline = Instant::now() + request.wait;
            let switched = switch(context, &gpu, request.switch, deadline);
            let (lock, outcome) = switched.map_err(|error| match &at_stake {
                Ok(instances) => error.hints(gone(context, &gpu, instances)),
                Err(_) => error,
            })?;
            if let Some(wanted) = request.at_boot {
                context.store.set_functions_at_boot(&lock, &gpu, wanted)?;
            }
            outcome
        }
    };
    let told = match at_stake {
        Ok(instances) if instances.is_empty() => None,
        Ok(instances) if request.dry_run => Some(format!(
            "this would destroy the GPU instances of {gpu}: {}",
            listed(&instances)
        )),
        Ok(instances) => gone(context, &gpu, &instances),
        Err(error) => Some(format!(
            "switching virtual functions destroys GPU instances, and whether {gpu} had any could not be asked: {error}"
        )),
    };
    let mut answer = vfs(context, &VfsRequest { gpu: Some(gpu) })?;
    answer.notes.push(outcome);
    answer.notes.extend(told);
    Ok(answer)
}

/// Which of these GPU instances are not there any more, and how to create them again.
fn gone(context: &Context<'_>, gpu: &ParentId, before: &[GpuInstance]) -> Option<String> {
    if before.is_empty() {
        return None;
    }
    let (left, verb) = match instances_of(context, gpu) {
        Ok(left) => (left, "destroyed"),
        Err(_) => (Vec::new(), "has probably destroyed"),
    };
    let mut gone = before.to_vec();
    gone.retain(|one| !left.contains(one));
    // The same places, as far as the driver still has them.
    let again = gone
        .iter()
        .map(|one| format!("{}:{}", one.profile_name, one.start));
    let again: Vec<String> = again.collect();
    (!gone.is_empty()).then(|| {
        format!(
            "switching the virtual functions of {gpu} {verb} its GPU instances: {}; to create them again: vgpuctl \
             mig create {} --gpu {gpu}",
            listed(&gone),
            again.join(" ")
        )
    })
}

/// "2 (3g.40gb), 13 (1g.10gb)".
fn listed(instances: &[GpuInstance]) -> String {
    let texts = instances.iter();
    let texts = texts.map(|one| format!("{} ({})", one.id, one.profile_name));
    texts.collect::<Vec<String>>().join(", ")
}

fn plan(context: &Context<'_>, gpu: &ParentId, switch: Switch) -> Result<String> {
    let now = the_gpu(context, gpu)?;
    if is_as_wanted(&now, switch) {
        return Ok(already(&now));
    }
    refuse_used(context, &now, SWITCHING)?;
    Ok(match switch {
        Switch::On => format!("would switch {} virtual functions of {gpu} on", now.total),
        Switch::Off => format!(
            "would switch {} virtual functions of {gpu} off",
            now.functions.len()
        ),
    })
}

/// Whether the functions are on, or off, already.
pub fn is_as_wanted(gpu: &SriovGpu, switch: Switch) -> bool {
    match switch {
        Switch::On => !gpu.functions.is_empty(),
        Switch::Off => gpu.functions.is_empty(),
    }
}

/// Says so.
pub fn already(gpu: &SriovGpu) -> String {
    match gpu.functions.len() {
        0 => format!("the virtual functions of {} are already off", gpu.gpu),
        count => format!("{count} virtual functions of {} are already on", gpu.gpu),
    }
}

/// Why vGPUs prevent a GPU's functions from being switched, for [`refuse_used`].
pub const SWITCHING: &str = "which switching its virtual functions would destroy";

/// Refuses a change while anything on the GPU would be lost; `why`, as the end of "0000:41:00.0 has 2 vGPUs, ".
///
/// # Errors
/// [`Kind::InUse`]; it cannot be told.
pub fn refuse_used(context: &Context<'_>, gpu: &SriovGpu, why: &str) -> Result<()> {
    let mut doubts = Vec::new();
    let devices = context.kernel.devices(&mut doubts)?;
    let on_gpu: Vec<&Device> = devices
        .iter()
        .filter(|device| {
            device.parent == gpu.gpu || gpu.functions.iter().any(|vf| sits_on(device, vf))
        })
        .collect();
    for device in &on_gpu {
        refuse_held(context, device)?;
    }
    match on_gpu.first() {
        None => refuse_unclear(context, gpu, why, doubts),
        Some(first) => Err(Error::new(
            Kind::InUse,
            format!("{} has {} vGPUs, {why}", gpu.gpu, on_gpu.len()),
        )
        .hint(format!(
            "stop them first, for example: vgpuctl stop {}",
            first.name()
        ))),
    }
}

/// Refuses while a function of the GPU cannot be read, or is open without being a vGPU, as one that
/// a virtual machine has through vfio-pci.
fn refuse_unclear(
    context: &Context<'_>,
    gpu: &SriovGpu,
    why: &str,
    doubts: Warnings,
) -> Result<()> {
    let dir_of = |vf: &ParentId| context.host.pci_devices().join(vf.as_str());
    let is_here = |doubt: &Error| {
        let path = doubt.path();
        path.is_some_and(|path| gpu.functions.iter().any(|vf| path.starts_with(dir_of(vf))))
    };
    if let Some(doubt) = doubts.into_iter().find(is_here) {
        return Err(doubt.hint(format!("it may hold a vGPU, {why}")));
    }
    for vf in &gpu.functions {
        let Some(nodes) = if_present(context.kernel.pci_nodes(vf))? else {
            continue;
        };
        // Without a node nobody can have it open.
        let paths = [nodes.group.as_ref(), nodes.device.as_ref()];
        if !paths.into_iter().flatten().any(|node| node.exists()) {
            continue;
        }
        let holders = context.kernel.holders(&nodes)?.found;
        if !holders.is_empty() {
            let who = holders_line(&holders);
            return Err(Error::new(Kind::InUse, format!("{vf} is in use by {who}"))
                .hint("shut the VM down or stop the process, then repeat"));
        }
    }
    Ok(())
}
