//! The program's file: what it needs.

use std::io;
use std::path::Path;
use std::process::Command;

use super::Target;

const LIBRARIES: [&str; 3] = ["libc.so.6", "libgcc_s.so.1", "libudev.so.1"];

/// A program's file.
pub struct Binary {
    /// Shared libraries that it needs.
    pub libraries: Vec<String>,
    has_symbols: bool,
}

/// Looks into the file.
///
/// # Errors
/// It is not there, or `readelf` cannot read it.
pub fn look(path: &Path) -> io::Result<Binary> {
    let dynamic = readelf("--dynamic", path)?;
    let needed = dynamic.lines().filter(|line| line.contains("(NEEDED)"));
    let name = |line: &str| Some(line.split_once('[')?.1.split_once(']')?.0.to_owned());
    Ok(Binary {
        libraries: needed.filter_map(name).collect(),
        has_symbols: readelf("--section-headers", path)?.contains(" .symtab "),
    })
}

fn readelf(what: &str, path: &Path) -> io::Result<String> {
    let output = Command::new("readelf")
        .args(["--wide", what])
        .arg(path)
        .env("LC_ALL", "C")
        .output()?;
    match output.status.success() {
        true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        false => Err(io::Error::other(format!("readelf: {}", output.status))),
    }
}

impl Binary {
    /// What is to be reached, and what was.
    pub fn targets(&self) -> Vec<Target> {
        let is_known = |name: &&String| LIBRARIES.contains(&name.as_str());
        let others = self.libraries.iter().filter(|name| !is_known(name)).count();
        vec![
            Target::count("symbol tables left in it", u64::from(self.has_symbols), 0),
            Target::count(
                "libraries it needs beside libc, libgcc and libudev",
                others as u64,
                0,
            ),
        ]
    }
}
