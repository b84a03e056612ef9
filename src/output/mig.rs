//! GPUs that have MIG, as text.

use super::style::Style;
use super::table::{Table, ids, numbers, words};
use super::text::{NONE, text_or};
use crate::model::{Device, Slot};
use crate::nvidia::size;
use crate::ops::MigGpu;

/// A table of the profiles, a line each, and one of the GPU instances, where there are some.
pub fn tables(gpus: &[MigGpu], style: Style) -> String {
    let (profiles, instances) = (profiles(gpus, style), instances(gpus, style));
    match instances.is_empty() {
        true => profiles,
        false => format!("{profiles}\n{instances}"),
    }
}

/// One line for a GPU whose driver lists no profiles.
fn profiles(gpus: &[MigGpu], style: Style) -> String {
    let columns = [
        ids("GPU"),
        words("MIG"),
        ids("PROFILE"),
        numbers("ID"),
        numbers("FREE"),
        numbers("TOTAL"),
        numbers("MEMORY"),
        numbers("SM").spare(),
        words("STARTS").spare(),
        numbers("SIZE").spare(),
    ];
    let mut table = Table::of(columns);
    for gpu in gpus {
        let mode = match gpu.current == gpu.pending {
            true => gpu.current.to_string(),
            false => format!("{}, pending: {}", gpu.current, gpu.pending),
        };
        if gpu.profiles.is_empty() {
            table.row(false).cell(gpu.gpu.as_str()).cell(&mode);
            for _ in 2..columns.len() {
                table.cell(NONE);
            }
        }
        for one in &gpu.profiles {
            let profile = &one.profile;
            let placements = one.placements.as_ref();
            let starts = placements.map(|one| listed(&one.starts));
            table
                .row(profile.free > 0)
                .cell(gpu.gpu.as_str())
                .cell(&mode)
                .cell(&profile.name)
                .cell(profile.id.to_string())
                .cell(profile.free.to_string())
                .cell(profile.total.to_string())
                .cell(size(profile.memory_mib))
                .cell(profile.multiprocessors.to_string())
                .cell(text_or(starts, NONE))
                .cell(text_or(placements.map(|one| one.size.to_string()), NONE));
        }
    }
    table.draw(style)
}

fn instances(gpus: &[MigGpu], style: Style) -> String {
    let columns = [
        ids("GPU"),
        numbers("INSTANCE"),
        ids("PROFILE"),
        numbers("START"),
        numbers("SIZE"),
        ids("VF"),
        ids("DEVICE"),
    ];
    let mut table = Table::of(columns);
    for gpu in gpus {
        for one in &gpu.instances {
            let mut row = |vf: &str, device: &str| {
                table
                    .row(!one.devices.is_empty())
                    .cell(gpu.gpu.as_str())
                    .cell(one.instance.id.to_string())
                    .cell(&one.instance.profile_name)
                    .cell(one.instance.start.to_string())
                    .cell(one.instance.size.to_string())
                    .cell(vf)
                    .cell(device);
            };
            if one.devices.is_empty() {
                row(NONE, "free");
            }
            for device in &one.devices {
                let vf = device.vf().map_or(NONE, |vf| vf.as_str());
                row(vf, &holder(device));
            }
        }
    }
    table.draw(style)
}

fn holder(device: &Device) -> String {
    match device.slot {
        Slot::ForeignVf(_) => "somebody else's".to_owned(),
        Slot::Mdev | Slot::OwnVf(_) => device.uuid.to_string(),
    }
}

fn listed(numbers: &[u32]) -> String {
    let texts: Vec<String> = numbers.iter().map(u32::to_string).collect();
    texts.join(" ")
}
