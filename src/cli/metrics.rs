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

/// How each of our files begins: with the help text of its first metric.
const BEGINNING: &str = "# HELP vgpuctl_";

#[derive(Debug, Args)]
pub struct MetricsArgs {
    /// Replace FILE atomically with them, for node_exporter's textfile collector
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
                "node_exporter only reads files that end in .{ENDING} and will ignore {name}"
            ));
        }
        Ok(Reply::MetricsWritten(answer))
    }
}

fn with_way_out(error: Error) -> Error {
    match error.errno() {
        Some(Errno::ENOENT) => error.hint(
            "create the directory first; it must be node_exporter's --collector.textfile.directory",
        ),
        Some(Errno::EROFS) => error.hint(
            "a systemd unit can only write to its ReadWritePaths=, see vgpuctl-metrics.service",
        ),
        _ => error,
    }
}
