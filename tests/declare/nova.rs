//! OpenStack Nova.

use vgpuctl::declare::{Format, Reading};

use super::in_short;

fn read(text: &str) -> Result<Reading, Vec<String>> {
    super::read(Format::Nova, text, None)
}

#[test]
fn each_type_has_its_gpus() {
    let text = "[DEFAULT]\ndebug = true\n\n[devices]\n# enabled_mdev_types = nvidia-1\n\
        enabled_mdev_types = nvidia-230,\n    nvidia-231, nvidia-557\n\n\
        [mdev_nvidia-230]\ndevice_addresses: 0000:81:00.0\nmax_instances = 9\nmax_instances = 16\n\
        [vgpu_nvidia-231]\ndevice_addresses = 0000:82:00.0,0000:99:00.0\n\
        [mdev_nvidia-557]\nmdev_class = VGPU\ndevice_addresses = 0000:83:00.4,0000:83:00.5\n";
    let reading = read(text).unwrap();
    assert_eq!(
        in_short(&reading.declaration),
        [
            "nvidia-230: nvidia-230 up to 16 each on 81:00.0, auto",
            "nvidia-231: nvidia-231 max each on 82:00.0, auto",
            "nvidia-557: nvidia-557 up to 2 each on 83:00.0, auto",
            "Keep",
        ]
    );
    assert_eq!(
        reading.notes,
        [
            "line 16: mdev_class only matters to Nova",
            "this host has no GPU at \"0000:99:00.0\"",
        ]
    );
}

#[test]
fn one_type_without_addresses_is_every_gpus() {
    for text in [
        "[devices]\nenabled_vgpu_types = nvidia-230\n",
        "[devices]\nenabled_mdev_types=nvidia-230\nenabled_vgpu_types = nvidia-231\n",
    ] {
        let reading = read(text).unwrap();
        assert_eq!(
            in_short(&reading.declaration),
            [
                "nvidia-230: nvidia-230 max each on 81:00.0 82:00.0, auto",
                "Keep"
            ]
        );
        assert_eq!(reading.notes, [""; 0]);
    }
    let reading = read("[devices]\nenabled_mdev_types = nvidia-230, nvidia-231\n").unwrap();
    assert_eq!(reading.declaration.groups.len(), 1);
    assert_eq!(
        reading.notes,
        [
            "nvidia-230 has no device_addresses: as in Nova 29 and newer, it is the type of all GPUs not listed for another type (26 to 28 use only nvidia-230, on every GPU)",
            "nvidia-231 also has no device_addresses, so Nova does not use it",
        ]
    );
    let reading = read("[devices]\n").unwrap();
    assert_eq!(in_short(&reading.declaration), ["Keep"]);
    assert_eq!(reading.notes.len(), 1);
}

#[test]
fn what_nova_would_not_start_with_is_told() {
    let text = "stray = 1\n[devices]\nenabled_mdev_types = a,b,a\n[mdev_a]\ndevice_addresses = 0000:81:00.0\nmax_instances = 0\nnonsense\n[mdev_b\n[mdev_b]\n\n  continued\ndevice_addresses = 0000:81:00.0\n";
    assert_eq!(
        read(text).unwrap_err(),
        [
            "f:1: an option before the first [section]",
            "f:5: \"0000:81:00.0\" is listed twice: Nova does not start",
            "f:6: max_instances must be a whole number from 1, not \"0\"",
            "f:7: neither NAME = VALUE nor [section]: \"nonsense\"",
            "f:8: a section is written as [name], with nothing after it, not [mdev_b",
            "f:11: the line is indented, but there is no value directly above it to continue",
            "f:12: \"0000:81:00.0\" already belongs to a: Nova does not start",
        ]
    );
}
