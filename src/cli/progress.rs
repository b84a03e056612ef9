//! How far a command is, on the terminal of who waits for it.

use std::io::{self, IsTerminal, Write as _};

use super::print::Form;
use crate::interrupt::{self, EMPTY_LINE};

/// A line that is written over, and gone at the end. There is none for programs, in pipes and files,
/// and on terminals that cannot delete.
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
        // The cursor waits at the begin of the line, so that a warning takes its place.
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
