//! What boot does to a GPU before its devices are restored, where its settings ask for it.

use std::time::{Duration, Instant};

use super::switch::{BRIEFLY, switch};
use super::vfs::{SWITCHING, refuse_no_gpu, refuse_used};
use super::{Change, Context, Effect, MigAtBoot};
use crate::error::{Error, Kind, Result};
use crate::interrupt::{nap, refuse_if_asked};
use crate::model::ParentId;
use crate::scripts::{Said, Switch, allow_mixed_sizes, change_with_nvidia_smi, complaint};
use crate::store::{FunctionsAtBoot, GpuSettings, Lock, Policy, Scheduler, Sizes};

/// Prepares a GPU, and tells each step that there was to do. What comes first is lost by what comes after it in any other
/// order: enabling functions destroys GPU instances and the mode that mixes sizes, and on a GPU with functions MIG mode
/// cannot be enabled. What is as it is to be is left alone.
///
/// # Errors
/// [`Kind::NotFound`] while the GPU is not there; it cannot be prepared. Steps before stay.
pub fn prepare(
    context: &Context<'_>,
    gpu: &ParentId,
    settings: &GpuSettings,
    deadline: Instant,
    done: &mut Vec<Change>,
) -> Result<()> {
    refuse_no_gpu(context, gpu)?;
    let mut had = count(context, gpu)?;
    let deadline = deadline.max(Instant::now() + BRIEFLY);
    let has_mig = !settings.mig.is_empty();
    if has_mig && !mig_is_enabled(context, gpu, settings)? {
        // Some other unit may have enabled them before.
        if had > 0 && settings.functions == FunctionsAtBoot::Enable {
            switch(context, gpu, Switch::Off, deadline)?;
            had = 0;
        }
        enable_mig(context, gpu, settings, deadline)?;
        done.push(as_change(gpu, Effect::MigEnabled));
    }
    let lock = match settings.functions {
        FunctionsAtBoot::Enable => switch(context, gpu, Switch::On, deadline)?.0,
        FunctionsAtBoot::Leave => context.store.lock(gpu)?,
    };
    if count(context, gpu)? != had {
        done.push(as_change(gpu, Effect::Enabled));
    }
    if has_mig {
        let created = MigAtBoot::of(context, gpu, &settings.mig)?.create_missing()?;
        if !created.is_empty() {
            done.push(as_change(gpu, Effect::InstancesCreated(created)));
        }
    }
    set_modes(context, &lock, gpu, settings)
}

/// Has a GPU without vGPUs serve several framebuffer sizes, and divide its time, as its settings say. Once it has one,
/// neither can be changed.
fn set_modes(
    context: &Context<'_>,
    held: &Lock,
    gpu: &ParentId,
    settings: &GpuSettings,
) -> Result<()> {
    let is_wanted = settings.sizes == Sizes::Mixed || settings.scheduler.is_some();
    if !is_wanted || has_vgpus(context, gpu)? {
        return Ok(());
    }
    if settings.sizes == Sizes::Mixed {
        mix_sizes(context, held, gpu)?;
    }
    match &settings.scheduler {
        Some(scheduler) => set_scheduler(context, held, gpu, scheduler),
        None => Ok(()),
    }
}

fn mig_is_enabled(context: &Context<'_>, gpu: &ParentId, settings: &GpuSettings) -> Result<bool> {
    MigAtBoot::of(context, gpu, &settings.mig)?.is_enabled()
}

/// Tries until the deadline: at boot NVML clients come and go, and the driver refuses while one is there. The lock is
/// free between attempts.
fn enable_mig(
    context: &Context<'_>,
    gpu: &ParentId,
    settings: &GpuSettings,
    deadline: Instant,
) -> Result<()> {
    let mut wait = Duration::from_secs(1);
    loop {
        let lock = context.store.lock(gpu)?;
        let enabled = MigAtBoot::of(context, gpu, &settings.mig)?.enable();
        drop(lock);
        let left = deadline.saturating_duration_since(Instant::now());
        match enabled {
            Err(error) if error.kind() == Kind::Failed && !left.is_zero() => {
                let next = wait.min(left);
                log::warn!("{error}; next try in {} s", next.as_secs_f64().ceil());
                nap(next);
                refuse_if_asked(&format!("enabling MIG mode of {gpu}"))?;
                wait *= 2;
            }
            result => return result,
        }
    }
}

/// Sets the modes of a GPU without vGPUs that its settings ask for: several framebuffer sizes, and the scheduler.
///
/// # Errors
/// They cannot be set. Settings that make no sense ask for nothing.
pub fn set_modes_if_wanted(context: &Context<'_>, gpu: &ParentId) -> Result<()> {
    let settings = context.store.settings_of(gpu).unwrap_or_default();
    match settings.sizes == Sizes::Mixed || settings.scheduler.is_some() {
        true => set_modes(context, &context.store.lock(gpu)?, gpu, &settings),
        false => Ok(()),
    }
}

/// What [`prepare`] would do now.
///
/// # Errors
/// [`Kind::NotFound`] where the GPU is not there; the GPU does not have MIG, or not these profiles.
pub fn plan(context: &Context<'_>, gpu: &ParentId, settings: &GpuSettings) -> Result<Vec<Change>> {
    refuse_no_gpu(context, gpu)?;
    let mut planned = Vec::new();
    let mut instances = None;
    if !settings.mig.is_empty() {
        let mig = MigAtBoot::of(context, gpu, &settings.mig)?;
        if !mig.is_enabled()? {
            planned.push(Effect::WouldEnableMig);
        }
        instances = Some(mig.missing()?).filter(|missing| !missing.is_empty());
    }
    if settings.functions == FunctionsAtBoot::Enable && count(context, gpu)? == 0 {
        planned.push(Effect::WouldEnable);
    }
    planned.extend(instances.map(Effect::WouldCreateInstances));
    Ok(planned
        .into_iter()
        .map(|effect| as_change(gpu, effect))
        .collect())
}

/// What became of a GPU.
pub fn as_change(gpu: &ParentId, effect: Effect) -> Change {
    Change {
        parent: Some(gpu.clone()),
        ..Change::of(effect)
    }
}

/// How many functions it has.
///
/// # Errors
/// [`Kind::NotFound`] where there is no such GPU.
pub fn count(context: &Context<'_>, gpu: &ParentId) -> Result<usize> {
    let absent = || Error::new(Kind::NotFound, format!("no GPU {gpu} with SR-IOV"));
    let found = context.kernel.sriov_gpu(gpu)?.ok_or_else(absent)?;
    Ok(found.functions.len())
}

/// Refuses steps that vGPUs on the GPU, or a process that has one of its functions open, prevent.
///
/// # Errors
/// [`Kind::InUse`], naming them.
pub fn refuse_vgpus(context: &Context<'_>, gpu: &ParentId, steps: &[Effect]) -> Result<()> {
    let switches = |step: &Effect| matches!(step, Effect::WouldEnableMig | Effect::WouldEnable);
    let Some(now) = context.kernel.sriov_gpu(gpu)? else {
        return Ok(());
    };
    match steps.iter().any(switches) {
        true => refuse_used(context, &now, SWITCHING),
        false => Ok(()),
    }
}

fn has_vgpus(context: &Context<'_>, gpu: &ParentId) -> Result<bool> {
    let devices = context.kernel.devices(&mut Vec::new())?;
    let mut on = devices.iter().map(|device| &device.parent);
    Ok(on.any(|parent| context.kernel.gpu_of(parent) == *gpu))
}

fn mix_sizes(context: &Context<'_>, _held: &Lock, gpu: &ParentId) -> Result<()> {
    let what = format!("cannot enable vGPUs of several sizes on {gpu}");
    done(context, &what, allow_mixed_sizes(context.host, gpu)?)
}

/// The options and numbers are those of `nvidia-smi vgpu set-scheduler-state -h`, driver 580.
fn set_scheduler(
    context: &Context<'_>,
    _held: &Lock,
    gpu: &ParentId,
    wanted: &Scheduler,
) -> Result<()> {
    let policy = match wanted.policy {
        Policy::BestEffort => 1,
        Policy::Equal => 2,
        Policy::Fixed => 3,
    };
    let numbers = [
        ("-p", Some(policy)),
        ("-a", wanted.adaptive.map(u32::from)),
        ("-asf", wanted.frequency),
        ("-aavg", wanted.averaging),
        ("-ts", wanted.time_slice),
    ];
    let mut words = vec!["vgpu".to_owned(), "set-scheduler-state".to_owned()];
    words.extend(["-i".to_owned(), gpu.to_string()]);
    for (option, number) in numbers {
        let number = number.map(|number| [option.to_owned(), number.to_string()]);
        words.extend(number.into_iter().flatten());
    }
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let what = format!("cannot set the scheduler of {gpu} to {wanted}");
    done(
        context,
        &what,
        change_with_nvidia_smi(context.host, &words)?,
    )
}

/// Whether `nvidia-smi` did it.
fn done(context: &Context<'_>, what: &str, said: Option<Said>) -> Result<()> {
    let program = context.host.nvidia_smi();
    match said {
        None => Err(Error::new(Kind::NotFound, what).at(program)),
        // It also ends with status 0 where it did nothing.
        Some(said) if said.claims_success() && !said.text.contains(NO_VGPU_MODE) => Ok(()),
        Some(said) => Err(complaint(what, &said).at(program)),
    }
}

/// What it prints, and ends with status 0, where the GPU takes no vGPUs.
const NO_VGPU_MODE: &str = "No supported devices in vGPU mode";
