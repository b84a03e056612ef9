//! vgpu_unlock-rs' own reading of its two files, by the TOML reader that it is built with.
//!
//! It reads TOML 1.0, while the `toml` of the rest of this program reads newer forms too.

/// Why a file is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The byte at which it stands.
    pub at: usize,
    /// What the reader says.
    pub message: String,
}

/// What it says of a file as TOML; `None` where it takes that. What it expects of the keys is known to
/// those who judge them: one wrong value anywhere refuses the file as well.
pub fn refusal(text: &str) -> Option<Refusal> {
    let error = toml_0_8::from_str::<toml_0_8::Table>(text).err()?;
    Some(Refusal {
        at: error.span().map_or(0, |span| span.start),
        message: error.message().replace('\n', ", "),
    })
}

/// The device that an entry of `pci_info_map` is for: digits are decimal, unless `0x` or `0b` stands
/// before them.
pub fn device_number(key: &str) -> Option<u32> {
    let key = key.trim();
    let (digits, radix) = match (key.get(..2), key.get(2..)) {
        (Some("0x" | "0X"), Some(digits)) => (digits, 16),
        (Some("0b" | "0B"), Some(digits)) => (digits, 2),
        _ => (key, 10),
    };
    u32::from_str_radix(digits, radix).ok()
}
