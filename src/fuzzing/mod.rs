//! What fuzzers call: every reader of what comes from outside, and what must hold beside its coming
//! to an end. One function a target; the tests below meet every input that the fuzzers ever kept.

mod declarations;
mod hosts;
mod imports;
mod texts;

use std::path::Path;

/// The targets by name, as their folders of kept inputs are called. Those that read whole hosts get
/// a folder of their own for one.
pub const TARGETS: [(&str, Target); 8] = [
    ("definitions", Target::Bytes(texts::definitions)),
    ("types", Target::Bytes(texts::types)),
    ("functions", Target::Host(hosts::functions)),
    ("answers", Target::Bytes(texts::answers)),
    ("overrides", Target::Host(hosts::unlock_settings)),
    ("logs", Target::Bytes(texts::logs)),
    ("plans", Target::Bytes(declarations::plans)),
    ("imports", Target::Bytes(imports::imports)),
];

/// Stands between two files in an input; no file of the kernel has it, and nobody's declaration.
const SEPARATOR: u8 = 0x1e;

/// What a target takes.
#[derive(Debug, Clone, Copy)]
pub enum Target {
    /// The input.
    Bytes(fn(&[u8])),
    /// The root of a host, where it may write, and the input.
    Host(fn(&Path, &[u8])),
}

/// Runs one target on one input.
pub fn run(target: Target, root: &Path, input: &[u8]) {
    match target {
        Target::Bytes(check) => check(input),
        Target::Host(check) => check(root, input),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn every_input_that_was_kept_ends_well() {
        let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
        for (name, target) in TARGETS {
            let root = tempfile::tempdir().unwrap();
            let mut count = 0;
            for file in fs::read_dir(kept.join(name)).unwrap() {
                let path = file.unwrap().path();
                let input = fs::read(&path).unwrap();
                let ended = std::panic::catch_unwind(|| run(target, root.path(), &input));
                assert!(ended.is_ok(), "{}", path.display());
                count += 1;
            }
            assert!(count > 0, "{name}: nothing is kept");
        }
    }
}
