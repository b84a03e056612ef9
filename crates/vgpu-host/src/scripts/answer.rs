//! What scripts answer: their capabilities and the attributes of a device.

use serde_json::{Map, Value, json};

use crate::error::{Error, Kind, Result};
use crate::model::Attr;
use crate::scripts::{Action, Event};

/// The version of the conversation that [`question`] offers.
const VERSION: u32 = 2;

/// What a versioned script says that it can do.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Capabilities {
    actions: Vec<Action>,
    events: Vec<Event>,
    /// Words in its answer that mean nothing here.
    pub unknown: Vec<String>,
}

impl Capabilities {
    /// Whether the script wants to be called for this.
    pub fn cover(&self, event: Event, action: Action) -> bool {
        self.events.contains(&event) && self.actions.contains(&action)
    }
}

/// What a script is given that is asked for its capabilities.
pub(super) fn question() -> String {
    json!({"provides": {
        "version": VERSION,
        "actions": Action::ALL.map(Action::as_str),
        "events": Event::ALL.map(Event::as_str),
    }})
    .to_string()
}

/// Understands a script's capabilities. `None` for every answer of another form, such as that of a
/// script that knows nothing of the question.
pub fn capabilities(output: &[u8]) -> Option<Capabilities> {
    let answer: Value = serde_json::from_slice(without_end(output)).ok()?;
    let supports = answer.get("supports")?;
    supports.get("version")?.as_u64()?;
    let mut found = Capabilities::default();
    for word in words(supports, "actions")? {
        match Action::ALL.into_iter().find(|known| known.as_str() == word) {
            Some(action) => found.actions.push(action),
            None => found.unknown.push(word.to_owned()),
        }
    }
    for word in words(supports, "events")? {
        match Event::ALL.into_iter().find(|known| known.as_str() == word) {
            Some(event) => found.events.push(event),
            None => found.unknown.push(word.to_owned()),
        }
    }
    Some(found)
}

fn words<'a>(supports: &'a Value, key: &str) -> Option<Vec<&'a str>> {
    let list = supports.get(key)?.as_array()?;
    list.iter().map(Value::as_str).collect()
}

/// Understands the attributes that a script tells: an array of objects with one field each. `None`
/// for no output at all, or `null`, which say nothing about attributes. Scripts that put their list
/// together from texts write `[{}]` where they have none.
///
/// # Errors
/// What is wrong with the output; the caller adds which script it is.
pub fn attributes(output: &[u8]) -> Result<Option<Vec<Attr>>> {
    let output = without_end(output);
    if output.iter().all(u8::is_ascii_whitespace) {
        return Ok(None);
    }
    let text = std::str::from_utf8(output).map_err(|_| bad("it is not text (UTF-8)"))?;
    let list = match serde_json::from_str(text) {
        Ok(Value::Array(list)) => list,
        Ok(Value::Null) => return Ok(None),
        Ok(_) => return Err(bad("it is not a JSON array")),
        Err(error) => return Err(bad(&format!("it is not JSON: {error}"))),
    };
    let is_empty = |item: &Value| item.as_object().is_some_and(Map::is_empty);
    if list.iter().all(is_empty) {
        return Ok(Some(Vec::new()));
    }
    list.iter().map(attribute).collect::<Result<_>>().map(Some)
}

fn attribute(value: &Value) -> Result<Attr> {
    let fields = value.as_object().filter(|fields| fields.len() == 1);
    match fields.and_then(|fields| fields.iter().next()) {
        Some((name, Value::String(value))) => {
            Attr::new(name, value).map_err(|error| bad(error.message()))
        }
        _ => Err(bad(
            "it contains an item that is not of the form {\"name\": \"value\"}",
        )),
    }
}

/// The output without the NUL bytes and line ends behind it.
fn without_end(output: &[u8]) -> &[u8] {
    let is_end = |byte: u8| byte == 0 || byte.is_ascii_whitespace();
    let end = output.iter().rposition(|&byte| !is_end(byte));
    &output[..end.map_or(0, |last| last + 1)]
}

fn bad(fault: &str) -> Error {
    let message = format!("invalid attributes from the script: {fault}");
    Error::new(Kind::Failed, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_attributes_are_said_in_many_ways() {
        for text in [
            "[{}]",
            "[{}]\n",
            " [ { } ]\n\n",
            "[{},{}]\0",
            "[{}]\n\0\0",
            "[]",
            "[]\r\n",
        ] {
            assert_eq!(
                attributes(text.as_bytes()),
                Ok(Some(Vec::new())),
                "{text:?}"
            );
        }
        for text in ["", "\n", " \t", "\0", "\0\n", "null", "null\n\0"] {
            assert_eq!(attributes(text.as_bytes()), Ok(None), "{text:?}");
        }
        // Here something was meant, and is lost.
        for text in [
            "{}",
            "[[]]",
            "[null]",
            "[{},{\"a\":\"1\"}]",
            "[{\"a\":\"1\"}]x",
        ] {
            assert!(attributes(text.as_bytes()).is_err(), "{text:?}");
        }
    }
}
