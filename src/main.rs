//! The program under each of its names. Everything it does is in the library.

use std::process::ExitCode;

use vgpuctl::mdevctl::Name;

fn main() -> ExitCode {
    let name = std::env::args_os().next().and_then(|name| Name::of(&name));
    match name {
        Some(name) => vgpuctl::mdevctl::run(name, std::env::args_os()),
        None => vgpuctl::cli::run(std::env::args_os()),
    }
}
