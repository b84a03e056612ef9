//! The manual pages say what the program does: no verb, option or key is missing, none is made up.

use std::collections::BTreeSet;

use clap::Command;
use serde_json::{Value, json};

#[path = "shared/schema.rs"]
mod schema;

fn manual(page: &str) -> String {
    let path = format!("{}/man/{page}", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(path).unwrap();
    text.replace("\\-", "-")
        .replace("\\fB", " ")
        .replace("\\fR", " ")
        .replace("\\fI", " ")
}

/// Each command line and its page. `lsmdev` is on mdevctl's, and its options are among mdevctl's.
fn pages() -> [(Command, String); 2] {
    let [mdevctl, _] = vgpuctl::mdevctl::commands();
    [
        (vgpuctl::cli::command(), manual("vgpuctl.8")),
        (mdevctl, manual("mdevctl.8")),
    ]
}

fn options_of(command: &Command, found: &mut BTreeSet<String>) {
    for argument in command.get_arguments() {
        found.extend(argument.get_long().map(|long| format!("--{long}")));
    }
    for verb in command.get_subcommands() {
        options_of(verb, found);
    }
}

#[test]
fn every_option_is_in_the_manual_and_every_option_there_exists() {
    for (command, manual) in pages() {
        let mut real = BTreeSet::from(["--help".to_owned(), "--version".to_owned()]);
        options_of(&command, &mut real);
        let told: BTreeSet<String> = manual
            .split(|c: char| !(c.is_ascii_lowercase() || c == '-'))
            .filter(|word| word.starts_with("--") && word.len() > 2)
            .map(str::to_owned)
            .collect();
        assert_eq!(told, real, "{}", command.get_name());
    }
}

#[test]
fn every_verb_has_its_paragraph() {
    for (command, manual) in pages() {
        // `help` is clap's own.
        let told = |verb: &&Command| !verb.is_hide_set() && verb.get_name() != "help";
        for verb in command.get_subcommands().filter(told) {
            let name = verb.get_name();
            let begins = |line: &str| {
                let line = line.trim_start_matches(".B").trim_start();
                line == name || line.starts_with(&format!("{name} "))
            };
            assert!(manual.lines().any(begins), "no paragraph for {name}");
        }
    }
}

#[test]
fn the_version_is_the_programs() {
    let title = format!("\"vgpuctl {}\"", env!("CARGO_PKG_VERSION"));
    for (_, manual) in pages() {
        assert!(manual.contains(&title));
    }
}

/// The answers that the tests of the command line and of the doctor pin.
fn pinned_answers() -> Vec<Value> {
    let mut answers = Vec::new();
    for folder in ["tests/cli/fixtures", "tests/doctor/expected"] {
        let folder = format!("{}/{folder}", env!("CARGO_MANIFEST_DIR"));
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path
                .extension()
                .is_some_and(|e| e == "json" || e == "jsonl")
            {
                let text = std::fs::read_to_string(&path).unwrap();
                let documents = serde_json::Deserializer::from_str(&text).into_iter();
                answers.extend(documents.map(|document| document.unwrap()));
            }
        }
    }
    assert!(answers.len() > 50, "{}", answers.len());
    answers
}

/// Compares what is made with the file, or writes it: `VGPUCTL_UPDATE_FIXTURES=1 cargo test --test manual`.
fn made(file: &str, make: impl FnOnce(&str) -> String) {
    let path = format!("{}/{file}", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).unwrap_or_default();
    let wanted = make(&text);
    if std::env::var_os("VGPUCTL_UPDATE_FIXTURES").is_some() {
        std::fs::write(&path, wanted).unwrap();
    } else {
        let how = "VGPUCTL_UPDATE_FIXTURES=1 cargo test --test manual";
        assert!(text == wanted, "{file} is out of date; run: {how}");
    }
}

#[test]
fn the_schema_is_that_of_the_types() {
    made("docs/vgpuctl.schema.json", |_| {
        format!("{:#}\n", schema::schema())
    });
}

#[test]
fn every_pinned_answer_is_as_the_schema_says_and_each_kind_of_answer_is_pinned() {
    let kinds: BTreeSet<String> = pinned_answers().iter().map(schema::kind).collect();
    let schema = schema::schema();
    let all = schema["anyOf"].as_array().unwrap();
    assert_eq!(kinds.len(), all.len(), "{kinds:?} of {all:?}");
}

#[test]
fn an_answer_with_another_key_or_without_one_is_not_as_the_schema_says() {
    let refused = |document: Value| {
        let checked = std::panic::catch_unwind(|| schema::kind(&document));
        assert!(checked.is_err(), "{document}");
    };
    let right = json!({ "version": 1, "gpus": [], "warnings": [], "notes": [] });
    schema::kind(&right);
    for (key, value) in [
        ("other", json!(1)),
        ("version", json!(2)),
        ("gpus", json!([{}])),
        ("notes", json!([1])),
    ] {
        let mut wrong = right.clone();
        wrong[key] = value;
        refused(wrong);
    }
    refused(json!({ "version": 1, "gpus": [], "warnings": [] }));
}

/// What every answer has, told once.
const COMMON: [&str; 3] = ["version", "warnings", "notes"];

/// Each key of an object and its description; keys that exclude each other stand in `oneOf`.
fn keys(definition: &Value) -> Vec<(&str, &str)> {
    let mut found = Vec::new();
    let others = definition["oneOf"].as_array().into_iter().flatten();
    for part in [definition].into_iter().chain(others) {
        for (key, value) in part["properties"].as_object().into_iter().flatten() {
            let description = value.get("description").unwrap_or(&part["description"]);
            let description = description.as_str();
            found.push((
                key.as_str(),
                description.unwrap_or_else(|| panic!("{key} has no description")),
            ));
        }
    }
    found
}

/// A description in roff: what stands in backquotes is bold.
fn roff(description: &str) -> String {
    let mut text = String::new();
    for (at, part) in description.split('`').enumerate() {
        text += match at {
            0 => "",
            _ if at % 2 == 1 => "\\fB",
            _ => "\\fR",
        };
        text += part;
    }
    let line: Vec<&str> = text.split_whitespace().collect();
    let line = line.join(" ").replace('-', "\\-");
    assert!(!line.starts_with(['.', '\'']), "{line}");
    line
}

fn table(keys: &[(&str, &str)]) -> String {
    let mut text = ".TS\ntab(|);\nlB lx.\n".to_owned();
    for (key, description) in keys {
        text += &format!("{key}|T{{\n{}\nT}}\n", roff(description));
    }
    text + ".TE\n"
}

#[test]
fn every_key_of_every_answer_is_in_the_manual() {
    let schema = schema::schema();
    let definitions = schema["$defs"].as_object().unwrap();
    let whole = schema["anyOf"].as_array().unwrap();
    let whole: BTreeSet<&str> = whole
        .iter()
        .map(|one| one["$ref"].as_str().unwrap().rsplit('/').next().unwrap())
        .collect();
    let mut told = BTreeSet::new();
    made("man/vgpuctl-json.5", |page| {
        let mut text = String::new();
        let mut lines = page.lines();
        while let Some(line) = lines.next() {
            text += &format!("{line}\n");
            let Some(name) = line.strip_prefix(".\\\" keys of ") else {
                continue;
            };
            let is_common = |key: &str| COMMON.contains(&key);
            let keys = match name {
                "every answer" => {
                    let mut keys = keys(&definitions["TypesAnswer"]);
                    keys.retain(|(key, _)| is_common(key));
                    keys
                }
                _ => {
                    let mut keys = keys(&definitions[name]);
                    keys.retain(|(key, _)| !whole.contains(name) || !is_common(key));
                    assert!(told.insert(name.to_owned()), "{name} is told twice");
                    keys
                }
            };
            text += &table(&keys);
            let end = ".\\\" end of keys";
            assert!(lines.any(|line| line == end), "no end of {name}");
            text += &format!("{end}\n");
        }
        text
    });
    let defined: BTreeSet<String> = definitions.keys().cloned().collect();
    assert_eq!(told, defined, "what has a table and what there is");
}
