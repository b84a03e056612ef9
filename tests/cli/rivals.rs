//! One UUID that is to start at boot on two parents.

use std::fs;

use crate::harness::SimHost;
use crate::helpers::{P1, P2, put_auto, uuid};

#[test]
fn whoever_defines_the_second_one_is_warned() {
    let host = SimHost::start("two-p4");
    let (id, first) = (uuid(1), format!("the next boot starts it on {P1}"));
    let warned = |line: &str| {
        let run = host.run(line).expect(0);
        let told = run.stderr.contains("is set to start at boot on");
        if told {
            assert!(run.stderr.contains(&first), "{run:?}");
            let way = format!("vgpuctl undefine {id} --parent {P2}");
            assert!(run.stderr.contains(&way), "{run:?}");
        }
        told
    };
    assert!(!warned(&format!("define -t P4-1Q -p {P2} -u {id}")));
    assert!(!warned(&format!(
        "define -t P4-1Q -p {P1} -u {id} --manual"
    )));
    assert!(warned(&format!("modify {id} -p {P1} --auto")));
    assert!(
        !warned(&format!("modify {id} -p {P1} --attr a=1")),
        "as before"
    );
    host.run(&format!("undefine {id} -p {P1}")).expect(0);
    assert!(warned(&format!(
        "define -t P4-2Q -p {P1} -u {id} --dry-run"
    )));
    assert!(warned(&format!("define -t P4-2Q -p {P1} -u {id}")));
    host.run(&format!("undefine {id} -p {P1}")).expect(0);
    // create takes no UUID that is defined anywhere.
    host.run(&format!("create -t P4-1Q -p {P1} -u {id}"))
        .expect(1);
    assert!(!warned(&format!("define -t P4-1Q -p {P2} -u {}", uuid(2))));
}

#[test]
fn what_is_exported_is_what_plan_takes_and_says_what_it_leaves_out() {
    let host = SimHost::start("two-p4");
    put_auto(&host, P1, &uuid(1), "nvidia-63");
    put_auto(&host, P2, &uuid(1), "nvidia-64");
    host.run(&format!("define -t P4-1Q -p {P1} -u {}", uuid(2)))
        .expect(0);
    host.run("restore").expect(7);
    let check = |left_out: &str| {
        let run = host.run("export").expect(0);
        let listed = run.stdout.lines().filter(|line| !line.starts_with('#'));
        let listed: String = listed.collect();
        assert_eq!(listed.matches(&uuid(1)).count(), 1, "{run:?}");
        let told = format!("the definition on {left_out} (nvidia-");
        assert!(
            run.stderr.contains(&told) && run.stdout.contains(&told),
            "{run:?}"
        );
        let file = host.path("host.toml");
        fs::write(&file, &run.stdout).unwrap();
        // 2: it differs from the file, in what was said and in nothing else.
        let plan = host.run_args(["plan".as_ref(), file.as_os_str()]).expect(2);
        let goes = format!("definition on {left_out}: to be removed");
        assert!(plan.stdout.contains(&goes), "{plan:?}");
        assert!(!plan.stdout.contains(&uuid(2)), "{plan:?}");
        assert!(
            !plan.stdout.contains("GPU: not") && !plan.stdout.contains("type:"),
            "{plan:?}"
        );
        file
    };
    check(P2);
    // The one that runs is kept, whichever boot would start.
    host.run(&format!("stop {}", uuid(1))).expect(0);
    host.run(&format!("start {} --parent {P2}", uuid(1)))
        .expect(0);
    let file = check(P1);
    host.run_args(["apply".as_ref(), "--yes".as_ref(), file.as_os_str()])
        .expect(0);
    host.run_args(["plan".as_ref(), file.as_os_str()]).expect(0);
    assert_eq!(host.defined(), [uuid(1), uuid(2)]);
}
