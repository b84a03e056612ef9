//! A host as it is, read once.

use std::collections::{HashMap, HashSet};

use uuid::Uuid;

use super::setup::GpuItem;
use super::space::{Space, spaces_now};
use crate::declare::GpuFacts;
use crate::error::{Error, Result, Warnings};
use crate::model::{Definition, Device, FrameworkKind, Parent, ParentId, Slot, TypeId, VgpuType};
use crate::nvidia::{self, Card, Region};
use crate::ops::Context;
use crate::ops::cautions::mixing_hint;
use crate::ops::gpu_facts::facts_of;
use crate::ops::inventory::{mixes_now, placement_of};
use crate::ops::standing::unlocked as unlocked_card;
use crate::ops::types::{ParentTypes, TypeFilter, TypesRequest, types_with_instances_in};
use crate::store::{Location, Sizes};
use crate::sysfs::Cards;

/// What a host has.
pub struct World {
    /// Its GPUs and other parents, by address.
    pub gpus: Vec<Gpu>,
    /// All that is active, by UUID.
    pub devices: Vec<Device>,
    /// All definitions that can be read, by parent and UUID.
    pub definitions: Vec<Definition>,
    /// Definitions that cannot be read, and why.
    pub unreadable: Vec<(Location, Error)>,
    /// Where the framebuffer of active devices starts, in GiB, on GPUs with a region.
    pub placements: HashMap<Uuid, u32>,
    /// Devices whose maker has not finished them.
    pub unfinished: HashSet<Uuid>,
    /// What could not be read.
    pub warnings: Warnings,
    /// Whether some of that is GPUs, types or devices, of which there may then be more.
    pub is_partial: bool,
    places: HashMap<ParentId, usize>,
}

/// A GPU, or another parent.
pub struct Gpu {
    /// What its name, model and types are.
    pub facts: GpuFacts,
    /// How vGPUs are made on it.
    pub framework: FrameworkKind,
    /// Its virtual functions that are parents each; empty where it is a parent itself.
    pub functions: Vec<ParentId>,
    /// Its virtual functions that take a type each; empty where none does.
    pub vendor_vfs: Vec<ParentId>,
    /// How many vGPUs it has functions for; `None` where it needs none.
    pub slots: Option<u32>,
    /// Its types, in natural order.
    pub types: Vec<VgpuType>,
    /// Whether it may have several framebuffer sizes at once.
    pub mixes_sizes: bool,
    /// Whether it is known to serve several sizes now, also where all that it holds has one.
    pub is_mixed: bool,
    /// How it can be had to do so, or when it will, where that is in its user's hands.
    pub how_to_mix: Option<String>,
    /// Its memory in MiB, where the model is known and its types are its own.
    pub memory_mib: Option<u64>,
    /// How that is divided while it serves several sizes, where that is known.
    pub region: Option<Region>,
    /// Its card, where that is unlocked and its types are those of another.
    pub unlocked: Option<&'static Card>,
}

impl Gpu {
    /// Its address.
    pub fn id(&self) -> &ParentId {
        &self.facts.id
    }

    /// Which of its types that is.
    pub fn type_at(&self, id: &TypeId) -> Option<usize> {
        self.types.iter().position(|vgpu_type| vgpu_type.id == *id)
    }

    /// One of its functions that vGPUs are made on, by its address.
    pub fn function(&self, address: &str) -> Option<&ParentId> {
        let mut all = self.functions.iter().chain(&self.vendor_vfs);
        all.find(|id| id.as_str().eq_ignore_ascii_case(address))
    }

    /// The GPU as a parent, or one of its functions that are parents.
    pub fn as_parent(&self, function: Option<ParentId>) -> Parent {
        let gpu = function.is_some().then(|| self.id().clone());
        Parent {
            id: function.unwrap_or_else(|| self.id().clone()),
            framework: self.framework,
            gpu,
        }
    }
}

impl World {
    /// A host that has these, where all could be read.
    pub fn of(gpus: Vec<Gpu>, devices: Vec<Device>, definitions: Vec<Definition>) -> World {
        let mut places = HashMap::new();
        for (at, gpu) in gpus.iter().enumerate() {
            places.insert(gpu.id().clone(), at);
            places.extend(gpu.functions.iter().map(|vf| (vf.clone(), at)));
        }
        World {
            gpus,
            devices,
            definitions,
            unreadable: Vec::new(),
            placements: HashMap::new(),
            unfinished: HashSet::new(),
            warnings: Vec::new(),
            is_partial: false,
            places,
        }
    }

    /// The GPU of a parent that is there.
    pub fn gpu_of(&self, parent: &ParentId) -> Option<usize> {
        self.places.get(parent).copied()
    }
}

/// Looks at the host, whose GPUs are to serve several sizes as their settings say, or will say once these are set up.
///
/// # Errors
/// Parents, devices or definitions cannot be listed at all. What cannot be read singly is a warning.
pub fn observe(context: &Context<'_>, declared: &[GpuItem]) -> Result<World> {
    let request = TypesRequest {
        parent: None,
        filter: TypeFilter::default(),
    };
    let context = &context.snapshot();
    let answer = types_with_instances_in(context, &request)?;
    let mut warnings = answer.warnings;
    let devices = context.kernel.devices(&mut warnings)?;
    let is_partial = !warnings.is_empty();
    let definitions = context.store.all(&mut warnings)?;
    let readable: HashSet<Location> = definitions.iter().map(Location::of).collect();
    let all = context.store.index(&mut Vec::new())?.into_iter();
    let unreadable = all
        .filter(|at| !readable.contains(at))
        .filter_map(|at| context.store.read(&at).err().map(|error| (at, error)))
        .collect();
    let mixed = context.store.gpu_settings(&mut warnings)?;
    let mut mixed: HashSet<ParentId> = mixed
        .into_iter()
        .filter(|(_, settings)| settings.sizes == Sizes::Mixed)
        .map(|(gpu, _)| gpu)
        .collect();
    for item in declared {
        match item.mixes_sizes() {
            true => mixed.insert(item.gpu.clone()),
            false => mixed.remove(&item.gpu),
        };
    }
    let cards = Cards::open();
    let mut gpus = Vec::new();
    for one in answer.value {
        let mixes = mixed.contains(one.parent.gpu());
        gpus.push(gpu(context, &cards, one, mixes, &mut warnings));
    }
    gpus.sort_by(|a, b| a.id().cmp(b.id()));
    let mut world = World {
        unreadable,
        unfinished: context.store.unfinished(),
        warnings,
        is_partial,
        ..World::of(gpus, devices, definitions)
    };
    add_types_in_use(context, &mut world);
    add_placements(context, &mut world);
    add_modes(context, &mut world);
    Ok(world)
}

fn gpu(
    context: &Context<'_>,
    cards: &Cards,
    one: ParentTypes,
    mixes_sizes: bool,
    warnings: &mut Warnings,
) -> Gpu {
    let facts = facts_of(context, cards, &one, warnings);
    let card = facts.pci_ids;
    let card = card.and_then(|(vendor, device)| nvidia::card(vendor, device));
    let unlocked = facts.pci_ids;
    let unlocked = unlocked.and_then(|numbers| unlocked_card(context, numbers, &one.types));
    let own = card.filter(|_| unlocked.is_none());
    let framework = context.kernel.serving(&one.parent);
    let vendor_vfs = match one.parent.framework {
        FrameworkKind::Vfio => framework.functions(&facts.id, &mut Vec::new()),
        FrameworkKind::Mdev => Ok(Vec::new()),
    };
    let vendor_vfs = vendor_vfs.unwrap_or_default();
    let slots = match (one.parent.framework, one.functions.len()) {
        (FrameworkKind::Vfio, _) => Some(vendor_vfs.len()),
        (FrameworkKind::Mdev, 0) => None,
        (FrameworkKind::Mdev, functions) => Some(functions),
    };
    let takes_types = one.parent.framework == FrameworkKind::Vfio;
    Gpu {
        how_to_mix: takes_types.then(|| how_to_mix(context, &facts.id, mixes_sizes)),
        framework: one.parent.framework,
        functions: one.functions,
        vendor_vfs,
        slots: slots.map(|slots| u32::try_from(slots).unwrap_or(u32::MAX)),
        mixes_sizes,
        is_mixed: false,
        memory_mib: own.map(Card::memory_mib),
        region: own.and_then(Card::region),
        unlocked,
        facts,
        types: one.types,
    }
}

fn how_to_mix(context: &Context<'_>, gpu: &ParentId, will_mix: bool) -> String {
    match will_mix {
        true => format!(
            "mixed-sizes = yes in {} takes effect once {gpu} has no vGPUs, as after a reboot",
            context.store.settings_path(gpu).display()
        ),
        false => mixing_hint(context, gpu),
    }
}

/// A GPU of virtual functions lists only what fits now, and a full one nothing at all: what it holds
/// is a type of its all the same.
fn add_types_in_use(context: &Context<'_>, world: &mut World) {
    for device in &world.devices {
        let Some(gpu) = world
            .places
            .get(&device.parent)
            .map(|at| &mut world.gpus[*at])
        else {
            continue;
        };
        if gpu.type_at(&device.type_id).is_some() {
            continue;
        }
        let name = context
            .kernel
            .type_name(&device.parent, &device.type_id, &mut world.warnings);
        gpu.types
            .push(VgpuType::unlisted(device.type_id.clone(), name, Some(0)));
        gpu.types.sort_by(|a, b| a.id.cmp(&b.id));
    }
}

fn add_modes(context: &Context<'_>, world: &mut World) {
    let in_doubt = |(gpu, space): (usize, Space<'_>)| space.capacity.may_be_mixed().then_some(gpu);
    let spaces = spaces_now(world).into_iter().enumerate();
    let in_doubt: Vec<usize> = spaces.filter_map(in_doubt).collect();
    for gpu in in_doubt {
        let id = world.gpus[gpu].id();
        world.gpus[gpu].is_mixed = mixes_now(context, &id.clone());
    }
}

fn add_placements(context: &Context<'_>, world: &mut World) {
    let has_region = |device: &&Device| {
        let gpu = world.gpu_of(&device.parent).map(|at| &world.gpus[at]);
        gpu.is_some_and(|gpu| gpu.region.is_some())
    };
    let placed = world.devices.iter().filter(has_region);
    let placed = placed.filter_map(|device| Some((device.uuid, placement_of(context, device)?)));
    world.placements = placed.collect();
}

/// Whether a device is one that this program may touch.
pub fn is_ours_to_touch(device: &Device) -> bool {
    !matches!(device.slot, Slot::ForeignVf(_))
}
