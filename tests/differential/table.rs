//! The table of cases: `cases/*.toml`.

use std::path::Path;

use serde::Deserialize;

/// One tree, and the commands that both programs run in it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    pub name: String,
    /// A simulated host of `examples/hosts`; without it the tree is of plain files.
    #[serde(default)]
    pub host: Option<String>,
    /// A plain tree without the usual parents.
    #[serde(default)]
    pub bare: bool,
    /// What is there before, one thing a line: see [`crate::scene`].
    #[serde(default, deserialize_with = "lines")]
    pub given: Vec<String>,
    /// Command lines of `mdevctl`, or of `lsmdev` where they begin with that.
    #[serde(deserialize_with = "lines")]
    pub run: Vec<String>,
    #[serde(default)]
    pub stdin: String,
    /// mdevctl asks several devices in the order in which the folder lists them, which is none:
    /// the lines that scripts log are compared without their order, and capabilities, which it asks
    /// for once, without the device.
    #[serde(default)]
    pub any_order: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Cases {
    case: Vec<Case>,
}

/// Every case; fails on a name that is there twice.
pub fn all() -> Vec<Case> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/differential/cases");
    let mut files: Vec<_> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    let mut all = Vec::new();
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        let cases: Cases =
            toml::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        all.extend(cases.case);
    }
    let mut names: Vec<_> = all.iter().map(|case| &case.name).collect();
    names.sort();
    let twice = names.windows(2).find(|pair| pair[0] == pair[1]);
    assert!(twice.is_none(), "two cases have one name: {twice:?}");
    all
}

/// The lines of a text that say something.
fn lines<'de, D: serde::Deserializer<'de>>(text: D) -> Result<Vec<String>, D::Error> {
    let text = String::deserialize(text)?;
    Ok(text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .map(str::to_owned)
        .collect())
}
