//! Tables of files: what the program makes of each that it is written for, as its own code was seen to,
//! and what we make of it.

use vgpuctl::declare::{
    Amount, Format, GpuChoice, GpuFacts, GpuName, Members, Reading, Unlisted, import,
};

use super::{gpus, source, told};

/// A file, and what is to come of it.
#[derive(Default)]
struct Case {
    what: String,
    text: String,
    select: Option<String>,
    active: Vec<(String, String)>,
    real: String,
    says: Vec<String>,
}

fn cases(table: &str) -> Vec<Case> {
    let mut cases: Vec<Case> = Vec::new();
    for line in table.lines() {
        if let Some(what) = line.strip_prefix("=== ") {
            cases.push(Case {
                what: what.to_owned(),
                ..Case::default()
            });
            continue;
        }
        // Before the first case stands what the table is.
        let Some(case) = cases.last_mut() else {
            continue;
        };
        if let Some(real) = line.strip_prefix("--- real: ") {
            case.real = real.to_owned();
        } else if let Some(select) = line.strip_prefix("--- select: ") {
            case.select = Some(select.to_owned());
        } else if let Some(active) = line.strip_prefix("--- active: ") {
            let (gpu, type_id) = active.split_once(' ').unwrap();
            case.active.push((gpu.to_owned(), type_id.to_owned()));
        } else if let Some(says) = line.strip_prefix("--- says: ") {
            case.says.push(says.to_owned());
        } else {
            case.text += &line.replace("\\r", "\r");
            case.text.push('\n');
        }
    }
    cases
}

fn short(name: &GpuName) -> &str {
    match name {
        GpuName::Text(text) => text.trim_start_matches("0000:"),
        GpuName::Index(_) => unreachable!("{name:?}"),
    }
}

/// What a declaration gives each GPU, in the table's words: GPU, type and how many; what is removed
/// without anything in its place is `nothing`.
fn given(reading: &Reading, gpus: &[GpuFacts], format: Format) -> String {
    let mut given = Vec::new();
    for group in &reading.declaration.groups {
        let GpuChoice::These(on) = &group.gpus else {
            unreachable!("{group:?}");
        };
        for name in on {
            let mut gpus = gpus.iter();
            let gpu = gpus.find(|gpu| name.means(gpu, usize::MAX)).unwrap();
            let count = match &group.members {
                Members::PerGpu(Amount::Exactly(count)) => count.to_string(),
                Members::PerGpu(Amount::MAX) if format == Format::KubeVirt => "all".to_owned(),
                Members::PerGpu(Amount::UpTo(most)) => {
                    let room = gpu.room_for(&group.type_name).unwrap();
                    most.min(&room).to_string()
                }
                other => unreachable!("{other:?}"),
            };
            given.push(format!("{} {} {count}", short(name), group.type_name));
        }
    }
    if let Unlisted::RemoveOn { gpus, .. } = &reading.declaration.unlisted {
        for name in gpus.iter().map(short) {
            let starts = format!("{name} ");
            if !given.iter().any(|one| one.starts_with(&starts)) {
                given.push(format!("{name} nothing"));
            }
        }
    }
    given.sort();
    match given.is_empty() {
        true => "none".to_owned(),
        false => given.join(", "),
    }
}

#[track_caller]
fn check(format: Format, reader: &str, table: &str, least: usize) {
    let cases = cases(table);
    let mut wrong = Vec::new();
    for case in &cases {
        let mut gpus = gpus();
        for (on, type_id) in &case.active {
            let mut gpus = gpus.iter_mut();
            let gpu = gpus.find(|gpu| gpu.id.as_str().ends_with(on)).unwrap();
            let (type_id, is_ours) = match type_id.strip_suffix(" ours") {
                Some(type_id) => (type_id, true),
                None => (type_id.as_str(), false),
            };
            gpu.details.active.push((type_id.parse().unwrap(), is_ours));
        }
        let files = [source(&case.text)];
        let reading = import(format, &files, case.select.as_deref(), &gpus);
        let (ours, said) = match &reading {
            Ok(reading) => (given(reading, &gpus, format), reading.notes.clone()),
            Err(error) => ("refused".to_owned(), told(error)),
        };
        let is_said = |says: &String| said.iter().any(|line| line.contains(says));
        if ours != case.real || !case.says.iter().all(is_said) {
            wrong.push(format!(
                "{}:\n{}real: {}\nours: {ours}\nsaid: {said:#?}\n",
                case.what, case.text, case.real
            ));
        }
    }
    println!("{reader}: {} cases, {} wrong", cases.len(), wrong.len());
    assert!(cases.len() >= least, "{}", cases.len());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn nova() {
    check(Format::Nova, "nova", include_str!("cases/nova.txt"), 105);
}

#[test]
fn vgpu_device_manager() {
    let table = include_str!("cases/vgpu-device-manager.txt");
    check(Format::VgpuDeviceManager, "vgpu-device-manager", table, 90);
}

#[test]
fn kubevirt() {
    check(
        Format::KubeVirt,
        "kubevirt",
        include_str!("cases/kubevirt.txt"),
        25,
    );
}
