//! Whose vGPU a definition is, where a user asked for it. Where the note is lost, as by `modify` of the original mdevctl,
//! which keeps no keys of others, it is root's.

use serde_json::Value;

use super::Mark;
use crate::model::Definition;

/// The key in a definition's document.
const KEY: &str = "vgpuctl-owner";

/// A user, by number: names can be given to somebody else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owner(pub u32);

impl Owner {
    /// Whose it is. What a file declares is root's, whoever had it before.
    pub fn of(definition: &Definition) -> Option<Owner> {
        let noted = definition.document.get(KEY)?;
        let user = noted.as_u64().and_then(|user| u32::try_from(user).ok());
        user.filter(|_| Mark::of(definition).is_none()).map(Owner)
    }

    /// Notes it in a definition.
    pub fn note_in(self, definition: &mut Definition) {
        definition
            .document
            .insert(KEY.to_owned(), Value::from(self.0));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::understand;
    use uuid::Uuid;

    fn owner(text: &str) -> Option<Owner> {
        let parent = "mtty".parse().unwrap();
        Owner::of(&understand(parent, Uuid::nil(), text.as_bytes()).unwrap())
    }

    #[test]
    fn only_a_users_number_is_an_owner_and_not_of_what_is_declared() {
        let with = |more: &str| format!(r#"{{"mdev_type":"a","start":"manual"{more}}}"#);
        for (more, wanted) in [
            ("", None),
            (r#","vgpuctl-owner":1000"#, Some(Owner(1000))),
            (r#","vgpuctl-owner":0"#, Some(Owner(0))),
            (r#","vgpuctl-owner":"1000""#, None),
            (r#","vgpuctl-owner":-1"#, None),
            (r#","vgpuctl-owner":1000.5"#, None),
            (r#","vgpuctl-owner":4294967296"#, None),
            (r#","vgpuctl-owner":[1000]"#, None),
            (
                r#","vgpuctl-owner":1000,"vgpuctl":{"group":"g","member":"1"}"#,
                None,
            ),
        ] {
            assert_eq!(owner(&with(more)), wanted, "{more}");
        }
    }

    #[test]
    fn the_note_is_read_as_it_was_written() {
        let parent = "mtty".parse().unwrap();
        let text = br#"{"mdev_type":"a","start":"manual","z":1}"#;
        let mut definition = understand(parent, Uuid::nil(), text).unwrap();
        Owner(60001).note_in(&mut definition);
        assert_eq!(
            owner(&crate::store::format::print(&definition)),
            Some(Owner(60001))
        );
    }
}
