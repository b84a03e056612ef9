//! What boot does to a GPU before its devices are restored, where its settings ask for it.

use std::time::Instant;

use super::switch::{BRIEFLY, switch};
use super::vfs::refuse_no_gpu;
use super::{Change, Context, Effect};
use crate::error::{Error, Kind, Result};
use crate::model::ParentId;
use crate::scripts::{Switch, allow_mixed_sizes, complaint};
use crate::store::{FunctionsAtBoot, GpuSettings, Lock, Sizes};

/// Prepares a GPU; `None` where there was nothing to do. Virtual functions come first, and are tried
/// until the deadline, or briefly: the mode that mixes sizes is lost when they are switched.
///
/// # Errors
/// [`Kind::NotFound`] while the GPU is not there; it cannot be prepared.
pub fn prepare(
    context: &Context<'_>,
    gpu: &ParentId,
    settings: GpuSettings,
    deadline: Instant,
) -> Result<Option<Change>> {
    refuse_no_gpu(context, gpu)?;
    let had = count(context, gpu)?;
    let lock = match settings.functions {
        FunctionsAtBoot::Enable => {
            let deadline = deadline.max(Instant::now() + BRIEFLY);
            switch(context, gpu, Switch::On, deadline)?.0
        }
        FunctionsAtBoot::Leave => context.store.lock(gpu)?,
    };
    if settings.sizes == Sizes::Mixed {
        mix_sizes(context, &lock, gpu)?;
    }
    Ok((count(context, gpu)? != had).then(|| as_change(gpu, Effect::Enabled)))
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

/// What [`prepare`] would do.
///
/// # Errors
/// [`Kind::NotFound`] where the GPU is not there.
pub fn plan(
    context: &Context<'_>,
    gpu: &ParentId,
    settings: GpuSettings,
) -> Result<Option<Change>> {
    refuse_no_gpu(context, gpu)?;
    let is_due = settings.functions == FunctionsAtBoot::Enable && count(context, gpu)? == 0;
    Ok(is_due.then(|| as_change(gpu, Effect::WouldEnable)))
}

/// What became of a GPU's virtual functions.
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
