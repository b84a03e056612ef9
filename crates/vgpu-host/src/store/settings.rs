//! A GPU's own settings, `/etc/vgpuctl.d/<GPU>/gpu.conf`: lines of the form `key = value`.

use crate::dir::{Dir, LARGEST_FILE};
use crate::error::{Error, Kind, Result, Warnings, if_present};
use crate::model::ParentId;

use super::names::parents_in;
use super::{GPU_SETTINGS, Lock, Store, atomic};
use crate::model::FrameworkKind;
use crate::text::quoted;

/// Whether boot switches a GPU's virtual functions on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FunctionsAtBoot {
    /// They stay as they are.
    #[default]
    Leave,
    /// They are switched on before devices are restored.
    Enable,
}

/// Which framebuffer sizes a GPU's vGPUs may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Sizes {
    /// As the driver has it: one.
    #[default]
    AsTheyAre,
    /// Several at a time, where the GPU can.
    Mixed,
}

/// What boot does to a GPU before its devices are restored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct GpuSettings {
    /// `vfs = enable` or `leave`.
    pub functions: FunctionsAtBoot,
    /// `mixed-sizes = yes` or `no`.
    pub sizes: Sizes,
}

impl Store<'_> {
    /// The settings of each GPU that has some, by address; each file that makes no sense is a
    /// warning, and its GPU is left alone.
    ///
    /// # Errors
    /// The directory is there and cannot be listed.
    pub fn gpu_settings(&self, warnings: &mut Warnings) -> Result<Vec<(ParentId, GpuSettings)>> {
        let Some(mut top) = if_present(Dir::open(self.root(FrameworkKind::Vfio)))? else {
            return Ok(Vec::new());
        };
        let mut all = Vec::new();
        for gpu in parents_in(&mut top, warnings)? {
            match self.settings_of(&gpu) {
                Ok(GpuSettings::NONE) => {}
                Ok(settings) => all.push((gpu, settings)),
                Err(error) => warnings.push(error),
            }
        }
        all.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(all)
    }

    /// The settings of one GPU; the defaults where it has none.
    ///
    /// # Errors
    /// The file is there and cannot be read or understood, with its line.
    pub fn settings_of(&self, gpu: &ParentId) -> Result<GpuSettings> {
        let read =
            || parse(&self.settings_text(gpu)?).map_err(|error| error.at(self.settings_path(gpu)));
        self.settings.get(gpu, read)
    }

    /// Whether boot is to switch this GPU's functions on, from now on. The file's other lines stay.
    ///
    /// # Errors
    /// The file makes no sense; what the kernel answered.
    pub fn set_functions_at_boot(
        &self,
        _held: &Lock,
        gpu: &ParentId,
        wanted: FunctionsAtBoot,
    ) -> Result<()> {
        if self.settings_of(gpu)?.functions == wanted {
            return Ok(());
        }
        let text = self.settings_text(gpu)?;
        let others = text.lines().filter(|line| key_of(line) != Some("vfs"));
        let mut lines: Vec<&str> = others.collect();
        if wanted == FunctionsAtBoot::Enable {
            lines.push("vfs = enable");
        }
        let text: String = lines.into_iter().flat_map(|line| [line, "\n"]).collect();
        if text.len() > LARGEST_FILE {
            let message = format!("the settings of {gpu} would be too large to be read back");
            return Err(Error::new(Kind::Failed, message).at(self.settings_path(gpu)));
        }
        let dir = atomic::make_dir(&self.root(FrameworkKind::Vfio), gpu.as_str())?;
        atomic::replace(&dir, GPU_SETTINGS, text.as_bytes())
            .map_err(|error| error.retold(format!("cannot write the settings of {gpu}")))
    }

    /// Where a GPU's settings are, there or not.
    pub fn settings_path(&self, gpu: &ParentId) -> std::path::PathBuf {
        let root = self.root(FrameworkKind::Vfio);
        root.join(gpu.as_str()).join(GPU_SETTINGS)
    }

    fn settings_text(&self, gpu: &ParentId) -> Result<String> {
        let top = if_present(Dir::open(self.root(FrameworkKind::Vfio)))?;
        let dir = top.map(|top| if_present(top.open_real_dir(gpu.as_str())));
        match dir.transpose()?.flatten() {
            Some(dir) => Ok(if_present(dir.read_text(GPU_SETTINGS))?.unwrap_or_default()),
            None => Ok(String::new()),
        }
    }
}

impl GpuSettings {
    const NONE: GpuSettings = GpuSettings {
        functions: FunctionsAtBoot::Leave,
        sizes: Sizes::AsTheyAre,
    };
}

/// The key of a line that has one.
fn key_of(line: &str) -> Option<&str> {
    line.split('#')
        .next()?
        .split_once('=')
        .map(|(key, _)| key.trim())
}

pub fn parse(text: &str) -> Result<GpuSettings> {
    let mut settings = GpuSettings::default();
    for (index, line) in text.lines().enumerate() {
        let line = line.split('#').next().unwrap_or_default().trim();
        if line.is_empty() {
            continue;
        }
        let (key, value) = line.split_once('=').unwrap_or((line, ""));
        // Quotes are what people bring along from other formats.
        match (key.trim(), value.trim().trim_matches('"')) {
            ("vfs", "enable") => settings.functions = FunctionsAtBoot::Enable,
            ("vfs", "leave") => settings.functions = FunctionsAtBoot::Leave,
            ("mixed-sizes", "yes") => settings.sizes = Sizes::Mixed,
            ("mixed-sizes", "no") => settings.sizes = Sizes::AsTheyAre,
            _ => {
                return Err(Error::new(
                    Kind::Failed,
                    format!("line {} is invalid: {}", index + 1, quoted(line)),
                )
                .hint(
                    "valid lines: vfs = enable, vfs = leave, mixed-sizes = yes, mixed-sizes = no",
                ));
            }
        }
    }
    Ok(settings)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::Host;
    use std::fs;

    #[test]
    fn settings_are_lines_and_what_is_no_setting_is_refused_with_its_line() {
        let settings = parse("# my L40S\nvfs = enable # at boot\n\nmixed-sizes=\"yes\"\n").unwrap();
        assert_eq!(settings.functions, FunctionsAtBoot::Enable);
        assert_eq!(settings.sizes, Sizes::Mixed);
        assert_eq!(parse("").unwrap(), GpuSettings::NONE);
        for bad in ["vfs", "vfs = on", "vf = enable", "= enable", "enable"] {
            let error = parse(&format!("vfs = enable\n{bad}\n")).unwrap_err();
            assert!(error.message().contains("line 2"), "{bad}: {error}");
        }
    }

    #[test]
    fn a_change_keeps_the_other_lines() {
        let root = tempfile::tempdir().unwrap();
        let host = Host::new(root.path());
        let store = Store::of(&host);
        let gpu: ParentId = "0000:c1:00.0".parse().unwrap();
        let lock = store.lock(&gpu).unwrap();
        store
            .set_functions_at_boot(&lock, &gpu, FunctionsAtBoot::Enable)
            .unwrap();
        let path = store.settings_path(&gpu);
        assert_eq!(fs::read_to_string(&path).unwrap(), "vfs = enable\n");
        fs::write(&path, "# mine\nvfs=enable\nmixed-sizes = yes").unwrap();
        store
            .set_functions_at_boot(&lock, &gpu, FunctionsAtBoot::Leave)
            .unwrap();
        assert_eq!(
            fs::read_to_string(&path).unwrap(),
            "# mine\nmixed-sizes = yes\n"
        );
        let mut warnings = Vec::new();
        let all = store.gpu_settings(&mut warnings).unwrap();
        assert_eq!(all.len(), 1);
        assert!(warnings.is_empty());
        // The settings are no definition.
        assert_eq!(store.all(&mut warnings), Ok(Vec::new()));
        assert!(warnings.is_empty(), "{warnings:?}");
    }
}
