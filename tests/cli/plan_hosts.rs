//! Declarations as administrators write them, on hosts as they have them: what a plan promises is
//! done, then there is nothing to do, and the exported host says the same.

use std::process::Stdio;

use crate::harness::{Run, SimHost, finished};
use crate::plan::{apply, file, host, plan};

/// A host, a file for it, and what a plan of that counts.
struct Case {
    host: &'static str,
    text: &'static str,
    counts: &'static str,
}

const CASES: [Case; 9] = [
    // A home lab: two desktops of Proxmox VE's on an unlocked card.
    Case {
        host: "gtx-1080ti",
        text: r#"
            [[group]]
            name = "gaming"
            type = "P40-4Q"
            vms = [100, "100:1"]
            gpus = "GTX 1080 Ti"
            params = { frame_rate_limiter = 0 }
            "#,
        counts: "2 to create\n",
    },
    // Two cards, each for one size.
    Case {
        host: "two-p4",
        text: r#"
            unlisted = "remove"
            [[group]]
            name = "desks"
            type = "P4-1Q"
            per-gpu = 4
            gpus = 0
            [[group]]
            name = "cad"
            type = "GRID P4-4Q"
            names = ["alice", "bob"]
            "#,
        counts: "6 to create\n",
    },
    // More than an L40S has memory for, of which its driver says nothing.
    Case {
        host: "l40s",
        text: r#"
            [[group]]
            name = "big"
            type = "L40S-24Q"
            count = 3
            "#,
        counts: "2 to create, 1 blocked\n",
    },
    // More than it has functions for.
    Case {
        host: "l40s",
        text: r#"
            [[group]]
            name = "small"
            type = "L40S-1Q"
            count = 40
            "#,
        counts: "32 to create, 8 blocked\n",
    },
    Case {
        host: "l40s",
        text: r#"
            [[group]]
            name = "fill"
            type = "L40S-16Q"
            per-gpu = "max"
            "#,
        counts: "3 to create\n",
    },
    // Both frameworks, models by name.
    Case {
        host: "both-frameworks",
        text: r#"
            [[group]]
            name = "vms"
            type = "P4-2Q"
            vms = [100, 205]
            gpus = "Tesla P4"
            [[group]]
            name = "ai"
            type = "NVIDIA L40S-24Q"
            vms = [300]
            gpus = ["L40S", "Tesla P4"]
            "#,
        counts: "3 to create\n",
    },
    // Of several vendors; the card that lists no types is not asked for.
    Case {
        host: "mixed",
        text: r#"
            [[group]]
            name = "intel"
            type = "i915-GVTg_V5_8"
            count = 1
            [[group]]
            name = "nvidia"
            type = "P4-8Q"
            count = 1
            gpus = "81:00.0"
            "#,
        counts: "2 to create\n",
    },
    Case {
        host: "s390-matrix",
        text: r#"
            [[group]]
            name = "crypto"
            type = "vfio_ap-passthrough"
            names = ["guest1"]
            gpus = "matrix"
            attrs = ["assign_adapter=5", "assign_domain=0xab"]
            "#,
        counts: "1 to create\n",
    },
    // Defined only, on a board of four GPUs.
    Case {
        host: "m10",
        text: r#"
            [[group]]
            name = "pool"
            type = "M10-2B"
            per-gpu = { max = 2 }
            placement = "spread"
            start = "manual"
            "#,
        counts: "8 to create\n",
    },
];

/// The exported host, planned at once.
fn plan_of_export(host: &SimHost) -> Run {
    let exported = host.run("export").stdout;
    let path = host.path("usr/exported.toml");
    std::fs::write(&path, exported).unwrap();
    let mut command = host.command(["assert", "-"]);
    command.stdin(Stdio::from(std::fs::File::open(path).unwrap()));
    finished(command.output().unwrap())
}

#[test]
fn what_a_plan_promises_is_done_and_exported() {
    for Case {
        host: name,
        text,
        counts,
    } in &CASES
    {
        let host = host(name);
        let planned = plan(&host, text).expect(2);
        assert!(planned.stdout.ends_with(counts), "{name}: {planned:#?}");
        let blocked = planned.stdout.matches("! blocked ").count();
        let created = planned.stdout.matches("+ create ").count();
        let applied = apply(&host, text).expect(if blocked == 0 { 0 } else { 7 });
        assert_eq!(
            applied.stdout.matches("created ").count(),
            created,
            "{name}: {applied:#?}"
        );
        let next = plan(&host, text).expect(if blocked == 0 { 0 } else { 2 });
        let count = |what: &str| next.stdout.matches(what).count();
        assert_eq!(
            (count("+ "), count("~ "), count("- ")),
            (0, 0, 0),
            "{name}: {next:#?}"
        );
        assert_eq!(count("! blocked "), blocked, "{name}: {next:#?}");
        let exported = plan_of_export(&host);
        assert_eq!(
            (exported.status, exported.stdout.as_str()),
            (0, ""),
            "{name}: {exported:#?}"
        );
    }
}

#[test]
fn what_somebody_changed_by_hand_is_named_and_put_right() {
    let host = host("two-p4");
    let Case { text, .. } = &CASES[1];
    apply(&host, text).expect(0);
    let uuids = host.active();
    let (a, b, c, d) = (&uuids[0], &uuids[1], &uuids[2], &uuids[3]);
    host.run(&format!("stop {a}")).expect(0);
    host.run(&format!("modify {b} --manual")).expect(0);
    host.run(&format!("undefine {c}")).expect(0);
    host.run(&format!("modify {d} --param disable_vnc=1"))
        .expect(0);
    host.run(&format!("remove {}", uuids[4])).expect(0);
    let planned = plan(&host, text).expect(2);
    for (uuid, told) in [
        (a, "inactive -> active"),
        (b, "start: manual -> auto"),
        (c, "definition: none -> created"),
        (d, "attributes: nvidia/vgpu_params=disable_vnc=1 -> none"),
        (&uuids[4], " is missing"),
    ] {
        let mut lines = planned.stdout.lines();
        let line = lines.find(|line| line.contains(uuid.as_str())).unwrap();
        assert!(line.ends_with(told), "{line}");
    }
    apply(&host, text).expect(0);
    plan(&host, text).expect(0);
    assert_eq!(host.active(), uuids);
}

#[test]
fn a_plan_knows_the_memory_of_an_unlocked_card() {
    let host = host("gtx-1080ti");
    let text = "[[group]]\nname = \"a\"\ntype = \"P40-4Q\"\nvms = [100, 101, 102]\n";
    let told = "warning: 0000:01:00.0 is a GTX 1080 Ti with 11 GiB of memory; 3 x P40-4Q (4 GiB each) \
                need 12 GiB\n";
    let planned = plan(&host, text).expect(2);
    assert!(planned.stderr.starts_with(told), "{planned:#?}");
    let applied = apply(&host, text).expect(0);
    assert!(applied.stderr.contains(told), "{applied:#?}");
    // Once it is so, there is nothing that is about to go wrong.
    assert_eq!(plan(&host, text).expect(0).stderr, "");
    let fewer = text.replace(", 102", "");
    let json = host
        .run_args([
            "plan".as_ref(),
            "--json".as_ref(),
            file(&host, &fewer).as_os_str(),
        ])
        .expect(0)
        .json();
    assert_eq!(json["warnings"].as_array().map(Vec::len), Some(0));
}

#[test]
fn a_gpu_whose_functions_are_off_is_named_with_the_way_to_switch_them_on() {
    let host = SimHost::start("a40-vf-mdev");
    for gpus in ["\"any\"", "\"A40\"", "\"0000:41:00.0\"", "0"] {
        let text =
            format!("[[group]]\nname = \"a\"\ntype = \"A40-8Q\"\ncount = 1\ngpus = {gpus}\n");
        let run = plan(&host, &text).expect(1);
        assert!(
            run.stderr.contains("vgpuctl vfs enable 0000:41:00.0\n"),
            "{gpus}: {run:#?}"
        );
    }
}

#[test]
fn an_attribute_that_no_function_has_is_a_mistake_of_the_file() {
    let host = host("l40s");
    let text = |attr: &str| {
        format!("[[group]]\nname = \"a\"\ntype = \"L40S-8Q\"\ncount = 1\nattrs = [\"{attr}=1\"]\n")
    };
    let run = plan(&host, &text("placement_id")).expect(1);
    let told = "error: group a (line 2): cannot set placement_id: not an attribute of a vGPU on a \
                virtual function\nhint: supported attributes: nvidia/vgpu_params, ";
    assert!(run.stderr.starts_with(told), "{run:#?}");
    apply(&host, &text("placement_id")).expect(2);
    assert_eq!(host.status()["create_writes"], 0);
    apply(&host, &text("nvidia/warm_update")).expect(0);
}
