//! MIG-backed types: each vGPU has its own GPU instance, so sizes can be mixed, and capacity is determined by
//! the GPU instances that fit (NVIDIA's MIG user guide, "Supported MIG Profiles").

use std::collections::HashMap;

use crate::data::TYPES;
use crate::{Card, TypeDetails, TypeName};

/// Number of memory slices of a GPU.
const MEMORY_SLICES: u64 = 8;

/// How the size of a type restricts other types on the same GPU.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Share {
    /// Unknown size: no restriction.
    Unknown,
    /// Its own GPU instance, of any size.
    Instance,
    /// A size in MiB that all vGPUs on the GPU must have.
    Size(u64),
}

impl Share {
    /// For a type with this name and framebuffer, as far as known.
    pub fn of(name: Option<&TypeName>, framebuffer_mib: Option<u64>) -> Share {
        match (name, framebuffer_mib) {
            (Some(name), _) if name.is_mig() => Share::Instance,
            (_, Some(mib)) => Share::Size(mib),
            (_, None) => Share::Unknown,
        }
    }

    /// Whether both are known sizes that differ.
    pub fn is_other_size(self, other: Share) -> bool {
        matches!((self, other), (Share::Size(one), Share::Size(another)) if one != another)
    }

    /// Whether one has a GPU instance and the other would share the whole GPU: a GPU is either in MIG mode
    /// or not.
    pub fn is_other_mode(self, other: Share) -> bool {
        matches!(
            (self, other),
            (Share::Instance, Share::Size(_)) | (Share::Size(_), Share::Instance)
        )
    }

    /// Whether two of these cannot be on one GPU at the same time while it serves one size.
    pub fn clashes(self, other: Share) -> bool {
        self.is_other_size(other) || self.is_other_mode(other)
    }
}

/// The kind of GPU instance used by a MIG-backed type; types with the same kind share the existing
/// instances.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Instance {
    /// Compute slices.
    slices: u32,
    framebuffer_mib: u64,
    /// With or without media engines and graphics.
    suffix: Option<&'static str>,
}

/// A MIG-backed type.
#[derive(Debug, Clone, Copy)]
pub struct MigType {
    /// The GPU instance of each of its vGPUs.
    pub instance: Instance,
    has_media_engines: bool,
    /// The compute slices of the whole GPU, if known.
    gpu_slices: Option<u32>,
    /// The maximum on an empty GPU, from the type's description.
    max_instances: Option<u32>,
}

impl MigType {
    /// The type with this name and description; `None` if not MIG-backed.
    pub fn of(name: &TypeName, details: Option<&TypeDetails<'_>>) -> Option<MigType> {
        let slices = name.slices?;
        let gpu = family(&name.gpu);
        Some(MigType {
            instance: Instance {
                slices,
                framebuffer_mib: name.framebuffer_mib,
                suffix: name.suffix,
            },
            has_media_engines: name.has_media_engines(),
            gpu_slices: gpu.map(|(_, slices)| *slices),
            max_instances: details.map(|known| known.max_instances),
        })
    }

    /// The memory slices of an instance on a GPU with this number of compute slices. With one compute slice, there
    /// are profiles with one and with two memory slices; sizes in names are rounded.
    fn memory_slices(&self, gpu_slices: u32, memory_mib: Option<u64>) -> u64 {
        match (gpu_slices, self.instance.slices) {
            (4, slices) => u64::from(slices) * 2,
            (_, 1) => match (memory_mib.filter(|all| *all > 0), self.max_instances) {
                (Some(all), _) => {
                    let twice = 2 * MEMORY_SLICES * self.instance.framebuffer_mib / all;
                    twice.div_ceil(2).clamp(1, MEMORY_SLICES)
                }
                (None, Some(2..=4)) => 2,
                (None, _) => 1,
            },
            (_, 2) => 2,
            (_, 3 | 4) => 4,
            _ => MEMORY_SLICES,
        }
    }
}

/// The entry of the table for GPUs whose names begin like this one's.
fn family(gpu: &str) -> Option<(&'static String, &'static u32)> {
    let mut gpus = TYPES.mig_slices.iter();
    gpus.find(|(start, _)| gpu.starts_with(*start))
}

/// Whether a type may be one of a card's, as far as their names tell.
pub fn may_be_of(name: &TypeName, card: &Card) -> bool {
    family(&name.gpu) == family(card.name)
}

/// Whether a GPU with these vGPUs and available types is partitioned into instances on
/// demand: it offers more, in addition to those it holds, than it can be partitioned into at once. The
/// available number of one kind of instance then depends on all kinds.
pub fn is_cut_as_wanted(held: &[(MigType, u32)], offered: &[(MigType, u32)]) -> bool {
    let mut kinds: HashMap<Instance, u32> = HashMap::new();
    for (one, free) in offered {
        let known = kinds.entry(one.instance).or_default();
        *known = (*free).max(*known);
    }
    let held = held.iter().map(|(one, count)| (one.instance, *count));
    let slices = |(instance, count): (Instance, u32)| instance.slices.saturating_mul(count);
    let all = held.chain(kinds).map(slices).fold(0, u32::saturating_add);
    let most = offered.iter().find_map(|(one, _)| one.gpu_slices);
    most.is_some_and(|most| all > most)
}

/// The maximum number of further instances of a type on a GPU that holds these, as far as can be derived from
/// its slices and memory. This is an upper bound: only the driver knows the existing instances.
pub fn instances_left(
    held: &[(MigType, u32)],
    wanted: &MigType,
    memory_mib: Option<u64>,
) -> Option<u32> {
    let left = |all: u64, of: &dyn Fn(&MigType) -> u64| {
        let taken: u64 = held
            .iter()
            .map(|(one, count)| of(one) * u64::from(*count))
            .sum();
        all.saturating_sub(taken) / of(wanted)
    };
    // Only one instance has the media engines.
    let engines = |one: &MigType| u64::from(one.has_media_engines);
    let by_engines = wanted.has_media_engines.then(|| left(1, &engines));
    let by_compute = wanted
        .gpu_slices
        .map(|all| left(all.into(), &|one| one.instance.slices.into()));
    let by_memory = match wanted.gpu_slices {
        Some(gpu) => Some(left(MEMORY_SLICES, &|one| {
            one.memory_slices(gpu, memory_mib)
        })),
        None => memory_mib.map(|all| left(all, &|one| one.instance.framebuffer_mib)),
    };
    let least = [by_engines, by_compute, by_memory]
        .into_iter()
        .flatten()
        .min()?;
    u32::try_from(least).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1024;

    fn share(name: &str) -> Share {
        let name = TypeName::parse(&format!("NVIDIA {name}"));
        Share::of(
            name.as_ref(),
            name.as_ref().map(|name| name.framebuffer_mib),
        )
    }

    fn mig(name: &str) -> Option<MigType> {
        MigType::of(&TypeName::parse(&format!("NVIDIA {name}"))?, None)
    }

    fn left(held: &[(&str, u32)], wanted: &str, memory_gib: Option<u64>) -> Option<u32> {
        let held: Vec<(MigType, u32)> = held
            .iter()
            .filter_map(|(name, count)| Some((mig(name)?, *count)))
            .collect();
        instances_left(&held, &mig(wanted)?, memory_gib.map(|gib| gib * GIB))
    }

    #[test]
    fn only_a_count_of_slices_makes_a_type_mig_backed() {
        for (name, wanted) in [
            ("A100-1-5C", Share::Instance),
            ("A100-1-5CME", Share::Instance),
            ("H100XM-1-10C", Share::Instance),
            ("DC-1-24QGFX", Share::Instance),
            ("A100-40C", Share::Size(40 * GIB)),
            ("DC-24Q", Share::Size(24 * GIB)),
            ("L40S-8Q", Share::Size(8 * GIB)),
            ("RTX6000-Ada-8Q", Share::Size(8 * GIB)),
            // No GPU has this many slices: the number is part of the GPU's name.
            ("RTX-6000-8Q", Share::Size(8 * GIB)),
            ("X-0-8Q", Share::Size(8 * GIB)),
            ("RTXA6000-1", Share::Size(GIB)),
        ] {
            assert_eq!(share(name), wanted, "{name}");
        }
        assert_eq!(share("Dual port serial"), Share::Unknown);
    }

    #[test]
    fn a_type_belongs_to_cards_of_its_family() {
        for (name, device, wanted) in [
            ("H100XM-1-10C", 0x2330, true),
            ("A100D-1-10C", 0x2330, false),
            ("A100D-1-10C", 0x20b5, true),
            ("H200-1-18C", 0x2335, true),
            ("GH200-1-12C", 0x2335, false),
            ("DC-1-24Q", 0x2bb5, true),
            ("DC-1-24Q", 0x2330, false),
        ] {
            let name = TypeName::parse(name).unwrap();
            let card = crate::card(crate::NVIDIA, device).unwrap();
            assert_eq!(may_be_of(&name, card), wanted, "{name:?} {card:?}");
        }
    }

    #[test]
    fn instances_of_all_sizes_go_together_and_not_with_what_shares_the_whole_gpu() {
        assert!(!share("A100-1-5C").clashes(share("A100-2-10C")));
        assert!(share("A100-1-5C").is_other_mode(share("A100-10C")));
        assert!(share("A100-10C").is_other_mode(share("A100-1-5C")));
        assert!(share("A100-10C").is_other_size(share("A100-20C")));
        assert!(!share("A100-10C").clashes(share("A100-10C")));
        assert!(!share("A100-10C").clashes(Share::Unknown));
    }

    /// Numbers from the MIG user guide and from an H200 (`nvidia-smi mig -lgip`).
    #[test]
    fn an_empty_gpu_takes_as_many_as_the_guide_says() {
        for (name, memory_gib, most) in [
            ("A100-1-5C", 40, 7),
            ("A100-1-5CME", 40, 1),
            ("A100-1-10C", 40, 4),
            ("A100-2-10C", 40, 3),
            ("A100-3-20C", 40, 2),
            ("A100-4-20C", 40, 1),
            ("A100-7-40C", 40, 1),
            ("A100D-1-10C", 80, 7),
            ("A100D-1-20C", 80, 4),
            ("H100XM-2-20C", 80, 3),
            ("H100XM-4-40C", 80, 1),
            ("H100L-1-12C", 94, 7),
            ("H100L-1-24C", 94, 4),
            ("A30-1-6C", 24, 4),
            ("A30-2-12C", 24, 2),
            ("A30-4-24C", 24, 1),
            ("H200-1-18C", 141, 7),
            ("H200-1-35C", 141, 4),
            ("H200-2-35C", 141, 3),
            ("H200-3-71C", 141, 2),
            ("H200-4-71C", 141, 1),
            ("H200-7-141C", 141, 1),
            ("DC-1-24Q", 96, 4),
            ("DC-2-48Q", 96, 2),
            ("DC-4-96Q", 96, 1),
            ("DC-1-24QME", 96, 1),
            ("DC-1-12Q", 96, 8),
        ] {
            assert_eq!(left(&[], name, Some(memory_gib)), Some(most), "{name}");
        }
        assert_eq!(left(&[], "A100-10C", Some(40)), None);
        assert_eq!(left(&[], "DC-1-24Q", None), None);
    }

    #[test]
    fn what_is_held_leaves_the_slices_that_it_does_not_take() {
        for (held, wanted, fit) in [
            (&[("A100-1-5C", 3)][..], "A100-2-10C", 2),
            (&[("A100-1-5C", 5), ("A100-2-10C", 1)], "A100-1-5C", 0),
            // Four and three fill the card, although two times three leaves one of seven slices.
            (&[("A100-4-20C", 1)], "A100-3-20C", 1),
            (&[("A100-3-20C", 2)], "A100-1-5C", 0),
            (&[("A100-3-20C", 1), ("A100-2-10C", 1)], "A100-1-5C", 2),
            (&[("A100-1-5CME", 1)], "A100-1-5CME", 0),
            (&[("A100-1-5CME", 1)], "A100-1-5C", 6),
            (&[("A100-10C", 2)], "A100-1-5C", 7),
        ] {
            assert_eq!(left(held, wanted, Some(40)), Some(fit), "{held:?} {wanted}");
        }
    }

    #[test]
    fn a_gpu_that_offers_more_than_it_has_is_cut_as_wanted() {
        let of = |list: &[(&str, u32)]| -> Vec<(MigType, u32)> {
            list.iter()
                .map(|(name, count)| (mig(name).unwrap(), *count))
                .collect()
        };
        for (held, offered, is_so) in [
            (&[][..], &[("A100-1-5C", 7), ("A100-7-40C", 1)][..], true),
            (
                &[("A100-3-20C", 1)],
                &[("A100-1-5C", 4), ("A100-2-10C", 2)],
                true,
            ),
            (
                &[("A100-3-20C", 1)],
                &[("A100-1-5C", 2), ("A100-2-10C", 1)],
                false,
            ),
            // Two types with the same kind of instance have the same availability.
            (&[], &[("A100-1-5C", 4), ("GRID A100-1-5C", 4)], false),
            (&[], &[("DC-1-24Q", 4), ("DC-4-96Q", 1)], false),
        ] {
            assert_eq!(
                is_cut_as_wanted(&of(held), &of(offered)),
                is_so,
                "{held:?} {offered:?}"
            );
        }
    }
}
