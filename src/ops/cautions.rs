//! What is known beforehand of what will not work: at the next boot, or in the card's real memory.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use uuid::Uuid;

use super::Context;
use super::capacity::no_room_for;
use super::functions::named;
use super::inventory::{active_on, inventory_at_boot, types};
use super::restore::{at_next_boot, mib_in_turn};
use super::standing::unlocked;
use crate::capacity::{Capacity, Held, Inventory, framebuffer_needed, hold_line, holdings};
use crate::error::{Error, Kind, Warnings};
use crate::model::{Definition, FrameworkKind, Parent, ParentId, TypeId, VgpuType};
use crate::nvidia::{Card, size, standing};

/// A device that a dry run would make or define.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ahead {
    uuid: Option<Uuid>,
    type_id: TypeId,
    /// Where its definition says that it is to be: those that name a virtual function come first.
    place: Option<ParentId>,
}

impl Ahead {
    /// A device of that type, under that UUID or, after all those that are known, a random one.
    pub fn new(uuid: Option<Uuid>, type_id: TypeId) -> Ahead {
        Ahead {
            uuid,
            type_id,
            place: None,
        }
    }

    /// A device that is defined, or would be.
    pub fn of(definition: &Definition) -> Ahead {
        Ahead {
            place: named(definition).cloned(),
            ..Ahead::new(Some(definition.uuid), definition.type_id.clone())
        }
    }

    /// The same device, which may not have a UUID yet, on this parent or virtual function.
    pub fn on(self, place: Option<&ParentId>) -> Ahead {
        Ahead {
            place: place.cloned(),
            ..self
        }
    }
}

/// A caution for each device that is defined to start at boot on this parent, or would be, and for
/// which those before it leave no room. None where the parent is not there to be asked.
pub fn boot_cautions(context: &Context<'_>, parent: &ParentId, planned: &[Ahead]) -> Warnings {
    foresee_boot(context, parent, planned, |_, _| None)
}

/// As [`boot_cautions`], and one where all that start need more memory than the card has.
pub fn set_cautions(context: &Context<'_>, parent: &ParentId, planned: &[Ahead]) -> Warnings {
    foresee_boot(context, parent, planned, |parent, held| {
        let card = unlocked_card(context, parent)?;
        let needing = format!("the devices that start at boot, {}, need", hold_line(held));
        beyond_memory(card, &parent.id, held, &needing)
    })
}

/// A caution where what is active on a parent, with what a dry run would add, needs more memory than
/// its card has. Only of a card that is unlocked, whose types are another card's.
pub fn memory_cautions(context: &Context<'_>, parent: &Parent, planned: &[Ahead]) -> Warnings {
    let Some(card) = unlocked_card(context, parent) else {
        return Vec::new();
    };
    let types = types(context, parent);
    let on_it = active_on(context, parent);
    let mut active: Vec<&VgpuType> = on_it
        .iter()
        .filter_map(|device| find(&types, &device.type_id))
        .collect();
    active.extend(
        planned
            .iter()
            .filter_map(|ahead| find(&types, &ahead.type_id)),
    );
    let beyond = memory_caution(card, &parent.id, &holdings(active));
    beyond.into_iter().collect()
}

/// A caution where these need more memory than an unlocked card has.
pub fn memory_caution(card: &Card, gpu: &ParentId, held: &[Held<'_>]) -> Option<Error> {
    let verb = match held.iter().map(|held| held.count).sum() {
        1 => "needs",
        _ => "need",
    };
    let needing = format!("{} {verb}", hold_line(held));
    beyond_memory(card, gpu, held, &needing)
}

fn foresee_boot(
    context: &Context<'_>,
    parent: &ParentId,
    planned: &[Ahead],
    of_all: impl FnOnce(&Parent, &[Held<'_>]) -> Option<Error>,
) -> Warnings {
    let mut unrelated = Vec::new();
    let Ok(parent) = context.kernel.parent(parent, &mut unrelated) else {
        return Vec::new();
    };
    // What one function has free says nothing of its GPU.
    let parent = match *parent.home() == parent.id {
        true => parent,
        false => parent.whole(),
    };
    let starting = boot_set(context, &parent, planned);
    let inventory = inventory_at_boot(context, &parent, starting.iter().map(|one| &one.type_id));
    let mut room = AtBoot::of(context, &parent, &inventory);
    let mut cautions = Vec::new();
    for Ahead { uuid, type_id, .. } in starting {
        // One whose type is not there fails for that reason, and takes no room.
        let Some(wanted) = find(&inventory.types, &type_id) else {
            continue;
        };
        if let Err(why) = room.admit(wanted) {
            let who = uuid.map_or_else(|| "a new device".to_owned(), |uuid| uuid.to_string());
            let message = format!("{who} will not start at the next boot: {}", why.message());
            cautions.push(why.retold(message));
        }
    }
    cautions.extend(of_all(&parent, &room.capacity.holdings()));
    cautions
}

/// A GPU as boot fills it.
pub struct AtBoot<'a> {
    context: &'a Context<'a>,
    parent: &'a Parent,
    capacity: Capacity<'a>,
    /// The GPU instances that its settings list and that are not taken yet, by profile. `None` where they list none,
    /// or one by its number.
    instances: Option<BTreeMap<String, u32>>,
}

impl<'a> AtBoot<'a> {
    /// The GPU of that parent; what its functions offer is known by any of them.
    pub fn of(
        context: &'a Context<'a>,
        parent: &'a Parent,
        inventory: &'a Inventory,
    ) -> AtBoot<'a> {
        AtBoot {
            context,
            parent,
            capacity: inventory.capacity().at_next_boot(),
            instances: instances_at_boot(context, parent.gpu()),
        }
    }

    /// Lets the next one in, if those before it leave room.
    ///
    /// # Errors
    /// [`Kind::NoCapacity`], with what is in the way.
    pub fn admit(&mut self, wanted: &'a VgpuType) -> Result<(), Error> {
        self.admit_instance(wanted)?;
        let at = self.capacity.add(wanted);
        let order = match (self.parent.framework, &self.parent.gpu) {
            _ if self.capacity.limits().mixes_sizes => {
                "on a GPU with several framebuffer sizes, the largest devices start first"
            }
            (FrameworkKind::Mdev, None) => "devices of one parent start in order of their UUIDs",
            (FrameworkKind::Mdev, Some(_)) => {
                "devices start in the order of their virtual functions"
            }
            (FrameworkKind::Vfio, _) => {
                "devices that have a virtual function start first, in order of their UUIDs"
            }
        };
        let gpu = self.parent.gpu();
        let needs_mixing =
            self.capacity.needs_mixing(at) && self.parent.framework == FrameworkKind::Vfio;
        let mix = needs_mixing.then(|| format!("or {}", mixing_hint(self.context, gpu)));
        self.capacity.admit(at).map_err(|refusal| {
            no_room_for(wanted, &format!("{gpu} {}", refusal.words()))
                .hint(format!(
                    "{order}; change one that is in the way: vgpuctl modify UUID --type TYPE, or --manual"
                ))
                .hints(mix)
        })
    }
}

impl AtBoot<'_> {
    /// A MIG-backed type takes one of the GPU instances that boot creates.
    fn admit_instance(&mut self, wanted: &VgpuType) -> Result<(), Error> {
        let profile = wanted
            .name_parts()
            .and_then(|name| name.gpu_instance_profile());
        let (Some(instances), Some(profile)) = (&mut self.instances, profile) else {
            return Ok(());
        };
        match instances.get_mut(&profile).filter(|left| **left > 0) {
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => {
                let gpu = self.parent.gpu();
                let settings = self.context.store.settings_path(gpu);
                let why = format!("boot creates no further GPU instance {profile} on {gpu}");
                let hint = format!("add {profile} to mig in {}", settings.display());
                Err(no_room_for(wanted, &why).hint(hint))
            }
        }
    }
}

fn instances_at_boot(context: &Context<'_>, gpu: &ParentId) -> Option<BTreeMap<String, u32>> {
    let listed = context.store.settings_of(gpu).unwrap_or_default().mig;
    let mut instances = BTreeMap::new();
    for one in &listed {
        if !one.profile.contains('g') {
            return None;
        }
        *instances.entry(one.profile.clone()).or_default() += 1;
    }
    Some(instances).filter(|all| !all.is_empty())
}

/// How a GPU serves several sizes.
pub fn mixing_hint(context: &Context<'_>, gpu: &ParentId) -> String {
    format!(
        "allow several sizes on the GPU, if it and its driver support that: set mixed-sizes = yes \
         in {}",
        context.store.settings_path(gpu).display()
    )
}

/// What will be started on a parent, in order; a device that is planned takes the place of the
/// definition of its UUID.
fn boot_set(context: &Context<'_>, parent: &Parent, planned: &[Ahead]) -> Vec<Ahead> {
    let mut set: Vec<Ahead> = at_next_boot(context, parent)
        .into_iter()
        .map(|definition| Ahead::of(&definition))
        .filter(|defined| planned.iter().all(|ahead| ahead.uuid != defined.uuid))
        .collect();
    set.extend(planned.iter().cloned());
    // Definitions of mediated devices are kept by their parents, which may be virtual functions.
    let is_by_parent = parent.framework == FrameworkKind::Mdev;
    let gpu = parent.gpu();
    let sizes = context.store.settings_of(gpu).unwrap_or_default().sizes;
    set.sort_by_cached_key(|ahead| {
        let parent = ahead.place.clone().filter(|_| is_by_parent);
        (
            Reverse(mib_in_turn(context, gpu, sizes, &ahead.type_id)),
            ahead.place.is_none(),
            parent,
            ahead.uuid.is_none(),
            ahead.uuid,
        )
    });
    set
}

fn find<'t>(types: &'t [VgpuType], id: &TypeId) -> Option<&'t VgpuType> {
    types.iter().find(|vgpu_type| vgpu_type.id == *id)
}

/// The card behind a parent, where it is known and its types are another card's.
fn unlocked_card(context: &Context<'_>, parent: &Parent) -> Option<&'static Card> {
    let framework = context.kernel.serving(parent);
    let numbers = framework.pci(&parent.id, &mut Vec::new())?.numbers()?;
    // Only of one that may be unlocked its types have to be known.
    standing(numbers.0, numbers.1)?.unlock()?;
    unlocked(context, numbers, &types(context, parent))
}

/// `needing` is who needs the memory, with the verb.
fn beyond_memory(card: &Card, gpu: &ParentId, held: &[Held<'_>], needing: &str) -> Option<Error> {
    let needed = framebuffer_needed(held);
    let message = format!(
        "{gpu} is {} with {} of memory; {needing} {}",
        card.with_article(),
        card.memory(),
        size(needed)
    );
    let hint = "its types are those of the card that the driver treats it as: guests may fail to \
                start, or fail later";
    (needed > card.memory_mib()).then(|| Error::new(Kind::NoCapacity, message).hint(hint))
}
