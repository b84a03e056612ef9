//! Files of other programs that declare a host, read for one with GPUs of several kinds.

use std::collections::HashSet;

use super::SEPARATOR;
use super::declarations::{faults, is_written_as_read, without_lines};
use crate::declare::{
    Declaration, Format, GpuChoice, GpuDetails, GpuFacts, GpuName, Source, TypeMore, Unlisted,
    import,
};
use crate::error::Kind;
use crate::model::TypeId;

/// What the files of an input are called, in their order; one of them is a list of mappings.
const NAMES: [&str; 4] = ["100.conf", "pci.cfg", "101.conf", "102.conf"];

const FORMATS: [Format; 5] = [
    Format::VgpuDeviceManager,
    Format::KubeVirt,
    Format::Nova,
    Format::Cyborg,
    Format::Proxmox,
];

/// What is selected, then files, each read in every form: what is imported can be written in our own
/// form, and says the same there.
pub fn imports(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else {
        return;
    };
    let mut parts = text.split(char::from(SEPARATOR));
    let select = parts.next().filter(|select| !select.is_empty());
    let files = NAMES.iter().zip(parts).map(|(name, text)| Source {
        name: (*name).to_owned(),
        text: text.to_owned(),
    });
    let files: Vec<Source> = files.collect();
    GPUS.with(|gpus| {
        for format in FORMATS {
            let files = match format {
                Format::Proxmox => &files,
                _ => files.get(..1).unwrap_or_default(),
            };
            read(format, files, select, gpus);
        }
    });
}

fn read(format: Format, files: &[Source], select: Option<&str>, gpus: &[GpuFacts]) {
    let reading = match import(format, files, select, gpus) {
        Ok(reading) => reading,
        Err(error) => {
            let is_told = |fault: &str| NAMES.iter().any(|name| fault.contains(name));
            let is_right =
                error.kind() == Kind::Usage || faults(&error).all(|fault| is_told(&fault));
            return assert!(is_right, "{format:?}: {error:?}");
        }
    };
    // In YAML, a carriage return alone ends a line too.
    let lines = |file: &Source| file.text.matches(['\n', '\r']).count() + 1;
    let lines = files.iter().map(lines).max().unwrap_or(0);
    for group in &reading.declaration.groups {
        let is_there = (1..=lines).contains(&group.line);
        assert!(is_there, "{format:?}: {group:?}");
    }
    is_for(format, &reading.declaration, gpus);
    let declaration = without_lines(reading.declaration);
    is_written_as_read(&declaration, &reading.notes);
}

/// It speaks of GPUs of this host only, and takes vGPUs from none that gets no others. A machine's
/// file may name a GPU that is not there: that it has none must be told.
fn is_for(format: Format, declaration: &Declaration, gpus: &[GpuFacts]) {
    let here = |name: &GpuName| gpus.iter().any(|gpu| name.means(gpu, usize::MAX));
    let mut used = HashSet::new();
    for group in &declaration.groups {
        let GpuChoice::These(on) = &group.gpus else {
            unreachable!("{group:?}");
        };
        assert!(!on.is_empty(), "{group:?}");
        assert!(
            format == Format::Proxmox || on.iter().all(here),
            "{group:?}"
        );
        // KubeVirt gives a GPU one type only.
        for gpu in on {
            assert!(used.insert(gpu) || format != Format::KubeVirt, "{group:?}");
        }
    }
    match &declaration.unlisted {
        Unlisted::Keep => {}
        Unlisted::RemoveOn { gpus: on, .. } => assert!(on.iter().all(here), "{on:?}"),
        other => unreachable!("{other:?}"),
    }
}

thread_local! {
    static GPUS: Vec<GpuFacts> = gpus();
}

/// Intel's graphics, two T4s, and an A40 whose functions are parents.
fn gpus() -> Vec<GpuFacts> {
    let t4 = [
        ("nvidia-222", "T4-1B"),
        ("nvidia-230", "T4-1Q"),
        ("nvidia-231", "T4-2Q"),
    ];
    let a40 = [("nvidia-557", "A40-1Q"), ("nvidia-558", "A40-2Q")];
    let functions = ["0000:83:00.4", "0000:83:00.5", "0000:83:00.6"];
    let gpus = [
        gpu(
            "0000:00:02.0",
            0x5912_8086,
            &[("i915-GVTg_V5_4", "i915-GVTg_V5_4")],
            &[],
        ),
        gpu("0000:81:00.0", 0x1eb8_10de, &t4, &[]),
        gpu("0000:82:00.0", 0x1eb8_10de, &t4, &[]),
        gpu("0000:83:00.0", 0x2235_10de, &a40, &functions),
    ];
    gpus.into_iter().flatten().collect()
}

/// One with that PCI device and vendor, types by id and name, and functions.
fn gpu(id: &str, card: u32, types: &[(&str, &str)], functions: &[&str]) -> Option<GpuFacts> {
    let types = types.iter();
    let types = types.filter_map(|(id, name)| Some((id.parse().ok()?, (*name).to_owned())));
    let functions = functions.iter().filter_map(|id| id.parse().ok());
    let details = details(card, types.clone());
    Some(GpuFacts {
        id: id.parse().ok()?,
        functions: functions.collect(),
        beside: Vec::new(),
        pci_ids: Some((card as u16, (card >> 16) as u16)),
        models: Vec::new(),
        types: types.collect(),
        details,
    })
}

/// What some files speak of besides: a place among NVIDIA's cards, full names, and devices that are
/// active on Intel's graphics.
fn details(card: u32, types: impl Iterator<Item = (TypeId, String)>) -> GpuDetails {
    let is_nvidias = card & 0xffff == 0x10de;
    let types: Vec<TypeMore> = types
        .map(|(id, name)| TypeMore {
            id,
            full_name: is_nvidias.then(|| format!("GRID {name}")),
            room: is_nvidias.then_some(16),
        })
        .collect();
    let active = types.first().filter(|_| !is_nvidias);
    GpuDetails {
        subsystem: Some((0x10de, 0x12a2)),
        nvidia_number: is_nvidias.then_some((card >> 16) as usize % 3),
        active: active
            .map(|one| (one.id.clone(), false))
            .into_iter()
            .collect(),
        types,
    }
}
