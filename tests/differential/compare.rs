//! What differs after one command.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use serde::Deserialize;

use crate::side::{After, with_itself};

/// Where a difference shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Aspect {
    /// The exit status.
    Status,
    Stdout,
    /// Not one clear line where the command failed, or noise where it did not.
    Stderr,
    /// The files left behind.
    Tree,
    /// What scripts were called with.
    Scripts,
    /// The devices left behind.
    Kernel,
}

/// A difference that is wanted wherever it shows, so it is not listed case by case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rule {
    /// Help is in our own words.
    HelpText,
    /// The last definition of a parent takes the parent's folder along.
    EmptyFolder,
    /// `start-parent-mdevs` fails when a device did not start.
    BootFailure,
    /// Scripts are not asked for what the command does not use.
    FewerQuestions,
    /// A start that cannot work is refused before scripts are run for it.
    RefusedFirst,
    /// The file of what is as wanted already is left as it is, down to its spaces.
    NothingToModify,
    /// NVIDIA's driver drops the last character of a line of parameters; ours ends it with a newline.
    WholeParameters,
    /// Ours warns of something that it leaves out, and names it, where mdevctl says nothing.
    Warning,
}

/// What was found over the commands of one case.
#[derive(Default)]
pub struct Found {
    pub aspects: BTreeSet<Aspect>,
    pub rules: BTreeSet<Rule>,
    /// The commands that differ, with both sides.
    pub report: String,
    /// Whether the last command succeeded with both.
    pub worked: bool,
}

impl Found {
    pub fn add(&mut self, other: Found) {
        self.aspects.extend(other.aspects);
        self.rules.extend(other.rules);
        self.report += &other.report;
        self.worked = other.worked;
    }
}

/// Compares what two sides left after one line.
pub fn compare(line: &str, mut theirs: After, mut ours: After, any_order: bool) -> Found {
    for after in [&mut theirs, &mut ours] {
        after.log = in_order(&after.log, any_order);
    }
    let mut found = Found {
        worked: theirs.status == 0 && ours.status == 0,
        ..Found::default()
    };
    let clear = with_itself() || clear(&ours);
    if !with_itself() {
        found.rules = settle(line, &mut theirs, &mut ours);
    }
    let aspects = [
        (Aspect::Status, theirs.status == ours.status),
        (Aspect::Stdout, theirs.stdout == ours.stdout),
        (Aspect::Stderr, clear),
        (Aspect::Tree, theirs.tree == ours.tree),
        (Aspect::Scripts, theirs.log == ours.log),
        (Aspect::Kernel, theirs.kernel == ours.kernel),
    ];
    found.aspects = aspects
        .into_iter()
        .filter(|(_, same)| !same)
        .map(|(aspect, _)| aspect)
        .collect();
    if !found.aspects.is_empty() {
        found.report = report(line, &found.aspects, &theirs, &ours);
    }
    found
}

/// Takes away what a rule allows; the rules that were needed.
fn settle(line: &str, theirs: &mut After, ours: &mut After) -> BTreeSet<Rule> {
    let mut rules = BTreeSet::new();
    let mut words = line.split(' ');
    let asks_help = words.any(|word| ["--help", "-h", "help"].contains(&word));
    let helps = |after: &After| after.status == 0 && after.stdout.contains("Usage: ");
    if asks_help && theirs.stdout != ours.stdout && helps(theirs) && helps(ours) {
        ours.stdout.clone_from(&theirs.stdout);
        rules.insert(Rule::HelpText);
    }
    let empty: Vec<String> = theirs
        .tree
        .iter()
        .filter(|(path, what)| {
            path.strip_prefix("etc/mdevctl.d/")
                .is_some_and(|parent| !parent.contains('/'))
                && what.starts_with("folder ")
                && !ours.tree.contains_key(*path)
        })
        .map(|(path, _)| path.clone())
        .filter(|path| {
            let below = format!("{path}/");
            !theirs.tree.keys().any(|other| other.starts_with(&below))
        })
        .collect();
    for path in empty {
        theirs.tree.remove(&path);
        rules.insert(Rule::EmptyFolder);
    }
    let boots = line.starts_with("start-parent-mdevs ");
    let warned = theirs.stderr.contains(" WARN ");
    if boots && theirs.status == 0 && warned && ours.status == 1 {
        ours.status = 0;
        rules.insert(Rule::BootFailure);
    }
    let ours_shortened = without_last_of_params(&ours.kernel, &theirs.kernel);
    if theirs.kernel != ours.kernel && theirs.kernel == ours_shortened {
        ours.kernel = ours_shortened;
        rules.insert(Rule::WholeParameters);
    }
    settle_scripts(line, theirs, ours, &mut rules);
    if line.starts_with("modify ") && theirs.status == 0 && ours.status == 0 {
        let squeezed = |what: &String| what.replace("\\n", "").replace(' ', "");
        let same = theirs
            .tree
            .iter()
            .map(|(path, what)| (path, squeezed(what)));
        if same.eq(ours.tree.iter().map(|(path, what)| (path, squeezed(what)))) {
            if theirs.tree != ours.tree {
                rules.insert(Rule::NothingToModify);
            }
            ours.tree.clone_from(&theirs.tree);
        }
    }
    if theirs.log != ours.log && asks_fewer(&theirs.log, &ours.log) {
        ours.log.clone_from(&theirs.log);
        rules.insert(Rule::FewerQuestions);
    }
    if ours.status == 0 && theirs.stderr.is_empty() && !ours.stderr.is_empty() {
        // Only lines of this kind are left, or it would not be clear.
        rules.insert(Rule::Warning);
    }
    rules
}

/// Our kernel's state with each line of parameters one character shorter, where theirs is so.
fn without_last_of_params(ours: &str, theirs: &str) -> String {
    let shortened = |(ours, theirs): (&str, &str)| -> String {
        let inner = ours.split_once("\"vgpu_params\": \"").map(|(_, rest)| rest);
        match inner.and_then(|rest| rest.rsplit_once('"')) {
            Some((value, end)) if ours != theirs && !value.is_empty() => {
                let kept = &value[..value.len() - value.chars().last().map_or(0, char::len_utf8)];
                ours.replace(&format!("\"{value}\"{end}"), &format!("\"{kept}\"{end}"))
            }
            _ => ours.to_owned(),
        }
    };
    let lines: Vec<String> = ours.lines().zip(theirs.lines()).map(shortened).collect();
    lines.join("\n")
}

/// The rules for what scripts are called with.
fn settle_scripts(line: &str, theirs: &mut After, ours: &mut After, rules: &mut BTreeSet<Rule>) {
    if line.starts_with("start") {
        let refused: Vec<String> = theirs
            .log
            .lines()
            .filter(|line| line.contains(" -a start -s failure "))
            .filter_map(device)
            .filter(|device| {
                let mut tried = ours.log.lines().filter(|line| line.contains(" -a start "));
                !tried.any(|line| line.contains(device))
            })
            .map(str::to_owned)
            .collect();
        for device in refused {
            let lines = theirs.log.split_inclusive('\n');
            theirs.log = lines
                .filter(|line| !(line.contains(" -a start ") && line.contains(&device)))
                .collect();
            rules.insert(Rule::RefusedFirst);
        }
    }
}

/// The `-u` and `-p` of a line of the log.
fn device(line: &str) -> Option<&str> {
    let start = line.find(" -u ")?;
    let end = line.find(" <")?;
    line.get(start..end)
}

/// Whether one log is the other without some of its `get` lines.
fn asks_fewer(theirs: &str, ours: &str) -> bool {
    let mut ours = ours.lines().peekable();
    let rest_are_questions = theirs
        .lines()
        .filter(|line| ours.next_if_eq(line).is_none())
        .all(|line| line.contains(" -e get "));
    rest_are_questions && ours.next().is_none()
}

/// Whether ours says one line where it fails, and nothing but warnings where it does not.
fn clear(ours: &After) -> bool {
    // Scripts may say what they like.
    let scripts: BTreeSet<&str> = ours
        .log
        .lines()
        .filter_map(|line| line.split(' ').next()?.rsplit('/').next())
        .collect();
    let mut rest = ours.stderr.lines().filter(|line| {
        let by_script = line
            .split_once(": ")
            .is_some_and(|(name, _)| scripts.contains(name));
        !by_script && !line.starts_with("Warning: ")
    });
    match ours.status {
        0 => rest.next().is_none(),
        1 => {
            let line = rest.next().unwrap_or_default();
            line.strip_prefix("Error: ")
                .is_some_and(|says| says.len() > 10)
                && rest.next().is_none()
                && ours.stderr.ends_with('\n')
        }
        2 => !ours.stderr.is_empty(),
        _ => false,
    }
}

/// The log with the notifiers of one event in the order of their names, which is the order of the
/// folder with mdevctl, and in no order at all where the case says so.
fn in_order(log: &str, any_order: bool) -> String {
    let mut lines: Vec<String> = log.lines().map(str::to_owned).collect();
    if any_order {
        for line in &mut lines {
            if line.contains(" -a capabilities ") {
                let start = line.find(" -u ").unwrap();
                let end = line.find(" -p ").unwrap();
                line.replace_range(start..end, " -u ANY");
            }
        }
        lines.sort();
    }
    lines
        .chunk_by_mut(|a, b| a.contains(" -e notify ") && b.contains(" -e notify "))
        .for_each(<[String]>::sort);
    lines.iter().fold(String::new(), |mut text, line| {
        let _ = writeln!(text, "{line}");
        text
    })
}

fn report(line: &str, aspects: &BTreeSet<Aspect>, theirs: &After, ours: &After) -> String {
    let mut text = String::new();
    let _ = writeln!(text, "    $ {line}");
    let _ = writeln!(text, "      differs in {aspects:?}");
    for (who, after) in [("mdevctl", theirs), ("ours", ours)] {
        let _ = writeln!(text, "      {who}: status {}", after.status);
        block(&mut text, "stdout", &after.stdout);
        block(&mut text, "stderr", &after.stderr);
        if aspects.contains(&Aspect::Scripts) {
            block(&mut text, "scripts", &after.log);
        }
        if aspects.contains(&Aspect::Tree) {
            block(
                &mut text,
                "only here",
                &only(&after.tree, &ours.tree, &theirs.tree),
            );
        }
        if aspects.contains(&Aspect::Kernel) {
            let other = if std::ptr::eq(after, ours) {
                theirs
            } else {
                ours
            };
            let lines = after
                .kernel
                .lines()
                .filter(|line| !other.kernel.lines().any(|other| other == *line));
            block(
                &mut text,
                "kernel, only here",
                &lines.collect::<Vec<_>>().join("\n"),
            );
        }
    }
    text
}

/// The entries of `tree` that are not the same in both.
fn only(
    tree: &BTreeMap<String, String>,
    one: &BTreeMap<String, String>,
    other: &BTreeMap<String, String>,
) -> String {
    tree.iter()
        .filter(|(path, _)| one.get(*path) != other.get(*path))
        .fold(String::new(), |mut text, (path, what)| {
            let _ = writeln!(text, "{path}: {what}");
            text
        })
}

fn block(text: &mut String, name: &str, content: &str) {
    if content.is_empty() {
        return;
    }
    let _ = writeln!(text, "        {name}");
    for line in content.lines() {
        let _ = writeln!(text, "          |{line}");
    }
    if !content.ends_with('\n') {
        let _ = writeln!(text, "          (no newline at the end)");
    }
}
