//! Standard output and standard error, either of which may be closed or full.

use std::io::{self, ErrorKind, Write};

use crate::error::{Error, Kind, Result};

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
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(Error::new(
            Kind::Failed,
            format!("cannot write to standard output: {error}"),
        )),
        _ => Ok(()),
    }
}

/// Writes a line of what is not the answer.
pub fn to_stderr(line: &str) {
    // There is nobody left to tell that nobody listens.
    let _ = writeln!(io::stderr().lock(), "{line}");
}
