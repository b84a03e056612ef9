//! What `apply` notes in a definition: whose member it is. libvirt leaves it alone; the original
//! mdevctl keeps it too, unless its `modify` writes the definition anew.

use std::fmt::Display;

use serde_json::{Value, json};

use crate::model::Definition;

/// The key in a definition's document.
const KEY: &str = "vgpuctl";

/// Which member of which group a definition is.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Mark {
    /// The group's name.
    pub group: String,
    /// What the member is called in it.
    pub member: String,
}

impl Mark {
    /// The mark of a member.
    pub fn new(group: &impl Display, key: &impl Display) -> Mark {
        Mark {
            group: group.to_string(),
            member: key.to_string(),
        }
    }

    /// What is noted in a definition.
    pub fn of(definition: &Definition) -> Option<Mark> {
        let noted = definition.document.get(KEY)?;
        let word = |key| noted.get(key).and_then(Value::as_str).map(str::to_owned);
        Some(Mark {
            group: word("group")?,
            member: word("member")?,
        })
    }

    /// Notes it in a definition.
    pub fn note_in(&self, definition: &mut Definition) {
        let noted = json!({ "group": self.group, "member": self.member });
        definition.document.insert(KEY.to_owned(), noted);
    }
}

impl std::fmt::Display for Mark {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.group, self.member)
    }
}
