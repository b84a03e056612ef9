//! Texts that people write: where something stands in them, which word was meant, what a value is,
//! and what of them a terminal must not get.

use std::borrow::Cow;
use std::fmt::Write as _;

use toml::de::DeValue;

/// Longer words are not compared with the known ones.
const LONGEST_SLIP: usize = 64;

/// How many characters of somebody else's text a message shows.
const SHOWN: usize = 60;

/// A text, and where its lines begin.
#[derive(Debug, Clone)]
pub struct Lines<'t> {
    text: &'t str,
    starts: Vec<usize>,
}

impl<'t> Lines<'t> {
    /// The lines of a text.
    pub fn of(text: &'t str) -> Lines<'t> {
        let breaks = text.match_indices('\n').map(|(at, _)| at + 1);
        Lines {
            text,
            starts: breaks.collect(),
        }
    }

    /// The number, from 1, of the line that the byte `at` stands in.
    pub fn number(&self, at: usize) -> usize {
        self.starts.partition_point(|start| *start <= at) + 1
    }

    /// What stands in the line of that byte, without the space around it.
    pub fn words(&self, at: usize) -> &'t str {
        let before = self.starts.partition_point(|start| *start <= at);
        let start = before.checked_sub(1).map_or(0, |last| self.starts[last]);
        let end = self.starts.get(before).copied();
        let line = self.text.get(start..end.unwrap_or(self.text.len()));
        line.unwrap_or_default().trim()
    }
}

/// The beginning of a long text, with a sign that more follows.
pub fn shortened(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

/// What a file, a program or a user said, as a message shows it: in quotes, on one line, and not
/// longer than the message.
pub fn quoted(text: &str) -> String {
    format!("{:?}", shortened(text))
}

/// Whether a character is not seen as what it is: it controls a terminal, ends a line elsewhere than
/// readers think, turns the direction of writing, or shows nothing (Unicode's categories Cc, Cf, Zl
/// and Zp, and what has no width; Unicode Standard Annex 9, Technical Report 36).
pub fn is_hidden(c: char) -> bool {
    match c {
        ' '..='~' => false,
        _ if c.is_control() => true,
        '\u{ad}' | '\u{34f}' | '\u{600}'..='\u{605}' | '\u{61c}' | '\u{6dd}' | '\u{70f}' => true,
        '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}' => true,
        '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' => true,
        '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' => true,
        '\u{fff0}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' => true,
        '\u{e0000}'..='\u{e0fff}' => true,
        _ => false,
    }
}

/// Whether a text has such a character.
pub fn hides_something(text: &str) -> bool {
    let is_plain = |byte: u8| (b' '..=b'~').contains(&byte);
    !text.bytes().all(is_plain) && text.chars().any(is_hidden)
}

/// The text on one line, with what is hidden in it shown as an escape such as `\u{1b}`.
pub fn on_one_line<'t>(text: impl Into<Cow<'t, str>>) -> Cow<'t, str> {
    shown(text.into(), |c| match c {
        '\n' | '\t' | '\r' => Some(' '),
        _ => None,
    })
}

/// As [`on_one_line`], of a text whose lines are meant.
pub fn on_its_lines<'t>(text: impl Into<Cow<'t, str>>) -> Cow<'t, str> {
    shown(text.into(), |c| matches!(c, '\n' | '\t').then_some(c))
}

fn shown<'t>(text: Cow<'t, str>, meant: impl Fn(char) -> Option<char>) -> Cow<'t, str> {
    if !hides_something(&text) {
        return text;
    }
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        match (is_hidden(c), meant(c)) {
            (false, _) => shown.push(c),
            (true, Some(instead)) => shown.push(instead),
            (true, None) => shown.extend(c.escape_unicode()),
        }
    }
    shown.into()
}

/// A message of another program's making, with the texts that it quotes from elsewhere short, and
/// what is hidden in them shown.
pub fn with_short_quotes<'q>(message: String, quoted: impl IntoIterator<Item = &'q str>) -> String {
    quoted.into_iter().fold(message, |message, text| {
        let short = shortened(text);
        match short != text || hides_something(text) {
            true => message.replace(text, &on_one_line(short)),
            false => message,
        }
    })
}

/// A JSON document in which strings say what they hide by JSON's own escapes.
pub fn in_json(document: String) -> String {
    if !hides_something(&document) {
        return document;
    }
    let mut shown = String::with_capacity(document.len());
    for c in document.chars() {
        // Outside strings there are newlines only, inside none.
        if c == '\n' || !is_hidden(c) {
            shown.push(c);
            continue;
        }
        for unit in c.encode_utf16(&mut [0; 2]) {
            let _ = write!(shown, "\\u{unit:04x}");
        }
    }
    shown
}

/// The known word that is most like `text`, where one is like it at all.
pub fn nearest<'w>(text: &str, words: impl IntoIterator<Item = &'w str>) -> Option<&'w str> {
    let plain = |text: &str| text.to_lowercase().replace('-', "_");
    let text = plain(text);
    // No slip is this long; the effort grows with the length.
    if text.len() > LONGEST_SLIP {
        return None;
    }
    let near = words
        .into_iter()
        .map(|word| (strsim::osa_distance(&text, &plain(word)), word));
    let (changes, word) = near.min_by_key(|(changes, _)| *changes)?;
    (changes <= word.len().max(text.len()) / 3).then_some(word)
}

/// A whole number of a TOML file; nothing for another value, and for a number of more than 63 bits.
pub fn whole(value: &DeValue<'_>) -> Option<i64> {
    let number = value.as_integer()?;
    let digits = number.as_str().replace('_', "");
    i64::from_str_radix(&digits, number.radix()).ok()
}

/// A value of a TOML file as a message shows it: itself where it is short, else its kind with its article.
pub fn said(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => quoted(text),
        DeValue::Integer(number) => shortened(&number.to_string()),
        DeValue::Float(number) => shortened(number.as_str()),
        DeValue::Boolean(truth) => truth.to_string(),
        other => format!("{} {}", article(other.type_str()), other.type_str()),
    }
}

fn article(word: &str) -> &'static str {
    match word.starts_with(['a', 'e', 'i', 'o', 'u']) {
        true => "an",
        false => "a",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_in_the_line_that_an_editor_shows() {
        let lines = Lines::of("a\n bc \n\nd");
        for (at, line, words) in [
            (0, 1, "a"),
            (1, 1, "a"),
            (2, 2, "bc"),
            (7, 3, ""),
            (8, 4, "d"),
            (99, 4, "d"),
        ] {
            assert_eq!((lines.number(at), lines.words(at)), (line, words), "{at}");
        }
        assert_eq!(Lines::of("").number(0), 1);
    }

    #[test]
    fn what_others_said_is_shown_on_one_line_and_in_part() {
        assert_eq!(quoted("eight"), r#""eight""#);
        assert_eq!(quoted(""), "\"\"");
        assert_eq!(quoted("a\"b\n\u{1b}[2J\0"), r#""a\"b\n\u{1b}[2J\0""#);
        let (whole, long) = ("ü".repeat(SHOWN), "ü".repeat(SHOWN + 1));
        assert_eq!(quoted(&whole), format!("\"{whole}\""));
        assert_eq!(quoted(&long), format!("\"{whole}…\""));
    }

    #[test]
    fn what_is_hidden_is_shown_and_nothing_else_changes() {
        for plain in ["", "nvidia-63", "é日本 ∑ 🂡", "a\u{301}"] {
            assert!(!hides_something(plain), "{plain}");
            assert_eq!(on_one_line(plain), plain);
            assert_eq!(in_json(plain.to_owned()), plain);
        }
        let text = "a\u{1b}[2J\u{9b}\u{202e}\u{2028}\u{e0041}\n\tb\u{7f}";
        let escapes = "a\\u{1b}[2J\\u{9b}\\u{202e}\\u{2028}\\u{e0041}";
        assert_eq!(on_one_line(text), format!("{escapes}  b\\u{{7f}}"));
        assert_eq!(on_its_lines(text), format!("{escapes}\n\tb\\u{{7f}}"));
    }

    #[test]
    fn json_stays_valid_and_whole() {
        let value = serde_json::json!({ "a": "\u{1b}\u{9b}\u{202e}\u{e0041}\n\u{7f}é\\" });
        for text in [format!("{value}"), format!("{value:#}\n")] {
            let shown = in_json(text);
            assert!(!shown.trim_end().replace('\n', "").chars().any(is_hidden));
            assert_eq!(
                serde_json::from_str::<serde_json::Value>(&shown).unwrap(),
                value
            );
        }
    }

    #[test]
    fn a_slip_leads_to_the_word_that_was_meant() {
        let near = |text: &str| nearest(text, ["per-gpu", "count", "names"]);
        assert_eq!(near("per_gpu"), Some("per-gpu"));
        assert_eq!(near("Cuont"), Some("count"));
        assert_eq!(near("colour"), None);
        assert_eq!(near(&"count".repeat(1000)), None);
    }
}
