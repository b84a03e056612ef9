//! Files of a host, read from a folder that stands for it.

use std::cell::RefCell;
use std::fs;
use std::path::{Path, PathBuf};

use super::SEPARATOR;
use crate::doctor::facts::settings::Settings;
use crate::doctor::facts::{Look, pci};
use crate::doctor::{Evidence, Facts, overrides, unlock_config};
use crate::host::Host;
use crate::store::Store;
use crate::sysfs::vf::listing;
use crate::sysfs::{Cards, Kernel};

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

thread_local! {
    static CARDS: Cards = Cards::open();
}

/// What the kernel tells of PCI devices and virtual functions, and what is noted of them in `/run`.
pub fn functions(root: &Path, input: &[u8]) {
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
    let _ = (kernel.sriov_gpus(&mut warnings), pci::gpus(&Look::at(host)));
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

/// The settings of an unlock, read for a host with a card that needs one.
pub fn unlock_settings(root: &Path, input: &[u8]) {
    FACTS.with(|facts| {
        let mut facts = facts.borrow_mut();
        let facts = facts.get_or_insert_with(|| unlocked_host(root));
        write(&facts.host.profile_override(), input);
        write(&facts.host.unlock_config(), input);
        facts.settings = Settings::read(&Look::at(facts.host), &facts.manager);
        let lines = input.iter().filter(|byte| **byte == b'\n').count() + 1;
        let profile = overrides::profile_override(facts);
        for finding in profile.iter().chain(&unlock_config::unlock_config(facts)) {
            let seen = &finding.evidence;
            assert!(!seen.is_empty(), "{finding:?}");
            assert!(seen.iter().all(|seen| is_in(seen, lines)), "{finding:?}");
        }
    });
}

thread_local! {
    /// Read once: the card stays.
    static FACTS: RefCell<Option<Facts<'static>>> = const { RefCell::new(None) };
}

fn unlocked_host(root: &Path) -> Facts<'static> {
    let host: &Host = Box::leak(Box::new(Host::new(root)));
    let card = host.pci_devices().join(GPU);
    write(&card.join("class"), b"0x030000");
    write(&card.join("vendor"), b"0x10de");
    write(&card.join("device"), b"0x1b06");
    let (kernel, store) = (Kernel::of(host), Store::of(host));
    Facts::read(&kernel, &store, "vgpuctl")
}

/// The line that it names is one of so many.
fn is_in(seen: &Evidence, lines: usize) -> bool {
    let rest = seen.found.strip_prefix("line ").unwrap_or("1");
    let number = rest.split(':').next().unwrap_or_default().parse();
    number.is_ok_and(|number: usize| (1..=lines).contains(&number))
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
