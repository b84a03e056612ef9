//! Declarations that set up whole GPUs.

use std::fs;

use crate::harness::SimHost;
use crate::helpers::uuid;
use crate::mig_boot::{deadly, harmless, instances};
use crate::plan::{apply, plan};

const GPU: &str = "0000:41:00.0";
const WHOLE: &str = "[[gpu]]\ngpus = \"0000:41:00.0\"\nvfs = \"all\"\n\
                     mig = [\"1g.10gb\", \"3g.40gb\", \"2g.20gb\"]\n";
const GROUPS: [&str; 3] = ["H100XM-1-10C", "H100XM-3-40C", "H100XM-2-20C"];

fn groups(types: &[&str]) -> String {
    let group =
        |name: &&str| format!("[[group]]\nname = \"{name}\"\ntype = \"{name}\"\ncount = 1\n");
    types.iter().map(group).collect()
}

/// An H100 as it is after a boot: without MIG mode and virtual functions.
fn bare() -> SimHost {
    let host = crate::plan::host("h100-mig");
    host.ctl(&["reboot"]);
    host.ctl(&["vfs", GPU, "0"]);
    host
}

fn settings(host: &SimHost) -> String {
    let path = host.path("etc/vgpuctl.d").join(GPU).join("gpu.conf");
    fs::read_to_string(path).unwrap_or_default()
}

fn mode(host: &SimHost) -> String {
    let answer = host.run("mig --json").expect(0).json();
    answer["gpus"][0]["mode"].as_str().unwrap().to_owned()
}

fn functions(host: &SimHost) -> usize {
    let answer = host.run("vfs --json").expect(0).json();
    answer["gpus"][0]["functions"].as_array().unwrap().len()
}

fn active(host: &SimHost) -> Vec<(String, String)> {
    let listed = host.run("list --active --json").expect(0).json();
    let word = |device: &serde_json::Value, key: &str| device[key].as_str().unwrap().to_owned();
    let devices = listed["devices"].as_array().unwrap().iter();
    let mut all: Vec<_> = devices
        .map(|one| (word(one, "uuid"), word(one, "vf")))
        .collect();
    all.sort();
    all
}

#[test]
fn a_whole_gpu_is_declared_applied_and_back_after_a_reboot() {
    let host = bare();
    let text = WHOLE.to_owned() + &groups(&GROUPS);
    let run = plan(&host, &text).expect(2);
    assert_eq!(
        run.stdout,
        "~ set up  0000:41:00.0: vfs: leave -> enable; mig: none -> 1g.10gb, 3g.40gb, 2g.20gb; enable MIG mode; \
         enable virtual functions; create GPU instances 3g.40gb, 2g.20gb, 1g.10gb\n1 GPU to set up\n"
    );
    assert!(
        run.stderr.contains("once these GPUs are set up"),
        "{run:#?}"
    );
    assert_eq!((mode(&host), functions(&host)), ("disabled".to_owned(), 0));
    let run = apply(&host, &text).expect(0);
    assert!(run.stderr.contains("1 GPU set up, 3 created"), "{run:#?}");
    let before = active(&host);
    assert_eq!(before.len(), 3);
    assert_eq!(
        settings(&host),
        "vfs = enable\nmig = 1g.10gb, 3g.40gb, 2g.20gb\n"
    );
    let run = plan(&host, &text).expect(0);
    assert_eq!(run.stdout, "3 as declared\n");
    let exported = host.run("export").expect(0).stdout;
    assert!(
        exported.contains("vfs = \"all\"\nmig = [\"1g.10gb\", \"3g.40gb\", \"2g.20gb\"]\n"),
        "{exported}"
    );
    let file = exported.trim_start_matches("version = 1\n");
    plan(&host, file).expect(0);
    host.ctl(&["reboot"]);
    host.ctl(&["vfs", GPU, "0"]);
    let run = host.run("restore").expect(0);
    assert_eq!(run.stdout.lines().count(), 6, "{run:#?}");
    assert_eq!(active(&host), before);
    plan(&host, &text).expect(0);
}

#[test]
fn an_apply_that_is_killed_at_any_step_is_finished_by_the_next() {
    let text = WHOLE.to_owned() + &groups(&GROUPS);
    let mut kills = 0;
    for program in ["usr/bin/nvidia-smi", "usr/lib/nvidia/sriov-manage"] {
        let host = bare();
        for at in 1..100 {
            let mut was_killed = false;
            for before in [true, false] {
                deadly(&host, program, at, before);
                let run = apply(&host, &text);
                harmless(&host, program);
                was_killed = run.status != 0;
                kills += usize::from(was_killed);
                let next = apply(&host, &text).expect(0);
                assert_eq!(active(&host).len(), 3, "{program} {at}: {run:#?} {next:#?}");
                assert_eq!(instances(&host), ["1g.10gb", "2g.20gb", "3g.40gb"]);
                plan(&host, &text).expect(0);
                // As it was at first.
                host.ctl(&["reboot"]);
                host.ctl(&["vfs", GPU, "0"]);
                fs::remove_dir_all(host.path("etc/vgpuctl.d")).unwrap();
            }
            if !was_killed {
                break;
            }
        }
    }
    assert!(kills >= 12, "{kills}");
}

#[test]
fn what_fails_later_takes_all_of_it_back() {
    let host = bare();
    // Once the GPU is set up, it turns out that it does not have this type.
    let text = WHOLE.to_owned() + &groups(&["L40S-8Q"]);
    let run = apply(&host, &text).expect(3);
    assert!(run.stderr.contains("L40S-8Q"), "{run:#?}");
    let is_bare = |host: &SimHost| {
        assert_eq!(settings(host), "");
        assert_eq!((mode(host), functions(host)), ("disabled".to_owned(), 0));
        assert_eq!(instances(host), [""; 0]);
    };
    is_bare(&host);
    // The kernel refuses the last vGPU.
    let text = WHOLE.to_owned() + &groups(&GROUPS);
    host.ctl(&["fail-create", "3", "EINVAL"]);
    apply(&host, &text).expect(1);
    is_bare(&host);
    assert_eq!(active(&host), []);
    apply(&host, &text).expect(0);
}

#[test]
fn instances_that_do_not_all_fit_are_refused_before_anything_is_changed() {
    let host = bare();
    let text = WHOLE.replace("\"1g.10gb\"", "\"1g.10gb\", \"3g.40gb\"");
    let run = plan(&host, &text).expect(2);
    assert!(
        run.stdout.contains("they do not all fit at once"),
        "{run:#?}"
    );
    assert!(run.stdout.ends_with("1 GPU blocked\n"), "{run:#?}");
    apply(&host, &text).expect(4);
    assert_eq!(
        (mode(&host), settings(&host)),
        ("disabled".to_owned(), String::new())
    );
}

#[test]
fn a_gpu_with_vgpus_is_not_set_up_under_them() {
    let host = crate::plan::host("h100-mig");
    host.ctl(&["reboot"]);
    host.run(&format!("create -t H100XM-40C -u {}", uuid(1)))
        .expect(0);
    let run = plan(&host, WHOLE).expect(2);
    assert!(run.stdout.contains("! blocked 0000:41:00.0: "), "{run:#?}");
    assert!(run.stderr.contains(&uuid(1)), "{run:#?}");
    apply(&host, WHOLE).expect(5);
    assert_eq!(active(&host).len(), 1);
    assert_eq!(settings(&host), "");
}

#[test]
fn several_sizes_and_the_scheduler_are_declared() {
    let host = crate::plan::host("l40s");
    let text = "[[gpu]]\ngpus = \"L40S\"\nmixed-sizes = true\nscheduler = \"equal\"\n".to_owned()
        + &groups(&["L40S-8Q", "L40S-16Q", "L40S-24Q"]);
    let run = plan(&host, &text).expect(2);
    assert!(
        run.stdout
            .contains("mixed-sizes: no -> yes; scheduler: not set -> equal"),
        "{run:#?}"
    );
    assert!(
        run.stdout.ends_with("1 GPU to set up, 3 to create\n"),
        "{run:#?}"
    );
    apply(&host, &text).expect(0);
    assert_eq!(active(&host).len(), 3);
    assert_eq!(host.ctl(&["scheduler", GPU]).trim(), "-p 2");
    assert_eq!(settings(&host), "mixed-sizes = yes\nscheduler = equal\n");
    plan(&host, &text).expect(0);
    // What a file leaves out stays; other lines of the settings do too.
    let path = host.path("etc/vgpuctl.d").join(GPU).join("gpu.conf");
    fs::write(
        &path,
        "# mine\nmixed-sizes = yes\nscheduler = equal # all alike\n",
    )
    .unwrap();
    let text = text.replace("scheduler = \"equal\"\n", "vfs = \"all\"\n");
    apply(&host, &text).expect(0);
    assert_eq!(
        settings(&host),
        "# mine\nmixed-sizes = yes\nscheduler = equal # all alike\nvfs = enable\n"
    );
}

#[test]
fn faults_of_a_gpu_are_told_with_their_lines() {
    let host = bare();
    for (table, words) in [
        ("vfs = \"all\"\n", "does not say which GPU"),
        ("gpus = \"any\"\n", "not \"any\""),
        ("gpus = 0\n", "not numbers"),
        (
            "gpus = \"L40S\"\n",
            "no GPU \"L40S\" that supports virtual functions",
        ),
        (
            "gpus = \"0000:41:00.0\"\nvfs = 16\n",
            "vfs takes \"all\" or \"leave\", not 16",
        ),
        (
            "gpus = \"0000:41:00.0\"\nmig = \"3g.40gb\"\n",
            "mig takes a list",
        ),
        (
            "gpus = \"0000:41:00.0\"\nmig = [\"3g 2g\"]\n",
            "is not a GPU instance profile",
        ),
        (
            "gpus = \"0000:41:00.0\"\nmixed-sizes = \"yes\"\n",
            "takes true or false",
        ),
        (
            "gpus = \"0000:41:00.0\"\nscheduler = \"fair\"\n",
            "is not a scheduler",
        ),
        (
            "gpus = \"0000:41:00.0\"\nmixed-size = true\n",
            "did you mean mixed-sizes?",
        ),
        (
            "gpus = \"0000:41:00.0\"\n[[gpu]]\ngpus = \"10de:2330\"\n",
            "already set up in line 2",
        ),
    ] {
        let run = plan(&host, &format!("[[gpu]]\n{table}"));
        assert_ne!(run.status, 0, "{table}: {run:#?}");
        assert!(run.stderr.contains(words), "{table}: {run:#?}");
    }
    assert_eq!(settings(&host), "");
}
