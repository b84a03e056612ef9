//! What could not be read, counted by what it is.

use std::collections::HashSet;

use crate::error::{Error, Result, Warnings};

/// What may be unreadable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Area {
    /// Parents: GPUs and their virtual functions.
    Parents,
    /// Types.
    Types,
    /// Active devices, and who holds them.
    Devices,
    /// Definitions.
    Definitions,
    /// Results of restores.
    Restores,
}

impl Area {
    const ALL: [Area; 5] = [
        Area::Parents,
        Area::Types,
        Area::Devices,
        Area::Definitions,
        Area::Restores,
    ];

    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Area::Parents => "parents",
            Area::Types => "types",
            Area::Devices => "devices",
            Area::Definitions => "definitions",
            Area::Restores => "restores",
        }
    }
}

/// What a look found.
pub struct Found<T> {
    /// `None` where nothing could be read at all.
    pub value: Option<T>,
    /// Whether nothing in it was unreadable.
    pub is_whole: bool,
}

/// Warnings, each with its area and each once.
#[derive(Debug, Default)]
pub struct Tally {
    all: Vec<(Area, Error)>,
    known: HashSet<Error>,
}

impl Tally {
    /// Looks at something, and counts what cannot be read.
    pub fn look<T>(
        &mut self,
        area: Area,
        work: impl FnOnce(&mut Warnings) -> Result<T>,
    ) -> Found<T> {
        let mut warnings = Vec::new();
        let value = work(&mut warnings);
        let is_whole = value.is_ok() && warnings.is_empty();
        let value = match value {
            Ok(value) => Some(value),
            Err(error) => {
                warnings.push(error);
                None
            }
        };
        for warning in warnings {
            // The same file is read for several questions.
            if self.known.insert(warning.clone()) {
                self.all.push((area, warning));
            }
        }
        Found { value, is_whole }
    }

    /// How many of each area, zeros among them.
    pub fn counts(&self) -> Vec<(Area, usize)> {
        let of = |area| self.all.iter().filter(|(known, _)| *known == area).count();
        Area::ALL.map(|area| (area, of(area))).to_vec()
    }

    /// All of them.
    pub fn warnings(self) -> Warnings {
        self.all.into_iter().map(|(_, warning)| warning).collect()
    }
}
