//! The house's rules that Cargo and clippy do not hold: which crate and which module may know which,
//! where paths of the system are spelled, and where the program's name is.
//!
//! The text of the sources is read, without comments and without what follows `#[cfg(test)]`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Our crates, each with those that it may know.
const CRATES: [(&str, &[&str]); 5] = [
    ("nvidia-vgpu", &[]),
    ("vgpu-explain", &[]),
    ("vgpu-host", &["nvidia-vgpu"]),
    ("vgpu-plan", &["nvidia-vgpu", "vgpu-host"]),
    ("vgpu-doctor", &["nvidia-vgpu", "vgpu-host", "vgpu-plan"]),
];

/// The program's modules from the command line down: each may use those after it, and the crates.
const MODULES: [&[&str]; 5] = [
    &["cli", "mdevctl", "fuzzing"],
    &["output"],
    &["ops"],
    &["attach"],
    &["hints"],
];

/// Libraries, and the only places that may see them.
const LIBRARIES: [(&str, &[&str]); 4] = [
    ("clap", &["src/cli/", "src/mdevctl/", "src/main.rs"]),
    ("comfy_table", &["src/output/"]),
    ("schemars", &["src/output/"]),
    ("udev", &["crates/vgpu-host/src/sysfs/"]),
];

/// The one file that spells the system's paths, and what else may look like one: a child process gets
/// the real `/dev/null` for its standard files, also under a `--root`.
const SPELLS_PATHS: &str = "crates/vgpu-host/src/host.rs";
const PATH_EXCEPTIONS: [(&str, &str); 1] =
    [("crates/vgpu-host/src/sysfs/blocking.rs", "/dev/null")];
const SYSTEM_DIRS: [&str; 5] = ["sys", "etc", "run", "proc", "dev"];

/// The crates do not know what the program is called, but for names in files that it has always had:
/// the keys of its notes in definitions, its temporary files, and the name space of derived UUIDs.
const NAMED_AFTER_IT: [(&str, &str); 4] = [
    (
        "crates/vgpu-plan/src/declare/identity.rs",
        "vgpuctl/{group}/{member}",
    ),
    ("crates/vgpu-host/src/store/mark.rs", "vgpuctl"),
    ("crates/vgpu-host/src/store/owner.rs", "vgpuctl-owner"),
    ("crates/vgpu-host/src/store/atomic.rs", ".vgpuctl.tmp"),
];

struct Source {
    /// From the root of the project: "src/ops/create.rs".
    file: String,
    code: String,
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn sources(below: &str) -> Vec<Source> {
    let mut found = Vec::new();
    let mut left = vec![root().join(below)];
    while let Some(path) = left.pop() {
        if path.is_dir() {
            let entries = std::fs::read_dir(&path).unwrap();
            left.extend(entries.map(|entry| entry.unwrap().path()));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.extend(source(&path));
        }
    }
    assert!(!found.is_empty(), "{below} was not found");
    found
}

fn source(path: &PathBuf) -> Option<Source> {
    let text = std::fs::read_to_string(path).unwrap();
    let is_test = text.contains("\n#![cfg(test)]\n") || path.ends_with("tests.rs");
    let mut tests = text.match_indices("\n#[cfg(test)]\nmod ").map(|(at, _)| at);
    let is_block = |at: &usize| {
        text[*at..]
            .lines()
            .nth(2)
            .is_some_and(|line| line.ends_with('{'))
    };
    let end = tests.find(is_block).unwrap_or(text.len());
    let lines = text[..end].lines().map(|line| match line.find("//") {
        // Not within a literal, as in an address.
        Some(at) if line[..at].matches('"').count() % 2 == 0 => &line[..at],
        _ => line,
    });
    let file = path.strip_prefix(root()).unwrap();
    (!is_test).then(|| Source {
        file: file.to_str().unwrap().to_owned(),
        code: lines.flat_map(|line| [line, "\n"]).collect(),
    })
}

/// The top-level modules of the same crate that a source mentions as `crate::x` or `crate::{x, y::z}`.
fn modules_known(code: &str) -> BTreeSet<String> {
    let mut known = BTreeSet::new();
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        let Some(group) = rest.strip_prefix('{') else {
            known.insert(word(rest));
            continue;
        };
        let (mut depth, mut begins) = (0_u32, true);
        for (at, c) in group.char_indices() {
            match c {
                '{' => depth += 1,
                '}' if depth == 0 => break,
                '}' => depth -= 1,
                ',' if depth == 0 => begins = true,
                _ if begins && depth == 0 && !c.is_whitespace() => {
                    known.insert(word(&group[at..]));
                    begins = false;
                }
                _ => {}
            }
        }
    }
    known
}

fn word(text: &str) -> String {
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_');
    text[..end.unwrap_or(text.len())].to_owned()
}

/// Each top-level module of a crate with those that it mentions.
fn arrows(sources: &[Source], below: &str) -> BTreeMap<String, BTreeSet<String>> {
    let mut arrows: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for source in sources {
        let module = word(source.file.strip_prefix(below).unwrap());
        if !matches!(module.as_str(), "lib" | "main") {
            arrows
                .entry(module)
                .or_default()
                .extend(modules_known(&source.code));
        }
    }
    let modules: BTreeSet<String> = arrows.keys().cloned().collect();
    for (module, known) in &mut arrows {
        known.retain(|other| other != module && modules.contains(other));
    }
    arrows
}

/// The string literals of a source, without raw ones and those with escaped quotes.
fn literals(code: &str) -> impl Iterator<Item = &str> {
    code.lines()
        .flat_map(|line| line.split('"').skip(1).step_by(2))
}

fn spells_system_path(literal: &str) -> bool {
    let begins = |text: &str| {
        SYSTEM_DIRS.iter().any(|dir| {
            let absolute = text
                .strip_prefix('/')
                .and_then(|text| text.strip_prefix(dir));
            let relative = text.strip_prefix(dir);
            absolute.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
                || relative.is_some_and(|rest| rest.starts_with('/'))
        })
    };
    begins(literal)
        || literal
            .split('}')
            .skip(1)
            .any(|rest| rest.starts_with('/') && begins(rest))
}

#[test]
fn a_crate_knows_those_that_it_may_and_no_others() {
    let ours: Vec<&str> = CRATES
        .iter()
        .map(|(name, _)| *name)
        .chain(["vgpuctl"])
        .collect();
    for entry in std::fs::read_dir(root().join("crates")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        let allowed = CRATES.iter().find(|(known, _)| *known == name);
        let (_, allowed) = allowed.unwrap_or_else(|| panic!("{name} is not in CRATES"));
        let manifest = std::fs::read_to_string(path.join("Cargo.toml")).unwrap();
        let manifest: toml::Table = manifest.parse().unwrap();
        for kind in ["dependencies", "dev-dependencies", "build-dependencies"] {
            let known = manifest.get(kind).and_then(toml::Value::as_table);
            for other in known.into_iter().flat_map(toml::Table::keys) {
                let is_ours = ours.contains(&other.as_str());
                assert!(
                    !is_ours || allowed.contains(&other.as_str()),
                    "{name} knows {other}"
                );
            }
        }
    }
}

#[test]
fn modules_know_each_other_in_one_direction() {
    let floor = |module: &str| {
        let found = MODULES.iter().position(|modules| modules.contains(&module));
        found.unwrap_or_else(|| panic!("{module} is not in MODULES"))
    };
    for (module, known) in arrows(&sources("src"), "src/") {
        for other in known {
            assert!(
                floor(&module) < floor(&other),
                "{module} must not know {other}"
            );
        }
    }
    for (name, _) in CRATES {
        let below = format!("crates/{name}/src/");
        let mut left = arrows(&sources(&below), &below);
        // What knows nobody that is left is taken away, until all has gone or goes round in circles.
        while let Some(module) = left.iter().find(|(_, known)| known.is_empty()) {
            let module = module.0.clone();
            left.remove(&module);
            left.values_mut().for_each(|known| {
                known.remove(&module);
            });
        }
        assert!(
            left.is_empty(),
            "modules of {name} know each other in circles: {left:?}"
        );
    }
}

#[test]
fn libraries_are_seen_where_they_belong() {
    for Source { file, code } in sources("src").into_iter().chain(sources("crates")) {
        for (library, homes) in LIBRARIES {
            let is_home = homes.iter().any(|home| file.starts_with(home));
            let path = format!("{library}::");
            let mut found = code.match_indices(&path);
            let is_seen = found.any(|(at, _)| !code[..at].ends_with([':', '_', '.']));
            assert!(is_home || !is_seen, "{file} must not see {library}");
        }
    }
}

#[test]
fn paths_of_the_system_are_spelled_in_one_file() {
    let (mut spelled, mut excepted) = (0, 0);
    for Source { file, code } in sources("src").into_iter().chain(sources("crates")) {
        for literal in literals(&code).filter(|literal| spells_system_path(literal)) {
            match (
                file == SPELLS_PATHS,
                PATH_EXCEPTIONS.contains(&(&file, literal)),
            ) {
                (true, _) => spelled += 1,
                (false, true) => excepted += 1,
                (false, false) => panic!("{file} spells {literal:?}: {SPELLS_PATHS} is for that"),
            }
        }
    }
    assert!(spelled > 30, "{SPELLS_PATHS} has {spelled}");
    assert_eq!(
        excepted,
        PATH_EXCEPTIONS.len(),
        "an exception is needed no more"
    );
}

#[test]
fn the_crates_do_not_know_what_the_program_is_called() {
    let mut excepted = BTreeSet::<&(&str, &str)>::new();
    for Source { file, code } in sources("crates") {
        for literal in literals(&code).filter(|literal| literal.contains("vgpuctl")) {
            let exception = NAMED_AFTER_IT
                .iter()
                .find(|known| **known == (&file, literal));
            match exception {
                Some(exception) => excepted.extend([exception]),
                None if file == SPELLS_PATHS => {}
                None => panic!("{file} says {literal:?}"),
            }
        }
    }
    assert_eq!(
        excepted.len(),
        NAMED_AFTER_IT.len(),
        "an exception is needed no more"
    );
}

#[test]
fn what_is_read_of_a_source_is_its_code() {
    let known = |code: &str| modules_known(code).into_iter().collect::<Vec<_>>();
    assert_eq!(known("use crate::ops::create;"), ["ops"]);
    assert_eq!(
        known("use crate::{ops::{a, b}, text, dir::Dir};"),
        ["dir", "ops", "text"]
    );
    assert_eq!(
        literals("let a = \"x\"; b(\"y\")").collect::<Vec<_>>(),
        ["x", "y"]
    );
    for path in [
        "/sys",
        "/sys/class",
        "sys/bus",
        "etc/x",
        "{root}/run/vgpuctl",
    ] {
        assert!(spells_system_path(path), "{path}");
    }
    for other in [
        "system",
        "/systems",
        "a/sys",
        "device",
        "running {x} of {y}",
    ] {
        assert!(!spells_system_path(other), "{other}");
    }
}
