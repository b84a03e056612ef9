//! Strict access to what a TOML file holds: each slip becomes a fault with its line.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::fault::Faults;
use vgpu_host::text::{Lines, nearest, quoted, said, whole};

/// A value and where it stands.
pub type Value<'t> = Spanned<DeValue<'t>>;

/// A file that is being read, and what was wrong with it so far.
pub struct Reader<'t> {
    lines: Lines<'t>,
    /// What is wrong with it.
    pub faults: Faults,
    /// What is to be told of it.
    pub notes: Vec<String>,
}

/// The value of a key.
pub fn get<'v, 't>(table: &'v DeTable<'t>, key: &str) -> Option<&'v Value<'t>> {
    let found = table.iter().find(|(known, _)| known.get_ref() == key);
    found.map(|(_, value)| value)
}

impl<'t> Reader<'t> {
    /// Begins with a text.
    pub fn of(text: &'t str) -> Reader<'t> {
        Reader {
            lines: Lines::of(text),
            faults: Faults::default(),
            notes: Vec::new(),
        }
    }

    /// The line that something begins in, from 1.
    pub fn line(&self, span: Range<usize>) -> usize {
        self.lines.number(span.start)
    }

    /// One more fault.
    pub fn fault(&mut self, span: Range<usize>, message: impl Into<String>) {
        self.faults.add(self.line(span), message);
    }

    /// Refuses keys that are none of these.
    pub fn only(&mut self, table: &DeTable<'_>, place: &str, known: &[&str]) {
        for (key, _) in table {
            let name = key.get_ref().as_ref();
            if known.contains(&name) {
                continue;
            }
            let next = match nearest(name, known.iter().copied()) {
                Some(word) => format!("did you mean {word}?"),
                None => format!("it takes {}", known.join(", ")),
            };
            let message = format!("{place} has no key {}; {next}", quoted(name));
            self.fault(key.span(), message);
        }
    }

    /// A value that must be a text without control characters.
    pub fn text<'v>(&mut self, what: &str, value: &'v Value<'t>) -> Option<&'v str> {
        let fault = match value.get_ref().as_str() {
            None => format!("not {}", said(value.get_ref())),
            Some(text) => match text_fault(text) {
                Some(fault) => fault,
                None => return Some(text),
            },
        };
        self.fault(value.span(), format!("{what} takes a string, {fault}"));
        None
    }

    /// A value that must be one of these words.
    pub fn word<T: Copy>(
        &mut self,
        what: &str,
        value: &Value<'t>,
        words: &[(&str, T)],
    ) -> Option<T> {
        let given = value.get_ref().as_str();
        let found = words.iter().find(|(word, _)| given == Some(word));
        if found.is_none() {
            let known: Vec<String> = words.iter().map(|(word, _)| format!("{word:?}")).collect();
            let known = known.join(" or ");
            self.fault(
                value.span(),
                format!("{what} takes {known}, not {}", said(value.get_ref())),
            );
        }
        found.map(|(_, meaning)| *meaning)
    }

    /// A value that must be a whole number from 0 to `most`.
    pub fn number(&mut self, what: &str, value: &Value<'t>, most: u32) -> Option<u32> {
        let number = whole(value.get_ref()).and_then(|number| u32::try_from(number).ok());
        let number = number.filter(|number| *number <= most);
        if number.is_none() {
            let message = format!(
                "{what} takes a whole number from 0 to {most}, not {}",
                said(value.get_ref())
            );
            self.fault(value.span(), message);
        }
        number
    }

    /// A value that must be a list of something.
    pub fn list<'v>(
        &mut self,
        what: &str,
        example: &str,
        value: &'v Value<'t>,
    ) -> Option<Vec<&'v Value<'t>>> {
        let items = value.get_ref().as_array();
        if items.is_none() {
            let message = format!(
                "{what} takes a list such as {example}, not {}",
                said(value.get_ref())
            );
            self.fault(value.span(), message);
        }
        items.map(|items| items.iter().collect())
    }

    /// A value that must be a table.
    pub fn table<'v>(
        &mut self,
        what: &str,
        example: &str,
        value: &'v Value<'t>,
    ) -> Option<&'v DeTable<'t>> {
        let table = value.get_ref().as_table();
        if table.is_none() {
            let message = format!(
                "{what} takes a table such as {example}, not {}",
                said(value.get_ref())
            );
            self.fault(value.span(), message);
        }
        table
    }
}

/// The longest text that a value may be, in bytes.
const LONGEST: usize = 240;

/// Why a text cannot be a value, of an importer's neither; nothing where it can.
pub fn text_fault(text: &str) -> Option<String> {
    if text.is_empty() {
        Some("not an empty string".to_owned())
    } else if text.len() > LONGEST {
        Some(format!("not one of {} bytes", text.len()))
    } else if text.chars().any(char::is_control) {
        Some("not one with control characters".to_owned())
    } else {
        None
    }
}
