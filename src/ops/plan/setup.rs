//! What a declaration says of whole GPUs: their settings, and what is done to a GPU before it takes vGPUs.

use std::time::{Duration, Instant};

use crate::declare::{Declaration, GpuFacts, GpuName, GpuSetup};
use crate::error::{Error, Kind, Result};
use crate::interrupt::Patience;
use crate::model::ParentId;
use crate::ops::gpu_facts::models;
use crate::ops::prepare::{self, count};
use crate::ops::switch::{BRIEFLY, switch};
use crate::ops::{Context, Effect, MigAtBoot};
use crate::scripts::Switch;
use crate::store::{FunctionsAtBoot, GpuSettings, Sizes};
use crate::sysfs::Cards;
use crate::text::quoted;

/// How long `nvidia-smi` and the driver may be in each other's way.
const PATIENCE: Duration = Duration::from_secs(30);

/// A GPU that is declared, and what is to become of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GpuItem {
    /// Its address.
    pub gpu: ParentId,
    /// How its settings differ: "mig: none -> 3g.40gb, 2g.20gb".
    pub differences: Vec<String>,
    /// What is done to it then, in order. vGPUs can only be planned afterwards.
    pub steps: Vec<Effect>,
    /// Why it cannot be set up now.
    pub blocked: Option<Error>,
    old: GpuSettings,
    new: GpuSettings,
}

impl GpuItem {
    /// Whether it is as declared.
    pub fn is_set_up(&self) -> bool {
        self.differences.is_empty() && self.steps.is_empty() && self.blocked.is_none()
    }

    /// Whether it is not yet such that its vGPUs could be planned.
    pub fn is_to_be_prepared(&self) -> bool {
        !self.steps.is_empty() || self.blocked.is_some()
    }

    /// Whether it is to serve several framebuffer sizes.
    pub fn mixes_sizes(&self) -> bool {
        self.new.sizes == Sizes::Mixed
    }
}

/// The GPUs that a declaration sets up, by address.
///
/// # Errors
/// A GPU that is not there, or is declared twice; settings that cannot be understood.
pub fn setups(context: &Context<'_>, declaration: &Declaration) -> Result<Vec<GpuItem>> {
    if declaration.setups.is_empty() {
        return Ok(Vec::new());
    }
    let known = nvidia_gpus(context)?;
    let mut items: Vec<(GpuItem, usize)> = Vec::new();
    for setup in &declaration.setups {
        for gpu in gpus_of(&known, setup)? {
            if let Some((_, line)) = items.iter().find(|(item, _)| item.gpu == gpu) {
                let message = format!("{gpu} is already set up in line {line}");
                return Err(at(setup, Error::new(Kind::Failed, message)));
            }
            items.push((item(context, setup, gpu)?, setup.line));
        }
    }
    items.sort_by(|(a, _), (b, _)| a.gpu.cmp(&b.gpu));
    Ok(items.into_iter().map(|(item, _)| item).collect())
}

fn at(setup: &GpuSetup, error: Error) -> Error {
    let message = format!("[[gpu]] in line {}: {}", setup.line, error.message());
    error.retold(message)
}

/// GPUs that can have virtual functions; whether those are on does not matter.
fn nvidia_gpus(context: &Context<'_>) -> Result<Vec<GpuFacts>> {
    let cards = Cards::open();
    let all = context.kernel.display_controllers(&mut Vec::new())?;
    let can_have = all.into_iter().filter(|one| one.functions.is_some());
    Ok(can_have
        .map(|one| GpuFacts {
            pci_ids: one.pci.numbers(),
            models: models(&cards, &one.pci),
            id: one.id,
            functions: Vec::new(),
            beside: Vec::new(),
            details: Default::default(),
            types: Vec::new(),
        })
        .collect())
}

fn gpus_of(known: &[GpuFacts], setup: &GpuSetup) -> Result<Vec<ParentId>> {
    let mut gpus = Vec::new();
    for name in &setup.gpus {
        let named = known.iter().enumerate();
        let named = named.filter(|(at, gpu)| name.means(gpu, *at));
        let named: Vec<ParentId> = named.map(|(_, gpu)| gpu.id.clone()).collect();
        if named.is_empty() {
            let GpuName::Text(text) = name else {
                continue;
            };
            let message = format!("no GPU {} that supports virtual functions", quoted(text));
            let error = Error::new(Kind::NotFound, message);
            return Err(at(setup, error.hint("see which GPUs do: vgpuctl vfs")));
        }
        gpus.extend(named);
    }
    gpus.sort();
    gpus.dedup();
    Ok(gpus)
}

fn item(context: &Context<'_>, setup: &GpuSetup, gpu: ParentId) -> Result<GpuItem> {
    let old = context.store.settings_of(&gpu)?;
    let new = setup.over(old.clone());
    let planned = prepare::plan(context, &gpu, &new);
    let (steps, blocked) = match planned {
        Ok(changes) => (
            changes.into_iter().map(|change| change.effect).collect(),
            None,
        ),
        Err(error) => (Vec::new(), Some(error)),
    };
    let steps: Vec<Effect> = steps;
    let blocked = blocked.or_else(|| match steps.is_empty() {
        true => None,
        false => prepare::refuse_vgpus(context, &gpu, &steps).err(),
    });
    Ok(GpuItem {
        differences: differences(&old, &new),
        steps,
        blocked,
        gpu,
        old,
        new,
    })
}

fn differences(old: &GpuSettings, new: &GpuSettings) -> Vec<String> {
    let functions = |settings: &GpuSettings| match settings.functions {
        FunctionsAtBoot::Enable => "enable".to_owned(),
        FunctionsAtBoot::Leave => "leave".to_owned(),
    };
    let mig = |settings: &GpuSettings| {
        let names: Vec<String> = settings.mig.iter().map(ToString::to_string).collect();
        match names.is_empty() {
            true => "none".to_owned(),
            false => names.join(", "),
        }
    };
    let sizes = |settings: &GpuSettings| match settings.sizes {
        Sizes::Mixed => "yes".to_owned(),
        Sizes::AsTheyAre => "no".to_owned(),
    };
    let scheduler = |settings: &GpuSettings| {
        let scheduler = settings.scheduler.as_ref();
        scheduler.map_or_else(|| "not set".to_owned(), ToString::to_string)
    };
    let all = [
        ("vfs", functions(old), functions(new)),
        ("mig", mig(old), mig(new)),
        ("mixed-sizes", sizes(old), sizes(new)),
        ("scheduler", scheduler(old), scheduler(new)),
    ];
    let changed = all.into_iter().filter(|(_, old, new)| old != new);
    changed
        .map(|(key, old, new)| format!("{key}: {old} -> {new}"))
        .collect()
}

/// What GPUs were like before they were set up.
#[derive(Debug, Default)]
pub struct SetUp {
    before: Vec<Before>,
}

#[derive(Debug)]
struct Before {
    gpu: ParentId,
    settings: GpuSettings,
    functions: usize,
    /// Whether it was in MIG mode, and its GPU instances, where MIG is part of the set-up.
    mig: Option<(bool, Vec<u32>)>,
}

/// Writes the settings of GPUs and does what they ask for. Where that fails, what was done is taken back.
///
/// # Errors
/// Why it failed, and what could not be taken back.
pub fn set_up(context: &Context<'_>, items: &[GpuItem]) -> Result<SetUp> {
    let patience = Patience::begin();
    let mut done = SetUp::default();
    for item in items.iter().filter(|item| !item.is_set_up()) {
        if let Some(error) = &item.blocked {
            return Err(done.take_back(context, error.clone()));
        }
        let one = before(context, item);
        let made = one.and_then(|one| {
            done.before.push(one);
            set_one_up(context, item)
        });
        if let Err(error) = made {
            patience.go_on();
            return Err(done.take_back(context, error));
        }
    }
    Ok(done)
}

fn before(context: &Context<'_>, item: &GpuItem) -> Result<Before> {
    let mig = match item.new.mig.is_empty() {
        true => None,
        false => {
            let mig = MigAtBoot::of(context, &item.gpu, &item.new.mig)?;
            Some((mig.is_enabled()?, mig.instance_ids()?))
        }
    };
    Ok(Before {
        gpu: item.gpu.clone(),
        settings: item.old.clone(),
        functions: count(context, &item.gpu)?,
        mig,
    })
}

fn set_one_up(context: &Context<'_>, item: &GpuItem) -> Result<()> {
    let GpuItem { gpu, new, .. } = item;
    let lock = context.store.lock(gpu)?;
    context.store.set_settings(&lock, gpu, new)?;
    drop(lock);
    if item.steps.is_empty() {
        // Size mode and scheduler are set right before the first vGPU.
        return Ok(());
    }
    let deadline = Instant::now() + PATIENCE;
    prepare::prepare(context, gpu, new, deadline, &mut Vec::new())
}

impl SetUp {
    /// Undoes it, the last first, as far as that can be done; for what failed afterwards.
    pub fn take_back(self, context: &Context<'_>, why: Error) -> Error {
        let mut error = why;
        for before in self.before.into_iter().rev() {
            error = error.and_clean_up(before.take_back(context));
        }
        error
    }
}

impl Before {
    fn take_back(self, context: &Context<'_>) -> Result<()> {
        let gpu = &self.gpu;
        if let Some((_, old)) = &self.mig {
            let _lock = context.store.lock(gpu)?;
            let mig = MigAtBoot::of(context, gpu, &[])?;
            let mut new = mig.instance_ids()?;
            new.retain(|id| !old.contains(id));
            if !new.is_empty() {
                mig.destroy(&new)?;
            }
        }
        if self.functions == 0 && count(context, gpu)? > 0 {
            switch(context, gpu, Switch::Off, Instant::now() + BRIEFLY)?;
        }
        if self.mig.is_some_and(|(was_enabled, _)| !was_enabled) {
            let _lock = context.store.lock(gpu)?;
            let mig = MigAtBoot::of(context, gpu, &[])?;
            // With functions on that were on before it cannot be disabled, and is harmless.
            if mig.is_enabled()? && count(context, gpu)? == 0 {
                mig.disable()?;
            }
        }
        let lock = context.store.lock(gpu)?;
        context.store.set_settings(&lock, gpu, &self.settings)
    }
}
