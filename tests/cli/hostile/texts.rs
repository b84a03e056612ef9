//! Texts that a terminal would obey, or that a reader would not see.

/// One of each kind: a colour, a title, C1, a carriage return, a bell, a deletion, letters turned around,
/// a line's end elsewhere, and what has no width.
pub const HIDDEN: &str = "\u{1b}[31m\u{1b}]0;title\u{7}\u{9b}2J\rab\u{8}\u{7f}\u{202e}\u{2066}\u{2028}\u{2029}\u{85}\u{200b}\u{feff}\u{ad}\u{e0041}";

/// As [`HIDDEN`], for a place that no NUL, slash or end of a line may be in, and with few bytes.
pub const SHORT: &str = "\u{1b}[31m\u{202e}";

/// Whether an answer shows what it hides: as Rust writes it, or as JSON or TOML does. What clap says of its
/// arguments has no escape sequences any more.
pub fn is_shown(text: &str) -> bool {
    ["u{202e}", "\\u202e", "\\U0000202E"]
        .iter()
        .any(|shown| text.contains(shown))
}
