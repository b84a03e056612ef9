//! One script run to its end: its pipes served while it runs, and never waited for too long.

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, killpg};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::{Pid, read, write};

use crate::forks::forking;
use crate::interrupt::Running;

/// What is kept of each of a script's outputs; the rest is read and dropped.
pub(super) const MOST_OUTPUT: usize = 1 << 20;

/// How long the pipes of a script that has ended are listened to: processes that it left behind may
/// hold them for ever.
const AFTERWARDS: Duration = Duration::from_millis(500);

/// How long a group has between SIGTERM and SIGKILL, and the kernel to carry out the latter.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// How often the end of the script is looked for: an end is not an event on its pipes where others
/// hold them, or where the script closed them itself.
const TICKS: [Duration; 2] = [Duration::from_millis(1), Duration::from_millis(20)];

/// How a script ended.
#[derive(Debug)]
pub(super) struct Ended {
    /// Its exit status; `None` where it had to be ended at the time limit.
    pub status: Option<ExitStatus>,
    /// What it said on standard output, where that was asked for.
    pub stdout: Vec<u8>,
    /// What it said on standard error.
    pub stderr: Vec<u8>,
    /// It said more on standard output than is kept.
    pub overflowed: bool,
}

/// What becomes of a script's standard output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Output {
    /// It is the answer.
    Kept,
    /// Nobody reads it.
    Dropped,
}

/// Runs `script` in a process group of its own with `input` on its standard input. Where a signal
/// ends the program meanwhile, the script is ended first, and this does not return.
///
/// # Errors
/// It could not be started, or not be waited for.
pub(super) fn run<A: AsRef<OsStr>>(
    script: &Path,
    args: impl IntoIterator<Item = A>,
    input: &[u8],
    output: Output,
    limit: Duration,
) -> nix::Result<Ended> {
    run_as(Running::begin(false), script, args, input, output, limit)
}

/// As [`run`], for a program that leaves something broken where it is ended: the program's own end
/// waits for it.
///
/// # Errors
/// As there.
pub(super) fn run_to_its_end<A: AsRef<OsStr>>(
    script: &Path,
    args: impl IntoIterator<Item = A>,
    output: Output,
    limit: Duration,
) -> nix::Result<Ended> {
    run_as(Running::begin(true), script, args, b"", output, limit)
}

fn run_as<A: AsRef<OsStr>>(
    running: Running,
    script: &Path,
    args: impl IntoIterator<Item = A>,
    input: &[u8],
    output: Output,
    limit: Duration,
) -> nix::Result<Ended> {
    let deadline = Instant::now().checked_add(limit);
    let mut command = Command::new(script);
    command
        .args(args)
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(match output {
            Output::Kept => Stdio::piped(),
            Output::Dropped => Stdio::null(),
        })
        .stderr(Stdio::piped());
    let mut child = forking(|| command.spawn()).map_err(errno_of)?;
    let group = group_of(&child);
    let mut talk = Talk::with(&mut child, input);
    let outcome = talk
        .unblock()
        .and_then(|()| talk.until(group, deadline, &running));
    let [stdout, stderr] = talk.heard;
    let overflowed = stdout.overflowed;
    let status = match outcome {
        Ok(true) => Some(child.wait().map_err(errno_of)?),
        Ok(false) => {
            end(&mut child);
            None
        }
        Err(errno) => {
            end(&mut child);
            return Err(errno);
        }
    };
    Ok(Ended {
        status,
        stdout: stdout.bytes,
        stderr: stderr.bytes,
        overflowed,
    })
}

fn group_of(child: &Child) -> Pid {
    // Process ids fit: the kernel's limit is 4194304.
    Pid::from_raw(child.id() as i32)
}

fn errno_of(error: io::Error) -> Errno {
    error.raw_os_error().map_or(Errno::EIO, Errno::from_raw)
}

/// Whether the process has ended. It stays a zombie, so that its id, which is the group's, cannot
/// become another process's.
fn has_ended(child: Pid) -> nix::Result<bool> {
    let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
    match waitid(Id::Pid(child), flags) {
        Ok(WaitStatus::StillAlive) | Err(Errno::EINTR) => Ok(false),
        Ok(_) => Ok(true),
        Err(errno) => Err(errno),
    }
}

/// Ends the script with everything in its group. What the kernel does not let go of is left behind.
fn end(child: &mut Child) {
    let group = group_of(child);
    for signal in [Signal::SIGTERM, Signal::SIGKILL] {
        // ESRCH: all of it is gone already.
        let _ = killpg(group, signal);
        let patience = Instant::now() + LAST_WORDS;
        while matches!(has_ended(group), Ok(false)) && Instant::now() < patience {
            std::thread::sleep(TICKS[1]);
        }
    }
    let _ = child.try_wait();
}

/// One of the script's outputs.
#[derive(Debug, Default)]
struct Heard {
    pipe: Option<OwnedFd>,
    bytes: Vec<u8>,
    overflowed: bool,
}

impl Heard {
    /// Reads once. The end of the output closes the pipe.
    fn listen(&mut self) -> nix::Result<()> {
        let Some(pipe) = &self.pipe else {
            return Ok(());
        };
        let mut buffer = [0; 1 << 16];
        match read(pipe, &mut buffer) {
            Ok(0) => self.pipe = None,
            Ok(count) => {
                let kept = count.min(MOST_OUTPUT - self.bytes.len());
                self.bytes.extend_from_slice(&buffer[..kept]);
                self.overflowed |= kept < count;
            }
            Err(Errno::EAGAIN | Errno::EINTR) => {}
            Err(errno) => return Err(errno),
        }
        Ok(())
    }
}

/// The three pipes to a script.
struct Talk<'i> {
    stdin: Option<OwnedFd>,
    unsaid: &'i [u8],
    heard: [Heard; 2],
}

impl<'i> Talk<'i> {
    fn with(child: &mut Child, input: &'i [u8]) -> Talk<'i> {
        let hear = |pipe| Heard {
            pipe,
            ..Heard::default()
        };
        Talk {
            stdin: child.stdin.take().map(OwnedFd::from),
            unsaid: input,
            heard: [
                hear(child.stdout.take().map(OwnedFd::from)),
                hear(child.stderr.take().map(OwnedFd::from)),
            ],
        }
    }

    /// Our ends of the pipes must not block us. The script's ends are not touched by this.
    fn unblock(&self) -> nix::Result<()> {
        let outputs = self.heard.iter().filter_map(|heard| heard.pipe.as_ref());
        for pipe in self.stdin.iter().chain(outputs) {
            fcntl(pipe, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
        }
        Ok(())
    }

    /// Serves the pipes until the script has ended and said everything: true; or until the
    /// deadline or a signal: false.
    fn until(
        &mut self,
        script: Pid,
        deadline: Option<Instant>,
        running: &Running,
    ) -> nix::Result<bool> {
        let mut tick = TICKS[0];
        let mut ended: Option<Instant> = None;
        loop {
            if ended.is_none() && has_ended(script)? {
                ended = Some(Instant::now() + AFTERWARDS);
            }
            let silent = self.heard.iter().all(|heard| heard.pipe.is_none());
            if ended.is_some() && silent {
                return Ok(true);
            }
            if running.is_interrupted() {
                return Ok(false);
            }
            let until = ended.or(deadline);
            let left = until.map(|until| until.saturating_duration_since(Instant::now()));
            if left.is_some_and(|left| left.is_zero()) {
                return Ok(ended.is_some());
            }
            let patience = left.map_or(tick, |left| left.min(tick));
            tick = match self.serve(patience)? {
                true => TICKS[0],
                false => TICKS[1].min(tick * 2),
            };
        }
    }

    /// Waits until something can be done on a pipe, and does it.
    fn serve(&mut self, patience: Duration) -> nix::Result<bool> {
        if self.unsaid.is_empty() {
            self.stdin = None;
        }
        let (said, spoken) = (PollFlags::POLLOUT, PollFlags::POLLIN);
        let [out, err] = &self.heard;
        let all = [
            (&self.stdin, said),
            (&out.pipe, spoken),
            (&err.pipe, spoken),
        ];
        let mut polled: Vec<PollFd<'_>> = all
            .iter()
            .filter_map(|(pipe, wanted)| Some(PollFd::new(pipe.as_ref()?.as_fd(), *wanted)))
            .collect();
        let timeout = PollTimeout::try_from(patience).unwrap_or(PollTimeout::MAX);
        match poll(&mut polled, timeout) {
            Ok(0) | Err(Errno::EINTR) => return Ok(false),
            Ok(_) => {}
            Err(errno) => return Err(errno),
        }
        // Every pipe is tried: where nothing can be done, it says EAGAIN.
        self.say()?;
        for heard in &mut self.heard {
            heard.listen()?;
        }
        Ok(true)
    }

    fn say(&mut self) -> nix::Result<()> {
        let Some(pipe) = &self.stdin else {
            return Ok(());
        };
        match write(pipe, self.unsaid) {
            Ok(count) => self.unsaid = &self.unsaid[count..],
            // A script need not read what it is given.
            Err(Errno::EPIPE) => self.unsaid = &[],
            Err(Errno::EAGAIN | Errno::EINTR) => {}
            Err(errno) => return Err(errno),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GENEROUS: Duration = Duration::from_secs(60);

    fn shell(text: &str, input: &[u8], output: Output) -> Ended {
        run(Path::new("/bin/sh"), ["-c", text], input, output, GENEROUS).unwrap()
    }

    #[test]
    fn what_is_said_before_anything_is_read_blocks_nobody() {
        let input = vec![b'x'; 2 << 20];
        let talk = "head -c 900000 /dev/zero; head -c 2097152 /dev/zero >&2; wc -c";
        let ended = shell(talk, &input, Output::Kept);
        assert!(ended.status.unwrap().success());
        assert!(!ended.overflowed);
        assert_eq!(ended.stdout[900_000..], *b"2097152\n");
        assert_eq!(ended.stderr.len(), MOST_OUTPUT);
    }

    #[test]
    fn what_nobody_reads_is_dropped_and_what_is_too_much_is_known() {
        let ended = shell("head -c 2097152 /dev/zero", b"", Output::Dropped);
        assert!(ended.stdout.is_empty() && !ended.overflowed);
        let ended = shell("head -c 2097152 /dev/zero", b"", Output::Kept);
        assert!(ended.stdout.len() == MOST_OUTPUT && ended.overflowed);
    }

    #[test]
    fn a_script_that_closes_its_pipes_is_still_waited_for() {
        let ended = shell("exec <&- >&- 2>&-; sleep 0.2; exit 3", b"x", Output::Kept);
        assert_eq!(ended.status.unwrap().code(), Some(3));
    }

    #[test]
    fn the_limit_holds_for_a_script_that_listens_to_nobody() {
        let deaf = "exec >&- 2>&-; trap '' TERM; while :; do sleep 1000; done";
        let limit = Duration::from_millis(300);
        let began = Instant::now();
        let ended = run(
            Path::new("/bin/sh"),
            ["-c", deaf],
            &[0; 1 << 20],
            Output::Kept,
            limit,
        );
        assert!(ended.unwrap().status.is_none());
        assert!(began.elapsed() >= limit && began.elapsed() < GENEROUS);
    }

    #[test]
    fn no_limit_is_too_long() {
        let ended = run(
            Path::new("/bin/sh"),
            ["-c", "cat"],
            b"y",
            Output::Kept,
            Duration::MAX,
        );
        assert_eq!(ended.unwrap().stdout, b"y");
    }
}
