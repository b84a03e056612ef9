//! The floor: a program that gives the answers of `vgpuctl types` and `vgpuctl list` with the reads
//! that they need and nothing else. It checks nothing and knows one kind of host, that which
//! `benches/compare/tree.rs` makes.
//!
//! `VGPUCTL_ROOT=DIR floor types|list`

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

fn main() -> io::Result<()> {
    let root = PathBuf::from(std::env::var_os("VGPUCTL_ROOT").unwrap_or_default());
    let answer = match std::env::args().nth(1).as_deref() {
        Some("types") => types(&root),
        Some("list") => list(&root),
        _ => Err(io::Error::other("usage: VGPUCTL_ROOT=DIR floor types|list")),
    };
    io::stdout().write_all(answer?.as_bytes())
}

fn types(root: &Path) -> io::Result<String> {
    let mut answer = String::new();
    let bus = root.join("sys/class/mdev_bus");
    for parent in names(&bus)? {
        let types = bus.join(&parent).join("mdev_supported_types");
        for id in names(&types)? {
            let field = |file: &str| read(&types.join(&id).join(file));
            answer += &format!(
                "{parent}\t{id}\t{}\t{}\t{}\t{}\n",
                field("name")?,
                field("description")?,
                field("device_api")?,
                field("available_instances")?,
            );
        }
    }
    Ok(answer)
}

/// A device, and what is known of it: type, whether it is active, its start mode.
type Devices = BTreeMap<(String, String), (String, bool, &'static str)>;

fn list(root: &Path) -> io::Result<String> {
    let mut devices = active(root)?;
    add_definitions(root, &mut devices)?;
    let bus = root.join("sys/class/mdev_bus");
    let mut type_names = BTreeMap::new();
    let mut answer = String::new();
    for ((parent, uuid), (id, active, start)) in devices {
        let name = bus.join(&parent).join("mdev_supported_types").join(&id);
        let name = match type_names.get(&name) {
            Some(known) => known,
            None => type_names
                .entry(name.clone())
                .or_insert(read(&name.join("name"))?),
        };
        answer += &format!("{uuid}\t{id}\t{name}\t{parent}\t{active}\t{start}\n");
    }
    Ok(answer)
}

fn active(root: &Path) -> io::Result<Devices> {
    let folder = root.join("sys/bus/mdev/devices");
    let mut devices = Devices::new();
    for uuid in names(&folder)? {
        let link = folder.join(&uuid);
        let target = fs::read_link(&link)?;
        let parent = last_part(target.parent());
        let id = last_part(Some(&fs::read_link(link.join("mdev_type"))?));
        devices.insert((parent, uuid), (id, true, "-"));
    }
    Ok(devices)
}

fn add_definitions(root: &Path, devices: &mut Devices) -> io::Result<()> {
    let shelf = root.join("etc/mdevctl.d");
    for parent in names(&shelf)?
        .into_iter()
        .filter(|name| name != "scripts.d")
    {
        let folder = shelf.join(&parent);
        for uuid in names(&folder)? {
            let text = read(&folder.join(&uuid))?;
            let start = match text.contains("\"auto\"") {
                true => "auto",
                false => "manual",
            };
            let id = text.split('"').nth(3).unwrap_or_default().to_owned();
            let one = devices
                .entry((parent.clone(), uuid))
                .or_insert((id, false, start));
            one.2 = start;
        }
    }
    Ok(())
}

fn names(folder: &Path) -> io::Result<Vec<String>> {
    let name = |entry: io::Result<fs::DirEntry>| Ok(entry?.file_name().display().to_string());
    let mut names = fs::read_dir(folder)?
        .map(name)
        .collect::<io::Result<Vec<_>>>()?;
    names.sort();
    Ok(names)
}

/// One open, one read, one close.
fn read(path: &Path) -> io::Result<String> {
    let mut content = [0; 1024];
    let length = File::open(path)?.read(&mut content)?;
    Ok(String::from_utf8_lossy(&content[..length])
        .trim_end()
        .to_owned())
}

fn last_part(path: Option<&Path>) -> String {
    let name = path.and_then(Path::file_name).unwrap_or_default();
    name.display().to_string()
}
