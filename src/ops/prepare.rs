//! What boot does to a GPU before its devices are restored, where its settings ask for it.

use std::time::{Duration, Instant};

use super::switch::{BRIEFLY, switch};
use super::vfs::refuse_no_gpu;
use super::{Change, Context, Effect, MigAtBoot};
use crate::error::{Error, Kind, Result};
use crate::interrupt::{nap, refuse_if_asked};
use crate::model::ParentId;
use crate::scripts::{Switch, allow_mixed_sizes, complaint};
use crate::store::{FunctionsAtBoot, GpuSettings, Lock, Sizes};

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
    if settings.sizes == Sizes::Mixed {
        mix_sizes(context, &lock, gpu)?;
    }
    Ok(())
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

/// Has a GPU serve several framebuffer sizes where its settings ask for it and nothing is on it yet.
///
/// # Errors
/// It cannot be told to. Settings that make no sense ask for nothing.
pub fn mix_sizes_if_wanted(context: &Context<'_>, gpu: &ParentId) -> Result<()> {
    let settings = context.store.settings_of(gpu).unwrap_or_default();
    match settings.sizes {
        Sizes::Mixed => mix_sizes(context, &context.store.lock(gpu)?, gpu),
        Sizes::AsTheyAre => Ok(()),
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

/// Once a vGPU is on the GPU, its mode is decided.
fn mix_sizes(context: &Context<'_>, _held: &Lock, gpu: &ParentId) -> Result<()> {
    let devices = context.kernel.devices(&mut Vec::new())?;
    if devices
        .iter()
        .any(|device| context.kernel.gpu_of(&device.parent) == *gpu)
    {
        return Ok(());
    }
    let what = format!("cannot enable vGPUs of several sizes on {gpu}");
    match allow_mixed_sizes(context.host, gpu)? {
        None => Err(Error::new(Kind::NotFound, what).at(context.host.nvidia_smi())),
        Some(said) if said.claims_success() => Ok(()),
        Some(said) => Err(complaint(&what, &said).at(context.host.nvidia_smi())),
    }
}
