//! Every command in the documentation is run: guides as sessions whose answers must be those on the page, single
//! commands on a host where they make sense. What cannot run here is listed, with the place that runs it.

#[path = "../shared/delegate.rs"]
#[allow(dead_code)]
mod delegate;
#[path = "../cli/harness.rs"]
#[allow(dead_code)]
mod harness;
mod page;
mod scene;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use page::{Block, Page};
use scene::Scene;

/// Commands that no test of this file can run, by their beginnings, and what runs or checks them instead.
const ELSEWHERE: &[(&str, &str)] = &[
    (
        "apt-get install",
        "the Makefile's `need` installs the same packages",
    ),
    ("make ", "checked to be a target of the Makefile"),
    (
        "groupadd ",
        "tests/cli: delegation, with groups that every system has",
    ),
    ("usermod ", "the same"),
    (
        "install -d /etc/vgpuctl",
        "tests/cli: delegation, which writes the page's own policy there",
    ),
    ("editor /etc/vgpuctl", "the same"),
    (
        "systemctl enable --now vgpuctl-delegate.socket",
        "tests/shared/delegate.rs: a socket that starts the service as that does",
    ),
    ("setfacl ", "the name of a node is checked: tests/cli: show"),
    (
        "eval \"qemu-system",
        "tests/vm: attach opens a device in QEMU",
    ),
];

fn top() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The pages that people read.
fn pages() -> Vec<Page> {
    let mut paths = vec![top().join("README.md")];
    for (folder, ending) in [("docs", "md"), ("man", "8"), ("man", "5"), ("man", "7")] {
        let entries = std::fs::read_dir(top().join(folder)).unwrap();
        let found = entries.map(|entry| entry.unwrap().path());
        let mut found: Vec<PathBuf> = found
            .filter(|path| path.extension().is_some_and(|e| e == ending))
            .collect();
        found.sort();
        paths.extend(found);
    }
    paths.iter().map(|path| Page::read(path)).collect()
}

fn is_ours(command: &str) -> bool {
    let command = command.strip_prefix("sudo ").unwrap_or(command);
    let first = command.split_whitespace().next().unwrap_or_default();
    matches!(first, "vgpuctl" | "mdevctl" | "lsmdev" | "simhost")
        || command.contains("| vgpuctl ")
        || command.contains("| sudo vgpuctl ")
}

fn changes_nothing(command: &str) -> bool {
    let reading = ["types", "gpus", "list", "show", "doctor", "explain"];
    let verb = command
        .split_whitespace()
        .skip_while(|word| *word != "vgpuctl")
        .nth(1);
    verb.is_some_and(|verb| reading.contains(&verb))
}

#[test]
fn sessions_say_what_the_program_says() {
    let mut commands = 0;
    let mut faults = Vec::new();
    for page in pages() {
        let mut scene: Option<(String, Scene)> = None;
        for session in page.blocks.iter().filter_map(Block::session) {
            // A page goes on with the host it has until it names another.
            if session.is_first || scene.as_ref().is_none_or(|(host, _)| *host != session.host) {
                scene = Some((session.host.clone(), Scene::of_host(&session.host)));
            }
            let (_, scene) = scene.as_ref().unwrap();
            for step in &session.steps {
                commands += 1;
                let said = scene.run(&step.command);
                if let Err(why) = step.compare(&said.whole()) {
                    faults.push(format!(
                        "{}:{}: {}\n{why}",
                        page.name, step.line, step.command
                    ));
                }
            }
        }
    }
    println!("{commands} commands in sessions");
    assert!(faults.is_empty(), "{}", faults.join("\n\n"));
    assert!(commands > 20, "{commands}");
}

#[test]
fn single_commands_work_as_they_stand() {
    let (mut run, mut faults) = (0, Vec::new());
    let calm = Scene::for_command("");
    for page in pages() {
        for (line, command) in page.blocks.iter().flat_map(Block::commands) {
            if !is_ours(&command) {
                continue;
            }
            run += 1;
            // A host that the last command may have changed serves no other.
            let said = match changes_nothing(&command) {
                true => calm.run(&command),
                false => Scene::for_command(&command).run(&command),
            };
            if !said.is_well() {
                faults.push(format!("{}:{line}: {command}\n{}", page.name, said.whole()));
            }
        }
    }
    println!("{run} single commands");
    assert!(faults.is_empty(), "{}", faults.join("\n\n"));
    assert!(run > 30, "{run}");
}

#[test]
fn what_is_not_run_here_is_listed_with_what_runs_it() {
    let makefile = std::fs::read_to_string(top().join("Makefile")).unwrap();
    let mut used = BTreeSet::new();
    for page in pages() {
        for (line, command) in page.blocks.iter().flat_map(Block::commands) {
            let bare = command.strip_prefix("sudo ").unwrap_or(&command);
            if is_ours(&command) {
                continue;
            }
            let known = ELSEWHERE.iter().find(|(begin, _)| bare.starts_with(begin));
            let Some((begin, _)) = known else {
                panic!("{}:{line}: nothing runs this: {command}", page.name);
            };
            used.insert(*begin);
            if let Some(words) = bare.strip_prefix("make ") {
                for target in words.split_whitespace().filter(|word| !word.contains('=')) {
                    let is_there = makefile
                        .lines()
                        .any(|l| l.starts_with(&format!("{target}:")));
                    assert!(is_there, "{}:{line}: no target {target}", page.name);
                }
            }
        }
    }
    let unused: Vec<_> = ELSEWHERE
        .iter()
        .filter(|(begin, _)| !used.contains(begin))
        .collect();
    assert!(unused.is_empty(), "not in any page: {unused:?}");
}

/// Whoever reads what is promised can look at the test.
#[test]
fn the_tests_that_the_page_of_promises_names_are_there() {
    let page = std::fs::read_to_string(top().join("docs/security.md")).unwrap();
    let frame = std::fs::read_to_string(top().join("tests/cli/hostile/frame.rs")).unwrap();
    let (mut files, mut groups) = (0, BTreeSet::new());
    for code in page.split('`').skip(1).step_by(2) {
        if code.starts_with("tests/") {
            assert!(top().join(code).exists(), "there is no {code}");
            files += 1;
        }
        if let Some(group) = code.strip_prefix("hostile: ") {
            assert!(
                frame.contains(&format!("(\"{group}\", ")),
                "no group {group}"
            );
            groups.insert(group);
        }
    }
    let all = frame.lines().filter(|line| line.starts_with("    (\""));
    assert!(files > 10);
    assert_eq!(groups.len(), all.count(), "each group is on the page");
}
