//! `vgpuctl doctor` on little roots: healthy hosts, and each of them broken in one way.
//!
//! Whole answers are pinned in `tests/doctor/expected`, as text and as JSON, with the root written
//! as `[ROOT]`. To accept a change: `VGPUCTL_UPDATE_FIXTURES=1 cargo test --test doctor`, then read
//! the diff. Programs rely on the JSON: fields may be added, never changed or taken away.

mod broken;
mod functions;
mod garbage;
mod healthy;
mod hosts;
mod large;
mod options;
mod proxmox;
mod reads_only;
mod tree;
mod unlock_files;
#[rustfmt::skip]
mod unlock_table;

use std::path::Path;

use serde_json::Value;

use tree::Tree;

/// The whole answer of a host, compared with what is pinned; the exit status and the document.
#[track_caller]
fn pinned(name: &str, tree: &Tree) -> (i32, Value) {
    let text = tree.run(&[]);
    let json = tree.run(&["--json"]);
    assert!(text.stderr.is_empty() && json.stderr.is_empty(), "{text:?}");
    assert_eq!(text.status, json.status);
    compare(tree, &format!("{name}.txt"), &text.stdout);
    compare(tree, &format!("{name}.json"), &json.stdout);
    let document: Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(document["version"], 1);
    (text.status.code().unwrap(), document["diagnosis"].clone())
}

#[track_caller]
fn compare(tree: &Tree, file: &str, answer: &[u8]) {
    let root = tree.root().to_str().unwrap();
    let answer = String::from_utf8(answer.to_vec())
        .unwrap()
        .replace(root, "[ROOT]");
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/doctor/expected")
        .join(file);
    if std::env::var_os("VGPUCTL_UPDATE_FIXTURES").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, &answer).unwrap();
    }
    let wanted =
        std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    assert_eq!(answer, wanted, "{} differs", path.display());
}

/// The checks with a finding of that severity, one word a finding.
fn with(diagnosis: &Value, severity: &str) -> Vec<String> {
    let mut found = Vec::new();
    for check in diagnosis["checks"].as_array().unwrap() {
        let findings = check["findings"].as_array().unwrap();
        for _ in findings
            .iter()
            .filter(|finding| finding["severity"] == severity)
        {
            found.push(check["id"].as_str().unwrap().to_owned());
        }
    }
    found
}
