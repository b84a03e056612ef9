//! Where definitions are kept, for those who watch them.

use std::ffi::OsStr;
use std::path::PathBuf;

use super::names::{is_side_file, parents_in};
use super::{Location, Store};
use crate::dir::Dir;
use crate::model::{FrameworkKind, ParentId, parse_uuid};

/// The directory of one parent's definitions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParentDir {
    /// For which framework.
    pub framework: FrameworkKind,
    /// Of which parent.
    pub parent: ParentId,
    /// Where it is.
    pub path: PathBuf,
}

/// What a file in a parent's directory is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kept {
    /// A definition.
    Definition(Location),
    /// Something that stands beside definitions.
    Beside,
    /// Something that may be meant as a definition, and has no name of one.
    Misnamed,
}

impl ParentDir {
    /// What a file of that name is here.
    pub fn holds(&self, name: &OsStr) -> Kept {
        let name = name.to_string_lossy();
        match parse_uuid(&name) {
            Ok(uuid) if *uuid.to_string() == *name => Kept::Definition(Location {
                framework: self.framework,
                parent: self.parent.clone(),
                uuid,
            }),
            _ if is_side_file(&name) => Kept::Beside,
            _ => Kept::Misnamed,
        }
    }
}

impl Store<'_> {
    /// The directories in which each parent has its own, there or not.
    pub fn roots(&self) -> Vec<PathBuf> {
        let all = self.frameworks.iter();
        all.map(|framework| self.root(*framework)).collect()
    }

    /// The parents' directories that are there. What cannot be read is told by [`Store::all`].
    pub fn parent_dirs(&self) -> Vec<ParentDir> {
        let mut parent_dirs = Vec::new();
        for framework in self.frameworks {
            let Ok(mut top) = Dir::open(self.root(*framework)) else {
                continue;
            };
            let parents = parents_in(&mut top, &mut Vec::new()).unwrap_or_default();
            parent_dirs.extend(parents.into_iter().map(|parent| ParentDir {
                framework: *framework,
                path: top.join(parent.as_str()),
                parent,
            }));
        }
        parent_dirs
    }
}
