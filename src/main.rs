//! The program under each of its names. All code is in the library.

use std::process::ExitCode;

use nix::sys::stat::{Mode, umask};
use vgpuctl::mdevctl::Name;

/// Files that the program creates are writable only by their owner and readable by everyone,
/// regardless of the caller's umask.
const UMASK: Mode = Mode::from_bits_truncate(0o022);

fn main() -> ExitCode {
    umask(UMASK);
    let name = std::env::args_os().next().and_then(|name| Name::of(&name));
    match name {
        Some(name) => vgpuctl::mdevctl::run(name, std::env::args_os()),
        None => vgpuctl::cli::run(std::env::args_os()),
    }
}
