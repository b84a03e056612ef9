//! `-v`: what is read and written, on standard error.

use log::{Level, LevelFilter, Log, Metadata, Record};

use crate::output::to_stderr;
use crate::text::on_one_line;

struct ToStderr;

impl Log for ToStderr {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        let line = on_one_line(record.args().to_string());
        match record.level() {
            Level::Error | Level::Warn => to_stderr(&format!("warning: {line}")),
            _ => to_stderr(&line),
        }
    }

    fn flush(&self) {}
}

/// Starts logging. Without `verbose`, only warnings are logged.
pub fn start(verbose: bool) {
    log::set_max_level(match verbose {
        true => LevelFilter::Debug,
        false => LevelFilter::Warn,
    });
    // It can be set once only; a second caller in one process keeps the first.
    let _ = log::set_logger(&ToStderr);
}
