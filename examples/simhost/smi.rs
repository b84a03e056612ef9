//! `nvidia-smi`: what it prints about MIG, and how it changes it.

use std::fmt::Write as _;

use crate::host::Host;
use crate::mig::{GpuInstance, Mig, Profile};
use crate::pci;

/// What the program prints on standard output, and its exit status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Printed {
    /// Whole lines.
    pub text: String,
    /// The exit status.
    pub status: u8,
}

/// The exit statuses: those of NVML.
const BAD_ARGUMENT: u8 = 2;
const NOT_FOUND: u8 = 6;
const IN_USE: u8 = 19;
const NO_RESOURCES: u8 = 23;

fn printed(status: u8, text: impl Into<String>) -> Printed {
    Printed {
        text: text.into(),
        status,
    }
}

/// The options of a call: `-i GPU`, and one word or none for each of the others.
#[derive(Debug, Default)]
struct Options<'w> {
    gpu: Option<&'w str>,
    /// In the order of the command line, with the values of those that have one.
    others: Vec<(&'w str, Option<&'w str>)>,
}

impl<'w> Options<'w> {
    /// Of these words; `valued` names the options that have a value.
    fn of(words: &[&'w str], valued: &[&str]) -> Self {
        let mut options = Self::default();
        let mut words = words.iter().copied();
        while let Some(word) = words.next() {
            match word {
                "-i" | "--id" => options.gpu = words.next(),
                _ if valued.contains(&word) => options.others.push((word, words.next())),
                _ => options.others.push((word, None)),
            }
        }
        options
    }

    fn has(&self, name: &str) -> bool {
        self.others.iter().any(|(other, _)| *other == name)
    }

    fn value(&self, name: &str) -> Option<&'w str> {
        let mut others = self.others.iter();
        others.find(|(other, _)| *other == name)?.1
    }
}

/// A GPU of the driver.
#[derive(Debug, Clone)]
struct Gpu {
    index: usize,
    id: String,
}

impl Gpu {
    /// As the program prints it: `00000000:41:00.0`.
    fn bus_id(&self) -> String {
        format!("0000{}", self.id.to_uppercase())
    }

    fn is(&self, name: &str) -> bool {
        let name = name.to_uppercase();
        name == self.index.to_string() || name == self.bus_id() || name == self.id.to_uppercase()
    }
}

impl Host {
    /// What `nvidia-smi` with these arguments prints.
    pub fn nvidia_smi(&mut self, words: &[&str]) -> Printed {
        match words {
            ["mig", rest @ ..] => self.smi_mig(rest),
            _ => {
                let options = Options::of(words, &["-mig"]);
                let query = options.others.iter().find_map(|(name, _)| {
                    let fields = name.strip_prefix("--query-gpu=")?;
                    Some(fields.to_owned())
                });
                match (query, options.value("-mig")) {
                    (Some(fields), None) => self.smi_query(options.gpu, &fields),
                    (None, Some(mode @ ("0" | "1"))) => self.smi_mode(options.gpu, mode == "1"),
                    _ => printed(
                        BAD_ARGUMENT,
                        format!(
                            "Invalid combination of input arguments: {}\n",
                            words.join(" ")
                        ),
                    ),
                }
            }
        }
    }

    /// The GPUs that `-i` selects, or all; none is an answer of its own.
    fn smi_gpus(&self, name: Option<&str>) -> Result<Vec<Gpu>, Printed> {
        let mut ids: Vec<&String> = self
            .spec
            .parents
            .iter()
            .filter(|p| p.pci.is_some_and(|pci| pci.vendor == pci::NVIDIA))
            .filter(|p| p.driver == "nvidia" && self.attached.contains(&p.id))
            .map(|p| &p.id)
            .collect();
        ids.sort();
        let gpus = ids.into_iter().enumerate().map(|(index, id)| Gpu {
            index,
            id: id.clone(),
        });
        let gpus: Vec<Gpu> = gpus.filter(|gpu| name.is_none_or(|n| gpu.is(n))).collect();
        match gpus.is_empty() {
            true => Err(printed(NOT_FOUND, "No devices were found\n")),
            false => Ok(gpus),
        }
    }

    fn smi_query(&self, gpu: Option<&str>, fields: &str) -> Printed {
        let gpus = match self.smi_gpus(gpu) {
            Ok(gpus) => gpus,
            Err(none) => return none,
        };
        let mode = |gpu: &Gpu, of: fn(&Mig) -> bool| match self.mig.get(&gpu.id).map(of) {
            None => "[N/A]".to_owned(),
            Some(true) => "Enabled".to_owned(),
            Some(false) => "Disabled".to_owned(),
        };
        let mut text = String::new();
        for gpu in gpus {
            let mut values = Vec::new();
            for field in fields.split(',') {
                values.push(match field {
                    "index" => gpu.index.to_string(),
                    "pci.bus_id" | "gpu_bus_id" => gpu.bus_id(),
                    "mig.mode.current" => mode(&gpu, |mig| mig.current),
                    "mig.mode.pending" => mode(&gpu, |mig| mig.pending),
                    _ => {
                        let text = format!("Field \"{field}\" is not a valid field to query.\n");
                        return printed(BAD_ARGUMENT, text);
                    }
                });
            }
            let _ = writeln!(text, "{}", values.join(", "));
        }
        printed(0, text)
    }

    /// `-mig 0|1`.
    fn smi_mode(&mut self, gpu: Option<&str>, is_on: bool) -> Printed {
        let gpus = match self.smi_gpus(gpu) {
            Ok(gpus) => gpus,
            Err(none) => return none,
        };
        let (verb, done) = match is_on {
            true => ("enable", "Enabled"),
            false => ("disable", "Disabled"),
        };
        let mut text = String::new();
        for gpu in gpus {
            let bus_id = gpu.bus_id();
            let has_vfs = self.vfs_of(&gpu.id).next().is_some();
            let Some(mig) = self.mig.get_mut(&gpu.id) else {
                let _ = writeln!(
                    text,
                    "Unable to {verb} MIG Mode for GPU {bus_id}: Not Supported"
                );
                let _ = writeln!(text, "Treating as warning and moving on.");
                continue;
            };
            let is_used = has_vfs || !mig.instances.is_empty();
            if mig.current == is_on || !is_used {
                (mig.current, mig.pending) = (is_on, is_on);
                let _ = writeln!(text, "{done} MIG Mode for GPU {bus_id}");
            } else if is_on && mig.card.keeps_mode {
                mig.pending = true;
                let _ = writeln!(
                    text,
                    "Warning: MIG mode is in pending {verb} state for GPU {bus_id}:In use by \
                     another client"
                );
            } else {
                let _ = writeln!(
                    text,
                    "Unable to {verb} MIG Mode for GPU {bus_id}: In use by another client"
                );
                return printed(IN_USE, text);
            }
        }
        text.push_str("All done.\n");
        printed(0, text)
    }

    fn smi_mig(&mut self, words: &[&str]) -> Printed {
        let options = Options::of(words, &["-cgi", "-gi"]);
        let gpus = match self.smi_gpus(options.gpu) {
            Ok(gpus) => gpus,
            Err(none) => return none,
        };
        let capable: Vec<Gpu> = gpus
            .into_iter()
            .filter(|gpu| self.mig.contains_key(&gpu.id))
            .collect();
        let enabled: Vec<Gpu> = capable
            .iter()
            .filter(|gpu| self.mig.get(&gpu.id).is_some_and(|mig| mig.current))
            .cloned()
            .collect();
        let lists_all = options.has("-lgip") || options.has("-lgipp");
        if lists_all && capable.is_empty() {
            return printed(0, "No MIG-supported devices found.\n");
        }
        if !lists_all && enabled.is_empty() {
            return printed(0, "No MIG-enabled devices found.\n");
        }
        let migs = |gpus: &[Gpu]| -> Vec<(usize, Mig)> {
            let found = gpus.iter();
            found
                .filter_map(|gpu| Some((gpu.index, self.mig.get(&gpu.id)?.clone())))
                .collect()
        };
        if options.has("-lgip") {
            printed(0, profile_table(&migs(&capable)))
        } else if options.has("-lgipp") {
            printed(0, placement_lines(&migs(&capable)))
        } else if options.has("-lgi") {
            match instance_table(&migs(&enabled)) {
                Some(table) => printed(0, table),
                None => printed(NOT_FOUND, "No GPU instances found: Not Found\n"),
            }
        } else if let Some(wanted) = options.value("-cgi") {
            self.smi_create(&enabled, wanted, options.has("-C"))
        } else if options.has("-dci") {
            self.smi_destroy(&enabled, options.value("-gi"), Part::Compute)
        } else if options.has("-dgi") {
            self.smi_destroy(&enabled, options.value("-gi"), Part::Whole)
        } else {
            let text = format!("Option \"{}\" is not recognized.\n", words.join(" "));
            printed(BAD_ARGUMENT, text)
        }
    }

    /// `-cgi PROFILE[:START],... [-C]`. What was created before a failure stays.
    fn smi_create(&mut self, gpus: &[Gpu], wanted: &str, with_compute: bool) -> Printed {
        let mut text = String::new();
        for gpu in gpus {
            let index = gpu.index;
            let Some(mig) = self.mig.get_mut(&gpu.id) else {
                continue;
            };
            for wanted in wanted.split(',') {
                let (name, start) = match wanted.split_once(':') {
                    None => (wanted, None),
                    Some((name, start)) => (name, start.parse().ok()),
                };
                let Some(profile) = mig.profile(name).cloned() else {
                    let _ = writeln!(
                        text,
                        "Unable to find GPU instance profile {name} on GPU {index:>2}"
                    );
                    return printed(BAD_ARGUMENT, text);
                };
                let Some(made) = mig.create(&profile, start) else {
                    let _ = writeln!(
                        text,
                        "Unable to create a GPU instance on GPU {index:>2} using profile {}: \
                         Insufficient Resources\n\
                         Failed to create GPU instances: Insufficient Resources",
                        profile.id
                    );
                    return printed(NO_RESOURCES, text);
                };
                let _ = writeln!(
                    text,
                    "Successfully created GPU instance ID {:>2} on GPU {index:>2} using profile MIG \
                     {} (ID {:>2})",
                    made.id, profile.name, profile.id
                );
                if with_compute {
                    let mut instances = mig.instances.iter_mut();
                    if let Some(instance) = instances.find(|i| i.id == made.id) {
                        instance.has_compute = true;
                    }
                    let _ = writeln!(
                        text,
                        "Successfully created compute instance ID  0 on GPU {index:>2} GPU instance \
                         ID {:>2} using profile MIG {} (ID {:>2})",
                        made.id, profile.name, profile.id
                    );
                }
            }
        }
        printed(0, text)
    }

    /// `-dgi` or `-dci`, with `-gi ID,...` or of all GPU instances.
    fn smi_destroy(&mut self, gpus: &[Gpu], ids: Option<&str>, part: Part) -> Printed {
        let ids: Option<Vec<&str>> = ids.map(|ids| ids.split(',').collect());
        let (one, all) = match part {
            Part::Whole => ("GPU instance", "GPU instances"),
            Part::Compute => ("compute instance", "compute instances"),
        };
        let mut text = String::new();
        for gpu in gpus {
            let index = gpu.index;
            let used = self.used_instances(&gpu.id);
            let Some(mig) = self.mig.get_mut(&gpu.id) else {
                continue;
            };
            let is_meant = |i: &GpuInstance| {
                let id = i.id.to_string();
                ids.as_ref().is_none_or(|ids| ids.contains(&id.as_str()))
            };
            for instance in mig.instances.clone().into_iter().filter(is_meant) {
                if part == Part::Compute && !instance.has_compute {
                    continue;
                }
                let blocks = instance.has_compute && part == Part::Whole;
                let name = match part {
                    Part::Whole => {
                        format!("GPU instance ID {:>2} from GPU {index:>2}", instance.id)
                    }
                    Part::Compute => format!(
                        "compute instance ID  0 from GPU {index:>2} GPU instance ID {:>2}",
                        instance.id
                    ),
                };
                if blocks || used.contains_key(&instance.id) {
                    let _ = writeln!(
                        text,
                        "Unable to destroy {name}: In use by another client\n\
                         Failed to destroy {all}: In use by another client"
                    );
                    return printed(IN_USE, text);
                }
                match part {
                    Part::Whole => mig.instances.retain(|i| i.id != instance.id),
                    Part::Compute => {
                        for i in mig.instances.iter_mut().filter(|i| i.id == instance.id) {
                            i.has_compute = false;
                        }
                    }
                }
                let _ = writeln!(text, "Successfully destroyed {name}");
            }
        }
        match text.is_empty() {
            true => printed(NOT_FOUND, format!("No {one}s found: Not Found\n")),
            false => printed(0, text),
        }
    }
}

/// What is destroyed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    /// GPU instances, which must not have a compute instance any more.
    Whole,
    /// Their compute instances.
    Compute,
}

fn profile_table(gpus: &[(usize, Mig)]) -> String {
    let rule = format!("+{}+\n", "-".repeat(79));
    let mut text = format!(
        "{rule}{}\n{}\n{}\n|{}|\n",
        "| GPU instance profiles:                                                        |",
        "| GPU   Name               ID    Instances   Memory     P2P    SM    DEC   ENC  |",
        "|                                Free/Total   GiB              CE    JPEG  OFA  |",
        "=".repeat(79)
    );
    for (index, mig) in gpus {
        for profile in &mig.card.profiles {
            let [sm, dec, enc, ce, jpeg, ofa] = profile.engines;
            let name = format!("MIG {}", profile.name);
            let (id, free, total) = (profile.id, mig.free(profile), profile.total);
            let gib = &profile.gib;
            let _ = writeln!(
                text,
                "| {index:>3}  {name:<19}{id:>3}     {free}/{total}        {gib:<11}No     \
                 {sm:<7}{dec:<6}{enc}   |"
            );
            let _ = writeln!(text, "|{:63}{ce:<6}{jpeg:<6}{ofa}   |", "");
            text.push_str(&rule);
        }
    }
    text
}

fn placement_lines(gpus: &[(usize, Mig)]) -> String {
    let mut text = String::new();
    for (index, mig) in gpus {
        for Profile {
            id, starts, size, ..
        } in &mig.card.profiles
        {
            let word = match starts.len() {
                1 => "Placement ",
                _ => "Placements",
            };
            let starts: Vec<String> = starts.iter().map(u32::to_string).collect();
            let starts = starts.join(",");
            let _ = writeln!(
                text,
                "GPU {index:>2} Profile ID {id:>2} {word}: {{{starts}}}:{size}"
            );
        }
    }
    text
}

/// `None` where no GPU has an instance.
fn instance_table(gpus: &[(usize, Mig)]) -> Option<String> {
    let rule = format!("+{}+\n", "-".repeat(57));
    let mut text = format!(
        "{rule}{}\n{}\n{}\n|{}|\n",
        "| GPU instances:                                          |",
        "| GPU   Name               Profile  Instance   Placement  |",
        "|                            ID       ID       Start:Size |",
        "=".repeat(57)
    );
    let mut is_empty = true;
    for (index, mig) in gpus {
        for i in &mig.instances {
            let profile = mig.card.profiles.iter().find(|p| p.id == i.profile);
            let name = format!("MIG {}", profile.map_or("?", |p| p.name.as_str()));
            let (profile, id, start, size) = (i.profile, i.id, i.start, i.size);
            let _ = writeln!(
                text,
                "| {index:>3}  {name:<21}{profile:>3}{id:>9}          {start}:{size}     |"
            );
            text.push_str(&rule);
            is_empty = false;
        }
    }
    (!is_empty).then_some(text)
}

#[cfg(test)]
#[path = "smi_tests.rs"]
mod tests;
