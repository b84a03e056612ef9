//! How many devices each GPU has, and how many of them somebody uses.

use std::collections::BTreeMap;

use super::tally::{Area, Tally};
use super::{DeviceCount, DeviceState, Homes};
use crate::error::if_present;
use crate::model::{Device, Nodes, ParentId, Slot, StartMode};
use crate::ops::Context;
use crate::ops::list::Listed;

/// What each GPU's devices can be: an active one need not have a definition, a foreign one has none.
const CASES: [(DeviceState, Option<StartMode>); 8] = [
    (DeviceState::Active, Some(StartMode::Auto)),
    (DeviceState::Active, Some(StartMode::Manual)),
    (DeviceState::Active, None),
    (DeviceState::Inactive, Some(StartMode::Auto)),
    (DeviceState::Inactive, Some(StartMode::Manual)),
    (DeviceState::Foreign, None),
    (DeviceState::Unknown, Some(StartMode::Auto)),
    (DeviceState::Unknown, Some(StartMode::Manual)),
];

/// Counts the devices of each GPU that is there, and of each that only has definitions.
pub fn count(
    context: &Context<'_>,
    all: &[Listed],
    homes: &Homes,
    present: impl Iterator<Item = ParentId>,
) -> Vec<DeviceCount> {
    let mut by_gpu: BTreeMap<ParentId, Vec<&Listed>> =
        present.map(|gpu| (gpu, Vec::new())).collect();
    for one in all {
        by_gpu
            .entry(homes.gpu(context, &one.parent))
            .or_default()
            .push(one);
    }
    let cases = |(gpu, here): (ParentId, Vec<&Listed>)| {
        CASES.map(|case| DeviceCount {
            gpu: gpu.clone(),
            state: case.0,
            start: case.1,
            count: here.iter().filter(|one| case_of(one) == case).count() as u64,
        })
    };
    by_gpu.into_iter().flat_map(cases).collect()
}

fn case_of(one: &Listed) -> (DeviceState, Option<StartMode>) {
    let state = match (one.active, &one.slot) {
        (Some(true), Some(Slot::ForeignVf(_))) => DeviceState::Foreign,
        (Some(true), _) => DeviceState::Active,
        (Some(false), _) => DeviceState::Inactive,
        (None, _) => DeviceState::Unknown,
    };
    (state, one.start)
}

/// How many devices of each GPU a process has open; `None` where that is not known of all.
pub fn held_by_gpu(
    context: &Context<'_>,
    devices: &[Device],
    homes: &Homes,
    tally: &mut Tally,
) -> Option<BTreeMap<ParentId, u64>> {
    let (mut gpus, mut all) = (Vec::new(), Vec::new());
    for device in devices {
        let framework = context.kernel.owning(device);
        let found = tally.look(Area::Devices, |_| if_present(framework.nodes(device)));
        // One that has just gone is held by nobody.
        if let Some(nodes) = found.value? {
            gpus.push(homes.gpu(context, &device.parent));
            all.push(nodes);
        }
    }
    let all: Vec<&Nodes> = all.iter().collect();
    let found = tally.look(Area::Devices, |_| context.kernel.holders_of_each(&all));
    let mut held = BTreeMap::new();
    for (gpu, holders) in gpus.into_iter().zip(found.value?) {
        let is_held = !holders.found.is_empty();
        let is_certain = holders.complete && (is_held || holders.suspects.is_empty());
        *held.entry(gpu).or_default() += u64::from(is_certain.then_some(is_held)?);
    }
    Some(held)
}
