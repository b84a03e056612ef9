//! What fuzzers call: every reader of what comes from outside, and what must hold beside its coming
//! to an end. One function a target; the tests below meet every input that the fuzzers ever kept.

use std::cell::OnceCell;
use std::fs;
use std::path::{Path, PathBuf};

use uuid::Uuid;

use crate::declare::{self, Declaration, Source};
use crate::doctor::facts::{Look, pci};
use crate::doctor::{Evidence, Facts, overrides};
use crate::error::{Error, Result};
use crate::host::Host;
use crate::model::{Attr, Definition, FrameworkKind, ParentId, TypeId, VgpuType, vf_uuid};
use crate::nvidia::messages::{Finding, Listener};
use crate::nvidia::params::{ParamEdit, Params};
use crate::nvidia::{TypeDetails, TypeName, parse_size, size};
use crate::scripts::answer;
use crate::store::{Location, format, settings};
use crate::sysfs::vf::listing;
use crate::sysfs::{Cards, Kernel};

/// The targets by name, as their folders of kept inputs are called. Those that read whole hosts get
/// a folder of their own for one.
pub const TARGETS: [(&str, Target); 7] = [
    ("definitions", Target::Bytes(definitions)),
    ("types", Target::Bytes(types)),
    ("functions", Target::Host(functions)),
    ("answers", Target::Bytes(answers)),
    ("overrides", Target::Host(unlock_settings)),
    ("logs", Target::Bytes(logs)),
    ("plans", Target::Bytes(plans)),
];

/// What a target takes.
#[derive(Debug, Clone, Copy)]
pub enum Target {
    /// The input.
    Bytes(fn(&[u8])),
    /// The root of a host, where it may write, and the input.
    Host(fn(&Path, &[u8])),
}

/// Runs one target on one input.
pub fn run(target: Target, root: &Path, input: &[u8]) {
    match target {
        Target::Bytes(check) => check(input),
        Target::Host(check) => check(root, input),
    }
}

/// Definitions of both shelves, and a GPU's settings: what is written says what was read.
fn definitions(input: &[u8]) {
    for framework in [FrameworkKind::Mdev, FrameworkKind::Vfio] {
        let Some(at) = place(framework) else { return };
        let Ok(read) = format::parse_at(at.clone(), input) else {
            continue;
        };
        let text = format::print(&read);
        let again = format::parse_at(at, text.as_bytes());
        assert_eq!(again.as_ref().map(meaning), Ok(meaning(&read)), "{text}");
        for (key, value) in &read.document {
            let kept = again
                .as_ref()
                .ok()
                .and_then(|again| again.document.get(key));
            let is_ours = ["mdev_type", "start", "attrs", "vf"].contains(&key.as_str());
            assert!(is_ours || kept == Some(value), "{key} in {text}");
        }
        assert_eq!(again.as_ref().map(format::print), Ok(text));
    }
    if let Ok(text) = std::str::from_utf8(input) {
        let _ = settings::parse(text);
    }
}

fn place(framework: FrameworkKind) -> Option<Location> {
    Some(Location {
        framework,
        parent: "0000:81:00.0".parse().ok()?,
        uuid: Uuid::nil(),
    })
}

/// What a definition says, but for the text that it came from.
fn meaning(definition: &Definition) -> Definition {
    Definition {
        document: serde_json::Map::new(),
        ..definition.clone()
    }
}

/// Descriptions, names, parameters and sizes of types: texts of the kernel and the command line.
fn types(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else {
        return;
    };
    let name = TypeName::parse(text);
    assert!(
        name.iter()
            .all(|name| !name.gpu.is_empty() && text.contains(&name.gpu))
    );
    let vgpu_type = |id| VgpuType {
        id,
        name: Some(text.to_owned()),
        description: Some(text.to_owned()),
        available: None,
        at_least: 0,
        device_api: None,
    };
    if let Ok(id) = "nvidia-63".parse() {
        let vgpu_type: VgpuType = vgpu_type(id);
        assert!(
            vgpu_type.framebuffer_mib().is_none()
                || name.is_some()
                || TypeDetails::parse(text).is_some()
        );
        let _ = vgpu_type.framebuffer_mib().map(size);
    }
    let params = Params::parse(text);
    assert_eq!(Params::parse(&params.to_string()), params);
    let _ = text.parse::<Attr>();
    let _ = text.parse::<ParamEdit>();
    if let Ok(mib) = parse_size(text) {
        assert_eq!(parse_size(&format!("{mib}M")), Ok(mib));
    }
    if let Ok(parent) = text.parse::<ParentId>() {
        assert_eq!(parent.as_str(), text);
        let _ = vf_uuid(&parent);
    }
    natural_order(text);
}

/// Types sort in one order, whichever two are compared: sorting may panic otherwise.
fn natural_order(text: &str) {
    let ids: Vec<TypeId> = text
        .split(' ')
        .filter_map(|id| id.parse().ok())
        .take(5)
        .collect();
    for a in &ids {
        for b in &ids {
            assert_eq!(a.cmp(b), b.cmp(a).reverse(), "{a} {b}");
            assert_eq!(a.cmp(b).is_eq(), a == b, "{a} {b}");
            for c in &ids {
                assert!(a > b || b > c || a <= c, "{a} {b} {c}");
            }
        }
    }
}

/// The function and the GPU whose files are the input.
const VF: &str = "0000:c1:00.4";
const GPU: &str = "0000:c1:00.0";

/// Files of the function and of its GPU, in the order in which an input tells them.
fn files(host: &Host) -> [PathBuf; 9] {
    let devices = host.pci_devices();
    let (vf, gpu) = (devices.join(VF), devices.join(GPU));
    [
        vf.join("nvidia/creatable_vgpu_types"),
        vf.join("nvidia/current_vgpu_type"),
        gpu.join("vendor"),
        gpu.join("device"),
        gpu.join("modalias"),
        gpu.join("class"),
        gpu.join("sriov_totalvfs"),
        host.vf_records().join(VF),
        host.type_names().join(GPU),
    ]
}

/// Stands between two files in an input; no file of the kernel has it.
const SEPARATOR: u8 = 0x1e;

thread_local! {
    static CARDS: Cards = Cards::open();
}

/// What the kernel tells of PCI devices and virtual functions, and what is noted of them in `/run`.
fn functions(root: &Path, input: &[u8]) {
    if let Ok(text) = std::str::from_utf8(input) {
        listings(text);
    }
    let host = Host::new(root);
    let texts = input.split(|byte| *byte == SEPARATOR);
    for (file, text) in files(&host)
        .iter()
        .zip(texts.chain(std::iter::repeat(&[][..])))
    {
        write(file, text);
    }
    let devices = host.pci_devices();
    link("../0000:c1:00.0", &devices.join(VF).join("physfn"));
    link("../0000:c1:00.4", &devices.join(GPU).join("virtfn0"));
    for name in [GPU, VF] {
        let bound = host.nvidia_driver().join(name);
        link(&format!("../../devices/{name}"), &bound);
    }
    look(&host);
}

/// A parent's types are those that its functions list, and all of its devices are of one function.
fn look(host: &Host) {
    let (kernel, mut warnings) = (Kernel::of(host), Vec::new());
    let parents = kernel.parents(&mut warnings).unwrap_or_default();
    assert!(
        parents.len() + warnings.len() == 1,
        "{parents:?} {warnings:?}"
    );
    for parent in &parents {
        let framework = kernel.serving(parent);
        let types = framework.types(&parent.id, &mut warnings);
        for vgpu_type in types.unwrap_or_default() {
            let number = listing::number_of(&vgpu_type.id);
            assert!(
                number.is_some() || vgpu_type.available == Some(0),
                "{vgpu_type:?}"
            );
        }
        let identity = framework.pci(&parent.id, &mut warnings);
        let _ = identity.map(|it| (CARDS.with(|cards| cards.name(&it)), it.numbers()));
        let devices = kernel.devices(&mut warnings).unwrap_or_default();
        assert!(devices.len() <= 1, "{devices:?}");
    }
    let _ = (kernel.sriov_gpus(&mut warnings), pci::gpus(Look { host }));
}

fn listings(text: &str) {
    let Ok(listed) = listing::parse(text) else {
        return;
    };
    for one in &listed {
        assert_eq!(
            listing::number_of(&listing::type_id(one.number)),
            Some(one.number)
        );
    }
    let lines = listed
        .iter()
        .map(|one| format!("{} : {}\n", one.number, one.name));
    assert_eq!(listing::parse(&lines.collect::<String>()), Ok(listed));
}

/// What callout scripts answer: attributes mean the same when they are told again.
fn answers(input: &[u8]) {
    let _ = answer::capabilities(input);
    if let Ok(Some(attrs)) = answer::attributes(input) {
        let list = attrs.iter().map(|attr| {
            let value = serde_json::Value::from(attr.value.as_str());
            serde_json::Map::from_iter([(attr.name.to_string(), value)])
        });
        let text = serde_json::Value::from_iter(list).to_string();
        assert_eq!(answer::attributes(text.as_bytes()), Ok(Some(attrs)));
    }
}

/// The settings of an unlock, read for a host with a card that needs one.
fn unlock_settings(root: &Path, input: &[u8]) {
    FACTS.with(|facts| {
        let facts = facts.get_or_init(|| unlocked_host(root));
        write(&facts.look.host.profile_override(), input);
        write(&facts.look.host.unlock_config(), input);
        let lines = input.iter().filter(|byte| **byte == b'\n').count() + 1;
        let profile = overrides::profile_override(facts);
        for finding in profile.iter().chain(&overrides::unlock_config(facts)) {
            let seen = &finding.evidence;
            assert!(!seen.is_empty(), "{finding:?}");
            assert!(seen.iter().all(|seen| is_in(seen, lines)), "{finding:?}");
        }
    });
}

thread_local! {
    /// Read once: the card stays.
    static FACTS: OnceCell<Facts<'static>> = const { OnceCell::new() };
}

fn unlocked_host(root: &Path) -> Facts<'static> {
    let host: &Host = Box::leak(Box::new(Host::new(root)));
    let card = host.pci_devices().join(GPU);
    write(&card.join("class"), b"0x030000");
    write(&card.join("vendor"), b"0x10de");
    write(&card.join("device"), b"0x1b06");
    Facts::read(host)
}

/// The line that it names is one of so many.
fn is_in(seen: &Evidence, lines: usize) -> bool {
    let rest = seen.found.strip_prefix("line ").unwrap_or("1");
    let number = rest.split(':').next().unwrap_or_default().parse();
    number.is_ok_and(|number: usize| (1..=lines).contains(&number))
}

/// A log tells the same however it comes: at once, or in pieces as large as its first byte says.
fn logs(input: &[u8]) {
    let size = input.first().map_or(1, |byte| usize::from(*byte).max(1));
    let (whole, pieces) = (heard(input, input.len().max(1)), heard(input, size));
    assert_eq!(whole, pieces, "in pieces of {size} bytes");
    for finding in &whole {
        let evidence = Some(finding.evidence.as_str());
        assert!(!finding.known.cause_in(evidence).is_empty());
        assert!(!finding.known.next_in(evidence).is_empty());
    }
}

/// Files that declare a host: what is written says what was read.
fn plans(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else {
        return;
    };
    match declared(text) {
        Ok(read) => {
            let text = declare::write(&read, &["a remark".to_owned()]);
            assert_eq!(declared(&text), Ok(read), "{text}");
        }
        // A broken file is told of by its lines.
        Err(error) => {
            let faults = std::iter::once(&error).chain(error.others());
            let mut faults = faults.map(Error::to_string);
            assert!(faults.all(|fault| fault.contains("plan.toml")), "{error:?}");
        }
    }
}

/// What a file means, wherever in it each group stands.
fn declared(text: &str) -> Result<Declaration> {
    let source = Source {
        name: "plan.toml".to_owned(),
        text: text.to_owned(),
    };
    let mut declaration = declare::parse(&source)?.declaration;
    for group in &mut declaration.groups {
        group.line = 0;
    }
    Ok(declaration)
}

fn heard(input: &[u8], size: usize) -> Vec<Finding> {
    let mut listener = Listener::new();
    for piece in input.chunks(size) {
        listener.hear(piece);
    }
    listener.findings()
}

/// Whoever cannot write here has no room for the host: nothing can be said of the reader then.
fn write(path: &Path, content: &[u8]) {
    let mut written = fs::write(path, content);
    if written.is_err() {
        let made = path.parent().map_or(Ok(()), fs::create_dir_all);
        written = made.and_then(|()| fs::write(path, content));
    }
    assert!(written.is_ok(), "{}: {written:?}", path.display());
}

fn link(target: &str, path: &Path) {
    if fs::read_link(path).is_err() {
        let made = path.parent().map_or(Ok(()), fs::create_dir_all);
        let linked = made.and_then(|()| std::os::unix::fs::symlink(target, path));
        assert!(linked.is_ok(), "{}: {linked:?}", path.display());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_input_that_was_kept_ends_well() {
        let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
        for (name, target) in TARGETS {
            let root = tempfile::tempdir().unwrap();
            let mut count = 0;
            for file in fs::read_dir(kept.join(name)).unwrap() {
                let path = file.unwrap().path();
                let input = fs::read(&path).unwrap();
                let ended = std::panic::catch_unwind(|| run(target, root.path(), &input));
                assert!(ended.is_ok(), "{}", path.display());
                count += 1;
            }
            assert!(count > 0, "{name}: nothing is kept");
        }
    }
}
