//! A file of sections and options as oslo.config 10.7 reads it: comments are whole lines and begin
//! in the first column, a value goes on in the lines right after it that begin with white space, the
//! case of a section's name does not matter, and of an option that is set twice the later counts.

use super::super::fault::Faults;
use vgpu_host::text::{quoted, shortened};

/// One option.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// The section that it is in, in lower case.
    pub section: String,
    /// Its name.
    pub key: String,
    /// Its value, lines joined by newlines.
    pub value: String,
    /// Where it begins, from 1.
    pub line: usize,
}

/// The options of a text in order; what its reader does not start with becomes a fault.
pub fn settings(text: &str, faults: &mut Faults) -> Vec<Setting> {
    let mut settings: Vec<Setting> = Vec::new();
    let mut section: Option<String> = None;
    // Only a value right above goes on; one outside of a section is reported once.
    let mut is_open = false;
    for (at, whole) in lines(text).enumerate() {
        let (line, whole) = (at + 1, whole.trim_end_matches(is_blank));
        if whole.is_empty() {
            is_open = false;
        } else if whole.starts_with([' ', '\t']) {
            match settings.last_mut().filter(|_| is_open) {
                Some(last) => {
                    last.value.push('\n');
                    last.value.push_str(whole.trim_start_matches(is_blank));
                }
                None if is_open => {}
                None => faults.add(
                    line,
                    "the line is indented, but there is no value directly above it to continue",
                ),
            }
        } else if whole.starts_with(['#', ';']) {
            is_open = false;
        } else if let Some(name) = whole.strip_prefix('[') {
            is_open = false;
            match name.strip_suffix(']') {
                Some(name) if !name.is_empty() => section = Some(lowered(name)),
                _ => faults.add(
                    line,
                    format!(
                        "a section is written as [name], with nothing after it, not {}",
                        shortened(whole)
                    ),
                ),
            }
        } else {
            is_open = true;
            match (&section, whole.split_once(['=', ':'])) {
                (_, None) => {
                    is_open = false;
                    let message = format!("neither NAME = VALUE nor [section]: {}", quoted(whole));
                    faults.add(line, message);
                }
                (_, Some((key, _))) if key.trim_matches(is_blank).is_empty() => {
                    is_open = false;
                    faults.add(line, "an option without a name");
                }
                (None, _) => faults.add(line, "an option before the first [section]"),
                (Some(section), Some((key, value))) => settings.push(Setting {
                    section: section.clone(),
                    key: key.trim_matches(is_blank).to_owned(),
                    value: unquoted(value.trim_matches(is_blank)).to_owned(),
                    line,
                }),
            }
        }
    }
    settings
}

/// A section's name as it is compared.
pub fn lowered(name: &str) -> String {
    match name {
        "DEFAULT" => name.to_owned(),
        _ => name.to_lowercase(),
    }
}

/// Lines end as Python's universal newlines do.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    let ended = text.split('\n');
    ended.flat_map(|line| line.strip_suffix('\r').unwrap_or(line).split('\r'))
}

/// White space as Python has it.
fn is_blank(c: char) -> bool {
    c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c)
}

/// The first and the last character go where they are the same quote.
fn unquoted(value: &str) -> &str {
    for quote in ['"', '\''] {
        if value == "\"" || value == "'" {
            return "";
        }
        let inner = value
            .strip_prefix(quote)
            .and_then(|value| value.strip_suffix(quote));
        if let Some(inner) = inner {
            return inner;
        }
    }
    value
}

impl Setting {
    /// The items of a list: what is between commas, also over several lines, and as it is.
    pub fn list(&self, faults: &mut Faults) -> Vec<String> {
        let value = self.substituted(faults);
        let value = value.trim_matches(is_blank).trim_end_matches(',');
        match value.is_empty() {
            true => Vec::new(),
            false => value
                .split(',')
                .map(|item| item.trim_matches(is_blank).to_owned())
                .collect(),
        }
    }

    /// A whole number from 1, as Python reads it; none where nothing is there.
    pub fn count(&self, faults: &mut Faults) -> Option<u32> {
        let text = self.substituted(faults);
        let text = text.trim_matches(is_blank);
        let number = python_int(text);
        if number.is_none_or(|number| number == 0) && !text.is_empty() {
            let message = format!(
                "{} must be a whole number from 1, not {}",
                self.key,
                quoted(text)
            );
            faults.add(self.line, message);
        }
        number.filter(|number| *number > 0)
    }

    /// The value after `$$` and `\$`. What `$NAME` stands for is known to the program alone.
    pub fn substituted(&self, faults: &mut Faults) -> String {
        let value = self.value.replace("\\$", "$$");
        let mut rest = value.as_str();
        let mut text = String::with_capacity(value.len());
        while let Some((before, after)) = rest.split_once('$') {
            text += before;
            if let Some(after) = after.strip_prefix('$') {
                text.push('$');
                rest = after;
                continue;
            }
            if let Some(name) = option_named(after) {
                let message = format!(
                    "{} contains ${name}, a reference to another option (the program exits if that option does not exist): write the value itself, or $$ for a $",
                    self.key
                );
                faults.add(self.line, message);
            }
            text.push('$');
            rest = after;
        }
        text + rest
    }
}

/// The option's name at the start of what follows a `$`, with or without braces.
fn option_named(after: &str) -> Option<&str> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.');
    let braced = after
        .strip_prefix('{')
        .and_then(|rest| rest.split_once('}'))
        .map(|(name, _)| name);
    let bare = match after.find(|c: char| !is_part(c)) {
        Some(end) => after.get(..end)?,
        None => after,
    };
    let name = braced.unwrap_or(bare);
    let is_name = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    (is_name && name.chars().all(is_part)).then_some(name)
}

/// Decimal digits, single underscores between them, and a sign before them; more than a number of
/// ours can be is the most.
fn python_int(text: &str) -> Option<u32> {
    let digits = text.strip_prefix('+').unwrap_or(text);
    let groups = digits.split('_');
    let are_digits =
        |group: &str| !group.is_empty() && group.bytes().all(|byte| byte.is_ascii_digit());
    groups
        .clone()
        .all(are_digits)
        .then(|| groups.collect::<String>())
        .map(|digits| digits.parse().unwrap_or(u32::MAX))
}
