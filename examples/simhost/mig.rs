//! MIG: the GPU instances of a GPU.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::host::Host;

const TABLE: &str = include_str!("mig.toml");

/// MIG of a model of card.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MigCard {
    /// Memory of the whole GPU.
    pub memory_mib: u32,
    /// Whether MIG mode survives a reboot and requires a reset to change, as before Hopper.
    pub keeps_mode: bool,
    /// GPU instance profiles.
    pub profiles: Vec<Profile>,
}

/// A GPU instance profile.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// `1g.10gb`.
    pub name: String,
    /// Its number.
    pub id: u32,
    /// Number of its instances on an empty GPU.
    pub total: u32,
    /// Memory as `nvidia-smi` shows it.
    pub gib: String,
    /// SM, DEC, ENC, CE, JPEG, OFA.
    pub engines: [u32; 6],
    /// Memory slices at which an instance may start.
    pub starts: Vec<u32>,
    /// Memory slices of an instance.
    pub size: u32,
}

/// MIG of one GPU at a given moment.
#[derive(Debug, Clone)]
pub struct Mig {
    /// What the card can do.
    pub card: MigCard,
    /// Whether MIG mode is enabled.
    pub current: bool,
    /// Whether it is after a reset.
    pub pending: bool,
    /// The GPU instances, ordered by ID.
    pub instances: Vec<GpuInstance>,
}

/// A GPU instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GpuInstance {
    /// Its ID on the GPU.
    pub id: u32,
    /// The ID of its profile.
    pub profile: u32,
    /// Its first memory slice.
    pub start: u32,
    /// Its memory slices.
    pub size: u32,
    /// Whether it has a compute instance.
    pub has_compute: bool,
}

/// The MIG card named `key` in host files.
pub fn card(key: &str) -> Result<MigCard, String> {
    let mut table: BTreeMap<String, MigCard> =
        toml::from_str(TABLE).map_err(|e| format!("mig.toml: {e}"))?;
    let known: Vec<String> = table.keys().cloned().collect();
    table
        .remove(key)
        .ok_or_else(|| format!("no MIG of \"{key}\"; known: {}", known.join(", ")))
}

impl Mig {
    /// That of a GPU without instances.
    pub fn new(card: MigCard, is_on: bool) -> Self {
        Self {
            card,
            current: is_on,
            pending: is_on,
            instances: Vec::new(),
        }
    }

    /// The profile with this name or number.
    pub fn profile(&self, which: &str) -> Option<&Profile> {
        let mut profiles = self.card.profiles.iter();
        profiles.find(|p| p.name == which || p.id.to_string() == which)
    }

    /// The starts at which one more instance of this profile fits.
    pub fn free_starts(&self, profile: &Profile) -> Vec<u32> {
        let same = self.instances.iter().filter(|i| i.profile == profile.id);
        if same.count() as u32 >= profile.total {
            return Vec::new();
        }
        let is_free = |start: &u32| {
            let end = start + profile.size;
            let mut others = self.instances.iter();
            others.all(|i| i.start + i.size <= *start || end <= i.start)
        };
        profile.starts.iter().copied().filter(is_free).collect()
    }

    /// How many more instances of this profile fit.
    pub fn free(&self, profile: &Profile) -> u32 {
        let mut trial = self.clone();
        let mut count = 0;
        while trial.create(profile, None).is_some() {
            count += 1;
        }
        count
    }

    /// Creates an instance at this start, or at the first free one; `None` if it does not fit.
    pub fn create(&mut self, profile: &Profile, start: Option<u32>) -> Option<GpuInstance> {
        let free = self.free_starts(profile);
        let start = match start {
            Some(start) => free.into_iter().find(|free| *free == start)?,
            None => free.into_iter().next()?,
        };
        // IDs say where an instance is: 0 is the whole GPU, 1 and 2 are halves, 3 to 6 quarters.
        let id = match profile.size {
            8.. => 0,
            4.. => 2 - start / 4,
            2.. => 3 + start / 2,
            _ => 7 + start,
        };
        let made = GpuInstance {
            id,
            profile: profile.id,
            start,
            size: profile.size,
            has_compute: false,
        };
        self.instances.push(made);
        self.instances.sort_by_key(|i| i.id);
        Some(made)
    }

    /// What is left of it after a reboot.
    pub fn reboot(&mut self) {
        self.instances.clear();
        self.pending &= self.card.keeps_mode;
        self.current = self.pending;
    }
}

impl Host {
    /// The GPU instances of a GPU that have a vGPU, with its VF.
    pub fn used_instances(&self, gpu: &str) -> BTreeMap<u32, String> {
        let vfs = self.vfs_of(gpu).filter_map(|vf| {
            let current = self.vendor_vfs.get(&vf.id)?.current.as_ref()?;
            Some((current.gpu_instance?, vf.id.clone()))
        });
        vfs.collect()
    }

    /// A GPU instance of this profile without a vGPU.
    pub fn free_instance(&self, gpu: &str, profile: &str) -> Option<u32> {
        let mig = self.mig.get(gpu).filter(|mig| mig.current)?;
        let wanted = mig.profile(profile)?.id;
        let used = self.used_instances(gpu);
        let mut instances = mig.instances.iter();
        let free = |i: &&GpuInstance| i.profile == wanted && !used.contains_key(&i.id);
        instances.find(free).map(|i| i.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mig(key: &str) -> Mig {
        Mig::new(card(key).unwrap(), true)
    }

    fn free(mig: &Mig) -> Vec<(String, u32)> {
        let profiles = mig.card.profiles.iter();
        profiles.map(|p| (p.name.clone(), mig.free(p))).collect()
    }

    fn create(mig: &mut Mig, name: &str, start: Option<u32>) -> Option<u32> {
        let profile = mig.profile(name).unwrap().clone();
        mig.create(&profile, start).map(|made| made.start)
    }

    #[test]
    fn an_empty_gpu_takes_as_many_as_its_profiles_say() {
        for key in ["a100-40", "h100-80", "h200"] {
            let mig = mig(key);
            assert_eq!(mig.card.profiles.len(), 7, "{key}");
            for profile in &mig.card.profiles {
                assert_eq!(mig.free(profile), profile.total, "{key} {}", profile.name);
            }
        }
        assert!(card("p4").unwrap_err().contains("a100-40, h100-80, h200"));
    }

    #[test]
    fn instances_take_their_slices_and_no_others() {
        let mut mig = mig("h100-80");
        assert_eq!(create(&mut mig, "3g.40gb", None), Some(0));
        assert_eq!(create(&mut mig, "4g.40gb", None), None);
        let left: Vec<(String, u32)> = free(&mig);
        let left: Vec<(&str, u32)> = left.iter().map(|(n, c)| (n.as_str(), *c)).collect();
        assert_eq!(
            left,
            [
                ("1g.10gb", 3),
                ("1g.10gb+me", 1),
                ("1g.20gb", 2),
                ("2g.20gb", 1),
                ("3g.40gb", 1),
                ("4g.40gb", 0),
                ("7g.80gb", 0),
            ]
        );
        assert_eq!(create(&mut mig, "2g.20gb", Some(2)), None);
        assert_eq!(create(&mut mig, "2g.20gb", Some(4)), Some(4));
        assert_eq!(create(&mut mig, "1g.10gb", Some(6)), Some(6));
        assert!(free(&mig).iter().all(|(_, count)| *count == 0));
        let ids: Vec<u32> = mig.instances.iter().map(|i| i.id).collect();
        assert_eq!(ids, [2, 5, 13]);
        // Four and three fill the card.
        let mut mig = super::tests::mig("h100-80");
        assert_eq!(create(&mut mig, "4g.40gb", None), Some(0));
        assert_eq!(create(&mut mig, "3g.40gb", None), Some(4));
    }

    #[test]
    fn a_reboot_takes_instances_and_since_hopper_the_mode() {
        for (key, is_kept) in [("a100-40", true), ("h200", false)] {
            let mut mig = mig(key);
            let profile = mig.card.profiles[0].clone();
            mig.create(&profile, None).unwrap();
            mig.reboot();
            assert_eq!((mig.current, mig.pending), (is_kept, is_kept), "{key}");
            assert!(mig.instances.is_empty());
        }
    }
}
