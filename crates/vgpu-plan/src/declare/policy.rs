//! What root allows to other users: vGPUs of their own, of some types, on some parents, so many.

use toml::de::{DeTable, DeValue};

use super::fault::Source;
use super::read::toml;
use super::table::{Reader, Value, get};
use vgpu_host::error::Result;
use vgpu_host::model::ParentId;
use vgpu_host::text::{hides_something, quoted, said, whole};

/// The most vGPUs that one block may allow.
const MOST: u32 = 4096;

/// The number that stands for nobody in particular, whose processes are not each other's.
pub const NOBODY: u32 = 65534;

/// What root allows to other users.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Policy(Vec<Allow>);

/// One block of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Allow {
    /// To whom.
    pub who: Who,
    /// What.
    pub quota: Quota,
    /// Where it stands in its file, from 1.
    pub line: usize,
}

/// What a block allows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quota {
    /// vGPUs of which types: ids, full names or short names.
    pub types: Vec<String>,
    /// On which parents, or GPUs whose functions are parents; `None` for all.
    pub parents: Option<Vec<ParentId>>,
    /// How many of them a user may have.
    pub devices: u32,
    /// Whether they may be started at boot.
    pub at_boot: bool,
}

/// To whom something is allowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Who {
    /// One user.
    User(Account),
    /// Everybody in a group.
    Group(Account),
}

/// A user or a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Account {
    /// By number.
    Number(u32),
    /// By name.
    Name(String),
}

impl Policy {
    /// Reads it.
    ///
    /// # Errors
    /// All that is wrong with the file, each with its line.
    pub fn parse(source: &Source) -> Result<Policy> {
        toml(source, blocks).map(|(blocks, _)| Policy(blocks))
    }

    /// Its blocks, in the order of the file.
    pub fn blocks(&self) -> &[Allow] {
        &self.0
    }
}

fn blocks<'t>(reader: &mut Reader<'t>, top: &DeTable<'t>) -> Vec<Allow> {
    reader.only(top, "the file", &["allow"]);
    let Some(value) = get(top, "allow") else {
        return Vec::new();
    };
    if value.get_ref().is_table() {
        let message = "allow is a list: write [[allow]], with two brackets, above each block";
        reader.fault(value.span(), message);
        return Vec::new();
    }
    let items = reader.list("allow", "[[allow]]", value).unwrap_or_default();
    let mut blocks = Vec::new();
    for item in items {
        if let Some(table) = reader.table("allow", "[[allow]]", item) {
            blocks.extend(block(reader, item, table));
        }
    }
    blocks
}

const KEYS: [&str; 6] = ["group", "user", "types", "parents", "devices", "at-boot"];

fn block<'t>(reader: &mut Reader<'t>, item: &Value<'t>, table: &DeTable<'t>) -> Option<Allow> {
    reader.only(table, "allow", &KEYS);
    let who = match (get(table, "user"), get(table, "group")) {
        (Some(user), None) => account(reader, "user", user).map(Who::User),
        (None, Some(group)) => account(reader, "group", group).map(Who::Group),
        (Some(_), Some(group)) => {
            let message = "allow takes user or group, not both: write a block for each";
            reader.fault(group.span(), message);
            None
        }
        (None, None) => {
            let message = "allow does not say to whom: add group = \"vgpu-users\", or user";
            reader.fault(item.span(), message);
            None
        }
    };
    let types = get(table, "types").map(|value| types(reader, value));
    let types = types.unwrap_or_default();
    let parents = get(table, "parents").map(|value| parents(reader, value));
    let devices = match get(table, "devices") {
        Some(value) => reader.number("devices", value, MOST),
        None if types.is_empty() => Some(0),
        None => {
            let message = "allow does not say how many: add devices = 1";
            reader.fault(item.span(), message);
            None
        }
    };
    let at_boot = get(table, "at-boot").map(|value| flag(reader, "at-boot", value));
    Some(Allow {
        who: who?,
        quota: Quota {
            types,
            parents,
            devices: devices?,
            at_boot: at_boot.unwrap_or_default(),
        },
        line: reader.line(item.span()),
    })
}

fn account<'t>(reader: &mut Reader<'t>, what: &str, value: &Value<'t>) -> Option<Account> {
    if let Some(number) = whole(value.get_ref()) {
        let number = u32::try_from(number).ok();
        let number = number.filter(|number| *number != NOBODY && *number != u32::MAX);
        if number.is_none() {
            let message = format!("{what} {} is not a specific {what}", said(value.get_ref()));
            reader.fault(value.span(), message);
        }
        return number.map(Account::Number);
    }
    let name = reader.text(what, value)?;
    // Names are matched whole; what the system's own tools never make is a slip.
    let is_odd = |c: char| c == ':' || c == '/' || c == ',' || c == '*';
    if hides_something(name) || name.trim() != name || name.contains(is_odd) {
        let message = format!("{what} takes one name or number, not {}", quoted(name));
        reader.fault(value.span(), message);
        return None;
    }
    Some(Account::Name(name.to_owned()))
}

fn types<'t>(reader: &mut Reader<'t>, value: &Value<'t>) -> Vec<String> {
    let items = reader.list("types", "[\"nvidia-63\"]", value);
    let mut types = Vec::new();
    for item in items.into_iter().flatten() {
        match reader.text("types", item) {
            Some(text) if hides_something(text) || text.contains('/') || text.contains('*') => {
                let message = format!("types takes type ids or names, not {}", quoted(text));
                reader.fault(item.span(), message);
            }
            text => types.extend(text.map(str::to_owned)),
        }
    }
    types
}

fn parents<'t>(reader: &mut Reader<'t>, value: &Value<'t>) -> Vec<ParentId> {
    let items = reader.list("parents", "[\"0000:81:00.0\"]", value);
    let mut parents = Vec::new();
    for item in items.into_iter().flatten() {
        let Some(text) = reader.text("parents", item) else {
            continue;
        };
        match text.parse() {
            Ok(id) => parents.push(id),
            Err(error) => reader.faults.add_error(reader.line(item.span()), &error),
        }
    }
    parents
}

fn flag<'t>(reader: &mut Reader<'t>, what: &str, value: &Value<'t>) -> bool {
    match value.get_ref() {
        DeValue::Boolean(flag) => *flag,
        other => {
            let message = format!("{what} takes true or false, not {}", said(other));
            reader.fault(value.span(), message);
            false
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(text: &str) -> Result<Policy> {
        Policy::parse(&Source {
            name: "policy.toml".to_owned(),
            text: text.to_owned(),
        })
    }

    #[test]
    fn a_policy_says_who_may_have_what_where_and_how_many() {
        let text = r#"
[[allow]]
group = "vgpu-users"
types = ["nvidia-63", "GRID P4-2Q"]
parents = ["0000:81:00.0"]
devices = 2

[[allow]]
user = 60001
types = ["nvidia-63"]
devices = 1
at-boot = true

[[allow]]
user = "alice"
"#;
        let policy = parse(text).unwrap();
        let [first, second, third] = policy.blocks() else {
            panic!("{policy:?}");
        };
        assert_eq!(first.who, Who::Group(Account::Name("vgpu-users".into())));
        assert_eq!(first.line, 2);
        let quota = &first.quota;
        assert_eq!(quota.types, ["nvidia-63", "GRID P4-2Q"]);
        assert_eq!(quota.parents.as_ref().unwrap().len(), 1);
        assert_eq!((quota.devices, quota.at_boot), (2, false));
        assert_eq!(second.who, Who::User(Account::Number(60001)));
        let quota = &second.quota;
        assert_eq!((quota.parents.as_ref(), quota.at_boot), (None, true));
        assert!(third.quota.types.is_empty() && third.quota.devices == 0);
        assert_eq!(parse(""), Ok(Policy::default()));
    }

    #[test]
    fn every_slip_is_told_with_its_line() {
        let who = "group = \"g\"\n";
        for (text, line, fault) in [
            ("x = 1\n", 1, "has no key \"x\""),
            ("[allow]\n", 1, "two brackets"),
            ("allow = 1\n", 1, "takes a list"),
            ("[[allow]]\n", 1, "does not say to whom"),
            ("[[allow]]\nuser = \"a\"\ngroup = \"b\"\n", 3, "not both"),
            ("[[allow]]\nuser = \"\"\n", 2, "not an empty string"),
            ("[[allow]]\nuser = \"a,b\"\n", 2, "takes one name or number"),
            ("[[allow]]\nuser = \"*\"\n", 2, "takes one name or number"),
            ("[[allow]]\nuser = -1\n", 2, "is not a specific user"),
            ("[[allow]]\nuser = 65534\n", 2, "is not a specific user"),
            (
                "[[allow]]\nuser = 4294967295\n",
                2,
                "is not a specific user",
            ),
            ("[[allow]]\nuser = true\n", 2, "takes a string"),
            ("[[allow]]\nuser = \"a\\u202e\"\n", 2, "takes one name"),
            (
                "[[allow]]\ngroup = \"g\"\ntype = [\"a\"]\n",
                3,
                "did you mean types",
            ),
            ("[[allow]]\ngroup = \"g\"\ntypes = [\"a\"]\n", 1, "how many"),
            (
                "[[allow]]\ngroup = \"g\"\ntypes = [\"*\"]\ndevices = 1\n",
                3,
                "ids or names",
            ),
            (
                "[[allow]]\ngroup = \"g\"\ntypes = [\"../x\"]\ndevices = 1\n",
                3,
                "ids or names",
            ),
            (
                "[[allow]]\ngroup = \"g\"\nparents = [\"../x\"]\n",
                3,
                "parent",
            ),
            (
                "[[allow]]\ngroup = \"g\"\ndevices = -1\n",
                3,
                "whole number",
            ),
            (
                "[[allow]]\ngroup = \"g\"\ndevices = 4097\n",
                3,
                "from 0 to 4096",
            ),
            (
                "[[allow]]\ngroup = \"g\"\nat-boot = 1\n",
                3,
                "true or false",
            ),
            ("[[allow]]\ngroup = \"g\"\ngroup = \"h\"\n", 3, "duplicate"),
            ("[[allow]\n", 1, ""),
        ] {
            let error = parse(text).unwrap_err();
            let place = format!("policy.toml:{line}: ");
            assert!(error.message().starts_with(&place), "{text}: {error}");
            assert!(error.message().contains(fault), "{text}: {error}");
        }
        let two = format!("[[allow]]\n{who}devices = \"x\"\n[[allow]]\n{who}types = 1\n");
        let error = parse(&two).unwrap_err();
        assert_eq!(error.others().len(), 1, "{error:?}");
    }

    proptest! {
        #[test]
        fn no_text_stops_it(text in "(\\[\\[allow\\]\\]|user|group|types|parents|devices|at-boot|=|[\\[\\]\"',.0-9a-z\n\\\\ \u{202e}-])*") {
            let _ = parse(&text);
        }
    }
}
