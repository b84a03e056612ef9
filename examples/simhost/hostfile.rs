//! Parses the host file, a TOML file that describes the parents of a simulated host.

use std::fs;
use std::path::Path;

use nix::errno::Errno;
use serde::Deserialize;

use crate::cards;
use crate::faults::errno_by_name;
use crate::mig::{self, MigCard};
use crate::pci::{self, Pci};

/// A host as described by its file.
#[derive(Debug, Clone)]
pub struct HostFile {
    /// Whether the mdev module is loaded.
    pub mdev: bool,
    /// All parents, attached or not.
    pub parents: Vec<ParentSpec>,
}

/// One parent device.
#[derive(Debug, Clone)]
pub struct ParentSpec {
    /// `0000:81:00.0`, `matrix`.
    pub id: String,
    /// Below `/sys`: `devices/pci0000:80/0000:80:01.0/0000:81:00.0`.
    pub path: String,
    /// The parent's driver, which is the prefix of its type ids.
    pub driver: String,
    /// PCI ids; none for `matrix`.
    pub pci: Option<Pci>,
    /// Which attributes its devices have.
    pub flavour: Flavour,
    /// How instances are counted.
    pub rule: Rule,
    /// The errno of a create when none is left.
    pub full: Errno,
    /// Its types.
    pub types: Vec<TypeSpec>,
    /// Registered from the start?
    pub attached: bool,
    /// Has it `mdev_supported_types`?
    pub supported_types: bool,
    /// Does its driver register it? Otherwise that only has the function.
    pub registers: bool,
    /// Its virtual functions, if it has some; then it is no parent itself.
    pub sriov: Option<Sriov>,
    /// The GPU of a virtual function.
    pub physfn: Option<String>,
    /// MIG of the GPU, if it has it.
    pub mig: Option<MigSpec>,
}

impl ParentSpec {
    fn has_no_mdevs(&self) -> bool {
        self.sriov
            .as_ref()
            .is_some_and(|s| s.framework != VfFramework::Mdev)
    }

    /// The GPU whose memory its vGPUs use: itself, or its PF.
    pub fn gpu(&self) -> &str {
        self.physfn.as_deref().unwrap_or(&self.id)
    }
}

/// The VFs of a PF.
#[derive(Debug, Clone)]
pub struct Sriov {
    /// `sriov_totalvfs`.
    pub total: u16,
    /// Number enabled at start.
    pub enabled: u16,
    /// The framework of each VF.
    pub framework: VfFramework,
    /// Whether `sriov_numvfs` can be written.
    pub raw_numvfs: bool,
}

/// MIG of a GPU.
#[derive(Debug, Clone)]
pub struct MigSpec {
    /// What the card can do.
    pub card: MigCard,
    /// Whether MIG mode is enabled at start.
    pub is_on: bool,
}

/// How vGPUs are created on a VF.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum VfFramework {
    /// Each is a parent of mediated devices.
    Mdev,
    /// Each has `nvidia/`.
    Vendor,
    /// Each is a plain PCI function without a driver, as on a network card.
    None,
}

/// One mediated-device type.
#[derive(Debug, Clone)]
pub struct TypeSpec {
    /// `nvidia-63`.
    pub id: String,
    /// Content of `name`, if the file exists.
    pub name: Option<String>,
    /// Content of `description`, if the file exists.
    pub description: Option<String>,
    /// Content of `device_api`.
    pub device_api: String,
    /// Framebuffer (one size) or share of the pool.
    pub weight: u32,
    /// Maximum number of instances on one parent.
    pub max: u32,
    /// The GPU instance profile of a MIG-backed type.
    pub profile: Option<String>,
}

/// How a parent counts its instances.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// NVIDIA: all vGPUs of a GPU have the same framebuffer size, at most `max` of them.
    OneSize,
    /// One pool; each device uses its weight.
    Pool(u32),
}

/// The vendor's attributes on a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flavour {
    /// `nvidia/vgpu_params`.
    Nvidia,
    /// `assign_adapter`, `matrix` and the like.
    ApMatrix,
    /// None.
    Plain,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawHost {
    #[serde(default = "yes")]
    mdev: bool,
    #[serde(default)]
    parent: Vec<RawParent>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawParent {
    id: String,
    card: Option<String>,
    count: Option<u8>,
    driver: Option<String>,
    vendor: Option<u16>,
    device: Option<u16>,
    subsystem_vendor: Option<u16>,
    subsystem_device: Option<u16>,
    class: Option<u32>,
    pool: Option<u32>,
    full: Option<String>,
    #[serde(default = "yes")]
    attached: bool,
    #[serde(default = "yes")]
    supported_types: bool,
    #[serde(default = "yes")]
    registers: bool,
    vfs: Option<u16>,
    #[serde(default)]
    enabled_vfs: u16,
    vf_framework: Option<VfFramework>,
    #[serde(default)]
    raw_numvfs: bool,
    mig: Option<String>,
    #[serde(default)]
    mig_mode: bool,
    #[serde(default, rename = "type")]
    types: Vec<RawType>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawType {
    id: String,
    name: Option<String>,
    description: Option<String>,
    #[serde(default = "vfio_pci")]
    device_api: String,
    #[serde(default = "one")]
    cost: u32,
    profile: Option<String>,
}

fn yes() -> bool {
    true
}

fn one() -> u32 {
    1
}

fn vfio_pci() -> String {
    "vfio-pci".to_owned()
}

/// Reads the host file at `path`.
pub fn read(path: &Path) -> Result<HostFile, String> {
    let text = fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?;
    parse(&text).map_err(|e| format!("{}: {e}", path.display()))
}

/// Reads a host file's text.
pub fn parse(text: &str) -> Result<HostFile, String> {
    let raw: RawHost = toml::from_str(text).map_err(|e| e.to_string())?;
    let mut parents: Vec<ParentSpec> = Vec::new();
    for entry in &raw.parent {
        for offset in 0..entry.count.unwrap_or(1) {
            let id = pci::nth_address(&entry.id, offset)?;
            if id.is_empty() || id.contains('/') || parents.iter().any(|p| p.id == id) {
                return Err(format!("parent \"{id}\" is there twice or not a name"));
            }
            parents.push(entry.resolve(id)?);
        }
    }
    let needs_mdev = |p: &ParentSpec| p.registers && !p.has_no_mdevs();
    if !raw.mdev && parents.iter().any(needs_mdev) {
        return Err("mdev = false leaves no place for parents".to_owned());
    }
    Ok(HostFile {
        mdev: raw.mdev,
        parents,
    })
}

impl RawParent {
    fn resolve(&self, id: String) -> Result<ParentSpec, String> {
        let card = self.card.as_deref().map(cards::card).transpose()?;
        let driver = match (&self.driver, &card) {
            (Some(driver), _) => driver.clone(),
            (None, Some(_)) => "nvidia".to_owned(),
            (None, None) => return Err(format!("parent {id} needs a card or a driver")),
        };
        let mig = self.mig(&id)?;
        let types = match &card {
            Some(card) => nvidia_types(&driver, card)?,
            None => {
                let memory = mig.as_ref().map(|mig| mig.card.memory_mib);
                let all = self.types.iter();
                all.map(|t| t.resolve(&driver, self.pool.or(memory)))
                    .collect()
            }
        };
        let rule = match (self.pool, &card) {
            (None, None) if mig.is_some() => Rule::OneSize,
            (Some(size), _) => Rule::Pool(size),
            (None, Some(_)) => Rule::OneSize,
            (None, None) if !self.registers => Rule::Pool(0),
            (None, None) => return Err(format!("parent {id} needs a card or a pool")),
        };
        let full = match (&self.full, &card) {
            (Some(name), _) => errno_by_name(name)?,
            // NVIDIA's driver returns EIO for any reason.
            (None, Some(_)) => Errno::EIO,
            (None, None) if mig.is_some() => Errno::EIO,
            (None, None) => Errno::EUSERS,
        };
        let is_pci = pci::is_address(&id);
        let sriov = self.sriov(&id)?;
        Ok(ParentSpec {
            path: if is_pci {
                pci::device_path(&id)
            } else {
                format!("devices/{driver}/{id}")
            },
            pci: is_pci.then(|| Pci {
                vendor: self.vendor.unwrap_or(pci::NVIDIA),
                device: self.device.or(card.as_ref().map(|c| c.device)).unwrap_or(0),
                subsystem_vendor: self.subsystem_vendor.unwrap_or(pci::NVIDIA),
                subsystem_device: self
                    .subsystem_device
                    .or(card.as_ref().map(|c| c.subsystem))
                    .unwrap_or(0),
                class: self
                    .class
                    .or(card.as_ref().map(|c| c.class))
                    .unwrap_or(0x03_0000),
            }),
            flavour: match driver.as_str() {
                "nvidia" => Flavour::Nvidia,
                "vfio_ap" => Flavour::ApMatrix,
                _ => Flavour::Plain,
            },
            id,
            driver,
            rule,
            full,
            types,
            attached: self.attached,
            supported_types: self.supported_types,
            registers: self.registers,
            sriov,
            physfn: None,
            mig,
        })
    }

    fn mig(&self, id: &str) -> Result<Option<MigSpec>, String> {
        let Some(key) = &self.mig else {
            return match self.mig_mode || self.types.iter().any(|t| t.profile.is_some()) {
                true => Err(format!("parent {id} has no mig, which its other keys need")),
                false => Ok(None),
            };
        };
        let card = mig::card(key)?;
        if self.vf_framework != Some(VfFramework::Vendor) || self.pool.is_some() {
            let needs = "mig needs vf_framework = \"vendor\" and no pool";
            return Err(format!("parent {id}: {needs}"));
        }
        let is_known = |name: &String| card.profiles.iter().any(|p| p.name == *name);
        let mut profiles = self.types.iter().filter_map(|t| t.profile.as_ref());
        if let Some(name) = profiles.find(|name| !is_known(name)) {
            return Err(format!("parent {id}: {key} has no profile \"{name}\""));
        }
        Ok(Some(MigSpec {
            card,
            is_on: self.mig_mode,
        }))
    }

    fn sriov(&self, id: &str) -> Result<Option<Sriov>, String> {
        let framework = match (self.vfs, self.vf_framework) {
            (None, None) => return Ok(None),
            (Some(_), Some(framework)) => framework,
            _ => return Err(format!("parent {id} needs both vfs and vf_framework")),
        };
        let total = self.vfs.unwrap_or(0);
        let last = total.checked_sub(1).and_then(|n| pci::vf_address(id, n));
        if last.is_none() || self.enabled_vfs > total {
            return Err(format!(
                "parent {id} cannot have {} of {total} VFs",
                self.enabled_vfs
            ));
        }
        Ok(Some(Sriov {
            total,
            enabled: self.enabled_vfs,
            framework,
            raw_numvfs: self.raw_numvfs,
        }))
    }
}

impl RawType {
    fn resolve(&self, driver: &str, pool: Option<u32>) -> TypeSpec {
        let weight = self.cost.max(1);
        TypeSpec {
            id: format!("{driver}-{}", self.id),
            name: self.name.clone(),
            description: self.description.clone(),
            device_api: self.device_api.clone(),
            weight,
            max: pool.unwrap_or(0) / weight,
            profile: self.profile.clone(),
        }
    }
}

fn nvidia_types(driver: &str, card: &cards::Card) -> Result<Vec<TypeSpec>, String> {
    let types = card.types()?;
    Ok(types
        .into_iter()
        .map(|t| TypeSpec {
            id: format!("{driver}-{}", t.id),
            name: Some(t.name),
            description: Some(t.description),
            device_api: vfio_pci(),
            weight: t.framebuffer_mib,
            max: t.max_instance,
            profile: None,
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_host_file_of_the_repository_is_readable() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/hosts");
        let mut seen = 0;
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.file_name().unwrap() != "cards.toml" {
                read(&path).unwrap();
                seen += 1;
            }
        }
        assert!(seen >= 10, "only {seen} host files in {folder}");
    }

    #[test]
    fn count_makes_neighbours() {
        let host = parse("[[parent]]\nid = \"0000:81:00.0\"\ncard = \"p4\"\ncount = 16\n").unwrap();
        assert_eq!(host.parents.len(), 16);
        assert_eq!(host.parents[15].id, "0000:90:00.0");
    }

    #[test]
    fn mistakes_are_named() {
        assert!(
            parse("[[parent]]\nid = \"x\"\n")
                .unwrap_err()
                .contains("a card or a driver")
        );
        assert!(
            parse("[[parent]]\nid = \"x\"\ncard = \"q\"\n")
                .unwrap_err()
                .contains("no card")
        );
        let mig = "[[parent]]\nid = \"0000:41:00.0\"\ndriver = \"nvidia\"\nmig = ";
        for (text, what) in [
            (format!("{mig}\"x\"\n"), "no MIG of \"x\""),
            (format!("{mig}\"h200\"\n"), "vf_framework"),
            (mig.replace("mig = ", "mig_mode = true\n"), "has no mig"),
            (
                format!(
                    "{mig}\"h200\"\nvfs = 4\nvf_framework = \"vendor\"\n\
                     [[parent.type]]\nid = \"1\"\nprofile = \"1g.5gb\"\n"
                ),
                "no profile \"1g.5gb\"",
            ),
        ] {
            assert!(parse(&text).unwrap_err().contains(what), "{text}");
        }
        assert!(parse("colour = 1").unwrap_err().contains("colour"));
        let twice = "[[parent]]\nid = \"m\"\ndriver = \"d\"\npool = 1\n".repeat(2);
        assert!(parse(&twice).unwrap_err().contains("twice"));
    }
}
