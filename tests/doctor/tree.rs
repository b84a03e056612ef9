//! Little roots: the files of a host that the doctor reads, in the forms in which real ones have
//! them.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

/// A directory that stands for a host's `/`.
pub struct Tree(TempDir);

impl Tree {
    pub fn new() -> Tree {
        Tree(
            tempfile::Builder::new()
                .prefix("doctor-")
                .tempdir()
                .unwrap(),
        )
    }

    pub fn root(&self) -> &Path {
        self.0.path()
    }

    pub fn path(&self, below: &str) -> PathBuf {
        self.root().join(below)
    }

    /// Writes a file anew.
    pub fn file(&self, below: &str, text: impl AsRef<[u8]>) -> &Tree {
        let path = self.path(below);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
        self
    }

    /// Makes a link that says `target`, in the place of any other.
    pub fn link(&self, below: &str, target: &str) -> &Tree {
        let path = self.path(below);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let _ = fs::remove_file(&path);
        symlink(target, path).unwrap();
        self
    }

    pub fn dir(&self, below: &str) -> &Tree {
        fs::create_dir_all(self.path(below)).unwrap();
        self
    }

    /// Takes away what must be there.
    pub fn without(&self, below: &str) -> &Tree {
        let path = self.path(below);
        let real = fs::symlink_metadata(&path).unwrap_or_else(|e| panic!("{below}: {e}"));
        match real.is_dir() {
            true => fs::remove_dir_all(path).unwrap(),
            false => fs::remove_file(path).unwrap(),
        }
        self
    }

    /// Puts one text in the place of another, which must stand there.
    pub fn edit(&self, below: &str, from: &str, to: &str) -> &Tree {
        let text = fs::read_to_string(self.path(below)).unwrap();
        assert!(text.contains(from), "{below} has no {from:?}");
        self.file(below, text.replace(from, to))
    }

    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_vgpuctl"));
        command
            .arg("doctor")
            .args(args)
            .env("VGPUCTL_ROOT", self.root())
            .env_remove("NO_COLOR")
            .env_remove("LD_LIBRARY_PATH");
        command
    }

    pub fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }
}
