//! `make bench`: this program, the real mdevctl and the floor, as whole processes side by side.
//! Prints the tables of docs/benchmarks.md. Fails where a number that can be counted is not reached;
//! times depend on the machine and are only told.
//!
//! Without arguments it measures everything; which programs, the variables `VGPUCTL`, `FLOOR`,
//! `SIMHOST` and `MDEVCTL_REFERENCE` say. `tree DIR` makes the middle host below DIR, to look closer
//! at one program.

mod binary;
mod jobs;
mod measure;
mod report;
mod restore;
mod tree;

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use report::Target;

/// The programs that are compared.
pub struct Programs {
    pub vgpuctl: PathBuf,
    /// vgpuctl under mdevctl's name.
    pub as_mdevctl: PathBuf,
    pub mdevctl: PathBuf,
    pub floor: PathBuf,
    pub simhost: PathBuf,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args()
        .skip(1)
        .filter(|a| a != "--bench")
        .collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let result = match words.as_slice() {
        [] => bench(),
        ["tree", folder] => tree::make(Path::new(folder), jobs::SIZES[1].1).map(|()| true),
        _ => Err(io::Error::other("usage: compare [tree DIR]")),
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            let _ = writeln!(io::stderr(), "bench: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Whether every target is reached.
fn bench() -> io::Result<bool> {
    let scratch = tempfile::Builder::new()
        .prefix("vgpuctl-bench-")
        .tempdir()?;
    let programs = Programs::find(scratch.path())?;
    let mut out = io::stdout();
    writeln!(out, "{}\n\n{}", report::machine(), report::hosts())?;

    let measured = jobs::measure_all(&programs, scratch.path())?;
    writeln!(out, "{}", report::costs(&measured))?;
    let restored = restore::measure(&programs, scratch.path())?;
    writeln!(out, "{}", report::restored(&restored))?;
    let binary = binary::look(&programs.vgpuctl)?;

    let mut targets = jobs::targets(&measured);
    targets.extend(binary.targets());
    writeln!(out, "{}", report::targets(&targets))?;
    let missed = targets.iter().filter(|target| !target.is_reached()).count();
    writeln!(out, "{} passed, {missed} failed", targets.len() - missed)?;
    Ok(missed == 0)
}

impl Programs {
    /// Those that the environment names.
    fn find(scratch: &Path) -> io::Result<Programs> {
        let vgpuctl = named_by("VGPUCTL")?;
        let names = scratch.join("names");
        std::fs::create_dir(&names)?;
        let as_mdevctl = names.join("mdevctl");
        std::os::unix::fs::symlink(&vgpuctl, &as_mdevctl)?;
        Ok(Programs {
            as_mdevctl,
            mdevctl: named_by("MDEVCTL_REFERENCE")?,
            floor: named_by("FLOOR")?,
            simhost: named_by("SIMHOST")?,
            vgpuctl,
        })
    }
}

fn named_by(variable: &str) -> io::Result<PathBuf> {
    let path = PathBuf::from(std::env::var_os(variable).unwrap_or_default());
    match path.is_file() {
        true => Ok(path),
        false => Err(io::Error::other(format!(
            "{variable} is to name a program, and does not: run make bench"
        ))),
    }
}
