//! How much decoration the reader can take.

/// Whether to draw for a person at a terminal or to write plain columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// Columns and spaces: for pipes, files and scripts.
    Plain,
    /// Borders, no colour: a terminal with `NO_COLOR` set or without colours.
    Bordered,
    /// Borders and colour.
    Coloured,
}

impl Style {
    /// The style for a stream, given whether it is a terminal and the two usual variables
    /// (no-color.org: `NO_COLOR` counts when it is set and not empty).
    pub fn choose(is_terminal: bool, no_color: Option<&str>, term: Option<&str>) -> Style {
        let wants_none = no_color.is_some_and(|value| !value.is_empty());
        match is_terminal {
            false => Style::Plain,
            true if wants_none || term == Some("dumb") => Style::Bordered,
            true => Style::Coloured,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colour_needs_a_terminal_that_has_it_and_a_user_who_wants_it() {
        let term = Some("xterm-256color");
        assert_eq!(Style::choose(false, None, term), Style::Plain);
        assert_eq!(Style::choose(true, None, term), Style::Coloured);
        assert_eq!(Style::choose(true, Some(""), term), Style::Coloured);
        assert_eq!(Style::choose(true, Some("1"), term), Style::Bordered);
        assert_eq!(Style::choose(true, None, Some("dumb")), Style::Bordered);
    }
}
