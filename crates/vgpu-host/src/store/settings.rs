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

/// How a GPU divides its time between vGPUs, as `nvidia-smi vgpu set-scheduler-state` takes it:
/// `best-effort`, `equal`, or `fixed` with `arr=off time-slice=2000000`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scheduler {
    /// Who runs when.
    pub policy: Policy,
    /// Whether adaptive round robin is used; `None` leaves that to the driver.
    pub adaptive: Option<bool>,
    /// Scheduling frequency of adaptive round robin, in Hz.
    pub frequency: Option<u32>,
    /// Averaging factor of adaptive round robin.
    pub averaging: Option<u32>,
    /// The time slice without adaptive round robin, in ns.
    pub time_slice: Option<u32>,
}

/// The scheduler's policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Policy {
    /// Whoever has work runs.
    BestEffort,
    /// Active vGPUs get equal shares.
    Equal,
    /// Each vGPU gets the share that as many as fit would get.
    Fixed,
}

impl fmt::Display for Scheduler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.policy {
            Policy::BestEffort => "best-effort",
            Policy::Equal => "equal",
            Policy::Fixed => "fixed",
        })?;
        if let Some(adaptive) = self.adaptive {
            write!(f, " arr={}", if adaptive { "on" } else { "off" })?;
        }
        let numbers = [
            ("frequency", self.frequency),
            ("averaging", self.averaging),
            ("time-slice", self.time_slice),
        ];
        let given = numbers
            .iter()
            .filter_map(|(key, value)| Some((key, (*value)?)));
        given
            .into_iter()
            .try_for_each(|(key, value)| write!(f, " {key}={value}"))
    }
}

impl FromStr for Scheduler {
    type Err = Error;

    fn from_str(text: &str) -> Result<Scheduler> {
        let bad = |why: &str| {
            let message = format!("{} is not a scheduler: {why}", quoted(text));
            Error::new(Kind::Usage, message).hint(
                "valid: best-effort; equal or fixed, optionally with arr=on frequency=HZ averaging=N, or with \
                 arr=off time-slice=NS",
            )
        };
        let mut words = text.split_whitespace();
        let policy = match words.next() {
            Some("best-effort") => Policy::BestEffort,
            Some("equal") => Policy::Equal,
            Some("fixed") => Policy::Fixed,
            _ => return Err(bad("the policy is best-effort, equal or fixed")),
        };
        let mut scheduler = Scheduler {
            policy,
            adaptive: None,
            frequency: None,
            averaging: None,
            time_slice: None,
        };
        for word in words {
            let (key, value) = word.split_once('=').unwrap_or((word, ""));
            let number = value.parse().ok().filter(|number: &u32| *number > 0);
            let is_new = match (key, value, number) {
                ("arr", "on", _) => scheduler.adaptive.replace(true).is_none(),
                ("arr", "off", _) => scheduler.adaptive.replace(false).is_none(),
                ("frequency", _, Some(hz)) => scheduler.frequency.replace(hz).is_none(),
                ("averaging", _, Some(factor)) => scheduler.averaging.replace(factor).is_none(),
                ("time-slice", _, Some(ns)) => scheduler.time_slice.replace(ns).is_none(),
                _ => return Err(bad(&format!("{} is not understood", quoted(word)))),
            };
            if !is_new {
                return Err(bad(&format!("{key} is given twice")));
            }
        }
        let of_adaptive = scheduler.frequency.is_some() || scheduler.averaging.is_some();
        match (policy, scheduler.adaptive) {
            (Policy::BestEffort, _) if text.split_whitespace().nth(1).is_some() => {
                Err(bad("best-effort takes no parameters"))
            }
            (_, Some(false)) if of_adaptive => Err(bad("arr=off takes only time-slice")),
            (_, adaptive) if scheduler.time_slice.is_some() && adaptive != Some(false) => {
                Err(bad("time-slice needs arr=off"))
            }
            _ => Ok(scheduler),
        }
    }
}

/// What boot does to a GPU before its devices are restored.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct GpuSettings {
    /// `mig = 3g.40gb, 2g.20gb`: the GPU instances that it has, by profile; empty if MIG is left as it is.
    pub mig: Vec<GpuInstanceSpec>,
    /// `vfs = enable` (or `all`: NVIDIA's program knows no other number) or `leave`.
    pub functions: FunctionsAtBoot,
    /// `mixed-sizes = yes` or `no`.
    pub sizes: Sizes,
    /// `scheduler = equal`; `None` if the scheduler is left as it is.
    pub scheduler: Option<Scheduler>,
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
        held: &Lock,
        gpu: &ParentId,
        wanted: FunctionsAtBoot,
    ) -> Result<()> {
        let functions = wanted;
        let now = self.settings_of(gpu)?;
        self.set_settings(held, gpu, &GpuSettings { functions, ..now })
    }

    /// Writes a GPU's settings. Comments, and lines of settings that stay as they are, stay.
    ///
    /// # Errors
    /// The file makes no sense; what the kernel answered.
    pub fn set_settings(&self, _held: &Lock, gpu: &ParentId, wanted: &GpuSettings) -> Result<()> {
        let now = self.settings_of(gpu)?;
        if now == *wanted {
            return Ok(());
        }
        let text = self.settings_text(gpu)?;
        let (old, new) = (now.lines(), wanted.lines());
        let is_same = |key: &str| {
            let of = |lines: &[(&'static str, Option<String>)]| {
                lines.iter().find(|(known, _)| *known == key).cloned()
            };
            of(&old) == of(&new)
        };
        let stays = |line: &&str| key_of(line).is_none_or(is_same);
        let mut kept: Vec<String> = text.lines().filter(stays).map(str::to_owned).collect();
        for (key, value) in new.iter().filter(|(key, _)| !is_same(key)) {
            kept.extend(value.as_ref().map(|value| format!("{key} = {value}")));
        }
        let text: String = kept.iter().flat_map(|line| [line.as_str(), "\n"]).collect();
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
    /// Its keys with their values as in the file; no value for what the file need not have.
    fn lines(&self) -> [(&'static str, Option<String>); 4] {
        let functions = (self.functions == FunctionsAtBoot::Enable).then(|| "enable".to_owned());
        let sizes = (self.sizes == Sizes::Mixed).then(|| "yes".to_owned());
        let names: Vec<String> = self.mig.iter().map(GpuInstanceSpec::to_string).collect();
        [
            ("vfs", functions),
            ("mig", (!names.is_empty()).then(|| names.join(", "))),
            ("mixed-sizes", sizes),
            (
                "scheduler",
                self.scheduler.as_ref().map(Scheduler::to_string),
            ),
        ]
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
            ("vfs", "enable" | "all") => settings.functions = FunctionsAtBoot::Enable,
            ("vfs", "leave") => settings.functions = FunctionsAtBoot::Leave,
            ("mixed-sizes", "yes") => settings.sizes = Sizes::Mixed,
            ("mixed-sizes", "no") => settings.sizes = Sizes::AsTheyAre,
            ("mig", list) if mig_in(list).is_some() => {
                settings.mig = mig_in(list).unwrap_or_default();
            }
            ("scheduler", text) if text.parse::<Scheduler>().is_ok() => {
                settings.scheduler = text.parse().ok();
            }
            _ => {
                return Err(Error::new(
                    Kind::Failed,
                    format!("line {} is invalid: {}", index + 1, quoted(line)),
                )
                .hint(
                    "valid lines: vfs = enable, vfs = leave, mixed-sizes = yes, mixed-sizes = no, \
                     mig = PROFILE, PROFILE..., scheduler = best-effort, equal or fixed",
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
        let scheduler = |text: &str| {
            let settings = parse(&format!("scheduler = {text}\n"));
            settings.map(|settings| settings.scheduler.unwrap().to_string())
        };
        for good in [
            "best-effort",
            "equal",
            "fixed arr=off time-slice=2000000",
            "equal arr=on frequency=960 averaging=33",
        ] {
            assert_eq!(scheduler(good).unwrap(), good);
        }
        for bad in [
            "",
            "best",
            "best-effort arr=on",
            "equal time-slice=5",
            "equal arr=on time-slice=5",
            "fixed arr=off averaging=33",
            "fixed arr=off time-slice=0",
            "fixed arr=off time-slice=-1",
            "equal arr=on arr=off",
            "equal fast",
        ] {
            assert!(scheduler(bad).is_err(), "{bad}");
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
