//! An s390 host: attributes whose order and repetition matter.

use crate::harness::SimHost;
use crate::helpers::{device, uuid};

const ATTRS: &str = "--attr assign_adapter=5 --attr assign_adapter=6 --attr assign_domain=4 \
                     --attr assign_domain=0xab --attr assign_adapter=7 --attr unassign_adapter=6";
const MATRIX: &str = "05.0004\n05.00ab\n07.0004\n07.00ab\n";

fn create(host: &SimHost, n: u8, attrs: &str) -> crate::harness::Run {
    let line = format!("create -t vfio_ap-passthrough -u {} {attrs}", uuid(n));
    host.run(&line)
}

fn matrix(host: &SimHost, n: u8) -> String {
    let path = host
        .path("sys/bus/mdev/devices")
        .join(uuid(n))
        .join("matrix");
    std::fs::read_to_string(path).unwrap()
}

#[test]
fn repeated_attributes_reach_the_device_in_order() {
    let host = SimHost::start("s390-matrix");
    create(&host, 1, ATTRS).expect(0);
    assert_eq!(matrix(&host, 1), MATRIX);
    assert_eq!(device(&host, &uuid(1), "matrix"), MATRIX);
}

#[test]
fn they_are_written_again_after_a_reboot() {
    let host = SimHost::start("s390-matrix");
    create(&host, 1, ATTRS).expect(0);
    host.ctl(&["reboot"]);
    host.run("restore").expect(0);
    assert_eq!(matrix(&host, 1), MATRIX);
    let run = host.run(&format!("show {}", uuid(1))).expect(0);
    let shown: Vec<&str> = run
        .stdout
        .lines()
        .filter(|l| l.starts_with("Attribute"))
        .collect();
    assert_eq!(
        shown,
        [
            "Attribute 0  assign_adapter=5",
            "Attribute 1  assign_adapter=6",
            "Attribute 2  assign_domain=4",
            "Attribute 3  assign_domain=0xab",
            "Attribute 4  assign_adapter=7",
            "Attribute 5  unassign_adapter=6",
        ]
    );
}

#[test]
fn order_is_what_counts() {
    let host = SimHost::start("s390-matrix");
    let attrs = "--attr unassign_adapter=5 --attr assign_adapter=5";
    create(&host, 1, attrs).expect(0);
    assert_eq!(matrix(&host, 1), "05.\n");
    let attrs = "--attr assign_adapter=9 --attr unassign_adapter=9";
    create(&host, 2, attrs).expect(0);
    assert_eq!(matrix(&host, 2), "");
}

#[test]
fn a_queue_that_another_device_has_takes_the_new_device_back() {
    let host = SimHost::start("s390-matrix");
    create(&host, 1, ATTRS).expect(0);
    let run = create(&host, 2, "--attr assign_adapter=7 --attr assign_domain=4").expect(1);
    assert!(run.stderr.contains("cannot set assign_domain=4"), "{run:?}");
    assert!(
        run.stderr.contains("Address already in use (EADDRINUSE)"),
        "{run:?}"
    );
    assert_eq!(host.active(), [uuid(1)]);
    assert_eq!(host.defined(), [uuid(1)]);
    assert_eq!(matrix(&host, 1), MATRIX);
    create(&host, 2, "--attr assign_adapter=7 --attr assign_domain=5").expect(0);
}

#[test]
fn a_number_that_the_kernel_does_not_take_is_explained_by_its_answer() {
    let host = SimHost::start("s390-matrix");
    for (value, errno) in [("x", "EINVAL"), ("0x", "EINVAL"), ("256", "ENODEV")] {
        let run = create(&host, 1, &format!("--attr assign_adapter={value}"));
        assert_ne!(run.status, 0, "{value}");
        assert!(run.stderr.contains(errno), "{value}: {run:?}");
        assert_eq!(host.active(), [""; 0]);
        assert_eq!(host.defined(), [""; 0]);
    }
}

#[test]
fn its_types_have_no_framebuffer_and_the_table_no_such_column() {
    let host = SimHost::start("s390-matrix");
    let run = host.run("types");
    insta::assert_snapshot!(run.snapshot(&host), @"
    status: 0
    --- stdout
    PARENT  TYPE                 NAME                         FREE  API
    matrix  vfio_ap-passthrough  VFIO AP Passthrough Device  65536  vfio-ap
    --- stderr
    ");
}
