//! A JSON object as it stands in a file: what is not ours in it survives.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::{Map, Value};

/// A JSON object that keeps the order of its keys. A definition has three or four, for which looking
/// from the first to the last is several times faster than a table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Document(Vec<(String, Value)>);

/// As many keys as are looked through one by one where some may be double.
const FEW: usize = 32;

impl Document {
    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<&Value> {
        let found = self.0.iter().find(|(known, _)| known == key);
        found.map(|(_, value)| value)
    }

    /// Its keys and values, in their order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value))
    }

    /// Sets a key, in its place or behind all others.
    pub fn insert(&mut self, key: &str, value: Value) {
        match self.0.iter_mut().find(|(known, _)| known == key) {
            Some((_, place)) => *place = value,
            None => self.0.push((key.to_owned(), value)),
        }
    }

    /// Takes a key out.
    pub fn remove(&mut self, key: &str) {
        self.0.retain(|(known, _)| known != key);
    }

    /// Takes everything out.
    pub fn clear(&mut self) {
        self.0.clear();
    }
}

impl From<Document> for Value {
    fn from(document: Document) -> Value {
        Value::Object(document.0.into_iter().collect())
    }
}

/// Of keys that are there twice, the last counts.
impl FromIterator<(String, Value)> for Document {
    fn from_iter<I: IntoIterator<Item = (String, Value)>>(fields: I) -> Document {
        let fields: Vec<(String, Value)> = fields.into_iter().collect();
        let (first, rest) = fields.split_at(fields.len().min(FEW));
        let is_double = |(at, (key, _)): (usize, &(String, Value))| {
            first[..at].iter().any(|(other, _)| other == key)
        };
        match rest.is_empty() && !first.iter().enumerate().any(is_double) {
            true => Document(fields),
            false => Document(
                fields
                    .into_iter()
                    .collect::<Map<_, _>>()
                    .into_iter()
                    .collect(),
            ),
        }
    }
}

impl<'de> Deserialize<'de> for Document {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Document, D::Error> {
        deserializer.deserialize_map(Fields)
    }
}

struct Fields;

impl<'de> Visitor<'de> for Fields {
    type Value = Document;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Document, A::Error> {
        let mut fields = Vec::with_capacity(4);
        while let Some(field) = map.next_entry()? {
            fields.push(field);
        }
        Ok(fields.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Document {
        serde_json::from_str(text).unwrap()
    }

    fn written(document: Document) -> String {
        Value::from(document).to_string()
    }

    #[test]
    fn keys_stay_in_their_order_and_a_new_one_comes_last() {
        let mut document = read(r#"{"z":1,"a":{"y":2,"b":3},"m":null}"#);
        document.insert("a", Value::Bool(true));
        document.insert("new", Value::Null);
        document.remove("m");
        assert_eq!(written(document), r#"{"z":1,"a":true,"new":null}"#);
    }

    #[test]
    fn of_a_key_that_is_there_twice_the_last_counts_however_many_there_are() {
        assert_eq!(written(read(r#"{"a":1,"b":2,"a":3}"#)), r#"{"a":3,"b":2}"#);
        let more: Vec<String> = (0..100_000).map(|n| format!("\"{n}\":{n}")).collect();
        let text = format!("{{\"7\":0,{}}}", more.join(","));
        let document = read(&text);
        assert_eq!(document.0.len(), 100_000);
        assert_eq!(document.get("7"), Some(&Value::from(7)));
    }
}
