//! A TOML file of vgpu_unlock-rs, judged by its own reader and told with lines.

use std::borrow::Cow;
use std::path::Path;

use nix::errno::Errno;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::unlock_reads::Refusal;
use super::{Facts, Finding, Severity};
use crate::text::{Lines, nearest, quoted, shortened};

/// A key as it stands in a file.
pub type Name<'t> = Spanned<Cow<'t, str>>;

/// A file of settings, and its lines.
pub struct File<'t> {
    path: &'t Path,
    lines: Lines<'t>,
}

impl File<'_> {
    /// What stands in the line of a place.
    fn words(&self, at: usize) -> String {
        let (line, words) = (self.lines.number(at), self.lines.words(at));
        format!("line {line}: {}", shortened(words))
    }

    /// A finding about that place.
    pub fn at(&self, severity: Severity, at: usize, message: String) -> Finding {
        let finding = match severity {
            Severity::Problem => Finding::problem(message),
            Severity::Warning => Finding::warning(message),
            _ => Finding::note(message),
        };
        finding.seen(self.path, self.words(at))
    }

    /// A table or key that nobody reads.
    pub fn unknown(&self, name: &Name<'_>, known: &[&str], what: &str) -> Finding {
        let meant = match nearest(name.get_ref(), known.iter().copied()) {
            Some(word) => format!("; did you mean {word}?"),
            None => String::new(),
        };
        let message = format!(
            "the {what} {} is not known, and ignored without a word{meant}",
            quoted(name.get_ref())
        );
        self.at(Severity::Warning, name.span().start, message)
    }
}

/// What is found in a file.
#[derive(Default)]
pub struct Judged {
    /// What makes its reader refuse the whole of it.
    pub refused: Vec<Finding>,
    /// What it takes, and what is of no use all the same.
    pub taken: Vec<Finding>,
}

/// How a file is read, and what comes of it.
pub struct Reader {
    /// The verdict of vgpu_unlock-rs.
    pub refuses: fn(&str) -> Option<Refusal>,
    /// What follows where it refuses the file.
    pub therefore: &'static str,
    /// How bad it is that the file cannot be read at all, or is no text, and what follows.
    pub unread: (Severity, &'static str),
}

/// Reads and judges a file; nothing where it is not there.
pub fn lint(
    facts: &Facts<'_>,
    path: &Path,
    reader: &Reader,
    judge: impl Fn(&File<'_>, &DeTable<'_>) -> Judged,
) -> Vec<Finding> {
    let name = path
        .file_name()
        .and_then(|name| name.to_str())
        .unwrap_or_default();
    let bytes = match facts.look.bytes(path) {
        Ok(Some(bytes)) => bytes,
        Ok(None) => return Vec::new(),
        Err(error) if error.errno() == Some(Errno::EISDIR) => {
            return vec![unread(facts, reader, path, name, "is a directory", "")];
        }
        Err(error) => return vec![Finding::unreadable(&error)],
    };
    let text = match String::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => {
            let at = error.utf8_error().valid_up_to();
            let before = error.as_bytes().get(..at).unwrap_or_default();
            let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
            let line = format!("line {line}");
            return vec![unread(
                facts,
                reader,
                path,
                name,
                "is no text in UTF-8",
                &line,
            )];
        }
    };
    let file = File {
        path,
        lines: Lines::of(&text),
    };
    let refusal = (reader.refuses)(&text);
    let judged = match (DeTable::parse(&text), &refusal) {
        (Ok(table), _) => judge(&file, table.get_ref()),
        (Err(error), Some(_)) => {
            let at = error.span().map_or(0, |span| span.start);
            let message = format!(
                "{name} is not TOML ({}): {}",
                error.message(),
                reader.therefore
            );
            Judged {
                refused: vec![file.at(Severity::Problem, at, message)],
                taken: Vec::new(),
            }
        }
        (Err(error), None) => {
            let at = error.span().map_or(0, |span| span.start);
            let message = format!(
                "{name} is taken by the unlock of today, and is not TOML ({})",
                error.message()
            );
            Judged {
                refused: Vec::new(),
                taken: vec![file.at(Severity::Warning, at, message)],
            }
        }
    };
    told(facts, &file, name, reader, refusal, judged)
}

/// The findings in order; its reader has the last word on what is refused.
fn told(
    facts: &Facts<'_>,
    file: &File<'_>,
    name: &str,
    reader: &Reader,
    refusal: Option<Refusal>,
    judged: Judged,
) -> Vec<Finding> {
    let mut found = match refusal {
        Some(_) if !judged.refused.is_empty() => judged.refused,
        Some(refusal) => {
            let message = format!(
                "{name} is refused by the unlock, which reads TOML 1.0 ({}): {}",
                shortened(&refusal.message),
                reader.therefore
            );
            vec![file.at(Severity::Problem, refusal.at, message)]
        }
        None => Vec::new(),
    };
    found.extend(judged.taken);
    found.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    let is_fine = found.iter().all(|f| f.severity < Severity::Warning);
    let mended = |finding: Finding| match finding.severity {
        Severity::Note => finding,
        _ => finding.advise(edit(facts, file.path)),
    };
    let mut found: Vec<Finding> = found.into_iter().map(mended).collect();
    if is_fine {
        let message = format!("{name} is as the unlock wants it");
        found.insert(0, Finding::ok(message).seen(file.path, "present"));
    }
    found
}

fn unread(
    facts: &Facts<'_>,
    reader: &Reader,
    path: &Path,
    name: &str,
    why: &str,
    place: &str,
) -> Finding {
    let (severity, therefore) = reader.unread;
    let message = format!("{name} {why}: {therefore}");
    let finding = match severity {
        Severity::Problem => Finding::problem(message),
        _ => Finding::warning(message),
    };
    let place = match place {
        "" => why,
        place => place,
    };
    finding.seen(path, place).advise(edit(facts, path))
}

fn edit(facts: &Facts<'_>, path: &Path) -> String {
    format!("mend {}", facts.look.host.own_name(path).display())
}

/// A value's table, if it is one.
pub fn table<'v, 't>(value: &'v Spanned<DeValue<'t>>) -> Option<&'v DeTable<'t>> {
    value.get_ref().as_table()
}
