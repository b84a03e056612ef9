//! A device as arguments of QEMU.

use std::path::Path;

use super::{Attachment, Display, SharedMemory, Source};

/// The arguments, each as QEMU gets it.
pub fn qemu_arguments(attachment: &Attachment) -> Vec<String> {
    let mut arguments = Vec::new();
    if let Source::Mdev {
        uuid,
        model: super::Model::Pci,
        ..
    } = &attachment.source
    {
        // NVIDIA's manager reads the VM's UUID off this command line, and refuses without.
        arguments.extend(["-uuid".to_owned(), uuid.to_string()]);
    }
    arguments.extend(["-device".to_owned(), device(attachment)]);
    if let Some(memory) = &attachment.memory {
        arguments.extend(memory_arguments(memory));
    }
    arguments
}

fn device(attachment: &Attachment) -> String {
    let sysfs = match &attachment.source {
        Source::Mdev { sysfs, .. } | Source::Vf { sysfs, .. } => sysfs,
    };
    let model = attachment.source.model().as_str();
    let mut device = match attachment.display {
        // The plain framebuffer comes with a device that cannot be unplugged.
        Display::WithRamFb => format!("{model}-nohotplug"),
        _ => model.to_owned(),
    };
    device += &format!(",sysfsdev={}", value(sysfs));
    device += match attachment.display {
        Display::Unsaid => "",
        Display::Off => ",display=off",
        Display::On => ",display=on",
        Display::WithRamFb => ",display=on,ramfb=on",
    };
    for (name, id) in attachment.identity.iter().flat_map(|i| i.named()) {
        device += &format!(",x-pci-{name}={id:#06x}");
    }
    device
}

/// The arguments for shared memory.
pub(super) fn memory_arguments(memory: &SharedMemory) -> [String; 4] {
    let name = memory.name.replace(',', ",,");
    [
        "-object".to_owned(),
        format!(
            "memory-backend-file,id={name},share=on,mem-path={},size={}M",
            value(&memory.path),
            memory.size_mib
        ),
        "-device".to_owned(),
        format!("ivshmem-plain,memdev={name}"),
    ]
}

/// A path as the value of a key: a comma would end it.
fn value(path: &Path) -> String {
    path.to_string_lossy().replace(',', ",,")
}

/// Arguments for a shell, an option a line.
pub fn shell_lines(arguments: &[String]) -> String {
    let mut text = String::new();
    for (at, argument) in arguments.iter().enumerate() {
        if at > 0 {
            text += match argument.starts_with('-') {
                true => " \\\n",
                false => " ",
            };
        }
        text += &quote(argument);
    }
    text + "\n"
}

/// A word for a shell, in quotes where it needs them.
pub fn quote(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:,=+@%".contains(c);
    match !word.is_empty() && word.chars().all(is_plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', "'\\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples::{ap, mdev, memory, vf};
    use super::*;

    const UUID: &str = "83b8f4f2-509f-382f-3c1e-e6bfe0fa1001";

    #[test]
    fn a_mediated_device_is_opened_by_its_directory_and_names_the_vm() {
        assert_eq!(
            shell_lines(&qemu_arguments(&mdev())),
            format!("-uuid {UUID} \\\n-device vfio-pci,sysfsdev=/sys/bus/mdev/devices/{UUID}\n")
        );
        assert_eq!(
            qemu_arguments(&ap()),
            [
                "-device",
                &format!("vfio-ap,sysfsdev=/sys/bus/mdev/devices/{UUID}")
            ]
        );
        assert_eq!(
            qemu_arguments(&vf()),
            [
                "-device",
                "vfio-pci,sysfsdev=/sys/bus/pci/devices/10000:81:01.4"
            ]
        );
    }

    #[test]
    fn settings_become_properties() {
        let path = format!("sysfsdev=/sys/bus/mdev/devices/{UUID}");
        for (display, wanted) in [
            (Display::Off, format!("vfio-pci,{path},display=off")),
            (Display::On, format!("vfio-pci,{path},display=on")),
            (
                Display::WithRamFb,
                format!("vfio-pci-nohotplug,{path},display=on,ramfb=on"),
            ),
        ] {
            assert_eq!(qemu_arguments(&Attachment { display, ..mdev() })[3], wanted);
        }
        let attachment = Attachment {
            identity: Some("10de:1bb1:10de:3".parse().unwrap()),
            memory: Some(memory()),
            ..mdev()
        };
        assert_eq!(
            qemu_arguments(&attachment)[3..],
            [
                format!(
                    "vfio-pci,{path},x-pci-vendor-id=0x10de,x-pci-device-id=0x1bb1,\
                     x-pci-sub-vendor-id=0x10de,x-pci-sub-device-id=0x0003"
                ),
                "-object".into(),
                "memory-backend-file,id=looking-glass,share=on,mem-path=/dev/shm/looking-glass,size=32M".into(),
                "-device".into(),
                "ivshmem-plain,memdev=looking-glass".into(),
            ]
        );
    }

    #[test]
    fn a_comma_in_a_path_does_not_end_it() {
        let mut attachment = mdev();
        if let Source::Mdev { sysfs, .. } = &mut attachment.source {
            *sysfs = "/mnt/a,display=on/x y".into();
        }
        let arguments = qemu_arguments(&attachment);
        assert_eq!(arguments[3], "vfio-pci,sysfsdev=/mnt/a,,display=on/x y");
        assert!(shell_lines(&arguments).ends_with(" 'vfio-pci,sysfsdev=/mnt/a,,display=on/x y'\n"));
    }

    #[test]
    fn a_shell_gets_back_every_word_as_it_was() {
        let words = [
            "a", "", "it's", "$(id)", "`id`", "a b", "\\", "*", "~", "#x", "é", "\n", "''",
        ];
        let line: Vec<String> = words.iter().map(|word| quote(word)).collect();
        let output = std::process::Command::new("sh")
            .args(["-c", &format!("printf '%s\\0' {}", line.join(" "))])
            .output()
            .unwrap();
        let heard = String::from_utf8(output.stdout).unwrap();
        let heard: Vec<&str> = heard.strip_suffix('\0').unwrap().split('\0').collect();
        assert_eq!(heard, words);
    }
}
