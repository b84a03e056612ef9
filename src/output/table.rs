//! Tables: bordered at a terminal, plain columns elsewhere.

use comfy_table::presets::{NOTHING, UTF8_FULL_CONDENSED};
use comfy_table::{
    Attribute, Cell, CellAlignment, Color, ColumnConstraint, ContentArrangement, Table,
};

use super::Style;

/// A column's heading and how its cells stand.
#[derive(Debug, Clone, Copy)]
pub struct Column {
    /// The heading, in capitals.
    pub name: &'static str,
    kind: ColumnKind,
    is_spare: bool,
}

impl Column {
    /// The same column, left out where the terminal is too narrow; those on the right go first.
    pub const fn spare(self) -> Column {
        Column {
            is_spare: true,
            ..self
        }
    }

    const fn of(name: &'static str, kind: ColumnKind) -> Column {
        Column {
            name,
            kind,
            is_spare: false,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ColumnKind {
    Id,
    Words,
    Number,
}

/// A column of what users copy: never broken over two lines.
pub const fn ids(name: &'static str) -> Column {
    Column::of(name, ColumnKind::Id)
}

/// A column of words, which wrap on a narrow terminal.
pub const fn words(name: &'static str) -> Column {
    Column::of(name, ColumnKind::Words)
}

/// A column of numbers, which stand right so that their digits align.
pub const fn numbers(name: &'static str) -> Column {
    Column::of(name, ColumnKind::Number)
}

/// A line of a table.
#[derive(Debug, Clone)]
pub struct Row {
    /// One text a column.
    pub cells: Vec<String>,
    /// Whether the line stands for something that is there or free now.
    pub is_live: bool,
}

/// What a border and its padding add to each column.
const FRAME: usize = 3;

/// Draws the table; nothing at all where it has no rows. Ends in a newline otherwise.
pub fn draw(columns: &[Column], rows: Vec<Row>, style: Style) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let mut table = Table::new();
    let room = match style {
        Style::Plain => None,
        Style::Bordered | Style::Coloured => table.width().map(usize::from),
    };
    let (columns, rows) = fitting(columns, rows, room);
    let columns = columns.as_slice();
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
    for (drawn, column) in table.column_iter_mut().zip(columns) {
        if column.kind == ColumnKind::Id {
            drawn.set_constraint(ColumnConstraint::ContentWidth);
        }
    }
    if style == Style::Plain {
        for column in table.column_iter_mut() {
            column.set_padding((0, 2));
        }
    }
    format!("{}\n", table.trim_fmt())
}

/// Leaves spare columns out, from the right, until the lines fit into the room there is.
fn fitting(columns: &[Column], rows: Vec<Row>, room: Option<usize>) -> (Vec<Column>, Vec<Row>) {
    let mut kept: Vec<usize> = (0..columns.len()).collect();
    let width_of = |at: &usize| {
        let cells = rows.iter().filter_map(|row| row.cells.get(*at));
        let widths = cells.map(|cell| cell.chars().count());
        widths
            .max()
            .unwrap_or_default()
            .max(columns[*at].name.len())
            + FRAME
    };
    while kept.iter().map(width_of).sum::<usize>() + 1 > room.unwrap_or(usize::MAX) {
        let Some(spare) = kept.iter().rposition(|at| columns[*at].is_spare) else {
            break;
        };
        kept.remove(spare);
    }
    let taken = |row: &Row| Row {
        cells: kept
            .iter()
            .filter_map(|at| row.cells.get(*at).cloned())
            .collect(),
        is_live: row.is_live,
    };
    let rows = rows.iter().map(taken).collect();
    (kept.iter().map(|at| columns[*at]).collect(), rows)
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
    match column.kind {
        ColumnKind::Number => cell.set_alignment(CellAlignment::Right),
        ColumnKind::Id | ColumnKind::Words => cell,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spare_columns_give_way_from_the_right_until_the_rest_fits() {
        let columns = [
            words("A"),
            words("BB").spare(),
            words("C"),
            words("DDD").spare(),
        ];
        let rows = || {
            let cells = ["aaaa", "b", "cc", "d"].map(str::to_owned).to_vec();
            vec![Row {
                cells,
                is_live: true,
            }]
        };
        // │ aaaa ┆ BB ┆ cc ┆ DDD │ is 24 wide.
        for (room, wanted) in [
            (None, "A BB C DDD: aaaa b cc d"),
            (Some(24), "A BB C DDD: aaaa b cc d"),
            (Some(23), "A BB C: aaaa b cc"),
            (Some(18), "A BB C: aaaa b cc"),
            (Some(17), "A C: aaaa cc"),
            (Some(1), "A C: aaaa cc"),
        ] {
            let (kept, rows) = fitting(&columns, rows(), room);
            let names: Vec<&str> = kept.iter().map(|column| column.name).collect();
            let told = format!("{}: {}", names.join(" "), rows[0].cells.join(" "));
            assert_eq!(told, wanted, "{room:?}");
        }
    }

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
