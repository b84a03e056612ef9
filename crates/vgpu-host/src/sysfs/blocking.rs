//! A write that the kernel may block for ever, made so that it cannot take its caller along.
//!
//! Removing a mediated device that is open blocks in the kernel until the holder closes it, and a
//! task there cannot be killed (observed on 6.1). So a child of its own session does the write.

// fork is unsafe by nature; what the child does is below, in one function.
#![allow(unsafe_code)]

use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::stat::Mode;
use nix::sys::wait::waitpid;
use nix::unistd::{ForkResult, fork, pipe2, read};

use crate::forks::forking;
use crate::host::OWN_DESCRIPTORS;

/// How the write ended, as far as it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The kernel took it.
    Written,
    /// The kernel refused it.
    Refused(Errno),
    /// It still blocks; the process of that id goes on waiting for the kernel.
    Blocked(i32),
}

/// Writes `value` to `file` in a child process and waits for it until `patience` is over.
///
/// # Errors
/// The child could not be started.
pub fn write(file: &OwnedFd, value: &[u8], patience: Duration) -> nix::Result<Outcome> {
    let (answer, report) = pipe2(OFlag::O_CLOEXEC)?;
    let null = open("/dev/null", OFlag::O_RDWR | OFlag::O_CLOEXEC, Mode::empty())?;
    let child = forking(|| {
        // SAFETY: between fork and _exit the child makes plain system calls only and allocates
        // nothing.
        match unsafe { fork() }? {
            ForkResult::Child => in_child(
                file.as_raw_fd(),
                report.as_raw_fd(),
                null.as_raw_fd(),
                value,
            ),
            ForkResult::Parent { child } => nix::Result::Ok(child),
        }
    })?;
    drop(report);
    if !wait_readable(&answer, patience)? {
        return Ok(Outcome::Blocked(child.as_raw()));
    }
    let mut code = [0; 4];
    let count = loop {
        match read(&answer, &mut code) {
            Err(Errno::EINTR) => {}
            count => break count?,
        }
    };
    waitpid(child, None)?;
    match (count, i32::from_ne_bytes(code)) {
        (4, 0) => Ok(Outcome::Written),
        (4, errno) => Ok(Outcome::Refused(Errno::from_raw(errno))),
        _ => Err(Errno::ECHILD),
    }
}

/// The child: leaves the terminal and every file of its parent's, writes, reports errno or 0. It may
/// block for ever, and what it has open then, such as a lock, would be so for ever.
fn in_child(file: RawFd, report: RawFd, null: RawFd, value: &[u8]) -> ! {
    // SAFETY: async-signal-safe calls on descriptors that are open in this process.
    unsafe {
        libc::setsid();
        for standard in 0..3 {
            libc::dup2(null, standard);
        }
        let is_all = close_between(3, file.min(report))
            && close_between(file.min(report) + 1, file.max(report))
            && close_between(file.max(report) + 1, RawFd::MAX);
        if !is_all {
            close_one_by_one(|fd| fd < 3 || fd == file || fd == report);
        }
        let written = libc::write(file, value.as_ptr().cast(), value.len());
        let errno: i32 = match written {
            -1 => Errno::last_raw(),
            _ => 0,
        };
        let code = errno.to_ne_bytes();
        libc::write(report, code.as_ptr().cast(), code.len());
        libc::_exit(0)
    }
}

/// Closes the descriptors from `first` up to, without, `end`. False where the kernel cannot, as
/// before Linux 5.9 and in containers whose filter does not know the call.
fn close_between(first: RawFd, end: RawFd) -> bool {
    // SAFETY: only descriptors that this process does not use any more.
    first >= end || unsafe { libc::syscall(libc::SYS_close_range, first, end - 1, 0) } == 0
}

/// The most descriptors that are tried where nobody tells which are open. The kernel gives the
/// lowest numbers that are free, and this program has few files open at a time.
const TRIED: RawFd = 1 << 16;

/// Closes the descriptors that are not to be kept, without allocating anything.
fn close_one_by_one(is_kept: impl Fn(RawFd) -> bool) {
    // SAFETY: only descriptors that this process does not use any more; the path ends in NUL.
    unsafe {
        let close = |fd| {
            if !is_kept(fd) {
                libc::close(fd);
            }
        };
        let list = libc::open(OWN_DESCRIPTORS.as_ptr(), libc::O_RDONLY | libc::O_DIRECTORY);
        if list < 0 {
            (3..TRIED).for_each(close);
            return;
        }
        let mut buffer = [0; 4096];
        // The list is in the order of the numbers, so closing those behind does not move it.
        loop {
            let size = libc::syscall(
                libc::SYS_getdents64,
                list,
                buffer.as_mut_ptr(),
                buffer.len(),
            );
            let Some(records) = usize::try_from(size)
                .ok()
                .and_then(|size| buffer.get(..size))
            else {
                (3..TRIED).filter(|fd| *fd != list).for_each(close);
                break;
            };
            if records.is_empty() {
                break;
            }
            numbers(records).filter(|fd| *fd != list).for_each(close);
        }
        libc::close(list);
    }
}

/// The names that are numbers, of records as getdents64(2) describes them.
fn numbers(mut records: &[u8]) -> impl Iterator<Item = RawFd> {
    const LENGTH: usize = 16;
    const NAME: usize = 19;
    std::iter::from_fn(move || {
        let length = records.get(LENGTH..LENGTH + 2)?;
        let length = usize::from(u16::from_ne_bytes([length[0], length[1]]));
        let record = records.get(..length)?;
        records = records.get(length..)?;
        Some(record.get(NAME..).and_then(number))
    })
    .flatten()
}

/// The decimal number before the NUL.
fn number(name: &[u8]) -> Option<RawFd> {
    let digits = name.split(|byte| *byte == 0).next()?;
    let digit = |byte: &u8| byte.is_ascii_digit().then(|| RawFd::from(byte - b'0'));
    let mut number: Option<RawFd> = None;
    for byte in digits {
        number = Some(
            number
                .unwrap_or(0)
                .checked_mul(10)?
                .checked_add(digit(byte)?)?,
        );
    }
    number
}

fn wait_readable(answer: &OwnedFd, patience: Duration) -> nix::Result<bool> {
    let timeout = PollTimeout::try_from(patience).unwrap_or(PollTimeout::MAX);
    loop {
        let mut wanted = [PollFd::new(answer.as_fd(), PollFlags::POLLIN)];
        match poll(&mut wanted, timeout) {
            Err(Errno::EINTR) => continue,
            Err(errno) => return Err(errno),
            Ok(ready) => return Ok(ready > 0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::signal::{Signal, kill};
    use nix::unistd::Pid;
    use std::fs;

    #[test]
    fn the_value_arrives_and_a_refusal_keeps_its_errno() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("remove");
        fs::write(&path, "").unwrap();
        let file = open(&path, OFlag::O_WRONLY, Mode::empty()).unwrap();
        let patience = Duration::from_secs(60);
        assert_eq!(write(&file, b"1", patience), Ok(Outcome::Written));
        assert_eq!(fs::read(&path).unwrap(), b"1");

        let full = open("/dev/full", OFlag::O_WRONLY, Mode::empty()).unwrap();
        assert_eq!(
            write(&full, b"1", patience),
            Ok(Outcome::Refused(Errno::ENOSPC))
        );
    }

    #[test]
    fn a_write_that_blocks_is_left_behind() {
        let (_reader, writer) = pipe2(OFlag::O_CLOEXEC).unwrap();
        let more_than_a_pipe_holds = vec![b'1'; 1 << 20];
        let outcome = write(&writer, &more_than_a_pipe_holds, Duration::from_millis(50)).unwrap();
        let Outcome::Blocked(pid) = outcome else {
            panic!("the write did not block: {outcome:?}");
        };
        kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
        waitpid(Pid::from_raw(pid), None).unwrap();
    }
}
