//! What NVIDIA's `nvidia-smi` says about MIG: which GPUs have it, which GPU instance profiles they offer,
//! where an instance of each may start, and which GPU instances exist.
//!
//! The program prints tables for people, whose columns differ between driver branches. They are read by words,
//! not by columns; a line that is not understood is an error that quotes it.

#[doc(hidden)]
pub mod text;

use std::fmt;

use crate::error::{Error, Kind, Result, if_present};
use crate::host::Host;
use crate::model::ParentId;
use crate::scripts::{Asked, Said, ask_nvidia_smi, change_with_nvidia_smi, check_nvidia_smi};
use crate::text::quoted;

/// Whether a GPU is, or will be, in MIG mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MigMode {
    /// It is partitioned into GPU instances.
    Enabled,
    /// It is used as a whole.
    Disabled,
    /// The GPU does not have MIG.
    Unsupported,
}

impl MigMode {
    /// The word for it: `enabled`, `disabled` or `unsupported`.
    pub fn as_str(self) -> &'static str {
        match self {
            MigMode::Enabled => "enabled",
            MigMode::Disabled => "disabled",
            MigMode::Unsupported => "unsupported",
        }
    }
}

impl fmt::Display for MigMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A GPU of NVIDIA's driver and its MIG mode.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GpuMode {
    /// Its number in the other answers; it may change at each boot.
    pub index: u32,
    /// Its PCI address.
    pub gpu: ParentId,
    /// The mode now.
    pub current: MigMode,
    /// The mode after the next reset of the GPU.
    pub pending: MigMode,
}

/// A GPU instance profile: a size that a GPU can be partitioned into.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    /// The GPU, as in [`GpuMode::index`].
    pub index: u32,
    /// Its name without "MIG": `3g.40gb`, `1g.10gb+me`.
    pub name: String,
    /// Its number, which is the same on all GPUs of a model.
    pub id: u32,
    /// How many more of its instances can be created now.
    pub free: u32,
    /// How many there can be on an empty GPU.
    pub total: u32,
    /// Memory of one instance, in MiB.
    pub memory_mib: u64,
    /// Streaming multiprocessors of one instance.
    pub multiprocessors: u32,
    /// Its other engines.
    pub engines: Engines,
}

/// The engines of one GPU instance, besides its multiprocessors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Engines {
    /// Copy engines (CE).
    pub copy: u32,
    /// Video decoders (DEC).
    pub decoders: u32,
    /// Video encoders (ENC).
    pub encoders: u32,
    /// JPEG decoders.
    pub jpeg: u32,
    /// Optical flow accelerators (OFA).
    pub optical_flow: u32,
}

/// Where instances of a profile may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placements {
    /// The GPU, as in [`GpuMode::index`].
    pub index: u32,
    /// The profile, as in [`Profile::id`].
    pub profile: u32,
    /// The memory slices at which an instance may start.
    pub starts: Vec<u32>,
    /// How many memory slices it takes.
    pub size: u32,
}

/// A GPU instance that exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GpuInstance {
    /// The GPU, as in [`GpuMode::index`].
    pub index: u32,
    /// The name of its profile, as in [`Profile::name`].
    pub profile_name: String,
    /// The number of its profile, as in [`Profile::id`].
    pub profile: u32,
    /// Its own number on its GPU.
    pub id: u32,
    /// The memory slice at which it starts.
    pub start: u32,
    /// How many memory slices it takes.
    pub size: u32,
}

/// What it prints where there is nothing to list, whatever its exit status then is. The end of the line differs.
const NOTHING: [&str; 5] = [
    "No MIG-enabled devices found",
    "No MIG-supported devices found",
    "No GPU instances found",
    "No devices were found",
    "No supported devices in vGPU mode",
];

/// Its exit status where NVIDIA's driver is not loaded, or does not answer.
const NO_DRIVER: i32 = 9;

/// What it prints to callers who are not root.
const NOT_ROOT: &str = "Insufficient Permissions";

/// The `nvidia-smi` of a host.
#[derive(Debug, Clone, Copy)]
pub struct Smi<'h> {
    host: &'h Host,
}

impl<'h> Smi<'h> {
    /// That of this host; `None` if it has none.
    ///
    /// # Errors
    /// [`Kind::NotPermitted`]: others could have written it.
    pub fn of(host: &'h Host) -> Result<Option<Smi<'h>>> {
        Ok(if_present(check_nvidia_smi(host))?.map(|()| Smi { host }))
    }

    /// The GPUs of NVIDIA's driver with their MIG mode; those without MIG are [`MigMode::Unsupported`].
    ///
    /// # Errors
    /// [`Kind::NotPermitted`] if it requires root; [`Kind::Failed`] if it fails, does not end within
    /// the time limit, or prints a line that is not understood.
    pub fn modes(self) -> Result<Vec<GpuMode>> {
        self.ask(
            &[
                "--query-gpu=index,pci.bus_id,mig.mode.current,mig.mode.pending",
                "--format=csv,noheader",
            ],
            text::modes,
        )
    }

    /// The GPU instance profiles of all GPUs that have MIG; on older drivers, only of those in MIG mode.
    ///
    /// # Errors
    /// As [`Smi::modes`].
    pub fn profiles(self) -> Result<Vec<Profile>> {
        self.ask(&["mig", "-lgip"], text::profiles)
    }

    /// Where instances of the profiles of all GPUs may be.
    ///
    /// # Errors
    /// As [`Smi::modes`].
    pub fn placements(self) -> Result<Vec<Placements>> {
        self.ask(&["mig", "-lgipp"], text::placements)
    }

    /// The GPU instances of all GPUs.
    ///
    /// # Errors
    /// As [`Smi::modes`].
    pub fn gpu_instances(self) -> Result<Vec<GpuInstance>> {
        self.ask(&["mig", "-lgi"], text::gpu_instances)
    }

    /// Whether a GPU takes vGPUs of several framebuffer sizes now ("vGPU Heterogeneous Mode" of `nvidia-smi -q`);
    /// `None` where it does not say.
    ///
    /// # Errors
    /// As [`Smi::modes`].
    pub fn mixes_sizes(self, gpu: &ParentId) -> Result<Option<bool>> {
        self.ask(&["-q", "-i", gpu.as_str()], |text| {
            Ok(text::heterogeneous_mode(text))
        })
    }

    /// Enables or disables MIG mode of a GPU; read [`Smi::modes`] to see whether it did.
    ///
    /// # Errors
    /// It could not be started; others could have written it.
    pub fn set_mode(self, gpu: &ParentId, is_on: bool) -> Result<Said> {
        let mode = match is_on {
            true => "1",
            false => "0",
        };
        self.change(&["-i", gpu.as_str(), "-mig", mode])
    }

    /// Creates GPU instances with their compute instances: `profiles` is a list such as `9,19:6`, of profile IDs
    /// with or without the memory slice at which to start. What was created before one that fails may stay.
    ///
    /// # Errors
    /// As [`Smi::set_mode`].
    pub fn create_gpu_instances(self, gpu: &ParentId, profiles: &str) -> Result<Said> {
        self.change(&["mig", "-i", gpu.as_str(), "-cgi", profiles, "-C"])
    }

    /// Destroys the compute instances of these GPU instances.
    ///
    /// # Errors
    /// As [`Smi::set_mode`].
    pub fn destroy_compute_instances(self, gpu: &ParentId, ids: &[u32]) -> Result<Said> {
        self.change(&["mig", "-i", gpu.as_str(), "-dci", "-gi", &list(ids)])
    }

    /// Destroys these GPU instances, which must not have compute instances any more.
    ///
    /// # Errors
    /// As [`Smi::set_mode`].
    pub fn destroy_gpu_instances(self, gpu: &ParentId, ids: &[u32]) -> Result<Said> {
        self.change(&["mig", "-i", gpu.as_str(), "-dgi", "-gi", &list(ids)])
    }

    fn change(self, args: &[&str]) -> Result<Said> {
        change_with_nvidia_smi(self.host, args)?.ok_or_else(|| {
            Error::new(Kind::NotFound, "nvidia-smi not found").at(self.host.nvidia_smi())
        })
    }

    fn ask<T: Default>(
        self,
        args: &[&str],
        parse: impl FnOnce(&str) -> text::Parsed<T>,
    ) -> Result<T> {
        let program = self.host.nvidia_smi();
        let call = format!("nvidia-smi {}", args.join(" "));
        let Asked { stdout, said, code } = ask_nvidia_smi(self.host, args)?;
        if is_nothing(&said) {
            return Ok(T::default());
        }
        if code != Some(0) {
            let how = match code {
                Some(code) => format!("failed with exit status {code}"),
                None => "was ended by a signal".to_owned(),
            };
            let kind = match said.contains(NOT_ROOT) {
                true => Kind::NotPermitted,
                false => Kind::Failed,
            };
            let error = Error::new(kind, format!("{call} {how}")).at(program);
            let error = match said.is_empty() {
                true => error,
                false => error.hint(format!("it printed: {said}")),
            };
            return Err(match (kind, code) {
                (Kind::NotPermitted, _) => error.hint("this needs root: run it again with sudo"),
                (_, Some(NO_DRIVER)) => error
                    .hint("load NVIDIA's driver (modprobe nvidia), or see why it failed: dmesg"),
                _ => error,
            });
        }
        parse(&stdout).map_err(|fault| {
            let message = match fault.line {
                Some((number, line)) => format!(
                    "cannot understand what {call} printed: line {number}, {}: {}",
                    quoted(&line),
                    fault.what
                ),
                None => format!("cannot understand what {call} printed: {}", fault.what),
            };
            Error::new(Kind::Failed, message)
                .at(program)
                .hint("run the same command by itself; if its output is intact, please report it")
        })
    }
}

fn list(ids: &[u32]) -> String {
    let texts: Vec<String> = ids.iter().map(u32::to_string).collect();
    texts.join(",")
}

fn is_nothing(said: &str) -> bool {
    NOTHING.iter().any(|begin| {
        let rest = said.strip_prefix(begin);
        rest.is_some_and(|rest| matches!(rest, "" | "." | ": Not Found" | ": Not Found."))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_list_is_said_in_several_ways() {
        for said in [
            "No MIG-enabled devices found.",
            "No devices were found",
            "No GPU instances found: Not Found",
            "No supported devices in vGPU mode",
        ] {
            assert!(is_nothing(said), "{said}");
        }
        for said in [
            "",
            "No MIG-enabled devices found. And more",
            "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver.",
            "No devices",
        ] {
            assert!(!is_nothing(said), "{said}");
        }
    }
}
