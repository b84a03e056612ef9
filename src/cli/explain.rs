//! `vgpuctl explain`.

use std::ffi::OsString;
use std::io::stdin;
use std::os::fd::AsFd;

use clap::{Args, ValueHint};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::stat::{SFlag, fstat};

use crate::error::Result;
use crate::ops::{self, Context, ExplainRequest};
use crate::output::Reply;

#[derive(Debug, Args)]
pub struct ExplainArgs {
    /// A log file, `-` for standard input, or a topic such as code-43; if omitted, the journal
    /// of nvidia-vgpud and nvidia-vgpu-mgr and the kernel log are read
    #[arg(value_name = "FILE|TOPIC", value_hint = ValueHint::FilePath)]
    subject: Option<OsString>,
    /// List the topics: all known errors, by name
    #[arg(long, conflicts_with = "subject")]
    list: bool,
}

impl ExplainArgs {
    pub fn run(self, context: &Context<'_>) -> Result<Reply> {
        let request = match self.subject {
            _ if self.list => ExplainRequest::Everything,
            Some(name) if name == "-" => ExplainRequest::StandardInput,
            Some(name) => ExplainRequest::Named(name),
            None if is_file_given() => ExplainRequest::StandardInput,
            None => ExplainRequest::Journal,
        };
        let mut answer = ops::explain(context, &request)?;
        if request == ExplainRequest::Journal && is_pipe_waiting() {
            let note = "standard input was not read; to explain it: vgpuctl explain -";
            answer.notes.push(note.to_owned());
        }
        Ok(match request {
            ExplainRequest::Everything => Reply::Topics(answer),
            _ => Reply::Explained(answer),
        })
    }
}

/// Standard input is a file, as in `vgpuctl explain < log`. A pipe is only read with `-`: reading one
/// that nobody writes to, as under ssh, would block.
fn is_file_given() -> bool {
    is_input(SFlag::S_IFREG)
}

fn is_input(kind: SFlag) -> bool {
    let stat = fstat(stdin().as_fd());
    stat.is_ok_and(|stat| SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT == kind)
}

/// Somebody wrote into a pipe, as in `dmesg | vgpuctl explain`.
fn is_pipe_waiting() -> bool {
    let input = stdin();
    let mut polled = [PollFd::new(input.as_fd(), PollFlags::POLLIN)];
    is_input(SFlag::S_IFIFO)
        && poll(&mut polled, PollTimeout::ZERO).is_ok()
        && polled[0]
            .revents()
            .is_some_and(|events| events.contains(PollFlags::POLLIN))
}
