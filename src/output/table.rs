//! Tables: bordered at a terminal, plain columns elsewhere.

use comfy_table::presets::{NOTHING, UTF8_FULL_CONDENSED};
use comfy_table::{Attribute, Cell, CellAlignment, Color, ContentArrangement, Table};

use super::Style;

/// A column's heading and how its cells stand.
#[derive(Debug, Clone, Copy)]
pub struct Column {
    /// The heading, in capitals.
    pub name: &'static str,
    /// Numbers stand right, so that their digits align.
    pub is_number: bool,
}

/// A column of words.
pub const fn words(name: &'static str) -> Column {
    Column {
        name,
        is_number: false,
    }
}

/// A column of numbers.
pub const fn numbers(name: &'static str) -> Column {
    Column {
        name,
        is_number: true,
    }
}

/// A line of a table.
#[derive(Debug, Clone)]
pub struct Row {
    /// One text a column.
    pub cells: Vec<String>,
    /// Whether the line stands for something that is there or free now.
    pub is_live: bool,
}

/// Draws the table; nothing at all where it has no rows. Ends in a newline otherwise.
pub fn draw(columns: &[Column], rows: Vec<Row>, style: Style) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let mut table = Table::new();
    match style {
        Style::Plain => {
            table.load_style(NOTHING);
            table.set_content_arrangement(ContentArrangement::Disabled);
        }
        Style::Bordered | Style::Coloured => {
            table.load_style(UTF8_FULL_CONDENSED);
            table.set_content_arrangement(ContentArrangement::Dynamic);
        }
    }
    if style == Style::Coloured {
        table.enforce_styling();
    }
    table.set_header(columns.iter().map(|column| heading(*column, style)));
    for row in rows {
        let cells = columns.iter().zip(row.cells);
        table.add_row(cells.map(|(column, text)| cell(*column, text, row.is_live, style)));
    }
    if style == Style::Plain {
        for column in table.column_iter_mut() {
            column.set_padding((0, 2));
        }
    }
    format!("{}\n", table.trim_fmt())
}

fn heading(column: Column, style: Style) -> Cell {
    let cell = aligned(Cell::new(column.name), column);
    match style {
        Style::Coloured => cell.add_attribute(Attribute::Bold),
        _ => cell,
    }
}

fn cell(column: Column, text: String, is_live: bool, style: Style) -> Cell {
    let cell = aligned(Cell::new(text), column);
    match style {
        Style::Coloured if !is_live => cell.fg(Color::DarkGrey),
        _ => cell,
    }
}

fn aligned(cell: Cell, column: Column) -> Cell {
    match column.is_number {
        true => cell.set_alignment(CellAlignment::Right),
        false => cell,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(style: Style) -> String {
        let rows = vec![
            Row {
                cells: vec!["nvidia-63".into(), "8".into()],
                is_live: true,
            },
            Row {
                cells: vec!["nvidia-105".into(), "16".into()],
                is_live: false,
            },
        ];
        draw(&[words("TYPE"), numbers("FREE")], rows, style)
    }

    #[test]
    fn plain_tables_are_columns_that_awk_and_cut_understand() {
        insta::assert_snapshot!(sample(Style::Plain), @r"
        TYPE        FREE
        nvidia-63      8
        nvidia-105    16
        ");
    }

    #[test]
    fn terminals_get_borders_and_colour_only_where_it_is_wanted() {
        assert!(sample(Style::Bordered).contains('│'));
        assert!(!sample(Style::Bordered).contains('\u{1b}'));
        assert!(sample(Style::Coloured).contains('\u{1b}'));
    }

    #[test]
    fn nothing_is_drawn_for_nothing() {
        assert_eq!(draw(&[words("TYPE")], Vec::new(), Style::Bordered), "");
    }
}
