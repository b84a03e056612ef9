//! `-v`: what is read and written, on standard error.

use log::{Level, LevelFilter, Log, Metadata, Record};

use crate::output::to_stderr;

struct ToStderr;

impl Log for ToStderr {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        match record.level() {
            Level::Error | Level::Warn => to_stderr(&format!("warning: {}", record.args())),
            _ => to_stderr(&record.args().to_string()),
        }
    }

    fn flush(&self) {}
}

/// Starts logging. Without `verbose` only what a waiting user must know is said.
pub fn start(verbose: bool) {
    log::set_max_level(match verbose {
        true => LevelFilter::Debug,
        false => LevelFilter::Warn,
    });
    // It can be set once only; a second caller in one process keeps the first.
    let _ = log::set_logger(&ToStderr);
}
