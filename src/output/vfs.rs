//! GPUs and their virtual functions, as text and as JSON.

use std::borrow::Cow;

use serde_json::{Value, json};

use super::style::Style;
use super::table::{Row, draw, ids, words};
use super::text::{NONE, text_or};
use crate::model::{FrameworkKind, Seat};
use crate::ops::{FunctionsAtBoot, GpuVfs, VfState};

/// One line a function, and one for each GPU that has none now.
pub fn table(gpus: &[GpuVfs], style: Style) -> String {
    let columns = [
        ids("GPU"),
        ids("VF"),
        words("FRAMEWORK"),
        ids("TYPE"),
        ids("DEVICE"),
    ];
    draw(&columns, gpus.iter().flat_map(rows).collect(), style)
}

fn rows<'a>(gpu: &'a GpuVfs) -> Vec<Row<'a>> {
    if gpu.functions.is_empty() {
        let off = format!("none of {}", gpu.total);
        let rest = [NONE; 3].map(Cow::Borrowed);
        let gpu = Cow::Borrowed(gpu.gpu.as_str());
        return vec![Row {
            cells: [gpu, off.into()].into_iter().chain(rest).collect(),
            is_live: false,
        }];
    }
    let one = |vf: &'a VfState| {
        let framework = vf.framework.map_or(NONE, FrameworkKind::as_str);
        let device = vf.device.as_ref();
        Row {
            cells: vec![
                gpu.gpu.as_str().into(),
                vf.vf.as_str().into(),
                framework.into(),
                device
                    .map_or("free", |device| device.type_id.as_str())
                    .into(),
                text_or(device.map(holder), NONE),
            ],
            is_live: device.is_some(),
        }
    };
    gpu.functions.iter().map(one).collect()
}

fn holder(device: &crate::model::Device) -> String {
    match device.seat {
        Seat::ForeignVf(_) => "somebody else's".to_owned(),
        Seat::Mdev | Seat::OwnVf(_) => device.uuid.to_string(),
    }
}

/// The same for programs.
pub fn document(gpus: &[GpuVfs]) -> Value {
    gpus.iter().map(gpu).collect()
}

fn gpu(gpu: &GpuVfs) -> Value {
    json!({
        "gpu": gpu.gpu.as_str(),
        "total": gpu.total,
        "enabled": gpu.functions.len(),
        "enable_at_boot": gpu.at_boot == FunctionsAtBoot::Enable,
        "functions": gpu.functions.iter().map(function).collect::<Value>(),
    })
}

fn function(vf: &VfState) -> Value {
    let device = vf.device.as_ref();
    let ours = device.filter(|device| !matches!(device.seat, Seat::ForeignVf(_)));
    json!({
        "vf": vf.vf.as_str(),
        "framework": vf.framework.map(FrameworkKind::as_str),
        "type": device.map(|device| device.type_id.as_str()),
        "uuid": ours.map(|device| device.uuid.to_string()),
    })
}
