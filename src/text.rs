//! Texts that people write: where something stands in them, which word was meant, what a value is.

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

/// A whole number; nothing for another value, and for a number of more than 63 bits.
pub fn whole(value: &DeValue<'_>) -> Option<i64> {
    let number = value.as_integer()?;
    let digits = number.as_str().replace('_', "");
    i64::from_str_radix(&digits, number.radix()).ok()
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

/// A value as a message shows it: itself where it is short, else its kind with its article.
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
        .map(|word| (distance(&text, &plain(word)), word));
    let (changes, word) = near.min_by_key(|(changes, _)| *changes)?;
    (changes <= word.len().max(text.len()) / 3).then_some(word)
}

/// How many letters have to be put in, taken out, changed, or changed places with their neighbours.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows: Vec<Vec<usize>> = vec![(0..=b.len()).collect()];
    for (at, letter) in a.iter().enumerate() {
        let (row, mut next) = (&rows[at], vec![at + 1]);
        for (column, other) in b.iter().enumerate() {
            let changed = row[column] + usize::from(letter != other);
            let mut least = changed.min(row[column + 1] + 1).min(next[column] + 1);
            if at > 0 && column > 0 && *letter == b[column - 1] && a[at - 1] == *other {
                least = least.min(rows[at - 1][column - 1] + 1);
            }
            next.push(least);
        }
        rows.push(next);
    }
    rows.last()
        .and_then(|row| row.last())
        .copied()
        .unwrap_or_default()
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
    fn a_slip_leads_to_the_word_that_was_meant() {
        let near = |text: &str| nearest(text, ["per-gpu", "count", "names"]);
        assert_eq!(near("per_gpu"), Some("per-gpu"));
        assert_eq!(near("Cuont"), Some("count"));
        assert_eq!(near("colour"), None);
        assert_eq!(near(&"count".repeat(1000)), None);
    }
}
