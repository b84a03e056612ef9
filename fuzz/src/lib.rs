//! Where the fuzzers meet the program: one target a name, with a folder for those that need a host.

use std::sync::OnceLock;

use tempfile::TempDir;
use vgpuctl::fuzzing::TARGETS;

/// In memory: a host's files are written anew for each input.
static ROOT: OnceLock<TempDir> = OnceLock::new();

/// Runs the target of that name on one input.
pub fn run(name: &str, input: &[u8]) {
    let root = ROOT.get_or_init(|| tempfile::tempdir_in("/dev/shm").expect("there is room in memory"));
    let (_, target) = TARGETS.iter().find(|(known, _)| *known == name).expect("it is a target");
    vgpuctl::fuzzing::run(*target, root.path(), input);
}
