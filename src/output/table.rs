//! Tables: bordered at a terminal, plain columns elsewhere.

use std::borrow::Cow;

use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{
    Attribute, Cell, CellAlignment, Color, ColumnConstraint, ContentArrangement, Table,
};

use unicode_width::UnicodeWidthStr;

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
pub struct Row<'a> {
    /// One text a column.
    pub cells: Vec<Cow<'a, str>>,
    /// Whether the line stands for something that is there or free now.
    pub is_live: bool,
}

/// What a border and its padding add to each column.
const FRAME: usize = 3;

/// Spaces between plain columns.
const GAP: usize = 2;

/// Draws the table; nothing at all where it has no rows. Ends in a newline otherwise.
pub fn draw(columns: &[Column], rows: Vec<Row<'_>>, style: Style) -> String {
    match style {
        _ if rows.is_empty() => String::new(),
        Style::Plain => plain(columns, &rows),
        Style::Bordered | Style::Coloured => bordered(columns, rows, style),
    }
}

/// Columns that are as wide as their widest text, with two spaces between them.
fn plain(columns: &[Column], rows: &[Row<'_>]) -> String {
    let mut widths: Vec<usize> = columns.iter().map(|column| column.name.len()).collect();
    let mut of_cells = Vec::with_capacity(columns.len() * rows.len());
    for row in rows {
        for (widest, cell) in widths.iter_mut().zip(&row.cells) {
            let width = width_of(cell);
            *widest = width.max(*widest);
            of_cells.push(width);
        }
    }
    let line = widths.iter().sum::<usize>() + widths.len() * GAP;
    let mut pen = Pen {
        text: String::with_capacity(line * (rows.len() + 1)),
        owed: 0,
    };
    for (column, widest) in columns.iter().zip(&widths) {
        pen.write(column.name, column.name.len(), *widest, column.kind);
    }
    pen.end_line();
    let mut of_cells = of_cells.into_iter();
    for row in rows {
        let places = columns.iter().zip(&widths).zip(of_cells.by_ref());
        for (((column, widest), width), cell) in places.zip(&row.cells) {
            pen.write(cell, width, *widest, column.kind);
        }
        pen.end_line();
    }
    pen.text
}

/// Writes cells. Spaces are written only once something follows them in the line.
struct Pen {
    text: String,
    owed: usize,
}

impl Pen {
    fn write(&mut self, cell: &str, width: usize, widest: usize, kind: ColumnKind) {
        let room = widest.saturating_sub(width);
        let (before, after) = match kind {
            ColumnKind::Number => (room, 0),
            ColumnKind::Id | ColumnKind::Words => (0, room),
        };
        add_spaces(&mut self.text, self.owed + before);
        self.text.push_str(cell);
        self.owed = after + GAP;
    }

    fn end_line(&mut self) {
        self.owed = 0;
        self.text.truncate(self.text.trim_end_matches(' ').len());
        self.text.push('\n');
    }
}

fn add_spaces(text: &mut String, number: usize) {
    const SOME: &str = "                                ";
    let mut left = number;
    while left > 0 {
        let part = left.min(SOME.len());
        text.push_str(&SOME[..part]);
        left -= part;
    }
}

/// The room that a text takes at a terminal.
fn width_of(text: &str) -> usize {
    match text.is_ascii() {
        true => text.len(),
        false => text.width(),
    }
}

/// A table with borders, as wide as the terminal at most.
fn bordered(columns: &[Column], rows: Vec<Row<'_>>, style: Style) -> String {
    let mut table = Table::new();
    let (columns, rows) = fitting(columns, rows, table.width().map(usize::from));
    let columns = columns.as_slice();
    table.load_style(UTF8_FULL_CONDENSED);
    table.set_content_arrangement(ContentArrangement::Dynamic);
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
    format!("{}\n", table.trim_fmt())
}

/// Leaves spare columns out, from the right, until the lines fit into the room there is.
fn fitting<'a>(
    columns: &[Column],
    rows: Vec<Row<'a>>,
    room: Option<usize>,
) -> (Vec<Column>, Vec<Row<'a>>) {
    let mut kept: Vec<usize> = (0..columns.len()).collect();
    let width = |at: &usize| {
        let cells = rows.iter().filter_map(|row| row.cells.get(*at));
        let widths = cells.map(|cell| width_of(cell));
        widths
            .max()
            .unwrap_or_default()
            .max(columns[*at].name.len())
            + FRAME
    };
    while kept.iter().map(width).sum::<usize>() + 1 > room.unwrap_or(usize::MAX) {
        let Some(spare) = kept.iter().rposition(|at| columns[*at].is_spare) else {
            break;
        };
        kept.remove(spare);
    }
    let taken = |row: &Row<'a>| Row {
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

fn cell(column: Column, text: Cow<'_, str>, is_live: bool, style: Style) -> Cell {
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
            let cells = ["aaaa", "b", "cc", "d"].map(Cow::from).to_vec();
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
    fn columns_stay_straight_behind_wide_letters() {
        let row = |name: &'static str| Row {
            cells: vec![name.into(), "x".into()],
            is_live: true,
        };
        let drawn = draw(
            &[words("A"), words("B")],
            vec![row("日本"), row("ab")],
            Style::Plain,
        );
        assert_eq!(drawn, "A     B\n日本  x\nab    x\n");
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
