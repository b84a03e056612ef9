//! The journal of NVIDIA's two services and the kernel's log, by way of journalctl.

use std::ffi::OsString;
use std::io::{ErrorKind, Read};
use std::os::fd::AsFd;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::{Explanation, PORTION, answer_of};
use crate::error::{Error, Kind, Result};
use crate::forks::forking;
use crate::ops::{Answer, Context};
use crate::scripts::program_in_path;
use vgpu_explain::Listener;

/// How long each of the two readings may take. A full journal takes seconds.
const LIMIT: Duration = Duration::from_secs(60);

const PROGRAM: &str = "journalctl";

/// The services, and the kernel: since the boot, no pager, nothing but messages.
const READINGS: [&[&str]; 2] = [
    &["-b", "-u", "nvidia-vgpud", "-u", "nvidia-vgpu-mgr"],
    &["-b", "-k"],
];

/// What the journal tells.
///
/// # Errors
/// journalctl cannot be run, or neither reading gave anything but an error.
pub(super) fn explain(context: &Context<'_>) -> Result<Answer<Vec<Explanation>>> {
    let mut listener = Listener::new();
    let mut failures = Vec::new();
    let program =
        program_in_path(PROGRAM)?.ok_or_else(|| unstartable(&ErrorKind::NotFound.into()))?;
    for reading in READINGS {
        let mut arguments: Vec<OsString> =
            ["-q", "--no-pager", "-o", "short"].map(Into::into).into();
        arguments.extend(reading.iter().map(Into::into));
        let root = context.kernel.host().root();
        if root.as_os_str() != "/" {
            let mut option = OsString::from("--root=");
            option.push(root);
            arguments.push(option);
        }
        failures.extend(listen(&program, &arguments, LIMIT, &mut listener)?);
        listener.end();
    }
    if listener.lines() == 0
        && let Some(failure) = failures.pop()
    {
        return Err(failure);
    }
    let mut answer = answer_of(listener, "the journal since boot");
    if answer.value.is_empty() && !nix::unistd::geteuid().is_root() {
        let note = "only root sees the whole journal: run it again with sudo";
        answer.notes.push(note.to_owned());
    }
    answer.warnings = failures;
    Ok(answer)
}

/// Runs the program without a shell and hears what it prints; what stopped it, where something did.
///
/// # Errors
/// It cannot be run at all.
fn listen(
    program: &Path,
    arguments: &[OsString],
    limit: Duration,
    listener: &mut Listener,
) -> Result<Option<Error>> {
    let mut command = Command::new(program);
    command
        .args(arguments)
        .env("LC_ALL", "C.UTF-8")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    let mut child = forking(|| command.spawn()).map_err(|error| unstartable(&error))?;
    let deadline = Instant::now() + limit;
    let outcome = match child.stdout.take() {
        Some(pipe) => hear(pipe, deadline, listener),
        None => Ok(true),
    };
    if !matches!(outcome, Ok(true)) {
        end(&mut child);
    }
    let status = child.wait();
    let what = format!("{PROGRAM} {}", words(arguments));
    Ok(match (outcome, status) {
        (Err(errno), _) => Some(Error::new(
            Kind::Failed,
            format!("cannot read the output of {what}: {}", errno.desc()),
        )),
        (Ok(false), _) => Some(Error::new(
            Kind::Failed,
            format!(
                "{what} did not end within {} s; only its output until then was read",
                limit.as_secs()
            ),
        )),
        (Ok(true), Ok(status)) if status.success() => None,
        (Ok(true), Ok(status)) => Some(
            Error::new(Kind::Failed, format!("{what} failed ({status})"))
                .hint("run it to see why, or pass the log itself: dmesg | vgpuctl explain -"),
        ),
        (Ok(true), Err(error)) => Some(Error::new(Kind::Failed, format!("{what}: {error}"))),
    })
}

fn words(arguments: &[OsString]) -> String {
    let words: Vec<_> = arguments
        .iter()
        .map(|word| word.to_string_lossy())
        .collect();
    words.join(" ")
}

fn unstartable(error: &std::io::Error) -> Error {
    let what = match error.kind() {
        ErrorKind::NotFound => format!("{PROGRAM} not found: cannot read the journal"),
        _ => format!("cannot run {PROGRAM}: {error}"),
    };
    Error::new(Kind::Failed, what)
        .hint("pass a log instead: vgpuctl explain FILE, or dmesg | vgpuctl explain -")
}

/// Hears the pipe to its end; `false` where the time ran out first.
fn hear(mut pipe: ChildStdout, deadline: Instant, listener: &mut Listener) -> nix::Result<bool> {
    let mut portion = vec![0; PORTION];
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(false);
        }
        let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
        match poll(&mut [PollFd::new(pipe.as_fd(), PollFlags::POLLIN)], timeout) {
            Ok(0) | Err(Errno::EINTR) => continue,
            Ok(_) => {}
            Err(errno) => return Err(errno),
        }
        match pipe.read(&mut portion) {
            Ok(0) => return Ok(true),
            Ok(count) => listener.hear(&portion[..count]),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error.raw_os_error().map_or(Errno::EIO, Errno::from_raw)),
        }
    }
}

fn end(child: &mut Child) {
    // It may have ended by itself meanwhile.
    let _ = child.kill();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, limit: Duration) -> (Result<Option<Error>>, Listener) {
        let mut listener = Listener::new();
        let arguments = ["-c".into(), script.into()];
        let ended = listen(Path::new("/bin/sh"), &arguments, limit, &mut listener);
        listener.end();
        (ended, listener)
    }

    #[test]
    fn what_a_program_prints_is_heard_to_its_end() {
        let (ended, listener) = shell("seq 100000", Duration::from_secs(60));
        assert_eq!(ended, Ok(None));
        assert_eq!(listener.lines(), 100_000);
    }

    #[test]
    fn a_program_that_does_not_end_is_ended_and_what_it_said_counts() {
        let (ended, listener) = shell("echo said; exec sleep 1000", Duration::from_millis(300));
        let error = ended.unwrap().unwrap();
        assert!(error.to_string().contains("did not end within"), "{error}");
        assert_eq!(listener.lines(), 1);
    }

    #[test]
    fn a_program_that_fails_or_is_absent_is_told() {
        let (ended, _) = shell("exit 4", Duration::from_secs(60));
        assert!(
            ended
                .unwrap()
                .unwrap()
                .to_string()
                .contains("exit status: 4")
        );
        let absent = Path::new("/nonexistent/journalctl");
        let absent = listen(absent, &[], LIMIT, &mut Listener::new());
        let error = absent.unwrap_err();
        assert!(
            error.to_string().contains("journalctl not found"),
            "{error}"
        );
        assert_eq!(error.kind(), Kind::Failed);
    }
}
