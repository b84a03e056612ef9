//! What files declare: vgpuctl's own form and other programs'.

mod any_text;
mod cases;
mod documents;
mod kubevirt;
mod nova;
mod proxmox;
mod toml;
mod vgpu_device_manager;

use vgpuctl::declare::{
    Amount, Declaration, Format, GpuChoice, GpuDetails, GpuFacts, GpuName, Members, Reading,
    Source, TypeMore, Unlisted, import,
};
use vgpuctl::error::Error;
use vgpuctl::model::TypeId;

fn source(text: &str) -> Source {
    Source {
        name: "f".to_owned(),
        text: text.to_owned(),
    }
}

/// All that an error says of a file, a line each.
fn told(error: &Error) -> Vec<String> {
    let all = std::iter::once(error).chain(error.others());
    all.map(Error::to_string).collect()
}

/// The same, wherever it stands in its file.
fn without_lines(mut declaration: Declaration) -> Declaration {
    declaration
        .groups
        .iter_mut()
        .for_each(|group| group.line = 0);
    let setups = declaration.setups.iter_mut();
    setups.for_each(|setup| setup.line = 0);
    declaration
}

/// Two T4s, an A40 whose functions are parents, and Intel's graphics.
fn gpus() -> Vec<GpuFacts> {
    let types = |list: &[(&str, &str)]| {
        let list = list.iter();
        list.map(|(id, name)| (id.parse().unwrap(), (*name).to_owned()))
            .collect::<Vec<_>>()
    };
    let gpu = |id: &str, device, types| GpuFacts {
        id: id.parse().unwrap(),
        functions: Vec::new(),
        beside: Vec::new(),
        pci_ids: Some(device),
        models: Vec::new(),
        types,
        details: GpuDetails::default(),
    };
    let t4 = types(&[
        ("nvidia-222", "T4-1B"),
        ("nvidia-230", "T4-1Q"),
        ("nvidia-231", "T4-2Q"),
    ]);
    let a40 = types(&[("nvidia-557", "A40-1Q"), ("nvidia-558", "A40-2Q")]);
    let intel = types(&[("i915-GVTg_V5_4", "i915-GVTg_V5_4")]);
    let functions = ["0000:83:00.4", "0000:83:00.5", "0000:83:00.6"];
    let all = vec![
        gpu("0000:00:02.0", (0x8086, 0x5912), intel),
        gpu("0000:81:00.0", (0x10de, 0x1eb8), t4.clone()),
        gpu("0000:82:00.0", (0x10de, 0x1eb8), t4),
        GpuFacts {
            functions: functions.map(|id| id.parse().unwrap()).to_vec(),
            ..gpu("0000:83:00.0", (0x10de, 0x2235), a40)
        },
    ];
    all.into_iter().map(with_details).collect()
}

/// Two boards, NVIDIA's second card being one without types, and what types are called in full.
fn with_details(gpu: GpuFacts) -> GpuFacts {
    let (board, number) = match gpu.id.as_str() {
        "0000:81:00.0" => (0x12a2, Some(0)),
        "0000:82:00.0" => (0x1111, Some(2)),
        "0000:83:00.0" => (0x145a, Some(3)),
        _ => (0x0860, None),
    };
    let more = |(id, name): &(TypeId, String)| TypeMore {
        id: id.clone(),
        full_name: Some(match name.split('-').next() {
            Some("T4") => format!("GRID {name}"),
            Some("A40") => format!("NVIDIA {name}"),
            _ => name.clone(),
        }),
        room: Some(match name.as_str() {
            "T4-1B" | "T4-1Q" => 16,
            "T4-2Q" => 8,
            _ => 7,
        }),
    };
    let details = GpuDetails {
        subsystem: Some((0x10de, board)),
        nvidia_number: number,
        types: gpu.types.iter().map(more).collect(),
        active: Vec::new(),
    };
    GpuFacts { details, ..gpu }
}

fn read(format: Format, text: &str, select: Option<&str>) -> Result<Reading, Vec<String>> {
    import(format, &[source(text)], select, &gpus()).map_err(|error| told(&error))
}

/// A declaration in short: its groups, a line each, and what becomes of the rest.
fn in_short(declaration: &Declaration) -> Vec<String> {
    let name = |name: &GpuName| match name {
        GpuName::Text(text) => text.trim_start_matches("0000:").to_owned(),
        GpuName::Index(index) => index.to_string(),
    };
    let names = |names: &[GpuName]| names.iter().map(name).collect::<Vec<_>>().join(" ");
    let group = |group: &vgpuctl::declare::Group| {
        let members = match &group.members {
            Members::Count(count) => format!("{count}"),
            Members::PerGpu(Amount::Exactly(count)) => format!("{count} each"),
            Members::PerGpu(Amount::MAX) => "max each".to_owned(),
            Members::PerGpu(Amount::UpTo(most)) => format!("up to {most} each"),
            Members::Listed(members) => {
                let keys = members.iter().map(|member| member.key.to_string());
                keys.collect::<Vec<_>>().join(" ")
            }
        };
        let on = match &group.gpus {
            GpuChoice::Any => "any".to_owned(),
            GpuChoice::These(these) => names(these),
        };
        format!(
            "{}: {} {members} on {on}, {}",
            group.name, group.type_name, group.start
        )
    };
    let mut lines: Vec<String> = declaration.groups.iter().map(group).collect();
    lines.push(match &declaration.unlisted {
        Unlisted::RemoveOn { gpus, but } if but.is_empty() => {
            format!("others go from {}", names(gpus))
        }
        Unlisted::RemoveOn { gpus, but } => {
            let but: Vec<&str> = but.iter().map(TypeId::as_str).collect();
            format!("others but {} go from {}", but.join(" "), names(gpus))
        }
        other => format!("{other:?}"),
    });
    lines
}
