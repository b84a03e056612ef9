//! A pseudo-terminal, which a test sits at in the place of a person.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::pty::{PtyMaster, grantpt, posix_openpt, ptsname_r, unlockpt};

/// How long what must come may take on a machine that has much else to do.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// End of file, as a person types it at the begin of a line.
pub const END_OF_FILE: &str = "\u{4}";

/// A terminal of a usual size, and the end of it that programs get. Neither end gets into the
/// programs that other tests start.
pub fn open() -> (PtyMaster, File) {
    let flags = OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
    let terminal = posix_openpt(flags).unwrap();
    grantpt(&terminal).unwrap();
    unlockpt(&terminal).unwrap();
    let slave = OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(OFlag::O_NOCTTY.bits())
        .open(ptsname_r(&terminal).unwrap())
        .unwrap();
    let sized = Command::new("stty")
        .args(["rows", "40", "cols", "120"])
        .stdin(slave.try_clone().unwrap())
        .status();
    assert!(sized.unwrap().success());
    (terminal, slave)
}

/// Waits for something to read.
pub fn readable(source: impl AsFd) -> bool {
    let mut sources = [PollFd::new(source.as_fd(), PollFlags::POLLIN)];
    let limit = PollTimeout::try_from(PATIENCE).unwrap();
    poll(&mut sources, limit).unwrap() > 0
}

/// A command whose standard input and standard error are a terminal, and whose answer is read.
pub struct AtTerminal {
    child: Child,
    terminal: PtyMaster,
    shown: String,
}

impl AtTerminal {
    /// Starts it. What it does not get from here it must not wait for.
    pub fn start(mut command: Command) -> AtTerminal {
        let (terminal, slave) = open();
        let child = command
            .stdin(slave.try_clone().unwrap())
            .stderr(slave)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        AtTerminal {
            child,
            terminal,
            shown: String::new(),
        }
    }

    /// Returns once this was shown.
    #[track_caller]
    pub fn until(&mut self, text: &str) {
        while !self.shown.contains(text) {
            assert!(self.read_more(), "{text:?} was not shown: {}", self.shown);
        }
    }

    pub fn types(&mut self, keys: &str) {
        self.terminal.write_all(keys.as_bytes()).unwrap();
    }

    /// Its exit status, its answer, and all that the terminal was sent, with lines that end as in a
    /// file.
    pub fn end(mut self) -> (i32, String, String) {
        // Reading ends when the last program that had the terminal has ended.
        while self.read_more() {}
        let mut answer = String::new();
        let stdout = self.child.stdout.as_mut().unwrap();
        stdout.read_to_string(&mut answer).unwrap();
        let status = self.child.wait().unwrap().code().unwrap_or(-1);
        (status, answer, self.shown.replace("\r\n", "\n"))
    }

    fn read_more(&mut self) -> bool {
        assert!(
            readable(&self.terminal),
            "only this was shown: {}",
            self.shown
        );
        let mut piece = [0; 4096];
        match self.terminal.read(&mut piece) {
            Ok(count) => {
                self.shown += &String::from_utf8_lossy(&piece[..count]);
                count > 0
            }
            // EIO: nobody has the other end any more.
            Err(error) if error.kind() != ErrorKind::Interrupted => false,
            Err(_) => true,
        }
    }
}

impl Drop for AtTerminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What stands on the screen after all of this was sent: each line as it was left, with what was
/// written over gone. Knows the return of the carriage and the deletion of the rest of a line.
pub fn on_screen(sent: &str) -> Vec<String> {
    let mut lines = vec![String::new()];
    let mut column = 0;
    let mut rest = sent;
    while let Some(c) = rest.chars().next() {
        let line = lines.last_mut().unwrap();
        if let Some(after) = rest.strip_prefix("\u{1b}[K") {
            *line = line.chars().take(column).collect();
            rest = after;
            continue;
        }
        rest = &rest[c.len_utf8()..];
        match c {
            '\r' => column = 0,
            '\n' => {
                lines.push(String::new());
                column = 0;
            }
            c => {
                let before: String = line.chars().take(column).collect();
                let after: String = line.chars().skip(column + 1).collect();
                *line = format!("{before}{c}{after}");
                column += 1;
            }
        }
    }
    lines
}
