//! A definition as JSON, in mdevctl's form; keys of other programs survive.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::error::{Error, Kind, Result};
use crate::model::{Attr, Definition, Document, FrameworkKind, ParentId, StartMode};
use crate::text::shortened;

use super::Location;

/// The keys of a definition that mean something to this program.
const TYPE: &str = "mdev_type";
const START: &str = "start";
const ATTRS: &str = "attrs";
/// The address of a virtual function; only in definitions for those.
const VF: &str = "vf";

/// Understands the text of a definition of a mediated device.
///
/// # Errors
/// As [`parse_at`].
pub fn parse(parent: ParentId, uuid: Uuid, bytes: &[u8]) -> Result<Definition> {
    let framework = FrameworkKind::Mdev;
    let at = Location {
        framework,
        parent,
        uuid,
    };
    parse_at(at, bytes)
}

/// Understands the text of a definition in its place; on a virtual function it may say on which.
///
/// # Errors
/// [`Kind::Failed`], saying which part is wrong; the caller adds the path.
pub fn parse_at(at: Location, bytes: &[u8]) -> Result<Definition> {
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Err(bad("it is empty"));
    }
    let text = str::from_utf8(bytes).map_err(|_| no_document(bytes))?;
    let document: Document = serde_json::from_str(text).map_err(|_| no_document(bytes))?;
    let type_id = match document.get(TYPE) {
        Some(Value::String(id)) => id.parse().map_err(inside)?,
        Some(_) => return Err(bad("\"mdev_type\" is not a string")),
        None => return Err(bad("\"mdev_type\" is missing")),
    };
    let start = match document.get(START) {
        None => return Err(bad("\"start\" is missing")),
        Some(Value::String(word)) if word == "auto" => StartMode::Auto,
        Some(Value::String(word)) if word == "manual" => StartMode::Manual,
        Some(other) => {
            return Err(bad(&format!(
                "\"start\" is {}, neither \"auto\" nor \"manual\"",
                shortened(&other.to_string())
            )));
        }
    };
    let attrs = match document.get(ATTRS) {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::Array(list)) => list.iter().map(parse_attr).collect::<Result<_>>()?,
        Some(_) => return Err(bad("\"attrs\" is not a list")),
    };
    let vf = match (at.framework, document.get(VF)) {
        (FrameworkKind::Mdev, _) | (FrameworkKind::Vfio, None | Some(Value::Null)) => None,
        (FrameworkKind::Vfio, Some(Value::String(vf))) => Some(function(vf, &at.parent)?),
        (FrameworkKind::Vfio, Some(_)) => return Err(bad("\"vf\" is not a string")),
    };
    Ok(Definition {
        framework: at.framework,
        vf,
        attrs,
        document,
        ..Definition::new(at.uuid, at.parent, type_id, start)
    })
}

/// The address of a virtual function, as the kernel spells it.
fn function(text: &str, gpu: &ParentId) -> Result<ParentId> {
    let shown = || shortened(&Value::from(text).to_string());
    let vf: ParentId = text.to_ascii_lowercase().parse().map_err(inside)?;
    match vf.is_pci_address() {
        true if vf == *gpu => Err(bad(&format!(
            "\"vf\" is {}, the GPU itself, not one of its virtual functions",
            shown()
        ))),
        true => Ok(vf),
        false => Err(bad(&format!(
            "\"vf\" is {}, which is not a PCI address such as 0000:41:00.4",
            shown()
        ))),
    }
}

fn parse_attr(value: &Value) -> Result<Attr> {
    let fields = value.as_object().filter(|fields| fields.len() == 1);
    match fields.and_then(|fields| fields.iter().next()) {
        Some((name, Value::String(value))) => Attr::new(name, value).map_err(inside),
        _ => Err(bad(&format!(
            "the attribute {} is not of the form {{\"name\": \"value\"}}",
            shortened(&value.to_string())
        ))),
    }
}

fn no_document(bytes: &[u8]) -> Error {
    match serde_json::from_slice::<Value>(bytes) {
        Ok(_) => bad("it is not a JSON object"),
        Err(error) => bad(&format!("it is not JSON: {error}")),
    }
}

fn bad(fault: &str) -> Error {
    Error::new(Kind::Failed, format!("invalid definition: {fault}"))
}

fn inside(error: Error) -> Error {
    bad(error.message())
}

/// What a definition says, without what other programs keep in it.
pub fn essence(definition: &Definition) -> Value {
    json!({
        TYPE: definition.type_id.as_str(),
        START: definition.start.as_str(),
        ATTRS: attrs(&definition.attrs),
    })
}

/// The text of a definition: what was there before, with our three keys brought up to date.
pub fn print(definition: &Definition) -> String {
    format!("{:#}", Value::from(document_of(definition)))
}

/// A definition as it is once it is written and read again: with its whole document.
pub fn as_read(definition: &Definition) -> Definition {
    Definition {
        document: document_of(definition),
        ..definition.clone()
    }
}

fn document_of(definition: &Definition) -> Document {
    let mut document = definition.document.clone();
    document.insert(TYPE.to_owned(), json!(definition.type_id.as_str()));
    document.insert(START.to_owned(), json!(definition.start.as_str()));
    document.insert(ATTRS.to_owned(), attrs(&definition.attrs));
    match &definition.vf {
        Some(vf) => document.insert(VF.to_owned(), json!(vf.as_str())),
        // Of a mediated device the key is another program's.
        None if definition.framework == FrameworkKind::Vfio => document.shift_remove(VF),
        None => None,
    };
    document
}

fn attrs(attrs: &[Attr]) -> Value {
    attrs
        .iter()
        .map(|attr| json!({ attr.name.as_str(): attr.value }))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(text: &str) -> Result<Definition> {
        parse("mtty".parse().unwrap(), Uuid::nil(), text.as_bytes())
    }

    #[test]
    fn mdevctls_own_form_is_kept_to_the_byte() {
        let text = r#"{
  "mdev_type": "vfio_ap-passthrough",
  "start": "auto",
  "attrs": [
    {
      "assign_adapter": "5"
    },
    {
      "assign_adapter": "6"
    },
    {
      "assign_domain": "0xab"
    }
  ]
}"#;
        let definition = read(text).unwrap();
        assert_eq!(definition.start, StartMode::Auto);
        assert_eq!(definition.attrs.len(), 3);
        assert_eq!(definition.attrs[1].to_string(), "assign_adapter=6");
        assert_eq!(print(&definition), text);
    }

    #[test]
    fn of_a_key_that_is_there_twice_the_last_counts_and_a_new_one_comes_last() {
        let text = r#"{"a":1,"mdev_type":"a-1","start":"auto","mdev_type":"a-2","a":2}"#;
        let printed: Value = serde_json::from_str(&print(&read(text).unwrap())).unwrap();
        assert_eq!(
            printed.to_string(),
            r#"{"a":2,"mdev_type":"a-2","start":"auto","attrs":[]}"#
        );
        let more: Vec<String> = (0..100_000).map(|n| format!("\"{n}\":{n}")).collect();
        let text = format!(
            r#"{{"7":0,{},"mdev_type":"a-1","start":"auto"}}"#,
            more.join(",")
        );
        let document = read(&text).unwrap().document;
        assert_eq!(document.get("7"), Some(&Value::from(7)));
        assert_eq!(document.len(), 100_002);
    }

    #[test]
    fn keys_of_other_programs_and_their_order_survive_a_change() {
        let mut definition =
            read(r#"{"note":{"by":"me"},"start":"manual","mdev_type":"a-1","z":[1]}"#).unwrap();
        definition.type_id = "a-2".parse().unwrap();
        let printed: Value = serde_json::from_str(&print(&definition)).unwrap();
        assert_eq!(
            printed.to_string(),
            r#"{"note":{"by":"me"},"start":"manual","mdev_type":"a-2","z":[1],"attrs":[]}"#
        );
    }

    #[test]
    fn numbers_of_other_programs_keep_every_digit() {
        for number in [
            "123456789012345567890123456790",
            "0.1234567890123456789",
            "1.0e+5",
        ] {
            let text = format!(r#"{{"mdev_type":"a-1","start":"auto","n":{number}}}"#);
            let printed = print(&read(&text).unwrap());
            assert!(printed.contains(&format!("\"n\": {number}")), "{printed}");
        }
    }

    #[test]
    fn what_is_wrong_is_said_and_never_guessed_at() {
        for (text, fault) in [
            ("", "empty"),
            (" \n", "empty"),
            ("{", "not JSON"),
            ("[]", "not a JSON object"),
            ("{}", "\"mdev_type\" is missing"),
            (r#"{"mdev_type":"a"}"#, "\"start\" is missing"),
            (r#"{"mdev_type":5}"#, "not a string"),
            (r#"{"mdev_type":"../../x"}"#, "not a valid type"),
            (r#"{"mdev_type":""}"#, "empty"),
            (
                r#"{"mdev_type":"a","start":"Auto"}"#,
                "\"start\" is \"Auto\"",
            ),
            (r#"{"mdev_type":"a","start":true}"#, "\"start\" is true"),
            (
                r#"{"mdev_type":"a","start":"auto","attrs":{}}"#,
                "not a list",
            ),
            (
                r#"{"mdev_type":"a","start":"auto","attrs":[{}]}"#,
                "the attribute {}",
            ),
            (
                r#"{"mdev_type":"a","start":"auto","attrs":[{"x":1}]}"#,
                "the attribute",
            ),
            (
                r#"{"mdev_type":"a","start":"auto","attrs":[{"a":"1","b":"2"}]}"#,
                "the attribute",
            ),
            (
                r#"{"mdev_type":"a","start":"auto","attrs":[{"/etc/passwd":"x"}]}"#,
                "absolute path",
            ),
            (
                r#"{"mdev_type":"a","start":"auto","attrs":[{"a/../b":"x"}]}"#,
                "invalid path component",
            ),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.message().contains(fault), "{text}: {error}");
        }
        assert!(parse("p".parse().unwrap(), Uuid::nil(), &[0xff, 0xfe]).is_err());
    }

    proptest! {
        #[test]
        fn whatever_is_in_the_file_reading_it_ends_well(bytes: Vec<u8>) {
            let _ = parse("mtty".parse().unwrap(), Uuid::nil(), &bytes);
        }

        #[test]
        fn values_of_any_text_come_back_as_they_were(value in "[^\0]*") {
            let mut definition = read(r#"{"mdev_type":"a","start":"auto"}"#).unwrap();
            definition.attrs.push(Attr::new("x", &value).unwrap());
            prop_assert_eq!(read(&print(&definition)).unwrap().attrs, definition.attrs);
        }
    }
}
