//! `vgpuctl explain`.

use std::ffi::OsString;
use std::io::stdin;
use std::os::fd::AsFd;

use clap::Args;
use nix::sys::stat::{SFlag, fstat};

use crate::error::Result;
use crate::ops::{self, Context, ExplainRequest};
use crate::output::Reply;

/// Say what a log's failures come from, and what to do
///
/// Recognises failures of vGPUs in what QEMU, libvirt, Proxmox VE, the journal, the kernel, driver
/// builds, Kubernetes and guests print, however it was pasted. For each: the cause, the line that
/// tells it, the next step; what others follow from comes first. Exit status 3 where nothing is
/// recognised.
#[derive(Debug, Args)]
pub struct ExplainArgs {
    /// A file with the log, `-` for standard input, or a topic such as code-43; without it, the
    /// journal of nvidia-vgpud and nvidia-vgpu-mgr and the kernel's log are read
    #[arg(value_name = "FILE|TOPIC")]
    subject: Option<OsString>,
    /// List the topics: all failures that are known, by name
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
        let answer = ops::explain(context, &request)?;
        Ok(match request {
            ExplainRequest::Everything => Reply::Topics(answer),
            _ => Reply::Explained(answer),
        })
    }
}

/// Standard input is a file, as in `vgpuctl explain < log`. A pipe must be asked for by `-`: one that
/// nobody writes to, as under ssh, would be waited for.
fn is_file_given() -> bool {
    fstat(stdin().as_fd())
        .is_ok_and(|stat| SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT == SFlag::S_IFREG)
}
