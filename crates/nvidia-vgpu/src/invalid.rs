//! Errors for invalid user input.

use std::fmt;

use crate::{Series, params};

/// Maximum number of characters quoted in a message.
const SHOWN: usize = 60;

/// Invalid user input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Invalid {
    /// A malformed framebuffer size.
    Size(String),
    /// An unknown series.
    Series(String),
    /// A change to a parameter that is not of the form NAME=VALUE.
    Param(String),
    /// An invalid parameter name.
    ParamName(String),
    /// An invalid value for the named parameter.
    ParamValue(String, String),
    /// A parameter that is set more than once.
    ParamTwice(String),
}

impl Invalid {
    /// A hint about valid input.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Invalid::Size(_) => "write it as 2G, 2GiB, 2048M or 512M".to_owned(),
            Invalid::Series(_) => {
                let all = Series::ALL.map(|series| match series {
                    Series::Gaming => series.to_string(),
                    _ => format!("{series} ({})", series.purpose()),
                });
                format!("there are: {}", all.join(", "))
            }
            Invalid::Param(_) => "write it as: frame_rate_limiter=0".to_owned(),
            Invalid::ParamName(_) => format!("names are such as: {}", params::KNOWN.join(", ")),
            Invalid::ParamValue(..) => {
                "a value has no spaces, commas or equals signs; give each parameter its own"
                    .to_owned()
            }
            Invalid::ParamTwice(_) => return None,
        })
    }
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Invalid::Size(text) => write!(f, "{} is not a size", quoted(text)),
            Invalid::Series(text) => write!(f, "{text:?} is no series of types"),
            Invalid::Param(text) => write!(f, "{} is not of the form NAME=VALUE", quoted(text)),
            Invalid::ParamName(name) => {
                write!(f, "{} cannot be the name of a vGPU parameter", quoted(name))
            }
            Invalid::ParamValue(name, value) => {
                write!(
                    f,
                    "{} cannot be the value of vGPU parameter {name}",
                    quoted(value)
                )
            }
            Invalid::ParamTwice(name) => write!(f, "vGPU parameter {name} is given twice"),
        }
    }
}

impl std::error::Error for Invalid {}

/// Quoted, on one line, and shortened for messages.
fn quoted(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{:?}", format!("{}…", &text[..end])),
        None => format!("{text:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_shown_in_part_and_what_is_taken_is_told() {
        let shown = "ü".repeat(SHOWN);
        let long = Invalid::Size(format!("{shown}ü"));
        assert_eq!(long.to_string(), format!("\"{shown}…\" is not a size"));
        let value = Invalid::ParamValue("a".into(), "b\n".into());
        assert_eq!(
            value.to_string(),
            r#""b\n" cannot be the value of vGPU parameter a"#
        );
        assert!(value.hint().is_some_and(|hint| hint.contains("no spaces")));
        assert_eq!(Invalid::ParamTwice("a".into()).hint(), None);
    }
}
