//! `gpus`. The card's name comes from the test machine's hardware database, so it is left out.

use crate::harness::{Run, SimHost};
use crate::helpers::{P1, P2};

/// The table without its second column, cells joined by `|`.
fn without_card(run: &Run) -> Vec<String> {
    run.stdout
        .lines()
        .map(|line| {
            let mut cells: Vec<&str> = line
                .split("  ")
                .map(str::trim)
                .filter(|cell| !cell.is_empty())
                .collect();
            cells.remove(1);
            cells.join("|")
        })
        .collect()
}

#[test]
fn a_gpu_shows_what_it_holds_and_how_full_it_is() {
    let host = SimHost::start("two-p4");
    host.run(&format!("create -t P4-1Q -p {P1} --count 3"))
        .expect(0);
    host.run(&format!("create -t P4-1B -p {P1}")).expect(0);
    host.run(&format!("create -t P4-8Q -p {P2}")).expect(0);
    let run = host.run("gpus").expect(0);
    assert_eq!(
        without_card(&run),
        [
            "PARENT|MEMORY|VGPU|DRIVER|FRAMEWORK|ACTIVE|HOLDS|FRAMEBUFFER",
            "0000:81:00.0|8 GiB|vGPU card|nvidia|mdev|4|3 x P4-1Q (1 GiB each), 1 x P4-1B (1 GiB each)|[####----] 4 GiB of 8 GiB",
            "0000:82:00.0|8 GiB|vGPU card|nvidia|mdev|1|1 x P4-8Q (8 GiB each)|[########] 8 GiB of 8 GiB",
        ]
    );
    assert_eq!(run.stderr, "");
}

#[test]
fn an_idle_gpu_holds_nothing() {
    let host = SimHost::start("p40");
    let run = host.run("gpus").expect(0);
    assert_eq!(
        without_card(&run)[1],
        "0000:81:00.0|24 GiB|vGPU card|nvidia|mdev|0|-|[--------] 0 MiB of 24 GiB"
    );
}

#[test]
fn a_card_is_named_by_model_or_by_numbers_and_never_left_empty() {
    let host = SimHost::start("two-p4");
    for gpu in host.run("gpus --json").expect(0).json()["gpus"]
        .as_array()
        .unwrap()
    {
        let card = gpu["card"].as_str().unwrap();
        assert!(card.contains("P4") || card == "10de:1bb3", "{card:?}");
        assert_eq!(gpu["pci_ids"], "10de:1bb3");
    }
}

#[test]
fn the_four_gpus_of_a_board_are_four_parents() {
    let host = SimHost::start("m10");
    host.run("create -t M10-8Q --count 4").expect(0);
    let rows = without_card(&host.run("gpus").expect(0));
    let addresses: Vec<&str> = rows[1..].iter().map(|row| &row[..12]).collect();
    assert_eq!(
        addresses,
        [
            "0000:86:00.0",
            "0000:87:00.0",
            "0000:88:00.0",
            "0000:89:00.0"
        ]
    );
    for row in &rows[1..] {
        assert!(row.ends_with("1 x M10-8Q (8 GiB each)|[########] 8 GiB of 8 GiB"));
    }
    host.run("create -t M10-8Q").expect(4);
}

#[test]
fn a_parent_that_is_no_pci_device_has_no_card_and_no_framebuffer() {
    let host = SimHost::start("s390-matrix");
    let run = host.run("gpus").expect(0);
    assert_eq!(without_card(&run)[1], "matrix|-|-|vfio_ap|mdev|0|-|-");
    assert_eq!(
        host.run("gpus --json").json()["gpus"][0]["card"],
        serde_json::Value::Null
    );
}

#[test]
fn a_card_without_types_is_still_shown() {
    let host = SimHost::start("mixed");
    let run = host.run("gpus").expect(7);
    assert_eq!(
        without_card(&run)[3],
        "0000:82:00.0|8 GiB|vGPU card|nvidia|mdev|0|-|-|no types"
    );
    assert!(
        run.stderr
            .starts_with("warning: 0000:82:00.0 offers no types")
    );
}

#[test]
fn an_unlocked_card_shows_its_own_memory_and_whose_types_it_lists() {
    let host = SimHost::start("gtx-1080ti");
    let run = host.run("gpus").expect(0);
    let row = without_card(&run).remove(1);
    assert_eq!(
        row,
        "0000:01:00.0|11 GiB|unlockable as Tesla P40|nvidia|mdev|0|-|[--------] 0 MiB of 11 GiB"
    );
    assert_eq!(
        run.stderr,
        "note: 0000:01:00.0 is a GTX 1080 Ti with 11 GiB of memory; its types are those of another card \
         and promise up to 24 GiB\n"
    );
    let gpu = host.run("gpus --json").expect(0).json()["gpus"][0].clone();
    assert_eq!(gpu["model"], "GTX 1080 Ti");
    assert_eq!(gpu["chip"], "GP102");
    assert_eq!(gpu["memory_mib"], 11264);
    assert_eq!(gpu["vgpu"], "unlockable");
    assert_eq!(gpu["unlocks_as"], "Tesla P40");
}

#[test]
fn another_vendors_card_is_neither_known_nor_judged() {
    let host = SimHost::start("gvt-g");
    let gpu = host.run("gpus --json").expect(0).json()["gpus"][0].clone();
    for key in ["model", "chip", "memory_mib", "vgpu", "unlocks_as"] {
        assert_eq!(gpu[key], serde_json::Value::Null, "{key}");
    }
}

/// A host that a text describes.
fn described(text: &str) -> SimHost {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    SimHost::start_file(file.path())
}

#[test]
fn an_unlocked_card_that_is_promised_more_than_it_has_is_overcommitted() {
    let host = SimHost::start("gtx-1080ti");
    host.run("create -t P40-3Q --count 3").expect(0);
    let row = without_card(&host.run("gpus").expect(0)).remove(1);
    assert!(row.ends_with("|[#######-] 9 GiB of 11 GiB"), "{row}");
    host.run("create -t P40-3Q --count 2").expect(0);
    let run = host.run("gpus").expect(0);
    let row = without_card(&run).remove(1);
    assert!(
        row.ends_with("|[########] 11 GiB of 11 GiB, overcommitted"),
        "{row}"
    );
    let note = "overcommitted: a GTX 1080 Ti has 11 GiB of memory, but the types of its vGPUs (5 x \
                P40-3Q (3 GiB each)) promise 15 GiB";
    assert!(run.stderr.contains(note), "{run:#?}");
    let gpu = host.run("gpus --json").expect(0).json()["gpus"][0].clone();
    assert_eq!(gpu["framebuffer_taken_mib"], 11 * 1024);
    assert_eq!(gpu["framebuffer_promised_mib"], 15 * 1024);
    assert_eq!(gpu["overcommitted"], true);
}

#[test]
fn functions_take_the_memory_of_their_card() {
    let host = described(
        "[[parent]]\nid = \"0000:41:00.0\"\ncard = \"a40\"\nvfs = 32\nenabled_vfs = 32\n\
         vf_framework = \"mdev\"\n",
    );
    host.run("create -t A40-8Q --count 3").expect(0);
    let row = without_card(&host.run("gpus").expect(0)).remove(1);
    assert!(
        row.ends_with("|3 x A40-8Q (8 GiB each)|[####----] 24 GiB of 48 GiB"),
        "{row}"
    );

    // These list what fits, and once full nothing.
    let host = SimHost::start("l40s");
    let row = without_card(&host.run("gpus").expect(0)).remove(1);
    assert!(row.ends_with("|0|-|[--------] 0 MiB of 48 GiB"), "{row}");
    host.run("create -t L40S-24Q --count 2").expect(0);
    let run = host.run("gpus").expect(0);
    let row = without_card(&run).remove(1);
    assert!(
        row.ends_with("|2 x L40S-24Q (24 GiB each)|[########] 48 GiB of 48 GiB"),
        "{row}"
    );
    assert_eq!(run.stderr, "");
}

#[test]
fn names_that_round_up_make_no_card_overcommitted() {
    // Two of 71 GiB by name fill the 141 GiB of an H200.
    let host = described(
        "mdev = false\n[[parent]]\nid = \"0000:41:00.0\"\ndriver = \"nvidia\"\ndevice = 0x2335\n\
         class = 0x030200\npool = 7\nvfs = 8\nenabled_vfs = 8\nvf_framework = \"vendor\"\n\
         [[parent.type]]\nid = \"1200\"\nname = \"NVIDIA H200-3-71C\"\ncost = 3\n",
    );
    host.run("create -t H200-3-71C --count 2").expect(0);
    let run = host.run("gpus").expect(0);
    let row = without_card(&run).remove(1);
    assert!(row.ends_with("|[########] 141 GiB of 141 GiB"), "{row}");
    assert_eq!(run.stderr, "");
}

#[test]
fn every_display_controller_is_shown_with_the_reason_why_it_makes_none() {
    let host = SimHost::start("all-kinds-of-cards");
    let run = host.run("gpus").expect(0);
    assert_eq!(run.stderr, "");
    assert_eq!(
        without_card(&run),
        [
            "PARENT|MEMORY|VGPU|DRIVER|FRAMEWORK|ACTIVE|HOLDS|FRAMEBUFFER|REASON",
            "0000:00:02.0|-|-|i915|-|-|-|-|driver i915: no vGPU",
            "0000:03:00.0|-|-|ast|-|-|-|-|driver ast: no vGPU",
            "0000:0a:00.0|-|-|amdgpu|-|-|-|-|driver amdgpu: no vGPU",
            "0000:21:00.0|16 GiB|vGPU card|nvidia|-|-|-|-|driver without vGPU",
            "0000:41:00.0|48 GiB|vGPU card|nvidia|-|-|-|-|functions off",
            "0000:61:00.0|11 GiB|unlockable as Tesla P40|nouveau|-|-|-|-|driver nouveau: no vGPU",
            "0000:62:00.0|24 GiB|no stable unlock|vfio-pci|-|-|-|-|driver vfio-pci: no vGPU",
            "0000:63:00.0|48 GiB|vGPU card|-|-|-|-|-|no driver",
            "0000:81:00.0|8 GiB|vGPU card|nvidia|mdev|0|-|[--------] 0 MiB of 8 GiB|-",
        ]
    );
    let answer = host.run("gpus --json").expect(0).json();
    let told: Vec<String> = answer["gpus"]
        .as_array()
        .unwrap()
        .iter()
        .map(|gpu| {
            format!(
                "{} {} {}",
                gpu["parent"], gpu["framework"], gpu["reason_code"]
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            r#""0000:00:02.0" null "other-driver""#,
            r#""0000:03:00.0" null "other-driver""#,
            r#""0000:0a:00.0" null "other-driver""#,
            r#""0000:21:00.0" null "driver-without-vgpu""#,
            r#""0000:41:00.0" null "functions-off""#,
            r#""0000:61:00.0" null "other-driver""#,
            r#""0000:62:00.0" null "other-driver""#,
            r#""0000:63:00.0" null "no-driver""#,
            r#""0000:81:00.0" "mdev" null"#,
        ]
    );
    assert_eq!(answer["version"], 1);
    // Once they are on, functions are told as their GPU, and as nothing else.
    host.run("vfs enable 0000:41:00.0").expect(0);
    let rows = without_card(&host.run("gpus").expect(0));
    assert_eq!(rows.len(), 10);
    assert!(
        rows[5].starts_with("0000:41:00.0|48 GiB|vGPU card|nvidia|mdev|0|-|"),
        "{rows:?}"
    );
}

#[test]
fn where_no_gpu_makes_any_they_are_shown_and_doctor_is_named() {
    let host = SimHost::start("a40-vf-mdev");
    let run = host.run("gpus").expect(0);
    assert!(run.stdout.contains("functions off"), "{run:#?}");
    assert!(run.stderr.contains("vgpuctl doctor"), "{run:#?}");
    assert!(
        run.stderr.contains("vgpuctl vfs enable 0000:41:00.0"),
        "{run:#?}"
    );
    let host = described(
        "mdev = false\n[[parent]]\nid = \"0000:41:00.0\"\ndriver = \"nvidia\"\nregisters = false\n\
         device = 0x26b9\nclass = 0x030200\nvfs = 4\nenabled_vfs = 4\nvf_framework = \"mdev\"\n",
    );
    let run = host.run("gpus").expect(0);
    assert!(run.stdout.contains("functions without types"), "{run:#?}");
    assert_eq!(run.stdout.lines().count(), 2, "{run:#?}");
}

#[test]
fn who_offers_types_without_an_unlock_is_a_vgpu_card_whatever_a_table_says() {
    let card = |card: &str, device: u16| {
        let line = format!(
            "[[parent]]\nid = \"0000:81:00.0\"\ncard = \"{card}\"\ndevice = {device:#06x}\n"
        );
        described(&line)
    };
    let standing = |host: &SimHost| {
        let gpu = host.run("gpus --json").expect(0).json()["gpus"][0].clone();
        gpu["vgpu"].as_str().unwrap().to_owned()
    };
    // A number in an unlock's range, one outside of all, a consumer's card with types of its own.
    for (types, device) in [("p4", 0x1bad), ("p40", 0x0fff), ("p4", 0x1b30)] {
        assert_eq!(standing(&card(types, device)), "vgpu-card", "{device:04x}");
    }
    // A number that is not known, on a host with an unlock, and types of the card that it makes of it.
    let host = card("p40", 0x1bad);
    assert_eq!(standing(&host), "vgpu-card");
    let drop_ins = host.path("etc/systemd/system/nvidia-vgpud.service.d");
    std::fs::create_dir_all(&drop_ins).unwrap();
    let preload = "[Service]\nEnvironment=LD_PRELOAD=/opt/libvgpu_unlock_rs.so\n";
    std::fs::write(drop_ins.join("vgpu_unlock.conf"), preload).unwrap();
    assert_eq!(standing(&host), "unlockable");
}
