//! `-v`: what is read and written, on standard error.

use std::io::Write;

use log::{Level, LevelFilter, Log, Metadata, Record};

struct ToStderr;

impl Log for ToStderr {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        let mut stderr = std::io::stderr().lock();
        // A closed standard error is nobody's loss.
        let _ = match record.level() {
            Level::Error | Level::Warn => writeln!(stderr, "warning: {}", record.args()),
            _ => writeln!(stderr, "{}", record.args()),
        };
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
