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
        for verb in command.get_subcommands().filter(|verb| !verb.is_hide_set()) {
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
