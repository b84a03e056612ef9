//! `vgpuctl metrics`.

use std::path::PathBuf;

use clap::Args;
use nix::errno::Errno;

use crate::error::{Error, Result};
use crate::ops::{self, Context, MetricsRequest};
use crate::output::{Reply, metrics_text};
use crate::store::publish_own;

/// The only files that node_exporter reads.
const ENDING: &str = "prom";

/// How each file of ours begins: with what its first number is.
const BEGINNING: &str = "# HELP vgpuctl_";

#[derive(Debug, Args)]
pub struct MetricsArgs {
    /// Write them to FILE, for node_exporter's textfile collector; readers see the old or the new one
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

impl MetricsArgs {
    pub fn run(self, context: &Context<'_>) -> Result<Reply> {
        let mut answer = ops::metrics(context, &MetricsRequest::default());
        let Some(file) = self.output else {
            return Ok(Reply::Metrics(answer));
        };
        publish_own(&file, BEGINNING, metrics_text(&answer.value).as_bytes())
            .map_err(with_way_out)?;
        if file.extension().is_none_or(|ending| ending != ENDING) {
            let name = file.file_name().unwrap_or_default().to_string_lossy();
            answer.notes.push(format!(
                "node_exporter reads only files that end in .{ENDING}, so not {name}"
            ));
        }
        Ok(Reply::MetricsWritten(answer))
    }
}

fn with_way_out(error: Error) -> Error {
    match error.errno() {
        Some(Errno::ENOENT) => error.hint(
            "the folder is the one that node_exporter has as --collector.textfile.directory; make it first",
        ),
        Some(Errno::EROFS) => error.hint(
            "a systemd unit may write only where its ReadWritePaths= says: see vgpuctl-metrics.service",
        ),
        _ => error,
    }
}
