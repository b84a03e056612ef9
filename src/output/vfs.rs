//! GPUs and their virtual functions, as text and as JSON.

use serde_json::{Value, json};

use super::style::Style;
use super::table::{Row, draw, ids, words};
use crate::model::{FrameworkKind, Seat};
use crate::ops::{FunctionsAtBoot, GpuVfs, VfState};

const NONE: &str = "-";

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

fn rows(gpu: &GpuVfs) -> Vec<Row> {
    if gpu.functions.is_empty() {
        let off = format!("none of {}", gpu.total);
        let rest = [NONE; 3].map(str::to_owned);
        let cells = [gpu.gpu.to_string(), off].into_iter().chain(rest).collect();
        return vec![Row {
            cells,
            is_live: false,
        }];
    }
    let one = |vf: &VfState| {
        let framework = vf.framework.map_or(NONE, FrameworkKind::as_str);
        let type_id = vf.device.as_ref().map(|device| device.type_id.to_string());
        Row {
            cells: vec![
                gpu.gpu.to_string(),
                vf.vf.to_string(),
                framework.to_owned(),
                type_id.unwrap_or_else(|| "free".to_owned()),
                vf.device.as_ref().map_or(NONE.to_owned(), holder),
            ],
            is_live: vf.device.is_some(),
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
