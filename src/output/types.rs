//! Tables of types.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::rc::Rc;

use super::Style;
use super::table::{Column, Table, ids, numbers, words};
use super::text::{NONE, UNKNOWN, one_line, text_or};
use crate::model::{Parent, VgpuType};
use crate::nvidia::{TypeDetails, size};
use crate::ops::ParentTypes;

/// A line of a table of types.
struct Line<'a> {
    parent: &'a Parent,
    vgpu_type: &'a VgpuType,
    /// What its description says.
    details: Option<Rc<Shown<'a>>>,
}

impl Line<'_> {
    fn framebuffer(&self) -> Option<Cow<'_, str>> {
        match &self.details {
            Some(details) => Some(details.framebuffer.as_str().into()),
            None => self.vgpu_type.framebuffer_mib().map(|mib| size(mib).into()),
        }
    }
}

/// What a description says, as cells.
struct Shown<'a> {
    framebuffer: String,
    displays: String,
    frame_limit: String,
    resolution: &'a str,
    max_instances: String,
}

impl<'a> Shown<'a> {
    fn of(description: &'a str) -> Option<Shown<'a>> {
        TypeDetails::parse(description).map(|details| Shown {
            framebuffer: size(details.framebuffer_mib),
            displays: details.displays.to_string(),
            frame_limit: details.frame_limit.to_string(),
            resolution: details.resolution,
            max_instances: details.max_instances.to_string(),
        })
    }
}

/// A column of a table of types: its heading, and what stands in it.
struct Field {
    column: Column,
    cell: for<'a> fn(&'a Line<'_>) -> Cow<'a, str>,
}

/// What the driver says of each type, as much of it as the terminal has room for.
pub fn narrow(parents: &[ParentTypes], style: Style) -> String {
    let lines = lines(parents);
    table(&lines, &known(&lines), style)
}

/// As [`narrow`], and what each type is made for. Nothing is left out or broken over lines, however
/// narrow the terminal is.
pub fn wide(parents: &[ParentTypes]) -> String {
    let lines = lines(parents);
    let mut fields = known(&lines);
    fields.extend([
        field(words("SERIES"), |line| {
            text_or(
                line.vgpu_type.name_parts().map(|n| n.series.to_string()),
                NONE,
            )
        }),
        field(words("USE"), |line| {
            text_or(
                line.vgpu_type.name_parts().map(|n| n.series.purpose()),
                NONE,
            )
        }),
        field(words("LICENCE"), |line| {
            text_or(
                line.vgpu_type.name_parts().map(|n| n.series.licence()),
                NONE,
            )
        }),
        field(words("CUDA"), |line| {
            yes_or_no(line.vgpu_type.name_parts().and_then(|n| n.cuda())).into()
        }),
        field(words("OPENGL"), |line| {
            yes_or_no(line.vgpu_type.name_parts().and_then(|n| n.series.opengl())).into()
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

fn field(column: Column, cell: for<'a> fn(&'a Line<'_>) -> Cow<'a, str>) -> Field {
    Field { column, cell }
}

fn lines<'a>(parents: &'a [ParentTypes]) -> Vec<Line<'a>> {
    // Equal GPUs share the texts of their types: what one says is understood once.
    let mut understood: BTreeMap<*const u8, Option<Rc<Shown<'_>>>> = BTreeMap::new();
    let mut details = |description: &'a str| {
        let understand = || Shown::of(description).map(Rc::new);
        let known = understood.entry(description.as_ptr());
        known.or_insert_with(understand).clone()
    };
    let mut lines = Vec::new();
    for ParentTypes { parent, types, .. } in parents {
        lines.extend(types.iter().map(|vgpu_type| Line {
            parent,
            vgpu_type,
            details: vgpu_type.description.as_deref().and_then(&mut details),
        }));
    }
    lines
}

fn table(lines: &[Line<'_>], fields: &[Field], style: Style) -> String {
    let columns: Vec<Column> = fields.iter().map(|field| field.column).collect();
    let mut table = Table::of(columns);
    for line in lines {
        table.row(line.vgpu_type.available != Some(0));
        for field in fields {
            table.cell((field.cell)(line));
        }
    }
    table.draw(style)
}

/// The columns in which any type has something.
fn known(lines: &[Line<'_>]) -> Vec<Field> {
    let has_other_form =
        |line: &Line<'_>| line.details.is_none() && line.vgpu_type.description.is_some();
    let is_described = lines.iter().any(has_other_form);
    let is_detailed = lines.iter().any(|line| line.details.is_some());
    let is_sized = lines.iter().any(|line| line.framebuffer().is_some());
    let mut fields = vec![
        field(ids("PARENT"), |line| line.parent.id.as_str().into()),
        field(ids("TYPE"), |line| line.vgpu_type.id.as_str().into()),
        field(words("NAME"), |line| {
            text_or(line.vgpu_type.name.as_deref().map(one_line), NONE)
        }),
    ];
    if is_sized {
        fields.push(field(numbers("FRAMEBUFFER"), |line| {
            text_or(line.framebuffer(), NONE)
        }));
    }
    if is_detailed {
        fields.extend([
            field(numbers("DISPLAYS").spare(), |line| {
                text_or(line.details.as_ref().map(|d| d.displays.as_str()), NONE)
            }),
            field(numbers("FPS").spare(), |line| {
                text_or(line.details.as_ref().map(|d| d.frame_limit.as_str()), NONE)
            }),
            field(words("RESOLUTION").spare(), |line| {
                text_or(line.details.as_ref().map(|d| d.resolution), NONE)
            }),
        ]);
    }
    fields.push(field(numbers("FREE"), |line| free(line.vgpu_type).into()));
    if is_detailed {
        fields.push(field(numbers("MAX"), |line| {
            text_or(
                line.details.as_ref().map(|d| d.max_instances.as_str()),
                NONE,
            )
        }));
    }
    fields.push(field(words("API").spare(), |line| {
        text_or(line.vgpu_type.device_api.as_deref().map(one_line), UNKNOWN)
    }));
    if is_described {
        fields.push(field(words("DESCRIPTION"), |line| {
            text_or(unknown_description(line), NONE)
        }));
    }
    fields
}

/// A description whose form is not known, on one line.
fn unknown_description<'a>(line: &'a Line<'_>) -> Option<Cow<'a, str>> {
    match (&line.details, &line.vgpu_type.description) {
        (None, Some(text)) => {
            let text = text.trim().replace('\n', ", ");
            Some(one_line(&text).into_owned().into())
        }
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
