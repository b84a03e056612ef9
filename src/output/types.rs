//! Tables of types.

use super::Style;
use super::table::{Column, Row, draw, ids, numbers, words};
use super::text::{NONE, UNKNOWN, one_line, or};
use crate::model::{Parent, VgpuType};
use crate::nvidia::size;
use crate::ops::ParentTypes;

/// A column of a table of types: its heading, and what stands in it.
struct Field {
    column: Column,
    cell: fn(&Parent, &VgpuType) -> String,
}

/// What the driver says of each type, as much of it as the terminal has room for.
pub fn narrow(parents: &[ParentTypes], style: Style) -> String {
    table(parents, &known(parents), style)
}

/// As [`narrow`], and what each type is made for. Nothing is left out or broken over lines, however
/// narrow the terminal is.
pub fn wide(parents: &[ParentTypes]) -> String {
    let mut fields = known(parents);
    fields.extend([
        field(words("SERIES"), |_, t| {
            or(t.name_parts().map(|n| n.series), NONE)
        }),
        field(words("USE"), |_, t| {
            or(t.name_parts().map(|n| n.series.purpose()), NONE)
        }),
        field(words("LICENCE"), |_, t| {
            or(t.name_parts().map(|n| n.series.licence()), NONE)
        }),
        field(words("CUDA"), |_, t| {
            yes_or_no(t.name_parts().and_then(|n| n.cuda()))
        }),
        field(words("OPENGL"), |_, t| {
            yes_or_no(t.name_parts().and_then(|n| n.series.opengl()))
        }),
    ]);
    table(parents, &fields, Style::Plain)
}

/// "yes", "no", or what stands for what nobody says.
pub fn yes_or_no(answer: Option<bool>) -> String {
    match answer {
        Some(true) => "yes".to_owned(),
        Some(false) => "no".to_owned(),
        None => NONE.to_owned(),
    }
}

fn field(column: Column, cell: fn(&Parent, &VgpuType) -> String) -> Field {
    Field { column, cell }
}

fn table(parents: &[ParentTypes], fields: &[Field], style: Style) -> String {
    let columns: Vec<Column> = fields.iter().map(|field| field.column).collect();
    let row = |parent: &Parent, vgpu_type: &VgpuType| Row {
        cells: fields.iter().map(|f| (f.cell)(parent, vgpu_type)).collect(),
        is_live: vgpu_type.available != Some(0),
    };
    let of_parent =
        |one: &ParentTypes| -> Vec<Row> { one.types.iter().map(|t| row(&one.parent, t)).collect() };
    draw(
        &columns,
        parents.iter().flat_map(of_parent).collect(),
        style,
    )
}

/// The columns in which any type has something.
fn known(parents: &[ParentTypes]) -> Vec<Field> {
    let all = || parents.iter().flat_map(|parent| &parent.types);
    let is_described = all().any(|t| t.details.is_none() && t.description.is_some());
    let is_detailed = all().any(|t| t.details.is_some());
    let is_sized = all().any(|t| t.framebuffer_mib().is_some());
    let mut fields = vec![
        field(ids("PARENT"), |parent, _| parent.id.to_string()),
        field(ids("TYPE"), |_, t| t.id.to_string()),
        field(words("NAME"), |_, t| {
            or(t.name.as_deref().map(one_line), NONE)
        }),
    ];
    if is_sized {
        fields.push(field(numbers("FRAMEBUFFER"), |_, t| {
            or(t.framebuffer_mib().map(size), NONE)
        }));
    }
    if is_detailed {
        fields.extend([
            field(numbers("DISPLAYS").spare(), |_, t| {
                or(t.details.as_ref().map(|d| d.displays), NONE)
            }),
            field(numbers("FPS").spare(), |_, t| {
                or(t.details.as_ref().map(|d| d.frame_limit), NONE)
            }),
            field(words("RESOLUTION").spare(), |_, t| {
                or(t.details.as_ref().map(|d| d.resolution.as_str()), NONE)
            }),
        ]);
    }
    fields.push(field(numbers("FREE"), |_, t| or(t.available, UNKNOWN)));
    if is_detailed {
        fields.push(field(numbers("MAX"), |_, t| {
            or(t.details.as_ref().map(|d| d.max_instances), NONE)
        }));
    }
    fields.push(field(words("API").spare(), |_, t| {
        or(t.device_api.as_deref().map(one_line), UNKNOWN)
    }));
    if is_described {
        fields.push(field(words("DESCRIPTION"), |_, t| {
            or(unknown_description(t), NONE)
        }));
    }
    fields
}

/// A description whose form is not known, on one line.
fn unknown_description(vgpu_type: &VgpuType) -> Option<String> {
    match (&vgpu_type.details, &vgpu_type.description) {
        (None, Some(text)) => Some(one_line(&text.trim().replace('\n', ", "))),
        _ => None,
    }
}
