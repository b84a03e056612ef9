//! A TOML file of vgpu_unlock-rs, judged by its own reader and told with lines.

use std::borrow::Cow;
use std::path::Path;

use nix::errno::Errno;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::facts::settings::File as Settings;
use super::unlock_reads::refusal;
use super::{Facts, Finding, Severity};
use vgpu_host::text::{Lines, nearest, quoted, shortened};

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
        Finding::new(severity, message).seen(self.path, self.words(at))
    }

    /// A table or key that nobody reads.
    pub fn unknown(&self, name: &Name<'_>, known: &[&str], what: &str) -> Finding {
        let meant = match nearest(name.get_ref(), known.iter().copied()) {
            Some(word) => format!("; did you mean {word}?"),
            None => String::new(),
        };
        let message = format!(
            "unknown {what} {}, silently ignored{meant}",
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
    /// What follows where it refuses the file.
    pub therefore: &'static str,
    /// How bad it is that the file cannot be read at all, or is no text, and what follows.
    pub unread: (Severity, &'static str),
}

/// Judges a file; nothing where it is not there.
pub fn lint(
    facts: &Facts<'_>,
    Settings { path, bytes }: &Settings,
    reader: &Reader,
    judge: impl Fn(&File<'_>, &DeTable<'_>) -> Judged,
) -> Vec<Finding> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let unread = |why: &str, place: &str| {
        let (severity, therefore) = reader.unread;
        Finding::new(severity, format!("{name} {why}: {therefore}"))
            .seen(path, place)
            .advise(mend(facts, path))
            .into()
    };
    let bytes = match bytes {
        Ok(Some(bytes)) => bytes,
        Ok(None) => return Vec::new(),
        Err(error) if error.errno() == Some(Errno::EISDIR) => {
            return unread("is a directory", "is a directory");
        }
        Err(error) => return Finding::unreadable(error).into(),
    };
    let text = match str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => {
            let before = bytes.iter().take(error.valid_up_to());
            let line = before.filter(|byte| **byte == b'\n').count() + 1;
            return unread("is not valid UTF-8", &format!("line {line}"));
        }
    };
    let file = File {
        path,
        lines: Lines::of(text),
    };
    let refusal = refusal(text);
    let mut judged = match (DeTable::parse(text), &refusal) {
        (Ok(table), _) => judge(&file, table.get_ref()),
        (Err(error), _) => {
            let at = error.span().map_or(0, |span| span.start);
            let (error, therefore) = (error.message(), reader.therefore);
            let refused = || {
                let message = format!("{name} is not valid TOML ({error}): {therefore}");
                file.at(Severity::Problem, at, message)
            };
            let taken = || {
                let message = format!(
                    "{name} is accepted by the current unlock, but is not valid TOML ({error})"
                );
                file.at(Severity::Warning, at, message)
            };
            match refusal {
                Some(_) => Judged {
                    refused: vec![refused()],
                    taken: Vec::new(),
                },
                None => Judged {
                    refused: Vec::new(),
                    taken: vec![taken()],
                },
            }
        }
    };
    // Its reader has the last word on what is refused.
    if let (Some(refusal), true) = (refusal, judged.refused.is_empty()) {
        let message = format!(
            "{name} is rejected by the unlock, which reads TOML 1.0 ({}): {}",
            shortened(&refusal.message),
            reader.therefore
        );
        judged
            .refused
            .push(file.at(Severity::Problem, refusal.at, message));
    }
    told(facts, &file, &name, judged)
}

/// The findings, the worst first.
fn told(facts: &Facts<'_>, file: &File<'_>, name: &str, judged: Judged) -> Vec<Finding> {
    let mut found = judged.refused;
    found.extend(judged.taken);
    found.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    let is_fine = found.iter().all(|f| f.severity < Severity::Warning);
    let ok = is_fine.then(|| {
        let message = format!("{name} is valid for the unlock");
        Finding::ok(message).seen(file.path, "present")
    });
    let mended = found.into_iter().map(|finding| match finding.severity {
        Severity::Note => finding,
        _ => finding.advise(mend(facts, file.path)),
    });
    ok.into_iter().chain(mended).collect()
}

fn mend(facts: &Facts<'_>, path: &Path) -> String {
    format!("fix {}", facts.host.own_name(path).display())
}

/// A value's table, if it is one.
pub fn table<'v, 't>(value: &'v Spanned<DeValue<'t>>) -> Option<&'v DeTable<'t>> {
    value.get_ref().as_table()
}
