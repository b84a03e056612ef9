//! What the words of a YAML text mean to the readers of Kubernetes' programs, which are Go's YAML
//! library in its version 2 and JSON after it: numbers, switches and merge keys as YAML 1.1 has them,
//! and of a key that is set twice the last counts.

use std::collections::HashMap;
use std::rc::Rc;

use super::fault::Faults;
use super::yaml::{self, Item, Node};
use vgpu_host::text::{quoted, shortened};

/// A value and the line that it begins in, from 1.
#[derive(Debug, Clone, PartialEq)]
pub struct Value {
    /// What it is.
    pub kind: Kind,
    /// Its line.
    pub line: usize,
    /// As it is written, where it is a word without quotes.
    plain: Option<Rc<str>>,
}

/// What a value is.
#[derive(Debug, Clone, PartialEq)]
pub enum Kind {
    /// Nothing: `~`, `null`, or no value at all.
    Null,
    /// A switch.
    Truth(bool),
    /// A whole number, also where it is written as 8.0.
    Whole(i64),
    /// Another number.
    Number(f64),
    /// A text.
    Text(Rc<str>),
    /// A sequence.
    List(Vec<Value>),
    /// A mapping, in order, each key once.
    Map(Vec<Entry>),
}

/// One key of a mapping.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// The key, which is a text whatever it is written as: `yes` is `true`.
    pub key: Rc<str>,
    /// Where the key stands.
    pub line: usize,
    /// Its value.
    pub value: Value,
}

/// The first document of a text, as programs read it that want one.
pub fn first_document(text: &str, faults: &mut Faults) -> Option<Value> {
    let documents = yaml::documents(text, true, faults);
    Some(value(documents.first()?, faults))
}

/// All documents of a text.
pub fn documents(text: &str, faults: &mut Faults) -> Vec<Value> {
    let documents = yaml::documents(text, false, faults);
    documents.iter().map(|item| value(item, faults)).collect()
}

fn value(item: &Item, faults: &mut Faults) -> Value {
    let line = item.line;
    let mut plain = None;
    let kind = match &item.node {
        Node::Text(text) => Kind::Text(Rc::clone(text)),
        Node::Plain(word) => {
            plain = Some(Rc::clone(word));
            kind_of(word)
        }
        Node::List(items) => Kind::List(items.iter().map(|item| value(item, faults)).collect()),
        Node::Map(entries) => Kind::Map(mapping(entries, faults)),
    };
    Value { kind, line, plain }
}

/// The entries of a mapping, each key once; merge keys count where they stand.
fn mapping(items: &[(Item, Item)], faults: &mut Faults) -> Vec<Entry> {
    let mut entries = Entries::default();
    entries.all.reserve_exact(items.len());
    for (key, item) in items {
        let line = key.line;
        if matches!(&key.node, Node::Plain(word) if **word == *"<<") {
            merge(value(item, faults), line, &mut entries, faults);
            continue;
        }
        let value = value(item, faults);
        match key_text(&key.node) {
            Some(key) => entries.put(Entry { key, line, value }),
            None => faults.add(line, "a null key"),
        }
    }
    entries.all
}

/// Of several mappings the first counts.
fn merge(from: Value, line: usize, entries: &mut Entries, faults: &mut Faults) {
    match from.kind {
        Kind::Map(merged) => merged.into_iter().for_each(|entry| entries.put(entry)),
        Kind::List(items) if items.iter().all(|item| matches!(item.kind, Kind::Map(_))) => {
            for item in items.into_iter().rev() {
                merge(item, line, entries, faults);
            }
        }
        _ => faults.add(line, "the merge key << takes a mapping or a list of them"),
    }
}

#[derive(Default)]
struct Entries {
    all: Vec<Entry>,
    places: HashMap<Rc<str>, usize>,
}

impl Entries {
    fn put(&mut self, entry: Entry) {
        let next = self.all.len();
        let place = *self.places.entry(Rc::clone(&entry.key)).or_insert(next);
        match self.all.get_mut(place) {
            Some(known) => *known = entry,
            None => self.all.push(entry),
        }
    }
}

fn key_text(node: &Node) -> Option<Rc<str>> {
    match node {
        Node::Text(text) => Some(Rc::clone(text)),
        Node::Plain(word) => match kind_of(word) {
            Kind::Null => None,
            Kind::Truth(truth) => Some(truth.to_string().into()),
            Kind::Whole(number) if !is_float(word) => Some(number.to_string().into()),
            Kind::Whole(number) => Some(float_text(number as f32).into()),
            Kind::Number(number) => Some(float_text(number as f32).into()),
            _ => Some(Rc::clone(word)),
        },
        _ => None,
    }
}

/// Whether a whole number is written as one with a fraction or an exponent.
fn is_float(word: &str) -> bool {
    whole_of(&word.replace('_', "")).is_none()
}

/// A number as Go's `%g` writes it, in the precision that its keys have.
fn float_text(number: f32) -> String {
    /// From here on there is an exponent.
    const LARGEST: i32 = 6;
    if !number.is_finite() {
        return match (number.is_nan(), number > 0.0) {
            (true, _) => ".nan",
            (_, true) => ".inf",
            _ => "-.inf",
        }
        .to_owned();
    }
    let text = format!("{number:e}");
    let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    match exponent.parse::<i32>() {
        Ok(exponent) if !(-4..LARGEST).contains(&exponent) => {
            let sign = if exponent < 0 { '-' } else { '+' };
            format!("{digits}e{sign}{:02}", exponent.unsigned_abs())
        }
        _ => number.to_string(),
    }
}

/// What a word without quotes is.
fn kind_of(word: &Rc<str>) -> Kind {
    match &**word {
        "" | "~" | "null" | "Null" | "NULL" => return Kind::Null,
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => {
            return Kind::Truth(true);
        }
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => {
            return Kind::Truth(false);
        }
        _ => {}
    }
    let lower = word.to_ascii_lowercase();
    let unsigned = lower.trim_start_matches(['+', '-']);
    if lower == ".nan" {
        return Kind::Number(f64::NAN);
    }
    if unsigned == ".inf" {
        return Kind::Number(f64::INFINITY);
    }
    let is_number = word.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | '.'));
    if !is_number {
        return Kind::Text(Rc::clone(word));
    }
    let digits = word.replace('_', "");
    if let Some(whole) = whole_of(&digits) {
        return Kind::Whole(whole);
    }
    // Only numbers that begin with a digit or a sign may have underscores.
    let digits = if word.starts_with('.') {
        &**word
    } else {
        &digits
    };
    let number = Some(digits).filter(|digits| has_float_form(digits));
    let number = number.and_then(|digits| digits.parse::<f64>().ok());
    match number {
        // JSON writes greater ones with an exponent, which makes them none.
        Some(number) if number.fract() == 0.0 && number.abs() < 1e18 => Kind::Whole(number as i64),
        Some(number) if number.is_finite() => Kind::Number(number),
        _ => Kind::Text(Rc::clone(word)),
    }
}

/// A whole number in decimal, or with a prefix; a leading zero makes it octal.
fn whole_of(digits: &str) -> Option<i64> {
    let (sign, bare) = match digits.split_at_checked(1) {
        Some(("-", bare)) => (-1, bare),
        Some(("+", bare)) => (1, bare),
        _ => (1, digits),
    };
    let lower = bare.to_ascii_lowercase();
    let prefixes = [("0x", 16), ("0o", 8), ("0b", 2), ("0", 8), ("", 10)];
    let (rest, base) = prefixes.iter().find_map(|(prefix, base)| {
        let rest = lower.strip_prefix(prefix)?;
        (!rest.is_empty() || prefix.is_empty()).then_some((rest, *base))
    })?;
    if !rest.starts_with(|c: char| c.is_digit(base)) {
        return None;
    }
    i64::from_str_radix(rest, base)
        .ok()
        .map(|number| sign * number)
}

fn has_float_form(text: &str) -> bool {
    let text = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (number, exponent) = match text.find(['e', 'E']) {
        Some(at) => (text.get(..at).unwrap_or_default(), text.get(at + 1..)),
        None => (text, None),
    };
    let are_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let is_some = |text: &str| !text.is_empty() && are_digits(text);
    let is_number = match number.split_once('.') {
        Some((whole, fraction)) => are_digits(whole) && are_digits(fraction) && number.len() > 1,
        None => is_some(number),
    };
    let is_power = |text: &str| is_some(text.strip_prefix(['+', '-']).unwrap_or(text));
    is_number && exponent.is_none_or(is_power)
}

/// Whether readers of YAML differ about a word without quotes, or take it for no text: those of
/// version 1.1 and 1.2, in Python and in Go.
fn has_readings(word: &Rc<str>) -> bool {
    if !matches!(kind_of(word), Kind::Text(_)) {
        return true;
    }
    let digits = word.strip_prefix(['+', '-']).unwrap_or(word);
    // 0000:41:00.0 is 2460.0 in base 60, and a date is one.
    let is_part = |c: char| c.is_ascii_digit() || matches!(c, '_' | '.' | ':' | '-');
    digits.starts_with(|c: char| c.is_ascii_digit()) && digits.chars().all(is_part)
}

impl Value {
    /// A text, in quotes or not.
    pub fn text(&self) -> Option<&str> {
        match &self.kind {
            Kind::Text(text) => Some(text),
            _ => None,
        }
    }

    /// A text that every reader takes for the same; what is wrong with it becomes a fault, where
    /// `what` says what was to be there.
    pub fn sure_text(&self, what: &str, faults: &mut Faults) -> Option<&str> {
        let is_odd = self.plain.as_ref().is_some_and(has_readings);
        match self.text().filter(|_| !is_odd) {
            Some(text) => Some(text),
            None if is_odd && !matches!(self.kind, Kind::Null) => {
                let message = format!(
                    "{what} is expected, and YAML parsers disagree about {0}: quote it, as \"{0}\"",
                    self.shown()
                );
                faults.add(self.line, message);
                None
            }
            None => {
                faults.add(
                    self.line,
                    format!("{what} is expected, not {}", self.shown()),
                );
                None
            }
        }
    }

    /// The value of a mapping's key.
    pub fn get(&self, key: &str) -> Option<&Value> {
        let found = self.entries().iter().find(|entry| *entry.key == *key)?;
        Some(&found.value)
    }

    /// The entries of a mapping; none of anything else.
    pub fn entries(&self) -> &[Entry] {
        match &self.kind {
            Kind::Map(entries) => entries,
            _ => &[],
        }
    }

    /// The items of a list; none of anything else.
    pub fn items(&self) -> &[Value] {
        match &self.kind {
            Kind::List(items) => items,
            _ => &[],
        }
    }

    /// Whether it is a mapping.
    pub fn is_map(&self) -> bool {
        matches!(self.kind, Kind::Map(_))
    }

    /// What it is, for a message.
    pub fn shown(&self) -> String {
        match (&self.kind, &self.plain) {
            (Kind::Null, _) => "nothing".to_owned(),
            (Kind::List(_), _) => "a list".to_owned(),
            (Kind::Map(_), _) => "a mapping".to_owned(),
            (_, Some(word)) => shortened(word),
            (Kind::Text(text), None) => quoted(text),
            (_, None) => "a number".to_owned(),
        }
    }
}
