//! `metrics`: what a host has, in numbers for a monitoring system.
//!
//! What cannot be told is left out: a number that is not there and a zero are different news.

mod devices;
mod gpus;
mod tally;

use std::collections::BTreeMap;

use super::list::{doubt_unreadable, merge};
use super::{Answer, Context};
use crate::model::{FrameworkKind, Parent, ParentId, StartMode, TypeId};
use crate::store::{RestoreResult, RestoreResults};
use devices::{count, held_by_gpu};
use tally::Tally;

pub use tally::Area;

/// Which numbers to tell: all.
#[derive(Debug, Clone, Default)]
pub struct MetricsRequest {}

/// The numbers of a host.
#[derive(Debug, Clone, PartialEq)]
pub struct Metrics {
    /// The GPUs and other parents that are there, by name. Virtual functions are shown as their GPU.
    pub gpus: Vec<GpuNumbers>,
    /// Their types.
    pub types: Vec<TypeNumbers>,
    /// Devices that are active or defined, zeros among them.
    pub devices: Vec<DeviceCount>,
    /// What the last restore came to, by GPU.
    pub restores: Vec<RestoreResult>,
    /// How many things of each kind could not be read.
    pub unreadable: Vec<(Area, usize)>,
}

/// What is known of one GPU.
#[derive(Debug, Clone, PartialEq)]
pub struct GpuNumbers {
    /// Its name.
    pub gpu: ParentId,
    /// Which framework offers its types.
    pub framework: FrameworkKind,
    /// The model, where the table of NVIDIA's cards has it.
    pub model: Option<&'static str>,
    /// The card's memory in MiB, where the table has it.
    pub memory_mib: Option<u64>,
    /// Framebuffer that its active devices take, in MiB, at most what there is; `None` unless it is
    /// known of all of them.
    pub framebuffer_used_mib: Option<u64>,
    /// What their types promise, which on an unlocked card may be more than there is.
    pub framebuffer_promised_mib: Option<u64>,
    /// Devices that a process has open; `None` where not every process can be looked into.
    pub held: Option<u64>,
}

/// What is known of one type on one GPU.
#[derive(Debug, Clone, PartialEq)]
pub struct TypeNumbers {
    /// The GPU.
    pub gpu: ParentId,
    /// The type.
    pub type_id: TypeId,
    /// The name for people, where there is one.
    pub name: Option<String>,
    /// Instances that can be created now, where that can be told.
    pub free: Option<u32>,
    /// Instances that can surely be created now.
    pub free_at_least: Option<u32>,
    /// Instances that fit on an otherwise empty GPU, where the driver says so.
    pub most: Option<u32>,
    /// Framebuffer of one instance in MiB, where it is known.
    pub framebuffer_mib: Option<u64>,
    /// Active devices of it.
    pub active: Option<u64>,
}

/// How a device is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum DeviceState {
    /// It exists in the kernel.
    Active,
    /// It is only defined.
    Inactive,
    /// Another program's vGPU on a virtual function.
    Foreign,
    /// It is defined, and something of its name exists that cannot be read.
    Unknown,
}

impl DeviceState {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            DeviceState::Active => "active",
            DeviceState::Inactive => "inactive",
            DeviceState::Foreign => "foreign",
            DeviceState::Unknown => "unknown",
        }
    }
}

/// How many devices of a GPU are alike.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceCount {
    /// The GPU, which need not be there.
    pub gpu: ParentId,
    /// How they are.
    pub state: DeviceState,
    /// Their definitions' start mode; `None` where they have none.
    pub start: Option<StartMode>,
    /// How many.
    pub count: u64,
}

/// All numbers. This never fails: what cannot be read is counted.
pub fn metrics(context: &Context<'_>, _request: &MetricsRequest) -> Answer<Metrics> {
    let (context, mut tally) = (&context.snapshot(), Tally::default());
    let parents = tally.look(Area::Parents, |warnings| context.kernel.parents(warnings));
    let parents = parents.value.unwrap_or_default();
    let homes = Homes::of(&parents);
    let found = tally.look(Area::Devices, |warnings| context.kernel.devices(warnings));
    let known = found.value.as_deref();
    let defined = tally.look(Area::Definitions, |warnings| context.store.all(warnings));
    let grouped = gpus::grouped(context, parents, known.unwrap_or_default(), &mut tally);
    let held = known.and_then(|devices| held_by_gpu(context, devices, &homes, &mut tally));
    let mut notes = Vec::new();
    if known.is_some() && held.is_none() {
        notes.push(
            "device holders are left out: only root can see other users' processes".to_owned(),
        );
    }
    let sight = gpus::Sight {
        devices: known,
        is_sure: found.is_whole,
        held: held.as_ref(),
        homes: &homes,
    };
    let (gpus, types) = gpus::numbers(context, &grouped, &sight, &mut tally);
    let devices = match (found.value, defined.value) {
        (Some(devices), Some(definitions)) => {
            let mut all = merge(devices, definitions);
            if !(found.is_whole && defined.is_whole) {
                doubt_unreadable(context, &mut all);
            }
            let present = gpus.iter().map(|one| one.gpu.clone());
            count(context, &all, &homes, present)
        }
        // Without the one, nothing can be said of the other's state.
        _ => Vec::new(),
    };
    let restores = tally.look(Area::Restores, |warnings| {
        RestoreResults::of(context.host).all(warnings)
    });
    Answer {
        value: Metrics {
            gpus,
            types,
            devices,
            restores: by_gpu(restores.value.unwrap_or_default()),
            unreadable: tally.counts(),
        },
        warnings: tally.warnings(),
        notes,
    }
}

/// Which GPU the parents that are there belong to.
struct Homes(BTreeMap<ParentId, ParentId>);

impl Homes {
    fn of(parents: &[Parent]) -> Homes {
        let home = |parent: &Parent| (parent.id.clone(), parent.gpu().clone());
        Homes(parents.iter().map(home).collect())
    }

    /// The GPU of what is under this name; one that is no parent now may be a function all the same.
    fn gpu(&self, context: &Context<'_>, parent: &ParentId) -> ParentId {
        let known = self.0.get(parent).cloned();
        known.unwrap_or_else(|| context.kernel.gpu_of(parent))
    }
}

/// Each parent of a GPU keeps its own result: they count together, and the last one's time holds.
fn by_gpu(results: Vec<RestoreResult>) -> Vec<RestoreResult> {
    let mut all: BTreeMap<ParentId, RestoreResult> = BTreeMap::new();
    for one in results {
        let Some(sum) = all.get_mut(&one.gpu) else {
            all.insert(one.gpu.clone(), one);
            continue;
        };
        if one.start > sum.start {
            (sum.start, sum.seconds) = (one.start, one.seconds);
        }
        // They are what files hold.
        sum.started = sum.started.saturating_add(one.started);
        sum.active = sum.active.saturating_add(one.active);
        sum.failed = sum.failed.saturating_add(one.failed);
    }
    all.into_values().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_results_of_one_gpu_count_together_whatever_their_files_hold() {
        let result = |gpu: &str, start: f64, started: u64| RestoreResult {
            gpu: gpu.parse().unwrap(),
            start,
            seconds: start / 10.0,
            started,
            active: 1,
            failed: 0,
        };
        let one = |start, started| result("0000:41:00.0", start, started);
        let other = result("0000:81:00.0", 5.0, 3);
        let all = by_gpu(vec![one(20.0, u64::MAX), other.clone(), one(10.0, 2)]);
        let both = RestoreResult {
            active: 2,
            ..one(20.0, u64::MAX)
        };
        assert_eq!(all, [both, other]);
    }
}
