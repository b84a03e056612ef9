//! MIG-backed types, each vGPU of which has a GPU instance: sizes mix, slices are what fits.

use crate::harness::{Run, SimHost};
use crate::helpers::uuid;
use crate::plan::{MACHINE_ID, apply, file, host, plan};

/// Words of a rule that does not hold here.
const SIZE_RULE: [&str; 3] = ["one framebuffer size", "as many as fit", "mixed-sizes"];

/// An A100 of 40 GiB on an older kernel: its functions are parents of mediated devices.
const MEDIATED: &str = r#"[[parent]]
id = "0000:81:00.0"
driver = "nvidia"
device = 0x20f1
class = 0x030200
vfs = 16
enabled_vfs = 16
vf_framework = "mdev"
pool = 7
full = "EIO"
[[parent.type]]
id = "474"
name = "GRID A100-1-5C"
cost = 1
description = "num_heads=1, frl_config=60, framebuffer=4864M, max_resolution=4096x2160, max_instance=7"
[[parent.type]]
id = "475"
name = "GRID A100-2-10C"
cost = 2
description = "num_heads=1, frl_config=60, framebuffer=9856M, max_resolution=4096x2160, max_instance=3"
[[parent.type]]
id = "468"
name = "GRID A100-4C"
description = "num_heads=1, frl_config=60, framebuffer=4096M, max_resolution=4096x2160, max_instance=10"
"#;

fn mediated() -> SimHost {
    let described = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(described.path(), MEDIATED).unwrap();
    let host = SimHost::start_file(described.path());
    std::fs::write(host.path("etc/machine-id"), MACHINE_ID).unwrap();
    host
}

fn group(type_name: &str, count: u32) -> String {
    format!("[[group]]\nname = \"{type_name}\"\ntype = \"{type_name}\"\ncount = {count}\n")
}

#[track_caller]
fn says_nothing_of_sizes(run: &Run) {
    for words in SIZE_RULE {
        let told = format!("{}{}", run.stdout, run.stderr);
        assert!(!told.contains(words), "{words}: {run:#?}");
    }
}

/// How many are active on either kind of host.
fn active(host: &SimHost) -> usize {
    let answer = host.run("list --active --json").expect(0).json();
    answer["devices"].as_array().unwrap().len()
}

/// Two sizes on one GPU, through all verbs, a reboot among them.
fn two_sizes(host: &SimHost, small: &str, large: &str) {
    let text = group(small, 3) + &group(large, 2);
    let run = plan(host, &text).expect(2);
    assert!(run.stdout.ends_with("5 to create\n"), "{run:#?}");
    apply(host, &text).expect(0);
    let declared = file(host, &text);
    let asserted = || host.run_args(["assert".as_ref(), declared.as_os_str()]);
    assert_eq!(asserted().expect(0).stderr, "");

    host.ctl(&["reboot"]);
    let run = host.run("restore --dry-run --now").expect(0);
    assert_eq!(run.stdout.matches("would start ").count(), 5, "{run:#?}");
    says_nothing_of_sizes(&run);
    host.run("restore").expect(0);
    assert_eq!(active(host), 5);
    asserted().expect(0);
    assert_eq!(plan(host, &text).expect(0).stdout, "5 as declared\n");

    // All seven slices are taken.
    let run = host.run(&format!("create -t {small}")).expect(4);
    says_nothing_of_sizes(&run);
    assert!(
        run.stderr.contains("no GPU instance for this type"),
        "{run:#?}"
    );
    let more = format!("[[group]]\nname = \"more\"\ntype = \"{small}\"\ncount = 1\n");
    let run = plan(host, &(text + &more)).expect(2);
    assert!(
        run.stdout.ends_with("1 blocked, 5 as declared\n"),
        "{run:#?}"
    );
    says_nothing_of_sizes(&run);
}

#[test]
fn sizes_mix_on_functions_that_are_parents() {
    two_sizes(&mediated(), "A100-1-5C", "A100-2-10C");
}

#[test]
fn sizes_mix_on_functions_that_take_types() {
    two_sizes(&host("a100-mig"), "A100D-1-10C", "A100D-2-20C");
}

#[test]
fn what_is_created_or_changed_brings_no_caution_while_instances_fit() {
    for (host, parent, small, large) in [
        (mediated(), "0000:81:01.7", "A100-1-5C", "A100-2-10C"),
        (
            host("a100-mig"),
            "0000:41:00.0",
            "A100D-1-10C",
            "A100D-2-20C",
        ),
    ] {
        let make = |line: String| {
            let run = host.run(&line).expect(0);
            assert!(!run.stderr.contains("warning"), "{run:#?}");
            assert!(!run.stderr.contains("next boot"), "{run:#?}");
        };
        make(format!("create -t {small} --count 2"));
        make(format!("create -t {large} --count 2"));
        make(format!("define --uuid {} -p {parent} -t {small}", uuid(1)));
        make(format!("modify {} --param frame_rate_limiter=0", uuid(1)));
        // All seven slices are spoken for.
        let run = host.run(&format!("define --uuid {} -p {parent} -t {large}", uuid(2)));
        let run = run.expect(0);
        assert!(
            run.stderr.contains("will not start at the next boot"),
            "{run:#?}"
        );
        says_nothing_of_sizes(&run);
    }
}

#[test]
fn no_more_are_promised_than_the_gpu_can_be_cut_into() {
    let host = host("a100-mig");
    for (name, most) in [("A100D-1-10C", 7), ("A100D-2-20C", 3), ("A100D-3-40C", 2)] {
        let run = plan(&host, &group(name, 8)).expect(2);
        let all = format!("{most} to create, {} blocked\n", 8 - most);
        assert!(run.stdout.ends_with(&all), "{run:#?}");
        says_nothing_of_sizes(&run);
        let run = host.run(&format!("create -t {name} --count 8")).expect(4);
        let room =
            format!("has room for at most {most}: it cannot be split into more GPU instances");
        assert!(run.stderr.contains(&room), "{run:#?}");
        assert_eq!(active(&host), 0, "all or none");
        let line = format!("create -t {name} --count {most} --transient");
        let made = host.run(&line).expect(0).stdout;
        assert_eq!(active(&host), most);
        let made: Vec<&str> = made.lines().collect();
        host.run(&format!("remove {}", made.join(" "))).expect(0);
    }
    let run = host.run("create -t A100D-1-10C").expect(0);
    says_nothing_of_sizes(&run);
    let run = host.run("create -t A100D-2-20C --count 4").expect(4);
    assert!(
        run.stderr
            .contains("room for at most 3: it holds 1 x A100D-1-10C"),
        "{run:#?}"
    );
}

#[test]
fn a_gpu_in_mig_mode_takes_no_type_that_shares_the_whole() {
    let host = mediated();
    for text in [
        group("A100-1-5C", 1) + &group("A100-4C", 1),
        group("A100-4C", 1) + &group("A100-2-10C", 1),
    ] {
        let run = plan(&host, &text).expect(2);
        assert!(run.stdout.ends_with("1 to create, 1 blocked\n"), "{run:#?}");
        assert!(run.stdout.contains("a GPU in MIG mode serves"), "{run:#?}");
        says_nothing_of_sizes(&run);
    }
}

#[test]
fn what_leaves_is_counted_once_its_driver_shows_that_it_cuts_anew() {
    let host = host("a100-mig");
    let declared =
        |name: &str, count: u32| format!("unlisted = \"remove\"\n{}", group(name, count));
    apply(&host, &declared("A100D-1-10C", 7)).expect(0);
    // On a full card nobody can tell: GPU instances may be cut for good.
    let run = apply(&host, &declared("A100D-7-80C", 1));
    let told = format!("{}{}", run.stdout, run.stderr);
    assert!(!told.contains("holds nothing"), "{run:#?}");
    assert!(told.contains("only its driver can tell"), "{run:#?}");
    apply(&host, &declared("A100D-7-80C", 1)).expect(0);
    assert_eq!(active(&host), 1);
    plan(&host, &declared("A100D-7-80C", 1)).expect(0);
    // And back.
    apply(&host, &declared("A100D-1-10C", 7));
    apply(&host, &declared("A100D-1-10C", 7)).expect(0);
    assert_eq!(active(&host), 7);
}

#[test]
fn functions_that_are_parents_promise_no_more_than_their_gpu_can_be_cut_into() {
    let host = mediated();
    let line = "create -t A100-2-10C --count 4";
    for dry in ["--dry-run", ""] {
        let run = host.run(&format!("{line} {dry}")).expect(4);
        assert!(run.stderr.contains("room for at most 3"), "{dry}: {run:#?}");
        assert_eq!(active(&host), 0, "{dry}");
    }
    host.run("create -t A100-2-10C --count 3").expect(0);
}

#[test]
fn the_types_of_a_gpu_tell_what_each_has_left() {
    let host = mediated();
    host.run("create -t A100-1-5C --count 4").expect(0);
    let run = host.run("types --json").expect(0);
    let types = run.json()["parents"][0]["types"].clone();
    let left = |name: &str| {
        let all = types.as_array().unwrap().iter();
        let mut named = all.filter(|one| one["name"] == format!("GRID {name}"));
        named.next().unwrap()["available"].as_u64().unwrap()
    };
    assert_eq!(left("A100-1-5C"), 3);
    // Each free function could take one, as far as it says; three slices are one of two and a rest.
    assert_eq!(left("A100-2-10C"), 1);
    host.run("create -t A100-2-10C").expect(0);
    host.run("create -t A100-2-10C").expect(4);
    host.run("create -t A100-1-5C").expect(0);
    let run = host.run("create -t A100-1-5C").expect(4);
    says_nothing_of_sizes(&run);
}
