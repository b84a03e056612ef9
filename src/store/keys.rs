//! The keys of a definition that mean something to this program.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;

pub const TYPE: &str = "mdev_type";
pub const START: &str = "start";
pub const ATTRS: &str = "attrs";
/// The address of a virtual function; only in definitions for those.
pub const VF: &str = "vf";

/// What a definition says to us; everything else in it has been read too, so that it is known to be
/// JSON. Of keys that are there twice, the last counts.
#[derive(Debug, Default)]
pub struct Keys {
    pub mdev_type: Option<Value>,
    pub start: Option<Value>,
    pub attrs: Option<Value>,
    pub vf: Option<Value>,
}

impl<'de> Deserialize<'de> for Keys {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Keys, D::Error> {
        deserializer.deserialize_map(Reader)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Keys;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a definition")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Keys, A::Error> {
        let mut keys = Keys::default();
        let mut other = None;
        while let Some(key) = map.next_key::<Key>()? {
            let place = match key {
                Key::Type => &mut keys.mdev_type,
                Key::Start => &mut keys.start,
                Key::Attrs => &mut keys.attrs,
                Key::Vf => &mut keys.vf,
                Key::Other => &mut other,
            };
            *place = Some(map.next_value()?);
        }
        Ok(keys)
    }
}

enum Key {
    Type,
    Start,
    Attrs,
    Vf,
    Other,
}

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Key, D::Error> {
        deserializer.deserialize_str(KeyReader)
    }
}

struct KeyReader;

impl Visitor<'_> for KeyReader {
    type Value = Key;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E>(self, key: &str) -> Result<Key, E> {
        Ok(match key {
            TYPE => Key::Type,
            START => Key::Start,
            ATTRS => Key::Attrs,
            VF => Key::Vf,
            _ => Key::Other,
        })
    }
}
