//! `types`.

use insta::assert_snapshot;

use crate::harness::SimHost;
use crate::helpers::{P1, P2};

#[test]
fn types_stand_in_natural_order_with_all_that_their_description_says() {
    let host = SimHost::start("two-p4");
    let run = host.run(&format!("types --parent {P1}"));
    assert_snapshot!(run.snapshot(&host), @"
    status: 0
    --- stdout
    PARENT        TYPE        NAME         FRAMEBUFFER  DISPLAYS  FPS  RESOLUTION  FREE  MAX  API
    0000:81:00.0  nvidia-63   GRID P4-1Q         1 GiB         4   60  5120x2880      8    8  vfio-pci
    0000:81:00.0  nvidia-64   GRID P4-2Q         2 GiB         4   60  7680x4320      4    4  vfio-pci
    0000:81:00.0  nvidia-65   GRID P4-4Q         4 GiB         4   60  7680x4320      2    2  vfio-pci
    0000:81:00.0  nvidia-66   GRID P4-8Q         8 GiB         4   60  7680x4320      1    1  vfio-pci
    0000:81:00.0  nvidia-67   GRID P4-1A         1 GiB         1   60  1280x1024      8    8  vfio-pci
    0000:81:00.0  nvidia-68   GRID P4-2A         2 GiB         1   60  1280x1024      4    4  vfio-pci
    0000:81:00.0  nvidia-69   GRID P4-4A         4 GiB         1   60  1280x1024      2    2  vfio-pci
    0000:81:00.0  nvidia-70   GRID P4-8A         8 GiB         1   60  1280x1024      1    1  vfio-pci
    0000:81:00.0  nvidia-71   GRID P4-1B         1 GiB         4   45  5120x2880      8    8  vfio-pci
    0000:81:00.0  nvidia-157  GRID P4-2B         2 GiB         4   45  5120x2880      4    4  vfio-pci
    0000:81:00.0  nvidia-214  GRID P4-2B4        2 GiB         4   45  5120x2880      4    4  vfio-pci
    0000:81:00.0  nvidia-243  GRID P4-1B4        1 GiB         4   45  5120x2880      8    8  vfio-pci
    0000:81:00.0  nvidia-288  GRID P4-4C         4 GiB         1   60  4096x2160      2    2  vfio-pci
    0000:81:00.0  nvidia-289  GRID P4-8C         8 GiB         1   60  4096x2160      1    1  vfio-pci
    --- stderr
    ");
}

#[test]
fn every_parent_has_its_lines_in_order_of_addresses() {
    let host = SimHost::start("two-p4");
    let run = host.run("types").expect(0);
    let parents: Vec<&str> = run.stdout.lines().skip(1).map(|l| &l[..12]).collect();
    assert_eq!(parents.len(), 28);
    assert!(parents[..14].iter().all(|parent| *parent == P1));
    assert!(parents[14..].iter().all(|parent| *parent == P2));
    assert_eq!(run.stderr, "");
}

#[test]
fn available_leaves_out_what_a_vgpu_of_another_size_has_made_impossible() {
    let host = SimHost::start("two-p4");
    host.run(&format!("create -t P4-4Q -p {P1}")).expect(0);
    let run = host.run(&format!("types --available --parent {P1}"));
    assert_snapshot!(run.snapshot(&host), @"
    status: 0
    --- stdout
    PARENT        TYPE        NAME        FRAMEBUFFER  DISPLAYS  FPS  RESOLUTION  FREE  MAX  API
    0000:81:00.0  nvidia-65   GRID P4-4Q        4 GiB         4   60  7680x4320      1    2  vfio-pci
    0000:81:00.0  nvidia-69   GRID P4-4A        4 GiB         1   60  1280x1024      1    2  vfio-pci
    0000:81:00.0  nvidia-288  GRID P4-4C        4 GiB         1   60  4096x2160      1    2  vfio-pci
    --- stderr
    ");
    host.run(&format!("create -t P4-4Q -p {P1}")).expect(0);
    let run = host.run(&format!("types -a -p {P1}"));
    assert_snapshot!(run.snapshot(&host), @"
    status: 0
    --- stdout
    --- stderr
    note: no type has a free instance; see what is taken: vgpuctl list
    ");
}

#[test]
fn a_description_of_unknown_form_is_shown_on_one_line() {
    let host = SimHost::start("gvt-g");
    assert_snapshot!(host.run("types").snapshot(&host), @"
    status: 0
    --- stdout
    PARENT        TYPE            NAME  FREE  API       DESCRIPTION
    0000:00:02.0  i915-GVTg_V5_4  -        1  vfio-pci  low_gm_size: 128MB, high_gm_size: 512MB, fence: 4, resolution: 1920x1200, weight: 4
    0000:00:02.0  i915-GVTg_V5_8  -        2  vfio-pci  low_gm_size: 64MB, high_gm_size: 384MB, fence: 4, resolution: 1024x768, weight: 2
    --- stderr
    ");
}

#[test]
fn vendors_share_one_table_and_each_column_is_filled_where_it_can_be() {
    let host = SimHost::start("mixed");
    let run = host.run("types");
    let gvt: Vec<&str> = run.stdout.lines().filter(|l| l.contains("i915")).collect();
    assert_eq!(gvt.len(), 1);
    assert!(gvt[0].ends_with("resolution: 1024x768, weight: 2"));
    let nvidia = run.stdout.lines().find(|l| l.contains("nvidia-63 "));
    assert!(nvidia.unwrap().ends_with("vfio-pci  -"), "{run:?}");
}

#[test]
fn an_unlocked_card_has_the_types_of_the_card_it_is_taken_for() {
    let host = SimHost::start("gtx-1080ti");
    let run = host.run("types").expect(0);
    let ids: Vec<&str> = run
        .stdout
        .lines()
        .skip(1)
        .map(|line| line.split_whitespace().nth(1).unwrap())
        .collect();
    assert_eq!(ids.first(), Some(&"nvidia-46"));
    assert_eq!(ids.last(), Some(&"nvidia-287"));
    let place = |id| ids.iter().position(|i| *i == id).unwrap();
    assert!(place("nvidia-62") < place("nvidia-156"));
}

#[test]
fn a_parent_that_is_not_there_is_named_with_those_that_are() {
    let host = SimHost::start("two-p4");
    let run = host.run("types --parent 0000:99:00.0");
    assert_snapshot!(run.snapshot(&host), @"
    status: 3
    --- stdout
    --- stderr
    error: there is no parent 0000:99:00.0
    hint: parents here: 0000:81:00.0, 0000:82:00.0
    ");
}
