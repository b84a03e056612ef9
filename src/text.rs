//! Texts that people write: those of [`vgpu_host::text`], and the values of TOML files.

use toml::de::DeValue;

pub use vgpu_host::text::*;

/// A whole number; nothing for another value, and for a number of more than 63 bits.
pub fn whole(value: &DeValue<'_>) -> Option<i64> {
    let number = value.as_integer()?;
    let digits = number.as_str().replace('_', "");
    i64::from_str_radix(&digits, number.radix()).ok()
}

/// A value as a message shows it: itself where it is short, else its kind with its article.
pub fn said(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => quoted(text),
        DeValue::Integer(number) => shortened(&number.to_string()),
        DeValue::Float(number) => shortened(number.as_str()),
        DeValue::Boolean(truth) => truth.to_string(),
        other => format!("{} {}", article(other.type_str()), other.type_str()),
    }
}

fn article(word: &str) -> &'static str {
    match word.starts_with(['a', 'e', 'i', 'o', 'u']) {
        true => "an",
        false => "a",
    }
}
