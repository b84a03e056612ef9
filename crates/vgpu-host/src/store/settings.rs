//! A GPU's own settings, `/etc/vgpuctl.d/<GPU>/gpu.conf`: lines of the form `key = value`.

use std::fmt;
use std::str::FromStr;

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

/// A GPU instance as settings name it: its profile's name or number, and optionally the memory slice at which it starts,
/// as `3g.40gb:4`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GpuInstanceSpec {
    /// The profile's name or number.
    pub profile: String,
    /// Where it starts; `None` leaves that to the driver.
    pub start: Option<u32>,
}

impl fmt::Display for GpuInstanceSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.profile)?;
        self.start.map_or(Ok(()), |start| write!(f, ":{start}"))
    }
}

impl FromStr for GpuInstanceSpec {
    type Err = Error;

    fn from_str(text: &str) -> Result<GpuInstanceSpec> {
        let bad = || {
            let message = format!("{} is not a GPU instance profile", quoted(text));
            Error::new(Kind::Usage, message).hint(
                "specify its name or ID, and optionally where to start: 3g.40gb, 9 or 3g.40gb:4",
            )
        };
        let (profile, start) = match text.split_once(':') {
            None => (text, None),
            Some((profile, start)) => (profile, Some(start.parse().map_err(|_| bad())?)),
        };
        let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '+' | '-');
        match !profile.is_empty() && !profile.starts_with('-') && profile.chars().all(is_part) {
            true => Ok(GpuInstanceSpec {
                profile: profile.to_owned(),
                start,
            }),
            false => Err(bad()),
        }
    }
}

/// What boot does to a GPU before its devices are restored.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct GpuSettings {
    /// `mig = 3g.40gb, 2g.20gb`: the GPU instances that it has, by profile; empty if MIG is left as it is.
    pub mig: Vec<GpuInstanceSpec>,
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
                Ok(settings) if settings == GpuSettings::default() => {}
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
            ("mig", list) if mig_in(list).is_some() => {
                settings.mig = mig_in(list).unwrap_or_default();
            }
            _ => {
                return Err(Error::new(
                    Kind::Failed,
                    format!("line {} is invalid: {}", index + 1, quoted(line)),
                )
                .hint(
                    "valid lines: vfs = enable, vfs = leave, mixed-sizes = yes, mixed-sizes = no, \
                     mig = PROFILE, PROFILE...",
                ));
            }
        }
    }
    Ok(settings)
}

/// "3g.40gb, 2g.20gb", also as a list of strings in brackets; `None` if it is empty or names no profiles.
fn mig_in(list: &str) -> Option<Vec<GpuInstanceSpec>> {
    let list = list.trim_start_matches('[').trim_end_matches(']');
    let names = list.split(',').map(|name| name.trim().trim_matches('"'));
    names.map(|name| name.parse().ok()).collect()
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
        assert_eq!(parse("").unwrap(), GpuSettings::default());
        let instances = |text: &str| {
            let all = parse(text).unwrap().mig.into_iter();
            all.map(|one| (one.profile, one.start)).collect::<Vec<_>>()
        };
        let wanted = [
            ("3g.40gb".to_owned(), None),
            ("1g.10gb+me".to_owned(), Some(6)),
        ];
        assert_eq!(instances("mig = 3g.40gb, 1g.10gb+me:6"), wanted);
        assert_eq!(instances("mig = [\"3g.40gb\", \"1g.10gb+me:6\"]"), wanted);
        let bad = "mig =|mig|mig = 3g.40gb,|mig = 3g 2g|mig = :4|mig = -1|mig = 9:|mig = 9:x|mig = 9:-1|\
                   mig = 3g.40gb:4:4";
        for bad in bad.split('|') {
            assert!(parse(bad).is_err(), "{bad}");
        }
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
