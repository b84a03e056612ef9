//! What became of each device that a command was to change.

use std::sync::Arc;

use uuid::Uuid;

use super::Context;
use crate::error::{Error, Kind, Warnings};
use crate::model::{ParentId, TypeId};

/// A change that commands make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// A device made, and its definition unless it is transient.
    Create,
    /// A definition written.
    Define,
    /// A definition deleted.
    Undefine,
    /// A definition changed.
    Modify,
    /// A defined device made.
    Start,
    /// A device taken away, its definition kept.
    Stop,
    /// A device taken away, and its definition deleted.
    Remove,
}

impl Action {
    /// The verb: "create".
    pub fn verb(self) -> &'static str {
        match self {
            Action::Create => "create",
            Action::Define => "define",
            Action::Undefine => "undefine",
            Action::Modify => "modify",
            Action::Start => "start",
            Action::Stop => "stop",
            Action::Remove => "remove",
        }
    }

    /// The participle: "created".
    pub fn done(self) -> &'static str {
        match self {
            Action::Create => "created",
            Action::Define => "defined",
            Action::Undefine => "undefined",
            Action::Modify => "modified",
            Action::Start => "started",
            Action::Stop => "stopped",
            Action::Remove => "removed",
        }
    }
}

/// What became of one device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// It was done.
    Done(Action),
    /// It would be done, were this not a dry run.
    Planned(Action),
    /// The virtual functions of its GPU were switched on.
    Enabled,
    /// They would be, were this not a dry run.
    WouldEnable,
    /// MIG mode of its GPU was enabled.
    MigEnabled,
    /// It would be, were this not a dry run.
    WouldEnableMig,
    /// GPU instances were created, named by their profiles.
    InstancesCreated(Vec<String>),
    /// They would be, were this not a dry run.
    WouldCreateInstances(Vec<String>),
    /// Nothing was to do: "active" or "inactive" already, or "unchanged".
    Already(&'static str),
    /// It could not be done.
    Failed(Error),
}

/// One device and what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The device; `None` for one that would get a random UUID, or that was not found.
    pub uuid: Option<Uuid>,
    /// Its parent, where one is known.
    pub parent: Option<ParentId>,
    /// The virtual function that it has, or is to have, where that is known and not its parent.
    pub vf: Option<ParentId>,
    /// Its type, where one is known.
    pub type_id: Option<TypeId>,
    /// The type's name for people, where the kernel tells it.
    pub type_name: Option<Arc<str>>,
    /// What became of it.
    pub effect: Effect,
    /// What could not be read and is missing here; it had no say in what became of the device.
    pub unread: Warnings,
    /// What its user has to know, such as that it is on another virtual function than before.
    pub cautions: Warnings,
}

impl Change {
    /// What became of nothing that is known by name.
    pub fn of(effect: Effect) -> Change {
        Change {
            uuid: None,
            parent: None,
            vf: None,
            type_id: None,
            type_name: None,
            effect,
            unread: Vec::new(),
            cautions: Vec::new(),
        }
    }

    /// A failure before it was known which device was meant.
    pub fn failed(error: Error) -> Change {
        Change::of(Effect::Failed(error))
    }

    /// The same, with the name of its type.
    pub fn named(mut self, context: &Context<'_>) -> Change {
        self.type_name = match (&self.parent, &self.type_id) {
            (Some(parent), Some(id)) => context.kernel.type_name(parent, id, &mut self.unread),
            _ => None,
        };
        self
    }

    /// The error, where it failed.
    pub fn error(&self) -> Option<&Error> {
        match &self.effect {
            Effect::Failed(error) => Some(error),
            _ => None,
        }
    }
}

/// All devices that a command was to change, in order.
#[derive(Debug, Default)]
pub struct Report {
    /// One a device.
    pub changes: Vec<Change>,
    /// Bad data found on the way.
    pub warnings: Warnings,
    /// What the user should know beforehand: nothing is wrong yet.
    pub cautions: Warnings,
    /// Sentences for people.
    pub notes: Vec<String>,
}

impl Report {
    /// A report of these changes and what is to be said of them.
    pub fn of(changes: Vec<Change>) -> Report {
        let cautions = changes.iter().flat_map(|change| change.cautions.clone());
        Report {
            cautions: cautions.collect(),
            changes,
            ..Report::default()
        }
    }

    /// What kind of failure the whole is: the one that all failures share where nothing was done,
    /// else "partly".
    pub fn failure(&self) -> Option<Kind> {
        let mut kinds = self
            .changes
            .iter()
            .filter_map(Change::error)
            .map(Error::kind);
        let first = kinds.next()?;
        let all_failed = self.changes.iter().all(|change| change.error().is_some());
        match all_failed && kinds.all(|kind| kind == first) {
            true => Some(first),
            false => Some(Kind::Partial),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(effect: Effect) -> Change {
        Change::of(effect)
    }

    #[test]
    fn a_report_is_as_bad_as_its_changes_and_partial_where_they_differ() {
        let done = || change(Effect::Done(Action::Remove));
        let failed = |kind| change(Effect::Failed(Error::new(kind, "x")));
        let failure = |changes| Report::of(changes).failure();
        assert_eq!(failure(vec![]), None);
        assert_eq!(failure(vec![done(), done()]), None);
        assert_eq!(failure(vec![failed(Kind::InUse)]), Some(Kind::InUse));
        assert_eq!(
            failure(vec![failed(Kind::InUse), failed(Kind::InUse)]),
            Some(Kind::InUse)
        );
        assert_eq!(
            failure(vec![failed(Kind::InUse), failed(Kind::NotFound)]),
            Some(Kind::Partial)
        );
        assert_eq!(
            failure(vec![done(), failed(Kind::InUse)]),
            Some(Kind::Partial)
        );
    }
}
