//! The series of NVIDIA's types: the intended use of each, and the licence it requires.

use std::fmt;
use std::str::FromStr;

use crate::Invalid;
use crate::data::{SeriesFacts, TYPES};

/// The intended use of a type, given by the letter at the end of its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Series {
    /// A: single applications, on session hosts.
    Applications,
    /// B: desktops for office work.
    Business,
    /// C: computing, without graphics.
    Compute,
    /// Q: workstations.
    Workstation,
    /// No letter: gaming, with suitable drivers only.
    Gaming,
}

impl Series {
    /// Every series, in order of their names.
    pub const ALL: [Series; 5] = [
        Series::Applications,
        Series::Business,
        Series::Compute,
        Series::Workstation,
        Series::Gaming,
    ];

    fn facts(self) -> &'static SeriesFacts {
        // A test checks that all series are present.
        &TYPES.series[self.name()]
    }

    /// The series for a letter in a type name.
    pub fn of_letter(letter: char) -> Option<Series> {
        let has_letter = |series: &&Series| series.name().chars().eq([letter]);
        Series::ALL.iter().find(has_letter).copied()
    }

    /// The letter, or "gaming" for the series without one.
    pub fn name(self) -> &'static str {
        match self {
            Series::Applications => "A",
            Series::Business => "B",
            Series::Compute => "C",
            Series::Workstation => "Q",
            Series::Gaming => "gaming",
        }
    }

    /// The intended use.
    pub fn purpose(self) -> &'static str {
        &self.facts().purpose
    }

    /// The licence edition that a guest needs, by its name in GRID drivers.
    pub fn licence(self) -> &'static str {
        &self.facts().licence
    }

    /// NVIDIA's current name for that edition, if different.
    pub fn licence_today(self) -> Option<&'static str> {
        self.facts().licence_today.as_deref()
    }

    /// Whether OpenGL is accelerated; `None` if not documented by NVIDIA.
    pub fn opengl(self) -> Option<bool> {
        self.facts().opengl
    }
}

impl FromStr for Series {
    type Err = Invalid;

    /// Accepts the letter in either case, or "gaming".
    fn from_str(text: &str) -> Result<Series, Invalid> {
        let known = |series: &&Series| series.name().eq_ignore_ascii_case(text);
        let found = Series::ALL.iter().find(known).copied();
        found.ok_or_else(|| Invalid::Series(text.to_owned()))
    }
}

impl fmt::Display for Series {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_series_is_taken_by_its_letter_in_either_case() {
        for series in Series::ALL {
            assert_eq!(series.name().parse(), Ok(series));
            assert_eq!(series.name().to_lowercase().parse(), Ok(series));
        }
        for bad in ["", "X", "AB", "Q ", "workstation"] {
            let error = bad.parse::<Series>().unwrap_err();
            assert_eq!(error, Invalid::Series(bad.to_owned()));
            let hint = error.hint().unwrap();
            assert!(
                hint.contains("Q (professional workstation), gaming"),
                "{hint}"
            );
        }
    }

    #[test]
    fn each_series_has_its_use_and_its_licence() {
        let line = |series: Series| {
            format!(
                "{series}: {}, {}, {:?}, {:?}",
                series.purpose(),
                series.licence(),
                series.licence_today(),
                series.opengl()
            )
        };
        assert_eq!(
            Series::ALL.map(line),
            [
                "A: virtual applications, vApps, None, Some(true)",
                "B: basic PC work, vPC, None, Some(true)",
                "C: compute server, vCS, Some(\"NVIDIA AI Enterprise\"), Some(false)",
                "Q: professional workstation, vDWS, Some(\"vWS\"), Some(true)",
                "gaming: gaming, vGaming, None, None",
            ]
        );
    }
}
