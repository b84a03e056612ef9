//! NVIDIA's own programs: how a GPU's virtual functions are switched, and its mixed-size mode.

use std::path::Path;
use std::process::ExitStatus;
use std::time::Duration;

use nix::errno::Errno;

use super::limit;
use super::run::{Output, run, run_to_its_end};
use super::trust::check;
use crate::error::{Error, Kind, Result, if_present};
use crate::host::Host;
use crate::model::ParentId;

/// What messages call them.
const PROGRAM: &str = "NVIDIA's program";

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

/// What `nvidia-smi` answered to a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// What it printed on standard output.
    pub stdout: String,
    /// What it printed on both its outputs, in one line.
    pub said: String,
    /// Its exit status; `None` if a signal ended it.
    pub code: Option<i32>,
}

/// Refuses an `nvidia-smi` that others could have changed.
///
/// # Errors
/// [`Kind::NotPermitted`], saying who could; absent ([`Error::is_absent`]) where there is none.
pub fn check_nvidia_smi(host: &Host) -> Result<()> {
    check(host, &host.nvidia_smi(), PROGRAM)
}

/// Runs `nvidia-smi` with arguments that change nothing, and keeps what it prints.
///
/// # Errors
/// There is none, or others could have changed it; it could not be started; it does not end within the
/// time limit; it prints more than 1 MiB, or what is not UTF-8.
pub fn ask_nvidia_smi(host: &Host, args: &[&str]) -> Result<Asked> {
    check_nvidia_smi(host)?;
    let program = host.nvidia_smi();
    let failed = |what: &str| {
        let message = format!("nvidia-smi {} {what}", args.join(" "));
        Error::new(Kind::Failed, message).at(&program)
    };
    let limit = limit();
    let ended = run(&program, args, b"", Output::Kept, limit)
        .map_err(|errno| Error::system(format!("cannot run {PROGRAM}"), &program, errno))?;
    let Some(status) = ended.status else {
        let what = format!("did not finish within {} s and was killed", limit.as_secs());
        return Err(failed(&what).hint(
            "a GPU that hangs, or a driver that is being loaded, blocks it: see the kernel's log (dmesg)",
        ));
    };
    if ended.overflowed {
        return Err(failed("printed too much output"));
    }
    let both = [ended.stdout.as_slice(), &ended.stderr].concat();
    let both = String::from_utf8_lossy(&both);
    let words: Vec<&str> = both.split_whitespace().collect();
    let said = words.join(" ");
    log::debug!(
        "{} {}: {status}: {both:?}",
        program.display(),
        args.join(" ")
    );
    let stdout =
        String::from_utf8(ended.stdout).map_err(|_| failed("printed output that is not UTF-8"))?;
    Ok(Asked {
        stdout,
        said,
        code: status.code(),
    })
}

/// Runs `nvidia-smi` with arguments that change something; it is not ended before it is done. `None` where there
/// is none.
///
/// # Errors
/// It could not be started; others could have written it.
pub fn change_with_nvidia_smi(host: &Host, args: &[&str]) -> Result<Option<Said>> {
    said(host, &host.nvidia_smi(), args)
}

fn said(host: &Host, program: &Path, args: &[&str]) -> Result<Option<Said>> {
    if if_present(check(host, program, PROGRAM))?.is_none() {
        return Ok(None);
    }
    let ended = match run_to_its_end(program, args, Output::Kept, LIMIT) {
        Ok(ended) => ended,
        Err(Errno::ENOENT) => return Ok(None),
        Err(errno) => {
            return Err(Error::system(
                format!("cannot run {PROGRAM}"),
                program,
                errno,
            ));
        }
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
