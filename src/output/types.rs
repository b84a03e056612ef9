//! Tables of types.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ptr;

use super::Style;
use super::table::{Column, Table, Text, ids, numbers, words};
use super::text::{NONE, UNKNOWN, or, text_or};
use crate::model::VgpuType;
use crate::nvidia::{TypeDetails, size};
use crate::ops::ParentTypes;

/// What a table says of a type, whatever parent it is on.
struct Told<'a> {
    vgpu_type: &'a VgpuType,
    /// What its description says.
    details: Option<TypeDetails<'a>>,
}

impl<'a> Told<'a> {
    fn of(vgpu_type: &'a VgpuType) -> Told<'a> {
        let details = vgpu_type.details();
        Told { vgpu_type, details }
    }

    /// Whether it can be told of another type too: one with the very same texts.
    fn is_of(&self, other: &VgpuType) -> bool {
        let same = |text: fn(&VgpuType) -> Option<&str>| match (text(self.vgpu_type), text(other)) {
            (Some(one), Some(other)) => ptr::eq(one, other),
            (one, other) => one == other,
        };
        same(|t| Some(t.id.as_str()))
            && same(|t| t.name.as_deref())
            && same(|t| t.description.as_deref())
            && same(|t| t.device_api.as_deref())
    }

    fn framebuffer_mib(&self) -> Option<u64> {
        match &self.details {
            Some(details) => Some(details.framebuffer_mib),
            None => self.vgpu_type.framebuffer_mib(),
        }
    }

    fn detail<T: ToString>(&self, detail: impl Fn(&TypeDetails<'_>) -> T) -> Cow<'static, str> {
        or(self.details.as_ref().map(detail), NONE).into()
    }
}

/// The types of all parents. Those of equal GPUs share their texts, which are understood once.
struct Lines<'a> {
    told: Vec<Told<'a>>,
    /// Of each parent, its types and what is told of each: a place in `told`.
    parents: Vec<(&'a ParentTypes, Vec<usize>)>,
}

impl<'a> Lines<'a> {
    fn of(parents: &'a [ParentTypes]) -> Lines<'a> {
        let mut lines = Lines {
            told: Vec::new(),
            parents: Vec::new(),
        };
        for one in parents {
            let mut places = Vec::with_capacity(one.types.len());
            for (at, vgpu_type) in one.types.iter().enumerate() {
                let before = lines.parents.last().and_then(|(_, before)| before.get(at));
                let alike = before.filter(|place| lines.told[**place].is_of(vgpu_type));
                places.push(alike.copied().unwrap_or(lines.told.len()));
                if alike.is_none() {
                    lines.told.push(Told::of(vgpu_type));
                }
            }
            lines.parents.push((one, places));
        }
        lines
    }
}

/// A column of a table of types: its heading, and what stands in it.
struct Field {
    column: Column,
    cell: Source,
}

/// Where a cell's text comes from.
enum Source {
    Parent,
    Free,
    Most,
    Type(for<'a> fn(&'a Told<'_>) -> Cow<'a, str>),
}

/// What the driver says of each type, as much of it as the terminal has room for.
pub fn narrow(parents: &[ParentTypes], style: Style) -> String {
    let lines = Lines::of(parents);
    table(&lines, &known(&lines), style)
}

/// As [`narrow`], and what each type is made for. Nothing is left out or broken over lines, however
/// narrow the terminal is.
pub fn wide(parents: &[ParentTypes]) -> String {
    let lines = Lines::of(parents);
    let mut fields = known(&lines);
    fields.extend([
        field(words("SERIES"), |told| {
            text_or(
                told.vgpu_type.name_parts().map(|n| n.series.to_string()),
                NONE,
            )
        }),
        field(words("USE"), |told| {
            text_or(
                told.vgpu_type.name_parts().map(|n| n.series.purpose()),
                NONE,
            )
        }),
        field(words("LICENCE"), |told| {
            text_or(
                told.vgpu_type.name_parts().map(|n| n.series.licence()),
                NONE,
            )
        }),
        field(words("CUDA"), |told| {
            yes_or_no(told.vgpu_type.name_parts().and_then(|n| n.cuda())).into()
        }),
        field(words("OPENGL"), |told| {
            yes_or_no(told.vgpu_type.name_parts().and_then(|n| n.series.opengl())).into()
        }),
    ]);
    table(&lines, &fields, Style::Plain)
}

/// "yes", "no", or what stands for what nobody says.
pub fn yes_or_no(answer: Option<bool>) -> &'static str {
    match answer {
        Some(true) => "yes",
        Some(false) => "no",
        None => NONE,
    }
}

fn field(column: Column, cell: for<'a> fn(&'a Told<'_>) -> Cow<'a, str>) -> Field {
    let cell = Source::Type(cell);
    Field { column, cell }
}

fn table(lines: &Lines<'_>, fields: &[Field], style: Style) -> String {
    let columns: Vec<Column> = fields.iter().map(|field| field.column).collect();
    let rows = lines.parents.iter().map(|(_, places)| places.len()).sum();
    let mut table = Table::with_room(columns, rows);
    let mut texts_of = |told: &Told<'_>| {
        let mut text = |field: &Field| match field.cell {
            Source::Type(cell) => Some(table.text(cell(told))),
            Source::Most => Some(table.text(told.detail(|d| d.max_instances))),
            Source::Parent | Source::Free => None,
        };
        fields.iter().map(&mut text).collect()
    };
    let told: Vec<Vec<Option<Text>>> = lines.told.iter().map(&mut texts_of).collect();
    let mut numbers: BTreeMap<(Option<u32>, u32), Text> = BTreeMap::new();
    for (one, places) in &lines.parents {
        let parent = table.text(one.parent.id.as_str());
        for (vgpu_type, place) in one.types.iter().zip(places) {
            let number = numbers.entry((vgpu_type.available, vgpu_type.at_least));
            let number = *number.or_insert_with(|| table.text(free(vgpu_type)));
            // A few types of a few GPUs: their texts are not worth sharing.
            let counted = one.most.get(&vgpu_type.id);
            let counted = counted.map(|most| table.text(most.to_string()));
            table.row(vgpu_type.available != Some(0));
            for (field, told) in fields.iter().zip(&told[*place]) {
                table.put(match field.cell {
                    Source::Free => number,
                    Source::Most => counted.or(*told).unwrap_or(parent),
                    Source::Parent | Source::Type(_) => told.unwrap_or(parent),
                });
            }
        }
    }
    table.draw(style)
}

/// The columns in which any type has something.
fn known(lines: &Lines<'_>) -> Vec<Field> {
    let any = |is: fn(&Told<'_>) -> bool| lines.told.iter().any(is);
    let is_detailed = any(|told| told.details.is_some());
    let mut fields = vec![
        Field {
            column: ids("PARENT"),
            cell: Source::Parent,
        },
        field(ids("TYPE"), |told| told.vgpu_type.id.as_str().into()),
        field(words("NAME"), |told| {
            text_or(told.vgpu_type.name.as_deref(), NONE)
        }),
    ];
    if any(|told| told.framebuffer_mib().is_some()) {
        fields.push(field(numbers("FRAMEBUFFER"), |told| {
            text_or(told.framebuffer_mib().map(size), NONE)
        }));
    }
    if is_detailed {
        fields.extend([
            field(numbers("DISPLAYS").spare(), |told| {
                told.detail(|d| d.displays)
            }),
            field(numbers("FPS").spare(), |told| {
                told.detail(|d| d.frame_limit)
            }),
            field(words("RESOLUTION").spare(), |told| {
                text_or(told.details.as_ref().map(|d| d.resolution), NONE)
            }),
        ]);
    }
    fields.push(Field {
        column: numbers("FREE"),
        cell: Source::Free,
    });
    let mut parents = lines.parents.iter();
    if is_detailed || parents.any(|(one, _)| !one.most.is_empty()) {
        fields.push(Field {
            column: numbers("MAX"),
            cell: Source::Most,
        });
    }
    fields.push(field(words("API").spare(), |told| {
        text_or(told.vgpu_type.device_api.as_deref(), UNKNOWN)
    }));
    if any(|told| told.details.is_none() && told.vgpu_type.description.is_some()) {
        fields.push(field(words("DESCRIPTION"), |told| {
            text_or(unknown_description(told), NONE)
        }));
    }
    fields
}

/// A description whose form is not known, on one line.
fn unknown_description<'a>(told: &'a Told<'_>) -> Option<Cow<'a, str>> {
    match (&told.details, &told.vgpu_type.description) {
        (None, Some(text)) => Some(text.trim().replace('\n', ", ").into()),
        _ => None,
    }
}

/// "8", or "1+" where more may fit than can be told.
pub fn free(vgpu_type: &VgpuType) -> String {
    match (vgpu_type.available, vgpu_type.at_least) {
        (Some(free), _) => free.to_string(),
        (None, 0) => UNKNOWN.to_owned(),
        (None, at_least) => format!("{at_least}+"),
    }
}
