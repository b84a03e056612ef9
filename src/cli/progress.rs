//! The progress of a command, on the user's terminal.

use std::io::{self, IsTerminal, Write as _};

use super::print::Form;
use crate::interrupt::{self, EMPTY_LINE};

/// A line that is overwritten, and deleted at the end. It is only shown to people, on terminals that
/// can delete a line.
pub struct ProgressLine {
    is_shown: bool,
}

impl ProgressLine {
    /// Shows nothing yet.
    pub fn new(form: Form) -> ProgressLine {
        let deletes = std::env::var("TERM").is_ok_and(|term| term != "dumb");
        ProgressLine {
            is_shown: form == Form::Text && deletes && io::stderr().is_terminal(),
        }
    }

    /// Shows how many are done, of how many.
    pub fn tell(&self, done: usize, total: usize) {
        // The cursor stays at the beginning of the line, so that a warning overwrites it.
        self.write(&format!("{EMPTY_LINE}{done} of {total} done\r"));
    }

    fn write(&self, text: &str) {
        if self.is_shown {
            // A signal may end the program at once.
            interrupt::has_line(true);
            let mut stderr = io::stderr().lock();
            let _ = stderr.write_all(text.as_bytes());
        }
    }
}

impl Drop for ProgressLine {
    fn drop(&mut self) {
        self.write(EMPTY_LINE);
        interrupt::has_line(false);
    }
}
