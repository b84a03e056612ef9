//! A JSON object as it stands in a file: what is not ours in it survives.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::{Map, Value};

/// A JSON object that keeps the order of its keys. One that was read stays a text until somebody asks
/// for what is in it: most commands need no more of a definition than what it means.
#[derive(Debug, Clone)]
pub struct Document(Form);

#[derive(Debug, Clone)]
enum Form {
    Text(Arc<str>),
    Fields(Fields),
}

/// A definition has three or four keys, for which looking from the first to the last is several times
/// faster than a table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Fields(Vec<(String, Value)>);

/// As many keys as are looked through one by one where some may be double.
const FEW: usize = 32;

impl Document {
    /// The object that a text is. One that is none counts as an empty object: whoever reads a
    /// file finds that out beforehand.
    pub fn of(text: &str) -> Document {
        Document(Form::Text(text.into()))
    }

    fn fields(&self) -> Cow<'_, Fields> {
        match &self.0 {
            Form::Text(text) => Cow::Owned(serde_json::from_str(text).unwrap_or_default()),
            Form::Fields(fields) => Cow::Borrowed(fields),
        }
    }

    fn change(&mut self, change: impl FnOnce(&mut Vec<(String, Value)>)) {
        let mut fields = self.fields().into_owned();
        change(&mut fields.0);
        self.0 = Form::Fields(fields);
    }

    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<Value> {
        let fields = self.fields();
        let found = fields.0.iter().find(|(known, _)| known == key);
        found.map(|(_, value)| value.clone())
    }

    /// Sets a key, in its place or behind all others.
    pub fn insert(&mut self, key: &str, value: Value) {
        self.change(
            |fields| match fields.iter_mut().find(|(known, _)| known == key) {
                Some((_, place)) => *place = value,
                None => fields.push((key.to_owned(), value)),
            },
        );
    }

    /// Takes a key out.
    pub fn remove(&mut self, key: &str) {
        self.change(|fields| fields.retain(|(known, _)| known != key));
    }

    /// Takes everything out.
    pub fn clear(&mut self) {
        *self = Document::default();
    }
}

impl Default for Document {
    fn default() -> Document {
        Document(Form::Fields(Fields::default()))
    }
}

/// Documents are the same where their keys and values are, in the same order.
impl PartialEq for Document {
    fn eq(&self, other: &Document) -> bool {
        self.fields() == other.fields()
    }
}

impl Eq for Document {}

impl From<Document> for Value {
    fn from(document: Document) -> Value {
        Value::Object(document.fields().into_owned().0.into_iter().collect())
    }
}

/// Of keys that are there twice, the last counts.
impl From<Vec<(String, Value)>> for Fields {
    fn from(fields: Vec<(String, Value)>) -> Fields {
        let (first, rest) = fields.split_at(fields.len().min(FEW));
        let is_double = |(at, (key, _)): (usize, &(String, Value))| {
            first[..at].iter().any(|(other, _)| other == key)
        };
        match rest.is_empty() && !first.iter().enumerate().any(is_double) {
            true => Fields(fields),
            false => {
                let table: Map<String, Value> = fields.into_iter().collect();
                Fields(table.into_iter().collect())
            }
        }
    }
}

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Fields, D::Error> {
        deserializer.deserialize_map(Reader)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Fields;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields, A::Error> {
        let mut fields = Vec::with_capacity(4);
        while let Some(field) = map.next_entry()? {
            fields.push(field);
        }
        Ok(fields.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Document {
        assert!(serde_json::from_str::<Fields>(text).is_ok());
        Document::of(text)
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
    fn documents_are_the_same_however_they_came_about() {
        let mut made = Document::default();
        made.insert("a", Value::from(1));
        made.insert("b", Value::Null);
        assert_eq!(made, read(r#"{"a":1, "b":null}"#));
        assert_ne!(made, read(r#"{"b":null,"a":1}"#));
        made.clear();
        assert_eq!(made, read("{}"));
    }

    #[test]
    fn of_a_key_that_is_there_twice_the_last_counts_however_many_there_are() {
        assert_eq!(written(read(r#"{"a":1,"b":2,"a":3}"#)), r#"{"a":3,"b":2}"#);
        let more: Vec<String> = (0..100_000).map(|n| format!("\"{n}\":{n}")).collect();
        let text = format!("{{\"7\":0,{}}}", more.join(","));
        let document = read(&text);
        assert_eq!(document.get("7"), Some(Value::from(7)));
        let Value::Object(fields) = Value::from(document) else {
            panic!("no object");
        };
        assert_eq!(fields.len(), 100_000);
    }
}
