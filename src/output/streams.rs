//! Standard output and standard error, either of which may be closed or full.

use std::io::{self, ErrorKind, Write};
use std::os::fd::{AsFd, BorrowedFd};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd::write;

use crate::error::{Error, Kind, Result, errno_of};
use crate::text::on_its_lines;

/// Writes the answer. Whoever closes the pipe has read enough: that is no error.
///
/// # Errors
/// Any other reason why it cannot be written, such as a full disk.
pub fn to_stdout(text: &str) -> Result<()> {
    let mut stdout = io::stdout().lock();
    let written = stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush());
    match written {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            let what = "cannot write to standard output";
            Err(match errno_of(&error) {
                Errno::UnknownErrno => Error::new(Kind::Failed, format!("{what}: {error}")),
                errno => Error::new(Kind::Failed, what).answered(errno),
            })
        }
        _ => Ok(()),
    }
}

/// Writes a line, or a text of several, of what is not the answer.
pub fn to_stderr(line: &str) {
    // There is nobody left to tell that nobody listens.
    let _ = writeln!(io::stderr().lock(), "{}", on_its_lines(line));
}

/// Whether anybody reads on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reader {
    /// More may be written.
    There,
    /// Nothing more is wanted.
    Gone,
}

/// As much as a pipe takes without waiting once it takes anything (pipe(7)).
const PIECE: usize = 4096;

/// Writes a piece of an answer that goes on. A reader that is slow is waited for until `stop` can
/// be read.
///
/// # Errors
/// It cannot be written, such as on a full disk.
pub fn live_stdout(text: &str, stop: BorrowedFd<'_>) -> Result<Reader> {
    let stdout = io::stdout();
    let mut left = text.as_bytes();
    while !left.is_empty() {
        let mut sources = [
            PollFd::new(stop, PollFlags::POLLIN),
            PollFd::new(stdout.as_fd(), PollFlags::POLLOUT),
        ];
        let waited = poll(&mut sources, PollTimeout::NONE);
        if sources[0].any() == Some(true) {
            return Ok(Reader::Gone);
        }
        let piece = &left[..left.len().min(PIECE)];
        match waited.and_then(|_| write(stdout.as_fd(), piece)) {
            Ok(written) => left = left.get(written..).unwrap_or_default(),
            Err(Errno::EINTR | Errno::EAGAIN) => {}
            Err(Errno::EPIPE) => return Ok(Reader::Gone),
            Err(errno) => {
                return Err(Error::new(
                    Kind::Failed,
                    format!(
                        "cannot write to standard output: {}",
                        io::Error::from(errno)
                    ),
                ));
            }
        }
    }
    Ok(Reader::There)
}
