//! A simulated host with vGPUs under a directory, to try `vgpuctl --root DIR` without a GPU.
//!
//! `ROOT/sys` and `ROOT/dev` are FUSE mounts that behave like the kernel; see README.md.

mod ap;
mod build;
mod cards;
mod control;
mod driver;
mod faults;
mod fs;
mod host;
mod hostfile;
mod mig;
mod pci;
mod process;
mod root;
mod shared;
mod smi;
mod sriov;
mod state;
mod tree;
mod vf;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use nix::sys::prctl;
use nix::sys::signal::{SigSet, Signal};
use nix::sys::stat::{Mode, umask};

const USAGE: &str = "\
usage: simhost HOSTFILE ROOT [--die-with-parent]
       simhost ctl ROOT COMMAND...
";

fn main() -> ExitCode {
    // vgpuctl does not run programs of the host that others can write to.
    umask(Mode::S_IWGRP | Mode::S_IWOTH);
    let args: Vec<String> = std::env::args().skip(1).collect();
    let result = match args.first().map(String::as_str) {
        Some("ctl") if args.len() >= 3 => match control::send(Path::new(&args[1]), &args[2..]) {
            Ok(smi::Printed { text, status }) => {
                print(&text);
                return ExitCode::from(status);
            }
            Err(message) => Err(message),
        },
        Some("-h" | "--help") => {
            print(&format!("{USAGE}\ncommands of ctl:\n{}", control::COMMANDS));
            Ok(())
        }
        Some(first) if !first.starts_with('-') && first != "ctl" => host_command(&args),
        _ => Err(USAGE.trim_end().to_owned()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("simhost: {message}");
            ExitCode::FAILURE
        }
    }
}

fn print(text: &str) {
    let mut out = std::io::stdout();
    // Ignore errors if nobody reads.
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

fn host_command(args: &[String]) -> Result<(), String> {
    let (flags, paths): (Vec<_>, Vec<_>) = args.iter().partition(|a| a.starts_with("--"));
    if let Some(flag) = flags.iter().find(|f| **f != "--die-with-parent") {
        return Err(format!("unknown option {flag}\n{}", USAGE.trim_end()));
    }
    let [file, root] = paths[..] else {
        return Err(USAGE.trim_end().to_owned());
    };
    serve(Path::new(file), &PathBuf::from(root), !flags.is_empty())
}

fn serve(file: &Path, root_path: &Path, die_with_parent: bool) -> Result<(), String> {
    let spec = hostfile::read(file)?;
    // Before any thread is started, so that all threads inherit the signal mask.
    let mut signals = SigSet::empty();
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP] {
        signals.add(signal);
    }
    signals.thread_block().map_err(|e| e.to_string())?;
    if die_with_parent {
        prctl::set_pdeathsig(Signal::SIGTERM).map_err(|e| e.to_string())?;
    }
    if control::answers(root_path) {
        return Err(format!(
            "another simhost runs under {}",
            root_path.display()
        ));
    }
    let root = root::Root::prepare(root_path)?;
    if spec.parents.iter().any(|p| p.sriov.is_some()) {
        root.install_nvidias_programs()?;
    }
    let shared = shared::Shared::new(host::Host::new(spec));
    let sessions = root.mount(&shared)?;
    control::listen(&root, &shared)?;
    print(&format!("ready {}\n", root_path.display()));
    signals.wait().map_err(|e| e.to_string())?;
    root.unmount();
    drop(sessions);
    let _ = std::fs::remove_file(root.control_dir().join("control"));
    Ok(())
}
