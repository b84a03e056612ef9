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
        "0000:82:00.0|8 GiB|vGPU card|nvidia|mdev|0|-|-"
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
    assert!(row.starts_with("0000:01:00.0|11 GiB|unlockable as Tesla P40|"));
    assert_eq!(
        run.stderr,
        "note: 0000:01:00.0 is a GTX 1080 Ti with 11 GiB of memory; its types are another card's \
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
