//! NVIDIA's vGPU device manager.

use vgpuctl::declare::{Format, Reading};

use super::in_short;

const FILE: &str = r#"version: v1
vgpu-configs:
  T4-small:
    - device-filter: ["0x1EB810DE"]
      devices: all
      vgpu-devices:
        T4-1Q: 16
  mixed:
    - devices: [0, 2]
      vgpu-devices: {"T4-1Q": 16}
    - device-filter: "0x1EB810DE"
      devices: [2]
      vgpu-devices:
        "T4-2Q": 4
    - devices: [7]
      vgpu-devices: {"T4-2Q": 8}
"#;

fn read(text: &str, select: Option<&str>) -> Result<Reading, Vec<String>> {
    super::read(Format::VgpuDeviceManager, text, select)
}

#[test]
fn a_configuration_means_its_gpus_and_nothing_else_there() {
    let reading = read(FILE, Some("T4-small")).unwrap();
    assert_eq!(
        in_short(&reading.declaration),
        [
            "T4-1Q: T4-1Q 16 each on 81:00.0 82:00.0, auto",
            "others go from 81:00.0 82:00.0",
        ]
    );
    assert_eq!(
        reading.notes,
        [
            "0000:83:00.0 is not in T4-small and is not changed; NVIDIA's own assert fails because of this"
        ]
    );
}

#[test]
fn of_two_entries_for_one_gpu_the_later_one_counts() {
    let reading = read(FILE, Some("mixed")).unwrap();
    assert_eq!(
        in_short(&reading.declaration),
        [
            "T4-1Q: T4-1Q 16 each on 81:00.0, auto",
            "T4-2Q: T4-2Q 4 each on 82:00.0, auto",
            "others go from 81:00.0 82:00.0",
        ]
    );
    assert_eq!(
        reading.notes,
        [
            "0000:83:00.0 is not in mixed and is not changed; NVIDIA's own assert fails because of this",
            "line 15: it matches no GPU on this host",
        ]
    );
}

#[test]
fn a_label_that_is_not_there_leads_to_those_that_are() {
    assert_eq!(
        read(FILE, Some("T4-smal")).unwrap_err(),
        ["f:1: no configuration \"T4-smal\"; did you mean T4-small? Available: T4-small, mixed"]
    );
    assert_eq!(
        read(FILE, None).unwrap_err(),
        ["f:1: choose a configuration with --select LABEL; available: T4-small, mixed"]
    );
    let one = "version: v1\nvgpu-configs: {a: [{devices: all, vgpu-devices: {A40-1Q: 2}}]}";
    assert_eq!(
        in_short(&read(one, None).unwrap().declaration)[0],
        "A40-1Q: A40-1Q 2 each on 81:00.0 82:00.0 83:00.0, auto"
    );
}

#[test]
fn it_is_as_strict_as_theirs_and_tells_all_at_once() {
    let text = "version: v2\nvgpu-config: {}\nvgpu-configs:\n  a:\n  - device: all\n    vgpu-devices: []\n  - devices: some\n    vgpu-devices: {T4-1Q: many}\n    device-filter: [0x1EB810DE]\n  b: {}\n";
    assert_eq!(
        read(text, Some("a")).unwrap_err(),
        [
            "f:1: version v2 is not supported, only v1 is",
            "f:2: the file has no key \"vgpu-config\"; did you mean vgpu-configs?",
            "f:5: an entry of a has no key \"device\"; did you mean devices?",
            "f:5: an entry of a has no devices",
            "f:7: devices takes all or a list such as [0, 1], not some",
            "f:8: T4-1Q must be a whole number from 1, not many",
            "f:9: device-filter takes strings: quote it, as \"0x1EB810DE\"",
        ]
    );
    for (text, wanted) in [
        ("", "f:1: the file is empty"),
        ("a: [", "f:2: not YAML: "),
        (
            "version: v1\n",
            "f:1: vgpu-configs must be a mapping with at least one configuration",
        ),
        ("--- 1\n--- 2\n", "f:1: the file must be a mapping, not 1"),
        ("a: !foo 1", "f:1: the tag !foo is not supported"),
        ("? [a]\n: b", "f:1: a key that is not a string"),
    ] {
        let found = read(text, None).unwrap_err();
        assert!(
            found.iter().any(|line| line.starts_with(wanted)),
            "{text:?}: {found:?}"
        );
    }
}

#[test]
fn a_fault_in_one_label_refuses_no_other() {
    let text = "version: v1\nvgpu-configs:\n  a:\n  - {devices: all, vgpu-devices: {T4-1Q: 8}}\n  b:\n  - {devices: all, vgpu-devices: {nvidia-222: 0}}\n";
    let reading = read(text, Some("a")).unwrap();
    assert_eq!(reading.declaration.groups.len(), 1);
    assert_eq!(
        reading.notes,
        [
            "line 6: a type is written as T4-1Q or A100-1-5C, not \"nvidia-222\": ids and GRID names are not accepted; NVIDIA's own program rejects the whole file because of this"
        ]
    );
    let faults = read(text, Some("b")).unwrap_err();
    assert!(
        faults[0].starts_with("f:6: a type is written"),
        "{faults:?}"
    );
}

#[test]
fn aliases_are_read_and_cannot_blow_up() {
    let text = "version: v1\nvgpu-configs:\n  a: &a\n  - {devices: all, vgpu-devices: {A40-1Q: 2}}\n  b: *a\n";
    assert_eq!(
        read(text, Some("a")),
        read(text, Some("b")).map(|mut reading| {
            reading.notes.clear();
            reading
        })
    );
    let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for n in 1..30 {
        let last = format!("*a{}, ", n - 1).repeat(10);
        text += &format!("a{n}: &a{n} [{last}]\n");
    }
    let found = read(&text, None).unwrap_err();
    assert!(
        found[0].contains("its aliases expand to too much"),
        "{found:?}"
    );
    let deep = "[".repeat(100);
    let found = read(&deep, None).unwrap_err();
    assert!(
        found[0].contains("nested deeper than 64 levels"),
        "{found:?}"
    );
}
