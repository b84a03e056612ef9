//! GPUs and their virtual functions, as text.

use super::style::Style;
use super::table::{Table, ids, words};
use super::text::{NONE, text_or};
use crate::model::{FrameworkKind, Slot};
use crate::ops::GpuVfs;

/// One line a function, and one for each GPU that has none now.
pub fn table(gpus: &[GpuVfs], style: Style) -> String {
    let columns = [
        ids("GPU"),
        ids("VF"),
        words("FRAMEWORK"),
        ids("TYPE"),
        ids("DEVICE"),
    ];
    let mut table = Table::of(columns);
    for gpu in gpus {
        if gpu.functions.is_empty() {
            let off = format!("none of {}", gpu.total);
            table.row(false).cell(gpu.gpu.as_str()).cell(off);
            table.cell(NONE).cell(NONE).cell(NONE);
        }
        for vf in &gpu.functions {
            let device = vf.device.as_ref();
            let type_id = device.map_or("free", |device| device.type_id.as_str());
            table
                .row(device.is_some())
                .cell(gpu.gpu.as_str())
                .cell(vf.vf.as_str())
                .cell(vf.framework.map_or(NONE, FrameworkKind::as_str))
                .cell(type_id)
                .cell(text_or(device.map(holder), NONE));
        }
    }
    table.draw(style)
}

fn holder(device: &crate::model::Device) -> String {
    match device.slot {
        Slot::ForeignVf(_) => "somebody else's".to_owned(),
        Slot::Mdev | Slot::OwnVf(_) => device.uuid.to_string(),
    }
}
