//! What a GPU's functions can take at most: their driver lists types, and does not say how often
//! each fits.

use super::Context;
use super::capacity::{active_on, types_of};
use super::choose::Offer;
use super::functions::Spoken;
use super::standing::standing_of;
use crate::capacity::{Bounds, Held, framebuffer_needed, hold_line, holdings, instances_left};
use crate::model::{FrameworkKind, Parent, ParentId, VgpuType};
use crate::nvidia::{Share, Standing, card, size};
use crate::store::Sizes;

/// Bounds from above, as far as they are known: no more than so many functions, and than the card's
/// memory holds.
#[derive(Debug, Clone, Copy, Default)]
pub struct Limits {
    /// Which sizes boot lets it serve.
    pub sizes: Sizes,
    functions: Option<u32>,
    memory_mib: Option<u64>,
}

impl Limits {
    /// Of a parent's GPU; no limits for mediated devices, whose types say more themselves.
    pub fn of(context: &Context<'_>, parent: &Parent) -> Limits {
        if parent.framework != FrameworkKind::Vfio {
            return Limits::default();
        }
        let gpu = parent.gpu();
        let settings = context.store.settings_of(gpu).unwrap_or_default();
        let sriov = context.kernel.sriov_gpu(gpu).ok().flatten();
        let pci = context.kernel.serving(parent).pci(gpu, &mut Vec::new());
        let numbers = pci.and_then(|pci| pci.numbers());
        let known = numbers.and_then(|(vendor, device)| card(vendor, device));
        Limits {
            sizes: settings.sizes,
            functions: sriov.map(|sriov| sriov.total),
            memory_mib: known.map(|card| card.memory_mib()),
        }
    }

    /// What is known of the GPU with all the functions that it can have.
    pub fn bounds(&self) -> Bounds {
        Bounds {
            memory_mib: self.memory_mib,
            functions: self.functions,
        }
    }

    /// How many of a type fit on the GPU while it holds nothing else.
    pub fn most(&self, vgpu_type: &VgpuType) -> Option<u32> {
        let fit = match vgpu_type.share() {
            Share::Instance => instances_left(&[], vgpu_type, self.memory_mib),
            Share::Size(mib) => self
                .memory_mib
                .and_then(|all| all.checked_div(mib))
                .and_then(|fit| u32::try_from(fit).ok()),
            Share::Unknown => None,
        };
        [self.functions, fit].into_iter().flatten().min()
    }

    /// Nothing, where one more of a type beside these is surely too much.
    pub fn beside(&self, held: &[Held<'_>], vgpu_type: &VgpuType) -> Option<u32> {
        let is_too_much = match vgpu_type.share() {
            Share::Instance => instances_left(held, vgpu_type, self.memory_mib) == Some(0),
            _ => {
                let own = vgpu_type.framebuffer_mib().unwrap_or_default();
                let needed = framebuffer_needed(held) + own;
                self.memory_mib.is_some_and(|memory| needed > memory)
            }
        };
        let count: usize = held.iter().map(|held| held.count).sum();
        let all_taken = self
            .functions
            .is_some_and(|most| usize::try_from(most).is_ok_and(|most| count >= most));
        (is_too_much || all_taken).then_some(0)
    }
}

/// What surely is the end of room on a GPU for one more and more of an offer's type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ceiling {
    /// No more than so many can come, beside what is there.
    pub most: u32,
    /// Why, in words: "has 48 GiB of memory, ...".
    pub why: String,
}

/// The ceiling over a type whose driver does not say how often it fits, or says it of each function
/// alone; `None` where it is not known, as on a card that is unlocked, whose types are another card's.
pub fn ceiling(context: &Context<'_>, offer: &Offer, spoken: &Spoken) -> Option<Ceiling> {
    let (parent, vgpu_type) = (&offer.parent, &offer.vgpu_type);
    let is_instance_on_function = parent.gpu.is_some() && vgpu_type.share() == Share::Instance;
    if vgpu_type.available.is_some() && !is_instance_on_function {
        return None;
    }
    let limits = Limits::of(context, parent);
    let framework = context.kernel.serving(parent);
    let active = active_on(context, parent);
    let types = framework.types(&parent.id, &mut Vec::new());
    let types = types.unwrap_or_default();
    let held = holdings(types_of(&active, &types));
    let functions = match is_instance_on_function {
        true => None,
        false => framework.functions(&parent.id, &mut Vec::new()).ok(),
    };
    let by_functions = functions.filter(|all| !all.is_empty()).map(|functions| {
        let is_taken = |vf: &&ParentId| active.iter().any(|device| device.vf() == Some(vf));
        let is_kept = |vf: &&ParentId| !is_taken(vf) && spoken.keeper(vf, None).is_some();
        let all = functions.len();
        let taken = functions.iter().filter(is_taken).count();
        let kept = functions.iter().filter(is_kept).count();
        let most = all.saturating_sub(taken + kept);
        let gone = match (taken, kept) {
            (0, 0) => String::new(),
            (_, 0) => format!(", {taken} of them taken"),
            (0, _) => format!(", {kept} of them kept for what starts at boot"),
            _ => format!(", {taken} of them taken and {kept} kept for what starts at boot"),
        };
        Ceiling {
            most: u32::try_from(most).unwrap_or(u32::MAX),
            why: format!("has {all} virtual functions{gone}"),
        }
    });
    let by_instances = instances_left(&held, vgpu_type, limits.memory_mib).map(|most| Ceiling {
        most,
        why: match held.is_empty() {
            true => "can be cut into no more GPU instances of this kind".to_owned(),
            false => format!(
                "holds {}, beside which it can be cut into no more GPU instances of this kind",
                hold_line(&held)
            ),
        },
    });
    let size_of_all = match vgpu_type.share() {
        Share::Size(mib) => Some(mib),
        Share::Instance | Share::Unknown => None,
    };
    let by_memory = size_of_all.and_then(|mib| {
        let all = limits
            .memory_mib
            .filter(|_| is_its_own(context, parent, &types))?;
        let taken = framebuffer_needed(&held);
        let most = all.saturating_sub(taken).checked_div(mib)?;
        Some(Ceiling {
            most: u32::try_from(most).unwrap_or(u32::MAX),
            why: match taken {
                0 => format!("has {} of memory, and each needs {}", size(all), size(mib)),
                _ => format!(
                    "has {} of memory, of which {} are taken, and each needs {}",
                    size(all),
                    size(taken),
                    size(mib)
                ),
            },
        })
    });
    let all = [by_functions, by_instances, by_memory];
    all.into_iter().flatten().min_by_key(|ceiling| ceiling.most)
}

/// Whether a card's types are those that its memory was made for.
fn is_its_own(context: &Context<'_>, parent: &Parent, types: &[VgpuType]) -> bool {
    let framework = context.kernel.serving(parent);
    let pci = framework.pci(&parent.id, &mut Vec::new());
    let numbers = pci.and_then(|pci| pci.numbers());
    numbers.is_some_and(|numbers| standing_of(context, numbers, types) == Some(Standing::VgpuCard))
}

/// What surely is the most that a parent's GPU takes, with the functions that it has now.
pub fn bounds(context: &Context<'_>, parent: &Parent) -> Bounds {
    let framework = context.kernel.serving(parent);
    let mut unrelated = Vec::new();
    let functions = match (parent.framework, &parent.gpu) {
        (FrameworkKind::Vfio, _) => framework.functions(parent.gpu(), &mut unrelated).ok(),
        (FrameworkKind::Mdev, None) => None,
        (FrameworkKind::Mdev, Some(gpu)) => {
            let all = context.kernel.parents_named(gpu, &mut unrelated);
            all.ok()
                .map(|all| all.into_iter().map(|one| one.id).collect())
        }
    };
    let pci = framework.pci(parent.gpu(), &mut unrelated);
    let numbers = pci.and_then(|pci| pci.numbers());
    let types = framework
        .types(&parent.id, &mut unrelated)
        .unwrap_or_default();
    let known = numbers.filter(|_| is_its_own(context, parent, &types));
    let known = known.and_then(|(vendor, device)| card(vendor, device));
    Bounds {
        memory_mib: known.map(|card| card.memory_mib()),
        functions: functions.and_then(|all| u32::try_from(all.len()).ok()),
    }
}
