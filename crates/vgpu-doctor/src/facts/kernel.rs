//! The kernel and the distribution.

use std::collections::BTreeSet;
use std::path::PathBuf;

use super::{Look, Read};

/// A kernel's release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Release {
    /// "6.8.12-4-pve".
    pub text: String,
    /// 6 and 8.
    pub number: (u32, u32),
}

impl Release {
    /// `uname -r`; `None` where it begins with no two numbers.
    pub fn parse(text: &str) -> Option<Release> {
        let text = text.trim();
        let mut parts = text.split(|sign: char| !sign.is_ascii_digit());
        let number = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
        Some(Release {
            text: text.to_owned(),
            number,
        })
    }
}

/// Whose tools change the kernel's command line and the initramfs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Distro {
    /// Debian, Ubuntu.
    Debian,
    /// Proxmox VE.
    Proxmox,
    /// RHEL, Fedora and their kin.
    RedHat,
    /// Any other.
    Other,
}

/// The distribution, and how it calls itself.
pub fn distro(look: &Look<'_>) -> (Distro, Option<String>) {
    let files = look.host.os_release();
    let text = files.iter().find_map(|path| look.text(path).ok().flatten());
    let text = text.unwrap_or_default();
    let value = |key: &str| {
        text.lines().find_map(|line| {
            let value = line.strip_prefix(key)?.strip_prefix('=')?;
            Some(value.trim_matches(['"', '\'']).to_owned())
        })
    };
    let kin = format!(
        "{} {}",
        value("ID").unwrap_or_default(),
        value("ID_LIKE").unwrap_or_default()
    );
    let kin: Vec<&str> = kin.split_whitespace().collect();
    let distro = match () {
        () if look.first(look.host.proxmox()).is_some() => Distro::Proxmox,
        () if kin.contains(&"debian") || kin.contains(&"ubuntu") => Distro::Debian,
        () if kin.contains(&"rhel") || kin.contains(&"fedora") => Distro::RedHat,
        () => Distro::Other,
    };
    (distro, value("PRETTY_NAME"))
}

/// Which modules the kernel has, loaded or built in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Modules {
    loaded: BTreeSet<String>,
    built_in: BTreeSet<String>,
}

impl Modules {
    /// Reads the list, and what is built in.
    pub fn read(look: &Look<'_>, release: Option<&Release>) -> Read<Modules> {
        let Some(loaded) = look.long_text(&look.host.loaded_modules())? else {
            return Ok(None);
        };
        let built_in = release.and_then(|release| {
            let dir = look.host.modules_on_disk(&release.text);
            look.text(&dir.join("modules.builtin")).ok().flatten()
        });
        let names = |text: &str| -> BTreeSet<String> {
            let words = text
                .lines()
                .filter_map(|line| line.split_whitespace().next());
            words.map(own_name).collect()
        };
        Ok(Some(Modules {
            loaded: names(&loaded),
            built_in: names(&built_in.unwrap_or_default()),
        }))
    }

    /// Whether a module is in the kernel now.
    pub fn has(&self, name: &str) -> bool {
        self.loaded.contains(name) || self.built_in.contains(name)
    }
}

/// `kernel/drivers/vfio/vfio-pci.ko` and `vfio_pci` are one module.
fn own_name(text: &str) -> String {
    let last = text.rsplit('/').next().unwrap_or_default();
    let stem = last.split(".ko").next().unwrap_or_default();
    stem.replace('-', "_")
}

/// What is on disk for one kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OnDisk {
    /// Its modules.
    pub dir: PathBuf,
    /// NVIDIA's was built for it.
    pub has_nvidia: bool,
    /// What modules are built with is there.
    pub has_headers: bool,
}

impl OnDisk {
    /// Looks for NVIDIA's module; `None` where this kernel has no modules on disk.
    pub fn read(look: &Look<'_>, release: &Release) -> Option<OnDisk> {
        const PLACES: [&str; 6] = [
            "updates/dkms",
            "extra",
            "kernel/drivers/video",
            "kernel/drivers/video/nvidia",
            "updates",
            "extra/nvidia",
        ];
        let dir = look.host.modules_on_disk(&release.text);
        let is_it = |file: &String| file.contains(".ko") && own_name(file) == "nvidia";
        let has_it = |place: &str| {
            let names = look.names_or_none(&dir.join(place));
            names.iter().any(is_it)
        };
        let has_nvidia = PLACES.iter().any(|place| has_it(place));
        look.is_there(&dir).then(|| OnDisk {
            has_nvidia,
            has_headers: look.is_there(&dir.join("build")),
            dir,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_begin_with_two_numbers() {
        let number = |text: &str| Release::parse(text).map(|release| release.number);
        assert_eq!(number("6.8.12-4-pve\n"), Some((6, 8)));
        assert_eq!(number("4.18.0-553.el8_10.x86_64"), Some((4, 18)));
        assert_eq!(number("6.18-rc1"), Some((6, 18)));
        assert_eq!(number(""), None);
        assert_eq!(number("garbage"), None);
    }

    #[test]
    fn a_module_is_known_under_every_spelling() {
        assert_eq!(
            own_name("kernel/drivers/vfio/vfio-iommu-type1.ko.zst"),
            "vfio_iommu_type1"
        );
        assert_eq!(own_name("nvidia_vgpu_vfio"), "nvidia_vgpu_vfio");
        assert_eq!(own_name(""), "");
    }
}
