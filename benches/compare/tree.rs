//! A host in plain folders: what sysfs shows of cards with types and devices, and their definitions.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

/// How much there is on a host.
#[derive(Debug, Clone, Copy)]
pub struct Size {
    pub parents: usize,
    /// Of each parent.
    pub types: usize,
    /// Active devices of each parent; each has a definition too.
    pub devices: usize,
}

impl Size {
    pub fn all_types(self) -> usize {
        self.parents * self.types
    }

    pub fn all_devices(self) -> usize {
        self.parents * self.devices
    }
}

/// Makes the host below `root`, which must be empty.
pub fn make(root: &Path, size: Size) -> io::Result<()> {
    let bus = folder(root, "sys/class/mdev_bus")?;
    let pci = folder(root, "sys/bus/pci/devices")?;
    let driver = folder(root, "sys/bus/pci/drivers/nvidia")?;
    let mdev = folder(root, "sys/bus/mdev/devices")?;
    script_folders(root)?;
    for file in ["bind", "new_id", "remove_id", "uevent", "unbind"] {
        fs::write(driver.join(file), "")?;
    }
    for number in 0..size.parents {
        let id = address(number);
        let parent = folder(root, &format!("sys/devices/pci0000:40/{id}"))?;
        fill_parent(&parent, size.types)?;
        symlink(format!("../../devices/pci0000:40/{id}"), bus.join(&id))?;
        let target = format!("../../../devices/pci0000:40/{id}");
        symlink(&target, pci.join(&id))?;
        symlink(format!("../{target}"), driver.join(&id))?;
        let definitions = folder(root, &format!("etc/mdevctl.d/{id}"))?;
        for device in 0..size.devices {
            let uuid = uuid(number, device);
            let place = folder(&parent, &uuid)?;
            symlink("../mdev_supported_types/nvidia-46", place.join("mdev_type"))?;
            symlink(format!("{target}/{uuid}"), mdev.join(&uuid))?;
            fs::write(definitions.join(&uuid), DEFINITION)?;
        }
    }
    Ok(())
}

/// A package brings these, and mdevctl wants them to be there.
pub fn script_folders(root: &Path) -> io::Result<()> {
    for shelf in ["usr/lib/mdevctl", "etc/mdevctl.d"] {
        folder(root, &format!("{shelf}/scripts.d/callouts"))?;
        folder(root, &format!("{shelf}/scripts.d/notifiers"))?;
    }
    Ok(())
}

/// In mdevctl's form.
pub const DEFINITION: &str =
    "{\n  \"mdev_type\": \"nvidia-46\",\n  \"start\": \"auto\",\n  \"attrs\": []\n}";

/// The address of the parent of that number.
pub fn address(number: usize) -> String {
    format!("0000:{:02x}:00.0", 0x41 + number)
}

/// The UUID of a parent's device of that number; random ones are as far apart.
pub fn uuid(parent: usize, device: usize) -> String {
    format!("{:08x}-5eed-4000-8000-{parent:06x}{device:06x}", {
        let number = u32::try_from(parent * 1024 + device).unwrap_or_default();
        number.wrapping_mul(0x9e37_79b1)
    })
}

fn fill_parent(parent: &Path, types: usize) -> io::Result<()> {
    for (file, text) in [
        ("vendor", "0x10de\n"),
        ("device", "0x1b38\n"),
        (
            "modalias",
            "pci:v000010DEd00001B38sv000010DEsd000011D9bc03sc02i00\n",
        ),
    ] {
        fs::write(parent.join(file), text)?;
    }
    for number in 0..types {
        let name = format!("mdev_supported_types/nvidia-{}", 46 + number);
        let place = folder(parent, &name)?;
        let gib = 1 + number;
        let description = format!(
            "num_heads=4, frl_config=60, framebuffer={}M, max_resolution=5120x2880, max_instance={}\n",
            gib * 1024,
            24 / gib
        );
        for (file, text) in [
            ("name", format!("GRID P40-{gib}Q\n")),
            ("description", description),
            ("device_api", "vfio-pci\n".to_owned()),
            ("available_instances", format!("{}\n", 24 / gib)),
            ("create", String::new()),
        ] {
            fs::write(place.join(file), text)?;
        }
        folder(&place, "devices")?;
    }
    Ok(())
}

fn folder(above: &Path, name: &str) -> io::Result<PathBuf> {
    let path = above.join(name);
    fs::create_dir_all(&path)?;
    Ok(path)
}
