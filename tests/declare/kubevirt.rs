//! KubeVirt.

use vgpuctl::declare::{Format, Reading};

use super::in_short;

const BARE: &str = "mediatedDevicesConfiguration:
  mediatedDeviceTypes: [nvidia-231, GRID_T4-1Q, i915-GVTg_V5_4, nvidia-999]
  nodeMediatedDeviceTypes:
  - nodeSelector: {kind: big, \"zone\": \"true\"}
    mediatedDeviceTypes: [nvidia-558]
  - nodeSelector:
      kind: big
    mediatedDevicesTypes:
    - nvidia-231
";

fn read(text: &str, select: Option<&str>) -> Result<Reading, Vec<String>> {
    super::read(Format::KubeVirt, text, select)
}

#[test]
fn types_take_gpus_in_turn_and_fill_them() {
    let reading = read(BARE, Some("kind=small")).unwrap();
    assert_eq!(
        in_short(&reading.declaration),
        [
            "nvidia-231: nvidia-231 max each on 81:00.0, auto",
            "nvidia-230: nvidia-230 max each on 82:00.0, auto",
            "i915-GVTg_V5_4: i915-GVTg_V5_4 max each on 00:02.0, auto",
            "others go from 81:00.0 82:00.0 00:02.0",
        ]
    );
    assert_eq!(
        reading.notes,
        [
            "line 2: no GPU on this host offers nvidia-999",
            "KubeVirt picks types at random; here they are assigned in turn, in the order of the file",
            "0000:83:00.0 gets none of the types and is not changed; KubeVirt would remove its devices of other types",
        ]
    );
}

#[test]
fn a_nodes_own_types_come_in_the_place_of_the_clusters() {
    let reading = read(BARE, Some("kind=big, zone=true,other=x")).unwrap();
    assert_eq!(
        in_short(&reading.declaration),
        [
            "nvidia-558: nvidia-558 max each on 83:00.0, auto",
            "nvidia-231: nvidia-231 max each on 81:00.0 82:00.0, auto",
            "others go from 83:00.0 81:00.0 82:00.0",
        ]
    );
    let notes = read(BARE, None).unwrap().notes;
    assert!(notes[0].contains("--select KEY=VALUE"), "{notes:?}");
}

#[test]
fn it_is_found_where_people_paste_it_from() {
    let inner = "mediatedDevicesConfiguration: {mediatedDevicesTypes: [nvidia-557]}";
    let wanted = [
        "nvidia-557: nvidia-557 max each on 83:00.0, auto",
        "others go from 83:00.0",
    ];
    for text in [
        inner.to_owned(),
        "mediatedDevicesTypes: [nvidia-557]".to_owned(),
        format!(
            "apiVersion: kubevirt.io/v1\nkind: KubeVirt\nspec:\n  configuration:\n    {inner}\n"
        ),
        format!("kind: HyperConverged\nspec:\n  {inner}\n"),
        format!("kind: List\nitems:\n- spec:\n    configuration:\n      {inner}\n"),
        format!("kind: ConfigMap\n---\nspec:\n  {inner}\n"),
        format!(
            "{{\"spec\": {{\"configuration\": {{{}}}}}}}",
            "\"mediatedDevicesConfiguration\": {\"mediatedDeviceTypes\": [\"nvidia-557\"]}"
        ),
    ] {
        let reading = read(&text, None).unwrap();
        assert_eq!(in_short(&reading.declaration), wanted, "{text}");
    }
}

#[test]
fn what_makes_no_sense_is_told() {
    for (text, select, wanted) in [
        (
            "spec: {}",
            None,
            "f:1: no mediatedDevicesConfiguration and no list of types",
        ),
        (
            "mediatedDeviceTypes: nvidia-1",
            None,
            "f:1: a list of types is expected, not nvidia-1",
        ),
        (
            "mediatedDeviceTypes:\n- {}",
            None,
            "f:2: a type is expected, not a mapping",
        ),
        (
            "nodeMediatedDeviceTypes:\n- {}",
            None,
            "f:2: the entry has no nodeSelector",
        ),
        (
            "mediatedDeviceTypes: []",
            Some("x"),
            "\"x\" is not a node label",
        ),
    ] {
        assert_eq!(read(text, select).unwrap_err(), [wanted], "{text}");
    }
}
