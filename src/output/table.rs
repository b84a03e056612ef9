//! Tables: bordered at a terminal, plain columns elsewhere.

use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{Attribute, Cell, CellAlignment, Color, ColumnConstraint, ContentArrangement};
use unicode_width::UnicodeWidthStr;

use super::Style;
use crate::text::on_one_line;

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

/// What a border and its padding add to each column.
const FRAME: usize = 3;

/// Spaces between plain columns.
const GAP: usize = 2;

/// A table, which is filled row by row and then drawn.
#[derive(Debug)]
pub struct Table {
    columns: Vec<Column>,
    /// What stands in the cells, one behind the other: to keep each by itself costs more than drawing.
    texts: String,
    cells: Vec<Text>,
    /// Of each row, whether it stands for something that is there or free now.
    live: Vec<bool>,
}

/// A text that can stand in several cells of a table.
#[derive(Debug, Clone, Copy)]
pub struct Text {
    start: usize,
    end: usize,
}

impl Table {
    /// One without rows.
    pub fn of(columns: impl Into<Vec<Column>>) -> Table {
        Table::with_room(columns, 0)
    }

    /// As [`Table::of`], with room for so many rows.
    pub fn with_room(columns: impl Into<Vec<Column>>, rows: usize) -> Table {
        let columns = columns.into();
        Table {
            texts: String::new(),
            cells: Vec::with_capacity(rows * columns.len()),
            live: Vec::with_capacity(rows),
            columns,
        }
    }

    /// A text for cells of this table.
    pub fn text(&mut self, text: impl AsRef<str>) -> Text {
        let start = self.texts.len();
        self.texts.push_str(&on_one_line(text.as_ref()));
        Text {
            start,
            end: self.texts.len(),
        }
    }

    /// Begins a row, of which each cell is filled next; `is_live` says whether it stands for
    /// something that is there or free now.
    pub fn row(&mut self, is_live: bool) -> &mut Table {
        self.live.push(is_live);
        self
    }

    /// Fills the next cell of the row.
    pub fn cell(&mut self, text: impl AsRef<str>) -> &mut Table {
        let text = self.text(text);
        self.put(text)
    }

    /// Fills the next cell of the row with a text that other cells may have too.
    pub fn put(&mut self, text: Text) -> &mut Table {
        self.cells.push(text);
        self
    }

    /// Draws the table; nothing at all where it has no rows. Ends in a newline otherwise.
    pub fn draw(&self, style: Style) -> String {
        match style {
            _ if self.live.is_empty() => String::new(),
            Style::Plain => self.plain(),
            Style::Bordered | Style::Coloured => self.bordered(style),
        }
    }

    fn rows(&self) -> impl Iterator<Item = &[Text]> {
        self.cells.chunks(self.columns.len())
    }

    fn said(&self, text: Text) -> &str {
        self.texts.get(text.start..text.end).unwrap_or_default()
    }

    /// The room that each cell takes at a terminal: nearly always the length of its text.
    fn rooms(&self) -> Vec<usize> {
        let cells = self.cells.iter();
        match self.texts.is_ascii() {
            true => cells.map(|text| text.end - text.start).collect(),
            false => cells.map(|text| self.said(*text).width()).collect(),
        }
    }

    /// The width of each column, where the cells take such rooms.
    fn widths(&self, rooms: &[usize]) -> Vec<usize> {
        let headings = self.columns.iter().map(|column| column.name.len());
        let mut widths: Vec<usize> = headings.collect();
        for row in rooms.chunks(self.columns.len()) {
            for (widest, room) in widths.iter_mut().zip(row) {
                *widest = *room.max(widest);
            }
        }
        widths
    }

    /// Columns that are as wide as their widest text, with two spaces between them.
    fn plain(&self) -> String {
        let rooms = self.rooms();
        let widths = self.widths(&rooms);
        let line = widths.iter().sum::<usize>() + widths.len() * GAP;
        let bytes = self.cells.iter().map(|text| text.end - text.start);
        let more = bytes.sum::<usize>().saturating_sub(rooms.iter().sum());
        let mut pen = Pen::for_room(line * (self.live.len() + 1) + more);
        for (column, widest) in self.columns.iter().zip(&widths) {
            let name = column.name;
            pen.write(name.as_bytes(), widest - name.len(), column.kind);
        }
        pen.end_line();
        let texts = self.texts.as_bytes();
        let mut rooms = rooms.iter();
        for row in self.rows() {
            for (((column, widest), text), room) in self
                .columns
                .iter()
                .zip(&widths)
                .zip(row)
                .zip(rooms.by_ref())
            {
                let text = texts.get(text.start..text.end).unwrap_or_default();
                pen.write(text, widest - room, column.kind);
            }
            pen.end_line();
        }
        pen.text()
    }

    /// A table with borders, as wide as the terminal at most.
    fn bordered(&self, style: Style) -> String {
        let mut table = comfy_table::Table::new();
        let kept = self.fitting(table.width().map(usize::from));
        let columns = || kept.iter().map(|at| self.columns[*at]);
        table.load_style(UTF8_FULL_CONDENSED);
        table.set_content_arrangement(ContentArrangement::Dynamic);
        if style == Style::Coloured {
            table.enforce_styling();
        }
        table.set_header(columns().map(|column| heading(column, style)));
        for (row, is_live) in self.rows().zip(&self.live) {
            let cells = columns().zip(kept.iter().filter_map(|at| row.get(*at)));
            let drawn =
                |(column, text): (Column, &Text)| cell(column, self.said(*text), *is_live, style);
            table.add_row(cells.map(drawn));
        }
        for (drawn, column) in table.column_iter_mut().zip(columns()) {
            if column.kind == ColumnKind::Id {
                drawn.set_constraint(ColumnConstraint::ContentWidth);
            }
        }
        format!("{}\n", table.trim_fmt())
    }

    /// The columns that are left where spare ones give way, from the right, until the lines fit into
    /// the room there is.
    fn fitting(&self, room: Option<usize>) -> Vec<usize> {
        let widths = self.widths(&self.rooms());
        let mut kept: Vec<usize> = (0..self.columns.len()).collect();
        let width = |at: &usize| widths[*at] + FRAME;
        while kept.iter().map(width).sum::<usize>() + 1 > room.unwrap_or(usize::MAX) {
            let Some(spare) = kept.iter().rposition(|at| self.columns[*at].is_spare) else {
                break;
            };
            kept.remove(spare);
        }
        kept
    }
}

/// Writes cells on a sheet of spaces.
struct Pen {
    sheet: Vec<u8>,
    line: usize,
    /// Where the last cell ends.
    end: usize,
    /// Where the next one begins.
    next: usize,
}

impl Pen {
    /// For texts that take so many bytes at most, with everything between them.
    fn for_room(bytes: usize) -> Pen {
        Pen {
            sheet: vec![b' '; bytes],
            line: 0,
            end: 0,
            next: 0,
        }
    }

    /// A cell, in a column that has more `room` than it takes.
    fn write(&mut self, cell: &[u8], room: usize, kind: ColumnKind) {
        let (before, after) = match kind {
            ColumnKind::Number => (room, 0),
            ColumnKind::Id | ColumnKind::Words => (0, room),
        };
        let start = self.next + before;
        self.end = start + cell.len();
        self.next = self.end + after + GAP;
        if let Some(place) = self.sheet.get_mut(start..self.end) {
            place.copy_from_slice(cell);
        }
    }

    /// Nothing but the end of the line follows its last letter.
    fn end_line(&mut self) {
        let line = self.sheet.get(self.line..self.end).unwrap_or_default();
        let blank = line.iter().rev().take_while(|byte| **byte == b' ').count();
        let end = self.end - blank;
        if let Some(place) = self.sheet.get_mut(end) {
            *place = b'\n';
        }
        (self.line, self.end, self.next) = (end + 1, end + 1, end + 1);
    }

    fn text(mut self) -> String {
        self.sheet.truncate(self.line);
        String::from_utf8(self.sheet).unwrap_or_default()
    }
}

fn heading(column: Column, style: Style) -> Cell {
    let cell = aligned(Cell::new(column.name), column);
    match style {
        Style::Coloured => cell.add_attribute(Attribute::Bold),
        _ => cell,
    }
}

fn cell(column: Column, text: &str, is_live: bool, style: Style) -> Cell {
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
    use proptest::prelude::*;

    #[test]
    fn spare_columns_give_way_from_the_right_until_the_rest_fits() {
        let columns = [
            words("A"),
            words("BB").spare(),
            words("C"),
            words("DDD").spare(),
        ];
        let mut table = Table::of(columns);
        table.row(true).cell("aaaa").cell("b").cell("cc").cell("d");
        // │ aaaa ┆ BB ┆ cc ┆ DDD │ is 24 wide.
        for (room, wanted) in [
            (None, "A BB C DDD"),
            (Some(24), "A BB C DDD"),
            (Some(23), "A BB C"),
            (Some(18), "A BB C"),
            (Some(17), "A C"),
            (Some(1), "A C"),
        ] {
            let kept = table.fitting(room).into_iter();
            let names: Vec<&str> = kept.map(|at| table.columns[at].name).collect();
            assert_eq!(names.join(" "), wanted, "{room:?}");
        }
    }

    fn sample(style: Style) -> String {
        let mut table = Table::of([words("TYPE"), numbers("FREE")]);
        table.row(true).cell("nvidia-63").cell("8");
        table.row(false).cell("nvidia-105").cell("16");
        table.draw(style)
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
        let mut table = Table::of([words("A"), words("B")]);
        for name in ["日本", "ab"] {
            table.row(true).cell(name).cell("x");
        }
        let drawn = table.draw(Style::Plain);
        assert_eq!(drawn, "A     B\n日本  x\nab    x\n");
    }

    proptest! {
        #[test]
        fn each_column_begins_where_its_heading_does(
            rows in prop::collection::vec(prop::collection::vec("[a-z é日\u{301}]{0,9}", 3), 1..9)
        ) {
            let columns = [words("A"), numbers("B"), words("C")];
            let mut table = Table::of(columns);
            for row in &rows {
                table.row(true).cell(&row[0]).cell(&row[1]).cell(&row[2]);
            }
            let widest = |at: usize| rows.iter().map(|row| row[at].width()).max().unwrap().max(1);
            let mut wanted = String::new();
            let headings = vec!["A", "B", "C"];
            let texts = rows.iter().map(|row| row.iter().map(String::as_str).collect());
            for row in std::iter::once(headings).chain(texts) {
                let spaces = |at: usize| " ".repeat(widest(at) - row[at].width());
                let [a, b, c] = [row[0], row[1], row[2]];
                let line = format!("{a}{}  {}{b}  {c}", spaces(0), spaces(1));
                wanted += line.trim_end_matches(' ');
                wanted += "\n";
            }
            prop_assert_eq!(table.draw(Style::Plain), wanted);
        }
    }

    #[test]
    fn terminals_get_borders_and_colour_only_where_it_is_wanted() {
        assert!(sample(Style::Bordered).contains('│'));
        assert!(!sample(Style::Bordered).contains('\u{1b}'));
        assert!(sample(Style::Coloured).contains('\u{1b}'));
    }

    #[test]
    fn nothing_is_drawn_for_nothing() {
        assert_eq!(Table::of([words("TYPE")]).draw(Style::Bordered), "");
    }
}
