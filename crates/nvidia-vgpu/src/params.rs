//! The parameters of a vGPU, which NVIDIA's driver stores as one line of text:
//! `frame_rate_limiter=0, disable_vnc=1` (NVIDIA's vGPU user guide).

use std::collections::HashSet;
use std::fmt;
use std::str::FromStr;

use crate::Invalid;

/// The device attribute that contains them.
pub const ATTRIBUTE: &str = "nvidia/vgpu_params";

/// The longest line that the driver accepts, including the newline (E2BIG above this).
pub const LONGEST: usize = 1024;

/// Parameters documented by NVIDIA.
pub(crate) const KNOWN: [&str; 6] = [
    "frame_rate_limiter",
    "disable_vnc",
    "enable_uvm",
    "enable_debugging",
    "enable_profiling",
    "vgpu_id",
];

/// The documented parameter whose value is not 0 or 1.
const NUMBERED: &str = "vgpu_id";

/// A change to one parameter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ParamEdit {
    /// Set to a non-empty value.
    Set(String, String),
    /// Delete, if present.
    Remove(String),
}

impl ParamEdit {
    /// Deletes the named parameter.
    ///
    /// # Errors
    /// [`Invalid::ParamName`].
    pub fn remove(name: &str) -> Result<ParamEdit, Invalid> {
        check_name(name)?;
        Ok(ParamEdit::Remove(name.to_owned()))
    }

    /// The parameter's name.
    pub fn name(&self) -> &str {
        match self {
            ParamEdit::Set(name, _) | ParamEdit::Remove(name) => name,
        }
    }
}

impl FromStr for ParamEdit {
    type Err = Invalid;

    /// Parses `NAME=VALUE`; `NAME=` deletes the parameter.
    fn from_str(text: &str) -> Result<ParamEdit, Invalid> {
        let (name, value) = text
            .split_once('=')
            .ok_or_else(|| Invalid::Param(text.to_owned()))?;
        check_name(name)?;
        let is_odd = |c: char| c == ',' || c == '=' || c.is_whitespace() || c.is_control();
        if value.contains(is_odd) {
            return Err(Invalid::ParamValue(name.to_owned(), value.to_owned()));
        }
        Ok(match value {
            "" => ParamEdit::Remove(name.to_owned()),
            _ => ParamEdit::Set(name.to_owned(), value.to_owned()),
        })
    }
}

fn check_name(name: &str) -> Result<(), Invalid> {
    let fits = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
    match name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') && name.chars().all(fits)
    {
        true => Ok(()),
        false => Err(Invalid::ParamName(name.to_owned())),
    }
}

/// Rejects a parameter that is set more than once.
///
/// # Errors
/// [`Invalid::ParamTwice`], with its name.
pub fn refuse_doubles(edits: &[ParamEdit]) -> Result<(), Invalid> {
    let mut seen = HashSet::new();
    match edits.iter().find(|edit| !seen.insert(edit.name())) {
        Some(twice) => Err(Invalid::ParamTwice(twice.name().to_owned())),
        None => Ok(()),
    }
}

/// Warnings about unusual parameters, one sentence each. They are passed to the driver anyway: drivers
/// add new ones.
pub fn doubts(edits: &[ParamEdit]) -> Vec<String> {
    let doubt = |edit: &ParamEdit| match edit {
        ParamEdit::Set(name, _) if !KNOWN.contains(&name.as_str()) => Some(format!(
            "vGPU parameter {name} is not known here, so it is passed on unchecked (known: {})",
            KNOWN.join(", ")
        )),
        ParamEdit::Set(name, value) if name != NUMBERED && value != "0" && value != "1" => {
            Some(format!(
                "vGPU parameter {name} is 0 or 1 by NVIDIA's guide; {value} is passed on as it is"
            ))
        }
        _ => None,
    };
    edits.iter().filter_map(doubt).collect()
}

/// The parameters of one vGPU, in order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Params(Vec<Param>);

/// One parameter. An item without `=` is preserved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Param {
    /// Its name.
    pub name: String,
    /// Its value; `None` if there is no `=`.
    pub value: Option<String>,
}

impl Params {
    /// Parses the driver's line, with any spacing. Nothing is rejected or lost.
    pub fn parse(line: &str) -> Params {
        let parts = line.split(',').map(str::trim).filter(|p| !p.is_empty());
        let param = |part: &str| match part.split_once('=') {
            Some((name, value)) => Param {
                name: name.trim().to_owned(),
                value: Some(value.trim().to_owned()),
            },
            None => Param {
                name: part.to_owned(),
                value: None,
            },
        };
        Params(parts.map(param).collect())
    }

    /// The parameters, in order.
    pub fn list(&self) -> &[Param] {
        &self.0
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The parameters after the changes: existing ones keep their position, new ones are appended.
    pub fn edited(&self, edits: &[ParamEdit]) -> Params {
        let mut list = self.0.clone();
        for edit in edits {
            let place = list.iter().position(|param| param.name == edit.name());
            list.retain(|param| param.name != edit.name());
            if let ParamEdit::Set(name, value) = edit {
                let param = Param {
                    name: name.clone(),
                    value: Some(value.clone()),
                };
                list.insert(place.unwrap_or(list.len()), param);
            }
        }
        Params(list)
    }
}

impl fmt::Display for Params {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, param) in self.0.iter().enumerate() {
            if at > 0 {
                f.write_str(", ")?;
            }
            f.write_str(&param.name)?;
            if let Some(value) = &param.value {
                write!(f, "={value}")?;
            }
        }
        Ok(())
    }
}

/// The text to write to the attribute to set it to `value`. The driver drops the last
/// character written, which is therefore a newline; a line that only contains a space
/// clears the attribute.
pub fn line(value: &str) -> String {
    match value.trim_end_matches(['\n', '\r']) {
        value if value.trim().is_empty() => " \n".to_owned(),
        value => format!("{value}\n"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn whatever_the_line_says_what_is_written_back_means_the_same(text: String) {
            let params = Params::parse(&text);
            proptest::prop_assert_eq!(Params::parse(&params.to_string()), params.clone());
            let set = params.edited(&edits(&["new_one=1"])).edited(&edits(&["new_one="]));
            let others = params.edited(&edits(&["new_one="]));
            proptest::prop_assert_eq!(set, others);
        }
    }

    fn edits(list: &[&str]) -> Vec<ParamEdit> {
        list.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn any_spacing_is_understood_and_nothing_is_lost() {
        for (line, wanted) in [
            ("", ""),
            (" \n", ""),
            (" , ,", ""),
            (
                "frame_rate_limiter=0, disable_vnc=1",
                "frame_rate_limiter=0, disable_vnc=1",
            ),
            (
                "frame_rate_limiter=0,disable_vnc=1\n",
                "frame_rate_limiter=0, disable_vnc=1",
            ),
            ("  b = 1 ,a=0  ", "b=1, a=0"),
            ("a=1,a=2", "a=1, a=2"),
            ("x", "x"),
            ("x, a=, =y", "x, a=, =y"),
            ("a=b=c", "a=b=c"),
        ] {
            assert_eq!(Params::parse(line).to_string(), wanted, "{line:?}");
        }
    }

    #[test]
    fn setting_one_keeps_the_others_and_their_order() {
        for (line, changes, wanted) in [
            ("", vec!["a=1", "b=0"], "a=1, b=0"),
            ("a=0,  b=1", vec!["a=1"], "a=1, b=1"),
            ("a=0,b=1", vec!["c=2"], "a=0, b=1, c=2"),
            ("a=0,b=1", vec!["a="], "b=1"),
            ("a=0", vec!["a="], ""),
            ("a=0", vec!["b="], "a=0"),
            ("x, a=0, junk", vec!["a=1"], "x, a=1, junk"),
            ("a=0, b=1, a=2", vec!["a=3"], "a=3, b=1"),
            ("ab=1", vec!["a=2"], "ab=1, a=2"),
            ("x, b=1", vec!["x=1"], "x=1, b=1"),
        ] {
            let after = Params::parse(line).edited(&edits(&changes));
            assert_eq!(after.to_string(), wanted, "{line:?} {changes:?}");
        }
    }

    #[test]
    fn what_cannot_be_a_parameter_is_refused() {
        for bad in [
            "", "a", "=1", "a b=1", "a=1,b=2", "a=1 ", "a= 1", "a=1\n", "a\n=1", "a,b=1", "1a=1",
            "a=b=c", "a/b=1", "é=1", "a=\u{7f}", "-a=1",
        ] {
            let error = bad.parse::<ParamEdit>().unwrap_err();
            assert!(error.hint().is_some(), "{bad:?}");
        }
        assert!(ParamEdit::remove("a=1").is_err());
        assert_eq!(
            "frame_rate_limiter=".parse(),
            ParamEdit::remove("frame_rate_limiter")
        );
    }

    #[test]
    fn a_name_given_twice_is_refused_whichever_way() {
        assert!(refuse_doubles(&edits(&["a=1", "b=1"])).is_ok());
        for list in [["a=1", "a=1"], ["a=1", "a="], ["a=", "a="]] {
            let error = refuse_doubles(&edits(&list)).unwrap_err();
            assert!(error.to_string().contains("parameter a is given twice"));
        }
    }

    #[test]
    fn new_names_and_odd_values_are_told_of() {
        assert_eq!(
            doubts(&edits(&["frame_rate_limiter=0", "vgpu_id=77", "new="])),
            [""; 0]
        );
        let told = doubts(&edits(&["enable_new=1", "disable_vnc=yes"]));
        assert!(told[0].contains("enable_new is not known here"), "{told:?}");
        assert!(told[1].contains("disable_vnc is 0 or 1"), "{told:?}");
    }

    #[test]
    fn the_line_ends_in_one_newline_and_a_space_clears_it() {
        assert_eq!(line("a=1, b=2"), "a=1, b=2\n");
        assert_eq!(line("a=1\n"), "a=1\n");
        for nothing in ["", " ", "\n", " \n"] {
            assert_eq!(line(nothing), " \n");
        }
    }
}
