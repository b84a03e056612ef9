//! Normalization of pasted lines, regardless of how they were formatted: only significant characters are kept,
//! in lower case and without blanks, so that a message that was wrapped anywhere still matches.

/// A line without blanks and quotes, and the original position of each byte.
#[derive(Debug, Default)]
pub struct Plain {
    /// The normalized line, in lower case.
    pub bytes: Vec<u8>,
    /// For each byte, its position in the original line.
    pub places: Vec<u32>,
    /// For each byte, whether something was removed before it.
    gaps: Vec<bool>,
    gap: bool,
}

/// HTML elements that forums and issue trackers add to logs.
const TAGS: [&str; 27] = [
    "a",
    "b",
    "blockquote",
    "br",
    "code",
    "dd",
    "div",
    "dl",
    "dt",
    "em",
    "font",
    "hr",
    "i",
    "kbd",
    "li",
    "mark",
    "ol",
    "p",
    "pre",
    "samp",
    "small",
    "span",
    "strong",
    "td",
    "tr",
    "tt",
    "ul",
];

/// Longer text is not a tag, so that an accidental `<a ` loses no more than this.
const LONGEST_TAG: usize = 300;

const ENTITIES: [(&str, u8); 12] = [
    ("lt;", b'<'),
    ("gt;", b'>'),
    ("amp;", b'&'),
    ("quot;", b' '),
    ("apos;", b' '),
    ("nbsp;", b' '),
    ("#39;", b' '),
    ("#34;", b' '),
    ("#x27;", b' '),
    ("#x2f;", b'/'),
    ("#47;", b'/'),
    ("#10;", b' '),
];

impl Plain {
    /// Normalizes `line`, reusing the memory of the previous one.
    pub fn read(&mut self, line: &[u8]) {
        self.bytes.clear();
        self.places.clear();
        self.gaps.clear();
        self.gap = true;
        let is_json = line.contains(&b'"') && (has(line, b"\":") || has(line, b"\\\":"));
        let mut at = quotation(line);
        while let Some(byte) = line.get(at) {
            at += self.take(*byte, at, &line[at + 1..], is_json);
        }
    }

    /// Processes one byte, or the mark-up that begins with it; returns the number of bytes.
    fn take(&mut self, byte: u8, at: usize, rest: &[u8], is_json: bool) -> usize {
        match byte {
            0 => 1,
            // A star usually marks bold type, and is the wildcard of patterns.
            b' ' | b'\t' | b'\r' | b'\n' | b'\'' | b'"' | b'`' | b'*' | 0x0b | 0x0c => {
                self.leave(1)
            }
            0x1b => self.leave(1 + escape_length(rest)),
            b'^' if rest.starts_with(b"[[") => self.leave(2 + escape_length(&rest[1..])),
            b'#' if rest.starts_with(b"033") => self.leave(4 + escape_length(&rest[3..])),
            b'#' if rest.starts_with(b"01") && rest.get(2).is_some_and(u8::is_ascii_digit) => {
                self.leave(4)
            }
            b'&' => self.entity(at, rest),
            b'<' => match tag_length(rest) {
                Some(length) => self.leave(1 + length),
                None => self.keep(byte, at),
            },
            b'\\' => self.backslash(at, rest, is_json),
            0xc2 if rest.first() == Some(&0xa0) => self.leave(2),
            0xe2 | 0xef => self.wide(byte, at, rest),
            _ => self.keep(byte.to_ascii_lowercase(), at),
        }
    }

    fn keep(&mut self, byte: u8, at: usize) -> usize {
        self.bytes.push(byte);
        // Pieces of a line are far shorter than 4 GiB.
        self.places.push(at as u32);
        self.gaps.push(self.gap);
        self.gap = false;
        1
    }

    fn leave(&mut self, length: usize) -> usize {
        self.gap = true;
        length
    }

    fn entity(&mut self, at: usize, rest: &[u8]) -> usize {
        match ENTITIES.iter().find(|(name, _)| starts_with(rest, name)) {
            Some((name, b' ')) => self.leave(1 + name.len()),
            Some((name, byte)) => {
                self.keep(*byte, at);
                1 + name.len()
            }
            None => self.keep(b'&', at),
        }
    }

    /// In JSON, a backslash begins an escape; elsewhere only before a quote.
    fn backslash(&mut self, at: usize, rest: &[u8], is_json: bool) -> usize {
        match rest.first() {
            Some(b'"' | b'\'') => self.leave(2),
            Some(b'\\') => {
                self.keep(b'\\', at);
                2
            }
            Some(b'n' | b'r' | b't') if is_json => self.leave(2),
            Some(b'u') if is_json && rest.len() >= 5 => {
                let code = std::str::from_utf8(&rest[1..5]).unwrap_or_default();
                match u8::from_str_radix(code, 16) {
                    Ok(byte) if byte.is_ascii_graphic() => {
                        self.keep(byte.to_ascii_lowercase(), at);
                        6
                    }
                    _ => self.leave(6),
                }
            }
            _ => self.keep(b'\\', at),
        }
    }

    /// Typographic quotes, dashes and blanks in UTF-8.
    fn wide(&mut self, byte: u8, at: usize, rest: &[u8]) -> usize {
        match (byte, rest) {
            (0xe2, [0x80, 0x93 | 0x94 | 0x91, ..]) => {
                self.keep(b'-', at);
                3
            }
            (0xe2, [0x80, ..]) if rest.len() >= 2 => self.leave(3),
            (0xef, [0xbb, 0xbf, ..]) => 3,
            // Full-width forms of ASCII, used for punctuation in Chinese and Japanese text.
            (0xef, [0xbc, low @ 0x81..=0xbf, ..]) => {
                self.keep((low - 0x60).to_ascii_lowercase(), at);
                3
            }
            _ => self.keep(byte, at),
        }
    }

    /// Whether there is no letter or digit directly before the byte with this index.
    pub fn begins_word(&self, index: usize) -> bool {
        index == 0 || self.gaps[index] || !self.bytes[index - 1].is_ascii_alphanumeric()
    }

    /// Whether there is no letter or digit directly after the byte with this index.
    pub fn ends_word(&self, index: usize) -> bool {
        match self.bytes.get(index + 1) {
            None => true,
            Some(next) => self.gaps[index + 1] || !next.is_ascii_alphanumeric(),
        }
    }
}

/// Length of the prefix that marks a quotation, table, or list item, such as line numbers added by pages that
/// show pasted text.
fn quotation(line: &[u8]) -> usize {
    let is_mark = |byte: &&u8| matches!(byte, b'>' | b'|' | b' ' | b'\t' | 0);
    let mut length = 0;
    loop {
        let before = length;
        length += line[length..].iter().take_while(is_mark).count();
        let rest = &line[length..];
        let digits = rest.iter().take_while(|b| b.is_ascii_digit()).count();
        if rest.first() == Some(&0x1b) {
            length += 1 + escape_length(&rest[1..]);
        } else if starts_with(rest, "&gt;") {
            length += 4;
        } else if rest.starts_with(b"- ") {
            length += 2;
        } else if (1..=5).contains(&digits) && rest[digits..].starts_with(b". ") {
            length += digits + 2;
        } else if length == before {
            return length;
        }
    }
}

/// Whether this line continues the previous one: nothing at its beginning indicates a new
/// message.
pub fn goes_on(line: &[u8]) -> bool {
    let begin = quotation(line);
    let text = line[begin..]
        .iter()
        .filter(|byte| byte.is_ascii_graphic() || **byte == b' ');
    let head: Vec<u8> = text.copied().take(40).collect();
    let head = head.to_ascii_lowercase();
    let words = head.split(|byte| byte.is_ascii_whitespace());
    let mut words = words.filter(|word| !word.is_empty());
    let mut next = || words.next().unwrap_or_default();
    let mut first = next();
    if DAYS.iter().any(|day| first == day.as_bytes()) {
        first = next();
    }
    let second = next();
    let digits = |word: &[u8]| word.iter().filter(|byte| byte.is_ascii_digit()).count();
    let is_month = MONTHS
        .iter()
        .any(|month| first.len() <= month.len() + 1 && first.starts_with(month.as_bytes()));
    let in_brackets = first.strip_prefix(b"[").unwrap_or_default();
    let is_kernel = first.starts_with(b"[")
        && in_brackets
            .iter()
            .all(|b| b.is_ascii_digit() || b".]:,-+t".contains(b))
        && digits(first) + digits(second) >= 3;
    let is_word_of_program = matches!(first, b"$" | b"#" | b"+") || first.contains(&b'@');
    let is_structured = [&b"{\""[..], b"time=", b"level=", b"ts="]
        .iter()
        .any(|begin| first.starts_with(begin));
    let is_dated = is_month && digits(second) > 0 || is_time(first) || is_date(first);
    let begins = first.is_empty() || is_dated || is_kernel || is_word_of_program || is_structured;
    !begins
}

/// `12:13:14...`, which neither PCI addresses nor UUIDs begin with.
fn is_time(word: &[u8]) -> bool {
    let shape = |index: usize, is: fn(&u8) -> bool| word.get(index).is_some_and(is);
    let colon = |b: &u8| *b == b':';
    let digit = u8::is_ascii_digit;
    let short = usize::from(shape(1, colon));
    shape(0, digit)
        && (short == 1 || shape(1, digit))
        && shape(2 - short, colon)
        && shape(3 - short, digit)
        && shape(4 - short, digit)
        && shape(5 - short, colon)
}

/// `2024-01-31...` or `2024/01/31...`.
fn is_date(word: &[u8]) -> bool {
    let separator = |index: usize| word.get(index).is_some_and(|b| matches!(b, b'-' | b'/'));
    (word.starts_with(b"19") || word.starts_with(b"20")) && separator(4) && separator(7)
}

const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

const MONTHS: [&str; 12] = [
    "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
];

fn has(line: &[u8], part: &[u8]) -> bool {
    line.windows(part.len()).any(|window| window == part)
}

fn starts_with(text: &[u8], lower: &str) -> bool {
    text.get(..lower.len())
        .is_some_and(|begin| begin.eq_ignore_ascii_case(lower.as_bytes()))
}

/// The rest of a terminal's control sequence after ESC.
fn escape_length(rest: &[u8]) -> usize {
    match rest.first() {
        Some(b'[') => {
            let body = rest[1..].iter().take(32);
            let length = body.take_while(|b| !(0x40..=0x7e).contains(*b)).count();
            (2 + length).min(rest.len())
        }
        _ => 0,
    }
}

/// The rest of an HTML tag after its `<`; `None` if it is not a tag, as in `vfio-<bus>`.
fn tag_length(rest: &[u8]) -> Option<usize> {
    let slash = usize::from(rest.first() == Some(&b'/'));
    let name = &rest[slash..];
    let length = name
        .iter()
        .take_while(|b| b.is_ascii_alphanumeric())
        .count();
    let name = std::str::from_utf8(&name[..length])
        .ok()?
        .to_ascii_lowercase();
    if !TAGS.contains(&name.as_str()) {
        return None;
    }
    let end = rest.iter().take(LONGEST_TAG).position(|b| *b == b'>')?;
    Some(end + 1)
}
