//! What one whole run of a program costs, from its start to its end.

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

/// A command line to measure.
#[derive(Debug, Clone)]
pub struct Program {
    /// Its file; the name decides what it does, as it does for a link.
    pub path: PathBuf,
    pub arguments: Vec<String>,
    /// Below which directory it finds its host.
    pub root: PathBuf,
}

/// What a run costs.
#[derive(Debug, Clone, Copy)]
pub struct Cost {
    pub system_calls: u64,
    /// In user space.
    pub instructions: u64,
    pub peak_kib: u64,
    /// The median of several runs.
    pub wall: Duration,
}

/// Runs for the wall time.
const RUNS: usize = 21;

/// Measures programs that do the same, side by side: their runs for the wall time alternate.
///
/// # Errors
/// One could not be run, failed, or a tool's report was not understood.
pub fn measure(programs: &[Program], scratch: &Path) -> io::Result<Vec<Cost>> {
    let walls = walls(programs)?;
    let measured = programs.iter().zip(walls).map(|(program, wall)| {
        Ok(Cost {
            system_calls: system_calls(program, scratch)?,
            instructions: instructions(program, scratch)?,
            peak_kib: peak_kib(program, scratch)?,
            wall,
        })
    });
    measured.collect()
}

impl Program {
    /// The command behind `wrapper`, a program that measures it and its arguments.
    fn command(&self, wrapper: &[&str]) -> Command {
        let mut words: Vec<&std::ffi::OsStr> = wrapper.iter().map(|word| word.as_ref()).collect();
        words.push(self.path.as_os_str());
        let mut command = Command::new(words[0]);
        command
            .args(&words[1..])
            .args(&self.arguments)
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .env("VGPUCTL_ROOT", &self.root)
            .env("MDEVCTL_ENV_ROOT", &self.root)
            .stdin(Stdio::null());
        command
    }

    /// Runs it once; its answer.
    ///
    /// # Errors
    /// It could not be run, or failed.
    pub fn run(&self) -> io::Result<Output> {
        self.run_behind(&[])
    }

    fn run_behind(&self, wrapper: &[&str]) -> io::Result<Output> {
        let output = self.command(wrapper).output()?;
        match output.status.success() {
            true => Ok(output),
            false => Err(io::Error::other(format!(
                "{wrapper:?} {} {:?}: {}: {}",
                self.path.display(),
                self.arguments,
                output.status,
                String::from_utf8_lossy(&output.stderr)
            ))),
        }
    }
}

/// The medians of alternating runs.
fn walls(programs: &[Program]) -> io::Result<Vec<Duration>> {
    let mut all = vec![Vec::with_capacity(RUNS); programs.len()];
    for _ in 0..RUNS {
        for (program, walls) in programs.iter().zip(&mut all) {
            let begin = Instant::now();
            program.run()?;
            walls.push(begin.elapsed());
        }
    }
    Ok(all.into_iter().map(median).collect())
}

fn median(mut all: Vec<Duration>) -> Duration {
    all.sort_unstable();
    all[all.len() / 2]
}

fn system_calls(program: &Program, scratch: &Path) -> io::Result<u64> {
    let report = scratch.join("strace");
    let to = report.display().to_string();
    program.run_behind(&["strace", "-f", "-qq", "-c", "-U", "calls,name", "-o", &to])?;
    let report = std::fs::read_to_string(report)?;
    let total = report
        .lines()
        .find(|line| line.trim_end().ends_with(" total"));
    number(total, 0, &report)
}

fn instructions(program: &Program, scratch: &Path) -> io::Result<u64> {
    let report = scratch.join("callgrind");
    let to = format!("--callgrind-out-file={}", report.display());
    program.run_behind(&["valgrind", "-q", "--tool=callgrind", &to])?;
    let report = std::fs::read_to_string(report)?;
    number(
        report.lines().find(|line| line.starts_with("totals:")),
        1,
        &report,
    )
}

/// GNU time is small itself: a process counts the memory of the one that started it.
fn peak_kib(program: &Program, scratch: &Path) -> io::Result<u64> {
    let report = scratch.join("time");
    let to = report.display().to_string();
    program.run_behind(&["/usr/bin/time", "-f", "%M", "-o", &to])?;
    let report = std::fs::read_to_string(report)?;
    number(report.lines().next(), 0, &report)
}

/// The number that stands at that place in a line of a tool's report.
fn number(line: Option<&str>, place: usize, report: &str) -> io::Result<u64> {
    let word = line.and_then(|line| line.split_whitespace().nth(place));
    word.and_then(|word| word.parse().ok())
        .ok_or_else(|| io::Error::other(format!("a report is not understood: {report}")))
}
