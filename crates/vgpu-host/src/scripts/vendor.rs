//! NVIDIA's own programs: how a GPU's virtual functions are switched, and its mixed-size mode.

use std::path::Path;
use std::process::ExitStatus;
use std::time::Duration;

use nix::errno::Errno;

use super::run::{Output, run_to_its_end};
use super::trust::check;
use crate::error::{Error, Kind, Result, if_present};
use crate::host::Host;
use crate::model::ParentId;

/// Switching 32 functions rebinds drivers, which takes seconds on a busy host.
const LIMIT: Duration = Duration::from_secs(120);

/// What `sriov-manage` is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Switch {
    /// All of a GPU's functions on.
    On,
    /// All off.
    Off,
}

/// What one of the programs said, and how it ended. NVIDIA's end well without having done it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// What it said on both its outputs, in one line.
    pub text: String,
    /// Its exit status; `None` where it had to be ended at the time limit.
    pub status: Option<ExitStatus>,
}

impl Said {
    /// Whether it says that it worked.
    pub fn claims_success(&self) -> bool {
        self.status.is_some_and(|status| status.success())
    }
}

/// Runs NVIDIA's `sriov-manage` for one GPU; `None` where the driver brings none.
///
/// # Errors
/// It could not be started; others could have written it.
pub fn sriov_manage(host: &Host, switch: Switch, gpu: &ParentId) -> Result<Option<Said>> {
    let flag = match switch {
        Switch::On => "-e",
        Switch::Off => "-d",
    };
    said(host, &host.sriov_manage(), &[flag, gpu.as_str()])
}

/// Puts a GPU into the mode that takes vGPUs of several framebuffer sizes; `None` where there is no
/// `nvidia-smi`. It must be done after its functions are on, and before one takes a type.
///
/// # Errors
/// It could not be started; others could have written it.
pub fn allow_mixed_sizes(host: &Host, gpu: &ParentId) -> Result<Option<Said>> {
    said(
        host,
        &host.nvidia_smi(),
        &["vgpu", "-shm", "1", "-i", gpu.as_str()],
    )
}

/// Whether a GPU is in the mode that takes vGPUs of several framebuffer sizes, as `nvidia-smi -q` says ("vGPU
/// Heterogeneous Mode"); `None` where it does not, or where there is no `nvidia-smi`.
///
/// # Errors
/// It could not be started; others could have written it.
pub fn mixed_sizes(host: &Host, gpu: &ParentId) -> Result<Option<bool>> {
    let said = said(host, &host.nvidia_smi(), &["-q", "-i", gpu.as_str()])?;
    Ok(said.and_then(|said| mode_in(&said.text)))
}

fn mode_in(text: &str) -> Option<bool> {
    let (_, rest) = text.split_once("vGPU Heterogeneous Mode")?;
    let mut words = rest.split_whitespace();
    match (words.next(), words.next()) {
        (Some(":"), Some("Enabled")) => Some(true),
        (Some(":"), Some("Disabled")) => Some(false),
        _ => None,
    }
}

fn said(host: &Host, program: &Path, args: &[&str]) -> Result<Option<Said>> {
    if if_present(check(host, program, "NVIDIA's program"))?.is_none() {
        return Ok(None);
    }
    let ended = match run_to_its_end(program, args, Output::Kept, LIMIT) {
        Ok(ended) => ended,
        Err(Errno::ENOENT) => return Ok(None),
        Err(errno) => return Err(Error::system("cannot run NVIDIA's program", program, errno)),
    };
    let both = [ended.stdout, ended.stderr].concat();
    let text = String::from_utf8_lossy(&both);
    let words: Vec<&str> = text.split_whitespace().collect();
    log::debug!(
        "{} {}: {:?}: {text:?}",
        program.display(),
        args.join(" "),
        ended.status
    );
    Ok(Some(Said {
        text: words.join(" "),
        status: ended.status,
    }))
}

/// How one of the programs ended without having done it.
pub fn ending(said: &Said) -> String {
    match said.status {
        None => format!(
            "it did not finish within {} s and was killed",
            LIMIT.as_secs()
        ),
        Some(status) if status.success() => "it reported success".to_owned(),
        Some(status) => format!("it failed with {status}"),
    }
}

/// Why one of the programs did not do it, as an error.
pub fn complaint(what: &str, said: &Said) -> Error {
    let error = Error::new(Kind::Failed, format!("{what}: {}", ending(said)));
    match said.text.is_empty() {
        true => error,
        false => error.hint(format!("it printed: {}", said.text)),
    }
}

#[cfg(test)]
mod tests {
    use super::mode_in;

    #[test]
    fn the_mode_is_read_from_the_lines_of_the_driver() {
        // As driver 580.159.04 prints it, its lines joined; without vGPU the mode is N/A.
        let text = |mode: &str| {
            format!(
                "GPU Virtualization Mode Virtualization Mode : Host VGPU Host VGPU Mode : SR-IOV \
                 vGPU Heterogeneous Mode : {mode} GPU Recovery Action : None"
            )
        };
        for (mode, is_mixed) in [
            ("Enabled", Some(true)),
            ("Disabled", Some(false)),
            ("N/A", None),
        ] {
            assert_eq!(mode_in(&text(mode)), is_mixed, "{mode}");
        }
        assert_eq!(mode_in("No devices were found"), None);
    }
}
