//! Scripts that the program is to run.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

/// Writes a script, and the directories above it, through a process of its own: a descriptor of ours
/// that is open for writing could be inherited by what another test starts at that moment, and the
/// script be "busy" then.
pub fn install(path: &Path, text: &str) {
    let mut install = Command::new("install")
        .args(["-D", "-m", "755", "/dev/stdin"])
        .arg(path)
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = install.stdin.take().unwrap();
    stdin.write_all(text.as_bytes()).unwrap();
    drop(stdin);
    assert!(install.wait().unwrap().success());
}
