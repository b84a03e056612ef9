//! Any file may hold anything: the doctor goes on, and ends as it always ends.

use std::fs;
use std::path::{Path, PathBuf};

use crate::{hosts, tree::Tree};

fn files(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let meta = fs::symlink_metadata(&path).unwrap();
        if meta.is_dir() {
            files(&path, found);
        } else if meta.is_file() {
            found.push(path);
        }
    }
}

/// Runs the doctor with one file of the host after the other replaced by `put`, and put back.
#[track_caller]
fn each_replaced(tree: &Tree, put: impl Fn(&Path)) {
    let mut all = Vec::new();
    files(tree.root(), &mut all);
    assert!(all.len() > 40, "{}", all.len());
    for path in all {
        let before = fs::read(&path).unwrap();
        fs::remove_file(&path).unwrap();
        put(&path);
        for args in [&[][..], &["--json"]] {
            let run = tree.run(args);
            let status = run.status.code();
            assert!(matches!(status, Some(0 | 1)), "{}: {run:?}", path.display());
            assert!(
                !run.stdout.is_empty() && run.stderr.is_empty(),
                "{}: {run:?}",
                path.display()
            );
        }
        match path.is_dir() {
            true => fs::remove_dir(&path).unwrap(),
            false => fs::remove_file(&path).unwrap(),
        }
        fs::write(&path, before).unwrap();
    }
}

fn host() -> Tree {
    let tree = hosts::gtx_1080_ti();
    hosts::define(&tree, hosts::CARD.address, 1, "nvidia-47");
    tree
}

#[test]
fn bytes_that_are_no_text() {
    each_replaced(&host(), |path| {
        fs::write(path, [0xff, 0x00, b'=', b'\n', 0xfe, b'"']).unwrap()
    });
}

#[test]
fn nothing_at_all() {
    each_replaced(&host(), |path| fs::write(path, "").unwrap());
}

#[test]
fn text_that_ends_in_the_middle() {
    let text =
        "[Service]\nExecStart=\\\n[profile.\"\u{7}x\nNVRM version: Module 1.\nID=\"\n0x\n= =\\";
    each_replaced(&host(), |path| fs::write(path, text).unwrap());
}

#[test]
fn a_directory() {
    each_replaced(&host(), |path| fs::create_dir(path).unwrap());
}
