//! The kernel and the distribution.

use std::collections::BTreeSet;

use super::Look;
use crate::error::Result;

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
pub fn distro(look: Look<'_>) -> (Distro, Option<String>) {
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
    let proxmox = look.host.proxmox();
    let distro = match () {
        () if proxmox.iter().any(|path| look.is_there(path)) => Distro::Proxmox,
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
    /// Whether the list of loaded modules was there to be read.
    pub is_known: bool,
}

impl Modules {
    /// Reads the list, and what is built in.
    ///
    /// # Errors
    /// The list is there and cannot be read.
    pub fn read(look: Look<'_>, release: Option<&Release>) -> Result<Modules> {
        let text = look.long_text(&look.host.loaded_modules())?;
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
        Ok(Modules {
            is_known: text.is_some(),
            loaded: names(&text.unwrap_or_default()),
            built_in: names(&built_in.unwrap_or_default()),
        })
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

/// Where on disk a module for this kernel lies; `None` where it was not built for it.
pub fn on_disk(look: Look<'_>, release: &Release, name: &str) -> Option<std::path::PathBuf> {
    const PLACES: [&str; 6] = [
        "updates/dkms",
        "extra",
        "kernel/drivers/video",
        "kernel/drivers/video/nvidia",
        "updates",
        "extra/nvidia",
    ];
    let top = look.host.modules_on_disk(&release.text);
    PLACES.iter().find_map(|place| {
        let dir = top.join(place);
        let names = look.names_or_none(&dir).into_iter();
        let mut fitting = names.filter(|file| file.contains(".ko") && own_name(file) == name);
        fitting.next().map(|file| dir.join(file))
    })
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
