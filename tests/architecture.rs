//! The house's rules, checked on the text of `src/`: which module may know which, who may spell a
//! path of the system, and what must not stand in the program at all.
//!
//! Parts under `#[cfg(test)]` are not looked at, comments neither.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// The floors of the house, from the doors down. A module may use modules of lower floors.
const FLOORS: [&[&str]; 4] = [
    // What fuzzers call is a door too, though in no binary.
    &["cli", "mdevctl", "fuzzing"],
    &["output", "ops", "doctor", "attach"],
    &["sysfs", "store", "scripts"],
    &[
        "model",
        // The crate nvidia-vgpu.
        "nvidia",
        "capacity",
        "declare",
        "host",
        "dir",
        "text",
        "notify",
        "order",
        "memo",
        "advice",
        "hints",
        "forks",
        "interrupt",
        "error",
    ],
];

/// On the ground floor everybody knows everybody: these are words and pure functions.
const GROUND: usize = FLOORS.len() - 1;

/// Arrows on one floor: `output` puts into words what the others return, the doctor asks the
/// operations what they would refuse, and `ops` fills in what `attach` makes text of.
const SIDEWAYS: [(&str, &str); 5] = [
    ("ops", "attach"),
    ("output", "ops"),
    ("output", "doctor"),
    ("output", "attach"),
    ("doctor", "ops"),
];

/// The one file that spells the system's paths.
const SPELLS_PATHS: &str = "src/host.rs";
const SYSTEM_DIRS: [&str; 5] = ["sys", "etc", "run", "proc", "dev"];

/// `/dev/null` is what a child process gets for its standard files. It belongs to this process and
/// not to the host that is looked after: under a `--root` it must still be the real one.
const PATH_EXCEPTIONS: [(&str, &str); 1] = [("src/sysfs/blocking.rs", "/dev/null")];

/// Libraries, and the only places that may see them.
const LIBRARIES: [(&str, &[&str]); 3] = [
    ("clap", &["src/cli/", "src/mdevctl/"]),
    ("comfy_table", &["src/output/"]),
    ("udev", &["src/sysfs/events.rs", "src/sysfs/card.rs"]),
];

/// These panic when standard output is closed, or end the program behind `main`'s back.
const FORBIDDEN_MACROS: [&str; 5] = ["print", "println", "eprint", "eprintln", "dbg"];

/// What comes from outside the program may be anything.
const FORBIDDEN_METHODS: [&str; 4] = ["unwrap", "expect", "unwrap_err", "expect_err"];

#[test]
fn the_house_is_as_its_map_says() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    collect(&root.join("src"), &mut files);
    assert!(files.len() > 20, "src was not found: {files:?}");
    let mut faults = String::new();
    for file in &files {
        let name = file.strip_prefix(root).unwrap().to_str().unwrap();
        let text = std::fs::read_to_string(file).unwrap();
        for fault in check(name, &text) {
            writeln!(faults, "{fault}").unwrap();
        }
    }
    assert!(faults.is_empty(), "{} files:\n{faults}", files.len());
}

#[test]
fn every_exception_is_still_needed() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for (file, literal) in PATH_EXCEPTIONS {
        let text = std::fs::read_to_string(root.join(file)).unwrap();
        let used = tokens(&text)
            .iter()
            .any(|token| token.kind == Kind::Text && token.text == literal);
        assert!(used, "{file} does not spell {literal:?} any more");
    }
}

fn collect(dir: &Path, files: &mut Vec<PathBuf>) {
    let mut entries: Vec<PathBuf> = std::fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|e| e == "rs") {
            files.push(path);
        }
    }
}

/// What is wrong with one file, each with file and line.
fn check(file: &str, text: &str) -> Vec<String> {
    // A file that is compiled for tests only is one of those parts.
    if text.contains("\n#![cfg(test)]\n") {
        return Vec::new();
    }
    let mut faults = Vec::new();
    let place = module_path(file);
    let top = place.first().map_or("", String::as_str);
    if !matches!(top, "main" | "lib") && floor(top).is_none() {
        faults.push(format!(
            "{file}:1: {top} is on no floor of the house: give it one in tests/architecture.rs"
        ));
    }
    let tokens = tokens(text);
    let mut fault = |line: usize, what: String| faults.push(format!("{file}:{line}: {what}"));
    for (line, known) in modules_known(&place, &tokens) {
        if let Some(reason) = forbidden_arrow(top, &known) {
            fault(line, reason);
        }
    }
    for (at, token) in tokens.iter().enumerate() {
        let next = |n: usize| tokens.get(at + n).map_or("", |t| t.code());
        let before = |n: usize| at.checked_sub(n).map_or("", |at| tokens[at].code());
        if token.kind == Kind::Text {
            if file != SPELLS_PATHS
                && spells_system_path(&token.text)
                && !PATH_EXCEPTIONS.contains(&(file, token.text.as_str()))
            {
                fault(
                    token.line,
                    format!("only {SPELLS_PATHS} spells {:?}", token.text),
                );
            }
            continue;
        }
        let word = token.code();
        for (library, homes) in LIBRARIES {
            let is_mention = word == library
                && before(1) != "."
                && (library != "udev" || (next(1) == "::" && before(1) != "::"));
            if is_mention && !homes.iter().any(|home| file.starts_with(home)) {
                fault(
                    token.line,
                    format!("only {} may see {library}", homes.join(", ")),
                );
            }
        }
        if FORBIDDEN_MACROS.contains(&word) && next(1) == "!" {
            fault(
                token.line,
                format!("{word}! panics when nobody listens: use writeln!"),
            );
        }
        if FORBIDDEN_METHODS.contains(&word) && matches!(before(1), "." | "::") {
            fault(
                token.line,
                format!("{word} on what may come from outside the program"),
            );
        }
        let exits =
            word == "exit" && (next(1) == "(" || before(1) == "::" && before(2) == "process");
        if exits {
            fault(token.line, "only main ends the program".to_owned());
        }
    }
    faults
}

/// `src/ops/create.rs` is the module `ops::create`, `src/ops/mod.rs` the module `ops`.
fn module_path(file: &str) -> Vec<String> {
    let inner = file.trim_start_matches("src/").trim_end_matches(".rs");
    let mut path: Vec<String> = inner.split('/').map(str::to_owned).collect();
    if path.len() > 1 && path.last().is_some_and(|last| last == "mod") {
        path.pop();
    }
    path
}

fn floor(module: &str) -> Option<usize> {
    FLOORS.iter().position(|floor| floor.contains(&module))
}

/// Why `from` must not know `to`, both modules right below the crate's root.
fn forbidden_arrow(from: &str, to: &str) -> Option<String> {
    if from == to || from == "lib" {
        return None;
    }
    let Some(target) = floor(to) else {
        return Some(format!("{to} is on no floor of the house"));
    };
    if from == "main" {
        return (target != 0).then(|| format!("main knows the doors only, not {to}"));
    }
    let source = floor(from)?;
    let allowed =
        source < target || (source == GROUND && target == GROUND) || SIDEWAYS.contains(&(from, to));
    (!allowed).then(|| format!("{from} must not know {to}"))
}

/// The top-level modules that the code mentions as `crate::x`, `crate::{x, y}`, through `super`, or
/// as `vgpuctl::x` in the program.
fn modules_known(place: &[String], tokens: &[Token]) -> Vec<(usize, String)> {
    let mut known = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        let starts_path = at == 0 || tokens[at - 1].code() != "::";
        let depth = match tokens[at].code() {
            "crate" if starts_path => Some(0),
            "vgpuctl" if starts_path && place == ["main"] => Some(0),
            "super" if starts_path => {
                let mut count = 1;
                while code(tokens, at + 1) == "::" && code(tokens, at + 2) == "super" {
                    at += 2;
                    count += 1;
                }
                // Below a top-level module it cannot lead to another one.
                (count >= place.len()).then_some(0)
            }
            _ => None,
        };
        at += 1;
        if depth.is_none() || code(tokens, at) != "::" {
            continue;
        }
        at += 1;
        if code(tokens, at) != "{" {
            if let Some(token) = tokens.get(at) {
                known.push((token.line, token.text.clone()));
            }
            continue;
        }
        let mut open = 0;
        let mut first_of_path = true;
        while let Some(token) = tokens.get(at) {
            match token.code() {
                "{" => open += 1,
                "}" => open -= 1,
                "," if open == 1 => first_of_path = true,
                word if open == 1 && first_of_path => {
                    known.push((token.line, word.to_owned()));
                    first_of_path = false;
                }
                _ => {}
            }
            at += 1;
            if open == 0 {
                break;
            }
        }
    }
    known
}

fn code(tokens: &[Token], at: usize) -> &str {
    tokens.get(at).map_or("", Token::code)
}

/// `/sys`, `/sys/...` and `sys/...`, at the beginning or right after something filled in.
fn spells_system_path(literal: &str) -> bool {
    let begins = |text: &str| {
        SYSTEM_DIRS.iter().any(|dir| {
            let absolute = text.strip_prefix('/').and_then(|t| t.strip_prefix(dir));
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

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// A word, `::`, or one other character.
    Code,
    /// The inside of a string literal.
    Text,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Token {
    line: usize,
    kind: Kind,
    text: String,
}

impl Token {
    /// The code; nothing for a literal.
    fn code(&self) -> &str {
        match self.kind {
            Kind::Code => &self.text,
            Kind::Text => "",
        }
    }
}

/// The program's words and literals, without comments and without what is there for tests only.
fn tokens(text: &str) -> Vec<Token> {
    without_tests(lex(text))
}

/// Takes out `#[cfg(test)]` with the item after it: up to its `;` or its closing brace.
fn without_tests(tokens: Vec<Token>) -> Vec<Token> {
    const MARK: [&str; 7] = ["#", "[", "cfg", "(", "test", ")", "]"];
    let mut kept = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        if !MARK
            .iter()
            .enumerate()
            .all(|(n, word)| code(&tokens, at + n) == *word)
        {
            kept.push(tokens[at].clone());
            at += 1;
            continue;
        }
        at += MARK.len();
        let mut open = 0;
        while at < tokens.len() {
            let word = code(&tokens, at);
            match word {
                "{" => open += 1,
                "}" => open -= 1,
                _ => {}
            }
            at += 1;
            if open == 0 && matches!(word, ";" | "}") {
                break;
            }
        }
    }
    kept
}

fn lex(text: &str) -> Vec<Token> {
    let chars: Vec<char> = text.chars().collect();
    let mut found = Vec::new();
    let (mut at, mut line) = (0, 1);
    while at < chars.len() {
        let (begin, first_line) = (at, line);
        let piece = next_piece(&chars[at..]);
        at += piece.length;
        line += chars[begin..at].iter().filter(|c| **c == '\n').count();
        if let Some((kind, from, to)) = piece.meaning {
            found.push(Token {
                line: first_line,
                kind,
                text: chars[begin + from..begin + to].iter().collect(),
            });
        }
    }
    found
}

/// Some characters, and what of them is meant: from where to where, of which kind.
struct Piece {
    length: usize,
    meaning: Option<(Kind, usize, usize)>,
}

impl Piece {
    fn skipped(length: usize) -> Piece {
        Piece {
            length,
            meaning: None,
        }
    }

    fn code(length: usize) -> Piece {
        Piece {
            length,
            meaning: Some((Kind::Code, 0, length)),
        }
    }
}

fn next_piece(rest: &[char]) -> Piece {
    let is_word = |c: &char| c.is_alphanumeric() || *c == '_';
    match (rest[0], rest.get(1)) {
        ('/', Some('/')) => Piece::skipped(length_until(rest, |c| c == '\n')),
        ('/', Some('*')) => block_comment(rest),
        ('"', _) => quoted(rest, 0),
        ('b' | 'c', Some('"')) => quoted(rest, 1),
        ('r', Some('"' | '#')) if is_raw(&rest[1..]) => raw(rest, 1),
        ('b' | 'c', Some('r')) if is_raw(&rest[2..]) => raw(rest, 2),
        ('\'', Some('\\')) => Piece::skipped(3 + length_until(&rest[3..], |c| c == '\'') + 1),
        ('\'', _) if rest.get(2) == Some(&'\'') => Piece::skipped(3),
        (':', Some(':')) => Piece::code(2),
        (c, _) if c.is_whitespace() => Piece::skipped(1),
        (c, _) if is_word(&c) => Piece::code(rest.iter().take_while(|c| is_word(c)).count()),
        _ => Piece::code(1),
    }
}

fn length_until(rest: &[char], end: impl Fn(char) -> bool) -> usize {
    rest.iter().take_while(|c| !end(**c)).count()
}

fn block_comment(rest: &[char]) -> Piece {
    let (mut at, mut depth) = (0, 0);
    while at + 1 < rest.len() {
        match (rest[at], rest[at + 1]) {
            ('/', '*') => (at, depth) = (at + 2, depth + 1),
            ('*', '/') => (at, depth) = (at + 2, depth - 1),
            _ => at += 1,
        }
        if depth == 0 {
            return Piece::skipped(at);
        }
    }
    Piece::skipped(rest.len())
}

fn quoted(rest: &[char], before: usize) -> Piece {
    let from = before + 1;
    let mut at = from;
    while at < rest.len() && rest[at] != '"' {
        at += if rest[at] == '\\' { 2 } else { 1 };
    }
    let to = at.min(rest.len());
    Piece {
        length: (to + 1).min(rest.len()),
        meaning: Some((Kind::Text, from, to)),
    }
}

fn is_raw(rest: &[char]) -> bool {
    rest.iter().find(|c| **c != '#') == Some(&'"')
}

fn raw(rest: &[char], before: usize) -> Piece {
    let hashes = length_until(&rest[before..], |c| c != '#');
    let from = before + hashes + 1;
    let is_end = |at: usize| {
        rest[at] == '"'
            && rest[at + 1..]
                .iter()
                .take(hashes)
                .filter(|c| **c == '#')
                .count()
                == hashes
    };
    let to = (from..rest.len())
        .find(|at| is_end(*at))
        .unwrap_or(rest.len());
    Piece {
        length: (to + 1 + hashes).min(rest.len()),
        meaning: Some((Kind::Text, from, to)),
    }
}

/// The rules themselves, each shown to catch and to let pass.
mod rules {
    use super::*;

    #[track_caller]
    fn passes(file: &str, text: &str) {
        assert_eq!(check(file, text), [""; 0], "{text}");
    }

    /// Exactly one fault, at that line, in those words.
    #[track_caller]
    fn fails(file: &str, text: &str, line: usize, words: &str) {
        let faults = check(file, text);
        assert_eq!(faults.len(), 1, "{text}: {faults:?}");
        assert!(
            faults[0].starts_with(&format!("{file}:{line}: ")),
            "{faults:?}"
        );
        assert!(faults[0].contains(words), "{faults:?}");
    }

    #[test]
    fn arrows_run_down_and_nowhere_else() {
        for (from, to) in [
            ("cli", "mdevctl"),
            ("mdevctl", "cli"),
            ("ops", "cli"),
            ("ops", "output"),
            ("ops", "doctor"),
            ("doctor", "output"),
            ("attach", "output"),
            ("sysfs", "store"),
            ("store", "sysfs"),
            ("scripts", "store"),
            ("sysfs", "ops"),
            ("model", "sysfs"),
            ("error", "cli"),
            ("host", "store"),
        ] {
            let file = format!("src/{from}/x.rs");
            let words = format!("{from} must not know {to}");
            fails(&file, &format!("\nuse crate::{to}::X;"), 2, &words);
            fails(
                &format!("src/{from}.rs"),
                &format!("use crate::{to};"),
                1,
                &words,
            );
        }
        for (from, to) in [
            ("cli", "ops"),
            ("cli", "output"),
            ("cli", "error"),
            ("mdevctl", "store"),
            ("output", "ops"),
            ("output", "doctor"),
            ("ops", "ops"),
            ("ops", "sysfs"),
            ("doctor", "ops"),
            ("doctor", "scripts"),
            ("attach", "model"),
            ("sysfs", "host"),
            ("nvidia", "model"),
            ("model", "nvidia"),
        ] {
            passes(&format!("src/{from}/x.rs"), &format!("use crate::{to}::X;"));
        }
        passes("src/lib.rs", "pub mod cli; use crate::ops;");
        passes("src/main.rs", "fn main() { vgpuctl::cli::run() }");
        fails(
            "src/main.rs",
            "fn main() { vgpuctl::ops::x() }",
            1,
            "doors only",
        );
    }

    #[test]
    fn an_arrow_is_seen_in_every_spelling() {
        let words = "store must not know sysfs";
        let nested = "use crate::{\n    error::{self, Error},\n    sysfs::{Kernel, Cards},\n};";
        fails("src/store/mod.rs", nested, 3, words);
        fails("src/store/x.rs", "fn f() -> crate::sysfs::Kernel", 1, words);
        fails(
            "src/store/x.rs",
            "use super::super::sysfs::Kernel;",
            1,
            words,
        );
        fails("src/store/x.rs", "use crate :: /* c */ sysfs;", 1, words);
        fails("src/store/mod.rs", "use super::sysfs::Kernel;", 1, words);
        fails("src/store/mod.rs", "use super::{host, sysfs};", 1, words);
        passes("src/store/x.rs", "use super::sysfs::Kernel;");
        passes(
            "src/store/x.rs",
            "//! See crate::sysfs.\nlet a = \"crate::sysfs\";",
        );
        passes(
            "src/store/x.rs",
            "use other::crate_::sysfs; pub(crate) fn sysfs() {}",
        );
    }

    #[test]
    fn a_new_module_must_be_placed() {
        fails("src/cache/mod.rs", "", 1, "cache is on no floor");
        fails("src/cache.rs", "", 1, "cache is on no floor");
        fails(
            "src/ops/x.rs",
            "use crate::cache::X;",
            1,
            "cache is on no floor",
        );
    }

    #[test]
    fn only_host_spells_paths_of_the_system() {
        let file = "src/sysfs/mdev.rs";
        for literal in [
            r#""/sys/class/mdev_bus""#,
            r#""/proc""#,
            r#""etc/mdevctl.d""#,
            r##"r#"/run/x"#"##,
            r#"b"/dev/vfio""#,
            r#"c"/dev/vfio""#,
            r#""{root}/sys/bus""#,
            r#""/dev/null""#,
        ] {
            fails(
                file,
                &format!("let a = {literal};"),
                1,
                "only src/host.rs spells",
            );
            passes("src/host.rs", &format!("let a = {literal};"));
        }
        passes("src/sysfs/blocking.rs", r#"open("/dev/null")"#);
        fails(
            "src/sysfs/blocking.rs",
            r#"open("/dev/zero")"#,
            1,
            "only src/host.rs",
        );
        passes(
            file,
            "// \"/sys\"\nlet a = (\"/system\", \"devices\", \"runs\", '\"', \"see /sys\", \"{id}/name\");",
        );
    }

    #[test]
    fn each_library_is_seen_at_home_only() {
        fails("src/ops/x.rs", "use clap::Args;", 1, "may see clap");
        fails(
            "src/ops/x.rs",
            "use comfy_table::Table;",
            1,
            "may see comfy_table",
        );
        fails(
            "src/cli/x.rs",
            "use comfy_table::Table;",
            1,
            "may see comfy_table",
        );
        fails(
            "src/sysfs/mdev.rs",
            "fn f() -> udev::Hwdb",
            1,
            "may see udev",
        );
        fails("src/output/x.rs", "use clap::Args;", 1, "may see clap");
        passes("src/cli/x.rs", "use clap::Args;");
        passes("src/mdevctl/x.rs", "use clap::Args;");
        passes("src/output/x.rs", "use comfy_table::Table;");
        passes("src/sysfs/card.rs", "use udev::Hwdb;");
        passes("src/sysfs/events.rs", "use udev::MonitorBuilder;");
        passes("src/doctor/udev.rs", "mod udev; let udev = 1; // clap");
    }

    #[test]
    fn nothing_panics_on_what_comes_from_outside() {
        let file = "src/ops/x.rs";
        fails(
            file,
            "fn f() {\n    a\n        .unwrap()\n}",
            3,
            "unwrap on what",
        );
        fails(file, "a.expect(\"x\");", 1, "expect on what");
        fails(file, "a.map(Option::unwrap);", 1, "unwrap on what");
        fails(file, "a.unwrap_err();", 1, "unwrap_err on what");
        passes(
            file,
            "#[expect(dead_code, reason = \"x\")]\nlet a = b.unwrap_or_default();",
        );
        passes(
            file,
            "// a.unwrap()\n/* a.unwrap() /* */ b.unwrap() */ let a = \".unwrap()\";",
        );
    }

    #[test]
    fn nothing_prints_or_exits_behind_mains_back() {
        let file = "src/cli/x.rs";
        for name in ["print", "println", "eprint", "eprintln", "dbg"] {
            fails(file, &format!("{name}!(\"x\");"), 1, "panics when nobody");
        }
        fails(file, "std::process::exit(1);", 1, "only main ends");
        fails(file, "use std::process::exit;", 1, "only main ends");
        fails(
            file,
            "use std::process::{self, exit};\nexit(1);",
            2,
            "only main ends",
        );
        fails("src/main.rs", "std::process::exit(1);", 1, "only main ends");
        passes(
            file,
            "writeln!(out, \"println!\"); libc::_exit(0); error.exit_status();",
        );
    }

    #[test]
    fn what_is_for_tests_only_is_left_alone_and_nothing_more() {
        let file = "src/ops/x.rs";
        passes(
            file,
            "fn f() {}\n#[cfg(test)]\nmod tests {\n fn g() { a.unwrap(); }\n}\n",
        );
        passes(file, "#[cfg(test)]\nuse crate::cli;\nfn f() {}");
        let after = "#[cfg(test)]\nmod tests { fn g() { \"}\"; '}'; } }\nfn f() { a.unwrap(); }";
        fails(file, after, 3, "unwrap on what");
        fails(
            file,
            "#[cfg(not(test))]\nfn f() { a.unwrap(); }",
            2,
            "unwrap on what",
        );
    }

    #[test]
    fn lifetimes_characters_and_strings_are_told_apart() {
        let found =
            tokens(r##"fn f<'a>(x: &'a str) -> char { '"'; '\''; '\u{41}'; r#"a"b"#; "c\"d" }"##);
        let texts: Vec<&str> = found
            .iter()
            .filter(|token| token.kind == Kind::Text)
            .map(|token| token.text.as_str())
            .collect();
        assert_eq!(texts, ["a\"b", "c\\\"d"]);
    }
}
