//! The protocol of the socket: one line of JSON in each direction.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use crate::declare::Quota;
use crate::error::{Error, Kind, Result, Warnings};
use crate::model::{FrameworkKind, ParentId, Slot, StartMode, TypeId, parse_uuid};
use crate::ops::{Action, Answer, Change, Effect, Grant, Listed, Report};
use crate::output::Reply;
use crate::text::{hides_something, quoted, shortened};

/// The longest request, in bytes, including its newline.
pub const LONGEST: usize = 4096;

/// The longest name of a type.
const LONGEST_TYPE: usize = 240;

const VERSION: u32 = 1;

/// The verb of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Word {
    Create,
    Start,
    Stop,
    Remove,
    List,
}

/// A request as it is sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    pub version: u32,
    pub verb: Word,
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub type_name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uuid: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_boot: Option<bool>,
}

/// A valid request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    Create {
        type_name: String,
        parent: Option<ParentId>,
        uuid: Option<Uuid>,
        at_boot: bool,
    },
    Start(Uuid),
    Stop(Uuid),
    Remove(Uuid),
    List,
}

impl Request {
    pub fn new(verb: Word) -> Request {
        Request {
            version: VERSION,
            verb,
            type_name: None,
            parent: None,
            uuid: None,
            at_boot: None,
        }
    }

    /// As it is sent.
    pub fn line(&self) -> String {
        // It has only strings and flags, so serialization cannot fail.
        serde_json::to_string(self).unwrap_or_default() + "\n"
    }
}

impl Command {
    /// Parses one line.
    ///
    /// # Errors
    /// [`Kind::Usage`], with the reason.
    pub fn parse(line: &[u8]) -> Result<Command> {
        let not_understood = |fault: &str| usage(format!("invalid request: {fault}"));
        // serde would also accept the values alone, in an array.
        if line
            .trim_ascii_start()
            .first()
            .is_some_and(|first| *first != b'{')
        {
            return Err(not_understood("it is not a JSON object"));
        }
        let request: Request = serde_json::from_slice(line)
            .map_err(|error| not_understood(&shortened(&error.to_string())))?;
        if request.version != VERSION {
            let message = format!("unsupported request version {}", request.version);
            return Err(usage(message));
        }
        let uuid = request.uuid.as_deref().map(parse_uuid).transpose();
        let uuid = uuid.map_err(|error| error.with_kind(Kind::Usage))?;
        let is_bare = request.type_name.is_none() && request.parent.is_none();
        let is_bare = is_bare && request.at_boot.is_none();
        match (request.verb, uuid) {
            (Word::Create, uuid) => {
                let parent = request.parent.as_deref().map(str::parse).transpose();
                Ok(Command::Create {
                    type_name: type_name(request.type_name)?,
                    parent: parent.map_err(|error: Error| error.with_kind(Kind::Usage))?,
                    uuid,
                    at_boot: request.at_boot.unwrap_or_default(),
                })
            }
            (Word::Start, Some(uuid)) if is_bare => Ok(Command::Start(uuid)),
            (Word::Stop, Some(uuid)) if is_bare => Ok(Command::Stop(uuid)),
            (Word::Remove, Some(uuid)) if is_bare => Ok(Command::Remove(uuid)),
            (Word::List, None) if is_bare => Ok(Command::List),
            (Word::List, _) => Err(usage("list takes no arguments".to_owned())),
            _ => Err(usage("start, stop and remove take only a uuid".to_owned())),
        }
    }
}

fn type_name(given: Option<String>) -> Result<String> {
    let Some(name) = given.filter(|name| !name.is_empty()) else {
        return Err(usage("create requires a type".to_owned()));
    };
    match name.len() > LONGEST_TYPE || hides_something(&name) {
        true => Err(usage(format!("{} is not a type name", quoted(&name)))),
        false => Ok(name),
    }
}

fn usage(message: String) -> Error {
    Error::new(Kind::Usage, message)
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Told {
    version: u32,
    error: Option<Problem>,
    changes: Option<Vec<Changed>>,
    devices: Option<Vec<Own>>,
    allowed: Vec<Allowed>,
    warnings: Vec<Problem>,
    notes: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct Problem {
    code: String,
    message: String,
    #[serde(default)]
    hints: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct Changed {
    uuid: Option<String>,
    parent: Option<String>,
    vf: Option<String>,
    #[serde(rename = "type")]
    type_id: Option<String>,
    type_name: Option<String>,
    result: String,
}

#[derive(Debug, Deserialize)]
struct Own {
    uuid: String,
    parent: String,
    vf: Option<String>,
    #[serde(rename = "type")]
    type_id: String,
    type_name: Option<String>,
    active: Option<bool>,
    start: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Allowed {
    types: Vec<String>,
    parents: Option<Vec<String>>,
    devices: u32,
    used: u32,
    at_boot: bool,
}

/// Parses an answer.
///
/// # Errors
/// The service's own error; the answer is invalid.
pub fn understand(asked: Word, line: &[u8]) -> Result<Reply> {
    let told: Told = serde_json::from_slice(line).map_err(|error| odd(&error.to_string()))?;
    if told.version != VERSION {
        return Err(odd(&format!("unsupported version {}", told.version)));
    }
    if let Some(error) = told.error {
        return Err(problem(error));
    }
    let warnings: Warnings = told.warnings.into_iter().map(problem).collect();
    if let Some(devices) = told.devices {
        let answer = Answer {
            value: devices.into_iter().map(listed).collect::<Result<_>>()?,
            warnings,
            notes: told.notes,
        };
        let grants = told.allowed.into_iter().map(grant).collect::<Result<_>>()?;
        return Ok(Reply::Own(answer, grants));
    }
    let Some(changes) = told.changes else {
        return Err(odd("it is empty"));
    };
    let changes = changes.into_iter().map(|one| change(asked, one));
    let report = Report {
        changes: changes.collect::<Result<_>>()?,
        // They do not make the answer partial.
        cautions: warnings,
        notes: told.notes,
        ..Report::default()
    };
    Ok(match asked {
        Word::Create => Reply::Made(report),
        _ => Reply::Changed(report),
    })
}

fn odd(fault: &str) -> Error {
    let message = format!("invalid answer from the service: {}", shortened(fault));
    Error::new(Kind::Failed, message)
}

fn problem(told: Problem) -> Error {
    let kind = Kind::of_code(&told.code).unwrap_or(Kind::Failed);
    Error::new(kind, told.message).hints(told.hints)
}

fn change(asked: Word, told: Changed) -> Result<Change> {
    let action = [Action::Create, Action::Start, Action::Stop, Action::Remove]
        .into_iter()
        .find(|action| action.done() == told.result);
    let effect = match (action, told.result.as_str(), asked) {
        (Some(action), ..) => Effect::Done(action),
        (None, "unchanged", Word::Stop) => Effect::Already("inactive"),
        (None, "unchanged", _) => Effect::Already("active"),
        (None, other, _) => return Err(odd(&format!("unknown result {}", quoted(other)))),
    };
    Ok(Change {
        uuid: told.uuid.as_deref().map(parse_uuid).transpose()?,
        parent: name(told.parent)?,
        vf: name(told.vf)?,
        type_id: told.type_id.map(|id| id.parse::<TypeId>()).transpose()?,
        type_name: told.type_name.map(Arc::from),
        ..Change::of(effect)
    })
}

fn name(told: Option<String>) -> Result<Option<ParentId>> {
    told.map(|name| name.parse()).transpose()
}

fn listed(told: Own) -> Result<Listed> {
    let vf = name(told.vf)?;
    let framework = match vf {
        Some(_) => FrameworkKind::Vfio,
        None => FrameworkKind::Mdev,
    };
    let slot = match &vf {
        Some(vf) => Slot::OwnVf(vf.clone()),
        None => Slot::Mdev,
    };
    Ok(Listed {
        framework,
        uuid: parse_uuid(&told.uuid)?,
        slot: (told.active == Some(true)).then_some(slot),
        defined_vf: vf,
        parent: told.parent.parse()?,
        type_id: told.type_id.parse()?,
        type_name: told.type_name.map(Arc::from),
        active: told.active,
        start: match told.start.as_deref() {
            Some("auto") => Some(StartMode::Auto),
            Some("manual") => Some(StartMode::Manual),
            _ => None,
        },
    })
}

fn grant(told: Allowed) -> Result<Grant> {
    let parents = told.parents.map(|parents| {
        let parents = parents.iter().map(|name| name.parse());
        parents.collect::<Result<Vec<ParentId>>>()
    });
    Ok(Grant {
        quota: Quota {
            types: told.types,
            parents: parents.transpose()?,
            devices: told.devices,
            at_boot: told.at_boot,
        },
        used: told.used,
    })
}

/// A document as it is sent: on one line.
pub fn one_line(document: &Value) -> String {
    crate::text::in_json(format!("{document}\n"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const UUID: &str = "83b8f4f2-509f-482f-8c1e-e6bfe0fa1001";

    #[test]
    fn what_is_asked_for_is_understood_as_it_was_meant() {
        let request = Request {
            type_name: Some("GRID P4-1Q".to_owned()),
            uuid: Some(UUID.to_owned()),
            at_boot: Some(true),
            ..Request::new(Word::Create)
        };
        let command = Command::parse(request.line().as_bytes()).unwrap();
        let wanted = Command::Create {
            type_name: "GRID P4-1Q".to_owned(),
            parent: None,
            uuid: Some(parse_uuid(UUID).unwrap()),
            at_boot: true,
        };
        assert_eq!(command, wanted);
        assert_eq!(
            Command::parse(br#"{"version":1,"verb":"list"}"#),
            Ok(Command::List)
        );
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let one = format!(r#""uuid":"{UUID}""#);
        for text in [
            String::new(),
            "{}".to_owned(),
            "[]".to_owned(),
            "null".to_owned(),
            r#"{"verb":"list"}"#.to_owned(),
            r#"{"version":2,"verb":"list"}"#.to_owned(),
            r#"{"version":"1","verb":"list"}"#.to_owned(),
            r#"{"version":1,"verb":"define"}"#.to_owned(),
            r#"{"version":1,"verb":"list","x":1}"#.to_owned(),
            r#"{"version":1,"version":1,"verb":"list"}"#.to_owned(),
            format!(r#"{{"version":1,"verb":"list",{one}}}"#),
            r#"{"version":1,"verb":"stop"}"#.to_owned(),
            r#"{"version":1,"verb":"stop","uuid":"../x"}"#.to_owned(),
            r#"{"version":1,"verb":"stop","uuid":"83b8f4f2"}"#.to_owned(),
            format!(r#"{{"version":1,"verb":"stop",{one},"parent":"mtty"}}"#),
            format!(r#"{{"version":1,"verb":"remove",{one},"force":true}}"#),
            r#"{"version":1,"verb":"create"}"#.to_owned(),
            r#"{"version":1,"verb":"create","type":""}"#.to_owned(),
            r#"{"version":1,"verb":"create","type":7}"#.to_owned(),
            r#"{"version":1,"verb":"create","type":"a\u001b[2J"}"#.to_owned(),
            r#"{"version":1,"verb":"create","type":"a\nb"}"#.to_owned(),
            r#"{"version":1,"verb":"create","type":"a\u202e"}"#.to_owned(),
            format!(
                r#"{{"version":1,"verb":"create","type":"{}"}}"#,
                "x".repeat(241)
            ),
            r#"{"version":1,"verb":"create","type":"a","parent":"../x"}"#.to_owned(),
            r#"{"version":1,"verb":"create","type":"a","parent":"a/b"}"#.to_owned(),
            r#"{"version":1,"verb":"create","type":"a","parent":""}"#.to_owned(),
            r#"{"version":1,"verb":"create","type":"a","attrs":["x=1"]}"#.to_owned(),
        ] {
            let error = Command::parse(text.as_bytes()).unwrap_err();
            assert_eq!(error.kind(), Kind::Usage, "{text}");
            assert!(error.message().len() < 300, "{error}");
        }
    }

    proptest! {
        #[test]
        fn whatever_comes_reading_it_ends_well(bytes: Vec<u8>) {
            let _ = Command::parse(&bytes);
            let _ = understand(Word::List, &bytes);
        }
    }
}
