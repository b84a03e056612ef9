//! The manual page says what the program does: no verb or option is missing, none is made up.

use std::collections::BTreeSet;

use clap::Command;

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

/// Every key of a JSON value, at any depth.
fn keys_of(value: &serde_json::Value, found: &mut BTreeSet<String>) {
    match value {
        serde_json::Value::Object(map) => {
            for (key, value) in map {
                // Labels of a metric are names of its own.
                if key != "labels" {
                    keys_of(value, found);
                }
                found.insert(key.clone());
            }
        }
        serde_json::Value::Array(all) => all.iter().for_each(|value| keys_of(value, found)),
        _ => {}
    }
}

/// The answers that the tests of the command line and of the doctor pin.
fn pinned_answers() -> Vec<serde_json::Value> {
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

#[test]
fn every_key_of_every_answer_is_in_the_manual_and_no_other() {
    let page = manual("vgpuctl-json.5");
    let is_of_key = |c: char| c.is_ascii_lowercase() || c == '_';
    let told: BTreeSet<&str> = page.split(|c| !is_of_key(c)).collect();
    let mut real = BTreeSet::new();
    for answer in pinned_answers() {
        keys_of(&answer, &mut real);
    }
    let untold: Vec<&String> = real
        .iter()
        .filter(|key| !told.contains(key.as_str()))
        .collect();
    assert!(untold.is_empty(), "not in the manual: {untold:?}");

    // What stands in the first column of a table is a key, pinned or at least spelt where answers are made.
    let mut source = String::new();
    let mut folders = vec![format!("{}/src/output", env!("CARGO_MANIFEST_DIR")).into()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir::<std::path::PathBuf>(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => folders.push(path),
                false => source += &std::fs::read_to_string(path).unwrap(),
            }
        }
    }
    let columns = page.lines().filter_map(|line| line.strip_suffix("|T{"));
    for key in columns.flat_map(|keys| keys.split(", ")) {
        let is_real = real.contains(key) || source.contains(&format!("\"{key}\""));
        assert!(is_real, "{key} is in no answer");
    }
}
