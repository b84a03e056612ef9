//! MIG-backed types: each vGPU has a GPU instance of its own, so that sizes mix, and what fits is
//! what GPU instances fit (NVIDIA's MIG user guide, "Supported MIG Profiles").

use std::collections::HashMap;

use super::{Held, TypeName};
use crate::model::VgpuType;

/// A GPU's memory is cut into so many slices for its instances.
const MEMORY_SLICES: u64 = 8;

/// What a type's size means to the others on a GPU.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Share {
    /// Its size is not known: no rule.
    Unknown,
    /// A GPU instance of its own, of whatever size.
    Instance,
    /// So many MiB, which all on the GPU have to have.
    Size(u64),
}

impl Share {
    /// Of a type.
    pub fn of(vgpu_type: &VgpuType) -> Share {
        let has_instance = vgpu_type.name_parts().is_some_and(|name| name.is_mig());
        match vgpu_type.framebuffer_mib() {
            _ if has_instance => Share::Instance,
            Some(mib) => Share::Size(mib),
            None => Share::Unknown,
        }
    }

    /// Whether both are sizes, and not the same.
    pub fn is_other_size(self, other: Share) -> bool {
        matches!((self, other), (Share::Size(one), Share::Size(another)) if one != another)
    }

    /// Whether one has a GPU instance and the other would share the whole GPU: a GPU is in MIG mode
    /// or it is not.
    pub fn is_other_mode(self, other: Share) -> bool {
        matches!(
            (self, other),
            (Share::Instance, Share::Size(_)) | (Share::Size(_), Share::Instance)
        )
    }

    /// Whether two of these are never on one GPU at a time, as long as it serves one size.
    pub fn clashes(self, other: Share) -> bool {
        self.is_other_size(other) || self.is_other_mode(other)
    }
}

/// How a GPU is cut into instances.
#[derive(Debug, Clone, Copy)]
struct Make {
    compute_slices: u32,
}

impl Make {
    /// By the GPU's name in its types. Not known of RTX PRO cards, which share the name DC, and
    /// where several vGPUs may share an instance.
    fn of(name: &TypeName) -> Option<Make> {
        const OF_SEVEN: [&str; 10] = [
            "A100", "A800", "AX800", "B200", "B300", "GB200", "GB300", "GH200", "H100", "H20",
        ];
        const MORE_OF_SEVEN: [&str; 2] = ["H200", "H800"];
        let is = |known: &&str| name.gpu.starts_with(*known);
        let compute_slices = match name.gpu.as_str() {
            gpu if gpu.starts_with("A30") => 4,
            _ if OF_SEVEN.iter().chain(&MORE_OF_SEVEN).any(is) => 7,
            _ => return None,
        };
        Some(Make { compute_slices })
    }

    /// The memory slices of an instance. Of one compute slice there are profiles with one and with
    /// two; the names have rounded sizes.
    fn memory_slices(self, one: &Backed<'_>, memory_mib: Option<u64>) -> u64 {
        match (self.compute_slices, one.slices) {
            (4, slices) => u64::from(slices) * 2,
            (_, 1) => {
                let by_memory = memory_mib.filter(|all| *all > 0).map(|all| {
                    let twice = 2 * MEMORY_SLICES * one.name.framebuffer_mib / all;
                    twice.div_ceil(2).clamp(1, MEMORY_SLICES)
                });
                let by_count = one.vgpu_type.details().map(|known| known.max_instances);
                by_memory.unwrap_or(match by_count {
                    Some(2..=4) => 2,
                    _ => 1,
                })
            }
            (_, 2) => 2,
            (_, 3 | 4) => 4,
            _ => MEMORY_SLICES,
        }
    }
}

/// A MIG-backed type, and how many of it a GPU holds.
struct Backed<'t> {
    vgpu_type: &'t VgpuType,
    name: TypeName,
    slices: u32,
    count: u32,
}

impl<'t> Backed<'t> {
    fn of(vgpu_type: &'t VgpuType, count: usize) -> Option<Backed<'t>> {
        let name = vgpu_type.name_parts()?;
        Some(Backed {
            slices: name.slices?,
            count: u32::try_from(count).unwrap_or(u32::MAX),
            vgpu_type,
            name,
        })
    }
}

/// The GPU instance that a MIG-backed type's vGPUs have: types of one kind of instance share those
/// that there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Instance {
    /// Compute slices.
    slices: u32,
    framebuffer_mib: u64,
    /// Media engines and graphics, with or without.
    suffix: Option<&'static str>,
}

impl Instance {
    /// Of a type; `None` for one that has none.
    pub fn of(vgpu_type: &VgpuType) -> Option<Instance> {
        let name = vgpu_type.name_parts()?;
        Some(Instance {
            slices: name.slices?,
            framebuffer_mib: name.framebuffer_mib,
            suffix: name.suffix,
        })
    }
}

/// Whether a GPU that offers these is cut into instances as they are wanted: it offers more at a time,
/// beside those that it holds, than it can be cut into. What is free of one kind of instance is then
/// what all kinds leave.
pub fn is_cut_as_wanted(held: &[Held<'_>], types: &[VgpuType]) -> bool {
    let mut offered: HashMap<Instance, u32> = HashMap::new();
    let mut most = None;
    for vgpu_type in types {
        let Some((instance, name)) = Instance::of(vgpu_type).zip(vgpu_type.name_parts()) else {
            continue;
        };
        most = most.or(Make::of(&name).map(|make| make.compute_slices));
        let free = vgpu_type.available.unwrap_or(vgpu_type.at_least);
        let known = offered.entry(instance).or_default();
        *known = free.max(*known);
    }
    let held = held.iter();
    let held = held.filter_map(|held| {
        let count = u32::try_from(held.count).ok()?;
        Some(Instance::of(held.vgpu_type)?.slices * count)
    });
    let offered = offered
        .iter()
        .map(|(instance, free)| instance.slices.saturating_mul(*free));
    let all = held.chain(offered).fold(0, u32::saturating_add);
    most.is_some_and(|most| all > most)
}

/// How many more of a MIG-backed type fit at most on a GPU that holds these, as far as that is known
/// of its make and memory; `None` for other types, too. A bound from above: which instances there
/// are now, only the driver knows.
pub fn instances_left(
    held: &[Held<'_>],
    wanted: &VgpuType,
    memory_mib: Option<u64>,
) -> Option<u32> {
    let wanted = Backed::of(wanted, 0)?;
    let held = held.iter();
    let held: Vec<Backed<'_>> = held
        .filter_map(|held| Backed::of(held.vgpu_type, held.count))
        .collect();
    let sum = |of: &dyn Fn(&Backed<'_>) -> u64| -> u64 {
        held.iter().map(|one| of(one) * u64::from(one.count)).sum()
    };
    // One instance has the media engines.
    let engines = |one: &Backed<'_>| u64::from(one.name.has_media_engines());
    let by_engines = (engines(&wanted) > 0).then(|| 1_u64.saturating_sub(sum(&engines)));
    let bounds = match Make::of(&wanted.name) {
        Some(make) => {
            let compute = |one: &Backed<'_>| u64::from(one.slices);
            let memory = |one: &Backed<'_>| make.memory_slices(one, memory_mib);
            let all = u64::from(make.compute_slices);
            let by_compute = all.saturating_sub(sum(&compute)) / compute(&wanted);
            let by_memory = MEMORY_SLICES.saturating_sub(sum(&memory)) / memory(&wanted);
            [by_engines, Some(by_compute), Some(by_memory)]
        }
        None => {
            let mib = |one: &Backed<'_>| one.name.framebuffer_mib;
            let by_memory = memory_mib.map(|all| all.saturating_sub(sum(&mib)) / mib(&wanted));
            [by_engines, by_memory, None]
        }
    };
    let least = bounds.into_iter().flatten().min()?;
    u32::try_from(least).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nvidia::holdings;

    const GIB: u64 = 1024;

    fn named(name: &str) -> VgpuType {
        let number: u32 = name
            .bytes()
            .fold(7, |sum, byte| sum * 31 % 9973 + u32::from(byte));
        VgpuType {
            id: format!("nvidia-{}", number + 1).parse().unwrap(),
            name: Some(format!("NVIDIA {name}").into()),
            description: None,
            available: None,
            at_least: 0,
            device_api: None,
        }
    }

    fn left(held: &[(&str, usize)], wanted: &str, memory_gib: Option<u64>) -> Option<u32> {
        let types: Vec<VgpuType> = held
            .iter()
            .flat_map(|(name, count)| vec![named(name); *count])
            .collect();
        instances_left(
            &holdings(&types),
            &named(wanted),
            memory_gib.map(|gib| gib * GIB),
        )
    }

    #[test]
    fn only_a_count_of_slices_makes_a_type_mig_backed() {
        for (name, share) in [
            ("A100-1-5C", Share::Instance),
            ("A100-1-5CME", Share::Instance),
            ("H100XM-1-10C", Share::Instance),
            ("DC-1-24QGFX", Share::Instance),
            ("A100-40C", Share::Size(40 * GIB)),
            ("DC-24Q", Share::Size(24 * GIB)),
            ("L40S-8Q", Share::Size(8 * GIB)),
            ("RTX6000-Ada-8Q", Share::Size(8 * GIB)),
            // No GPU has so many slices: that is a part of the GPU's name.
            ("RTX-6000-8Q", Share::Size(8 * GIB)),
            ("X-0-8Q", Share::Size(8 * GIB)),
            ("RTXA6000-1", Share::Size(GIB)),
        ] {
            assert_eq!(Share::of(&named(name)), share, "{name}");
        }
        assert_eq!(Share::of(&named("Dual port serial")), Share::Unknown);
    }

    #[test]
    fn instances_of_all_sizes_go_together_and_not_with_what_shares_the_whole_gpu() {
        let of = |name: &str| Share::of(&named(name));
        assert!(!of("A100-1-5C").clashes(of("A100-2-10C")));
        assert!(of("A100-1-5C").is_other_mode(of("A100-10C")));
        assert!(of("A100-10C").is_other_mode(of("A100-1-5C")));
        assert!(of("A100-10C").is_other_size(of("A100-20C")));
        assert!(!of("A100-10C").clashes(of("A100-10C")));
        assert!(!of("A100-10C").clashes(Share::Unknown));
    }

    /// The MIG user guide's and the H200's own numbers (`nvidia-smi mig -lgip`).
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
            // Four and three fill the card, though two times three leave a slice of seven.
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
}
