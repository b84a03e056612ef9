//! A file of sections and options as oslo.config reads it: comments are whole lines, a value goes on
//! in the lines after it that begin with white space, and of an option that is there twice the later
//! one counts.

use super::super::fault::Faults;
use crate::text::quoted;

/// One option.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// The section that it is in.
    pub section: String,
    /// Its name.
    pub key: String,
    /// Its value, lines joined by newlines.
    pub value: String,
    /// Where it begins, from 1.
    pub line: usize,
}

/// The options of a text in order; what cannot be one becomes a fault.
pub fn settings(text: &str, faults: &mut Faults) -> Vec<Setting> {
    let mut settings: Vec<Setting> = Vec::new();
    let mut section: Option<&str> = None;
    // Only a value right above goes on.
    let mut is_open = false;
    for (at, whole) in text.lines().enumerate() {
        let (line, words) = (at + 1, whole.trim());
        if words.is_empty() {
            is_open = false;
        } else if whole.starts_with(['#', ';']) {
            continue;
        } else if whole.starts_with([' ', '\t']) {
            match settings.last_mut().filter(|_| is_open) {
                Some(last) => {
                    last.value.push('\n');
                    last.value.push_str(words);
                }
                None if words.starts_with(['#', ';']) => {}
                None => faults.add(
                    line,
                    "the line goes on with nothing: it begins with white space",
                ),
            }
        } else if let Some(name) = words.strip_prefix('[') {
            is_open = false;
            match name.strip_suffix(']') {
                Some(name) if !name.is_empty() => section = Some(name),
                _ => faults.add(line, "a section is written as [name]"),
            }
        } else {
            is_open = false;
            match (section, words.split_once(['=', ':'])) {
                (Some(section), Some((key, value))) => {
                    is_open = true;
                    settings.push(Setting {
                        section: section.to_owned(),
                        key: key.trim().to_owned(),
                        value: value.trim().to_owned(),
                        line,
                    });
                }
                (None, _) => faults.add(line, "an option before the first [section]"),
                (_, None) => {
                    let message = format!("neither NAME = VALUE nor [section]: {}", quoted(words));
                    faults.add(line, message);
                }
            }
        }
    }
    settings
}

impl Setting {
    /// The items of a list, without the quotes that some write.
    pub fn list(&self) -> Vec<&str> {
        let value = self.value.trim();
        let inner = value
            .strip_prefix('[')
            .and_then(|value| value.strip_suffix(']'));
        let items = inner.unwrap_or(value).split([',', '\n']);
        let items = items.map(|item| item.trim().trim_matches(['"', '\'']).trim());
        items.filter(|item| !item.is_empty()).collect()
    }
}
