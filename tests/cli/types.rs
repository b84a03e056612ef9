//! `types`.

use std::io::Write as _;

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
    note: no type has a free instance; see what is in use: vgpuctl list
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
fn a_type_that_says_something_else_on_the_next_gpu_is_told_as_it_says() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    let heads = "frl_config=60, max_resolution=5120x2880, max_instance=2, num_heads=4";
    for (parent, name, description) in [
        ("a", "One", format!("{heads}, framebuffer=1024M")),
        ("b", "One", format!("{heads}, framebuffer=2048M")),
        ("c", "Two", format!("{heads}, framebuffer=2048M")),
        ("d", "Two", "of another form".to_owned()),
        ("e", "Two", format!("{heads}, framebuffer=2048M")),
    ] {
        write!(
            file,
            "[[parent]]\nid = {parent:?}\ndriver = \"acme\"\npool = 2\n\
             [[parent.type]]\nid = \"1\"\nname = {name:?}\ndescription = {description:?}\n",
        )
        .unwrap();
    }
    let host = SimHost::start_file(file.path());
    assert_snapshot!(host.run("types").snapshot(&host), @"
    status: 0
    --- stdout
    PARENT  TYPE    NAME  FRAMEBUFFER  DISPLAYS  FPS  RESOLUTION  FREE  MAX  API       DESCRIPTION
    a       acme-1  One         1 GiB         4   60  5120x2880      2    2  vfio-pci  -
    b       acme-1  One         2 GiB         4   60  5120x2880      2    2  vfio-pci  -
    c       acme-1  Two         2 GiB         4   60  5120x2880      2    2  vfio-pci  -
    d       acme-1  Two             -         -    -  -              2    -  vfio-pci  of another form
    e       acme-1  Two         2 GiB         4   60  5120x2880      2    2  vfio-pci  -
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
    error: parent 0000:99:00.0 not found
    hint: available parents: 0000:81:00.0, 0000:82:00.0
    ");
}

/// The short names in the table.
fn names(run: &crate::harness::Run) -> Vec<String> {
    let name = |line: &str| line.split_whitespace().nth(3).unwrap().to_owned();
    run.stdout.lines().skip(1).map(name).collect()
}

#[test]
fn series_and_framebuffer_choose_types_and_what_is_free_does_too() {
    let host = SimHost::start("two-p4");
    for (options, wanted) in [
        ("--series Q --min-framebuffer 2G", "P4-2Q P4-4Q P4-8Q"),
        ("--series q --min-framebuffer 2048M", "P4-2Q P4-4Q P4-8Q"),
        ("--series B", "P4-1B P4-2B P4-2B4 P4-1B4"),
        ("--series C", "P4-4C P4-8C"),
        ("--min-framebuffer 8GiB", "P4-8Q P4-8A P4-8C"),
        (
            "--min-framebuffer 512M --series A",
            "P4-1A P4-2A P4-4A P4-8A",
        ),
    ] {
        let run = host.run(&format!("types -p {P1} {options}")).expect(0);
        assert_eq!(names(&run).join(" "), wanted, "{options}");
        assert_eq!(run.stderr, "", "{options}");
    }
    host.run(&format!("create -t P4-4A -p {P1}")).expect(0);
    let line = format!("types -p {P1} --series Q --min-framebuffer 2G --available");
    let run = host.run(&line).expect(0);
    assert_eq!(names(&run), ["P4-4Q"]);
}

#[test]
fn half_a_gigabyte_is_a_size_too() {
    let host = SimHost::start("m10");
    let line = "types -p 0000:86:00.0 --available --min-framebuffer 513M";
    assert!(!names(&host.run(line).expect(0)).contains(&"M10-0Q".to_owned()));
    let line = "types -p 0000:86:00.0 --available --min-framebuffer 512M";
    assert!(names(&host.run(line).expect(0)).contains(&"M10-0Q".to_owned()));
}

#[test]
fn a_filter_that_nothing_fits_says_so() {
    let host = SimHost::start("two-p4");
    for (options, wanted) in [
        ("--series gaming", "no type of series gaming; "),
        ("--min-framebuffer 48G", "no type with 48 GiB or more; "),
        (
            "--series C --min-framebuffer 16G --available",
            "no type of series C with 16 GiB or more has a free instance; ",
        ),
    ] {
        let run = host.run(&format!("types {options}")).expect(0);
        assert_eq!(run.stdout, "", "{options}");
        assert!(run.stderr.contains(wanted), "{run:?}");
    }
    let host = SimHost::start("gvt-g");
    for options in ["--series Q", "--min-framebuffer 1M"] {
        let run = host.run(&format!("types {options}")).expect(0);
        assert_eq!(run.stdout, "", "other vendors' types have neither: {run:?}");
    }
}

#[test]
fn a_size_or_series_of_another_form_is_refused_with_the_forms_there_are() {
    let host = SimHost::start("two-p4");
    for size in [
        "2",
        "2GB",
        "1.5G",
        "0G",
        "big",
        "-1G",
        "2T",
        "18446744073709551615G",
    ] {
        for line in [
            format!("types --min-framebuffer={size}"),
            format!("create --framebuffer={size} --series Q"),
        ] {
            let run = host.run(&line).expect(2);
            assert!(run.stderr.contains("2G, 2GiB, 2048M or 512M"), "{run:?}");
        }
    }
    let run = host.run("types --series X").expect(2);
    assert!(
        run.stderr.contains("A (virtual applications), B (basic"),
        "{run:?}"
    );
    assert_eq!(host.active(), [""; 0]);
}

#[test]
fn wide_adds_what_each_type_is_for() {
    let host = SimHost::start("m10");
    let run = host.run("types -o wide -p 0000:86:00.0").expect(0);
    let line = |id: &str| {
        let found = run.stdout.lines().find(|line| line.contains(id));
        found.unwrap_or_else(|| panic!("{id}: {run:?}")).to_owned()
    };
    let ends = |id: &str, wanted: &str| {
        let line = line(id);
        let end: Vec<&str> = line.split("vfio-pci").nth(1).unwrap().split("  ").collect();
        let end: Vec<&str> = end
            .into_iter()
            .map(str::trim)
            .filter(|w| !w.is_empty())
            .collect();
        assert_eq!(end.join(", "), wanted, "{line}");
    };
    assert!(
        run.stdout
            .lines()
            .next()
            .unwrap()
            .ends_with("USE                       LICENCE  CUDA  OPENGL")
    );
    ends("nvidia-37 ", "A, virtual applications, vApps, no, yes");
    ends("nvidia-38 ", "B, basic PC work, vPC, no, yes");
    ends("nvidia-36 ", "Q, professional workstation, vDWS, no, yes");
    ends("nvidia-45 ", "Q, professional workstation, vDWS, yes, yes");
    let host = SimHost::start("mixed");
    let run = host.run("types -o wide").expect(7);
    let gvt = run
        .stdout
        .lines()
        .find(|line| line.contains("i915"))
        .unwrap();
    let end: Vec<&str> = gvt.split_whitespace().rev().take(5).collect();
    assert_eq!(end, ["-"; 5], "{gvt}");
    host.run("types -o nonsense").expect(2);
}

#[test]
fn an_unlocked_cards_gaming_types_are_told_apart_and_odd_names_stay_as_they_are() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let host = r#"
[[parent]]
id = "0000:01:00.0"
driver = "nvidia"
pool = 24
full = "EIO"
[[parent.type]]
id = "328"
name = "GRID GTX P40-6"
cost = 6
[[parent.type]]
id = "474"
name = "GRID A100-1-5CME"
cost = 5
[[parent.type]]
id = "900"
name = "My own - type"
cost = 1
"#;
    std::fs::write(file.path(), host).unwrap();
    let host = SimHost::start_file(file.path());
    let document = host.run("types --json").expect(0).json();
    let types = document["parents"][0]["types"].as_array().unwrap();
    let find = |id: &str| types.iter().find(|one| one["id"] == id).unwrap();
    let fields = |id: &str| {
        [
            "gpu",
            "slices",
            "framebuffer_mib",
            "series",
            "suffix",
            "licence",
        ]
        .map(|key| find(id)[key].to_string())
        .join(" ")
    };
    assert_eq!(
        fields("nvidia-328"),
        r#""GTX P40" null 6144 "gaming" null "vGaming""#
    );
    assert_eq!(fields("nvidia-474"), r#""A100" 1 5120 "C" "ME" "vCS""#);
    assert_eq!(fields("nvidia-900"), "null null null null null null");
    let run = host.run("types --series gaming").expect(0);
    assert_eq!(run.stdout.lines().count(), 2);
    let run = host.run("types").expect(0);
    assert!(run.stdout.contains("My own - type"), "{run:?}");
    let run = host.run("create -t A100-1-5CME").expect(0);
    let run = host.run(&format!("show {}", run.stdout.trim())).expect(0);
    let wanted = "Framebuffer  5 GiB\nMIG slices   1\nUse          compute server (series C)\n\
                  Licence      vCS (today: NVIDIA AI Enterprise)\nCUDA         yes\nOpenGL       no\n";
    assert!(run.stdout.contains(wanted), "{run:?}");
}
