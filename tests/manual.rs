//! The manual page says what the program does: no verb or option is missing, none is made up.

use std::collections::BTreeSet;

use clap::Command;

fn manual() -> String {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/man/vgpuctl.8");
    let text = std::fs::read_to_string(path).unwrap();
    text.replace("\\-", "-")
        .replace("\\fB", " ")
        .replace("\\fR", " ")
        .replace("\\fI", " ")
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
    let mut real = BTreeSet::from(["--help".to_owned(), "--version".to_owned()]);
    options_of(&vgpuctl::cli::command(), &mut real);
    let manual = manual();
    let told: BTreeSet<String> = manual
        .split(|c: char| !(c.is_ascii_lowercase() || c == '-'))
        .filter(|word| word.starts_with("--") && word.len() > 2)
        .map(str::to_owned)
        .collect();
    assert_eq!(told, real);
}

#[test]
fn every_verb_has_its_paragraph() {
    let manual = manual();
    for verb in vgpuctl::cli::command().get_subcommands() {
        let name = verb.get_name();
        let begins = |line: &str| {
            let line = line.trim_start_matches(".B").trim_start();
            line == name || line.starts_with(&format!("{name} "))
        };
        assert!(manual.lines().any(begins), "no paragraph for {name}");
    }
}

#[test]
fn the_version_is_the_programs() {
    let title = format!("\"vgpuctl {}\"", env!("CARGO_PKG_VERSION"));
    assert!(manual().contains(&title));
}
