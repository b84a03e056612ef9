//! NVIDIA's driver on this host: the module that is loaded, the userland, the sources.

use std::path::{Path, PathBuf};

use super::{Look, Read};

/// The module that is loaded, by its own words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Module {
    /// Where it says so.
    pub path: PathBuf,
    /// The line it says.
    pub line: String,
    /// "535.129.03".
    pub version: String,
    /// NVIDIA's open kernel module.
    pub is_open: bool,
}

/// A driver's source for DKMS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// `nvidia-<version>` among the sources.
    pub dir: PathBuf,
    /// "535.129.03".
    pub version: String,
}

/// What is there of NVIDIA's driver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Driver {
    /// The module, where it is loaded.
    pub module: Option<Module>,
    /// The vGPU manager's library, and the version in its name.
    pub manager: Option<(PathBuf, String)>,
    /// A library of the other half of a merged driver: the module's version, not the manager's.
    pub desktop_library: Option<PathBuf>,
    /// Programs of the vGPU manager that are there.
    pub programs: Vec<PathBuf>,
    /// The guest driver's licence daemon.
    pub guest_daemon: Option<PathBuf>,
    /// Sources for DKMS, by name.
    pub sources: Vec<Source>,
    /// The files of the module's source that vgpu_unlock edits, in the order of [`EDITED`].
    pub edited: [Read<String>; 2],
    /// What the loaded module takes into newer GPUs.
    pub firmware: Vec<String>,
    /// NVIDIA's program that switches virtual functions.
    pub has_sriov_manage: bool,
}

/// The files of the kernel module's source that vgpu_unlock edits.
pub const EDITED: [&str; 2] = ["os-interface.c", "nvidia.Kbuild"];

/// The vGPU manager's library, up to the version.
const MANAGER_LIBRARY: &str = "libnvidia-vgpu.so.";

impl Driver {
    /// Reads all of it; what cannot be read counts as not there.
    pub fn read(look: &Look<'_>) -> Driver {
        let module = module(look);
        let libraries: Vec<PathBuf> = look
            .host
            .libraries()
            .into_iter()
            .flat_map(|dir| {
                let names = look.names_or_none(&dir).into_iter();
                names
                    .filter(|name| name.starts_with("libnvidia-"))
                    .map(move |name| dir.join(name))
            })
            .collect();
        let manager = libraries.iter().find_map(|path| {
            let version = name_of(path).strip_prefix(MANAGER_LIBRARY)?.to_owned();
            version.contains('.').then(|| (path.clone(), version))
        });
        let desktop_library = module.as_ref().and_then(|module| {
            let ending = format!(".so.{}", module.version);
            let mut fitting = libraries.iter();
            fitting
                .find(|path| name_of(path).ends_with(&ending))
                .cloned()
        });
        let program = |name: &str| look.first(look.host.program_dirs().map(|dir| dir.join(name)));
        let firmware = module.as_ref().map(|module| {
            let mut names = look.names_or_none(&look.host.nvidia_firmware(&module.version));
            names.retain(|name| name.starts_with("gsp_"));
            names
        });
        let mut driver = Driver {
            module,
            manager,
            desktop_library,
            programs: ["nvidia-vgpud", "nvidia-vgpu-mgr"]
                .into_iter()
                .filter_map(program)
                .collect(),
            guest_daemon: program("nvidia-gridd"),
            sources: sources(look),
            edited: [Ok(None), Ok(None)],
            firmware: firmware.unwrap_or_default(),
            has_sriov_manage: look.is_there(&look.host.sriov_manage()),
        };
        if let Some(source) = driver.source() {
            let dir = source.dir.join("nvidia");
            driver.edited = EDITED.map(|file| look.text(&dir.join(file)));
        }
        driver
    }

    /// The version's first number: 535 of 535.129.03.
    pub fn branch(&self) -> Option<u32> {
        let version = &self.module.as_ref()?.version;
        branch(version)
    }

    /// The source of the module that is loaded, else the only one there.
    pub fn source(&self) -> Option<&Source> {
        let of_module = self.module.as_ref().and_then(|module| {
            let mut sources = self.sources.iter();
            sources.find(|source| source.version == module.version)
        });
        of_module.or(match self.sources.as_slice() {
            [only] => Some(only),
            _ => None,
        })
    }
}

/// The first number of a version.
pub fn branch(version: &str) -> Option<u32> {
    version.split('.').next()?.parse().ok()
}

fn name_of(path: &Path) -> &str {
    path.file_name()
        .and_then(|name| name.to_str())
        .unwrap_or_default()
}

fn module(look: &Look<'_>) -> Option<Module> {
    let path = look.host.nvidia_version();
    if let Ok(Some(text)) = look.text(&path)
        && let Some(module) = understand(&path, &text)
    {
        return Some(module);
    }
    let path = look.host.module("nvidia").join("version");
    let version = look.text(&path).ok()??.trim().to_owned();
    Some(Module {
        line: version.clone(),
        path,
        version,
        is_open: false,
    })
}

/// `NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.129.03  Thu Oct 19 ...`, and
/// `NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  560.35.03  Release Build ...`.
fn understand(path: &Path, text: &str) -> Option<Module> {
    let line = text
        .lines()
        .find(|line| line.starts_with("NVRM version:"))?;
    let (_, rest) = line.split_once("Module")?;
    let version = rest.split_whitespace().find(|word| {
        word.contains('.')
            && word
                .chars()
                .all(|sign| sign.is_ascii_digit() || sign == '.')
    })?;
    Some(Module {
        path: path.to_owned(),
        line: line.split_whitespace().collect::<Vec<_>>().join(" "),
        version: version.to_owned(),
        is_open: line.contains("Open Kernel Module"),
    })
}

fn sources(look: &Look<'_>) -> Vec<Source> {
    let top = look.host.sources();
    let names = look.names_or_none(&top).into_iter();
    names
        .filter_map(|name| {
            let version = name.strip_prefix("nvidia-")?;
            // Ubuntu's nvidia-535-... are headers of packages, not of the installer.
            version.contains('.').then(|| Source {
                dir: top.join(&name),
                version: version.to_owned(),
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_kinds_of_module_say_their_version() {
        let of = |text: &str| understand(Path::new("v"), text).map(|m| (m.version, m.is_open));
        assert_eq!(
            of(
                "NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.129.03  Thu Oct 19 18:42:12 UTC 2023\nGCC version:  gcc version 12.2.0\n"
            ),
            Some(("535.129.03".into(), false))
        );
        assert_eq!(
            of(
                "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  560.35.03  Release Build  (dvs-builder@U16-I1-N07-12-3)  Fri Aug 16 21:42:42 UTC 2024\n"
            ),
            Some(("560.35.03".into(), true))
        );
        for garbage in [
            "",
            "NVRM version: \n",
            "NVRM version: Module x86_64\n",
            "GCC version: 12.2.0",
        ] {
            assert_eq!(of(garbage), None, "{garbage:?}");
        }
    }
}
