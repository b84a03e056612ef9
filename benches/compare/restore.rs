//! A boot on a simulated host whose creates take their time.

use std::fs;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::Programs;
use super::measure::Program;
use super::tree::{DEFINITION, address, script_folders, uuid};

/// GPUs, and definitions of each.
pub const GPUS: usize = 16;
pub const OF_EACH: usize = 16;
/// What one create takes, in milliseconds; those of one GPU come one after the other.
pub const CREATE_MS: usize = 50;

/// How long everything took until all devices were there.
pub struct Restored {
    /// `vgpuctl restore`.
    pub ours: Duration,
    /// `mdevctl start-parent-mdevs PARENT`, one parent after the other.
    pub theirs: Duration,
}

/// Boots the same host twice.
///
/// # Errors
/// The host or a program could not be run, or left devices out.
pub fn measure(programs: &Programs, scratch: &Path) -> io::Result<Restored> {
    let host = Host::start(programs, scratch)?;
    let program = |path: &Path, words: &[&str]| Program {
        path: path.to_owned(),
        arguments: words.iter().map(|&word| word.to_owned()).collect(),
        root: host.root.clone(),
    };
    let ours = host.boot(&[program(&programs.vgpuctl, &["restore"])])?;
    let parents = (0..GPUS).map(address);
    let each: Vec<Program> = parents
        .map(|parent| program(&programs.mdevctl, &["start-parent-mdevs", &parent]))
        .collect();
    let theirs = host.boot(&each)?;
    Ok(Restored { ours, theirs })
}

/// A running simulated host, which ends with this.
struct Host {
    process: Child,
    simhost: PathBuf,
    root: PathBuf,
}

impl Host {
    fn start(programs: &Programs, scratch: &Path) -> io::Result<Host> {
        let (file, root) = (scratch.join("host.toml"), scratch.join("host"));
        let cards = format!(
            "[[parent]]\nid = \"{}\"\ncard = \"p40\"\ncount = {GPUS}\n",
            address(0)
        );
        fs::write(&file, cards)?;
        script_folders(&root)?;
        for gpu in 0..GPUS {
            let folder = root.join("etc/mdevctl.d").join(address(gpu));
            fs::create_dir_all(&folder)?;
            for device in 0..OF_EACH {
                fs::write(folder.join(uuid(gpu, device)), DEFINITION)?;
            }
        }
        let mut process = Command::new(&programs.simhost)
            .args([&file, &root])
            .arg("--die-with-parent")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut line = String::new();
        if let Some(stdout) = process.stdout.take() {
            BufReader::new(stdout).read_line(&mut line)?;
        }
        let host = Host {
            process,
            simhost: programs.simhost.clone(),
            root,
        };
        if !line.starts_with("ready ") {
            return Err(io::Error::other("the simulated host did not start"));
        }
        host.ctl(&["delay-create", &CREATE_MS.to_string()])?;
        Ok(host)
    }

    /// The time that the programs take, one after the other, to bring every device back.
    fn boot(&self, programs: &[Program]) -> io::Result<Duration> {
        self.ctl(&["reboot"])?;
        let begin = Instant::now();
        for program in programs {
            program.run()?;
        }
        let took = begin.elapsed();
        let there = fs::read_dir(self.root.join("sys/bus/mdev/devices"))?.count();
        match there == GPUS * OF_EACH {
            true => Ok(took),
            false => Err(io::Error::other(format!("{there} devices are there"))),
        }
    }

    fn ctl(&self, words: &[&str]) -> io::Result<()> {
        let mut command = Command::new(&self.simhost);
        let output = command.arg("ctl").arg(&self.root).args(words).output()?;
        match output.status.success() {
            true => Ok(()),
            false => Err(io::Error::other(format!("simhost ctl {words:?} failed"))),
        }
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // SIGTERM lets it unmount before the folder goes.
        if let Ok(pid) = i32::try_from(self.process.id()) {
            let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
        }
        let _ = self.process.wait();
    }
}
